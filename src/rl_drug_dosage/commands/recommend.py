"""``rl-drug-dosage recommend``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

__all__ = ["command"]

_DEFAULT = defaults_of(api.recommend)
_FROM_DRUG = "the drug's"


def command(  # noqa: PLR0917 - the options of a command line
    patient: Annotated[Path, typer.Argument(help="Patient file, .toml or .json.")],
    model: Annotated[
        list[str] | None, typer.Option(help="Drug model to weigh (repeatable).", show_default=_FROM_DRUG)
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario with target, harms, limits and label.", show_default=_FROM_DRUG)
    ] = _DEFAULT["scenario"],
    target: Annotated[
        str | None, typer.Option(help="Window: 'trough 10-15', 'auc24 400-600'.", show_default=_FROM_DRUG)
    ] = _DEFAULT["target"],
    prior: Annotated[str, typer.Option(help="published, or widened: patients as varied as in training.")] = _DEFAULT[
        "prior"
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Policy beside Bayesian dosing: label, a model file (repeatable).", show_default="label"),
    ] = None,
    next_dose: Annotated[
        float | None,
        typer.Option(help="When the next dose is due, h.", show_default="an interval after the last dose"),
    ] = _DEFAULT["next_dose_h"],
    horizon: Annotated[
        float | None,
        typer.Option(help="How far ahead the interval that counts ends, h.", show_default="two days or two intervals"),
    ] = _DEFAULT["horizon_h"],
    interval: Annotated[
        list[float] | None,
        typer.Option(help="Dosing interval to try, h, of the label (repeatable).", show_default=_FROM_DRUG),
    ] = None,
    route: Annotated[
        str | None, typer.Option(help="Route of the next doses.", show_default="that of the last dose")
    ] = _DEFAULT["route"],
    draws: Annotated[int, typer.Option(help="Draws from the posterior of each model.")] = _DEFAULT["draws"],
    seed: Annotated[int, typer.Option(help="Random seed of the draws.")] = _DEFAULT["seed"],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    save: Annotated[
        Path | None, typer.Option(help="Write a file: .html, .json or .txt.", show_default=False)
    ] = _DEFAULT["save"],
) -> None:
    """Recommend a dose for one patient, with a curve, probabilities and reasons.

    Example: rl-drug-dosage recommend patient.toml --save patient.html
    """
    found = api.recommend(
        patient,
        models=tuple(model or ()),
        scenario=scenario,
        target=target,
        prior=prior,
        policies=tuple(policy) if policy else _DEFAULT["policies"],
        next_dose_h=next_dose,
        horizon_h=horizon,
        intervals_h=tuple(interval or ()),
        route=route,
        draws=draws,
        seed=seed,
        save=save,
    )
    if as_json:
        typer.echo(json.dumps(found.to_dict(), allow_nan=False))
        return
    say(found.text())
    if save is not None:
        say(save)

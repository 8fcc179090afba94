"""``rl-drug-dosage recommend``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

__all__ = ["command"]

_DEFAULT = defaults_of(api.recommend)
_FROM_DRUG = "the drug's"


def command(  # noqa: PLR0917 - the options of a command line
    patient: Annotated[
        Path, typer.Argument(help="Patient file of one or many patients: .toml, .json, or a table (.csv).")
    ],
    drug: Annotated[
        str | None, typer.Option(help="Drug of a table, which names none.", show_default="what the file says")
    ] = _DEFAULT["drug"],
    formula: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COVARIATE=FORMULA[,KEY=VALUE]",
            help="Formula for what the file does not give: crcl=cockcroft-gault,weight=actual (repeatable).",
            show_default=False,
        ),
    ] = None,
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
        Path | None,
        typer.Option(
            help="Write a file: .html, .json or .txt; of several patients one each, NAME-1.html.", show_default=False
        ),
    ] = _DEFAULT["save"],
) -> None:
    """Recommend a dose for one patient or many, with a curve, probabilities and reasons.

    Example: rl-drug-dosage recommend patient.toml --save patient.html
    """
    found = api.recommend_all(
        patient,
        drug=drug,
        formulas=_formulas(formula or ()),
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
    )
    files = [] if save is None else [one.save(path) for one, path in zip(found, _paths(save, len(found)), strict=True)]
    if as_json:
        records = [one.to_dict() for one in found]
        typer.echo(json.dumps(records[0] if len(records) == 1 else records, allow_nan=False))
        return
    say("\n\n".join(one.text() for one in found))
    for path in files:
        say(path)


def _paths(save: Path, count: int) -> list[Path]:
    """A file for each patient."""
    return [save] if count == 1 else [save.with_stem(f"{save.stem}-{i}") for i in range(1, count + 1)]


def _formulas(written: Sequence[str]) -> dict[str, object]:
    """``crcl=cockcroft-gault,weight=actual`` as a patient file has it.

    Raises:
        ConfigError: something else.
    """
    found: dict[str, object] = {}
    for text in written:
        first, *others = text.split(",")
        covariate, _, name = first.partition("=")
        pairs = [other.partition("=")[::2] for other in others]
        if not (covariate and name and all(key and value for key, value in pairs)):
            raise ConfigError(
                f"--formula {text!r}; allowed: COVARIATE=FORMULA[,KEY=VALUE], such as "
                "crcl=cockcroft-gault,weight=actual; correct it"
            )
        if covariate in found:
            raise ConfigError(f"--formula gives {covariate!r} twice; allowed: once; leave one out")
        found[covariate] = {"formula": name, **dict(pairs)}
    return found

"""The components of an observation that tell of the belief of support patients."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.features import Feature, Part, View, logarithm_unit, output_of, share_unit
from rl_drug_dosage.clinic.posterior import AROUND, Outlook, Posterior

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.observation import Observer

__all__ = ["posterior_parts"]

_NAMES = ("lower", "best", "higher", "kept")
"""Of the candidates `AROUND` the best dose, and of the dose before."""


def posterior_parts(observer: "Observer") -> tuple[Part, ...]:
    """The parts that an observer with support patients adds to its vector."""
    posterior, scenario = observer.posterior, observer.scenario
    assert posterior is not None
    name, unit = output_of(scenario)
    share, level, assumed = share_unit(scenario), logarithm_unit(unit), posterior.assumed
    around = "if the dose is lower, the best Bayesian one, higher (corrections of -0.5, 0, 0.5), or the one before"
    assert len(AROUND) + 1 == len(_NAMES)

    def each(stem: str, unit: str) -> tuple[Feature, ...]:
        return tuple(Feature(f"{stem}_{which}", unit) for which in _NAMES)

    found = [
        _part(
            (Feature("bayesian_dose", share),), "the best Bayesian dose", lambda o: o.best / scenario.dosage.amounts[-1]
        ),
        _part(
            (Feature("planned_dose", share),),
            "the dose that Bayesian dosing plans from the third decision ahead on",
            lambda o: o.planned / scenario.dosage.amounts[-1],
        ),
        _part(
            each(f"{name}_ahead", level),
            f"expected level at the end of the next interval {around}",
            lambda o: o.expected.level,
        ),
        _part(each(f"sd_{name}_ahead", level), "its standard deviation", lambda o: o.expected.level_sd),
        _part(
            each("target_ahead", "share of points"),
            f"expected share inside the targets ahead, {around}",
            lambda o: o.expected.target,
        ),
    ]
    if scenario.goal.harms:
        found.append(
            _part(
                each("harm_ahead", "probability"), f"probability of any harm ahead, {around}", lambda o: o.expected.harm
            )
        )
    if len(assumed.models) > 1:
        weights = tuple(Feature(f"weight_{model.name}", "probability") for model in assumed.models)
        found.append(_part(weights, "probability of each drug model", lambda o: o.probability))
    found += [
        _part(
            (Feature("effective_support", "share"),), "effective share of the support patients", lambda o: o.effective
        ),
        _part(
            (Feature("innovation", "standard deviations"), Feature("innovations", "standard deviations")),
            "the new levels less their predictions, and their sum, of which older ones are slowly forgotten",
            lambda o: jnp.stack([o.innovation, o.innovations]),
        ),
        _part((Feature("doubt", "0/1"),), "whether the belief is in doubt", lambda o: o.doubt),
    ]
    return tuple(found) if observer.action != "residual" else (*found, *_corrections(posterior))


def _corrections(posterior: Posterior) -> list[Part]:
    """What is observed of corrections."""
    option, unit = "support, action=residual", "power of 2"
    ensemble, keeping, lasting = (
        (Feature(f"{which}_correction", unit),) for which in ("ensemble", "keeping", "lasting")
    )
    found = [_part(keeping, "the correction that gives the dose before again", lambda o: o.keeping, option)]
    if posterior.estimated is not None:
        meaning, own = "the correction that gives the dose of the support patients", f"{option}, reference"
        found.insert(0, _part(ensemble, meaning, lambda o: jnp.asarray(o.ensemble), own))
    if posterior.slow:
        found.append(_part(lasting, "the slow correction of the dose so far", lambda o: o.lasting, option))
    return found


def _part(
    features: tuple[Feature, ...], meaning: str, value: Callable[[Outlook], Array], option: str = "support"
) -> Part:
    def seen(view: View) -> Array:
        return jnp.reshape(jnp.asarray(value(view.outlook), jnp.float32), len(features))

    return Part(features, meaning, option, seen)

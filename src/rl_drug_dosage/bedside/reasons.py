"""Why: which level moved the estimate, how far the patient is from typical, which limits and ranges matter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.grid import Grid
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.mixture import Mixture
from rl_drug_dosage.bedside.moments import moment
from rl_drug_dosage.bedside.recommendation import option_words
from rl_drug_dosage.bedside.regimens import LIKELY, Row
from rl_drug_dosage.pkpd import outside_range, parameter_unit
from rl_drug_dosage.utils.words import unit_words

__all__ = ["contradicted", "reasons", "warnings_of"]

_NOTABLE_SD = 1.0
"""Prior standard deviations from which a parameter is called unusual."""
_NOTABLE_SHIFT = 0.02
"""Relative change of the quantity from which a level is said to have moved it."""
_CLEAR = 2.0
"""Standard errors from which such a change is told."""
_FEW = 50.0
"""Effective draws below which a level cannot be left out by reweighting."""


def contradicted(mixture: Mixture) -> bool:
    """Whether no model can explain the levels."""
    return not any(bool(belief.found.estimate.plausible) for belief in mixture.beliefs)


def reasons(
    mixture: Mixture,
    history: PatientHistory,
    grid: Grid,
    rows: Sequence[Row],
    quantity: Float[np.ndarray, "draw"],
    name: str,
) -> tuple[str, ...]:
    """Sentences for people.

    Args:
        mixture: what is believed.
        history: of the patient.
        grid: gives the limits.
        rows: regimens, best first.
        quantity: the first window's metric under the recommended regimen, in the order of `Mixture.over`.
        name: of the quantity with its unit.
    """
    return (
        *_moved_most(mixture, history, quantity, name),
        *_from_typical(mixture.main),
        *_limited(grid, rows),
        *_unlikely(grid, rows),
    )


@dataclass(frozen=True)
class _Without:
    """What the quantity would be without one level."""

    words: str
    predicted: float
    mean: float
    error: float
    """Standard error of the mean, from the weights of the draws."""
    enough: bool


def _without(mixture: Mixture, history: PatientHistory, quantity: Float[np.ndarray, "draw"]) -> list[_Without]:
    """Leave each level out by reweighting the draws of the most probable model by 1 / p(level | draw)."""
    belief, found = mixture.main, []
    outputs, own = belief.model.outputs, quantity[mixture.of_main]
    for j, level in enumerate(history.levels):
        log_weight = -belief.found.log_likelihood[mixture.picked[mixture.heaviest], j]
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        unit = unit_words(outputs[belief.model.output_index(level.output or outputs[0].name)].unit)
        value = f"< {level.value:g}" if level.below_limit else f"{level.value:g}"
        mean = float(weight @ own)
        found.append(
            _Without(
                words=f"{value} {unit}".rstrip() + f" at {moment(history, level.time_h)}",
                predicted=float(belief.found.predicted[0, j]),
                mean=mean,
                error=float(np.sqrt(np.sum(weight**2 * (own - mean) ** 2))),
                enough=1.0 / float(np.sum(weight**2)) >= _FEW,
            )
        )
    return found


def _moved_most(mixture: Mixture, history: PatientHistory, quantity: Float[np.ndarray, "draw"], name: str) -> list[str]:
    if not history.levels:
        return ["no level has been measured: the forecast is that of patients with the same covariates"]
    now = float(quantity[mixture.of_main].mean())
    each_out = _without(mixture, history, quantity)
    # What the draws cannot tell from nothing, no level has moved.
    clear = [each for each in each_out if abs(each.mean - now) > max(_CLEAR * each.error, _NOTABLE_SHIFT * abs(now))]
    if not clear:
        which = "the level" if len(each_out) == 1 else "any one level"
        least = f"{100 * _NOTABLE_SHIFT:g} %"
        return [f"leaving {which} out changes the mean {name} by less than {least}, or than the draws can tell"]
    most = max(clear, key=lambda each: abs(each.mean - now))
    which = "the level" if len(each_out) == 1 else "the level that moved the estimate most is that"
    about = "" if most.enough else ", roughly, for few draws bear it"
    would_be = f"{_digits(most.mean, 2)} (± {_digits(most.error, 2)}) in place of {_digits(now, 3)}{about}"
    fitted = f"the estimate predicts {_digits(most.predicted, 3)} for it"
    return [f"{which} of {most.words}: without it the mean {name} would be {would_be}; {fitted}"]


def _digits(number: float, count: int) -> str:
    """So many significant digits, without an exponent below a million."""
    return f"{float(f'{number:.{count}g}'):g}"


def _from_typical(belief: Belief) -> list[str]:
    """Random effects in prior standard deviations."""
    estimate, found = belief.found.estimate, []
    for i, eta in enumerate(belief.model.etas):
        away = float(estimate.eta[i]) / float(belief.sd[i])
        if abs(away) < _NOTABLE_SD:
            continue
        own, usual = (float(p[eta.parameter][-1]) for p in (belief.found.parameters, belief.found.typical))
        unit = parameter_unit(eta.parameter).removesuffix("1")
        side = "above" if own > usual else "below"
        found.append(
            f"{eta.parameter} is {own:.3g}{' ' * bool(unit)}{unit}, {abs(away):.1f} standard deviations {side} that of "
            f"a typical patient with the same covariates, {usual:.3g}"
        )
    return found or ["every parameter is within one standard deviation of a typical patient with the same covariates"]


def _limited(grid: Grid, rows: Sequence[Row]) -> list[str]:
    """Which limit kept a better regimen out."""
    if not rows or not grid.why:
        return []
    best = next((row for row in rows if grid.allows(row.option)), None)
    if best is rows[0]:
        return []
    out = option_words(rows[0].option)
    return [f"{grid.why}: {out} would come first without that limit, and is not recommended"]


def _unlikely(grid: Grid, rows: Sequence[Row]) -> list[str]:
    """That nothing on the label is likely to meet the target."""
    best = max((row.target for row in rows if grid.allows(row.option)), default=1.0)
    if best >= LIKELY:
        return []
    share = f"{100.0 * LIKELY:g} %"
    return [
        f"no regimen that may be recommended has a chance of {share} of meeting the target: the one nearest to it leads"
    ]


def warnings_of(mixture: Mixture) -> tuple[str, ...]:
    """What is doubtful about the estimates, and covariates outside published ranges."""
    found = []
    for belief, weight in zip(mixture.beliefs, mixture.weights, strict=True):
        name, estimate = belief.model.name, belief.found.estimate
        found += list(outside_range(belief.model, belief.laid.covariates))
        if weight < 0.01:
            continue
        if not estimate.converged or not belief.found.minimum:
            found.append(f"{name}: the estimate did not converge; check doses, times and units of the levels")
        if not estimate.plausible:
            count = int(np.sum(belief.laid.levels.used))
            away = np.abs(np.asarray(estimate.latent)) / belief.sd
            found.append(
                f"{name} cannot explain the levels: misfit {float(estimate.misfit):.3g} where about {count} is "
                f"expected, a random effect {away.max():.1f} standard deviations from typical"
            )
        if belief.few:
            found.append(
                f"{name}: the draws rest on {belief.effective:.0f} proposals and were moved afterwards; distrust the "
                "second digit of probabilities"
            )
    return tuple(dict.fromkeys(found))

"""What candidate doses are expected to lead to in one patient: levels, target, harms."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.clinic.ensemble.forecast import QUANTILES, Forecast
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import plain_number

__all__ = ["DoseForecast", "assembled", "doses_around", "read_doses"]

_AT_ONCE = 20
"""Doses of one run; other numbers run in as many groups, so that one program serves all."""


@dataclass(frozen=True)
class DoseForecast:
    """The intervals ahead under candidate doses; see `Course.forecast`.

    Uncertainty is that of the policy's posterior of the patient, with day-to-day variability, missed doses and meals.

    Args:
        output, unit: what is monitored, and its unit.
        dose_unit: of the doses.
        recommended: the dose that the policy recommends, in ``dose_unit``.
        doses: the candidates, in ``dose_unit``.
        times_h: hours since the first decision.
        quantiles: 0.05, 0.25, 0.5, 0.75 and 0.95.
        levels: quantiles of the monitored output itself, without assay error, in ``unit``.
        starts_h: when each interval ahead begins, hours since the first decision.
        judged: whether the scenario's goal counts the interval.
        target: probability of the target, from 0 to 1: the expected share of the interval's points inside every window
            of the goal.
        harm_names: what can go wrong.
        harms: probability of each harm in each interval.
        models: probability of each drug model.
        effective: effective number of support patients, of ``support``: the smaller, the coarser the forecast.
        support: number of support patients.
        warnings: see `Course.warnings`.
    """

    output: str
    unit: str
    dose_unit: str
    recommended: float
    doses: Float[np.ndarray, " dose"]
    times_h: Float[np.ndarray, " time"]
    quantiles: tuple[float, ...]
    levels: Float[np.ndarray, "dose time quantile"]
    starts_h: Float[np.ndarray, " interval"]
    judged: Bool[np.ndarray, " interval"]
    target: Float[np.ndarray, "dose interval"]
    harm_names: tuple[str, ...]
    harms: Float[np.ndarray, "dose interval harm"]
    models: Mapping[str, float]
    effective: float
    support: int
    warnings: tuple[str, ...]


def doses_around(scenario: Scenario, recommended: float) -> Float[np.ndarray, " dose"]:
    """Up to 20 neighbouring amounts of the dose grid, the recommended one in their middle as far as possible."""
    grid = np.asarray(scenario.dosage.amounts, float)
    at = int(np.argmin(np.abs(grid - recommended)))
    first = max(0, min(at - _AT_ONCE // 2, grid.size - _AT_ONCE))
    return grid[first : first + _AT_ONCE]


def read_doses(scenario: Scenario, doses: Iterable[object]) -> Float[np.ndarray, " dose"]:
    """Candidate doses from a caller.

    Raises:
        ConfigError: no list of doses from 0 to the scenario's largest.
    """
    top, unit = scenario.dosage.amounts[-1], scenario.dosage.unit
    try:
        found = np.asarray([plain_number(v) for v in doses], np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0, np.float64)
    if not found.size or not ((found >= 0) & (found <= top * (1 + 1e-6))).all():
        raise ConfigError(f"doses {doses!r}: give a list of numbers >= 0 and <= {top:g} {unit}, such as [{top:g}]")
    return found


def assembled(
    scenario: Scenario,
    decision: int,
    doses: Float[np.ndarray, " dose"],
    run: Callable[[Float[np.ndarray, " dose"]], Forecast],
    *,
    recommended: float,
    models: tuple[str, ...],
    warnings: tuple[str, ...],
) -> DoseForecast:
    """The forecast of doses, up to the end of the course.

    Args:
        scenario: the task.
        decision: the decision that is due.
        doses: the candidates.
        run: forecasts a group of candidates.
        recommended: the dose that the policy recommends.
        models: names of the posterior's drug models.
        warnings: of the course.
    """
    # The last group is filled up.
    groups = np.resize(doses, -(-doses.size // _AT_ONCE) * _AT_ONCE).reshape(-1, _AT_ONCE)
    parts = [jax.device_get(run(group)) for group in groups]
    schedule, monitoring = scenario.schedule, scenario.monitoring
    ahead = min(parts[0].target.shape[1], schedule.decisions - decision)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])[: doses.size, :ahead].astype(float)

    levels = joined("levels")
    starts_h = (decision + np.arange(ahead)) * schedule.interval_h
    drug = scenario.drug(scenario.models[0])
    return DoseForecast(
        output=monitoring.output,
        unit=drug.outputs[drug.output_index(monitoring.output)].unit,
        dose_unit=scenario.dosage.unit,
        recommended=recommended,
        doses=doses,
        times_h=(starts_h[:, None] + np.asarray(schedule.output_times_h)).ravel(),
        quantiles=QUANTILES,
        levels=levels.reshape(doses.size, -1, len(QUANTILES)),
        starts_h=starts_h,
        judged=scenario.judged()[decision : decision + ahead],
        target=joined("target"),
        harm_names=tuple(harm.name for harm in scenario.goal.harms),
        harms=joined("harms"),
        models=dict(zip(models, parts[0].models.tolist(), strict=True)),
        effective=float(parts[0].effective),
        support=int(parts[0].support),
        warnings=warnings,
    )

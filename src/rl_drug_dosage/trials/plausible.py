"""What somebody at the bedside may tell of a patient: impossible is refused, unusual is a warning."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.drugs.shared.body_size import growth_height_cm, growth_weight_kg
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate, DrugModel, check_typical_parameters, make_covariates, plain_number
from rl_drug_dosage.pkpd.quantities import missing_code, possible_level, usual_level
from rl_drug_dosage.pkpd.units import same_unit

__all__ = ["check_controller", "check_levels", "finite_number", "level_ranges", "unlike_age"]

_OF_LEVELS = frozenset({"trough", "peak", "nadir", "value"})
"""Metrics in the unit of the output."""
_GROWN_Y = 18.0
_MANY_TIMES = 10.0
"""Times the highest limit that a scenario names, a level is probably in another unit: this project's choice."""


def check_controller(
    scenario: Scenario, model: DrugModel, rows: Sequence[Mapping[str, float]], who: Sequence[str]
) -> None:
    """Refuse patients for whose covariates a drug model has no finite, positive parameters.

    Args:
        scenario: the task, with its clocks.
        model: what the policy believes.
        rows: the covariates of each patient.
        who: how messages begin, one for each patient.

    Raises:
        CovariateError: names the patient, the parameter and the covariates.
    """
    start = {clock.name: float(clock.value(jnp.zeros(()))) for clock in scenario.clocks}
    names = [c.name for c in model.covariates]
    tables = [make_covariates(model, {name: {**row, **start}[name] for name in names}) for row in rows]
    check_typical_parameters(model, tables, [whose.removesuffix(": ") or "the patient" for whose in who])


def unlike_age(covariates: Sequence[Covariate], facts: Mapping[str, float]) -> list[str]:
    """Sizes of a child that contradict its age: further from the CDC's medians than children are.

    Args:
        covariates: of the scenario.
        facts: the patient's.
    """
    by_column = {c.column: c for c in covariates if c.name in facts}
    age = by_column.get("AGE")
    if age is None or age.unit != "y" or not facts[age.name] < _GROWN_Y:
        return []
    said, years = [], facts[age.name]
    for column, unit, median, factor in (("WT", "kg", growth_weight_kg, 2.5), ("HT", "cm", growth_height_cm, 1.4)):
        size = by_column.get(column)
        if size is None or size.unit != unit:
            continue
        usual = 0.5 * sum(float(median(jnp.asarray(years), jnp.asarray(girl))) for girl in (0.0, 1.0))
        if not usual / factor <= facts[size.name] <= usual * factor:
            said.append(
                f"{size.name} = {facts[size.name]:g} {unit} at {years:g} y: half of all children of that age have more "
                f"than {usual:.3g} {unit}; is one of the two in another unit, or a slip?"
            )
    return said


def level_ranges(scenario: Scenario) -> tuple[tuple[float, float], tuple[float, float]]:
    """The possible range of the monitored output, and the usual one; infinite where nothing is known.

    Where the output is none that `pkpd.quantities` knows, usual levels end at ten times the highest limit that the
    scenario names for it, in a target, a harm or the shield.
    """
    name, unit = _monitored(scenario)
    goal, possible, (low, high) = scenario.goal, possible_level(name, unit), usual_level(name, unit)
    if not np.isfinite(high):
        limits = [t.high for t in goal.targets if t.output == name and same_unit(t.unit, unit)]
        limits += [h.above for h in goal.harms if h.output == name and h.metric in _OF_LEVELS]
        named = [limit for limit in (*limits, scenario.shield.level) if limit is not None]
        high = min(_MANY_TIMES * max(named), possible[1]) if named else high
    return possible, (low, high)


def check_levels(scenario: Scenario, time_h: float, levels: Mapping[str, float]) -> list[str]:
    """What is unusual about levels of the monitored output.

    Args:
        scenario: the task.
        time_h: when they were drawn, for messages.
        levels: how a sentence about a patient begins -> the level.

    Raises:
        ConfigError: a level that no patient has.
    """
    name, unit = _monitored(scenario)
    (low, high), usual = level_ranges(scenario)
    counted = "" if unit == "1" else f" {unit}"
    said = []
    for whose, level in levels.items():
        where = f"{whose}level {level:g} at {time_h:g} h"
        if not low <= level <= high:
            most = f" and <= {high:g}" if np.isfinite(high) else ""
            raise ConfigError(
                f"{where}: {missing_code(level, impossible=True)}give numbers >= {low:g}{most}{counted}, or None where "
                "none was measured"
            )
        if not usual[0] <= level <= usual[1]:
            ends = f"{usual[0]:g} to {usual[1]:g}" if usual[0] > 0 else f"up to {usual[1]:.4g}"
            said.append(f"{where}: {name} of {ends}{counted} is usual; is it in another unit, or a slip?")
    return said


def finite_number(value: object, what: str, unit: str) -> float:
    """A number, or refused.

    Raises:
        ConfigError: no number, or not finite.
    """
    try:
        number = plain_number(value)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ConfigError(f"{what} is {value!r}: give a finite number of {unit}")
    return number


def _monitored(scenario: Scenario) -> tuple[str, str]:
    """Name and unit of what is measured."""
    name, model = scenario.monitoring.output, scenario.drug(scenario.models[0])
    return name, model.outputs[model.output_index(name)].unit

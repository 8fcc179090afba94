"""Checks of each part of a scenario: schedule, doses, monitoring, goal, limits, training."""

import json
import math
from collections.abc import Iterable

import numpy as np

from rl_drug_dosage.checks.declared import windows_of
from rl_drug_dosage.checks.report import Finding, check, wrong
from rl_drug_dosage.clinic.scenario import Harm, Scenario
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.pkpd import Target
from rl_drug_dosage.training.config import TrainConfig

__all__ = ["PARTS"]


def _above(field: str, value: float | None, low: float, unit: str, *, or_equal: bool = False) -> Iterable[Finding]:
    """The number is finite and above a bound."""
    if value is None or (math.isfinite(value) and (value > low or (or_equal and value == low))):
        return
    yield wrong(field, f"{value:g} {unit}".strip(), f"{'from' if or_equal else 'above'} {low:g}", "correct it")


def _indices(field: str, values: tuple[int, ...] | None, count: int) -> Iterable[Finding]:
    """Decision indices are distinct and ascending."""
    if values is None:
        return
    if list(values) != sorted(set(values)) or any(not 0 <= v < count for v in values) or not values:
        yield wrong(field, str(values), f"ascending decisions from 0 to {count - 1}", "correct them")


@check("schedule")
def _schedule_is_sound(scenario: Scenario) -> Iterable[Finding]:
    schedule, decisions = scenario.schedule, scenario.schedule.decisions
    yield from _above("schedule.interval_h", schedule.interval_h, 0.0, "h")
    yield from _above("schedule.step_h", schedule.step_h, 0.0, "h")
    if not isinstance(decisions, int) or decisions < 1:
        yield wrong("schedule.decisions", str(decisions), "a whole number from 1", "correct it")
    if schedule.shown_unit not in {"d", "h", "min"}:
        yield wrong("schedule.shown_unit", repr(schedule.shown_unit), "'d', 'h' or 'min'", "correct it")
    if not 1 <= scenario.look_ahead <= decisions:
        yield wrong("look_ahead", str(scenario.look_ahead), f"1 to {decisions} decisions", "correct it")
    yield from _indices("estimated_at", scenario.estimated_at, decisions)
    adherence = scenario.adherence
    if not 0 <= adherence.missed_mean < 1:
        yield wrong("adherence.missed_mean", f"{adherence.missed_mean:g}", "a share from 0, below 1", "correct it")
    elif adherence.missed_mean and not 0 < adherence.missed_sd**2 < adherence.missed_mean * (1 - adherence.missed_mean):
        most = math.sqrt(adherence.missed_mean * (1 - adherence.missed_mean))
        yield wrong("adherence.missed_sd", f"{adherence.missed_sd:g}", f"above 0, below {most:.3g}", "correct it")
    yield from _above("adherence.late_mean_h", adherence.late_mean_h, 0.0, "h", or_equal=True)


@check("dosage")
def _doses_are_sound(scenario: Scenario) -> Iterable[Finding]:
    dosage, interval_h = scenario.dosage, scenario.schedule.interval_h
    grid = np.asarray(dosage.amounts, float)
    if not grid.size or not np.isfinite(grid).all() or (np.diff(grid) <= 0).any() or grid[0] < 0:
        yield wrong("dosage.amounts", str(dosage.amounts), f"finite, ascending, from 0 {dosage.unit} on", "sort them")
        return
    if not np.isclose(grid, dosage.usual, rtol=1e-6, atol=0.0).any():
        near = ", ".join(f"{a:g}" for a in np.sort(grid[np.argsort(np.abs(grid - dosage.usual))[:2]]))
        came = f"{dosage.usual:g} {dosage.unit} is not on the grid"
        yield wrong("dosage.usual", came, f"one of the amounts, such as {near}", "choose one, or add it to amounts")
    if not dosage.unit:
        yield wrong("dosage.unit", "empty", "the unit of an amount, such as mg or mg/kg", "write it")
    yield from _above("dosage.mg_per_unit", dosage.mg_per_unit, 0.0, "mg")
    yield from _above("dosage.duration_h", dosage.duration_h, 0.0, "h", or_equal=True)
    times = list(dosage.at_h)
    if not times or times != sorted(set(times)) or times[0] < 0 or times[-1] >= interval_h:
        yield wrong("dosage.at_h", f"{dosage.at_h} h", f"ascending, from 0 h, below {interval_h:g} h", "correct it")
        return
    room = min(b - a for a, b in zip(times, [*times[1:], interval_h], strict=True))
    if dosage.longest_h > room + 1e-9:
        came = f"{dosage.longest_h:g} h: an infusion runs into the next one"
        yield wrong("dosage.duration_h", came, f"at most {room:g} h", "shorten it, or change at_h")


@check("monitoring")
def _monitoring_is_sound(scenario: Scenario) -> Iterable[Finding]:
    monitoring, times = scenario.monitoring, scenario.schedule.output_times_h
    for i, t in enumerate(monitoring.at_h):
        if t not in times:
            came = f"{t:g} h is no output time"
            yield wrong(f"monitoring.at_h[{i}]", came, f"one of schedule.output_times_h {times}", "add it there")
    if not monitoring.at_h or list(monitoring.at_h) != sorted(set(monitoring.at_h)):
        yield wrong("monitoring.at_h", f"{monitoring.at_h} h", "ascending, at least one", "correct it")
    elif not -len(monitoring.at_h) <= monitoring.guide < len(monitoring.at_h):
        yield wrong("monitoring.guide", str(monitoring.guide), f"an index into at_h {monitoring.at_h}", "correct it")
    yield from _indices("monitoring.intervals", monitoring.intervals, scenario.schedule.decisions)
    yield from _above("monitoring.turnaround_h", monitoring.turnaround_h, 0.0, "h", or_equal=True)
    yield from _above("monitoring.error_scale", monitoring.error_scale, 0.0, "", or_equal=True)
    yield from _above("monitoring.error_spread", monitoring.error_spread, 0.0, "", or_equal=True)
    yield from _above("monitoring.lloq", monitoring.lloq, 0.0, "", or_equal=True)
    if not 0 <= monitoring.missed <= 1:
        yield wrong("monitoring.missed", f"{monitoring.missed:g}", "a share from 0 to 1", "correct it")


@check("goal")
def _goal_is_sound(scenario: Scenario) -> Iterable[Finding]:
    goal = scenario.goal
    if not goal.title:
        yield wrong("goal.title", "empty", "a description of the primary endpoint, with its unit", "write it")
    if not goal.targets:
        yield wrong("goal.targets", "empty", "at least one window", "add a target")
    for i, target in enumerate(goal.targets):
        yield from windows_of(f"goal.targets[{i}]", target)
        if target.metric in {"average", "time_above"}:
            allowed = "trough, peak, nadir, value, auc24 or auc_total"
            yield wrong(f"goal.targets[{i}].metric", repr(target.metric), allowed, "use another metric")
    yield from _indices("goal.judged", goal.judged, scenario.schedule.decisions)


@check("goal.harms")
def _harms_are_sound(scenario: Scenario) -> Iterable[Finding]:
    """Each harm has one limit, which leaves a part of the window of the same metric."""
    for i, harm in enumerate(scenario.goal.harms):
        at = f"goal.harms[{i}]"
        limit = harm.below if harm.above is None else harm.above
        if limit is None or not math.isfinite(limit) or (harm.above is not None and harm.below is not None):
            yield wrong(at, f"above={harm.above}, below={harm.below}", "one finite limit", "give one of the two")
            continue
        if not 0 <= harm.from_h < scenario.horizon_h:
            yield wrong(f"{at}.from_h", f"{harm.from_h:g} h", f"0 to {scenario.horizon_h:g} h", "correct it")
        for target in scenario.goal.targets:
            if (target.metric, target.output) == (harm.metric, harm.output) and _takes_all(harm, target):
                side = "above" if harm.above is not None else "below"
                came = f"{limit:g}: the whole window {target.low} to {target.high} {target.unit} is harmful"
                yield wrong(
                    f"{at}.{side}",
                    came,
                    "a limit that leaves a part of the window",
                    "correct it, or swap above and below",
                )


def _takes_all(harm: Harm, target: Target) -> bool:
    if harm.above is not None:
        return target.low is not None and harm.above <= target.low
    return harm.below is not None and target.high is not None and harm.below >= target.high


@check("shield")
def _shield_is_sound(scenario: Scenario) -> Iterable[Finding]:
    shield, dosage = scenario.shield, scenario.dosage
    for name in ("dose", "day", "factor", "on_board", "half_life_h", "level"):
        value = getattr(shield, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            yield wrong(f"shield.{name}", f"{value:g}", "above 0, or None for no such limit", "correct it")
    top = dosage.amounts[-1]
    least = next((a for a in dosage.amounts if a > 0), top)
    if shield.dose is not None and not least <= shield.dose <= top:
        came = f"{shield.dose:g} {dosage.unit}"
        yield wrong("shield.dose", came, f"{least:g} to {top:g} {dosage.unit}, the grid", "correct it, or leave it out")
    if shield.dose is not None and shield.dose < dosage.usual:
        came = f"{shield.dose:g} {dosage.unit} forbids the usual dose"
        yield wrong("shield.dose", came, f"from {dosage.usual:g} {dosage.unit}", "correct one of them")
    if shield.day is not None and 0 < shield.day < dosage.usual * len(dosage.at_h):
        came = f"{shield.day:g} {dosage.unit} a day forbids the usual dose"
        yield wrong(
            "shield.day", came, f"from {dosage.usual * len(dosage.at_h):g} {dosage.unit}", "correct one of them"
        )
    if shield.factor is not None and 0 < shield.factor <= 1:
        yield wrong("shield.factor", f"{shield.factor:g}: no dose may ever rise", "above 1", "correct it")


@check("training")
def _training_settings_are_accepted(scenario: Scenario) -> Iterable[Finding]:
    """Training settings are checked one by one by `TrainConfig`, options by the environment."""
    training = scenario.training
    for name, value in training.given().items():
        try:
            TrainConfig(**{name: value})  # type: ignore[arg-type]
        except RlDrugDosageError as error:
            yield wrong(f"training.{name}", str(error), "see `train --help`", "correct it")
    env = env_of(scenario)
    known = env.options()
    for name in training.env:
        if name not in known:
            yield wrong(f"training.env.{name}", "no option of the environment", ", ".join(known), "correct the name")
    try:
        json.dumps(dict(training.env), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield wrong("training.env", f"cannot be saved ({error})", "JSON values", "use numbers, texts, lists")


@check("spread")
def _what_training_changes_exists(scenario: Scenario) -> Iterable[Finding]:
    names = {c.name: c for c in scenario.covariates}
    for name in scenario.elsewhere:
        if name not in names:
            yield wrong(f"elsewhere.{name}", "no covariate of the scenario", ", ".join(names), "correct the name")
    for name, size in scenario.spread.items():
        yield from _above(f"spread.{name}", size, 0.0, "")
    for i, (title, name, edges) in enumerate(scenario.strata):
        at = f"strata[{i}]"
        if name not in names:
            yield wrong(
                at, f"{title!r} by {name!r}, no covariate of the scenario", ", ".join(names), "correct the name"
            )
            continue
        low, high = names[name].low, names[name].high
        if list(edges) != sorted(set(edges)) or not edges or not low <= edges[0] <= edges[-1] <= high:
            yield wrong(at, f"edges {edges} of {name}", f"ascending, {low:g} to {high:g}", "correct them")


PARTS = (
    _schedule_is_sound,
    _doses_are_sound,
    _monitoring_is_sound,
    _goal_is_sound,
    _harms_are_sound,
    _shield_is_sound,
    _training_settings_are_accepted,
    _what_training_changes_exists,
)

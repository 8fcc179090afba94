"""Policies that are tied to decision intervals (the label's rule, a learnt policy) on a free history.

Such a policy sees a chart: one dose and a few planned samples in each interval of its scenario. A history is mapped to
it, with a note of what was moved; where that would tell the policy something else than what happened, it abstains and
says why. It abstains too for a patient whom its scenario does not have, which is where a learnt policy was not trained.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rl_drug_dosage.bedside.grid import mg_per_unit_of
from rl_drug_dosage.bedside.history import Level, PatientHistory
from rl_drug_dosage.bedside.moments import moment
from rl_drug_dosage.bedside.task import Task
from rl_drug_dosage.bedside.windows import LATE, Option
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.pkpd.infusion import infusion_h
from rl_drug_dosage.trials.bedside import Bedside, Course, load_policy
from rl_drug_dosage.utils.words import lasting

__all__ = ["LABEL", "Advice", "advice_of"]

LABEL = "label"


@dataclass(frozen=True)
class Advice:
    """What a policy recommends.

    Args:
        name: of the policy.
        option: the regimen; None where it abstains, or recommends no drug now.
        words: the dose as the policy counts it.
        notes: how the history was mapped, and what is unusual.
        abstains: why it recommends nothing; empty where it does.
    """

    name: str
    option: Option | None
    words: str
    notes: tuple[str, ...] = ()
    abstains: str = ""


class _UnmappableError(Exception):
    """A history that has no place on the chart of a policy."""


def advice_of(policy: str | Path, task: Task, history: PatientHistory, start_h: float) -> Advice:
    """What a policy recommends after a history.

    Args:
        policy: ``"label"``, or any reference that `load_policy` takes.
        task: gives the scenario.
        history: checked.
        start_h: when the next dose is due.

    Raises:
        UnknownNameError: no policy of this name.
    """
    name = Path(policy).name if isinstance(policy, Path) or "/" in str(policy) else str(policy)
    if task.scenario is None:
        return _usual(task) if policy == LABEL else Advice(name, None, "", abstains=f"no scenario of {task.drug}")
    try:
        bedside = _bedside(str(policy), task.scenario.value)
    except UnknownNameError:
        raise
    except RlDrugDosageError as error:
        return Advice(name, None, "", abstains=str(error))
    if not bedside.scenario.doses(task.drug):
        return Advice(name, None, "", abstains=f"it doses {bedside.named.name}")
    try:
        return _advised(name, bedside, task, history, start_h, strict=policy != LABEL)
    except (_UnmappableError, RlDrugDosageError) as error:
        return Advice(name, None, "", abstains=str(error))


@lru_cache(maxsize=16)
def _bedside(policy: str, scenario: Scenario) -> Bedside:
    is_file = policy.endswith(".pt") or Path(policy).is_dir()
    found = load_policy(Path(policy)) if is_file else load_policy(policy, scenario)
    if not isinstance(found, Bedside):
        raise ConfigError(f"{policy} is a policy of another kind of environment; give one of a dosing scenario")
    return found


def _usual(task: Task) -> Advice:
    """The usual dose of the model's dosing, where no scenario has a rule."""
    dosing, route = task.dosing, task.dosing.routes[0]
    amount, interval = dosing.usual_dose_mg, dosing.intervals_h[0]
    option = Option(amount, interval, route.duration_of(amount), route.compartment)
    note = f"the usual dose of a typical patient, {dosing.source}: no scenario of {task.drug} has a rule"
    return Advice(LABEL, option, f"{amount:g} mg every {lasting(interval)}", (note,))


def _advised(
    name: str, bedside: Bedside, task: Task, history: PatientHistory, start_h: float, *, strict: bool
) -> Advice:
    scenario = bedside.scenario
    notes: list[str] = []
    known = _covariates(bedside, history, _begin(history, start_h))
    course = bedside.start(known)
    per_unit = mg_per_unit_of(task, history)
    if per_unit is None:
        raise _UnmappableError(f"its doses are per {scenario.dosage.per}, which nobody told")
    chart = _mapped(scenario, history, start_h, per_unit, strict=strict)
    notes += chart.notes
    for k, amount in enumerate(chart.doses):
        if k:
            known = _updated(bedside, course, history, chart.begin_h + k * scenario.schedule.interval_h, known)
        course.given(amount)
        for at_h, value in chart.levels.get(k, ()):
            course.observe(at_h, value)
    if chart.doses:
        _updated(bedside, course, history, start_h, known)
    amount = float(course.recommend())
    said = list(dict.fromkeys(course.warnings))
    if strict and (outside := [text for text in said if "outside" in text or "always" in text]):
        raise _UnmappableError(f"the patient is out of its training range: {'; '.join(outside)}")
    if strict:
        notes.append("it chooses one dose and decides again before the next; the forecast repeats this one")
        if believed := bedside.policy.believes():
            notes.append(f"it believes in {' and '.join(believed)}")
    words = f"{amount:g} {bedside.dose_unit}"
    return Advice(name, _option(scenario, amount, per_unit), words, (*notes, *said))


def _option(scenario: Scenario, amount: float, per_unit: float) -> Option | None:
    """The dose as a regimen; None where it is given at several times that are not evenly spaced."""
    dosage, interval = scenario.dosage, scenario.schedule.interval_h
    count = len(dosage.at_h)
    even = all(math.isclose(t, i * interval / count, abs_tol=1e-9) for i, t in enumerate(dosage.at_h))
    if not even or dosage.intervals_h:
        return None
    lasts = float(infusion_h(amount, dosage.duration_h, dosage.highest_rate_per_h))
    return Option(amount * per_unit, interval / count, lasts, dosage.compartment)


@dataclass(frozen=True)
class _Chart:
    """Doses of every past decision, in the scenario's unit; levels by decision; what was moved."""

    begin_h: float
    doses: tuple[float, ...]
    levels: Mapping[int, tuple[tuple[float, float], ...]]
    notes: tuple[str, ...]


def _begin(history: PatientHistory, start_h: float) -> float:
    return min((d.time_h for d in history.doses), default=start_h)


def _mapped(scenario: Scenario, history: PatientHistory, start_h: float, per_unit: float, *, strict: bool) -> _Chart:
    """The history on the scenario's grid.

    Raises:
        _UnmappableError: a dose or a level without a place there.
    """
    interval, begin = scenario.schedule.interval_h, _begin(history, start_h)
    places = _places(scenario, history, begin, strict=strict)
    due = (max(places, default=-1) + 1) if not strict else round((start_h - begin) / interval)
    if strict and abs(begin + due * interval - start_h) > LATE * interval:
        planned = begin + due * interval
        raise _UnmappableError(f"the next dose is due at {start_h:g} h, and its next decision is at {planned:g} h")
    if due >= scenario.schedule.decisions:
        raise _UnmappableError(f"its course ends after {scenario.schedule.decisions} decisions")
    if strict and any(k >= due for k in places):
        raise _UnmappableError("a dose has already been given in the interval that begins with the next dose")
    doses = [0.0] * due
    for k, index in places.items():
        dose = history.doses[index]
        doses[k] = dose.amount / per_unit if dose.given else 0.0
        if doses[k] > scenario.dosage.amounts[-1] * (1 + 1e-6):
            top = f"{scenario.dosage.amounts[-1]:g} {scenario.dosage.unit}"
            raise _UnmappableError(f"the dose at {dose.time_h:g} h is above its largest, {top}")
    moved = [history.doses[i].time_h - (begin + k * interval) for k, i in places.items()]
    notes = []
    if any(abs(m) > 1e-6 for m in moved):
        far = max(moved, key=abs)
        how = f"by up to {abs(far):.2g} h" if strict else "as one dose after the other, whenever they were given"
        notes.append(f"doses were mapped to decisions every {interval:g} h, {how}")
    levels, told = _samples(scenario, history, places, begin, strict=strict)
    return _Chart(begin, tuple(doses), levels, (*notes, *told))


def _places(scenario: Scenario, history: PatientHistory, begin: float, *, strict: bool) -> dict[int, int]:
    """Decision -> index of its dose."""
    interval, found = scenario.schedule.interval_h, dict[int, int]()
    if len(scenario.dosage.at_h) > 1 and history.doses:
        raise _UnmappableError("its doses are split within an interval, and single doses have no place there")
    for i, dose in enumerate(history.doses):
        k = round((dose.time_h - begin) / interval) if strict else i
        if strict and abs(begin + k * interval - dose.time_h) > LATE * interval:
            planned = begin + k * interval
            far = abs(planned - dose.time_h)
            raise _UnmappableError(f"the dose at {dose.time_h:g} h is {far:.3g} h from its decision at {planned:g} h")
        if k in found:
            raise _UnmappableError(f"two doses fall to its decision at {begin + k * interval:g} h")
        found[k] = i
    return found


def _samples(
    scenario: Scenario, history: PatientHistory, places: Mapping[int, int], begin: float, *, strict: bool
) -> tuple[dict[int, tuple[tuple[float, float], ...]], list[str]]:
    """Levels by decision, at planned times since the first decision, and what was moved."""
    interval, at_h = scenario.schedule.interval_h, scenario.monitoring.at_h
    found: dict[int, list[tuple[float, float]]] = {}
    notes: list[str] = []
    for level in history.levels:
        slot = _slot(scenario, history, places, level, begin)
        if slot is None:
            if strict:
                raise _UnmappableError(
                    f"it plans samples at {_listed(at_h)} h after a dose, none near {moment(history, level.time_h)}"
                )
            notes.append(
                f"the level at {moment(history, level.time_h)} has no place among its planned samples and is left out"
            )
            continue
        k, planned, off = slot
        time = k * interval + planned
        if any(math.isclose(time, other) for other, _ in found.get(k, ())):
            if strict:
                raise _UnmappableError(f"two levels fall to its sample at {begin + time:g} h")
            continue
        if off > 1e-6:
            notes.append(
                f"the level at {moment(history, level.time_h)} is told as its sample {lasting(planned)} after the dose"
            )
        value = 0.0 if level.below_limit else level.value
        found.setdefault(k, []).append((time, value))
    return {k: tuple(sorted(own)) for k, own in found.items()}, notes


def _listed(hours: Sequence[float]) -> str:
    return ", ".join(f"{t:g}" for t in hours)


def _slot(
    scenario: Scenario, history: PatientHistory, places: Mapping[int, int], level: Level, begin: float
) -> tuple[int, float, float] | None:
    """Decision, planned time after it, and by how much the level was off; None where there is no place."""
    interval = scenario.schedule.interval_h
    output = scenario.monitoring.output
    if level.output is not None and level.output != output:
        return None
    before = [k for k, i in places.items() if history.doses[i].time_h < level.time_h - 1e-9]
    if not before:
        return None
    k = max(before)
    after_h = level.time_h - history.doses[places[k]].time_h
    planned = min(scenario.monitoring.at_h, key=lambda t: abs(t - after_h))
    off = abs(planned - after_h)
    del begin
    return (k, planned, off) if off <= LATE * interval else None


def _covariates(bedside: Bedside, history: PatientHistory, time_h: float) -> dict[str, float]:
    """What the scenario asks for, at some time."""
    found: dict[str, float] = {}
    for asked in bedside.scenario.covariates:
        told = [c for c in history.covariates if c.name == asked.name or asked.is_called(c.name)]
        before = [c for c in told if c.time_h <= time_h + 1e-9] or told[:1]
        if before:
            found[asked.name] = before[-1].value
    return found


def _updated(
    bedside: Bedside, course: Course, history: PatientHistory, time_h: float, known: dict[str, float]
) -> dict[str, float]:
    """Tell the course the covariates that have changed; those that hold now."""
    now = _covariates(bedside, history, time_h)
    if now != known:
        course.update(now)
    return now

"""Entries with their times, checked together and put into one history."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rl_drug_dosage.bedside.clock import Clock, clock_text
from rl_drug_dosage.bedside.covariate_words import Told
from rl_drug_dosage.bedside.derived import Choice, compute, formulas_for, needed_by
from rl_drug_dosage.bedside.drug_words import FACTS, DrugWords
from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.written import refuse

__all__ = ["CovariateEntry", "DoseEntry", "Entered", "LevelEntry", "When", "assembled", "in_words"]

type When = datetime | float
"""A clock time, or hours."""


@dataclass(frozen=True)
class DoseEntry:
    """A dose as it was entered; ``at`` names the field in messages."""

    at: str
    when: When
    amount: float
    duration_h: float
    route: str | None
    given: bool


@dataclass(frozen=True)
class LevelEntry:
    """A level as it was entered; without an output it is of the drug's first."""

    at: str
    when: When
    value: float
    output: str | None
    below: bool


@dataclass(frozen=True)
class CovariateEntry:
    """A covariate as it was entered; without a time it holds from the start."""

    at: str
    when: When | None
    told: Told


@dataclass
class Entered:
    """Everything that was entered for one patient."""

    doses: list[DoseEntry] = field(default_factory=list)
    levels: list[LevelEntry] = field(default_factory=list)
    covariates: list[CovariateEntry] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def timed(self) -> list[tuple[str, When]]:
        """Field and time of every entry that has one."""
        every: list[DoseEntry | LevelEntry | CovariateEntry] = [*self.doses, *self.levels, *self.covariates]
        return [(each.at, each.when) for each in every if each.when is not None]


def assembled(words: DrugWords, clock: Clock, entered: Entered, until: When | None, name: str) -> PatientHistory:
    """The history of one patient.

    Args:
        words: of the drug.
        clock: that has read all times.
        entered: the entries.
        until: the time of the question; None: that of the last entry.
        name: of the patient.

    Raises:
        ConfigError: an entry after the question; a level before any dose; a covariate that has two values at one time,
            or a value and a formula, or needs a formula that was not named; clocks that changed without a zone.
    """
    said = list(clock.check())
    timed = entered.timed()
    _check_future(timed, until)
    origin = clock.origin([*(when for _, when in timed), *([] if until is None else [until])])
    hours = [clock.hours(when, origin) for _, when in timed]
    now_h = max(hours, default=0.0) if until is None else clock.hours(until, origin)
    if until is None:
        said.append("now is not given: taken as the time of the last entry")
    doses = tuple(Dose(clock.hours(d.when, origin), d.amount, d.duration_h, d.route, d.given) for d in entered.doses)
    levels = tuple(Level(clock.hours(v.when, origin), v.value, v.output, v.below) for v in entered.levels)
    _check_doses(words, entered.doses)
    _check_levels(words, entered.levels, doses, levels)
    start = min([*hours, now_h])
    placed = [(start if c.when is None else clock.hours(c.when, origin), c) for c in entered.covariates]
    covariates, notes = _covariate_table(words, placed, entered.choices, origin)
    return PatientHistory(
        drug=words.drug,
        doses=doses,
        levels=levels,
        covariates=covariates,
        now_h=now_h,
        origin=origin,
        name=name,
        notes=tuple(dict.fromkeys([*said, *entered.notes, *notes])),
    )


def _check_future(timed: Iterable[tuple[str, When]], until: When | None) -> None:
    for at, when in timed:
        if until is not None and when > until:  # type: ignore[operator] # all times are of one kind
            refuse(f"{at}.time", f"{in_words(when)} lies after now, {in_words(until)}; correct one of them")


def _check_doses(words: DrugWords, entries: Sequence[DoseEntry]) -> None:
    """Refuse a second dose at one time by one route: it was entered twice, or was not given then.

    Raises:
        ConfigError: names both.
    """
    first = words.first.dosing.routes[0]
    compartments = {r.name: r.compartment for r in words.first.dosing.routes}
    seen: dict[tuple[When, str], str] = {}
    for each in entries:
        into = first.compartment if each.route is None else compartments.get(each.route, each.route)
        other = seen.setdefault((each.when, into), each.at)
        if other is not each.at:
            refuse(
                f"{each.at}.time",
                f"{in_words(each.when)} has a dose already, {other}; allowed: one by a route; leave one out, give "
                "their sum, or the times at which they were given",
            )


def _check_levels(
    words: DrugWords, entries: Sequence[LevelEntry], doses: Sequence[Dose], levels: Sequence[Level]
) -> None:
    """Refuse a level of the drug from before its first dose.

    Raises:
        ConfigError: names the level.
    """
    first = min((d.time_h for d in doses if d.given), default=math.inf)
    for entry, level in zip(entries, levels, strict=True):
        if level.time_h < first and words.first.undosed(words.output(entry.output, entry.at).name) == 0.0:
            when = "there is no dose" if math.isinf(first) else "the first dose came later"
            refuse(
                f"{entry.at}.time",
                f"{in_words(entry.when)}: a level before any dose, {when}; add the doses before it, or leave it out",
            )


def _covariate_table(
    words: DrugWords,
    placed: Sequence[tuple[float, CovariateEntry]],
    choices: Sequence[Choice],
    origin: datetime | None,
) -> tuple[tuple[CovariateAt, ...], list[str]]:
    """Covariates with their times, those of formulas too, and a sentence on each that was computed."""
    found: dict[str, dict[float, float]] = {}
    facts: dict[str, dict[float, float]] = {}
    for time, entry in placed:
        told = [(found, name, value) for name, value in entry.told.values.items()]
        told += [(facts, *entry.told.fact)] if entry.told.fact is not None else []
        for table, name, value in told:
            # One value in two units differs by rounding.
            if not math.isclose(table.setdefault(name, {}).setdefault(time, value), value, rel_tol=1e-9):
                refuse(entry.at, f"a second value{_at(origin, time)}; leave one out")
    notes: list[str] = []
    times = {time: _at(origin, time) for time, _ in placed}
    series = {name: sorted(values.items()) for name, values in facts.items()}
    for choice in choices:
        for computed in compute(choice, series, times):
            if computed.name in found:
                refuse(choice.at, f"a formula, and a value of {computed.name} beside it; leave one out")
            found[computed.name] = dict(computed.values)
            notes += computed.notes
    _check_formulas(words, found, facts)
    used = {name for choice in choices for name in needed_by(choice)}
    columns = {c.column for c in words.covariates}
    idle = [f.name for f in FACTS if f.name in facts and f.name not in used and f.column not in columns]
    notes += [f"{'sex' if name == 'female' else name} is not used by {words.drug}" for name in idle]
    rows = [CovariateAt(time, name, value) for name, values in found.items() for time, value in values.items()]
    return tuple(rows), notes


def _check_formulas(words: DrugWords, found: Mapping[str, object], facts: Mapping[str, object]) -> None:
    """Refuse to go without a clearance where creatinine is given: the writer names the formula.

    Raises:
        ConfigError: lists the formulas.
    """
    clearances = [c for c in words.covariates if c.column == "CRCL"]
    if "creatinine" not in facts or not clearances or any(c.name in found for c in clearances):
        return
    needing = [m for m in words.models if any(c.column == "CRCL" for c in m.covariates)]
    without = [m.name for m in words.models if m not in needing]
    hint = f"; or name a model that does without: {', '.join(without)}" if without else ""
    refuse(
        "covariates.crcl",
        f"missing, and {needing[0].name} needs it; creatinine is given, so name a formula, such as crcl = "
        f'{{formula = "cockcroft-gault", weight = "actual"}}; allowed: {", ".join(formulas_for(clearances[0]))} '
        f"(weight: actual, ideal or adjusted){hint}",
    )


def _at(origin: datetime | None, time_h: float) -> str:
    return f" at {time_h:g} h" if origin is None else f" at {clock_text(origin, time_h)}"


def in_words(when: When) -> str:
    """A time, as messages have it."""
    return f"{when:g} h" if isinstance(when, float) else when.strftime("%Y-%m-%d %H:%M")

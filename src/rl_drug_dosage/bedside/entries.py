"""Entries as people write them, collected into a history: doses, levels and covariates with clock times and units.

    entries = Entries("vancomycin-goti2018", zone="Europe/Berlin")
    entries.dose("2026-11-03 08:10", "1 g", over="1 h")
    entries.level("2026-11-03 19:45", "12.1 mg/L")
    entries.covariate("crcl", "55 mL/min")
    history = entries.history(now="2026-11-03 20:00")

Entries may come in any order. Every reader of patient files goes through this class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from rl_drug_dosage.bedside.assembly import CovariateEntry, DoseEntry, Entered, LevelEntry, assembled, in_words
from rl_drug_dosage.bedside.clock import Clock, find_zone, later
from rl_drug_dosage.bedside.covariate_words import read_covariate
from rl_drug_dosage.bedside.derived import is_choice, read_choice
from rl_drug_dosage.bedside.drug_words import DrugWords, words_of
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.quantities import Asked, read_quantity
from rl_drug_dosage.bedside.unit_words import kind_of
from rl_drug_dosage.bedside.written import read_whole, read_written, refuse, shown
from rl_drug_dosage.utils.printable import excerpt, printable

__all__ = ["MOST_ENTRIES", "Entries"]

_LONGEST_NOTE = 600
MOST_ENTRIES = 2000
"""Of each kind in one history."""
_DURATION = Asked("duration", "h")
_INTERVAL = Asked("interval", "h")


class Entries:
    """What is known of one patient, entry by entry.

    Args:
        drug: see `words_of`.
        zone: of clock times without an offset, ``"Europe/Berlin"``; None: none was given.
        name: of the patient.
        plain: whether numbers without a unit are in the drug model's, whatever their size, as in a program; else they
            have to lie where such values are published.

    Raises:
        ConfigError: an unknown drug or zone.
    """

    def __init__(self, drug: object, *, zone: object = None, name: str = "", plain: bool = False) -> None:
        self.words: DrugWords = drug if isinstance(drug, DrugWords) else words_of(drug)
        self.clock = Clock(None if zone is None else find_zone(zone))
        self.name, self.plain = name, plain
        self.entered = Entered()

    def note(self, *sentences: str) -> None:
        """Add remarks to the history."""
        plain = [excerpt(printable(" ".join(each.split())), _LONGEST_NOTE) for each in sentences]
        self.entered.notes += [each for each in plain if each and each not in self.entered.notes]

    def dose(
        self,
        time: object,
        amount: object,
        *,
        over: object = None,
        rate: object = None,
        route: object = None,
        given: bool = True,
        at: str = "",
    ) -> None:
        """A dose.

        Args:
            time: of its start: ``"2026-11-03 08:10"``, a datetime, or hours.
            amount: ``"1 g"``.
            over: length of the infusion, ``"1 h"``.
            rate: of the infusion, ``"1 g/h"``, instead.
            route: name or compartment of a route of the drug model; None: its first.
            given: False for a dose that was prescribed and missed.
            at: the field, for messages; None: which dose it is.

        Raises:
            ConfigError: anything that cannot be read, in one line that names the field.
        """
        at = at or f"doses[{len(self.entered.doses) + 1}]"
        when = self.clock.read(time, f"{at}.time")
        read = read_quantity(self._told(amount, "mg"), self.words.dose(), f"{at}.amount")
        if read.below or not read.value > 0:
            refuse(f"{at}.amount", f"{shown(read.value)} mg; allowed: above 0; leave out what was not given")
        own_route = self.words.route(route, f"{at}.route")
        duration = self._duration(read.value, over, rate, own_route, at)
        self.note(read.note, self.words.unusual(read.value, at))
        self._add(self.entered.doses, DoseEntry(at, when, read.value, duration, own_route, given), at)

    def doses(
        self,
        time: object,
        amount: object,
        *,
        every: object,
        times: object,
        missed: Iterable[object] = (),
        at: str = "",
        **how: Any,
    ) -> None:
        """A dose that is repeated: ``every="12 h", times=5`` are five doses, the first at ``time``.

        The interval is one of hours, also where clocks change in between.

        Args:
            time: of the first one.
            amount: of each.
            every: from dose to dose.
            times: how many.
            missed: which of them were not given, from 1.
            at: the field, for messages.
            how: further arguments of `dose`.

        Raises:
            ConfigError: see `dose`; no whole number of doses; a number in ``missed`` that is none of them.
        """
        at = at or f"doses[{len(self.entered.doses) + 1}]"
        interval = self._hours(every, _INTERVAL, f"{at}.every", above=True)
        count = read_whole(times, f"{at}.times", 1, MOST_ENTRIES)
        left_out = {read_whole(number, f"{at}.missed", 1, count) for number in missed}
        first = self.clock.read(time, f"{at}.time")
        when = first
        for i in range(count):
            when = first + i * interval if isinstance(first, float) else later(first, i * interval)
            self.dose(when, amount, given=i + 1 not in left_out, at=at, **how)
        if isinstance(first, datetime) and isinstance(when, datetime) and first.utcoffset() != when.utcoffset():
            shown_at = when.strftime("%Y-%m-%d %H:%M")
            self.note(f"{at}: intervals are hours, also where clocks change: the last dose is at {shown_at}")

    def level(
        self, time: object, value: object, *, output: object = None, below_limit: bool = False, at: str = ""
    ) -> None:
        """A measured level.

        Args:
            time: when it was drawn.
            value: ``"12.1 mg/L"``; ``"<2 mg/L"`` is below the limit of quantification.
            output: of the drug model; None: its first.
            below_limit: the value is the limit that it was below.
            at: the field, for messages.

        Raises:
            ConfigError: anything that cannot be read, in one line that names the field.
        """
        at = at or f"levels[{len(self.entered.levels) + 1}]"
        when = self.clock.read(time, f"{at}.time")
        own = self.words.output(output, f"{at}.output")
        asked = self.words.level(own)
        read = read_quantity(self._told(value, own.unit), asked, f"{at}.value")
        below = read.below or below_limit
        if read.value < 0 or (below and read.value == 0):
            refuse(
                f"{at}.value", f"{shown(read.value)} {own.unit}; allowed: at least 0; leave out what was not measured"
            )
        self.note(read.note)
        self._add(
            self.entered.levels, LevelEntry(at, when, read.value, None if output is None else own.name, below), at
        )

    def covariate(self, key: str, value: object, *, time: object = None, at: str = "") -> None:
        """A covariate, or the formula that computes it: ``{"formula": "cockcroft-gault", "weight": "adjusted"}``.

        Args:
            key: its name, column, or another word for the quantity: ``"crcl"``, ``"weight"``, ``"creatinine"``.
            value: a number with its unit, a word, true or false, or a formula.
            time: when it was determined; None: it holds from the start.
            at: the field, for messages.

        Raises:
            ConfigError: anything that cannot be read, in one line that names the field.
        """
        at = at or f"covariates.{key}"
        if is_choice(value):
            assert isinstance(value, Mapping)
            if time is not None:
                refuse(at, "a formula has no time; give times to what it is computed from")
            choice = read_choice(self.words, key, value, at)
            if any(set(choice.targets) & set(other.targets) for other in self.entered.choices):
                refuse(at, "a second formula for it; leave one out")
            self.entered.choices.append(choice)
            return
        own = next((c.unit for c in self.words.covariates if c.name == key and not c.codes), None)
        told = read_covariate(self.words, key, value if own is None else self._told(value, own), at)
        when = None if time is None else self.clock.read(time, f"{at}.time")
        self.note(*told.notes)
        self._add(self.entered.covariates, CovariateEntry(at, when, told), at)

    def correct(self, time: object, **changed: object) -> None:
        """Change what was entered for one time: ``amount``, ``over``, ``given`` of a dose, ``value`` of a level.

        Args:
            time: of the entry.
            changed: the new value of each.

        Raises:
            ConfigError: no such change; no entry, or more than one, at this time.
        """
        is_level = "value" in changed
        wrong = sorted(set(changed) - ({"value"} if is_level else {"amount", "over", "given"}))
        if wrong or not changed:
            of = "a level" if is_level else "a dose"
            refuse(wrong[0] if wrong else "correct", f"is nothing of {of}; allowed: amount, over, given, or value")
        clock = self.clock.copy()
        when = clock.read(time, "time")
        own: list[Any] = self.entered.levels if is_level else self.entered.doses
        places = [i for i, each in enumerate(own) if each.when == when]
        if len(places) != 1:
            what = "levels" if is_level else "doses"
            told = ", ".join(in_words(each.when) for each in own) or "none"
            refuse("time", f"{len(places)} {what} at {in_words(when)}; allowed: one of {told}; correct the time")
        own[places[0]] = self._corrected(own[places[0]], changed)

    def _corrected(self, old: Any, changed: Mapping[str, Any]) -> Any:
        """An entry with other values."""
        values: dict[str, Any] = {}
        if "value" in changed:
            output = self.words.output(old.output, f"{old.at}.output")
            read = read_quantity(self._told(changed["value"], output.unit), self.words.level(output), f"{old.at}.value")
            self.note(read.note)
            return replace(old, value=read.value, below=read.below)
        if "amount" in changed:
            read = read_quantity(self._told(changed["amount"], "mg"), self.words.dose(), f"{old.at}.amount")
            self.note(read.note)
            values["amount"] = read.value
        if "over" in changed:
            values["duration_h"] = self._hours(changed["over"], _DURATION, f"{old.at}.over")
        if "given" in changed:
            values["given"] = bool(changed["given"])
        return replace(old, **values)

    def history(self, now: object = None) -> PatientHistory:
        """The history.

        Args:
            now: the time of the question; None: that of the last entry.

        Raises:
            ConfigError: an entry after ``now``; a level before any dose; a covariate that has a value and a formula,
                or needs one that was not named; clocks that changed where no zone is given.
        """
        clock = self.clock.copy()
        until = None if now is None else clock.read(now, "now")
        return assembled(self.words, clock, self.entered, until, self.name)

    def _told(self, value: object, unit: str) -> object:
        """A value with the unit in which a plain number is meant."""
        has_own = isinstance(value, str | bool | tuple | list | Mapping)
        return value if has_own or not self.plain else {"value": value, "unit": unit}

    def _add[T](self, entries: list[T], entry: T, at: str) -> None:
        if len(entries) >= MOST_ENTRIES:
            refuse(at, f"more than {MOST_ENTRIES} entries; leave old ones out")
        entries.append(entry)

    def _hours(self, written: object, asked: Asked, at: str, *, above: bool = False) -> float:
        hours = read_quantity(self._told(written, "h"), asked, at).value
        if hours < 0 or (above and hours == 0) or not hours < 1e6:
            refuse(at, f"{shown(hours)} h; allowed: {'above' if above else 'at least'} 0; correct it")
        return hours

    def _duration(self, amount: float, over: object, rate: object, route: str | None, at: str) -> float:
        """Length of an infusion; 0 for a bolus or a dose by mouth.

        Raises:
            ConfigError: both a length and a rate; neither, for a drug that is infused.
        """
        if over is not None and rate is not None:
            refuse(f"{at}.rate", "given beside over; leave one of them out")
        if over is not None:
            return self._hours(over, _DURATION, f"{at}.over")
        if rate is None:
            infusion = self.words.duration_needed(route)
            if infusion:
                refuse(
                    f"{at}.over",
                    f"missing, and {self.words.first.drug} is given as {infusion}; allowed: its length, such as '1 h', "
                    "or '0 min' for a bolus",
                )
            return 0.0
        written = read_written(rate, f"{at}.rate")
        if kind_of(written.unit) != "mass per time":
            refuse(f"{at}.rate", f"{written} is no rate of a dose; allowed: mg/h, g/h, mg/min")
        per_hour = read_quantity(written, Asked("rate", "mg/h"), f"{at}.rate").value
        if not per_hour > 0:
            refuse(f"{at}.rate", f"{written}; allowed: above 0; correct it")
        return amount / per_hour

"""Clock times of a history as hours, and hours as clock times again.

Differences are taken in UTC, so that a night on which the clocks change has 23 or 25 hours. A time that happened twice,
or never, is refused with the readings that are possible. A file has one zone; a time may carry an offset of its own.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from rl_drug_dosage.bedside.written import refuse, refused
from rl_drug_dosage.pkpd import plain_number

__all__ = ["LOCAL", "Clock", "clock_text", "clock_time", "find_zone", "later"]

LOCAL = timezone(timedelta(0), "local")
"""The zone of a history without one, in which no clock changed anywhere."""

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?) ?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOURS = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)(?: ?h)?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}")
_FORM = "2026-11-03 08:10"


def find_zone(name: object, at: str = "zone") -> ZoneInfo:
    """A time zone of the IANA database.

    Args:
        name: such as ``"Europe/Berlin"``.
        at: the field, for messages.

    Raises:
        ConfigError: no such zone, or no text.
    """
    if not isinstance(name, str):
        refuse(at, f"{name!r} is no time zone; write its name, such as 'Europe/Berlin'")
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        pass
    near = next(iter(difflib.get_close_matches(name[:60], sorted(available_timezones()), 1)), "")
    hint = f"did you mean {near!r}? " if near else ""
    raise refused(
        at, f"unknown time zone {name[:60]!r}; {hint}write a name such as 'Europe/Berlin' or 'America/New_York'"
    )


@dataclass
class Clock:
    """Reads the times of one history.

    Args:
        zone: of times without an offset; None: none was given.

    Times are either clock times, or all of them hours since a time zero that the writer chose.
    """

    zone: ZoneInfo | None = None
    _seen: list[tuple[datetime, str]] = field(default_factory=list)
    _naive: bool = False
    _hours: bool = False

    def copy(self) -> "Clock":
        """A clock that has read the same times, for one question."""
        return replace(self, _seen=list(self._seen))

    def read(self, written: object, at: str) -> datetime | float:
        """An instant, or hours.

        Args:
            written: text, a datetime, or a number of hours.
            at: the field, for messages.

        Raises:
            ConfigError: no time; clock times and hours mixed; a time that happened twice, or never.
        """
        found = self._read(written, at)
        is_hours = isinstance(found, float)
        if (is_hours and self._seen) or (not is_hours and self._hours):
            refuse(at, f"{str(written)!r}: the others are {'clock times' if is_hours else 'hours'}; write all alike")
        if isinstance(found, float):
            self._hours = True
        else:
            self._seen.append((found, at))
        return found

    def _read(self, written: object, at: str) -> datetime | float:
        if isinstance(written, datetime):
            return self._placed(written, str(written), at)
        if isinstance(written, date):
            refuse(at, f"{written} has no time of day; write {_FORM!r}")
        if isinstance(written, str):
            return self._from_text(written.strip(), at)
        try:
            hours = plain_number(written)
        except ValueError:
            refuse(at, f"{written!r} is no time; write {_FORM!r}, or hours")
        if not abs(hours) < 1e6:
            refuse(at, f"{hours} is no time; write {_FORM!r}, or hours")
        return hours

    def _from_text(self, text: str, at: str) -> datetime | float:
        match = _TIME.fullmatch(text)
        if match is None:
            if hours := _HOURS.fullmatch(text):
                return self._read(float(hours[1]), at)
            why = "has no time of day" if _DATE.fullmatch(text) else "is no time"
            refuse(at, f"{text[:60]!r} {why}; write year-month-day hours:minutes, such as {_FORM!r}")
        day, hour, offset = match.groups()
        iso = f"{day}T{hour.zfill(5) if hour[1] == ':' else hour}{offset or ''}"
        try:
            found = datetime.fromisoformat(iso)
        except ValueError as error:
            refuse(at, f"{text!r} is no time: {error}; write {_FORM!r}")
        return self._placed(found, text, at)

    def _placed(self, found: datetime, text: str, at: str) -> datetime:
        """With a zone."""
        if found.utcoffset() is not None:
            return found if self.zone is None else self._in_zone(found)
        if self.zone is None:
            self._naive = True
            return found.replace(tzinfo=LOCAL)
        early, late = (found.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        first, second = early.utcoffset(), late.utcoffset()
        if first == second or first is None or second is None:
            return early
        plain = found.isoformat(" ", "minutes")
        if first > second:
            readings = " or ".join(f"{plain}{_offset(each)}" for each in (first, second))
            refuse(at, f"{text!r} happened twice in {self.zone.key}, as clocks went back; write {readings}")
        jump = second - first
        raise refused(
            at,
            f"{text!r} does not exist in {self.zone.key}: clocks went forward by {int(jump.total_seconds() // 60)} min "
            f"that night; write the time as it was shown, or with its offset, such as {plain}{_offset(second)}",
        )

    def _in_zone(self, found: datetime) -> datetime:
        """An instant with an offset, in the zone if the offset is the zone's, else as written."""
        own = found.astimezone(self.zone)
        return own if own.utcoffset() == found.utcoffset() else found

    def check(self) -> tuple[str, ...]:
        """What has to be said of all times together: other offsets than the zone's.

        Raises:
            ConfigError: times without a zone, while clocks may have changed; some times with and some without offset.
        """
        if not self._seen:
            return ()
        if self._naive:
            self._check_naive()
            return ("no time zone given: clock times are taken as shown, and no clock changed anywhere between them",)
        notes = []
        if self.zone is not None:
            other = [(when, at) for when, at in self._seen if when.tzinfo is not self.zone]
            if other:
                when, at = other[0]
                zone_offset = _offset(when.astimezone(self.zone).utcoffset())
                notes.append(
                    f"time zone changes: {at} is at UTC{_offset(when.utcoffset())}, where {self.zone.key} had "
                    f"UTC{zone_offset}; hours are counted in UTC"
                )
        elif len(offsets := {when.utcoffset() for when, _ in self._seen}) > 1:
            shown = ", ".join(f"UTC{_offset(each)}" for each in sorted(offsets, key=str))
            notes.append(f"time zone changes: times are given at {shown}; hours are counted in UTC")
        return tuple(notes)

    def _check_naive(self) -> None:
        with_offset = [at for when, at in self._seen if when.tzinfo is not LOCAL]
        if with_offset:
            at = next(at for when, at in self._seen if when.tzinfo is LOCAL)
            refuse(at, f"no offset, while {with_offset[0]} has one; give zone = 'Europe/Berlin' or the like")
        first, last = (pick(when for when, _ in self._seen) for pick in (min, max))
        where = _changes_between(first.replace(tzinfo=None), last.replace(tzinfo=None))
        if where:
            refuse(
                "zone",
                f"missing, and clocks changed between {first:%Y-%m-%d} and {last:%Y-%m-%d}, for example in {where}; "
                "give zone = 'Europe/Berlin' or wherever it was",
            )

    def hours(self, when: datetime | float, origin: datetime | None) -> float:
        """Hours since the origin; a number as it is."""
        if isinstance(when, float) or origin is None:
            return float(when)  # type: ignore[arg-type] # without origin all times are hours
        return (when.astimezone(UTC) - origin.astimezone(UTC)) / timedelta(hours=1)

    def origin(self, whens: Iterable[datetime | float]) -> datetime | None:
        """The earliest of some clock times; None where times are hours."""
        return min((when for when in whens if isinstance(when, datetime)), default=None)


def clock_time(origin: datetime, time_h: float) -> datetime:
    """The clock time of an hour of a history, in the zone of its origin."""
    return (origin.astimezone(UTC) + timedelta(hours=time_h)).astimezone(origin.tzinfo)


def clock_text(origin: datetime, time_h: float) -> str:
    """The same in words, to the minute: ``"2026-11-03 08:10"``; with the offset if the clock showed it twice."""
    when = clock_time(origin, time_h + 0.5 / 60.0)
    twice = when.replace(fold=0).utcoffset() != when.replace(fold=1).utcoffset()
    return when.strftime("%Y-%m-%d %H:%M") + (_offset(when.utcoffset()) if twice else "")


def later(first: datetime, hours: float) -> datetime:
    """A clock time some hours later, in the same zone."""
    return (first.astimezone(UTC) + timedelta(hours=hours)).astimezone(first.tzinfo)


def _offset(delta: timedelta | None) -> str:
    """``"+02:00"``."""
    minutes = int((delta or timedelta(0)).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


@cache
def _zones() -> tuple[ZoneInfo, ...]:
    """The zones in which people live, without old and fixed ones."""
    areas = ("Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    usual = ("Europe/Berlin", "America/New_York")
    names = sorted(
        (name for name in available_timezones() if name.startswith(areas)), key=lambda n: (n not in usual, n)
    )
    return tuple(ZoneInfo(name) for name in names)


def _changes_between(first: datetime, last: datetime) -> str:
    """A zone in which clocks changed between two times; empty if there is none. Most change twice a year."""
    for zone in _zones():
        at = first
        before = at.replace(tzinfo=zone).utcoffset()
        while at < last:
            at = min(at + timedelta(days=7), last)
            if at.replace(tzinfo=zone).utcoffset() != before:
                return zone.key
    return ""

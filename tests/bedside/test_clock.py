"""Clock times as hours and back: nights on which clocks change, zones, and what is no time."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.bedside.clock import Clock, clock_text, clock_time, find_zone
from rl_drug_dosage.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")


def hours(zone, *written):
    clock = Clock(None if zone is None else find_zone(zone))
    read = [clock.read(each, f"doses[{i}].time") for i, each in enumerate(written, 1)]
    origin = clock.origin(read)
    return [clock.hours(each, origin) for each in read], clock.check()


def test_a_night_with_25_hours_has_them():
    assert hours("Europe/Berlin", "2026-10-24 20:00", "2026-10-25 08:00") == ([0.0, 13.0], ())


def test_a_night_with_23_hours_has_them():
    assert hours("Europe/Berlin", "2026-03-28 20:00", "2026-03-29T08:00:00") == ([0.0, 11.0], ())


def test_a_time_that_happened_twice_needs_its_offset():
    readings = (
        "happened twice in Europe/Berlin, as clocks went back; write 2026-10-25 02:30+02:00 or 2026-10-25 02:30+01:00"
    )
    with pytest.raises(ConfigError, match=re.escape(f"doses[2].time: '2026-10-25 02:30' {readings}")):
        hours("Europe/Berlin", "2026-10-25 01:30", "2026-10-25 02:30")

    found, notes = hours("Europe/Berlin", "2026-10-25 01:30", "2026-10-25 02:30+02:00", "2026-10-25 02:30+01:00")
    assert (found, notes) == ([0.0, 1.0, 2.0], ())


def test_in_new_york_half_past_one_happens_twice():
    with pytest.raises(ConfigError, match=re.escape("write 2026-11-01 01:30-04:00 or 2026-11-01 01:30-05:00")):
        hours("America/New_York", "2026-11-01 01:30")


def test_a_time_that_never_was_is_refused():
    with pytest.raises(ConfigError, match="does not exist in Europe/Berlin: clocks went forward by 60 min"):
        hours("Europe/Berlin", "2026-03-29 02:30")


def test_without_a_zone_times_are_taken_as_shown_where_no_clock_changed_anywhere():
    found, notes = hours(None, "2026-07-04 08:00", "2026-07-04 20:00")

    assert found == [0.0, 12.0]
    assert "no time zone given" in notes[0]


def test_without_a_zone_a_change_of_clocks_is_refused():
    with pytest.raises(ConfigError, match="zone: missing, and clocks changed between 2026-10-24 and 2026-10-26"):
        hours(None, "2026-10-24 08:00", "2026-10-26 08:00")


def test_offsets_may_be_mixed_and_that_is_said():
    found, notes = hours(
        "Europe/Berlin", "2026-11-03 08:00", "2026-11-03 08:00-05:00", datetime(2026, 11, 3, 7, tzinfo=UTC)
    )

    assert found == [0.0, 6.0, 0.0]
    assert notes[0].startswith("time zone changes: doses[2].time is at UTC-05:00, where Europe/Berlin had UTC+01:00")
    with pytest.raises(ConfigError, match=re.escape("doses[2].time: no offset, while doses[1].time has one")):
        hours(None, "2026-11-03 08:00Z", "2026-11-03 20:00")


def test_plain_hours_are_hours():
    assert hours(None, 0, "12 h", 36.5) == ([0.0, 12.0, 36.5], ())
    with pytest.raises(ConfigError, match="the others are hours; write all alike"):
        hours(None, 0, "2026-11-03 08:00")


@pytest.mark.parametrize(
    "written",
    ["03.11.2026 08:10", "2026-11-03", "2026-13-03 08:10", "2026-11-03 25:10", "soon", "", True, None, float("nan"),
     date(2026, 11, 3), "2026-11-03 08:10 Europe/Berlin", "9" * 100],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_the_form(written):
    with pytest.raises(ConfigError, match=r"doses\[1\]\.time: .*2026-11-03 08:10"):
        hours("Europe/Berlin", written)


@pytest.mark.parametrize("zone", ["Europe/Berln", "../../etc/passwd", "/etc/passwd", "Europe", "", 3, "x" * 1000])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(ConfigError, match=r"^zone: "):
        find_zone(zone)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)), st.integers(0, 60 * 24 * 60))  # noqa: DTZ001 - drawn
def test_hours_and_clock_times_there_and_back(start, minutes):
    """Whatever the zone does in between; the text is the clock's, and reading it again gives the hours."""
    origin = start.replace(second=0, microsecond=0, tzinfo=UTC).astimezone(BERLIN)
    later = clock_time(origin, minutes / 60.0)

    assert (later - origin.astimezone(UTC)) / timedelta(hours=1) == pytest.approx(minutes / 60.0)
    clock = Clock(BERLIN)
    first = clock.read(clock_text(origin, 0.0), "a")
    again = clock.read(clock_text(origin, minutes / 60.0), "b")
    assert clock.hours(again, first) == pytest.approx(minutes / 60.0, abs=1e-9)

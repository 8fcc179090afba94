"""Times of an event table: hours, clock times, dates, and times that start again at a reset.

As in NM-TRAN, a date or a clock time makes all times of a patient relative to the patient's first line.
"""

import dataclasses
import datetime as dt
import math
import re

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd._nonmem_lines import Line

__all__ = ["DATES", "has_clock", "moment", "place_in_time"]

DATES = {"DATE": "mdy", "DAT1": "dmy", "DAT2": "ymd", "DAT3": "ydm"}
"""Order of month, day and year by the column's title."""
_WORDS = {"d": "day", "m": "month", "y": "year"}
_CLOCK = re.compile(r"(\d+):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?")
_LAST20 = 50
"""Two-digit years up to this one are of the 21st century: NM-TRAN's LAST20."""
_DAY_NUMBERS = 100_000
"""A whole number from here on is a date written without separators, not the number of a day."""


def has_clock(lines: list[Line]) -> bool:
    """Whether NM-TRAN would translate dates and clock times to relative hours."""
    return any(title in lines[0].cells for title in DATES) or any(":" in line.cells["TIME"] for line in lines)


def place_in_time(group: list[Line], relative: bool) -> list[Line]:
    """One patient's lines with their hours: ``time_h`` for the engine, and ``own_h`` as the file counts them.

    Where the time starts again at a reset (EVID 3 or 4), the engine's time goes on from the line before.

    Args:
        group: the patient's lines, in file order.
        relative: whether hours count from the first line.

    Raises:
        ConfigError: a time or a date that is none, or a time that goes back without a reset.
    """
    hours = [_hours(line) for line in group]
    placed: list[Line] = []
    start = hours[0] if relative else 0.0
    added = 0.0
    for line, since in zip(group, hours, strict=True):
        own = since - start
        if placed and own + added < placed[-1].time_h:
            if line.evid not in {3, 4}:
                line.refuse(
                    ConfigError,
                    "TIME",
                    f"comes after {placed[-1].own_h:g} h",
                    _remedy(relative),
                )
            start = since if relative else 0.0
            own = since - start
            added = placed[-1].time_h - own
        placed.append(dataclasses.replace(line, time_h=own + added, own_h=own))
    return placed


def _remedy(relative: bool) -> str:
    if relative:
        return "give the date of each line (DATE, DAT1, DAT2 or DAT3), and the lines in the order of time"
    return "put the patient's lines in the order of time; a time that starts again needs EVID 3 or 4 on its first line"


def _hours(line: Line) -> float:
    """Hours since midnight of day 0, or as written where there is no date."""
    column = next((title for title in DATES if title in line.cells), None)
    hours = _clock(line)
    if column is None:
        return hours
    if not 0 <= hours <= 24:
        line.refuse(
            ConfigError,
            "TIME",
            f"{hours:g} h is no time of a day, and {line.titles[column]} gives the day",
            f"give a time from 0:00 to 24:00, or rename {line.titles[column]} if TIME counts hours from the first dose",
        )
    return 24.0 * _day(line, column) + hours


def _clock(line: Line) -> float:
    cell = line.cells["TIME"]
    if ":" not in cell:
        value = line.number("TIME", ConfigError)
        if value is None:
            line.refuse(ConfigError, "TIME", "no time", "give hours")
        return value
    match = _CLOCK.fullmatch(cell)
    if match is None:
        line.refuse(ConfigError, "TIME", "no clock time", "write hours:minutes, 8:30 or 20:30")
    hour, minute, second = int(match[1]), int(match[2]), float(match[3] or 0.0)
    if minute > 59 or second >= 60:
        line.refuse(ConfigError, "TIME", "no clock time", "minutes and seconds end at 59")
    if hour > 24 or (hour == 24 and minute + second > 0):
        line.refuse(
            ConfigError,
            "TIME",
            "a day ends at 24:00",
            "give the date in a column DATE and the time of that day, or hours with a decimal point",
        )
    return hour + minute / 60.0 + second / 3600.0


def _day(line: Line, column: str) -> float:
    """Number of the day."""
    cell = line.cells[column]
    if not line.has(column):
        line.refuse(ConfigError, column, "no date", "give each line its date")
    if re.fullmatch(r"[+-]?\d+(\.0*)?", cell):
        day = float(cell)
        if abs(day) >= _DAY_NUMBERS:
            line.refuse(ConfigError, column, "no date", "write it with - or /, or give the number of the day")
        return day
    parts = re.split(r"[-/.]", cell)
    order = DATES[column] if len(parts) == 3 else DATES[column].replace("y", "")
    if len(parts) != len(order) or not all(re.fullmatch(r"\d{1,4}", part) for part in parts):
        line.refuse(ConfigError, column, "no date", f"write {_order(column)} with - or / between them")
    by = {name: int(part) for name, part in zip(order, parts, strict=True)}
    # A date without a year: a year without a 29th of February.
    year = by.get("y", 2001)
    if "y" in by and len(parts[order.index("y")]) <= 2:
        year += 2000 if year <= _LAST20 else 1900
    try:
        return float(dt.date(year, by["m"], by["d"]).toordinal())
    except ValueError:
        line.refuse(
            ConfigError,
            column,
            f"no such day: {line.titles[column]} is {_order(column)}",
            "correct the date, or name the column by its order: DATE month-day-year, DAT1 day-month-year, "
            "DAT2 year-month-day, DAT3 year-day-month",
        )


def _order(column: str) -> str:
    return "-".join(_WORDS[letter] for letter in DATES[column])


def moment(time_h: float) -> float:
    """A time between two lines at one time: a billionth of an hour, or what a number of that size can hold."""
    return max(1e-9, 4.0 * math.ulp(time_h))

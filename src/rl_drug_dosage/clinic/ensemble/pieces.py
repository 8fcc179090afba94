"""Which times of an interval support patients need, and the parts of it in which nothing changes."""

from functools import lru_cache
from typing import NamedTuple

from rl_drug_dosage.clinic.interval import row_at, segments
from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["Piece", "pieces_of", "rows_of"]


class Piece(NamedTuple):
    """A part of an interval in which nothing changes."""

    long_h: float
    doses: bool
    infuses: bool
    given: int
    parameters: int
    """Which row of them."""
    row: int
    """Which of the needed rows is its end, or -1."""


def rows_of(scenario: Scenario, *, goal: bool) -> tuple[int, ...]:
    """Places in the grid that the goal needs, or those of the sampling times and the end."""
    times = scenario.schedule.output_times_h
    last = len(times) - 1
    if not goal:
        return tuple(sorted({*(times.index(t) for t in scenario.monitoring.at_h), last}))
    metrics = {t.metric for t in scenario.goal.targets} | {h.metric for h in scenario.goal.harms}
    return tuple(range(len(times))) if metrics & {"value", "peak", "nadir"} else (last,)


@lru_cache
def pieces_of(scenario: Scenario, rows: tuple[int, ...], parameters: int) -> tuple[Piece, ...]:
    """Of an interval with so many rows of parameters; edges that change nothing are left out."""
    found: list[Piece] = []
    for segment in segments(scenario, moving=False):
        end_h = segment.end.nominal_h
        own = Piece(
            end_h - segment.start.nominal_h,
            segment.doses,
            segment.infuses,
            segment.given if segment.doses or segment.infuses else 0,
            row_at(scenario, parameters, end_h),
            rows.index(segment.grid) if segment.grid in rows else -1,
        )
        if found and _go_on(found[-1], own):
            found[-1] = found[-1]._replace(long_h=found[-1].long_h + own.long_h, row=own.row)
        else:
            found.append(own)
    return tuple(found)


def _go_on(before: Piece, own: Piece) -> bool:
    """Whether two pieces after one another are one."""
    same = (before.infuses, before.parameters) == (own.infuses, own.parameters)
    return same and before.row < 0 and not own.doses and (before.given == own.given or not own.infuses)

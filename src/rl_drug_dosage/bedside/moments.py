"""A time of a history in words: by the clock where the history has an origin, else in hours."""

from datetime import UTC, timedelta

from rl_drug_dosage.bedside.history import PatientHistory

__all__ = ["moment"]


def moment(history: PatientHistory, hours: float) -> str:
    """``2026-10-26 08:30``, or ``49.5 h``.

    Hours are elapsed time. They are added in UTC, so that a change of the clock in between counts as it should.

    Args:
        history: gives the origin and its time zone.
        hours: as it counts them.
    """
    origin = history.origin
    if origin is None:
        return f"{hours:.4g} h"
    return f"{(origin.astimezone(UTC) + timedelta(hours=hours)).astimezone(origin.tzinfo):%Y-%m-%d %H:%M}"

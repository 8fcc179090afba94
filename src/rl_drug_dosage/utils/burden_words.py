"""What the numbers of a course's burden mean, for tables, the report and ``evaluate``."""

from collections.abc import Mapping
from typing import Any

__all__ = ["BURDEN_WORDS", "steady_words"]

BURDEN_WORDS: Mapping[str, tuple[str, str]] = {
    "change_last_third_pct": (
        "change in the last third (%)",
        (
            "mean absolute change of the dose from one decision to the next over the last third of a patient's "
            "decisions, as a percentage of the mean dose there; 0 where all doses there are 0"
        ),
    ),
    "dose_changes": (
        "changes",
        "decisions with another dose, or another dosing interval, than the one before",
    ),
    "zigzags": (
        "zigzags",
        "changes of dose in the direction opposite to that of the last change",
    ),
    "holds": (
        "holds",
        "decisions with a dose of 0 after an earlier dose above 0",
    ),
}
"""Column -> its heading, and its meaning in one sentence."""


def steady_words(scenario: Mapping[str, Any]) -> str:
    """Whether changes of dose are judged, from the scenario's part of a benchmark's record."""
    steady, text = scenario.get("steady"), scenario.get("steady_text", "")
    if steady is None:
        return (
            "The scenario does not state whether the best dose of a patient becomes constant: changes are counted and "
            "not judged."
        )
    if steady:
        return f"The best dose of a patient becomes constant, so that late changes are a burden: {text}."
    return f"The best dose of a patient does not become constant, so that changes are counted and not judged: {text}."

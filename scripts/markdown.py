"""Tables for the pages that scripts write."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["number", "spread", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(row: Mapping[str, Any], measure: str) -> float:
    """A measure of a policy's row in a benchmark's record: its mean where it comes with an interval."""
    value = row[measure]
    return float(value["mean"] if isinstance(value, dict) else value)


def spread(value: float, seeds: Sequence[float]) -> str:
    """A number, and in brackets its range over the training seeds."""
    return f"{value:.1f} ({min(seeds):.1f} to {max(seeds):.1f})"

"""The numbers of a published trial beside ours as text, for tables in a terminal and in the report."""

from collections.abc import Mapping
from typing import Any

__all__ = ["CAVEAT", "number_words", "our_rows", "their_rows"]

CAVEAT = "The protocols differ as listed: the numbers of one trial do not rank the methods of the other."


def number_words(value: float, spread: float | None = None) -> str:
    """A published number as its source prints it, with what follows the sign ±."""
    return f"{value:g}" if spread is None else f"{value:g} ± {spread:g}"


def their_rows(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(their method, a text for each metric) of the part ``published`` of a benchmark's record."""
    found: dict[str, dict[str, str]] = {}
    for n in record["theirs"]:
        found.setdefault(n["arm"], {})[n["metric"]] = number_words(n["value"], n["spread"])
    return [(arm, [own.get(m["name"], "not read") for m in record["metrics"]]) for arm, own in found.items()]


def our_rows(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(our policy, a text with the 95 % interval for each metric) of the same part."""

    def words(found: Mapping[str, float] | None) -> str:
        return "-" if found is None else f"{found['mean']:.1f} ({found['low']:.1f} to {found['high']:.1f})"

    return [(row["policy"], [words(row["values"][m["name"]]) for m in record["metrics"]]) for row in record["ours"]]

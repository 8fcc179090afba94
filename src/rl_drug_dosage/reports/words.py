"""Formats numbers, units and names for the report."""

from collections.abc import Sequence
from typing import Any

from rl_drug_dosage.utils.words import unit_words

__all__ = [
    "amount",
    "and_",
    "capital",
    "clip",
    "compact",
    "count",
    "fixed",
    "interval",
    "percent",
    "points",
    "share",
    "tick",
    "unit_of",
]


def unit_of(unit: str) -> str:
    """A unit with a leading space, to follow a number; empty if there is none."""
    return f"\u00a0{unit_words(unit)}" if unit_words(unit) else ""


def _minus(text: str) -> str:
    return text.replace("-", "−")


def share(value: float) -> str:
    """One decimal, such as a percentage without its sign: 91.6."""
    return _minus(f"{value:.1f}")


def percent(value: float) -> str:
    """A percentage with a non-breaking space: 91.6 %."""
    return f"{share(value)}\u00a0%"


def fixed(value: float) -> str:
    """A column of numbers of different size, with common decimals for small ones."""
    return _minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}")


def points(value: float) -> str:
    """A signed difference of percentages: +0.3. Two decimals if one would show only zero."""
    decimals = 2 if 0.0 < abs(value) < 0.05 else 1
    text = f"{value:+.{decimals}f}"
    return _minus(text) if float(text) else "0.0"


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """An interval as text: 90.7 to 92.4."""
    write = points if signed else share
    return f"{write(low)} to {write(high)}"


def count(value: float) -> str:
    """A whole number: 12,345."""
    return f"{value:,.0f}"


def compact(value: float | None) -> str:
    """A number with three or four significant digits."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000:
        return _minus(f"{value:,.0f}")
    if float(value).is_integer():
        return _minus(f"{value:.0f}")
    if size >= 0.001:
        return _minus(f"{value:.{4 if size >= 100 else 3}g}")
    return _minus(f"{value:.2e}")


def tick(value: float) -> str:
    """A number on an axis."""
    return _minus(f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:g}")


def amount(value: Any) -> str:
    """A value of a training configuration or a tuned policy, as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    if isinstance(value, float):
        return _minus(f"{value:.4g}")
    if isinstance(value, dict):
        return ", ".join(f"{name} {amount(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(amount(inner) for inner in value) or "none"
    return "none" if value is None or value == "" else str(value)


def and_(parts: Sequence[str]) -> str:
    """A list as text: one, two and three."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def capital(text: str) -> str:
    """The text with its first letter capitalised."""
    return text[:1].upper() + text[1:]


def clip(text: str, most: int) -> str:
    """The text cut to at most ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"

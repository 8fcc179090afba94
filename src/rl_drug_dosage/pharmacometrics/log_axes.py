"""Logarithmic axes with the numbers that a laboratory writes: 0.1, 1, 10, in place of powers of ten."""

from collections.abc import Iterable
from typing import Any

from matplotlib.ticker import FuncFormatter, NullFormatter

__all__ = ["make_logarithmic"]


def make_logarithmic(axes: Any, which: Iterable[str] = "xy") -> None:
    """Make axes of a plot logarithmic.

    Args:
        axes: of matplotlib.
        which: ``"x"``, ``"y"`` or both.
    """
    for name in which:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        # Powers of ten are set as formulas, whose parser took 0.3 s of a plot.
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())

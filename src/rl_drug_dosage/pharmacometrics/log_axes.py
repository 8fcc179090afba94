"""Logarithmic axes with the numbers that a laboratory writes: 0.1, 1, 10, in place of powers of ten."""

from collections.abc import Iterable
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ["make_logarithmic"]

_FEW_DECADES = 3.0
"""Up to so many there are numbers between the powers of ten as well: 1, 2, 5, 10."""


def make_logarithmic(axes: Any, which: Iterable[str] = "xy") -> None:
    """Make axes of a plot logarithmic.

    Args:
        axes: of matplotlib, with the limits that they will have.
        which: ``"x"``, ``"y"`` or both.
    """
    for name in which:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        low, high = getattr(axes, f"get_{name}lim")()
        if high < low * 10.0**_FEW_DECADES:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        # Powers of ten are set as formulas, whose parser took half of the 0.25 s of a plot.
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())

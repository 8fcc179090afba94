"""What a dose search aims at: a window on a metric, and how far a metric is from it."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.pkpd import Target

__all__ = ["Aim"]


@dataclass(frozen=True)
class Aim:
    """A target, as a dose search reads it.

    Args:
        target: metric, output and window. For ``time_above`` its ``low`` is the level to be above.
        share: for ``time_above``, the fraction of the dosing interval that is asked for, from above 0 to 1.
    """

    target: Target
    share: float = 1.0

    @property
    def edges(self) -> tuple[float | None, float | None]:
        """Limits of the metric, None where there is none."""
        return (self.share, None) if self.target.metric == "time_above" else (self.target.low, self.target.high)

    @property
    def ratios(self) -> bool:
        """Whether deviations are ratios: the target says so, and no limit is 0."""
        return self.target.log and self.target.metric != "time_above" and all(e is None or e > 0 for e in self.edges)

    @property
    def point(self) -> float:
        """The set point: the target's own, or else the middle of the window (geometric for ratios), or its limit."""
        if self.target.aim is not None and self.target.metric != "time_above":
            return self.target.aim
        given = [edge for edge in self.edges if edge is not None]
        return math.prod(given) ** (1.0 / len(given)) if self.ratios else sum(given) / len(given)

    def inside(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Whether a metric is within the window, limits included; never for one that is not a number."""
        return ~self.below(values) & ~self.above(values) & np.isfinite(values)

    def below(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Whether it is below the window."""
        low = self.edges[0]
        return np.zeros(np.shape(values), bool) if low is None else values < low

    def above(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Whether it is above the window."""
        high = self.edges[1]
        return np.zeros(np.shape(values), bool) if high is None else values > high

    def distance(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """|ln(metric / set point)| for ratios, otherwise |metric - set point|."""
        if not self.ratios:
            return np.abs(values - self.point)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(np.log(values / self.point))

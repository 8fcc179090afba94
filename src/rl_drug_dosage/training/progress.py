"""Where a training run is, in one line."""

from dataclasses import dataclass

__all__ = ["Moment"]


@dataclass(frozen=True)
class Moment:
    """Where a run is."""

    step: int
    total: int
    steps_per_s: float
    episodic_return: float
    in_range_pct: float

    @property
    def remaining_s(self) -> float:
        """At the present speed."""
        return (self.total - self.step) / self.steps_per_s if self.steps_per_s > 0 else float("nan")

    def line(self) -> str:
        """Short enough for a terminal; what is not known yet is left out."""
        parts = [f"{self.step:,} of {self.total:,} steps"]
        if self.steps_per_s > 0:
            parts.append(f"ETA {_clock(self.remaining_s)}")
        if self.episodic_return == self.episodic_return:
            parts.append(f"return {self.episodic_return:.2f}")
        if self.in_range_pct == self.in_range_pct:
            parts.append(f"in range {self.in_range_pct:.1f} %")
        if self.steps_per_s > 0:
            parts.append(f"{self.steps_per_s:,.0f} steps/s")
        return ", ".join(parts)


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

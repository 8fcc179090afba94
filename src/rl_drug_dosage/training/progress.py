"""How a run tells a person that it moves: one live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

__all__ = ["Moment", "Progress"]

_PLAIN_LINES = 10
_REFRESH_S = 0.1


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
        """One line for both kinds of output; what is not known yet is left out."""
        parts = [f"{self.step:>9,} / {self.total:,} steps ({100 * self.step / self.total:3.0f} %)"]
        if self.steps_per_s > 0:
            parts += [f"{self.steps_per_s:>9,.0f} steps/s", f"ETA {_clock(self.remaining_s)}"]
        if self.episodic_return == self.episodic_return:
            parts.append(f"return {self.episodic_return:8.2f}")
        if self.in_range_pct == self.in_range_pct:
            parts.append(f"in range {self.in_range_pct:5.1f} %")
        return "  ".join(parts)


class Progress:
    """Shows moments; ``say`` prints a line without disturbing the live one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else None
        self._shown_at = 0.0
        self._tenth = -1

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def say(self) -> Callable[[str], None]:
        """Print one line."""
        return lambda line: self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, moment: Moment) -> None:
        """Tell where the run is; often on a terminal, about ten times a run elsewhere."""
        last = moment.step >= moment.total
        if self._live is not None:
            now = time.monotonic()
            if last or now - self._shown_at >= _REFRESH_S:
                self._shown_at = now
                self._live.update(Text(moment.line()), refresh=True)
            return
        tenth = _PLAIN_LINES * moment.step // moment.total
        if tenth != self._tenth:
            self._tenth = tenth
            self.say(moment.line())


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

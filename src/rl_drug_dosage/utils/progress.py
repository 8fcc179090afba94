"""Progress of long computations: one callback, and its displays.

A computation receives a `Progress` and calls it with a text and the completed fraction. ``None`` in place of the
fraction marks a permanent message, such as ``"mipd: 200 patients in 0.9 s"``. A terminal shows one live bar, a notebook
one updated line, and a pipe a plain line for every step longer than two seconds.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from rl_drug_dosage.utils.printable import printable

__all__ = ["Progress", "Steps", "printed", "quiet", "shown"]

type Progress = Callable[[str, float | None], None]
"""(current step, completed fraction; None: a permanent message)."""

_PLAIN_AFTER_S, _PLAIN_EVERY_S = 2.0, 20.0
"""Time before the first line about a step in a pipe, and between further lines."""
_NOTEBOOK_EVERY_S = 0.1


def quiet(text: str, done: float | None) -> None:
    """Show nothing."""


class Steps:
    """Progress over a known number of steps, several of which may run in parallel threads.

    Args:
        progress: receives the current step: ``"compiling mipd, 2 of 4"``.
        total: number of steps; each counts the same.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, max(total, 1)
        self._started, self._done = 0, 0
        self._running: list[str] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Report one step for the duration of the block."""
        with self._lock:
            self._started += 1
            line = f"{text}, {self._started} of {self._total}"
            self._running.append(line)
            self._tell()
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(line)
                self._done += 1
                self._tell()

    def note(self, text: str) -> None:
        """Report a permanent message."""
        with self._lock:
            self._progress(text, None)

    def _tell(self) -> None:
        if self._running:
            self._progress(self._running[-1], min(self._done / self._total, 1.0))


class _Display(Protocol):
    """Base class of displays, which are active inside a ``with`` block."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __call__(self, text: str, done: float | None) -> None: ...


class _Bar:
    """One live bar. Its clock keeps running, so a long compilation does not look stuck."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        text = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True), markup=False)
        self._bar = Progress(text, BarColumn(16), TimeElapsedColumn(), console=console, transient=True, expand=True)
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, text: str, done: float | None) -> None:
        if done is None:
            self._bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
        else:
            self._bar.update(self._task, description=text, completed=done)


class _NotebookLine:
    """One line of a notebook's output, updated in place."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._text, self._drawn = "starting", ""
        self._over = threading.Event()
        self._handle: Any = None

    def __enter__(self) -> Self:
        from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

        self._handle = display(self._bundle(), raw=True, display_id=True)
        self._clock = threading.Thread(target=self._redraw, daemon=True)
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._clock.join()
        self._text = "done" if kind is None else self._text
        self._handle.update(self._bundle(), raw=True)

    def __call__(self, text: str, done: float | None) -> None:
        self._text = text if done is None else f"{text} ({100 * done:.0f} %)"

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": f"{self._text}, {_clock(time.monotonic() - self._begin)}"}

    def _redraw(self) -> None:
        # Only one thread draws, even if several report. The clock shows that the computation is still running.
        while not self._over.wait(_NOTEBOOK_EVERY_S):
            bundle = self._bundle()
            if bundle["text/plain"] != self._drawn:
                self._drawn = bundle["text/plain"]
                self._handle.update(bundle, raw=True)


class _Plain:
    """Lines for a pipe: every message, and the current step once it has lasted some seconds, then at intervals."""

    def __init__(self) -> None:
        self._begin = self._said_at = time.monotonic()
        self._text, self._patience_s = "starting", _PLAIN_AFTER_S
        self._over, self._lock = threading.Event(), threading.Lock()

    def __enter__(self) -> Self:
        self._watch = threading.Thread(target=self._break_silence, daemon=True)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()

    def __call__(self, text: str, done: float | None) -> None:
        with self._lock:
            if done is None:
                self._say(text)
            elif text != self._text:
                self._text, self._patience_s = text, _PLAIN_AFTER_S

    def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        print(printable(text), flush=True)  # noqa: T201 - output of a command

    def _break_silence(self) -> None:
        # Of a closed pipe the main thread hears at its next line, and ends the command.
        while not self._over.wait(0.1):
            with self._lock, contextlib.suppress(BrokenPipeError):
                if time.monotonic() - self._said_at >= self._patience_s:
                    self._say(f"{self._text} ({_clock(time.monotonic() - self._begin)})")
                    self._patience_s = _PLAIN_EVERY_S


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def _in_notebook() -> bool:
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def printed() -> Iterator[Progress]:
    """The display of a command: a bar on a terminal, plain lines elsewhere."""
    with _bar_or(_Plain) as display:
        yield display


@contextlib.contextmanager
def shown(progress: "Progress | bool") -> Iterator[Progress]:
    """The progress of a function of the Python API.

    Args:
        progress: a callback; True: draw in a notebook or on a terminal; False: no progress.
    """
    if callable(progress):
        yield progress
    elif progress and _in_notebook():
        with _NotebookLine() as line:
            yield line
    elif progress and sys.stdout.isatty():
        with _bar_or(_Plain) as display:
            yield display
    else:
        yield quiet


def _bar_or(plain: Callable[[], _Display]) -> _Display:
    from rich.console import Console

    console = Console()
    return _Bar(console) if console.is_terminal else plain()

"""What code from outside the package raises, in one line.

Such code may raise anything: ``sys.exit()`` at the end of a script, a ``GeneratorExit``, a class of its own derived
from `BaseException`. Only the user's own Ctrl-C has to pass.
"""

import contextlib
import dis
import signal
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType

from rl_drug_dosage.errors import BadPluginError, RlDrugDosageError, in_one_line

__all__ = ["blame", "foreign_line", "guarded", "is_interrupt", "note_code", "user_fault"]

_RAISE = dis.opmap["RAISE_VARARGS"]
_user_code: set[Path] = set()
"""Files, and folders of packages, that the user named."""
_LIBRARIES = frozenset(
    {Path(__file__).parents[1], *(Path(sysconfig.get_path(n)) for n in ("stdlib", "platstdlib", "purelib", "platlib"))}
)


def note_code(*places: Path) -> None:
    """Note files, and folders of packages, as code that the user named."""
    _user_code.update(places)


def user_fault(error: BaseException) -> str:
    """One-line description of an error raised in code that the user named; empty if it was raised elsewhere."""
    raised: BaseException | None = error
    while raised is not None:
        if at := _user_line(traceback.extract_tb(raised.__traceback__)):
            return f"{at.filename}, line {at.lineno} ({at.line}): {in_one_line(raised)}"
        raised = raised.__cause__
    return ""


def blame(error: BaseException) -> str:
    """The error, with the line of the user's code that raised it, if there is one."""
    at = foreign_line(error)
    return in_one_line(error) + (f" ({at.filename}, line {at.lineno}: {at.line})" if at is not None else "")


def foreign_line(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line that is the user's: in code that they named, or outside of this package and of libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    others = (f for f in reversed(frames) if f.line and not _LIBRARIES & set(Path(f.filename).parents))
    return _user_line(frames) or next(others, None)


def _user_line(frames: traceback.StackSummary) -> traceback.FrameSummary | None:
    places = ((f, Path(f.filename)) for f in reversed(frames))
    return next((f for f, path in places if _user_code & {path, *path.parents}), None)


def is_interrupt(error: BaseException) -> bool:
    """Whether an error is the user's Ctrl-C, and not a ``raise KeyboardInterrupt`` in somebody's code.

    Python raises a Ctrl-C between two instructions, so that the innermost one is no ``raise`` statement, except in a
    handler of signals that is written in Python.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    trace = error.__traceback__
    if trace is None:
        return True
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code.co_code[trace.tb_lasti] != _RAISE or code is _handler()


def _handler() -> CodeType | None:
    """The code of the handler of Ctrl-C; None if it is not written in Python."""
    handler = signal.getsignal(signal.SIGINT)
    handler = getattr(handler, "func", handler)  # of functools.partial, as asyncio installs it
    return getattr(getattr(handler, "__func__", handler), "__code__", None)


@contextlib.contextmanager
def guarded(
    said: Callable[[BaseException], str], error: type[RlDrugDosageError] = BadPluginError, *, own: bool = False
) -> Iterator[None]:
    """Turn whatever foreign code raises into an error of this package; only the user's Ctrl-C passes.

    Args:
        said: the message for what was raised; if it is empty, what was raised passes.
        error: class of the error.
        own: whether errors of this package pass too.

    Raises:
        RlDrugDosageError: the code failed.
    """
    try:
        yield
    except BaseException as raised:
        if is_interrupt(raised) or (own and isinstance(raised, RlDrugDosageError)):
            raise
        if not (message := said(raised)):
            raise
        raise error(message) from raised

"""The text of a model file, refused where it cannot be one, and its places in errors: file, line and column."""

from dataclasses import dataclass
from pathlib import Path

from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["LARGEST_BYTES", "Place", "read_text", "refused"]

LARGEST_BYTES = 4_000_000
"""Bytes that a reader accepts. A model has a few thousand; the largest of BioModels have some hundred thousand."""


@dataclass(frozen=True)
class Place:
    """A line and a column of a file, from 1."""

    line: int
    column: int


def refused(path: str, place: Place, came: str, supported: str, remedy: str) -> ReadError:
    """Make the error: file, line and column, what came, what is supported, and what to do."""
    return ReadError(f"{path}:{place.line}:{place.column}: {came}; supported: {supported}; {remedy}")


def read_text(
    path: Path, largest: int = LARGEST_BYTES, *, longest_line: int | None = None, lenient: bool = False
) -> str:
    """The text of a file, in UTF-8, with lines that end as on Unix.

    Args:
        path: of the file.
        largest: bytes that are accepted.
        longest_line: characters of a line that are accepted; None: any number.
        lenient: what is not UTF-8, in an old comment for example, is replaced.

    Raises:
        ReadError: it cannot be read, is too large to be a model, has too long a line, or is not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > largest:
            raise ReadError(
                f"{path} has {size / 1e6:.1f} MB; supported: model files up to {largest / 1e6:g} MB; give the model's "
                "own file, not its data"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read: {error.strerror or error}; supported: a readable file; check it"
        ) from None
    try:
        text = data.decode("utf-8-sig", errors="replace" if lenient else "strict")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        came = f"byte 0x{data[error.start]:02x}, which is not UTF-8"
        raise refused(str(path), Place(line, column), came, "UTF-8 text", "save the file as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for number, content in enumerate(text.split("\n") if longest_line is not None else (), start=1):
        if longest_line is not None and len(content) > longest_line:
            came, allowed = f"a line of {len(content):,} characters", f"lines of up to {longest_line:,}"
            raise refused(str(path), Place(number, longest_line + 1), came, allowed, "break the line")
    return text

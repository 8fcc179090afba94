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


def read_text(path: Path, largest: int = LARGEST_BYTES) -> str:
    """The text of a file, in UTF-8.

    Raises:
        ReadError: it cannot be read, is too large to be a model, or is not UTF-8.
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
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        came = f"byte 0x{data[error.start]:02x}, which is no text"
        raise refused(str(path), Place(line, column), came, "UTF-8 text", "save the file as UTF-8") from None

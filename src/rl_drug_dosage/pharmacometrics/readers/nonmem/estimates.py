"""Final estimates that NONMEM wrote beside a control stream: .ext, .lst; and individual effects in .phi."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.nonmem.omega import Effects
from rl_drug_dosage.pharmacometrics.readers.written import Number, ReadError

__all__ = ["Estimates", "read_estimates", "read_phi", "with_estimates"]

_FINAL = -1_000_000_000
_LARGEST = 50_000_000
_TABLE = re.compile(r"TABLE NO\.\s*\d+")
_CELL = re.compile(r"(OMEGA|SIGMA)\((\d+),(\d+)\)")
_BETWEEN = re.compile(r"\s*,\s*(?![^()]*\))|\s+")
"""What separates cells: blanks, or commas that are not inside of OMEGA(1,1)."""
_NUMBER = re.compile(r"[+-]?\d*\.?\d+(?:[ED][+-]?\d+)?")


@dataclass(frozen=True)
class Estimates:
    """Final estimates: values by NONMEM's names, ``THETA1``, ``OMEGA(2,1)``, ``SIGMA(1,1)``; and the file."""

    values: Mapping[str, float]
    file: Path


def read_estimates(path: Path) -> Estimates | None:
    """The estimates of the last step in the .ext beside a control stream, or else in its .lst; None without them."""
    for suffix, read in ((".ext", _ext), (".lst", _lst), (".res", _lst)):
        for beside in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
            text = _text(beside)
            if text and (values := read(text)):
                return Estimates(values, beside)
    return None


def _text(path: Path) -> str:
    """The text of a file; empty without one.

    Raises:
        ReadError: it is there, and cannot be read.
    """
    if not os.path.lexists(path):
        return ""
    try:
        if path.is_file() and path.stat().st_size <= _LARGEST:
            return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass
    raise ReadError(f"{path} cannot be read; supported: a text file of up to {_LARGEST / 1e6:g} MB; mend or remove it")


def _ext(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    names: list[str] = []
    for line in text.splitlines():
        cells = _cells(line)
        if not cells or _TABLE.match(line.strip()):
            continue
        if cells[0] == "ITERATION":
            names = cells
        elif len(cells) == len(names) and _floats(cells)[0] == _FINAL:
            found = dict(zip(names[1:], _floats(cells)[1:], strict=True))
    return {name: value for name, value in found.items() if name.startswith(("THETA", "OMEGA", "SIGMA"))}


def _cells(line: str) -> list[str]:
    return [cell for cell in _BETWEEN.split(line.strip()) if cell]


def _floats(cells: list[str]) -> list[float]:
    return [float(cell.upper().replace("D", "E")) if _NUMBER.fullmatch(cell.upper()) else np.nan for cell in cells]


def _lst(text: str) -> dict[str, float]:
    """The section FINAL PARAMETER ESTIMATE, the last one."""
    start = text.rfind("FINAL PARAMETER ESTIMATE")
    if start < 0:
        return {}
    found: dict[str, float] = {}
    section, row, heads = "", 0, list[str]()
    for line in text[start:].splitlines()[1:]:
        bare = line.strip()
        if "STANDARD ERROR" in line or "COVARIANCE MATRIX OF ESTIMATE" in line or bare.startswith(("#CPUT", "Elapsed")):
            break
        if match := re.match(r"(THETA|OMEGA|SIGMA) - (VECTOR|COV|CORR)", bare):
            section = match[1] if match[2] != "CORR" else ""
        elif not section:
            continue
        elif section == "THETA":
            heads, row = _theta_line(bare, heads, row, found)
        elif match := re.match(r"(?:ETA|EPS)\s?(\d+)$", bare):
            row = int(match[1])
        elif bare.startswith("+") and row:
            _matrix_line(bare, section, row, found)
    return found


def _theta_line(bare: str, heads: list[str], row: int, found: dict[str, float]) -> tuple[list[str], int]:
    if bare.startswith("TH"):
        return re.findall(r"TH\s?(\d+)", bare), row
    for head, value in zip(heads, _floats(bare.split()), strict=False):
        if np.isfinite(value):
            found[f"THETA{head}"] = value
    return ([] if heads and bare else heads), row


def _matrix_line(bare: str, section: str, row: int, found: dict[str, float]) -> None:
    cells = bare[1:].split()
    # Rows of more effects than fit are broken; the first line has the first columns.
    for column, cell in enumerate(cells, start=1):
        value = 0.0 if set(cell) == {"."} else _floats([cell])[0]
        found.setdefault(f"{section}({row},{column})", value)


def with_estimates(
    estimates: Estimates, thetas: tuple[Number, ...], omega: Effects, sigma: Effects
) -> tuple[tuple[Number, ...], Effects, Effects] | str:
    """The numbers with final estimates in place of initial ones; a sentence if they belong to another model."""
    values = estimates.values
    count = sum(name.startswith("THETA") for name in values)
    if count != len(thetas):
        return f"{estimates.file.name} is not read: it has {count} THETA, the control stream {len(thetas)}"
    new = tuple(replace(one, value=values.get(f"THETA{i}", one.value)) for i, one in enumerate(thetas, start=1))
    changed = []
    for name, effects in (("OMEGA", omega), ("SIGMA", sigma)):
        size = max((int(m[2]) for key in values if (m := _CELL.fullmatch(key)) and m[1] == name), default=0)
        if size != len(effects.numbers):
            return f"{estimates.file.name} is not read: its {name} has {size} rows, not {len(effects.numbers)}"
        matrix = np.zeros((size, size))
        for key, value in values.items():
            if (match := _CELL.fullmatch(key)) and match[1] == name:
                matrix[int(match[2]) - 1, int(match[3]) - 1] = matrix[int(match[3]) - 1, int(match[2]) - 1] = value
        numbers = [replace(one, value=float(matrix[i, i])) for i, one in enumerate(effects.numbers)]
        changed.append(Effects(numbers, matrix, effects.same, effects.blocks))
    if not all(np.isfinite(list(values.values()))):
        return f"{estimates.file.name} is not read: it has estimates that are no numbers"
    return new, changed[0], changed[1]


def read_phi(path: Path) -> dict[str, dict[str, float]]:
    """Individual effects of the last table of a .phi: patient -> ``eta_1`` and so on. Empty if there are none."""
    found: dict[str, dict[str, float]] = {}
    names: list[str] = []
    for line in _text(path).splitlines():
        cells = _cells(line)
        if not cells or _TABLE.match(line.strip()):
            found = {} if cells else found
        elif cells[0] == "SUBJECT_NO":
            names = cells
        elif len(cells) == len(names) and "ID" in names:
            own = dict(zip(names, cells, strict=True))
            etas = {n: v for n, v in own.items() if re.fullmatch(r"ETA\(\d+\)", n)}
            found[f"{float(own['ID']):g}"] = {
                f"eta_{n[4:-1]}": value for n, value in zip(etas, _floats(list(etas.values())), strict=True)
            }
    return found

"""The drug of a model file, whatever its format: the reader, the sidecar and the bridge in a row."""

import importlib
from pathlib import Path

from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.sidecar import read_sidecar
from rl_drug_dosage.pharmacometrics.readers.written import ReadError, WrittenModel
from rl_drug_dosage.pkpd.model import DrugModel

__all__ = ["READERS", "read_drug", "read_written"]

_ROOM = "rl_drug_dosage.pharmacometrics.readers"
READERS = {
    ".r": "rxode2",
    ".mod": "nonmem",
    ".ctl": "nonmem",
    ".json5": "pkpdsim",
    ".xml": "sbml",
    ".sbml": "sbml",
}
"""Suffix, in lower case -> folder of this room whose ``reader`` has ``read(path) -> WrittenModel``."""


def read_written(path: Path) -> WrittenModel:
    """What a model file says.

    Raises:
        ReadError: another format, or something in the file that is not supported, by line and column.
    """
    module = READERS.get(path.suffix.lower())
    if module is None:
        raise ReadError(
            f"{path}: no model is read from {path.suffix or 'a file without a suffix'}; supported: "
            f"{', '.join(READERS)}; give such a file"
        )
    if not path.is_file():
        raise ReadError(f"{path} is no file that can be read to its end; supported: regular files; give one")
    found: WrittenModel = importlib.import_module(f"{_ROOM}.{module}.reader").read(path)
    return found


def read_drug(path: Path) -> tuple[DrugModel, tuple[Path, ...]]:
    """The drug model of a file and its sidecar, for the registry.

    Returns:
        The model; the file and all files that it was read from.

    Raises:
        ReadError: see `read_written` and `bridge.drug_model`.
    """
    written = read_written(path)
    sidecar = read_sidecar(path)
    model = drug_model(written, sidecar)
    others = [Path(file) for file in written.files] + ([sidecar.path] if sidecar.path else [])
    return model, (path, *(file for file in dict.fromkeys(others) if file != path))

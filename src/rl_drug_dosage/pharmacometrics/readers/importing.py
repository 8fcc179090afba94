"""What `rl-drug-dosage import` does: read a model file, and write it as a drug file."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from rl_drug_dosage.errors import ConfigError, OutputError
from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.drug_file import drug_file
from rl_drug_dosage.pharmacometrics.readers.files import read_written
from rl_drug_dosage.pharmacometrics.readers.sidecar import MissingWordsError, read_sidecar
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.registry import require_file

__all__ = ["ImportedModel", "import_model"]


@dataclass(frozen=True)
class ImportedModel:
    """A model that was read from somebody else's file.

    Args:
        written: what the file says.
        model: the drug model; None if something is missing.
        lacking: the lines that a sidecar needs, in TOML; empty if nothing is missing.
        text: the drug file in Python; empty if something is missing.
        path: where it was written; None if it was not.
    """

    written: WrittenModel
    model: DrugModel | None
    lacking: tuple[str, ...]
    text: str
    path: Path | None

    def __repr__(self) -> str:
        return f"<ImportedModel: {self.written.name}, {self.written.format}, from {self.written.path}>"


def import_model(file: Path, out: Path | None = None) -> ImportedModel:
    """Read a model file; with a place for it, write the drug file.

    Args:
        file: in a format of `files.READERS`; its sidecar lies beside it.
        out: the Python file to write, a new one.

    Raises:
        ReadError: the file cannot be read, or something is missing and ``out`` is given.
        ConfigError: ``out`` is no Python file.
        OutputError: ``out`` exists, or cannot be written.
    """
    require_file(file)
    if out is not None:
        if out.suffix != ".py":
            raise ConfigError(f"--out {out}: a drug file is a Python file; give a name that ends in .py")
        if out.exists():
            raise OutputError(f"{out} exists: give another name, or remove it")
    written = read_written(file)
    try:
        model = drug_model(written, read_sidecar(file))
    except MissingWordsError as error:
        if out is not None:
            raise
        return ImportedModel(written, None, error.below, "", None)
    text = drug_file(model, written)
    found = ImportedModel(written, model, (), text, None)
    if out is None:
        return found
    try:
        with out.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise OutputError(f"{out} exists: give another name, or remove it") from None
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; choose another --out") from None
    return dataclasses.replace(found, path=out)

"""A model file and its sidecar together, and what neither of them says."""

import re
from pathlib import Path

from rl_drug_dosage.pharmacometrics.readers.sidecar import CovariateWords, OutputWords, Sidecar, Wanted
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel

__all__ = ["Said", "toml_key"]


class Said:
    """What was said of a model, while it is made.

    Args:
        written: by the file.
        sidecar: beside it.
    """

    def __init__(self, written: WrittenModel, sidecar: Sidecar) -> None:
        self.written, self.sidecar = written, sidecar
        self.file = Path(written.path).name
        self.wanted: list[Wanted] = []
        """What a sidecar has to say, too."""
        self.remarks: list[str] = list(written.remarks)

    @property
    def beside(self) -> str:
        """The name of the sidecar, in messages."""
        return self.sidecar.path.name if self.sidecar.path is not None else "the sidecar"

    def want(self, table: str, key: str, what: str) -> None:
        """Ask for a value: the table, the key, and what belongs there."""
        self.wanted.append(Wanted(table, key, what))

    def unit(self, what: str) -> str:
        """The unit of time, dose or concentration; empty where nothing is said."""
        own: str = getattr(self.sidecar.units, what)
        return own or self.written.units.get(what, "")

    def covariate(self, name: str) -> CovariateWords:
        """What the sidecar says of a covariate of the file."""
        return self.sidecar.covariates.get(name, CovariateWords())

    def output(self, name: str) -> OutputWords:
        """What the sidecar says of an output of the file."""
        return self.sidecar.outputs.get(name, OutputWords())

    def source(self, line: int) -> str:
        """Where a number comes from."""
        return f"{self.file}, line {line}" if line else self.file


def toml_key(name: str) -> str:
    """A name as a TOML key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'

"""NAME.toml beside a model file: what the file does not say, and the model needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rl_drug_dosage.pkpd import DosingOptions, Target
from rl_drug_dosage.pkpd.distributions import Distribution

__all__ = ["CovariateWords", "OutputWords", "Sidecar", "read_sidecar"]


@dataclass(frozen=True)
class CovariateWords:
    """What a sidecar says of a covariate; None and empty where it says nothing."""

    unit: str = ""
    low: float | None = None
    high: float | None = None
    typical: float | None = None
    source: str = ""
    meaning: str = ""
    distribution: Distribution | None = None
    column: str = ""


@dataclass(frozen=True)
class OutputWords:
    """What a sidecar says of an output."""

    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says; an empty one says nothing.

    Args:
        path: of the file; None if there is none.
        units: "time", "dose", "concentration".
        molar_mass_g_per_mol: of the drug, for amounts in mol.
        mg_per_dose_unit: what one of the file's dose units is, for units that are no mass.
        covariates, outputs: by the names that the model file gives them.
        dosing, targets: as in a drug file; compartments by the model file's names.
        facts: drug, title, citation, doi, population.
    """

    path: Path | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    molar_mass_g_per_mol: float | None = None
    mg_per_dose_unit: float | None = None
    covariates: Mapping[str, CovariateWords] = field(default_factory=dict)
    outputs: Mapping[str, OutputWords] = field(default_factory=dict)
    dosing: DosingOptions | None = None
    targets: tuple[Target, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def read_sidecar(path: Path) -> Sidecar:
    """The sidecar of a model file: NAME.toml beside it, if there is one."""
    beside = path.with_suffix(".toml")
    return Sidecar(path=beside if beside.is_file() else None)

"""The engine's errors, all subclasses of `rl_drug_dosage.errors.RlDrugDosageError`.

ConfigError
├── DrugModelError      an inconsistent drug file
├── RegimenError        a dose record that makes no sense
├── CovariateError      an unknown, missing or non-finite covariate
└── ObservationError    a measured level that cannot be used as given
RlDrugDosageError
└── SolverError         a simulation that became infinite or NaN
"""

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError

__all__ = ["CovariateError", "DrugModelError", "ObservationError", "RegimenError", "SolverError"]


class DrugModelError(ConfigError):
    """An inconsistent drug file: its parts do not fit together."""


class RegimenError(ConfigError):
    """A dose record that makes no sense."""


class CovariateError(ConfigError):
    """An unknown, missing or non-finite covariate."""


class ObservationError(ConfigError):
    """A measured level that cannot be used as given."""


class SolverError(RlDrugDosageError):
    """A simulation that became infinite or NaN."""

    exit_code = 3

"""The engine's errors, all below `rl_drug_dosage.errors.RlDrugDosageError`.

ConfigError
├── DrugModelError      a drug file whose parts do not fit together
├── RegimenError        a dose record that no clinic or data set could mean
├── CovariateError      an unknown, missing or non-finite covariate
└── ObservationError    a level that cannot be used as it stands
RlDrugDosageError
└── SolverError         a simulation that did not stay finite
"""

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError

__all__ = ["CovariateError", "DrugModelError", "ObservationError", "RegimenError", "SolverError"]


class DrugModelError(ConfigError):
    """A drug file whose parts do not fit together."""


class RegimenError(ConfigError):
    """A dose record that no clinic or data set could mean."""


class CovariateError(ConfigError):
    """An unknown, missing or non-finite covariate."""


class ObservationError(ConfigError):
    """A level that cannot be used as it stands."""


class SolverError(RlDrugDosageError):
    """A simulation that did not stay finite."""

    exit_code = 3

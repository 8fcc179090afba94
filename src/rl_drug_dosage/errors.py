"""Every error that this package raises on purpose.

    RlDrugDosageError
    ├── ConfigError         a setting that is not allowed
    ├── UnknownNameError    a name (environment, drug, policy, command) that nothing carries
    ├── BadPluginError      a discovered file that does not keep its folder's agreement
    ├── ModelFileError      a model file that is missing, damaged, foreign or too new
    ├── CheckpointError     a run folder that cannot be resumed
    ├── OutputError         a place that cannot be written, or that must not be overwritten
    ├── DeviceError         an accelerator that was asked for and is not there
    ├── DependencyError     an optional extra that is not installed
    └── TrainingError       a training run that cannot go on (a loss that is not finite)

The command line prints the message in one line and exits with ``exit_code``. A message says what came, what is
allowed and what to do.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "BadPluginError",
    "CheckpointError",
    "ConfigError",
    "DependencyError",
    "DeviceError",
    "ModelFileError",
    "OutputError",
    "RlDrugDosageError",
    "TrainingError",
    "UnknownNameError",
]


class RlDrugDosageError(Exception):
    """The root of the tree above."""

    exit_code = 2


class ConfigError(RlDrugDosageError):
    """A setting that is not allowed."""


class UnknownNameError(RlDrugDosageError):
    """A name that nothing carries; the message offers the nearest one.

    Args:
        what: the kind of thing that was looked for, e.g. ``"environment"``.
        name: the name that came.
        known: the names that exist.
        remedy: what else could be done.
        near: the name to offer, empty for none; None: the nearest one by letters. Where a wrong guess would be
            believed (a covariate) the caller decides.
    """

    def __init__(
        self, what: str, name: str, known: Iterable[str], *, remedy: str = "", near: str | None = None
    ) -> None:
        names = sorted(known)
        if near is None:
            near = next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.4)), "")
        hint = f"did you mean {near!r}? " if near else ""
        shown = ", ".join(names) if len(names) <= 12 else ", ".join(names[:12]) + f" and {len(names) - 12} more"
        more = f"; {remedy}" if remedy else ""
        super().__init__(f"unknown {what} {name!r}: {hint}known: {shown or 'none'}{more}")


class BadPluginError(RlDrugDosageError):
    """A discovered file that does not keep its folder's agreement."""


class ModelFileError(RlDrugDosageError):
    """A model file that is missing, damaged, foreign or too new."""


class CheckpointError(RlDrugDosageError):
    """A run folder that cannot be resumed."""


class OutputError(RlDrugDosageError):
    """A place that cannot be written, or that must not be overwritten."""


class DeviceError(RlDrugDosageError):
    """An accelerator that was asked for and is not there."""


class DependencyError(RlDrugDosageError):
    """An optional extra that is not installed."""


class TrainingError(RlDrugDosageError):
    """A training run that cannot go on."""

    exit_code = 3

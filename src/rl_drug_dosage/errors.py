"""Every error that this package raises deliberately.

    RlDrugDosageError
    ├── ConfigError         a setting that is not allowed
    ├── UnknownNameError    an unknown name (of an environment, drug, policy or command)
    ├── BadPluginError      a file or object that does not define what is required
    ├── ModelFileError      a model file that is missing, damaged, foreign or too new
    ├── CheckpointError     a run folder that cannot be resumed
    ├── OutputError         a path that cannot be written, or must not be overwritten
    ├── DeviceError         a requested accelerator that is not available
    ├── DependencyError     an optional extra that is not installed
    └── TrainingError       a training run that cannot continue (a loss that is not finite)

The command line prints the message in one line and exits with ``exit_code``. A message says what was given, what is
allowed and what to do.
"""

import difflib
import re
import traceback
from collections.abc import Iterable, Sequence

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
    "in_one_line",
    "with_article",
]

_LONGEST = 400
_MODULE = re.compile(r"\brldd_user_[0-9a-f]{12}_")
_FILTERED = " -------------------- For simplicity, JAX has removed"
"""What JAX adds to errors about their traceback, which is not shown."""
_TRACED = frozenset({"ConcretizationTypeError", "TracerArrayConversionError", "TracerIntegerConversionError"})
"""Classes of JAX's errors about a number that a compiled function cannot look at."""
_JARGON = re.compile(r"\s+(?:This \w*Tracer|The problem arose|The error occurred|See https?:)")


class RlDrugDosageError(Exception):
    """Base class of all errors of this package."""

    exit_code = 2
    below: tuple[str, ...] = ()
    """Lines of a file to write, shown as they are under the message, which is then ``args[0]``."""


class ConfigError(RlDrugDosageError):
    """A setting that is not allowed."""


class UnknownNameError(RlDrugDosageError):
    """An unknown name; the message suggests the closest one.

    Args:
        what: kind of object, e.g. ``"environment"``.
        name: the given name.
        known: the existing names.
        remedy: another possible solution, if any.
        near: the name to suggest, empty for none; None: the one with the most similar spelling. Callers choose it
            themselves where a wrong suggestion could do harm, for example for covariates.
    """

    def __init__(
        self, what: str, name: str, known: Iterable[str], *, remedy: str = "", near: str | None = None
    ) -> None:
        names = sorted(known)
        if near is None:
            near = _nearest(name, names)
        hint = f"did you mean {near!r}? " if near else ""
        shown = ", ".join(names) if len(names) <= 12 else ", ".join(names[:12]) + f" and {len(names) - 12} more"
        more = f"; {remedy}" if remedy else ""
        known_ones = f"known: {shown}" if shown else ""
        super().__init__(f"unknown {what} {name!r}: {hint}{known_ones}{more if known_ones else remedy}")


class BadPluginError(RlDrugDosageError):
    """A file or object that does not define what is required."""


class ModelFileError(RlDrugDosageError):
    """A model file that is missing, damaged, foreign or too new."""


class CheckpointError(RlDrugDosageError):
    """A run folder that cannot be resumed."""


class OutputError(RlDrugDosageError):
    """A path that cannot be written, or must not be overwritten."""


class DeviceError(RlDrugDosageError):
    """A requested accelerator that is not available."""


class DependencyError(RlDrugDosageError):
    """An optional extra that is not installed."""

    @classmethod
    def of(cls, what: str, package: str, extra: str, instead: str = "") -> "DependencyError":
        """The same words for every extra.

        Args:
            what: needs it.
            package: as people call it.
            extra: of this package.
            instead: what else can be done.
        """
        other = f", or {instead}" if instead else ""
        return cls(
            f"{what} needs {package}, which is not installed: run `make install-{extra}` (or pip install "
            f"'rl-drug-dosage[{extra}]'){other}"
        )


class TrainingError(RlDrugDosageError):
    """A training run that cannot continue."""

    exit_code = 3


def _nearest(name: str, names: Sequence[str]) -> str:
    """The name of the most similar spelling, or one that begins with what was given; empty where none is near.

    Below a similarity of 0.6 a suggestion is far-fetched: "warfarin" for "aspirin".
    """
    begin = [known for known in names if len(name) > 1 and known.casefold().startswith(name.casefold())]
    return next(iter((*difflib.get_close_matches(name, names, n=1, cutoff=0.6), *begin)), "")


def with_article(word: str) -> str:
    """``"an environment"``, ``"a drug"``."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def in_one_line(error: BaseException) -> str:
    """Type and message of an error in foreign code, as at the end of a traceback, in one line of limited length.

    An error of this package is told by its message, and a class of a user's file without the name that the file's
    module has here.
    """
    if isinstance(error, RlDrugDosageError):
        return " ".join(str(error).split())
    lines = "".join(traceback.format_exception_only(error)).split("\n")
    # For a syntax error, the lines before show its location, which callers report themselves.
    text = " ".join(" ".join(lines[-2:] if isinstance(error, SyntaxError) else lines).split())
    text = _MODULE.sub("", text).partition(_FILTERED)[0].strip()
    if _TRACED & {kind.__name__ for kind in type(error).__mro__}:
        return f"{_JARGON.split(text)[0].rstrip('.')}; use jax.numpy and jnp.where in place of numpy and if"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."

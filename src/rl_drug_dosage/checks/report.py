"""Results of contract checks: named findings, and a report of all checks of one object."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from rl_drug_dosage.errors import BadPluginError, ConfigError, RlDrugDosageError, in_one_line
from rl_drug_dosage.utils.foreign import foreign_line, is_interrupt

__all__ = [
    "OWN",
    "Check",
    "Finding",
    "Level",
    "Passed",
    "Report",
    "Tell",
    "check",
    "doubt",
    "require_level",
    "run_checks",
    "sourced",
    "wrong",
]

Level = Literal["declared", "quick", "thorough"]
"""Extent of the checks.

``declared``: the declared values; nothing is compiled. ``quick`` also simulates and takes seconds. ``thorough`` also
solves the model by a second method, compares policies and runs Gymnasium's own checks, and takes minutes.
"""


def require_level(level: str) -> None:
    """Raise an error for an unknown level.

    Raises:
        ConfigError: the level is not one of `Level`.
    """
    if level not in get_args(Level):
        raise ConfigError(f"level must be one of {', '.join(get_args(Level))}, not {level!r}")


type Tell = Callable[[str], None]
"""Receives the name of each check before it runs."""

OWN = frozenset({"own", "this work", "unpublished", "not stated"})
"""Sources that are not publications; they give a warning, not a failure."""


@dataclass(frozen=True)
class Finding:
    """One problem.

    Args:
        check: name of the check.
        field: the field, as in Python: ``"thetas.cl"``, ``"goal.targets[0].unit"``.
        came: its value.
        allowed: allowed values.
        remedy: how to correct it.
        warning: a warning, not a failure.
    """

    check: str
    field: str
    came: str
    allowed: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.came}; allowed: {self.allowed}; {self.remedy}"


@dataclass(frozen=True)
class Passed:
    """A check without a failure, and its duration."""

    check: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """The results of all checks of one object.

    Args:
        kind: ``"drug"``, ``"scenario"`` or ``"policy"``.
        name: name of the object.
        passed: checks without a failure, in order.
        findings: failures and warnings, in order.
        skipped: checks not run, because a check that they depend on failed.
    """

    kind: str
    name: str
    passed: tuple[Passed, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Findings that break the contract."""
        return tuple(f for f in self.findings if not f.warning)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that do not break the contract."""
        return tuple(f for f in self.findings if f.warning)

    @property
    def ok(self) -> bool:
        """Whether no check failed; there may be warnings."""
        return not self.failures

    def raise_if_any(self) -> None:
        """Raise the failures as one error.

        Raises:
            BadPluginError: a check failed.
        """
        if self.failures:
            raise BadPluginError(
                f"{self.kind} {self.name!r} breaks its contract: {' | '.join(map(str, self.failures))}"
            )

    def __str__(self) -> str:
        lines = [f"{self.kind} {self.name}"]
        lines += [f"  passed   {p.check} ({p.seconds:.2f} s)" for p in self.passed]
        for name in dict.fromkeys(f.check for f in self.failures):
            lines += [f"  FAILED   {name}", *(f"    {f}" for f in self.failures if f.check == name)]
        lines += [f"  warning  {f.check}\n    {f}" for f in self.warnings]
        lines += [f"  not run  {name}" for name in self.skipped]
        return "\n".join(lines)


@dataclass(frozen=True)
class Check[T]:
    """One check.

    Args:
        name: name in reports.
        field: field to report if the check itself raises an error.
        find: returns the findings; their ``check`` may be empty.
    """

    name: str
    field: str
    find: Callable[[T], Iterable[Finding]]


def check[T](field: str) -> Callable[[Callable[[T], Iterable[Finding]]], Check[T]]:
    """Make a check from a function, named after it."""

    def wrap(find: Callable[[T], Iterable[Finding]]) -> Check[T]:
        return Check(find.__name__.strip("_").replace("_", " "), field, find)

    return wrap


def wrong(field: str, came: str, allowed: str, remedy: str) -> Finding:
    """Make a failure."""
    return Finding("", field, came, allowed, remedy)


def doubt(field: str, came: str, allowed: str, remedy: str) -> Finding:
    """Make a warning."""
    return Finding("", field, came, allowed, remedy, warning=True)


def sourced(field: str, text: str, least: int = 6) -> Iterable[Finding]:
    """A number has a source: a text of at least ``least`` characters, or one of `OWN`."""
    if text.strip().lower() in OWN:
        yield doubt(field, f"{text!r}", "a publication", "it cannot be looked up: describe its basis")
    elif len(text.strip()) < least:
        yield wrong(
            field, f"{text!r}" if text.strip() else "empty", "where the number was published", "cite it, or write 'own'"
        )


def run_checks[T](
    kind: str, name: str, subject: T, stages: Sequence[Sequence[Check[T]]], tell: Tell | None = None
) -> Report:
    """Run checks in order. After a stage with a failure, later stages are not run.

    An error raised by a check is reported as a failure of its field, with the last line of the error.

    Args:
        kind: kind of object, for the report.
        name: name of the object.
        subject: the argument of every check.
        stages: groups of checks; those of one group are independent.
        tell: receives the name of each check before it runs.
    """
    passed: list[Passed] = []
    findings: list[Finding] = []
    skipped: list[str] = []
    for stage in stages:
        if any(not f.warning for f in findings):
            skipped += [each.name for each in stage]
            continue
        for each in stage:
            if tell is not None:
                tell(each.name)
            begin = time.perf_counter()
            found = _found(each, subject)
            findings += found
            if all(f.warning for f in found):
                passed.append(Passed(each.name, time.perf_counter() - begin))
    return Report(kind, name, tuple(passed), tuple(findings), tuple(skipped))


def _found[T](each: Check[T], subject: T) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(replace(f, check=f.check or each.name) for f in each.find(subject))
    except BaseException as error:
        if is_interrupt(error):
            raise
        found.append(replace(failed(each.field, error), check=each.name))
    return found


def failed(field: str, error: BaseException) -> Finding:
    """Turn an error of a user's function into a failure."""
    if isinstance(error, RlDrugDosageError):
        return wrong(field, str(error), "parts that fit together", "correct it")
    own = foreign_line(error)
    at = f" (line {own.lineno} of {own.filename.rpartition('/')[2]}: {own.line})" if own is not None else ""
    return wrong(field, f"fails with {in_one_line(error)}{at}", "a function that can be evaluated", "correct it")

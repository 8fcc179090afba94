"""``rl-drug-dosage check``."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_drug_dosage.errors import ConfigError, OutputError
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rl_drug_dosage.checks.report import Finding, Report
    from rl_drug_dosage.registry import Found, Kind

__all__ = ["command"]

_BROKEN = 1
"""Exit code if a check fails; errors such as a missing file have another one."""


def command(  # noqa: PLR0917 - the options of a command line
    reference: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_NAME", help="A drug, scenario or policy: a file, a name, package.module:OBJECT."
        ),
    ],
    kind: Annotated[
        str | None, typer.Option(help="drug, scenario or policy.", show_default="what the file defines")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario in which a policy is checked; required for policies.")
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Also compare policies and run Gymnasium's own checks; takes minutes.")
    ] = False,
    figure: Annotated[bool, typer.Option(help="Draw the typical patient.")] = True,
    output_dir: Annotated[Path, typer.Option(help="Folder for the figure.")] = Path(),
    against: Annotated[
        Path | None,
        typer.Option(help="NONMEM's table of a run (sdtab): compare PRED, and IPRED and CWRES, with a drug model's."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data of that run, with a header, where the table lacks doses or covariates.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Relative tolerance of --against.", show_default="one unit of the last printed digit"),
    ] = None,
) -> None:
    """Check a drug model, a scenario or a policy, and draw a typical patient.

    Example: rl-drug-dosage check ./mine.py

    Example: rl-drug-dosage check ./run1.mod --against sdtab1 --data clinic.csv
    """
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.checks.reference import find_any

    what, found = find_any(reference, kind or "")
    scenario = scenario or _trained_for(reference, what, found)
    _require_scenario(reference, what, scenario)
    _require_drug(reference, what, against, data, tolerance)
    task = _task(scenario)
    _make_folder(output_dir)
    agrees = against is None or _compare(found, reference, against, data, tolerance)
    report = _check(what, found, task, "thorough" if thorough else "quick")
    _show(report, found.where)
    if figure and report.ok:
        path = output_dir / f"check-{report.name.replace(' ', '-').replace('/', '-')}.png"
        _draw(what, found, task, path)
        say(path)
    raise typer.Exit(0 if report.ok and agrees else _BROKEN)


def _require_scenario(reference: str, kind: "Kind", scenario: str | None) -> None:
    if (kind.word == "policy") == (scenario is not None):
        return
    if scenario is None:
        raise ConfigError(
            f"{reference} is a policy, which is checked in a scenario: name one with --scenario, for example "
            f"`rl-drug-dosage check {shlex.quote(reference)} --scenario vancomycin`"
        )
    raise ConfigError(f"{reference} is {kind.a_word}; only a policy is checked in a scenario: leave --scenario out")


def _require_drug(
    reference: str, kind: "Kind", against: Path | None, data: Path | None, tolerance: float | None
) -> None:
    if against is not None and kind.word != "drug":
        raise ConfigError(f"{reference} is {kind.a_word}; only a drug is compared with a table: leave --against out")
    if against is None and (data is not None or tolerance is not None):
        option = "--data" if data is not None else "--tolerance"
        raise ConfigError(f"{option} belongs to --against: name the table that NONMEM wrote, or leave {option} out")


def _compare(found: "Found[Any]", reference: str, against: Path, data: Path | None, tolerance: float | None) -> bool:
    """Print how the predictions agree with a table; whether they do."""
    from rl_drug_dosage.checks.reference import file_of
    from rl_drug_dosage.pharmacometrics.table_check import compare_with_table

    result = compare_with_table(found.value, against, file=file_of(reference), data=data, tolerance=tolerance)
    say(f"predictions beside {against}", bold=True)
    for column in result.columns:
        say(f"  {column}", fg=None if column.ok else "red")
    for note in result.notes:
        say(f"  {note}")
    return result.ok


def _trained_for(reference: str, kind: "Kind", found: "Found[Any]") -> str | None:
    """The scenario recorded in a trained policy's file; None if there is no such record.

    Raises:
        ConfigError: it is not built in or installed.
    """
    env = found.value.card.get("env") if kind.word == "policy" else None
    if not isinstance(env, Mapping):
        return None
    from rl_drug_dosage.registry import SCENARIO
    from rl_drug_dosage.trials.setting import by_name

    known = str(env.get("id", ""))
    if source := env.get("source"):
        raise ConfigError(
            f"{reference} was trained on a scenario of your own: give its file too (--scenario "
            f"{Path(source['file']).name})"
        )
    if by_name(SCENARIO, known) is None:
        raise ConfigError(
            f"{reference} was trained for {known}, which is no dosing scenario, and only policies of these are "
            f"checked: see how it doses with `rl-drug-dosage evaluate --model-path {shlex.quote(reference)}`"
        )
    return known


def _task(scenario: str | None) -> Any:
    from rl_drug_dosage.registry import find_scenario

    return find_scenario(scenario) if scenario is not None else None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make output folder {str(folder)!r}: {error.strerror}; choose another one") from None


def _check(kind: "Kind", found: "Found[Any]", task: Any, level: Any) -> "Report":
    from rl_drug_dosage import checks

    live = sys.stderr.isatty()

    def tell(name: str) -> None:
        if live:
            typer.echo(f"\r\033[Kchecking that {printable(name)}", err=True, nl=False)

    if kind.word == "drug":
        report: Report = checks.check_drug(found.value, level=level, tell=tell)
    elif kind.word == "scenario":
        report = checks.check_scenario(found, level=level, tell=tell)
    else:
        report = checks.check_policy(found, task, level=level, tell=tell)
    if live:
        typer.echo("\r\033[K", err=True, nl=False)
    return report


def _draw(kind: "Kind", found: "Found[Any]", task: Any, path: Path) -> None:
    from rl_drug_dosage.checks import pictures

    if kind.word == "drug":
        figure = pictures.draw_drug(found.value)
    elif kind.word == "scenario":
        figure = pictures.draw_scenario(found)
    else:
        figure = pictures.draw_course_of_policy(found.name, found.value, task)
    pictures.save(figure, path)


def _show(report: "Report", where: str) -> None:
    """One line per check. Findings follow on separate lines and are never truncated to the terminal width."""
    say(f"{report.kind} {report.name} ({where})", bold=True)
    for passed in report.passed:
        typer.echo(f"  passed  {passed.check} ({passed.seconds:.1f} s)")
    for word, colour, findings in (("FAILED ", "red", report.failures), ("warning", "yellow", report.warnings)):
        for name in dict.fromkeys(f.check for f in findings):
            say(f"  {word} {name}", fg=colour)
            for line in _grouped([f for f in findings if f.check == name]):
                say(f"          {line}")
    for name in report.skipped:
        typer.echo(f"  not run {name}")
    seconds = sum(p.seconds for p in report.passed)
    typer.echo(
        f"{len(report.passed)} passed, {len({f.check for f in report.failures})} failed, "
        f"{len(report.warnings)} warnings, {len(report.skipped)} not run, {seconds:.1f} s"
    )


def _grouped(findings: "Sequence[Finding]") -> Iterator[str]:
    """What is the same for several fields is said once, behind the names of all of them."""
    fields: dict[tuple[str, str, str], list[str]] = {}
    for each in findings:
        fields.setdefault((each.came, each.allowed, each.remedy), []).append(each.field)
    for (came, allowed, remedy), names in fields.items():
        yield f"{', '.join(names)}: {came}; allowed: {allowed}; {remedy}"

"""Section on the task: scenario, settings, windows with their sources, and the command."""

from collections.abc import Iterator

from rl_drug_dosage.reports.markup import Cell, Html, definitions, el, join, paragraph, table
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import capital, compact, count, unit_of
from rl_drug_dosage.utils.words import output_words

__all__ = ["task", "window_text"]


def window_text(low: float | None, high: float | None, unit: str) -> str:
    """A window as text; either edge may be open."""
    behind = unit_of(unit)
    if low is None and high is None:
        return "no limit"
    if low is None:
        return f"at most {compact(high)}{behind}"
    if high is None:
        return f"at least {compact(low)}{behind}"
    return f"{compact(low)} to {compact(high)}{behind}"


def _windows(view: View) -> Iterator[tuple[list[Cell | str], None]]:
    for window in view.windows:
        stretches = window.edges()
        for place, (start, stop, low, high) in enumerate(stretches):
            when = f"{compact(start * view.step)} to {compact(stop * view.step)} {view.time_unit}"
            yield (
                [
                    Cell(capital(window.title) if place == 0 else f"{capital(window.title)}, later", head=True),
                    window_text(low, high, window.unit),
                    "the whole course" if len(stretches) == 1 else when,
                    Cell(window.source, class_="source"),
                ],
                None,
            )


def _judged(view: View) -> str:
    judged, decisions = view.scenario["judged"], view.scenario["decisions"]
    if len(judged) == decisions:
        return f"all {decisions} intervals"
    if judged == list(range(judged[0], judged[-1] + 1)):
        start, stop = compact(judged[0] * view.step), compact((judged[-1] + 1) * view.step)
        return f"{len(judged)} of {decisions} intervals, those from {start} to {stop} {view.time_unit}"
    return f"{len(judged)} of {decisions} intervals: " + ", ".join(str(k + 1) for k in judged)


def _interval(view: View) -> str:
    hours = view.scenario["interval_h"]
    if hours < 1.0:
        minutes = 60.0 * hours
        text = f"{compact(60.0 * minutes)} s" if minutes < 1.0 else f"{compact(minutes)} min"
    else:
        text = f"{compact(hours)} h"
    times = view.scenario["decisions"]
    decisions = "1 decision" if times == 1 else f"{times} decisions"
    return f"{decisions}, one every {text}: {compact(view.horizon)} {view.time_unit}"


def _monitoring(view: View) -> str:
    plan, output = view.scenario["monitoring"], view.scenario["output"]
    text = f"{output_words(output['name'])}, {output['meaning']}" if output["meaning"] else output_words(output["name"])
    text += (
        f"; results are available after {compact(plan['turnaround_h'])} h"
        if plan["turnaround_h"]
        else "; available at once"
    )
    if plan["lloq"]:
        text += f"; limit of quantification {compact(plan['lloq'])}{unit_of(output['unit'])}"
    return f"{text}. {plan['source']}"


def _dosage(view: View) -> str:
    dosage = view.scenario["dosage"]
    text = f"{compact(dosage['lowest'])} to {compact(dosage['highest'])}{unit_of(dosage['unit'])}"
    if dosage["per"]:
        text += f", multiplied by the patient's {view.labels.get(dosage['per'], (dosage['per'], ''))[0]}"
    return f"{text}. {dosage['source']}"


def _covariates(view: View) -> Html:
    rows: list[tuple[list[Cell | str], None]] = [
        (
            [
                Cell(capital(c["meaning"] or c["name"]), head=True),
                f"{compact(c['low'])} to {compact(c['high'])}{unit_of(c['unit'])}",
                Cell(c["source"], class_="source"),
            ],
            None,
        )
        for c in view.scenario["covariates"]
    ]
    return table(
        "Virtual patients", ("covariates known to the policies", "range", "source"), rows, label="Virtual patients"
    )


def _simulated(view: View) -> str:
    simulator: str = view.settings["simulator"]
    if simulator not in view.scenario.get("test_only", []):
        return simulator
    return f"{simulator}, a test-only drug model: no policy was trained or tuned on it"


def task(view: View) -> list[Html]:
    """HTML of this section of the report."""
    settings, scenario = view.settings, view.scenario
    harms: list[tuple[list[Cell | str], None]] = [
        ([Cell(h["name"], head=True), Cell(h["source"], class_="source")], None) for h in scenario["harms"]
    ]
    columns = ("quantity", "window", "when", "source")
    return [
        definitions(
            (
                ("Scenario", f"{scenario['name']}: {scenario['title']} ({scenario['env_id']})"),
                ("Patients", f"{count(settings['patients'])}, seed {settings['seed']}, the same for every policy"),
                ("Simulated with", _simulated(view)),
                ("Policies assume", settings["controller"]),
                (
                    "Reference",
                    f"{view.reference} ({view.row[view.reference]['title']}); the other policies are compared with it",
                ),
                ("Safety shield", "every policy was run with and without it" if settings["shield"] else "not used"),
                ("Course", _interval(view)),
                ("Goal", scenario["goal"]),
                ("Judged", _judged(view)),
                ("Monitoring", _monitoring(view)),
                ("Dosage", _dosage(view)),
                ("Reward in training", scenario["reward"]),
                ("Label dose", scenario["label"]),
            ),
            class_="pairs",
        ),
        table("Target windows; all of them must be met", columns, _windows(view), label="Windows of the goal"),
        table("Events counted as harm", ("event", "source"), harms, label="Events counted as harm")
        if harms
        else paragraph("No event is counted as harm in this task."),
        _covariates(view),
        *_command(settings.get("command", "")),
    ]


def _command(command: str) -> list[Html]:
    if not command:
        return [paragraph("This benchmark was run from Python, not from the command line.")]
    box = el("pre", el("code", command), tabindex="0", role="region", aria_label="Command")
    return [join(paragraph("This command reproduces the report with identical numbers:"), box)]

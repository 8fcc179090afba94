"""A published trial: its page for ``info``, and the table of its numbers beside ours below a benchmark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rich.console import Console

    from rl_drug_dosage.registry import Found
    from rl_drug_dosage.trials.published_trial import PublishedRun, PublishedTrial

__all__ = ["list_published", "say_published", "show_published"]


def show_published(console: "Console", record: Mapping[str, Any]) -> None:
    """Print both trials: a row for each of their methods and each of our policies, then where the protocols differ.

    Args:
        console: where to.
        record: the part ``published`` of a benchmark's record.
    """
    from rl_drug_dosage.utils.tables import Column, show_table

    metrics = [m["name"] for m in record["metrics"]]
    rows = [(f"theirs: {arm}", *(own.get(m, "not read") for m in metrics)) for arm, own in _by_arm(record).items()]
    for row in record["ours"]:
        found = (row["values"][m] for m in metrics)
        shown = ("-" if v is None else f"{v['mean']:.1f} ({v['low']:.1f} to {v['high']:.1f})" for v in found)
        rows.append((f"ours: {row['policy']}", *shown))
    show_table(
        [Column("", "name", key=True), *(Column(f"{m['name']} ({m['unit']})") for m in record["metrics"])],
        rows,
        title=f"beside {record['title']}",
        console=console,
    )
    lines = [
        f"theirs: {record['citation']}",
        f"ours: scenario {record['run']['scenario']}, {record['run']['stands_for']}",
    ]
    if record["run"]["replaced"]:
        lines.append(f"replaced in the scenario: {record['run']['replaced']}")
    lines += [f"changed: {c['option']} is {c['given']}, planned {c['planned']}" for c in record["changed"]]
    lines += [f"differs, {d['what']}: theirs {d['theirs']}; ours {d['ours']}" for d in record["differences"]]
    lines += [f"not read: {text}" for text in record["unread"]]
    lines.append("The protocols differ as listed: numbers of one trial do not rank methods of the other.")
    for line in lines:
        console.print(printable(line), markup=False, highlight=False)


def _by_arm(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Their method -> metric -> its number, for people."""
    found: dict[str, dict[str, str]] = {}
    for n in record["theirs"]:
        found.setdefault(n["arm"], {})[n["metric"]] = _number(n["value"], n["spread"])
    return found


def _number(value: float, spread: float | None) -> str:
    return f"{value:g}" if spread is None else f"{value:g} ± {spread:g}"


def list_published(console: "Console") -> tuple[str, ...]:
    """Print a line for each published trial; returns those that another package breaks."""
    from rl_drug_dosage.registry import PUBLISHED, every
    from rl_drug_dosage.utils.tables import Column, show_table

    found, broken = every(PUBLISHED)
    show_table(
        [
            Column("published trial", "name", key=True),
            Column("title", "words"),
            Column("their numbers here"),
            Column("our scenarios", "names"),
        ],
        [
            (f.name, f.value.title, str(len(f.value.numbers)), ", ".join(r.scenario for r in f.value.runs))
            for f in found
        ],
        lines=True,
        console=console,
    )
    say("beside ours: rl-drug-dosage benchmark --published NAME")
    return broken


def say_published(found: "Found[PublishedTrial]") -> None:
    """Print a published trial: protocol, numbers with their places, what was not read, and how ours is run."""
    trial = found.value
    say(f"{found.name}: {trial.title}", bold=True)
    say(f"{trial.citation}\nread: {trial.sources}")
    _part("Their protocol", (f"{part}: {text}" for part, text in trial.protocol.items()))
    _part("Metrics", (f"{m.name} ({m.unit}), {m.over} over patients: {m.meaning}" for m in trial.metrics))
    units = {m.name: m.unit for m in trial.metrics}
    sourced: dict[tuple[str, str, str], list[str]] = {}
    for n in trial.numbers:
        shown = f"{n.metric} {_number(n.value, n.spread)} {units[n.metric]}"
        sourced.setdefault((n.arm, n.scenario, n.place), []).append(shown)
    _part("Their numbers", (_sourced(*key, numbers) for key, numbers in sourced.items()))
    _part("Not read", trial.unread)
    _part("Assumed", trial.assumed)
    _part("Ours", map(_run, trial.runs))
    _part("Differences", (f"{d.what}: theirs {d.theirs}; ours {d.ours}" for d in trial.differences))


def _sourced(arm: str, scenario: str, place: str, numbers: Sequence[str]) -> str:
    """The numbers of a method that stand in one place."""
    where = f" on {scenario}" if scenario else ""
    return f"{arm}{where}: {', '.join(numbers)} [{place}]"


def _run(run: "PublishedRun") -> str:
    models = ", ".join(
        f"{side} {name}" for side, name in (("simulator", run.simulator), ("controller", run.controller)) if name
    )
    parts = [f"scenario {run.scenario}", models, f"{run.patients:,} patients", f"policies {', '.join(run.policies)}"]
    replaced = f"; replaced: {run.replaced_text}" if run.replaced else ""
    return f"{run.stands_for}: {', '.join(p for p in parts if p)}{replaced}"


def _part(heading: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if not lines:
        return
    say(f"\n{heading}", bold=True)
    for line in lines:
        say(f"- {line}")

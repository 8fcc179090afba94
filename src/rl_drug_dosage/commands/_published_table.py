"""A published trial: its page for ``info``, and the table of its numbers beside ours below a benchmark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.utils.printable import printable, say
from rl_drug_dosage.utils.published_words import CAVEAT, number_words, our_rows, their_rows

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

    rows = [(f"theirs: {arm}", *numbers) for arm, numbers in their_rows(record)]
    rows += [(f"ours: {policy}", *numbers) for policy, numbers in our_rows(record)]
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
    lines.append(CAVEAT)
    for line in lines:
        console.print(printable(line), markup=False, highlight=False)


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
        shown = f"{n.metric} {number_words(n.value, n.spread)} {units[n.metric]}"
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

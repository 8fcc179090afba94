"""``rl-drug-dosage sweep``."""

import inspect
import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._training_options import PRESET_HELP, given_ones, option, settings
from rl_drug_dosage.training.config import NOT_SWEPT, TrainConfig
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rl_drug_dosage.training.sweep import SweepResult

__all__ = ["command"]

_DEFAULT = defaults_of(api.sweep)
_SHOWN = 5
"""Trials in the table on the terminal."""


def _sweep(ctx: typer.Context, **values: Any) -> None:
    """Search hyper-parameters: many trainings, judged on their evaluation patients.

    Example: rl-drug-dosage sweep --preset fast --param learning_rate=1e-4..1e-2 --param gamma=0.8,0.9,0.99 --trials 10
    """
    given = given_ones(ctx, values)

    from rl_drug_dosage.training.sweep.space import named
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.sweep(
            given.pop("env_id", TrainConfig.env_id),
            params=named(given.pop("param", ())),
            command=shlex.join(["rl-drug-dosage", *sys.argv[1:]]),
            progress=progress,
            **given,
        )
    _tell(result, named_by_user="name" in given)


def _tell(result: "SweepResult", *, named_by_user: bool) -> None:
    folder = result.folder
    if result.interrupted_by is not None:
        name = [] if named_by_user else ["--name", folder.path.name]
        again = shlex.join(["rl-drug-dosage", *sys.argv[1:], *name])
        say(f"stopped after {len(result.records)} of {result.wanted} trials; go on with: {again}")
        raise typer.Exit(128 + result.interrupted_by)
    _table(result)
    for record in result.failed[:3]:
        say(f"trial {record.trial} failed: {record.reason}")
    if len(result.failed) > 3:
        say(f"and {len(result.failed) - 3} more failed: {folder.trials} has the reasons")
    best = result.best
    assert best is not None
    say(f"best: trial {best.trial} of {len(result.records)}, chosen by these patients, so look at it on others")
    for path in (folder.trials, folder.table, folder.picture, folder.best):
        say(path)
    say(f"train with it: {result.train_command}")


def _table(result: "SweepResult") -> None:
    from rl_drug_dosage.training.sweep.space import shown
    from rl_drug_dosage.utils.tables import Column, show_table

    seeds = len(result.ranked[0].returns)
    names = [p.name for p in result.space]
    rows = []
    for record in result.ranked[:_SHOWN]:
        values = record.returns if result.objective == "return" else record.in_range_pct
        known = [v for v in values if v is not None]
        spread = [f"{min(known):.2f} to {max(known):.2f}"] if seeds > 1 else []
        rows.append((str(record.trial), f"{record.objective:.2f}", *spread, *(shown(record.params[n]) for n in names)))
    heading = result.objective.replace("-", " ")
    columns = [Column("trial", "name", key=True), Column(heading), *([Column("over seeds")] if seeds > 1 else [])]
    median = f", median of {seeds} seeds" if seeds > 1 else ""
    title = f"Best of {len(result.records)} trials by {heading}{median}, on the evaluation patients"
    show_table([*columns, *map(Column, names)], rows, title=title)


def _signature() -> inspect.Signature:
    """The options: those of the search, and what all trials share."""
    text = inspect.Parameter.POSITIONAL_OR_KEYWORD
    varied = "NAME=a..b (a..b:log, a..b:lin) or NAME=a,b,c: a setting of training to vary (repeatable)"
    own = [
        option("param", list[str] | None, None, varied, "Sweep"),
        option("trials", int, _DEFAULT["trials"], "number of trials, those that are done included", "Sweep"),
        option("objective", str, _DEFAULT["objective"], "what is maximised: return, time-in-range", "Sweep"),
        option("name", str, _DEFAULT["name"], "name of the sweep's folder; the same command again resumes it", "Sweep"),
        option("scenario", str, _DEFAULT["scenario"], "dosing task: a name or a file, in place of --env-id", "Task"),
        option("decisions", int, _DEFAULT["decisions"], "decisions per course (0: the scenario's default)", "Task"),
        option("preset", str, _DEFAULT["preset"], PRESET_HELP, "Task"),
        option("config", str, _DEFAULT["config"], "settings from this config.toml, in place of the defaults", "Task"),
    ]
    context = inspect.Parameter("ctx", text, annotation=typer.Context)
    return inspect.Signature([context, *own, *settings(NOT_SWEPT)], return_annotation=None)


def command(*args: Any, **kwargs: Any) -> None:
    """Forward all arguments; name, help and options are those of ``_sweep`` and of the configuration."""
    _sweep(*args, **kwargs)


command.__doc__ = _sweep.__doc__
command.__signature__ = _signature()  # type: ignore[attr-defined]
command.__annotations__ = {p.name: p.annotation for p in _signature().parameters.values()}

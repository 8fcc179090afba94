"""``rl-drug-dosage train``."""

import dataclasses
import inspect
import json
import math
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.config import PRESETS, RunOptions, TrainConfig, options_of

if TYPE_CHECKING:
    from rl_drug_dosage.training.trainer import RunResult

__all__ = ["command"]

_RUN_FIELDS = {f.name for f in dataclasses.fields(RunOptions)}
# a resumed run is what it was; only where and how it is shown may differ
_WITH_RESUME = {"device"}
_SCENARIO = "scenario"


def _train(ctx: typer.Context, preset: str, resume: str, **values: Any) -> None:
    """Train a dosing policy with PPO.

    Example: rl-drug-dosage train --preset fast --seed 3
    """
    given = {name for name in values if ctx.get_parameter_source(name).name != "DEFAULT"}  # type: ignore[union-attr]
    if resume and (extra := sorted((given - _WITH_RESUME) | ({"preset"} if preset else set()))):
        raise ConfigError(
            f"--resume goes on as the run was configured: leave out --{extra[0].replace('_', '-')}, or start a new run"
        )
    decisions = values.pop("decisions")
    values |= {k: v for k, v in _preset(preset, values["env_id"]).items() if k not in given}
    options = RunOptions(**{k: v for k, v in values.items() if k in _RUN_FIELDS})
    config = TrainConfig(**{k: v for k, v in values.items() if k not in _RUN_FIELDS})
    if decisions:
        options_json = json.dumps({**config.env_options(), "decisions": decisions})
        config = dataclasses.replace(config, env_kwargs=options_json)

    from rl_drug_dosage.utils.runtime import configure

    configure(options.device)

    from pathlib import Path

    from rich.console import Console

    from rl_drug_dosage.training import trainer
    from rl_drug_dosage.training.progress import Progress

    with Progress(Console()) as progress:
        if resume:
            result = trainer.resume(Path(resume), device=options.device, progress=progress)
        else:
            line = shlex.join(["rl-drug-dosage", *sys.argv[1:]])
            result = trainer.train(config, options, command=line, progress=progress)
    _tell(result)


def _preset(name: str, env_id: str) -> Mapping[str, Any]:
    """The settings of a preset; those of ``scenario`` depend on the environment."""
    if name == _SCENARIO:
        from rl_drug_dosage.training.recipe import recipe

        return recipe(env_id)
    if name and name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join((*PRESETS, _SCENARIO))}, not {name!r}")
    return PRESETS.get(name, {})


def _tell(result: "RunResult") -> None:
    folder = result.folder
    if result.interrupted_by is not None and not result.complete:
        typer.echo(f"stopped at step {result.step:,}; go on with: rl-drug-dosage train --resume {folder.path}")
        raise typer.Exit(128 + result.interrupted_by)
    if result.train_s > 0:
        typer.echo(
            f"trained {result.step:,} steps in {result.train_s:.1f} s, after {result.compile_s:.1f} s of compiling"
        )
    if result.summaries:
        typer.echo("last evaluation, deterministic policy on held-out patients:")
        shares = sorted(s.in_range_pct for s in result.summaries)
        returns = sorted(s.mean_reward for s in result.summaries)
        for name, values, unit in (("return", returns, ""), ("time in range", shares, " %")):
            middle, low, high = values[(len(values) - 1) // 2], values[0], values[-1]
            spread = f" (median of {len(values)} seeds, from {low:.2f} to {high:.2f})" if len(values) > 1 else ""
            if not math.isnan(middle):
                typer.echo(f"  {name}: {middle:.2f}{unit}{spread}")
    typer.echo(f"model: {folder.model}")
    typer.echo(f"curves: tensorboard --logdir {folder.path.parent}")


def _signature() -> inspect.Signature:
    """The options of ``train``, made from the configuration's own fields."""
    text = inspect.Parameter.POSITIONAL_OR_KEYWORD

    def parameter(name: str, kind: type, default: Any, help_: str, panel: str) -> inspect.Parameter:
        option = typer.Option(help=help_, rich_help_panel=panel, show_default=default != "")
        return inspect.Parameter(name, text, default=default, annotation=Annotated[kind, option])

    fields = [parameter(o.name, o.kind, o.default, o.help, o.panel) for o in options_of() + options_of(RunOptions)]
    preset = parameter(
        "preset",
        str,
        "",
        f"a set of defaults: {', '.join(PRESETS)}, or {_SCENARIO} (that of a dosing scenario)",
        "Task",
    )
    decisions = parameter("decisions", int, 0, "decisions of a course (0: the scenario's own)", "Task")
    resume = parameter("resume", str, "", "go on with the run in this folder, bit for bit", "Run")
    context = inspect.Parameter("ctx", text, annotation=typer.Context)
    return inspect.Signature([context, preset, *fields, decisions, resume], return_annotation=None)


def command(*args: Any, **kwargs: Any) -> None:
    """Hand everything on; name, help and options are those of ``_train`` and of the configuration."""
    _train(*args, **kwargs)


command.__doc__ = _train.__doc__
command.__signature__ = _signature()  # type: ignore[attr-defined]
command.__annotations__ = {p.name: p.annotation for p in _signature().parameters.values()}

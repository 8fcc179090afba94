"""``rl-drug-dosage train``."""

import inspect
import math
import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._training_options import PRESET_HELP, given_ones, option, settings
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rl_drug_dosage.training.run_result import RunResult

__all__ = ["command"]

_DEFAULT = defaults_of(api.train)


def _train(ctx: typer.Context, **values: Any) -> None:
    """Train a dosing policy with PPO.

    Example: rl-drug-dosage train --preset fast --seed 3
    """
    given = given_ones(ctx, values)

    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.train(
            given.pop("env_id", TrainConfig.env_id),
            command=shlex.join(["rl-drug-dosage", *sys.argv[1:]]),
            progress=progress,
            **given,
        )
    _tell(result)


def _tell(result: "RunResult") -> None:
    folder = result.folder
    if result.interrupted_by is not None and not result.complete:
        typer.echo(f"stopped at step {result.step:,}; resume with: {result.resume_command}")
        raise typer.Exit(128 + result.interrupted_by)
    if result.train_s > 0:
        typer.echo(
            f"trained {result.step:,} steps in {result.train_s:.1f} s, after {result.compile_s:.1f} s of compilation"
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
    for warning in result.warnings:
        say(f"warning: {warning}")
    say(f"model: {folder.model}")
    say(f"curves: tensorboard --logdir {folder.path.parent}")


def _signature() -> inspect.Signature:
    """The options of ``train``, built from the configuration's fields."""
    own = [
        option("scenario", str, _DEFAULT["scenario"], "dosing task: a name or a file, in place of --env-id", "Task"),
        option("decisions", int, _DEFAULT["decisions"], "decisions per course (0: the scenario's default)", "Task"),
        option("preset", str, _DEFAULT["preset"], PRESET_HELP, "Task"),
    ]
    resume = [
        option(
            "config",
            str,
            _DEFAULT["config"],
            "settings from this file, in place of the defaults: a run's config.toml or a sweep's best.toml",
            "Run",
        ),
        option(
            "init_from",
            str,
            _DEFAULT["init_from"],
            "start with the weights and the observation normaliser of this model file (or run folder)",
            "Run",
        ),
        option(
            "resume",
            str,
            _DEFAULT["resume"],
            "resume the run in this folder, bit-identically; with --total-timesteps train it longer",
            "Run",
        ),
        option(
            "accept_changed",
            bool,
            _DEFAULT["accept_changed"],
            "resume, or start from --init-from, although the scenario file (or a drug file) has changed since",
            "Run",
        ),
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    return inspect.Signature([context, *own, *settings(), *resume], return_annotation=None)


def command(*args: Any, **kwargs: Any) -> None:
    """Forward all arguments; name, help and options are those of ``_train`` and of the configuration."""
    _train(*args, **kwargs)


command.__doc__ = _train.__doc__
command.__signature__ = _signature()  # type: ignore[attr-defined]
command.__annotations__ = {p.name: p.annotation for p in _signature().parameters.values()}

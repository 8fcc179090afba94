"""Evaluate a model file: episodes, figures, data, metrics."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rl_drug_dosage.envs import catalog
from rl_drug_dosage.errors import ConfigError, ModelFileError, OutputError
from rl_drug_dosage.ppo.model_file import Model, load_model
from rl_drug_dosage.reports.page import report_html
from rl_drug_dosage.training.episodes import Episodes, run_compiled, run_gymnasium
from rl_drug_dosage.training.plots import save_plots
from rl_drug_dosage.trials.benchmark import BenchmarkOptions, benchmark
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.loggers import Logger
from rl_drug_dosage.utils.seeding import Stream
from rl_drug_dosage.utils.wandb import WandbOptions, require_wandb, start_wandb

__all__ = ["DATA_FILE", "REPORT_FILE", "Evaluation", "EvaluationOptions", "evaluate"]

DATA_FILE = "rollout_data.csv"
REPORT_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to evaluate, how, and where to write it; the command's options.

    Raises:
        ConfigError: a number that is not allowed.
    """

    model_path: Path
    output_dir: Path | None = None
    num_episodes: int = 1
    seed: int = 1
    deterministic: bool = True
    save_data: bool = False
    wandb: WandbOptions | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.num_episodes <= 1_000_000:
            raise ConfigError(f"--num-episodes must be from 1 to 1000000, not {self.num_episodes}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"--seed must be from 0 to 4294967295, not {self.seed}")


@dataclass(frozen=True)
class Evaluation:
    """What came of it."""

    model: Model
    episodes: Episodes
    files: tuple[Path, ...]


def evaluate(options: EvaluationOptions, *, say: Callable[[str], None] = print) -> Evaluation:
    """Run the episodes, then write the figures, the data if wanted, and a report where the task is a scenario.

    Raises:
        ModelFileError: the model cannot be read, or its environment cannot be made.
        OutputError: a place that cannot be written.
    """
    if options.wandb is not None:
        require_wandb()
    model = load_model(options.model_path)
    folder = options.output_dir or options.model_path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot make output folder {folder}: {reason}; choose another --output-dir") from None
    episodes = run_model(model, options)
    kind = "deterministic" if options.deterministic else "stochastic"
    count = f"{options.num_episodes:,} episode{'s' if options.num_episodes > 1 else ''}"
    plots = save_plots(episodes, folder, f"{model.env_id}, PPO ({kind}), {count}, seed {options.seed}")
    files = [*plots.values()]
    if options.save_data:
        files.append(save_data(episodes, folder / DATA_FILE))
    if model.env_id in catalog.scenario_ids():
        files.append(_report(options, model, folder))
    if options.wandb is not None:
        logger = start_wandb(options.wandb, folder=folder, config=_settings(options, model), say=say)
        try:
            _log(logger, episodes, plots)
        finally:
            logger.close()
    return Evaluation(model, episodes, tuple(files))


def _report(options: EvaluationOptions, model: Model, folder: Path) -> Path:
    """The single-policy version of a benchmark's report."""
    asked = BenchmarkOptions(
        scenario=model.env_id,
        policies=(str(options.model_path),),
        patients=options.num_episodes,
        seed=options.seed,
        simulator=str(model.env_options.get("simulator", "")),
    )
    path = folder / REPORT_FILE
    atomic_write(path, report_html(benchmark(asked).record).encode())
    return path


def run_model(model: Model, options: EvaluationOptions) -> Episodes:
    """The episodes of a model on the environment that its file names, on patients of the evaluation's own stream."""
    chosen: dict[str, Any] = {
        "seed": options.seed,
        "stream": Stream.EVALUATE,
        "episodes": options.num_episodes,
        "deterministic": options.deterministic,
    }
    env = catalog.find_env(model.env_id)
    if env is not None:
        functional = catalog.make(env, env.evaluation(model.env_options), model.frame_stack)
        _check_fit(model, len(functional.observation_bounds[0]), len(functional.action_bounds[0]))
        return run_compiled(functional, model.policy, **chosen)
    return run_gymnasium(lambda: _registered(model), model.policy, **chosen)


def _registered(model: Model) -> gymnasium.Env[Any, Any]:
    try:
        env = gymnasium.make(model.env_id, **model.env_options)
    except (gymnasium.error.Error, TypeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelFileError(
            f"the model was trained for {model.env_id!r}, which cannot be made here ({first}): "
            "install the package that brings it"
        ) from None
    _check_fit(model, int(np.prod(env.observation_space.shape or (0,))), int(np.prod(env.action_space.shape or (0,))))
    return env


def _check_fit(model: Model, obs_size: int, action_size: int) -> None:
    came = (model.policy.obs_size, model.policy.low.size)
    if came != (obs_size, action_size):
        raise ModelFileError(
            f"the model takes {came[0]} observations and gives {came[1]} actions, but {model.env_id} here has "
            f"{obs_size} and {action_size}: it was trained for another version of that environment"
        )


def save_data(episodes: Episodes, path: Path) -> Path:
    """Every step of every episode as CSV, see `Episodes.columns`.

    Raises:
        OutputError: it cannot be written.
    """
    columns = episodes.columns
    buffer = io.StringIO()
    buffer.write(",".join(columns) + "\n")
    texts = [[repr(v) for v in column.tolist()] for column in columns.values()]
    buffer.writelines(",".join(row) + "\n" for row in zip(*texts, strict=True))
    atomic_write(path, buffer.getvalue().encode())
    return path


def _settings(options: EvaluationOptions, model: Model) -> dict[str, object]:
    return {
        "env_id": model.env_id,
        "num_episodes": options.num_episodes,
        "seed": options.seed,
        "deterministic": options.deterministic,
        "training": dict(model.training),
    }


def _log(logger: Logger, episodes: Episodes, plots: dict[str, Path]) -> None:
    rows = list(
        zip(
            range(1, len(episodes.valid) + 1),
            episodes.returns.tolist(),
            episodes.lengths.tolist(),
            episodes.in_range_pct.tolist(),
            strict=True,
        )
    )
    for number, reward, steps, share in rows:
        logger.scalars(number, {"episode/reward": reward, "episode/steps": steps, "episode/in_range_pct": share})
    summary = {
        "eval/mean_reward": float(episodes.returns.mean()),
        "eval/std_reward": float(episodes.returns.std()),
        "eval/mean_in_range_pct": float(episodes.in_range_pct.mean()),
    }
    logger.scalars(len(rows), summary)
    logger.images(len(rows), plots)
    logger.table("episodes", ("episode", "reward", "steps", "in_range_pct"), rows)

"""A training run: iterate, log, evaluate, checkpoint, stop cleanly."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import jax
import numpy as np

from rl_drug_dosage.errors import CheckpointError, TrainingError
from rl_drug_dosage.ppo.action_space import ActionSpace
from rl_drug_dosage.ppo.learner import Learner
from rl_drug_dosage.ppo.model_file import save_model
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.checkpoint import save_checkpoint
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.training.episodes import Summary, cut_note
from rl_drug_dosage.training.interrupts import Interrupts
from rl_drug_dosage.training.iteration import Report
from rl_drug_dosage.training.plan import Plan
from rl_drug_dosage.training.progress import Moment
from rl_drug_dosage.training.report import culprit, lost_note, mean_over_seeds, scalars
from rl_drug_dosage.training.run_folder import RunFolder
from rl_drug_dosage.training.run_result import RunResult
from rl_drug_dosage.utils.foreign import is_interrupt
from rl_drug_dosage.utils.loggers import JsonLinesLogger, Logger, Loggers, TensorBoardLogger
from rl_drug_dosage.utils.progress import Progress
from rl_drug_dosage.utils.wandb import WandbOptions, start_wandb

__all__ = ["Program", "Run", "Start"]


class Program(Protocol):
    """A way to train: what the two collectors have in common."""

    seeds: tuple[int, ...]
    env_record: Mapping[str, Any]
    observation_names: Sequence[str]
    learner: Learner
    actions: ActionSpace | None
    compiles_evaluation: bool
    reward: str

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]: ...

    def with_numbers(self, config: TrainConfig, num_updates: int) -> Self: ...
    def init(self) -> Any: ...
    def compile(self, state: Any) -> None: ...
    def __call__(self, state: Any) -> tuple[Any, Report]: ...
    def policies(self, state: Any) -> tuple[PpoPolicy, ...]: ...
    def evaluate(self, policy: PpoPolicy, seed: int, episodes: int) -> Summary: ...
    def snapshot(self, state: Any) -> dict[str, np.ndarray]: ...
    def restore(self, tensors: Mapping[str, np.ndarray], say: Callable[[str], None]) -> Any: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    Args:
        state: of the program.
        update: how many updates are done.
        record: of the checkpoint; None in the folder of a run that has none.
        fresh: nothing of it has run yet, in this process or in another.
    """

    state: Any
    update: int
    record: Mapping[str, Any] | None
    fresh: bool


@dataclass
class Run:
    """One run, from its first update here to its last.

    Args:
        plan: what is trained, and how long.
        options: where it is written.
        folder: its files.
        program: the way to train.
        progress: reports where it is.
        history: how its training came about, for the model file.
        again: arguments that name the task again.
    """

    plan: Plan
    options: RunOptions
    folder: RunFolder
    program: Program
    progress: Progress
    history: Mapping[str, Any]
    again: str
    updates: int = 0
    """Updates that were done here."""

    def execute(self, at: Start) -> RunResult:
        """Train to the end, or until a signal.

        Raises:
            TrainingError: a loss that is not finite.
            CheckpointError: a finished run without its model.
            BadPluginError: an environment that breaks its contract.
        """
        plan, state, update = self.plan, at.state, at.update
        self._cut_told = False
        if update >= plan.num_updates:
            self._require_models()
            self._say("the run is complete already")
            return RunResult(self.folder, (), update * plan.batch_size, True, None, 0.0, 0.0)
        start = time.perf_counter()
        with Interrupts() as interrupts:
            self._open_loggers(at)
            try:
                if at.record is None:
                    self._save(state, 0)
                self._compile(state)
                compile_s = time.perf_counter() - start
                state, update, summaries = self._loop(state, update, interrupts)
            finally:
                self._loggers.close()
        return RunResult(
            self.folder,
            summaries if update == plan.num_updates else (),
            update * plan.batch_size,
            update == plan.num_updates,
            interrupts.received,
            compile_s,
            time.perf_counter() - start - compile_s,
            self.again,
            self._never_varied(state) if update else (),
        )

    def _require_models(self) -> None:
        """Refuse the folder of a finished run that has lost a model.

        Raises:
            CheckpointError: names the files.
        """
        own = [self.folder, *(self.folder.of_seed(s) for s in self.program.seeds if len(self.program.seeds) > 1)]
        lost = [str(f.model) for f in own if not f.model.is_file()]
        if lost:
            raise CheckpointError(
                f"{self.folder.path} is complete at {self.plan.total_timesteps:,} steps, but {', '.join(lost)} is "
                "missing: restore it from a copy, or train longer, which writes it again (--resume "
                f"{self.folder.path} --total-timesteps N with N above {self.plan.total_timesteps})"
            )

    def _never_varied(self, state: Any) -> tuple[str, ...]:
        """A sentence that names the inputs that were constant in the training of every seed."""
        constant = np.logical_and.reduce([np.isfinite(p.constants()) for p in self.program.policies(state)])
        names = self.program.observation_names
        found = [names[i] if i < len(names) else f"input {i}" for i in map(int, np.flatnonzero(constant))]
        said = "never varied in training, so that the policy has learnt nothing of them and holds them constant: "
        return (said + ", ".join(found),) if found else ()

    def _say(self, text: str) -> None:
        self.progress(text, None)

    def _compile(self, state: Any) -> None:
        """Compile both programs, side by side, the evaluation by that of one seed: the clock starts afterwards."""
        self.progress("compiling the training", 0.0)
        with ThreadPoolExecutor(1) as pool:
            wanted = self.plan.config.eval_freq and self.program.compiles_evaluation
            evaluated = pool.submit(self._evaluate, state, most=1) if wanted else None
            self.program.compile(state)
            if evaluated is not None:
                evaluated.result()

    def _loop(self, state: Any, update: int, interrupts: Interrupts) -> tuple[Any, int, tuple[Summary, ...]]:
        plan, config = self.plan, self.plan.config
        first, start = update, time.perf_counter()
        summaries: tuple[Summary, ...] = ()
        self.progress(f"update {update + 1:,} of {plan.num_updates:,}", update / plan.num_updates)
        while update < plan.num_updates and interrupts.received is None:
            try:
                new, report = self.program(state)
            except BaseException as error:
                if not is_interrupt(error):
                    self._kept(state, update)
                raise
            report = jax.device_get(report)
            if reason := culprit(report, self.program.seeds, self.program.reward):
                raise TrainingError(
                    f"update {update + 1}: {reason}; the update was not applied, {self._kept(state, update)}: lower "
                    "--learning-rate, or look at the environment's numbers"
                )
            if note := lost_note(report, plan.batch_size):
                self._say(f"update {update + 1}: {note}")
            state, update = new, update + 1
            self.updates += 1
            step, last = update * plan.batch_size, update == plan.num_updates
            elapsed = time.perf_counter() - start
            sps = (update - first) * plan.batch_size * len(self.program.seeds) / elapsed
            values = [scalars(report, i, config, sps) for i in range(len(self.program.seeds))]
            if config.eval_freq and (last or update % config.eval_freq == 0):
                summaries = self._evaluate(state)
                values = [v | s.metrics() for v, s in zip(values, summaries, strict=True)]
            self._log(step, values)
            mean = mean_over_seeds(values)
            moment = Moment(
                step,
                plan.total_timesteps,
                sps,
                mean.get("charts/episodic_return", float("nan")),
                100.0 * float(np.mean(report.episodes.in_range)),
            )
            self.progress(moment.line(), step / plan.total_timesteps)
            if last or update % self.options.checkpoint_freq == 0:
                self._save(state, update, summaries if last else ())
        if update < plan.num_updates and update % self.options.checkpoint_freq:
            self._save(state, update)
        return state, update, summaries

    def _kept(self, state: Any, update: int) -> str:
        if not update:
            return "and nothing was learnt before it"
        self._save(state, update)
        return f"and the state before it is in {self.folder.checkpoint}"

    def _evaluate(self, state: Any, most: int | None = None) -> tuple[Summary, ...]:
        config = self.plan.config
        pairs = tuple(zip(self.program.policies(state), self.program.seeds, strict=True))
        found = tuple(self.program.evaluate(p, seed, config.eval_episodes) for p, seed in pairs[:most])
        cut = sum(s.episodes_cut for s in found)
        if cut and not self._cut_told:
            self._say(cut_note(config.env_id, cut, config.eval_episodes * len(found)))
            self._cut_told = True
        return found

    def _log(self, step: int, values: list[dict[str, float]]) -> None:
        self._main_loggers.scalars(step, mean_over_seeds(values))
        for logger, own in zip(self._seed_loggers, values, strict=False):
            logger.scalars(step, own)

    def _open_loggers(self, at: Start) -> None:
        config, folder = self.plan.config, self.folder
        record = at.record or {}
        offset = int(record.get("metrics_bytes", 0)) if at.record or folder.metrics.exists() else None
        step = None if at.fresh or not at.record else at.update * self.plan.batch_size
        described = bool(list(folder.path.glob("events.out.tfevents.*")))
        self._metrics = JsonLinesLogger(folder.metrics, resume_bytes=offset)
        loggers: list[Logger] = [self._metrics, TensorBoardLogger(folder.path, resume_step=step)]
        many = len(self.program.seeds) > 1
        self._seed_loggers = tuple(
            TensorBoardLogger(folder.of_seed(s).path, resume_step=step) for s in self.program.seeds if many
        )
        if self.options.track:
            o = self.options
            wandb = WandbOptions(
                project=o.wandb_project,
                entity=o.wandb_entity or None,
                tags=tuple(t for t in (t.strip() for t in o.wandb_tags.split(",")) if t),
                name=folder.path.name,
                group=config.env_id,
            )
            loggers.append(start_wandb(wandb, folder=folder.path, config=config.to_record(), say=self._say))
        self._loggers = Loggers([*loggers, *self._seed_loggers])
        self._main_loggers = Loggers(loggers)
        if not described:
            self._loggers.hyperparameters(config.to_record())

    def _save(self, state: Any, update: int, last: tuple[Summary, ...] = ()) -> None:
        """The models first: whoever is killed in between goes on from the checkpoint before, and writes them again."""
        config = self.plan.config
        if update:
            for policy, seed in zip(self.program.policies(state), self.program.seeds, strict=True):
                folder = self.folder if len(self.program.seeds) == 1 else self.folder.of_seed(seed)
                self._save_model(folder.model, policy, seed, update)
            if last and len(self.program.seeds) > 1:
                self._save_median(state, last)
        record = {"config": config.to_record(), "update": update, "metrics_bytes": self._metrics.sync()}
        save_checkpoint(self.folder.checkpoint, self.program.snapshot(state), record)

    def _save_median(self, state: Any, summaries: tuple[Summary, ...]) -> None:
        """Of several seeds the run's own ``agent.pt`` is the median one, never the best."""
        order = np.argsort([s.mean_reward for s in summaries])
        middle = int(order[(len(order) - 1) // 2])
        policy, seed = self.program.policies(state)[middle], self.program.seeds[middle]
        self._save_model(self.folder.model, policy, seed, self.plan.num_updates)

    def _save_model(self, path: Path, policy: PpoPolicy, seed: int, update: int) -> None:
        save_model(
            path,
            policy,
            env=self.program.env_record,
            training=self.plan.config.to_record(),
            actions=self.program.actions,
            progress={
                "seed": seed,
                "update": update,
                "global_step": update * self.plan.batch_size,
                **self.history,
            },
        )

"""Start or resume a training run: folder, lock, program and initial state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl_drug_dosage.errors import CheckpointError
from rl_drug_dosage.policies.adapters.learnt import check_drugs
from rl_drug_dosage.training.checkpoint import load_checkpoint, save_checkpoint
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.training.initial import Initial
from rl_drug_dosage.training.longer import fitted, longer, schedule_note
from rl_drug_dosage.training.plan import Plan, make_plan
from rl_drug_dosage.training.run import Program, Run, Start
from rl_drug_dosage.training.run_folder import RunFolder, RunRecord
from rl_drug_dosage.training.run_result import RunResult
from rl_drug_dosage.training.task import (
    Task,
    again,
    find_task,
    make_program,
    task_of_run,
    texts_in,
    with_models_of_run,
)
from rl_drug_dosage.utils.files import atomic_write, swept
from rl_drug_dosage.utils.foreign import is_interrupt
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.wandb import require_wandb

__all__ = ["Program", "RunFolder", "RunResult", "resume", "train"]


def train(
    config: TrainConfig,
    options: RunOptions,
    *,
    task: Task | None = None,
    initial: Initial | None = None,
    command: str = "",
    progress: Progress = quiet,
    make: Callable[[Plan, Task], Program] = make_program,
) -> RunResult:
    """Train from scratch, or from a model, into a new run folder.

    Args:
        config: what decides the result.
        options: where it is written.
        task: what is trained on; None: what the configuration names.
        initial: the model to start from.
        command: the command line that is recorded.
        progress: reports where the run is.
        make: makes the program, for instance from those of earlier trainings (`shared.SharedPrograms`).

    Raises:
        RlDrugDosageError: a setting, place, environment or device that will not do; a run that fails before its first
            update leaves no folder behind.
        TrainingError: a loss that is not finite; the last good checkpoint is kept.
    """
    if options.track:
        require_wandb()
    plan = make_plan(config)
    RunFolder.refuse_taken(options)
    task = find_task(config.env_id) if task is None else task
    progress(f"setting up {config.env_id}", 0.0)
    program = make(plan, task)
    try:
        state = program.init()
        if initial is not None:
            initial.check_observations(program.env_record)
            state = initial.applied(state, program.learner, program.bounds, plan.config, lambda t: progress(t, None))
        record = RunRecord(
            config=config,
            options=options,
            scenario=task.record(),
            initial=initial.record() if initial is not None else {},
            extended=(),
            drugs=task.drugs,
        )
        with swept(Path(options.runs_dir)):
            return _first_run(plan, record, program, state, again(task), command, progress)
    finally:
        program.close()


def _first_run(
    plan: Plan, record: RunRecord, program: Program, state: Any, named: str, command: str, progress: Progress
) -> RunResult:
    """Make the folder and train in it; one whose run fails before its first update is removed."""
    first = {"config": plan.config.to_record(), "update": 0, "metrics_bytes": 0}

    def first_files(folder: RunFolder) -> None:
        save_checkpoint(folder.checkpoint, program.snapshot(state), first)
        atomic_write(folder.metrics, b"")

    folder = RunFolder.create(record, command, first_files)
    with folder.held():
        for note in plan.notes:
            progress(note, None)
        run = Run(plan, record.options, folder, program, progress, record.history(), named)
        try:
            return run.execute(Start(state, 0, first, fresh=True))
        except BaseException as error:
            if not run.updates and not is_interrupt(error):
                folder.remove()
            raise


def resume(
    path: Path,
    *,
    device: str = "cpu",
    given: object = None,
    env_kwargs: str | Mapping[str, Any] | None = None,
    total_timesteps: int | None = None,
    accept_changed: bool = False,
    progress: Progress = quiet,
) -> RunResult:
    """Go on with a run, bit for bit as if it had never stopped.

    Args:
        path: of the run.
        device: where; it may be another one.
        given: the task, where a file or module of the user's defines it.
        env_kwargs: the options of the environment, where they name a drug model of the user's.
        total_timesteps: train it to so many steps in all; None: as it was planned.
        accept_changed: go on although the scenario's file has changed since.
        progress: reports where the run is.

    Raises:
        CheckpointError: the folder is not a run's, its checkpoint is damaged, or what was given is not the run's.
        OutputError: another process is at work on this run.
    """
    folder = RunFolder(path)
    folder.read_record()  # a folder that is none of a run's gets no lock
    with folder.held():
        record = folder.read_record()
        restored = load_checkpoint(folder.checkpoint) if folder.checkpoint.exists() else None
        config = fitted(record, folder, restored[1] if restored is not None else None)
        options = replace(record.options, device=device)
        if options.track:
            require_wandb()
        task = task_of_run(config.env_id, record.scenario, path, given=given, accept_changed=accept_changed)
        task = with_models_of_run(task, config, path, env_kwargs)
        check_drugs(record.drugs, task.drugs, path, CheckpointError, accept_changed=accept_changed)
        if task.found is None and given is None and env_kwargs is None and texts_in(config.env_options()):
            raise CheckpointError(
                f"{path} has environment options that are text, which may name a file or a module: if they are right, "
                f"give them yourself (--env-kwargs '{config.env_kwargs}')"
            )
        update = int(restored[1]["update"]) if restored is not None else 0
        extended = total_timesteps is not None and total_timesteps != config.total_timesteps
        if extended and total_timesteps is not None:
            record = longer(record, config, total_timesteps, update, path)
            config = record.config
        plan = make_plan(config)
        program = make_program(plan, task)
        try:
            say = lambda text: progress(text, None)  # noqa: E731 - a note has no share
            state = program.init() if restored is None else program.restore(restored[0], say)
            if extended:
                folder.write_record(record)
                say(schedule_note(record, plan))
            say(f"resuming {path} at step {update * plan.batch_size:,} of {plan.total_timesteps:,}")
            start = Start(state, update, restored[1] if restored is not None else None, fresh=False)
            return Run(plan, options, folder, program, progress, record.history(), again(task)).execute(start)
        finally:
            program.close()

"""A run that goes on: the configuration that its checkpoint belongs to, and more steps than were planned."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl_drug_dosage.errors import CheckpointError, ConfigError, RlDrugDosageError
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.plan import Plan, make_plan
from rl_drug_dosage.training.run_folder import RunFolder, RunRecord

__all__ = ["fitted", "longer", "schedule_note"]


def fitted(record: RunRecord, folder: RunFolder, checkpoint: Mapping[str, Any] | None) -> TrainConfig:
    """The configuration that a run goes on with.

    Args:
        record: of the run.
        folder: of the run.
        checkpoint: the record of its checkpoint; None: there is none yet.

    Raises:
        CheckpointError: ``config.toml`` was edited, or the checkpoint is another run's.
    """
    if checkpoint is None:
        return record.config
    kept = checkpoint.get("config")
    try:
        if not isinstance(kept, dict) or type(checkpoint.get("update")) is not int:
            raise CheckpointError(f"{folder.checkpoint} holds no record of a run: restore the file of this run")
        saved = TrainConfig.from_record(kept)
        planned = make_plan(record.config).config
    except RlDrugDosageError as error:
        raise CheckpointError(f"{folder.checkpoint}: {error}") from None
    if record.extended:  # more steps were asked for after this checkpoint was written
        saved = replace(saved, total_timesteps=planned.total_timesteps)
    if saved != planned:
        raise CheckpointError(f"{folder.config} and {folder.checkpoint} disagree: the configuration was edited")
    return planned


def longer(record: RunRecord, config: TrainConfig, total_timesteps: int, update: int, path: Path) -> RunRecord:
    """The record of a run that is given more steps.

    Args:
        record: as it was.
        config: as it was, with the rollout that its checkpoint has.
        total_timesteps: in all.
        update: how many updates are done.
        path: of the run, for messages.

    Raises:
        ConfigError: fewer steps than were planned.
    """
    if total_timesteps < config.total_timesteps:
        raise ConfigError(
            f"--resume with --total-timesteps trains longer: {path} is planned for {config.total_timesteps:,} steps, "
            f"so give more than that, not {total_timesteps:,}"
        )
    step = update * config.num_envs * config.num_steps
    extension = {"at_step": step, "before": config.total_timesteps, "total_timesteps": total_timesteps}
    return replace(
        record, config=replace(config, total_timesteps=total_timesteps), extended=(*record.extended, extension)
    )


def schedule_note(record: RunRecord, plan: Plan) -> str:
    """What becomes of the learning rate of a run that is trained longer."""
    last, config = record.extended[-1], plan.config
    step, before = last["at_step"], last["before"]
    if not config.anneal_lr:
        rate = f"the learning rate stays at {config.learning_rate:g}"
    else:
        # The schedule counts updates, and the last update is complete.
        planned = -(-before // plan.batch_size) * plan.batch_size
        was, now = (config.learning_rate * (1.0 - step / n) for n in (planned, plan.total_timesteps))
        rate = (
            f"the learning rate is annealed linearly to 0 over the new total: {now:.3g} at this step, where it was "
            f"{was:.3g} under the shorter schedule"
        )
    return (
        f"training to {plan.total_timesteps:,} steps in place of {before:,}: {rate}; weights, optimiser and "
        "normalisers are kept. It is not the run that was started with the larger number"
    )

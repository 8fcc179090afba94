"""Convert the requested number of steps to whole updates, and report any difference."""

from dataclasses import dataclass, replace

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.config import TrainConfig

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """A configuration whose rollouts divide into minibatches, and the number of updates.

    Args:
        config: the requested configuration, with ``num_steps`` shortened if the steps do not fill one rollout.
        num_updates: number of updates, at least 1.
        notes: differences from the request, one line each.
    """

    config: TrainConfig
    num_updates: int
    notes: tuple[str, ...]

    @property
    def batch_size(self) -> int:
        """Environment steps per update and seed."""
        return self.config.num_envs * self.config.num_steps

    @property
    def total_timesteps(self) -> int:
        """Total environment steps per seed."""
        return self.num_updates * self.batch_size


def make_plan(config: TrainConfig) -> Plan:
    """Fit the rollouts to the total number of steps.

    No requested step is dropped: the last update is complete. If the total does not fill one rollout, the rollout is
    shortened to the smallest length that covers it and that the minibatches divide.

    Raises:
        ConfigError: the minibatches do not divide the batch, or would contain a single transition.
    """
    _check_minibatches(config)
    notes = []
    if config.total_timesteps < config.num_envs * config.num_steps:
        short = _shortest(config)
        if short < config.num_steps:
            notes.append(
                f"{config.total_timesteps:,} steps do not fill a rollout of {config.num_envs} x {config.num_steps:,}: "
                f"the rollout is shortened to {config.num_envs} x {short:,}"
            )
            config = replace(config, num_steps=short)
    batch = config.num_envs * config.num_steps
    updates = -(-config.total_timesteps // batch)
    if updates * batch != config.total_timesteps:
        notes.append(
            f"{config.total_timesteps:,} steps are not a whole number of updates of {batch:,}: "
            f"training takes {updates:,} updates, {updates * batch:,} steps"
        )
    return Plan(config, updates, tuple(notes))


def _check_minibatches(config: TrainConfig) -> None:
    envs, steps, count = config.num_envs, config.num_steps, config.num_minibatches
    batch = envs * steps
    if config.memory != "none" and envs % count:
        near = max(d for d in range(1, count + 1) if envs % d == 0)
        raise ConfigError(
            f"num_minibatches {count} do not divide num_envs {envs}, but with --memory {config.memory} a minibatch has "
            f"whole segments of some environments: choose a divisor of {envs} (the next lower one is {near})"
        )
    shown = f"num_envs {envs} x num_steps {steps} = {batch} transitions and num_minibatches {count}"
    if batch % count:
        near = max(d for d in range(1, count + 1) if batch % d == 0)
        raise ConfigError(f"{shown} do not divide: choose a divisor of {batch} (the next lower one is {near})")
    if batch // count < 2:
        raise ConfigError(
            f"{shown} leave {batch // count} transition in a minibatch: at least 2 are needed, "
            f"choose at most {batch // 2} minibatches"
        )


def _shortest(config: TrainConfig) -> int:
    """The smallest ``num_steps`` that covers the total in one rollout and divides into minibatches of 2 or more."""
    envs, count = config.num_envs, config.num_minibatches
    steps = max(-(-config.total_timesteps // envs), -(-2 * count // envs))
    while envs * steps % count:
        steps += 1
    return min(steps, config.num_steps)

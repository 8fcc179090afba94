"""Make environments of Gymnasium's registry, single and batched, and say what they take and show."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.ppo.action_space import ActionSpace
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.gym_envs import EnvBatch, SeparateEnvs, VectorEnvs
from rl_drug_dosage.training.gym_spaces import action_space_of, flat_size
from rl_drug_dosage.utils.foreign import is_interrupt

__all__ = ["Batch", "make_batch", "make_one", "space_of"]


@dataclass(frozen=True)
class Batch:
    """The environments of a run.

    Args:
        envs: stepped together.
        obs_size: length of an observation as a vector.
        actions: what ``step`` takes.
    """

    envs: EnvBatch
    obs_size: int
    actions: ActionSpace


def make_one(env_id: str, options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """One environment from Gymnasium's registry.

    Raises:
        UnknownNameError: the environment is not registered.
        ConfigError: it cannot be made, or its spaces cannot be trained on.
    """
    name = env_id.rpartition(":")[2]
    if ":" not in env_id and name not in gymnasium.registry:
        raise UnknownNameError("environment", env_id, gymnasium.registry)
    # Gymnasium's passive checker warns; the contract is checked here at every step, and a breach is an error.
    env: gymnasium.Env[Any, Any] = _made(
        lambda: gymnasium.make(env_id, **{"disable_env_checker": True, **options}), env_id
    )
    for space in ("action_space", "observation_space"):
        if not isinstance(getattr(env, space, None), gymnasium.Space):
            raise ConfigError(f"environment {env_id} has no {space}: Gymnasium's contract asks for one")
    action_space_of(env_id, env.action_space)
    flat_size(env_id, env.observation_space)
    return env


def make_batch(config: TrainConfig, env_id: str = "") -> Batch:
    """The environments of a run.

    Args:
        config: of the run.
        env_id: what Gymnasium is asked for, ``module:Id-v0`` where its module has to be imported first; unless
            given, the configuration's.

    Raises:
        UnknownNameError, ConfigError: see `make_one` and `space_of`.
    """
    env_id = env_id or config.env_id
    options = config.env_options()
    one = make_one(env_id, options)
    obs_size, actions = flat_size(env_id, one.observation_space), space_of(env_id, one, config.policy)
    if config.vectorization == "sync":
        others = [make_one(env_id, options) for _ in range(config.num_envs - 1)]
        return Batch(SeparateEnvs([one, *others], config.seed, name=env_id), obs_size, actions)
    one.close()
    extra: dict[str, Any] = {}
    if config.vectorization == "async":
        # spawn: a forked process would inherit the locks of JAX's threads
        extra["vector_kwargs"] = {"autoreset_mode": AutoresetMode.DISABLED, "context": "spawn"}
    envs = _made(
        lambda: gymnasium.make_vec(
            env_id, num_envs=config.num_envs, vectorization_mode=config.vectorization, **extra, **options
        ),
        env_id,
    )
    return Batch(VectorEnvs(envs, config.seed, name=env_id), obs_size, actions)


def space_of(env_id: str, env: gymnasium.Env[Any, Any], policy: str) -> ActionSpace:
    """What an environment's ``step`` takes, if the policy can give it.

    Raises:
        ConfigError: a bounded policy on a space without bounds, or with bounds whose distance float32 cannot hold.
    """
    actions = action_space_of(env_id, env.action_space)
    low, high = actions.policy_bounds
    if policy != "gaussian-raw" and actions.kind == "continuous":
        if not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
            raise ConfigError(
                f"the action space {env.action_space} has no bounds for policy {policy!r}: use --policy gaussian-raw"
            )
        with np.errstate(over="ignore"):
            if not np.isfinite(high - low).all():
                raise ConfigError(
                    f"the action space {env.action_space} of {env_id} is wider than float32 can hold: rescale its "
                    "actions (gymnasium.wrappers.RescaleAction)"
                )
    return actions


def _made[T](make: Callable[[], T], env_id: str) -> T:
    """What ``make`` makes; whatever an environment's own code raises becomes one line."""
    try:
        return make()
    except RlDrugDosageError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        first = str(error).strip().splitlines() or [type(error).__name__]
        frame = traceback.extract_tb(error.__traceback__)[-1]
        known = isinstance(error, gymnasium.error.Error | TypeError | ValueError | ImportError)
        at = "" if known else f" ({type(error).__name__}; {frame.filename}, line {frame.lineno})"
        raise ConfigError(f"environment {env_id} cannot be made: {first[0]}{at}") from error

"""Gymnasium interfaces of the environments: a single one, and a vectorised batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Float, UInt32

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs.catalog import find_env, ids
from rl_drug_dosage.envs.functional import Env, FunctionalEnv, State, where_rows
from rl_drug_dosage.envs.render import draw_course
from rl_drug_dosage.errors import ConfigError, UnknownNameError

__all__ = ["DrugDoseEnv", "SingleEnv", "VectorisedEnv", "make_env", "make_vector_env"]


def make_env(env: object, *, render_mode: str | None = None, **options: Any) -> "SingleEnv":
    """Make a Gymnasium environment with one patient at a time.

    Args:
        env: an environment id, or a scenario in any form that `registry` accepts: a name, a file, the object.
        render_mode: ``None`` or ``"rgb_array"``.
        options: options of the environment.

    Raises:
        UnknownNameError: an unknown environment, or an unknown option.
        ConfigError: a value that is not allowed.
    """
    return SingleEnv(_load(env).make(**options), render_mode=render_mode)


def make_vector_env(
    env: object,
    *,
    num_envs: int = 1,
    autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    render_mode: str | None = None,
    **options: Any,
) -> "VectorisedEnv":
    """Make a vector environment: a batch of patients in one compiled call. Arguments and errors as for `make_env`."""
    if render_mode is not None:
        raise ConfigError(f"a vector environment does not render, render_mode must be None, not {render_mode!r}")
    return VectorisedEnv(_load(env).make(**options), num_envs, autoreset_mode=autoreset_mode)


def DrugDoseEnv(*, render_mode: str | None = None, **options: Any) -> "SingleEnv":  # noqa: N802 - the public name
    """Make DrugDose-v0 without Gymnasium's registry and wrappers. For the options see ``make_drug_dose``."""
    return make_env("DrugDose-v0", render_mode=render_mode, **options)


def _load(reference: object) -> Env:
    found = find_env(reference)
    if found is None:
        raise UnknownNameError("environment", str(reference), ids())
    return found


def _space(bounds: tuple[np.ndarray, np.ndarray]) -> gymnasium.spaces.Box:
    low, high = bounds
    return gymnasium.spaces.Box(low, high, dtype=np.float32)


# All instances share the compiled programs, because the environment is an argument. Keys are passed as plain integers:
# wrapping them outside a compiled function costs more than the step.
KeyData = UInt32[Array, "*batch 2"]


@jax.jit
def _reset(env: FunctionalEnv, key: KeyData) -> tuple[State, Array]:
    return env.reset(env.draw(jax.random.wrap_key_data(key), ()))


@jax.jit
def _step(env: FunctionalEnv, state: State, action: Array, key: KeyData) -> tuple[Float[Array, " packed"], State]:
    """One step. All results but the state are packed into one vector: transferring six arrays costs more than the step.

    The order is ``[reward, terminated, truncated, in_range, concentration, dose, obs.., metrics..]``.
    """
    out = env.step(state, action, env.draw(jax.random.wrap_key_data(key), ()))
    dose = action[0] if out.dose is None else out.dose
    flags = (out.reward, out.terminated, out.truncated, out.in_range, env.concentration(out.state), dose)
    metrics = jnp.ravel(jnp.asarray(out.metrics, jnp.float32))
    return jnp.concatenate([jnp.stack([jnp.asarray(x, jnp.float32) for x in flags]), out.obs, metrics]), out.state


class _Seen(NamedTuple):
    """The results of a step, as NumPy arrays."""

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    in_range: np.ndarray
    concentration: np.ndarray
    dose: np.ndarray
    metrics: np.ndarray


def _unpack(packed: np.ndarray, obs_size: int) -> _Seen:
    """Unpack ``[..., packed]``, see `_step`."""
    reward, terminated, truncated, in_range, concentration, dose = np.moveaxis(packed[..., :6], -1, 0)
    end = 6 + obs_size
    obs, metrics = packed[..., 6:end], packed[..., end:]
    return _Seen(obs, reward, terminated > 0, truncated > 0, in_range > 0, concentration, dose, metrics)


@jax.jit
def _reset_batch(
    env: FunctionalEnv, keys: KeyData, state: State, obs: Array, mask: Array
) -> tuple[KeyData, State, Array]:
    """Reset the environments selected by ``mask`` and keep the others."""
    new_keys, draws = _split(keys)
    fresh = (new_keys, *jax.vmap(_reset, in_axes=(None, 0))(env, draws))
    return where_rows(mask, fresh, (keys, state, obs))


@jax.jit
def _step_batch(env: FunctionalEnv, keys: KeyData, state: State, action: Array) -> tuple[KeyData, Array, State]:
    keys, draws = _split(keys)
    return keys, *jax.vmap(_step, in_axes=(None, 0, 0, 0))(env, state, action, draws)


def _split(keys: KeyData) -> tuple[KeyData, KeyData]:
    pairs = jax.random.key_data(jax.vmap(jax.random.split)(jax.random.wrap_key_data(keys)))
    return pairs[:, 0], pairs[:, 1]


def _on_cpu(env: FunctionalEnv) -> FunctionalEnv:
    """The environment with device arrays as leaves: passing NumPy scalars to each call costs more than the step."""
    return jax.device_put(env, jax.local_devices(backend="cpu")[0])


def _key(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(2**32, size=2, dtype=np.uint32)


def _checked(action: np.ndarray, space: gymnasium.spaces.Box) -> np.ndarray:
    """The action as float32. An action outside the space is an error; it is never clipped silently."""
    action = np.asarray(action, np.float32)
    if action.shape != space.shape:
        raise ConfigError(f"an action must have shape {space.shape}, not {action.shape}")
    outside = ~((action >= space.low) & (action <= space.high))
    if outside.any():
        raise ConfigError(
            f"dose {float(action[outside][0])!r} is outside [{float(space.low.min())!r}, {float(space.high.max())!r}]: "
            "clip it yourself (gymnasium.wrappers.ClipAction does)"
        )
    return action


class SingleEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One patient. The ``info`` of a step contains ``in_range``, ``concentration`` and ``dose``.

    Args:
        env: the functional environment.
        render_mode: ``None`` or ``"rgb_array"``, which draws the episode so far with the therapeutic window.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - Gymnasium reads a class attribute

    def __init__(self, env: FunctionalEnv, *, render_mode: str | None = None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"render_mode must be None or 'rgb_array', not {render_mode!r}")
        self.functional = env
        self._env = _on_cpu(env)
        self._obs_size = env.observation_bounds[0].size
        self.render_mode = render_mode
        self.observation_space = _space(env.observation_bounds)
        self.action_space = self._doses = _space(env.action_bounds)
        self._state: State | None = None
        self._course: list[tuple[float, float, np.ndarray]] = []

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        """Name and unit of each component of the observation."""
        return self.functional.observation_names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._state, obs = _reset(self._env, _key(self.np_random))
        self._course = [(float(self.functional.concentration(self._state)), float("nan"), np.zeros(0))]
        return np.array(obs), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        action = _checked(action, self._doses)
        packed, self._state = _step(self._env, self._state, action, _key(self.np_random))
        out = _unpack(np.asarray(packed), self._obs_size)
        info = {"in_range": bool(out.in_range), "concentration": float(out.concentration), "dose": float(out.dose)}
        self._course.append((info["concentration"], info["dose"], out.metrics))
        return np.array(out.obs), float(out.reward), bool(out.terminated), bool(out.truncated), info

    def render(self) -> np.ndarray | None:
        if self.render_mode is None:
            return None
        values, doses, metrics = zip(*(self._course or [(np.nan, np.nan, np.zeros(0))]), strict=True)
        rows = np.stack(metrics[1:], axis=1) if len(metrics) > 1 else np.zeros((len(self.functional.windows), 0))
        return draw_course(self.functional, np.array(values), np.array(doses[1:]), rows)


class VectorisedEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of patients in one compiled call.

    Args:
        env: the functional environment, shared by all patients.
        num_envs: batch size.
        autoreset_mode: what happens to a finished episode (Gymnasium's three modes); declared in ``metadata``.
            ``SAME_STEP`` resets at once and returns the last observation as ``info["final_obs"]``. ``NEXT_STEP`` resets
            on the next call, whose action is ignored. ``DISABLED`` requires ``reset`` with a ``reset_mask``.
    """

    def __init__(
        self, env: FunctionalEnv, num_envs: int, *, autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP
    ) -> None:
        if num_envs < 1:
            raise ConfigError(f"num_envs must be 1 or more, not {num_envs}")
        self.functional = env
        self._env = _on_cpu(env)
        self._obs_size = env.observation_bounds[0].size
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.render_mode = None
        self.single_observation_space = _space(env.observation_bounds)
        self.single_action_space = _space(env.action_bounds)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._doses: Any = batch_space(self.single_action_space, num_envs)
        self.action_space = self._doses
        self._keys = np.random.default_rng().integers(2**32, size=(num_envs, 2), dtype=np.uint32)
        self._state: State | None = None
        self._obs = np.zeros(self.observation_space.shape or (), np.float32)
        self._done = np.zeros(num_envs, bool)

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        """Name and unit of each component of one patient's observation."""
        return self.functional.observation_names

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        given = (options or {}).get("reset_mask")
        everyone = np.ones(self.num_envs, bool)
        mask = everyone if given is None or self._state is None else np.asarray(given, bool)
        if mask.shape != everyone.shape:
            raise ConfigError(f"reset_mask must have shape {everyone.shape}, not {mask.shape}")
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        if seeds is not None and len(seeds) != self.num_envs:
            raise ConfigError(f"seed must be one number or {self.num_envs} of them, not {len(seeds)}")
        for i, one in enumerate(seeds or ()):
            if one is not None and mask[i]:
                self._keys[i] = np.random.default_rng(one).integers(2**32, size=2, dtype=np.uint32)
        self._restart(mask)
        self._done &= ~mask
        return self._obs.copy(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._done.any():
            raise gymnasium.error.ResetNeeded(
                f"environments {np.flatnonzero(self._done).tolist()} are done: reset them with a reset_mask"
            )
        actions = _checked(actions, self._doses)
        keys, packed, self._state = _step_batch(self._env, self._keys, self._state, actions)
        out = _unpack(np.asarray(packed), self._obs_size)
        resetting = self._done  # set under NEXT_STEP only: this call resets them and ignores their action
        self._keys, self._obs = np.array(keys), out.obs
        reward = np.where(resetting, 0.0, out.reward).astype(np.float64)
        terminated, truncated = out.terminated & ~resetting, out.truncated & ~resetting
        info: dict[str, Any] = {"in_range": out.in_range & ~resetting, "_in_range": ~resetting}
        done = terminated | truncated
        restart = resetting
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            restart, done = done, np.zeros(self.num_envs, bool)
            if restart.any():
                final = np.full(self.num_envs, None, dtype=object)
                for i in np.flatnonzero(restart):
                    final[i] = self._obs[i].copy()
                info |= {"final_obs": final, "_final_obs": restart}
        if restart.any():
            self._restart(restart)
        self._done = done
        return self._obs.copy(), reward, terminated, truncated, info

    def _restart(self, mask: np.ndarray) -> None:
        if self._state is None:
            one = jax.eval_shape(_reset, self._env, self._keys[0])[0]
            self._state = jax.tree.map(lambda x: jnp.zeros((self.num_envs, *x.shape), x.dtype), one)
        keys, self._state, obs = _reset_batch(self._env, self._keys, self._state, self._obs, mask)
        self._keys, self._obs = np.array(keys), np.asarray(obs)

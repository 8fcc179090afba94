"""The one interface of our environments: pure functions over arrays, chance as an argument.

The compiled trainer, the evaluator, the Gymnasium ``Env`` and the Gymnasium ``VectorEnv`` all turn this crank.
"""

import abc
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.types import Array

type State = Any
"""Where an environment is: a pytree of arrays, of the environment's own type; batched along a leading axis."""

__all__ = ["Axis", "Env", "FunctionalEnv", "State", "Step", "Window", "Wrapped", "require", "where_rows"]


class Step(NamedTuple):
    """What one step gives back; ``obs`` is the final observation when the episode ended, never a reset one."""

    state: State
    obs: Float[Array, " obs"]
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    in_range: Bool[Array, ""]
    harm: Float[Array, ""] | float = 0.0
    """Harmful events in this interval, where the environment counts them."""


@dataclass(frozen=True)
class Axis:
    """A name and a unit, for plots, tables and file headers."""

    name: str
    unit: str

    @property
    def label(self) -> str:
        """``concentration (mg/L)``."""
        return f"{self.name} ({self.unit})"

    @property
    def column(self) -> str:
        """``concentration_mg_per_l``."""
        return f"{self.name}_{self.unit.replace('/', '_per_').replace('.', '').replace(' ', '_').lower()}"


@dataclass(frozen=True)
class Window:
    """The therapeutic window, in the unit of the concentration."""

    low: float
    high: float


def _numbered(what: str, count: int) -> tuple[Feature, ...]:
    return tuple(Feature(f"{what}_{i}", "1") for i in range(count))


class FunctionalEnv(eqx.Module):
    """An environment as a value. Its numbers are array leaves: changing one compiles nothing anew.

    All functions are unbatched; ``jax.vmap`` makes a cohort. Everything random that a step or a reset may need is drawn
    beforehand by ``draw``, for a whole rollout in one call.
    """

    @property
    @abc.abstractmethod
    def horizon(self) -> int:
        """The number of steps after which an episode is truncated."""

    @property
    @abc.abstractmethod
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest observation, ``[obs]`` each."""

    @property
    @abc.abstractmethod
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest action, ``[action]`` each."""

    @property
    @abc.abstractmethod
    def window(self) -> Window:
        """The therapeutic window."""

    @property
    @abc.abstractmethod
    def axes(self) -> Mapping[str, Axis]:
        """Names and units of ``time``, ``concentration`` and ``dose``."""

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        """Name and unit of every number of an observation; numbered unless an environment says more."""
        return _numbered("observation", self.observation_bounds[0].size)

    @property
    def truth_names(self) -> tuple[Feature, ...]:
        """The same of `truth`."""
        chance = jax.eval_shape(lambda: self.draw(jax.random.key(0), ()))
        return _numbered("truth", jax.eval_shape(lambda c: self.truth(self.reset(c)[0]), chance).size)

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape chance"]:
        """The chance of ``shape`` steps, each enough for a step and for a reset."""

    @abc.abstractmethod
    def reset(self, chance: Float[Array, " chance"]) -> tuple[State, Float[Array, " obs"]]:
        """A new episode."""

    @abc.abstractmethod
    def step(self, state: State, action: Float[Array, " action"], chance: Float[Array, " chance"]) -> Step:
        """One decision interval."""

    @abc.abstractmethod
    def concentration(self, state: State) -> Float[Array, ""]:
        """The concentration that the window is about."""

    def truth(self, state: State) -> Float[Array, " truth"]:
        """What nobody is told and a privileged critic may see; nothing unless an environment says more."""
        del state
        return jnp.zeros(0)

    def truth_batch(self, state: State) -> Float[Array, "env truth"]:
        """`truth` of a batch."""
        return jax.vmap(self.truth)(state)

    def reset_batch(self, chance: Float[Array, "env chance"]) -> tuple[State, Float[Array, "env obs"]]:
        """`reset` of a batch."""
        return jax.vmap(self.reset)(chance)

    def step_batch(
        self,
        state: State,
        action: Float[Array, "env action"],
        chance: Float[Array, "env chance"],
    ) -> Step:
        """`step` of a batch, in the order of `reset_batch`."""
        return jax.vmap(self.step)(state, action, chance)


class Wrapped(FunctionalEnv):
    """An environment around another one: all of the inner one's, but for what is observed."""

    inner: FunctionalEnv

    @property
    def horizon(self) -> int:
        return self.inner.horizon

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.inner.action_bounds

    @property
    def window(self) -> Window:
        return self.inner.window

    @property
    def axes(self) -> Mapping[str, Axis]:
        return self.inner.axes

    @property
    def truth_names(self) -> tuple[Feature, ...]:
        return self.inner.truth_names

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape chance"]:
        return self.inner.draw(key, shape)


@dataclass(frozen=True)
class Env:
    """What an environment's file defines as ``ENV``.

    Args:
        build: makes the environment; its keyword arguments are the environment's options.
        training_options: the options that training and evaluation use unless told otherwise.
        title: one line for ``info``.
        training_only: options that only training has: what they change is not what a policy is evaluated on.
    """

    build: Callable[..., FunctionalEnv]
    title: str
    training_options: Mapping[str, Any] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    training_only: frozenset[str] = frozenset()

    def options(self) -> dict[str, Any]:
        """Every option with its default."""
        return {name: p.default for name, p in inspect.signature(self.build).parameters.items()}

    def training(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of training: ``training_options``, with what is given in their place.

        A given ``x`` also replaces a training option ``x_range``, which would draw it.
        """
        kept = {n: v for n, v in self.training_options.items() if n.removesuffix("_range") not in given}
        return {**kept, **given}

    def evaluation(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of training without those that only training has."""
        return {name: value for name, value in options.items() if name not in self.training_only}

    def make(self, **options: Any) -> FunctionalEnv:
        """Build it.

        Raises:
            UnknownNameError: an option that it does not have.
            ConfigError: a value that is not allowed.
        """
        known = self.options()
        for name in options:
            if name not in known:
                raise UnknownNameError("environment option", name, known)
        return self.build(**options)


def require(ok: bool, name: str, value: Any, allowed: str) -> None:
    """Refuse an option of an environment.

    Raises:
        ConfigError: unless ``ok``.
    """
    if not ok:
        raise ConfigError(f"environment option {name} must be {allowed}, not {value!r}")


def where_rows[T](rows: Bool[Array, " env"], this: T, that: T) -> T:
    """``this`` in the chosen rows of a batch, ``that`` in the others, array by array."""

    def pick(a: Any, b: Any) -> Any:
        return jnp.where(jnp.reshape(rows, rows.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, this, that)

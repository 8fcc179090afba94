"""The one interface of our environments: pure functions over arrays, chance as an argument.

The compiled trainer, the evaluator, the Gymnasium ``Env`` and the Gymnasium ``VectorEnv`` all step these functions.
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
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd.description import Metric
from rl_drug_dosage.utils.printable import excerpt
from rl_drug_dosage.utils.words import metric_words, output_words, titled, unit_words

type State = Any
"""Where an environment is: a pytree of arrays, of the environment's own type; batched along a leading axis."""

__all__ = ["Axis", "Env", "FunctionalEnv", "Quantity", "State", "Step", "Window", "Wrapped", "require", "where_rows"]


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
    metrics: Float[Array, " window"] | tuple[()] = ()
    """What each of the environment's windows is about, in this interval; left out where that is the concentration."""
    dose: Float[Array, ""] | None = None
    """What was given, where that is not the action itself."""


@dataclass(frozen=True)
class Axis:
    """A name and a unit, for plots, tables and file headers; ``when`` says at which moments it is looked at."""

    name: str
    unit: str
    when: str = ""

    @property
    def label(self) -> str:
        """``concentration (mg/L)``, ``INR``."""
        return titled(output_words(self.name), self.unit)

    @property
    def words(self) -> str:
        """``concentration``, ``INR at the end of each interval``."""
        return f"{output_words(self.name)} {self.when}".rstrip()

    @property
    def column(self) -> str:
        """``concentration_mg_per_l``."""
        return f"{self.name}_{self.unit.replace('/', '_per_').replace('.', '').replace(' ', '_').lower()}"


@dataclass(frozen=True)
class Quantity:
    """What a window is about: a metric of an output over one interval, such as AUC24 of the concentration.

    Args:
        output: name of the output.
        metric: what is judged of it, see `rl_drug_dosage.pkpd.description.Metric`.
        unit: of the metric.
    """

    output: str
    metric: Metric
    unit: str

    @property
    def words(self) -> str:
        """``AUC24``, ``peak concentration``, ``INR at the end of an interval``."""
        return metric_words(self.metric, self.output)

    @property
    def label(self) -> str:
        """``AUC24 (mg h/L)``."""
        return titled(self.words, self.unit)

    @property
    def unit_words(self) -> str:
        """``mg h/L``; the words where there is no unit."""
        return unit_words(self.unit) or self.words

    @property
    def column(self) -> str:
        """``auc24_mg_h_per_l``, ``concentration_peak_mg_per_l``."""
        area = self.metric in {"auc24", "auc_total"} and self.output == "concentration"
        return Axis(self.metric if area else f"{self.output}_{self.metric}", self.unit).column

    def is_on(self, axis: Axis) -> bool:
        """Whether it can be read off the course of an output that is drawn at the end of each interval."""
        return self.metric in {"value", "trough"} and (self.output, self.unit) == (axis.name, axis.unit)


@dataclass(frozen=True)
class Window:
    """A therapeutic window: edges, and the quantity that they are about.

    Args:
        low, high: its edges, in the quantity's unit; infinite where it is open. Where they change in the course these
            are the last ones.
        quantity: what has to be inside.
        earlier: (until, low, high) rows, ascending: the edges of the steps before ``until``.
        judged: the steps that count; None means all.
    """

    low: float
    high: float
    quantity: Quantity
    earlier: tuple[tuple[int, float, float], ...] = ()
    judged: tuple[int, ...] | None = None

    @classmethod
    def of_course(
        cls,
        quantity: Quantity,
        low: Float[np.ndarray, " step"],
        high: Float[np.ndarray, " step"],
        judged: tuple[int, ...] | None = None,
    ) -> "Window":
        """From the edges of every step."""
        changes = 1 + np.flatnonzero((low[1:] != low[:-1]) | (high[1:] != high[:-1]))
        earlier = tuple((int(k), float(low[k - 1]), float(high[k - 1])) for k in changes)
        return cls(float(low[-1]), float(high[-1]), quantity, earlier, judged)

    def stretches(
        self, steps: int, within: tuple[float, float] = (-np.inf, np.inf)
    ) -> list[tuple[int, int, float, float]]:
        """(first step, the one after the last, low, high) of each run of steps that count and share their edges.

        Args:
            steps: of an episode.
            within: the ends of an axis, on which open edges lie.
        """
        counts = np.zeros(steps, bool)
        counts[slice(None) if self.judged is None else [k for k in self.judged if k < steps]] = True
        found: list[tuple[int, int, float, float]] = []
        for k in np.flatnonzero(counts).tolist():
            edges = next(((lo, hi) for until, lo, hi in self.earlier if k < until), (self.low, self.high))
            low, high = max(edges[0], within[0]), min(edges[1], within[1])
            if found and found[-1][1:] == (k, low, high):
                found[-1] = (found[-1][0], k + 1, low, high)
            else:
                found.append((k, k + 1, low, high))
        return found


def _numbered(what: str, count: int) -> tuple[Feature, ...]:
    return tuple(Feature(f"{what}_{i}", "1") for i in range(count))


class FunctionalEnv(eqx.Module):
    """An environment as a value. Its numbers are array leaves: changing a value does not recompile.

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
    def highest_dose(self) -> float:
        """The end of an axis of doses."""
        return float(self.action_bounds[1].max())

    @property
    @abc.abstractmethod
    def window(self) -> Window:
        """The therapeutic window; of several, the first."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """All that have to hold, in the order of `Step.metrics`."""
        return (self.window,)

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
        """The monitored output now, on the axis ``concentration`` of `axes`."""

    def truth(self, state: State) -> Float[Array, " truth"]:
        """What only a privileged critic may see: the hidden state; empty unless an environment defines it."""
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
    """A wrapper that changes only what is observed."""

    inner: FunctionalEnv

    @property
    def horizon(self) -> int:
        return self.inner.horizon

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.inner.action_bounds

    @property
    def highest_dose(self) -> float:
        return self.inner.highest_dose

    @property
    def window(self) -> Window:
        return self.inner.window

    @property
    def windows(self) -> tuple[Window, ...]:
        return self.inner.windows

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
        raise ConfigError(f"environment option {name} must be {allowed}, not {excerpt(repr(value), 100)}")


def where_rows[T](rows: Bool[Array, " env"], this: T, that: T) -> T:
    """``this`` in the chosen rows of a batch, ``that`` in the others, array by array."""

    def pick(a: Any, b: Any) -> Any:
        return jnp.where(jnp.reshape(rows, rows.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, this, that)

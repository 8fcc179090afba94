"""The interface of all environments: pure functions of arrays, with the random numbers as an argument.

Training, evaluation, the Gymnasium ``Env`` and the Gymnasium ``VectorEnv`` all call these functions.
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
from rl_drug_dosage.utils.for_rows import where_any
from rl_drug_dosage.utils.printable import excerpt
from rl_drug_dosage.utils.words import metric_words, output_words, titled, unit_words

type State = Any
"""State of an environment: a pytree of arrays whose type the environment defines; batched along a leading axis."""

__all__ = ["Axis", "Env", "FunctionalEnv", "Quantity", "State", "Step", "Window", "Wrapped", "require", "where_rows"]


class Step(NamedTuple):
    """Result of one step. After the last step of an episode ``obs`` is its final observation, not that of a reset."""

    state: State
    obs: Float[Array, " obs"]
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    in_range: Bool[Array, ""]
    harm: Float[Array, ""] | float = 0.0
    """Harmful events in this interval, if the environment counts them."""
    metrics: Float[Array, " window"] | tuple[()] = ()
    """Metric of each window in this interval; empty if the window applies to the concentration itself."""
    dose: Float[Array, ""] | None = None
    """Dose given; None if it equals the action."""
    lost: Bool[Array, ""] | bool = False
    """Whether the episode ended because the simulation was not finite."""


@dataclass(frozen=True)
class Axis:
    """Name and unit of a variable, for plots, tables and file headers; ``when`` is the time of its evaluation."""

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
    """The quantity that a window limits: a metric of an output over one interval, such as AUC24 of the concentration.

    Args:
        output: name of the output.
        metric: metric of the output, see `rl_drug_dosage.pkpd.description.Metric`.
        unit: unit of the metric.
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
        """``mg h/L``; the name if there is no unit."""
        return unit_words(self.unit) or self.words

    @property
    def column(self) -> str:
        """``auc24_mg_h_per_l``, ``concentration_peak_mg_per_l``."""
        area = self.metric in {"auc24", "auc_total"} and self.output == "concentration"
        return Axis(self.metric if area else f"{self.output}_{self.metric}", self.unit).column

    def is_on(self, axis: Axis) -> bool:
        """Whether it can be read from a curve of the output at the end of each interval."""
        return self.metric in {"value", "trough"} and (self.output, self.unit) == (axis.name, axis.unit)


@dataclass(frozen=True)
class Window:
    """A therapeutic window of one quantity.

    Args:
        low, high: edges, in the quantity's unit; infinite if open. If they change over time, these are the last ones.
        quantity: the quantity that must lie inside.
        earlier: (until, low, high) rows, ascending: the edges of the steps before ``until``.
        judged: the judged steps; None means all.
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
        """Make a window from the edges at each step."""
        changes = 1 + np.flatnonzero((low[1:] != low[:-1]) | (high[1:] != high[:-1]))
        earlier = tuple((int(k), float(low[k - 1]), float(high[k - 1])) for k in changes)
        return cls(float(low[-1]), float(high[-1]), quantity, earlier, judged)

    def stretches(
        self, steps: int, within: tuple[float, float] = (-np.inf, np.inf)
    ) -> list[tuple[int, int, float, float]]:
        """(first step, last step + 1, low, high) of each run of judged steps with the same edges.

        Args:
            steps: number of steps in an episode.
            within: axis limits, to which open edges extend.
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
    """An environment as a pytree. Its numbers are array leaves, so changing a value does not recompile.

    Functions are unbatched unless their name ends in ``_batch``; use ``jax.vmap`` for a cohort. ``draw`` generates all
    random numbers of a step or a reset in advance, for a whole rollout in one call.
    """

    @property
    @abc.abstractmethod
    def horizon(self) -> int:
        """Number of steps after which an episode is truncated."""

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
        """Upper limit of a dose axis."""
        return float(self.action_bounds[1].max())

    @property
    @abc.abstractmethod
    def window(self) -> Window:
        """The therapeutic window; the first one if there are several."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows of the goal, in the order of `Step.metrics`."""
        return (self.window,)

    @property
    @abc.abstractmethod
    def axes(self) -> Mapping[str, Axis]:
        """Names and units of ``time``, ``concentration`` and ``dose``."""

    @property
    def heavy(self) -> bool:
        """Whether a step takes so long that rollouts are worth dividing among cores."""
        return False

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        """Name and unit of each component of the observation; numbered if the environment gives no names."""
        return _numbered("observation", self.observation_bounds[0].size)

    @property
    def truth_names(self) -> tuple[Feature, ...]:
        """Name and unit of each component of `truth`."""
        chance = jax.eval_shape(lambda: self.draw(jax.random.key(0), ()))
        return _numbered("truth", jax.eval_shape(lambda c: self.truth(self.reset(c)[0]), chance).size)

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape chance"]:
        """Random numbers for ``shape`` steps; each row suffices for a step or a reset."""

    @abc.abstractmethod
    def reset(self, chance: Float[Array, " chance"]) -> tuple[State, Float[Array, " obs"]]:
        """Start a new episode."""

    @abc.abstractmethod
    def step(self, state: State, action: Float[Array, " action"], chance: Float[Array, " chance"]) -> Step:
        """Simulate one decision interval."""

    @abc.abstractmethod
    def concentration(self, state: State) -> Float[Array, ""]:
        """The monitored output now, on the axis ``concentration`` of `axes`."""

    def truth(self, state: State) -> Float[Array, " truth"]:
        """The hidden state, for a privileged critic only; empty unless an environment defines it."""
        del state
        return jnp.zeros(0)

    def truth_batch(self, state: State) -> Float[Array, "env truth"]:
        """`truth` for a batch of states."""
        return jax.vmap(self.truth)(state)

    def reset_batch(self, chance: Float[Array, "env chance"]) -> tuple[State, Float[Array, "env obs"]]:
        """`reset` for a batch of environments."""
        return jax.vmap(self.reset)(chance)

    def reset_where(
        self, wanted: Bool[Array, " env"], chance: Float[Array, "env chance"]
    ) -> tuple[State, Float[Array, "env obs"]]:
        """`reset_batch` in the rows that are wanted, anything in the others; nothing is computed if there are none."""
        found: tuple[State, Float[Array, "env obs"]] = where_any(self.reset_batch, wanted, chance)
        return found

    def step_batch(
        self,
        state: State,
        action: Float[Array, "env action"],
        chance: Float[Array, "env chance"],
    ) -> Step:
        """`step` for a batch, in the order of `reset_batch`."""
        return jax.vmap(self.step)(state, action, chance)

    def step_and_reset(
        self,
        state: State,
        action: Float[Array, "env action"],
        chance: Float[Array, "env chance"],
        *,
        final: bool,
    ) -> tuple[Step, State, Float[Array, "env obs"]]:
        """`step_batch`; and state and observation after it, of a new episode where one has ended.

        Args:
            state: of all environments.
            action: of each.
            chance: of a step and of a reset.
            final: whether the final observation of an episode is wanted. Without it, `Step.obs` may be that of the new
                one, so that every environment observes once.
        """
        del final
        out = self.step_batch(state, action, chance)
        ended = jnp.asarray(out.terminated | out.truncated)
        found: tuple[State, Array] = where_rows(ended, self.reset_where(ended, chance), (out.state, out.obs))
        return out, *found


class Wrapped(FunctionalEnv):
    """Base class of wrappers that change only the observation."""

    inner: FunctionalEnv

    @property
    def horizon(self) -> int:
        return self.inner.horizon

    @property
    def heavy(self) -> bool:
        return self.inner.heavy

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
    """Definition of an environment: the ``ENV`` of its file.

    Args:
        build: makes the environment; its keyword arguments are the environment's options.
        title: one-line description for ``info``.
        training_options: default options in training and evaluation.
        training_only: options that apply in training only, not in evaluation.
    """

    build: Callable[..., FunctionalEnv]
    title: str
    training_options: Mapping[str, Any] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    training_only: frozenset[str] = frozenset()

    def options(self) -> dict[str, Any]:
        """Every option with its default."""
        return {name: p.default for name, p in inspect.signature(self.build).parameters.items()}

    def training(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Training options: ``training_options``, overridden by the given ones.

        A given ``x`` also replaces a training option ``x_range``, from which ``x`` would be drawn.
        """
        kept = {n: v for n, v in self.training_options.items() if n.removesuffix("_range") not in given}
        return {**kept, **given}

    def evaluation(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The training options without those that apply in training only."""
        return {name: value for name, value in options.items() if name not in self.training_only}

    def make(self, **options: Any) -> FunctionalEnv:
        """Build the environment.

        Raises:
            UnknownNameError: an unknown option.
            ConfigError: a value that is not allowed.
        """
        known = self.options()
        for name in options:
            if name not in known:
                raise UnknownNameError("environment option", name, known)
        return self.build(**options)


def require(ok: bool, name: str, value: Any, allowed: str) -> None:
    """Raise an error for an invalid environment option.

    Raises:
        ConfigError: unless ``ok``.
    """
    if not ok:
        raise ConfigError(f"environment option {name} must be {allowed}, not {excerpt(repr(value), 100)}")


def where_rows[T](rows: Bool[Array, " env"], this: T, that: T) -> T:
    """For each array, ``this`` in the selected rows of a batch and ``that`` in the others."""

    def pick(a: Any, b: Any) -> Any:
        return jnp.where(jnp.reshape(rows, rows.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, this, that)

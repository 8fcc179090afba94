"""The compiled training iteration, in one program or in parts of its rollout, for one seed or many."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, UInt32

from rl_drug_dosage.envs.functional import FunctionalEnv
from rl_drug_dosage.ppo.learner import Learner, LearnerState, Rates, UpdateMetrics
from rl_drug_dosage.training.collect import EpisodeStats, Normalizers, NormRates
from rl_drug_dosage.training.compiled import BatchState, Draws, Walked, draws, gathered, walk
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.rollout_parts import number_of_parts, on_cores, part_of, together
from rl_drug_dosage.types import Array
from rl_drug_dosage.utils.device_shape import ONE_CORE_EACH, device_shape, on_threads
from rl_drug_dosage.utils.on_devices import SeedsOnDevices

__all__ = ["Iteration", "Report", "TrainState"]

type AllRates = tuple[Rates, NormRates]
type Bounds = tuple[Array, Array]


class TrainState(eqx.Module):
    """Everything that training goes on from: a checkpoint is exactly this. The key is kept as plain numbers.

    ``multiplier`` is the price of a harmful event under ``harm_limit``.
    """

    learner: LearnerState
    batch: BatchState
    norms: Normalizers
    key: UInt32[Array, "*seed 2"]
    multiplier: Float[Array, "*seed"]


class Report(NamedTuple):
    """What an iteration tells the host."""

    update: UpdateMetrics
    episodes: EpisodeStats
    multiplier: Float[Array, ""] | float = 0.0


class Iteration:
    """Rollout and update.

    On a CPU, a rollout of costly environments is one program that runs for each part of it and for each seed, on as
    many cores as there are (`training.rollout_parts`), and the update is another one. Everything else is one program,
    in which seeds and parts are computed side by side; several accelerators have seeds of their own.

    Args:
        env: the environment.
        learner: of the shapes.
        config: of the shapes; its numbers are arguments of the programs.
    """

    def __init__(self, env: FunctionalEnv, learner: Learner, config: TrainConfig) -> None:
        self._learner, self._config, self._many = learner, config, config.seeds > 1
        self._parts = number_of_parts(env, config)
        self._compiled: Callable[..., tuple[TrainState, Report]] | None = None

    @property
    def _devices(self) -> int:
        """Accelerators that have seeds of their own, an equal number each."""
        return math.gcd(self._config.seeds, device_shape().devices)

    def compile(self, env: FunctionalEnv, state: TrainState, rates: AllRates, bounds: Bounds) -> None:
        """Compile for these arguments, or read from the persistent cache, unless that is done."""
        if self._compiled is None:
            if self._parts > 1 and on_cores():
                made = self._divided
            else:
                made = self._shared if self._devices > 1 else self._whole
            self._compiled = made(env, state, rates, bounds)

    def __call__(
        self, env: FunctionalEnv, state: TrainState, rates: AllRates, bounds: Bounds
    ) -> tuple[TrainState, Report]:
        """One iteration, with the programs of `compile`."""
        assert self._compiled is not None
        return self._compiled(env, state, rates, bounds)

    def _whole(self, *given: Any) -> Callable[..., tuple[TrainState, Report]]:
        function = jax.vmap(self._iteration, in_axes=(None, 0, None, None)) if self._many else self._iteration
        return jax.jit(function).lower(*given).compile()

    def _shared(self, *given: Any) -> Callable[..., tuple[TrainState, Report]]:
        env, state, *rest = given
        run = jax.jit(jax.vmap(self._iteration, in_axes=(None, 0, None, None)))
        seeds = SeedsOnDevices(self._devices)
        each = [run.lower(env, own, *rest).compile() for own in seeds.dealt(state)]

        def advance(env: FunctionalEnv, state: TrainState, *rest: Any) -> tuple[TrainState, Report]:
            # A call returns before it has ended: the devices compute at the same time.
            return seeds.gathered([one(env, own, *rest) for one, own in zip(each, seeds.dealt(state), strict=True)])

        return advance

    def _divided(self, *given: Any) -> Callable[..., tuple[TrainState, Report]]:
        _, state, rates, _ = given
        seeds = range(self._config.seeds)
        each = [(jnp.int32(seed), jnp.int32(part)) for seed in seeds for part in range(self._parts)]
        learn = jax.vmap(self._learnt, in_axes=(0, 0, None)) if self._many else self._learnt

        def learn_from(state: TrainState, found: Sequence[Walked], rates: AllRates) -> tuple[TrainState, Report]:
            by_seed = [_stacked(found[seed * self._parts : (seed + 1) * self._parts]) for seed in seeds]
            return learn(state, _stacked(by_seed) if self._many else by_seed[0], rates)

        one = jax.jit(self._walked)
        walked = jax.eval_shape(one, *given, *each[0])
        makers = [
            lambda: one.lower(*given, *each[0]).compile(compiler_options=ONE_CORE_EACH),
            lambda: jax.jit(learn_from).lower(state, [walked] * len(each), rates).compile(),
        ]
        roll, update = on_threads(lambda make: make(), makers, device_shape().compilers)

        def run(*given: Any) -> tuple[TrainState, Report]:
            _, state, rates, _ = given
            found = on_threads(lambda which: jax.block_until_ready(roll(*given, *which)), each)
            return update(state, found, rates)

        return run

    def _iteration(
        self, env: FunctionalEnv, state: TrainState, rates: AllRates, bounds: Bounds
    ) -> tuple[TrainState, Report]:
        walked: Walked
        if self._parts == 1:
            networks, drawn, priced = self._begun(env, state, rates)
            walked = walk(env, networks, state.batch, state.norms, drawn, bounds, self._config, priced)
        else:
            walked = jax.vmap(lambda part: self._part(env, state, rates, bounds, part))(jnp.arange(self._parts))
        return self._learnt(state, walked, rates)

    def _walked(
        self,
        env: FunctionalEnv,
        state: TrainState,
        rates: AllRates,
        bounds: Bounds,
        seed: Int[Array, ""],
        part: Int[Array, ""],
    ) -> Walked:
        """A part of a seed's rollout."""
        if self._many:
            state = jax.tree.map(lambda x: jnp.asarray(x)[seed], state)
        return self._part(env, state, rates, bounds, part)

    def _part(
        self, env: FunctionalEnv, state: TrainState, rates: AllRates, bounds: Bounds, part: Int[Array, ""]
    ) -> Walked:
        networks, drawn, priced = self._begun(env, state, rates)
        batch = part_of(state.batch, part, self._parts)
        own = Draws(*part_of(drawn, part, self._parts, axis=1))
        return walk(env, networks, batch, state.norms, own, bounds, self._config, priced)

    def _begun(self, env: FunctionalEnv, state: TrainState, rates: AllRates) -> tuple[Any, Draws, NormRates]:
        networks = self._learner.networks(state.learner.params)
        priced = eqx.tree_at(lambda r: r.harm_price, rates[1], state.multiplier)
        return networks, draws(env, networks, self._keys(state)[1], self._config), priced

    @staticmethod
    def _keys(state: TrainState) -> Any:
        return jax.random.split(jax.random.wrap_key_data(jnp.asarray(state.key)), 3)

    def _learnt(self, state: TrainState, walked: Walked, rates: AllRates) -> tuple[TrainState, Report]:
        """The update on a rollout."""
        key, _, update_key = self._keys(state)
        if self._parts > 1:
            walked = _whole_of(walked)
        rollout, batch, norms, episodes = gathered(state.batch.memory, walked, self._config, rates[1])
        learner, metrics = self._learner.update(state.learner, rollout, rates[0], update_key)
        multiplier = state.multiplier
        if self._config.harm_limit:
            # Projected ascent on the Lagrangian (Tessler et al. 2019, arXiv 1805.11074), in shares of the limit.
            excess = jnp.clip(episodes.harm / rates[1].harm_limit - 1.0, -1.0, 1.0)
            multiplier = jnp.maximum(0.0, multiplier + rates[1].harm_lr * excess)
        report = Report(metrics, episodes, state.multiplier)
        return TrainState(learner, batch, norms, jax.random.key_data(key), multiplier), report


def _stacked(each: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *x: jnp.stack(x), *each)


def _whole_of(parts: Walked) -> Walked:
    """A rollout from its parts, which lie in a first axis."""
    returns, lengths, *shares = parts.ended
    ended = returns.sum(0), lengths.sum(0), *(share.mean(0) for share in shares)
    # The normalisers are those of all environments in every part.
    norms = jax.tree.map(lambda x: x[0], parts.norms)
    return Walked(together(parts.batch), norms, together(parts.raw, axis=1), ended)

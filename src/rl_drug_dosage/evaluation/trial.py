"""An in-silico trial: one policy on a range of virtual patients, a pure function of (policy, scenario, range, seed).

Every policy meets the same patients with the same chance. Results of ranges merge (`merge`): shards of a cohort, run
anywhere, give the bits of the whole.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.agents._policy import Policy
from rl_drug_dosage.clinic.grid import on_grid, snap
from rl_drug_dosage.clinic.record import record_axes
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS, Shield
from rl_drug_dosage.envs._course import admit, chart, treat
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.seeding import Stream, key_for

__all__ = ["Cohort", "Trial", "merge", "prepare_trial", "run_trial", "trial_program"]

_CHUNK = 250
"""Patients in one compiled call, small enough for the caches; two calls run side by side on two cores. Calls start at
multiples of it, whatever range is asked for, so that a patient is computed by the same program in the same lane: that
is what makes shards agree to the bit."""
_INVALID, _OFF_GRID = REASONS.index("not a number"), REASONS.index("off the grid")


@dataclass(frozen=True)
class Trial:
    """One policy's results, a row a patient.

    Args:
        first: number of the first patient.
        covariates: at admission.
        values: the monitored output at the grid times, disturbance included.
        metrics: the goal's metrics, the mean of an interval's points.
        dose: what was given, in the dosage's unit.
        proposal: what the policy asked for.
        reason: why they differ, an index into `agents.shield.REASONS`; 0: they do not.
        inside, under, over: shares of an interval's points; a patient who has dropped out is never inside.
        harms: events.
        reward: of each interval.
        alive: had not dropped out before the decision.
        failed: the simulation, or the policy's memory, was not finite at some point.
    """

    first: int
    covariates: dict[str, Float[np.ndarray, " patient"]]
    values: Float[np.ndarray, "patient decision grid"]
    metrics: Float[np.ndarray, "patient decision window"]
    dose: Float[np.ndarray, "patient decision"]
    proposal: Float[np.ndarray, "patient decision"]
    reason: Int[np.ndarray, "patient decision"]
    inside: Float[np.ndarray, "patient decision"]
    under: Float[np.ndarray, "patient decision"]
    over: Float[np.ndarray, "patient decision"]
    harms: Float[np.ndarray, "patient decision harm"]
    reward: Float[np.ndarray, "patient decision"]
    alive: Bool[np.ndarray, "patient decision"]
    failed: Bool[np.ndarray, " patient"]

    @property
    def patients(self) -> int:
        """How many."""
        return len(self.failed)


def merge(parts: Sequence[Trial]) -> Trial:
    """Results of adjoining ranges as one.

    Raises:
        ConfigError: the ranges do not adjoin.
    """
    parts = sorted(parts, key=lambda t: t.first)
    for a, b in itertools.pairwise(parts):
        if a.first + a.patients != b.first:
            raise ConfigError(
                f"patients {a.first}-{a.first + a.patients - 1} and {b.first}-{b.first + b.patients - 1} do not "
                "adjoin: give every range once"
            )
    joined: dict[str, Any] = {
        f.name: np.concatenate([getattr(t, f.name) for t in parts])
        for f in fields(Trial)
        if f.name not in {"first", "covariates"}
    }
    names = parts[0].covariates
    table = {n: np.concatenate([t.covariates[n] for t in parts]) for n in names}
    return Trial(first=parts[0].first, covariates=table, **joined)


def trial_program(
    scenario: Scenario, model: DrugModel, *, sees_truth: bool = False
) -> Callable[[Policy, Shield | None, Array, Array], tuple[Any, ...]]:
    """(policy, shield, stream key, patient numbers) -> the arrays of a `Trial`, traceable and unbatched over nothing.

    Args:
        scenario: the task.
        model: the simulator, from `simulator_of`.
        sees_truth: whether the policy is an oracle.
    """

    def run(policy: Policy, shield: Shield | None, stream: Array, numbers: Array) -> tuple[Any, ...]:
        keys = jax.vmap(lambda i: jax.random.fold_in(stream, i))(numbers)
        course = jax.vmap(lambda key: admit(scenario, model, key))(keys)
        zero = jnp.zeros((), jnp.int32)
        first = jax.vmap(lambda c: chart(scenario, c, zero))(course)
        axes = record_axes(first)

        def init(record: Any, truth: Any) -> Any:
            return policy.init((record, truth) if sees_truth else record)

        memory = jax.vmap(init, in_axes=(axes, 0))(eqx.tree_at(lambda r: r.k, first, zero), course.truth)

        def step(carry: tuple[Any, Any], k: Array) -> tuple[Any, Any]:
            course, memory = carry
            record = jax.vmap(lambda c: chart(scenario, c, k))(course)
            record = eqx.tree_at(lambda r: r.k, record, k)
            chance = jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, k + 1), 1))(keys)
            proposal, memory = jax.vmap(policy.act, in_axes=(0, axes, 0))(memory, record, chance)
            amount, reason = jax.vmap(lambda r, a: _dispense(scenario, shield, r, a), in_axes=(axes, 0))(
                record, proposal
            )
            alive = course.alive
            amount = jnp.where(alive, amount, scenario.dosage.amounts[0])
            course, turn = jax.vmap(lambda c, a: treat(scenario, model, c, a, k))(course, amount)
            inside = jnp.where(course.alive, turn.verdict.inside, 0.0)
            # Who has left counts as out of range to the end, as in training.
            reward = jnp.where(course.alive, turn.reward, jnp.minimum(turn.reward, -1.0))
            seen = (
                turn.values,
                turn.metrics,
                amount,
                proposal,
                jnp.where(alive, reason, 0),
                inside,
                turn.verdict.under,
                turn.verdict.over,
                turn.harms,
                reward,
                alive,
            )
            return (course, memory), seen

        _, seen = jax.lax.scan(step, (course, memory), jnp.arange(scenario.schedule.decisions))
        return {n: c[:, 0] for n, c in course.truth.covariates.items()}, *seen

    return run


def _dispense(scenario: Scenario, shield: Shield | None, record: Any, proposal: Array) -> tuple[Array, Array]:
    """What is given: a proposal of the grid as it is, another one put there, both counted; then the shield."""
    invalid = ~jnp.isfinite(proposal)
    # Without a number the last dose goes on, and nothing is given before the first.
    last = jnp.where(record.k > 0, record.dose[jnp.maximum(record.k - 1, 0)], scenario.dosage.amounts[0])
    finite = jnp.where(invalid, last, proposal)
    amount = snap(scenario, finite)
    reason = jnp.where(invalid, _INVALID, jnp.where(on_grid(scenario, finite), 0, _OFF_GRID))
    if shield is None:
        return amount, reason
    kept, why = shield(record, amount)
    return kept, jnp.where(why > 0, why, reason)


_compiled: dict[Any, Any] = {}

_COMPILER = {"xla_backend_optimization_level": "1"}
"""A planner's program is compiled once and runs for seconds: level 1 takes a quarter off the compilation, and the runs
were as fast."""


def _program(
    scenario: Scenario, model: DrugModel, sees_truth: bool, policy: Policy, shield: Shield | None, size: int
) -> Any:
    """One compiled program a task and kind of policy: its numbers are arguments."""
    leaves, shape = jax.tree.flatten((policy, shield))
    key = (scenario, model, sees_truth, size, shape, tuple(jax.typeof(leaf) for leaf in leaves))
    if key not in _compiled:
        run: Any = eqx.filter_jit(trial_program(scenario, model, sees_truth=sees_truth))
        stream = key_for(0, Stream.EVALUATE)
        lowered = run.lower(policy, shield, stream, jnp.arange(size))
        _compiled[key] = lowered.compile(compiler_options=_COMPILER)
    return _compiled[key]


@dataclass(frozen=True)
class Cohort:
    """Patients ``first .. first + count - 1`` of the cohort that seed and stream name; streams never meet.

    Raises:
        ConfigError: no patients.
    """

    seed: int
    count: int
    first: int = 0
    stream: Stream = Stream.EVALUATE

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"a trial needs at least 1 patient, not {self.count}")


def prepare_trial(
    scenario: Scenario,
    model: DrugModel,
    policy: Policy,
    *,
    shield: Shield | None = None,
    sees_truth: bool = False,
) -> None:
    """Compile what `run_trial` would compile, so that several threads can do so for several policies at once."""
    _program(scenario, model, sees_truth, jax.tree.map(jnp.asarray, policy), shield, _CHUNK)


def run_trial(
    scenario: Scenario,
    model: DrugModel,
    policy: Policy,
    cohort: Cohort,
    *,
    shield: Shield | None = None,
    sees_truth: bool = False,
    clock: dict[str, float] | None = None,
) -> Trial:
    """One policy on one cohort.

    Args:
        scenario: the task.
        model: the simulator, from `simulator_of`.
        policy: doses them.
        cohort: who.
        shield: stands between policy and patient.
        sees_truth: the policy is an oracle.
        clock: is told ``compile_s`` and ``run_s``, the time that all patients take once it is compiled.
    """
    count, first = cohort.count, cohort.first
    begin = time.perf_counter()
    policy = jax.tree.map(jnp.asarray, policy)
    run = _program(scenario, model, sees_truth, policy, shield, _CHUNK)
    key = key_for(cohort.seed, cohort.stream)
    compiled = time.perf_counter()

    def shard(start: int) -> Trial:
        covariates, *arrays = jax.device_get(run(policy, shield, key, start + jnp.arange(_CHUNK)))
        names = [f.name for f in fields(Trial) if f.name not in {"first", "covariates", "failed"}]
        table = {name: np.moveaxis(a, 0, 1) for name, a in zip(names, arrays, strict=True)}
        # A proposal that is no number is the policy's fault and is counted; the patient goes on.
        failed = ~np.isfinite(table["values"]).all(axis=(1, 2)) | ~np.isfinite(table["reward"]).all(axis=1)
        return Trial(first=start, covariates=covariates, failed=failed, **table)

    starts = range(first // _CHUNK * _CHUNK, first + count, _CHUNK)
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(shard, starts))
    if clock is not None:
        clock.update(compile_s=compiled - begin, run_s=time.perf_counter() - compiled)
    return _cut(merge(parts), first, count)


def _cut(trial: Trial, first: int, count: int) -> Trial:
    """Patients ``first .. first + count - 1`` of the whole calls."""
    own = slice(first - trial.first, first - trial.first + count)
    rest = {f.name: getattr(trial, f.name)[own] for f in fields(Trial) if f.name not in {"first", "covariates"}}
    return replace(trial, first=first, covariates={n: c[own] for n, c in trial.covariates.items()}, **rest)

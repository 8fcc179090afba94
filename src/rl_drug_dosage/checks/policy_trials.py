"""The doses of a policy on fixed records and variations of them, computed by one compiled program."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.checks.probe import label_course, random_course
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth, record_axes
from rl_drug_dosage.clinic.simulators import randomised, simulator_of

__all__ = ["Bench", "Doses", "abstract_act", "constants_of", "other_simulator", "same"]

type Doses = Float[np.ndarray, "decision patient"]

_PATIENTS = 12
_POISON = 1e9
"""Extreme but finite, so that a policy may multiply by ``known``."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A policy in a setting, and its doses under variations, each computed on first use.

    Args:
        definition: definition of the policy.
        setting: the setting in which it is built.
    """

    definition: PolicyDefinition
    setting: Setting

    @cached_property
    def policy(self) -> Policy:
        """The policy as built."""
        return self.definition.build(self.setting)

    @cached_property
    def _copy(self) -> Any:
        return jax.tree.map(lambda leaf: np.array(leaf, copy=True), eqx.filter(self.policy, eqx.is_array))

    @cached_property
    def _course(self) -> tuple[Record, Truth]:
        """Records and truths of patients, half of them under the label, half under random doses."""
        scenario, model = self.setting.scenario, self.setting.simulator
        half = _PATIENTS // 2
        parts = [label_course(scenario, model), random_course(scenario, model, seed=2)]

        def join(axis: int, *leaves: Any) -> Any:
            if leaves[0].ndim <= axis:
                return jnp.asarray(leaves[0])
            return jnp.concatenate([jnp.take(leaf, jnp.arange(half), axis=axis) for leaf in leaves], axis=axis)

        charts: Record = jax.tree.map(lambda *leaves: join(1, *leaves), *(part.charts for part in parts))
        truth: Truth = jax.tree.map(lambda *leaves: join(0, *leaves), *(part.truth for part in parts))
        return charts, truth

    @cached_property
    def first(self) -> tuple[Record, Truth]:
        """One patient's record at admission and its truth."""
        charts, truth = self._course
        record = jax.tree.map(lambda leaf: leaf[0] if leaf.ndim == 1 else leaf[0, 0], charts)
        return record, jax.tree.map(lambda leaf: leaf[0], truth)

    @cached_property
    def abstract_memory(self) -> Any:
        """Shapes of what `init` returns."""
        record, truth = self.first
        given = truth if self.definition.sees_truth else None
        return jax.eval_shape(self._init, record, given)

    # JAX caches traced functions by hash, and the methods of a policy with arrays cannot be hashed.
    def _init(self, record: Record, truth: Truth | None) -> Any:
        return self.policy.init(record, truth)

    def decide(self, memory: Any, record: Record, key: Any) -> tuple[Any, Any]:
        """`Policy.act` of one patient."""
        return self.policy.act(memory, record, key)

    def _run(self, charts: Record, truth: Truth | None, seed: int = 1, policy: Policy | None = None) -> Doses:
        policy = self.policy if policy is None else policy
        _ = self._copy  # recorded before the first call
        keys = jax.random.split(jax.random.key(seed), _PATIENTS)
        doses = np.asarray(_replay(jax.tree.map(jnp.asarray, policy), charts, truth, keys), np.float32)
        policy.check()
        return doses

    @property
    def _given(self) -> Truth | None:
        return self._course[1] if self.definition.sees_truth else None

    @cached_property
    def usual(self) -> Doses:
        """Doses as in a trial."""
        return self._run(self._course[0], self._given)

    @cached_property
    def again(self) -> Doses:
        """Doses of a repeated call."""
        return self._run(self._course[0], self._given)

    @cached_property
    def other_key(self) -> Doses:
        """Doses with another key."""
        return self._run(self._course[0], self._given, seed=2)

    @cached_property
    def blind(self) -> Doses:
        """Doses without any level."""
        return self._run(_without(self._course[0], 1.0), self._given)

    @cached_property
    def sparse(self) -> Doses:
        """Doses with half of the levels missing."""
        return self._run(_without(self._course[0], 0.5), self._given)

    @cached_property
    def touches_truth(self) -> bool:
        """Whether `init` computes anything from the truth; found by tracing it, so that most policies run once."""
        record, truth = self.first
        traced = jax.make_jaxpr(self._init)(record, truth).jaxpr
        own = traced.invars[len(jax.tree.leaves(record)) :]
        used = [v for equation in traced.eqns for v in equation.invars] + list(traced.outvars)
        return any(v is given for v in used for given in own)

    @cached_property
    def with_truth(self) -> Doses:
        """Doses if `init` receives the truth although the policy does not declare it."""
        return self._run(*self._course)

    @cached_property
    def with_other_truth(self) -> Doses:
        """Doses if `init` receives another patient's truth."""
        charts, truth = self._course
        return self._run(charts, jax.tree.map(lambda leaf: jnp.roll(leaf, 1, axis=0), truth))

    @cached_property
    def poisoned_levels(self) -> Doses:
        """Doses with huge values in unknown levels."""
        charts = self._course[0]
        level = jnp.where(charts.known, charts.level, _POISON)
        return self._run(eqx.tree_at(lambda r: r.level, charts, level), self._given)

    @cached_property
    def poisoned_below(self) -> Doses:
        """Doses with flags set for unknown levels."""
        charts = self._course[0]
        return self._run(eqx.tree_at(lambda r: r.below, charts, charts.below | ~charts.known), self._given)

    @cached_property
    def reversed(self) -> Doses:
        """Doses in reversed order of patients, sorted back."""
        charts, truth = self._course
        charts = jax.tree.map(lambda leaf: leaf if leaf.ndim == 1 else leaf[:, ::-1], charts)
        given = jax.tree.map(lambda leaf: leaf[::-1], truth) if self.definition.sees_truth else None
        return self._run(charts, given)[:, ::-1]

    def alone(self, patient: int) -> Doses:
        """Doses in a batch of copies of one patient."""
        charts, truth = self._course
        own = slice(patient, patient + 1)
        charts = jax.tree.map(
            lambda leaf: leaf if leaf.ndim == 1 else jnp.repeat(leaf[:, own], _PATIENTS, axis=1), charts
        )
        one = jax.tree.map(lambda leaf: jnp.repeat(leaf[own], _PATIENTS, axis=0), truth)
        return self._run(charts, one if self.definition.sees_truth else None)

    def unchanged(self) -> bool:
        """Whether the policy's arrays are unchanged after dosing."""
        return bool(eqx.tree_equal(self._copy, jax.tree.map(np.asarray, eqx.filter(self.policy, eqx.is_array))))


@eqx.filter_jit
def _replay(policy: Policy, charts: Record, truth: Truth | None, keys: Any) -> Any:
    """Doses proposed on fixed records, which they do not change, ``[decision, patient]``."""
    start: Record = jax.tree.map(lambda leaf: leaf[0], charts)
    axes = record_axes(start)
    memory = jax.vmap(policy.init, in_axes=(axes, None if truth is None else 0))(start, truth)

    def step(memory: Any, record: Record) -> tuple[Any, Any]:
        chance = jax.vmap(lambda key: jax.random.fold_in(key, record.k))(keys)
        dose, memory = jax.vmap(policy.act, in_axes=(0, axes, 0))(memory, record, chance)
        return memory, dose

    return jax.lax.scan(step, memory, charts)[1]


def _without(charts: Record, share: float) -> Record:
    """Records without levels, all or some; a missing level stays missing."""
    shape = charts.known.shape[1:]
    gone = jnp.asarray(np.random.default_rng(1).uniform(size=shape) < share)[None]
    known = charts.known & ~gone
    parts = (known, jnp.where(known, charts.level, 0.0), charts.below & known)
    return eqx.tree_at(lambda r: (r.known, r.level, r.below), charts, parts)


def abstract_act(bench: Bench, *, with_key: bool) -> tuple[Any, Any]:
    """Shapes of the dose and of the memory after a decision.

    Args:
        bench: the policy.
        with_key: pass a random key.
    """
    record, _ = bench.first
    key = jax.random.key(0) if with_key else None
    return jax.eval_shape(bench.decide, bench.abstract_memory, record, key)


def constants_of(bench: Bench) -> str:
    """The traced program of a decision as text, with its constants."""
    record, _ = bench.first
    traced = jax.make_jaxpr(bench.decide)(bench.abstract_memory, record, jax.random.key(0))
    constants = [c for c in traced.consts if not jnp.issubdtype(c.dtype, jax.dtypes.prng_key)]
    # Variable names and function addresses do not affect the computation.
    return re.sub(r"0x[0-9a-f]+", "", str(traced.jaxpr)) + "".join(np.asarray(c).tobytes().hex() for c in constants)


def other_simulator(bench: Bench) -> Doses | None:
    """Doses of the policy built for another simulator; None if the built policy is identical."""
    setting, scenario = bench.setting, bench.setting.scenario
    name = scenario.models[-1]
    other = simulator_of(scenario, name) if len(scenario.models) > 1 else randomised(scenario, name, 1.0)
    built = bench.definition.build(replace(setting, simulator=other))
    if eqx.tree_equal(built, bench.policy):
        return None
    charts, _ = bench._course  # noqa: SLF001 - of this module
    return bench._run(charts, None, policy=built)  # noqa: SLF001


def same(a: Doses, b: Doses) -> np.ndarray:
    """Where two tables agree to float32 precision; NaN equals NaN."""
    return np.isclose(a, b, rtol=1e-3, atol=1e-4 * (1.0 + float(np.nanmax(np.abs(a), initial=0.0))), equal_nan=True)

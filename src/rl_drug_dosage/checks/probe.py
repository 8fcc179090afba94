"""Courses for the checks: one compiled program per scenario for label, random and constant doses."""

from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.rollout import Courses, Witness, rollout
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.seeding import Stream, key_for

__all__ = ["PATIENTS", "Watched", "constant_course", "label_course", "random_course"]

PATIENTS = 50
_LABEL, _RANDOM, _CONSTANT = 0, 1, 2


class Watched(NamedTuple):
    """The courses of the patients, and their records."""

    courses: Courses
    charts: Record
    """``[decision, patient, ...]``; ``k`` is ``[decision]``."""
    truth: Truth
    """``[patient, ...]``."""


class _Probe(Policy):
    """The label dose before rounding to the grid, a random dose, or a constant one."""

    scenario: Scenario = eqx.field(static=True)
    mode: Array
    amount: Array

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        assert key is not None
        grid = jnp.asarray(self.scenario.dosage.grid())
        label = jnp.asarray(self.scenario.label(observation.facts(), observation), dtype=float)
        drawn = grid[jax.random.randint(key, (), 0, grid.shape[0])]
        return jnp.stack([label, drawn, self.amount])[self.mode], memory


@lru_cache(maxsize=4)
def _program(scenario: Scenario, model: DrugModel) -> Any:
    witness = Witness(begin=lambda _, truth: truth, note=lambda truth, _, record, __: ((record, truth), truth))

    def run(policy: _Probe, keys: PRNGKeyArray) -> tuple[Courses, Truth]:
        courses = rollout(scenario, model, policy, keys, witness=witness)
        charts, truth = courses.notes
        own: Truth = jax.tree.map(lambda leaf: leaf[0], truth)
        return eqx.tree_at(lambda c: c.notes, courses, charts), own

    return jax.jit(run)


def _course(scenario: Scenario, model: DrugModel, mode: int, amount: float, seed: int) -> Watched:
    keys = jax.vmap(lambda i: jax.random.fold_in(key_for(seed, Stream.EVALUATE), i))(jnp.arange(PATIENTS))
    policy = _Probe(scenario, jnp.asarray(mode), jnp.asarray(amount, dtype=float))
    courses, truth = jax.device_get(_program(scenario, model)(policy, keys))
    return Watched(courses, courses.notes, truth)


def label_course(scenario: Scenario, model: DrugModel, seed: int = 1) -> Watched:
    """Courses under the label dose; ``courses.proposal`` is the dose before rounding."""
    return _course(scenario, model, _LABEL, 0.0, seed)


def random_course(scenario: Scenario, model: DrugModel, seed: int = 1) -> Watched:
    """Courses under random amounts of the grid."""
    return _course(scenario, model, _RANDOM, 0.0, seed)


def constant_course(scenario: Scenario, model: DrugModel, amount: float, seed: int = 1) -> Watched:
    """Courses under one constant amount."""
    return _course(scenario, model, _CONSTANT, amount, seed)

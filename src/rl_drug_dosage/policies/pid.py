"""A PID controller on the measured level; its gains are tuned by search on a tuning cohort.

With the relative error e_j = +-(wanted - level_j) / scale of the latest known level (positive where more drug is
needed), dose = label's first dose x (base + kp e + ki sum e + kd (e - e_before)), bounded by the grid. The integral
stops while the dose is beyond a bound (anti-windup by conditional integration).
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.steering import aim_now, latest_level, reference

__all__ = ["POLICY", "Pid"]

_COUNT = 256


class _Memory(NamedTuple):
    unit: Array
    """The label's first dose, to which the gains are relative."""
    total: Array
    error: Array
    before: Array
    at: Array


class Pid(Policy):
    """The parameters are the gains. Each new level is used once; without a new level the dose is unchanged."""

    scenario: Scenario = eqx.field(static=True)
    wanted: Float[Array, ""]
    before: Float[Array, ""]
    scale: Float[Array, ""]
    base: Float[Array, ""]
    kp: Float[Array, ""]
    ki: Float[Array, ""]
    kd: Float[Array, ""]

    def init(self, record: Record, truth: Truth | None = None) -> _Memory:
        smallest = self.scenario.dosage.amounts[0] or self.scenario.dosage.amounts[1]
        first = self.scenario.label(record.facts(), record)
        zero = jnp.zeros(())
        return _Memory(jnp.maximum(first, smallest), zero, zero, zero, jnp.asarray(-1))

    def act(self, memory: _Memory, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, _Memory]:
        known, level, at = latest_level(self.scenario, observation.known, observation.level)
        fresh = known & (at > memory.at)
        wanted = self.before + (self.wanted - self.before) * aim_now(self.scenario, observation.k)
        error = jnp.where(fresh, (wanted - level) / self.scale, memory.error)
        earlier = jnp.where(fresh, jnp.where(memory.at < 0, error, memory.error), memory.before)
        total = memory.total + jnp.where(fresh, error, 0.0)

        def dose(total: Array) -> Array:
            steps = self.kp * error + self.ki * total + self.kd * (error - earlier)
            return memory.unit * (self.base + jnp.where(known, steps, 0.0))

        low, high = self.scenario.dosage.amounts[0], self.scenario.dosage.amounts[-1]
        wound = ((dose(total) > high) & (error > 0)) | ((dose(total) < low) & (error < 0))
        total = jnp.where(wound, memory.total, total)
        amount = snap(self.scenario, jnp.clip(dose(total), low, high))
        return amount, _Memory(memory.unit, total, error, earlier, at)


def _stack(setting: Setting, base: np.ndarray, kp: np.ndarray, ki: np.ndarray, kd: np.ndarray) -> Pid:
    seen = reference(setting.controller, setting.scenario)
    scale = seen.direction * max(abs(seen.level - seen.before), 1e-6)
    columns = (
        np.full(base.shape, seen.level),
        np.full(base.shape, seen.before),
        np.full(base.shape, scale),
        base,
        kp,
        ki,
        kd,
    )
    return Pid(setting.scenario, *(jnp.asarray(c, dtype=float) for c in columns))


def build(setting: Setting) -> Pid:
    """Untuned: proportional gain 0.5, integral gain 0.1, no derivative."""
    return _stack(setting, np.asarray(1.0), np.asarray(0.5), np.asarray(0.1), np.asarray(0.0))


def candidates(setting: Setting, rng: np.random.Generator) -> Pid:
    """256 draws: gains over two decades, base around the label's dose; some have no derivative or no integral."""
    base = np.exp(rng.normal(0.0, 0.35, _COUNT))
    kp, ki, kd = (10.0 ** rng.uniform(low, high, _COUNT) for low, high in ((-1.3, 0.9), (-2.3, 0.3), (-1.3, 0.7)))
    ki[rng.random(_COUNT) < 0.15] = 0.0
    kd[rng.random(_COUNT) < 0.4] = 0.0
    base[0], kp[0], ki[0], kd[0] = 1.0, 0.5, 0.1, 0.0
    return _stack(setting, base, kp, ki, kd)


POLICY = PolicyDefinition(title="a PID controller on the level", build=build, candidates=candidates)

"""An in-silico trial: one policy on a range of virtual patients, a pure function of (policy, scenario, range, seed).

Every policy treats the same patients with the same random events. Results of ranges can be merged (`merge`). On a CPU
shards of a cohort give bit-identical results to the whole: calls start at multiples of their size, so that a patient is
always computed by the same program in the same lane. On a GPU they agree to rounding, see `utils.device_shape`.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.rollout import rollout
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import Shield
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.policies.label import Label
from rl_drug_dosage.registry import SCENARIO, Found
from rl_drug_dosage.utils.device_shape import ONE_CORE_EACH, device_shape
from rl_drug_dosage.utils.held_programs import Held
from rl_drug_dosage.utils.kept_programs import Program, program
from rl_drug_dosage.utils.on_devices import on_devices
from rl_drug_dosage.utils.seeding import Stream, key_for

__all__ = ["Cohort", "Trial", "check_label", "first_of", "merge", "prepare_trial", "run_trial"]


@dataclass(frozen=True)
class Trial:
    """Results of one policy, one row per patient.

    Args:
        first: number of the first patient.
        covariates: at admission.
        values: the monitored output at the grid times, disturbance included.
        measured: the levels drawn in an interval, with their assay error; NaN where none was drawn.
        baseline: the level measured before the first dose; NaN where the clinic has none.
        metrics: the goal's metrics, averaged over the points of an interval.
        dose: dose given, in the dosage's unit.
        proposal: dose proposed by the policy.
        every_h: current dosing interval, h.
        reason: why dose and proposal differ, an index into `clinic.shield.REASONS`; 0 if they are equal.
        doubtful: whether the policy's estimate of the patient had not converged, so that it chose with caution.
        abstained: whether a learnt policy left the dose to the Bayesian dosing that it corrects, since what it observed
            lies far outside its training.
        inside, under, over: fractions of an interval's points; a patient who has dropped out is never inside.
        harms: number of events.
        reward: of each interval.
        alive: whether the patient had not dropped out before the decision.
        failed: whether the simulation or the policy's memory was not finite at some point.
    """

    first: int
    covariates: dict[str, Float[np.ndarray, " patient"]]
    values: Float[np.ndarray, "patient decision grid"]
    measured: Float[np.ndarray, "patient decision sample"]
    baseline: Float[np.ndarray, " patient"]
    metrics: Float[np.ndarray, "patient decision window"]
    dose: Float[np.ndarray, "patient decision"]
    proposal: Float[np.ndarray, "patient decision"]
    every_h: Float[np.ndarray, "patient decision"]
    reason: Int[np.ndarray, "patient decision"]
    doubtful: Bool[np.ndarray, "patient decision"]
    abstained: Bool[np.ndarray, "patient decision"]
    inside: Float[np.ndarray, "patient decision"]
    under: Float[np.ndarray, "patient decision"]
    over: Float[np.ndarray, "patient decision"]
    harms: Float[np.ndarray, "patient decision harm"]
    reward: Float[np.ndarray, "patient decision"]
    alive: Bool[np.ndarray, "patient decision"]
    failed: Bool[np.ndarray, " patient"]

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(self.failed)


def merge(parts: Sequence[Trial]) -> Trial:
    """Merge the results of adjacent ranges.

    Raises:
        ConfigError: the ranges are not adjacent.
    """
    parts = sorted(parts, key=lambda t: t.first)
    for a, b in itertools.pairwise(parts):
        if a.first + a.patients != b.first:
            raise ConfigError(
                f"patients {a.first}-{a.first + a.patients - 1} and {b.first}-{b.first + b.patients - 1} are "
                "not adjacent: give every range once"
            )
    joined: dict[str, Any] = {
        f.name: np.concatenate([getattr(t, f.name) for t in parts])
        for f in fields(Trial)
        if f.name not in {"first", "covariates"}
    }
    names = parts[0].covariates
    table = {n: np.concatenate([t.covariates[n] for t in parts]) for n in names}
    return Trial(first=parts[0].first, covariates=table, **joined)


def first_of(trial: Trial, count: int) -> Trial:
    """The first patients of a trial."""
    return trial if count == trial.patients else _cut(trial, trial.first, count)


def _courses(scenario: Scenario, model: DrugModel, sees_truth: bool) -> Any:
    """(policy, shield, stream key, patient numbers) -> the fields of `Courses`, without notes."""

    def run(policy: Policy, shield: Shield | None, stream: Array, numbers: Array) -> dict[str, Any]:
        keys = jax.vmap(lambda i: jax.random.fold_in(stream, i))(numbers)
        courses = rollout(scenario, model, policy, keys, shield=shield, sees_truth=sees_truth)
        return {f.name: getattr(courses, f.name) for f in fields(courses) if f.name != "notes"}

    return run


_KEPT = 64
"""Number of compiled programs kept by a process."""

_COMPILER = {"xla_backend_optimization_level": "1", **ONE_CORE_EACH}
"""A planner's program is compiled once and runs for seconds: level 1 shortens the compilation by a quarter, and the
runs are as fast. Loops that are divided among cores would make bits depend on their number."""


_programs: Held[Program] = Held(_KEPT)


def _program(
    scenario: Scenario, model: DrugModel, sees_truth: bool, policy: Policy, shield: Shield | None, size: int
) -> Program:
    """One compiled program per task and kind of policy; its numbers are arguments. Equal values share a program."""
    leaves, shape = jax.tree.flatten((policy, shield))
    key = (scenario, model, sees_truth, size, device_shape(), shape, tuple(jax.typeof(leaf) for leaf in leaves))
    run, stream, numbers = _courses(scenario, model, sees_truth), key_for(0, Stream.EVALUATE), jnp.arange(size)
    return _programs.get(key, lambda: program(run, policy, shield, stream, numbers, options=_COMPILER))


@dataclass(frozen=True)
class Cohort:
    """Patients ``first .. first + count - 1`` of the cohort given by seed and stream; streams never overlap.

    Raises:
        ConfigError: fewer than one patient.
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
    patients: int = 1,
) -> Program:
    """Compile the program of `run_trial`, so that several threads can compile for several policies in parallel.

    Args:
        scenario: the task.
        model: the simulator.
        policy: the dosing policy.
        shield: safety shield.
        sees_truth: whether the policy is an oracle.
        patients: of the trial. Only the program of a GPU depends on it.
    """
    size = device_shape().call_size(patients)
    return _program(scenario, model, sees_truth, jax.tree.map(jnp.asarray, policy), shield, size)


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
    """Run one policy on one cohort.

    Args:
        scenario: the task.
        model: the simulator, from `simulator_of`.
        policy: the dosing policy.
        cohort: the patients.
        shield: safety shield applied to every proposed dose.
        sees_truth: whether the policy is an oracle.
        clock: receives ``compile_s`` and ``run_s``, the time for all patients once the program is compiled.
    """
    count, first = cohort.count, cohort.first
    begin = time.perf_counter()
    policy = jax.tree.map(jnp.asarray, policy)
    shape = device_shape()
    size = shape.call_size(count)
    run = _program(scenario, model, sees_truth, policy, shield, size)
    key = key_for(cohort.seed, cohort.stream)
    compiled = time.perf_counter()

    def shard(start: int) -> Trial:
        courses = jax.device_get(run(policy, shield, key, start + jnp.arange(size)))
        policy.check()
        names = [f.name for f in fields(Trial) if f.name not in {"first", "covariates", "baseline", "failed"}]
        # In one order of memory whatever is merged: the last bits of a mean depend on it.
        table: dict[str, Any] = {name: np.ascontiguousarray(np.moveaxis(courses[name], 0, 1)) for name in names}
        # A proposal that is not a number is counted against the policy; treatment continues.
        failed = ~np.isfinite(table["values"]).all(axis=(1, 2)) | ~np.isfinite(table["reward"]).all(axis=1)
        own = {"covariates": courses["covariates"], "baseline": courses["baseline"], "failed": failed}
        return Trial(first=start, **own, **table)

    parts = on_devices(shard, shape.call_starts(first, count))
    if clock is not None:
        clock.update(compile_s=compiled - begin, run_s=time.perf_counter() - compiled)
    return _cut(merge(parts), first, count)


def check_label(task: Found[Scenario], policy: Policy, trial: Trial) -> None:
    """Refuse a scenario of the user's whose label dose is no number for some patients; other policies go by it, too.

    Args:
        task: the scenario, and where it is from.
        policy: that was tried.
        trial: its results.

    Raises:
        ConfigError: a proposal of the label that is not a number.
    """
    lost = trial.alive & ~np.isfinite(trial.proposal)
    if not isinstance(policy, Label) or not lost.any() or task.where.startswith(f"{SCENARIO.room}."):
        return
    patient, decision = np.argwhere(lost)[0]
    facts = ", ".join(f"{name} = {values[patient]:g}" for name, values in trial.covariates.items())
    raise ConfigError(
        f"{task.where}: label gives {trial.proposal[patient, decision]} {task.value.dosage.unit} at {lost.sum():,} of "
        f"{trial.alive.sum():,} decisions, first for patient {trial.first + patient + 1} ({facts or 'no covariates'}) "
        f"at decision {decision}; allowed: numbers; correct the rule"
    )


def _cut(trial: Trial, first: int, count: int) -> Trial:
    """Select patients ``first .. first + count - 1`` from the results of complete calls."""
    own = slice(first - trial.first, first - trial.first + count)
    rest = {f.name: getattr(trial, f.name)[own] for f in fields(Trial) if f.name not in {"first", "covariates"}}
    return replace(trial, first=first, covariates={n: c[own] for n, c in trial.covariates.items()}, **rest)

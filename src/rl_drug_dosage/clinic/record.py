"""What a clinic knows about one patient: covariates, its prescriptions, and the results received so far."""

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription

__all__ = [
    "Record",
    "Truth",
    "empty_record",
    "facts_at",
    "record_axes",
    "result_times",
    "results_back",
    "with_any_results",
]


class Record(eqx.Module):
    """One patient's chart at a decision; leading axes are patients.

    It contains nothing from the future: rows from interval ``k`` on are 0 and not known, and a result appears only
    when the laboratory has reported it.
    """

    k: Int[Array, ""]
    """The decision that is due, from 0."""
    covariates: dict[str, Float[Array, " row"]]
    """One row, or one per interval if a covariate drifts; rows after ``k`` repeat the last measured one."""
    dose: Float[Array, " decision"]
    """Prescribed amounts, in the dosage's unit."""
    level: Float[Array, "decision sample"]
    """Results; the limit of quantification if ``below``."""
    known: Bool[Array, "decision sample"]
    below: Bool[Array, "decision sample"]
    baseline: Float[Array, ""]
    """The level before the first dose; 0: unknown, because none was drawn."""
    intake_mg: Float[Array, " decision"]
    """Announced intakes, known beforehand."""
    choice: Int[Array, " decision"]
    """Which dosing interval each prescription had; empty where there is none to choose."""
    due: Int[Array, ""]
    """The decision from which a dose is due: later than ``k`` while a longer dosing interval runs."""

    def prescription(self, j: Int[Array, ""]) -> Answer:
        """What was prescribed at decision ``j``: an amount, with its dosing interval where there is one to choose."""
        return Prescription(self.dose[j], self.choice[j]) if self.choice.size else self.dose[j]

    def facts(self) -> dict[str, Float[Array, ""]]:
        """The current covariates."""
        return facts_at(self.covariates, self.k)


class Truth(eqx.Module):
    """The true parameters of a patient, unknown to a clinic; given only to an oracle."""

    eta: Float[Array, " eta"]
    kappa: Float[Array, "decision kappa"]
    covariates: dict[str, Float[Array, " row"]]
    disturbance: Float[Array, ""]
    """Multiplier of the scenario's disturbance."""
    intake_mg: Float[Array, " decision"]
    """The actual intakes."""
    taken: Float[Array, " decision"]
    """1 if a dose is taken, 0 if it is missed."""


def facts_at(table: Mapping[str, Float[Array, " row"]], k: Int[Array, ""]) -> dict[str, Float[Array, ""]]:
    """Covariates in interval ``k``."""
    return {name: column[0] if column.shape[0] == 1 else column[k] for name, column in table.items()}


def empty_record(scenario: Scenario, covariates: Mapping[str, Float[Array, " row"]], baseline: Array) -> Record:
    """The chart at admission."""
    steps, samples = scenario.schedule.decisions, len(scenario.monitoring.at_h)
    return Record(
        k=jnp.zeros((), jnp.int32),
        covariates=dict(covariates),
        dose=jnp.zeros(steps),
        level=jnp.zeros((steps, samples)),
        known=jnp.zeros((steps, samples), bool),
        below=jnp.zeros((steps, samples), bool),
        baseline=jnp.asarray(baseline, dtype=float),
        intake_mg=jnp.zeros(steps),
        choice=jnp.zeros(steps if scenario.dosage.intervals_h else 0, jnp.int32),
        due=jnp.zeros((), jnp.int32),
    )


def result_times(scenario: Scenario) -> Float[np.ndarray, "decision sample"]:
    """Time at which each result is available, h since the first decision; infinite if no sample is drawn."""
    drawn_h = np.arange(scenario.schedule.decisions)[:, None] * scenario.schedule.interval_h
    drawn_h = drawn_h + np.asarray(scenario.monitoring.at_h)[None]
    return np.where(scenario.sampled()[:, None], drawn_h + scenario.monitoring.turnaround_h, np.inf)


def results_back(scenario: Scenario) -> Int[np.ndarray, " decision"]:
    """How many results are back at each decision, if all come as planned; the one before the first dose included."""
    times = result_times(scenario).ravel()
    now = np.arange(scenario.schedule.decisions) * scenario.schedule.interval_h + 1e-4
    return (times[None] <= now[:, None]).sum(axis=1) + int(scenario.monitoring.baseline)


def record_axes(record: Record) -> Record:
    """Axes for `jax.vmap` over patients at the same decision."""
    import jax

    axes: Record = jax.tree.map(lambda _: 0, record)
    return eqx.tree_at(lambda r: r.k, axes, None, is_leaf=lambda x: x is None)


def with_any_results(scenario: Scenario) -> Scenario:
    """The scenario with samples in every interval, for a policy that looks for results where they are planned."""
    return dataclasses.replace(scenario, monitoring=dataclasses.replace(scenario.monitoring, intervals=None))

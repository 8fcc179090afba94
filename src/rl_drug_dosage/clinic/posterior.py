"""What a learner is told by the belief of `mipd-ensemble`, and its corrections of the best Bayesian dose.

An action of nothing gives exactly the dose of `mipd-ensemble` with the same options, or of `mipd` with options of its
own where that is the stronger one (``estimated``), so that an untrained policy doses as well as the reference. A
correction ``a`` from -1 to 1 changes the best dose ``d`` to ``(d + b) 2^a - b``, with ``b``
a tenth of the usual dose, so that a dose of 0 can rise. Where the best dose becomes constant (`Goal.steady`), a second
action is followed slowly, ``m' = r m + (1 - r) a2`` with the persistence r of `ensemble.carry`, and ``m'`` is added to
the exponent: a lasting error of the model is corrected without changes from day to day. While the belief or the
estimate is in doubt the cautious dose is given, and nothing is corrected.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.ensemble.carry import persistence
from rl_drug_dosage.clinic.ensemble.dosing import GROUP, Believed, admission, advice, assumed_for
from rl_drug_dosage.clinic.ensemble.forecast import Expected, Forecast, expected, forecast
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, draws_of
from rl_drug_dosage.clinic.planner import Planned, advise, begin
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription, amount_of
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.by_value import ByValue
from rl_drug_dosage.utils.in_groups import in_groups

__all__ = ["AROUND", "Known", "Outlook", "Posterior", "changed", "keeping", "posterior_of"]

AROUND = (-0.5, 0.0, 0.5)
"""Corrections of the best dose whose consequences are observed: about 0.7, 1 and 1.4 times the dose. Those of the dose
before are observed as well."""


class Known(NamedTuple):
    """Memory of an observer: what is believed, what was advised, and how the last levels surprised."""

    believed: Believed
    advised: Answer
    """The best Bayesian dose now."""
    innovations: Float[Array, ""]
    """Sum of the standardised innovations; each round of results forgets the share ``1 - persistence`` of it."""
    lasting: Float[Array, ""]
    """The slowly varying correction, from -1 to 1."""
    planned: Planned | None = None
    """The memory of `mipd`, where its dose is corrected."""

    @property
    def certain(self) -> Bool[Array, ""]:
        """Whether neither the belief nor the estimate is in doubt."""
        own = self.believed.belief.converged
        return own if self.planned is None else own & self.planned.belief.converged


class Outlook(NamedTuple):
    """What is observed of a belief at a decision."""

    expected: Expected
    """Of the candidates `AROUND` the best dose and of the dose before, followed by the doses that are planned."""
    best: Float[Array, ""]
    """The best Bayesian dose."""
    keeping: Float[Array, ""]
    """The correction of it that gives the dose before, -1 to 1; 0 at the first decision."""
    planned: Float[Array, ""]
    """The dose that is planned from the third decision ahead on."""
    probability: Float[Array, " model"]
    effective: Float[Array, ""]
    """Effective share of the support patients."""
    innovation: Float[Array, ""]
    """Mean standardised innovation of the results since the last decision, 0 where there are none."""
    innovations: Float[Array, ""]
    doubt: Float[Array, ""]
    """1 if the belief is in doubt."""
    lasting: Float[Array, ""]
    ensemble: Float[Array, ""] | None
    """The correction that gives the dose of `mipd-ensemble`, -1 to 1; None where that is the best Bayesian dose."""


def changed(scenario: Scenario, amount: Float[Array, ""], by: Float[Array, "..."]) -> Float[Array, "..."]:
    """``(amount + b) 2^by - b``, with ``b`` a tenth of the usual dose; not yet on the grid."""
    base = 0.1 * scenario.dosage.usual
    return (amount + base) * 2.0**by - base


def keeping(scenario: Scenario, best: Float[Array, ""], before: Float[Array, ""]) -> Float[Array, ""]:
    """The correction by which `changed` makes of the best dose the one before, within -1 and 1."""
    base = 0.1 * scenario.dosage.usual
    return jnp.clip(jnp.log2((before + base) / (best + base)), -1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Posterior(ByValue):
    """The belief of `mipd-ensemble` for an observer.

    Args:
        scenario: the task that its support patients are drawn for. An observer's own may have other wards.
        assumed: what is assumed of patients.
        estimated: the drug model of `mipd`, if its dose is corrected; None: that of `mipd-ensemble`.
    """

    scenario: Scenario
    assumed: Assumed
    estimated: DrugModel | None = None

    def __post_init__(self) -> None:
        """Draw the support patients of the prior, once."""
        with jax.ensure_compile_time_eval():
            drawn = tuple(draws_of(self.assumed, model, self.scenario) for model in self.assumed.models)
        object.__setattr__(self, "_draws", jax.tree.map(np.asarray, drawn))

    @property
    def draws(self) -> tuple[Draws, ...]:
        """Of the prior of each model.

        They pass a barrier, since a compiler that knew them would compute with them beforehand, and not to the same
        bits as for `mipd-ensemble`, where they are arguments.
        """
        found: tuple[Draws, ...] = jax.lax.optimization_barrier(self.__dict__["_draws"])
        return found

    def begin(self, scenario: Scenario, record: Record) -> Known:
        """The memory before the first decision."""

        def one(draws: tuple[Draws, ...], record: Record) -> Believed:
            return admission(self.assumed, draws, scenario, record)

        zero = jnp.zeros((), jnp.float32)
        advised = Prescription(zero, jnp.zeros((), jnp.int32)) if scenario.dosage.intervals_h else zero
        planned = None
        if self.estimated is not None:
            planned = begin(self.estimated, scenario, scenario.label(record.facts(), record))
        return Known(in_groups(one, GROUP)(self.draws, record), advised, zero, zero, planned)

    def look(self, scenario: Scenario, known: Known, record: Record) -> tuple[Outlook, Known]:
        """What is observed at decision ``record.k``, and the memory with the dose that is advised."""
        own: Answer | None = None
        if self.estimated is not None:
            assert known.planned is not None
            own, planned = advise(self.estimated, scenario, known.planned, record)
            known = known._replace(planned=planned)

        def one(draws: tuple[Draws, ...], known: Known, record: Record, own: Answer | None) -> tuple[Outlook, Known]:
            found = advice(self.assumed, draws, scenario, known.believed, record)
            belief, plan = found.believed
            answer = found.answer if own is None else own
            grid, best = scenario.dosage.grid(), amount_of(answer)
            around = jnp.clip(changed(scenario, best, jnp.asarray(AROUND)), grid[0], grid[-1])
            before = jnp.where(record.k > 0, record.dose[jnp.maximum(record.k - 1, 0)], best)
            candidates = jnp.append(around, before)
            plans = jnp.broadcast_to(plan, (candidates.size, plan.size)).at[:, 0].set(candidates)
            ahead = expected(self.assumed, draws, scenario, belief, record, plans)
            sum_before = jnp.where(found.informed, persistence(scenario), 1.0) * known.innovations
            after = known._replace(believed=found.believed, advised=answer, innovations=sum_before + found.innovation)
            share = jnp.stack([c.effective / c.log_weight.size for c in belief.clouds]) @ belief.probability
            seen = Outlook(
                expected=ahead,
                best=best,
                keeping=keeping(scenario, best, before),
                planned=plan[-1],
                probability=belief.probability,
                effective=share,
                innovation=found.innovation,
                innovations=after.innovations,
                doubt=(~after.certain).astype(float),
                lasting=known.lasting,
                ensemble=None if own is None else keeping(scenario, best, amount_of(found.answer)),
            )
            return seen, after

        return in_groups(one, GROUP)(self.draws, known, record, own)

    def corrected(self, scenario: Scenario, known: Known, action: Float[Array, " action"]) -> tuple[Answer, Known]:
        """The advised dose with an action's correction, on the grid, and the memory after it.

        Args:
            scenario: the task.
            known: from `look`.
            action: the correction of this dose, and the slow one where there is one (`slow`).
        """
        lasting = known.lasting
        if self.slow:
            kept = persistence(scenario)
            lasting = kept * lasting + (1.0 - kept) * action[1]
        amount = amount_of(known.advised)
        own = snap(scenario, changed(scenario, amount, action[0] + lasting))
        given = jnp.where(known.certain, own, amount)
        answer = known.advised._replace(amount=given) if isinstance(known.advised, Prescription) else given
        return answer, known._replace(lasting=lasting)

    def uncorrected(self, known: Known) -> tuple[Answer, Known]:
        """The advised dose as it is, and the memory after it, without a slow correction."""
        return known.advised, known._replace(lasting=jnp.zeros_like(known.lasting))

    @property
    def slow(self) -> bool:
        """Whether there is a slow correction: where the best dose of a patient becomes constant."""
        return self.scenario.goal.steady is True

    def forecast(self, scenario: Scenario, known: Known, record: Record, amounts: Array, same: Array) -> Forecast:
        """See `Policy.forecast`: doses to come are those of the Bayesian plan, without corrections."""
        plan = known.believed.plan
        planned = jnp.broadcast_to(plan, (amounts.size, plan.size)).at[:, 0].set(amounts)
        plans = jnp.where(same, amounts[:, None], planned)
        return forecast(self.assumed, self.draws, scenario, known.believed.belief, record, plans)


def posterior_of(
    scenario: Scenario, models: tuple[DrugModel, ...], support: int, estimated: DrugModel | None = None
) -> Posterior:
    """The belief in drug models (`assumptions.assumed_models`) with so many support patients of each.

    Args:
        scenario: the task.
        models: that the support patients follow.
        support: their number, of each model.
        estimated: see `Posterior`.
    """
    return Posterior(scenario, assumed_for(scenario, models, members=support), estimated)

"""Solve a model over a patient's events: contents, outputs and AUC at the requested times."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.description import Values
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import individual_parameters
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.steady_state import steady_contents
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.pkpd.timeline import Timeline, build_timeline, infuses

__all__ = ["Solution", "outputs_of", "predict", "solve"]


class Solution(eqx.Module):
    """Contents at the observation times."""

    contents: Float[Array, "time n"]
    """Amounts in mg (an effect compartment: mg/L), in the structure's order."""
    auc_mg_h_per_l: Float[Array, "time"]
    """AUC since the first event; zeros unless requested."""


def _take(prepared: Any, record: Array) -> Any:
    """The prepared parameters of one covariate record."""
    return jax.tree.map(lambda leaf: leaf[0] if leaf.shape[0] == 1 else jnp.asarray(leaf)[record], prepared)


def solve(
    structure: Structure,
    p: Values,
    regimen: Regimen,
    covariates: Covariates,
    time_h: Float[Array, "time"],
    after_dose: Bool[Array, "time"] | None = None,
    *,
    auc: bool = False,
    timeline: Timeline | None = None,
) -> Solution:
    """Propagate the contents from event to event. No superposition is used, so parameters may change between events.

    Args:
        structure: compartments.
        p: parameters per covariate record, see `individual_parameters`.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        time_h: observation times, in any order; an observation at the time of a dose is taken before it.
        after_dose: observations that are taken after the doses at their time instead.
        auc: also integrate the concentration.
        timeline: a timeline built earlier, if the delivery does not depend on parameters.

    Returns:
        Contents and AUCs at ``time_h``. A steady-state dose with a lag >= its interval gives NaN (`check_delivery`
        refuses it).
    """
    times = jnp.asarray(time_h, dtype=float)
    after = jnp.zeros(times.shape, dtype=bool) if after_dose is None else after_dose
    if timeline is None:
        timeline = build_timeline(structure, regimen, covariates, p, times, after)
    prepared = jax.vmap(structure.prepare)(p)
    at_first = {k: v[0] for k, v in p.items()}
    first = structure.initial(at_first)
    emptied = structure.reset(at_first, first)
    delivery = timeline.delivery
    n = len(structure.compartments)
    dose_compartment = jnp.asarray(regimen.compartment)[:, None] == jnp.arange(n)
    infusing = infuses(regimen, p)
    steady = (
        steady_contents(structure, prepared, regimen, covariates, delivery, infusing, first)
        if regimen.mark_row.shape[0]
        else None
    )

    def step(carry: tuple[Array, Array], event: Timeline) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        x, area = carry
        rate = None
        if infusing:
            runs = (delivery.start_h <= event.start_h) & (delivery.end_h >= event.start_h + event.dt_h)
            rate = jnp.sum(jnp.where(dose_compartment & runs[:, None], delivery.rate_mg_per_h[:, None], 0.0), axis=0)
        own = _take(prepared, event.record)
        x, more = structure.advance(own, x, rate, event.start_h, event.dt_h, auc=auc)
        before = (x, area + more)
        if steady is not None:
            mark = jnp.maximum(event.mark, 0)
            marked = event.mark >= 0
            x = jnp.where(marked & jnp.asarray(regimen.mark_reset)[mark], emptied, x)
            x = jnp.where(marked & jnp.asarray(regimen.mark_steady)[mark], x + steady[mark], x)
        x = x + event.bolus_mg * (jnp.arange(n) == event.compartment)
        return (x, area + more), before

    events = dataclasses.replace(timeline, observed_at=None, delivery=None)  # type: ignore[arg-type]
    _, (contents, areas) = jax.lax.scan(step, (first, jnp.zeros(())), events)
    return Solution(contents[timeline.observed_at], areas[timeline.observed_at])


def outputs_of(
    model: DrugModel, p: Values, covariates: Covariates, contents: Float[Array, "time n"], time_h: Float[Array, "time"]
) -> Float[Array, "time output"]:
    """Every output of the model at the observation times, each in its own unit."""
    index = covariates.index_at(jnp.asarray(time_h, dtype=float))
    local = {name: _take(values, index) for name, values in p.items()}

    def one(x: Array, own: Mapping[str, Array]) -> Array:
        state = model.structure.contents(x)
        return jnp.stack([jnp.asarray(output.value(state, own), dtype=float) for output in model.outputs])

    if jnp.shape(covariates.time_h)[-1] == 1:
        return jax.vmap(one, in_axes=(0, None))(contents, local)
    return jax.vmap(one)(contents, local)


def predict(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    time_h: Float[Array, "time"],
    eta: Float[Array, "eta"] | None = None,
    kappa: Float[Array, "occasion kappa"] | None = None,
    *,
    after_dose: Bool[Array, "time"] | None = None,
) -> Float[Array, "time output"]:
    """Outputs of one patient without residual error. A pure function, so `jax.jit` and `jax.vmap` apply.

    Args:
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        time_h: observation times, h.
        eta: between-subject random effects; None means the typical patient.
        kappa: inter-occasion random effects; None means 0.
        after_dose: see `solve`.
    """
    eta = jnp.zeros(len(model.etas)) if eta is None else eta
    p = individual_parameters(model, covariates, eta, kappa)
    solution = solve(model.structure, p, regimen, covariates, time_h, after_dose)
    return outputs_of(model, p, covariates, solution.contents, time_h)

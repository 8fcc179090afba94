"""Fit real patients in float64: checked input, and warnings kept with each result."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd.bayes.map import Estimate, map_estimates
from rl_drug_dosage.pkpd.covariates import Covariates, outside_range, stack_covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import individual_parameters
from rl_drug_dosage.pkpd.regimen import Dose, Regimen, make_regimen, stack_regimens
from rl_drug_dosage.pkpd.residual import Levels, refuse_levels_before_doses, stack_levels
from rl_drug_dosage.pkpd.simulate import predict
from rl_drug_dosage.pkpd.steady_state import check_delivery

__all__ = ["Fitted", "PatientData", "fit_patients"]


@dataclass(frozen=True)
class PatientData:
    """The data of one patient."""

    name: str
    doses: tuple[Dose, ...]
    covariates: Covariates
    levels: Levels


@dataclass(frozen=True)
class Fitted:
    """One patient's result."""

    name: str
    estimate: Estimate
    parameters: dict[str, Float[np.ndarray, "record"]]
    """Individual parameters per covariate record, in engine units."""
    predicted: Float[np.ndarray, "level"]
    """Individual prediction of each level, in the unit of its output."""
    warnings: tuple[str, ...]
    """Warnings: covariates outside the published range, no convergence."""


def fit_patients(model: DrugModel, patients: Sequence[PatientData]) -> list[Fitted]:
    """MAP estimates of many patients in one compiled call.

    Args:
        model: the drug.
        patients: with any number of doses and levels; occasions are counted from their covariate tables.

    Raises:
        RegimenError, ObservationError: data that cannot be simulated or fitted; see `make_regimen`,
            `check_delivery` and `refuse_levels_before_doses`.
    """
    regimens = [make_regimen(patient.doses, model.structure) for patient in patients]
    occasions = 1 + max(int(np.max(patient.covariates.occasion)) for patient in patients)
    with jax.enable_x64(True):
        for patient, regimen in zip(patients, regimens, strict=True):
            refuse_levels_before_doses(patient.levels, regimen)
            zero = jnp.zeros(len(model.etas))
            check_delivery(
                model.structure, regimen, patient.covariates, individual_parameters(model, patient.covariates, zero)
            )
        tables = (
            stack_regimens(regimens),
            stack_covariates([p.covariates for p in patients]),
            stack_levels([p.levels for p in patients]),
        )
        fit = jax.jit(lambda *stacked: map_estimates(model, *stacked, occasions=occasions))
        estimates = jax.device_get(fit(*tables))
        look = jax.jit(jax.vmap(lambda *patient: _at_estimate(model, *patient)))
        predicted, parameters = jax.device_get(look(*tables, estimates))
    return [
        Fitted(
            name=patient.name,
            estimate=jax.tree.map(lambda leaf, i=i: leaf[i], estimates),
            parameters={k: v[i, : patient.covariates.time_h.shape[0]] for k, v in parameters.items()},
            predicted=predicted[i, : patient.levels.time_h.shape[0]],
            warnings=outside_range(model, patient.covariates) + _doubts(patient, bool(estimates.converged[i])),
        )
        for i, patient in enumerate(patients)
    ]


def _at_estimate(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, estimate: Estimate
) -> tuple[Array, dict[str, Array]]:
    """Individual predictions of the levels, and the parameters behind them."""
    f = predict(model, regimen, covariates, levels.time_h, estimate.eta, estimate.kappa, after_dose=levels.after_dose)
    own = jnp.take_along_axis(f, levels.output[:, None], axis=1)[:, 0]
    return own, individual_parameters(model, covariates, estimate.eta, estimate.kappa)


def _doubts(patient: PatientData, converged: bool) -> tuple[str, ...]:
    if converged:
        return ()
    return (f"patient {patient.name}: the estimate did not converge; check doses, times and units of the levels",)

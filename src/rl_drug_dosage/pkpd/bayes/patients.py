"""Fit real patients in float64: checked input, and warnings kept with each result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import CovariateError, RegimenError
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
        CovariateError: covariates under which a parameter is not positive or not finite.
        RegimenError, ObservationError: data that cannot be simulated or fitted; see `make_regimen`,
            `check_delivery` and `refuse_levels_before_doses`.
    """
    regimens = [make_regimen(patient.doses, model.structure) for patient in patients]
    occasions = 1 + max(int(np.max(patient.covariates.occasion)) for patient in patients)
    with jax.enable_x64(True):
        for patient, regimen in zip(patients, regimens, strict=True):
            refuse_levels_before_doses(patient.levels, regimen)
            zero = jnp.zeros(len(model.etas))
            p = individual_parameters(model, patient.covariates, zero)
            _refuse_impossible(model, patient, p, "of the typical patient")
            check_delivery(model.structure, regimen, patient.covariates, p)
        tables = (
            stack_regimens(regimens),
            stack_covariates([p.covariates for p in patients]),
            stack_levels([p.levels for p in patients]),
        )
        fit = jax.jit(lambda *stacked: map_estimates(model, *stacked, occasions=occasions))
        estimates = jax.device_get(fit(*tables))
        look = jax.jit(jax.vmap(lambda *patient: _at_estimate(model, *patient)))
        predicted, parameters = jax.device_get(look(*tables, estimates))
    for i, patient in enumerate(patients):
        records = patient.covariates.time_h.shape[0]
        own = {name: values[i, :records] for name, values in parameters.items()}
        _refuse_impossible(model, patient, own, "of the estimate")
        _refuse_no_prediction(patient, predicted[i])
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


_POSITIVE = {"cl", "v1", "v2", "v3", "ka", "ke0"}
"""Parameters of the engine without which nothing is distributed, absorbed or eliminated."""


def _refuse_impossible(model: DrugModel, patient: PatientData, p: Mapping[str, Any], whose: str) -> None:
    """Refuse parameters that no patient has.

    Raises:
        CovariateError: a parameter of the structure that is not finite, or not positive where it must be.
    """
    for name in model.structure.parameters:
        column = np.broadcast_to(np.asarray(p[name], dtype=float), patient.covariates.time_h.shape)
        wrong = ~np.isfinite(column) | ((column <= 0) & (name in _POSITIVE))
        if np.any(wrong):
            k = int(np.argmax(wrong))
            covariates = {c: f"{float(values[k]):g}" for c, values in patient.covariates.values.items()}
            given = ", ".join(f"{c} = {value}" for c, value in covariates.items())
            raise CovariateError(
                f"patient {patient.name}, at {float(patient.covariates.time_h[k]):g} h: {name} {whose} is "
                f"{float(column[k]):g}, which no patient has; check {given or 'the data'}"
            )


def _refuse_no_prediction(patient: PatientData, predicted: Float[np.ndarray, "level"]) -> None:
    """Refuse a prediction that is no number, which a steady state that is never reached leaves behind.

    Raises:
        RegimenError: a level in use whose prediction is not finite.
    """
    times, used = np.asarray(patient.levels.time_h), np.asarray(patient.levels.used)
    wrong = used & ~np.isfinite(predicted[: times.shape[0]])
    if np.any(wrong):
        raise RegimenError(
            f"patient {patient.name}: the model has no finite prediction at {float(times[wrong][0]):g} h; check "
            "amounts and times (a steady state exists only if more can be eliminated than is given)"
        )


def _doubts(patient: PatientData, converged: bool) -> tuple[str, ...]:
    if converged:
        return ()
    return (f"patient {patient.name}: the estimate did not converge; check doses, times and units of the levels",)

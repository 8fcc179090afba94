"""Fit real patients in float64: checked input, and warnings kept with each result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import RegimenError
from rl_drug_dosage.pkpd.bayes.map import Estimate, fit_many
from rl_drug_dosage.pkpd.bayes.objective import make_objective, prior_covariance
from rl_drug_dosage.pkpd.bayes.search import bends_upwards
from rl_drug_dosage.pkpd.covariates import Covariates, outside_range, stack_covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import individual_parameters
from rl_drug_dosage.pkpd.regimen import Dose, Regimen, make_regimen, stack_regimens
from rl_drug_dosage.pkpd.residual import Levels, refuse_levels_before_doses, stack_levels
from rl_drug_dosage.pkpd.simulate import predict
from rl_drug_dosage.pkpd.sound import check_parameters
from rl_drug_dosage.pkpd.steady_state import check_delivery
from rl_drug_dosage.utils.kept_programs import Kept

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
    """Warnings: covariates outside the published range, no convergence, an implausible estimate."""


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
        tables = (
            stack_regimens(regimens),
            stack_covariates([p.covariates for p in patients]),
            stack_levels([p.levels for p in patients]),
        )
        typical = jax.device_get(_TYPICAL(model, tables[1]))
        for i, (patient, regimen) in enumerate(zip(patients, regimens, strict=True)):
            refuse_levels_before_doses(patient.levels, regimen, model)
            p = {name: values[i, : patient.covariates.time_h.shape[0]] for name, values in typical.items()}
            check_parameters(model, p, patient.covariates.values, [f"patient {patient.name}"])
            check_delivery(model.structure, regimen, patient.covariates, p)
        estimates = fit_many(model, *tables, occasions=occasions)
        predicted, parameters, minimum = jax.device_get(_LOOKED(model, *tables, estimates))
    who = [f"patient {patient.name}, at the estimate" for patient in patients]
    check_parameters(model, parameters, tables[1].values, who)
    for patient, own in zip(patients, predicted, strict=True):
        _refuse_no_prediction(patient, own)
    estimates = eqx.tree_at(lambda e: e.converged, estimates, estimates.converged & minimum)
    sd = np.sqrt(np.diag(prior_covariance(model, occasions if model.occasion_etas else 0)))
    return [
        Fitted(
            name=patient.name,
            estimate=jax.tree.map(lambda leaf, i=i: leaf[i], estimates),
            parameters={k: v[i, : patient.covariates.time_h.shape[0]] for k, v in parameters.items()},
            predicted=predicted[i, : patient.levels.time_h.shape[0]],
            warnings=outside_range(model, patient.covariates)
            + _doubts(model, patient, jax.tree.map(lambda leaf, i=i: leaf[i], estimates), predicted[i], sd),
        )
        for i, patient in enumerate(patients)
    ]


def _at_estimate(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, estimate: Estimate
) -> tuple[Array, dict[str, Array], Array]:
    """Individual predictions of the levels, the parameters behind them, and whether OBJ has a minimum there."""
    f = predict(model, regimen, covariates, levels.time_h, estimate.eta, estimate.kappa, after_dose=levels.after_dose)
    own = jnp.take_along_axis(f, levels.output[:, None], axis=1)[:, 0]
    _, curvature = make_objective(model, regimen, covariates, levels, estimate.kappa.shape[0])
    minimum = bends_upwards(lambda z: curvature(z).gradient, estimate.latent, estimate.covariance)
    return own, individual_parameters(model, covariates, estimate.eta, estimate.kappa), minimum


def _looked(model: DrugModel, *tables: Any) -> Any:
    return jax.vmap(lambda *patient: _at_estimate(model, *patient))(*tables)


def _typical(model: DrugModel, covariates: Covariates) -> dict[str, Array]:
    nobody = jnp.zeros(len(model.etas))
    return jax.vmap(lambda table: dict(individual_parameters(model, table, nobody)))(covariates)


_LOOKED, _TYPICAL = Kept(_looked), Kept(_typical)


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


def _doubts(
    model: DrugModel,
    patient: PatientData,
    estimate: Estimate,
    predicted: Float[np.ndarray, "level"],
    sd: Float[np.ndarray, "z"],
) -> tuple[str, ...]:
    """What speaks against an estimate, one sentence each."""
    of, found = f"patient {patient.name}:", []
    if not estimate.converged:
        found.append(f"{of} the estimate did not converge; check doses, times and units of the levels")
    if estimate.plausible:
        return tuple(found)
    if estimate.lost:
        levels = patient.levels
        at = np.flatnonzero(levels.used & ~levels.below & (levels.value > 0) & (predicted <= 1e-12))
        which = f"{levels.value[at[0]]:g} at {levels.time_h[at[0]]:g} h" if at.size else "a level"
        found.append(f"{of} {which} was measured where the model predicts 0; check the times of doses and levels")
    names = [e.parameter for e in model.etas]
    names += [f"{e.parameter} on occasion {k + 1}" for k in range(len(estimate.kappa)) for e in model.occasion_etas]
    away = np.abs(np.asarray(estimate.latent)) / sd
    farthest = int(np.argmax(away))
    count = int(np.sum(patient.levels.used))
    found.append(
        f"{of} local minimum? The effect on {names[farthest]} is {away[farthest]:.1f} prior standard deviations, "
        f"and the misfit {float(estimate.misfit):.3g} where about {count} is expected; other starts "
        "found nothing better: check doses, times and units of the levels, and whether the model fits the patient"
    )
    return tuple(found)

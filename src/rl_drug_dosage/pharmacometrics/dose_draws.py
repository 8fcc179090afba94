"""What is believed of each patient: the point estimate, and draws from the posterior."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.dose_occasions import next_occasion, with_next_kappa
from rl_drug_dosage.pharmacometrics.dose_options import DoseOptions
from rl_drug_dosage.pkpd import Covariates, DrugModel, make_regimen, stack_covariates, stack_levels, stack_regimens
from rl_drug_dosage.pkpd.bayes import (
    Draws,
    Fitted,
    PatientData,
    importance_posterior,
    laplace_posterior,
)

__all__ = ["draw_patients", "in_next_occasion"]


def draw_patients(
    model: DrugModel, patients: Sequence[PatientData], fits: Sequence[Fitted], options: DoseOptions
) -> tuple[list[Draws], Float[np.ndarray, "patient"]]:
    """Point estimate and posterior draws of each patient, and how many proposals are behind them."""
    tables = (
        stack_regimens([make_regimen(patient.doses, model.structure) for patient in patients]),
        stack_covariates([patient.covariates for patient in patients]),
        stack_levels([patient.levels for patient in patients]),
        jax.tree.map(lambda *leaves: np.stack(leaves), *(fit.estimate for fit in fits)),
    )
    keys = jnp.stack([jax.random.fold_in(jax.random.key(options.seed), 2 * i) for i in range(len(patients))])

    def one(args: Any) -> Any:
        regimen, covariates, levels, at, key = args
        if options.posterior == "laplace":
            return laplace_posterior(model, at, key, draws=options.draws)
        return importance_posterior(
            model, regimen, covariates, levels, at, key, proposals=max(4000, 4 * options.draws), draws=options.draws
        )

    found = jax.device_get(jax.jit(lambda *args: jax.lax.map(one, args))(*tables, keys))
    at = tables[3]
    eta = np.concatenate([at.eta[:, None], found.eta], axis=1)
    kappa = np.concatenate([at.kappa[:, None], found.kappa], axis=1)
    return [Draws(jnp.asarray(e), jnp.asarray(k)) for e, k in zip(eta, kappa, strict=True)], found.effective


def in_next_occasion(
    model: DrugModel, draws: Draws, table: Covariates, start_h: float, seed: tuple[int, int]
) -> tuple[Draws, Covariates]:
    """Draws and table with one more occasion, which begins with the first searched dose.

    Args:
        model: the drug.
        draws: the point estimate first.
        table: the patient's covariates.
        start_h: when the first searched dose is due.
        seed: of the search, and the patient's number.
    """
    key = jax.random.fold_in(jax.random.key(seed[0]), 2 * seed[1] + 1)
    count = 1 + int(np.max(table.occasion))
    more = Draws(draws.eta, with_next_kappa(model, draws.kappa, count, key))
    return more, next_occasion(table, start_h)

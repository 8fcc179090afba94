"""Simulate a virtual cohort of any size, chunk by chunk, in the memory of one chunk."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pkpd._errors import SolverError
from rl_drug_dosage.pkpd.grid import chunks
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import Patient, draw_patients
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import add_residual
from rl_drug_dosage.pkpd.simulate import predict

__all__ = ["CohortChunk", "simulate_cohort"]


@dataclass(frozen=True)
class CohortChunk:
    """Patients ``first .. first + n - 1`` of a cohort."""

    first: int
    patients: Patient
    predicted: Float[np.ndarray, "patient time output"]
    """Without residual error."""
    measured: Float[np.ndarray, "patient time output"]
    """With residual error; an additive error can make a low level negative."""


def simulate_cohort(
    model: DrugModel,
    regimen: Regimen,
    time_h: Float[Array, "time"],
    key: PRNGKeyArray,
    count: int,
    *,
    first: int = 0,
    chunk: int = 10_000,
    occasions: int = 1,
) -> Iterator[CohortChunk]:
    """Draw patients ``first .. first + count - 1`` and give all of them the same regimen.

    A patient depends only on ``key`` and its own number, not on the chunk size or the range.

    Args:
        model: the drug.
        regimen: the regimen of every patient, without a patient axis.
        time_h: observation times.
        key: random key that identifies the cohort.
        count: number of patients.
        first: number of the first patient.
        chunk: patients in memory at a time.
        occasions: number of occasions, each with its own kappas, drawn per patient.

    Raises:
        SolverError: a prediction is not finite; the message names the patient.
    """
    times = jnp.asarray(time_h, dtype=float)

    @jax.jit
    def measure(patients: Patient, keys: Array) -> tuple[Array, Array]:
        def one(patient: Patient, own: PRNGKeyArray) -> tuple[Array, Array]:
            f = predict(model, regimen, patient.covariates, times, patient.eta, patient.kappa)
            return f, add_residual(model, f, own)

        return jax.vmap(one)(patients, keys)

    # Two keys: with a single one, fold_in(key_i, 1) would equal the key that splitting key_i gives to the etas.
    patient_key, error_key = jax.random.split(key)
    draw = jax.jit(lambda start: draw_patients(model, patient_key, start, chunk, occasions))
    for block in chunks(count, chunk):
        # Every chunk has the full size, so the last one does not recompile.
        start = first + block.start
        patients = draw(start)
        keys = jax.vmap(lambda i: jax.random.fold_in(error_key, i))(start + jnp.arange(chunk))
        predicted, measured = (np.asarray(a)[: len(block)] for a in measure(patients, keys))
        bad = np.flatnonzero(~np.isfinite(predicted).all(axis=(1, 2)))
        if bad.size:
            raise SolverError(
                f"{model.name}: the simulation of patient {start + bad[0]} is not finite ({bad.size} of {len(block)} "
                "in its chunk): check its parameters, or integrate with Adaptive(stiff=True)"
            )
        size = predicted.shape[0]
        yield CohortChunk(start, jax.tree.map(itemgetter(slice(size)), patients), predicted, measured)

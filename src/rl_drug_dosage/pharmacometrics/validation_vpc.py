"""Prediction-corrected visual predictive check (Bergstrand 2011, AAPS J 13:143).

The clinic's own design (doses, covariates, sampling times) is simulated N times with new random effects and residual
errors. In each bin of time, a level y_j with the a-priori prediction f_j becomes

    y_j median(f in the bin) / f_j

so that levels after different doses, in patients with different covariates, can be compared (lower bound 0). The 10th,
50th and 90th percentile of the measured levels are drawn over the 5th to 95th percentile, over the N replicates, of the
same percentile of the simulated levels.

A level below quantification has no value to correct. It is left out, and so is every simulated level below the same
limit: the level's own (LLOQ), or else the highest limit that a level of this output was below. The share below is shown
by itself. Simulated levels above an upper limit are kept unless the measured one was above it, which is left out.

Bins hold about equally many levels. Their edges are moved into the widest gap nearby, so that samples that were planned
at one time stay together.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.pharmacometrics.validation_data import Candidate, Clinic
from rl_drug_dosage.pharmacometrics.validation_forecasts import Patients, occasions_of, outputs_under, stacked
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes import prior_covariance
from rl_drug_dosage.pkpd.residual import variance
from rl_drug_dosage.utils.device_shape import device_shape
from rl_drug_dosage.utils.seeding import Stream, key_for

__all__ = ["PERCENTILES", "Bin", "Clock", "Vpc", "bin_edges", "predictive_check"]

type Clock = Literal["after-dose", "time"]

PERCENTILES = (10.0, 50.0, 90.0)
_BAND = (5.0, 50.0, 95.0)
_AT_ONCE = 8
"""Patients whose replicates are in memory together on a CPU, see `DeviceShape.batch`."""
_IN_BIN, _FEWEST, _MOST = 25, 2, 10
"""Levels that a bin should have, and numbers of bins."""
_SMALL = 0.4
"""Part of the levels that a bin should have, below which it is joined to a neighbour."""
_NARROW = 0.08
"""Part of the time axis that a bin should span, unless a gap of a quarter of that sets it apart."""
_SMALLEST = 1e-9
"""Share of the largest prediction below which a prediction counts as 0: nothing can be corrected by it."""


@dataclass(frozen=True)
class Bin:
    """One bin of time."""

    low_h: float
    high_h: float
    middle_h: float
    """Median time of its levels."""
    levels: int
    measured: Float[np.ndarray, "percentile"]
    simulated: Float[np.ndarray, "percentile bound"]
    """5th, 50th and 95th percentile over the replicates."""
    below_pct: float
    """Measured levels below quantification."""
    below_simulated_pct: Float[np.ndarray, "bound"]


@dataclass(frozen=True)
class Vpc:
    """The check of one output of one model."""

    model: str
    output: int
    """Position in `Clinic.outputs`."""
    clock: Clock
    replicates: int
    bins: tuple[Bin, ...]
    hours: Float[np.ndarray, "level"]
    """Of the measured levels that are drawn."""
    corrected: Float[np.ndarray, "level"]
    left_out: int
    """Levels whose a-priori prediction is 0."""

    @property
    def inside_pct(self) -> float:
        """Percentiles of the measured levels inside their bands, in %; 90 are expected if the model is right."""
        inside = [
            low <= value <= high
            for one in self.bins
            for value, (low, _, high) in zip(one.measured, one.simulated, strict=True)
            if math.isfinite(value)
        ]
        return 100.0 * float(np.mean(inside)) if inside else math.nan


def predictive_check(
    clinic: Clinic,
    candidate: Candidate,
    apriori: Float[np.ndarray, "level"],
    *,
    replicates: int = 500,
    clock: Clock = "after-dose",
    seed: int = 1,
) -> tuple[Vpc, ...]:
    """Simulate the clinic, and compare percentiles; one check for each output.

    Args:
        clinic: the measured levels.
        candidate: the model.
        apriori: its a-priori predictions, in the units of the file.
        replicates: how often the clinic is simulated.
        clock: time since the last dose, or since the start.
        seed: of the simulation.
    """
    table = clinic.levels
    hours = table.since_dose_h if clock == "after-dose" else table.hours
    occasions = occasions_of(candidate)
    with jax.enable_x64(True):
        key = jax.random.fold_in(key_for(seed, Stream.EVALUATE), 2)
        patients = jax.tree.map(jnp.asarray, stacked(candidate))
        drawn = np.asarray(_replicates(candidate.model, occasions, replicates, patients, key))
    simulated = drawn[table.patient, :, table.place] / candidate.factor[:, None]
    found = []
    for output in range(len(clinic.outputs)):
        own = table.output == output
        below = table.value[own & (table.side < 0)].max(initial=-np.inf)
        limit = np.where(np.isfinite(table.lower_limit), table.lower_limit, below)
        some = own & (table.side <= 0) & (apriori > _SMALLEST * apriori[own].max(initial=0.0))
        if some.any():
            parts = (hours[some], table.value[some], table.side[some] < 0, limit[some], apriori[some], simulated[some])
            bins, corrected = _compare(*parts)
            left = int(np.sum(own & (table.side <= 0)) - some.sum())
            seen = table.side[some] == 0
            found.append(Vpc(candidate.name, output, clock, replicates, bins, hours[some][seen], corrected[seen], left))
    return tuple(found)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _replicates(
    model: DrugModel, occasions: int, replicates: int, patients: Patients, key: PRNGKeyArray
) -> Float[Array, "patient replicate level"]:
    """Simulated levels of every patient."""
    factor = jnp.asarray(np.linalg.cholesky(prior_covariance(model, occasions)))

    def one(pair: tuple[Patients, Array]) -> Array:
        (regimen, covariates, levels), number = pair
        for_z, for_error = jax.random.split(jax.random.fold_in(key, number))
        z = jax.random.normal(for_z, (replicates, factor.shape[0])) @ factor.T
        f = jax.vmap(outputs_under(model, regimen, covariates, levels, occasions))(z)
        own = jnp.take_along_axis(f, levels.output[None, :, None], axis=2)[:, :, 0]
        noise = jax.random.normal(for_error, own.shape)
        if levels.weight is not None:
            noise = noise / jnp.sqrt(levels.weight)
        for i, output in enumerate(model.outputs):
            if output.residual is not None:
                error = jnp.sqrt(variance(output.residual, own)) * noise
                shifted = own * jnp.exp(error) if output.residual.kind == "lognormal" else own + error
                own = jnp.where(levels.output == i, shifted, own)
        return own

    numbers = jnp.arange(patients[2].time_h.shape[0])
    return jax.lax.map(one, (patients, numbers), batch_size=device_shape().batch(_AT_ONCE))


def bin_edges(hours: Float[np.ndarray, "level"]) -> Float[np.ndarray, "edge"]:
    """Inner edges of bins that hold about equally many levels, each in the widest gap nearby."""
    ordered = np.sort(hours)
    count = int(np.clip(ordered.size // _IN_BIN, _FEWEST, _MOST))
    size = ordered.size / count
    gaps = np.diff(ordered)
    after: set[int] = set()
    for i in range(1, count):
        start, stop = (int(np.clip(round((i + shift) * size) - 1, 0, gaps.size)) for shift in (-0.5, 0.5))
        if stop > start and gaps[start:stop].max() > 0:
            after.add(start + int(np.argmax(gaps[start:stop])))
    if np.sum(gaps > 0) < _MOST:
        after = set(np.flatnonzero(gaps > 0).tolist())
    chosen = sorted(after)
    # Neighbours may have chosen nearly the same place, and a cluster of samples that were planned at one time is no
    # reason for several bins: of a bin with few levels, or a narrow one, the narrower gap is closed.
    while chosen:
        counts = np.diff([-1, *chosen, ordered.size - 1])
        widths = np.diff([ordered[0], *((ordered[at] + ordered[at + 1]) / 2 for at in chosen), ordered[-1]])
        wanting = np.maximum(_SMALL * size / counts, _split(widths, gaps[chosen], ordered[-1] - ordered[0]))
        worst = int(np.argmax(wanting))
        if wanting[worst] <= 1.0:
            break
        chosen.remove(min(chosen[max(worst - 1, 0) : worst + 1], key=lambda place: gaps[place]))
    return np.array([0.5 * (ordered[at] + ordered[at + 1]) for at in chosen])


def _split(
    widths: Float[np.ndarray, "bin"], between: Float[np.ndarray, "edge"], whole: float
) -> Float[np.ndarray, "bin"]:
    """Above 1 for a bin that is narrow, and has a narrow gap to a neighbour."""
    around = np.array([np.inf, *between, np.inf])
    gap = np.minimum(around[:-1], around[1:])
    narrow = np.minimum(_NARROW * whole / np.maximum(widths, 1e-12), _NARROW * whole / (4.0 * np.maximum(gap, 1e-12)))
    return np.asarray(narrow)


def _compare(
    hours: Float[np.ndarray, "level"],
    value: Float[np.ndarray, "level"],
    below: Bool[np.ndarray, "level"],
    limit: Float[np.ndarray, "level"],
    apriori: Float[np.ndarray, "level"],
    simulated: Float[np.ndarray, "level replicate"],
) -> tuple[tuple[Bin, ...], Float[np.ndarray, "level"]]:
    """The bins, and the corrected measured levels."""
    place = np.digitize(hours, bin_edges(hours))
    corrected = np.full(hours.shape, np.nan)
    bins = []
    low = simulated < limit[:, None]
    for number in np.unique(place):
        own = place == number
        ratio = np.median(apriori[own]) / apriori[own]
        corrected[own] = np.where(below[own], np.nan, value[own] * ratio)
        each = np.where(low[own], np.nan, simulated[own] * ratio[:, None])
        share = 100.0 * low[own].mean(axis=0)
        bins.append(
            Bin(
                low_h=float(hours[own].min()),
                high_h=float(hours[own].max()),
                middle_h=float(np.median(hours[own])),
                levels=int(own.sum()),
                measured=_percentiles(corrected[own][:, None])[:, 0],
                simulated=_bands(_percentiles(each)),
                below_pct=100.0 * float(below[own].mean()),
                below_simulated_pct=np.percentile(share, _BAND),
            )
        )
    return tuple(bins), corrected


def _percentiles(values: Float[np.ndarray, "level column"]) -> Float[np.ndarray, "percentile column"]:
    """Over the levels that are numbers, column by column; NaN where there is none."""
    some = np.isfinite(values).any(axis=0)
    found = np.full((len(PERCENTILES), values.shape[1]), np.nan)
    if some.any():
        found[:, some] = np.nanpercentile(values[:, some], PERCENTILES, axis=0)
    return found


def _bands(samples: Float[np.ndarray, "percentile replicate"]) -> Float[np.ndarray, "percentile bound"]:
    some = np.isfinite(samples).all(axis=0)
    if not some.any():
        return np.full((len(PERCENTILES), len(_BAND)), np.nan)
    return np.asarray(np.percentile(samples[:, some], _BAND, axis=1).T)

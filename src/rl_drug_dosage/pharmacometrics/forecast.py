"""What posterior draws predict: levels, exposure over the last dosing interval, and whole courses; and mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pharmacometrics.estimation import Estimation
from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, Regimen, individual_parameters, outputs_of, solve
from rl_drug_dosage.pkpd.bayes import PatientData, laplace_posterior
from rl_drug_dosage.pkpd.description import Metric

__all__ = ["METRICS", "Forecast", "Summary", "forecast", "mixture", "window_of"]

METRICS: tuple[Metric, ...] = ("auc24", "peak", "trough")
"""Exposure that is forecast, where an output has it."""

_DRAWS = 500
"""Draws of each patient that are predicted: the share below a 5 % percentile has a standard error of 1 % then."""
_OF_COURSE = 100
"""Draws whose whole course is kept, for figures."""
_POINTS = 49
"""Times at which a peak is looked for, besides the ends of infusions."""


@dataclass(frozen=True)
class Summary:
    """Mean and 90 % interval of a forecast."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What one model's draws predict, in that model's units; leading axes are patients.

    Args:
        levels: of every level, the output that was measured.
        exposure: (output, metric) -> draws.
        course: of the first patients, the first of the outputs at the times asked for.
    """

    levels: Float[np.ndarray, "patient draw level"]
    exposure: dict[tuple[int, Metric], Float[np.ndarray, "patient draw"]]
    course: tuple[Float[np.ndarray, "draw time"], ...]


def window_of(patient: PatientData, usual_h: float) -> tuple[float, float] | None:
    """The last dosing interval: from the last dose to when the next is due; None for a patient without doses.

    Its length is that dose's II, otherwise the time since the dose before, otherwise the usual interval.

    Args:
        patient: with its doses.
        usual_h: the model's usual interval.
    """
    given = [dose for dose in patient.doses if dose.amount_mg > 0 or dose.steady_state]
    times = sorted({dose.time_h + k * dose.interval_h for dose in given for k in range(dose.additional + 1)})
    if not times:
        return None
    last = max(given, key=lambda dose: dose.time_h + dose.additional * dose.interval_h)
    length = last.interval_h or (times[-1] - times[-2] if len(times) > 1 else usual_h)
    return times[-1], times[-1] + length


def forecast(
    estimation: Estimation,
    outputs: Sequence[int],
    windows: Float[np.ndarray, "patient 2"],
    times: Float[np.ndarray, "patient time"],
    *,
    courses: int,
    seed: int,
) -> Forecast:
    """Predict from one model's draws; those of the Laplace posterior are made here. Inside `jax.enable_x64`.

    Args:
        estimation: of the model.
        outputs: whose exposure is wanted, the first also as a course.
        windows: start and end of the interval of the exposure.
        times: of the course.
        courses: number of patients whose course is kept.
        seed: of Laplace draws.
    """
    model, patients = estimation.model, len(estimation.patients)
    run = jax.jit(lambda *patient: _predicted(model, outputs, *patient))
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), patients)
    eta, kappa = _draws(estimation, keys)
    found = []
    # One patient after the other, so that whole courses need not be kept of all.
    for i in range(patients):
        own = jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), estimation.tables[:3])
        found.append(jax.device_get(run(own, eta[i], kappa[i], windows[i], times[i])))
        if i >= courses:
            found[i] = (*found[i][:2], None)
    levels, measured, course = zip(*found, strict=True)
    exposed = {key: np.stack([own[key] for own in measured]) for key in measured[0]}
    return Forecast(np.stack(levels), exposed, tuple(c[:_OF_COURSE] for c in course if c is not None))


def _predicted(
    model: DrugModel,
    outputs: Sequence[int],
    patient: tuple[Regimen, Covariates, Levels],
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
    window: Float[Array, "2"],
    time: Float[Array, "time"],
) -> tuple[Array, dict[tuple[int, Metric], Array], Array]:
    """Levels, exposure and course of every draw, from one solution of the model each; see `pkpd.bayes.exposure`."""
    regimen, covariates, levels = patient
    drawn, start, end = jnp.asarray(levels.time_h), window[0], window[1]
    ends = jnp.clip(jnp.asarray(regimen.time_h + regimen.duration_h, dtype=float), start, end)
    inside = jnp.concatenate([jnp.linspace(start, end, _POINTS), ends])
    when = jnp.concatenate([drawn, inside, end[None], time])
    # A bolus peaks just after it is given; the end of the window comes before the next dose.
    after = jnp.concatenate([jnp.asarray(levels.after_dose), inside < end, jnp.zeros(1 + time.size, bool)])
    first, last = drawn.size, drawn.size + inside.size

    def one(eta: Array, kappa: Array) -> tuple[Array, dict[tuple[int, Metric], Array], Array]:
        p = individual_parameters(model, covariates, eta, kappa)
        solution = solve(model.structure, p, regimen, covariates, when, after, auc=True)
        f = outputs_of(model, p, covariates, solution.contents, when)
        seen = jnp.take_along_axis(f[:first], jnp.asarray(levels.output)[:, None], axis=1)[:, 0]
        area = (solution.auc_mg_h_per_l[last] - solution.auc_mg_h_per_l[first]) * 24.0 / (end - start)
        measured: dict[tuple[int, Metric], Array] = {}
        for output in outputs:
            if (scale := model.outputs[output].auc_scale) is not None:
                measured[output, "auc24"] = area * scale
            measured[output, "peak"] = jnp.max(f[first:last, output])
            measured[output, "trough"] = f[last, output]
        return seen, measured, f[last + 1 :, outputs[0]]

    return jax.vmap(one)(eta, kappa)


def _draws(estimation: Estimation, keys: PRNGKeyArray) -> tuple[Array, Array]:
    """(eta, kappa) of every patient: some of the draws behind the intervals, or new ones of the Laplace posterior."""
    if estimation.drawn is None:
        model = estimation.model
        made = jax.vmap(lambda at, key: laplace_posterior(model, at, key, draws=_DRAWS))(estimation.tables[3], keys)
        return made.eta, made.kappa
    posterior = estimation.drawn.posterior
    # Draws of a chain, and those of systematic resampling, are in an order: take every so many.
    chosen = np.random.default_rng(0).permutation(posterior.eta.shape[1])[:_DRAWS]
    return jnp.asarray(posterior.eta[:, chosen]), jnp.asarray(posterior.kappa[:, chosen])


def mixture(
    draws: Sequence[Float[np.ndarray, "draw *rest"]], weight: Float[np.ndarray, "model"]
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """Mean, 5th and 95th percentile of a mixture; not a number where the weights are not.

    Args:
        draws: of each model, in one unit; equally weighted within a model.
        weight: of the models, with sum 1.
    """
    if not np.all(np.isfinite(weight)):
        nothing = np.full(draws[0].shape[1:], np.nan)
        return nothing, nothing, nothing
    pooled = np.concatenate(draws)
    each = np.concatenate([np.full(len(d), w / len(d)) for d, w in zip(draws, weight, strict=True)])
    mean = np.tensordot(each, pooled, axes=1)
    low, high = np.quantile(pooled, [0.05, 0.95], axis=0, weights=each, method="inverted_cdf")
    return mean, low, high

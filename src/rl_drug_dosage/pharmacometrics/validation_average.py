"""Which model, or which average of models, a clinic should believe.

The criterion is the log predictive density of every level given the patient's earlier ones, added up: a proper score
(Gneiting and Raftery 2007, J Am Stat Assoc 102:359), which counts bias, imprecision and a wrong idea of one's own
imprecision alike, includes levels below quantification, and whose sum is the evidence of the model. Differences between
models are taken patient by patient, and their intervals are over bootstrap samples of patients.

An average starts each patient with the same weights, and multiplies them by the density that each model gave the
patient's levels so far: w_m ~ pi_m p_m(y_1 .. y_k). A forecast is the mean of the models' forecasts under them, and its
predictive density the mixture of theirs (as in Uster 2021, Clin Pharmacol Ther 109:175). Two sets of first weights pi:

    equal      1 / M: what a clinic without data of its own would take
    learnt     those that maximise sum_patients ln sum_m pi_m p_m(levels of the patient): stacking (Yao 2018, Bayesian
               Anal 13:917), by expectation maximisation; for the assessment of a patient, learnt from the others

Weights of Bayesian model averaging, ~ exp(sum of the log densities of all patients), are given too. With dozens of
patients they are 0 or 1: they answer which single model is right, if one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.validation_errors import Interval, Resamples, interval_of
from rl_drug_dosage.pharmacometrics.validation_forecasts import Forecasts
from rl_drug_dosage.pharmacometrics.validation_levels import LevelTable

__all__ = [
    "EQUAL",
    "LEARNT",
    "Preference",
    "Weights",
    "averages",
    "log_evidence",
    "prefer",
    "preference_in_words",
    "stacking",
    "weights_of",
]

LEARNT, EQUAL = "average", "average-equal"
"""Names of the averages."""
_FOLDS = 10
"""Parts of the clinic; the weights for the patients of one are learnt from the others."""
_MOST_STEPS = 2000
_STILL = 1e-7
_SAMPLES = 500
"""Bootstrap samples in which stacking is repeated."""


@dataclass(frozen=True)
class Weights:
    """Of one model."""

    model: str
    stacking: Interval
    """In the average with learnt weights, before a patient's first level."""
    bayes: float
    """Posterior probability that it is the right one of the models, all equally likely before."""
    first_pct: float
    """Bootstrap samples of patients in which it has the highest log predictive density, in %."""
    log_density: float
    """Sum over all levels."""


@dataclass(frozen=True)
class Preference:
    """The model that forecasts best, and how sure that is."""

    model: str
    against: str
    """The second best."""
    difference: Interval
    """Sum of log predictive densities, this model's minus the second best's."""
    first_pct: float
    """Bootstrap samples of patients in which it is the best, in %."""
    rrmse_difference: Interval
    """Of forecasts from at least one level (without any: of a-priori predictions), this model's rRMSE minus the second
    best's, in percentage points."""
    average_difference: Interval
    """Sum of log predictive densities of the average with learnt weights minus this model's."""

    @property
    def sure(self) -> bool:
        """Whether the interval of the difference is above 0."""
        return self.difference.low > 0

    @property
    def average_better(self) -> bool:
        """Whether the average is better than the model, by its interval."""
        return self.average_difference.low > 0


def log_evidence(table: LevelTable, forecasts: Sequence[Forecasts]) -> Float[np.ndarray, "patient model"]:
    """Log predictive density of all levels of a patient."""
    people = int(table.patient.max()) + 1
    return np.stack([np.bincount(table.patient, f.log_density, people) for f in forecasts], axis=1)


def stacking(
    evidence: Float[np.ndarray, "patient model"], counts: Float[np.ndarray, "sample patient"]
) -> Float[np.ndarray, "sample model"]:
    """Weights that maximise sum_i n_i ln sum_m w_m p_im, for each row of counts n. A concave problem.

    Args:
        evidence: ln p_im.
        counts: how often each patient counts.
    """
    p = np.exp(evidence - evidence.max(1, keepdims=True))
    w = np.full((len(counts), p.shape[1]), 1.0 / p.shape[1])
    total = counts.sum(1, keepdims=True)
    for _ in range(_MOST_STEPS):
        new = w * ((counts / np.maximum(w @ p.T, np.finfo(float).tiny)) @ p) / total
        moved = np.abs(new - w).max(initial=0.0)
        w = new
        if moved < _STILL:
            break
    return w / w.sum(1, keepdims=True)


def weights_of(names: Sequence[str], evidence: Float[np.ndarray, "patient model"], drawn: Resamples) -> list[Weights]:
    """The weights of every model."""
    every = stacking(evidence, np.ones((1, len(evidence))))[0]
    some = stacking(evidence, drawn[:_SAMPLES].astype(float))
    total = evidence.sum(0)
    bayes = np.exp(total - total.max())
    best = np.argmax(drawn @ evidence, axis=1)
    return [
        Weights(
            name,
            interval_of(every[m], some[:, m]),
            float(bayes[m] / bayes.sum()),
            float(100.0 * np.mean(best == m)),
            float(total[m]),
        )
        for m, name in enumerate(names)
    ]


def averages(table: LevelTable, forecasts: Sequence[Forecasts]) -> list[Forecasts]:
    """The average with weights learnt from the other patients, and the one with equal first weights."""
    evidence = log_evidence(table, forecasts)
    people, models = evidence.shape
    fold = np.arange(people) % min(_FOLDS, people)
    others = (fold[None] != np.arange(fold.max() + 1)[:, None]).astype(float)
    learnt = stacking(evidence, others)[fold]
    equal = np.full((people, models), 1.0 / models)
    return [_average(table, forecasts, *each) for each in ((LEARNT, learnt), (EQUAL, equal))]


def _average(
    table: LevelTable, forecasts: Sequence[Forecasts], name: str, first: Float[np.ndarray, "patient model"]
) -> Forecasts:
    density = np.stack([f.log_density for f in forecasts], axis=1)
    with np.errstate(divide="ignore"):
        start = np.log(first)[table.patient]
    before = start + _so_far(table, density, table.order)
    weight = _softmax(start + _so_far(table, density, table.earlier))

    def mixed(field: str, weights: np.ndarray) -> np.ndarray:
        return np.sum(weights * np.stack([getattr(f, field) for f in forecasts], axis=1), axis=1)

    return Forecasts(
        name=name,
        apriori=mixed("apriori", first[table.patient]),
        forecast=mixed("forecast", weight),
        log_density=_log_sum(before + density) - _log_sum(before),
        pit=mixed("pit", weight),
        effective=np.min([f.effective for f in forecasts], axis=0),
        doubtful=(),
    )


def _so_far(table: LevelTable, density: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Log density of the first ``known`` levels of the patient."""
    total = np.concatenate([np.zeros((1, density.shape[1])), np.cumsum(density, axis=0)])
    start = np.arange(len(density)) - table.order
    return np.asarray(total[start + known] - total[start])


def _log_sum(logs: np.ndarray) -> np.ndarray:
    top = logs.max(1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(1)))


def _softmax(logs: np.ndarray) -> np.ndarray:
    raised = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def prefer(
    table: LevelTable, forecasts: Sequence[Forecasts], average: Forecasts, weights: Sequence[Weights], drawn: Resamples
) -> Preference:
    """The model with the highest log predictive density, compared with the second best and with the average."""
    best, second = sorted(range(len(forecasts)), key=lambda m: -weights[m].log_density)[:2]
    evidence = log_evidence(table, [*forecasts, average])

    def difference(a: int, b: int) -> Interval:
        own = evidence[:, a] - evidence[:, b]
        return interval_of(own.sum(), drawn @ own)

    return Preference(
        forecasts[best].name,
        forecasts[second].name,
        difference(best, second),
        weights[best].first_pct,
        _rrmse_difference(table, forecasts[best], forecasts[second], drawn),
        difference(-1, best),
    )


def _rrmse_difference(table: LevelTable, one: Forecasts, other: Forecasts, drawn: Resamples) -> Interval:
    later = table.number & (table.earlier > 0)
    which = later if later.any() else table.number
    people = drawn.shape[1]
    counts = np.bincount(table.patient[which], minlength=people)

    def root_mean_square(forecasts: Forecasts) -> tuple[float, np.ndarray]:
        squares = (100.0 * (forecasts.forecast[which] / table.value[which] - 1.0)) ** 2
        sums = np.bincount(table.patient[which], squares, people)
        with np.errstate(invalid="ignore"):
            return float(np.sqrt(sums.sum() / counts.sum())), np.sqrt((drawn @ sums) / (drawn @ counts))

    if not which.any():
        return Interval(np.nan, np.nan, np.nan)
    (mine, my_samples), (its, its_samples) = root_mean_square(one), root_mean_square(other)
    return interval_of(mine - its, my_samples - its_samples)


def preference_in_words(found: Preference | None) -> tuple[str, ...]:
    """What is preferred, how sure that is, whether errors agree, and whether an average would be better."""
    if found is None:
        return ()
    d, r, a = found.difference, found.rrmse_difference, found.average_difference
    said = [
        (
            f"{'Preferred' if found.sure else 'Preferred, but not surely'}: {found.model}. Its log predictive density "
            f"is {d.value:.1f} above that of {found.against} (95 % interval {d.low:.1f} to {d.high:.1f}), and the "
            f"highest in {found.first_pct:.0f} % of resampled clinics"
        )
    ]
    if np.isfinite(r.value):
        way = "lower" if r.value <= 0 else "higher"
        against = ": the other criterion disagrees; see the medians and the predictive check" if r.low > 0 else ""
        said.append(f"Its rRMSE is {abs(r.value):.1f} points {way} (difference {r.low:.1f} to {r.high:.1f}){against}")
    if found.average_better:
        said.append(
            f"The average of the models is better still, by {a.value:.1f} ({a.low:.1f} to {a.high:.1f}): believe the "
            "average, with the weights above"
        )
    elif not found.sure:
        said.append("Until more patients decide, the average of the models is the safer belief")
    return tuple(said)

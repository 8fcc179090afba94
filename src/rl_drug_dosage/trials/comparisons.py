"""Learnt policies minus a reference over training seeds and patients together, and Holm's step-down over comparisons.

Every seed's policy and the reference treat the same patients. Another training and other patients would both have given
another result, so that both are resampled: R - 1 of the R seeds (a draw of all R would make the variance of a mean too
small by (R - 1) / R: Rao and Wu, J Am Stat Assoc 1988;83:231-241) and as many patients as there are, each with
replacement and independently of one another (Owen, Ann Appl Stat 2007;1:386-411). With d the difference of a seed and a
patient, r and c its deviations by seed and by patient and e what is left, the variance of the resampled mean is

    V = mean(r^2) / (R - 1) + mean(c^2) / C + mean(e^2) / ((R - 1) C),

so that means need no drawing. Its expectation exceeds the true variance by 2 var(e) / (R C) (Owen): intervals are too
wide rather than too narrow. Five seeds do not tell a variance well, and percentiles of draws from them cover too
little (85 % instead of 95 % where all variance is between seeds). Interval and p-value are therefore those of Student's
t, (mean - 0) / sqrt(V), with the degrees of freedom of Satterthwaite (Biometrics 1946;2:110-114).

The p-value is two-sided, of the hypothesis that the mean difference over all trainings and patients is 0. It is below
0.05 where the 95 % interval excludes 0. A share of resamples could not be below one over their number, and a sign test
of five seeds not below 1/16, which no step-down over a dozen scenarios would leave significant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.trials.statistics import RESAMPLES, WORST
from rl_drug_dosage.utils.student import student_p, student_quantile

__all__ = ["OverSeeds", "against", "drawn_over_seeds", "holm", "over_seeds"]

_MEANS, _HARM = ("attainment_pct", "change_last_third_pct"), "harm:"
_SAME = 1e-9
"""Attainments that differ by less, in points, are the same."""


@dataclass(frozen=True)
class OverSeeds:
    """An estimate over seeds and patients.

    Args:
        mean: the estimate.
        low, high: its 95 % interval.
        p: two-sided p-value of the hypothesis that it is 0.
        se: standard error.
        df: degrees of freedom of the standard error.
    """

    mean: float
    low: float
    high: float
    p: float
    se: float
    df: float

    def record(self) -> dict[str, float]:
        """For JSON: four decimals, of the p-value three digits."""
        rounded = {name: round(value, 4) for name, value in vars(self).items()}
        return rounded | {"p": float(f"{self.p:.3g}"), "df": round(self.df, 1)}


def over_seeds(differences: Float[np.ndarray, "seed patient"]) -> OverSeeds:
    """Mean difference of an endpoint, see the module's formula; nothing is drawn.

    Args:
        differences: of each seed's policy and the reference in each patient.

    Raises:
        ConfigError: fewer than two seeds or patients, or a difference that is no finite number.
    """
    d = np.asarray(differences, np.float64)
    seeds, patients = _shape(d)
    if not np.isfinite(d).all():
        raise ConfigError(f"{(~np.isfinite(d)).sum()} of {d.size:,} differences are not finite: each must be a number")
    mean = d.mean()
    by_seed, by_patient = d.mean(1) - mean, d.mean(0) - mean
    rest = d - mean - by_seed[:, None] - by_patient[None]
    parts = (
        (float((by_seed**2).mean()) / (seeds - 1), seeds - 1),
        (float((by_patient**2).mean()) / patients, patients - 1),
        (float((rest**2).mean()) / ((seeds - 1) * patients), (seeds - 1) * (patients - 1)),
    )
    return _estimate(float(mean), parts)


def drawn_over_seeds(
    statistic: Callable[[Int[np.ndarray, " seed"], Int[np.ndarray, " patient"]], float],
    seeds: int,
    patients: int,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> OverSeeds:
    """The same for a statistic that is no mean, such as that of the worst patients, by drawing.

    The variance between seeds, for the degrees of freedom, is that of draws of seeds alone.

    Args:
        statistic: of the seeds and the patients with these numbers.
        seeds: how many there are.
        patients: how many there are.
        rng: draws.
        resamples: number of draws, of seeds and patients and again of seeds alone.

    Raises:
        ConfigError: fewer than two seeds or patients.
    """
    _shape(np.empty((seeds, patients)))
    everybody = np.arange(patients)
    own = rng.integers(seeds, size=(resamples, seeds - 1))
    both = np.asarray([statistic(s, rng.integers(patients, size=patients)) for s in own]).var()
    # Few seeds can be drawn in few ways: each is computed once.
    kinds, counts = np.unique(np.sort(own, axis=1), axis=0, return_counts=True)
    values = np.asarray([statistic(s, everybody) for s in kinds])
    between = float(np.average((values - np.average(values, weights=counts)) ** 2, weights=counts))
    parts = ((between, seeds - 1), (max(float(both) - between, 0.0), patients - 1))
    return _estimate(float(statistic(np.arange(seeds), everybody)), parts)


def _shape(d: np.ndarray) -> tuple[int, int]:
    if d.ndim != 2 or min(d.shape) < 2:
        raise ConfigError(
            f"differences of shape {d.shape}: give at least 2 seeds by 2 patients; one training has an interval over "
            "patients alone (statistics.paired)"
        )
    return d.shape[0], d.shape[1]


def _estimate(mean: float, parts: Sequence[tuple[float, int]]) -> OverSeeds:
    """From the parts of the variance and their degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if not variance:
        return OverSeeds(mean, mean, mean, float(mean == 0.0), 0.0, float(parts[0][1]))
    df = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    se = variance**0.5
    reach = student_quantile(df) * se
    return OverSeeds(mean, mean - reach, mean + reach, student_p(mean / se, df), se, df)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of several comparisons: the chance of any false one is at most the level.

    In ascending order the k-th of m becomes max over j <= k of min(1, (m - j + 1) p_j) (Holm, Scand J Stat
    1979;6:65-70). Nothing is assumed of how they depend on one another.

    Args:
        p: p-value of each comparison.

    Raises:
        ConfigError: a p-value outside 0 to 1.
    """
    for name, value in p.items():
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"the p-value of {name!r} is {value}: it must be from 0 to 1")
    found, highest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[name]))
        found[name] = highest
    return {name: found[name] for name in p}


def against(
    learnt: Sequence[Mapping[str, np.ndarray]], reference: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, Any]:
    """Learnt minus reference in every endpoint that a trial is judged by, over seeds and patients.

    Attainment, its mean in the worst 5 % of patients, patients with each harm and patients who leave (%), and the
    change of dose over the last third; each as ``learnt`` (mean over seeds), ``reference`` and ``difference``. And the
    shares of seeds' patients who attain more or less than with the reference (%).

    Args:
        learnt: endpoints of the patients (`statistics.endpoints`), of each seed's policy.
        reference: of the same patients.
        rng: draws for the worst patients.
    """
    share, own = np.stack([ends["attainment_pct"] for ends in learnt]), reference["attainment_pct"]
    _shape(share)
    lead = share - own

    def percent(name: str, *, any_: bool = False) -> dict[str, Any]:
        columns = [100.0 * (ends[name] > 0 if any_ else ends[name]) for ends in (*learnt, reference)]
        return _compared(columns[:-1], columns[-1])

    def worst(seeds: np.ndarray, patients: np.ndarray) -> float:
        return float(_worst(share[seeds][:, patients]).mean() - _worst(own[None, patients])[0])

    tail = drawn_over_seeds(worst, share.shape[0], share.shape[1], rng)
    harms = [name for name in reference if name.startswith(_HARM)]
    return {
        **{name: _compared([ends[name] for ends in learnt], reference[name]) for name in _MEANS},
        "by_seed_pct": [round(float(value), 4) for value in share.mean(1)],
        "better_pct": round(float(100.0 * (lead > _SAME).mean()), 2),
        "worse_pct": round(float(100.0 * (lead < -_SAME).mean()), 2),
        "worst_5_pct": _row(float(_worst(share).mean()), float(_worst(own[None])[0]), tail),
        "left_pct": percent("dropped_out"),
        "harms_pct": {name.removeprefix(_HARM): percent(name, any_=True) for name in harms},
    }


def _worst(shares: Float[np.ndarray, "seed patient"]) -> Float[np.ndarray, " seed"]:
    count = max(1, round(WORST * shares.shape[1]))
    return np.asarray(np.partition(shares, count - 1, axis=1)[:, :count].mean(1))


def _compared(learnt: Sequence[np.ndarray], reference: np.ndarray) -> dict[str, Any]:
    all_ = np.stack(learnt)
    return _row(float(all_.mean()), float(reference.mean()), over_seeds(all_ - reference))


def _row(learnt: float, reference: float, difference: OverSeeds) -> dict[str, Any]:
    return {"learnt": round(learnt, 4), "reference": round(reference, 4), "difference": difference.record()}

"""Rank regimens by what the posterior says of them.

| criterion | best is |
|---|---|
| ``map`` | the metric of the point estimate is nearest to the aim |
| ``distance`` | the mean distance from the aim over the posterior is smallest |
| ``probability`` | the probability of being in the window is highest; then the median nearest to the aim |
| ``percentile`` | the largest daily dose of which P % of the posterior is at most the upper limit; of a window without one, the smallest of which P % is at least the lower limit |

The distance is |ln(metric / aim)|, or |metric - aim| of a target that counts in differences; the aim is the target's own
set point or the middle of its window. Then the smaller daily dose comes first, and the longer interval.
"""  # noqa: E501 - a table

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.dose_options import Question

__all__ = ["RegimenRow", "limit_of", "ranked"]


@dataclass(frozen=True)
class RegimenRow:
    """One regimen. Metrics are in the target's unit, probabilities are fractions."""

    route: str
    amount_mg: float
    interval_h: float
    duration_h: float
    """Of each infusion."""
    map: float
    """Of the point estimate."""
    mean: float
    percentiles: tuple[float, float, float, float, float]
    """5th, 25th, 50th, 75th and 95th."""
    below: float
    inside: float
    above: float
    distance: float
    """Mean over the posterior."""
    at_percentile: float
    """The percentile that is compared with the limit, see `limit_of`."""
    meets: bool
    """By ``map``: the point estimate is inside. By ``percentile``: the limit is kept. Else: inside is more likely."""
    exact_mg: float | None
    """The dose of this route and interval that attains aim or limit exactly; None where none in the range does."""
    exact_interval_h: float | None
    """The interval of this route and amount that attains aim or limit exactly at steady state; None as above."""
    way: int
    """Index of route and interval."""

    @property
    def daily_mg(self) -> float:
        """Amount in 24 h."""
        return 24.0 * self.amount_mg / self.interval_h

    @property
    def median(self) -> float:
        """Over the posterior."""
        return self.percentiles[2]


def limit_of(question: Question) -> tuple[float, float] | None:
    """(limit, percentile compared with it) of the criterion ``percentile``: the upper limit, or else the lower one."""
    low, high = question.aim.edges
    if high is not None:
        return high, question.percentile
    return None if low is None else (low, 100.0 - question.percentile)


def ranked(
    question: Question,
    values: Float[np.ndarray, "way amount draw"],
    exact_mg: Float[np.ndarray, "way"] | None,
    exact_h: Float[np.ndarray, "way amount"] | None = None,
) -> tuple[RegimenRow, ...]:
    """The possible regimens, best first.

    Args:
        question: what is searched for.
        values: metric of every regimen, the point estimate first and then draws; a regimen with a value that is not a
            number is impossible.
        exact_mg: see `RegimenRow.exact_mg`.
        exact_h: see `RegimenRow.exact_interval_h`.
    """
    rows = []
    for w in range(len(question.ways)):
        for a, amount in enumerate(question.amounts_mg):
            own = values[w, a]
            if np.all(np.isfinite(own)):
                exact = [_known(each) for each in (exact_mg, None if exact_h is None else exact_h[:, a])]
                rows.append(_row(question, w, amount, own, [e[w] if e else None for e in exact]))
    return tuple(sorted(rows, key=lambda row: (*_key(question, row), row.daily_mg, -row.interval_h, row.way)))


def _known(numbers: Float[np.ndarray, "way"] | None) -> list[float | None]:
    return [] if numbers is None else [float(n) if np.isfinite(n) else None for n in numbers]


def _row(
    question: Question, way: int, amount: float, values: Float[np.ndarray, "draw"], exact: list[float | None]
) -> RegimenRow:
    aim, own = question.aim, values[1:]
    low, quarter, median, three, high = (float(v) for v in np.percentile(own, [5, 25, 50, 75, 95]))
    limit = limit_of(question)
    assert limit is not None
    reached = float(np.percentile(own, limit[1]))
    inside = float(np.mean(aim.inside(own)))
    keeps = reached <= limit[0] if aim.edges[1] is not None else reached >= limit[0]
    meets = {"map": bool(aim.inside(values[:1])[0]), "percentile": bool(keeps)}.get(question.criterion, inside > 0.5)
    return RegimenRow(
        route=question.ways[way].route.name,
        amount_mg=amount,
        interval_h=question.ways[way].interval_h,
        duration_h=question.ways[way].route.duration_of(amount),
        map=float(values[0]),
        mean=float(np.mean(own)),
        percentiles=(low, quarter, median, three, high),
        below=float(np.mean(aim.below(own))),
        inside=inside,
        above=float(np.mean(aim.above(own))),
        distance=float(np.mean(aim.distance(own))),
        at_percentile=reached,
        meets=meets,
        exact_mg=exact[0],
        exact_interval_h=exact[1],
        way=way,
    )


def _key(question: Question, row: RegimenRow) -> tuple[float, ...]:
    """Smaller is better."""
    aim = question.aim
    match question.criterion:
        case "map":
            return (float(aim.distance(np.asarray(row.map))),)
        case "distance":
            return (row.distance,)
        case "probability":
            return (-row.inside, float(aim.distance(np.asarray(row.median))))
        case "percentile":
            upper = aim.edges[1] is not None
            if row.meets:
                return (0.0, -row.daily_mg if upper else row.daily_mg, -row.inside)
            return (1.0, row.at_percentile if upper else -row.at_percentile)

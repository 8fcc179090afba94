"""Forecasts of several models and their average: levels, exposure over the last dosing interval, courses."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.across_levels import Paired, shared_outputs
from rl_drug_dosage.pharmacometrics.across_plots import SHOWN, Course
from rl_drug_dosage.pharmacometrics.across_tables import AVERAGE, ForecastRow, QuantityRow
from rl_drug_dosage.pharmacometrics.across_weights import Compared
from rl_drug_dosage.pharmacometrics.estimation import Estimation
from rl_drug_dosage.pharmacometrics.forecast import METRICS, Forecast, Summary, forecast, mixture, window_of
from rl_drug_dosage.pkpd.units import metric_unit
from rl_drug_dosage.utils.progress import Steps

__all__ = ["average"]

_POINTS = 121
"""Times of a course."""


def average(
    estimations: Sequence[Estimation], pairs: Sequence[Paired], compared: Compared, *, seed: int, steps: Steps
) -> tuple[tuple[ForecastRow, ...], tuple[QuantityRow, ...], tuple[Course, ...]]:
    """Forecasts in the units of the first model, a row a model and one of the average. Inside `jax.enable_x64`.

    Args:
        estimations: one a model.
        pairs: how each model's levels relate to the first's.
        compared: weights of the models.
        seed: of draws that are made here.
        steps: told of a step a model.
    """
    outputs = shared_outputs(pairs)
    _, usual_h = estimations[0].model.dosing.tried
    known = [window_of(patient, usual_h) for patient in pairs[0].data.patients]
    # A patient without doses has no interval: the numbers of any other are made, and left out below.
    windows = np.asarray([window or (0.0, usual_h) for window in known])
    times = np.stack(
        [_times(own, np.asarray(e.levels.time_h)) for own, e in zip(windows, estimations[0].patients, strict=True)]
    )
    found = []
    for k, (one, its) in enumerate(zip(estimations, pairs, strict=True)):
        with steps.step(f"forecasting with {one.model.name}"):
            own = [its.output[o] for o in outputs]
            found.append(forecast(one, own, windows, times, courses=SHOWN, seed=seed + k))
    names = [one.model.name for one in estimations]
    levels: list[ForecastRow] = []
    quantities: list[QuantityRow] = []
    courses: list[Course] = []
    for i, weight in enumerate(compared.weight):
        levels += _levels(estimations, pairs, found, i, _Rows(names, weight))
        if (window := known[i]) is not None:
            quantities += _quantities(estimations, pairs, found, i, window, _Rows(names, weight))
        if i < SHOWN:
            drawn = [f.course[i] / its.factor[outputs[0]] for f, its in zip(found, pairs, strict=True)]
            each = np.stack([d.mean(axis=0) for d in drawn])
            courses.append(Course(times[i], *mixture(drawn, weight), each, outputs[0]))
    return tuple(levels), tuple(quantities), tuple(courses)


class _Rows:
    """Model, weight and summary of each row of a forecast: the models, then the average."""

    def __init__(self, names: Sequence[str], weight: Float[np.ndarray, "model"]) -> None:
        self._names, self._weight = names, weight

    def __call__(self, draws: Sequence[Float[np.ndarray, "draw"]]) -> Iterator[tuple[str, float, Summary]]:
        for name, weight, own in zip(self._names, self._weight, draws, strict=True):
            low, high = np.percentile(own, [5.0, 95.0])
            yield name, float(weight), Summary(float(own.mean()), float(low), float(high))
        yield AVERAGE, float(np.sum(self._weight)), Summary(*(float(v) for v in mixture(draws, self._weight)))


def _times(window: Float[np.ndarray, "2"], drawn_h: Float[np.ndarray, "level"]) -> Float[np.ndarray, "time"]:
    """From the first event to the end of the last interval, or the last level."""
    return np.linspace(min([0.0, window[0], *drawn_h]), max([window[1], *drawn_h]), _POINTS)


def _levels(
    estimations: Sequence[Estimation], pairs: Sequence[Paired], found: Sequence[Forecast], i: int, rows: _Rows
) -> Iterator[ForecastRow]:
    first, patient = estimations[0].model, estimations[0].patients[i]
    levels = patient.levels
    for j in range(levels.time_h.shape[0]):
        output = int(levels.output[j])
        outside = int(levels.below[j]) - int(levels.above is not None and levels.above[j])
        draws = [f.levels[i, :, j] / its.factor[output] for f, its in zip(found, pairs, strict=True)]
        for name, weight, summary in rows(draws):
            yield ForecastRow(
                patient.fitted.name, patient.hours[j], float(levels.value[j]), first.outputs[output].name,
                first.outputs[output].unit, outside, bool(levels.used[j]), name, weight, summary,
            )  # fmt: skip


def _quantities(
    estimations: Sequence[Estimation],
    pairs: Sequence[Paired],
    found: Sequence[Forecast],
    i: int,
    window: tuple[float, float],
    rows: _Rows,
) -> Iterator[QuantityRow]:
    first, patient = estimations[0].model, estimations[0].patients[i].fitted.name
    for output in shared_outputs(pairs):
        of = first.outputs[output]
        for metric in METRICS:
            if any((its.output[output], metric) not in f.exposure for f, its in zip(found, pairs, strict=True)):
                continue
            draws = [
                f.exposure[its.output[output], metric][i] / its.factor[output]
                for f, its in zip(found, pairs, strict=True)
            ]
            for name, weight, summary in rows(draws):
                yield QuantityRow(
                    patient, metric, of.name, metric_unit(metric, of.unit), *window, name, weight, summary
                )

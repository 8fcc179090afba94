"""One patient, with what is believed and what may be given: regimens are looked at under one posterior."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.forecast import course, course_times_h
from rl_drug_dosage.bedside.grid import Grid
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.metrics import metrics
from rl_drug_dosage.bedside.mixture import Mixture
from rl_drug_dosage.bedside.recommendation import Curve, PolicyResult, option_words
from rl_drug_dosage.bedside.regimens import Row, measures_of, rows_of
from rl_drug_dosage.bedside.rivals import Advice
from rl_drug_dosage.bedside.task import Task
from rl_drug_dosage.bedside.windows import Option
from rl_drug_dosage.errors import ConfigError

__all__ = ["OWN", "Case", "course_of", "curve_of"]

OWN = "own"
"""The name of a regimen that the reader chose, among those of policies."""
_DAYS_SHOWN = 3.0
_DAY_H = 24.0
_QUANTILES = (5.0, 25.0, 50.0, 75.0, 95.0)


@dataclass(frozen=True)
class Case:
    """A patient, with what is believed and what may be given.

    Args:
        task: models, target and harms.
        history: what was told.
        mixture: the posterior of every model, and their weights.
        grid: what may be recommended.
        start_h: when the next dose is due.
        horizon_h: how far ahead the interval that counts ends.
        advices: of the policies that are set beside Bayesian dosing.
        notes: which models were left out.
        looked: of every regimen that was looked at, what it leads to, and the metric of the first window in every draw.
    """

    task: Task
    history: PatientHistory
    mixture: Mixture
    grid: Grid
    start_h: float
    horizon_h: float
    advices: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()
    looked: dict[Option, tuple[Row, Float[np.ndarray, "draw"]]] = field(default_factory=dict)

    @property
    def first_h(self) -> float:
        """Time of the first dose."""
        return min((d.time_h for d in self.history.doses if d.given), default=self.start_h)

    @property
    def output(self) -> int:
        """Index of the output of the first window, among those that every model predicts."""
        return self.task.outputs.index(self.task.aims[0].target.output)

    def rows(self, options: Sequence[Option]) -> list[Row]:
        """What regimens lead to, under all models; none is computed twice. Inside `jax.enable_x64`."""
        new = [option for option in dict.fromkeys(options) if option not in self.looked]
        if new:
            wanted = measures_of(self.task)
            values = self.mixture.over(lambda b: metrics(b, wanted, new, self.start_h, self.horizon_h), axis=2)
            rows = rows_of(self.task, new, values, self.start_h, self.horizon_h, self.first_h)
            self.looked.update(zip(new, zip(rows, values[:, 0], strict=True), strict=True))
        return [self.looked[option][0] for option in options]

    def forecast(self, amount_mg: float, interval_h: float) -> PolicyResult:
        """What a dose of the reader's choice leads to, by the posterior of the recommendation.

        Args:
            amount_mg: of each dose; any, also between those of the label.
            interval_h: one of the label's.

        Raises:
            ConfigError: an amount that is none, an interval that is not on the label, an infusion that outlasts it.
        """
        option = self._chosen(amount_mg, interval_h)
        with jax.enable_x64(True):
            row = self.rows([option])[0]
            times, values = course_of(self, option)
        limits = () if self.grid.allows(option) else (f"beyond the limits: {self.grid.why}",)
        return PolicyResult(OWN, option_words(option), row, curve_of(self, times, values, self.output), limits)

    def _chosen(self, amount_mg: float, interval_h: float) -> Option:
        if not (math.isfinite(amount_mg) and amount_mg > 0):
            raise ConfigError(f"a dose of {amount_mg:g} mg; allowed: a finite amount above 0; correct it")
        interval = next((own for own in self.grid.intervals_h if math.isclose(own, interval_h)), None)
        if interval is None:
            listed = ", ".join(f"{own:g}" for own in sorted(self.grid.intervals_h))
            raise ConfigError(
                f"an interval of {interval_h:g} h is not on the label of {self.task.first.name}; allowed: {listed} h"
            )
        option = self.grid.option(float(amount_mg), interval)
        if not option.possible:
            raise ConfigError(
                f"{amount_mg:g} mg are infused for {option.duration_h:g} h, longer than the interval of {interval:g} "
                "h; give less, or a longer interval"
            )
        return option


def _stretch(case: Case, option: Option) -> tuple[float, float]:
    """From when to when a curve is drawn: all of the past, or its last days, and the days ahead."""
    longest = max(_DAYS_SHOWN * _DAY_H, 4.0 * option.interval_h)
    marks = [*(d.time_h for d in case.history.doses), *(v.time_h for v in case.history.levels)]
    begin = min([case.start_h, *marks])
    ahead = max(case.horizon_h, 2.0 * option.interval_h)
    return max(begin, case.start_h - 3.0 * longest), case.start_h + ahead


def course_of(case: Case, option: Option) -> tuple[Float[np.ndarray, "time"], Float[np.ndarray, "draw time output"]]:
    """Times, and every output at them under every draw. Inside `jax.enable_x64`."""
    times = course_times_h(case.mixture.main, option, case.start_h, *_stretch(case, option))

    def of(belief: Belief) -> Float[np.ndarray, "draw time output"]:
        places = [belief.model.output_index(name) for name in case.task.outputs]
        return course(belief, option, case.start_h, times)[..., places]

    return times, case.mixture.over(of, axis=0)


def curve_of(
    case: Case, times: Float[np.ndarray, "time"], values: Float[np.ndarray, "draw time output"], output: int
) -> Curve:
    """One output as a curve with bands."""
    own, first = values[..., output], case.task.first
    what = first.outputs[first.output_index(case.task.outputs[output])]
    return Curve(what.name, what.unit, times, own[0], np.percentile(own[1:], _QUANTILES, axis=0))

"""A patient's history, written down as it happens.

    from rl_drug_dosage.bedside import FreeCourse

    course = FreeCourse("vancomycin")
    course.covariate("crcl_ml_per_min", 55).covariate("wt_kg", 82).covariate("dialysis", 0)
    course.dose(0, 1500, over=1.5)
    course.level(10.9, 14.2)
    print(course.recommend(now=11).text())

Times are hours from any moment, in any order; what was wrong can be corrected.
"""

from datetime import datetime
from typing import Any, Self

from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.recommend import Asked, recommended
from rl_drug_dosage.bedside.recommendation import Recommendation
from rl_drug_dosage.errors import ConfigError

__all__ = ["FreeCourse"]


class FreeCourse:
    """A history under construction. Every method that tells something returns the course.

    Args:
        drug: generic name, or a drug model's.
        name: of the patient.
        origin: time zero by the clock, with its time zone; None: hours only.
    """

    def __init__(self, drug: str, *, name: str = "", origin: datetime | None = None) -> None:
        self.drug, self.name, self.origin = drug, name, origin
        self._doses: list[Dose] = []
        self._levels: list[Level] = []
        self._covariates: list[CovariateAt] = []

    def dose(
        self, time_h: float, amount: float, *, over: float = 0.0, route: str | None = None, given: bool = True
    ) -> Self:
        """A dose; ``given=False``: it was missed.

        Args:
            time_h: its start.
            amount: in the drug's dose unit.
            over: length of the infusion, h; 0: a bolus, or an oral dose.
            route: None: the drug's first.
            given: whether it was.
        """
        self._doses.append(Dose(time_h, amount, over, route, given))
        return self

    def level(self, time_h: float, value: float, *, output: str | None = None, below_limit: bool = False) -> Self:
        """A measurement, or the limit of quantification that it was below."""
        self._levels.append(Level(time_h, value, output, below_limit))
        return self

    def covariate(self, name: str, value: float, *, at: float = 0.0) -> Self:
        """A covariate, which holds from ``at`` on."""
        self._covariates.append(CovariateAt(at, name, value))
        return self

    def correct(self, time_h: float, **changed: Any) -> Self:
        """Change what was told of one time: ``amount``, ``over``, ``given`` of a dose, ``value`` of a level.

        Raises:
            ConfigError: nothing, or more than one thing of that kind, was told of this time.
        """
        is_level = bool(changed.keys() & {"value", "below_limit", "output"})
        own: list[Any] = self._levels if is_level else self._doses
        places = [i for i, each in enumerate(own) if abs(each.time_h - time_h) < 1e-6]
        what = "level" if is_level else "dose"
        if len(places) != 1:
            told = ", ".join(f"{each.time_h:g}" for each in own) or "none"
            raise ConfigError(f"{len(places)} {what}s at {time_h:g} h; allowed: one of {told} h; correct the time")
        old = own[places[0]]
        fields = {"over": "duration_h"}
        values = {name: getattr(old, name) for name in old.__dataclass_fields__}
        own[places[0]] = type(old)(**(values | {fields.get(k, k): v for k, v in changed.items()}))
        return self

    def history(self, now: float | None = None) -> PatientHistory:
        """The history as a value.

        Args:
            now: the time of the question, h; None: that of the last event.
        """
        times = [*(dose.time_h for dose in self._doses), *(level.time_h for level in self._levels)]
        return PatientHistory(
            drug=self.drug,
            doses=tuple(self._doses),
            levels=tuple(self._levels),
            covariates=tuple(self._covariates),
            now_h=max(times, default=0.0) if now is None else now,
            origin=self.origin,
            name=self.name,
        )

    def recommend(self, now: float | None = None, **asked: Any) -> Recommendation:
        """What to give next; ``asked`` as of `rl_drug_dosage.recommend`."""
        return recommended(self.history(now), Asked(**asked))

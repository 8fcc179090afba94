"""A patient's history, written down as it happens.

    from rl_drug_dosage.bedside import FreeCourse

    course = FreeCourse("vancomycin", zone="Europe/Berlin")
    course.covariate("crcl", "55 mL/min").covariate("weight", "180 lb").covariate("dialysis", False)
    course.dose("2026-11-03 08:10", "1.5 g", over="90 min")
    course.level("2026-11-03 19:00", "14.2 mg/L")
    print(course.recommend(now="2026-11-03 19:30").text())

Plain numbers are hours from any moment, and values in the unit of the drug model: ``course.dose(0, 1500, over=1.5)``.
Entries come in any order; what was wrong can be corrected.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from rl_drug_dosage.bedside.entries import Entries
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.recommend import Asked, recommended
from rl_drug_dosage.bedside.recommendation import Recommendation
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["FreeCourse"]

type Written = str | float | tuple[float, str] | Mapping[str, Any]
"""A number in the unit of the drug model, or one with its own unit."""
type Time = str | float | datetime
"""A clock time, or hours; all times of a course are of one kind."""


class FreeCourse:
    """A history under construction. Every method that tells something returns the course.

    Args:
        drug: generic name, a drug model's, or a drug model.
        name: of the patient.
        zone: of clock times without an offset, ``"Europe/Berlin"``.
    """

    def __init__(self, drug: str | DrugModel, *, name: str = "", zone: str | None = None) -> None:
        self.entries = Entries(drug, zone=zone, name=name, plain=True)

    def dose(
        self, time: Time, amount: Written, *, over: Written = 0.0, route: str | None = None, given: bool = True
    ) -> Self:
        """A dose; ``given=False``: it was missed.

        Args:
            time: its start.
            amount: in the drug's dose unit, or with a unit.
            over: length of the infusion, h, or with a unit; 0: a bolus, or an oral dose.
            route: None: the drug's first.
            given: whether it was.
        """
        self.entries.dose(time, amount, over=over, route=route, given=given)
        return self

    def level(self, time: Time, value: Written, *, output: str | None = None, below_limit: bool = False) -> Self:
        """A measurement; ``"<2 mg/L"`` or ``below_limit``: the limit of quantification that it was below."""
        self.entries.level(time, value, output=output, below_limit=below_limit)
        return self

    def covariate(self, name: str, value: Written, *, at: Time | None = None) -> Self:
        """A covariate, which holds from ``at`` on (None: from the start), or the formula that computes it.

        Args:
            name: the drug model's, or another word for the quantity: ``"crcl"``, ``"weight"``.
            value: a number, a word, or ``{"formula": "cockcroft-gault", "weight": "actual"}``.
            at: when it was determined.
        """
        self.entries.covariate(name, value, time=at)
        return self

    def correct(self, time: Time, **changed: Any) -> Self:
        """Change what was told of one time: ``amount``, ``over``, ``given`` of a dose, ``value`` of a level.

        Raises:
            ConfigError: nothing, or more than one thing of that kind, was told of this time.
        """
        self.entries.correct(time, **changed)
        return self

    def history(self, now: Time | None = None) -> PatientHistory:
        """The history as a value.

        Args:
            now: the time of the question; None: that of the last event.
        """
        return self.entries.history(now)

    def recommend(self, now: Time | None = None, **asked: Any) -> Recommendation:
        """What to give next; ``asked`` as of `rl_drug_dosage.recommend`."""
        return recommended(self.history(now), Asked(**asked))

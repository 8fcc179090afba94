"""One patient, at any times: from a free history to a dose, a curve, a probability and the reason.

For research and education only; nothing here is meant to treat a patient.
"""

from rl_drug_dosage.bedside.course import FreeCourse
from rl_drug_dosage.bedside.files import read_histories, read_history
from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.recommend import Asked, recommended, recommended_each
from rl_drug_dosage.bedside.recommendation import Recommendation

__all__ = [
    "Asked",
    "CovariateAt",
    "Dose",
    "FreeCourse",
    "Level",
    "PatientHistory",
    "Recommendation",
    "read_histories",
    "read_history",
    "recommended",
    "recommended_each",
]

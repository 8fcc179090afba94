"""One patient, at any times: from a free history to a dose, a curve, a probability and the reason.

For research and education only; nothing here is meant to treat a patient.
"""

from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory

__all__ = ["CovariateAt", "Dose", "Level", "PatientHistory"]

"""A policy in NumPy, called with a batch of patients at a time.

    rl-drug-dosage benchmark --scenario vancomycin --policy examples/own_policy.py --policy mipd --policy "1000 mg q12h"

What each number of an observation is: `rl-drug-dosage info --scenario vancomycin`. Research and education only.
"""

import numpy as np

NAMES = ("time", "aim", "crcl_ml_per_min", "wt_kg")
"""The first numbers of a vancomycin observation with default options."""


class ByWeightAndKidney:
    """25 mg/kg at first, then 15 mg/kg times the kidney function, of which 100 mL/min counts as 1."""

    observation_options = {"history": 4}  # noqa: RUF012 - the options of the environment; all have defaults

    def predict(self, observation: np.ndarray) -> np.ndarray:
        """Doses in mg, ``[patient]``, for observations ``[patient, obs]``."""
        seen = dict(zip(NAMES, observation.T[: len(NAMES)], strict=True))
        kidney = np.clip(seen["crcl_ml_per_min"] / 100.0, 0.2, 1.3)
        dose_mg = seen["wt_kg"] * np.where(seen["time"] == 0.0, 25.0, 15.0 * kidney)
        return np.clip(dose_mg, 0.0, 5000.0)


POLICY = ByWeightAndKidney()

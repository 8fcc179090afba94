"""Chance that belongs to different things must not be the same chance."""

import jax
import numpy as np
import pytest

from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG
from rl_drug_dosage.pkpd import Dose, make_regimen, simulate_cohort


@pytest.mark.long
def test_residual_errors_know_nothing_of_the_random_effects():
    """Over 4,000 patients no eta is correlated with the error of the level (a shared key made them equal)."""
    regimen = make_regimen([Dose(0.0, 1000.0, duration_h=1.0)], DRUG.structure)
    (chunk,) = simulate_cohort(DRUG, regimen, np.array([11.0]), jax.random.key(0), 4000, chunk=4000)
    error = (chunk.measured - chunk.predicted)[:, 0, 0] / chunk.predicted[:, 0, 0]
    for eta in np.asarray(chunk.patients.eta).T:
        assert abs(np.corrcoef(eta, error)[0, 1]) < 0.08  # five standard errors of 1 / sqrt(4000)

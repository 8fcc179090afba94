"""When the next level would tell most."""

import numpy as np
import pytest

from rl_drug_dosage.bedside.sampling import best_sampling, explained
from rl_drug_dosage.pkpd import Param, Residual


def size(value: float) -> Param:
    return Param(value, "1", "test", "test")


def test_the_reduction_is_that_of_a_gaussian_posterior():
    """M ~ N(0, 4); y = b M + N(0, s^2): the variance that is left is 4 s^2 / (4 b^2 + s^2)."""
    rng = np.random.default_rng(1)
    m = 2.0 * rng.standard_normal(200_000)
    slopes, sd = np.asarray([0.0, 0.5, 2.0]), 3.0

    found = explained(Residual("additive", additive=size(sd)), m, 50.0 + m[:, None] * slopes)

    assert 1.0 - found == pytest.approx(sd**2 / (4.0 * slopes**2 + sd**2), abs=0.01)


def test_under_a_proportional_error_high_levels_are_no_better():
    m = np.linspace(-1.0, 1.0, 101)
    levels = np.stack([10.0 + m, 100.0 + 10.0 * m], axis=1)

    found = explained(Residual("proportional", proportional=size(0.2)), m, levels)

    assert found[0] == pytest.approx(found[1])


def test_the_best_allowed_time_is_chosen():
    m = np.linspace(-1.0, 1.0, 101)
    levels = 10.0 + m[:, None] * np.asarray([0.1, 3.0, 1.0])
    times, residual = np.asarray([1.0, 2.0, 3.0]), Residual("additive", additive=size(1.0))

    anywhere = best_sampling(residual, m, "auc24", times, levels, np.asarray([True, True, True]))
    elsewhere = best_sampling(residual, m, "auc24", times, levels, np.asarray([True, False, True]))

    assert anywhere is not None
    assert elsewhere is not None
    assert (anywhere.time_h, elsewhere.time_h) == (2.0, 3.0)
    assert best_sampling(residual, m, "auc24", times, levels, np.zeros(3, bool)) is None

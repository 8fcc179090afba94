"""Posteriors of support patients against integration over a grid, with patients, doses and levels of scenarios."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.registry import load_scenario


@pytest.fixture
def bars(load_script: Any) -> Any:
    return load_script("ensemble_bars")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "drug", "intervals"),
    [("infliximab", "infliximab-fasanmade2009", 3), ("vancomycin", "vancomycin-buelga2005", 3)],
)
def test_against_a_grid(bars, name, drug, intervals) -> None:
    """12 patients, 4,096 support patients.

    The bar is a mean within 0.05 sd and percentiles within 0.1 sd, which is what 4,096 independent draws from the
    posterior would give (0.016 sd, and 0.033 sd for a percentile of 5 %). Renewal is Gaussian in its first two moments
    only, so that the typical patient has to meet the bar, and nobody may be off by more than a third of the distance
    from the mean to a percentile, which is 1.64 sd.
    """
    scenario = load_scenario(name)
    model = dataclasses.replace(simulator_of(scenario, drug), occasion_etas=())
    found = bars.compared(scenario, model, intervals=intervals, patients=12, members=4096, points=61)
    assert found.levels.min() >= 3
    # The levels have told something.
    assert found.narrowed.mean() < 0.8
    for errors, bar in ((found.mean, 0.05), (found.low, 0.1), (found.high, 0.1)):
        assert np.median(np.abs(errors)) < bar
        assert np.abs(errors.mean()) < bar
        assert np.abs(errors).max() < 0.5

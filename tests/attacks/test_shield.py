"""Nothing that a policy proposes, a record holds or a limit says makes the shield cross a cap."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

from rl_drug_dosage.clinic.shield import REASONS
from rl_drug_dosage.registry import SCENARIO, load_scenario, names

_SPEC = importlib.util.spec_from_file_location("shield_attacks", Path(__file__).with_name("shield_attacks.py"))
attacks = importlib.util.module_from_spec(_SPEC)
sys.modules["shield_attacks"] = attacks
_SPEC.loader.exec_module(attacks)

ALL = names(SCENARIO)
STEPS = 1_000_000
CHUNK = 2048


def stand(scenario, count, seed):
    broken, reasons = attacks.crossings(scenario, attacks.attack(scenario, count, seed), min(count, CHUNK))

    assert not any(broken.values()), broken
    return reasons


@pytest.mark.long
@pytest.mark.parametrize("name", ["vancomycin", "paclitaxel"])
def test_no_cap_is_crossed(name):
    """A linear model with a cap on the predicted peak, and an ODE with a nadir; every reason occurs."""
    assert set(stand(load_scenario(name), CHUNK, 1)) == set(REASONS)


@pytest.mark.long
def test_no_cap_is_crossed_where_dosing_intervals_are_chosen():
    ward = load_scenario("vancomycin")
    dosage = dataclasses.replace(ward.dosage, intervals_h=(12.0, 6.0, 24.0, 48.0), highest_rate_per_h=None)

    stand(dataclasses.replace(ward, dosage=dosage), CHUNK, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_no_cap_is_crossed_in_a_million_steps(name):
    """10^6 steps, shared by the built-in scenarios."""
    share = -(-STEPS // len(ALL))

    stand(load_scenario(name), -(-share // CHUNK) * CHUNK, 3)

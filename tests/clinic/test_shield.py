"""The safety shield lowers, counts and says why, and never touches what its limits allow."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.clinic.scenario import ShieldLimits
from rl_drug_dosage.clinic.shield import REASONS, shield_of
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.errors import ConfigError

NONE = {"dose": None, "day": None, "factor": None, "on_board": None, "level": None}


@pytest.fixture
def record(ward):
    """Two doses of 1000 mg given, the third is due."""
    table = {"crcl_ml_per_min": jnp.asarray([80.0]), "wt_kg": jnp.asarray([75.0]), "dialysis": jnp.asarray([0.0])}
    blank = empty_record(ward, table, jnp.zeros(()))
    return eqx.tree_at(lambda r: (r.k, r.dose), blank, (jnp.asarray(2), blank.dose.at[:2].set(1000.0)))


def ask(ward, record, amount, **limits):
    shield = shield_of(ward, model_of(ward, "vancomycin-goti2018"), **{**NONE, **limits})
    dose, reason = shield(record, jnp.asarray(amount))
    return float(dose), REASONS[int(reason)]


def test_without_limits_everything_passes(ward, record):
    assert ask(ward, record, 5000.0) == (5000.0, "")


@pytest.mark.parametrize(
    ("limits", "allowed", "reason"),
    [
        ({"dose": 2000.0}, 2000.0, "dose cap"),
        ({"dose": 2100.0}, 2000.0, "dose cap"),  # down to the grid, never up
        ({"day": 2500.0}, 1500.0, "daily cap"),  # 1000 mg were given 12 h ago, the ones before are a day old
        ({"factor": 1.5}, 1500.0, "step cap"),
        ({"on_board": 2500.0, "half_life_h": 12.0}, 1750.0, "drug on board"),  # 500 + 250 mg are left
    ],
)
def test_each_limit_lowers_a_dose_and_says_so(ward, record, limits, allowed, reason):
    assert ask(ward, record, 4000.0, **limits) == (allowed, reason)
    assert ask(ward, record, 500.0, **limits) == (500.0, "")


def test_the_predicted_peak_is_held(ward, record):
    high, why = ask(ward, record, 5000.0, level=60.0)
    higher, _ = ask(ward, record, 5000.0, level=80.0)

    assert why == "predicted level"
    assert 0.0 < high < higher < 5000.0


def test_the_tightest_limit_is_named(ward, record):
    assert ask(ward, record, 4000.0, dose=2000.0, factor=1.25) == (1250.0, "step cap")


def test_a_step_down_is_never_held(ward, record):
    assert ask(ward, record, 0.0, factor=1.1, dose=1000.0)[0] == 0.0


def test_the_scenarios_own_limits_are_taken(ward, record):
    shield = shield_of(ward, model_of(ward, "vancomycin-goti2018"))

    assert float(shield.dose) == ward.shield.dose
    assert np.isinf(float(shield.on_board))


def test_a_covariate_that_nobody_can_have_fails_safe(ward, record):
    spoilt = eqx.tree_at(
        lambda r: r.covariates["crcl_ml_per_min"], record, replace_fn=lambda c: jnp.full_like(c, -99.0)
    )

    assert ask(ward, spoilt, 3000.0) == (0.0, "not a number")


@pytest.mark.parametrize("asked", [np.nan, np.inf, -np.inf])
def test_a_proposal_that_is_not_a_number_becomes_the_safe_default(ward, record, asked):
    assert ask(ward, record, asked) == (0.0, "not a number")


@pytest.mark.parametrize(("asked", "given"), [(-250.0, 0.0), (1100.0, 1000.0), (1e30, 5000.0)])
def test_the_result_is_on_the_grid(ward, record, asked, given):
    assert ask(ward, record, asked) == (given, "off the grid")


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -1000.0])
def test_a_recorded_dose_that_is_not_a_number_fails_safe(ward, record, spoilt):
    bad = eqx.tree_at(lambda r: r.dose, record, record.dose.at[1].set(spoilt))

    assert ask(ward, bad, 4000.0, dose=3000.0) == (0.0, "not a number")


@pytest.mark.parametrize("name", ["dose", "day", "factor", "on_board", "level"])
def test_a_limit_that_is_not_a_number_allows_the_lowest_dose_only(ward, record, name):
    shield = shield_of(ward, model_of(ward, "vancomycin-goti2018"), **NONE)
    spoilt = eqx.tree_at(lambda s: getattr(s, name), shield, jnp.asarray(jnp.nan))

    assert float(spoilt(record, jnp.asarray(5000.0))[0]) == 0.0


def test_one_dose_of_0_does_not_lift_the_step_cap_and_a_long_pause_does(ward, record):
    paused = eqx.tree_at(lambda r: (r.k, r.dose), record, (jnp.asarray(3), record.dose.at[1].set(0.0)))

    assert ask(ward, paused, 5000.0, factor=2.0) == (2000.0, "step cap")
    assert ask(ward, paused, 5000.0, factor=2.0, factor_intervals=3) == (2000.0, "step cap")
    assert ask(ward, paused, 5000.0, factor=2.0, factor_intervals=2) == (5000.0, "")


@pytest.mark.parametrize("came", [np.nan, np.inf, 0.0, -1.0, True, "3000"])
@pytest.mark.parametrize("name", ["dose", "day", "factor", "factor_intervals", "on_board", "half_life_h", "level"])
def test_a_limit_is_finite_or_absent(name, came):
    with pytest.raises(ConfigError, match=f"{name}( of the shield)? is"):
        ShieldLimits(**{name: came})

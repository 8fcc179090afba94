"""Residual error and levels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Dose,
    Mammillary,
    ObservationError,
    Output,
    Residual,
    add_residual,
    make_levels,
    make_regimen,
    refuse_levels_before_doses,
    stack_levels,
)
from rl_drug_dosage.pkpd.residual import normal_moments, variance

ONE = Mammillary(0)


@pytest.fixture(scope="module")
def drug(toy, number):
    """Two outputs: one with combined error, one that nobody measures."""
    outputs = (
        Output("concentration", "mg/L", Residual("combined2", number(0.5, "mg/L"), number(15.0, "%"))),
        Output("amount", "mg", None, lambda state, p: state["central"]),
    )
    return toy(ONE, {"cl": 1.0, "v1": 10.0}, omega_sd={"cl": 0.3}, outputs=outputs)


@pytest.mark.parametrize(
    ("kind", "a", "b", "want"),
    [
        ("additive", 0.5, None, 0.25),
        ("proportional", None, 0.1, 1.0),
        ("combined1", 0.5, 0.1, 2.25),
        ("combined2", 0.5, 0.1, 1.25),
        ("lognormal", None, 0.1, 0.01),
    ],
)
def test_variance_and_simulated_spread(toy, number, kind, a, b, want):
    """At f = 10 with a = 0.5 and b = 0.1; measurements scatter with that variance (log-normal: on the log scale)."""
    residual = Residual(kind, a and number(a, "mg/L"), b and number(b))
    np.testing.assert_allclose(variance(residual, jnp.array(10.0)), want, rtol=1e-6)

    model = toy(ONE, {"cl": 1.0, "v1": 10.0}, outputs=(Output("concentration", "mg/L", residual),))
    y = np.asarray(add_residual(model, jnp.full((20_000, 1), 10.0), jax.random.key(0)))[:, 0]
    spread = np.log(y / 10.0) if kind == "lognormal" else y - 10.0
    np.testing.assert_allclose(spread.var(), want, rtol=0.05)


@pytest.mark.parametrize(
    ("time", "value", "options", "message"),
    [
        ([1.0], [math.nan], {}, "is nan"),
        ([1.0], [-2.0], {}, "is -2.0"),
        ([math.inf], [2.0], {}, "finite time"),
        ([1.0], [0.0], {"below": [True]}, "without a limit"),
        ([2.0, 1.0], [3.0, 3.0], {}, "sort the levels"),
        ([2.0], [3.0], {"output": ["amount"]}, "has no residual error"),
        ([2.0], [3.0, 4.0], {}, "one entry for each level"),
        ([2.0, 3.0], [3.0, 4.0], {"rows": 1}, "2 levels do not fit into 1 rows"),
    ],
)
def test_levels_that_cannot_be_used_are_refused(drug, time, value, options, message):
    """Each names the level, what came and the remedy."""
    with pytest.raises(ObservationError, match=message):
        make_levels(drug, time, value, **options)


def test_a_level_before_any_dose_is_refused(drug):
    """Nothing was given yet."""
    regimen = make_regimen([Dose(5, 100)], ONE)
    refuse_levels_before_doses(make_levels(drug, [6.0], [1.0], rows=3), regimen)
    with pytest.raises(ObservationError, match="at 4 h comes before the first dose at 5 h"):
        refuse_levels_before_doses(make_levels(drug, [4.0], [1.0]), regimen)


def test_stacked_levels_mark_their_padding(drug):
    """One and three levels, and none at all."""
    stacked = stack_levels(
        [
            make_levels(drug, [1.0], [5.0]),
            make_levels(drug, [1.0, 2.0, 3.0], [5.0, 4.0, 3.0]),
            make_levels(drug, [], []),
        ]
    )
    np.testing.assert_array_equal(stacked.used.sum(axis=1), [1, 3, 0])
    assert stacked.value.shape == (3, 3)


def test_trough_and_peak_at_one_time_are_both_allowed(drug):
    """The second one is drawn after the dose."""
    levels = make_levels(drug, [12.0, 12.0], [3.0, 9.0], after_dose=[False, True])
    assert levels.used.all()


def test_a_prediction_of_0_has_the_error_of_one_unit(number, double):
    """NONMEM's W = F + (F = 0) under a proportional error: -2 log likelihood = ln b^2 + (y / b)^2. Measured: lost."""
    f, y = jnp.array([0.0, 0.0, 1e-9, 2.0]), jnp.array([27.5, 0.0, 27.5, 3.0])

    error, log_variance, lost = normal_moments(Residual("proportional", proportional=number(0.2)), f, y)

    np.testing.assert_allclose(error, [-27.5, 0.0, -27.5, -1.0], rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_variance), [0.04, 0.04, 0.04e-18, 0.16], rtol=2e-5)
    assert lost.tolist() == [True, False, False, False]
    assert np.isfinite(error**2 * np.exp(-log_variance)).all()


def test_a_prediction_of_0_is_no_matter_where_the_error_has_an_additive_part(number):
    f, y = jnp.array([0.0, 2.0]), jnp.array([27.5, 3.0])
    residual = Residual("combined2", number(0.5), number(0.2))

    error, log_variance, lost = normal_moments(residual, f, y)

    np.testing.assert_allclose(error, [-27.5, -1.0])
    np.testing.assert_allclose(np.exp(log_variance), [0.25, 0.41], rtol=1e-6)
    assert not lost.any()
    error, _, lost = normal_moments(Residual("lognormal", proportional=number(0.2)), f, y)
    assert lost.tolist() == [True, False]
    np.testing.assert_allclose(error[1], np.log(2.0 / 3.0), rtol=1e-6)

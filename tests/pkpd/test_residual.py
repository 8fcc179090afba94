"""Residual error and levels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Dose,
    DrugModelError,
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


def _power(number, b, c):
    return Residual("power", proportional=number(b, "1"), power=number(c, "1"))


def test_a_power_error_is_the_others_where_the_power_says_so(number):
    """c = 1 is proportional, c = 0 additive; with c = 1 the combined errors are those without a power."""
    f, y = jnp.array([0.3, 2.0, 40.0]), jnp.array([0.4, 1.8, 44.0])
    pairs = [
        (_power(number, 0.2, 1.0), Residual("proportional", proportional=number(0.2, "1"))),
        (_power(number, 0.2, 0.0), Residual("additive", additive=number(0.2, "mg/L"))),
        *(
            (Residual(kind, a, b, number(1.0, "1")), Residual(kind, a, b))
            for a, b in [(number(0.3, "mg/L"), number(0.2, "1"))]
            for kind in ("combined1", "combined2")
        ),
    ]
    for new, old in pairs:
        for ours, theirs in zip(normal_moments(new, f, y), normal_moments(old, f, y), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(variance(_power(number, 0.2, 0.5), f), 0.04 * f, rtol=1e-6)
    a, b, c = number(0.3, "mg/L"), number(0.2, "1"), number(0.5, "1")
    np.testing.assert_allclose(variance(Residual("combined1", a, b, c), f), (0.3 + 0.2 * np.sqrt(f)) ** 2, rtol=1e-6)
    np.testing.assert_allclose(variance(Residual("combined2", a, b, c), f), 0.09 + 0.04 * f, rtol=1e-6)


def test_a_power_error_has_finite_slopes_at_a_prediction_of_0(number):
    residual = Residual("combined2", number(0.3, "mg/L"), number(0.2, "1"), number(0.5, "1"))
    assert math.isfinite(float(jax.grad(lambda f: variance(residual, f))(0.0)))


def test_a_logit_error_is_normal_on_the_logit_scale(toy, number):
    """Measurements stay inside, and scatter on the logit scale with sd 0.4; the likelihood is that of their logits."""
    residual = Residual("logit", additive=number(0.4, "1"), low=0.0, high=50.0)
    model = toy(ONE, {"cl": 1.0, "v1": 10.0}, outputs=(Output("concentration", "mg/L", residual),))
    y = np.asarray(add_residual(model, jnp.full((20_000, 1), 10.0), jax.random.key(0)))[:, 0]
    assert ((y > 0) & (y < 50)).all()
    scatter = np.log(y / (50.0 - y)) - np.log(10.0 / 40.0)
    np.testing.assert_allclose([scatter.mean(), scatter.std()], [0.0, 0.4], atol=0.01)
    error, log_variance, lost = normal_moments(residual, jnp.array([10.0]), jnp.array([25.0]))
    np.testing.assert_allclose(error, np.log(10.0 / 40.0), rtol=1e-5)
    np.testing.assert_allclose(log_variance, np.log(0.16), rtol=1e-6)
    assert not lost[0]
    for beyond in (0.0, 50.0):
        error, _, lost = normal_moments(residual, jnp.array([beyond]), jnp.array([25.0]))
        assert np.isfinite(error[0])
        assert lost[0]
        with pytest.raises(ObservationError, match="between 0 and 50"):
            make_levels(model, [1.0], [beyond])


@pytest.mark.parametrize(
    ("kind", "parts", "options", "message"),
    [
        ("power", "b", {}, "came with power=False"),
        ("proportional", "bc", {}, "came with power=True"),
        ("logit", "b", {}, "additive=False, proportional=True"),
        ("logit", "a", {"low": 1.0, "high": 1.0}, "low is 1, and high is 1"),
    ],
)
def test_an_error_has_exactly_its_numbers(number, kind, parts, options, message):
    a, b, c = (number(0.5, "1") if part in parts else None for part in "abc")
    with pytest.raises(DrugModelError, match=message):
        Residual(kind, a, b, c, **options)


@pytest.mark.parametrize(
    ("residual", "message"),
    [
        (lambda number: Residual("logit", number(0.5, "mg/L")), "additive.unit is 'mg/L'; allowed: 1, of a logit"),
        (lambda number: _power(lambda v, u: number(v, "h"), 0.5, 0.5), "power.unit is 'h'; allowed: 1"),
    ],
)
def test_a_size_has_the_unit_of_its_scale(toy, number, residual, message):
    with pytest.raises(DrugModelError, match=message):
        toy(ONE, {"cl": 1.0, "v1": 10.0}, outputs=(Output("concentration", "mg/L", residual(number)),))

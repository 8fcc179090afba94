"""Conservation laws and symmetries of linear models, as properties over random parameters and doses."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.pkpd import Dose, Mammillary, course_on_grid, grid_propagator, make_regimen, no_covariates, solve

ORAL = Mammillary(1, depot=True)
NAMES = (*ORAL.parameters, "f_depot", "f_central")
DOSES = (Dose(0, 1, "depot"), Dose(3, 1, "central", duration_h=5), Dose(6, 1, "central"))
REGIMEN = make_regimen(DOSES, ORAL)
TIMES = jnp.array([2.0, 6.0, 7.0, 30.0, 3000.0])

amounts = st.lists(st.floats(1.0, 1000.0), min_size=3, max_size=3).map(np.array)
parameters = st.tuples(
    *(st.floats(low, high) for low, high in [(0.5, 20), (5, 80), (0.1, 20), (5, 80), (0.05, 4), (0.1, 1), (0.1, 1)])
).map(np.array)


@functools.cache
def compiled():
    """One program for all laws: contents and areas at TIMES from parameter values and amounts."""

    @jax.jit
    def run(values, amount):
        p = {name: values[i : i + 1] for i, name in enumerate(NAMES)}
        regimen = eqx.tree_at(lambda r: r.amount_mg, REGIMEN, amount)
        return solve(ORAL, p, regimen, no_covariates(), TIMES, auc=True)

    return run


def course(values, amount):
    """In double precision."""
    with jax.enable_x64(True):
        return jax.device_get(compiled()(values, amount))


@pytest.mark.long
@given(parameters, amounts)
def test_mass_is_conserved_and_never_negative(values, amount):
    """What was given and absorbed is in the body or was eliminated: clearance times area."""
    got = course(values, amount)
    f_depot, f_central = values[5:]
    shares = np.array([[1, 0, 0], [1, 0.6, 0], [1, 0.8, 1], [1, 1, 1], [1, 1, 1]])
    delivered = shares @ (amount * np.array([f_depot, f_central, f_central]))
    np.testing.assert_allclose(got.contents.sum(axis=1) + values[0] * got.auc_mg_h_per_l, delivered, rtol=1e-9)
    assert np.all(got.contents >= 0)


@given(parameters, amounts)
def test_the_whole_area_is_f_dose_over_clearance(values, amount):
    """AUC = sum of F dose / CL once everything is gone (to what is left after 3,000 h)."""
    got = course(values, amount)
    total = amount @ np.array([values[5], values[6], values[6]]) - got.contents[-1].sum()
    np.testing.assert_allclose(got.auc_mg_h_per_l[-1], total / values[0], rtol=1e-9)


@given(parameters, amounts, st.floats(0.1, 10))
def test_doses_superpose_and_scale(values, amount, factor):
    """The sum of each dose alone, and a multiple of the doses, give the sum and the multiple of the contents.

    Contents below 1e-300 mg may be 0 in one of two computations.
    """
    whole = course(values, amount).contents
    alone = sum(course(values, amount * unit).contents for unit in np.eye(3))
    np.testing.assert_allclose(alone, whole, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(course(values, factor * amount).contents, factor * whole, rtol=1e-11, atol=1e-300)


@functools.cache
def stepped():
    """One program: a step of a + b, and a step of b after a step of a, under an infusion."""

    @jax.jit
    def run(values, x, rate, a, b):
        prepared = ORAL.prepare(dict(zip(NAMES, values, strict=True)))
        whole, area = ORAL.advance(prepared, x, rate, 0.0, a + b, auc=True)
        middle, first = ORAL.advance(prepared, x, rate, 0.0, a, auc=True)
        end, second = ORAL.advance(prepared, middle, rate, a, b, auc=True)
        return whole, end, area, first + second

    return run


@given(parameters, amounts, amounts, st.floats(0.0, 20.0), st.floats(0.0, 20.0))
def test_two_steps_make_one(values, x, rate, a, b):
    """Semigroup: step(a + b) = step(b) after step(a), area included."""
    with jax.enable_x64(True):
        whole, end, area, areas = jax.device_get(stepped()(values, x, rate, a, b))
    np.testing.assert_allclose(end, whole, rtol=1e-10)
    np.testing.assert_allclose(areas, area, rtol=1e-10, atol=1e-12)


@pytest.mark.long
def test_a_short_infusion_is_a_bolus(x64):
    """The difference falls in proportion to the duration."""
    p = {name: jnp.array([value]) for name, value in zip(NAMES, [4, 30, 5, 40, 1, 1, 1], strict=True)}
    run = jax.jit(lambda duration: solve(
        ORAL, p, eqx.tree_at(lambda r: r.duration_h, make_regimen([Dose(0, 100, "central", duration_h=1)], ORAL),
        duration), no_covariates(), jnp.array([2.0])).contents[0, 1])  # fmt: skip
    bolus = solve(ORAL, p, make_regimen([Dose(0, 100, "central")], ORAL), no_covariates(), jnp.array([2.0])).contents[
        0, 1
    ]
    gaps = [float(run(jnp.array([d])) - bolus) / d for d in (1e-2, 1e-3, 1e-4)]
    np.testing.assert_allclose(gaps, gaps[-1], rtol=2e-2)


@pytest.mark.long
def test_accumulation_is_one_over_one_minus_the_share_left(x64):
    """A bolus every tau: the steady trough is e / (1 - e) times the dose, e = exp(-k tau); grid and events."""
    one = Mammillary(0)
    e = np.exp(-0.1 * 8)
    p = {"cl": jnp.array([1.0]), "v1": jnp.array([10.0])}
    trough = course_on_grid(grid_propagator(one, p, 8.0), jnp.full((80, 1), 100.0))[-1, 0, 0]
    steady = make_regimen([Dose(0, 100, interval_h=8, steady_state=1)], one)
    at_8 = solve(one, p, steady, no_covariates(), jnp.array([8.0])).contents[0, 0]
    np.testing.assert_allclose([trough, at_8], 100 * e / (1 - e), rtol=1e-12)

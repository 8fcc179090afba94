"""Cached propagators on a regular grid, and cohorts in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG
from rl_drug_dosage.pkpd import (
    Covariate,
    Dose,
    Fixed,
    Mammillary,
    RegimenError,
    SolverError,
    chunks,
    course_on_grid,
    every,
    grid_propagator,
    make_regimen,
    no_covariates,
    simulate_cohort,
    solve,
)
from rl_drug_dosage.pkpd.ode_models import michaelis_menten

TWO = Mammillary(1)


@pytest.mark.long
def test_the_grid_agrees_with_events(x64):
    """Troughs, peaks and areas of two patients over five 1-h infusions."""
    p = {
        "cl": jnp.array([3.0, 6.0]),
        "v1": jnp.array([40.0, 60.0]),
        "q2": jnp.array([5.0, 7.0]),
        "v2": jnp.array([30.0, 50.0]),
    }
    regimen = make_regimen(every(Dose(0, 800, duration_h=1), 12, 5), TWO)
    times = jnp.concatenate([12.0 * jnp.arange(1, 6), 12.0 * jnp.arange(5) + 1.0])
    run = jax.vmap(
        lambda own: solve(TWO, {k: v[None] for k, v in own.items()}, regimen, no_covariates(), times, auc=True)
    )
    want = run(p)

    grid = grid_propagator(TWO, p, 12.0, duration_h=1.0)
    dose = jnp.full((5, 2), 800.0)
    troughs = course_on_grid(grid, dose)
    before = jnp.concatenate([jnp.zeros((1, 2, 2)), troughs[:-1]])
    peaks = jax.vmap(grid.peak)(before, dose)
    areas = jnp.cumsum(jax.vmap(grid.auc)(before, dose), axis=0)

    np.testing.assert_allclose(troughs.transpose(2, 0, 1), want.contents[:, :5], rtol=1e-11)
    np.testing.assert_allclose(peaks.transpose(2, 0, 1), want.contents[:, 5:], rtol=1e-11)
    np.testing.assert_allclose(areas.T, want.auc_mg_h_per_l[:, :5], rtol=1e-11)


def test_what_has_no_cached_propagator_is_refused():
    """Non-linear structures, lags, and infusions longer than the interval."""
    p = {"cl": jnp.ones(2), "v1": jnp.ones(2), "q2": jnp.ones(2), "v2": jnp.ones(2)}
    with pytest.raises(RegimenError, match="linear structure"):
        grid_propagator(michaelis_menten(), p, 12.0)
    with pytest.raises(RegimenError, match="have a lag"):
        grid_propagator(TWO, {**p, "lag_central": jnp.ones(2)}, 12.0)
    with pytest.raises(RegimenError, match="duration <= interval"):
        grid_propagator(TWO, p, 12.0, duration_h=13.0)


@pytest.mark.long
def test_a_patient_does_not_depend_on_chunks_or_range():
    """Patients 3 .. 9 of one cohort: in chunks of four, and out of a whole of ten in one."""
    regimen, key = make_regimen([Dose(0, 1000, duration_h=1)], DRUG.structure), jax.random.key(5)
    times = jnp.array([2.0, 12.0])
    some = [part.measured for part in simulate_cohort(DRUG, regimen, times, key, 7, first=3, chunk=4)]
    whole = next(simulate_cohort(DRUG, regimen, times, key, 10, chunk=10)).measured
    assert [part.shape[0] for part in some] == [4, 3]
    np.testing.assert_allclose(np.concatenate(some), whole[3:], rtol=1e-6)
    assert [list(block) for block in chunks(5, 2)] == [[0, 1], [2, 3], [4]]


def test_a_simulation_that_is_not_finite_names_the_patient(toy):
    """A volume of 0, at 20 kg, makes infinite concentrations: an error, not a number."""
    broken = toy(
        Mammillary(0),
        {"cl": 1.0, "v1": 1.0},
        parameters=lambda theta, c: {**theta, "v1": theta["v1"] * (c["wt_kg"] - 20.0)},
        covariates=(Covariate("wt_kg", "kg", 10, 120, 70, "invented", "body weight", Fixed(20.0), "WT"),),
    )
    with pytest.raises(SolverError, match="patient 0 is not finite"):
        next(
            simulate_cohort(
                broken, make_regimen([Dose(0, 1)], broken.structure), jnp.array([1.0]), jax.random.key(0), 2
            )
        )

"""Estimation: NONMEM's individual estimates, an independent optimiser, and the posterior's calibration."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from rl_drug_dosage.pkpd import (
    Correlation,
    Covariate,
    Dose,
    DrugModelError,
    Eta,
    Fixed,
    Mammillary,
    ObservationError,
    Output,
    Residual,
    every,
    make_covariates,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
    stack_levels,
    stack_regimens,
)
from rl_drug_dosage.pkpd.bayes import (
    PatientData,
    fit_patients,
    importance_posterior,
    laplace_covariance,
    laplace_posterior,
    make_objective,
    map_estimate,
)
from rl_drug_dosage.pkpd.bayes.search import bends_upwards

ONE = Mammillary(0)


def test_nonmem_post_hoc_estimates(x64, reference, toy, number):
    """24 of 24 etas and conditional covariances to 1e-6, objectives to three decimals (oral, FOCE with interaction)."""
    oral = Mammillary(0, depot=True)
    drug = toy(
        oral, {"cl": 4.0, "v1": 70.0, "ka": 1.0},
        etas=tuple(Eta(name, number(0.2), "var") for name in ("cl", "v1", "ka")),
        outputs=(Output("concentration", "mg/L", Residual("proportional", proportional=number(0.05**0.5))),),
    )  # fmt: skip
    patients = reference("nonmem_posthoc_oral_1cmt.json")["patients"]
    doses = [[Dose(0, p["first_dose_mg"]), *every(Dose(72, p["first_dose_mg"]), 24, 7)] for p in patients]
    regimens = stack_regimens([make_regimen(d, oral) for d in doses])
    levels = stack_levels([make_levels(drug, *zip(*p["levels"], strict=True)) for p in patients])

    fit = jax.jit(jax.vmap(lambda r, seen: map_estimate(drug, r, no_covariates(), seen)))(regimens, levels)

    assert fit.converged.all()
    np.testing.assert_allclose(fit.eta, [p["eta"] for p in patients], atol=1e-6)
    np.testing.assert_allclose(fit.printed_objective, [p["objective"] for p in patients], atol=5e-4)
    rows, columns = np.tril_indices(3)
    np.testing.assert_allclose(fit.covariance[:, rows, columns], [p["etc_lower"] for p in patients], atol=1e-6)


@pytest.fixture(scope="module")
def changing(toy, number):
    """Full omega over CL and V, kappa on CL, clearance in proportion to a changing covariate, combined1 error."""
    return toy(
        ONE,
        {"cl": 4.0, "v1": 50.0},
        parameters=lambda theta, c: {"cl": theta["cl"] * c["crcl"] / 100.0, "v1": theta["v1"]},
        covariates=(Covariate("crcl", "mL/min", 1, 200, 100, "invented", "invented", Fixed(100.0), "CRCL"),),
        omega_sd={"cl": 0.4, "v1": 0.3},
        correlations=(Correlation("cl", "v1", number(0.05), "cov"),),
        occasion_etas=(Eta("cl", number(0.25), "sd"),),
        outputs=(Output("concentration", "mg/L", Residual("combined1", number(0.8, "mg/L"), number(0.1))),),
    )


CRCL, CHANGES = [90.0, 60.0, 140.0], [24.0, 48.0, 96.0]
SEEN, LEVELS = [2.0, 23.0, 30.0, 47.0, 60.0], [17.0, 9.0, 24.0, 20.0, 21.0]


def by_hand(z, below=False):
    """OBJ of the patient above, from the sum over doses of exp(-integral of k): no code shared with the engine.

    z = (eta cl, eta v, kappa of the first 24 h, kappa of the time up to 48 h); later kappa 0.
    """
    v = 50.0 * np.exp(z[1])
    edges = [0.0, 24.0, 48.0, 1e9]
    rates = 4.0 * np.array(CRCL) / 100.0 * np.exp(z[0] + np.array([z[2], z[3], 0.0])) / v

    def gone(t):
        return sum(r * np.clip(t - a, 0, b - a) for r, a, b in zip(rates, edges[:-1], edges[1:], strict=True))

    total = 0.0
    for t, y in zip(SEEN, LEVELS, strict=True):
        f = sum(1000.0 / v * np.exp(gone(dose) - gone(t)) for dose in (0.0, 24.0, 48.0) if dose < t)
        sd = 0.8 + 0.1 * f
        total += 2 * np.log(sd) + ((y - f) / sd) ** 2
    if below:
        f = sum(1000.0 / v * np.exp(gone(dose) - gone(90.0)) for dose in (0.0, 24.0, 48.0))
        total += -2 * scipy.stats.norm.logcdf((6.0 - f) / (0.8 + 0.1 * f))
    w = np.diag([0.16, 0.09, 0.0625, 0.0625])
    w[0, 1] = w[1, 0] = 0.05
    return total + z @ np.linalg.inv(w) @ z


@pytest.mark.long
@pytest.mark.parametrize("below", [False, True], ids=["levels", "and one below quantification"])
def test_an_independent_optimiser_finds_the_same_maximum(x64, changing, below):
    """Changing covariates, occasions, full omega, combined1 error, M3: scipy on an objective written by hand."""
    regimen = make_regimen(every(Dose(0, 1000), 24, 3), ONE)
    table = make_covariates(changing, {"crcl": CRCL}, CHANGES, [0, 1, 2])
    time, value = (SEEN, LEVELS) if not below else ([*SEEN, 90.0], [*LEVELS, 0.0])
    levels = make_levels(
        changing, time, value, below=[t == 90.0 for t in time], limit=[6.0 if t == 90.0 else None for t in time]
    )
    fit = jax.jit(lambda: map_estimate(changing, regimen, table, levels, occasions=2))()
    want = scipy.optimize.minimize(by_hand, np.zeros(4), (below,), "BFGS", options={"gtol": 1e-9})

    assert fit.converged
    np.testing.assert_allclose(fit.objective, want.fun, rtol=1e-10)
    np.testing.assert_allclose(fit.latent, want.x, atol=2e-5)
    half, curvature = make_objective(changing, regimen, table, levels, 2)
    at = jnp.array([0.2, -0.1, 0.3, -0.2])
    np.testing.assert_allclose(2 * half(at), by_hand(np.asarray(at), below), rtol=1e-12)
    np.testing.assert_allclose(curvature(at).gradient, jax.jacfwd(half)(at), rtol=1e-9)


@pytest.mark.long
def test_without_levels_the_estimate_is_the_prior(x64, changing):
    """eta = 0 with covariance W and a printed objective of 0: ln det W - ln det ETC."""
    regimen = make_regimen([Dose(0, 1000)], ONE)
    fit = map_estimate(
        changing,
        regimen,
        make_covariates(changing, {"crcl": 100.0}),
        make_levels(changing, [], [], rows=1),
        occasions=1,
    )
    np.testing.assert_allclose(fit.latent, 0.0)
    np.testing.assert_allclose(fit.covariance[:2, :2], [[0.16, 0.05], [0.05, 0.09]], rtol=1e-12)
    assert abs(fit.printed_objective) < 1e-12


@pytest.mark.long
def test_lags_and_bioavailabilities_are_estimated_too(x64, toy, number):
    """Data without noise: the parameters that made them come back, and events change order while searching."""
    oral = Mammillary(0, depot=True)
    drug = toy(
        oral, {"cl": 4.0, "v1": 50.0, "ka": 1.0, "lag_depot": 0.7, "f_depot": 0.6},
        omega_sd={"cl": 0.5, "ka": 0.5, "lag_depot": 0.5},
        outputs=(Output("concentration", "mg/L", Residual("proportional", proportional=number(1e-3))),),
    )  # fmt: skip
    truth = jnp.array([0.3, -0.2, 0.4])
    regimen = make_regimen(every(Dose(0, 1000), 12, 2), oral)
    times = [1.5, 2.0, 3.0, 8.0, 14.0]
    seen = predict(drug, regimen, no_covariates(), jnp.array(times), truth)[:, 0]
    levels = make_levels(drug, times, [float(v) for v in seen])
    fit = jax.jit(lambda: map_estimate(drug, regimen, no_covariates(), levels))()
    assert fit.converged
    np.testing.assert_allclose(fit.eta, truth, atol=1e-4)


def lagging(toy, number, **changes):
    """Oral, proportional error of 10 %, a lag of 1 h with an effect of 50 %."""
    return toy(
        Mammillary(0, depot=True), {"cl": 4.0, "v1": 30.0, "ka": 1.0, "lag_depot": 1.0},
        **{"omega_sd": {"cl": 0.3, "v1": 0.3, "lag_depot": 0.5}, **changes},
        outputs=(Output("concentration", "mg/L", Residual("proportional", proportional=number(0.1))),),
    )  # fmt: skip


@pytest.mark.long
def test_a_level_before_the_typical_lag_is_reached_by_a_second_start(x64, toy, number):
    """At 0.6 h the typical patient's level is 0, and no random effect moves it; truth: a lag of 0.24 h."""
    drug = lagging(toy, number)
    regimen, times = make_regimen([Dose(0, 2500)], Mammillary(0, depot=True)), [0.6, 2.0, 6.0, 12.0]
    truth = jnp.array([0.1, -0.1, np.log(0.24)])
    seen = predict(drug, regimen, no_covariates(), jnp.array(times), truth)[:, 0]
    levels = make_levels(drug, times, [float(v) for v in seen])
    half, _ = make_objective(drug, regimen, no_covariates(), levels, 0)

    fit = jax.jit(lambda: map_estimate(drug, regimen, no_covariates(), levels))()

    found = predict(drug, regimen, no_covariates(), jnp.array(times), fit.eta)[:, 0]
    assert fit.converged
    assert int(fit.lost) == 0
    np.testing.assert_allclose(found, seen, rtol=0.15)
    assert fit.objective < 2 * half(truth)
    np.testing.assert_allclose(jax.grad(half)(fit.eta), 0.0, atol=1e-4)


@pytest.mark.long
def test_a_far_minimum_is_reached_and_doubted(x64, toy, number):
    """One occasion's levels are e^23 times what is expected; kappa of the bioavailability, omega 1. Against SciPy."""
    oral = Mammillary(0, depot=True)
    drug = toy(
        oral, {"cl": 4.0, "v1": 30.0, "ka": 1.0, "f_depot": 0.8},
        omega_sd={"cl": 0.3}, occasion_etas=(Eta("f_depot", number(1.0), "sd"),),
        outputs=(Output("concentration", "mg/L", Residual("proportional", proportional=number(0.2))),),
    )  # fmt: skip
    regimen, table = make_regimen([Dose(0, 1000), Dose(48, 1000)], oral), make_covariates(drug, {}, [0.0, 48.0], [0, 1])
    times = [2.0, 6.0, 12.0, 50.0, 54.0, 60.0]
    typical = predict(drug, regimen, table, jnp.array(times), jnp.zeros(1), jnp.zeros((2, 1)))[:, 0]
    values = [float(f) * (np.exp(23.0) if t > 48 else 1.0) for f, t in zip(typical, times, strict=True)]
    data = PatientData("far", (Dose(0, 1000), Dose(48, 1000)), table, make_levels(drug, times, values))
    half, _ = make_objective(drug, regimen, table, data.levels, 2)
    slope = jax.jit(jax.value_and_grad(half))
    want = scipy.optimize.minimize(
        lambda z: tuple(np.asarray(a, float) for a in slope(jnp.asarray(z))), [0.0, 0.0, 20.0], jac=True, method="BFGS"
    )

    (fit,) = fit_patients(drug, [data])

    assert fit.estimate.converged
    assert fit.estimate.kappa[1, 0] > 22.0
    np.testing.assert_allclose(fit.estimate.latent, want.x, atol=1e-3)
    assert "local minimum? The effect on f_depot on occasion 2 is 22." in fit.warnings[0]


@pytest.mark.long
def test_a_level_that_no_effect_explains_is_named(toy, number):
    """No effect on the lag: 27.5 mg/L half an hour before anything is absorbed."""
    drug = lagging(toy, number, omega_sd={"cl": 0.3, "v1": 0.3})
    levels = make_levels(drug, [0.5, 2.0, 6.0], [27.5, 18.0, 16.0])

    (fit,) = fit_patients(drug, [PatientData("early", (Dose(0, 1000),), no_covariates(), levels)])

    assert any("27.5 at 0.5 h was measured where the model predicts 0" in w for w in fit.warnings)
    # The other levels are fitted as if it were not there, but for a constant.
    (other,) = fit_patients(drug, [PatientData("x", (Dose(0, 1000),), no_covariates(),
                                               make_levels(drug, [2.0, 6.0], [18.0, 16.0]))])  # fmt: skip
    np.testing.assert_allclose(fit.estimate.eta, other.estimate.eta, atol=1e-5)
    assert other.warnings == ()


def test_a_saddle_is_no_minimum(x64):
    for bend in ([1.0, 2.0], [1.0, -2.0]):
        matrix = jnp.diag(jnp.array(bend))
        assert bool(bends_upwards(lambda z, m=matrix: m @ z, jnp.zeros(2), jnp.eye(2))) == (min(bend) > 0)


@pytest.mark.long
def test_a_fit_that_runs_out_of_iterations_says_so(x64, changing):
    """Two evaluations are not enough."""
    regimen = make_regimen(every(Dose(0, 1000), 24, 3), ONE)
    table = make_covariates(changing, {"crcl": 100.0})
    levels = make_levels(changing, SEEN, LEVELS)
    assert not map_estimate(changing, regimen, table, levels, max_iterations=2).converged
    impossible = eqx.tree_at(lambda tree: tree.value, levels, np.array([np.nan] * 5))
    assert not map_estimate(changing, regimen, table, impossible).converged


@pytest.mark.long
def test_patients_are_fitted_with_their_doubts_kept(changing):
    """Two patients of different length; a covariate outside its range is kept; a level too early is refused."""
    first = PatientData(
        "a", every(Dose(0, 1000), 24, 3), make_covariates(changing, {"crcl": CRCL}, CHANGES, [0, 1, 1]),
        make_levels(changing, SEEN, LEVELS),
    )  # fmt: skip
    second = PatientData(
        "b", (Dose(0, 1000),), make_covariates(changing, {"crcl": 500.0}), make_levels(changing, [5.0], [14.0])
    )
    a, b = fit_patients(changing, [first, second])
    assert a.warnings == ()
    assert "crcl = 500 mL/min is outside" in b.warnings[0]
    assert a.predicted.shape == (5,)
    assert a.parameters["cl"].shape == (3,)
    assert b.predicted.shape == (1,)
    assert a.estimate.eta.dtype == np.float64
    with pytest.raises(ObservationError, match="before the first dose"):
        fit_patients(changing, [PatientData("c", (Dose(10, 1000),), second.covariates, second.levels)])


def test_a_drug_without_variability_cannot_be_estimated(toy):
    """Nothing to find out."""
    drug = toy(ONE, {"cl": 1.0, "v1": 10.0})
    with pytest.raises(DrugModelError, match="empty or singular"):
        map_estimate(drug, make_regimen([Dose(0, 1)], ONE), no_covariates(), make_levels(drug, [1.0], [1.0]))


@pytest.mark.long
def test_the_posterior_agrees_with_quadrature(x64, toy):
    """One eta: importance draws against a fine grid, Laplace covariance against finite differences."""
    drug = toy(ONE, {"cl": 4.0, "v1": 50.0}, omega_sd={"cl": 0.6})
    regimen = make_regimen([Dose(0, 1000)], ONE)
    levels = make_levels(drug, [12.0, 24.0], [5.0, 1.0])
    fit = map_estimate(drug, regimen, no_covariates(), levels)
    half, _ = make_objective(drug, regimen, no_covariates(), levels, 0)

    grid = np.linspace(-2, 3, 2001)
    weight = np.exp(-np.asarray(jax.vmap(lambda z: half(z[None]))(jnp.asarray(grid))))
    weight /= weight.sum()
    mean = weight @ grid
    spread = np.sqrt(weight @ (grid - mean) ** 2)
    sample = jax.jit(
        lambda key: importance_posterior(
            drug, regimen, no_covariates(), levels, fit, key, proposals=20_000, draws=10_000
        )
    )
    posterior = sample(jax.random.key(3))
    assert posterior.effective > 5_000
    np.testing.assert_allclose(posterior.eta.mean(), mean, atol=0.03 * spread)
    np.testing.assert_allclose(posterior.eta.std(), spread, rtol=0.03)

    h, at = 1e-3, fit.latent
    second = (half(at + h) - 2 * half(at) + half(at - h)) / h**2
    np.testing.assert_allclose(laplace_covariance(half, at), 1 / second[None, None], rtol=1e-4)
    gauss = laplace_posterior(drug, fit, jax.random.key(1), draws=20_000)
    np.testing.assert_allclose(gauss.eta.std(), jnp.sqrt(fit.covariance[0, 0]), rtol=0.03)


@pytest.mark.long
def test_the_posterior_is_calibrated(x64, toy):
    """Simulation-based calibration (Talts 2018), 1,000 patients: ranks of the truth uniform, 90 % intervals honest."""
    drug = toy(ONE, {"cl": 4.0, "v1": 50.0}, omega_sd={"cl": 0.4, "v1": 0.3})
    regimen = make_regimen(every(Dose(0, 1000), 12, 3), ONE)
    times = jnp.array([2.0, 11.0, 26.0, 35.0])
    blank = make_levels(drug, [2.0, 11.0, 26.0, 35.0], [1.0] * 4)
    draws = 199

    @jax.jit
    @jax.vmap
    def replicate(key):
        for_eta, for_noise, for_draws = jax.random.split(key, 3)
        truth = jax.random.normal(for_eta, (2,)) * jnp.array([0.4, 0.3])
        f = predict(drug, regimen, no_covariates(), times, truth)[:, 0]
        y = f + jnp.sqrt(0.25 + (0.15 * f) ** 2) * jax.random.normal(for_noise, (4,))
        levels = eqx.tree_at(lambda tree: tree.value, blank, y)
        fit = map_estimate(drug, regimen, no_covariates(), levels)
        posterior = importance_posterior(
            drug, regimen, no_covariates(), levels, fit, for_draws, proposals=1000, draws=draws
        )
        return jnp.sum(posterior.eta < truth, axis=0), fit.converged, posterior.effective

    ranks, converged, effective = (np.asarray(a) for a in replicate(jax.random.split(jax.random.key(11), 1000)))
    assert converged.all()
    assert effective.min() > 100
    for eta in range(2):
        counts = np.bincount(ranks[:, eta] // 10, minlength=20)
        assert scipy.stats.chisquare(counts).pvalue > 0.01
        inside = np.mean((ranks[:, eta] >= 10) & (ranks[:, eta] < draws + 1 - 10))
        assert 0.88 <= inside <= 0.92

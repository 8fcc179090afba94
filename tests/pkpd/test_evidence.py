"""The evidence of a model: where it is known exactly, against quadrature, and against importance sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from rl_drug_dosage.pkpd import (
    Dose,
    Eta,
    Mammillary,
    Output,
    Residual,
    make_levels,
    make_regimen,
    no_covariates,
)
from rl_drug_dosage.pkpd.bayes import importance_posterior, laplace_log_evidence, map_estimate, model_weights

ONE = Mammillary(0)
DOSE = Dose(0, 1000)


def fitted(drug, levels):
    regimen = make_regimen([DOSE], ONE)
    fit = jax.jit(lambda: map_estimate(drug, regimen, no_covariates(), levels))()
    assert fit.converged
    return regimen, fit


@pytest.mark.long
def test_where_everything_is_gaussian_laplace_is_exact(x64, toy, number):
    """Levels b + eta + error: their density is a multivariate normal one, by SciPy. Weights scale the error."""
    drug = toy(
        ONE, {"cl": 4.0, "v1": 50.0, "base": 5.0},
        etas=(Eta("base", number(1.2), "sd", "additive"),),
        outputs=(Output("level", "mg/L", Residual("additive", number(0.5, "mg/L")), value=lambda _, p: p["base"]),),
        targets=(),
    )  # fmt: skip
    y, weight = [4.1, 6.0, 5.5], [1.0, 4.0, 0.5]
    levels = make_levels(drug, [1.0, 2.0, 3.0], y, weight=weight)
    regimen, fit = fitted(drug, levels)
    covariance = np.diag(0.25 / np.array(weight)) + 1.44

    found = laplace_log_evidence(drug, regimen, no_covariates(), levels, fit)

    want = scipy.stats.multivariate_normal([5.0] * 3, covariance).logpdf(y)
    np.testing.assert_allclose(found, want, atol=1e-8)


def by_quadrature(log_error):
    """Evidence of levels 5 at 12 h, 1 at 24 h, and one below 1 at 30 h, written out with SciPy's densities."""

    def density(eta):
        f = 1000.0 / 50.0 * np.exp(-4.0 * np.exp(eta) / 50.0 * np.array([12.0, 24.0, 30.0]))
        if log_error:
            seen = scipy.stats.lognorm.pdf([5.0, 1.0], 0.2, scale=f[:2])
            below = scipy.stats.norm.cdf(np.log(1.0 / f[2]) / 0.2)
        else:
            sd = np.sqrt(0.5**2 + (0.15 * f) ** 2)
            seen = scipy.stats.norm.pdf([5.0, 1.0], f[:2], sd[:2])
            below = scipy.stats.norm.cdf((1.0 - f[2]) / sd[2])
        return np.prod(seen) * below * scipy.stats.norm.pdf(eta, 0.0, 0.6)

    return np.log(scipy.integrate.quad(density, -3.0, 3.0, points=[0.0, 0.5], epsabs=0.0, epsrel=1e-10)[0])


@pytest.mark.long
@pytest.mark.parametrize("log_error", [False, True], ids=["combined error", "log-normal error"])
def test_evidence_agrees_with_quadrature(x64, toy, number, log_error):
    """One effect, a level below quantification: Laplace within 0.03, importance sampling within its own error."""
    error = Residual("lognormal", proportional=number(0.2)) if log_error else None
    changes = {"outputs": (Output("concentration", "mg/L", error),)} if log_error else {}
    drug = toy(ONE, {"cl": 4.0, "v1": 50.0}, omega_sd={"cl": 0.6}, **changes)
    levels = make_levels(drug, [12.0, 24.0, 30.0], [5.0, 1.0, 0.0], below=[False, False, True], limit=[None, None, 1.0])
    regimen, fit = fitted(drug, levels)
    want = by_quadrature(log_error)

    found = laplace_log_evidence(drug, regimen, no_covariates(), levels, fit)
    posterior = jax.jit(
        lambda key: importance_posterior(drug, regimen, no_covariates(), levels, fit, key, proposals=20_000)
    )(jax.random.key(2))

    np.testing.assert_allclose(found, want, atol=0.03)
    error = float(np.sqrt(1.0 / posterior.effective))
    assert error < 0.012
    np.testing.assert_allclose(posterior.log_evidence, want, atol=4 * error)


@pytest.mark.long
def test_no_levels_are_no_evidence(x64, toy):
    drug = toy(ONE, {"cl": 4.0, "v1": 50.0}, omega_sd={"cl": 0.6, "v1": 0.3})
    levels = make_levels(drug, [], [], rows=1)
    regimen, fit = fitted(drug, levels)
    np.testing.assert_allclose(laplace_log_evidence(drug, regimen, no_covariates(), levels, fit), 0.0, atol=1e-9)


def test_weights_of_models_follow_bayes(x64):
    """Odds of 2 to 1 before, a Bayes factor of 3 against: 2 to 3 after. What is not known stays unknown."""
    weights = model_weights(jnp.log(jnp.array([[1e-300, 3e-300], [1.0, np.nan]])), jnp.array([2.0, 1.0]))
    np.testing.assert_allclose(weights[0], [0.4, 0.6], rtol=1e-12)
    assert np.isnan(weights[1]).all()

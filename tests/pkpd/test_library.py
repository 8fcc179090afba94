"""Posteriors on a library of support patients and by NUTS: they agree with each other and with importance sampling."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.errors import DependencyError
from rl_drug_dosage.pkpd import (
    Dose,
    Mammillary,
    Output,
    Residual,
    every,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
)
from rl_drug_dosage.pkpd.bayes import (
    draw_library,
    importance_posterior,
    learn,
    library_posterior,
    make_log_likelihoods,
    make_objective,
    map_estimate,
    prior_factor,
    weighed,
)
from rl_drug_dosage.pkpd.bayes.evidence import log_joint_constant
from rl_drug_dosage.pkpd.bayes.nuts import nuts_posterior

ONE = Mammillary(0)
TIMES = [2.0, 11.0, 26.0, 35.0]


@pytest.fixture(scope="module")
def drug(toy):
    """Combined error of 0.5 mg/L and 15 %, effects of 40 and 30 %."""
    return toy(ONE, {"cl": 4.0, "v1": 50.0}, omega_sd={"cl": 0.4, "v1": 0.3})


@pytest.fixture(scope="module")
def regimen():
    return make_regimen(every(Dose(0, 1000), 12, 3), ONE)


def levels_of(drug, values=(18.0, 12.0, 30.0, 2.0)):
    """Four levels, the last below the limit of 2 mg/L where it is 2."""
    below = [v == 2.0 for v in values]
    return make_levels(drug, TIMES, values, below=below, limit=[2.0 if b else None for b in below])


def same(one, other, effective, times=4.0):
    """Means and standard deviations agree within so many Monte Carlo errors of the smaller sample."""
    sd = np.asarray(one.eta.std(axis=0))
    np.testing.assert_allclose(other.eta.mean(axis=0), one.eta.mean(axis=0), atol=times * max(sd) / effective**0.5)
    np.testing.assert_allclose(other.eta.std(axis=0), sd, rtol=times / (2.0 * effective) ** 0.5)


@pytest.mark.long
def test_likelihoods_are_the_objective(double, drug, regimen):
    """The sum over levels is -OBJ / 2 without the prior, and with the constants of the density."""
    levels, x = levels_of(drug), jnp.array([0.7, -1.2])
    factor = jnp.asarray(prior_factor(drug, 0), dtype=float)
    half, _ = make_objective(drug, regimen, no_covariates(), levels, 0)
    run = make_log_likelihoods(drug, regimen, no_covariates(), levels, 0)
    prior = -0.5 * x @ x - jnp.log(2 * jnp.pi) - jnp.log(factor[0, 0] * factor[1, 1])
    want = log_joint_constant(drug, levels, 0) - half(factor @ x) - prior
    np.testing.assert_allclose(jnp.sum(run(x)), want, rtol=1e-9 if double else 1e-5)


@pytest.mark.long
def test_library_nuts_and_resampling_agree(x64, drug, regimen):
    """One patient with a level below quantification; evidence too."""
    levels = levels_of(drug)
    fit = jax.jit(lambda: map_estimate(drug, regimen, no_covariates(), levels))()
    resampled = jax.jit(
        lambda key: importance_posterior(
            drug, regimen, no_covariates(), levels, fit, key, proposals=20_000, draws=10_000
        )
    )(jax.random.key(1))
    library, known, unmoved = jax.jit(
        lambda key: library_posterior(drug, regimen, no_covariates(), levels, 0, key, draws=4000)
    )(jax.random.key(2))
    nuts, chains = jax.jit(
        lambda key: nuts_posterior(drug, regimen, no_covariates(), levels, 0, key, warm_up=300, draws=2000)
    )(jax.random.key(3))

    assert resampled.effective > 10_000
    assert known.moves == 0
    assert library.effective == unmoved > 512
    same(resampled, library, 500)
    np.testing.assert_allclose(library.log_evidence, resampled.log_evidence, atol=0.15)
    assert nuts.effective > 400
    assert chains.rhat < 1.03
    assert chains.divergent == 0
    same(resampled, nuts, 400)


@pytest.mark.long
def test_many_precise_levels_are_taken_in_by_degrees(toy, number):
    """Forty levels with an error of 3 %: few of 4,096 support patients would bear the weight. In single precision."""
    drug = toy(
        ONE, {"cl": 4.0, "v1": 50.0}, omega_sd={"cl": 0.4, "v1": 0.3},
        outputs=(Output("concentration", "mg/L", Residual("proportional", proportional=number(0.03))),),
    )  # fmt: skip
    regimen, truth = make_regimen(every(Dose(0, 1000), 12, 3), ONE), jnp.array([0.6, -0.5])
    times = [float(t) for t in np.linspace(1.0, 47.0, 40)]
    noise = 1.0 + 0.03 * np.random.default_rng(1).standard_normal(40)
    seen = np.asarray(predict(drug, regimen, no_covariates(), jnp.array(times), truth)[:, 0]) * noise
    levels = make_levels(drug, times, [float(v) for v in seen])
    fit = jax.jit(lambda: map_estimate(drug, regimen, no_covariates(), levels))()
    exact = jax.jit(
        lambda key: importance_posterior(drug, regimen, no_covariates(), levels, fit, key, proposals=4000, draws=4000)
    )(jax.random.key(1))

    posterior, known, unmoved = jax.jit(lambda key: library_posterior(drug, regimen, no_covariates(), levels, 0, key))(
        jax.random.key(2)
    )

    assert unmoved < 20
    assert known.moves > 1
    assert known.accepted > 0.3
    same(exact, posterior, 300)
    np.testing.assert_allclose(posterior.log_evidence, exact.log_evidence, atol=0.3)


@pytest.mark.long
def test_level_by_level_is_all_at_once(x64, drug, regimen):
    """The weights after three levels do not depend on the order in which they came; a level can be taken back."""
    levels = levels_of(drug)
    run = make_log_likelihoods(drug, regimen, no_covariates(), levels, 0)
    library = draw_library(2, 4, jax.random.key(5), size=512)
    library = eqx.tree_at(lambda it: it.log_likelihood, library, jax.vmap(run)(library.x))
    at_once = weighed(library, jnp.array([1.0, 1.0, 1.0, 0.0]))
    one_by_one = library
    for power in ([0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]):
        one_by_one = weighed(one_by_one, jnp.array(power))

    np.testing.assert_allclose(one_by_one.weight, at_once.weight, rtol=1e-9)
    np.testing.assert_allclose(one_by_one.log_evidence, at_once.log_evidence, rtol=1e-12)
    back = weighed(at_once, jnp.zeros(4))
    np.testing.assert_allclose(back.weight, 1 / 512, rtol=1e-9)
    np.testing.assert_allclose(back.log_evidence, 0.0, atol=1e-9)
    # Where enough support patients remain, learning is weighing, and nothing moves.
    learnt = jax.jit(lambda it, key: learn(it, run, jnp.array([1.0, 0.0, 0.0, 0.0]), key, bound=40.0))(
        library, jax.random.key(1)
    )
    assert learnt.moves == 0
    np.testing.assert_array_equal(learnt.x, library.x)


@pytest.mark.long
def test_patients_of_a_batch_learn_level_by_level_with_moves(drug, regimen):
    """A vmap in single precision: at least the bound stays effective after each level, and the end is exact."""
    values = jnp.array([[18.0, 12.0, 30.0, 20.0], [30.0, 5.0, 33.0, 6.0]])
    blank = levels_of(drug, (18.0, 12.0, 30.0, 20.0))

    def patient(value, key):
        levels = eqx.tree_at(lambda it: it.value, blank, value)
        run = make_log_likelihoods(drug, regimen, no_covariates(), levels, 0)
        library = draw_library(2, 4, key, size=1024)
        library = eqx.tree_at(lambda it: it.log_likelihood, library, jax.vmap(run)(library.x))
        powers = jnp.tril(jnp.ones((4, 4), value.dtype))

        def take_in(known, now):
            power, key = now
            known = learn(known, run, power, key, bound=400.0)
            return known, known.effective

        library, effective = jax.lax.scan(take_in, library, (powers, jax.random.split(key, 4)))
        fit = map_estimate(drug, regimen, no_covariates(), levels)
        exact = importance_posterior(drug, regimen, no_covariates(), levels, fit, key, proposals=4000, draws=2000)
        z = library.x @ jnp.asarray(prior_factor(drug, 0), value.dtype).T
        mean = library.weight @ z
        return mean, jnp.sqrt(library.weight @ (z - mean) ** 2), effective, library, exact

    mean, sd, effective, library, exact = jax.jit(jax.vmap(patient))(values, jax.random.split(jax.random.key(8)))

    assert (effective >= 399.0).all()
    assert (library.moves > 0).all()
    np.testing.assert_allclose(mean, exact.eta.mean(axis=1), atol=4 * 0.2 / 400**0.5)
    np.testing.assert_allclose(sd, exact.eta.std(axis=1), rtol=0.15)
    np.testing.assert_allclose(library.log_evidence, exact.log_evidence, atol=0.25)


@pytest.mark.long
def test_a_level_that_is_not_a_number_leaves_the_weights_finite(x64, drug, regimen):
    """It has no likelihood under any support patient; the search for a step ends all the same."""
    levels = eqx.tree_at(lambda it: it.value, levels_of(drug), jnp.array([np.nan, 12.0, 30.0, 2.0]))
    posterior, _, _ = jax.jit(lambda key: library_posterior(drug, regimen, no_covariates(), levels, 0, key))(
        jax.random.key(1)
    )
    assert np.isfinite(posterior.eta).all()


def test_without_the_extra_the_sampler_is_refused_by_name(drug, regimen, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(DependencyError, match=r"needs blackjax.*pip install 'rl-drug-dosage\[nuts\]'"):
        nuts_posterior(drug, regimen, no_covariates(), levels_of(drug), 0, jax.random.key(1))

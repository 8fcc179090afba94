"""Functions from concentration to effect, at values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.pkpd.links import bis, emax, inr, response_surface


def test_emax_is_half_at_its_ec50_and_steeper_with_gamma():
    """At C = 2 ec50 and gamma 2: 4 / 5 of the maximum. At 0: no effect and a finite slope, also for gamma < 1."""
    np.testing.assert_allclose(emax(jnp.array([3.0, 6.0]), 10.0, 3.0, 2.0), [5.0, 8.0], rtol=1e-6)
    assert emax(jnp.asarray(0.0), 10.0, 3.0, 0.4) == 0
    assert jnp.isfinite(jax.grad(lambda c: emax(c, 1.0, 3.0, 0.4))(0.0))


def test_inr_is_its_baseline_without_drug_and_its_maximum_without_factors():
    """Mean of the chains (Hamberg 2010) and their product to a power (Hamberg 2007): 1 + 20 (1 - 0.5 x 0.8)^3.61."""
    one, half = jnp.asarray(1.0), jnp.asarray(0.5)
    np.testing.assert_allclose(inr(1.0, 20.0, one, one), 1.0)
    np.testing.assert_allclose(inr(1.0, 20.0, half, one), 6.0, rtol=1e-6)
    np.testing.assert_allclose(
        inr(1.0, 20.0, half, jnp.asarray(0.8), 3.61, product=True), 1 + 20 * 0.6**3.61, rtol=1e-6
    )


def test_bis_halves_at_ce50_under_one_drug_and_at_the_joint_half_dose_under_two():
    """Additive surface (beta 0): a quarter of one EC50 and three quarters of the other make one whole."""
    np.testing.assert_allclose(bis(jnp.asarray(3.4), 97.0, 3.4, 3.0), 48.5, rtol=1e-6)
    both = response_surface(jnp.asarray(4.47 / 4), jnp.asarray(19.3 * 3 / 4), 97.4, 4.47, 19.3, 1.43)
    np.testing.assert_allclose(both, 48.7, rtol=1e-6)
    none = response_surface(jnp.asarray(0.0), jnp.asarray(0.0), 97.4, 4.47, 19.3, 1.43, 0.5)
    np.testing.assert_allclose(none, 97.4, rtol=1e-6)

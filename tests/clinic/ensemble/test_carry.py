"""Support patients through intervals, against the patient simulated from the beginning."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.belief import past
from rl_drug_dosage.clinic.ensemble.carry import walked
from rl_drug_dosage.clinic.judge import needs_area
from rl_drug_dosage.pkpd.population import occasion_omega

pytestmark = pytest.mark.long

_FEW = 4


@pytest.mark.parametrize(
    ("name", "which", "steps", "tolerance"),
    [
        # Responses to doses at a limited rate are kept at a few durations; closed forms are in single precision.
        ("vancomycin", 0, 6, 1e-2),
        pytest.param("vancomycin", 1, 6, 1e-2, marks=pytest.mark.slow),
        ("infliximab", 0, 4, 1e-3),
        pytest.param("tacrolimus", 0, 5, 1e-3, marks=pytest.mark.slow),
        ("aminoglycoside", 0, 5, 1e-3),
        ("busulfan", 1, 4, 1e-3),
        ("propofol", 0, 8, 1e-3),
        # Without a closed form, `meshes.CARRIED` holds for outputs; single contents are less exact.
        ("warfarin", 0, 5, 5e-3),
        pytest.param("warfarin-90d", 0, 5, 5e-3, marks=pytest.mark.slow),
        ("t1d", 0, 8, 1e-2),
    ],
)
def test_carried_along_is_as_simulated_again(course, name, which, steps, tolerance) -> None:
    """Contents, areas and predicted levels, with the support patient's kappas, missed doses, meals and disturbance."""
    own = course(name, which=which, members=32)
    scenario = own.scenario

    @jax.jit
    def both(record):
        cloud = own.through(record, steps)
        kappa, eaten, taken = own.chance(cloud)

        def one(latent, kappa, eaten, taken):
            fed = eqx.tree_at(lambda r: r.intake_mg, own.at(steps, record), record.intake_mg * eaten)
            seen = past(own.player(fed, latent, kappa, taken, area=True), fed)
            return seen.contents, seen.area, seen.predicted[steps - 1]

        few = slice(0, _FEW)
        exact = jax.vmap(one, in_axes=-1, out_axes=-1)(
            cloud.latent[:, few], kappa[..., few], eaten[:, few], taken[:, few]
        )
        return (cloud.contents[:, few], cloud.areas[..., few], cloud.pending[-1][:, few]), exact, cloud.log_weight

    got, exact, log_weight = both(own.record)
    for found, exactly, what in zip(got, exact, ("contents", "area", "levels"), strict=True):
        if what == "area" and not needs_area(scenario):
            continue
        expected = np.asarray(exactly)
        scale = np.abs(expected).max(axis=-1, keepdims=True) + 1e-6
        np.testing.assert_allclose(found / scale, expected / scale, atol=tolerance, err_msg=what)
        assert np.ptp(expected / scale) > 10 * tolerance, "the support patients are all alike"
    np.testing.assert_allclose(log_weight, -np.log(32), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "which", "steps", "varied"),
    [
        ("vancomycin", 0, 3, False),
        pytest.param("tacrolimus", 0, 3, True, marks=pytest.mark.slow),  # occasion effects
        ("busulfan", 1, 3, True),  # occasion effects
        ("warfarin-90d", 0, 5, True),  # missed doses
        ("t1d", 0, 3, True),  # meals
    ],
)
def test_what_chance_adds(course, name, which, steps, varied) -> None:
    """Support patients with the same random effects part, where anything happens by chance."""
    own = course(name, which=which, members=32)

    @jax.jit
    def run(record):
        cloud = own.first(record)
        alike = jax.tree.map(lambda v: jnp.broadcast_to(v[..., :1], v.shape), (cloud.latent, cloud.contents))
        cloud = eqx.tree_at(lambda c: (c.latent, c.contents), cloud, alike)
        return own.through(record, steps, cloud).contents

    found = np.asarray(run(own.record))
    spread = np.max(found.std(axis=1) / np.maximum(np.abs(found.mean(axis=1)), 1e-6))
    assert spread > 0.02 if varied else spread < 1e-5


@pytest.mark.parametrize(("name", "which"), [("tacrolimus", 0), ("busulfan", 1)])
def test_occasion_effects_have_the_published_spread(course, name, which) -> None:
    own = course(name, which=which, members=512)
    tables = jnp.arange(own.draws.walk.shape[0])
    kappa = np.asarray(jax.vmap(lambda k: walked(own.scenario, own.draws, k)[0])(tables))
    flat = np.moveaxis(kappa, 1, 0).reshape(kappa.shape[1], -1)
    expected = occasion_omega(own.model)
    # 16 tables of 512: a variance is known to 2.2 %, and this allows for three times that.
    size = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(np.cov(flat) / np.outer(size, size), expected / np.outer(size, size), atol=0.065)
    assert not np.array_equal(kappa[0], kappa[1])


def test_missed_doses_have_the_scenarios_spread(course) -> None:
    own = course("warfarin-90d", members=4096)
    missing = np.asarray(own.draws.missing)
    adherence = own.scenario.adherence
    assert missing.mean() == pytest.approx(adherence.missed_mean, abs=0.01)
    assert missing.std() == pytest.approx(adherence.missed_sd, abs=0.01)
    assert np.all((missing >= 0) & (missing <= 1))
    # Chance and random effects are not tied to each other.
    assert np.abs(np.corrcoef(missing, np.asarray(own.draws.first))[0, 1:]).max() < 0.05
    taken = np.asarray(own.draws.chance)[..., None] >= missing[None, :1]
    assert taken.mean() == pytest.approx(1.0 - missing[0], abs=0.01)


def test_meals_have_the_scenarios_spread(course) -> None:
    own = course("t1d", members=4096)
    eaten = np.asarray(jax.vmap(lambda k: walked(own.scenario, own.draws, k)[1])(jnp.arange(16)))
    assert eaten.mean() == pytest.approx(1.0, abs=0.01)
    assert eaten.std() == pytest.approx(np.sqrt(np.expm1(own.scenario.intake.cv**2)), rel=0.02)


def test_a_support_patient_whose_equations_fail_loses_its_weight(course) -> None:
    own = course("vancomycin", members=32)
    record = own.record
    cloud = own.first(record)
    bad = dataclasses.replace(cloud, contents=cloud.contents.at[0, 5].set(jnp.nan))
    after = jax.jit(lambda r, c: own.through(r, 1, c))(record, bad)
    weight = np.asarray(after.weight)
    assert weight[5] == 0.0
    np.testing.assert_allclose(np.delete(weight, 5), 1 / 31, rtol=1e-4)
    assert np.isfinite(np.asarray(after.pending)).all()
    assert np.isfinite(np.delete(np.asarray(after.contents), 5, axis=1)).all()

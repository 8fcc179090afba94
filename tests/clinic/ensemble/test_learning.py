"""Weights of support patients against posteriors that are known: Gaussian ones in closed form, others by integration.

The support patients are made by hand: predicted levels are functions of the random effects, and nothing is simulated.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rl_drug_dosage.clinic.ensemble import learning
from rl_drug_dosage.clinic.ensemble.learning import LEFT, Results, drawn, forgotten, learnt
from rl_drug_dosage.clinic.ensemble.support import Assumed, Cloud, Draws, draws_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel, Param, Residual
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO

_MEAN = 40.0
"""Predicted level of the mean support patient, far enough from 0."""
_SIZE = 5.0
"""Prior sd of the predicted level."""


def _model(sd: float) -> DrugModel:
    """Two random effects, with sds of 0.3 and 0.5, and an additive residual error."""
    model = SCENARIO.drug("vancomycin-thomson2009")
    error = Residual("additive", additive=Param(sd, "mg/L", "test", "sd of the error"))
    etas = tuple(
        dataclasses.replace(eta, size=Param(size**2, "1", "test", "variance"), kind="var")
        for eta, size in zip(model.etas[:2], (0.3, 0.5), strict=True)
    )
    outputs = (dataclasses.replace(model.outputs[0], residual=error), *model.outputs[1:])
    return dataclasses.replace(model, etas=etas, outputs=outputs, correlations=())


_PRIOR_SD = np.array([0.3, 0.5])
_SLOPES = np.array([[0.8, 0.6], [0.6, -0.8]]) * _SIZE / _PRIOR_SD
"""Of two levels in the random effects."""


def _cloud(draws: Draws) -> Cloud:
    latent = draws.root @ draws.first
    members = latent.shape[1]
    return Cloud(
        latent=latent,
        log_weight=jnp.full(members, -jnp.log(members)),
        contents=jnp.asarray(100.0 + np.array([[20.0, -10.0], [5.0, 15.0]]) @ latent),
        areas=jnp.asarray(200.0 + 30.0 * latent[0]),
        pending=jnp.asarray(50.0 + 10.0 * latent[1])[None, None],
        missing=jnp.linspace(0.0, 0.5, members),
        log_mass=jnp.zeros(()),
    )


@pytest.fixture(scope="module")
def learn() -> Callable[..., tuple[Cloud, float, bool]]:
    """The cloud after levels, each a linear function of the random effects."""

    @partial(jax.jit, static_argnums=(0, 1, 2))
    def run(model: DrugModel, scenario: Scenario, members: int, results: Results) -> tuple[Cloud, jax.Array, jax.Array]:
        draws = draws_of(Assumed((model,), members=members), model, scenario)
        cloud = _cloud(draws)
        predicted = _MEAN + jnp.asarray(_SLOPES) @ cloud.latent
        return learnt(model, scenario, draws, cloud, predicted, results, 0)

    def make(
        levels: tuple[float, float],
        *,
        sd: float,
        members: int,
        used: tuple[bool, bool] = (True, True),
        below: tuple[bool, bool] = (False, False),
        scenario: Scenario = SCENARIO,
    ) -> tuple[Cloud, float, bool]:
        results = Results(jnp.asarray(levels, dtype=float), jnp.asarray(used), jnp.asarray(below))
        cloud, misfit = run(_model(sd), scenario, members, results)
        before = draws_of(Assumed((_model(sd),), members=members), _model(sd), scenario)
        return cloud, float(misfit), not np.allclose(cloud.latent, before.root @ before.first, atol=1e-6)

    return make


def _moments(cloud: Cloud) -> tuple[np.ndarray, np.ndarray]:
    w = np.exp(np.asarray(cloud.log_weight, float))
    x = np.asarray(cloud.latent, float)
    mean = x @ w / w.sum()
    off = x - mean[:, None]
    return mean, (off * w) @ off.T / w.sum()


def _exact(levels: tuple[float, float], sd: float, used: tuple[bool, bool]) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior mean and covariance of a linear Gaussian model, and its log evidence without the constant ln 2 pi."""
    on = np.asarray(used)
    h, y = _SLOPES[on], np.asarray(levels)[on] - _MEAN
    prior = np.diag(_PRIOR_SD**2)
    s = h @ prior @ h.T + sd**2 * np.eye(len(y))
    gain = prior @ h.T @ np.linalg.inv(s)
    evidence = stats.multivariate_normal(np.zeros(len(y)), s).logpdf(y) + 0.5 * len(y) * np.log(2 * np.pi)
    return gain @ y, prior - gain @ h @ prior, float(evidence)


@pytest.mark.long
@pytest.mark.parametrize("members", [512, 4096])
@pytest.mark.parametrize("sd", [5.0, 1.0, 0.2])
@pytest.mark.parametrize("used", [(True, True), (True, False)])
def test_gaussian_posterior(learn, members, sd, used) -> None:
    """Within 0.2 posterior sd at 512 support patients, 0.1 at 4,096, from a vague level to one 25 times narrower.

    Independent draws would miss the mean by sqrt(1 / (0.5 members)), 0.06 and 0.02 sd, after a single weighting. A
    level that is 25 times as narrow as the prior needs several, and the renewal between them is Gaussian only in its
    first two moments.
    """
    levels = (44.0, 37.0)
    cloud, misfit, moved = learn(levels, sd=sd, members=members, used=used)
    mean, covariance, evidence = _exact(levels, sd, used)
    got_mean, got_covariance = _moments(cloud)
    axes, vectors = np.linalg.eigh(covariance)
    tolerance = {512: 0.2, 4096: 0.1}[members]
    # Along the axes of the posterior, of which the first is narrow if sd is small.
    np.testing.assert_allclose(vectors.T @ (got_mean - mean) / np.sqrt(axes), 0.0, atol=tolerance)
    spread = np.sqrt(np.diag(vectors.T @ got_covariance @ vectors) / axes)
    np.testing.assert_allclose(spread, 1.0, atol=0.1)
    assert float(cloud.log_mass) == pytest.approx(evidence, abs=0.15)
    assert np.exp(np.asarray(cloud.log_weight)).sum() == pytest.approx(1.0, abs=1e-4)
    assert float(cloud.effective) >= 0.9 * LEFT * members
    assert moved or sd > 1.0
    # What remains of the residuals has about one unit for each level.
    assert misfit == pytest.approx(sum(used), abs=1.0)


@pytest.mark.long
@pytest.mark.parametrize("members", [512, 4096])
@pytest.mark.parametrize("sd", [5.0, 1.0, 0.2])
def test_levels_five_prior_sds_away(learn, members, sd) -> None:
    """No support patient is there, and all go: within a part of the prior's sd.

    The tail of a finite cloud ends before that of a normal distribution, so that its posterior falls short; the doses
    that follow are cautious, as the mean lies beyond 4 prior sds (`carry`).
    """
    levels = (_MEAN + 3.5 * _SIZE, _MEAN - 3.5 * _SIZE)
    cloud, _, moved = learn(levels, sd=sd, members=members)
    mean, _, _ = _exact(levels, sd, (True, True))
    got_mean, got_covariance = _moments(cloud)
    np.testing.assert_allclose((got_mean - mean) / _PRIOR_SD, 0.0, atol=0.5)
    assert np.isfinite(np.asarray(cloud.latent)).all()
    assert np.all(np.linalg.eigvalsh(got_covariance) > 0)
    assert float(cloud.effective) >= 0.9 * LEFT * members
    assert moved


def test_no_level_changes_nothing(learn) -> None:
    before = _cloud(draws_of(Assumed((_model(1.0),)), _model(1.0), SCENARIO))
    cloud, misfit, moved = learn((1e6, -1e6), sd=1.0, members=512, used=(False, False))
    assert not moved
    assert misfit == 0.0
    assert float(cloud.log_mass) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(cloud.latent, before.latent, atol=1e-6)
    np.testing.assert_allclose(cloud.log_weight, before.log_weight, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("members", "tolerance"), [(512, 0.4), (4096, 0.1)])
@pytest.mark.parametrize("limit", [46.0, 36.0, 30.0])
def test_below_the_limit_of_quantification(learn, members, tolerance, limit) -> None:
    """M3 against numerical integration: one level below the limit, another one measured.

    The lowest limit leaves the tail of the prior beyond 2 sds, a dozen of 512 support patients: hence their tolerance.
    """
    levels, sd = (44.0, limit), 1.0
    cloud, _, _ = learn(levels, sd=sd, members=members, below=(False, True))
    axis = np.linspace(-6, 6, 801)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2) * _PRIOR_SD
    f = _MEAN + z @ _SLOPES.T
    log = stats.norm.logpdf(z / _PRIOR_SD).sum(1) - np.log(sd) - 0.5 * ((f[:, 0] - levels[0]) / sd) ** 2
    log += stats.norm.logcdf((limit - f[:, 1]) / sd)
    w = np.exp(log - log.max())
    evidence = np.log(w.sum() * (axis[1] - axis[0]) ** 2) + log.max()
    w /= w.sum()
    mean = w @ z
    deviation = np.sqrt(w @ (z - mean) ** 2)
    got_mean, got_covariance = _moments(cloud)
    np.testing.assert_allclose((got_mean - mean) / deviation, 0.0, atol=tolerance)
    np.testing.assert_allclose(np.sqrt(np.diag(got_covariance)) / deviation, 1.0, atol=max(0.6 * tolerance, 0.16))
    assert float(cloud.log_mass) == pytest.approx(evidence, abs=2.0 * tolerance)


def _weighted(seed: int, members: int = 512) -> tuple[Draws, Cloud]:
    model = _model(1.0)
    draws = draws_of(Assumed((model,), members=members), model, SCENARIO)
    raw = np.random.default_rng(seed).normal(size=members) * 2.0
    return draws, dataclasses.replace(_cloud(draws), log_weight=jax.nn.log_softmax(jnp.asarray(raw, dtype=float)))


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_renewal_keeps_mean_and_covariance(seed: int) -> None:
    """And what is linear in the random effects follows them exactly."""
    draws, cloud = _weighted(seed)
    predicted = jnp.asarray(_SLOPES) @ cloud.latent + _MEAN
    mean, covariance = _moments(cloud)
    fresh, followed = learning._renewed(draws, cloud, predicted, draws.jitter[seed])
    got_mean, got_covariance = _moments(fresh)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((got_mean - mean) / scale, 0.0, atol=1e-4)
    np.testing.assert_allclose(got_covariance / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=1e-3)
    assert float(fresh.effective) == pytest.approx(512, rel=1e-4)
    # Nobody is where somebody was before, and copies have parted.
    assert len(np.unique(np.asarray(fresh.latent), axis=1).T) == 512
    again = _cloud(draws)
    again = dataclasses.replace(
        again,
        contents=jnp.asarray(100.0 + np.array([[20.0, -10.0], [5.0, 15.0]]) @ fresh.latent),
        areas=200.0 + 30.0 * fresh.latent[0],
        pending=(50.0 + 10.0 * fresh.latent[1])[None, None],
    )
    for name in ("contents", "areas", "pending"):
        np.testing.assert_allclose(getattr(fresh, name), getattr(again, name), rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(followed, _MEAN + _SLOPES @ np.asarray(fresh.latent), rtol=1e-3)


@pytest.mark.long
def test_amounts_stay_positive_when_they_follow() -> None:
    draws, cloud = _weighted(3)
    cloud = dataclasses.replace(cloud, contents=jnp.exp(3.0 * cloud.latent / jnp.asarray(_PRIOR_SD)[:, None]))
    fresh, _ = learning._renewed(draws, cloud, jnp.ones((2, 512)), draws.jitter[0])
    assert float(jnp.min(fresh.contents)) > 0


@pytest.mark.parametrize("count", [64, 512])
def test_members_are_drawn_by_weight_with_equal_spacing(count: int) -> None:
    _, cloud = _weighted(5)
    times = np.bincount(np.asarray(drawn(cloud.weight, count)), minlength=512)
    assert np.max(np.abs(times - count * np.asarray(cloud.weight))) < 1.0 + 1e-3


@pytest.mark.long
@pytest.mark.parametrize("kept", [0.99, 0.8, 0.5])
def test_forgetting_adds_precisions(kept: float) -> None:
    draws, cloud = _weighted(7)
    # Towards a narrow cloud away from the prior's mean.
    cloud = dataclasses.replace(cloud, latent=0.2 * cloud.latent + jnp.asarray([[0.4], [-0.3]]))
    mean, covariance = _moments(cloud)
    after = forgotten(draws, cloud, kept)
    got_mean, got_covariance = _moments(after)
    precision = np.linalg.inv(covariance)
    wider = np.linalg.inv(kept * precision + (1 - kept) * np.diag(_PRIOR_SD**-2.0))
    np.testing.assert_allclose(got_covariance, wider, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(got_mean, wider @ (kept * precision @ mean), rtol=2e-3)
    np.testing.assert_array_equal(after.log_weight, cloud.log_weight)


@pytest.mark.long
def test_forgetting_ends_at_the_prior() -> None:
    draws, cloud = _weighted(9)
    cloud = dataclasses.replace(cloud, latent=0.1 * cloud.latent + jnp.asarray([[0.4], [-0.3]]))
    sds = []
    for _ in range(60):
        cloud = forgotten(draws, cloud, 0.8)
        sds.append(np.sqrt(np.diag(_moments(cloud)[1])))
    mean, covariance = _moments(cloud)
    assert np.all(np.diff(sds, axis=0) >= -1e-3)
    assert np.all(np.asarray(sds) <= _PRIOR_SD * (1 + 1e-3))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), _PRIOR_SD, rtol=1e-2)
    np.testing.assert_allclose(mean / _PRIOR_SD, 0.0, atol=1e-2)


def _without_width() -> DrugModel:
    model = _model(1.0)
    none = Param(0.0, "1", "test", "variance")
    return dataclasses.replace(model, etas=tuple(dataclasses.replace(eta, size=none) for eta in model.etas))


@pytest.mark.long
def test_a_prior_without_width_stays_where_it_is() -> None:
    model = _without_width()
    draws = draws_of(Assumed((model,)), model, SCENARIO)
    cloud = _cloud(draws)
    assert not np.any(np.asarray(cloud.latent))
    results = Results(jnp.asarray([44.0, 37.0]), jnp.ones(2, bool), jnp.zeros(2, bool))
    after, misfit = learnt(model, SCENARIO, draws, cloud, jnp.full((2, 512), _MEAN), results, 0)
    np.testing.assert_allclose(after.latent, 0.0, atol=1e-4)
    np.testing.assert_allclose(after.weight, 1 / 512, rtol=1e-3)
    np.testing.assert_allclose(after.contents, cloud.contents, rtol=1e-3)
    assert float(misfit) == pytest.approx(4.0**2 + 3.0**2, rel=1e-3)
    assert float(after.log_mass) == pytest.approx(-0.5 * (4.0**2 + 3.0**2), rel=1e-3)
    for leaf in jax.tree.leaves(forgotten(draws, after, 0.8)):
        assert np.isfinite(np.asarray(leaf)).all()


@pytest.mark.long
@pytest.mark.parametrize("level", [30.0, 1e30, np.inf, np.nan])
def test_results_that_no_support_patient_can_have(level: float) -> None:
    """A proportional error has no likelihood where nothing is predicted: the cloud stays finite; the misfit tells."""
    model = _model(1.0)
    share = Residual("proportional", proportional=Param(0.1, "1", "test", "sd"))
    outputs = (dataclasses.replace(model.outputs[0], residual=share), *model.outputs[1:])
    model = dataclasses.replace(model, outputs=outputs)
    draws = draws_of(Assumed((model,)), model, SCENARIO)
    results = Results(jnp.asarray([level]), jnp.ones(1, bool), jnp.zeros(1, bool))
    predicted = jnp.zeros((1, 512)) if np.isfinite(level) else jnp.full((1, 512), 30.0)
    after, misfit = learnt(model, SCENARIO, draws, _cloud(draws), predicted, results, 0)
    for leaf in jax.tree.leaves(after):
        assert np.isfinite(np.asarray(leaf)).all()
    assert np.exp(np.asarray(after.log_weight)).sum() == pytest.approx(1.0, abs=1e-3)
    assert float(misfit) > 1e5


@pytest.mark.long
def test_support_patients_without_likelihood_lose_their_weight() -> None:
    """Half of them predict nothing at all."""
    model = _model(1.0)
    share = Residual("proportional", proportional=Param(0.5, "1", "test", "sd"))
    outputs = (dataclasses.replace(model.outputs[0], residual=share), *model.outputs[1:])
    model = dataclasses.replace(model, outputs=outputs)
    draws = draws_of(Assumed((model,)), model, SCENARIO)
    cloud = _cloud(draws)
    can = np.asarray(cloud.latent[0]) > 0
    results = Results(jnp.asarray([30.0]), jnp.ones(1, bool), jnp.zeros(1, bool))
    after, misfit = learnt(model, SCENARIO, draws, cloud, jnp.where(can, 30.0, 0.0)[None], results, 0)
    x, w = np.asarray(after.latent[0]), np.exp(np.asarray(after.log_weight))
    # The renewal moves by a fifth of the sd, so a few may have stepped over the edge.
    assert w @ (x > -0.1) > 0.99
    assert float(misfit) < 1.0

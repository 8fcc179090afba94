"""Bayesian dosing against its own arithmetic in NumPy and float64: estimate, dose, posterior weights, and who wins.

Vancomycin by Thomson 2009 in closed form, written here again from PKPDsim pk_vanco_thomson.json5: CL 2.99 (1 + 0.0154
(CRCL - 66)) L/h, V1 0.675 L/kg, Q 2.28 L/h, V2 0.732 L/kg; omega^2 0.0729, 0.0225 (covariance 0.01), 0.2401, 1.69;
residual sd sqrt((15 % C)^2 + 1.6^2).
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from rl_drug_dosage.clinic.patient import admit, chart, treat
from rl_drug_dosage.clinic.planner import FACTORS
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.pkpd import Dose, make_covariates, make_levels, make_regimen
from rl_drug_dosage.pkpd.bayes import map_estimate
from rl_drug_dosage.registry import find_scenario, load_policy_definition
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO
from rl_drug_dosage.trials.trial import Cohort, run_trial

pytestmark = pytest.mark.long

MODEL = "vancomycin-thomson2009"
DOSES = (1500.0, 750.0, 500.0)
OMEGA = np.diag([0.0729, 0.0225, 0.2401, 1.69])
OMEGA[0, 1] = OMEGA[1, 0] = 0.01
INTERVAL_H = 12.0
LOW, HIGH = 400.0, 600.0
AIM = (LOW * HIGH) ** 0.5


@pytest.fixture(scope="module")
def ward(ward):
    """With the label's limit of 10 mg/min, which the closed form below has as well."""
    return dataclasses.replace(ward, dosage=SCENARIO.dosage)


@pytest.fixture(scope="module")
def setting(ward) -> Setting:
    task = dataclasses.replace(find_scenario("vancomycin"), value=ward)
    return Setting(task, model_of(ward, MODEL), simulator_of(ward, MODEL))


@pytest.fixture(scope="module")
def clinic(ward):
    """(admit, see, treat) of one patient, compiled once."""
    model = simulator_of(ward, MODEL)
    return (
        jax.jit(lambda key: admit(ward, model, key)),
        jax.jit(lambda patient, k: chart(ward, patient, k)),
        jax.jit(lambda patient, dose, k: treat(ward, model, patient, dose, k)[0]),
    )


def charts(clinic, seed: int) -> list[Record]:
    """One patient's chart at the four decisions, dosed as in `DOSES`: levels of the first and the third interval."""
    enter, see, give = clinic
    patient, seen = enter(jax.random.key(seed)), []
    for k in range(4):
        seen.append(see(patient, jnp.asarray(k)))
        if k < 3:
            patient = give(patient, jnp.asarray(DOSES[k]), jnp.asarray(k))
    return seen


@pytest.fixture(scope="module")
def record(clinic) -> Record:
    """A patient at the last decision."""
    return charts(clinic, 5)[-1]


class TwoCompartments:
    """Patients with random effects ``z[..., 4]`` in closed form: sums of exponentials, doses superposed."""

    def __init__(self, record: Record, z: np.ndarray) -> None:
        crcl, wt = (float(record.covariates[n][0]) for n in ("crcl_ml_per_min", "wt_kg"))
        typical = np.asarray([2.99 * (1.0 + 0.0154 * (crcl - 66.0)), 0.675 * wt, 2.28, 0.732 * wt])
        cl, v1, q, v2 = np.moveaxis(typical * np.exp(z), -1, 0)
        k10, k12, k21 = cl / v1, q / v1, q / v2
        total = k10 + k12 + k21
        root = np.sqrt(total**2 - 4.0 * k10 * k21)
        fast, slow = 0.5 * (total + root), 0.5 * (total - root)
        self.rates = np.stack([fast, slow])
        self.shares = np.stack([(fast - k21) / (fast - slow), (k21 - slow) / (fast - slow)]) / v1

    def level(self, dose: float, since_h: float) -> np.ndarray:
        """mg/L, ``since_h`` after the start of an infusion."""
        if since_h <= 0.0:
            return np.zeros(self.rates.shape[1:])
        long = infusion_h(dose)
        on, off = min(since_h, long), max(since_h - long, 0.0)
        rise = (1.0 - np.exp(-self.rates * on)) / self.rates
        return dose * np.sum(self.shares / long * rise * np.exp(-self.rates * off), axis=0)

    def area(self, dose: float, since_h: float) -> np.ndarray:
        """mg h/L, from the start of an infusion to ``since_h`` after it, at least its length."""
        if since_h <= 0.0:
            return np.zeros(self.rates.shape[1:])
        long = infusion_h(dose)
        risen = (1.0 - np.exp(-self.rates * long)) / self.rates
        fallen = (1.0 - np.exp(-self.rates * (since_h - long))) / self.rates
        return dose * np.sum(self.shares / long * ((long - risen) / self.rates + risen * fallen), axis=0)

    def auc24(self, doses: tuple[float, ...] | list[float], interval: int) -> np.ndarray:
        """The area of the 24 h that end with a 12-h interval."""
        start, end = INTERVAL_H * (interval - 1), INTERVAL_H * (interval + 1)
        return np.sum(
            [self.area(d, end - INTERVAL_H * j) - self.area(d, start - INTERVAL_H * j) for j, d in enumerate(doses)],
            axis=0,
        )


def infusion_h(dose: float) -> float:
    """1 h, or longer for at most 10 mg/min."""
    return max(1.0, dose / 600.0)


def log_posterior(record: Record, ward, z: np.ndarray) -> np.ndarray:
    """Up to a constant, of random effects ``z[..., 4]``."""
    patient = TwoCompartments(record, z)
    log = -0.5 * np.einsum("...i,ij,...j->...", z, np.linalg.inv(OMEGA), z)
    for k, slot in np.argwhere(np.asarray(record.known)):
        at_h = INTERVAL_H * k + ward.monitoring.at_h[slot]
        level = sum(patient.level(d, at_h - INTERVAL_H * j) for j, d in enumerate(DOSES))
        variance = (0.15 * level) ** 2 + 1.6**2
        log = log - 0.5 * (np.log(variance) + (float(record.level[k, slot]) - level) ** 2 / variance)
    return log


def map_by_scipy(record: Record, ward) -> tuple[np.ndarray, np.ndarray]:
    """The MAP estimate and its standard deviations, the best of five starts."""
    starts = [np.zeros(4), *np.random.default_rng(1).multivariate_normal(np.zeros(4), OMEGA, 4)]
    found = [minimize(lambda z: -log_posterior(record, ward, z), z, method="BFGS") for z in starts]
    best = min(found, key=lambda f: f.fun)
    return best.x, np.sqrt(np.diag(best.hess_inv))


@eqx.filter_jit
def act(policy, memory, record: Record):
    return policy.act(memory, record, None)


def advised(policy, seen: list[Record]):
    """(dose, memory) at the last of a patient's charts, all of which the policy has seen."""
    memory = policy.init(seen[0])
    for record in seen:
        dose, memory = act(policy, memory, record)
    return dose, memory


@pytest.fixture(scope="module")
def mipd(setting):
    return load_policy_definition("mipd").build(setting)


@pytest.fixture(scope="module")
def advice(mipd, clinic):
    """What `mipd` chooses and remembers for `record`."""
    return advised(mipd, charts(clinic, 5))


def test_the_engine_s_map_estimate_is_scipy_s(ward, record):
    model = model_of(ward, MODEL)
    known = np.asarray(record.known)
    times = (np.arange(4)[:, None] * INTERVAL_H + np.asarray(ward.monitoring.at_h))[known]
    regimen = make_regimen(
        [Dose(INTERVAL_H * k, d, compartment="central", duration_h=infusion_h(d)) for k, d in enumerate(DOSES)],
        model.structure,
    )
    facts = {c.name: float(record.covariates[c.name][0]) for c in model.covariates}
    levels = make_levels(model, times, np.asarray(record.level)[known])
    engine = map_estimate(model, regimen, make_covariates(model, facts), levels)

    assert len(times) == 4
    assert bool(engine.converged)
    best, sd = map_by_scipy(record, ward)
    assert (np.abs((engine.eta - best) / sd) < 0.02).all()


@pytest.fixture(scope="module")
def off(mipd, clinic, ward) -> np.ndarray:
    """How far `mipd`'s estimate is from SciPy's in posterior standard deviations: the largest of four, 24 patients."""
    far = []
    for seed in range(24):
        seen = charts(clinic, seed)
        best, sd = map_by_scipy(seen[-1], ward)
        far.append(np.abs((np.asarray(advised(mipd, seen)[1].belief.z) - best) / sd).max())
    return np.asarray(far)


def test_mipd_believes_the_map_estimate_of_every_patient(off):
    assert np.median(off) < 0.02
    assert off.max() < 0.1


@pytest.mark.parametrize("toxic", [60.0, 80.0, 100.0])
def test_after_a_toxic_level_mipd_believes_it_and_gives_nothing(mipd, clinic, ward, toxic):
    """A trough of 60 to 100 mg/L after ordinary doses: far from what the first two levels said."""
    seen = charts(clinic, 5)
    last = int(np.flatnonzero(np.asarray(seen[-1].known).any(1))[-1])
    seen[-1] = eqx.tree_at(lambda r: r.level, seen[-1], seen[-1].level.at[last, -1].set(toxic))
    best, sd = map_by_scipy(seen[-1], ward)

    dose, memory = advised(mipd, seen)

    assert bool(memory.belief.converged)
    assert (np.abs((np.asarray(memory.belief.z) - best) / sd) < 0.1).all()
    assert np.abs(best[0]) > 1.0
    assert float(dose) == 0.0


def test_mipd_gives_the_dose_that_meets_the_aim_in_the_patient_that_it_believes_in(ward, record, advice):
    """One interval is left, and sqrt(400 x 600) = 489.9 mg h/L is met exactly, between amounts of the grid to 0.5 %."""
    dose, memory = advice
    patient = TwoCompartments(record, np.asarray(memory.belief.z, np.float64))
    exact = brentq(lambda d: float(patient.auc24([*DOSES, d], 3)) - AIM, 1.0, 5000.0)
    grid = np.asarray(ward.dosage.amounts)
    missed = np.abs(np.log([patient.auc24([*DOSES, d], 3) / AIM for d in grid]))

    assert float(memory.plan[0]) == pytest.approx(exact, rel=5e-3)
    assert float(dose) == grid[np.argmin(missed)]


def average(setting: Setting, draws: int | None = None):
    policy = load_policy_definition("mipd-average").build(setting)
    if draws is None:
        return policy
    return dataclasses.replace(policy, noise=jnp.asarray(np.random.default_rng(7).standard_normal((draws, 4)), float))


@eqx.filter_jit
def posterior(policy, belief, record: Record):
    draws, _, weights = policy._posterior(belief, record)
    return draws, weights


def test_the_weights_are_posterior_over_proposal(setting, ward, record, advice):
    """w ~ exp(log posterior(z)) / N(z; MAP, 1.1^2 covariance), of the policy's own 16 draws, in float64."""
    belief = advice[1].belief
    draws, weights = (np.asarray(a, np.float64) for a in posterior(average(setting), belief, record))
    away = draws - np.asarray(belief.z, np.float64)
    precision = np.linalg.inv(1.1**2 * np.asarray(belief.covariance, np.float64))
    log = log_posterior(record, ward, draws) + 0.5 * np.einsum("di,ij,dj->d", away, precision, away)
    expected = np.exp(log - log.max())
    expected /= expected.sum()

    assert draws.shape == (16, 4)
    np.testing.assert_allclose(weights, expected, atol=2e-3)
    np.testing.assert_allclose(draws.mean(0), np.asarray(belief.z), atol=1e-5)  # antithetic pairs
    assert expected.max() / expected.min() > 1.5


def test_weighted_draws_have_the_moments_of_the_posterior(setting, ward, record, advice):
    """Against importance sampling from the prior in float64, which knows neither the estimate nor its covariance."""
    z = np.random.default_rng(1).multivariate_normal(np.zeros(4), OMEGA, 200_000)
    log = log_posterior(record, ward, z) + 0.5 * np.einsum("di,ij,dj->d", z, np.linalg.inv(OMEGA), z)
    w = np.exp(log - log.max())
    w /= w.sum()
    assert 1.0 / (w**2).sum() > 2000.0
    mean = w @ z
    sd = np.sqrt(w @ (z - mean) ** 2)

    draws, weights = (np.asarray(a) for a in posterior(average(setting, 4000), advice[1].belief, record))
    found = weights @ draws

    np.testing.assert_allclose(found, mean, atol=0.1 * sd.max())
    assert (np.abs(found - mean) / sd).max() < 0.1
    np.testing.assert_allclose(np.sqrt(weights @ (draws - found) ** 2), sd, rtol=0.1)


def test_mipd_average_minimises_the_mean_loss_over_its_draws(setting, ward, record, advice):
    """The one interval that is left: the mean of d^4 / (1 + d^4) + 0.02 min(d^2, 25), d = 1 at 400 and 600 mg h/L."""
    policy = average(setting)
    dose, memory = act(policy, policy.init(record), record)
    draws, weights = (np.asarray(a, np.float64) for a in posterior(policy, memory.belief, record))
    patients = TwoCompartments(record, draws)
    plan = float(memory.plan[0])
    grid = np.asarray(ward.dosage.amounts)
    near = int(np.argmin(np.abs(grid - plan)))
    compared = {*grid[near - 1 : near + 2], *(grid[np.argmin(np.abs(grid - f * plan))] for f in FACTORS)}

    def loss(amount: float) -> float:
        auc = patients.auc24([*DOSES, amount], 3)
        d = np.log(auc / AIM) / np.log(HIGH / AIM)
        return float(weights @ (d**4 / (1.0 + d**4) + 0.02 * np.minimum(d**2, 25.0)))

    assert len(compared) >= 3
    assert float(dose) == min(compared, key=loss)


@pytest.fixture(scope="module")
def certain(setting) -> Setting:
    """Everybody is a typical patient, to a thousandth: the posterior is a point."""
    etas = tuple(
        dataclasses.replace(e, size=dataclasses.replace(e.size, value=1e-6, unit="1"), kind="var")
        for e in setting.controller.etas
    )
    return dataclasses.replace(setting, controller=dataclasses.replace(setting.controller, etas=etas, correlations=()))


def test_with_a_posterior_of_a_point_mipd_average_is_mipd(certain, ward, clinic):
    """At every decision of eight patients, whose levels tell nothing."""
    policies = [load_policy_definition(name).build(certain) for name in ("mipd", "mipd-average")]
    doses = []
    for seed in range(8):
        seen = charts(clinic, seed)
        memories = [p.init(seen[0]) for p in policies]
        for record in seen:
            both = [act(p, m, record) for p, m in zip(policies, memories, strict=True)]
            memories = [memory for _, memory in both]
            doses.append([float(dose) for dose, _ in both])
    of_mipd, of_average = np.asarray(doses).T

    assert len(np.unique(of_mipd)) > 4
    np.testing.assert_array_equal(of_average, of_mipd)


def test_the_oracle_beats_bayesian_dosing_which_beats_the_label(setting, ward):
    found = {}
    for name in ("label", "mipd", "oracle"):
        definition = load_policy_definition(name)
        trial = run_trial(
            ward, setting.simulator, definition.build(setting), Cohort(4, 40), sees_truth=definition.sees_truth
        )
        found[name] = trial.inside[:, ward.judged()].mean(1)

    assert found["oracle"].mean() > found["mipd"].mean() + 0.02
    assert found["mipd"].mean() > found["label"].mean()
    assert found["oracle"].mean() > 0.95

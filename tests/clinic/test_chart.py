"""What a clinic sees: nothing from the future, nothing still in the laboratory, and the same patient every time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.events import Drift
from rl_drug_dosage.clinic.patient import admit, chart, treat
from rl_drug_dosage.clinic.simulators import simulator_of

MODEL = "vancomycin-thomson2009"


def charts(scenario, doses, key=3):
    model = simulator_of(scenario, MODEL)

    @jax.jit
    def run(doses):
        course, seen = admit(scenario, model, jax.random.key(key)), []
        for k in range(scenario.schedule.decisions):
            seen.append(chart(scenario, course, jnp.asarray(k)))
            course, _ = treat(scenario, model, course, doses[k], jnp.asarray(k))
        return seen, course

    return run(jnp.asarray(doses))


@pytest.mark.long
def test_a_chart_holds_nothing_from_now_on(ward):
    seen, _ = charts(ward, [1000.0] * 4)

    for k, record in enumerate(seen):
        assert not np.asarray(record.known)[k:].any()
        assert not np.asarray(record.dose)[k:].any()
        assert (np.asarray(record.level)[~np.asarray(record.known)] == 0).all()


def test_a_chart_does_not_depend_on_doses_that_are_still_to_come(ward):
    first, _ = charts(ward, [1000.0, 1000.0, 1000.0, 1000.0])
    second, _ = charts(ward, [1000.0, 1000.0, 3000.0, 0.0])

    for a, b in zip(first[:3], second[:3], strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    assert not np.array_equal(first[3].level, second[3].level)


@pytest.mark.long
def test_a_result_appears_when_it_has_come_back(changed):
    # samples at 2 and 11 h of intervals 0 and 2, every 12 h a decision: 13 h later both are missing one decision longer
    soon, _ = charts(changed(monitoring={"turnaround_h": 0.0}), [1000.0] * 4)
    late, _ = charts(changed(monitoring={"turnaround_h": 13.0}), [1000.0] * 4)

    assert [int(np.asarray(r.known).sum()) for r in soon] == [0, 2, 2, 4]
    assert [int(np.asarray(r.known).sum()) for r in late] == [0, 0, 2, 2]


@pytest.mark.long
def test_drifting_covariates_are_known_up_to_today(ward):
    drifting = dataclasses.replace(ward, drifts=(Drift("crcl_ml_per_min", 30.0, 24.0, 0.05, "test"),))

    seen, course = charts(drifting, [1000.0] * 4)

    truth = np.asarray(course.truth.covariates["crcl_ml_per_min"])
    assert len(set(truth.tolist())) == 4
    for k, record in enumerate(seen):
        known = np.asarray(record.covariates["crcl_ml_per_min"])
        np.testing.assert_array_equal(known[: k + 1], truth[: k + 1])
        assert (known[k:] == truth[k]).all()


@pytest.mark.long
def test_levels_are_measured_with_the_published_error(ward):
    model = simulator_of(ward, MODEL)
    keys = jax.random.split(jax.random.key(1), 4000)

    def one(key):
        course = admit(ward, model, key)
        _, turn = treat(ward, model, course, jnp.asarray(1500.0), jnp.asarray(0))
        return turn.level, turn.values[jnp.asarray([2, 4])]

    level, truth = (np.asarray(a) for a in jax.jit(jax.vmap(one))(keys))

    # Thomson 2009: 15 % and 1.6 mg/L, variances added; peaks are far from the limit of quantification
    z = (level[:, 0] - truth[:, 0]) / np.sqrt(1.6**2 + (0.15 * truth[:, 0]) ** 2)
    assert abs(z.mean()) < 0.05
    assert z.std() == pytest.approx(1.0, abs=0.04)


@pytest.mark.long
def test_missed_doses_come_from_a_beta_distribution(changed):
    scenario = changed(adherence={"missed_mean": 0.2, "missed_sd": 0.21})
    model = simulator_of(scenario, MODEL)
    keys = jax.random.split(jax.random.key(2), 5000)

    shares = np.asarray(jax.jit(jax.vmap(lambda key: admit(scenario, model, key).missing))(keys))

    assert shares.mean() == pytest.approx(0.20, abs=0.01)
    assert shares.std() == pytest.approx(0.21, abs=0.01)

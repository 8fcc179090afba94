"""Results that come late, are corrected, or come unplanned: the belief that is carried forward is that of the chart."""

import jax
import numpy as np
import pytest

from rl_drug_dosage import load_policy
from rl_drug_dosage.clinic.record import record_axes, result_times
from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.trials import bedside as module
from rl_drug_dosage.trials.replay import counts_from

FACTS = {"crcl_ml_per_min": 80.0, "wt_kg": 75.0}
DOSES = [1500.0, 1250.0, 1000.0, 1000.0, 750.0]
LEVELS = {6.0: 26.0, 11.0: 19.0, 30.0: 22.0, 35.0: 13.0}


@pytest.fixture(scope="module")
def ensemble():
    return load_policy("mipd-ensemble", "vancomycin")


def told(bedside, levels, facts=FACTS):
    """A course in which each level is told at the first decision after it was drawn."""
    course = bedside.start(facts)
    for dose in DOSES:
        for time_h, level in levels.items():
            if course.time_h - 12.0 < time_h <= course.time_h:
                course.observe(time_h, level)
        course.recommend()
        course.given(dose)
    return course


def belief(course):
    course.recommend()
    policy, record = course._bedside.policy, course._record
    memory = module._memory_of(policy, record, record_axes(record), course._memory.leaves)
    return jax.tree.map(np.asarray, memory.belief)


def assert_same(one, other):
    assert one.recommend() == other.recommend()
    for a, b in zip(jax.tree.leaves(belief(one)), jax.tree.leaves(belief(other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def means(course):
    """Mean random effects of each patient, ``[patient, eta]``."""
    (cloud,) = belief(course).clouds
    return np.einsum("pem,pm->pe", cloud.latent, np.exp(cloud.log_weight))


def far(one, other):
    """How far apart two beliefs are."""
    return np.abs(means(one) - means(other)).max()


@pytest.mark.long
def test_a_level_that_comes_late_counts_as_one_in_time(ensemble):
    in_time = told(ensemble, LEVELS)
    late = told(ensemble, {t: v for t, v in LEVELS.items() if t != 11.0})

    assert far(in_time, late) > 0.05
    late.observe(11.0, LEVELS[11.0])
    assert_same(late, in_time)


@pytest.mark.long
def test_a_corrected_level_counts_as_if_it_had_never_been_another(ensemble):
    right, wrong = told(ensemble, LEVELS), told(ensemble, {**LEVELS, 11.0: 60.0})

    assert far(right, wrong) > 0.05
    wrong.observe(11.0, LEVELS[11.0])
    assert_same(wrong, right)
    for course in (right, wrong):
        course.given(750.0)
        course.observe(66.0, 24.0)
    assert_same(wrong, right)


@pytest.mark.long
def test_a_level_of_the_last_interval_needs_no_replay(ensemble, monkeypatch):
    course = told(ensemble, LEVELS)
    course.recommend()
    monkeypatch.setattr(ensemble, "first_memory", None)
    course.observe(54.0, 24.0)
    assert course.recommend() > 0


@pytest.mark.slow  # compiles for half a minute
def test_of_several_patients_only_the_corrected_one_changes(ensemble):
    course = ensemble.start([FACTS, FACTS])
    course.given([1500.0, 1500.0])
    course.observe(11.0, [14.0, 14.0])
    course.given([1000.0, 1000.0])
    course.given([1000.0, 1000.0])
    before = means(course)
    course.observe(11.0, [8.0, None])
    after = means(course)

    assert np.abs(after[0] - before[0]).max() > 0.05
    np.testing.assert_array_equal(after[1], before[1])


def test_a_covariate_that_never_changes_is_corrected_from_admission_on(ensemble):
    right, wrong = told(ensemble, LEVELS, {**FACTS, "crcl_ml_per_min": 45.0}), told(ensemble, LEVELS)

    assert far(right, wrong) > 0.05
    wrong.update({"crcl_ml_per_min": 45.0})
    assert_same(wrong, right)


def test_a_level_at_an_unplanned_time_counts_at_once(ensemble):
    plain, more = told(ensemble, LEVELS), told(ensemble, {**LEVELS, 47.0: 25.0})

    assert not find_scenario("vancomycin").value.sampled()[3]
    assert far(plain, more) > 0.05


@pytest.mark.long
def test_bayesian_dosing_that_reads_the_whole_chart_heeds_late_and_unplanned_levels_at_once():
    """No result is planned at the second and the fourth decision."""
    bedside = load_policy("mipd", "vancomycin")
    course = bedside.start(FACTS)
    for _ in range(2):
        course.given(1500.0)
    before = course.recommend()
    course.observe(6.0, 60.0)
    course.observe(11.0, 45.0)
    assert course.recommend() < before
    course = bedside.start(FACTS)
    for _ in range(4):
        course.given(1000.0)
    before = course.recommend()
    course.observe(47.0, 60.0)
    assert course.recommend() < before


@pytest.mark.parametrize("name", sorted(names(SCENARIO)))
def test_planned_results_count_when_the_trial_has_them(name):
    scenario = find_scenario(name).value
    back_h, at = result_times(scenario), counts_from(scenario)
    planned = np.isfinite(back_h)

    now_h = at * scenario.schedule.interval_h + 1e-4
    assert (back_h <= now_h)[planned].all()
    assert (back_h > now_h - scenario.schedule.interval_h)[planned].all()


@pytest.mark.slow  # compiles and runs for a minute
def test_the_level_before_the_first_dose_may_be_told_after_a_first_recommendation_or_late():
    bedside = load_policy("mipd-ensemble", "paclitaxel")
    first, then, late = (bedside.start({}) for _ in range(3))
    first.observe(0.0, 8.0)
    then.recommend()
    assert far(then, first) > 0.05
    then.observe(0.0, 8.0)
    assert_same(then, first)
    for course in (first, late):
        course.given(0.9)
        course.observe(240.0, 2.5)
    assert far(late, first) > 0.05
    late.observe(0.0, 8.0)
    assert_same(late, first)

"""What a course says about candidate doses, and a belief that is confronted with the impossible."""

import dataclasses
import time

import equinox as eqx
import jax
import numpy as np
import pytest

from rl_drug_dosage import load_policy
from rl_drug_dosage.clinic.record import record_axes
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.policies.best_bayes import variant_in
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.trials import DoseForecast, setting_for
from rl_drug_dosage.trials import bedside as module

FACTS = {"crcl_ml_per_min": 80.0, "wt_kg": 75.0}
USUAL = {
    "vancomycin": FACTS,
    "warfarin": {"age_y": 64, "cyp2c9": "*1/*3", "vkorc1": "GA"},
}


@pytest.fixture(scope="module")
def ensemble():
    return load_policy("mipd-ensemble", "vancomycin")


@pytest.fixture
def course(ensemble):
    course = ensemble.start(FACTS)
    course.given(2000.0)
    course.observe(6.0, 27.0)
    course.observe(11.0, 16.0)
    return course


@pytest.mark.long
def test_a_forecast_has_a_curve_a_band_and_probabilities_of_doses_around_the_recommended_one(course):
    found = course.forecast()

    assert isinstance(found, DoseForecast)
    assert (found.output, found.unit, found.dose_unit) == ("concentration", "mg/L", "mg")
    assert found.recommended == course.recommend()
    assert found.recommended in found.doses
    np.testing.assert_allclose(np.diff(found.doses), 250.0)
    assert found.doses.size == 20
    assert found.starts_h.tolist() == [12.0, 24.0, 36.0, 48.0, 60.0, 72.0]
    assert found.times_h[:6].tolist() == [13.0, 15.0, 18.0, 20.0, 23.0, 24.0]
    assert found.levels.shape == (20, found.times_h.size, 5)
    assert (np.diff(found.levels, axis=2) >= 0).all()
    assert (np.diff(found.levels[:, 5], axis=0) > 0).all()
    for shares in (found.target, found.harms):
        assert ((shares >= 0) & (shares <= 1)).all()
    assert found.harms.shape == (20, 6, len(found.harm_names))
    # More drug, more harm.
    assert (np.diff(found.harms[:, 0], axis=0) >= 0).all()
    assert found.harms[-1, 0, 0] > found.harms[0, 0, 0]
    assert found.models == {"vancomycin-thomson2009": pytest.approx(1.0)}
    assert 1 <= found.effective <= found.support == 512
    assert found.warnings == course.warnings


@pytest.mark.long
def test_a_dose_has_the_same_forecast_in_any_company(course):
    whole = course.forecast()
    for doses in ([whole.doses[7]], np.repeat(whole.doses[7], 45)):
        again = course.forecast(doses)
        assert again.levels.shape[0] == len(doses)
        np.testing.assert_array_equal(again.levels[-1], whole.levels[7])
        np.testing.assert_array_equal(again.harms[-1], whole.harms[7])


@pytest.mark.long
def test_later_doses_are_those_of_the_plan_or_the_same(course):
    planned, same = course.forecast([3000.0]), course.forecast([3000.0], later="same")

    np.testing.assert_allclose(planned.levels[0, :6], same.levels[0, :6], rtol=1e-5)
    assert (same.levels[0, 11::6, 2] > planned.levels[0, 11::6, 2]).all()


def _belief(bedside, record, leaves):
    return module._memory_of(bedside.policy, record, record_axes(record), leaves).belief


@pytest.mark.long
def test_the_next_level_is_where_the_belief_of_the_next_decision_is(course):
    """The belief is carried through the interval by another function than the one that looks ahead."""
    expected = course.forecast([1500.0])
    course.given(1500.0)
    course.recommend()
    (cloud,) = _belief(course._bedside, course._record, course._advice[1].leaves).clouds
    levels, weight = np.asarray(cloud.pending[0, -1]), np.asarray(cloud.weight[0])
    at = [expected.times_h.tolist().index(12.0 + t) for t in (6.0, 11.0)]
    for slot, place in enumerate(at):
        order = np.argsort(levels[slot])
        share = np.cumsum(weight[order])
        for q, value in zip(expected.quantiles, expected.levels[0, place], strict=True):
            wanted = levels[slot][order][np.searchsorted(share, q)]
            assert value == pytest.approx(wanted, rel=0.03)


def test_towards_the_end_a_forecast_ends_with_the_course(ensemble):
    course = ensemble.start(FACTS)
    for _ in range(12):
        course.given(1000.0)
    assert course.forecast().starts_h.tolist() == [144.0, 156.0]
    course.given(1000.0)
    course.given(1000.0)
    with pytest.raises(ConfigError, match="has ended"):
        course.forecast()


@pytest.mark.long
def test_unusable_questions_are_refused(ensemble, course):
    for doses in ([], [-1.0], [1e6], ["much"], 500.0):
        with pytest.raises(ConfigError, match="give a list of numbers >= 0"):
            course.forecast(doses)
    with pytest.raises(ConfigError, match="'planned' or 'same'"):
        course.forecast(later="other")
    with pytest.raises(ConfigError, match="one patient"):
        ensemble.start([FACTS, FACTS]).forecast()


@pytest.mark.parametrize("name", ["label", "mipd"])
def test_a_policy_without_a_posterior_says_so_in_one_line(name):
    with pytest.raises(ConfigError, match="has no posterior to forecast from: use mipd-ensemble") as raised:
        load_policy(name, "vancomycin").start(FACTS).forecast()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["vancomycin", "warfarin"])
def test_best_bayes_forecasts_where_its_variant_has_a_posterior(name):
    policy = load_policy("best-bayes", name).policy
    reference = variant_in(setting_for(name, None, None)).reference
    has = reference.partition(",")[0] == "mipd-ensemble"

    assert policy.carries_results == has
    assert bool(policy.believes()) == has


@pytest.mark.slow  # by the clock, which other work on the machine changes
@pytest.mark.parametrize("name", ["vancomycin", "warfarin"])
def test_recommendation_and_forecast_take_milliseconds(name):
    """The bars are 5 and 50 ms on two idle cores; others may use them here."""
    course = load_policy("mipd-ensemble", name).start(USUAL[name])
    course.recommend()
    course.forecast()
    asked, looked = [], []
    for _ in range(7):
        course.given(course.recommend())
        begin = time.perf_counter()
        course.recommend()
        asked.append(time.perf_counter() - begin)
    for _ in range(15):
        begin = time.perf_counter()
        course.forecast()
        looked.append(time.perf_counter() - begin)

    assert min(asked) < 5e-3
    assert min(looked) < 50e-3


def test_an_impossible_level_is_flagged_until_the_next_ones_are_normal(ensemble):
    course = ensemble.start(FACTS)
    course.given(1500.0)
    course.observe(6.0, 400.0)
    doubtful = course.recommend()
    said = [text for text in course.warnings if "did not converge" in text]
    assert said
    assert course.forecast().warnings == course.warnings
    scenario = ensemble.scenario
    label = load_policy("label", "vancomycin").start(FACTS).recommend()
    assert doubtful <= min(1500.0, label)
    assert doubtful in scenario.dosage.grid()

    # It is left out: the next normal levels are possible, and the doses are those without it.
    other = ensemble.start(FACTS)
    other.given(1500.0)
    for each in (course, other):
        for interval in range(1, 11):
            each.given(1000.0)
            if interval in scenario.monitoring.intervals:
                each.observe(12.0 * interval + 6.0, 24.0)
                each.observe(12.0 * interval + 11.0, 13.0)
        each.given(1000.0)
        each.recommend()
        assert not [text for text in each.warnings if "did not converge" in text]
    assert course.recommend() == other.recommend()


def test_impossible_levels_twice_in_a_row_are_heeded(ensemble):
    said = []
    for pairs in range(3):
        course = ensemble.start(FACTS)
        for interval in range(3):
            course.given(1500.0)
            if 0 < interval <= pairs:
                course.observe(12.0 * interval + 6.0, 250.0)
                course.observe(12.0 * interval + 11.0, 240.0)
        said.append(float(np.median(course.forecast([0.0]).levels[0, -1, :])))

    assert said[1] == said[0]
    assert said[2] > 1.1 * said[0]


def test_a_belief_without_any_level_works_to_the_end(ensemble):
    course = ensemble.start(FACTS)
    for _ in range(ensemble.scenario.schedule.decisions):
        dose = course.recommend()
        assert dose in ensemble.scenario.dosage.grid()
        course.given(dose)
    assert not [text for text in course.warnings if "did not converge" in text]


@pytest.mark.long
def test_a_drug_model_without_random_effects_works():
    drug = load_drug("vancomycin-thomson2009")
    alike = dataclasses.replace(drug, name="vancomycin-alike", etas=(), correlations=())
    course = load_policy("mipd-ensemble", "vancomycin", controller=alike).start(FACTS)
    course.given(1500.0)
    found = course.forecast([1000.0])
    # Everybody is the typical patient.
    np.testing.assert_allclose(found.levels[..., 0], found.levels[..., -1], rtol=1e-5)
    course.observe(6.0, float(2.0 * found.levels[0, 2, 2]))
    assert np.isfinite(course.recommend())
    assert course.forecast([1000.0]).effective == pytest.approx(512.0, rel=1e-4)


_SLOW = pytest.mark.slow


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["vancomycin", pytest.param("warfarin", marks=_SLOW), pytest.param("tacrolimus", marks=_SLOW)]
)
def test_absurd_levels_at_every_decision_leave_doses_on_the_grid(name):
    """`Course.observe` refuses the worst of these; a trial's laboratory error need not."""
    bedside = load_policy("mipd-ensemble", name)
    scenario = bedside.scenario
    usual = {c.name: c.codes[0] if c.codes else float(np.sqrt(c.low * c.high)) for c in bedside.covariates}
    facts = {c.name: usual[c.name] if c.optional is None else c.optional for c in bedside.covariates}
    steps, lloq = scenario.schedule.decisions, max(scenario.monitoring.lloq, 1e-9)
    kinds = [(1e-9, False), (1e6, False), (lloq, True), (0.0, False)]
    mixed = np.random.default_rng(1).choice(len(kinds), steps)
    for which in (*np.repeat(np.arange(len(kinds))[:, None], steps, axis=1), mixed):
        record = bedside.start(facts)._record
        if scenario.monitoring.baseline:
            record.baseline[:] = kinds[which[0]][0]
        memory = bedside.first_memory(bedside.policy, record)
        for k in range(steps):
            record = eqx.tree_at(lambda r: r.k, record, np.asarray(k, np.int32))
            keys = np.zeros((1, 2), np.uint32)
            memory = bedside.advise(bedside.policy, memory["leaves"], record, keys)
            assert np.isfinite(memory["asked"][0])
            assert memory["fits"][0]
            belief = _belief(bedside, record, memory["leaves"])
            assert not any(np.isnan(np.asarray(leaf, float)).any() for leaf in jax.tree.leaves(belief))
            record.dose[0, k] = memory["given"][0]
            record.level[0, k], record.below[0, k] = kinds[which[k]]
            record.known[0, k] = True
        assert which[0] != 1 or memory["doubtful"][0]

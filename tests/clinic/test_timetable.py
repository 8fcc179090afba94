"""The dosing interval as part of the prescription, against the engine's own dosing events."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.belief import Player, past
from rl_drug_dosage.clinic.interval import administered, interval_parameters, play, segment_ends
from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.clinic.patient import admit, chart
from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.shield import REASONS, shield_of
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.clinic.timetable import Prescription, timetable
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Dose, Fixed, Target, every, make_covariates, make_regimen, predict
from rl_drug_dosage.policies import label, mipd, oracle, random
from rl_drug_dosage.policies.adapters.learnt import PpoDosing
from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.utils.seeding import Stream, key_for

INTERVALS_H = (12.0, 6.0, 8.0, 24.0, 48.0)
MODEL = "vancomycin-goti2018"


def ward_with(**changes):
    """Vancomycin with a decision a day for four days, and a choice of dosing intervals."""
    scenario = dataclasses.replace(
        SCENARIO,
        schedule=dataclasses.replace(
            SCENARIO.schedule, interval_h=24.0, decisions=4, output_times_h=(2.0, 6.0, 12.0, 20.0, 24.0)
        ),
        monitoring=dataclasses.replace(SCENARIO.monitoring, at_h=(2.0, 24.0), intervals=None, turnaround_h=0.0),
        dosage=dataclasses.replace(SCENARIO.dosage, intervals_h=INTERVALS_H, highest_rate_per_h=None),
    )
    return dataclasses.replace(scenario, **changes)


@pytest.fixture(scope="module")
def choosing():
    return ward_with()


class Prescribes(Policy):
    """The same prescription at every decision."""

    amount: jax.Array
    choice: jax.Array

    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        return Prescription(self.amount, self.choice), memory


def prescribes(amount, choice):
    return Prescribes(jnp.asarray(amount), jnp.asarray(choice))


def drawn(scenario, model, seed, number=0):
    key = jax.random.fold_in(key_for(seed, Stream.EVALUATE), number)
    return jax.jit(lambda k: admit(scenario, model, k).truth)(key)


@pytest.mark.long
@pytest.mark.parametrize("choice", range(5))
def test_levels_are_those_of_the_engine_dosing_every_n_hours(choosing, choice):
    """One patient, four days: every prescription against the engine's dosing events, same random effects."""
    model = simulator_of(choosing, MODEL)
    result = run_trial(choosing, model, prescribes(500.0, choice), Cohort(3, 1))

    every_h, truth = INTERVALS_H[choice], drawn(choosing, model, 3)
    doses = every(Dose(0.0, 500.0, duration_h=1.0), every_h, round(96 / every_h))
    facts = make_covariates(model, {name: float(column[0]) for name, column in truth.covariates.items()})
    times = (np.arange(4)[:, None] * 24.0 + np.asarray(choosing.schedule.output_times_h)).ravel()
    expected = predict(model, make_regimen(doses, model.structure), facts, jnp.asarray(times), truth.eta)
    np.testing.assert_allclose(result.values[0].ravel(), np.asarray(expected)[:, 0], rtol=1e-3, atol=1e-3)
    assert (result.every_h == every_h).all()


@pytest.mark.long
def test_a_model_without_closed_form_gives_the_same_levels(choosing):
    """The same prescriptions through the segments of `play`, which models integrate that are not linear."""
    model = simulator_of(choosing, MODEL)
    truth = drawn(choosing, model, 3)
    facts = {name: column[0] for name, column in truth.covariates.items()}
    zero = jnp.zeros(())
    p = interval_parameters(model, choosing, facts, truth.eta, None, zero)
    start = jnp.asarray([300.0, 200.0])[: len(model.structure.compartments)]
    for choice in range(5):
        mg = administered(choosing, Prescription(jnp.asarray(500.0), jnp.asarray(choice)), facts, jnp.asarray(0))
        exact = play(model, choosing, p, start, mg, zero)
        # a late dose of 0 h keeps the interval from being propagated in one go
        rows = {name: jnp.repeat(value, len(segment_ends(choosing)), axis=0) for name, value in p.items()}
        pieces = play(model, choosing, rows, start, mg, zero)
        np.testing.assert_allclose(pieces.at_times, exact.at_times, rtol=1e-4)
        np.testing.assert_allclose(pieces.area, exact.area, rtol=1e-4)


@pytest.mark.long
def test_between_two_doses_of_48_h_none_is_given(choosing):
    result = run_trial(choosing, simulator_of(choosing, MODEL), prescribes(500.0, 4), Cohort(3, 4))

    assert result.dose.tolist() == [[500.0, 0.0, 500.0, 0.0]] * 4
    assert (result.reason == 0).all()
    np.testing.assert_array_equal(endpoints(choosing, result)["total_dose"], 1000.0)


@pytest.mark.long
def test_a_policy_that_chooses_no_interval_has_the_first(choosing):
    """The label's dose, twice a day: its total counts both."""
    setting = setting_for(choosing)
    result = run_trial(choosing, setting.simulator, label.POLICY.build(setting), Cohort(3, 4))

    assert (result.every_h == 12.0).all()
    np.testing.assert_allclose(endpoints(choosing, result)["total_dose"], 2 * result.dose.sum(1))


def test_an_interval_that_is_not_in_the_list_is_counted_as_off_the_grid(choosing):
    result = run_trial(choosing, simulator_of(choosing, MODEL), prescribes(500.0, 9), Cohort(3, 2))

    assert (result.reason[:, 0] == REASONS.index("off the grid")).all()
    assert (result.every_h == INTERVALS_H[-1]).all()


@pytest.mark.long
def test_the_shield_counts_every_administration_of_the_day(choosing):
    """1,000 mg every 6 h are 4,000 mg a day: a cap of 2,000 allows 500 each time, and 1,000 every 12 h."""
    model = simulator_of(choosing, MODEL)
    limits = {"dose": None, "factor": None, "on_board": None, "level": None, "day": 2000.0}
    shield = shield_of(choosing, model_of(choosing, MODEL), **limits)
    often = run_trial(choosing, model, prescribes(1000.0, 1), Cohort(3, 2), shield=shield)
    twice = run_trial(choosing, model, prescribes(1000.0, 0), Cohort(3, 2), shield=shield)

    assert (often.dose == 500.0).all()
    assert (often.reason == REASONS.index("daily cap")).all()
    assert (twice.dose == 1000.0).all()


def setting_for(scenario):
    return Setting(find_scenario(scenario), model_of(scenario, MODEL), simulator_of(scenario, MODEL))


@pytest.mark.slow  # compiles for a minute
def test_bayesian_dosing_chooses_longer_intervals_for_slower_kidneys():
    """Troughs of 10-15 mg/L and AUC24 400-600: who eliminates slowly is dosed less often, and all do no worse."""
    trough = Target("concentration", "trough", 10.0, 15.0, "mg/L", "invented, for this test")
    base = ward_with()
    base = dataclasses.replace(base, goal=dataclasses.replace(base.goal, targets=(*base.goal.targets, trough)))

    def mean_interval_h(crcl):
        covariates = tuple(
            dataclasses.replace(c, distribution=Fixed(crcl)) if c.name == "crcl_ml_per_min" else c
            for c in base.covariates
        )
        scenario = dataclasses.replace(base, covariates=covariates)
        setting = setting_for(scenario)
        chosen = run_trial(scenario, setting.simulator, mipd.POLICY.build(setting), Cohort(5, 50))
        return chosen.every_h.mean()

    assert mean_interval_h(25.0) > mean_interval_h(120.0) + 1.0


@pytest.mark.long
def test_the_estimate_knows_the_interval_of_each_dose(choosing):
    """Doses every 6 h, as three levels show them: read as doses every 12 h, they would be those of a slower patient."""
    model = simulator_of(choosing, MODEL)
    truth = drawn(choosing, model, 3)
    patient = jax.jit(lambda: admit(choosing, model, jax.random.key(1)))()
    given = Prescription(jnp.asarray(500.0), jnp.asarray(1))
    zero = jnp.zeros((), jnp.int32)
    player = Player(model, choosing, truth.covariates, truth.eta, None, area=False)
    _, values = player.interval(player.initial(), given, zero, jnp.zeros(()))
    record = dataclasses.replace(chart(choosing, patient, zero), k=zero + 1, covariates=truth.covariates)
    record = dataclasses.replace(record, dose=record.dose.at[0].set(500.0), choice=record.choice.at[0].set(1))
    as_first = dataclasses.replace(record, choice=record.choice * 0)
    levels = values[jnp.asarray([0, 4]), 0]
    seen, misread = (past(player, r).predicted[0] for r in (record, as_first))

    np.testing.assert_allclose(seen, levels, rtol=1e-5)
    assert misread[1] < 0.75 * levels[1]


@pytest.mark.slow  # compiles for a minute
def test_knowing_more_is_never_worse_with_a_choice_of_intervals(choosing):
    """Label, Bayesian dosing, oracle: each far ahead of the one before (the first two measured: 27.0 and 68.0 %)."""
    setting, shares = setting_for(choosing), []
    for definition in (label.POLICY, mipd.POLICY, oracle.POLICY):
        truth = {"sees_truth": definition.sees_truth}
        result = run_trial(choosing, setting.simulator, definition.build(setting), Cohort(7, 50), **truth)
        shares.append(endpoints(choosing, result)["attainment_pct"].mean())

    assert shares[0] + 25.0 < shares[1] < shares[2]


@pytest.mark.long
def test_random_dosing_draws_intervals_too(choosing):
    setting = setting_for(choosing)
    result = run_trial(choosing, setting.simulator, random.POLICY.build(setting), Cohort(7, 50))

    assert set(np.unique(result.every_h)) == set(INTERVALS_H)


@pytest.mark.parametrize(
    ("dosage", "message"),
    [
        ({"intervals_h": (12.0, 7.0)}, "dosage.intervals_h 7 h does not fit decisions every 24 h"),
        ({"intervals_h": (48.0, 24.0)}, "the first one is that of policies that choose none"),
        ({"intervals_h": (12.0, 6.0), "duration_h": 8.0}, "infusions would overlap"),
        ({"intervals_h": (12.0,), "at_h": (0.0, 12.0)}, "give one of them"),
    ],
)
def test_intervals_that_do_not_fit_are_refused(choosing, dosage, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(choosing, dosage=dataclasses.replace(choosing.dosage, **dosage))


def test_the_timetable_is_the_union_of_all_times(choosing):
    table = timetable(choosing.schedule, choosing.dosage)

    assert table.at_h == (0.0, 6.0, 8.0, 12.0, 16.0, 18.0)
    assert table.counts.tolist() == [2, 4, 3, 1, 1]
    assert table.waits.tolist() == [1, 1, 1, 1, 2]


@pytest.mark.long
def test_a_learner_chooses_intervals_too(choosing):
    """Two actions; a dose that is not due is not given; the observation says which interval runs and what is due."""
    env = env_of(choosing).make(intervals=True)
    assert [b.tolist() for b in env.action_bounds] == [[0.0, 0.0], [5000.0, 4.0]]
    names = [feature.name for feature in env.observation_names]
    at = [names.index("dosing_interval"), names.index("dose_due")]
    step = jax.jit(env.step)
    state, obs = env.reset(jnp.asarray([1, 2], jnp.uint32))
    given, seen = [], [obs[jnp.asarray(at)].tolist()]
    for action in ([500.0, 4.0], [750.0, 0.0], [250.0, 1.0]):
        out = step(state, jnp.asarray(action), jnp.zeros(2, jnp.uint32))
        state = out.state
        given.append(float(out.dose))
        seen.append(out.obs[jnp.asarray(at)].tolist())

    # 48 h of 48, then still those, then 6 h of 48
    assert given == [500.0, 0.0, 250.0]
    assert seen == [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.125, 1.0]]


@pytest.mark.long
def test_a_trained_policy_prescribes_intervals(choosing, make_policy):
    """In a trial as in its environment."""
    observer = observer_of(choosing, intervals=True)
    low, high = observer.action_bounds
    network = dataclasses.replace(make_policy(obs_size=observer.size, action_size=2), low=low, high=high)
    policy = PpoDosing(choosing, observer, network)
    result = run_trial(choosing, simulator_of(choosing, MODEL), policy, Cohort(3, 4))

    assert set(np.unique(result.every_h)) <= set(INTERVALS_H)
    assert (result.reason == 0).all()


def test_a_scenario_without_intervals_offers_none():
    with pytest.raises(ConfigError, match="has no dosing intervals to choose between"):
        observer_of(SCENARIO, intervals=True)

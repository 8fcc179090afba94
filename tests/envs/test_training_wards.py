"""What only training has: a mixture of patients, the truth for a critic, corrections of the Bayesian dose."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.envs.catalog import find_env, make, scenario_ids
from rl_drug_dosage.envs.drug_dose_v0 import make_drug_dose
from rl_drug_dosage.envs.functional import Env, FunctionalEnv
from rl_drug_dosage.envs.mixture import Mixture
from rl_drug_dosage.envs.privileged import with_truth
from rl_drug_dosage.envs.scenario_env import ScenarioEnv, observer_of
from rl_drug_dosage.envs.training_ward import misread
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.policies.adapters.learnt import PpoDosing
from rl_drug_dosage.policies.mipd import build
from rl_drug_dosage.ppo.networks import init_actor_critic
from rl_drug_dosage.ppo.normalizer import initial_moments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.registry import find_scenario, load_policy_definition
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.plan import make_plan
from rl_drug_dosage.training.recipe import recipe
from rl_drug_dosage.trials.trial import Cohort, Trial, run_trial

THOMSON, GOTI = "vancomycin-thomson2009", "vancomycin-goti2018"
AGENTS = "rl_drug_dosage.policies"
VANCOMYCIN = find_scenario("vancomycin")
COHORT = Cohort(3, 20)


def env(**options: Any) -> FunctionalEnv:
    found = find_env("Vancomycin-v2")
    assert isinstance(found, Env)
    return make(found, {"history": 2, **options})


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    made = env(mixture=[{}, {"simulator": GOTI}, {"randomise": 1.0, "stress": "double-error"}])
    assert isinstance(made, Mixture)
    return made


@pytest.fixture(scope="module")
def chance(mixture: Mixture) -> np.ndarray:
    return np.asarray(mixture.draw(jax.random.key(0), (7,)))


# --- the mixture -----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_in_a_batch_every_part_has_its_rows(mixture: Mixture, chance: np.ndarray) -> None:
    """Seven environments of three parts: 3, 2, 2; each row is what its part alone makes of it, over three steps."""
    state, obs = jax.jit(mixture.reset_batch)(chance)
    assert state.part.tolist() == [0, 0, 0, 1, 1, 2, 2]
    dose = np.full((7, 1), 1000.0, np.float32)
    step = jax.jit(mixture.step_batch)
    parts = [jax.jit(part.step) for part in mixture.parts]
    own = [mixture.parts[int(i)].reset(c)[0] for i, c in zip(state.part, chance, strict=True)]
    for _ in range(3):
        out = step(state, dose, chance)
        for row, i in enumerate(np.asarray(state.part)):
            alone = parts[i](own[row], dose[row], chance[row])
            own[row] = alone.state
            np.testing.assert_allclose(out.obs[row], alone.obs, rtol=1e-5, atol=1e-5)
            assert out.reward[row] == pytest.approx(float(alone.reward), rel=1e-4, abs=1e-4)
        state = out.state
    assert obs.shape == out.obs.shape


@pytest.mark.slow  # compiles for half a minute
def test_one_at_a_time_chance_decides_and_the_episode_stays_with_its_part(mixture: Mixture) -> None:
    """All parts alike often, and a step is that of the part that the state names."""
    many = mixture.draw(jax.random.key(1), (600,))
    states = jax.jit(jax.vmap(lambda c: mixture.reset(c)[0]))(many)
    counts = np.bincount(np.asarray(states.part), minlength=3)
    # sd of a count of 600 with p = 1/3 is 11.5
    assert (abs(counts - 200) < 50).all()
    row = int(np.flatnonzero(np.asarray(states.part) == 1)[0])
    dose = np.float32([1500.0])
    out = jax.jit(mixture.step)(jax.tree.map(lambda leaf: leaf[row], states), dose, many[row])
    alone = mixture.parts[1].step(mixture.parts[1].reset(many[row])[0], dose, many[row])
    assert out.state.part == 1
    np.testing.assert_allclose(out.obs, alone.obs, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_the_parts_differ_as_told(mixture: Mixture) -> None:
    """Another model, wider variability, twice the assay error."""
    published, _, wide = mixture.parts
    assert [p.model.name for p in mixture.parts] == [THOMSON, GOTI, THOMSON]
    assert wide.scenario.monitoring.error_scale == 2.0 * published.scenario.monitoring.error_scale
    many = published.draw(jax.random.key(2), (2000,))
    sd = [np.std(np.asarray(jax.vmap(lambda c, p=p: p.truth(p.reset(c)[0])[0])(many))) for p in (published, wide)]
    # the published variance of ln CL is 0.0729; training adds 0.3 squared
    assert sd[0] == pytest.approx(np.sqrt(0.0729), rel=0.1)
    assert sd[1] == pytest.approx(np.sqrt(0.0729 + 0.09), rel=0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mixture": [{"simulator": "aspirin"}]}, "aspirin"),
        ({"mixture": [{"dose": 3}]}, "dose"),
        ({"mixture": "both"}, "mixture must be a list"),
        ({"mixture": [{"randomise": -1}]}, "randomise"),
        ({"mixture": [{"stress": "earthquake"}]}, "earthquake"),
        ({"action": "residual"}, "needs a belief"),
        ({"burden": -1.0}, "burden must be a number from 0 to 100"),
        ({"support": 64}, "needs a belief"),
        ({"spread": {"cl": 0.3}}, "nothing is randomised"),
        ({"mixture": [{"spread": {"cl": 0.3}}, {"randomise": 1.0}]}, "where randomise is 0"),
        ({"randomise": 1.0, "spread": {"clearance": 0.3}}, "clearance"),
        ({"misread": {"dialysis": 0.3}}, "dialysis"),
        ({"misread": {"wt_kg": -0.3}}, "misread.wt_kg must be a number from 0 to 2"),
        ({"misread": 0.3}, "misread must be an object"),
        ({"belief": THOMSON, "support": 3}, "support must be a whole number from 16"),
        ({"belief": THOMSON, "prior": "widened"}, "only support patients assume"),
        ({"action": "double"}, "amount, grid, relative, label, residual"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    """One line that names what came."""
    with pytest.raises(RlDrugDosageError, match=said) as caught:
        env(**options)
    assert "\n" not in str(caught.value)


# --- the truth -------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_truth_is_what_the_observation_lacks() -> None:
    """Two patients with one chart so far differ in it; the observation before it is the environment's own."""
    plain = env()
    shown = with_truth(plain)
    chance = plain.draw(jax.random.key(0), (4,))
    state, obs = jax.vmap(plain.reset)(chance)
    _, both = shown.reset_batch(chance)
    np.testing.assert_array_equal(both[:, : obs.shape[1]], obs)
    out = shown.step_batch(state, jnp.full((4, 1), 1000.0), chance)
    truth = np.asarray(out.obs[:, obs.shape[1] :])
    contents = np.asarray(jax.vmap(plain.truth)(out.state))
    np.testing.assert_array_equal(truth, contents)
    assert np.ptp(truth[:, 0]) > 0.05  # eta of clearance
    assert shown.observation_bounds[0].size == both.shape[1]


def test_an_environment_without_a_truth_says_so() -> None:
    """The teaching task shows all it knows."""
    with pytest.raises(ConfigError, match="--privileged-critic needs"):
        with_truth(make_drug_dose())


# --- residual dosing -------------------------------------------------------------------------------------------------


def fixed_policy(action: str, shift: float, scenario: Scenario = VANCOMYCIN.value) -> PpoDosing:
    """A policy whose action is ``shift`` whatever it sees."""
    observer = observer_of(scenario, 2, THOMSON if action == "residual" else "", action)
    networks = init_actor_critic(np.random.default_rng(0), obs_size=observer.size, action_size=1, hidden_sizes=(4,))
    networks.actor_mean.weights[-1][:] = 0.0
    networks.actor_mean.biases[-1][:] = shift
    moments = initial_moments((observer.size,))
    low, high = (np.full(1, x, np.float32) for x in observer.action_range)
    return PpoDosing(
        scenario, observer, PpoPolicy(networks, moments, low, high, np.float32(10.0), "gaussian", norm_obs=True)
    )


@pytest.mark.slow  # compiles for half a minute
def test_a_correction_of_nothing_is_bayesian_dosing() -> None:
    """Dose by dose, for 50 patients; a correction of one doubles the first dose and a tenth of the usual."""
    scenario = VANCOMYCIN.value
    believed, simulator = model_of(scenario, THOMSON), simulator_of(scenario, GOTI)
    mipd = run_trial(scenario, simulator, build(Setting(find_scenario(scenario), believed, simulator)), Cohort(3, 50))
    same = run_trial(scenario, simulator, fixed_policy("residual", 0.0), Cohort(3, 50))
    # The two plan from different first guesses, which a tie between neighbours of the grid may follow.
    assert np.mean(mipd.dose == same.dose) > 0.98
    twice = run_trial(scenario, simulator, fixed_policy("residual", 1.0), Cohort(3, 50))
    usual, step = scenario.dosage.usual, scenario.dosage.amounts[2] - scenario.dosage.amounts[1]
    expected = np.minimum(2.0 * same.dose[:, 0] + 0.1 * usual, scenario.dosage.amounts[-1])
    assert np.abs(twice.dose[:, 0] - expected).max() <= 0.5 * step + 1e-3


def test_a_place_on_the_grid_is_its_amount() -> None:
    """Between two places, between their amounts; the ends are the grid's."""
    scenario = find_scenario("propofol").value
    observer = observer_of(scenario, 1, "", "grid")
    amounts = scenario.dosage.amounts
    assert observer.action_range == (0.0, len(amounts) - 1)
    for place in (0, 17, len(amounts) - 1):
        assert observer.dose((), jnp.float32(place)) == amounts[place]
    assert observer.dose((), jnp.float32(81.25)) == pytest.approx(0.75 * amounts[81] + 0.25 * amounts[82])


def label_trial(scenario: Scenario, name: str) -> Trial:
    """The label's doses for 20 patients."""
    simulator = simulator_of(scenario, name)
    agent = load_policy_definition("label")
    return run_trial(
        scenario, simulator, agent.build(Setting(find_scenario(scenario), model_of(scenario, name), simulator)), COHORT
    )


@pytest.mark.long
def test_a_change_of_nothing_keeps_the_dose_before() -> None:
    """From the label's first dose on; a change of one doubles it, less what lets it rise from none."""
    scenario = VANCOMYCIN.value
    simulator = simulator_of(scenario, THOMSON)
    label = label_trial(scenario, THOMSON)
    same = run_trial(scenario, simulator, fixed_policy("relative", 0.0), COHORT)
    np.testing.assert_array_equal(same.dose, np.broadcast_to(label.dose[:, :1], same.dose.shape))
    more = run_trial(scenario, simulator, fixed_policy("relative", 1.0), COHORT)
    usual, step = scenario.dosage.usual, scenario.dosage.amounts[2] - scenario.dosage.amounts[1]
    expected = np.minimum(2.0 * more.dose[:, :-1] + 0.1 * usual, scenario.dosage.amounts[-1])
    assert np.abs(more.dose[:, 1:] - expected).max() <= 0.5 * step + 1e-3


@pytest.mark.long
def test_a_change_of_nothing_of_the_label_is_the_label() -> None:
    """Dose by dose, where the label follows the levels: tacrolimus by its troughs."""
    found = find_scenario("tacrolimus").value
    label = label_trial(found, found.models[0])
    same = run_trial(found, simulator_of(found, found.models[0]), fixed_policy("label", 0.0, found), COHORT)
    assert np.ptp(label.dose, axis=1).max() > 0
    np.testing.assert_array_equal(same.dose, label.dose)


@pytest.mark.long
@pytest.mark.parametrize(("stress", "factor"), [("label-halved", 0.5), ("label-doubled", 2.0)])
def test_a_wrong_label_of_a_training_ward_is_the_one_that_is_observed_and_changed(stress: str, factor: float) -> None:
    """The same patient with the right label and with the wrong one: the first dose, and what is seen of it."""
    plain, wrong = env(action="label"), env(action="label", mixture=[{"stress": stress}])
    assert isinstance(wrong, Mixture)
    chance = np.asarray(plain.draw(jax.random.key(5), (4,)))
    (states, seen), (stressed, told) = plain.reset_batch(chance), wrong.reset_batch(chance)
    nothing = np.zeros((4, 1), np.float32)
    dose = plain.step_batch(states, nothing, chance).dose
    given = wrong.step_batch(stressed, nothing, chance).dose
    step, most = 250.0, plain.highest_dose
    assert float(dose.min()) >= 4 * step
    # Either dose is rounded to the grid.
    np.testing.assert_allclose(given, np.minimum(factor * dose, most), atol=0.5 * (1.0 + factor) * step)
    at = [name.name for name in plain.observation_names].index("label_dose")
    np.testing.assert_allclose(told[:, at], np.minimum(factor * seen[:, at], 1.0), rtol=1e-6)


# --- the burden of changes ---


@pytest.mark.long
def test_a_change_of_dose_costs_what_it_is_told_to() -> None:
    """The first dose is free; then 0.2 of the change in usual doses, in training only."""
    plain, priced = env(), env(burden=0.2)
    chance = plain.draw(jax.random.key(3), ())
    state, _ = plain.reset(chance)
    same, _ = priced.reset(chance)
    step = {e: jax.jit(e.step) for e in (plain, priced)}
    before = 0.0
    for k, dose in enumerate((2000.0, 1500.0, 1500.0, 1750.0)):
        action = np.float32([dose])
        out, own = step[plain](state, action, chance), step[priced](same, action, chance)
        state, same = out.state, own.state
        cost = 0.0 if k == 0 else 0.2 * abs(dose - before) / VANCOMYCIN.value.dosage.usual
        assert float(out.reward) - float(own.reward) == pytest.approx(cost, abs=1e-5)
        before = dose
    found = find_env("Vancomycin-v2")
    assert isinstance(found, Env)
    assert found.evaluation({"burden": 0.2, "history": 2}) == {"history": 2}


# --- charts that are wrong, parameters that vary more ---


@pytest.mark.long
def test_a_misread_covariate_is_wrong_in_the_chart_and_right_in_the_patient() -> None:
    """By the same factor at every decision; nothing else of the chart or of the patient differs."""
    right, wrong = (env(misread=errors) for errors in ({}, {"crcl_ml_per_min": 0.5}))
    assert isinstance(right, ScenarioEnv)
    assert isinstance(wrong, ScenarioEnv)
    chance = right.draw(jax.random.key(5), (400,))
    (patient, chart), (same, charts) = (jax.jit(jax.vmap(e.admitted))(chance) for e in (right, wrong))
    jax.tree.map(np.testing.assert_array_equal, patient, same)
    ratio = np.log(np.asarray(charts.covariates["crcl_ml_per_min"] / chart.covariates["crcl_ml_per_min"]))[:, 0]
    # the standard error of a standard deviation of 0.5 from 400 is 0.018
    assert ratio.std() == pytest.approx(0.5, abs=0.06)
    assert abs(ratio.mean()) < 0.08
    np.testing.assert_array_equal(charts.covariates["wt_kg"], chart.covariates["wt_kg"])
    later = jax.tree.map(lambda leaf: leaf[7], chart)
    again = misread(wrong.misread, later, jax.random.wrap_key_data(chance[7]))
    np.testing.assert_allclose(again.covariates["crcl_ml_per_min"], charts.covariates["crcl_ml_per_min"][7], rtol=1e-5)


@pytest.mark.long
def test_a_spread_replaces_that_of_the_scenario() -> None:
    """The INR before the first dose varies with sd sqrt(0.35^2) of ln where the scenario gives 0.1."""
    found = find_env("Warfarin-v1")
    assert isinstance(found, Env)
    sds = []
    for spread in ({}, {"inr_base": 0.35}):
        made = make(found, {"randomise": 1.0, "spread": spread})
        chance = made.draw(jax.random.key(2), (2000,))
        state = jax.jit(jax.vmap(lambda c, e=made: e.admitted(c)[0]))(chance)
        sds.append(float(np.std(np.log(np.asarray(state.now)))))
    assert sds == [pytest.approx(0.1, rel=0.1), pytest.approx(0.35, rel=0.1)]


# --- recipes ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("env_id", sorted(scenario_ids()))
def test_every_scenarios_recipe_is_a_configuration(env_id: str) -> None:
    """Its settings are known, its rollouts divide, its environment's options are allowed; no held-out model trains."""
    config = make_plan(TrainConfig(env_id=env_id, **recipe(env_id))).config
    found = find_env(env_id)
    assert found is not None
    made = make(found, found.training(config.env_options()))
    assert config.num_steps * config.num_envs % config.num_minibatches == 0
    models = find_scenario(env_id).value.models
    parts = made.parts if isinstance(made, Mixture) else (made,)
    assert {part.model.name for part in parts} == {models[0]}


def test_a_recipe_is_for_scenarios() -> None:
    """The teaching task has the presets."""
    with pytest.raises(ConfigError, match="needs --env-id of a dosing scenario, not DrugDose-v0"):
        recipe("DrugDose-v0")

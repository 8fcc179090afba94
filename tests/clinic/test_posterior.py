"""A learner on the belief of support patients: what it sees, what its corrections mean, what an action of 0 gives."""

import contextlib
import dataclasses
import types
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage import load_policy
from rl_drug_dosage.clinic.doubt import abstained
from rl_drug_dosage.clinic.ensemble.carry import persistence
from rl_drug_dosage.clinic.ensemble.forecast import FARTHEST_INNOVATION, innovation
from rl_drug_dosage.clinic.ensemble.support import Ensemble
from rl_drug_dosage.clinic.observation import Observer, observer_from, observer_of
from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.posterior import Known, changed, keeping
from rl_drug_dosage.clinic.record import Record, empty_record
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.envs.catalog import describe
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.errors import BadPluginError, ConfigError, UnknownNameError
from rl_drug_dosage.policies.adapters.callables import host_policy
from rl_drug_dosage.policies.adapters.host import Agent
from rl_drug_dosage.policies.adapters.learnt import FAR, PpoDosing, dosing_policy, far_from
from rl_drug_dosage.ppo.model_file import load_model, save_model
from rl_drug_dosage.ppo.networks import init_actor_critic
from rl_drug_dosage.ppo.normalizer import RunningMoments, initial_moments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.registry import POLICY, find, find_scenario
from rl_drug_dosage.trials.export import export_onnx
from rl_drug_dosage.trials.trial import Cohort, Trial, run_trial

THOMSON, GOTI = "vancomycin-thomson2009", "vancomycin-goti2018"
VANCOMYCIN, WARFARIN = find_scenario("vancomycin"), find_scenario("warfarin")
SUPPORT = 32
COHORT = Cohort(3, 16)
CORRECTS = {"belief": THOMSON, "support": 64, "action": "residual"}


def observer_for(task: Any, prior: str = "widened", error: str = "published", reference: str = "") -> Observer:
    scenario = task.value
    assumed = {"support": SUPPORT, "prior": prior, "error": error, "reference": reference}
    return observer_of(scenario, 2, scenario.models[0], "residual", **assumed)


def fixed(observer: Observer, *actions: float) -> PpoDosing:
    """A policy that takes these actions whatever it sees; the untrained network without any."""
    low, high = observer.action_bounds
    networks = init_actor_critic(
        np.random.default_rng(1), obs_size=observer.size, action_size=low.size, hidden_sizes=(8,)
    )
    if actions:
        networks.actor_mean.weights[-1][:] = 0.0
        networks.actor_mean.biases[-1][:] = actions
    moments = initial_moments((observer.size,))
    policy = PpoPolicy(networks, moments, low, high, np.float32(10.0), "gaussian", norm_obs=True)
    return PpoDosing(observer.scenario, observer, policy)


def trial_of(task: Any, policy: Any, model: str = "") -> Trial:
    return run_trial(task.value, simulator_of(task.value, model or task.value.models[0]), policy, COHORT)


def reference(task: Any, options: str) -> Any:
    return clinical(task, f"mipd-ensemble,members={SUPPORT},{options}")


def clinical(task: Any, name: str) -> Any:
    scenario = task.value
    first = scenario.models[0]
    setting = Setting(task, model_of(scenario, first), simulator_of(scenario, first))
    return find(POLICY, name).value.build(setting)


# --- what is seen, without a program to compile ---


@pytest.mark.long
def test_a_mixture_shows_the_probability_of_its_models() -> None:
    names = [f.name for f in observer_for(VANCOMYCIN, "mixture").names]
    assert f"weight_{THOMSON}" in names
    assert f"weight_{GOTI}" in names
    assert len(set(names)) == len(names)
    assert not any(name.startswith("weight_") for name in (f.name for f in observer_for(VANCOMYCIN).names))
    assert not any(name.startswith("eta_") for name in names)  # no MAP estimate beside the support patients


def test_where_the_best_dose_is_constant_there_is_a_slow_correction() -> None:
    busulfan = find_scenario("busulfan")
    own = observer_of(busulfan.value, 2, busulfan.value.models[0], "residual", support=SUPPORT)
    assert [b.tolist() for b in own.action_bounds] == [[-1.0], [1.0]]
    slow = observer_for(VANCOMYCIN)
    assert [b.tolist() for b in slow.action_bounds] == [[-1.0, -1.0], [1.0, 1.0]]
    assert "lasting_correction" in [f.name for f in slow.names]
    assert "lasting_correction" not in [f.name for f in own.names]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"support": 128}, ConfigError, "support is .* needs a belief|128, which needs a belief"),
        ({"support": 8, "belief": THOMSON}, ConfigError, "from 16 to 65,536, or 0 for a MAP estimate, not 8"),
        ({"support": 128.0, "belief": THOMSON}, ConfigError, "not 128.0"),
        ({"prior": "widened", "belief": THOMSON}, ConfigError, "only support patients assume"),
        ({"error": "assay", "belief": THOMSON}, ConfigError, "only support patients assume"),
        ({"prior": "wide", "belief": THOMSON, "support": 64}, ConfigError, "one of published, widened, mixture"),
        ({"error": "none", "belief": THOMSON, "support": 64}, ConfigError, "one of published, assay"),
        ({"error": "assay", "belief": THOMSON, "support": 64}, ConfigError, "the assay error is not given"),
        ({"suport": 64}, UnknownNameError, "did you mean 'support'"),
        (
            {"reference": "mipd", "belief": THOMSON, "support": 64},
            ConfigError,
            "give support, .* and action 'residual'",
        ),
        ({"reference": "mipd", "belief": THOMSON, "action": "residual"}, ConfigError, "is 'mipd', .* give support"),
        ({"reference": "pid", **CORRECTS}, ConfigError, "must be mipd with its options.* not 'pid'"),
        ({"reference": "mipd,prior", **CORRECTS}, ConfigError, "must be mipd with its options"),
        ({"reference": "mipd,prior=wide", **CORRECTS}, UnknownNameError, "wide"),
        ({"reference": "mipd,members=3", **CORRECTS}, UnknownNameError, "members"),
        ({"reference": "mipd,error=assay", **CORRECTS}, ConfigError, "the assay error is not given"),
        ({"reference": 3, **CORRECTS}, ConfigError, "mipd with its options"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        observer_from(VANCOMYCIN.value, options, "policy 'mine'")
    assert "\n" not in str(caught.value)


def test_an_agent_gives_two_numbers_where_there_are_two_actions() -> None:
    scenario = VANCOMYCIN.value
    setting = Setting(VANCOMYCIN, model_of(scenario, THOMSON), simulator_of(scenario, THOMSON))
    options = {"belief": THOMSON, "action": "residual", "support": SUPPORT}

    def asked(numbers: int) -> np.ndarray:
        agent = Agent("mine", lambda rows, memory, first: (np.zeros((len(rows), numbers)), memory))
        host = host_policy(agent, setting, options).host
        action, _ = host(np.zeros((3, 5), np.float32), (), np.ones(3, bool))
        host.check()
        return action

    np.testing.assert_array_equal(asked(2), np.zeros((3, 2), np.float32))
    with pytest.raises(BadPluginError, match=r"2 actions per patient, an array of shape \(3, 2\)"):
        asked(1)
    agent = Agent("mine", lambda rows, memory, first: (np.zeros((len(rows), 2)), memory))
    for high, fits in ((1.0, True), (2.0, False)):
        space = gymnasium.spaces.Box(np.float32([-1, -1]), np.float32([1, high]))
        with contextlib.nullcontext() if fits else pytest.raises(ConfigError, match="2 numbers from -1 to 1"):
            host_policy(agent, setting, options, spaces=types.SimpleNamespace(action_space=space))


# --- corrections ---


def known_of(observer: Observer, amount: float, converged: bool = True) -> Known:
    """The memory of an observer to whom this dose was advised; nothing is believed."""
    record = empty_record(
        observer.scenario,
        {c.name: jnp.full(1, float(c.typical)) for c in observer.scenario.covariates},
        jnp.asarray(0.0),
    )
    shapes = jax.eval_shape(observer.init, record)[0]
    known = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    where = lambda k: (k.advised, k.believed.belief.converged)  # noqa: E731
    return eqx.tree_at(where, known, (jnp.asarray(amount), jnp.asarray(converged)))


def test_a_correction_multiplies_and_can_raise_a_dose_of_none() -> None:
    observer = observer_for(VANCOMYCIN)
    usual = observer.scenario.dosage.usual
    assert changed(observer.scenario, jnp.asarray(900.0), jnp.asarray(1.0)) == pytest.approx(2.0 * 900.0 + 0.1 * usual)
    assert changed(observer.scenario, jnp.asarray(0.0), jnp.asarray(1.0)) == pytest.approx(0.1 * usual)
    for amount in observer.scenario.dosage.grid():
        answer, _ = observer.prescribe((known_of(observer, float(amount)),), jnp.zeros(2))
        assert float(answer) == float(amount)


def test_the_correction_that_keeps_a_dose_gives_it() -> None:
    """Also a dose of none, and where the best dose is none."""
    scenario = VANCOMYCIN.value
    for best, before in ((1000.0, 1500.0), (500.0, 250.0), (0.0, 100.0), (100.0, 0.0)):
        by = keeping(scenario, jnp.asarray(best), jnp.asarray(before))
        assert float(changed(scenario, jnp.asarray(best), by)) == pytest.approx(before, abs=1e-2)
    assert float(keeping(scenario, jnp.asarray(250.0), jnp.asarray(5000.0))) == 1.0


def test_the_slow_correction_follows_its_action_with_the_persistence_of_the_look_ahead() -> None:
    """After n decisions of a constant action, 1 - r^n of it, on top of the correction at once."""
    observer = observer_for(VANCOMYCIN)
    memory: tuple[Any, ...] = (known_of(observer, 1000.0),)
    kept, action = persistence(observer.scenario), jnp.asarray([0.25, 0.8])
    for n in range(1, 6):
        answer, memory = observer.prescribe(memory, action)
        expected = 0.8 * (1.0 - kept**n)
        assert float(memory[0].lasting) == pytest.approx(expected, rel=1e-5)
        dose = changed(observer.scenario, jnp.asarray(1000.0), jnp.asarray(0.25 + expected))
        assert abs(float(answer) - float(dose)) <= 125.0 + 1e-3  # half a step of the grid


def test_without_a_correction_the_slow_one_is_forgotten() -> None:
    observer = observer_for(VANCOMYCIN)
    _, memory = observer.prescribe((known_of(observer, 1000.0),), jnp.asarray([0.25, 0.8]))
    answer, after = observer.abstain(memory)
    assert float(answer) == 1000.0
    assert float(after[0].lasting) == 0.0


def test_in_doubt_the_cautious_dose_is_not_corrected() -> None:
    observer = observer_for(VANCOMYCIN)
    answer, _ = observer.prescribe((known_of(observer, 750.0, converged=False),), jnp.asarray([1.0, 1.0]))
    assert float(answer) == 750.0


# --- innovations ---


def record_with(levels: tuple[float, float]) -> Record:
    """After the first interval of vancomycin."""
    scenario = VANCOMYCIN.value
    record = empty_record(
        scenario, {c.name: jnp.full(1, float(c.typical)) for c in scenario.covariates}, jnp.asarray(0.0)
    )
    return eqx.tree_at(
        lambda r: (r.k, r.level, r.known),
        record,
        (jnp.ones((), jnp.int32), record.level.at[0].set(jnp.asarray(levels)), record.known.at[0].set(True)),
    )


@pytest.mark.long
def test_an_innovation_is_0_at_the_median_and_at_most_four() -> None:
    """All support patients predict 20 and 10 mg/L: the place of a level is that of its assay error alone."""
    observer = observer_for(VANCOMYCIN, "published")
    posterior = observer.posterior
    assert posterior is not None
    belief: Ensemble = known_of(observer, 0.0).believed.belief
    cloud = belief.clouds[0]
    size = cloud.log_weight.size
    predicted = jnp.broadcast_to(jnp.asarray([20.0, 10.0])[None, :, None], cloud.pending.shape)
    belief = eqx.tree_at(
        lambda b: (b.clouds[0].pending, b.clouds[0].log_weight), belief, (predicted, jnp.full(size, -np.log(size)))
    )

    def found(*levels: float) -> tuple[float, bool]:
        value, new = innovation(posterior.assumed, observer.scenario, belief, record_with(levels))
        return float(value), bool(new)

    assert found(20.0, 10.0) == (pytest.approx(0.0, abs=1e-3), True)
    assert found(23.0, 11.0)[0] > 0.3
    assert found(23.0, 11.0)[0] == pytest.approx(-found(17.0, 9.0)[0], rel=0.05)
    assert found(4000.0, 4000.0)[0] == pytest.approx(FARTHEST_INNOVATION, rel=1e-2)
    used = eqx.tree_at(lambda b: b.counted, belief, jnp.ones_like(belief.counted))
    value, new = innovation(posterior.assumed, observer.scenario, used, record_with((30.0, 20.0)))
    assert (float(value), bool(new)) == (0.0, False)


# --- an action of nothing ---


@pytest.mark.long
def test_an_action_of_nothing_is_the_dose_of_mipd_ensemble() -> None:
    """Decision by decision, for patients of the believed model; the network before training doses so as well."""
    observer = observer_for(VANCOMYCIN)
    best = trial_of(VANCOMYCIN, reference(VANCOMYCIN, "prior=widened"))
    np.testing.assert_array_equal(trial_of(VANCOMYCIN, fixed(observer, 0.0, 0.0)).dose, best.dose)
    untrained = trial_of(VANCOMYCIN, fixed(observer))
    assert np.mean(untrained.dose == best.dose) > 0.95
    more = trial_of(VANCOMYCIN, fixed(observer, 1.0, 0.0))
    expected = np.minimum(2.0 * best.dose[:, 0] + 100.0, 5000.0)
    assert np.abs(more.dose[:, 0] - expected).max() <= 125.0 + 1e-3


@pytest.mark.long
@pytest.mark.parametrize("task", ["vancomycin", "aminoglycoside"])
def test_an_action_of_nothing_is_the_dose_of_mipd_where_that_is_the_reference(task: str) -> None:
    """Also where dosing intervals are chosen; and what is corrected is not the dose of the support patients."""
    found = find_scenario(task)
    observer = observer_for(found, reference="mipd,prior=widened")
    best = trial_of(found, clinical(found, "mipd,prior=widened"))
    silent = [0.0] * observer.action_bounds[0].size
    np.testing.assert_array_equal(trial_of(found, fixed(observer, *silent)).dose, best.dose)
    assert (trial_of(found, reference(found, "prior=widened")).dose != best.dose).any()


@pytest.mark.long
def test_a_correction_towards_the_support_patients_gives_their_dose() -> None:
    """At the first decision, where both have the same record before them, within half a step of the grid."""
    observer = observer_for(VANCOMYCIN, reference="mipd")
    at = [feature.name for feature in observer.names].index("ensemble_correction")
    trial = trial_of(VANCOMYCIN, Towards(observer.scenario, observer, at))
    best = trial_of(VANCOMYCIN, reference(VANCOMYCIN, "prior=widened"))
    assert (trial.dose[:, 0] == best.dose[:, 0]).all()
    assert (trial_of(VANCOMYCIN, clinical(VANCOMYCIN, "mipd")).dose[:, 0] != best.dose[:, 0]).any()


def test_in_doubt_of_the_estimate_its_dose_is_not_corrected() -> None:
    observer = observer_for(VANCOMYCIN, reference="mipd")
    known = known_of(observer, 750.0)
    for converged in (True, False):
        planned = eqx.tree_at(lambda p: p.belief.converged, known.planned, jnp.asarray(converged))
        answer, _ = observer.prescribe((known._replace(planned=planned),), jnp.asarray([1.0, 0.0]))
        assert (float(answer) == 750.0) == (not converged)


class Towards(Policy):
    """Takes the action that one of its inputs names."""

    scenario: Any = eqx.field(static=True)
    observer: Observer = eqx.field(static=True)
    at: int = eqx.field(static=True)

    @property
    def carries_results(self) -> bool:
        return True

    def init(self, record: Record, truth: Any = None) -> Any:
        return self.observer.init(record)

    def act(self, memory: Any, observation: Record, key: Any) -> Any:
        seen, memory = self.observer(memory, observation)
        return self.observer.prescribe(memory, jnp.stack([seen[self.at], 0.0]))


class Stub:
    """An observer of two numbers whose Bayesian dose is 1,000 mg, and whose corrections add to it."""

    corrects = True

    def init(self, record: Any) -> tuple[Any, ...]:
        return (jnp.zeros(()),)

    def __call__(self, memory: Any, record: Any) -> tuple[Any, Any]:
        return record, memory

    def prescribe(self, memory: Any, action: Any) -> tuple[Any, Any]:
        return 1000.0 + 500.0 * action[0], (memory[0] + 1.0,)

    def abstain(self, memory: Any) -> tuple[Any, Any]:
        return jnp.asarray(1000.0), (jnp.zeros(()),)


def test_far_outside_its_training_a_policy_leaves_the_bayesian_dose_as_it_is() -> None:
    """It always corrects by one; in training the second number was 3 with a standard deviation of 2."""
    networks = init_actor_critic(np.random.default_rng(1), obs_size=2, action_size=1, hidden_sizes=(4,))
    networks.actor_mean.weights[-1][:] = 0.0
    networks.actor_mean.biases[-1][:] = 1.0
    one = np.ones(1, np.float32)
    moments = RunningMoments(np.array([0, 3], np.float32), np.array([1, 4], np.float32), np.float32(1e6))
    policy = PpoPolicy(networks, moments, -one, one, np.float32(10.0), "gaussian", norm_obs=True)
    dosing = PpoDosing(VANCOMYCIN.value, Stub(), policy, abstains=True)  # type: ignore[arg-type]
    memory = dosing.init(jnp.zeros(2))
    for seen, far in ((3.0, False), (3.0 + 1.99 * FAR, False), (3.0 + 2.01 * FAR, True), (3.0 - 2.01 * FAR, True)):
        dose, memory = dosing.act(memory, jnp.array([0.5, seen]), None)
        assert (float(dose), bool(abstained(memory))) == (1000.0 if far else 1500.0, far)
        assert (float(memory[0][0]) == 0.0) == far


def test_what_happens_once_in_every_course_is_not_far() -> None:
    """Inputs that differ at one decision of n only, and random ones of as many numbers: none lies beyond the limit."""
    rng = np.random.default_rng(0)
    for decisions in (2, 14, 37, 38, 90, 480):
        once = np.zeros((1, decisions))
        once[0, 0] = 1.0
        courses = np.concatenate([once, rng.standard_t(1.5, (2000, decisions))])
        far = np.abs(courses - courses.mean(1, keepdims=True)) / courses.std(1, keepdims=True)
        assert far.max() <= far_from(decisions) * (1 + 1e-9)
        assert far_from(decisions) >= FAR
    assert far_from(37) == FAR
    assert far_from(90) == pytest.approx(np.sqrt(89.0))


@pytest.mark.slow  # compiles for a minute
def test_a_trial_counts_the_doses_that_a_policy_left_to_bayesian_dosing() -> None:
    """It always doubles the dose, and met no time after the third decision in training."""
    observer = observer_for(VANCOMYCIN)
    policy = fixed(observer, 1.0, 1.0)
    at = [f.name for f in observer.names].index("time")
    var = np.full(observer.size, 1e12, np.float32)
    var[at] = (2.5 / observer.scenario.schedule.decisions / FAR) ** 2
    moments = RunningMoments(np.zeros_like(var), var, np.float32(1e6))
    trained = eqx.tree_at(lambda p: p.policy.obs_norm, dataclasses.replace(policy, abstains=True), moments)
    trial = trial_of(VANCOMYCIN, trained)
    best = trial_of(VANCOMYCIN, reference(VANCOMYCIN, "prior=widened"))

    assert (trial.abstained == (np.arange(trial.dose.shape[1]) > 2)).all()
    assert (trial.proposal[:, 0] > 1.5 * best.proposal[:, 0]).all()
    assert not best.abstained.any()


@pytest.mark.slow  # compiles for minutes: equations without a closed form
def test_an_action_of_nothing_is_the_dose_of_mipd_ensemble_for_warfarin() -> None:
    best = trial_of(WARFARIN, reference(WARFARIN, "prior=widened,error=assay"))
    same = trial_of(WARFARIN, fixed(observer_for(WARFARIN, error="assay"), 0.0, 0.0))
    np.testing.assert_array_equal(same.dose, best.dose)


@pytest.mark.slow  # traces an integrated model for half a minute
def test_patients_of_a_batch_may_be_at_different_decisions() -> None:
    """As in training, also with so many support patients that a model's equations are solved in groups."""
    scenario = WARFARIN.value
    env = env_of(scenario).make(
        history=2, belief=scenario.models[0], action="residual", support=256, prior="widened", error="assay"
    )
    chance = env.draw(jax.random.key(0), (4,))

    def first(chance: jax.Array) -> jax.Array:
        states, charts = jax.vmap(env.admitted)(chance)
        return jax.vmap(env.begun)(states, charts)[1]

    assert jax.eval_shape(first, chance).shape[0] == 4


@pytest.mark.long
def test_a_policy_may_be_trained_with_fewer_support_patients_than_it_doses_with() -> None:
    given = {"belief": THOMSON, "support": 64, "training_support": 32, "history": 2}
    env = env_of(VANCOMYCIN.value)
    assert env.make(**given).observer.posterior.assumed.members == 32
    used = env.evaluation(given)
    assert env.make(**used).observer.posterior.assumed.members == 64
    with pytest.raises(ConfigError, match="give support"):
        env.make(belief=THOMSON, training_support=32)


# --- the model file ---


def saved(policy: PpoDosing, folder: Path) -> Path:
    """The file that a training on vancomycin with this observer would write."""
    options = {
        "history": 2,
        "belief": THOMSON,
        "action": "residual",
        "support": SUPPORT,
        "prior": "widened",
        "burden": 0.1,
        "randomise": 1.0,
    }
    env = env_of(policy.scenario).make(**options)
    observations = [[f.name, f.unit] for f in env.observation_names]
    record = {"id": VANCOMYCIN.env_id, "options": options, "frame_stack": 1, **describe(env)}
    save_model(
        folder / "agent.pt", policy.policy, env={**record, "observations": observations}, training={}, progress={}
    )
    return folder / "agent.pt"


def test_a_model_file_gives_the_same_policy(tmp_path: Path) -> None:
    """And says no word of a model that was only added to simulate patients."""
    scenario = VANCOMYCIN.value
    policy = fixed(observer_for(VANCOMYCIN))
    path = saved(policy, tmp_path)
    setting = Setting(VANCOMYCIN, model_of(scenario, THOMSON), simulator_of(scenario, THOMSON))
    loaded = dosing_policy(load_model(path), setting, path)
    assert loaded.observer == policy.observer
    assert eqx.tree_equal(loaded.policy.networks, policy.policy.networks)
    assert loaded.carries_results
    assert loaded.believes() == (THOMSON,)
    assert loaded.anytime().observer.scenario.monitoring.intervals is None
    mixture = observer_from(scenario, {"belief": THOMSON, "support": SUPPORT, "prior": "widened"}, "it", (GOTI,))
    assert mixture.posterior is not None
    assert [m.name for m in mixture.posterior.assumed.models] == [THOMSON]


def test_a_model_file_goes_into_an_onnx_file(tmp_path: Path) -> None:
    """With its two actions; the observation stays in Python."""
    onnx = pytest.importorskip("onnx")
    written = export_onnx(saved(fixed(observer_for(VANCOMYCIN)), tmp_path), tmp_path / "agent.onnx")
    graph = onnx.load(written).graph
    assert graph.output[0].type.tensor_type.shape.dim[1].dim_value == 2


@pytest.mark.slow  # compiles the bedside of two policies
def test_at_the_bedside_it_doses_and_forecasts_as_mipd_ensemble(tmp_path: Path) -> None:
    facts = {"crcl_ml_per_min": 60.0, "wt_kg": 80.0}
    found = []
    path = saved(fixed(observer_for(VANCOMYCIN), 0.0, 0.0), tmp_path)
    for policy in (load_policy(path), load_policy(f"mipd-ensemble,members={SUPPORT},prior=widened", "vancomycin")):
        course = policy.start(facts)
        doses = [course.recommend()]
        course.given(doses[0])
        course.observe(6.0, 31.0)
        course.observe(11.0, 19.0)
        doses.append(course.recommend())
        found.append((doses, course.forecast([500.0, 1000.0]).target))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-3)


@pytest.mark.long
def test_the_memory_keeps_its_form() -> None:
    """Shapes and types, so that decisions can follow each other in one compiled loop."""
    observer = observer_for(VANCOMYCIN, "mixture")
    record = record_with((20.0, 10.0))
    first = dataclasses.replace(record, k=jnp.zeros((), jnp.int32))
    before = jax.eval_shape(observer.init, first)
    vector, after = jax.eval_shape(observer, before, record)
    assert vector.shape == (observer.size,)
    assert [leaf.shape for leaf in jax.tree.leaves(after)] == [leaf.shape for leaf in jax.tree.leaves(before)]
    assert [leaf.dtype for leaf in jax.tree.leaves(after)] == [leaf.dtype for leaf in jax.tree.leaves(before)]

"""Rollouts in parts: the same patients, actions and updates as in one, on any number of threads."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from rl_drug_dosage.envs.catalog import find_env, make
from rl_drug_dosage.envs.drug_dose_v0 import make_drug_dose
from rl_drug_dosage.envs.functional import Env, FunctionalEnv
from rl_drug_dosage.envs.mixture import Mixture
from rl_drug_dosage.envs.privileged import with_truth
from rl_drug_dosage.training import compiled, iteration
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.program import CompiledProgram
from rl_drug_dosage.training.rollout_parts import number_of_parts, part_of, together
from rl_drug_dosage.utils.device_shape import DeviceShape, shaped

ENVS = 128
SETTINGS: dict[str, Any] = {
    "env_id": "Chemotherapy-v1",
    "num_envs": ENVS,
    "num_steps": 8,
    "num_minibatches": 2,
    "update_epochs": 1,
    "hidden_size": 8,
}


def ward(*components: dict[str, Any]) -> FunctionalEnv:
    """Patients of chemotherapy, some of whom leave."""
    found = find_env(SETTINGS["env_id"])
    assert isinstance(found, Env)
    return make(found, {"history": 2, "decisions": 30, "mixture": list(components)})


@pytest.fixture(scope="module")
def env() -> FunctionalEnv:
    return ward({}, {"randomise": 1.0})


def trained(env: FunctionalEnv, parts: int, threads: int = 2, updates: int = 4, **settings: Any) -> tuple[Any, Any]:
    """State and report after some updates with the rollout in so many parts."""
    config = TrainConfig(**{**SETTINGS, **settings})
    with pytest.MonkeyPatch.context() as patch, shaped(DeviceShape(threads=threads)):
        for module in (compiled, iteration):
            patch.setattr(module, "number_of_parts", lambda *_: parts)
        program = CompiledProgram(env, config, updates, {})
        state = program.init()
        program.compile(state)
        for _ in range(updates):
            state, report = program(state)
    return jax.device_get(state), jax.device_get(report)


def alike(a: Any, b: Any, **tolerance: float) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


@pytest.fixture(scope="module")
def in_two(env: FunctionalEnv) -> tuple[Any, Any]:
    return trained(env, 2)


@pytest.mark.long
def test_a_rollout_in_parts_is_that_in_one(env: FunctionalEnv, in_two: tuple[Any, Any]) -> None:
    """The same chance for every patient and action, and the same update, to rounding."""
    whole, report = trained(env, 1)
    state, own = in_two
    # Those who left before do not end their course with the others.
    assert report.episodes.ended > 100
    assert np.unique(whole.batch.episode_length).size > 1
    assert own.episodes.ended == report.episodes.ended
    alike(own.episodes, report.episodes, rtol=1e-3)
    alike(state.batch.episode_length, whole.batch.episode_length)
    alike(state.batch.obs, whole.batch.obs, rtol=1e-2, atol=1e-2)
    alike(state.norms, whole.norms, rtol=1e-3, atol=1e-3)
    alike(state.learner.params, whole.learner.params, rtol=1e-2, atol=1e-4)
    np.testing.assert_array_equal(state.key, whole.key)


@pytest.mark.long
def test_the_number_of_threads_changes_nothing(env: FunctionalEnv, in_two: tuple[Any, Any]) -> None:
    alike(trained(env, 2, threads=1), in_two, rtol=0)


@pytest.mark.long
def test_parts_in_one_program_are_the_same(env: FunctionalEnv, in_two: tuple[Any, Any], monkeypatch: Any) -> None:
    """As on an accelerator: the parts have the same patients, so that a run may go on on another device."""
    monkeypatch.setattr(iteration, "on_cores", lambda: False)
    state, report = trained(env, 2)
    assert report.episodes.ended == in_two[1].episodes.ended
    alike(state.batch.state.part, in_two[0].batch.state.part)
    alike(state.batch.episode_length, in_two[0].batch.episode_length)
    alike(state.learner.params, in_two[0].learner.params, rtol=1e-2, atol=1e-4)


@pytest.mark.long
def test_each_of_several_seeds_is_trained_as_alone(env: FunctionalEnv, in_two: tuple[Any, Any]) -> None:
    """With its own patients."""
    state, report = trained(env, 2, seeds=2)
    alone, own = in_two
    assert report.episodes.ended.shape == (2,)
    assert report.episodes.ended[0] == own.episodes.ended
    alike(state.learner.params[0], alone.learner.params, rtol=1e-2, atol=1e-4)
    assert (state.batch.obs[0] != state.batch.obs[1]).any()


@pytest.mark.long
def test_patients_stay_with_their_component_where_components_do_not_divide_a_part() -> None:
    """Three components in parts of 64: 22, 21 and 21 of each part, from the admission on."""
    made = ward({}, {"randomise": 1.0}, {"stress": "double-error"})
    assert isinstance(made, Mixture)
    state, _ = trained(made, 2, updates=1)
    part = np.asarray(state.batch.state.part)
    for own in (part[0::2], part[1::2]):
        assert np.bincount(own).tolist() == [22, 21, 21]
    config = TrainConfig(**SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "number_of_parts", lambda *_: 2)
        start = CompiledProgram(made, config, 1, {}).init()
    np.testing.assert_array_equal(start.batch.state.part, part)


def test_how_many_parts_follows_from_the_environments_alone(env: FunctionalEnv) -> None:
    def parts(env: FunctionalEnv, **settings: Any) -> int:
        return number_of_parts(env, TrainConfig(**{**SETTINGS, **settings}))

    assert [parts(env, num_envs=n) for n in (32, 64, 96, 128, 130, 512, 2048)] == [1, 1, 1, 2, 2, 8, 16]
    assert parts(with_truth(env), num_envs=512) == 8
    assert parts(env, num_envs=512, norm_update="step") == 1
    with shaped(DeviceShape(threads=7)):
        assert parts(env, num_envs=512) == 8
    assert parts(make_drug_dose(), num_envs=512) == 1


@pytest.mark.long
def test_parts_are_put_together_as_they_were_taken() -> None:
    whole = {"a": np.arange(24).reshape(12, 2), "nothing": np.zeros((12, 0))}
    for count in (1, 3, 4):
        each = [part_of(whole, p, count) for p in range(count)]
        np.testing.assert_array_equal(each[-1]["a"][0], whole["a"][count - 1])
        back = together(jax.tree.map(lambda *x: np.stack(x), *each))
        jax.tree.map(np.testing.assert_array_equal, back, whole)
        turned = [part_of(whole["a"].T, p, count, axis=1) for p in range(count)]
        np.testing.assert_array_equal(together(np.stack(turned), axis=1), whole["a"].T)


@pytest.mark.long
def test_new_courses_begin_only_where_they_are_wanted(env: FunctionalEnv) -> None:
    """A row's new course is that of `reset_batch`, whichever other rows begin."""
    chance = np.asarray(env.draw(jax.random.key(3), (ENVS,)))
    state, obs = jax.jit(env.reset_batch)(chance)
    some = jax.jit(env.reset_where)
    for wanted in (np.zeros(ENVS, bool), np.arange(ENVS) % 5 == 3, np.ones(ENVS, bool)):
        own, seen = some(wanted, chance)
        alike(
            jax.tree.map(lambda x, w=wanted: x[w], (own, seen)),
            jax.tree.map(lambda x, w=wanted: x[w], (state, obs)),
            rtol=1e-6,
        )


def wards_that_correct() -> FunctionalEnv:
    """Vancomycin, three decisions, as varied as in training too: what is observed is a belief."""
    found = find_env("Vancomycin-v2")
    assert isinstance(found, Env)
    belief = {"belief": "vancomycin-thomson2009", "support": 16, "action": "residual", "reward": "goal"}
    return with_truth(make(found, {**belief, "decisions": 3, "mixture": [{}, {"randomise": 1.0}]}))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["chart", "belief", "default"])
def test_one_observation_serves_the_step_and_the_new_course(env: FunctionalEnv, kind: str) -> None:
    """Without the final observation everything else is as with it, whoever goes on or begins anew."""
    own = {"chart": lambda: env, "belief": wards_that_correct, "default": make_drug_dose}[kind]()
    count = 32
    state, _ = eqx.filter_jit(lambda e, chance: e.reset_batch(chance))(own, own.draw(jax.random.key(3), (count,)))
    action = np.full((count, own.action_bounds[0].size), 0.4, np.float32)

    @eqx.filter_jit
    def step(e: FunctionalEnv, *args: Any, final: bool) -> Any:
        return e.step_and_reset(*args, final=final)

    ended = 0
    for k in range(own.horizon if own.horizon < 100 else 2):
        chance = own.draw(jax.random.key(10 + k), (count,))
        once, after, seen = step(own, state, action, chance, final=False)
        twice, also_after, also_seen = step(own, state, action, chance, final=True)
        done = np.asarray(once.terminated | once.truncated)
        ended += int(done.sum())
        alike((after, seen), (also_after, also_seen), rtol=1e-5, atol=1e-6)
        alike(once.obs[~done], twice.obs[~done], rtol=1e-5, atol=1e-6)
        others = [each._replace(state=None, obs=None) for each in (once, twice)]
        alike(*others, rtol=1e-6)
        # A final observation is not the first one of another course.
        assert not done.any() or kind == "default" or not np.allclose(twice.obs[done], seen[done])
        state = after
    assert ended >= count or kind == "default"

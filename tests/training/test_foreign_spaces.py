"""Discrete and MultiDiscrete actions, and observations in parts: training, files, evaluation, ONNX, plain Python."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rl_drug_dosage import api
from rl_drug_dosage.errors import BadPluginError, ConfigError, ModelFileError
from rl_drug_dosage.trials.bedside import load_policy
from rl_drug_dosage.trials.export import export_onnx

NAME = "TwoDrugsTest-v0"
BOX = spaces.Box(-10, 10, (2,), np.float32)


class TwoDrugs(gymnasium.Env[Any, Any]):
    """Right is, in each component, 1 above the lowest value if the first number is positive, else the lowest."""

    def __init__(self, action: Any, observation: Any = BOX) -> None:
        self.action_space, self.observation_space = action, observation

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.x = 0, self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), repr(action)
        if not isinstance(self.action_space, spaces.Discrete):
            assert action.dtype == self.action_space.dtype
        lowest = np.ravel(getattr(self.action_space, "start", 0))
        right = np.ravel(action) - lowest == (self.x[0] > 0)
        self.t, self.x = self.t + 1, self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._seen(), float(right.mean()), False, self.t == 8, {}

    def _seen(self) -> Any:
        return _shown(self.observation_space, self.x)


def _shown(space: Any, x: np.ndarray) -> Any:
    """The same two numbers in every form; the sign of the first one where only whole numbers fit."""
    match space:
        case spaces.Dict():
            return {name: _shown(part, x) for name, part in space.spaces.items()}
        case spaces.Tuple():
            return tuple(_shown(part, x) for part in space.spaces)
        case spaces.Discrete():
            return space.start + int(x[0] > 0)
        case spaces.MultiDiscrete():
            return space.start + np.full(space.shape, x[0] > 0, space.dtype)
        case spaces.MultiBinary():
            return np.full(space.shape, x[0] > 0, np.int8)
        case _:
            return np.broadcast_to(x, space.shape).astype(space.dtype)


ACTIONS = {
    "discrete": spaces.Discrete(3),
    "from-minus-2": spaces.Discrete(2, start=-2),
    "two-drugs": spaces.MultiDiscrete([3, 2]),
    "grid": spaces.MultiDiscrete([[2, 3], [4, 2]], start=[[0, 1], [2, -3]]),
    "binary": spaces.MultiBinary(3),
}
OBSERVATIONS = {
    "dict": spaces.Dict({"b": BOX, "a": spaces.Discrete(2)}),
    "nested": spaces.Dict({"x": spaces.Tuple([BOX, spaces.MultiBinary(2)]), "n": spaces.MultiDiscrete([2, 3])}),
    "tuple": spaces.Tuple([spaces.Discrete(3, start=4), BOX]),
    "discrete": spaces.Discrete(2),
    "image": spaces.Box(-10, 10, (3, 2), np.float64),
}
SMALL = {
    "num_envs": 4,
    "num_steps": 64,
    "num_minibatches": 4,
    "update_epochs": 4,
    "total_timesteps": 4096,
    "learning_rate": 1e-2,
    "eval_episodes": 4,
    "eval_freq": 16,
    "hidden_size": 8,
    "gamma": 0.0,
}


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    gymnasium.registry.pop(NAME, None)


def _register(action: Any, observation: Any = BOX) -> None:
    gymnasium.registry.pop(NAME, None)
    make = lambda: TwoDrugs(action, observation)  # noqa: E731
    gymnasium.register(
        NAME,
        entry_point=make,
        vector_entry_point=lambda num_envs: gymnasium.vector.SyncVectorEnv([make] * num_envs),
    )


def _train(tmp_path: Path, **settings: Any) -> Any:
    return api.train(NAME, progress=False, runs_dir=str(tmp_path / "runs"), **{**SMALL, **settings})


@pytest.mark.long
@pytest.mark.parametrize("name", ACTIONS)
def test_discrete_actions_are_learnt_and_everything_takes_the_model(tmp_path, name):
    """At random about half of the components are right, and above 9 of 10 in the end."""
    space = ACTIONS[name]
    _register(space)
    done = _train(tmp_path)
    assert done.summaries[0].mean_reward > 0.9 * 8

    found = api.evaluate(done.model, num_episodes=3, deterministic=False, progress=False)
    assert found.episodes.lengths.tolist() == [8, 8, 8]
    course = load_policy(done.model).start()
    course.observe(0.9, 0.1)
    dose = course.recommend()
    assert np.isin(np.asarray(dose).dtype.kind, ["i", "u"])
    lowest = np.ravel(getattr(space, "start", 0))
    np.testing.assert_array_equal(dose, (lowest + np.ones(np.shape(dose)))[()] if np.ndim(dose) else lowest[0] + 1)
    course.given(*np.ravel(dose).tolist())
    record = load_policy(done.model).model.record["action"]
    kinds = {spaces.Discrete: "discrete", spaces.MultiDiscrete: "multidiscrete", spaces.MultiBinary: "multibinary"}
    assert (record["kind"], record["transform"]) == (kinds[type(space)], "categorical")
    assert record["space"]["shape"] == list(space.shape)


@pytest.mark.long
def test_an_onnx_file_chooses_as_the_policy_does(tmp_path):
    """Two drugs at once, in a runtime that knows nothing of us."""
    onnxruntime = pytest.importorskip("onnxruntime")
    _register(ACTIONS["grid"])
    done = _train(tmp_path, total_timesteps=512)
    session = onnxruntime.InferenceSession(str(export_onnx(done.model, tmp_path / "p.onnx")))
    obs = np.random.default_rng(0).normal(0, 2, (200, 2)).astype(np.float32)
    (got,) = session.run(["action"], {"observation": obs})
    policy = load_policy(done.model).model.policy
    np.testing.assert_array_equal(got, np.stack([policy.to_action(policy.mean(o)[0]) for o in obs]))
    assert got.shape == (200, 4)


@pytest.mark.long
def test_a_vector_environment_takes_discrete_actions(tmp_path):
    """The other collector, with resets in place of steps."""
    for name in ("discrete", "grid"):
        _register(ACTIONS[name], OBSERVATIONS["dict"])
        done = _train(tmp_path / name, total_timesteps=512, vectorization="vector_entry_point")
        assert math.isfinite(done.summaries[0].mean_reward)


@pytest.mark.long
@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observations_in_parts_are_flattened(tmp_path, name):
    """As Gymnasium flattens them; what they say is learnt from."""
    space = OBSERVATIONS[name]
    _register(spaces.Discrete(2), space)
    done = _train(tmp_path)
    assert done.summaries[0].mean_reward > 0.9 * 8
    policy = load_policy(done.model)
    assert policy.observation_size == spaces.utils.flatdim(space)
    course = policy.start()
    course.observe(*spaces.utils.flatten(space, _shown(space, np.float32([0.9, 0.1]))))
    assert course.recommend() == 1


@pytest.mark.long
def test_a_discrete_run_goes_on_bit_for_bit(tmp_path):
    """Stopped by more steps than were planned: the same actions are replayed."""
    _register(ACTIONS["two-drugs"], OBSERVATIONS["nested"])
    whole = _train(tmp_path / "a", total_timesteps=1024, anneal_lr=False, num_steps=30)
    first = _train(tmp_path / "b", total_timesteps=512, anneal_lr=False, num_steps=30)
    second = api.train(resume=first.folder.path, total_timesteps=1024, progress=False)
    a, b = (load_policy(r.model).model.policy.to_tensors() for r in (whole, second))
    assert all(np.array_equal(a[n], b[n]) for n in a)


WRONG = {
    "missing-part": (OBSERVATIONS["dict"], lambda x: {"b": x}, r"observation: keys \['b'\].*\['a', 'b'\]"),
    "no-dict": (OBSERVATIONS["dict"], lambda x: x, "observation: ndarray"),
    "out-of-range": (OBSERVATIONS["dict"], lambda x: {"b": x, "a": 2}, r"observation\['a'\]: int 2, which is not in"),
    "negative": (OBSERVATIONS["discrete"], lambda x: -1, "observation: int -1, which is not in"),
    "too-short": (OBSERVATIONS["tuple"], lambda x: (4,), "observation: tuple"),
    "inner-shape": (OBSERVATIONS["tuple"], lambda x: (4, x[:1]), r"observation\[1\]: shape \(1,\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_part_that_is_not_of_its_space_is_one_line(tmp_path, name):
    """Gymnasium's own flatten takes some of these, and makes other numbers of them."""
    space, broken, message = WRONG[name]

    class Wrong(TwoDrugs):
        def _seen(self) -> Any:
            return broken(self.x)

    gymnasium.register(NAME, entry_point=lambda: Wrong(spaces.Discrete(2), space))
    with pytest.raises(BadPluginError, match=message):
        _train(tmp_path)


@pytest.mark.parametrize(
    ("action", "observation", "message"),
    [
        (spaces.Dict({"a": spaces.Discrete(2)}), BOX, "only a float Box, Discrete, MultiDiscrete and MultiBinary"),
        (spaces.Box(0, 5, (1,), np.int32), BOX, "only a float Box"),
        (spaces.Discrete(2), spaces.Text(4), "has observation space Text"),
        (spaces.Discrete(2), spaces.Dict({"a": spaces.Sequence(BOX)}), "has observation space Dict"),
        (spaces.Discrete(2), spaces.Box(0, 1, (0,)), "no components"),
    ],
)
def test_a_space_that_will_not_do_is_one_line(tmp_path, action, observation, message):
    """It says which ones do."""
    _register(action, observation)
    with pytest.raises(ConfigError, match=message):
        _train(tmp_path)


@pytest.mark.long
def test_a_model_of_choices_is_refused_by_other_actions(tmp_path):
    """Another count of values, or a dose."""
    _register(spaces.Discrete(3))
    done = _train(tmp_path, total_timesteps=256)
    for other in (spaces.Discrete(4), spaces.Box(0, 2, (1,), np.float32)):
        _register(other)
        with pytest.raises(ModelFileError, match="another version of that environment"):
            api.evaluate(done.model, progress=False)

"""DrugDose-v0 as Gymnasium sees it: registration, the checkers, one environment and many, and their agreement."""

import itertools
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import rl_drug_dosage  # noqa: F401 - registers the environments
from rl_drug_dosage.envs.drug_dose_v0 import make_drug_dose
from rl_drug_dosage.envs.faces import DrugDoseEnv, SingleEnv, VectorisedEnv, make_vector_env
from rl_drug_dosage.errors import ConfigError, UnknownNameError

ID = "DrugDose-v0"
TRAINING = {"noise_std": 0.01, "k_range": (0.03, 0.08)}
MODES = list(AutoresetMode)


def vector(num_envs: int = 3, mode: AutoresetMode = AutoresetMode.SAME_STEP, **options: Any) -> VectorisedEnv:
    return make_vector_env("drug_dose_v0", num_envs=num_envs, autoreset_mode=mode, **{**TRAINING, **options})


def script(code: str) -> str:
    """What a fresh interpreter prints, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- registration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["gymnasium, rl_drug_dosage", "rl_drug_dosage, gymnasium"])
def test_importing_both_packages_registers_in_either_order(order: str) -> None:
    """And Gymnasium's own import is left as it was: its loader, its place in sys.meta_path."""
    code = f"""
import sys
finders = list(sys.meta_path)
import {order}
print("{ID}" in gymnasium.registry, sys.meta_path == finders, type(gymnasium.__spec__.loader).__name__)
import importlib; importlib.reload(rl_drug_dosage)
print([name for name in gymnasium.registry if name.startswith("DrugDose")])
"""
    assert script(code).splitlines() == ["True True SourceFileLoader", f"['{ID}']"]


def test_importing_the_package_imports_nothing_heavy() -> None:
    """No JAX or Matplotlib comes with ``import rl_drug_dosage``: of the heavy ones only Gymnasium, to register with."""
    code = """
import sys, rl_drug_dosage
print(sorted({"jax", "matplotlib", "equinox", "optax", "diffrax"} & set(sys.modules)))
"""
    assert script(code) == "[]"


def test_gymnasium_makes_it_by_name_with_options() -> None:
    """Single and vector entry points, options handed on, an unknown one refused by its nearest name."""
    env = gymnasium.make(ID, k=0.2, max_dose=0.5)
    assert isinstance(env.unwrapped, SingleEnv)
    assert env.action_space == gymnasium.spaces.Box(0.0, 0.5, (1,), np.float32)
    assert float(env.unwrapped.functional.k_low) == np.float32(0.2)
    with pytest.raises(UnknownNameError, match="did you mean 'noise_std'"):
        gymnasium.make(ID, noise=0.1)
    with pytest.raises(ConfigError, match="k must be a fraction"):
        gymnasium.make(ID, k=2.0)
    batch = gymnasium.make_vec(ID, num_envs=4, vectorization_mode="vector_entry_point", k=0.2)
    assert isinstance(batch, VectorisedEnv)
    assert batch.observation_space.shape == (4, 1)
    assert gymnasium.make_vec(ID, num_envs=4).observation_space.shape == (4, 1)


def test_the_class_can_be_used_without_the_registry() -> None:
    """``DrugDoseEnv(k=...)`` is the environment without Gymnasium's wrappers."""
    env = DrugDoseEnv(c0=2.5)
    assert env.reset(seed=0)[0].tolist() == [2.5]
    assert env.step(np.zeros(1, np.float32))[1] == 1.0


# --- the checkers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, TRAINING, {"k": 0.0, "horizon": 3}], ids=str)
def test_gymnasiums_checker_has_no_complaint(options: dict[str, Any]) -> None:
    """Not even a warning, rendering included."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(ID, render_mode="rgb_array", disable_env_checker=True, **options)
        check_env(env.unwrapped)
        passive = gymnasium.make(ID, **options)
        passive.reset(seed=1)
        for _ in range(100):
            *_, truncated, _ = passive.step(passive.action_space.sample())
        assert truncated


SB3 = """
import warnings
import gymnasium, numpy, rl_drug_dosage
from stable_baselines3.common.env_checker import check_env
one = numpy.ones(1, numpy.float32)  # of the space's precision: Gymnasium warns where it has to cast
for wrap in (lambda env: env, lambda env: gymnasium.wrappers.RescaleAction(env, -one, one)):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(wrap(gymnasium.make("DrugDose-v0", noise_std=0.01, k_range=(0.03, 0.08))))
    print(len(caught), *("symmetric" in str(w.message) for w in caught))
"""


@pytest.mark.torch
def test_stable_baselines3s_checker_has_no_complaint(torch_python: str) -> None:
    """But its advice to use a symmetric action space, and none at all behind Gymnasium's RescaleAction."""
    command = [torch_python, "-c", SB3]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 True", "0"]


# --- one environment -------------------------------------------------------------------------------------------------


def course(seed: int | None, *, doses: np.ndarray, env: SingleEnv | None = None) -> np.ndarray:
    """Observations and rewards of one episode."""
    env = env or DrugDoseEnv(**TRAINING)
    rows = [[float(env.reset(seed=seed)[0][0]), 0.0]]
    for dose in doses:
        obs, reward, *_ = env.step(np.float32([dose]))
        rows.append([float(obs[0]), float(reward)])
    return np.array(rows)


def test_a_seed_repeats_its_episode_and_others_differ() -> None:
    """Bit for bit; without a new seed the next episode is another one."""
    doses = np.linspace(0, 1, 20)
    np.testing.assert_array_equal(course(3, doses=doses), course(3, doses=doses))
    assert (course(3, doses=doses) != course(4, doses=doses)).any()
    env = DrugDoseEnv(**TRAINING)
    first, second = course(3, doses=doses, env=env), course(None, doses=doses, env=env)
    assert (first != second).any()


def test_one_environment_is_the_functional_one_under_the_same_chance() -> None:
    """Each reset and step draws two numbers from Gymnasium's generator, and they decide everything."""
    env, functional = DrugDoseEnv(**TRAINING), make_drug_dose(**TRAINING)
    obs, _ = env.reset(seed=5)
    rng = np.random.default_rng(5)

    def chance() -> jax.Array:
        return functional.draw(jax.random.wrap_key_data(rng.integers(2**32, size=2, dtype=np.uint32)), ())

    state, expected = functional.reset(chance())
    np.testing.assert_array_equal(obs, expected)
    for dose in np.linspace(0, 1, 10, dtype=np.float32):
        obs, reward, terminated, truncated, info = env.step(dose[None])
        out = functional.step(state, dose[None], chance())
        state = out.state
        np.testing.assert_allclose(obs, out.obs, rtol=1e-6)
        assert reward == pytest.approx(float(out.reward), rel=1e-6)
        assert (terminated, truncated) == (bool(out.terminated), bool(out.truncated))
        assert info["in_range"] == bool(out.in_range)
        assert (info["concentration"], info["dose"]) == (pytest.approx(float(obs[0])), float(dose))


@pytest.mark.parametrize("dose", [-1e-6, 1.0001, np.nan, np.inf])
def test_a_dose_outside_the_bounds_is_refused(dose: float) -> None:
    """Named, with the bounds; never clipped on the quiet. The episode is where it was."""
    env = DrugDoseEnv()
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=r"^dose .* is outside \[0.0, 1.0\]: clip it yourself") as caught:
        env.step(np.float32([dose]))
    assert repr(float(np.float32(dose))) in str(caught.value)
    assert env.step(np.float32([1.0]))[0].tolist() == [1.0]
    batch = vector()
    batch.reset(seed=0)
    with pytest.raises(ConfigError, match="is outside"):
        batch.step(np.float32([[0.5], [dose], [0.5]]))


def test_an_action_of_another_shape_is_refused() -> None:
    """A bare number or two doses are not one dose."""
    env = DrugDoseEnv()
    env.reset(seed=0)
    for action in (np.float32(0.5), np.float32([0.5, 0.5])):
        with pytest.raises(ConfigError, match=r"shape \(1,\)"):
            env.step(action)


def test_stepping_before_a_reset_is_refused() -> None:
    """Both shells say so."""
    for env, action in ((DrugDoseEnv(), np.zeros(1)), (vector(), np.zeros((3, 1)))):
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(action)


def test_rendering_draws_a_picture_that_follows_the_course() -> None:
    """uint8 [480, 640, 3], before the first step too; another course is another picture; other modes are refused."""
    env = DrugDoseEnv(render_mode="rgb_array")
    pictures = []
    for dose in (0.0, 1.0):
        env.reset(seed=0)
        start = env.render()
        for _ in range(5):
            env.step(np.float32([dose]))
        pictures += [start, env.render()]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape == (480, 640, 3)
        assert picture.std() > 5
    assert (pictures[0] == pictures[2]).all()
    assert (pictures[1] != pictures[3]).any()
    assert DrugDoseEnv().render() is None
    with pytest.raises(ConfigError, match="render_mode"):
        DrugDoseEnv(render_mode="human")


# --- many at once ----------------------------------------------------------------------------------------------------


def roll(env: VectorisedEnv, steps: int, seed: int = 7, dose: float = 0.11) -> list[dict[str, Any]]:
    """Transitions as (episode, start, end, reward, ..) of each environment, under whichever autoreset mode."""
    obs, _ = env.reset(seed=seed)
    resetting, episode = np.zeros(env.num_envs, bool), np.zeros(env.num_envs, int)
    rows = []
    for _ in range(steps):
        nxt, reward, terminated, truncated, info = env.step(np.full((env.num_envs, 1), dose, np.float32))
        final, done = nxt.copy(), terminated | truncated
        if env.autoreset_mode is AutoresetMode.SAME_STEP and done.any():
            np.testing.assert_array_equal(info["_final_obs"], done)
            final[done] = np.stack(info["final_obs"][done])
        rows += [
            {"env": i, "episode": episode[i], "from": obs[i, 0], "to": final[i, 0], "reward": reward[i]}
            | {"terminated": terminated[i], "truncated": truncated[i], "in_range": info["in_range"][i]}
            for i in np.flatnonzero(~resetting)
        ]
        for i in np.flatnonzero(resetting):
            assert reward[i] == 0.0
            assert not done[i]
            assert not info["_in_range"][i]
        if env.autoreset_mode is AutoresetMode.NEXT_STEP:
            resetting = done
        elif env.autoreset_mode is AutoresetMode.DISABLED and done.any():
            nxt, _ = env.reset(options={"reset_mask": done})
        episode += done
        obs = nxt
    return rows


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m.name)
def test_every_autoreset_mode_is_declared(mode: AutoresetMode) -> None:
    """In the metadata, for a mode given as itself or by its value; the default of ``make_vec`` too."""
    assert vector(mode=mode).metadata["autoreset_mode"] is mode
    assert vector(mode=mode.value).metadata["autoreset_mode"] is mode
    batch = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point")
    assert batch.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    chosen = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point", autoreset_mode=mode)
    assert chosen.metadata["autoreset_mode"] is mode


def test_the_autoreset_modes_tell_one_story() -> None:
    """SAME_STEP and DISABLED give the same episodes for the same seed, step for step; NEXT_STEP the same first one."""
    options = {"horizon": 4, "c0": 1.8, "k_range": (0.0, 0.2)}
    stories = {mode: roll(vector(mode=mode, **options), 12) for mode in MODES}
    assert stories[AutoresetMode.SAME_STEP] == stories[AutoresetMode.DISABLED]
    assert len(stories[AutoresetMode.SAME_STEP]) == 36
    first = [[row for row in story if row["episode"] == 0] for story in stories.values()]
    assert first[0] == first[1] == first[2]
    # 4 steps and a reset, twice, then two more: 10 transitions in each of 3 environments
    assert len(stories[AutoresetMode.NEXT_STEP]) == 30
    for story in stories.values():
        for i in range(3):
            own = [row for row in story if row["env"] == i]
            assert [row["truncated"] for row in own] == [t % 4 == 3 for t in range(len(own))]
            for before, after in itertools.pairwise(own):
                assert after["from"] == (np.float32(1.8) if before["truncated"] else before["to"])
        assert not any(row["terminated"] for row in story)


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m.name)
def test_a_batch_has_the_dynamics_of_one(mode: AutoresetMode) -> None:
    """Every transition obeys ``C (1 - k) + dose`` with one k an episode; reward and flag follow from where it led."""
    rows = roll(vector(mode=mode, noise_std=0.0, horizon=5, c0=2.0, k_range=(0.03, 0.08)), 14)
    ks: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        ks.setdefault((row["env"], row["episode"]), []).append(1 - (row["to"] - np.float32(0.11)) / row["from"])
        inside = 2.0 <= row["to"] <= 3.0
        assert row["in_range"] == inside
        assert row["reward"] == pytest.approx(1.0 if inside else -(2.0 - row["to"]), abs=1e-5)
    means = [np.mean(k) for k in ks.values()]
    assert all(np.ptp(k) < 1e-5 for k in ks.values())
    assert all(0.03 - 1e-5 <= k <= 0.08 + 1e-5 for k in means)
    assert np.unique(np.round(means, 4)).size == len(means)


def test_seeds_of_a_batch() -> None:
    """The same seed repeats; one number means consecutive ones; the batch's size changes no member's episode."""
    one, again, other = (roll(vector(), 5, seed=seed) for seed in (3, 3, 30))
    assert one == again
    assert one != other
    listed = vector()
    listed.reset(seed=[3, 4, 5])
    counted = vector()
    counted.reset(seed=3)
    steps = [env.step(np.full((3, 1), 0.5, np.float32))[0] for env in (listed, counted)]
    np.testing.assert_array_equal(*steps)
    assert [row["to"] for row in roll(vector(2), 5, seed=3)] == [row["to"] for row in one if row["env"] < 2]
    with pytest.raises(ConfigError, match="seed must be one number or 3"):
        vector().reset(seed=[1, 2])


def test_a_partial_reset_leaves_the_others_alone() -> None:
    """Only who is masked starts anew; a finished one that is not reset stops the batch in DISABLED mode."""
    env = vector(mode=AutoresetMode.DISABLED, horizon=3, c0=1.0)
    env.reset(seed=0)
    dose = np.full((3, 1), 0.5, np.float32)
    after = env.step(dose)[0]
    obs, _ = env.reset(options={"reset_mask": np.array([True, False, False])})
    np.testing.assert_array_equal(obs[1:], after[1:])
    assert obs[0] == 1.0
    env.step(dose)
    truncated = env.step(dose)[3]
    assert truncated.tolist() == [False, True, True]
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"\[1, 2\]"):
        env.step(dose)
    env.reset(options={"reset_mask": truncated})
    assert env.step(dose)[3].tolist() == [True, False, False]
    with pytest.raises(ConfigError, match="reset_mask must have shape"):
        env.reset(options={"reset_mask": np.array([True])})


def test_what_a_batch_hands_out_is_not_its_own() -> None:
    """Writing into an observation changes nothing inside."""
    one, other = vector(), vector()
    for env in (one, other):
        obs, _ = env.reset(seed=0)
        if env is one:
            obs[:] = 99.0
    np.testing.assert_array_equal(*(env.step(np.full((3, 1), 0.5, np.float32))[0] for env in (one, other)))


def test_a_batch_refuses_what_it_cannot_do() -> None:
    """No environments, and no pictures."""
    with pytest.raises(ConfigError, match="num_envs must be 1 or more, not 0"):
        vector(0)
    with pytest.raises(ConfigError, match="render_mode must be None"):
        make_vector_env("drug_dose_v0", render_mode="rgb_array")

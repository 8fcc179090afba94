"""DrugDose-v0 as pure functions: dynamics and reward by hand, chance by its statistics, options by their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.envs import catalog
from rl_drug_dosage.envs.drug_dose_v0 import ENV, DrugDose, DrugDoseState, make_drug_dose
from rl_drug_dosage.envs.functional import Step
from rl_drug_dosage.errors import ConfigError, UnknownNameError

TRAINING = {"noise_std": 0.01, "k_range": (0.03, 0.08)}

step = jax.jit(lambda env, state, action, chance: env.step(state, action, chance))


@jax.jit
def courses(env: DrugDose, key: jax.Array, dose: jax.Array, steer: jax.Array) -> tuple[jax.Array, Step]:
    """Episodes of 100 steps of 500 patients: a fixed dose, or (``steer``) one that knows k and aims at the middle."""
    start, chance = jax.random.split(jax.random.wrap_key_data(key))
    state, _ = jax.vmap(env.reset)(env.draw(start, (500,)))

    def one(state: DrugDoseState, chance: jax.Array) -> tuple[DrugDoseState, Step]:
        aimed = jnp.clip(0.5 * (env.c_min + env.c_max) - state.concentration * (1 - state.k), 0.0, env.max_dose)
        out = jax.vmap(env.step)(state, jnp.where(steer, aimed, dose)[:, None], chance)
        return out.state, out

    return state, jax.lax.scan(one, state, env.draw(chance, (100, 500)))[1]


def run(env: DrugDose, dose: float = 0.0, *, steer: bool = False, seed: int = 0) -> tuple[np.ndarray, Step]:
    return jax.device_get(courses(env, np.uint32([0, seed]), np.float32(dose), steer))


def test_the_defaults_are_the_specifications() -> None:
    """k 0.05, max_dose 1, window 2 to 3, horizon 100, C0 0, no noise; training adds noise 0.01 and k from 0.03-0.08."""
    assert ENV.options() == {
        "k": 0.05,
        "max_dose": 1.0,
        "c_min": 2.0,
        "c_max": 3.0,
        "horizon": 100,
        "c0": 0.0,
        "noise_std": 0.0,
        "k_range": None,
    }
    assert dict(ENV.training_options) == TRAINING
    env = make_drug_dose()
    assert (env.window.low, env.window.high, env.horizon) == (2.0, 3.0, 100)
    assert [b.tolist() for b in env.action_bounds] == [[0.0], [1.0]]
    assert env.observation_bounds[0].tolist() == [0.0]


@pytest.mark.parametrize(
    ("c", "dose", "noise", "after", "reward"),
    [
        (1.0, 0.5, 0.0, 1.4, -0.6),  # 1 x 0.9 + 0.5, 0.6 below the window
        (2.0, 0.5, 0.0, 2.3, 1.0),  # in the window
        (3.0, 1.0, 0.0, 3.7, -0.7),  # 0.7 above it
        (2.0, 0.7, 1.0, 3.0, 1.0),  # 1.8 + 0.7 + 0.5: the edge belongs to the window
        (2.0, 0.7, -1.0, 2.0, 1.0),  # and so does the other one
        (0.1, 0.0, -2.0, 0.0, -2.0),  # 0.09 - 1 is cut at 0
    ],
)
def test_dynamics_and_reward_by_hand(c: float, dose: float, noise: float, after: float, reward: float) -> None:
    """``C (1 - k) + dose + noise`` with k = 0.1 and noise_std 0.5; +1 inside, minus the distance outside."""
    env = make_drug_dose(k=0.1, noise_std=0.5)
    out = step(
        env, DrugDoseState(np.float32(c), np.float32(0.1), np.int32(3)), np.float32([dose]), np.float32([noise, 0.9])
    )
    assert float(out.obs[0]) == pytest.approx(after, abs=1e-6)
    assert float(out.reward) == pytest.approx(reward, abs=1e-6)
    assert bool(out.in_range) == (reward == 1.0)
    np.testing.assert_allclose(out.state, [after, 0.1, 4], atol=1e-6)


def test_an_episode_is_truncated_at_the_horizon_and_never_terminates() -> None:
    """The end of the horizon is a time limit: truncated in step 100, and only there."""
    _, out = run(make_drug_dose(**TRAINING), 0.1)
    assert not out.terminated.any()
    assert out.truncated[-1].all()
    assert not out.truncated[:-1].any()


def test_the_course_without_noise_is_the_geometric_sum() -> None:
    """``C_n = D (1 - (1 - k)^n) / k`` for a dose D every step from 0, and C0 (1 - k)^n without doses."""
    n = np.arange(1, 101)
    _, out = run(make_drug_dose(), 0.12)
    np.testing.assert_allclose(out.obs[:, 0, 0], 0.12 * (1 - 0.95**n) / 0.05, rtol=1e-5)
    _, out = run(make_drug_dose(c0=4.0), 0.0)
    np.testing.assert_allclose(out.obs[:, 7, 0], 4.0 * 0.95**n, rtol=1e-5)


def test_k_is_drawn_once_per_episode_from_its_range() -> None:
    """500 patients spread evenly over [0.03, 0.08], each keeping its k; a fixed k has no spread."""
    start, out = run(make_drug_dose(**TRAINING), 0.1)
    k = start.k
    assert 0.03 <= k.min() < 0.031
    assert 0.079 < k.max() <= 0.08
    assert k.mean() == pytest.approx(0.055, abs=3 * 0.05 / np.sqrt(12 * 500))
    np.testing.assert_array_equal(out.state.k, np.broadcast_to(k, (100, 500)))
    assert (run(make_drug_dose(k=0.2))[0].k == np.float32(0.2)).all()


def test_the_noise_is_white_with_the_deviation_asked_for() -> None:
    """What the dynamics leave unexplained: mean 0, deviation 0.3, no memory, no relation between patients."""
    env = make_drug_dose(c0=50.0, noise_std=0.3)
    start, out = run(env, 1.0)
    before = np.concatenate([start.concentration[None], out.state.concentration[:-1]])
    noise = (out.state.concentration - (before * 0.95 + 1.0)) / 0.3
    assert noise.mean() == pytest.approx(0.0, abs=4 / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * noise.size))
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(0.0, abs=4 / np.sqrt(noise.size))
    assert (noise[:, 1:] * noise[:, :-1]).mean() == pytest.approx(0.0, abs=4 / np.sqrt(noise.size))
    assert np.mean(np.abs(noise) > 1.959964) == pytest.approx(0.05, abs=0.005)


def test_the_same_seed_repeats_and_another_differs() -> None:
    """Bit for bit, patients and noise."""
    env = make_drug_dose(**TRAINING)
    first, again, other = (run(env, 0.1, seed=seed)[1].obs for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99


def test_no_policy_beats_98_of_100_steps_and_an_oracle_reaches_them() -> None:
    """Two doses of 1 cannot lift 0 to the window for any k > 0; who knows k is inside from the third step on."""
    _, out = run(make_drug_dose(k_range=(0.03, 0.08)), steer=True)
    np.testing.assert_array_equal(out.in_range.sum(0), 98)
    _, fastest = run(make_drug_dose(k_range=(0.03, 0.08)), 1.0)
    assert not fastest.in_range[:2].any()
    _, noisy = run(make_drug_dose(**TRAINING), steer=True)
    assert noisy.in_range[2:].all()


def test_no_dose_and_full_dose_both_fail() -> None:
    """Doing nothing is never in range, and the highest dose overshoots within a few steps."""
    env = make_drug_dose(**TRAINING)
    assert not run(env, 0.0)[1].in_range.any()
    assert run(env, 1.0)[1].in_range.mean() < 0.02


@given(st.floats(0, 1), st.floats(0.01, 100), st.floats(0, 1), st.floats(0, 50), st.floats(0, 2), st.floats(-5.4, 5.4))
def test_every_observation_lies_in_the_declared_bounds(
    k: float, max_dose: float, share: float, c0: float, noise_std: float, noise: float
) -> None:
    """Whatever the options and the chance: never below 0, and never above what doses and noise can add up to."""
    env = make_drug_dose(k=k, max_dose=max_dose, c0=c0, noise_std=noise_std, horizon=100)
    state = DrugDoseState(np.float32(c0), np.float32(k), np.int32(0))
    low, high = env.observation_bounds
    for _ in range(3):
        out = step(env, state, np.float32([share * np.float32(max_dose)]), np.float32([noise, 0.0]))
        state = out.state
        assert low <= state.concentration <= high


def test_the_highest_dose_without_elimination_stays_in_the_declared_bounds() -> None:
    """100 doses of 0.1 add up to a hair more than 10 in single precision; the bound has to know."""
    env = make_drug_dose(k=0.0, max_dose=0.1)
    _, out = run(env, 0.1)
    assert out.obs.max() <= env.observation_bounds[1][0]


NUMBERS = ("k", "max_dose", "c_min", "c_max", "c0", "noise_std")
REFUSED = [
    *((name, value) for name in NUMBERS for value in (float("nan"), float("inf"), "1", None, True, [1.0])),
    *(("k", value) for value in (-0.01, 1.01)),
    *(("max_dose", value) for value in (0.0, -1.0)),
    *(("c_min", value) for value in (-0.1,)),
    *(("c_max", value) for value in (2.0, 1.0)),
    *(("c0", value) for value in (-0.1,)),
    *(("noise_std", value) for value in (-0.1,)),
    *(("horizon", value) for value in (0, -5, 1_000_001, 100.0, "100", True, None)),
    *(("k_range", value) for value in ((0.08, 0.03), (0.1,), (0.1, 0.2, 0.3), (-0.1, 0.5), (0.5, 1.1), 0.05, "ab")),
    *(("k_range", value) for value in ((float("nan"), 0.5), (True, 1), (None, 0.1))),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=repr)
def test_options_that_make_no_sense_are_refused(name: str, value: object) -> None:
    """One line that names the option and what came."""
    with pytest.raises(ConfigError) as caught:
        make_drug_dose(**{name: value})  # type: ignore[arg-type]
    message = str(caught.value)
    assert name in message
    assert repr(value) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_dose", 1e39), ("c0", 1e39), ("c_max", 10**400), ("max_dose", 1e-50), ("c_max", 2.0 + 1e-12)],
    ids=["huge dose", "huge c0", "huge whole number", "tiny dose", "no width"],
)
def test_numbers_that_single_precision_cannot_tell_from_forbidden_ones_are_refused(name: str, value: float) -> None:
    """Too large for a float32, or equal to the limit once rounded: the one-line refusal, not a broken environment."""
    with pytest.raises(ConfigError, match=name):
        make_drug_dose(**{name: value})  # type: ignore[arg-type]


def test_the_limits_themselves_are_allowed() -> None:
    """k of 0 and 1, a window from 0, one step, no noise, a range of no width, whole numbers."""
    narrow = make_drug_dose(k=0, c_min=0, horizon=1, noise_std=0, k_range=(0.5, 0.5))
    assert (float(narrow.k_low), float(narrow.k_high), float(narrow.c_min), narrow.horizon) == (0.5, 0.5, 0.0, 1)
    wide = make_drug_dose(k=1, max_dose=5, k_range=[0, 1])  # type: ignore[arg-type]
    assert (float(wide.k_low), float(wide.k_high), float(wide.max_dose)) == (0.0, 1.0, 5.0)
    assert [float(make_drug_dose(k=k).k_low) for k in (0, 1)] == [0.0, 1.0]


def test_an_unknown_option_gets_the_nearest_name() -> None:
    """``noise`` is answered with ``noise_std``."""
    with pytest.raises(UnknownNameError, match="unknown environment option 'noise': did you mean 'noise_std'"):
        ENV.make(noise=0.1)


def test_the_catalogue_lists_and_describes_it() -> None:
    """Found by its public id alone, with the units, window and horizon that a model file records."""
    assert "DrugDose-v0" in catalog.ids()
    assert catalog.find_env("DrugDose-v0") is ENV
    assert catalog.find_env("DrugDose-v9") is None
    assert catalog.describe(catalog.make(ENV, {"c_max": 4.0, "horizon": 7})) == {
        "units": {"time": "steps", "concentration": "a.u.", "dose": "a.u."},
        "window": [2.0, 4.0],
        "window_of": {"output": "concentration", "metric": "value", "unit": "a.u."},
        "horizon": 7,
    }


def test_a_changed_number_compiles_nothing() -> None:
    """Options are array leaves: a thousand environments share one program."""
    before = step._cache_size()
    for k in (0.1, 0.2, 0.3):
        step(make_drug_dose(k=k, c_max=3 + k), np.float32([1, k, 0]), np.float32([0.5]), np.float32([0, 0]))
    assert step._cache_size() - before <= 1

"""The memory of a memoryless policy: a window over past observations and actions."""

import jax
import numpy as np
import pytest

from rl_drug_dosage.envs import catalog
from rl_drug_dosage.envs.drug_dose_v0 import ENV, make_drug_dose
from rl_drug_dosage.envs.history_stack import HistoryStack

step = jax.jit(lambda env, state, action, chance: env.step(state, action, chance))


@pytest.mark.parametrize("size", [2, 3, 7])
def test_the_stack_equals_stacking_by_hand(size: int) -> None:
    """Ten steps: newest first, observations then actions, padded with the first observation and the lowest action."""
    inner = make_drug_dose(c0=1.5, horizon=10, noise_std=0.1)
    env = HistoryStack(inner, size)
    rng = np.random.default_rng(0)
    chance = np.asarray(inner.draw(jax.random.key(0), (11,)))
    state, obs = env.reset(chance[0])
    inner_state, inner_obs = inner.reset(chance[0])
    observations, actions = [float(inner_obs[0])] * size, [0.0] * (size - 1)
    np.testing.assert_array_equal(obs, np.float32([1.5] * size + [0.0] * (size - 1)))
    for t in range(1, 11):
        action = rng.random(1, dtype=np.float32)
        out, expected = step(env, state, action, chance[t]), step(inner, inner_state, action, chance[t])
        state, inner_state = out.state, expected.state
        observations = [float(expected.obs[0]), *observations][:size]
        actions = [float(action[0]), *actions][: size - 1]
        np.testing.assert_array_equal(out.obs, np.float32([*observations, *actions]))
        for name in ("reward", "terminated", "truncated", "in_range"):
            assert getattr(out, name) == getattr(expected, name)
        assert float(env.concentration(state)) == observations[0]
        np.testing.assert_array_equal(state.inner, inner_state)


def test_the_stack_declares_its_bounds() -> None:
    """As many observation bounds as observations, then those of the actions; the rest is the inner one's."""
    env = catalog.make(ENV, {"max_dose": 0.5}, frame_stack=3)
    inner = make_drug_dose(max_dose=0.5)
    low, high = env.observation_bounds
    np.testing.assert_array_equal(low, np.zeros(5))
    np.testing.assert_array_equal(high, np.float32([*[inner.observation_bounds[1][0]] * 3, 0.5, 0.5]))
    assert [b.tolist() for b in env.action_bounds] == [[0.0], [0.5]]
    assert (env.horizon, env.window, env.axes) == (inner.horizon, inner.window, inner.axes)


def test_a_stack_of_one_is_the_environment_itself() -> None:
    """Nothing is wrapped, and wrapped all the same it shows nothing else."""
    assert type(catalog.make(ENV, {}, frame_stack=1)).__name__ == "DrugDose"
    state, obs = HistoryStack(make_drug_dose(c0=2.0), 1).reset(np.zeros(2, np.float32))
    assert obs.tolist() == [2.0]
    assert state.stack.tolist() == [2.0]

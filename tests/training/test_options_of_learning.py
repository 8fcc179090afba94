"""Memory, a critic that is told the truth, and a limit on harm: tasks whose best answers are known."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.envs.functional import Axis, FunctionalEnv, Quantity, Step, Window
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.episodes import run_compiled
from rl_drug_dosage.training.plan import make_plan
from rl_drug_dosage.training.program import CompiledProgram
from rl_drug_dosage.training.report import scalars
from rl_drug_dosage.training.task import make_program
from rl_drug_dosage.types import Array
from rl_drug_dosage.utils.seeding import Stream

STEPS = 4


class Recall(FunctionalEnv):
    """A number from 0 to 1 is shown at the start (or never), and asked for at the end: reward -(action - number)^2.

    With ``harmful`` instead: reward is the action and harm its square, at every step.
    """

    shown: bool = eqx.field(static=True, default=True)
    harmful: bool = eqx.field(static=True, default=False)

    @property
    def horizon(self) -> int:
        return STEPS

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(2, np.float32), np.ones(2, np.float32)

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(1, np.float32), np.ones(1, np.float32)

    @property
    def window(self) -> Window:
        return Window(0.0, 1.0, Quantity("number", "value", "1"))

    @property
    def axes(self) -> Mapping[str, Axis]:
        return {name: Axis(name, "1") for name in ("time", "concentration", "dose")}

    def draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return jax.random.uniform(key, (*shape, 1))

    def reset(self, chance: Array) -> tuple[Array, Array]:
        return jnp.stack([jnp.zeros(()), chance[0]]), jnp.stack([jnp.zeros(()), chance[0] * self.shown])

    def step(self, state: Array, action: Array, chance: Array) -> Step:
        k, number = state[0] + 1.0, state[1]
        last = k >= STEPS
        reward = action[0] if self.harmful else jnp.where(last, -((action[0] - number) ** 2), 0.0)
        obs = jnp.stack([k / STEPS, jnp.zeros(())])
        no = jnp.asarray(False)
        return Step(jnp.stack([k, number]), obs, reward, no, last, no, harm=action[0] ** 2)

    def concentration(self, state: Array) -> Array:
        return state[1]

    def truth(self, state: Array) -> Array:
        return state[1:]


def train(env: FunctionalEnv, **settings: Any) -> tuple[CompiledProgram, Any, list[dict[str, float]]]:
    """A short training on it."""
    usual = {"num_envs": 128, "num_steps": STEPS, "num_minibatches": 4, "update_epochs": 4, "learning_rate": 3e-3}
    config = TrainConfig(**{**usual, "hidden_size": 16, "bootstrap_truncation": False, **settings})
    plan = make_plan(config)
    program = CompiledProgram(env, config, plan.num_updates, {})
    state = program.init()
    program.compile(state)
    logged = []
    for _ in range(plan.num_updates):
        state, report = program(state)
        logged.append(scalars(jax.device_get(report), 0, config, 1.0))
    return program, state, logged


def error(program: CompiledProgram, state: Any) -> float:
    """Mean squared error of the answers to 500 questions, deterministic policy."""
    policy = program.policies(state)[0]
    return -float(run_compiled(program._evaluated, policy, seed=1, stream=Stream.TUNE, episodes=500).returns.mean())


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_only_a_memory_can_answer(seed: int) -> None:
    """Without one the best guess is 1/2, whose error is 1/12 = 0.083; with one most of it goes."""
    settings = {"total_timesteps": 60_000, "seed": seed}
    without = error(*train(Recall(), **settings)[:2])
    assert without == pytest.approx(1 / 12, abs=0.01)
    assert error(*train(Recall(), memory="gru", memory_size=16, **settings)[:2]) < 0.3 * without


@pytest.mark.long
def test_a_critic_that_is_told_explains_what_another_cannot() -> None:
    """The number is never shown: its critic explains nothing without the truth, and the policy file needs none."""
    settings = {"total_timesteps": 100_000, "seed": 1, "gae_lambda": 1.0}
    variance = {}
    for told in (False, True):
        program, state, logged = train(Recall(shown=False), privileged_critic=told, **settings)
        variance[told] = np.mean([row["losses/explained_variance"] for row in logged[-10:]])
        policy = program.policies(state)[0]
        assert policy.obs_size == 2
        assert error(program, state) == pytest.approx(1 / 12, abs=0.015)
    assert variance[False] < 0.1
    assert variance[True] > 0.4


@pytest.mark.long
def test_harm_is_held_to_its_limit_at_the_right_price() -> None:
    """Reward a, harm a^2, limit 0.25: a = 1/2 at a price of 1/(2a) = 1; without a limit a goes to 1.

    The policy that acts is stochastic: its mean harm is what is held, so the mean action stays a little below 1/2.
    """
    settings = {"total_timesteps": 150_000, "seed": 1, "gamma": 0.0, "learning_rate": 1e-3, "anneal_lr": False}
    _, _, free = train(Recall(harmful=True), **settings)
    assert "charts/harm_rate" not in free[-1]
    assert free[-1]["charts/episodic_return"] / STEPS > 0.9
    _, _, held = train(Recall(harmful=True), harm_limit=0.25, harm_lr=0.05, **settings)
    rate, price = (np.mean([row[f"charts/{n}"] for row in held[-80:]]) for n in ("harm_rate", "harm_multiplier"))
    assert rate == pytest.approx(0.25, abs=0.03)
    assert price == pytest.approx(1.0, abs=0.25)


def test_minibatches_of_a_memory_are_whole_environments() -> None:
    """Fewer environments than minibatches: one line with the numbers."""
    with pytest.raises(ConfigError, match="num_minibatches 32 do not divide num_envs 8, but with --memory gru"):
        make_plan(TrainConfig(num_envs=8, num_steps=64, memory="gru"))


@pytest.mark.long
@pytest.mark.parametrize("option", [{"memory": "gru"}, {"privileged_critic": True}, {"harm_limit": 0.1}])
def test_other_peoples_environments_have_none_of_it(option: dict[str, Any]) -> None:
    """A named refusal, not a setting that does nothing."""
    settings = {"num_envs": 4, "num_steps": 8, "num_minibatches": 4, "total_timesteps": 32}
    with pytest.raises(ConfigError, match=next(iter(option)).replace("_", "-")):
        make_program(make_plan(TrainConfig(env_id="Pendulum-v1", **settings, **option)))

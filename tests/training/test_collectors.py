"""Other people's environments: what reaches the learner is what happened, whoever resets them and however they end."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.ppo.distribution import to_action
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.gym_envs import BatchStep, EnvBatch, SeparateEnvs, VectorEnvs
from rl_drug_dosage.training.gym_make import make_batch, make_one
from rl_drug_dosage.training.gym_program import GymProgram
from rl_drug_dosage.training.report import scalars

MakeConfig = Callable[..., TrainConfig]
MODES = list(AutoresetMode)
COUNTER = "CountingTest-v0"
NUM_ENVS = 3
STEPS = 16


class Counting(gymnasium.Env[np.ndarray, np.ndarray]):
    """Episode e of environment n counts its n + 2 + e steps; even episodes terminate, odd ones are truncated.

    The observation is [e, steps], the reward 10 e + steps + action, and every second step is in range.
    """

    observation_space = gymnasium.spaces.Box(0.0, 1e6, (2,), np.float32)
    action_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)

    def __init__(self, number: int = 0, endless: bool = False) -> None:
        self.number, self.endless, self.episode, self.steps = number, endless, -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return np.float32([self.episode, 0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        done = self.steps == self.number + 2 + self.episode and not self.endless
        reward = 10.0 * self.episode + self.steps + float(action[0])
        obs = np.float32([self.episode, self.steps])
        return (
            obs,
            reward,
            done and self.episode % 2 == 0,
            done and self.episode % 2 == 1,
            {"in_range": self.steps % 2 == 0},
        )


def sync_vector(mode: AutoresetMode = AutoresetMode.NEXT_STEP, num_envs: int = NUM_ENVS) -> SyncVectorEnv:
    return SyncVectorEnv([lambda n=n: Counting(n) for n in range(num_envs)], autoreset_mode=mode)


@pytest.fixture(scope="module", autouse=True)
def counting() -> Iterator[None]:
    """Counting as somebody else's registered environment, single and vectorised."""
    gymnasium.register(
        COUNTER, entry_point=Counting, vector_entry_point=lambda num_envs: sync_vector(num_envs=num_envs)
    )
    yield
    del gymnasium.registry[COUNTER]


BATCHES: dict[str, Callable[[], EnvBatch]] = {
    "separate": lambda: SeparateEnvs([Counting(n) for n in range(NUM_ENVS)], seed=0),
    **{mode.name: lambda mode=mode: VectorEnvs(sync_vector(mode), seed=0) for mode in MODES},
}


def history(number: int, count: int) -> list[tuple[Any, ...]]:
    """The first transitions of environment ``number`` by what its docstring says; the dose is 0.25."""
    rows: list[tuple[Any, ...]] = []
    episode = 0
    while len(rows) < count:
        length = number + 2 + episode
        for step in range(1, length + 1):
            last = step == length
            kind = (last and episode % 2 == 0, last and episode % 2 == 1)
            start = (episode + 1, 0) if last else (episode, step)
            rows.append(((episode, step - 1), (episode, step), start, 10 * episode + step + 0.25, *kind, step % 2 == 0))
        episode += 1
    return rows[:count]


def roll(batch: EnvBatch, steps: int) -> tuple[list[np.ndarray], list[BatchStep]]:
    before, outs = [batch.reset()], []
    for _ in range(steps):
        outs.append(batch.step(np.full((NUM_ENVS, 1), 0.25, np.float32)))
        before.append(outs[-1].obs)
    return before, outs


# --- one story, whoever resets ----------------------------------------------------------


@pytest.mark.parametrize("name", BATCHES)
def test_every_way_of_batching_gives_the_transitions_that_happened(name: str) -> None:
    """Each valid step leads from where it began to its true final observation, and ends as it ended."""
    before, outs = roll(BATCHES[name](), STEPS)
    for n in range(NUM_ENVS):
        own = []
        for start, out in zip(before, outs, strict=False):
            assert out.reward.dtype == np.float64
            if out.valid[n]:
                own.append(
                    (tuple(start[n]), tuple(out.final_obs[n]), out.reward[n], out.terminated[n], out.truncated[n])
                )
            else:
                # a reset in place of a step: from the last observation of one episode to the first of the next
                assert not (out.terminated[n] | out.truncated[n])
                assert (start[n][0] + 1, 0.0) == tuple(out.final_obs[n])
        expected = [(a, b, reward, *kind) for a, b, _, reward, *kind, _ in history(n, len(own))]
        assert own == expected
        endings = sum(row[3] or row[4] for row in own)
        assert endings >= 2
        assert len(own) == sum(out.valid[n] for out in outs)
        assert (len(own) < STEPS) == (name == "NEXT_STEP")


@pytest.mark.parametrize("name", BATCHES)
def test_a_new_episode_starts_where_the_environment_says(name: str) -> None:
    """``obs`` is where the next step begins: after an ending the reset, but in NEXT_STEP mode one call later."""
    _, outs = roll(BATCHES[name](), STEPS)
    for n in range(NUM_ENVS):
        starts = [tuple(out.obs[n]) for out in outs if out.valid[n]]
        expected = [tuple(map(float, b if name == "NEXT_STEP" else c)) for _, b, c, *_ in history(n, len(starts))]
        assert starts == expected


@pytest.mark.parametrize("name", BATCHES)
def test_the_share_in_range_counts_every_step(name: str) -> None:
    """The last step of an episode is in range or not like any other."""
    _, outs = roll(BATCHES[name](), STEPS)
    for n in range(NUM_ENVS):
        flags = [bool(out.in_range[n]) for out in outs if out.valid[n]]
        assert flags == [row[-1] for row in history(n, len(flags))]


def program(make: MakeConfig, name: str, **changes: Any) -> GymProgram:
    """A program on ``Counting`` behind one of the batches."""
    config = make(env_id=COUNTER, **{"num_envs": NUM_ENVS, "num_steps": STEPS, **changes})
    made = GymProgram(config, 2)
    made.envs = BATCHES[name]()
    return made


@pytest.mark.parametrize("name", BATCHES)
def test_episodic_returns_are_there_in_every_mode(tiny_config: MakeConfig, name: str) -> None:
    """Count, returns and lengths of the episodes that ended, over two rollouts with episodes running across."""
    made = program(tiny_config, name)
    state = made.init()
    got = np.zeros(3)
    actions, valid = [], []
    for _ in range(2):
        transitions, _, state, stats = made._collect(state)
        got += stats.ended, stats.return_sum, stats.length_sum
        actions.append(to_action(transitions.u, *made.bounds, "tanh-gaussian")[..., 0])
        valid.append(transitions.valid > 0)
        assert transitions.done.sum() == stats.ended
    expected = np.zeros(3)
    for n in range(NUM_ENVS):
        doses = np.concatenate(actions)[:, n][np.concatenate(valid)[:, n]]
        total = length = 0.0
        for dose, (*_, reward, terminated, truncated, _) in zip(doses, history(n, len(doses)), strict=True):
            total, length = total + reward - 0.25 + dose, length + 1
            if terminated or truncated:
                expected += 1, total, length
                total = length = 0.0
        assert (state.episode_return[n], state.episode_length[n]) == (pytest.approx(total), length)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got[0] > 6


@pytest.mark.long
def test_resets_in_place_of_steps_are_not_learnt_from(tiny_config: MakeConfig) -> None:
    """A whole iteration in Gymnasium's default mode: neither statistics, nor losses, nor returns see the resets."""
    made = GymProgram(tiny_config(env_id=COUNTER, num_steps=8, vectorization="vector_entry_point"), 2)
    assert made.learner.settings.masked
    state = made.init()
    made.compile(state)
    transitions, *_ = GymProgram._collect(made, state)
    made.envs = VectorEnvs(sync_vector(), seed=0)
    state, report = made(made.init())

    valid = transitions.valid > 0
    assert 0 < (~valid).sum() == transitions.done[:-1].sum()
    seen = transitions.obs[valid]
    np.testing.assert_allclose(state.norms.obs_latest.mean, seen.mean(0), rtol=1e-4)
    np.testing.assert_allclose(state.norms.obs_latest.var, seen.var(0), rtol=1e-3, atol=1e-4)
    assert state.norms.obs_latest.count == pytest.approx(valid.sum(), abs=1e-3)
    assert state.norms.returns.count == pytest.approx(valid.sum(), abs=1e-3)
    values = scalars(report, 0, made._config, 1.0)
    assert values["charts/episodic_length"] == pytest.approx(transitions.valid.sum() / transitions.done.sum(), rel=0.5)
    assert "charts/episodic_return" in values
    assert np.isfinite(values["losses/value_loss"])


@pytest.mark.parametrize(
    "name",
    [
        *("separate", "SAME_STEP", "DISABLED"),
        "NEXT_STEP",
    ],
)
def test_every_observation_enters_the_statistics_once(tiny_config: MakeConfig, name: str) -> None:
    """Normalising step by step: the starts, each step's observation, and each reset's; of returns only real steps."""
    made = program(tiny_config, name, norm_update="step")
    transitions, norms, *_ = made._collect(made.init())
    resets = (transitions.valid == 0).sum() if name == "NEXT_STEP" else transitions.done.sum()
    assert resets > 0
    assert norms.obs.count == pytest.approx(NUM_ENVS + transitions.valid.sum() + resets, abs=1e-2)
    assert norms.returns.count == pytest.approx(transitions.valid.sum(), abs=1e-2)


def test_gymnasiums_own_normalisers_agree_step_by_step(tiny_config: MakeConfig) -> None:
    """Normalising each step, one environment: the observations of NormalizeObservation, across endings too."""
    config = {"num_envs": 1, "num_steps": 40, "norm_update": "step", "clip_obs": 1e9}
    made = GymProgram(tiny_config(env_id=COUNTER, **config), 2)
    transitions, norms, *_ = made._collect(made.init())
    wrapped = NormalizeObservation(Counting())
    obs, _ = wrapped.reset()
    for t in range(40):
        np.testing.assert_allclose(transitions.obs[t, 0], obs, rtol=2e-4, atol=2e-5)
        obs, _, terminated, truncated, _ = wrapped.step(np.zeros(1))
        np.testing.assert_allclose(transitions.next_obs[t, 0], obs, rtol=2e-4, atol=2e-5)
        assert transitions.done[t, 0] == (terminated or truncated)
        if terminated or truncated:
            obs, _ = wrapped.reset()
    np.testing.assert_allclose(norms.obs.mean, wrapped.obs_rms.mean, rtol=1e-4)
    np.testing.assert_allclose(norms.obs.var, wrapped.obs_rms.var, rtol=1e-4)


def test_gymnasiums_reward_scaling_agrees_step_by_step(tiny_config: MakeConfig) -> None:
    """The rewards of NormalizeReward in one long episode (over the end of one, Gymnasium's sum runs on)."""
    config = {"num_envs": 1, "num_steps": 40, "norm_update": "step", "env_kwargs": '{"endless": true}', "gamma": 0.9}
    made = GymProgram(tiny_config(env_id=COUNTER, **config), 2)
    transitions, norms, *_ = made._collect(made.init())
    wrapped = NormalizeReward(Counting(endless=True), gamma=0.9)
    wrapped.reset()
    doses = to_action(transitions.u, *made.bounds, "tanh-gaussian")[:, 0]
    expected = [wrapped.step(dose)[1] for dose in doses]
    np.testing.assert_allclose(transitions.reward[:, 0], expected, rtol=1e-4)
    assert norms.returns.var == pytest.approx(wrapped.return_rms.var, rel=1e-4)


def test_separate_environments_replay_exactly() -> None:
    """A snapshot in the middle of episodes brings back observation, episode and future, bit for bit."""

    def make(seed: int = 4) -> SeparateEnvs:
        return SeparateEnvs([gymnasium.make("Pendulum-v1", max_episode_steps=n) for n in (5, 7)], seed)

    rng = np.random.default_rng(0)
    actions = rng.uniform(-2, 2, (20, 2, 1)).astype(np.float32)
    batch = make()
    batch.reset()
    for action in actions[:12]:
        last = batch.step(action)
    snapshot = batch.snapshot()
    assert snapshot["lengths"].tolist() == [2, 5]
    assert snapshot["episode"].tolist() == [2, 1]
    kept = {name: array.copy() for name, array in snapshot.items()}

    other = make()
    np.testing.assert_array_equal(other.restore(snapshot, last.obs), last.obs)
    for action in actions[12:]:
        stepped = batch.step(action)
        for one, two in zip(stepped, other.step(action), strict=True):
            np.testing.assert_array_equal(one, two)
    for name, array in kept.items():
        np.testing.assert_array_equal(snapshot[name], array)
    again = make()
    again.restore(batch.snapshot(), stepped.obs)
    assert all(np.array_equal(a, b) for a, b in zip(again.snapshot().values(), batch.snapshot().values(), strict=True))
    fresh, same, different = make().reset(), make().reset(), make(5).reset()
    np.testing.assert_array_equal(fresh, same)
    assert (fresh != different).any()
    assert (fresh[0] != fresh[1]).any()


def test_a_vector_environment_has_to_declare_its_mode() -> None:
    """Guessing would mix up endings."""
    envs = sync_vector()
    envs.metadata = {}
    with pytest.raises(ConfigError, match="autoreset_mode"):
        VectorEnvs(envs, 0)


class Unsuitable(Counting):
    """Counting with another space."""

    def __init__(self, action: Any = None, observation: Any = None) -> None:
        super().__init__()
        self.action_space = action or Counting.action_space
        self.observation_space = observation or Counting.observation_space


def test_environments_that_will_not_do_are_refused(tiny_config: MakeConfig) -> None:
    """An unknown name gets the nearest one; spaces that are not boxes or not bounded, and bad options, are named."""
    with pytest.raises(UnknownNameError, match="did you mean 'Pendulum-v1'"):
        make_one("Pendulum-v", {})
    with pytest.raises(ConfigError, match=r"Pendulum-v1 cannot be made: .*no_such_option"):
        make_one("Pendulum-v1", {"no_such_option": 1})
    endless = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    cases = [
        ({"observation": gymnasium.spaces.Text(3)}, "has observation space"),
        ({"action": gymnasium.spaces.Dict({"a": Counting.action_space})}, "has action space Dict"),
        ({"action": gymnasium.spaces.Box(0, 5, (1,), np.int32)}, "only a float Box"),
        ({"action": endless}, "use --policy gaussian-raw"),
    ]
    for spaces, message in cases:
        gymnasium.register("UnsuitableTest-v0", entry_point=lambda spaces=spaces: Unsuitable(**spaces))
        try:
            with pytest.raises(ConfigError, match=message):
                make_batch(tiny_config(env_id="UnsuitableTest-v0"))
            if "gaussian-raw" in message:
                made = make_batch(tiny_config(env_id="UnsuitableTest-v0", policy="gaussian-raw"))
                assert np.isinf(made.actions.policy_bounds).all()
        finally:
            del gymnasium.registry["UnsuitableTest-v0"]
    for option in ({"seeds": 2}, {"frame_stack": 2}):
        with pytest.raises(ConfigError, match="is for our compiled environments"):
            GymProgram(tiny_config(env_id=COUNTER, **option), 1)

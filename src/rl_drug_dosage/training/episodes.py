"""Run a policy on held-out episodes: one compiled call for our environments, a plain loop for other environments."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray

from rl_drug_dosage.envs.functional import Axis, FunctionalEnv, Window
from rl_drug_dosage.ppo.distribution import to_action
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.config import EVAL_MAX_STEPS
from rl_drug_dosage.training.gym_contract import Contract
from rl_drug_dosage.training.gym_spaces import action_space_of
from rl_drug_dosage.types import Array
from rl_drug_dosage.utils.seeding import Stream, generator, key_for

__all__ = ["Episodes", "Scores", "Summary", "cut_note", "run_compiled", "run_gymnasium", "summarize"]


@dataclass(frozen=True)
class Scores:
    """What a trial makes of its patients, who count to the end of the course even if they leave before it.

    Args:
        returns: sum of the rewards of all intervals.
        in_range_pct: the primary endpoint: the share of the judged intervals, or of their points, inside every target.
        share: of each interval's points.
        judged: the intervals that count.
    """

    returns: Float[np.ndarray, " episode"]
    in_range_pct: Float[np.ndarray, " episode"]
    share: Float[np.ndarray, "episode time"]
    judged: Bool[np.ndarray, " time"]


@dataclass(frozen=True)
class Episodes:
    """The courses of some episodes, padded to the longest; ``valid`` marks the steps that were taken.

    Args:
        concentration: at the start and after each step.
        dose: given at the start of each step.
        reward: of each step.
        in_range: the concentration after the step was in the window.
        valid: the step was taken.
        axes: names and units of time, concentration and dose.
        windows: the therapeutic windows; none where the environment knows none.
        metrics: what each window is about, in each step; no rows where that is the concentration.
        scores: of a trial's patients, in place of what the steps that were taken add up to.
        cut: how many were ended by the limit on evaluation steps, not by their environment.
    """

    concentration: Float[np.ndarray, "episode time+1"]
    dose: Float[np.ndarray, "episode time"]
    reward: Float[np.ndarray, "episode time"]
    in_range: Bool[np.ndarray, "episode time"]
    valid: Bool[np.ndarray, "episode time"]
    axes: dict[str, Axis]
    windows: tuple[Window, ...]
    metrics: Float[np.ndarray, "window episode time"]
    scores: Scores | None = None
    cut: int = 0

    @property
    def on_course(self) -> tuple[Window, ...]:
        """The windows that are about the values of ``concentration``."""
        return tuple(w for w in self.windows if w.quantity.is_on(self.axes["concentration"]))

    @property
    def apart(self) -> tuple[tuple[Window, Float[np.ndarray, "episode time"]], ...]:
        """The other windows, each with what it is about."""
        pairs = zip(self.windows, self.metrics, strict=False)
        return tuple((w, values) for w, values in pairs if w not in self.on_course)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Every step of every episode as columns, units in their names.

        ``concentration_*`` is the one that the dose was chosen on, ``next_concentration_*`` the one after the step,
        which ``reward`` and ``in_range`` are about. ``time_*`` is that of the dose. In a dosing scenario ``in_range``
        is the share of the interval's points in every target, and ``judged`` says which intervals count. What windows
        are about and the concentration does not show, such as ``auc24_mg_h_per_l``, comes last.
        """
        time, concentration, dose = (self.axes[name].column for name in ("time", "concentration", "dose"))
        episode, step = np.nonzero(self.valid)
        inside = (self.in_range if self.scores is None else self.scores.share)[episode, step]
        found = {
            "episode": episode + 1,
            time: step,
            concentration: self.concentration[episode, step],
            dose: self.dose[episode, step],
            f"next_{concentration}": self.concentration[episode, step + 1],
            "reward": self.reward[episode, step],
            "in_range": inside if np.any(inside % 1.0) else inside.astype(int),
        }
        if self.scores is not None:
            found["judged"] = self.scores.judged[step].astype(int)
        return found | {window.quantity.column: values[episode, step] for window, values in self.apart}

    @property
    def returns(self) -> Float[np.ndarray, " episode"]:
        """Total reward of each episode."""
        if self.scores is not None:
            return self.scores.returns
        return np.where(self.valid, self.reward, 0.0).sum(1, dtype=np.float64)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each episode."""
        return self.valid.sum(1)

    @property
    def in_range_pct(self) -> Float[np.ndarray, " episode"]:
        """Percentage of each episode's steps that ended in the window; NaN where there is none."""
        if self.scores is not None:
            return self.scores.in_range_pct
        if not self.windows:
            return np.full(len(self.valid), np.nan)
        return 100.0 * (self.in_range & self.valid).sum(1) / self.lengths


@dataclass(frozen=True)
class Summary:
    """Means over episodes, under the names that are logged.

    ``episodes_cut`` counts those that the limit on evaluation steps ended: their returns are of their first part.
    """

    mean_reward: float
    std_reward: float
    mean_length: float
    in_range_pct: float
    episodes_cut: int = 0

    def metrics(self) -> dict[str, float]:
        """``eval/*``; the window's share is left out where there is no window, the count where nothing was cut."""
        values = {f"eval/{name}": value for name, value in vars(self).items() if name != "episodes_cut" or value}
        return {name: value for name, value in values.items() if not np.isnan(value)}


def summarize(episodes: Episodes) -> Summary:
    """Mean and population standard deviation of the return, mean length, mean percentage of time in the window."""
    returns = episodes.returns
    return Summary(
        float(returns.mean()),
        float(returns.std()),
        float(episodes.lengths.mean()),
        float(episodes.in_range_pct.mean()),
        episodes.cut,
    )


def cut_note(env_id: str, cut: int, episodes: int) -> str:
    """What to say of episodes that the limit on evaluation steps ended."""
    return (
        f"evaluation: {cut} of {episodes} episodes of {env_id} had not ended at the limit of steps and were cut, so "
        "that their returns are of the part before it: --eval-max-steps moves the limit, by default "
        f"{EVAL_MAX_STEPS:,} where an environment declares none; gymnasium.wrappers.TimeLimit declares one"
    )


def run_compiled(
    env: FunctionalEnv, policy: PpoPolicy, *, seed: int, stream: Stream, episodes: int, deterministic: bool = True
) -> Episodes:
    """All episodes of one of our environments in one compiled call.

    Args:
        env: the environment.
        policy: the policy.
        seed: with ``stream``, decides the patients and their chance; streams never meet.
        stream: what the episodes are for.
        episodes: how many.
        deterministic: take the mean action instead of a sample.
    """
    run = partial(_rollouts, horizon=env.horizon, episodes=episodes, deterministic=deterministic)
    key = jax.random.key_data(key_for(seed, stream))
    concentration, dose, reward, in_range, valid, metrics = (np.asarray(x) for x in run(env, policy, key))
    return Episodes(
        concentration.T, dose.T, reward.T, in_range.T, valid.T, dict(env.axes), env.windows, metrics.transpose(2, 1, 0)
    )


@eqx.filter_jit
def _rollouts(
    env: FunctionalEnv, policy: PpoPolicy, key: jax.Array, *, horizon: int, episodes: int, deterministic: bool
) -> tuple[Array, ...]:
    reset_key, chance_key, action_key = jax.random.split(jax.random.wrap_key_data(key), 3)
    state, obs = env.reset_batch(env.draw(reset_key, (episodes,)))
    start = jax.vmap(env.concentration)(state)
    memory = policy.networks.start((episodes,))
    step_keys = jax.random.split(chance_key, horizon), jax.random.split(action_key, horizon)

    def step(carry: Any, keys: tuple[PRNGKeyArray, PRNGKeyArray]) -> tuple[Any, tuple[Array, ...]]:
        state, obs, memory, alive = carry
        # one call for the whole cohort: a batched matrix product instead of a vmapped one
        action, memory = policy.act(memory, obs, None if deterministic else keys[1])
        out = env.step_batch(state, jnp.asarray(action), env.draw(keys[0], (episodes,)))
        concentration = jax.vmap(env.concentration)(out.state)
        metrics = jnp.reshape(jnp.asarray(out.metrics, jnp.float32), (episodes, -1))
        dose = action[:, 0] if out.dose is None else out.dose
        record = (concentration, dose, out.reward, out.in_range, alive, metrics)
        return (out.state, out.obs, memory, alive & ~(out.terminated | out.truncated)), record

    _, (concentration, *rest) = jax.lax.scan(step, (state, obs, memory, jnp.ones(episodes, bool)), step_keys)
    return jnp.concatenate([start[None], concentration]), *rest


def run_gymnasium(
    make: Callable[[], Any],
    policy: PpoPolicy,
    *,
    seed: int,
    stream: Stream,
    episodes: int,
    deterministic: bool = True,
    max_steps: int = 0,
) -> Episodes:
    """Episodes of any Gymnasium environment, one after the other.

    The first component of the observation stands in for the concentration, and the first of the action for the dose.

    Args:
        make: makes the environment.
        policy: the policy, with NumPy leaves.
        seed: with ``stream`` and the episode's number, decides the seed of each reset.
        stream: what the episodes are for.
        episodes: how many.
        deterministic: take the mean action instead of a sample.
        max_steps: an episode that has not ended by then is cut, and counted in ``Episodes.cut``; 0: after
            ``EVAL_MAX_STEPS`` where the environment declares no time limit.

    Raises:
        BadPluginError: the environment breaks Gymnasium's contract.
    """
    env = make()
    name = _name_of(env)
    contract, actions = Contract(name, env.observation_space), action_space_of(name, env.action_space)
    act, limit = policy.on_host(), max_steps or _limit_of(env)
    bounds = policy.low, policy.high, policy.kind
    give = policy.to_action if policy.choices else lambda u: to_action(u, *bounds)
    courses, cut = [], 0
    try:
        for episode in range(episodes):
            rng = generator(seed, stream, episode)
            obs = contract.reset(env, int(rng.integers(2**31)))
            course: list[tuple[float, ...]] = []
            start, done, memory = obs[0], False, policy.start()
            while not done and len(course) < limit:
                u, memory = act(obs, memory)
                if not deterministic:
                    u = policy.sampled(u, rng)
                action = actions.to_env(give(u))
                out = contract.step(env, action)
                obs, done = out.obs, out.terminated or out.truncated
                course.append((obs[0], np.ravel(action)[0], out.reward, out.in_range > 0))
            courses.append((start, np.array(course, np.float64)))
            cut += not done
    finally:
        env.close()
    return _pad(courses, cut)


def _limit_of(env: Any) -> float:
    """Where nobody says how long an episode may be: none if the environment has a time limit of its own."""
    return float("inf") if env.spec is not None and env.spec.max_episode_steps else EVAL_MAX_STEPS


def _name_of(env: Any) -> str:
    return str(env.spec.id) if env.spec is not None else type(env).__name__


def _pad(courses: list[tuple[float, np.ndarray]], cut: int) -> Episodes:
    longest = max(len(course) for _, course in courses)
    table = np.full((4, len(courses), longest), np.nan)
    for i, (_, course) in enumerate(courses):
        table[:, i, : len(course)] = course.T
    valid = ~np.isnan(table[2])
    concentration = np.column_stack([[start for start, _ in courses], table[0]])
    axes = {
        "time": Axis("time", "steps"),
        "concentration": Axis("observation", "first"),
        "dose": Axis("action", "first"),
    }
    none = np.zeros((0, *valid.shape))
    inside = valid & (table[3] > 0)
    return Episodes(concentration, table[1], table[2], inside, valid, axes, (), none, cut=cut)

"""Training on other people's environments, whatever they do: a right result, or one line that says what is wrong."""

import json
import re
import signal
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from rl_drug_dosage import api
from rl_drug_dosage.errors import BadPluginError, ConfigError, RlDrugDosageError
from rl_drug_dosage.ppo.action_space import ActionSpace
from rl_drug_dosage.training.task import Task, again, find_task
from rl_drug_dosage.trials.bedside import load_policy

SMALL = {
    "num_envs": 2,
    "num_steps": 64,
    "num_minibatches": 4,
    "update_epochs": 2,
    "total_timesteps": 384,
    "eval_episodes": 1,
    "hidden_size": 4,
}
NAME = "CaseTest-v0"


class Case(gymnasium.Env[np.ndarray, np.ndarray]):
    """Two numbers drift towards what is given; an episode has 20 steps."""

    low, high, dtype, horizon = 0.0, 1.0, np.float32, 20

    def __init__(self) -> None:
        self.observation_space = Box(-10, 10, (2,))
        self.action_space: Any = Box(self.low, self.high, (1,), self.dtype)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.x = 0, self.np_random.uniform(-1, 1, 2)
        return self.x.astype(np.float32), {}

    def step(self, a: np.ndarray) -> Any:
        self.t, self.x = self.t + 1, 0.9 * self.x + 0.1 * float(a[0])
        return self.x.astype(np.float32), float(-abs(a[0] - 0.05)), False, self.t >= self.horizon, {}


@pytest.fixture
def registered() -> Iterator[Callable[[type], str]]:
    """Registers an environment as somebody's, and gives its name."""

    def register(cls: type) -> str:
        gymnasium.register(NAME, entry_point=cls)
        return NAME

    yield register
    gymnasium.registry.pop(NAME, None)


class Notes:
    """What a run says, and a place to act while it runs."""

    def __init__(self, then: Callable[[int], None] = lambda count: None) -> None:
        self.lines: list[str] = []
        self._then = then

    def __call__(self, text: str, share: float | None) -> None:
        self.lines.append(text)
        if share is not None and "steps" in text:
            self._then(len([t for t in self.lines if " steps, " in t]))

    def having(self, part: str) -> list[str]:
        return [line for line in self.lines if part in line]


def train(tmp_path: Path, env: str, *, notes: Notes | None = None, **settings: Any) -> Any:
    options = {**SMALL, "runs_dir": str(tmp_path / "runs"), **settings}
    return api.train(env, progress=notes or Notes(), **options)  # type: ignore[arg-type]


# --- actions in the space (case 15) -----------------------------------------------------


def strict(low: Any, high: Any, dtype: type, shape: tuple[int, ...] = (1,)) -> type:
    """An environment that takes no action outside its space, not by one bit."""

    class Strict(Case):
        def __init__(self) -> None:
            super().__init__()
            self.action_space = Box(np.full(shape, low, dtype), np.full(shape, high, dtype), shape, dtype)

        def step(self, a: np.ndarray) -> Any:
            assert self.action_space.contains(a), repr(a)
            assert a.dtype == self.action_space.dtype
            return super().step(np.ravel(a))

    return Strict


SPACES = {
    "float64": (0.0, 0.1, np.float64),
    "from-above": (0.1, 0.7, np.float64),
    "negative": (-0.3, -0.1, np.float64),
    "float16": (0.1, 0.3, np.float16),
    "fixed": (0.1, 0.1, np.float64),
}


@pytest.mark.long
@pytest.mark.parametrize("policy", ["gaussian", "tanh-gaussian", "gaussian-raw"])
@pytest.mark.parametrize("name", SPACES)
def test_every_action_is_in_the_space_and_of_its_type(tmp_path, registered, name, policy):
    """In training, in its evaluations, in `evaluate`, sampled or not, and from `load_policy`."""
    low, high, dtype = SPACES[name]
    env = registered(strict(low, high, dtype))
    done = train(tmp_path, env, policy=policy, init_logstd=2.0, total_timesteps=128, eval_freq=1)
    assert done.complete
    for deterministic in (True, False):
        api.evaluate(done.model, num_episodes=2, deterministic=deterministic, progress=False)
    course = load_policy(done.model).start()
    for x in (-1e6, 0.0, 1e6):
        course.observe(x, x)
        dose = course.recommend()
        assert float(dtype(low)) <= dose <= float(dtype(high))
        course.given(dose)


@pytest.mark.long
def test_a_vector_environment_gets_actions_of_its_space_too(tmp_path, registered):
    """The other collector; the array has a shape of its own."""
    cls = strict(0.0, 0.1, np.float64, (2, 2))
    gymnasium.register(
        NAME,
        entry_point=cls,
        vector_entry_point=lambda num_envs: gymnasium.vector.SyncVectorEnv([cls for _ in range(num_envs)]),
    )
    done = train(tmp_path, NAME, policy="gaussian", init_logstd=2.0, vectorization="vector_entry_point", eval_freq=0)
    assert done.complete


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (0.1, 0.7), (-0.7, -0.1), (1e-320, 1e300), (0.1, 0.1 + 1e-12)])
def test_the_policy_s_own_bounds_lie_in_the_space(low, high):
    """An ONNX file gives float32 numbers: they are in a float64 space as they stand, unless it is too narrow."""
    space = ActionSpace("continuous", "float64", (1,), (low,), (high,))
    (low_f,), (high_f,) = space.policy_bounds
    assert low_f <= high_f
    if high - low > 1e-9:
        assert low <= float(low_f) <= float(high_f) <= high
        assert float(np.nextafter(low_f, np.float32(-1))) < low
    for u in (low_f, high_f):
        assert low <= space.to_env(np.array([u]))[0] <= high


def test_a_range_that_float32_cannot_hold_is_refused(tmp_path, registered):
    """-3e38 to 3e38 is wider than the largest number."""
    env = registered(strict(-3e38, 3e38, np.float64))
    with pytest.raises(ConfigError, match="wider than float32 can hold"):
        train(tmp_path, env)


# --- episodes without an end (case 16) --------------------------------------------------


class Endless(Case):
    horizon = 10**12


@pytest.mark.long
def test_an_evaluation_of_an_endless_episode_ends_and_says_so(tmp_path, registered):
    """By default after 2,000 steps; said once, and logged."""
    notes = Notes()
    done = train(tmp_path, registered(Endless), notes=notes, eval_freq=1)
    (told,) = notes.having("were cut")
    assert NAME in told
    assert "--eval-max-steps" in told
    assert [s.mean_length for s in done.summaries] == [2000.0]
    assert done.columns()["eval/episodes_cut"].tolist() == [1.0, 1.0, 1.0]


def test_the_limit_of_evaluation_steps_is_an_option_everywhere(tmp_path, registered):
    """Of train and of evaluate; what ends by itself is not cut."""
    done = train(tmp_path, registered(Endless), eval_freq=1, eval_max_steps=7, total_timesteps=128)
    assert [s.mean_length for s in done.summaries] == [7.0]
    notes = Notes()
    found = api.evaluate(done.model, num_episodes=3, eval_max_steps=9, progress=notes)
    assert found.episodes.lengths.tolist() == [9, 9, 9]
    assert "3 of 3" in notes.having("were cut")[0]
    gymnasium.registry.pop(NAME)
    gymnasium.register(NAME, entry_point=Case)
    notes = Notes()
    assert api.evaluate(done.model, progress=notes).episodes.lengths.tolist() == [20]
    assert not notes.having("were cut")


def test_a_declared_time_limit_is_not_cut(tmp_path, registered):
    """2,500 steps are declared: they are taken."""
    gymnasium.register(NAME, entry_point=Endless, max_episode_steps=2500)
    notes = Notes()
    done = train(tmp_path, NAME, notes=notes, eval_freq=1, total_timesteps=128)
    assert [s.mean_length for s in done.summaries] == [2500.0]
    assert not notes.having("were cut")
    gymnasium.registry.pop(NAME)


# --- environments that are no function of their seed (case 17) --------------------------


class Curriculum(Case):
    """Each episode starts a little further away, whatever the seed."""

    episodes = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.episodes += 1
        self.x += 0.01 * self.episodes
        return self.x.astype(np.float32), {}


class Ignorant(Case):
    """Takes no notice of the seed."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.x = 0, np.random.default_rng().uniform(-1, 1, 2)
        return self.x.astype(np.float32), {}


class Shortening(Ignorant):
    """Its episodes get shorter, so that a replay is over before its last action."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Shortening.made += 1
        self.horizon = 50 if Shortening.made <= 2 else 3


@pytest.mark.long
@pytest.mark.parametrize("cls", [Curriculum, Ignorant, Shortening])
def test_a_run_that_cannot_be_repeated_goes_on_with_new_episodes(tmp_path, registered, cls):
    """And says so; the weights are those of the checkpoint, and it can be stopped and resumed again."""
    env = registered(cls)
    stop = Notes(lambda count: signal.raise_signal(signal.SIGINT) if count == 2 else None)
    settings = {"num_steps": 70, "total_timesteps": 840, "eval_freq": 0, "run_name": "r"}
    first = train(tmp_path, env, notes=stop, **settings)
    assert (first.complete, first.step) == (False, 280)
    assert first.resume_command == f"rl-drug-dosage train --resume {tmp_path / 'runs' / 'r'}"
    for step, complete in ((420, False), (840, True)):
        notes = Notes(lambda count, c=complete: None if c else signal.raise_signal(signal.SIGINT))
        again = api.train(resume=tmp_path / "runs" / "r", progress=notes)
        (told,) = notes.having("starts new episodes")
        assert NAME in told
        assert (again.step, again.complete) == (step, complete)
    assert [row["step"] for row in rows(again.folder.path)] == [140 * i for i in range(1, 7)]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# --- environments that break the contract (case 18) -------------------------------------


def breaking(**parts: Callable[[Any], Any]) -> type:
    """A case whose ``step`` or ``reset`` returns something else after the third step."""

    class Breaking(Case):
        def reset(self, **how: Any) -> Any:
            return parts["reset"](super().reset(**how)) if "reset" in parts else super().reset(**how)

        def step(self, a: np.ndarray) -> Any:
            came = super().step(a)
            return parts["step"](came) if "step" in parts and self.t >= 3 else came

    return Breaking


def _raise(came: Any) -> Any:
    raise ZeroDivisionError(came)


BREACHES: dict[str, tuple[dict[str, Callable[[Any], Any]], str]] = {
    "reward-of-shape-1": (
        {"step": lambda c: (c[0], np.array([c[1]]), *c[2:])},
        r"reward array.*shape \(1,\).*one finite",
    ),
    "no-reward": ({"step": lambda c: (c[0], None, *c[2:])}, r"reward None \(NoneType\).*one finite"),
    "reward-is-text": ({"step": lambda c: (c[0], "good", *c[2:])}, "reward 'good' .*one finite"),
    "nan-reward": ({"step": lambda c: (c[0], np.nan, *c[2:])}, "reward nan; .*one finite"),
    "infinite-reward": ({"step": lambda c: (c[0], -np.inf, *c[2:])}, "reward -inf; .*one finite"),
    "observation-too-long": ({"step": lambda c: (np.zeros(3, np.float32), *c[1:])}, r"shape \(3,\).*shape \(2,\)"),
    "observation-as-column": ({"step": lambda c: (c[0][:, None], *c[1:])}, r"shape \(2, 1\).*shape \(2,\)"),
    "observation-is-text": ({"step": lambda c: (np.array(["a", "b"]), *c[1:])}, "type <U1.*float32"),
    "observation-is-complex": ({"step": lambda c: (c[0] * 1j, *c[1:])}, "type complex64.*float32"),
    "ragged-observation": ({"step": lambda c: ([[1.0], [1.0, 2.0]], *c[1:])}, "no array"),
    "nan-observation": ({"step": lambda c: (c[0] * np.nan, *c[1:])}, "nan, which is no finite number"),
    "four-tuple": ({"step": lambda c: (c[0], c[1], c[3], c[4])}, r"a tuple of 4; .*step\(\) returns"),
    "no-tuple": ({"step": lambda c: c[0]}, r"step\(\) returned array.*step\(\) returns"),
    "ended-is-an-array": ({"step": lambda c: (*c[:2], np.array([False]), *c[3:])}, "terminated array.*True or False"),
    "ended-is-none": ({"step": lambda c: (*c[:3], None, c[4])}, "truncated None.*True or False"),
    "info-is-none": ({"step": lambda c: (*c[:4], None)}, "info None.*a dict"),
    "reset-without-info": ({"reset": lambda c: c[0]}, r"reset\(\) returned array.*\(observation, info\)"),
    "reset-of-another-shape": ({"reset": lambda c: (np.zeros(1, np.float32), {})}, r"reset\(\).*shape \(1,\)"),
    "its-own-error": ({"step": _raise}, r"step\(\) raised ZeroDivisionError.*test_foreign_envs.py, line \d+"),
}


@pytest.mark.long
@pytest.mark.parametrize("limited", [False, True], ids=["bare", "time-limit"])
@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_of_the_contract_is_one_line_and_leaves_nothing(tmp_path, registered, name, limited):
    """It names the environment, what came and the contract; with Gymnasium's wrapper around it as well."""
    parts, message = BREACHES[name]
    gymnasium.register(NAME, entry_point=breaking(**parts), max_episode_steps=30 if limited else None)
    if limited and name in {"four-tuple", "no-tuple"}:
        message = r"step\(\) failed \(ValueError.*step\(\) returns"  # the wrapper could not unpack it
    for freq in (0, 1):
        with pytest.raises(BadPluginError, match=message) as caught:
            train(tmp_path, NAME, eval_freq=freq)
        assert f"environment {NAME}: " in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()
    gymnasium.registry.pop(NAME)


@pytest.mark.long
def test_a_breach_later_keeps_what_was_learnt(tmp_path, registered):
    """The third update breaks off: once the environment is mended, the run goes on as if nothing had happened."""

    class Later(Case):
        steps = 0
        broken = False

        def step(self, a: np.ndarray) -> Any:
            Later.steps += 1
            obs, reward, *rest = super().step(a)
            return obs, np.nan if Later.broken and Later.steps == 300 else reward, *rest

    env = registered(Later)
    settings = {"eval_freq": 0, "num_steps": 70, "total_timesteps": 420}
    whole = train(tmp_path, env, run_name="whole", **settings)
    Later.steps, Later.broken = 0, True
    with pytest.raises(BadPluginError, match="reward nan"):
        train(tmp_path, env, run_name="r", **settings)
    notes = Notes()
    again = api.train(resume=tmp_path / "runs" / "r", progress=notes)
    assert notes.having("at step 280 of 420")
    assert not notes.having("new episodes")
    a, b = (load_policy(r.model).model.policy.to_tensors() for r in (whole, again))
    assert all(np.array_equal(a[n], b[n]) for n in a)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP", "DISABLED"])
def test_a_vector_environment_s_breach_is_one_line_too(tmp_path, registered, mode):
    """Whoever resets it."""
    cls = breaking(step=lambda c: (c[0], np.nan, *c[2:]))
    gymnasium.register(
        NAME,
        entry_point=Case,
        vector_entry_point=lambda num_envs: gymnasium.vector.SyncVectorEnv(
            [cls for _ in range(num_envs)], autoreset_mode=getattr(gymnasium.vector.AutoresetMode, mode)
        ),
    )
    with pytest.raises(BadPluginError, match=rf"environment {NAME}: step\(\) returned the rewards"):
        train(tmp_path, NAME, eval_freq=0, vectorization="vector_entry_point")
    gymnasium.registry.pop(NAME)


@pytest.mark.parametrize("space", ["action_space", "observation_space"])
def test_an_environment_without_a_space_is_one_line(tmp_path, registered, space):
    """Nothing was declared."""

    class Bare(Case):
        def __init__(self) -> None:
            super().__init__()
            delattr(self, space)

    with pytest.raises(ConfigError, match=f"has no {space}"):
        train(tmp_path, registered(Bare))


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path, registered):
    """Whatever its own code raises."""

    class Unmakable(Case):
        def __init__(self) -> None:
            raise AttributeError("no such table")

    with pytest.raises(ConfigError, match=r"cannot be made: no such table \(AttributeError"):
        train(tmp_path, registered(Unmakable))


# --- longer, and from a model (case 19) -------------------------------------------------


def test_a_finished_run_is_trained_longer(tmp_path, registered):
    """The schedule is said and runs over the new total; normaliser, curves and weights go on."""
    env = registered(Case)
    first = train(tmp_path, env, total_timesteps=256, eval_freq=0, run_name="r", learning_rate=1e-3)
    notes = Notes()
    again = api.train(resume=first.folder.path, total_timesteps=512, progress=notes)
    assert (again.step, again.complete) == (512, True)
    (told,) = notes.having("annealed linearly to 0 over the new total")
    assert "0.0005 at this step, where it was 0 " in told
    found = rows(first.folder.path)
    assert [row["step"] for row in found] == [128, 256, 384, 512]
    assert [row["charts/learning_rate"] for row in found] == pytest.approx([1e-3, 5e-4, 5e-4, 2.5e-4])
    config = tomllib.loads((first.folder.path / "config.toml").read_text())
    assert config["train"]["total_timesteps"] == 512
    assert config["extended"] == [{"at_step": 256, "before": 256, "total_timesteps": 512}]
    model = load_policy(again.model).model
    assert model.record["progress"]["extended"] == config["extended"]
    # a normaliser that was kept has seen every step of both parts
    assert float(model.policy.obs_norm.count) == pytest.approx(384 + 1e-4)
    assert "complete already" in " ".join(_resumed(again.folder.path))
    with pytest.raises(ConfigError, match=r"trains longer.*512"):
        api.train(resume=first.folder.path, total_timesteps=300, progress=False)


def _resumed(path: Path) -> list[str]:
    notes = Notes()
    api.train(resume=path, progress=notes)
    return notes.lines


@pytest.mark.long
def test_a_run_whose_rollout_was_shortened_resumes_and_is_trained_longer(tmp_path, registered):
    """100 steps shorten the rollout to 50: longer training keeps that length."""
    env = registered(Case)
    first = train(tmp_path, env, total_timesteps=100, eval_freq=0, run_name="r")
    assert "complete already" in " ".join(_resumed(first.folder.path))
    assert api.train(resume=first.folder.path, total_timesteps=300, progress=False).step == 300


def test_a_run_starts_from_a_model(tmp_path, registered):
    """Its weights and its normaliser, exactly, and a record of where they are from."""
    env = registered(Case)
    first = train(tmp_path, env, eval_freq=0, run_name="a")
    notes = Notes()
    # a rate this small leaves the weights where they were
    second = train(
        tmp_path,
        env,
        eval_freq=0,
        run_name="b",
        init_from=first.model,
        learning_rate=1e-12,
        total_timesteps=128,
        notes=notes,
    )
    assert notes.having("starting from")
    a, b = (load_policy(r.model).model for r in (first, second))
    np.testing.assert_allclose(
        a.policy.to_tensors()["actor_mean.0.weight"], b.policy.to_tensors()["actor_mean.0.weight"], atol=1e-9
    )
    assert b.policy.obs_norm.mean.tolist() == a.policy.obs_norm.mean.tolist()
    assert b.record["progress"]["initial"]["file"] == "agent.pt"
    assert tomllib.loads((second.folder.path / "config.toml").read_text())["initial"]["env_id"] == env


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 8}, "shapes of the weights"),
        ({"policy": "gaussian"}, "policy: tanh-gaussian in the model, gaussian here"),
        ({"norm_obs": False}, "normalised observations"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path, registered, settings, message):
    """One line that names what differs; no folder."""
    env = registered(Case)
    first = train(tmp_path, env, eval_freq=0, run_name="a", total_timesteps=128)
    with pytest.raises(RlDrugDosageError, match=message):
        train(tmp_path, env, run_name="b", init_from=first.model, **settings)
    assert not (tmp_path / "runs" / "b").exists()


def test_a_model_of_another_space_is_refused(tmp_path, registered):
    """Other actions: another meaning of what it gives."""
    first = train(tmp_path, registered(Case), eval_freq=0, run_name="a", total_timesteps=128)
    gymnasium.registry.pop(NAME)
    gymnasium.register(NAME, entry_point=strict(0.0, 5.0, np.float32))
    with pytest.raises(RlDrugDosageError, match=r"highest action: \[1.0\] in the model, \[5.0\] here"):
        train(tmp_path, NAME, run_name="b", init_from=first.model)
    with pytest.raises(RlDrugDosageError, match=r"actions from .* another version"):
        api.evaluate(first.model, progress=False)


def test_the_command_that_goes_on_names_what_a_run_s_record_may_not(tmp_path):
    """A module, a file: nothing that a folder holds is imported."""
    assert again(Task("a:B-v0", gym_id="a:B-v0")) == "--env-id a:B-v0"
    assert not again(Task("B-v0", gym_id="B-v0"))
    file = tmp_path / "my task.py"
    file.write_text("from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO\n")
    assert again(find_task(str(file))) == f"--scenario '{file}'"
    assert not again(find_task("vancomycin"))


@pytest.mark.long
def test_names_of_options_are_those_of_the_command_line():
    """What the messages say can be typed."""
    help_ = api.train.__signature__.parameters  # type: ignore[attr-defined]
    assert {"eval_max_steps", "init_from", "resume", "total_timesteps"} <= set(help_)
    assert re.search("init_from", api.train.__doc__ or "")

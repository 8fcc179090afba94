"""One record of settings, complete at birth and checked in one place."""

import dataclasses
import json
import math
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.training import config as config_module
from rl_drug_dosage.training.config import PRESETS, RunOptions, TrainConfig, options_of
from rl_drug_dosage.training.plan import make_plan

FIELDS = {f.name: f for f in dataclasses.fields(TrainConfig)}
NUMBERS = {name: f for name, f in FIELDS.items() if type(f.default) in (int, float)}
SPECIFICATION = {
    "total_timesteps": 200_000,
    "learning_rate": 3e-4,
    "num_envs": 1,
    "num_steps": 2048,
    "num_minibatches": 32,
    "update_epochs": 10,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_coef": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "eval_freq": 10,
    "eval_episodes": 5,
    "seed": 1,
}


def outside() -> list[tuple[str, Any]]:
    """For each number the nearest value beyond each bound, and the bound itself where it is excluded."""
    cases: list[tuple[str, Any]] = []
    for name, f in NUMBERS.items():
        low, high, above = (f.metadata[bound] for bound in ("low", "high", "above"))
        whole = isinstance(f.default, int)
        if above is not None:
            cases += [(name, above), (name, -1.0)]
        if low is not None:
            cases.append((name, low - 1 if whole else math.nextafter(low, -math.inf)))
        if high is not None:
            cases.append((name, high + 1 if whole else math.nextafter(high, math.inf)))
        if not whole:
            cases += [(name, value) for value in (math.nan, math.inf, -math.inf)]
    return cases


def inside() -> list[tuple[str, Any]]:
    """For each number its bounds, or the nearest value where one is excluded."""
    cases = []
    for name, f in NUMBERS.items():
        low, high, above = (f.metadata[bound] for bound in ("low", "high", "above"))
        values = [high] if low is None else [low, high]
        if above is not None:
            values.append(math.nextafter(above, math.inf))
        cases += [(name, type(f.default)(value)) for value in values]
    return cases


def make(name: str, value: Any) -> TrainConfig:
    return TrainConfig(**{name: value})


def test_the_defaults_are_the_specifications_table() -> None:
    """And the policy is bounded, the environment ours."""
    config = TrainConfig()
    assert {name: getattr(config, name) for name in SPECIFICATION} == SPECIFICATION
    assert (config.env_id, config.policy) == ("DrugDose-v0", "tanh-gaussian")
    assert config.anneal_lr
    assert config.norm_adv


def test_every_number_has_bounds() -> None:
    """A new setting without a lower and an upper bound is a hole in the checks."""
    for name, f in NUMBERS.items():
        assert f.metadata["high"] is not None, name
        assert (f.metadata["low"] is None) != (f.metadata["above"] is None), name


@pytest.mark.parametrize(("name", "value"), outside())
def test_values_beyond_a_bound_are_refused(name: str, value: Any) -> None:
    """One line that names the option as it is typed, the value and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        make(name, value)
    message = str(caught.value)
    assert message.startswith(f"--{name.replace('_', '-')} must be ")
    assert repr(value) in message
    assert "\n" not in message


@pytest.mark.parametrize(("name", "value"), inside())
def test_the_bounds_themselves_are_allowed(name: str, value: Any) -> None:
    """Nothing is lost at the edge."""
    assert getattr(make(name, value), name) == value


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_refuses_other_types(name: str) -> None:
    """A truth value is no number, a number no truth value, a text neither; a whole number will do for a real one."""
    default = FIELDS[name].default
    wrong = {bool: [1, "true", None], int: [True, 1.0, "1", None], float: [True, "1", None], str: [1, True, None]}
    for value in wrong[type(default)]:
        with pytest.raises(ConfigError, match=name):
            make(name, value)


def test_a_whole_number_will_do_for_a_real_one() -> None:
    """``--gamma 1`` is 1.0."""
    assert TrainConfig(gamma=1).gamma == 1.0


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("policy", "gausian", "did you mean 'gaussian'"),
        ("policy", "tanh", "did you mean 'tanh-gaussian'"),
        ("norm_update", "steps", "did you mean 'step'"),
        ("vectorization", "Sync", "did you mean 'sync'"),
    ],
)
def test_an_unknown_choice_gets_the_nearest_name(name: str, value: str, near: str) -> None:
    """With all that are known."""
    with pytest.raises(UnknownNameError) as caught:
        make(name, value)
    assert near in str(caught.value)
    assert all(choice in str(caught.value) for choice in FIELDS[name].metadata["choices"])


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "1", '"x"', '{"k": NaN}', '{"k": Infinity}', "{k: 1}"),
        "[" * 100_000,
        '{"k": 1e999}',
    ],
    ids=lambda text: text[:12],
)
def test_environment_options_that_are_no_json_object_are_refused(text: str) -> None:
    """NaN and infinity, which JSON does not have, in whatever disguise, and nesting too deep to read."""
    with pytest.raises(ConfigError, match="env_kwargs must be a JSON object"):
        TrainConfig(env_kwargs=text)


def test_environment_options_come_back_as_a_dictionary() -> None:
    """As JSON says."""
    options = {"k": 0.1, "k_range": [0.1, 0.2]}
    assert TrainConfig(env_kwargs=json.dumps(options)).env_options() == options


def test_two_answers_to_one_question_are_refused() -> None:
    """Stopping at a KL and adapting to one."""
    with pytest.raises(ConfigError, match="target_kl and desired_kl"):
        TrainConfig(target_kl=0.1, desired_kl=0.1)


def test_every_seed_of_a_run_is_a_seed() -> None:
    """The last of them is held to the limit like the first: JAX would take 2**32 for seed 0."""
    with pytest.raises(ConfigError, match="seed"):
        TrainConfig(seed=2**32 - 1, seeds=2)
    assert TrainConfig(seed=2**32 - 2, seeds=2).seeds == 2


def test_a_configuration_does_not_change() -> None:
    """Frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().seed = 2  # type: ignore[misc]


@given(
    st.sampled_from(sorted(NUMBERS)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.integers(1, 64) if isinstance(NUMBERS[name].default, int) else st.floats(1e-9, 1.0, exclude_min=True),
        )
    )
)
def test_a_record_makes_the_same_configuration(setting: tuple[str, Any]) -> None:
    """Through plain values, through JSON: to_record and from_record are each other's opposite."""
    config = make(*setting)
    assert TrainConfig.from_record(config.to_record()) == config
    assert TrainConfig.from_record(json.loads(json.dumps(config.to_record()))) == config
    assert list(config.to_record()) == list(FIELDS)


def test_a_record_with_an_unknown_setting_is_refused() -> None:
    """By its nearest name: a run of a newer version is not half understood. A partial one takes the defaults."""
    with pytest.raises(UnknownNameError, match="unknown setting 'learning_rat': did you mean 'learning_rate'"):
        TrainConfig.from_record({"learning_rat": 1e-3})
    assert TrainConfig.from_record({"seed": 9}) == TrainConfig(seed=9)
    with pytest.raises(RlDrugDosageError, match="--gamma"):
        TrainConfig.from_record({"gamma": 2.0})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_and_plan(name: str) -> None:
    """Every preset is a valid configuration whose rollouts divide, and differs from the default in all it sets."""
    config = TrainConfig(**PRESETS[name])
    assert make_plan(config).num_updates >= 1
    assert all(getattr(TrainConfig(), key) != value for key, value in PRESETS[name].items())


def test_the_blog_preset_is_cleanrls() -> None:
    """One environment, a raw Gaussian, clipped values, no bootstrap, normalisers every step, rewards cut at 10."""
    config = TrainConfig(**PRESETS["blog"])
    assert config.num_envs == 1
    assert config.policy == "gaussian-raw"
    assert config.clip_vloss
    assert not config.bootstrap_truncation
    assert config.norm_update == "step"
    assert (config.clip_reward, config.clip_obs) == (10.0, 10.0)
    assert config.target_kl == config.desired_kl == 0.0


def test_every_option_has_help_and_a_panel() -> None:
    """Made from the fields in order; choices are listed."""
    for record in (TrainConfig, RunOptions):
        options = options_of(record)
        assert [o.name for o in options] == [f.name for f in dataclasses.fields(record)]
        assert all(o.help and o.panel for o in options)
    policy = next(o for o in options_of(TrainConfig) if o.name == "policy")
    assert policy.help.endswith("tanh-gaussian, gaussian, gaussian-raw")


def test_the_policies_are_those_of_the_agent() -> None:
    """The configuration names them without importing the agent; the two lists agree."""
    from rl_drug_dosage.ppo.distribution import POLICIES

    assert config_module.POLICIES == POLICIES


def test_importing_the_configuration_imports_nothing_heavy() -> None:
    """``--help`` is made from it."""
    code = (
        "import sys, rl_drug_dosage.training.config; print(sorted({'jax', 'equinox', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", ".hidden", "-x", "a b", "a\n", "..", "é", "a\0b"])
def test_run_names_that_would_leave_the_folder_are_refused(name: str) -> None:
    """One line that says what a name may hold."""
    with pytest.raises(ConfigError, match="run name") as caught:
        RunOptions(run_name=name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a", "1", "run-1_b.c=d+e", "DrugDose-v0__1"])
def test_ordinary_run_names_are_allowed(name: str) -> None:
    """Letters, digits and . _ - = +."""
    assert RunOptions(run_name=name).run_name == name


def test_the_record_is_toml_without_a_null() -> None:
    """Every value is a text, number or truth value, so that the run's config.toml can hold it."""
    record = TrainConfig().to_record()
    lines = (f"{k} = {json.dumps(v)}" for k, v in record.items())
    assert tomllib.loads("\n".join(lines)) == record

"""Scenarios and drug models of a user's own: trained on, compared, evaluated, explained; a changed file is noticed."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import CheckpointError, ConfigError, ModelFileError, UnknownNameError
from rl_drug_dosage.ppo.model_file import load_model, save_model
from rl_drug_dosage.registry import source_of
from rl_drug_dosage.training.recipe import recipe
from rl_drug_dosage.utils.tensor_archive import read_archive

QUIET = {"progress": False}
TINY = {
    "num_envs": 8, "num_steps": 4, "num_minibatches": 2, "update_epochs": 1, "total_timesteps": 64, "eval_freq": 0,
    "hidden_size": 4,
}  # fmt: skip


@pytest.mark.long
def test_a_model_file_and_a_run_keep_the_name_and_the_digest_of_the_scenarios_file(own):
    digest = source_of(own / "task.py").sha256
    for run in "ab":
        model = load_model(own / f"runs/{run}/agent.pt")
        assert model.env_id == "task"
        assert model.source == {"file": "task.py", "sha256": digest}
        config = tomllib.loads((own / f"runs/{run}/config.toml").read_text())
        assert config["scenario"]["sha256"] == digest
        assert config["train"]["env_id"] == "task"
    assert "/" not in json.dumps(load_model(own / "runs/b/agent.pt").record["env"]["options"])


@pytest.mark.long
def test_two_runs_and_a_run_under_its_own_name_take_part(own):
    result = rldd.benchmark("task.py", policies=["a=runs/a", "runs/b", "label"], patients=20, **QUIET)
    assert {row["policy"] for row in result.record["policies"]} == {"a", "b", "label"}
    assert result.record["scenario"]["name"] == "task"


@pytest.mark.long
def test_two_runs_of_one_name_have_to_be_labelled(own):
    for place in "xy":
        shutil.copytree("runs/a", f"{place}/run")
    with pytest.raises(ConfigError, match="two policies are called 'run': label them, --policy a=PATH"):
        rldd.benchmark("task.py", policies=["x/run", "y/run"], patients=20, **QUIET)
    result = rldd.benchmark("task.py", policies={"x": "x/run", "y": "y/run"}, patients=20, **QUIET)
    np.testing.assert_array_equal(result.trials["x"].dose, result.trials["y"].dose)


def test_without_its_file_a_model_says_which_to_give(own):
    for call in (
        lambda: rldd.evaluate("runs/a", **QUIET),
        lambda: rldd.explain("runs/a", **QUIET),
        lambda: rldd.load_policy("runs/a"),
    ):
        with pytest.raises(ModelFileError, match=r"scenario='task\.py'"):
            call()
    with pytest.raises(CheckpointError, match=r"scenario='task\.py'"):
        rldd.train(resume="runs/a", **QUIET)


def test_a_changed_file_is_refused_unless_it_is_accepted(own):
    with Path("task.py").open("a") as file:
        file.write("# another word\n")
    calls = (
        lambda **more: rldd.evaluate("runs/a", scenario="task.py", **more, **QUIET),
        lambda **more: rldd.benchmark("task.py", policies=["runs/a"], patients=20, **more, **QUIET),
        lambda **more: rldd.load_policy("runs/a", "task.py", **more),
        lambda **more: rldd.train(resume="runs/a", scenario="task.py", **more, **QUIET),
    )
    for call in calls:
        with pytest.raises((ModelFileError, CheckpointError), match=r"has changed since.*accept_changed=True"):
            call()
        call(accept_changed=True)
    with pytest.raises(ModelFileError, match="has changed since"):
        rldd.explain("runs/a", scenario="task.py", patients=50, **QUIET)


@pytest.mark.long
def test_a_changed_drug_model_is_refused_unless_it_is_accepted(own):
    digest = source_of(own / "mine.py").sha256
    assert load_model(own / "runs/b/agent.pt").record["env"]["drugs"] == {"mine": digest}
    with Path("mine.py").open("a") as file:
        file.write("# another word\n")
    own_drug = {"simulator": "mine.py"}
    calls = (
        lambda **more: rldd.evaluate("runs/b", scenario="task.py", num_episodes=4, **own_drug, **more, **QUIET),
        lambda **more: rldd.benchmark("task.py", policies=["runs/b"], patients=20, **own_drug, **more, **QUIET),
        lambda **more: rldd.load_policy("runs/b", "task.py", **own_drug, **more),
        lambda **more: rldd.train(resume="runs/b", scenario="task.py", env_kwargs=own_drug, **more, **QUIET),
    )
    for call in calls:
        with pytest.raises((ModelFileError, CheckpointError), match=r"drug model 'mine'.*accept_changed=True"):
            call()
        call(accept_changed=True)


def test_a_built_in_scenario_of_the_same_length_is_not_the_models(own):
    with pytest.raises(ModelFileError, match="trained for task, not for Vancomycin-v2"):
        rldd.evaluate("runs/a", scenario="vancomycin", **QUIET)


@pytest.mark.long
def test_patients_of_a_model_of_ones_own_need_that_file_again(own):
    with pytest.raises(ModelFileError, match=r"patients of 'mine'.*simulator=FILE"):
        rldd.evaluate("runs/b", scenario="task.py", **QUIET)
    given = rldd.evaluate("runs/b", scenario="task.py", simulator="mine.py", num_episodes=4, **QUIET)
    assert given.record["settings"]["simulator"] == "mine"

    result = rldd.benchmark(
        "task.py", policies=["runs/b", "label"], patients=20, simulator="./mine.py", mismatch=True, **QUIET
    )
    assert result.record["mismatch"]["models"][-1] == "mine"
    # The file changes a published model's name only.
    published = rldd.benchmark("task.py", policies=["label"], patients=20, **QUIET)
    np.testing.assert_array_equal(result.trials["label"].values, published.trials["label"].values)
    assert rldd.load_policy("runs/b", "task.py", simulator="mine.py").dose_unit == "mg"


def test_a_drug_model_of_another_drug_does_not_fit():
    with pytest.raises(ConfigError, match="'warfarin-hamberg2010' does not fit"):
        rldd.benchmark("vancomycin", policies=["label"], simulator="warfarin-hamberg2010", **QUIET)
    with pytest.raises(UnknownNameError, match="did you mean"):
        rldd.benchmark("vancomycin", policies=["label"], controller="vancomycin-gotti2018", **QUIET)


class Stopped(Exception):  # noqa: N818 - no error, but the end of a run half way
    """What stops the training below."""


@pytest.mark.long
def test_a_run_goes_on_with_its_files_and_only_with_them(own):
    settings = {
        "num_envs": 8, "num_steps": 4, "num_minibatches": 2, "update_epochs": 1, "eval_freq": 0, "hidden_size": 4,
        "env_kwargs": {"simulator": "mine.py"}, "checkpoint_freq": 1, "total_timesteps": 128,
    }  # fmt: skip

    def stop(text: str, done: float | None) -> None:
        if done is not None and done > 0.6:
            raise Stopped(text)

    whole = rldd.train("./task.py", run_name="whole", **settings, **QUIET)
    with pytest.raises(Stopped):
        rldd.train("./task.py", run_name="half", **settings, progress=stop)

    with pytest.raises(CheckpointError, match="needs the drug model 'mine'"):
        rldd.train(resume="runs/half", scenario="task.py", **QUIET)
    with pytest.raises(CheckpointError, match="give env_kwargs as when it was started"):
        rldd.train(resume="runs/half", scenario="task.py", env_kwargs={"simulator": "mine.py", "history": 2}, **QUIET)
    with pytest.raises(CheckpointError, match="trains on task, not on Vancomycin-v2"):
        rldd.train(resume="runs/half", scenario="vancomycin", **QUIET)
    again = rldd.train(resume="runs/half", scenario="task.py", env_kwargs={"simulator": "mine.py"}, **QUIET)

    assert again.complete
    assert again.train_s > 0
    one, two = (read_archive(run.model, kind="agent").tensors for run in (whole, again))
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.long
def test_a_scenario_and_a_drug_may_be_values(own):
    scenario = rldd.load_scenario("task.py")
    drug = rldd.load_drug("mine.py")
    result = rldd.benchmark(scenario, policies=["label"], simulator=drug, patients=20, **QUIET)
    by_path = rldd.benchmark("task.py", policies=["label"], simulator="mine.py", patients=20, **QUIET)
    np.testing.assert_array_equal(result.trials["label"].dose, by_path.trials["label"].dose)


def test_the_scenario_preset_knows_a_scenario_of_ones_own(own):
    mine, built_in = recipe("./task.py"), recipe("vancomycin")
    assert (mine["num_steps"], json.loads(mine["env_kwargs"])["action"]) == (4, "residual")
    assert mine["total_timesteps"] * built_in["num_steps"] == built_in["total_timesteps"] * 4
    own = {"num_steps": 0, "total_timesteps": 0, "env_kwargs": ""}
    assert {**mine, **own} == {**built_in, **own}
    with pytest.raises(ConfigError, match="not DrugDose-v0"):
        recipe("DrugDose-v0")


SWAPPED = """
order = list(BUILT_IN.covariates)
order[0], order[1] = order[1], order[0]
SCENARIO = dataclasses.replace(SCENARIO, covariates=tuple(order))
"""


@pytest.mark.long
def test_a_changed_file_with_other_observations_is_refused_although_it_is_accepted(own):
    model = load_model(own / "runs/a/agent.pt")
    recorded = model.record["env"]["observations"]
    assert len(recorded) == model.policy.obs_size
    before = dict(recorded)
    first, second = (c.name for c in rldd.load_scenario("task.py").covariates[:2])
    assert (first in before, second in before) == (True, True)
    with Path("task.py").open("a") as file:
        file.write(SWAPPED)
    accepted = {"accept_changed": True}
    said = rf"runs/a.*was {first} \(.*\) and is {second} \("
    for call in (
        lambda: rldd.load_policy("runs/a", "task.py", **accepted),
        lambda: rldd.evaluate("runs/a", scenario="task.py", **accepted, **QUIET),
        lambda: rldd.benchmark("task.py", policies=["runs/a"], patients=20, **accepted, **QUIET),
        lambda: rldd.train(scenario="task.py", init_from="runs/a", run_name="c", **TINY, **accepted, **QUIET),
    ):
        with pytest.raises(ModelFileError, match=said):
            call()
    assert not Path("runs/c").exists()


def test_a_model_without_recorded_observations_is_taken(own):
    old = load_model(own / "runs/a/agent.pt")
    env = {name: value for name, value in old.record["env"].items() if name != "observations"}
    save_model(Path("old.pt"), old.policy, env=env, training=old.training, progress={})
    assert rldd.load_policy("old.pt", "task.py").dose_unit == "mg"


@pytest.mark.parametrize(
    ("field", "value"),
    [("horizon", 7), ("units", {"time": "d"}), ("window", [1.0, 2.0])],
)
def test_a_record_that_contradicts_its_environment_is_refused(own, field, value):
    """The seal of a file shows that it is whole, not that it is true."""
    shipped = load_model(Path(__file__).parents[2] / "models/agent.pt")
    assert field in shipped.record["env"]
    env = {**shipped.record["env"], field: value}
    save_model(Path("other.pt"), shipped.policy, env=env, training=shipped.training, progress={})
    with pytest.raises(ModelFileError, match=f"other.pt records {field.replace('_', ' ')} .*, but DrugDose-v0 has"):
        rldd.evaluate("other.pt", num_episodes=2, **QUIET)


def test_a_record_of_another_horizon_is_refused_in_a_scenario(own):
    model = load_model(own / "runs/a/agent.pt")
    env = {**model.record["env"], "horizon": 3}
    save_model(Path("other.pt"), model.policy, env=env, training=model.training, progress={})
    for call in (
        lambda: rldd.load_policy("other.pt", "task.py"),
        lambda: rldd.evaluate("other.pt", scenario="task.py", **QUIET),
    ):
        with pytest.raises(ModelFileError, match="courses of 3 decisions, but task has 4"):
            call()


def test_the_same_file_under_another_name_is_the_models(own):
    shutil.move("task.py", "other.py")
    by_hand = rldd.load_policy("runs/a", "other.py")
    assert by_hand.named.name == "other"
    assert rldd.evaluate("runs/a", scenario="other.py", num_episodes=4, **QUIET).record["policies"]
    result = rldd.benchmark("other.py", policies=["runs/a"], patients=20, **QUIET)
    assert list(result.trials) == ["a"]
    assert rldd.train(resume="runs/a", scenario="other.py", **QUIET).complete

    with Path("other.py").open("a") as file:
        file.write("# another word\n")
    with pytest.raises(ModelFileError, match=r"trained for task, not for other: give its own file .*task\.py"):
        rldd.load_policy("runs/a", "other.py")


@pytest.mark.long
def test_the_file_that_has_changed_is_named(own):
    Path("beside.py").write_text("TITLE = 1\n")
    Path("task.py").write_text(f"import beside\n{Path('task.py').read_text()}")
    rldd.train(scenario="task.py", run_name="two", **TINY, **QUIET)
    Path("beside.py").write_text("TITLE = 2\n")
    with pytest.raises(ModelFileError, match=r"trained on task\.py, and beside\.py has changed since \(SHA") as raised:
        rldd.load_policy("runs/two", "task.py")
    assert "task.py has changed" not in str(raised.value)
    assert rldd.load_policy("runs/two", "task.py", accept_changed=True).dose_unit == "mg"

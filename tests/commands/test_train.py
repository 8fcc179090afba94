"""``rl-drug-dosage train``: what lies in a run folder, and that nothing changes a result that should not."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.utils.tensor_archive import read_archive

TINY = [
    *("--num-envs", "4", "--num-steps", "64", "--num-minibatches", "4", "--update-epochs", "2"),
    *("--total-timesteps", "512", "--eval-freq", "1"),
]

CHARTS = {"charts/episodic_return", "charts/episodic_length", "charts/learning_rate", "charts/SPS"}
LOSSES = {"losses/policy_loss", "losses/value_loss", "losses/entropy", "losses/approx_kl", "losses/clipfrac"}
EVAL = {"eval/mean_reward", "eval/std_reward", "eval/mean_length", "eval/in_range_pct"}


def _metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _tensors(path: Path) -> dict[str, np.ndarray]:
    return read_archive(path, kind="agent").tensors


def test_a_run_folder_holds_everything_that_the_specification_names(tiny_run):
    """Model, configuration, command, curves and metrics, under their names."""
    assert {p.name for p in tiny_run.iterdir()} >= {"agent.pt", "config.toml", "command.txt", "metrics.jsonl"}
    assert list(tiny_run.glob("events.out.tfevents.*"))
    assert (tiny_run / "command.txt").read_text().startswith("rl-drug-dosage train --num-envs 4")
    config = tomllib.loads((tiny_run / "config.toml").read_text())
    assert config["train"]["num_envs"] == 4
    assert config["train"]["learning_rate"] == 3e-4
    assert not list(tiny_run.glob(".*.tmp"))


def test_every_metric_of_the_specification_is_logged_under_its_name(tiny_run):
    """Names are exact; an episode of 100 steps ends within two rollouts of 64."""
    rows = _metrics(tiny_run)
    assert [row["step"] for row in rows] == [256, 512]
    assert set().union(*rows) >= CHARTS | LOSSES | EVAL | {"losses/explained_variance"}
    assert rows[1]["charts/episodic_length"] == 100
    # annealed from 3e-4: the second of two updates runs at half the rate
    assert rows[1]["charts/learning_rate"] == pytest.approx(1.5e-4)


def test_tensorboard_has_the_same_values_as_the_metrics_file(tiny_run):
    """Both records of a run agree, step by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    events = EventAccumulator(str(tiny_run))
    events.Reload()
    logged = {e.step: e.value for e in events.Scalars("losses/value_loss")}
    assert logged == pytest.approx({row["step"]: row["losses/value_loss"] for row in _metrics(tiny_run)}, rel=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_agent(run, tiny_run):
    """A run is a function of its configuration."""
    first = _tensors(tiny_run / "agent.pt")
    run("train", *TINY, "--run-name", "again")
    run("train", *TINY, "--run-name", "other", "--seed", "2")
    again, other = _tensors(Path("runs/again/agent.pt")), _tensors(Path("runs/other/agent.pt"))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["actor_mean.0.weight"], other["actor_mean.0.weight"])


def test_evaluating_more_or_less_often_does_not_change_the_agent(run, tiny_run):
    """Evaluation draws from a stream of its own."""
    run("train", *TINY, "--run-name", "blind", "--eval-freq", "0")
    first, blind = _tensors(tiny_run / "agent.pt"), _tensors(Path("runs/blind/agent.pt"))
    assert all(np.array_equal(first[name], blind[name]) for name in first)
    assert not EVAL & set().union(*_metrics(Path("runs/blind")))


@pytest.mark.long
def test_tracking_offline_does_not_change_the_agent_and_says_how_to_sync(run, tiny_run, monkeypatch):
    """The real client, without an account."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracked = run("train", *TINY, "--run-name", "tracked", "--track")
    assert tracked.code == 0, tracked.err
    assert "wandb sync" in tracked.out + tracked.err
    first, second = _tensors(tiny_run / "agent.pt"), _tensors(Path("runs/tracked/agent.pt"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.long
def test_a_thousand_steps_make_one_update_and_say_so(run):
    """Fault 4 of other engines: 1000 // 2048 = 0 updates, an untrained agent, exit code 0."""
    done = run("train", "--total-timesteps", "1000", "--update-epochs", "1", "--run-name", "short")
    assert done.code == 0
    assert "the rollout is shortened to 1 x 1,024" in done.out
    assert len(_metrics(Path("runs/short"))) == 1


@pytest.mark.long
def test_several_seeds_train_side_by_side_and_the_median_is_kept(run):
    """``--seeds 3``: a model and curves per seed, their range on the screen, the median as the run's own model."""
    done = run("train", *TINY, "--seeds", "3", "--run-name", "many")
    assert done.code == 0, done.err
    assert "median of 3 seeds" in done.out
    agents = [_tensors(Path(f"runs/many/seed-{s}/agent.pt")) for s in (1, 2, 3)]
    kept = _tensors(Path("runs/many/agent.pt"))
    same = [all(np.array_equal(a[name], kept[name]) for name in kept) for a in agents]
    assert same.count(True) == 1
    seed = read_archive(Path("runs/many/agent.pt"), kind="agent").record["progress"]["seed"]
    assert same.index(True) == seed - 1


@pytest.mark.long
def test_a_seed_trained_beside_others_is_the_seed_trained_alone(run, tiny_run):
    """Side by side changes rounding only: after two updates the weights agree to 1e-4."""
    run("train", *TINY, "--seeds", "2", "--run-name", "pair")
    alone, beside = _tensors(tiny_run / "agent.pt"), _tensors(Path("runs/pair/seed-1/agent.pt"))
    for name in alone:
        np.testing.assert_allclose(beside[name], alone[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.long
def test_the_blog_preset_runs(run):
    """CleanRL's semantics: raw Gaussian, clipped value loss, per-step normalisers, clipped rewards counted."""
    done = run("train", "--preset", "blog", "--total-timesteps", "512", "--update-epochs", "2", "--run-name", "blog")
    assert done.code == 0, done.err
    config = tomllib.loads(Path("runs/blog/config.toml").read_text())["train"]
    assert (config["policy"], config["clip_vloss"], config["bootstrap_truncation"]) == ("gaussian-raw", True, False)
    assert "charts/reward_clipfrac" in _metrics(Path("runs/blog"))[0]


@pytest.mark.long
def test_an_explicit_option_wins_over_the_preset(run):
    """``--preset fast --num-envs 4`` has 4 environments."""
    args = ["--preset", "fast", "--num-envs", "4", "--total-timesteps", "256", "--run-name", "mixed"]
    assert run("train", *args).code == 0
    config = tomllib.loads(Path("runs/mixed/config.toml").read_text())["train"]
    assert (config["num_envs"], config["learning_rate"]) == (4, 3e-3)


@pytest.mark.long
def test_a_foreign_environment_trains_and_evaluates(run):
    """Pendulum through the Gymnasium collector, its model evaluated from the file alone."""
    args = ["--env-id", "Pendulum-v1", "--num-envs", "2", "--num-steps", "64", "--num-minibatches", "4"]
    done = run("train", *args, "--total-timesteps", "256", "--eval-episodes", "1", "--run-name", "swing")
    assert done.code == 0, done.err
    checked = run("evaluate", "--model-path", "runs/swing/agent.pt", "--num-episodes", "2")
    assert checked.code == 0, checked.err
    assert "mean of 2" in checked.out


@pytest.mark.long
def test_the_scenario_preset_trains_a_policy_that_the_benchmark_takes(run):
    """The recipe of busulfan, one update of 64 courses; what was given wins over it."""
    args = ["--env-id", "Busulfan-v3", "--preset", "scenario", "--num-envs", "64", "--num-minibatches", "4"]
    done = run("train", *args, "--total-timesteps", "256", "--run-name", "recipe")
    assert done.code == 0, done.err
    config = tomllib.loads(Path("runs/recipe/config.toml").read_text())["train"]
    assert config["num_envs"] == 64
    assert config["privileged_critic"] is True
    assert json.loads(config["env_kwargs"])["mixture"] == [{}, {"randomise": 1.0}]
    args = ["--scenario", "busulfan", "--patients", "20", "--policy", "runs/recipe/agent.pt", "--policy", "label"]
    assert run("benchmark", *args).code == 0


@pytest.mark.long
def test_the_scenario_preset_is_for_scenarios(run):
    """The default task has no recipe: one line, nothing written."""
    done = run("train", "--preset", "scenario")
    assert done.code != 0
    assert "needs --env-id of a dosing scenario, not DrugDose-v0" in done.err
    assert not Path("runs").exists()

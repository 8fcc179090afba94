"""Hyper-parameter search: what may vary, one compilation for equal shapes, no trial lost or repeated, and its files."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import (
    CheckpointError,
    ConfigError,
    DependencyError,
    OutputError,
    TrainingError,
    UnknownNameError,
)
from rl_drug_dosage.training import shared, trainer
from rl_drug_dosage.training.config import RunOptions, TrainConfig, options_of
from rl_drug_dosage.training.plan import make_plan
from rl_drug_dosage.training.shared import NUMBERS, SharedPrograms, shape_of
from rl_drug_dosage.training.sweep.folder import SweepFolder, TrialRecord, best_of
from rl_drug_dosage.training.sweep.plots import draw
from rl_drug_dosage.training.sweep.result import SweepResult
from rl_drug_dosage.training.sweep.sampler import Sampler
from rl_drug_dosage.training.sweep.space import FIXED, Choices, Range, combinations, named, read_space
from rl_drug_dosage.training.task import find_task, make_program
from rl_drug_dosage.utils.lock import locked

TINY = {
    "num_envs": 4, "num_steps": 16, "num_minibatches": 4, "update_epochs": 2, "hidden_size": 8, "eval_freq": 1,
    "total_timesteps": 128, "eval_episodes": 2,
}  # fmt: skip
SPACE = {"learning_rate": "1e-4..1e-2", "gamma": "0.8..0.99"}
KILLING = Path(__file__).parent / "killing.py"


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"learning_rate": "1e-4..1e-2"}, Range("learning_rate", 1e-4, 1e-2, True, False)),
        (
            {"learning-rate": " 1e-4 .. 1e-3 "},
            Range("learning_rate", 1e-4, 1e-3, False, False),
        ),  # not more than a decade
        ({"learning_rate": "1e-4..1e-3:log"}, Range("learning_rate", 1e-4, 1e-3, True, False)),
        ({"ent_coef": "0..0.1"}, Range("ent_coef", 0.0, 0.1, False, False)),
        ({"gamma": "0.001..0.999:lin"}, Range("gamma", 0.001, 0.999, False, False)),
        ({"init_logstd": "-3..0"}, Range("init_logstd", -3.0, 0.0, False, False)),
        ({"hidden_size": "16..256"}, Range("hidden_size", 16, 256, True, True)),
        ({"update_epochs": "2..8"}, Range("update_epochs", 2, 8, False, True)),
        ({"memory": "none,gru"}, Choices("memory", ("none", "gru"))),
        ({"num_steps": "64, 128"}, Choices("num_steps", (64, 128))),
        ({"clip_vloss": "true,FALSE"}, Choices("clip_vloss", (True, False))),
        ({"gamma": [0.9, 0.99]}, Choices("gamma", (0.9, 0.99))),
    ],
)
def test_a_range_or_a_list_is_read(params, parameter):
    assert read_space(params) == (parameter,)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "a sweep needs something to vary"),
        ({"learning_rat": "1..2"}, "unknown setting of training 'learning_rat': did you mean 'learning_rate'"),
        ({"learning_rate": ""}, "learning_rate is empty"),
        ({"learning_rate": ".."}, "learning_rate takes numbers, not ''"),
        ({"learning_rate": "1e-3..1e-3"}, "is an empty range, of one value: give --learning-rate 0.001"),
        ({"learning_rate": "1e-2..1e-4"}, "runs from the higher to the lower end: write learning_rate=1e-4..1e-2"),
        ({"learning_rate": "a..b"}, "takes numbers, not 'a'"),
        ({"learning_rate": "0..1"}, "learning-rate must be above 0"),
        ({"learning_rate": "nan..1"}, "learning-rate must be above 0"),
        ({"learning_rate": "1e-4..1e-2:cubic"}, "a scale is log or lin, not 'cubic'"),
        ({"ent_coef": "0..1:log"}, "a logarithmic range begins above 0"),
        ({"gamma": "0.9,0.99:log"}, "log and lin are for ranges"),
        ({"num_steps": "1.5..7"}, "num_steps takes whole numbers, not '1.5'"),
        ({"num_steps": "64,64"}, "has a value twice: 64, 64"),
        ({"num_steps": "64"}, "has one value, 64: give --num-steps 64"),
        ({"memory": "none..gru"}, "memory has no range: give values, --param memory=none,gru"),
        ({"clip_vloss": "true..false"}, "give values, --param clip_vloss=true,false"),
        ({"clip_vloss": "yes,no"}, "takes true and false, not 'yes'"),
        ({"memory": "none,lstm"}, "unknown memory 'lstm'"),
        ({"gamma": [0.9, "x"]}, "gamma takes numbers, not 'x'"),
        ({"gamma": [0.9, None]}, "gamma must be of type float, not None"),
        ({"gamma": 0.9}, "must be a text such as 1e-4..1e-2 or a list, not 0.9"),
        ({"seed": "1,2"}, "a sweep may not vary seed: every trial has the same seeds"),
        ({"run_name": "a,b"}, "a sweep may not vary run_name"),
        ({"eval_freq": "1,2"}, "a sweep may not vary eval_freq"),
        ({"env_id": "a,b"}, "a sweep may not vary env_id"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said_in_one_line(params, said):
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        read_space(params)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_and_values_of_the_command_line():
    assert named(["a=1..2", "b=x=y"]) == {"a": "1..2", "b": "x=y"}
    with pytest.raises(ConfigError, match="'gamma' is not NAME=VALUES"):
        named(["gamma"])
    with pytest.raises(ConfigError, match="learning-rate is given twice"):
        named(["learning_rate=1..2", "learning-rate=3..4"])


def test_every_setting_is_a_shape_a_number_or_fixed():
    """A new field of the configuration has to say which."""
    fields = {o.name for o in options_of(TrainConfig)}
    runs = {o.name for o in options_of(RunOptions)}

    assert fields >= NUMBERS
    assert set(FIXED) <= fields | runs
    assert {"num_envs", "hidden_size", "memory", "norm_adv", "anneal_lr", "frame_stack", "policy"} <= fields - NUMBERS
    base = TrainConfig()
    changed = {"learning_rate": 0.5, "seed": 3, "total_timesteps": 10**6, "harm_lr": 0.9, "init_logstd": -1.0}
    assert shape_of(base) == shape_of(TrainConfig(**changed))
    for name, value in {"ent_coef": 0.1, "num_steps": 64, "seeds": 2, "env_kwargs": '{"k": 0.1}'}.items():
        assert shape_of(base) != shape_of(TrainConfig(**{name: value}))


@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "switched", "before", "after"),
    [
        (
            "DrugDose-v0",
            {"seeds": 2, "norm_update": "step"},
            {"ent_coef": 0.01, "target_kl": 1.0, "clip_reward": 9.0},
            {
                "learning_rate": 3e-3, "gamma": 0.7, "gae_lambda": 0.5, "clip_coef": 0.05, "ent_coef": 0.2,
                "vf_coef": 2.0, "max_grad_norm": 0.05, "target_kl": 0.01, "clip_obs": 0.7, "clip_reward": 0.4,
                "init_logstd": -1.0, "seed": 5, "total_timesteps": 192,
            },
        ),
        pytest.param(
            "Vancomycin-v2",
            {},
            {"harm_limit": 0.5, "desired_kl": 1.0},
            {"harm_limit": 0.003, "harm_lr": 0.7, "desired_kl": 0.01, "gamma": 0.8},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_a_shared_program_trains_to_the_bits_of_its_own(task, switched, before, after):
    """Every number is an argument of the program: with those of another run it is not that run's."""
    task, programs = find_task(task), SharedPrograms()
    first, second = (
        TrainConfig(**{**TINY, "env_id": task.env_id, **switched, **own}) for own in (before, before | after)
    )
    ends = {}
    for name, config, make in (
        ("first", first, programs), ("shared", second, programs), ("own", second, make_program)
    ):  # fmt: skip
        plan = make_plan(config)
        program = make(plan, task)
        state = program.init()
        program.compile(state)
        for _ in range(plan.num_updates):
            state, _ = program(state)
        ends[name] = program.snapshot(state)

    assert len(programs._first) == 1
    for name, tensor in ends["own"].items():
        np.testing.assert_array_equal(ends["shared"][name], tensor, err_msg=name)
    assert any((ends["first"][name] != tensor).any() for name, tensor in ends["own"].items() if "params" in name)


@pytest.fixture(scope="module")
def heard():
    """Counts what JAX compiles, from the persistent cache or anew."""
    counts: Counter[str] = Counter()
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: counts.update([name]))
    return counts


def _sweep(folder, trials, **changes):
    given = {"params": SPACE, "name": "s", "runs_dir": str(folder), "progress": False, **changes}
    shared = {name: value for name, value in TINY.items() if name not in given["params"]}
    return rldd.sweep(trials=trials, **shared | given)


def _told(path):
    """What a sweep's table says, but for times."""
    return [{k: v for k, v in r.items() if k not in {"seconds", "compile_s"}} for r in json.loads(path.read_text())]


@pytest.mark.long
def test_twenty_trials_of_equal_shape_compile_in_the_first_only(tmp_path, heard):
    """Neither the training nor the evaluation, nor the smallest operation beside them."""
    compiled, lowered = "/jax/core/compile/backend_compile_duration", "/jax/core/compile/jaxpr_trace_duration"
    counts = []

    def tell(text, done):
        if done is None and text.startswith("trial "):
            counts.append((heard[compiled], heard[lowered]))

    heard.clear()
    result = _sweep(tmp_path, 20, seeds=2, progress=tell)

    assert len(result.records) == len(counts) == 20
    assert counts[0] > (0, 0)
    assert set(counts) == {counts[0]}, counts


@pytest.mark.long
def test_few_programs_are_held_and_those_stay_compiled(monkeypatch, heard):
    """Each holds memory maps, of which a process has not many: the one that was used least lately goes."""
    monkeypatch.setattr(shared, "_MOST", 2)
    task, programs = find_task("DrugDose-v0"), SharedPrograms()
    plans = {size: make_plan(TrainConfig(**{**TINY, "hidden_size": size})) for size in (4, 6, 8)}
    first = programs(plans[4], task)
    first.compile(first.init())
    programs(plans[6], task)
    programs(plans[4], task)
    programs(plans[8], task)
    assert [dict(shape[0])["hidden_size"] for shape in programs._first] == [4, 8]

    jax.clear_caches()
    again = programs(plans[4], task)
    state = again.init()
    heard.clear()
    again.compile(state)
    assert not heard["/jax/core/compile/backend_compile_duration"]


@pytest.mark.long
def test_a_sweep_leaves_runs_a_table_a_picture_and_the_best_settings(tmp_path, same_runs):
    result = _sweep(tmp_path, 3, seeds=3)
    folder = tmp_path / "s"

    rows = json.loads((folder / "trials.json").read_text())
    assert [r["trial"] for r in rows] == [1, 2, 3]
    assert all(r["objective"] == np.median(r["returns"]) and len(r["returns"]) == 3 for r in rows)
    last = [json.loads((folder / f"trial-00{i}" / "metrics.jsonl").read_text().splitlines()[-1]) for i in (1, 2, 3)]
    assert [np.mean(r["returns"]) for r in rows] == pytest.approx([row["eval/mean_reward"] for row in last])
    assert (folder / "trials.csv").read_text().startswith("trial,objective,learning_rate,gamma,return_median")
    assert (folder / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert result.best == max(result.records, key=lambda r: r.objective)
    assert list(result.to_frame()["trial"]) == [1, 2, 3]
    best = tomllib.loads((folder / "best.toml").read_text())
    assert best["train"]["learning_rate"] == result.best.params["learning_rate"]
    assert best["sweep"]["trial"] == result.best.trial
    assert {p.name for p in result.save(tmp_path / "copy")} == {"trials.json", "trials.csv", "best.toml", "sweep.png"}

    rldd.train(config=folder / "best.toml", run_name="again", runs_dir=str(tmp_path), progress=False)

    same_runs(folder / f"trial-00{result.best.trial}", tmp_path / "again")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The table of a sweep of six trials that was never stopped; its first ones are those of a shorter sweep."""
    return _told_of(_sweep(tmp_path_factory.mktemp("whole"), 6))


@pytest.mark.long
def test_a_sweep_repeats_itself_and_goes_on_where_it_was(tmp_path, whole):
    """Three trials, then three more, are the six of a sweep that was never stopped; another seed tries others."""
    _sweep(tmp_path / "b", 3)
    (tmp_path / "b/s/trial-004").mkdir()  # what a killed trial left
    (tmp_path / "b/s/trial-004/rest").touch()
    said = []
    _sweep(tmp_path / "b", 6, progress=lambda text, done: said.append(text) if done is None else None)

    assert _told(tmp_path / "b/s/trials.json") == whole
    assert not (tmp_path / "b/s/trial-004/rest").exists()
    assert said[0].endswith("has 3 trials; 6 are asked for")
    assert len({json.dumps(r["params"]) for r in whole}) == 6

    _sweep(tmp_path / "c", 1, seed=2)
    assert _told(tmp_path / "c/s/trials.json")[0]["params"] != whole[0]["params"]


@pytest.mark.long
@pytest.mark.usefixtures("pressable")
@pytest.mark.parametrize("at", ["steps", "setting up", "best so far"])
def test_ctrl_c_ends_it_and_loses_nothing(tmp_path, at, whole):
    """Within a trial, while one is set up, and between two."""
    sent = []

    def tell(text, done):
        if text.startswith("trial 2 of 3") and at in text and not sent:
            sent.append(text)
            os.kill(os.getpid(), signal.SIGINT)

    stopped = _sweep(tmp_path, 3, progress=tell)

    assert stopped.interrupted_by == signal.SIGINT
    assert [r.trial for r in stopped.records] == ([1, 2] if at == "best so far" else [1])
    again = _sweep(tmp_path, 3)
    assert again.interrupted_by is None
    assert _told_of(again) == whole[:3]


def _told_of(result):
    return _told(result.folder.trials)


def _spawn(folder, number):
    words = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    words += [f"--param={name}={values}" for name, values in SPACE.items()]
    words += ["--trials", "4", "--name", "s", "--runs-dir", str(folder)]
    command = [sys.executable, str(KILLING), str(folder), str(number), "sweep", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def _killed_and_resumed(folder, number, whole):
    killed = _spawn(folder, number)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    done = _told(folder / "s/trials.json") if (folder / "s/trials.json").exists() else []
    assert done == whole[: len(done)]
    assert len(done) < 4

    again = _spawn(folder, 0)

    assert again.returncode == 0, again.stderr
    assert _told(folder / "s/trials.json") == whole
    assert sorted(p.name for p in (folder / "s").glob("trial-*")) == [f"trial-00{i}" for i in range(1, 5)]
    assert not list((folder / "s").glob(".*.tmp"))


@pytest.mark.long
def test_a_killed_sweep_goes_on_with_the_trial_it_was_at(tmp_path, whole):
    """No trial is lost or repeated, each under its own number."""
    (tmp_path / "killed").mkdir()

    _killed_and_resumed(tmp_path / "killed", 70, whole[:4])


@pytest.mark.slow
@pytest.mark.parametrize("place", range(10))
def test_a_sweep_killed_at_any_touch_of_the_disk_goes_on(tmp_path, place, whole):
    (tmp_path / "all").mkdir()
    touches = int(_spawn(tmp_path / "all", 0).stdout.splitlines()[-1])
    (tmp_path / "killed").mkdir()

    # The last touches are those of the picture, after the last trial.
    _killed_and_resumed(tmp_path / "killed", 1 + round(place / 9 * (touches - 12)), whole[:4])


@pytest.mark.long
def test_another_sweep_is_never_mixed_with_one_that_is_there(tmp_path):
    _sweep(tmp_path, 1)
    before = (tmp_path / "s/trials.json").read_bytes()

    for changes, said in (
        (
            {"params": {"learning_rate": "1e-4..1e-1", "gamma": "0.8..0.99"}},
            "params.learning_rate.high: 0.01 there, 0.1 here",
        ),
        ({"update_epochs": 3}, "train.update_epochs: 2 there, 3 here"),
        ({"objective": "time-in-range"}, "objective"),
        ({"seed": 4}, "train.seed: 1 there, 4 here"),
    ):
        with pytest.raises(ConfigError, match="holds another sweep") as caught:
            _sweep(tmp_path, 2, **changes)
        assert said in str(caught.value)
    assert (tmp_path / "s/trials.json").read_bytes() == before

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"is no sweep's folder, it holds 'thesis.tex'"):
        _sweep(tmp_path, 2, name="mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]

    trial = json.loads(before)[0]
    for wrong in ({"gamma": 0.9}, {"gamma": 0.9, "learning_rate": 7.0}, {"gamma": "x", "learning_rate": 1e-3}, 3):
        (tmp_path / "s/trials.json").write_text(json.dumps([{**trial, "params": wrong}]))
        with pytest.raises(CheckpointError, match=r"trial 1 of trials.json has values that the sweep does not have"):
            _sweep(tmp_path, 2)
    (tmp_path / "s/trials.json").write_text('[{"trial": 1}]')
    with pytest.raises(CheckpointError, match="not a list of trials"):
        _sweep(tmp_path, 2)
    with locked(tmp_path / "s", "sweep folder"), pytest.raises(OutputError, match="in use by another process"):
        _sweep(tmp_path, 2)
    (tmp_path / "s/sweep.json").write_text("[")
    with pytest.raises(CheckpointError, match="cannot read"):
        _sweep(tmp_path, 2)


@pytest.mark.long
def test_a_sweep_on_a_foreign_environment_shares_its_update(tmp_path, heard):
    """The environments are made anew for each trial, the update is compiled once."""
    compiled, counts = "/jax/core/compile/backend_compile_duration", []

    def tell(text, done):
        if done is None and text.startswith("trial "):
            counts.append(heard[compiled])

    heard.clear()
    result = _sweep(tmp_path, 3, env="CartPole-v1", params={"learning_rate": "1e-4..1e-2"}, progress=tell)

    models = {(tmp_path / f"s/trial-00{r.trial}/agent.pt").read_bytes() for r in result.records}
    assert len(models) == 3
    assert counts[0] > 0
    assert len(set(counts)) == 1


def test_a_combination_that_cannot_be_is_a_failed_trial(tmp_path):
    result = _sweep(tmp_path, 9, params={"num_minibatches": "4,7"})

    assert [r.objective is None for r in result.records] in ([True, False], [False, True])
    (failed,) = result.failed
    assert "num_minibatches 7 do not divide" in failed.reason
    assert result.exhausted
    assert result.best.params == {"num_minibatches": 4}


def test_a_training_that_fails_is_a_failed_trial_and_another_error_ends_the_sweep(tmp_path, monkeypatch):
    real = trainer.train

    def fails(config, *args, **kwargs):
        if config.gamma < 0.9:
            raise TrainingError("the loss is not finite")
        if config.learning_rate > 0.5:
            raise OutputError("the disk is full")
        return real(config, *args, **kwargs)

    monkeypatch.setattr(trainer, "train", fails)
    with pytest.raises(TrainingError, match=r"none of the 2 trials of .* is complete \(the loss is not finite\)"):
        _sweep(tmp_path / "a", 2, params={"gamma": "0.1,0.2"})
    with pytest.raises(OutputError, match="the disk is full"):
        _sweep(tmp_path / "b", 2, params={"learning_rate": "0.8,0.9"})
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 0}, "trials must be from 1 to 100,000, not 0"),
        ({"objective": "fun"}, "objective must be one of return, time-in-range, not 'fun'"),
        ({"name": "../x"}, "run name '../x' is not allowed"),
        ({"eval_freq": 0}, "trials are judged by their last evaluation"),
        ({"learning_rate": 1e-3}, "learning_rate is given twice: vary it with --param learning_rate, or fix it"),
        ({"run_name": "x"}, "a sweep takes no --run-name"),
        ({"num_minibatches": 7}, "num_minibatches 7 do not divide"),
        ({"env": "Nope-v0"}, "unknown environment 'Nope-v0'"),
        ({"env": "Pendulum-v1", "objective": "time-in-range"}, "needs a therapeutic window"),
        ({"env_kwargs": {"nope": 1}}, "nope"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_said_in_one_line_and_nothing_is_left(tmp_path, changes, said):
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        _sweep(tmp_path / "runs", **{"trials": 2, **changes})

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_without_optuna_one_line_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)

    with pytest.raises(DependencyError, match="make install-sweep"):
        _sweep(tmp_path / "runs", 2)
    assert not (tmp_path / "runs").exists()


def test_the_picture_has_a_panel_for_each_parameter():
    """Over all of its range, in its scale; a mark a trial, a ring around the best, a cross for a failed one."""
    space = read_space({"learning_rate": "1e-4..1e-2", "gamma": "0.8..0.9", "memory": "none,gru"})
    records = [
        TrialRecord(trial=i, params={"learning_rate": 1e-3, "gamma": 0.85, "memory": "gru"}, objective=value)
        for i, value in enumerate((1.0, 3.0, None, 2.0), start=1)
    ]
    panels = draw(space, records, "return", "s").axes

    assert [axes.get_xlabel() for axes in panels] == ["learning_rate", "gamma", "memory"]
    assert [axes.get_xscale() for axes in panels] == ["log", "linear", "linear"]
    low, high = panels[0].get_xlim()
    assert low < 1e-4
    assert high > 1e-2
    assert [label.get_text() for label in panels[2].get_xticklabels()] == ["none", "gru"]
    for axes in panels:
        marks, ring, crosses = (found.get_offsets() for found in axes.collections)
        assert marks[:, 1].tolist() == [1.0, 3.0, 2.0]
        assert ring[0, 1] == 3.0
        assert len(crosses) == 1


def test_the_command_for_the_best_settings_names_a_task_of_the_users(tmp_path):
    folder = SweepFolder(tmp_path / "a b")
    plain = SweepResult(folder, (), "return", (), 1)

    assert plain.train_command == f"rl-drug-dosage train --config '{tmp_path}/a b/best.toml'"
    assert dataclasses.replace(plain, again="--scenario t.toml").train_command.endswith("best.toml' --scenario t.toml")


def test_few_combinations_are_each_tried_once():
    space = read_space({"memory": "none,gru", "update_epochs": "1..3"})
    assert combinations(space) == 6
    sampler, tried = Sampler(space, 1, []), []
    while (params := sampler.propose(len(tried) + 1)) is not None:
        tried.append(params)
        sampler.tell(TrialRecord(trial=len(tried), params=params, objective=float(len(tried))))

    assert len({tuple(p.values()) for p in tried}) == len(tried) == 6
    assert combinations(read_space(SPACE)) is None


def test_the_search_learns_from_its_trials():
    """The last twenty of sixty trials are nearer to the best value than chance is, whose median distance is 0.25."""
    space = read_space({"gamma": "0..1"})
    sampler, records = Sampler(space, 7, []), []
    for number in range(1, 61):
        params = sampler.propose(number)
        records.append(TrialRecord(trial=number, params=params, objective=-abs(params["gamma"] - 0.3)))
        sampler.tell(records[-1])
    away = [abs(r.params["gamma"] - 0.3) for r in records]

    assert np.median(away[-20:]) < 0.1
    assert np.median(away[:10]) > 0.15
    again = Sampler(space, 7, records[:30])
    assert again.propose(31) == records[30].params
    assert best_of([*records, TrialRecord(trial=61, params={}, reason="failed")]).objective == max(-a for a in away)

"""Every refusal is one line on stderr that names the value and the remedy, exits with 2, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = [
    (["--env-id", "DrugDos-v0"], ["'DrugDos-v0'", "did you mean 'DrugDose-v0'"]),
    (["--env-kwargs", '{"k": NaN}'], ["NaN"]),
    (["--env-kwargs", '{"kk": 1}'], ["'kk'", "did you mean 'k'"]),
    (["--env-kwargs", '{"k": 2}'], ["k must be", "2"]),
    (["--env-kwargs", "[1]"], ["JSON object"]),
    (["--env-kwargs", '{"c_min": 3, "c_max": 2}'], ["c_max", "above c_min"]),
    (["--learning-rate", "nan"], ["--learning-rate", "nan", "above 0"]),
    (["--gamma", "inf"], ["--gamma", "inf", "from 0"]),
    (["--total-timesteps", "0"], ["--total-timesteps", "from 1"]),
    (["--total-timesteps", "-5"], ["--total-timesteps", "-5"]),
    (["--num-envs", "0"], ["--num-envs", "from 1"]),
    (["--num-envs", "abc"], ["--num-envs", "'abc'"]),
    (["--num-minibatches", "33"], ["33", "2048", "divisor"]),
    (["--num-minibatches", "2048"], ["2048", "at least 2"]),
    (["--run-name", "../x"], ["'../x'", "letters, digits"]),
    (["--run-name", "/tmp/x"], ["'/tmp/x'"]),
    (["--run-name", ".."], ["'..'"]),
    (["--runs-dir", "/proc/nowhere"], ["/proc/nowhere", "--runs-dir"]),
    (["--device", "tpu"], ["'tpu'", "cpu, cuda"]),
    (["--preset", "foo"], ["'foo'", "blog, fast"]),
    (["--policy", "gausian"], ["'gausian'", "did you mean 'gaussian'"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--seed", "4294967295", "--seeds", "2"], ["--seeds", "lower"]),
    (["--target-kl", "0.1", "--desired-kl", "0.1"], ["target_kl", "desired_kl"]),
    (["--env-id", "Pendulum-v1", "--seeds", "2"], ["--seeds", "Pendulum-v1"]),
    (["--resume", "nowhere"], ["nowhere", "config.toml"]),
    (["--no-such-option"], ["--no-such-option"]),
]


def _one_line(outcome) -> str:
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    return outcome.err


@pytest.mark.parametrize(("args", "named"), TRAIN, ids=lambda a: " ".join(a)[:40])
def test_train_refuses_in_one_line_and_leaves_nothing(run, tmp_path, args, named):
    """The line names what came; no run folder is made."""
    err = _one_line(run("train", *args))
    assert all(word in err for word in named), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_cuda_without_a_gpu_says_what_to_install():
    """In a process of its own: JAX chooses its devices once."""
    args = [sys.executable, "-m", "rl_drug_dosage", "train", "--device", "cuda"]
    done = subprocess.run(
        args, capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'cuda' extra" in done.stderr


def test_an_existing_run_folder_is_never_overwritten(run, tiny_run):
    """Not even by the same command."""
    before = {p: p.read_bytes() for p in tiny_run.iterdir()}
    assert "exists already" in _one_line(run("train", "--run-name", "tiny"))
    assert {p: p.read_bytes() for p in tiny_run.iterdir()} == before


def test_resuming_with_other_settings_is_refused(run, tiny_run):
    """A resumed run is what it was."""
    assert "leave out --seed" in _one_line(run("train", "--resume", tiny_run, "--seed", "3"))
    config = tiny_run / "config.toml"
    config.write_text(config.read_text().replace("gamma = 0.99", "gamma = 0.5"))
    assert "disagree" in _one_line(run("train", "--resume", tiny_run))


def test_a_damaged_checkpoint_is_refused(run, tiny_run):
    """And says so, instead of starting over."""
    path = tiny_run / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot resume" in _one_line(run("train", "--resume", tiny_run))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"not a model"], ids=["missing", "empty", "zip", "text"])
def test_evaluate_refuses_what_is_not_a_model(run, tmp_path, content):
    """Missing, empty, foreign: one line with the path."""
    path = tmp_path / "a.pt"
    if content is not None:
        path.write_bytes(content)
    assert "a.pt" in _one_line(run("evaluate", "--model-path", path))
    assert "a.pt" in _one_line(run("info", "--model-path", path))


def test_evaluate_refuses_a_checkpoint(run, tiny_run):
    """A checkpoint is not a model, though both end in .pt."""
    assert "checkpoint" in _one_line(run("evaluate", "--model-path", tiny_run / "checkpoint.pt"))


def test_evaluate_refuses_a_model_for_an_environment_that_is_not_here(run, tiny_run):
    """A valid file that names an environment that nobody has registered."""
    from rl_drug_dosage.ppo.model_file import load_model, save_model

    model = load_model(tiny_run / "agent.pt")
    path = tiny_run / "other.pt"
    env = {**model.record["env"], "id": "Elsewhere-v3"}
    save_model(path, model.policy, env=env, training=model.training, progress=model.record["progress"])
    assert "Elsewhere-v3" in _one_line(run("evaluate", "--model-path", path))
    env = {**model.record["env"], "frame_stack": 3}
    save_model(path, model.policy, env=env, training=model.training, progress=model.record["progress"])
    assert "takes 1 observations" in _one_line(run("evaluate", "--model-path", path))


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--num-episodes", "0"], "--num-episodes"),
        (["--seed", "-1"], "--seed"),
        (["--device", "tpu"], "'tpu'"),
        (["--output-dir", "/proc/nowhere"], "--output-dir"),
    ],
    ids=str,
)
def test_evaluate_refuses_in_one_line(run, tiny_run, args, named):
    """Numbers and places that will not do."""
    assert named in _one_line(run("evaluate", "--model-path", tiny_run / "agent.pt", *args))


def test_a_missing_option_and_an_unknown_command(run):
    """The parser's own refusals have the same form."""
    assert "--model-path" in _one_line(run("evaluate"))
    assert "Did you mean 'train'" in _one_line(run("trian"))


@pytest.mark.long
def test_a_full_disk_ends_a_run_in_one_line(tmp_path):
    """No file may grow beyond 20 kB: the first checkpoint does not fit, and says so."""
    args = ["train", "--num-envs", "4", "--num-steps", "64", "--num-minibatches", "4", "--total-timesteps", "512"]
    done = subprocess.run(
        [
            "bash",
            "-c",
            'ulimit -f 20; exec "$@"',
            "-",
            sys.executable,
            "-m",
            "rl_drug_dosage",
            *args,
            "--run-name",
            "full",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
    )
    lines = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1
    assert "checkpoint.pt" in lines[0]
    assert not (tmp_path / "runs/full/checkpoint.pt").exists()
    assert not list(Path(tmp_path / "runs/full").glob(".*"))

"""A run's folder: complete from its first moment, one process at a time, readable whatever is written into it."""

import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from rl_drug_dosage import api
from rl_drug_dosage.errors import CheckpointError, ConfigError, OutputError, RlDrugDosageError
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.training.run_folder import RunFolder, RunRecord, default_run_name

SMALL = {
    "num_envs": 2,
    "num_steps": 32,
    "num_minibatches": 4,
    "update_epochs": 2,
    "total_timesteps": 256,
    "eval_freq": 0,
    "hidden_size": 4,
}
PENDULUM = "Pendulum-v1"


def _record(tmp_path: Path, **options: str) -> RunRecord:
    run = RunOptions(runs_dir=str(tmp_path), **options)
    return RunRecord(config=TrainConfig(), options=run, scenario={}, initial={}, extended=())


def _nothing(folder: RunFolder) -> None:
    del folder


TEXTS = ["größe", "剂量", "𝛼-🧪", 'a "quoted" \\ one', "two\nlines\tand a tab", "\x01\x7f\x85\u2028", "'''", "e\u0301"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_in_names_tags_and_options_is_read_back(tmp_path, text):
    """Beyond the first 65,536 characters too, which JSON writes as two halves that TOML does not know."""
    config = TrainConfig(env_kwargs='{"note": "𝛼"}')
    run = RunOptions(runs_dir=str(tmp_path), wandb_tags=text, wandb_project=text, wandb_entity=text)
    record = RunRecord(
        config=config, options=run, scenario={"file": text, "given_as": text}, initial={"file": text}, extended=()
    )
    folder = RunFolder.create(record, f"rl-drug-dosage train --wandb-tags {text}", _nothing)
    assert folder.read_record() == record
    assert tomllib.loads(folder.config.read_text(encoding="utf-8"))["run"]["wandb_tags"] == text
    assert text in folder.command.read_bytes().decode()


@pytest.mark.long
def test_a_run_in_a_folder_of_any_name_is_resumed(tmp_path):
    """With tags and options to match."""
    stop = _stop_after(1)
    first = api.train(
        PENDULUM,
        **SMALL,
        runs_dir=str(tmp_path / "läufe 🧪"),
        wandb_tags="größe,𝛼",
        env_kwargs='{"g": 9.81}',
        progress=stop,
    )
    assert not first.complete
    assert api.train(resume=first.folder.path, progress=False).complete


def _stop_after(count: int):
    seen: list[str] = []

    def progress(text: str, share: float | None) -> None:
        if share is not None and " steps, " in text:
            seen.append(text)
            if len(seen) == count:
                signal.raise_signal(signal.SIGINT)

    return progress


def test_bytes_that_are_no_text_are_one_line_or_kept(tmp_path):
    """Python hands them on as lone surrogates."""
    with pytest.raises(ConfigError, match="wandb_tags must be text"):
        RunOptions(wandb_tags="caf\udce9")
    folder = RunFolder.create(_record(tmp_path), "rl-drug-dosage train --run-name caf\udce9", _nothing)
    assert folder.command.read_bytes() == b"rl-drug-dosage train --run-name caf\xe9\n"


def test_twenty_starts_in_one_second_all_succeed(tmp_path):
    """The second one of a name gets a number; a name that was asked for does not."""
    paths = {RunFolder.create(_record(tmp_path), "", _nothing).path for _ in range(20)}
    assert len(paths) == 20
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in paths}
    RunFolder.create(_record(tmp_path, run_name="mine"), "", _nothing)
    with pytest.raises(OutputError, match=r"exists already .*--resume"):
        RunFolder.create(_record(tmp_path, run_name="mine"), "", _nothing)


@pytest.mark.long
def test_processes_that_start_together_get_folders_of_their_own(tmp_path):
    """Four at a time, for one second of the clock."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from rl_drug_dosage.training import run_folder as r; from rl_drug_dosage.training.config import *\n"
        "from rl_drug_dosage.training.config import RunOptions\n"
        "record = r.RunRecord(config=TrainConfig(), options=RunOptions(runs_dir=sys.argv[1]), scenario={}, initial={},"
        " extended=())\n"
        "time.sleep(max(0.0, float(sys.argv[2]) - time.time()))\n"
        "for _ in range(5): r.RunFolder.create(record, '', lambda folder: None)"
    )
    at = f"{float(int(time.time()) + 6)}"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), at]) for _ in range(4)]
    assert [p.wait(timeout=120) for p in processes] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 20


def test_an_empty_folder_of_that_name_is_used(tmp_path):
    """Nothing in it can be lost."""
    (tmp_path / "mine").mkdir()
    RunFolder.refuse_taken(RunOptions(runs_dir=str(tmp_path), run_name="mine"))
    assert RunFolder.create(_record(tmp_path, run_name="mine"), "", _nothing).config.exists()
    with pytest.raises(OutputError, match="exists already"):
        RunFolder.refuse_taken(RunOptions(runs_dir=str(tmp_path), run_name="mine"))


def test_a_start_that_fails_half_way_leaves_nothing(tmp_path):
    """Whatever went wrong in the first writes."""

    def full(folder: RunFolder) -> None:
        raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        RunFolder.create(_record(tmp_path / "runs", run_name="mine"), "", full)
    assert not list((tmp_path / "runs").iterdir())


def test_a_second_resume_of_a_run_is_refused_and_the_first_goes_on(tmp_path):
    """And so is resuming a run that is still being trained."""
    refused: list[str] = []

    def intrude(text: str, share: float | None) -> None:
        if share is not None and " steps, " in text:
            with pytest.raises(OutputError, match="in use by another process") as caught:
                api.train(resume=tmp_path / "runs" / "r", progress=False)
            refused.append(str(caught.value))

    done = api.train(PENDULUM, **SMALL, runs_dir=str(tmp_path / "runs"), run_name="r", progress=intrude)
    assert done.complete
    assert len(refused) == 4
    longer = api.train(resume=done.folder.path, total_timesteps=512, progress=intrude)
    assert len(refused) == 8
    assert longer.columns()["step"].tolist() == [64.0 * i for i in range(1, 9)]


FAILING = {
    "unknown": ({"env": "Pendulumm-v1"}, "did you mean"),
    "option": ({"env": PENDULUM, "env_kwargs": '{"no_such": 1}'}, "cannot be made"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_run_that_fails_before_its_first_update_leaves_no_folder(tmp_path, name):
    """Neither its own, nor the one that holds the runs."""
    settings, message = FAILING[name]
    with pytest.raises(RlDrugDosageError, match=message):
        api.train(settings.pop("env"), **SMALL, **settings, runs_dir=str(tmp_path / "runs" / "deep"), progress=False)
    assert not (tmp_path / "runs").exists()


def test_a_user_s_reward_that_raises_leaves_no_folder(tmp_path):
    """It is traced when the training is compiled, long after the folder was made."""
    (tmp_path / "mine.py").write_text(
        "import dataclasses\n"
        "from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO as V\n"
        "def reward(outcome):\n"
        "    raise RuntimeError('my reward')\n"
        "SCENARIO = dataclasses.replace(V, reward=reward)\n"
    )
    with pytest.raises(Exception, match="my reward"):
        api.train(scenario=tmp_path / "mine.py", **SMALL, runs_dir=str(tmp_path / "runs"), progress=False)
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
def test_a_configuration_that_is_none_is_one_line(tmp_path):
    """Other types, other sections, other fields."""
    for text in (
        "",
        "[train]\n",
        "train = 3\nrun = 4\n",
        '[train]\nseed = "x"\n[run]\n',
        "[train]\n[run]\nno = 1\n",
        "[train]\n[run]\n[[extended]]\n",
    ):
        (tmp_path / "config.toml").write_text(text)
        with pytest.raises(CheckpointError):
            RunFolder(tmp_path).read_record()
    assert default_run_name(TrainConfig(env_id="a:b/C-v0")).startswith("a-b-C-v0__ppo_continuous__1__")

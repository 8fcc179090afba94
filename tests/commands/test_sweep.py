"""``rl-drug-dosage sweep`` and ``train --config``: what is printed, and every mistake in one line."""

import json
import tomllib
from pathlib import Path

import pytest

TINY = [
    *("--num-envs", "4", "--num-steps", "16", "--num-minibatches", "4", "--update-epochs", "2"),
    *("--total-timesteps", "128", "--eval-freq", "1", "--eval-episodes", "2", "--hidden-size", "8"),
]
VARIED = ["--param", "learning_rate=1e-4..1e-2", "--param", "anneal_lr=true,false"]


@pytest.mark.long
def test_a_sweep_says_what_it_does_and_what_it_found(run):
    done = run("sweep", *TINY, *VARIED, "--seeds", "2", "--trials", "3", "--name", "s")

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    told = [line for line in lines if line.startswith("trial ") and " s" in line and "return" in line]
    assert [line.split(" (")[0] for line in told] == ["trial 1 of 3", "trial 2 of 3", "trial 3 of 3"]
    assert all("learning_rate 0.0" in line and "anneal_lr " in line for line in told)
    assert "Best of 3 trials by return, median of 2 seeds, on the evaluation patients" in done.out
    assert {str(Path("runs/s") / n) for n in ("trials.json", "trials.csv", "sweep.png", "best.toml")} <= set(lines)
    assert lines[-1] == "train with it: rl-drug-dosage train --config runs/s/best.toml"

    again = run("sweep", *TINY, *VARIED, "--seeds", "2", "--trials", "3", "--name", "s")
    assert again.code == 0
    assert "runs/s has 3 trials; 3 are asked for" in again.out
    assert "trial 1 of 3" not in again.out

    trained = run("train", "--config", "runs/s/best.toml", "--run-name", "best", "--seeds", "1", "--seed", "9")
    assert trained.code == 0, trained.err
    settings = tomllib.loads(Path("runs/best/config.toml").read_text())["train"]
    best = max(json.loads(Path("runs/s/trials.json").read_text()), key=lambda r: r["objective"])
    assert settings["learning_rate"] == best["params"]["learning_rate"]
    assert (settings["seeds"], settings["seed"], settings["num_steps"]) == (1, 9, 16)


def test_a_sweep_that_is_stopped_says_how_to_go_on(run, monkeypatch):
    """Under the name that it has, also where nobody gave one."""
    monkeypatch.setattr("rl_drug_dosage.training.sweep.run._Running._loop", lambda self, sampler: (15, False))

    done = run("sweep", *TINY, *VARIED)

    (folder,) = Path("runs").iterdir()
    assert done.code == 128 + 15
    assert f"stopped after 0 of 20 trials; go on with: rl-drug-dosage sweep {' '.join(TINY)}" in done.out
    assert done.out.endswith(f"--name {folder.name}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "a sweep needs something to vary: --param learning_rate=1e-4..1e-2"),
        (["--param", "learning_rat=1..2"], "did you mean 'learning_rate'?"),
        (["--param", "learning_rate"], "is not NAME=VALUES"),
        (["--param", "learning_rate=1e-3.."], "takes numbers, not ''"),
        (["--param", "learning_rate=1e-2..1e-3"], "write learning_rate=1e-3..1e-2"),
        (["--param", "num_steps=a,b"], "takes whole numbers, not 'a'"),
        (["--param", "seed=1,2"], "a sweep may not vary seed"),
        (["--param", "gamma=0.9,0.99", "--param", "gamma=0.8,0.7"], "gamma is given twice"),
        (["--param", "gamma=0.9,0.99", "--gamma", "0.9"], "vary it with --param gamma, or fix it, not both"),
        (["--param", "gamma=0.9,0.99", "--trials", "0"], "--trials must be from 1 to 100,000, not 0"),
        (["--param", "gamma=0.9,0.99", "--trials", "x"], "'x'"),
        (["--param", "gamma=0.9,0.99", "--eval-freq", "0"], "trials are judged by their last evaluation"),
        (["--param", "gamma=0.9,0.99", "--env-id", "DrugDos-v0"], "did you mean 'DrugDose-v0'?"),
        (["--param", "gamma=0.9,0.99", "--run-name", "x"], "No such option"),
    ],
)
def test_a_mistake_is_one_line(run, words, said):
    done = run("sweep", *words)

    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_sweep_in_which_nothing_works_ends_with_a_code_of_its_own(run):
    done = run("sweep", "--num-envs", "4", "--num-steps", "16", "--param", "num_minibatches=3,7", "--name", "s")

    assert done.code == 3
    assert "none of the 2 trials of runs/s is complete (num_envs 4 x num_steps 16 = 64 transitions" in done.err
    assert done.err.count("\n") == 1
    assert [r["objective"] for r in json.loads(Path("runs/s/trials.json").read_text())] == [None, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read --config given.toml: No such file or directory"),
        ("[train", "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("[run]\n", "has no section [train]"),
        ("[train]\ngama = 0.9\n", "unknown setting 'gama': did you mean 'gamma'?"),
        ("[train]\ngamma = 7.0\n", "--gamma must be from 0.0 to 1.0, not 7.0"),
        ("[training]\n", "unknown section of given.toml 'training': did you mean 'train'?"),
        ("scenario = 3\n[train]\n", "scenario must be a section [scenario], not 3"),
        ('[train]\nenv_id = "./bait.py"\n', "is not known here"),
        ('[train]\nenv_id = "bait:X"\n', "is not known here"),
        ('[train]\nenv_id = "Mine-v0"\n[scenario]\nfile = "mine.toml"\n', "give its file again (--scenario mine.toml)"),
        (
            '[train]\nenv_id = "Vancomycin-v2"\nenv_kwargs = \'{"belief": "./bait.py"}\'\n',
            "needs the drug model './bait.py'",
        ),
        ('[train]\nenv_id = "Pendulum-v1"\nenv_kwargs = \'{"a": "bait.py"}\'\n', "give them yourself (--env-kwargs"),
    ],
)
def test_a_file_of_settings_is_data_and_its_mistakes_are_one_line(run, text, said):
    """No path and no module in it is followed."""
    Path("bait.py").write_text("raise SystemExit('was run')\n")
    if text is not None:
        Path("given.toml").write_text(text)

    done = run("train", "--config", "given.toml")

    assert done.code == 2, done.out + done.err
    assert said in done.err
    assert done.err.count("\n") == 1
    assert "was run" not in done.out + done.err
    assert not Path("runs").exists()


def test_a_file_of_settings_stands_alone(run):
    Path("given.toml").write_text("[train]\n")
    for words, said in (
        (["--preset", "fast"], "has its own settings: leave out --preset"),
        (["--resume", "runs/x"], "leave out --config"),
    ):
        done = run("train", "--config", "given.toml", *words)
        assert done.code == 2
        assert said in done.err

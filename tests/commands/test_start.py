"""What the command line must not load, and what it must say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("jax", "matplotlib", "tensorboard", "equinox", "wandb", "rich")


@pytest.mark.long
@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["train", "--help"], ["evaluate", "--help"], ["info", "--help"]]
)
def test_help_and_version_import_nothing_heavy(args):
    """Half a second is spent before the first character otherwise."""
    code = (
        "import sys; sys.argv = ['rl-drug-dosage', *sys.argv[1:]]\n"
        "from rl_drug_dosage.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_module_runs_as_a_program():
    """``python -m rl_drug_dosage --version``."""
    done = subprocess.run(
        [sys.executable, "-m", "rl_drug_dosage", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("rl-drug-dosage 0.")


def test_only_a_process_of_its_own_looks_for_garbage_seldom():
    """Whoever calls the command line from Python keeps their own setting, and what they drop is collected."""
    code = (
        "import gc, sys; sys.argv = ['rl-drug-dosage', '--version']; own = gc.get_threshold(), gc.get_freeze_count()\n"
        "from rl_drug_dosage import cli, __main__ as program\n"
        "try: cli.main()\n"
        "except SystemExit: assert (gc.get_threshold(), gc.get_freeze_count()) == own\n"
        "try: program.main()\n"
        "except SystemExit: assert gc.get_threshold()[0] > 100 * own[0][0] and gc.get_freeze_count() > 10_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("command", ["train", "evaluate", "info"])
def test_every_command_has_help_with_an_example(run, command):
    """The contract of a file in ``commands/``."""
    shown = run(command, "--help")
    assert shown.code == 0
    assert "Example: rl-drug-dosage" in " ".join(shown.out.split())


def test_help_says_what_the_program_is_not(run):
    """Research and education only."""
    assert "research and education only" in " ".join(run("--help").out.split())


def test_every_option_of_the_specification_is_there_with_its_default(run):
    """Names and defaults of the specification's tables."""
    from rl_drug_dosage.training.config import options_of

    defaults = {o.name: o.default for o in options_of()}
    expected = {
        "total_timesteps": 200_000, "learning_rate": 3e-4, "num_envs": 1, "num_steps": 2048, "num_minibatches": 32,
        "update_epochs": 10, "gamma": 0.99, "gae_lambda": 0.95, "clip_coef": 0.2, "ent_coef": 0.0, "vf_coef": 0.5,
        "max_grad_norm": 0.5, "eval_freq": 10, "eval_episodes": 5,
    }  # fmt: skip
    assert {name: defaults[name] for name in expected} == expected
    shown = " ".join(run("evaluate", "--help").out.split())
    for option in (
        "--model-path", "--output-dir", "--num-episodes", "--seed", "--device", "--save-data", "--no-deterministic",
        "--track", "--wandb-project", "--wandb-entity", "--wandb-run-id", "--wandb-tags",
    ):  # fmt: skip
        assert option in shown


@pytest.mark.parametrize(
    ("words", "found"),
    [("rl-drug-dosage recom", ["recommend"]), ("rl-drug-dosage train --total-t", ["--total-timesteps"])],
)
def test_a_shell_completes_commands_and_options(words, found):
    """As bash asks, which `--install-completion` sets up."""
    typed = words.split()
    own = os.environ | {
        "_RL_DRUG_DOSAGE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(typed) - 1),
    }
    program = Path(sys.executable).with_name("rl-drug-dosage")
    done = subprocess.run([program], env=own, capture_output=True, text=True, check=False)
    assert done.stdout.split() == found

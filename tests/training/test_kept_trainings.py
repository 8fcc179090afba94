"""Trainings that `make models` and `make ablation` keep are used again only for the settings they were made with."""

import json
from pathlib import Path

import pytest

from rl_drug_dosage.training.recipe import recipe

ENV = "Vancomycin-v2"
# `train` refuses this at once, so that a training that is not kept shows.
OPTIONS = ["--total-timesteps", "many"]


@pytest.fixture
def trained(load_script):
    return load_script("training_runs").trained


def _kept(folder: Path, options: list[str], settings: dict) -> None:
    command = ["train", "--env-id", ENV, "--preset", "scenario", *options]
    folder.with_name(f"{folder.name}.log").write_text(json.dumps([command, settings]) + "\nprinted before")


def test_the_same_options_and_recipe_are_not_trained_again(trained, tmp_path):
    """What was printed then is handed back."""
    _kept(tmp_path / "run", OPTIONS, recipe(ENV))
    assert trained(ENV, tmp_path / "run", OPTIONS) == "printed before"


@pytest.mark.parametrize(
    ("options", "changed"),
    [(["--total-timesteps", "more"], {}), (OPTIONS, {"num_envs": 7}), (OPTIONS, {"env_kwargs": "{}"})],
    ids=["options", "recipe", "environment"],
)
def test_anything_else_is_another_training(options, changed, trained, tmp_path):
    """It runs, here into an error, and what failed is not kept."""
    _kept(tmp_path / "run", options, {**recipe(ENV), **changed})
    with pytest.raises(SystemExit, match="run: training ended with exit code"):
        trained(ENV, tmp_path / "run", OPTIONS)

"""Trainings that scripts keep under build/, so that what was interrupted goes on where it was."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rl_drug_dosage.training.recipe import recipe

__all__ = ["trained"]


def trained(env_id: str, folder: Path, options: Sequence[str]) -> str:
    """What ``train --preset scenario`` printed, now or before with the same options and the same recipe.

    Args:
        env_id: a scenario's.
        folder: where the run is kept; what was printed lies beside it.
        options: further ones of ``train``.

    Raises:
        SystemExit: the training failed.
    """
    command = ["train", "--env-id", env_id, "--preset", "scenario", *options]
    # A recipe that has changed since is another training.
    asked = json.dumps([command, recipe(env_id)])
    log = folder.with_name(f"{folder.name}.log")
    if log.exists():
        before, _, printed = log.read_text().partition("\n")
        if before == asked:
            return printed
    shutil.rmtree(folder, ignore_errors=True)
    program = Path(sys.executable).with_name("rl-drug-dosage")
    place = ["--runs-dir", str(folder.parent), "--run-name", folder.name]
    done = subprocess.run([program, *command, *place], text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"{folder.name}: training ended with exit code {done.returncode}")
    log.write_text(f"{asked}\n{done.stdout}")
    return done.stdout

"""What stands in a model file or a run's folder is never imported: paths and modules come from the user alone."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.ppo.model_file import load_model, save_model

WATCHED = """
import json, sys

seen = []
sys.addaudithook(
    lambda event, args: (
        seen.append(str(getattr(args[0], "co_filename", args[0]))) if event in {"import", "open", "exec"} else None
    )
)

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import RlDrugDosageError

for call, said in json.loads(sys.argv[1]):
    seen.clear()
    try:
        eval(call)
        answer = "no error"
    except RlDrugDosageError as error:
        answer = str(error)
    touched = [name for name in seen if "evil" in name]
    assert not touched, (call, touched)
    assert said in answer, (call, said, answer)
"""


def _watched(folder: Path, calls: list[tuple[str, str]]) -> None:
    """Each call, and what its error says, in a process where nothing with ``evil`` in its name may be opened."""
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(calls)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "was_run").exists()


EVIL = """
import pathlib

import gymnasium

pathlib.Path("was_run").touch()
gymnasium.register("Evil-v0", entry_point="gymnasium.envs.classic_control:PendulumEnv", max_episode_steps=5)
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO
from rl_drug_dosage.drugs.vancomycin_thomson2009 import DRUG
"""


@pytest.fixture
def evil(own: Path) -> Path:
    """A folder with a module that leaves a trace when it is run."""
    (own / "evil.py").write_text(EVIL)
    return own


def _forged(folder: Path, name: str, **env: object) -> None:
    """A model file whose record names something else."""
    model = load_model(folder / "runs/a/agent.pt")
    kept = {k: v for k, v in model.record["env"].items() if k != "source"}
    save_model(folder / name, model.policy, env={**kept, **env}, training={}, progress={})


MODELS = [
    ({"id": "evil:Evil-v0"}, "env_id='module:Evil-v0'"),
    ({"id": "evil:SCENARIO"}, "not known here"),
    ({"id": "./evil.py"}, "not known here"),
    ({"id": "evil.py"}, "not known here"),
    ({"id": "DosingScenario-v0", "options": {"env": "./evil.py"}}, "not known here"),
    ({"id": "DosingScenario-v0", "options": {"env": "evil:SCENARIO"}}, "not known here"),
    ({"id": "Vancomycin-v2", "options": {"simulator": "./evil.py"}}, "simulator=FILE"),
    ({"id": "Vancomycin-v2", "options": {"belief": "evil:DRUG"}}, "controller=FILE"),
    ({"id": "task", "source": {"file": "evil.py", "sha256": "0" * 64}}, "scenario='evil.py'"),
    ({"id": "Pendulum-v1", "options": {"render_mode": "evil"}}, "give them yourself (env_kwargs="),
    ({"id": "Pendulum-v1", "options": {"g": [{"x": "./evil.py"}]}}, "give them yourself (env_kwargs="),
    ({"id": "evil:Pendulum-v1", "options": {"xml_file": "./evil.xml"}}, "give them yourself (env_kwargs="),
]


@pytest.mark.long
def test_evaluating_explaining_and_loading_forged_models_imports_nothing(evil):
    calls = []
    for i, (env, said) in enumerate(MODELS):
        _forged(evil, f"forged-{i}.pt", **env)
        calls.append((f"rldd.evaluate('forged-{i}.pt', progress=False)", said))
        known = said.startswith(("simulator", "controller", "scenario"))
        calls.append(
            (f"rldd.explain('forged-{i}.pt', progress=False)", said if known else "not a known dosing scenario")
        )
        calls.append((f"rldd.load_policy('forged-{i}.pt')", said if known else "no error"))
    _watched(evil, calls)


RUNS = [
    ({"env_id": "evil:Evil-v0"}, "env='evil:Evil-v0'"),
    ({"env_id": "./evil.py"}, "not known here"),
    ({"env_id": "DosingScenario-v0", "env_kwargs": '{"env": "./evil.py"}'}, "not known here"),
    ({"env_id": "Pendulum-v1", "env_kwargs": '{"render_mode": "evil"}'}, "give them yourself (env_kwargs="),
    ({"env_id": "Vancomycin-v2", "env_kwargs": '{"simulator": "./evil.py"}'}, "needs the drug model"),
    ({"env_id": "Vancomycin-v2", "env_kwargs": '{"mixture": [{"simulator": "evil:DRUG"}]}'}, "needs the drug model"),
]


@pytest.mark.long
def test_going_on_with_forged_runs_imports_nothing(evil):
    calls = []
    for i, (changes, said) in enumerate(RUNS):
        folder = Path(shutil.copytree(evil / "runs/a", evil / f"runs/forged-{i}"))
        text = re.sub(r"\n\[scenario\].*", "\n", (folder / "config.toml").read_text(), flags=re.DOTALL)
        for name, value in changes.items():
            line = f"{name} = {json.dumps(value)}"
            text = re.sub(rf"^{name} = .*$", lambda _, line=line: line, text, flags=re.MULTILINE)
        (folder / "config.toml").write_text(text)
        # Without its checkpoint a run starts over, from its configuration alone.
        (folder / "checkpoint.pt").unlink()
        calls.append((f"rldd.train(resume='runs/forged-{i}', progress=False)", said))
        calls.append((f"rldd.train(config='runs/forged-{i}/config.toml', progress=False)", said))
    _watched(evil, calls)


def _of_pendulum(make_policy):
    policy = make_policy("gaussian-raw", obs_size=3)
    return dataclasses.replace(policy, low=np.full(1, -2.0, np.float32), high=np.full(1, 2.0, np.float32))


@pytest.mark.long
def test_the_users_own_word_imports_the_module(evil, make_policy):
    """``--env-id module:Id-v0``, which has to be what the model was trained for."""
    from rl_drug_dosage.ppo.policy import PpoPolicy

    policy: PpoPolicy = _of_pendulum(make_policy)
    env = {"id": "evil:Evil-v0", "options": {}, "frame_stack": 1}
    save_model(evil / "theirs.pt", policy, env=env, training={}, progress={})
    command = [sys.executable, "-m", "rl_drug_dosage", "evaluate", "--model-path", "theirs.pt", "--env-id"]
    paths = os.pathsep.join([str(evil), os.environ.get("PYTHONPATH", "")])
    answers = {
        name: subprocess.run([*command, name], cwd=evil, capture_output=True, text=True, check=False,
                             env=os.environ | {"PYTHONPATH": paths})
        for name in ("Pendulum-v1", "evil:Evil-v0")
    }  # fmt: skip
    assert answers["Pendulum-v1"].returncode == 2
    assert "'evil:Evil-v0', not for 'Pendulum-v1'" in answers["Pendulum-v1"].stderr
    assert answers["evil:Evil-v0"].returncode == 0, answers["evil:Evil-v0"].stderr
    assert (evil / "was_run").exists()


def test_the_users_own_word_makes_an_environment_with_texts(evil, make_policy):
    """``--env-kwargs``, which have to be those of the training."""
    import rl_drug_dosage as rldd
    from rl_drug_dosage.errors import ModelFileError

    policy = _of_pendulum(make_policy)
    options = {"render_mode": "rgb_array"}
    env = {"id": "Pendulum-v1", "options": options, "frame_stack": 1}
    save_model(evil / "texts.pt", policy, env=env, training={}, progress={})

    with pytest.raises(ModelFileError, match="give those, or leave env_kwargs out"):
        rldd.evaluate(evil / "texts.pt", env_kwargs={"render_mode": "human"}, progress=False)
    assert rldd.evaluate(evil / "texts.pt", env_kwargs=json.dumps(options), progress=False).episodes.lengths[0] == 200


def test_gymnasiums_door_to_any_scenario_is_not_trained_through(own):
    """Its options hold a reference, which a run's folder would keep as data."""
    import rl_drug_dosage as rldd
    from rl_drug_dosage.errors import ConfigError

    with pytest.raises(ConfigError, match="give it as scenario"):
        rldd.train("DosingScenario-v0", env_kwargs={"env": "./task.py"}, progress=False)


def test_a_model_of_other_actions_than_its_environment_is_refused(tmp_path, make_policy):
    """A policy that gives up to 1 where the environment takes up to 2 was trained for another one."""
    import rl_drug_dosage as rldd
    from rl_drug_dosage.errors import ModelFileError

    def save(name, **options):
        env = {"id": "DrugDose-v0", "options": options, "frame_stack": 1}
        save_model(tmp_path / name, make_policy(), env=env, training={}, progress={})
        return tmp_path / name

    rldd.evaluate(save("same.pt", horizon=5), progress=False)
    with pytest.raises(ModelFileError, match=r"but those of DrugDose-v0 here go .* to \[2.0\]"):
        rldd.evaluate(save("other.pt", max_dose=2.0), progress=False)

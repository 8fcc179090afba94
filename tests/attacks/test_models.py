"""Mutated and re-sealed model files: each is refused in one line or works; none imports, opens or executes anything."""

import random
import re
import sys
from pathlib import Path

import pytest
from audit_watch import WATCH
from model_attacks import BAIT, mutated, parts_of

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.ppo.model_file import load_model, save_model

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that overflow

BAITS = (BAIT, "bait.py", "bait.toml", "passwd")
MODELS = Path(__file__).parents[2] / "models"
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def originals(tmp_path, monkeypatch, make_policy):
    """Models of DrugDose, of a dosing scenario, and of somebody else's environment, in a folder with baits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    trap = "import pathlib\npathlib.Path('was_run').touch()\n"
    (tmp_path / f"{BAIT}.py").write_text(trap)
    (tmp_path / "bait.py").write_text(trap)
    (tmp_path / "bait.toml").write_text("title = 'bait'\n")
    pendulum = make_policy("tanh-gaussian", obs_size=3)
    pendulum = type(pendulum)(
        pendulum.networks, pendulum.obs_norm, -2 * pendulum.high, 2 * pendulum.high, pendulum.clip_obs,
        pendulum.kind, pendulum.norm_obs,
    )  # fmt: skip
    env = {"id": "Pendulum-v1", "options": {"g": 10.0}, "frame_stack": 1}
    save_model(tmp_path / "pendulum.pt", pendulum, env=env, training={"seed": 1}, progress={"seed": 1, "update": 7})
    return [MODELS / "agent.pt", MODELS / "warfarin.pt", tmp_path / "pendulum.pt"]


def use(file: Path) -> str:
    """Do with a model file what a user does; the answer is what was refused, or empty."""
    try:
        model = load_model(file)
        if model.env_id in {"DrugDose-v0", "Pendulum-v1"} or not model.env_id.isascii():
            rldd.evaluate(file, num_episodes=1, progress=False)
        else:  # evaluating a dosing scenario would compile for seconds: its policy is built, which checks the same
            rldd.load_policy(file)
            if model.env_id != "Warfarin-v1":
                rldd.evaluate(file, num_episodes=1, progress=False)
    except RlDrugDosageError as error:
        return str(error)
    return ""


def attack(originals, tmp_path, count, seed):
    rng = random.Random(seed)
    parts = [parts_of(path) for path in originals]
    for path in originals:
        assert use(path) == ""
    known = frozenset(name.partition(".")[0] for name in sys.modules)
    faults, refused = [], 0
    file = tmp_path / "forged.pt"
    for i in range(count):
        file.write_bytes(mutated(rng, parts))
        try:
            with WATCH.listening():
                said = use(file)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            faults.append((i, f"{type(error).__name__}: {error}"[:300]))
            continue
        refused += said != ""
        if done := WATCH.faults(known, BAITS):
            faults.append((i, done[:3]))
        if len(said) > 3000 or (said and UNSEEN.search(said)):
            faults.append((i, f"message: {said[:300]!r} ({len(said)} characters)"))
    assert not (tmp_path / "was_run").exists()
    assert not faults, f"{len(faults)} of {count}: " + "\n".join(map(str, faults[:40]))
    return refused


def test_a_hundred_mutated_models(originals, tmp_path):
    refused = attack(originals, tmp_path, 100, 1)

    assert refused > 60


@pytest.mark.slow
def test_five_thousand_mutated_models(originals, tmp_path):
    refused = attack(originals, tmp_path, 5000, 2)

    assert refused > 3000

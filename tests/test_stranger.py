"""A stranger's model: the wheel in a fresh virtual environment, and own files in a folder outside of everything."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[1]
TRAIN = "--num-envs 64 --num-steps 14 --num-minibatches 4 --update-epochs 2 --total-timesteps 1792 --eval-freq 0"


def run(*command: str, cwd: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        command, cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command line of the built wheel, installed by pip; the libraries are those of the running interpreter."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"), cwd=ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        held = {name.partition("rl_drug_dosage/web/")[2] for name in packed.namelist()}
    own = ROOT / "src" / "rl_drug_dosage" / "web"
    assert {p.relative_to(own).as_posix() for p in own.glob("[se]*/*")} <= held, "the page's files are not in the wheel"
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    # a plain path: the editable installation beside these libraries is not followed
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    where = run(str(python), "-c", "import rl_drug_dosage; print(rl_drug_dosage.__file__)", cwd=folder)
    assert str(site) in where
    return folder / "venv" / "bin" / "rl-drug-dosage"


@pytest.fixture(scope="module")
def desk(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drug, its variant with saturable elimination, a task on both, a policy and a trained model."""
    folder = tmp_path_factory.mktemp("desk")
    rldd = str(installed)
    run(rldd, "new", "drug", "mine", cwd=folder)
    run(rldd, "new", "drug", "mine_ode", "--ode", cwd=folder)
    run(rldd, "new", "scenario", "task", "--drug", "mine.py", cwd=folder)
    run(rldd, "new", "policy", "p", cwd=folder)
    task = folder / "task.toml"
    text = task.read_text()
    assert 'drug = "mine.py"' in text
    task.write_text(text.replace('drug = "mine.py"', 'drugs = ["mine.py", "mine_ode.py"]'))
    run(rldd, "train", "--scenario", "task.toml", *TRAIN.split(), "--run-name", "x", cwd=folder)
    return folder


def test_own_files_keep_the_contracts(installed: Path, desk: Path) -> None:
    """Each of the four files, and the typical patient is drawn."""
    for name, *more in (("mine.py",), ("mine_ode.py",), ("task.toml",), ("p.py", "--scenario", "task.toml")):
        out = run(str(installed), "check", name, *more, cwd=desk)
        assert " 0 failed" in out
    assert (desk / "check-mine.png").stat().st_size > 5_000


def test_an_own_drug_is_simulated_and_estimated(installed: Path, desk: Path) -> None:
    """The estimates of a simulated cohort, in a folder that is made."""
    regimen = "--dose 700 --interval 12 --duration 1.5 --days 2 --sample-every 6"
    run(str(installed), "simulate", "--drug", "./mine.py", "--patients", "4", *regimen.split(), cwd=desk)
    run(
        str(installed),
        "estimate",
        "--drug",
        "mine.py",
        "--data",
        "simulation-mine.csv",
        "--output-dir",
        "est",
        cwd=desk,
    )
    assert (desk / "est" / "estimates.csv").read_text().count("\n") > 4


def test_own_files_compete(installed: Path, desk: Path) -> None:
    """An own policy, an own run and a regimen in words, under both models as patients and as beliefs."""
    policies = ["a=runs/x", "p.py", "700 mg q12h", "label"]
    named = [word for policy in policies for word in ("--policy", policy)]
    out = run(
        str(installed), "benchmark", "--scenario", "task.toml", "--mismatch", "--patients", "20", *named, cwd=desk
    )
    assert "mine-ode" in out
    rows = (desk / "benchmark-task" / "benchmark.csv").read_text().splitlines()
    assert {row.split(",")[1] if row.split(",")[0].isdigit() else row.split(",")[0] for row in rows[1:]} >= {"a", "p"}


def test_an_own_run_is_evaluated_and_explained(installed: Path, desk: Path) -> None:
    """With the task's file given beside it; without it the one line says which file to give."""
    rldd, beside = str(installed), ("--scenario", "task.toml")
    run(rldd, "evaluate", "--model-path", "runs/x/agent.pt", "--num-episodes", "10", *beside, cwd=desk)
    run(rldd, "explain", "--model-path", "runs/x/agent.pt", "--patients", "50", *beside, "--output-dir", "ex", cwd=desk)
    assert (desk / "runs" / "x" / "report.html").exists()
    assert (desk / "ex" / "explain.md").exists()
    alone = subprocess.run(
        [rldd, "evaluate", "--model-path", "runs/x/agent.pt"], cwd=desk, capture_output=True, text=True, check=False
    )
    assert alone.returncode == 2
    assert "--scenario task.toml" in alone.stderr


def test_a_changed_file_is_refused(installed: Path, desk: Path) -> None:
    """One byte more in the drug's file; accepted when it is said."""
    drug = desk / "mine.py"
    before = drug.read_bytes()
    drug.write_bytes(before + b"\n")
    try:
        command = [str(installed), "evaluate", "--model-path", "runs/x/agent.pt", "--scenario", "task.toml"]
        done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "--accept-changed" in done.stderr
        run(*command, "--accept-changed", cwd=desk)
    finally:
        drug.write_bytes(before)

"""What a clone relies on before any of our Python runs: locks, Makefile, set-up script, licence and citation."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?P<marker> ;[^\\]*)?(?P<hashes>( \\\n +--hash=\S+)*)$", re.MULTILINE
)
SPECIFIED_TARGETS = [
    "help",
    "install",
    "install-wandb",
    "install-dev",
    "train",
    "train-quick",
    "evaluate",
    "test",
    "lint",
    "typecheck",
    "info",
    "clean",
    "bench",
]


def pins(lock: Path) -> dict[str, Version]:
    return {match["name"]: Version(match["version"]) for match in PIN.finditer(lock.read_text())}


def test_every_environment_has_a_lock():
    """The Makefile and the extras name these; supply holds the tools of `make sbom` and `make audit`."""
    expected = {"base", "build", "supply", "uv", *PROJECT["optional-dependencies"]}
    assert {lock.stem for lock in LOCKS} == expected


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_is_hashed_and_holds_no_address(lock):
    """Every line belongs to an exact pin with SHA-256 hashes; no option, path or URL that only one machine knows."""
    text = "".join(line for line in lock.read_text().splitlines(keepends=True) if not line.startswith("#"))
    assert "://" not in lock.read_text()
    matches = list(PIN.finditer(text))
    assert matches
    assert "".join(match.group() + "\n" for match in matches) == text
    assert all(re.fullmatch(r"( \\\n +--hash=sha256:[0-9a-f]{64})+", match["hashes"]) for match in matches)


def test_locks_agree():
    """Extras are added to one environment one after the other: two versions of a package would undo each other."""
    versions: dict[str, set[Version]] = {}
    for lock in LOCKS:
        for name, version in pins(lock).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_locks_are_up_to_date(extra):
    """Whoever edits the dependencies has to run `make lock`."""
    locked = pins(ROOT / "requirements" / f"{extra or 'base'}.txt")
    wanted = PROJECT["dependencies"] + (PROJECT["optional-dependencies"][extra] if extra else [])
    for requirement in map(Requirement, wanted):
        name = requirement.name.lower()
        if name != PROJECT["name"]:
            assert name in locked
            assert locked[name] in requirement.specifier


def test_version_is_told_once():
    """The installed metadata, pyproject.toml and CITATION.cff say the same."""
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == PROJECT["version"] == metadata.version(PROJECT["name"])


def run_make(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("target", SPECIFIED_TARGETS)
def test_make_target_exists_and_is_explained(target):
    """Every target that the specification names can be made and has its line in `make help`."""
    dry = run_make("--dry-run", target)
    assert dry.returncode == 0, dry.stderr
    assert re.search(rf"^  {target} +\S", run_make("help").stdout, re.MULTILINE)


def test_make_train_evaluates_the_run_it_made():
    """All lines of the recipe speak of one run folder, and ARGS reaches the trainer."""
    shown = run_make("--dry-run", "train", "ARGS=--total-timesteps 5000").stdout
    assert "--total-timesteps 5000" in shown
    train, evaluate = (re.search(pattern, shown) for pattern in (r'--run-name "([^"]+)"', r"runs/([^/]+)/agent\.pt"))
    assert train is not None
    assert evaluate is not None
    assert train[1] == evaluate[1]


def test_variables_of_the_environment_do_not_steer_make():
    """A MODEL that the shell happens to export is somebody else's."""
    shown = run_make("--dry-run", "evaluate", MODEL="elsewhere.pt", ARGS="--nonsense").stdout
    assert "models/agent.pt" in shown
    assert "nonsense" not in shown


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("status", [0, 2])
def test_ci_runs_the_checks_and_passes_failure_on(tmp_path, status):
    """`.ci/run` is executable, asks make for the checks in this order, and ends as make ends."""
    write_program(tmp_path / "make", f'echo "CI=$CI $@"; exit {status}')
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([ROOT / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert re.fullmatch(r"CI=true .*\blint typecheck site test test-long test-notebooks\n", done.stdout)


def test_git_ignores_what_must_not_be_shared(tmp_path):
    """uv.lock carries a registry's address; environments and runs are large; the shipped model has to get in."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)

    def ignored(path):
        return subprocess.run(["git", "-C", tmp_path, "check-ignore", "--quiet", path], check=False).returncode == 0

    for path in ("uv.lock", ".venv/x", ".venv-torch/x", ".uv/x", "runs/a/agent.pt", "dist/x", "src/a/__pycache__/x"):
        assert ignored(path), path
    for path in ("models/agent.pt", "requirements/base.txt", "src/rl_drug_dosage/training/config.py"):
        assert not ignored(path), path


@pytest.fixture
def bare_machine(tmp_path):
    """A checkout on a machine with pyenv shims that do not work, a uv that notes what it is asked, and no Python."""
    checkout = tmp_path / "a checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "bootstrap.sh", checkout / "scripts")
    for name in ("python", "python3", "python3.12", "python3.13", "python3.14"):
        write_program(tmp_path / "bin" / name, "echo 'the version is not active' >&2; exit 127")
    write_program(
        tmp_path / "bin" / "uv",
        """[ "$1" = --version ] && echo "uv 99.0.0" && exit
        echo "$@" >>../asked
        while [ $# -gt 1 ]; do shift; done
        mkdir "$1" """,
    )

    def bootstrap(*arguments, **environment):
        defaults = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(tmp_path / "home")}
        return subprocess.run(
            [checkout / "scripts" / "bootstrap.sh", *arguments],
            env=defaults | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return checkout, bootstrap


def test_set_up_looks_behind_broken_shims(bare_machine, tmp_path):
    """A Python in pyenv's versions folder is found although its shim fails, and the environment is made with it."""
    checkout, bootstrap = bare_machine
    write_program(tmp_path / "home/.pyenv/versions/3.12.1/bin/python3.12", f'exec "{sys.executable}" "$@"')
    done = bootstrap("venv", ".venv")
    assert done.returncode == 0, done.stderr
    assert f"--python {sys._base_executable} .venv" in (tmp_path / "asked").read_text()
    assert (checkout / ".venv").is_dir()


def test_set_up_refuses_a_python_that_does_not_work(bare_machine, tmp_path):
    """The interpreter that PYTHON names is never silently replaced by another one."""
    _, bootstrap = bare_machine
    done = bootstrap("venv", ".venv", PYTHON=str(tmp_path / "bin" / "python3.12"))
    assert done.returncode != 0
    assert re.fullmatch(r"setup: error: PYTHON=.*python3\.12 is not a working .*\n", done.stderr)
    assert not (tmp_path / "asked").exists()


def test_set_up_never_overwrites_what_it_did_not_make(bare_machine):
    """A folder that happens to be called .venv is left alone."""
    checkout, bootstrap = bare_machine
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.tex").touch()
    done = bootstrap("venv", ".venv")
    assert done.returncode != 0
    assert "no virtual environment" in done.stderr
    assert (checkout / ".venv" / "thesis.tex").exists()


CONDA_NAMES = {"flatbuffers": "python-flatbuffers", "matplotlib": "matplotlib-base", "tzdata": "python-tzdata"}


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    """The same version, and the same run dependencies under conda-forge's names."""
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    run = re.search(r"^  run:\n((?:    - .*\n)+)", recipe, re.MULTILINE)
    assert run is not None
    told = {Requirement(line.removeprefix("    - ")) for line in run[1].splitlines()}
    wanted = [Requirement(f"python{PROJECT['requires-python']}"), *map(Requirement, PROJECT["dependencies"])]
    assert {str(r) for r in told} == {f"{CONDA_NAMES.get(r.name, r.name)}{r.specifier}" for r in wanted}
    assert f'version: "{PROJECT["version"]}"' in recipe
    assert f"rl-drug-dosage = {PROJECT['scripts']['rl-drug-dosage']}" in recipe


def test_the_image_gets_all_that_it_copies_and_no_more():
    """What .dockerignore lets through is what the Containerfile copies; it runs as nobody in particular."""
    text = (ROOT / "Containerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()}
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert copied == set(allowed)
    assert all((ROOT / name).exists() for name in copied)
    assert re.search(r"^USER (?!root)\w+$", text, re.MULTILINE)
    assert '"rl-drug-dosage", "clinic"' in text


@pytest.mark.long
def test_the_source_distribution_builds_the_same_wheel(tmp_path):
    """A wheel from the unpacked sdist has the files of one from the checkout, types and page included."""

    def build(kind, where, out):
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
        subprocess.run(command, cwd=where, check=True, capture_output=True)
        (made,) = out.iterdir()
        return made

    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    names = []
    for number, place in enumerate((ROOT, source)):
        with zipfile.ZipFile(build("wheel", place, tmp_path / str(number))) as wheel:
            names.append(sorted(wheel.namelist()))
            size = sum(info.compress_size for info in wheel.infolist())
    assert names[0] == names[1]
    assert {"rl_drug_dosage/py.typed", "rl_drug_dosage/web/static/index.html"} <= set(names[0])
    assert size < 10_000_000, "with the policies the package would exceed what it may weigh"

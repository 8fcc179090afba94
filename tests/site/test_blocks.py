"""Every block of commands and of Python on a page of the site runs as printed, or it is said here why not.

The blocks of a page run one after the other in one folder, as they would be typed. Python blocks share their names.
README.md has a test of its own (tests/test_readme.py).
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "site").exists(), reason="a source distribution has no site")

BLOCK = re.compile(r"^```(bash|sh|python)( title=\S+)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

DRIVER = """
import json, subprocess, sys
names = {"__name__": "page"}
for kind, code in json.loads(sys.stdin.read()):
    print(f"--- {code.splitlines()[0]}", flush=True)
    if kind == "python":
        exec(compile(code, "block", "exec"), names)
    else:
        subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
"""

LEVELS = (
    "rl-drug-dosage simulate --drug vancomycin-goti2018 --patients 6 --dose 1000 --interval 12 --duration 1 --days 2 "
    "--sample-every 8 --output-dir made && cp made/simulation-vancomycin-goti2018.csv {}\n"
)
ORAL = """cat > model.R <<'EOF'
oral <- function() {
  units <- list(time = "h", dosing = "mg", concentration = "mg/L")
  ini({ lka <- log(1.1); lcl <- log(4); lvc <- log(35); etalcl ~ 0.09; etalvc ~ 0.05; propSd <- 0.15 })
  model({
    ka <- exp(lka)
    cl <- exp(lcl + etalcl)
    vc <- exp(lvc + etalvc)
    Cc <- linCmt()
    Cc ~ prop(propSd)
  })
}
EOF
"""
MINE = "rl-drug-dosage new drug mine >/dev/null\n"
# What a page takes for granted: a clinic's table, a colleague's model.
BEFORE = {
    "docs/how-to/my-model.md": ORAL,
    "docs/dose-search.md": LEVELS.format("levels.csv")
    + "rl-drug-dosage simulate --drug warfarin-hamberg2007 --patients 2 --days 10 --sample-every 24 --output-dir w && "
    "cp w/simulation-warfarin-hamberg2007.csv inr.csv\n",
    "docs/estimation.md": LEVELS.format("levels.csv") + "rl-drug-dosage new drug ours\n",
    "docs/model-readers.md": ORAL
    + "rl-drug-dosage simulate --drug model.R --patients 6 --dose 100 --interval 12 --days 2 --sample-every 8 "
    "--output-dir made && cp made/simulation-*.csv clinic.csv\n",
    "docs/model-validation.md": LEVELS.format("clinic.csv")
    + "sed -i '1s/$/,WARD/; 2,$s/$/,north/' clinic.csv\n"
    + MINE,
}

# First line of the block -> why it does not run here.
ELSEWHERE = {
    "CONTRIBUTING.md": {"make install-dev": "this very environment"},
    "docs/bayesian-dosing.md": {
        "scripts/choose_bayes.py warfarin                        # shows the scores": "hours; tests/policies tests it",
        "PYTHONPATH=/path/of/the/older/checkout/src scripts/bayesian_dosing.py run build/before": "an older checkout",
    },
    "docs/benchmark.md": {
        "rl-drug-dosage benchmark --scenario vancomycin --patients 1000": "every policy; the README has a smaller one",
        "rl-drug-dosage benchmark --scenario warfarin --simulator warfarin-falkenhagen2023 --patients 1000": "an hour",
    },
    "docs/explain.md": {"rl-drug-dosage explain --model-path runs/my-run/agent.pt": "the site's gallery runs it"},
    "docs/model-files.md": {"import torch": "needs PyTorch; tests/interop"},
    "docs/notebooks/headline.md": {
        "rl-drug-dosage benchmark --scenario warfarin --simulator warfarin-hamberg2007 --seed 20261130 "
        "--policy models/warfarin.pt --policy best-bayes --policy mipd --policy label --output-dir headline-1000": (
            "the README's command, which tests/test_readme.py runs"
        ),
    },
    "docs/notebooks/researcher.md": {"python examples/train_with_sb3.py --steps 100000": "needs PyTorch"},
    "docs/policies.md": {
        "rl-drug-dosage train --env-id Warfarin-v1 --preset scenario --run-name warfarin": "an hour of training",
        "rl-drug-dosage info --policy mipd": "1,000 patients of warfarin under three estimates",
    },
    "docs/published-trials.md": {
        "rl-drug-dosage info --published-trials": "1,000 patients of warfarin; tests/commands/test_published.py",
        "rl-drug-dosage benchmark --published augustin2023 --policy label --policy mipd --policy best-bayes "
        "--policy models/warfarin.pt --seed 20261202": "an hour",
        "rl-drug-dosage benchmark --published anzabizadeh2023 --policy label --policy mipd --policy best-bayes "
        "--policy models/warfarin-90d.pt --seed 20261202": "an hour",
        "rl-drug-dosage benchmark --published luo2024 --patients 8 --policy label --policy mipd --policy oracle "
        "--policy models/chemotherapy-clean.pt --seed 20261202": "an hour",
        "rl-drug-dosage benchmark --published maier2021 --policy label --policy mipd --policy best-bayes "
        "--policy models/paclitaxel.pt --seed 20261202": "an hour",
        "rl-drug-dosage benchmark --published schamberg2022 --policy label --policy pid --policy tci "
        "--policy models/propofol.pt --seed 20261202": "an hour",
    },
    "docs/scenario-files.md": {
        "rl-drug-dosage new scenario task --drug vancomycin-goti2018     # a commented file that runs as it is": (
            "its names are those of the example below it; tests/clinic/test_scenario_file.py"
        ),
    },
    "docs/sweeps.md": {
        "make install-sweep": "twenty trainings; tests/training/test_sweep.py has small ones",
        "rl-drug-dosage sweep --num-envs 4 --num-steps 64 --num-minibatches 4 --update-epochs 2 --total-timesteps 1024 "
        "--param learning_rate=1e-4..1e-2 --param gamma=0.8,0.9,0.99 --param ent_coef=0.001..0.1 --seeds 3 "
        "--trials 20": ("needs the extra `sweep`, which the tests' environment may not have"),
        "result = rldd.sweep(": "a fragment, of twenty trainings",
        "rl-drug-dosage compare runs/rates/trial-00* --output-dir compared": "the first block's trials",
    },
    "docs/scenarios.md": {"rl-drug-dosage info --scenarios": "every policy for 1,000 patients"},
    "benchmarks/README.md": {"make bench": "measurements, for a machine that does nothing else"},
    "tests/reference/pkpd/README.md": {},
}

QUICK = {
    "docs/explanation/ensemble.md",
    "docs/explanation/ppo-line-by-line.md",
    "docs/clinic.md",
    "docs/notebooks/pharmacist.md",
    "docs/notebooks/pharmacometrician.md",
    "docs/notebooks/student.md",
    "docs/patient-files.md",
}


def pages():
    """Every page of the site that is a text of the repository."""
    menu = tomllib.loads((ROOT / "site" / "navigation.toml").read_text())["section"]
    named = [page for section in menu for page in section["pages"] if not page.startswith("made:")]
    cards = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "models").glob("*.md"))
    return [*dict.fromkeys([*named, "docs/scenarios.md", *cards])]


def blocks(page):
    """(kind, code) of each block of a page that runs, in order; those with a title are files that a page writes."""
    left_out = ELSEWHERE.get(page, {})
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [(kind, code) for kind, title, code in found if not title and code.splitlines()[0] not in left_out]


def cases():
    for page in pages():
        if page != "README.md" and blocks(page):
            yield pytest.param(page, marks=() if page in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("page", list(cases()))
def test_the_blocks_of_a_page_run(page, tmp_path):
    import json

    for name in ("models", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "WANDB_MODE": "offline",
    }
    before = [("bash", BEFORE[page])] if page in BEFORE else []
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([*before, *blocks(page)]),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_what_is_left_out_is_there():
    """An exception whose block has changed or gone is taken out of the list."""
    for page, left_out in ELSEWHERE.items():
        firsts = {code.splitlines()[0] for _, _, code in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))}
        assert set(left_out) <= firsts, page
    assert set(BEFORE) <= set(pages())
    assert set(QUICK) <= set(pages())

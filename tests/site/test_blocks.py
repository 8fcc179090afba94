"""Every block of commands and of Python on a page of the site runs as printed, or it is said here why not.

The blocks of a page run one after the other in one folder, as they would be typed. Python blocks share their names.
README.md has a test of its own (tests/test_readme.py). `make test-notebooks` runs the pages of docs/notebooks.
"""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "site").exists(), reason="a source distribution has no site")

BLOCK = re.compile(r"^```(bash|sh|python)( title=\S+)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

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
    "docs/explain.md": "mkdir -p runs/my-run && cp models/vancomycin.pt runs/my-run/agent.pt\n",
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
    "docs/model-files.md": {"import torch": "needs PyTorch; tests/interop"},
    "docs/notebooks/headline.md": {
        "rl-drug-dosage benchmark --scenario warfarin --simulator warfarin-hamberg2007 --seed 20261130 "
        "--policy models/warfarin.pt --policy best-bayes --policy mipd --policy label --output-dir headline-1000": (
            "the README's command, which tests/test_readme.py runs"
        ),
    },
    "docs/notebooks/researcher.md": {"python examples/train_with_sb3.py --steps 100000": "needs PyTorch"},
    "benchmarks/README.md": {"make bench": "measurements, for a machine that does nothing else"},
}

# What would take an hour, or needs a device, runs with fewer patients or steps, or may fail: text -> text that runs.
PUBLISHED = " --seed 20261202"
SMALLER = {
    "docs/how-to/gpu.md": {"agent.pt --device cuda": "agent.pt --device cuda || true"},
    "docs/benchmark.md": {
        "--scenario vancomycin --patients 1000": "--scenario vancomycin --patients 8",
        "--simulator warfarin-falkenhagen2023 --patients 1000": "--simulator warfarin-falkenhagen2023 --patients 4",
    },
    "docs/policies.md": {
        "--preset scenario --run-name warfarin": (
            "--preset scenario --run-name warfarin --num-envs 16 --total-timesteps 304"
        ),
        "--policy mine=mipd,flatten=0.5": "--policy mine=mipd,flatten=0.5 --patients 4",
        "--policy runs/warfarin/agent.pt --policy mipd --policy label": (
            "--policy runs/warfarin/agent.pt --policy mipd --policy label --patients 4"
        ),
    },
    "docs/published-trials.md": {
        "--policy label --policy best-bayes --policy models/warfarin.pt": (
            "--policy label --policy best-bayes --policy models/warfarin.pt --patients 4"
        ),
        "--published luo2024 --patients 8": "--published luo2024",
        PUBLISHED: PUBLISHED + " --patients 2",
    },
    "docs/sweeps.md": {
        "make install-sweep": "true",
        "--seeds 5 --param learning_rate=1e-4..1e-2 --param gamma=0.8,0.9,0.99 --trials 20": (
            "--seeds 2 --param learning_rate=1e-4..1e-2 --param gamma=0.8,0.9,0.99 --trials 2"
        ),
        "--seeds 3 --trials 20": "--seeds 2 --trials 2",
        "result = rldd.sweep(": "import rl_drug_dosage as rldd\nresult = rldd.sweep(",
        'trials=20, preset="fast", seeds=5': 'trials=2, preset="fast", seeds=1, total_timesteps=4096',
    },
    "docs/scenarios.md": {"--scenario vancomycin --patients 1000": "--scenario vancomycin --patients 8"},
}

QUICK = {
    "docs/explanation/ensemble.md",
    "docs/explanation/ppo-line-by-line.md",
    "docs/clinic.md",
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
    text = (ROOT / page).read_text(encoding="utf-8")
    for long, short in SMALLER.get(page, {}).items():
        text = text.replace(long, short)
    found = BLOCK.findall(text)
    return [(kind, code) for kind, title, code in found if not title and code.splitlines()[0] not in left_out]


def cases():
    for page in pages():
        if page != "README.md" and blocks(page):
            yield pytest.param(page, marks=() if page in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("page", list(cases()))
def test_the_blocks_of_a_page_run(page, notebook_runs, tmp_path):
    for name in ("models", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    before = [("bash", BEFORE[page])] if page in BEFORE else []
    done = notebook_runs.run_blocks([*before, *blocks(page)], tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_what_is_left_out_is_there(notebook_runs):
    """An exception whose block has changed or gone is taken out of the list."""
    for page, left_out in ELSEWHERE.items():
        firsts = {code.splitlines()[0] for _, _, code in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))}
        assert set(left_out) <= firsts, page
    for page, changes in SMALLER.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [long for long in changes if long not in text] == [], page
    assert set(notebook_runs.NOT_RUN) == set(ELSEWHERE["docs/notebooks/researcher.md"])
    assert set(BEFORE) <= set(pages())
    assert set(QUICK) <= set(pages())

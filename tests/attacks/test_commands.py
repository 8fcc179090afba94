"""Random command lines: exit code 0, 1 or 2, refusals in one line of plain characters, and nothing left behind."""

import random
import shutil
from pathlib import Path

import pytest
from command_attacks import BASES, fault_of, line, listing, options, run

MODELS = Path(__file__).parents[2] / "models"

MODEL = """
f <- function() {
  units <- list(time = "h", dosing = "mg", concentration = "mg/L")
  ini({ lcl <- log(4); lvc <- log(35); eta ~ 0.09; s <- 0.15 })
  model({ cl <- exp(lcl + eta); vc <- exp(lvc); cp <- linCmt(); cp ~ prop(s) })
}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a model, a table, and things that are neither."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    shutil.copy(MODELS / "agent.pt", tmp_path)
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,DV,CRCL,WT\n1,0,1000,.,90,70\n1,12,0,9.5,90,70\n")
    (tmp_path / "bait.py").write_text("DRUG = 1\n")
    (tmp_path / "broken.toml").write_text("title = [\n")
    (tmp_path / "broken.pt").write_bytes(b"PK\3\4" + bytes(300))
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "model.R").write_text(MODEL)
    (tmp_path / "broken.mod").write_text("$PROBLEM x\n$PK CL=(\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


def test_every_command_has_a_line_to_start_from():
    assert set(options()) == set(BASES)


def attack(place, count, seed):
    rng, known, faults, codes = random.Random(seed), options(), [], {}
    for i in range(count):
        words = line(rng, known)
        before = listing(place)
        answer = run(words)
        codes[answer.code] = codes.get(answer.code, 0) + 1
        if wrong := fault_of(answer, before, listing(place)):
            faults.append((i, [w[:60] for w in words], wrong))
        for name in set(listing(place)) - set(before):
            path = place / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    assert not faults, f"{len(faults)} of {count}, codes {codes}: " + "\n".join(map(str, faults[:60]))
    return codes


@pytest.mark.long
def test_sixty_random_command_lines(place):
    codes = attack(place, 60, 1)

    assert codes[2] > 30


@pytest.mark.slow
def test_two_thousand_five_hundred_random_command_lines(place):
    codes = attack(place, 2500, 2)

    assert codes[2] > 1500
    assert codes[0] > 50

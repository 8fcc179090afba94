"""Fuzzed event tables: each is read, into finite numbers, or refused by an error of the package in a short line."""

import random

import numpy as np
import pytest
from table_attacks import table

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem
from rl_drug_dosage.registry import load_drug

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

DRUGS = ("vancomycin-goti2018", "vancomycin-thomson2009", "tacrolimus-storset2014", "warfarin-hamberg2007")
LONGEST = 10_000
"""Characters of a refusal; the command line shortens it further."""


def sound(data):
    """Whether everything that was read is a number that a model can use."""
    for patient in data.patients:
        levels, times = patient.levels, patient.covariates.time_h
        if not (np.isfinite(np.asarray(levels.time_h)).all() and np.isfinite(np.asarray(times)).all()):
            return False
        if not np.isfinite(np.asarray(levels.value)[np.asarray(levels.used)]).all():
            return False
    return len({p.name for p in data.patients}) == len(data.patients)


def usual(covariate):
    """A value of a covariate that no drug refuses."""
    codes = sorted({*covariate.words.values()})
    whole = covariate.high - covariate.low <= 1.0
    return codes[0] if codes else covariate.low if whole else 0.5 * (covariate.low + covariate.high)


def attack(folder, count, seed):
    rng = random.Random(seed)
    drugs = [load_drug(name) for name in DRUGS]
    wanted = [[(c.column, usual(c)) for c in drug.covariates] for drug in drugs]
    file, read, faults = folder / "data.csv", 0, []
    for i in range(count):
        which = rng.randrange(len(drugs))
        contents = table(rng, wanted[which])
        file.write_bytes(contents)
        occasions = bool(drugs[which].occasion_etas) and rng.random() < 0.3
        try:
            data = read_nonmem(file, drugs[which], occasions=occasions, interpolation=rng.choice(["nocb", "locf"]))
        except RlDrugDosageError as error:
            if len(str(error)) > LONGEST:
                faults.append((i, f"a refusal of {len(str(error)):,} characters"))
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            faults.append((i, f"{type(error).__name__}: {error}"[:200], contents[:300]))
        else:
            read += 1
            if not sound(data):
                faults.append((i, "read, but not sound", contents[:300]))
    assert not faults, f"{len(faults)} of {count}: " + "\n".join(map(str, faults[:30]))
    return read


def test_a_cell_of_any_length_is_read_or_refused(tmp_path):
    (tmp_path / "data.csv").write_text("ID,TIME,AMT,DV,CRCL,WT\n1,0,1000,.,90," + "7" * 140_000 + "\n")

    with pytest.raises(RlDrugDosageError):
        read_nonmem(tmp_path / "data.csv", load_drug("vancomycin-thomson2009"))


def test_four_hundred_fuzzed_tables(tmp_path):
    read = attack(tmp_path, 400, 1)

    assert 40 < read < 360


@pytest.mark.slow
def test_twenty_thousand_fuzzed_tables(tmp_path):
    read = attack(tmp_path, 20_000, 2)

    assert 2000 < read < 18_000

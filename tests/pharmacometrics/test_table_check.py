"""`check FILE --against sdtab`: predictions beside a table, to its printed digits."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rl_drug_dosage.cli import app
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.table_check import compare_with_table
from rl_drug_dosage.registry import load_drug

REFERENCE = Path(__file__).parents[1] / "reference" / "pkpd"
MODEL = """$PROBLEM one compartment
$INPUT ID TIME AMT DV WT EVID
$DATA d.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*(WT/70)**0.75*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
S1 = V
$ERROR
Y = F + F*EPS(1)
$THETA 5 50
$OMEGA 0.1 0.2
$SIGMA 0.04
$ESTIMATION METHOD=1 INTER
"""
WORDS = """[units]
time = "h"
dose = "mg"
[outputs.y]
unit = "mg/L"
[covariates.WT]
unit = "kg"
typical = 70.0
"""
PEOPLE = {1: (70.0, (0.2, -0.3)), 2: (52.0, (-0.1, 0.4)), 3: (95.0, (0.0, 0.0))}
TIMES = (1.0, 6.0, 24.0)


def course(time, wt, eta, amount=100.0):
    """One bolus, by hand."""
    cl, v = 5.0 * (wt / 70.0) ** 0.75 * np.exp(eta[0]), 50.0 * np.exp(eta[1])
    return amount / v * np.exp(-cl / v * time)


def residuals(y, wt, eta):
    """CWRES by hand: slopes by differences, the root by eigenvectors."""
    t, step = np.array(TIMES), 1e-6
    f = course(t, wt, eta)
    g = np.stack(
        [
            (course(t, wt, (eta[0] + step, eta[1])) - course(t, wt, (eta[0] - step, eta[1]))) / (2 * step),
            (course(t, wt, (eta[0], eta[1] + step)) - course(t, wt, (eta[0], eta[1] - step))) / (2 * step),
        ],
        axis=1,
    )
    c = g @ np.diag([0.1, 0.2]) @ g.T + np.diag(0.04 * f * f)
    values, vectors = np.linalg.eigh(c)
    return vectors @ np.diag(values**-0.5) @ vectors.T @ (y - (f - g @ np.array(eta)))


def table(*, with_covariates=True, pred=lambda value: value):
    """A table as NONMEM prints it."""
    rows = ["TABLE NO.  1", " ID TIME AMT EVID DV ETA1 ETA2 IPRED CWRES PRED" + (" WT" if with_covariates else "")]
    for name, (wt, eta) in PEOPLE.items():
        y = course(np.array(TIMES), wt, eta) * np.array([1.1, 0.9, 1.2])
        weighted = residuals(y, wt, eta)
        more = (f"{wt:.4E}",) if with_covariates else ()
        rows.append(_row(name, 0.0, 100.0, 1, 0.0, *eta, course(0.0, wt, eta), 0.0, course(0.0, wt, (0, 0)), *more))
        for k, t in enumerate(TIMES):
            own = (course(t, wt, eta), weighted[k], pred(course(t, wt, (0, 0))))
            rows.append(_row(name, t, 0.0, 0, y[k], *eta, *own, *more))
    return "\n".join(rows) + "\n"


def _row(*cells):
    return "  " + "  ".join(cell if isinstance(cell, str) else f"{cell:.4E}" for cell in cells)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run1.mod").write_text(MODEL)
    (tmp_path / "run1.toml").write_text(WORDS)
    (tmp_path / "sdtab1").write_text(table())
    return tmp_path


def compare(folder, **options):
    file = folder / "run1.mod"
    return compare_with_table(load_drug(file), folder / "sdtab1", file=file, **options)


def test_a_table_of_the_same_model_agrees(folder):
    found = compare(folder)
    assert [(c.column, c.count, c.agreed) for c in found.columns] == [("PRED", 9, 9), ("IPRED", 9, 9), ("CWRES", 9, 9)]
    assert found.ok
    assert "one unit of the last printed digit" in str(found.columns[0])


def test_one_unit_more_than_printed_is_found(folder):
    (folder / "sdtab1").write_text(table(pred=lambda value: value * (1.0003 if value < 0.2 else 1.0)))
    found = compare(folder)
    assert not found.ok
    assert [c.ok for c in found.columns] == [False, True, True]
    assert "TIME 2.4000E+01" in found.columns[0].worst
    assert compare(folder, tolerance=1e-3).ok


def test_the_data_of_the_run_give_what_the_table_lacks(folder):
    (folder / "sdtab1").write_text(table(with_covariates=False))
    with pytest.raises(ConfigError, match="sdtab1, line 2, WT"):
        compare(folder)
    lines = ["ID,TIME,WT"]
    # More records than the table has: those in between are left aside.
    for name, (wt, _) in PEOPLE.items():
        lines += [f"{name},{t},{wt}" for t in (0, 0.5, *TIMES)]
    (folder / "d.csv").write_text("\n".join(lines))
    assert compare(folder, data=folder / "d.csv").ok
    (folder / "d.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(ConfigError, match=r"line 14: no record of d\.csv has ID"):
        compare(folder, data=folder / "d.csv")


def test_effects_come_from_phi_where_the_table_has_none(folder):
    (folder / "sdtab1").write_text(table().replace("ETA1 ETA2", "X1 X2"))
    found = compare(folder)
    assert [c.column for c in found.columns] == ["PRED"]
    assert any("effects" in note for note in found.notes)
    lines = ["TABLE NO.     1: First Order", " SUBJECT_NO ID ETA(1) ETA(2) OBJ"]
    lines += [f"{name} {name} {eta[0]} {eta[1]} 1.0" for name, (_, eta) in PEOPLE.items()]
    (folder / "run1.phi").write_text("\n".join(lines))
    assert [c.ok for c in compare(folder).columns] == [True, True, True]


def test_a_patient_without_levels_is_no_obstacle(folder):
    path = folder / "sdtab1"
    path.write_text(path.read_text() + _row(4, 0.0, 100.0, 1, 0.0, 0.1, 0.1, 2.0, 0.0, 2.0, "7.0000E+01") + "\n")
    assert compare(folder).ok


def test_units_of_the_file_are_those_of_the_table(folder):
    """Times in days and doses in grams: the same predictions from other numbers."""
    (folder / "run1.mod").write_text(MODEL.replace("THETA 5 50", "THETA 120 50").replace("S1 = V", "S1 = V/1000"))
    (folder / "run1.toml").write_text(WORDS.replace('"h"', '"day"').replace('"mg"', '"g"'))
    lines = table().splitlines()
    changed = []
    for line in lines[2:]:
        cells = line.split()
        cells[1], cells[2] = repr(float(cells[1]) / 24.0), repr(float(cells[2]) / 1000.0)
        changed.append(" ".join(cells))
    (folder / "sdtab1").write_text("\n".join([*lines[:2], *changed]))
    found = compare(folder)
    assert [c.ok for c in found.columns if c.column != "CWRES"] == [True, True]


def test_a_built_in_drug_beside_a_table(tmp_path):
    """Any drug model: here NONMEM's two-compartment numbers do not belong to it."""
    path = tmp_path / "table.csv"
    path.write_text("ID,TIME,AMT,RATE,PRED,CRCL,WT,DIAL\n1,0,1000,500,0,100,70,0\n1,4,0,0,12.5,100,70,0\n")
    drug = load_drug("vancomycin-goti2018")
    titles = {c.name: c.column for c in drug.covariates}
    text = path.read_text().replace("CRCL", titles["crcl_ml_per_min"]).replace("DIAL", titles["dialysis"])
    path.write_text(text)
    found = compare_with_table(drug, path)
    assert not found.ok
    assert [c.column for c in found.columns] == ["PRED"]


BAD = {
    "no such file": (None, "cannot read"),
    "nothing": ("", "is empty"),
    "no predictions": ("ID,TIME,AMT\n1,0,100\n", "no column PRED, IPRED or CWRES"),
    "no rows": ("ID,TIME,AMT,PRED\n", "a header and no rows"),
    "no header": ("1,0,100,3\n1,1,0,2\n", "no column ID"),
    "cells": ("ID,TIME,AMT,PRED\n1,0,100\n", "line 2: 3 cells under 4 titles"),
    "no doses": ("ID TIME PRED WT\n1 0 3 70\n", "no column AMT: give the data of the run"),
    "no levels": ("ID TIME AMT PRED WT\n1 0 100 3 70\n", "no record that measures"),
}


@pytest.mark.parametrize("name", BAD)
def test_tables_that_cannot_be_compared_are_refused(folder, name):
    text, message = BAD[name]
    if text is None:
        (folder / "sdtab1").unlink()
    else:
        (folder / "sdtab1").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        compare(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, 1.0, float("nan")])
def test_tolerances_are_between_0_and_1(folder, tolerance):
    with pytest.raises(ConfigError, match="tolerance is"):
        compare(folder, tolerance=tolerance)


@pytest.mark.long
def test_the_command_says_it_and_exits_by_it(folder):
    """A table of NONMEM's own numbers: steady state of a slow drug."""
    cases = json.loads((REFERENCE / "nonmem_pred_anchors.json").read_text())["cases"]
    case = next(case for case in cases if case["id"] == "ss_slow_advan1")
    text = MODEL.replace("THETA 5 50", f"THETA {case['CL']} {case['V1']}")
    (folder / "run1.mod").write_text(text)
    rows = ["ID TIME AMT EVID SS II WT PRED", "1 0 100 1 1 12 70 0"]
    rows += [f"1 {time} 0 0 0 0 70 {pred}" for time, pred in case["pred"]]
    (folder / "sdtab1").write_text("\n".join(rows))
    arguments = ["check", str(folder / "run1.mod"), "--against", str(folder / "sdtab1"), "--no-figure"]
    ran = CliRunner().invoke(app, arguments)
    assert f"PRED: {len(case['pred'])} of {len(case['pred'])} records agree" in ran.output
    (folder / "sdtab1").write_text("\n".join(rows).replace(f" {case['pred'][-1][1]}", " 83.1"))
    ran = CliRunner().invoke(app, arguments)
    assert "records DO NOT agree" in ran.output
    assert ran.exit_code == 1


def test_options_that_do_not_belong_together_are_refused(folder):
    run = CliRunner().invoke
    alone = run(app, ["check", str(folder / "run1.mod"), "--data", "d.csv"])
    assert "--data belongs to --against" in str(alone.exception or alone.output)
    scenario = run(app, ["check", "vancomycin", "--against", "sdtab1"])
    assert "only a drug is compared with a table" in str(scenario.exception or scenario.output)

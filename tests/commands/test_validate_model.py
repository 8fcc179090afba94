"""``rl-drug-dosage validate-model``: tables, figures and a preference, and every mistake in one line."""

import csv
import json
from pathlib import Path

import pytest

import rl_drug_dosage as rldd

TITLES = "ID,TIME,AMT,DUR,DV,CRCL,WT,DIAL,SEX\n"
DRUGS = ("--drug", "vancomycin-buelga2005", "--drug", "vancomycin-thomson2009")
FILES = (
    "report.html", "validation.csv", "forecasts.csv", "weights.csv", "vpc.csv", "validation.json", "errors.png",
    "forecasts.png", "vpc_vancomycin-buelga2005.png", "vpc_vancomycin-thomson2009.png",
)  # fmt: skip


def patients(count, levels=2, values=(18.0, 9.0)):
    """The same two doses for everybody, levels 3 h and 11.5 h after the first."""
    lines = []
    for i in range(1, count + 1):
        facts = f"{60 + 7 * i},{50 + 3 * i},0,{i % 2}"
        events = [(0.0, "1000,1,."), (12.0, "1000,1,.")]
        events += [(t, f".,.,{v + i % 4}") for t, v in list(zip((3.0, 11.5), values, strict=True))[:levels]]
        lines += [f"{i},{t:g},{cells},{facts}" for t, cells in sorted(events)]
    return TITLES + "\n".join(lines) + "\n"


def table_of(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.mark.long
def test_tables_figures_and_a_preference(run):
    Path("clinic.csv").write_text(patients(12))
    done = run("validate-model", *DRUGS, "--data", "clinic.csv", "--by", "SEX", "--replicates", "100")

    assert done.code == 0, done.err
    assert done.out.split()[-len(FILES) :] == list(FILES)
    assert "For research and education only" in done.out
    rows = table_of("validation.csv")
    models = {row["MODEL"] for row in rows}
    assert models == {"vancomycin-buelga2005", "vancomycin-thomson2009", "average", "average-equal"}
    assert {(r["KIND"], r["EARLIER"]) for r in rows} == {
        ("a priori", ""), ("forecast", "0"), ("forecast", "1"), ("forecast", ""),
    }  # fmt: skip
    assert {row["GROUP"] for row in rows if row["BY"]} == {"SEX 0", "SEX 1"}
    forecasts = table_of("forecasts.csv")
    assert len(forecasts) == 4 * 24
    assert all((row["PRED"] == row["FORECAST"]) == (row["EARLIER"] == "0") for row in forecasts[:48])
    mean = sum(float(r["PE_PCT"]) for r in forecasts[:24] if r["EARLIER"] == "1") / 12
    whole = next(r for r in rows if (r["MODEL"], r["EARLIER"], r["BY"]) == (forecasts[0]["MODEL"], "1", ""))
    assert float(whole["RBIAS_PCT"]) == pytest.approx(mean, rel=1e-4)
    record = json.loads(Path("validation.json").read_text())
    assert f": {record['preference']['model']}. Its log predictive density" in done.out
    assert sum(w["bayes"] for w in record["weights"]) == pytest.approx(1.0)
    page = Path("report.html").read_text()
    assert page.count("<img ") == 4
    assert record["preference"]["model"] in page
    assert "http" not in page.replace("http-equiv", "")
    for name in FILES[6:]:
        assert Path(name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_one_level_each_is_judged_a_priori_only_and_said(run):
    Path("clinic.csv").write_text(patients(12, levels=1))
    done = run("validate-model", *DRUGS[:2], "--data", "clinic.csv", "--replicates", "100")

    assert done.code == 0, done.err
    assert "no patient has a second level" in done.out
    assert {(r["KIND"], r["EARLIER"]) for r in table_of("validation.csv")} == {("a priori", ""), ("forecast", "0")}
    assert "referred" not in done.out


@pytest.mark.parametrize(
    ("content", "args", "said"),
    [
        (patients(1), DRUGS, "has one patient with a level that can be used"),
        (patients(3, levels=0), DRUGS, "has no patient with a level that can be used"),
        (patients(3), (*DRUGS[:2], *DRUGS[:2]), "are one model: give each model once"),
        (patients(3).replace("CRCL", "X"), DRUGS, "CRCL: vancomycin-buelga2005 needs this covariate"),
        (patients(3), (*DRUGS, "--by", "AGE"), "--by AGE: clinic.csv has no such column; it has ID, TIME"),
        (patients(3), (*DRUGS, "--unit", "bananas"), "'bananas' is no unit of concentration"),
        (patients(3), (*DRUGS, "--occasions"), "no model given has inter-occasion variability"),
        (patients(3), (*DRUGS, "--replicates", "5"), "--replicates must be from 100 to 10,000, not 5"),
        (patients(3), (*DRUGS, "--vpc-time", "noon"), "--vpc-time must be after-dose or time, not 'noon'"),
        (patients(3), (*DRUGS, "--seed", "-1"), "--seed must be from 0"),
        (patients(3), (*DRUGS, "--drug", "vancomicin"), "unknown drug"),
        (patients(3), ("--drug", "warfarin-hamberg2007"), "needs this covariate"),
        ("", DRUGS, "clinic.csv is empty"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(run, content, args, said):
    Path("clinic.csv").write_text(content)
    done = run("validate-model", *args, "--data", "clinic.csv", "--output-dir", "out")

    assert done.code != 0
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.long
def test_the_function_takes_names_for_models_and_one_model_alone(tmp_path):
    path = tmp_path / "clinic.csv"
    path.write_text(patients(12))
    result = rldd.validate_model({"mine": "vancomycin-buelga2005"}, path, replicates=100, progress=False)

    assert [f.name for f in result.forecasts] == ["mine"]
    assert (result.preference, result.weights, result.averages, result.files) == (None, (), (), ())
    assert "mine" in repr(result)
    assert set(result.columns()["MODEL"]) == {"mine"}
    assert len(result.plot().axes) == 3

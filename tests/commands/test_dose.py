"""``rl-drug-dosage dose``: ranks are those of the posterior, exact doses attain, wrong questions are one line."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.dose_target import aim_of, label_of
from rl_drug_dosage.pkpd import occasion_omega, omega
from rl_drug_dosage.registry import load_drug

DRUG = "vancomycin-buelga2005"
TABLE = (
    "ID,TIME,AMT,DUR,II,ADDL,DV,CRCL,WT\n"
    "ann,0,1000,1,12,1,.,70,80\nann,23,.,.,.,.,11,70,80\n"
    "bob,0,1000,1,.,.,.,40,70\nbob,11.5,.,.,.,.,16,40,70\n"
)
GRID = ("--amounts", "250:1500:250", "--intervals", "12,24", "--draws", "200", "--posterior", "laplace")


def table_of(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.fixture
def search(run):
    """A search for both patients in this test's folder."""
    Path("d.csv").write_text(TABLE)

    def call(*options, grid=GRID):
        return run("dose", "--drug", DRUG, "--data", "d.csv", *grid, *options)

    return call


@pytest.mark.long
def test_regimens_are_ranked_and_table_record_figure_and_screen_agree(search):
    done = search("--target", "trough 10-15 mg/L")

    assert done.code == 0, done.err
    assert "For research and education only" in done.out
    rows = table_of("doses.csv")
    assert len(rows) == 2 * 12
    for name in ("ann", "bob"):
        own = [row for row in rows if row["ID"] == name]
        assert [int(row["RANK"]) for row in own] == list(range(1, 13))
        inside = [float(row["INSIDE"]) for row in own]
        assert inside == sorted(inside, reverse=True)
        assert {float(row["START"]) for row in own} == {24.0 if name == "ann" else 12.0}
        for row in own:
            assert sum(float(row[side]) for side in ("BELOW", "INSIDE", "ABOVE")) == pytest.approx(1.0)
            assert float(row["P5"]) < float(row["MEDIAN"]) < float(row["P95"])
    record = json.loads(Path("doses.json").read_text())
    first = record["patients"][0]
    assert first["best"]["dose_mg"] == float(rows[0]["DOSE_MG"])
    assert len(first["regimens"]) == 12
    assert len(first["course"]["time_h"]) == len(first["course"]["p95"])
    assert record["target"] == {
        "output": "concentration", "metric": "trough", "low": 10.0, "high": 15.0, "unit": "mg/L",
        "aim": pytest.approx(math.sqrt(150)), "source": "asked for",
    }  # fmt: skip
    assert Path("doses.png").read_bytes().startswith(b"\x89PNG")
    assert f"{float(rows[0]['DOSE_MG']):g} mg every {float(rows[0]['INTERVAL_H']):g} h" in done.out


def steady_trough(cl, v, dose, interval, infusion):
    """Of one compartment, infused again and again: the closed form."""
    k = cl / v
    end = dose / infusion / cl * (1 - math.exp(-k * infusion)) / (1 - math.exp(-k * interval))
    return end * math.exp(-k * (interval - infusion))


@pytest.mark.long
def test_the_exact_dose_of_the_point_estimate_attains_the_aim_in_closed_form(search):
    done = search("--target", "trough 10-15", "--criterion", "map")
    assert done.code == 0, done.err
    rows = table_of("doses.csv")
    fit = rldd.estimate(DRUG, "d.csv", progress=False)
    for patient in fit.patients:
        p = {name: float(values[-1]) for name, values in patient.fitted.parameters.items()}
        own = [row for row in rows if row["ID"] == patient.fitted.name]
        away = [abs(math.log(float(row["MAP"]) / math.sqrt(150))) for row in own]
        assert away == sorted(away)
        for row in own:
            interval = float(row["INTERVAL_H"])
            want = steady_trough(p["cl"], p["v1"], float(row["DOSE_MG"]), interval, 1.0)
            assert float(row["MAP"]) == pytest.approx(want, rel=1e-5)
            if row["EXACT_MG"]:
                exact = steady_trough(p["cl"], p["v1"], float(row["EXACT_MG"]), interval, 1.0)
                assert exact == pytest.approx(math.sqrt(150), rel=1e-5)
        assert any(row["EXACT_MG"] for row in own)


@pytest.mark.slow  # compiles for half a minute
def test_the_percentile_dose_is_the_largest_that_keeps_the_limit(search):
    """The one before is below the exact dose, the next one above; asked from below it is the smallest."""
    done = search("--target", "trough <= 15", "--criterion", "percentile", "--percentile", "90")
    assert done.code == 0, done.err
    assert "the largest dose of which 90 % is at most 15" in done.out
    rows = [row for row in table_of("doses.csv") if row["ID"] == "ann"]
    keeps = [float(row["AT_PERCENTILE"]) <= 15 for row in rows]
    assert [row["MEETS"] == "1" for row in rows] == keeps
    assert keeps == sorted(keeps, reverse=True)
    daily = [float(row["DAILY_MG"]) for row in rows if row["MEETS"] == "1"]
    assert daily == sorted(daily, reverse=True)
    for interval in (12.0, 24.0):
        own = [row for row in rows if float(row["INTERVAL_H"]) == interval]
        largest = max((float(r["DOSE_MG"]) for r in own if r["MEETS"] == "1"), default=0.0)
        exact = {float(row["EXACT_MG"]) for row in own if row["EXACT_MG"]}
        assert all(largest <= dose < largest + 250 for dose in exact)
        for row in own:
            assert (float(row["BELOW"]), float(row["INSIDE"])) == (0.0, pytest.approx(1 - float(row["ABOVE"])))

    done = search("--target", "trough >= 10", "--criterion", "percentile", "--percentile", "80")
    assert "the smallest dose of which 80 % is at least 10" in done.out
    rows = [row for row in table_of("doses.csv") if row["ID"] == "ann"]
    daily = [float(row["DAILY_MG"]) for row in rows if row["MEETS"] == "1"]
    assert daily == sorted(daily)
    assert all(float(row["ABOVE"]) == 0 and float(row["BELOW"]) <= 0.21 for row in rows if row["MEETS"] == "1")


@pytest.mark.long
def test_the_next_dose_waits_until_most_of_the_posterior_is_low_enough(search):
    done = search("--target", "trough 10-15", "--wait-below", "8", "--percentile", "75", "--doses", "2")
    assert done.code == 0, done.err
    assert "below 8 at" in done.out
    for patient in json.loads(Path("doses.json").read_text())["patients"]:
        wait = patient["wait_below"]
        assert wait["p5_h"] < wait["median_h"] < wait["needed_h"] < wait["p95_h"]
        assert patient["start_h"] == pytest.approx(max(wait["needed_h"], {"ann": 24.0, "bob": 12.0}[patient["id"]]))
        onset = patient["time_to_target"]
        assert len(onset["inside_by_interval"]) == 8
        best = patient["best"]
        assert onset["inside_by_interval"][1] == pytest.approx(best["inside"])
        assert onset["median_h"] is None or onset["median_h"] % best["interval_h"] == 0


@pytest.mark.long
def test_a_patient_without_doses_or_levels_gets_the_dose_of_the_population(search):
    """A priori: AUC24 at steady state is the daily dose over the clearance, whose spread is the model's."""
    Path("d.csv").write_text("ID,TIME,AMT,DV,EVID,CRCL,WT\nnew,0,.,.,2,70,80\n")
    one = ("--amounts", "1000", "--intervals", "12", "--draws", "4000", "--posterior", "laplace")
    done = search("--target", "auc24 400-600", grid=one)
    assert done.code == 0, done.err
    (row,) = table_of("doses.csv")
    model = load_drug(DRUG)
    cl = model.typical(crcl_ml_per_min=70.0, wt_kg=80.0)["cl"]
    sd = math.sqrt(math.log1p(model.etas[0].size.fraction() ** 2))
    if model.etas[0].kind != "cv_exact":
        sd = model.etas[0].size.fraction()
    assert float(row["MAP"]) == pytest.approx(2000.0 / cl, rel=1e-5)
    assert float(row["START"]) == 0.0
    assert math.log(float(row["P95"]) / float(row["MEDIAN"])) == pytest.approx(1.645 * sd, rel=0.1)


@pytest.mark.long
def test_a_dose_without_history_goes_on_from_the_level_before_it(search):
    """One compartment, no dose so far: the first trough is what is left of level and dose, in closed form."""
    Path("d.csv").write_text("ID,TIME,AMT,DUR,DV,CRCL,WT\nnew,5,.,.,14,70,80\n")
    one = ("--amounts", "500", "--intervals", "12", "--draws", "200", "--posterior", "laplace", "--doses", "1")
    done = search("--target", "trough 10-15", "--pre-dose-level", "start", grid=one)
    assert done.code == 0, done.err
    (row,) = table_of("doses.csv")
    p = load_drug(DRUG).typical(crcl_ml_per_min=70.0, wt_kg=80.0)
    k = p["cl"] / p["v1"]
    given = 500.0 / p["cl"] * (1 - math.exp(-k)) * math.exp(-11 * k)
    assert float(row["START"]) == 5.0
    assert float(row["MAP"]) == pytest.approx(14.0 * math.exp(-12 * k) + given, rel=1e-5)
    assert "the course starts from it" in done.out


@pytest.mark.long
def test_the_same_from_python_writes_nothing(tmp_path):
    (tmp_path / "d.csv").write_text(TABLE)
    found = rldd.dose(
        DRUG, tmp_path / "d.csv", target="trough 10-15", amounts_mg=[500.0, 750.0], intervals_h=[12.0],
        posterior="laplace", draws=200, progress=False,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["d.csv"]
    assert set(found.columns()["ID"]) == {"ann", "bob"}
    assert "trough of concentration, 10 to 15 mg/L, at steady state" in found.title
    assert found.patients[0].best.amount_mg in {500.0, 750.0}
    assert {path.name for path in found.save(tmp_path / "out")} == {"doses.csv", "doses.json", "doses.png"}
    assert found.plot() is not None
    with pytest.raises(ConfigError, match="amounts_mg must be finite numbers at least 0, not -5"):
        rldd.dose(DRUG, tmp_path / "d.csv", amounts_mg=[-5.0], progress=False)


@pytest.mark.slow
def test_a_future_occasion_makes_probabilities_wider(tmp_path):
    """Busulfan varies between occasions: the spread of a future one is added."""
    model = load_drug("busulfan-shukla2020")
    columns = ",".join(c.column for c in model.covariates)
    cells = ",".join(f"{c.typical:g}" for c in model.covariates)
    lines = [f"ID,TIME,AMT,DUR,DV,OCC,{columns}", f"a,0,100,3,.,1,{cells}"]
    typical = {"auc24": []}
    levels = [(4, 3.0), (6, 2.1), (8, 1.5), (10, 1.05), (12, 0.75)]
    lines += [f"a,{t},.,.,{y},1,{cells}" for t, y in levels]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    for occasions in (False, True):
        found = rldd.dose(
            model, tmp_path / "d.csv", target="auc24 50-100", amounts_mg=[80.0], intervals_h=[24.0], doses=1,
            occasions=occasions, posterior="laplace", draws=2000, progress=False,
        )  # fmt: skip
        best = found.patients[0].best
        typical["auc24"].append(math.log(best.percentiles[4] / best.percentiles[0]) / 3.29)
    within, with_next = typical["auc24"]
    at = [e.parameter for e in model.occasion_etas].index("cl")
    assert with_next > within
    # In one occasion the sum of both effects is known; a new one has a variance of its own beside the patient's.
    assert with_next**2 > occasion_omega(model)[at, at]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("trough 10-15", "trough of concentration, 10 to 15 mg/L"),
        ("TROUGH 10 to 15 mg/L", "trough of concentration, 10 to 15 mg/L"),
        ("concentration peak<=30", "peak of concentration, at most 30 mg/L"),
        ("auc24 400..600 mg*h/L", "auc24 of concentration, 400 to 600 mg h/L"),
        ("auc24 above 400", "auc24 of concentration, at least 400 mg h/L"),
        ("time above 4 for 60 %", "concentration above 4 mg/L for 60 % of the interval"),
        ("average 1.5e1-20", "average of concentration, 15 to 20 mg/L"),
    ],
)
def test_targets_are_read_as_people_write_them(text, label):
    assert label_of(aim_of(load_drug(DRUG), text)) == label


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "trough"), "metrics are trough, peak"),
        (("--target", "through 10-15"), "is none: metrics are"),
        (("--target", "trough 15-10"), "its window ends at 10, not above 15"),
        (("--target", "trough ten"), "'ten' is no window"),
        (("--target", "trough 10-15 ug/mL"), "trough of concentration is in mg/L: convert it"),
        (("--target", "time_above 4"), "needs the level and the share"),
        (("--target", "time_above 4 for 120 %"), "120 % is no share"),
        (("--target", "inr trough 2-3"), "outputs of vancomycin-buelga2005 are concentration"),
        (("--target", "auc_total 500-900"), "auc_total grows with every dose"),
        (("--criterion", "best"), "--criterion must be map, distance, probability or percentile, not 'best'"),
        (("--percentile", "100"), "--percentile must be above 0 and below 100"),
        (("--posterior", "exact"), "--posterior must be resample or laplace"),
        (("--draws", "5"), "--draws must be from 10"),
        (("--doses", "0"), "--doses must be from 1 to 200"),
        (("--amounts", "1,x"), "--amounts must be numbers with commas"),
        (("--amounts", "100:50:10"), "from:to:step"),
        (("--amounts", "0:1e9:0.1"), "from:to:step"),
        (("--amounts", "-5"), "--amounts must be finite numbers at least 0, not -5"),
        (("--amounts", "nan"), "--amounts must be finite numbers"),
        (("--intervals", "0"), "--intervals must be finite numbers above 0, not 0"),
        (("--durations", "30"), "longer than every interval asked for"),
        (("--route", "rectal"), "unknown route of vancomycin-buelga2005 'rectal'"),
        (("--start", "12"), "patient ann: --start 12 h is before the last level at 23 h"),
        (("--start", "inf"), "--start must be a finite number"),
        (("--wait-below", "1e-9"), "is not below --wait-below 1e-09 within 720 h"),
        (("--wait-below", "-1"), "--wait-below must be a finite level above 0"),
        (("--pre-dose-level", "maybe"), "--pre-dose-level must be ignore, start or refuse, not 'maybe'"),
        (("--prior-weight", "0"), "--prior-weight must be a number"),
        (("--amounts", "1:9999:1"), "regimens: give at most 2,000"),
    ],
)
def test_wrong_questions_are_one_line_and_leave_nothing(search, options, message):
    done = search(*options)
    assert done.code == 2, done.out
    assert done.err.count("\n") == 1
    assert message in done.err
    assert [path.name for path in Path().iterdir()] == ["d.csv"]


def test_a_non_linear_model_needs_a_number_of_doses(run):
    Path("d.csv").write_text("ID,TIME,AMT,DV\n1,0,100,.\n")
    done = run("dose", "--drug", "paclitaxel-friberg2002", "--data", "d.csv")
    assert done.code == 2
    assert "is not linear: say after how many doses the target counts, --doses 5" in done.err


@pytest.mark.slow
def test_probabilities_come_true_as_often_as_they_say(tmp_path):
    """Simulated patients of the model: of those told p, a fraction p is inside; in the lower and the upper half too."""
    model, rng, count = load_drug(DRUG), np.random.default_rng(5), 300
    etas = rng.normal(size=(count, 2)) @ np.linalg.cholesky(omega(model)).T
    typical = model.typical(crcl_ml_per_min=80.0, wt_kg=70.0)
    cl, v = (typical[name] * np.exp(etas[:, i]) for i, name in enumerate(e.parameter for e in model.etas))
    k = cl / v
    peak = 1000.0 / cl * (1 - np.exp(-k))
    level = np.maximum(peak * np.exp(-10.0 * k) + model.outputs[0].residual.a * rng.normal(size=count), 0.0)
    lines = ["ID,TIME,AMT,DUR,DV,CRCL,WT"]
    for i in range(count):
        lines += [f"{i},0,1000,1,.,80,70", f"{i},11,.,.,{level[i]:.5f},80,70"]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    found = rldd.dose(
        model, tmp_path / "d.csv", target="auc24 400-600", amounts_mg=[1000.0], intervals_h=[12.0], draws=400,
        progress=False,
    )  # fmt: skip
    told = np.array([patient.best.inside for patient in found.patients])
    true = (2000.0 / cl >= 400.0) & (2000.0 / cl <= 600.0)
    middle = np.median(told)
    for part in (told >= 0, told < middle, told >= middle):
        expected, spread = told[part].sum(), np.sqrt((told[part] * (1 - told[part])).sum())
        assert abs(true[part].sum() - expected) < 3 * spread
    assert told.max() - told.min() > 0.3

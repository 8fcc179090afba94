"""``rl-drug-dosage estimate``: known patients are recovered, doubtful ones are flagged, wrong files are one line."""

import csv
import dataclasses
import math
from pathlib import Path

import jax
import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics import estimation
from rl_drug_dosage.pharmacometrics.estimation import EstimationOptions, estimate
from rl_drug_dosage.pkpd import (
    Dose,
    individual_parameters,
    make_covariates,
    make_regimen,
    omega,
    predict,
)
from rl_drug_dosage.registry import load_drug

PATIENTS = 4
TIMES_H = np.concatenate([np.arange(1.0, 12.0, 1.0), np.arange(13.0, 48.0, 2.0), np.arange(49.0, 132.0, 3.0)])
TITLES = "ID,TIME,AMT,DUR,II,ADDL,DV,WT\n"


@pytest.fixture(scope="module")
def drug():
    """Two etas, one compartment, additive error: information grows with every level."""
    return load_drug("vancomycin-buelga2005")


@pytest.fixture(scope="module")
def rich_file(drug, tmp_path_factory):
    """Doses so large that the additive error is nothing: the file and the true parameters of its patients."""
    rng = np.random.default_rng(3)
    etas = rng.normal(size=(PATIENTS, 2)) @ np.linalg.cholesky(omega(drug)).T
    lines, truth = ["ID,TIME,AMT,DUR,DV,CRCL,WT"], {}
    doses = [Dose(24.0 * k, 1e6, duration_h=1.0) for k in range(5)]
    course = jax.jit(predict, static_argnums=0)
    with jax.enable_x64(True):
        for i, eta in enumerate(etas):
            crcl, wt = 50.0 + 15.0 * i, 55.0 + 9.0 * i
            table = make_covariates(drug, {"crcl_ml_per_min": crcl, "wt_kg": wt})
            f = np.asarray(course(drug, make_regimen(doses, drug.structure), table, TIMES_H, eta))[:, 0]
            events = [(d.time_h, f"{d.amount_mg:g},1,.") for d in doses]
            events += [(t, f".,.,{y:.4f}") for t, y in zip(TIMES_H, f + 3.52 * rng.normal(size=f.size), strict=True)]
            lines += [f"p{i},{t:g},{cells},{crcl},{wt}" for t, cells in sorted(events)]
            p = individual_parameters(drug, table, eta)
            truth[f"p{i}"] = {name: float(values[0]) for name, values in p.items()}
    path = tmp_path_factory.mktemp("estimate") / "rich.csv"
    path.write_text("\n".join(lines))
    return path, truth


def table_of(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.mark.long
def test_precise_levels_give_the_parameters_back(run, rich_file):
    """Clearance and volume within 0.1 % of what made the levels; tables, figures and screen agree."""
    path, truth = rich_file
    done = run("estimate", "--drug", "vancomycin-buelga2005", "--data", path)

    assert done.code == 0, done.err
    rows = table_of("estimates.csv")
    found = {(row["ID"], row["NAME"]): row for row in rows if row["KIND"] == "parameter"}
    assert len(found) == 2 * PATIENTS
    for name, true in truth.items():
        for parameter, value in true.items():
            row = found[name, parameter]
            assert float(row["MAP"]) == pytest.approx(value, rel=1e-3)
            assert float(row["LOW90"]) < float(row["MAP"]) < float(row["HIGH90"])
            assert row["CONVERGED"] == "1"
            assert row["UNIT"] == {"cl": "L/h", "v1": "L"}[parameter]
    predictions = table_of("predictions.csv")
    assert len(predictions) == PATIENTS * len(TIMES_H)
    residuals = np.array([float(row["IWRES"]) for row in predictions])
    assert 0.85 < residuals.std() < 1.15
    apart = [float(row["DV"]) - float(row["IPRED"]) for row in predictions]
    np.testing.assert_allclose(3.52 * residuals, apart, atol=0.2)
    for name in ("predicted_vs_measured.png", "courses_concentration.png"):
        assert name in done.out
        assert Path(name).read_bytes().startswith(b"\x89PNG")
    assert f"{float(found['p0', 'cl']['MAP']):.4g}" in done.out
    assert "For research and education only" in done.out


@pytest.mark.long
def test_without_levels_the_interval_is_the_population_and_is_flagged(run, drug):
    """MAP = population, and the 90 % interval of a log-normal parameter is exp(+-1.645 omega)."""
    Path("d.csv").write_text(
        TITLES.replace("WT", "WT,CRCL") + "1,0,1000,1,12,3,.,70,80\n1,90,.,.,.,.,.,70,80\n2,-1,.,.,.,.,9,200,80\n"
        "2,0,1000,1,.,.,.,200,80\n"
    )
    done = run("estimate", "--drug", "vancomycin-buelga2005", "--data", "d.csv")

    assert done.code == 0, done.err
    row = next(row for row in table_of("estimates.csv") if row["NAME"] == "cl")
    sd = math.sqrt(omega(drug)[0, 0])
    assert row["MAP"] == row["POPULATION"]
    assert float(row["HIGH90"]) / float(row["MAP"]) == pytest.approx(math.exp(1.644854 * sd), rel=1e-4)
    assert float(row["MAP"]) / float(row["LOW90"]) == pytest.approx(math.exp(1.644854 * sd), rel=1e-4)
    assert "patient 1: no level is used" in done.out
    assert "patient 2: wt_kg = 200 kg is outside the published range" in done.out
    assert "patient 2: line 4: a level before any dose is not used" in done.out
    assert "outside the published range" in table_of("estimates.csv")[-1]["WARNING"]
    (level,) = table_of("predictions.csv")
    assert (level["USED"], level["IWRES"], level["TIME"]) == ("0", "", "-1")


@pytest.mark.long
def test_resampled_intervals_agree_with_laplace_where_levels_are_many(rich_file, tmp_path):
    """With nearly Gaussian posteriors the bounds agree within a sixth of the interval's width."""
    bounds = {}
    for kind in ("laplace", "resample"):
        options = EstimationOptions("vancomycin-buelga2005", rich_file[0], posterior=kind, output_dir=tmp_path)
        bounds[kind] = [
            (row.low, row.high) for patient in estimate(options).patients for row in patient.rows if row.kind == "eta"
        ]
    laplace, resampled = (np.array(bounds[kind]) for kind in ("laplace", "resample"))
    width = np.diff(laplace, axis=1)

    assert np.all(np.abs(resampled - laplace) < width / 6)
    assert np.any(resampled != laplace)


@pytest.mark.long
def test_an_estimate_that_did_not_converge_is_flagged_everywhere(run, rich_file, monkeypatch):
    """No interval, CONVERGED 0 and a warning in the table; NO on the screen."""
    fit_patients = estimation.fit_patients

    def failing(model, patients):
        fits = fit_patients(model, patients)
        at = dataclasses.replace(fits[1].estimate, converged=np.bool_(False))
        fits[1] = dataclasses.replace(fits[1], estimate=at, warnings=("the estimate did not converge",))
        return fits

    monkeypatch.setattr(estimation, "fit_patients", failing)
    done = run("estimate", "--drug", "vancomycin-buelga2005", "--data", rich_file[0])

    assert done.code == 0, done.err
    rows = {name: [row for row in table_of("estimates.csv") if row["ID"] == name] for name in ("p0", "p1")}
    assert {(row["CONVERGED"], row["LOW90"], row["HIGH90"]) for row in rows["p1"]} == {("0", "", "")}
    assert all("did not converge" in row["WARNING"] for row in rows["p1"])
    assert {row["CONVERGED"] for row in rows["p0"]} == {"1"}
    assert " NO " in done.out
    assert "patient p1: the estimate did not converge" in done.out


@pytest.mark.long
def test_occasions_have_kappas_of_their_own(tmp_path):
    """Error-free levels under kappas of -0.2 and 0.2 on clearance: 60 of them leave little to the prior."""
    model = load_drug("busulfan-shukla2020")
    person = {c.name: c.typical for c in model.covariates}
    times = {0: np.linspace(1.0, 23.5, 30), 1: np.linspace(25.0, 47.5, 30)}
    doses = [Dose(0.0, 100.0, duration_h=3.0), Dose(24.0, 100.0, duration_h=3.0)]
    with jax.enable_x64(True):
        table = make_covariates(model, {k: [v, v] for k, v in person.items()}, (24.0, 48.0), (0, 1))
        kappa = np.array([[-0.2, 0.0], [0.2, 0.0]])
        regimen = make_regimen(doses, model.structure)
        f = np.asarray(predict(model, regimen, table, np.concatenate([*times.values()]), np.zeros(2), kappa))[:, 0]
    cells = ",".join(f"{v:g}" for v in person.values())
    lines = ["ID,TIME,AMT,DUR,DV,OCC," + ",".join(c.column for c in model.covariates), f"a,0,100,3,.,1,{cells}"]
    lines += [f"a,{t:.6f},.,.,{y:.6g},1,{cells}" for t, y in zip(times[0], f[:30], strict=True)]
    lines += [f"a,24,.,.,.,1,{cells}", f"a,24,100,3,.,2,{cells}"]
    lines += [f"a,{t:.6f},.,.,{y:.6g},2,{cells}" for t, y in zip(times[1], f[30:], strict=True)]
    (tmp_path / "occ.csv").write_text("\n".join(lines))

    result = estimate(
        EstimationOptions("busulfan-shukla2020", tmp_path / "occ.csv", occasions=True, output_dir=tmp_path)
    )
    rows = [row for row in table_of(tmp_path / "estimates.csv") if (row["KIND"], row["NAME"]) == ("kappa", "cl")]

    assert [row["OCC"] for row in rows] == ["1", "2"]
    assert float(rows[1]["MAP"]) - float(rows[0]["MAP"]) == pytest.approx(0.4, abs=0.05)
    cl = [row for row in result.patients[0].rows if row.name == "cl" and row.kind == "parameter"]
    assert math.log(cl[1].estimate / cl[0].estimate) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        (("--drug", "vancomycin-buelga2006"), "", "did you mean 'vancomycin-buelga2005'?"),
        (
            ("--drug", "vancomycin-buelga2005", "--posterior", "exact"),
            "",
            "posterior must be laplace, resample, library or",
        ),
        (("--drug", "vancomycin-buelga2005", "--interpolation", "linear"), "", "interpolation must be nocb or locf"),
        (("--drug", "vancomycin-buelga2005"), "", "d.csv is empty: give a header line"),
        (
            ("--drug", "vancomycin-buelga2005"),
            "ID,TIME,AMT,DV,WT,CRCL\n1,0,-5,.,70,80\n",
            "d.csv, line 2, AMT = '-5': allowed are finite numbers >= 0; correct the value",
        ),
        (("--drug", "vancomycin-buelga2005", "--occasions"), "ID,TIME,AMT,DV,WT,CRCL\n1,0,5,.,70,80\n", "leave the"),
    ],
)
def test_wrong_input_is_one_line(run, options, text, message):
    """Exit code 2 and one line on stderr; nothing is written."""
    Path("d.csv").write_text(text)
    done = run("estimate", *options, "--data", "d.csv")

    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["d.csv"]


@pytest.mark.long
def test_a_missing_output_folder_is_made_and_a_bad_one_is_refused_before_the_fit(run, drug, monkeypatch):
    """Nothing is computed for a folder that cannot be written, or in which a folder has a table's name."""
    Path("d.csv").write_text("ID,TIME,AMT,RATE,DV,WT,CRCL\n1,0,1000,1000,.,70,80\n1,11,.,.,9.5,70,80\n")
    asked = ("estimate", "--drug", "vancomycin-buelga2005", "--data", "d.csv", "--output-dir")
    done = run(*asked, "new/deep")
    assert done.code == 0, done.err
    assert Path("new/deep/estimates.csv").is_file()

    def never(*_):
        raise AssertionError("the fit was started")

    monkeypatch.setattr("rl_drug_dosage.pharmacometrics.estimation.fit_patients", never)
    Path("taken/estimates.csv").mkdir(parents=True)
    for folder, what in (("d.csv/under", "Not a directory"), ("taken", "'estimates.csv' is a folder")):
        done = run(*asked, folder)
        assert done.code == 2
        assert what in done.err
        assert done.err.count("\n") == 1


def test_no_column_of_another_quantity_is_offered(run):
    """SCR (creatinine) is not CRCL (its clearance); CLCR is."""
    for title, offered in (("SCR", False), ("CREAT", False), ("DCRCL", False), ("CLCR", True)):
        Path("d.csv").write_text(f"ID,TIME,AMT,DV,WT,{title}\n1,0,5,.,70,1.1\n")
        done = run("estimate", "--drug", "vancomycin-buelga2005", "--data", "d.csv")
        assert done.code == 2
        assert "creatinine clearance" in done.err
        assert (f"rename {title}" in done.err) is offered


@pytest.mark.long
def test_a_flattened_prior_is_said_and_shrinkage_is_printed_and_written(run):
    """Of one patient shrinkage is that of the posterior variance; a weight that is none is one line."""
    Path("d.csv").write_text("ID,TIME,AMT,DUR,DV,CRCL,WT\n1,0,1000,1,.,80,70\n1,11,.,.,9,80,70\n")
    done = run("estimate", "--drug", "vancomycin-buelga2005", "--data", "d.csv", "--prior-weight", "0.5")

    assert done.code == 0, done.err
    assert "note: the prior has the weight 0.5" in done.out
    assert "eta-shrinkage: cl" in done.out
    assert "(from variances)" in done.out
    assert [row["NAME"] for row in table_of("shrinkage.csv")] == ["cl", "v1", "concentration"]
    wrong = run("estimate", "--drug", "vancomycin-buelga2005", "--data", "d.csv", "--prior-weight", "0")
    assert wrong.code == 2
    assert wrong.err.count("\n") == 1
    assert "--prior-weight must be a number from 0.001 to 1000" in wrong.err


@pytest.mark.long
def test_a_level_before_the_first_dose_starts_the_course_or_is_refused(run):
    """Its prediction is the level; by default it is left out as ever, and says what else it could mean."""
    Path("d.csv").write_text("ID,TIME,AMT,DUR,DV,CRCL,WT\n1,0,.,.,12,80,70\n1,0,1000,1,.,80,70\n1,11,.,.,14,80,70\n")
    asked = ("estimate", "--drug", "vancomycin-buelga2005", "--data", "d.csv")
    done = run(*asked, "--pre-dose-level", "start")
    assert done.code == 0, done.err
    assert "line 2: a level before any dose: the course starts from it" in done.out
    first, _ = table_of("predictions.csv")
    assert (first["USED"], first["IPRED"], first["PRED"], first["IWRES"]) == ("0", "12", "12", "")
    rows = {row["NAME"]: row for row in table_of("estimates.csv") if row["KIND"] == "parameter"}
    assert float(rows["pre_dose_level"]["MAP"]) == 12.0

    refused = run(*asked, "--pre-dose-level", "refuse")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "d.csv, line 2, DV = '12': a level before any dose; list the doses" in refused.err
    wrong = run(*asked, "--pre-dose-level", "maybe")
    assert "--pre-dose-level must be ignore, start or refuse, not 'maybe'" in wrong.err

"""``rl-drug-dosage simulate``: what is written is what the closed form, the plan and the seed say."""

import csv
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from pyarrow import parquet

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics import simulation
from rl_drug_dosage.pharmacometrics.simulation_data import rows_of
from rl_drug_dosage.pharmacometrics.simulation_plan import SimulationOptions, make_plan
from rl_drug_dosage.pharmacometrics.simulation_plots import bands, draw
from rl_drug_dosage.pkpd import DrugModel, draw_patients, make_regimen, predict
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.utils.seeding import Stream, key_for

BUELGA = "vancomycin-buelga2005"
SMALL = ("--patients", "20", "--days", "1", "--sample-every", "6")
TYPICAL = ("--no-variability", "--covariate", "crcl_ml_per_min=100", "--covariate", "wt_kg=70")


def drug(name: str) -> DrugModel:
    return load_drug(name)


def plan_of(name: str, **options):
    return make_plan(drug(name), SimulationOptions(drug=name, **options))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def infusions(time_h, *, dose_mg, interval_h, duration_h, count, cl, v):
    """One compartment, in float64: each infusion builds up for its duration and then decays."""
    k, total = cl / v, np.zeros_like(time_h)
    for start in interval_h * np.arange(count):
        since = time_h - start
        running = np.clip(since, 0.0, duration_h)
        total += (
            dose_mg / duration_h / cl * -np.expm1(-k * running) * np.exp(-k * np.clip(since - duration_h, 0.0, None))
        )
    return total


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """400 patients for four days, as a Simulation with its rows."""
    folder = tmp_path_factory.mktemp("cohort")
    options = SimulationOptions(drug=BUELGA, patients=400, days=4, sample_every_h=6, output_dir=folder)
    result = simulation.simulate(options)
    return result, rows(result.files[0])


def test_a_typical_patient_follows_the_closed_form(run):
    """CL = 1.08 CRCL and V = 0.98 WT (Buelga 2005): 800 mg over 1.5 h every 8 h, summed by hand in float64."""
    regimen = ["--dose", "800", "--interval", "8", "--duration", "1.5", "--days", "2", "--sample-every", "0.5"]
    done = run("simulate", "--drug", BUELGA, "--patients", "2", *regimen, *TYPICAL)
    assert done.code == 0, done.err
    table = rows(Path(f"simulation-{BUELGA}.csv"))
    seen = [row for row in table if row["EVID"] == "0"]
    assert len(seen) == 2 * 97
    time = np.array([float(row["TIME"]) for row in seen])
    expected = infusions(time, dose_mg=800, interval_h=8, duration_h=1.5, count=6, cl=1.08 * 6.0, v=0.98 * 70)
    np.testing.assert_allclose([float(row["IPRED"]) for row in seen], expected, rtol=3e-6, atol=1e-6)
    assert all(row["DV"] == row["IPRED"] for row in seen)
    assert {(row["CRCL"], row["WT"]) for row in table} == {("100", "70")}


@pytest.mark.long
def test_doses_and_observations_stand_as_nonmem_has_them(cohort):
    """The columns; 750 mg over 1 h at 0, 12, ... h; the trough before the dose; TAD from the last dose."""
    result, table = cohort
    assert list(table[0]) == [
        "ID", "TIME", "TAD", "EVID", "AMT", "RATE", "CMT", "DV", "MDV", "DVID", "IPRED", "CRCL", "WT",
    ]  # fmt: skip
    assert [row["ID"] for row in table] == sorted((row["ID"] for row in table), key=int)
    one = [row for row in table if row["ID"] == "7"]
    assert [float(row["TIME"]) for row in one] == sorted(float(row["TIME"]) for row in one)
    doses = [row for row in one if row["EVID"] == "1"]
    assert [row["TIME"] for row in doses] == ["0", "12", "24", "36", "48", "60", "72", "84"]
    given = {(row["AMT"], row["RATE"], row["CMT"], row["MDV"], row["DV"], row["IPRED"], row["TAD"]) for row in doses}
    assert given == {("750", "750", "1", "1", "", "", "0")}
    at_12 = [(row["EVID"], row["TAD"]) for row in one if row["TIME"] == "12"]
    assert at_12 == [("0", "12"), ("1", "0")]
    assert [row["TAD"] for row in one if row["TIME"] in {"0", "6", "96"} and row["EVID"] == "0"] == ["0", "6", "12"]
    assert len(one) == 17 + 8
    record = json.loads(result.files[1].read_text())
    assert [column["name"] for column in record["columns"]] == list(table[0])
    assert {c["name"]: c["unit"] for c in record["columns"]}["CRCL"] == "mL/min"


@pytest.mark.long
def test_measured_is_predicted_with_the_published_error_independent_of_the_patient(cohort):
    """Residuals have the published sd of 3.52 mg/L and no correlation with the patients' random effects."""
    _, table = cohort
    sd = drug(BUELGA).outputs[0].residual.a
    seen = [row for row in table if row["EVID"] == "0"]
    error = np.array([float(r["DV"]) - float(r["IPRED"]) for r in seen]).reshape(400, -1)
    assert abs(error.mean()) < 4 * sd / np.sqrt(error.size)
    assert abs(error.std() / sd - 1) < 4 / np.sqrt(2 * error.size)
    between = jax.random.split(key_for(1, Stream.EVALUATE))[0]
    eta = np.asarray(draw_patients(drug(BUELGA), between, 0, 400).eta)
    correlation = np.corrcoef(np.column_stack([eta, error]), rowvar=False)[:2, 2:]
    assert np.abs(correlation).max() < 5 / np.sqrt(400)


def test_what_no_laboratory_reports_is_no_level(cohort):
    """MDV is 1 before the drug is there and where error made a level negative; the record counts them."""
    result, table = cohort
    seen = [row for row in table if row["EVID"] == "0"]
    for row in seen:
        assert (row["MDV"] == "1") == (float(row["DV"]) < 0 or row["TIME"] == "0"), row
    record = json.loads(result.files[1].read_text())
    assert record["rows_with_mdv_1_that_are_no_doses"] == sum(row["MDV"] == "1" for row in seen) >= 400


@pytest.mark.long
def test_the_file_reads_back_to_the_same_course(cohort):
    """Our own reader gives doses and covariates from which the engine predicts every IPRED of a patient again."""
    result, table = cohort
    patient = read_nonmem(result.files[0], drug(BUELGA)).patients[4]
    own = [row for row in table if row["ID"] == "5" and row["EVID"] == "0" and row["MDV"] == "0"]
    np.testing.assert_allclose(patient.levels.value, [float(row["DV"]) for row in own])
    between = jax.random.split(key_for(1, Stream.EVALUATE))[0]
    eta = draw_patients(drug(BUELGA), between, 4, 1).eta[0]
    regimen = make_regimen(patient.doses, drug(BUELGA).structure)
    times = np.array([float(row["TIME"]) for row in own])
    course = jax.jit(predict, static_argnums=0)(drug(BUELGA), regimen, patient.covariates, times, eta)
    np.testing.assert_allclose(course[:, 0], [float(row["IPRED"]) for row in own], rtol=1e-5)


def test_the_summary_is_that_of_the_rows(cohort):
    """Trough percentiles from the file; AUC24 attainment from the exact area, which the rows' trapezoids approach."""
    result, table = cohort
    summary = {row.name: row for row in result.summary}
    last = [float(row["IPRED"]) for row in table if row["TIME"] == "96" and row["EVID"] == "0"]
    trough = summary["concentration trough"]
    np.testing.assert_allclose([trough.p5, trough.median, trough.p95], np.percentile(last, (5, 50, 95)), rtol=1e-5)
    shares = [row.attained_pct for row in result.summary if row.attained_pct is not None]
    assert len(shares) == 1
    assert 0 < shares[0] < 100


def test_the_area_at_steady_state_is_dose_over_clearance(run):
    """1,500 mg a day at CL 6.48 L/h: AUC24 = 231.5 mg h/L after 30 days; below the window, so nobody attains it."""
    assert run("simulate", "--drug", BUELGA, "--days", "30", "--patients", "1", *TYPICAL).code == 0
    summary = {row["name"]: row for row in json.loads(Path(f"simulation-{BUELGA}.json").read_text())["summary"]}
    assert summary["concentration auc24"]["median"] == pytest.approx(1500 / 6.48, rel=1e-4)
    assert summary["concentration auc24 400 to 600 mg h/L: patients who attain it"]["attained_pct"] == 0


@pytest.mark.long
def test_a_seed_repeats_itself(run):
    """The same command twice gives the same bytes."""
    data = Path(f"simulation-{BUELGA}.csv")

    def written() -> bytes:
        assert run("simulate", "--drug", BUELGA, *SMALL).code == 0
        return data.read_bytes()

    assert written() == written()


@pytest.mark.long
def test_a_patient_is_the_seed_and_a_number_whatever_the_chunks(monkeypatch):
    """Twenty patients in chunks of 7 are those of one chunk, with the same errors; another seed has others."""

    def random_numbers(plan):
        """In place of the courses: what patients and errors are made of."""

        def run(patients, keys):
            eta = patients.eta[:, None, :]
            noise = jax.vmap(lambda key: jax.random.normal(key, (1, 1)))(keys)
            return eta, noise, patients.covariates.values["wt_kg"]

        return run

    monkeypatch.setattr(simulation, "_program", random_numbers)
    plan = plan_of(BUELGA)

    def drawn(seed: int, size: int) -> np.ndarray:
        monkeypatch.setattr(simulation, "chunk_size", lambda plan, count: size)
        chunks = list(simulation.courses(plan, seed, 20))
        assert [chunk.first for chunk in chunks] == list(range(0, 20, size))
        parts = [(c.predicted.reshape(len(c.predicted), -1), c.measured[:, 0], c.area_mg_h_per_l) for c in chunks]
        return np.concatenate([np.column_stack(part) for part in parts])

    whole = drawn(1, 20)
    np.testing.assert_allclose(drawn(1, 7), whole, rtol=1e-6)
    assert np.all(drawn(2, 20) != whole)


def test_bands_are_percentiles_over_all_chunks(cohort):
    """Chunks of unequal size, more points than one block: numpy's percentiles of everything at once."""
    courses = np.random.default_rng(0).lognormal(size=(101, 150, 2)).astype(np.float32)
    got = bands([courses[:40], courses[40:90], courses[90:]], 1)
    np.testing.assert_allclose(got, np.percentile(courses[:, :, 1], (5, 50, 95), axis=0), rtol=1e-6)


def test_the_figure_has_window_doses_and_a_unit_on_every_axis(cohort):
    """AUC 400-600 mg h/L a day is drawn as its average, 16.7-25 mg/L; eight doses of 750 mg."""
    plan = cohort[0].plan
    figure = draw(plan, [np.ones((5, plan.grid.shown.size, 1), np.float32)], 5)
    outputs, doses = figure.axes
    assert outputs.get_ylabel().endswith("(mg/L)")
    assert doses.get_ylabel() == "dose\n(mg)"
    assert doses.get_xlabel() == "time since the first dose (days)"
    (window,) = [patch for patch in outputs.patches if "AUC24 400 to 600 mg h/L" in patch.get_label()]
    assert (window.get_y(), window.get_y() + window.get_height()) == pytest.approx((400 / 24, 600 / 24))
    assert [bar.get_height() for bar in doses.patches] == [750] * 8
    assert doses.patches[1].get_x() == pytest.approx(0.5)
    assert cohort[0].files[2].read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_model_of_drug_and_effect_is_integrated(run):
    """Warfarin: two outputs by DVID, INR 1 before and rising after tablets, and the concentration beside it."""
    done = run("simulate", "--drug", "warfarin-hamberg2010", "--patients", "5", "--days", "3", "--sample-every", "12")
    assert done.code == 0, done.err
    seen = [row for row in rows(Path("simulation-warfarin-hamberg2010.csv")) if row["EVID"] == "0"]
    inr = [float(row["IPRED"]) for row in seen if row["DVID"] == "1" and row["ID"] == "1"]
    assert inr[0] == pytest.approx(1.0)
    assert inr == sorted(inr)
    assert inr[-1] > 1.05
    assert [row["MDV"] for row in seen[:4]] == ["0", "1", "0", "0"]
    assert "inr 2 to 3: patients inside at the end" in done.out


@pytest.mark.long
def test_a_model_without_a_central_concentration_has_no_area_and_is_simulated(run):
    """Cells under chemotherapy: no AUC of a concentration exists, and none is asked for."""
    done = run("simulate", "--drug", "chemotherapy-ahn", "--patients", "3", "--days", "2", "--sample-every", "6")
    assert done.code == 0, done.err
    assert "auc24" not in done.out
    assert "normal from 0.63" in done.out


def test_parameters_that_change_with_time_get_covariate_records():
    """Busulfan's clearance changes after 6 and 36 h (McCune 2014); fixing the time takes the change away."""
    plan = plan_of("busulfan-mccune2014", days=4)
    np.testing.assert_array_equal(plan.record_times_h, [6, 36, 96])
    assert plan_of("busulfan-mccune2014", days=4, covariates={"time_h": 50.0}).record_times_h.size == 1
    assert "time_h" in plan_of("busulfan-mccune2014", days=10).warnings[0]


def test_infusions_without_a_gap_are_one_event_but_every_dose_is_written():
    """Vancomycin over 24 h every 24 h: one row for the engine, seven in the file."""
    plan = plan_of("vancomycin-roberts2011", days=7)
    regimen = plan.course.regimen(plan.model)
    assert regimen.amount_mg.tolist() == [7 * 2500]
    assert regimen.duration_h.tolist() == [7 * 24]
    assert rows_of(plan).is_dose.sum() == 7


def test_what_is_not_asked_for_comes_from_the_drug():
    """First route and interval, usual dose; a part of a route's name will do."""
    course = plan_of("docetaxel-netterberg2017").course
    assert (course.dose_mg, course.interval_h, course.duration_h, course.total_h) == (180, 504, 1, 3 * 504)
    propofol = plan_of("propofol-schnider1998", route="bolus", interval_h=1.0, dose_mg=100.0)
    assert propofol.course.route.name == "intravenous bolus"
    assert propofol.grid.after_dose.sum() == propofol.course.dose_times_h.size


def test_covariates_go_by_column_and_alias_too():
    named = plan_of(BUELGA, covariates={"wt_kg": 70.0, "crcl_ml_per_min": 80.0})
    called = plan_of(BUELGA, covariates={"weight": 70.0, "CrCl": 80.0})

    assert named.model == called.model
    with pytest.raises(ConfigError, match="given twice"):
        plan_of(BUELGA, covariates={"WT": 70.0, "wt_kg": 80.0})


@pytest.mark.long
def test_covariates_that_depend_on_a_given_one_are_drawn_from_it():
    """Height given age (Shukla 2020's cohort draws it so): 300 patients of 15 years are taller than 300 of 3 years."""
    heights = {}
    for age in (3.0, 15.0):
        plan = plan_of("busulfan-shukla2020", covariates={"age_y": age})
        drawn = draw_patients(plan.model, jax.random.key(0), 0, 300).covariates.values
        assert set(np.asarray(drawn["age_y"]).ravel().tolist()) == {age}
        heights[age] = float(drawn["height_cm"].mean())
    assert heights[15.0] > heights[3.0] + 40


def test_a_covariate_outside_its_range_is_a_warning_that_is_kept(run):
    """Printed, and stored beside the data."""
    done = run("simulate", "--drug", BUELGA, *SMALL, "--covariate", "crcl_ml_per_min=300")
    assert done.code == 0, done.err
    (warning,) = json.loads(Path(f"simulation-{BUELGA}.json").read_text())["warnings"]
    assert "crcl_ml_per_min = 300 mL/min is outside the published range" in warning
    assert f"warning: {warning}" in " ".join(done.out.split("\n"))


REFUSED = [
    (["--drug", "vancomycin-goti2081"], ["'vancomycin-goti2081'", "did you mean 'vancomycin-goti2018'"]),
    (["--drug", BUELGA, "--dose", "-1"], ["--dose", "-1"]),
    (["--drug", BUELGA, "--dose", "nan"], ["--dose", "nan"]),
    (["--drug", BUELGA, "--interval", "0"], ["--interval", "above 0"]),
    (["--drug", BUELGA, "--interval", "0.001", "--days", "7"], ["10,000 doses"]),
    (["--drug", BUELGA, "--duration", "inf"], ["--duration", "inf"]),
    (["--drug", BUELGA, "--days", "-3"], ["--days", "-"]),
    (["--drug", BUELGA, "--days", "nan"], ["--days", "nan"]),
    (["--drug", BUELGA, "--patients", "0"], ["--patients", "from 1"]),
    (["--drug", BUELGA, "--patients", "x"], ["--patients", "'x'"]),
    (["--drug", BUELGA, "--seed", "-1"], ["--seed", "-1"]),
    (["--drug", BUELGA, "--route", "oral"], ["'oral'", "1-h intravenous infusion"]),
    (["--drug", "propofol-marsh1991", "--route", "in"], ["fits", "write one of them out"]),
    (["--drug", BUELGA, "--sample-every", "0"], ["--sample-every", "above 0"]),
    (["--drug", BUELGA, "--sample-every", "1e-5"], ["--sample-every", "20,000"]),
    (["--drug", BUELGA, "--covariate", "crrcl=60"], ["'crrcl'", "did you mean 'crcl_ml_per_min'"]),
    (["--drug", BUELGA, "--covariate", "wt_kg"], ["'wt_kg'", "equals sign"]),
    (["--drug", BUELGA, "--covariate", "wt_kg=heavy"], ["'wt_kg=heavy'"]),
    (["--drug", BUELGA, "--covariate", "wt_kg=nan"], ["wt_kg", "finite"]),
    (["--drug", BUELGA, "--covariate", "wt_kg=60", "--covariate", "wt_kg=70"], ["twice", "60", "70"]),
    (["--drug", "warfarin-hamberg2010", "--covariate", "cyp2c9=14"], ["cyp2c9", "11, 12, 13", "14"]),
    (["--drug", BUELGA, "--format", "xlsx"], ["'xlsx'", "csv, parquet"]),
    (["--drug", BUELGA, "--device", "tpu"], ["'tpu'"]),
    (["--drug", BUELGA, "--output-dir", "/proc/nowhere"], ["/proc/nowhere", "--output-dir"]),
    (["--patients", "3"], ["--drug"]),
]


@pytest.mark.parametrize(("args", "named"), REFUSED, ids=lambda a: " ".join(a)[:50])
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(run, tmp_path, args, named):
    """The line names what came and what is allowed."""
    done = run("simulate", *args)
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert all(word in done.err for word in named), done.err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_holds_a_folder_is_refused(run, tmp_path):
    """The data file's name is taken: one line, and no temporary file stays."""
    (tmp_path / f"simulation-{BUELGA}.csv").mkdir()
    done = run("simulate", "--drug", BUELGA, "--patients", "2")
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert [path.name for path in tmp_path.iterdir()] == [f"simulation-{BUELGA}.csv"]


def test_a_course_that_breaks_down_leaves_no_file(run, tmp_path, monkeypatch):
    """A prediction that is not finite names the patient, and the half-written file is gone."""
    whole = simulation._program

    def broken(plan):
        program = whole(plan)

        def wrong(patients, keys):
            predicted, measured, area = program(patients, keys)
            return predicted.at[12].set(np.nan), measured, area

        return wrong

    monkeypatch.setattr(simulation, "_program", broken)
    done = run("simulate", "--drug", BUELGA, *SMALL)
    assert (done.code, done.err.count("\n")) == (3, 1), done
    assert "patient 13" in done.err
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_says_what_to_install(run, tmp_path, monkeypatch):
    """Before anything is simulated or written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run("simulate", "--drug", BUELGA, "--format", "parquet")
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert "make install-parquet" in done.err
    assert list(tmp_path.iterdir()) == []


def test_parquet_holds_what_the_csv_holds(run):
    """Same rows, nulls where a cell is empty, units in the schema."""
    args = ["simulate", "--drug", BUELGA, *SMALL]
    assert run(*args).code == 0
    assert run(*args, "--format", "parquet").code == 0
    table = parquet.read_table(f"simulation-{BUELGA}.parquet")
    assert table.schema.metadata[b"unit of RATE"] == b"mg/h"
    columns = table.to_pydict()
    text = rows(Path(f"simulation-{BUELGA}.csv"))
    assert list(columns) == list(text[0])
    for name, values in columns.items():
        expected = [None if row[name] == "" else float(row[name]) for row in text]
        assert [v is None for v in values] == [v is None for v in expected]
        np.testing.assert_allclose([v or 0 for v in values], [v or 0 for v in expected], rtol=1e-7)


def test_no_drug_is_a_course_too():
    """A dose of 0 mg has no dose rows; below 0 is refused."""
    plan = plan_of(BUELGA, dose_mg=0.0)
    assert rows_of(plan).is_dose.sum() == 0
    with pytest.raises(ConfigError, match="--dose"):
        plan_of(BUELGA, dose_mg=-0.5)


def test_a_covariate_of_another_quantity_is_not_offered(run):
    """Of the nearest name by letters a wrong one would be believed; of the same quantity it is offered."""
    done = run("simulate", "--drug", "vancomycin-goti2018", "--covariate", "scr=1.1")
    assert done.code == 2
    assert "did you mean" not in done.err
    done = run("simulate", "--drug", "vancomycin-goti2018", "--covariate", "clcr=90")
    assert "did you mean 'crcl_ml_per_min'?" in done.err

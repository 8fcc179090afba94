"""Patient files: the examples are read, every fault is one line beside its field, nothing in a file is run."""

import contextlib
import copy
import json
import random
import re
import sys
from pathlib import Path

import pytest

from rl_drug_dosage.bedside.entries import Entries
from rl_drug_dosage.bedside.files import read_histories, read_history, read_text
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError

EXAMPLES = Path(__file__).parents[2] / "examples" / "patients"

CHOICE = {"crcl": {"formula": "cockcroft-gault", "weight": "actual"}}
VANCOMYCIN = {
    "format": 1,
    "drug": "vancomycin-goti2018",
    "zone": "Europe/Berlin",
    "now": "2026-11-04 07:30",
    "covariates": {"crcl": "55 mL/min", "weight": "82 kg", "dialysis": False},
    "doses": [{"time": "2026-11-03 08:10", "amount": "1 g", "over": "1 h", "every": "12 h", "times": 2}],
    "levels": [{"time": "2026-11-03 19:45", "value": "12.1 mg/L"}, {"time": "2026-11-04 07:00", "value": "<2 mg/L"}],
}


def changed(*path, to=None, drop=False):
    """The file above with one value changed or left out."""
    table = copy.deepcopy(VANCOMYCIN)
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return table


def read(table, **how):
    return read_text(json.dumps(table), ".json", **how)


def test_a_file_becomes_hours_and_engine_units():
    (history,) = read(VANCOMYCIN)

    assert [(d.time_h, d.amount, d.duration_h, d.given) for d in history.doses] == [
        (0.0, 1000.0, 1.0, True),
        (12.0, 1000.0, 1.0, True),
    ]
    assert [(v.time_h, v.value, v.below_limit) for v in history.levels] == [
        (pytest.approx(11 + 35 / 60), 12.1, False),
        (pytest.approx(22 + 50 / 60), 2.0, True),
    ]
    assert {c.name: c.value for c in history.covariates} == {"crcl_ml_per_min": 55.0, "wt_kg": 82.0, "dialysis": 0.0}
    assert history.now_h == pytest.approx(23 + 20 / 60)
    assert str(history.origin) == "2026-11-03 08:10:00+01:00"
    assert history.notes == ("dose 1 g = 1000 mg",)


def test_the_examples_are_read():
    vancomycin = read_history(EXAMPLES / "vancomycin.toml")
    gentamicin = read_history(EXAMPLES / "gentamicin.json")
    bundle = read_history(EXAMPLES / "vancomycin_bundle.json", formulas=CHOICE)
    busulfan = read_history(EXAMPLES / "busulfan.csv", drug="busulfan-neroutsos2022")

    # The night of the change has 25 hours: 20:00 and 24 h later 19:00.
    assert [d.time_h for d in vancomycin.doses] == pytest.approx([2 + 1 / 6, 14.0, 26.0, 38.0])
    assert [d.given for d in vancomycin.doses] == [True, True, False, True]
    assert any("the last dose is at 2026-10-25 19:00" in note for note in vancomycin.notes)
    # (140 - 64) 76.46 / (72 97/88.4), adjusted weight 73.0 + 0.4 (81.6 - 73.0).
    crcl = next(c.value for c in vancomycin.covariates if c.name == "crcl_ml_per_min")
    assert crcl == pytest.approx(76 * 76.457 / (72 * 97 / 88.4), rel=1e-4)
    assert any("cockcroft-gault (Cockcroft DW" in note and "adjusted body weight" in note for note in vancomycin.notes)
    assert [(v.value, v.below_limit) for v in gentamicin.levels] == [(19.8, False), (0.5, True), (2.6, False)]
    assert gentamicin.origin is None
    assert (len(bundle.doses), len(bundle.levels), bundle.drug) == (2, 2, "vancomycin")
    assert [(d.time_h, d.amount, d.duration_h) for d in busulfan.doses] == [(0.0, 60.0, 3.0), (24.0, 60.0, 3.0)]
    assert busulfan.now_h == 30.0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (changed("format", drop=True), "format: missing; add format = 1"),
        (changed("format", to=2), "format: 2 is not read here; allowed: 1"),
        (changed("drug", drop=True), "drug: missing; write the drug's name"),
        (changed("drug", to="vancomycn"), "drug: unknown drug 'vancomycn'; did you mean 'vancomycin'?"),
        (changed("zne", to="UTC"), "zne: unknown key; did you mean 'zone'? allowed: drug, name, zone"),
        (changed("zone", to="Europe/Berln"), "zone: unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        (changed("levels", 1, "tme", to=1), "levels[2].tme: unknown key; did you mean 'time'?"),
        (changed("levels", 1, "time", drop=True), "levels[2].time: missing; add it"),
        (changed("levels", 1, "time", to="4 November"), "levels[2].time: '4 November' is no time"),
        (changed("levels", 1, "time", to="2026-11-03 07:00"), "levels[2].time: 2026-11-03 07:00: a level before any"),
        (changed("levels", 1, "time", to="2026-11-05 07:00"), "levels[2].time: 2026-11-05 07:00 lies after now"),
        (changed("levels", 1, "value", to="12 kg"), "levels[2].value: 12 kg is a mass; level is in mg/L; allowed: g/L"),
        (changed("levels", 1, "value", to="-3 mg/L"), "levels[2].value: -3 mg/L; allowed: at least 0"),
        (changed("levels", 1, "value", to=900), "levels[2].value: 900 has no unit, and level of 0 to 250 mg/L"),
        (changed("levels", 1, "output", to="inr"), "levels[2].output: 'inr' is not measured; allowed: concentration"),
        (changed("doses", 0, "amount", to="-1 g"), "doses[1].amount: -1000 mg; allowed: above 0"),
        (changed("doses", 0, "amount", to=1), "doses[1].amount: 1 has no unit, and dose of 250 to 3000 mg is in"),
        (changed("doses", 0, "over", drop=True), "doses[1].over: missing, and vancomycin is given as 1-h intravenous"),
        (changed("doses", 0, "over", to="1 kg"), "doses[1].over: 1 kg is a mass; duration is in h"),
        (changed("doses", 0, "rate", to="1 g/h"), "doses[1].rate: given beside over; leave one of them out"),
        (changed("doses", 0, "every", drop=True), "doses[1].every: missing; add it"),
        (changed("doses", 0, "times", to=2.5), "doses[1].times: 2.5 is none; allowed: a whole number from 1 to 2000"),
        (changed("doses", 0, "times", to=9), "doses[1].time: 2026-11-04 08:10 lies after now"),
        (changed("doses", 0, "missed", to=[3]), "doses[1].missed: 3 is none; allowed: a whole number from 1 to 2"),
        (changed("doses", 0, "route", to="oral"), "doses[1].route: 'oral' is no route of vancomycin-goti2018"),
        (
            changed("doses", to=[{"time": "2026-11-03 08:10", "amount": "1 g", "over": "1 h"}] * 2),
            "doses[2].time: 2026-11-03 08:10 has a dose already, doses[1]",
        ),
        (changed("co\n\x1b[31mlour", to=1), "co \\x1b[31mlour: unknown key; allowed: drug"),
        (changed("doses", to={}), "doses: is no list of tables, but {}"),
        (changed("doses", 0, "time", to="2026-10-25 02:30"), "doses[1].time: '2026-10-25 02:30' happened twice"),
        (changed("covariates", "crcl", to="-5 mL/min"), "covariates.crcl: -5 mL/min: possible is from 0 to 600"),
        (changed("covariates", "crcl", to="-99 mL/min"), "covariates.crcl: -99 mL/min: is -99 a code for missing?"),
        (changed("covariates", "weight", to="75000 kg"), "covariates.weight: 75000 kg: possible is from 0.1 to 650"),
        (changed("covariates", "crcl", to="55 kg"), "covariates.crcl: 55 kg is a mass; crcl is in mL/min"),
        (changed("covariates", "crcl", to=5500), "covariates.crcl: 5500 has no unit, and crcl of 4 to 150"),
        (changed("covariates", "weight", to="NaN kg"), "covariates.weight: 'NaN kg' is no number with a unit"),
        (changed("covariates", "weight", to="0 kg"), "covariates.weight: 0 kg: possible is from 0.1 to 650 kg"),
        (changed("covariates", "dialysis", to=2), "covariates.dialysis: 2 is none of 0, 1, true, false"),
        (changed("covariates", "wieght", to="82 kg"), "covariates.wieght: unknown covariate of vancomycin"),
        (changed("covariates", "crcl", to={"formula": "mdrd"}), "covariates.crcl.formula: unknown formula for crcl"),
        (changed("covariates", "crcl", to={"formula": "cockcroft-gault"}), "covariates.crcl.weight: missing: which"),
        (
            changed("covariates", "crcl", to={"formula": "cockcroft-gault", "weight": "actual"}),
            "covariates.crcl: cockcroft-gault needs age and creatinine and sex; add covariates.age",
        ),
        (
            changed("covariates", to={"creatinine": "1.1 mg/dL", "weight": "82 kg"}),
            "covariates.crcl: missing, and vancomycin-goti2018 needs it; creatinine is given, so name a formula",
        ),
        (changed("patients", to=[{}]), "drug: stands beside patients"),
        (
            changed("covariates", "creatinine", to=97),
            "covariates.creatinine: creatinine 97 has no unit; did you mean 97 µmol/L or 97 mg/dL? write the unit",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_beside_its_field(table, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read(table)

    assert str(refused.value).startswith(said.partition(":")[0])
    assert "\n" not in str(refused.value)


def test_a_model_s_own_name_of_a_weight_serves_a_formula():
    """``wt_kg`` is what the page writes."""
    told = {"wt_kg": "82 kg", "age": "64 y", "sex": "male", "creatinine": "97 µmol/L", "dialysis": False}
    told["crcl"] = {"formula": "cockcroft-gault", "weight": "actual"}
    (history,) = read(changed("covariates", to=told))
    crcl = next(c.value for c in history.covariates if c.name == "crcl_ml_per_min")
    assert crcl == pytest.approx((140 - 64) * 82 / (72 * 97 / 88.4), rel=1e-6)


def test_a_number_without_a_unit_is_noted_unless_its_name_has_one():
    (plain,) = read(changed("covariates", to={"crcl": 55, "weight": 82, "dialysis": False}))
    (named,) = read(changed("covariates", to={"crcl_ml_per_min": 55, "wt_kg": 82, "dialysis": False}))
    assert "weight 82 without a unit read as kg" in plain.notes
    assert not [note for note in named.notes if "without a unit" in note]


def test_what_only_a_label_asks_for_is_kept():
    """Tacrolimus: no model has the weight, and the label's mg/kg need it."""
    table = {"format": 1, "drug": "tacrolimus", "now": 12, "covariates": {"wt_kg": "70 kg"}, "doses": [], "levels": []}
    (history,) = read(table)
    assert [(c.name, c.value) for c in history.covariates] == [("wt_kg", 70.0)]


def test_the_example_of_the_docs_is_read():
    text = (Path(__file__).parents[2] / "docs" / "patient-files.md").read_text()
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    (history,) = read_text(block, ".toml")
    assert [dose.given for dose in history.doses] == [True, False, True]


def test_formulas_are_listed_when_creatinine_is_all_there_is():
    with pytest.raises(ConfigError, match="cockcroft-gault, ckd-epi-2009, ckd-epi-2021, schwartz-2009"):
        read(changed("covariates", to={"creatinine": "1.1 mg/dL"}))


def test_a_clearance_per_body_surface_is_converted_by_a_named_surface_only():
    facts = {
        "age": "64 y",
        "sex": "male",
        "height": "178 cm",
        "weight": "82 kg",
        "creatinine": "1 mg/dL",
        "dialysis": 0,
    }
    with pytest.raises(
        ConfigError, match=r"ckd-epi-2021 gives mL/min/1\.73m2, and crcl_ml_per_min is in mL/min: name the body"
    ):
        read(changed("covariates", to=facts | {"crcl": {"formula": "ckd-epi-2021"}}))

    (history,) = read(changed("covariates", to=facts | {"crcl": {"formula": "ckd-epi-2021", "bsa": "mosteller"}}))

    # 142 (1/0.9)^-1.2 0.9938^64 = 84.1 mL/min/1.73m2, and 2.014 m2.
    crcl = next(c.value for c in history.covariates if c.name == "crcl_ml_per_min")
    rate = 142 * (1 / 0.9) ** -1.2 * 0.9938**64
    assert crcl == pytest.approx(rate * (178 * 82 / 3600) ** 0.5 / 1.73)


def test_one_creatinine_serves_models_in_both_units():
    table = {
        "format": 1,
        "drug": "gentamicin",
        "doses": [],
        "covariates": {"creatinine": "88.4 µmol/L", "crcl": "60 mL/min"},
    }
    (history,) = read(table)

    assert {c.name: c.value for c in history.covariates} == {
        "scr_umol_per_l": pytest.approx(88.4),
        "crcl_ml_per_min": 60.0,
    }
    assert "now is not given: taken as the time of the last entry" in history.notes


def test_several_patients_are_read_and_a_fault_names_its_own():
    one = {key: value for key, value in VANCOMYCIN.items() if key != "format"}
    two = {"format": 1, "patients": [one | {"name": "A"}, one | {"name": "B"}]}
    assert [h.name for h in read(two)] == ["A", "B"]

    two["patients"][1] = {**one, "now": "2026-11-03 09:00"}
    with pytest.raises(ConfigError, match=re.escape("patients[2].doses[1].time: 2026-11-03 20:10 lies after now")):
        read(two)


def test_a_missed_dose_is_kept_as_missed_and_is_no_dose_before_a_level():
    (history,) = read(changed("doses", 0, "missed", to=[2]))
    assert [d.given for d in history.doses] == [True, False]

    with pytest.raises(ConfigError, match=r"levels\[1\]\.time: .*a level before any dose, there is no dose"):
        read(changed("doses", 0, "missed", to=[1, 2]))


def test_toml_dates_need_no_quotes(tmp_path):
    file = tmp_path / "patient.toml"
    file.write_text(
        'format = 1\ndrug = "vancomycin-goti2018"\nzone = "UTC"\nnow = 2026-11-03 20:00:00\n'
        '[[doses]]\ntime = 2026-11-03T08:10:00\namount = "1 g"\nover = "1 h"\n'
    )

    assert read_history(file).now_h == pytest.approx(11 + 50 / 60)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.toml", "a = [", "p.toml: no TOML"),
        ("p.toml", "a = nan", "p.toml: format: missing"),
        ("p.json", "{", "p.json: no JSON"),
        ("p.json", '{"a": NaN}', "p.json: NaN is no number"),
        ("p.json", '{"a": 1, "a": 2}', "p.json: the key 'a' stands twice"),
        ("p.json", "[" * 100_000, "p.json: no JSON: nested too deeply"),
        ("p.json", "[]", "p.json: the file: is no table"),
        ("p.toml", b"\xff\xfe\x00", "p.toml is no UTF-8 text"),
        ("p.yaml", "a: 1", "p.yaml is no patient file: allowed are .toml, .json and tables"),
        ("p.csv", "ID\n1", "p.csv is a table, which names no drug"),
    ],
)
def test_what_is_no_patient_file_is_refused(tmp_path, name, content, said):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read_history(file)
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="no such file"):
        read_history(tmp_path / "none.toml")


def test_nothing_in_a_file_is_imported_or_followed(tmp_path, monkeypatch):
    """A module beside the file that would leave a trace if it ran."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath('ran').write_text('')\nDRUG = None\n")
    for drug in ("./trap.py", "trap.py", "trap:DRUG", str(tmp_path / "trap.py"), "trap"):
        with pytest.raises(ConfigError, match="drug: unknown drug"):
            read(changed("drug", to=drug))

    assert not (tmp_path / "ran").exists()


def test_the_reader_may_ask_for_a_model_of_the_drug_but_not_for_another_drug():
    table = changed("drug", to="vancomycin")
    (history,) = read(table, drug="vancomycin-thomson2009")
    assert history.drug == "vancomycin-thomson2009"
    assert "dialysis is not used by vancomycin-thomson2009" in history.notes

    with pytest.raises(ConfigError, match="drug: 'vancomycin', and gentamicin is asked for"):
        read(table, drug="gentamicin-staatz2005")


def test_formulas_of_the_reader_fill_in_what_a_file_does_not_say():
    facts = {"age": "64 y", "sex": "male", "weight": "82 kg", "creatinine": "1 mg/dL", "dialysis": False}
    (history,) = read(changed("covariates", to=facts), formulas=CHOICE)

    crcl = next(c.value for c in history.covariates if c.name == "crcl_ml_per_min")
    assert crcl == pytest.approx(76 * 82 / 72)


def test_entries_from_python_in_any_order_with_a_late_correction():
    entries = Entries("vancomycin-goti2018", zone="Europe/Berlin")
    entries.level("2026-11-03 19:45", "12.1 mg/L")
    entries.dose("2026-11-03 08:10", "1 g", rate="500 mg/h")
    entries.covariate("crcl", "55 mL/min")
    entries.covariate("crcl", "40 mL/min", time="2026-11-03 18:00")
    history = entries.history("2026-11-03 20:00")

    assert history.doses[0].duration_h == 2.0
    assert [(c.time_h, c.value) for c in history.covariates] == [(0.0, 55.0), (pytest.approx(9 + 5 / 6), 40.0)]
    # A question does not change what was entered.
    assert entries.history("2026-11-03 21:00").levels == history.levels


def test_two_patients_of_a_table_with_repeated_doses_and_covariates_that_change(tmp_path):
    file = tmp_path / "two.csv"
    file.write_text(
        "ID,TIME,AMT,RATE,II,ADDL,EVID,DV,CRCL,WT,DIAL\n"
        "1,0,1000,1000,12,2,1,.,80,70,0\n1,11.5,.,.,.,.,0,9.1,80,70,0\n1,30,.,.,.,.,2,.,60,70,0\n"
        "2,0,500,500,.,.,1,.,100,80,0\n2,12,.,.,.,.,0,<2,100,80,0\n"
    )
    first, second = read_histories(file, drug="vancomycin")

    assert [d.time_h for d in first.doses] == [0.0, 12.0, 24.0]
    assert [(c.time_h, c.value) for c in first.covariates if c.name == "crcl_ml_per_min"] == [(0.0, 80.0), (30.0, 60.0)]
    assert first.now_h == 30.0
    assert second.levels[0].below_limit
    assert any("the columns serve" in note for note in first.notes)
    with pytest.raises(ConfigError, match=r"two\.csv holds 2 patients"):
        read_history(file, drug="vancomycin")


@pytest.mark.long
def test_a_steady_state_is_the_doses_that_led_to_it(tmp_path):
    file = tmp_path / "ss.csv"
    file.write_text(
        "ID,TIME,AMT,RATE,II,SS,EVID,DV,CRCL,WT,DIAL\n1,0,1000,1000,12,1,1,.,80,70,0\n1,11.5,.,.,.,.,0,9.1,80,70,0\n"
    )
    history = read_history(file, drug="vancomycin-goti2018")

    times = [d.time_h for d in history.doses]
    assert times == [12.0 * k for k in range(-len(times) + 1, 1)]
    assert 10 < len(times) < 80
    file.write_text(file.read_text().replace(",12,1,1,", ",12,2,1,"))
    with pytest.raises(ConfigError, match="allowed is SS 1 with AMT and II"):
        read_history(file, drug="vancomycin-goti2018")


def test_a_level_before_the_first_dose_of_a_table_is_refused(tmp_path):
    file = tmp_path / "early.csv"
    file.write_text("ID,TIME,AMT,RATE,EVID,DV,CRCL,WT,DIAL\n1,0,.,.,0,5,80,70,0\n1,1,500,500,1,.,80,70,0\n")

    with pytest.raises(
        ConfigError, match=r"early.csv, line 2, DV = '5': a level before any dose; list the doses"
    ) as refused:
        read_history(file, drug="vancomycin-goti2018")
    assert "--" not in str(refused.value)


CASES = Path(__file__).parents[1] / "cases"
CASE_TABLES = {
    "05-bolus-and-infusion-together/input.csv": [(2, 1)],
    "06-replicate-levels/input.csv": [(1, 2)],
    "09-covariate-changes-at-dose-line/input.csv": [(2, 2)],
    "11-patient-named-c/input.csv": [(1, 1)] * 4,
    "12-id-1-and-1.0/input.csv": [(1, 1)],
    "12-id-1-and-1.0/input_padded.csv": [(1, 1)],
    "13-hash-id-header/input.csv": [(1, 1)],
    "14-semicolons-tabs-blanks/input_semicolon.csv": [(1, 1)],
    "14-semicolons-tabs-blanks/input_tab.csv": [(1, 1)],
    "14-semicolons-tabs-blanks/input_blank.txt": [(1, 1)],
}
"""Table -> doses and levels of each patient."""


@pytest.mark.parametrize("case", CASE_TABLES)
def test_odd_tables_are_read_as_everywhere_in_the_package(case):
    found = read_histories(CASES / case, drug="vancomycin-buelga2005")

    assert [(len(h.doses), len(h.levels)) for h in found] == CASE_TABLES[case]


def test_a_level_before_a_dose_line_of_the_same_time_keeps_its_own_clearance():
    """Case 09: the level at 24 h is drawn before the dose, when creatinine clearance was still 100."""
    history = read_history(CASES / "09-covariate-changes-at-dose-line" / "input.csv", drug="vancomycin-buelga2005")

    changes = [(c.time_h, c.value) for c in history.covariates if c.name == "crcl_ml_per_min"]
    assert changes == [(0.0, 100.0), (pytest.approx(24.0), 60.0)]
    assert history.levels[0].time_h == 24.0 < changes[1][0] <= history.doses[1].time_h


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("04-negative-clearance-in-data", "input.csv, line 2, CRCL = '-99': is this a code for a missing value?"),
        ("08-steady-state-constant-infusion", "allowed is SS 1 with AMT and II; write out the doses"),
    ],
)
def test_odd_tables_are_refused_in_one_line(case, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_histories(next((CASES / case).glob("*.csv")), drug="vancomycin-buelga2005")


def test_fuzzed_files_are_read_or_refused_in_one_line():
    """Values swapped for others of any kind: never another error than the package's own."""
    rng = random.Random(3)
    values = [
        None,
        True,
        -1,
        0,
        1e308,
        "",
        "x",
        "1 g",
        "1 mg/L",
        "2026-11-03 08:10",
        [],
        {},
        [1],
        {"value": 1},
        "é" * 300,
    ]
    for _ in range(400):
        table = copy.deepcopy(VANCOMYCIN)
        for _ in range(rng.randint(1, 2)):
            place = table
            while isinstance(place, dict | list) and place:
                key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if not isinstance(place[key], dict | list) or rng.random() < 0.3:
                    place[key] = copy.deepcopy(rng.choice(values))
                    break
                place = place[key]
        with contextlib.suppress(RlDrugDosageError):
            read(table)

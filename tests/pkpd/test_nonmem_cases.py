"""Event tables that NONMEM reads, with the numbers that it gives: by superposition, unless a test says otherwise.

One compartment of vancomycin-buelga2005: CL = 1.08 x 0.06 x CRCL = 6.48 L/h at 100 mL/min, V = 0.98 x WT = 68.6 L.
"""

import math
from pathlib import Path

import jax
import numpy as np
import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import CovariateError, individual_parameters, make_regimen, predict
from rl_drug_dosage.pkpd.bayes import fit_patients
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem
from rl_drug_dosage.registry import load_drug

CASES = Path(__file__).parents[1] / "cases"
CL, V = 6.48, 68.6
K = CL / V
HEAD = "ID,TIME,AMT,RATE,II,ADDL,SS,EVID,DV,CRCL,WT\n"
DOSE = "1,0,1000,1000,,,,1,,100,70\n"
LEVEL = "1,12,,,,,,0,8,100,70\n"
MAP_CL = 5.91767
"""CL after 1,000 mg over 1 h and a level of 8 mg/L at 12 h."""


@pytest.fixture(scope="module")
def drug():
    return load_drug("vancomycin-buelga2005")


def typical(drug, patient):
    """PRED at the levels of one patient."""
    levels, regimen = patient.levels, make_regimen(patient.doses, drug.structure)
    with jax.enable_x64(True):
        run = jax.jit(lambda time, after: predict(drug, regimen, patient.covariates, time, after_dose=after))
        return np.asarray(run(levels.time_h, levels.after_dose))[:, 0]


@pytest.fixture
def read(tmp_path, drug):
    def call(text, name="d.csv", **options):
        path = tmp_path / name
        path.write_text(text)
        return read_nonmem(path, drug, **options)

    return call


def infused(rate, length_h, t):
    """Concentration t hours after the start of an infusion, mg/L."""
    on = min(max(t, 0.0), length_h)
    return rate / CL * (1.0 - math.exp(-K * on)) * math.exp(-K * max(t - length_h, 0.0))


def bolus(amount, t):
    return amount / V * math.exp(-K * t)


def case(number, drug, name="input.csv"):
    (folder,) = CASES.glob(f"{number}-*")
    return read_nonmem(folder / name, drug)


PREDICTED = [
    ("05", [bolus(500, 6) + infused(100, 10, 6)], [10.8118]),
    ("06", [infused(1000, 1, 12)] * 2, [4.92112] * 2),
    # 50 mg/h for ever, which ends at time 0.
    ("08", [50 / CL * math.exp(-K)], [7.02054]),
    ("12", [infused(1000, 1, 12)], [4.92112]),
    ("13", [infused(1000, 1, 12)], [4.92112]),
]


@pytest.mark.parametrize(("number", "formula", "stated"), PREDICTED, ids=[p[0] for p in PREDICTED])
def test_the_typical_patient_of_a_case(drug, number, formula, stated):
    (patient,) = case(number, drug).patients

    np.testing.assert_allclose(typical(drug, patient), formula, rtol=1e-7)
    np.testing.assert_allclose(formula, stated, rtol=4e-6)


def test_each_record_of_one_time_has_its_own_covariates(drug):
    """Case 09: the level at 24 h still has a CRCL of 100, the dose at 24 h and all after it 60."""
    (patient,) = case("09", drug).patients
    low = 0.6 * CL
    first = infused(1000, 1, 24)
    second = 1000 / low * (1 - math.exp(-low / V)) * math.exp(-low / V * 23) + first * math.exp(-low / V * 24)

    np.testing.assert_allclose(typical(drug, patient), [first, second], rtol=1e-7)
    np.testing.assert_allclose([first, second], [1.58409, 4.25505], rtol=2e-6)


def test_a_code_for_a_missing_covariate_is_refused(drug):
    """Case 04, where -99 would give a clearance of -6.4 L/h."""
    with pytest.raises(CovariateError, match=r"line 2, CRCL = '-99': is this a code for a missing value\?"):
        case("04", drug)


@pytest.mark.parametrize("code", ["-9", "-999", "-99.0", "999", "-5"])
def test_codes_of_every_length_are_refused_and_a_high_value_is_not(read, code):
    with pytest.raises(CovariateError, match="line 2, CRCL"):
        read(HEAD + DOSE.replace(",100,70", f",{code},70") + LEVEL)
    assert read(HEAD + DOSE.replace(",100,70", ",199,70") + LEVEL).patients


@pytest.mark.long
def test_replicates_weigh_as_one_level_of_half_the_variance(drug, read):
    """Case 06: 8 and 10 at one time are 9 with a variance divided by two, which is the weight 2."""
    (pair,) = fit_patients(drug, case("06", drug).patients)
    one = (HEAD + DOSE + LEVEL.replace(",8,", ",9,")).replace("WT\n", "WT,DV_WEIGHT\n").replace("70\n", "70,2\n")
    (weighted,) = fit_patients(drug, read(one).patients)

    np.testing.assert_allclose(pair.estimate.eta, weighted.estimate.eta, atol=1e-7)
    assert float(pair.parameters["cl"][0]) == pytest.approx(5.21354, rel=1e-5)


def test_a_patient_called_c_is_a_patient_among_names(drug, read):
    """Case 11; among numbers C marks comments, which are counted."""
    assert [p.name for p in case("11", drug).patients] == ["A", "B", "C", "D"]
    data = read(HEAD + DOSE + "C" + LEVEL[1:] + LEVEL)
    assert len(data.patients) == 1
    assert data.patients[0].levels.value.size == 1
    assert any("1 line (3) with C" in note for note in data.notes)
    data = read(HEAD + DOSE + "#" + LEVEL + LEVEL)
    assert any("1 line (line 3) that starts with #" in note for note in data.notes)
    assert read(HEAD + (DOSE + LEVEL).replace("1,", '"#7",', 1).replace("\n1,", '\n"#7",')).patients[0].name == "#7"


@pytest.mark.long
@pytest.mark.parametrize("name", ["input.csv", "input_padded.csv"])
def test_1_and_1_0_and_001_are_one_patient(drug, name):
    """Case 12. Names that are long numbers stay apart, and so do names of letters."""
    data = case("12", drug, name)
    (fit,) = fit_patients(drug, data.patients)

    assert float(fit.parameters["cl"][0]) == pytest.approx(MAP_CL, rel=1e-6)
    assert any("are one number" in note for note in data.notes)


def test_names_that_differ_are_two_patients(read):
    text = "".join((DOSE + LEVEL).replace("1,", f"{name},", 1).replace("\n1,", f"\n{name},") for name in NAMES)
    assert [p.name for p in read(HEAD + text).patients] == NAMES


NAMES = ["12345678901234567890", "12345678901234567891", "1a", "1A", "007", "$5", "<b>"]
SEPARATED = [
    ("13", "input.csv", MAP_CL),
    ("14", "input_tab.csv", MAP_CL),
    ("14", "input_blank.txt", MAP_CL),
    ("14", "input_semicolon.csv", 5.82679),  # a level of 8,5
]


@pytest.mark.long
@pytest.mark.parametrize(("number", "name", "cl"), SEPARATED, ids=[s[1] for s in SEPARATED])
def test_headers_and_separators(drug, number, name, cl):
    """Cases 13 and 14."""
    (fit,) = fit_patients(drug, case(number, drug, name).patients)
    assert float(fit.parameters["cl"][0]) == pytest.approx(cl, rel=2e-6)


def test_a_decimal_comma_is_read_only_where_it_can_mean_nothing_else(read):
    """1,000 mg may be a thousand; beside 0,5 it may not; points and commas in one file may be anything."""
    text = (HEAD + "1,0,@,.,,,,1,,100,70\n" + LEVEL).replace(",", ";")
    with pytest.raises(ConfigError, match=r"'1,000' may mean thousands or a decimal comma"):
        read(text.replace("@", "1,000"))
    assert read(text.replace("@", "1,000").replace(";8;", ";8,5;")).patients[0].doses[0].amount_mg == 1.0
    with pytest.raises(ConfigError, match="may mean thousands"):
        read(text.replace("@", "1,5").replace(";8;", ";8.5;"))


def test_nonmem_tables(read):
    """A table of NONMEM: its own first line, blanks, exponents, and the header again."""
    columns = " ID TIME AMT RATE EVID DV CRCL WT\n"
    rows = " 1.0000E+00 {} {} {} 0.0000E+00 1.0000E+02 7.0000E+01\n"
    rows = rows.format("0.0000E+00", "1.0000E+03", "1.0000E+03 1") + rows.format("12", "0", "0 0")
    data = read(
        "TABLE NO.  1\n" + columns + rows + "TABLE NO.  1\n" + columns + rows.replace("1.0000E+00", "2.0000E+00", 2)
    )

    assert next(p.name for p in data.patients) == "1"
    assert data.patients[0].doses[0].rate_mg_per_h == 1000.0


def test_dates_and_clock_times(read):
    """NM-TRAN: hours from the patient's first line, whichever way the date is written; 23.25 h and 5 h 25 min."""
    dates = {"DATE": ("10-1-86", "10/2/86"), "DAT1": ("1-10-1986", "2.10.1986"), "DAT2": ("1986-10-1", "86-10-02")}
    dates |= {"DAT3": ("86-1-10", "1986-2-10"), "Date": ("1", "2")}
    for title, (day, next_day) in dates.items():
        head = HEAD.replace("TIME", f"TIME,{title}")
        lines = DOSE.replace("1,0,", f"1,9:15,{day},", 1) + LEVEL.replace("12,", f"14:40,{day},")
        data = read(head + lines + LEVEL.replace("12,", f"8:30,{next_day},"))
        np.testing.assert_allclose(data.patients[0].levels.time_h, [5 + 25 / 60, 23.25])
    whole = read(HEAD + DOSE.replace("1,0,", "1,8:00,", 1) + LEVEL.replace("12,", "24:00,"))
    np.testing.assert_allclose(whole.patients[0].levels.time_h, [16.0])


WRONG_TIMES = [
    ("TIME", "25:00", "a day ends at 24:00"),
    ("TIME", "9:75", "minutes and seconds end at 59"),
    ("TIME", "noon", "not a number"),
    ("TIME,DATE", "25,10/2/86", "25 h is no time of a day"),
    ("TIME,DATE", "9:00,86/10/2", "no such day: DATE is month-day-year"),
    ("TIME,DATE", "9:00,20260102", "no date; write it with"),
    ("TIME,DATE", "9:00,.", "no date; give each line its date"),
]


@pytest.mark.parametrize(("columns", "cells", "message"), WRONG_TIMES, ids=[w[1] for w in WRONG_TIMES])
def test_a_time_that_is_none_is_refused(read, columns, cells, message):
    with pytest.raises(ConfigError, match=message):
        read(HEAD.replace("TIME", columns) + DOSE.replace("1,0,", f"1,{cells},", 1))


def test_times_start_again_at_a_reset(drug, read):
    """After EVID 4 the patient is empty and the clock at 0: levels before and after are those of a first dose."""
    data = read(HEAD + DOSE + LEVEL + DOSE.replace(",1,,100", ",4,,100") + LEVEL)

    np.testing.assert_allclose(typical(drug, data.patients[0]), [infused(1000, 1, 12)] * 2, rtol=1e-9)
    assert data.hours == ((12.0, 12.0),)
    with pytest.raises(ConfigError, match="needs EVID 3 or 4"):
        read(HEAD + DOSE + LEVEL + DOSE)


@pytest.mark.parametrize("count", [2, 5])
def test_any_number_of_doses_at_one_time(drug, read, count):
    """Infusions of 1, 2, ... h and as many boluses, all at time 0."""
    lines = "".join(f"1,0,{100 * i},{100},,,,1,,100,70\n1,0,{50 * i},,,,,1,,100,70\n" for i in range(1, count + 1))
    right = sum(infused(100, i, 6) + bolus(50 * i, 6) for i in range(1, count + 1))
    (patient,) = read(HEAD + lines + LEVEL.replace("12,", "6,")).patients

    np.testing.assert_allclose(typical(drug, patient), [right], rtol=1e-9)


def test_a_steady_infusion_longer_than_its_interval(drug, read):
    """100 mg/h over 30 h every 12 h: infusions that started at 0, -12, -24, ...; a level at 6 h, by summation."""
    (patient,) = read(HEAD + "1,0,3000,100,12,,1,1,,100,70\n" + LEVEL.replace("12,", "6,")).patients
    right = sum(infused(100, 30, 6 + 12 * m) for m in range(200))

    np.testing.assert_allclose(typical(drug, patient), [right], rtol=1e-9)


@pytest.mark.long
def test_a_level_above_quantification(drug, read):
    """Each way to say it is one; the estimate is that of a likelihood written out here."""
    text = HEAD.replace("WT\n", "WT,CENS,ULOQ\n") + DOSE.replace("70\n", "70,,\n")
    ways = [("8", "-1,"), ("9", ",8"), (">8", ","), ("", "-1,8")]
    data = [read(text + LEVEL.replace("8,100,70\n", f"{dv},100,70,{cells}\n")) for dv, cells in ways]
    for one in data:
        assert list(one.patients[0].levels.above) == [True]
        assert list(one.patients[0].levels.value) == [8.0]
    (above,), (at,) = fit_patients(drug, data[0].patients), fit_patients(drug, read(HEAD + DOSE + LEVEL).patients)

    def objective(eta):
        """-2 ln Phi((f - 8) / 3.52) and the prior, without the engine."""
        from scipy.stats import norm

        from rl_drug_dosage.pkpd import omega

        p = {name: float(v[0]) for name, v in individual_parameters(drug, data[0].patients[0].covariates, eta).items()}
        k = p["cl"] / p["v1"]
        f = 1000 / p["cl"] * (1 - math.exp(-k)) * math.exp(-11 * k)
        return -2 * norm.logcdf((f - 8) / 3.52) + eta @ np.linalg.inv(omega(drug)) @ eta

    from scipy.optimize import minimize

    with jax.enable_x64(True):
        best = minimize(objective, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-11})
    np.testing.assert_allclose(above.estimate.eta, best.x, atol=1e-5)
    assert above.predicted[0] != at.predicted[0]


def test_a_body_weight_is_not_taken_for_the_weight_of_a_level(read):
    with pytest.raises(ConfigError, match="the weight of a level, or of the body"):
        read(HEAD.replace("WT\n", "WT,WEIGHT\n") + DOSE.replace("70\n", "70,70\n") + LEVEL.replace("70\n", "70,70\n"))


def test_a_cell_of_any_length(read):
    """A remark of 200,000 characters is a remark; as a number it is refused in one line of a few words."""
    long = "x" * 200_000
    text = HEAD.replace("WT\n", "WT,REMARK\n") + DOSE.replace("70\n", f"70,{long}\n")
    assert read(text).patients
    with pytest.raises(CovariateError) as caught:
        read(HEAD + DOSE.replace(",100,70", f",{long},70"))
    assert len(str(caught.value)) < 300
    assert "200,000 characters" in str(caught.value)

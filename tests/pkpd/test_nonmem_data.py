"""The reader of NONMEM-style files: what it reads, and that every line it cannot use is named."""

import jax
import numpy as np
import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import (
    Covariate,
    CovariateError,
    Dose,
    Fixed,
    Mammillary,
    ObservationError,
    Output,
    RegimenError,
    Residual,
)
from rl_drug_dosage.pkpd.bayes import fit_patients
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem
from rl_drug_dosage.pkpd.ode_models import michaelis_menten

HEAD = "ID,TIME,AMT,DV,WT\n"


@pytest.fixture(scope="module")
def drug(toy, number):
    """An oral drug with a weight effect on clearance, inter-occasion variability and two assays."""
    error = Residual("combined2", number(0.5, "mg/L"), number(15.0, "%"))
    return toy(
        Mammillary(0, depot=True),
        {"cl": 4.0, "v1": 40.0, "ka": 1.0},
        parameters=lambda theta, c: {**theta, "cl": theta["cl"] * c["wt_kg"] / 70.0},
        omega_sd={"cl": 0.4, "v1": 0.3},
        covariates=(Covariate("wt_kg", "kg", 40, 120, 70, "invented", "body weight", Fixed(70.0), "WT"),),
        outputs=(
            Output("concentration", "mg/L", error),
            Output("again", "mg/L", error),
            Output("unmeasured", "mg/L", None),
        ),
    )


@pytest.fixture(scope="module")
def occasional(drug):
    """The same with a kappa on clearance."""
    import dataclasses

    return dataclasses.replace(drug, occasion_etas=(dataclasses.replace(drug.etas[0]),))


@pytest.fixture
def read(tmp_path, drug):
    """Reads a text as a file, for the drug or another one."""

    def call(text, model=drug, **options):
        path = tmp_path / "d.csv"
        path.write_text(text)
        return read_nonmem(path, model, **options)

    return call


def test_doses_of_every_kind(read):
    """Rates, durations, additional doses, steady states, resets and compartments by number or name."""
    data = read(
        "id,time,amt,rate,dur,ii,addl,ss,cmt,evid,dv,wt\n"
        "7,0,100,.,,12,3,0,.,1,.,70\n"
        "7,50,100,25,.,.,.,.,2.0000E+00,1,.,70\n"
        "7,60,100,.,4,.,.,.,central,1,0,70\n"
        "7,70,100,.,.,8,.,1,1,1,.,70\n"
        "7,80,.,.,.,.,.,.,.,3,.,70\n"
        "7,90,50,.,.,.,.,.,depot,4,.,70\n"
    )
    (patient,) = data.patients

    assert patient.name == "7"
    assert patient.doses == (
        Dose(0, 100, "depot", interval_h=12, additional=3),
        Dose(50, 100, "central", rate_mg_per_h=25),
        Dose(60, 100, "central", duration_h=4),
        Dose(70, 100, "depot", interval_h=8, steady_state=1),
        Dose(80, reset=True),
        Dose(90, 50, "depot", reset=True),
    )


def test_lines_are_told_apart_without_evid(read):
    """AMT > 0 is a dose, DV a level, neither a record of covariates; comments and unknown columns are left aside."""
    data = read(
        "# made up\nID,TIME,AMT,CONC,WT,SEX\n"
        "1,0,100,0,70,F\n# between\nC,1,.,9,70,F\n1,4,.,.,80,F\n1,6,,2.5,,F\n\n2,0,100,.,60,M\n2,3,0,1.5,NA,M\n"
    )
    first, second = data.patients

    assert first.doses == (Dose(0, 100, "depot"),)
    assert list(first.levels.value) == [2.5]
    assert list(second.levels.time_h) == [3.0]
    assert data.lines == ((7,), (10,))
    assert any("SEX" in note for note in data.notes)
    assert any("DVID" in note for note in data.notes)


def test_the_order_of_lines_decides_at_one_time(read):
    """A level listed before a dose is drawn before it, one listed after it after it; two assays may share a time."""
    data = read(
        "ID,TIME,AMT,DV,DVID,WT\n1,0,100,.,.,70\n1,9,.,2,1,70\n1,9,.,2.1,again,70\n1,9,50,.,.,70\n1,9,.,4,1,70\n"
    )
    levels = data.patients[0].levels

    assert list(levels.after_dose) == [False, False, True]
    assert list(levels.output) == [0, 1, 0]


def test_levels_below_quantification(read):
    """By CENS with DV or LLOQ as the limit, by LLOQ alone, or written <0.5."""
    lines = "1,0,100,.,.,.,70\n1,1,.,0.3,1,.,70\n1,2,.,.,1,0.4,70\n1,3,.,<0.5,.,.,70\n"
    lines += "1,4,.,0.2,.,0.6,70\n1,5,.,3,.,0.6,70\n"
    levels = read("ID,TIME,AMT,DV,CENS,LLOQ,WT\n" + lines).patients[0].levels

    assert list(levels.value) == [0.3, 0.4, 0.5, 0.6, 3.0]
    assert list(levels.below) == [True] * 4 + [False]


def test_a_level_above_quantification_needs_no_dv(read):
    levels = read("ID,TIME,AMT,DV,CENS,ULOQ,WT\n1,0,100,.,.,.,70\n1,2,.,.,-1,40,70\n").patients[0].levels

    assert list(levels.value) == [40.0]
    assert list(levels.above) == [True]


@pytest.mark.parametrize(("carry", "wt_kg"), [("nocb", [60, 80, 80, 90, 90]), ("locf", [60, 60, 80, 80, 90])])
def test_covariates_hold_backward_or_forward(read, carry, wt_kg):
    """At 0, 1, 2, 9 and 10 h, from records 60 (0 h), missing (1 h), 80 (2 h) and 90 (10 h)."""
    lines = "1,0,100,.,60\n1,1,.,2,.\n1,2,.,2.2,80\n1,10,.,1,90\n"
    table = read(HEAD + lines, interpolation=carry).patients[0].covariates
    held = table.values["wt_kg"][np.asarray(table.index_at(np.array([0.0, 1.0, 2.0, 9.0, 10.0])))]

    assert list(held) == wt_kg


def test_records_that_change_nothing_are_one(read):
    """A constant patient has one covariate record, which keeps the engine fast."""
    assert read(HEAD + "1,0,100,.,60\n1,5,.,2,60\n1,9,.,1,60\n").patients[0].covariates.time_h.shape == (1,)


def test_a_trough_belongs_to_the_old_occasion_and_the_dose_to_the_new_one(read, occasional):
    """Both at 12 h: the record that ends at the trough is occasion 0, the dose and what follows occasion 1."""
    text = "ID,TIME,AMT,DV,OCC,WT\n1,0,100,.,3,70\n1,12,.,2,3,70\n1,12,100,.,4,70\n1,20,.,2,4,70\n"
    patient = read(text, occasional, occasions=True).patients[0]
    table = patient.covariates

    def occasion(time):
        return int(table.occasion[int(table.index_at(np.float64(time)))])

    with jax.enable_x64(True):
        assert [occasion(t) for t in (0.0, 6.0, 12.0)] == [0, 0, 0]
        assert [occasion(t) for t in (patient.doses[1].time_h, 15.0, 30.0)] == [1, 1, 1]
    assert patient.doses[1].time_h == pytest.approx(12, abs=1e-8)
    assert not read(text, occasional).patients[0].covariates.occasion.any()


@pytest.mark.long
def test_a_level_before_any_dose_is_flagged_and_left_out(read, drug):
    """The fit is that of the file without it, and the flag names its line."""
    lines = "1,4,.,2.5,70\n1,9,.,1.4,70\n"
    early = read(HEAD + "1,-2,.,9,70\n1,0,.,8,70\n1,0,100,.,70\n" + lines)
    clean = read(HEAD + "1,0,100,.,70\n" + lines)

    assert [bool(flag) for flag in early.flags[0]] == [True, True, False, False]
    assert early.flags[0][0].startswith("line 2")
    (with_flags,), (without,) = fit_patients(drug, early.patients), fit_patients(drug, clean.patients)
    np.testing.assert_allclose(with_flags.estimate.eta, without.estimate.eta, atol=1e-9)


@pytest.mark.long
def test_a_covariate_outside_the_published_range_is_said(read, drug):
    """130 kg where the model ends at 120: a warning that stays with the result."""
    (fit,) = fit_patients(drug, read(HEAD + "1,0,100,.,130\n1,4,.,2.5,130\n").patients)

    assert any("130" in warning and "[40, 120]" in warning for warning in fit.warnings)


WRONG = [
    (HEAD + "1,0,-100,.,70\n", RegimenError, "line 2, AMT = '-100': allowed are finite numbers >= 0"),
    (HEAD + "1,0,inf,.,70\n", RegimenError, "line 2, AMT = 'inf'"),
    (HEAD + "1,0,lots,.,70\n", RegimenError, "line 2, AMT = 'lots': not a number"),
    (HEAD + "1,0,1_000,.,70\n", RegimenError, "line 2, AMT = '1_000': not a number"),
    (HEAD + "1,0,100,.,70\n1,9,.,2,70\n1,3,.,2,70\n", ConfigError, "line 4, TIME = '3': comes after 9 h; put"),
    (HEAD + "1,.,100,.,70\n", ConfigError, "line 2, TIME = '.': no time"),
    (HEAD + ".,0,100,.,70\n", ConfigError, "line 2, ID = '.': no patient"),
    (HEAD + "1,0,100,.,70\n2,0,100,.,70\n1,5,.,2,70\n", ConfigError, "line 4, ID = '1': this patient's lines"),
    (HEAD + "1,0,100,5,70\n", ObservationError, "line 2, DV = '5': a line with AMT also has a level"),
    (HEAD + "1,0,100,.,70\n1,3,.,-2,70\n", ObservationError, "line 3, DV = '-2'"),
    (HEAD + "1,0,100,.,70\n1,3,.,BLQ,70\n", ObservationError, "line 3, DV = 'BLQ': not a number"),
    (HEAD + "1,0,100,.\n", ConfigError, "4 cells under 5 headers"),
    (HEAD + "1,0,100,.,.\n1,2,.,3,.\n", CovariateError, "line 2, WT = '.': missing on all"),
    (HEAD + "1,0,100,.,heavy\n", CovariateError, "line 2, WT = 'heavy': not a number"),
    ("ID,TIME,AMT,DV,WEIGHT\n1,0,100,.,70\n", CovariateError, "WT: toy needs this covariate, body weight in kg"),
    ("ID,TIME,AMT,DV,WTT\n1,0,100,.,70\n", CovariateError, "add the column, or rename WTT"),
    ("TIME,AMT,DV,WT\n0,100,.,70\n", ConfigError, "line 1, ID: no such column among TIME, AMT, DV, WT; add it"),
    ("ID,TIME,AMT,DV,CONC,WT\n1,0,100,.,.,70\n", ConfigError, "CONC: a second column for DV"),
    ("", ConfigError, "d.csv is empty"),
    ("# only a comment\n", ConfigError, "d.csv is empty"),
    (HEAD, ConfigError, "holds no patient"),
    ("ID,TIME,AMT,DV,EVID,WT\n1,0,100,.,5,70\n", ConfigError, "line 2, EVID = '5': allowed are 0, 1, 2, 3, 4"),
    ("ID,TIME,AMT,DV,EVID,WT\n1,0,.,.,1,70\n", RegimenError, "line 2, AMT = '.': a dose (EVID 1) without an amount"),
    ("ID,TIME,AMT,DV,EVID,WT\n1,0,100,2,0,70\n", RegimenError, "line 2, AMT = '100': EVID 0 is not a dose"),
    ("ID,TIME,AMT,DV,EVID,WT\n1,0,.,.,0,70\n", ObservationError, "line 2, DV = '.': a level (EVID 0) without a value"),
    ("ID,TIME,AMT,DV,MDV,WT\n1,0,.,3,2,70\n", ObservationError, "line 2, MDV = '2': allowed are 0, 1"),
    ("ID,TIME,AMT,RATE,DV,WT\n1,0,.,25,.,70\n", RegimenError, "line 2, RATE = '25': on a line without AMT"),
    ("ID,TIME,AMT,RATE,DV,WT\n1,0,100,-1,.,70\n", RegimenError, "line 2, RATE = '-1': asks for a parameter"),
    ("ID,TIME,AMT,RATE,DV,WT\n1,0,100,-2,.,70\n", RegimenError, "line 2, RATE = '-2'"),
    ("ID,TIME,AMT,RATE,DUR,DV,WT\n1,0,100,25,4,.,70\n", RegimenError, "both a rate and a duration; give one"),
    ("ID,TIME,AMT,II,ADDL,DV,WT\n1,0,100,.,3,.,70\n", RegimenError, "additional doses without an interval"),
    ("ID,TIME,AMT,II,ADDL,DV,WT\n1,0,100,12,1e308,.,70\n", RegimenError, "give at most 100,000"),
    ("ID,TIME,AMT,RATE,II,SS,DV,WT\n1,0,1000,0.001,0.001,1,.,70\n", RegimenError, "1e+09 infusions run at one time"),
    ("ID,TIME,AMT,II,ADDL,DV,WT\n1,0,100,12,1.5,.,70\n", RegimenError, "line 2, ADDL = '1.5': allowed are whole"),
    ("ID,TIME,AMT,II,ADDL,DV,WT\n1,0,100,12,0,.,70\n", RegimenError, "line 2, II = '12': an interval without ADDL"),
    ("ID,TIME,AMT,II,SS,DV,WT\n1,0,100,12,3,.,70\n", RegimenError, "line 2, SS = '3': allowed are 0, 1, 2"),
    ("ID,TIME,AMT,CMT,DV,WT\n1,0,100,5,.,70\n", RegimenError, "line 2, CMT = '5': no dose can enter"),
    ("ID,TIME,AMT,DV,CENS,WT\n1,0,100,.,.,70\n1,3,.,.,1,70\n", ObservationError, "below quantification without"),
    ("ID,TIME,AMT,DV,CENS,LLOQ,WT\n1,0,100,.,.,.,70\n1,3,.,1,0,2,70\n", ObservationError, "below LLOQ 2, and CENS 0"),
    ("ID,TIME,AMT,DV,DVID,WT\n1,0,100,.,.,70\n1,3,.,1,3,70\n", ObservationError, "line 3, DVID = '3': no output"),
    ("ID,TIME,AMT,DV,CMT,WT\n1,0,100,.,1,70\n1,3,.,1,2,70\n1,4,.,1,3,70\n", ObservationError, "column DVID"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message"), WRONG, ids=[message[-40:] for _, _, message in WRONG])
def test_a_line_that_cannot_be_used_is_named(read, text, kind, message):
    """Line, column, value and remedy, in one line of words."""
    with pytest.raises(kind) as caught:
        read(text)

    assert message in str(caught.value)
    assert "; " in str(caught.value) or ": give" in str(caught.value)
    assert type(caught.value) is kind


def test_what_the_drug_cannot_do_is_refused(read, drug, occasional, toy, number, tmp_path):
    """Occasions without variability or column, a steady state of a non-linear model, no measured output, no file."""
    with pytest.raises(ConfigError, match="no inter-occasion variability"):
        read(HEAD + "1,0,100,.,70\n", occasions=True)
    with pytest.raises(ConfigError, match="no column OCC"):
        read(HEAD + "1,0,100,.,70\n", occasional, occasions=True)
    with pytest.raises(CovariateError, match=r"line 2, OCC = '\.': no occasion"):
        read("ID,TIME,AMT,DV,WT,OCC\n1,0,100,.,70,.\n", occasional, occasions=True)
    with pytest.raises(ConfigError, match="nocb or locf, not 'linear'"):
        read(HEAD + "1,0,100,.,70\n", interpolation="linear")
    saturable = toy(michaelis_menten(), {"vmax": 10.0, "km": 4.0, "v1": 40.0})
    with pytest.raises(RegimenError, match=r"line 2, AMT = '100': a steady state that is added \(2\) to a non-linear"):
        read("ID,TIME,AMT,DV,II,SS\n1,0,100,.,12,2\n", saturable)
    unmeasured = toy(Mammillary(0), {"cl": 1.0, "v1": 10.0}, outputs=(Output("concentration", "mg/L", None),))
    with pytest.raises(ObservationError, match="no output with an error model"):
        read("ID,TIME,AMT,DV\n1,0,100,.\n", unmeasured)
    with pytest.raises(ConfigError, match="cannot read"):
        read_nonmem(tmp_path / "missing.csv", drug)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_nonmem(tmp_path / "binary.csv", drug)

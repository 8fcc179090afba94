"""Starts from a level before the first dose, and levels of a baseline: eigenvectors, superposition, refusals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Dose,
    DrugModelError,
    Eta,
    LinearSystem,
    Mammillary,
    ObservationError,
    Output,
    Residual,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
)
from rl_drug_dosage.pkpd.bayes import PatientData, StartLevel, fit_patients, start_from_levels
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem
from rl_drug_dosage.pkpd.starts import PRE_DOSE_LEVEL, starting, terminal_contents
from rl_drug_dosage.registry import load_drug

PARAMETERS = {"cl": 4.0, "v1": 30.0, "q2": 6.0, "v2": 40.0, "q3": 1.5, "v3": 25.0, "ka": 1.2, "ke0": 0.4}
EMPTY = no_covariates()


@pytest.mark.long
@pytest.mark.parametrize("peripherals", [0, 1, 2])
@pytest.mark.parametrize("depot", [False, True])
@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("ka", [1.2, 0.02], ids=["fast", "flip-flop"])
def test_terminal_contents_are_the_eigenvector_of_the_slowest_rate(x64, rate_matrix, peripherals, depot, effect, ka):
    """Against numpy's eigenvectors of the matrix written down from its definition."""
    structure, p = Mammillary(peripherals, depot, effect), PARAMETERS | {"ka": ka}
    values, vectors = np.linalg.eig(rate_matrix(structure, p))
    slowest = vectors[:, np.argmax(values.real)].real
    slowest = slowest / slowest[np.argmax(np.abs(slowest))]
    found = terminal_contents(structure, {name: jnp.asarray(value) for name, value in p.items()})
    np.testing.assert_allclose(found, slowest, rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_one_compartment_starts_like_a_bolus_of_level_times_volume(x64, toy):
    drug = toy(Mammillary(0), {"cl": 4.0, "v1": 30.0}, omega_sd={"cl": 0.3, "v1": 0.2})
    patient = PatientData("a", (Dose(5.0, 100.0),), EMPTY, make_levels(drug, [2.0], [8.0]))
    begun, (changed,) = start_from_levels(drug, [patient], [StartLevel(2.0, 8.0, "concentration")])
    times = jnp.array([2.0, 4.0, 9.0])
    for eta in ([0.0, 0.0], [0.4, -0.3]):
        volume = 30.0 * np.exp(eta[1])
        own = predict(begun, make_regimen(changed.doses, begun.structure), changed.covariates, times, jnp.array(eta))
        doses = [Dose(2.0, 8.0 * volume), Dose(5.0, 100.0)]
        after = jnp.array([True, False, False])
        want = predict(drug, make_regimen(doses, drug.structure), EMPTY, times, jnp.array(eta), after_dose=after)
        np.testing.assert_allclose(own, want, rtol=1e-8)


@pytest.mark.long
@pytest.mark.parametrize("name", ["vancomycin-goti2018", "gentamicin-staatz2005", "tobramycin-hennig2013"])
def test_a_start_long_after_unknown_doses_is_the_course_that_knows_them(x64, name):
    """The level 90 h after the last dose replaces the doses, for the typical patient's parameters."""
    model = load_drug(name)
    values = {c.name: jnp.asarray([c.typical]) for c in model.covariates}
    table = dataclasses.replace(EMPTY, values=values)
    output = model.outputs[0].name
    old = [Dose(-120.0, 1000.0, "central", duration_h=1.0), Dose(-90.0, 700.0, "central", duration_h=1.0)]
    new = [Dose(1.0, 500.0, "central", duration_h=1.0)]
    times = jnp.array([0.0, 1.0, 3.0, 20.0])
    whole = predict(model, make_regimen([*old, *new], model.structure), table, times)[:, 0]
    patient = PatientData("a", tuple(new), table, make_levels(model, [], []))
    start = StartLevel(0.0, float(whole[0]), output)
    begun, (changed,) = start_from_levels(model, [patient], [start])
    own = predict(begun, make_regimen(changed.doses, begun.structure), changed.covariates, times)[:, 0]
    np.testing.assert_allclose(own, whole, rtol=2e-3)
    assert own[0] == pytest.approx(float(whole[0]), rel=1e-8)


HEAD = "ID,TIME,AMT,DUR,DV,CRCL,WT,DIAL\n"
_LINES = ("a,0,.,.,12", "a,0,1000,1,.", "a,11,.,.,16", "b,0,1000,1,.", "b,11,.,.,9")
TABLE = HEAD + "".join(f"{line},80,75,0\n" for line in _LINES)


@pytest.fixture
def read(tmp_path):
    def call(text, name="vancomycin-goti2018", **options):
        (tmp_path / "d.csv").write_text(text)
        return read_nonmem(tmp_path / "d.csv", load_drug(name), **options)

    return call


def test_a_table_says_what_its_pre_dose_level_means(read):
    """Left out by default as before; the start of the patient; or refused with the line."""
    ignored = read(TABLE)
    assert ignored.starts == (None, None)
    assert ignored.flags[0][0].startswith("line 2: a level before any dose is not used")
    assert "--pre-dose-level start" in ignored.flags[0][0]
    np.testing.assert_array_equal(ignored.patients[0].levels.used, [False, True])

    started = read(TABLE, pre_dose_level="start")
    assert started.starts == (StartLevel(0.0, 12.0, "concentration"), None)
    assert started.flags[0][0] == "line 2: a level before any dose: the course starts from it"
    np.testing.assert_array_equal(started.patients[0].levels.used, [False, True])

    with pytest.raises(ObservationError, match=r"d.csv, line 2, DV = '12': a level before any dose"):
        read(TABLE, pre_dose_level="refuse")
    for harmless in ("0", "<0.5"):
        for choice in ("start", "refuse"):
            found = read(TABLE.replace("a,0,.,.,12", f"a,0,.,.,{harmless}"), pre_dose_level=choice)
            assert found.starts == (None, None)
            assert found.flags[0][0].endswith("a level before any dose is not used")


@pytest.mark.long
def test_of_several_levels_the_first_is_the_start_and_the_others_are_fitted(read):
    """Two levels before the dose tell the half-life; one below the limit before them is left out."""
    events = ("a,-30,.,.,<1", "a,-12,.,.,12", "a,-2,.,.,7", "a,0,1000,1,.", "a,11,.,.,16")
    lines = "".join(f"{event},80,75,0\n" for event in events)
    data = read(HEAD + lines, pre_dose_level="start")
    assert data.starts == (StartLevel(-12.0, 12.0, "concentration"),)
    np.testing.assert_array_equal(data.patients[0].levels.used, [False, False, True, True])
    model, patients = start_from_levels(load_drug("vancomycin-goti2018"), data.patients, data.starts)
    (fit,) = fit_patients(model, patients)
    assert bool(fit.estimate.converged)
    assert fit.predicted[1] == pytest.approx(12.0, rel=1e-8)
    assert fit.predicted[0] == 0.0
    assert float(fit.parameters[PRE_DOSE_LEVEL][0]) == 12.0


@pytest.mark.slow  # compiles for half a minute
def test_patients_with_and_without_a_start_are_fitted_together(read):
    """The one without has the estimate of a model without starts."""
    data = read(TABLE, pre_dose_level="start")
    plain = load_drug("vancomycin-goti2018")
    model, patients = start_from_levels(plain, data.patients, data.starts)
    with_start, without = fit_patients(model, patients)
    ignored, alone = fit_patients(plain, read(TABLE).patients)
    np.testing.assert_allclose(without.estimate.eta, alone.estimate.eta, rtol=1e-6, atol=1e-9)
    # 12 mg/L that are already there explain a part of the later level: clearance is higher than without them.
    assert with_start.estimate.eta[0] > ignored.estimate.eta[0] + 0.05


def test_levels_of_a_baseline_are_used_at_any_time(read):
    """Leukocytes before and at the first dose, and of a patient without any dose."""
    text = "ID,TIME,AMT,DUR,DV\na,-48,.,.,11\na,0,.,.,10.5\na,0,100,3,.\na,72,.,.,8\nb,0,.,.,4\nb,24,.,.,4.2\n"
    data = read(text, "paclitaxel-friberg2002", pre_dose_level="refuse")
    assert not any(flag for flags in data.flags for flag in flags)
    assert all(patient.levels.used.all() for patient in data.patients)


@pytest.mark.long
def test_an_estimate_follows_the_levels_of_a_baseline(toy, number):
    """Of base + eta, levels before the first dose, or without any dose, weigh as much as those after it."""
    drug = toy(
        Mammillary(0),
        {"cl": 1.0, "v1": 1.0, "base": 20.0},
        etas=(Eta("base", number(2.0), "sd", form="additive"),),
        outputs=(Output("biomarker", "1", Residual("additive", number(1.5)), lambda state, p: p["base"]),),
        targets=(),
    )
    times = {"before": [-3.0, -2.0, -1.0], "after": [1.0, 2.0, 3.0]}
    levels = {name: make_levels(drug, hours, [22.0, 25.5, 24.0]) for name, hours in times.items()}
    patients = [PatientData(name, (Dose(0.0, 1.0),), EMPTY, own) for name, own in levels.items()]
    patients.append(PatientData("undosed", (), EMPTY, levels["after"]))
    information = 3.0 / 1.5**2
    for fit in fit_patients(drug, patients):
        want = information * (np.mean([22.0, 25.5, 24.0]) - 20.0) / (information + 1.0 / 4.0)
        assert float(fit.estimate.eta[0]) == pytest.approx(want, rel=1e-9)


def test_what_has_no_contents_behind_its_level_is_refused_by_name(toy, number):
    with pytest.raises(ObservationError, match="phenytoin-yukawa1990 is not linear"):
        starting(load_drug("phenytoin-yukawa1990"), "concentration")
    with pytest.raises(DrugModelError, match="has no output 'inr'"):
        starting(load_drug("vancomycin-goti2018"), "inr")
    residual = Residual("additive", number(1.0))
    bent = toy(
        Mammillary(0),
        {"cl": 1.0, "v1": 10.0},
        outputs=(Output("binding", "1", residual, lambda s, p: s["central"] / (1.0 + s["central"])),),
        targets=(),
    )
    with pytest.raises(ObservationError, match="'binding' that is not proportional"):
        starting(bent, "binding")

    def drain(p):
        return jnp.array([[-0.1, 0.0], [0.1, 0.0]])

    kept = toy(LinearSystem(("central", "urine"), drain, ("v1",)), {"v1": 10.0})
    with pytest.raises(ObservationError, match="not proportional to the contents of its terminal phase"):
        starting(kept, "concentration")


def test_what_sets_the_contents_again_is_refused(toy):
    drug = toy(Mammillary(0), {"cl": 4.0, "v1": 30.0}, omega_sd={"cl": 0.3})
    start = StartLevel(0.0, 8.0, "concentration")
    levels = make_levels(drug, [0.0], [8.0])
    for dose, what in (
        (Dose(5.0, 100.0, interval_h=12.0, steady_state=1), r"a steady state \(SS 1\) at 5 h"),
        (Dose(5.0, reset=True), r"a reset \(EVID 3 or 4\) at 5 h"),
    ):
        with pytest.raises(ObservationError, match=f"patient a: {what} undoes the start from the level at 0 h"):
            start_from_levels(drug, [PatientData("a", (dose,), EMPTY, levels)], [start])
    same = start_from_levels(drug, [PatientData("a", (), EMPTY, levels)], [None])
    assert same[0] is drug


def test_models_that_start_compare_by_value(x64):
    """So that programs compiled for one are found for the other."""
    model = load_drug("vancomycin-goti2018")
    assert starting(model, "concentration") == starting(model, "concentration")
    assert hash(starting(model, "concentration")) == hash(starting(model, "concentration"))
    assert jax.tree.leaves(starting(model, "concentration").typical())

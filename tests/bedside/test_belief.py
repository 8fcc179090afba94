"""The posterior of a free history: the engine's own estimate, and draws from the exact posterior."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from irregular import as_engine_reads, believed, drawn_history

import rl_drug_dosage as rldd
from rl_drug_dosage.bedside import Dose, Level, PatientHistory
from rl_drug_dosage.bedside import belief as beliefs
from rl_drug_dosage.bedside.belief import Belief, believe
from rl_drug_dosage.bedside.layout import lay_out
from rl_drug_dosage.bedside.mixture import mixed
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.pkpd.bayes import fit_patients, importance_posterior, laplace_log_evidence
from rl_drug_dosage.registry import load_drug

REFERENCE = Path(__file__).parents[1] / "reference" / "pkpd"
BARS = (
    "vancomycin-goti2018",
    "vancomycin-thomson2009",
    "gentamicin-staatz2005",
    "tobramycin-hennig2013",
    "infliximab-fasanmade2009",
    "busulfan-mccune2014",
)


def compare_with_engine(name: str, count: int) -> None:
    model = load_drug(name)
    scenario = task_of(name).scenario
    histories = [drawn_history(model, seed) for seed in range(1, count + 1)]
    tables = [as_engine_reads(model, h, scenario.value if scenario else None) for h in histories]

    for history, fitted in zip(histories, fit_patients(model, tables), strict=True):
        own = believed(name, history)
        levels, seen = len(history.levels), own.laid.seen
        assert own.found.estimate.converged == fitted.estimate.converged
        np.testing.assert_allclose(own.found.estimate.eta, fitted.estimate.eta, atol=1e-6)
        np.testing.assert_allclose(own.found.estimate.kappa[:seen], fitted.estimate.kappa[:seen], atol=1e-6)
        np.testing.assert_allclose(own.found.predicted[0, :levels], fitted.predicted, rtol=1e-6)


@pytest.mark.long
def test_the_estimate_is_the_engine_s_whatever_was_given_and_measured_whenever():
    """Infusions of odd lengths, a missed dose, a level below quantification, a covariate that changes."""
    compare_with_engine("vancomycin-goti2018", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", BARS)
def test_the_estimate_is_the_engine_s_for_twenty_patients(name):
    compare_with_engine(name, 20)


@pytest.mark.long
def test_nonmem_post_hoc_estimates():
    """24 of 24 etas to 1e-6, of a model that is the user's own (oral, FOCE with interaction)."""
    table = json.loads((REFERENCE / "nonmem_posthoc_oral_1cmt.json").read_text())
    drug = rldd.own_model(
        "oral",
        structure="1cmt oral",
        thetas={"cl": (4.0, "L/h"), "v1": (70.0, "L"), "ka": (1.0, "1/h")},
        omegas={"cl": 0.2, "v1": 0.2, "ka": 0.2},
        error={"proportional": 0.05**0.5},
        doses_mg=(10_000.0,),
        intervals_h=(24.0,),
        targets={"trough": (10.0, 60.0)},
    )
    task = task_of("oral", models=(drug,))

    for patient in table["patients"]:
        doses = tuple(Dose(t, patient["first_dose_mg"]) for t in (0.0, *(72.0 + 24.0 * i for i in range(8))))
        levels = tuple(Level(t, y) for t, y in patient["levels"])
        history = PatientHistory("oral", doses, levels, now_h=max(240.0, levels[-1].time_h))
        with jax.enable_x64(True):
            own = believe(drug, lay_out(drug, task, history, 300.0, 400.0), draws=64, seed=1)
        np.testing.assert_allclose(own.found.estimate.eta, patient["eta"], atol=2e-6)


@pytest.mark.long
def test_a_new_patient_runs_the_programs_of_the_one_before():
    model = load_drug("vancomycin-goti2018")
    believed("vancomycin-goti2018", drawn_history(model, 3, doses=3, levels=2))
    before = len(beliefs._BELIEVED)

    for seed, doses, levels in ((4, 5, 4), (5, 7, 3), (6, 4, 1)):
        believed("vancomycin-goti2018", drawn_history(model, seed, doses=doses, levels=levels))

    assert len(beliefs._BELIEVED) == before


@pytest.mark.long
def test_draws_and_evidence_are_those_of_the_exact_posterior():
    """Against the engine's own importance sampling with many proposals, and its Laplace evidence."""
    history = drawn_history(load_drug("vancomycin-goti2018"), 2)
    own = believed("vancomycin-goti2018", history, draws=512)
    data = own.regimen, own.laid.covariates, own.laid.levels, own.found.estimate

    with jax.enable_x64(True):
        exact = importance_posterior(own.model, *data, jax.random.key(5), proposals=20_000, draws=4000)
        laplace = laplace_log_evidence(own.model, *data)

    sd = np.asarray(exact.eta).std(axis=0)
    np.testing.assert_allclose(
        own.found.eta[1:].mean(axis=0), np.asarray(exact.eta).mean(axis=0), atol=4 * sd.max() / 22
    )
    np.testing.assert_allclose(own.found.eta[1:].std(axis=0), sd, rtol=0.15)
    assert own.found.log_evidence == pytest.approx(float(exact.log_evidence), abs=0.05)
    assert own.found.laplace_log_evidence == pytest.approx(float(laplace), abs=1e-4)


@pytest.mark.long
def test_moves_leave_the_posterior_as_it_is_and_spread_copies():
    """Twenty copies of each of 32 draws: the moves make them different, and keep mean and spread."""
    own = believed("vancomycin-goti2018", drawn_history(load_drug("vancomycin-goti2018"), 2), draws=512)

    with jax.enable_x64(True):
        z = np.repeat(own.found.eta[1:33], 16, axis=0)

        def density(z):
            return beliefs._density(own.model, 0, own.regimen, own.laid.covariates, own.laid.levels, z)

        drawn = (z, *jax.vmap(density)(z))
        spread = np.linalg.cholesky(own.found.estimate.covariance)
        moved = np.asarray(jax.jit(lambda it: beliefs._moved(density, it, spread, jax.random.key(2)))(drawn)[0])

    assert len(np.unique(moved[:, 0])) > 400
    sd = own.found.eta[1:].std(axis=0)
    np.testing.assert_allclose(moved.mean(axis=0), own.found.eta[1:].mean(axis=0), atol=0.25 * sd.max())
    np.testing.assert_allclose(moved.std(axis=0), sd, rtol=0.25)


@pytest.mark.long
def test_models_are_weighed_by_their_evidence_and_draws_follow_the_weights():
    history = drawn_history(load_drug("vancomycin-goti2018"), 2)
    own = believed("vancomycin-goti2018", history)
    worse = Belief(own.model, own.laid, own.regimen, own.found, own.sd)
    lower = own.found.__class__(**{**vars(own.found), "log_evidence": own.found.log_evidence - np.log(3.0)})
    worse = Belief(own.model, own.laid, own.regimen, lower, own.sd)

    mixture = mixed([own, worse])

    if own.few:
        pytest.skip("Laplace's evidence counts here")
    assert mixture.weights == pytest.approx([0.75, 0.25])
    assert [len(own) for own in mixture.picked] == [48, 16]
    together = mixture.over(lambda b: b.found.eta, axis=0)
    assert together.shape == (65, 3)
    np.testing.assert_array_equal(together[0], own.found.eta[0])

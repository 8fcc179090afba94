"""What a bedside takes from the scenario of a drug: models, substeps, horizon."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.bedside import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.belief import believe
from rl_drug_dosage.bedside.grid import grid_of, horizon_of
from rl_drug_dosage.bedside.layout import lay_out
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.pkpd import Adaptive, FixedStep, make_covariates, make_regimen, predict
from rl_drug_dosage.pkpd import Dose as Given
from rl_drug_dosage.registry import DRUG, find

WARFARIN = PatientHistory(
    "warfarin",
    doses=(Dose(0, 5), Dose(24, 5), Dose(48, 4)),
    levels=(Level(46, 1.4), Level(70, 1.9)),
    covariates=tuple(
        CovariateAt(0, name, value)
        for name, value in {"cyp2c9": 11, "vkorc1_g_alleles": 1, "inr_base": 1.0, "age_y": 60}.items()
    ),
    now_h=71,
)


@pytest.mark.parametrize(
    ("drug", "scenario"),
    [("warfarin", "warfarin"), ("gentamicin", "aminoglycoside"), ("tacrolimus", "tacrolimus"), ("digoxin", None)],
)
def test_a_drug_has_the_scenario_that_doses_it(drug, scenario):
    """Also where the scenario has the names of its models from a file that scenarios share."""
    task = task_of(drug)

    assert (None if task.scenario is None else task.scenario.name) == scenario
    if task.scenario is not None:
        assert [m.name for m in task.models] == list(task.scenario.value.models)


def test_equations_are_solved_in_the_substeps_of_the_scenario():
    """Elsewhere with error control."""
    step_h = task_of("warfarin").scenario.value.schedule.step_h

    assert {m.structure.method for m in task_of("warfarin").models} == {FixedStep(step_h)}
    (voriconazole,) = task_of("voriconazole").models
    assert isinstance(voriconazole.structure.method, Adaptive)
    assert voriconazole.structure.method.rtol == 1e-6


@pytest.mark.long
def test_the_substeps_change_an_estimate_by_far_less_than_an_assay_does():
    """By two thousandths at most, where the INR's error is a tenth."""
    task = task_of("warfarin", models=["warfarin-hamberg2010"])
    (own,) = task.models
    exact = dataclasses.replace(own, structure=find(DRUG, own.name).value.structure)
    assert exact.structure.method == Adaptive()

    with jax.enable_x64(True):
        steps, fine = (
            believe(model, lay_out(model, task, WARFARIN, 72.0, 264.0), draws=50, seed=1) for model in (own, exact)
        )

    for name, value in fine.found.parameters.items():
        np.testing.assert_allclose(steps.found.parameters[name], value, rtol=2e-3, err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize("prior", ["published", "widened"])
def test_substeps_that_only_suit_a_scenario_s_output_times_are_not_taken(prior):
    """Paclitaxel's 12 h are cut to a quarter of an hour by its grid; without the grid neutrophils would be nonsense."""
    (model,) = task_of("paclitaxel", prior=prior).models
    published = find(DRUG, model.name).value
    times = jnp.asarray([1.0, 5.0, 24.0, 100.0, 240.0, 400.0])
    with jax.enable_x64(True):
        table = make_covariates(published, {c.name: c.typical for c in published.covariates}, carry="locf")
        regimen = make_regimen([Given(0.0, 300.0, "central", duration_h=3.0)], published.structure)
        ours, exact = (np.asarray(predict(m, regimen, table, times)) for m in (model, published))

    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("drug", "hours"), [("warfarin", 8 * 24.0), ("vancomycin", 48.0)])
def test_an_effect_that_lags_is_looked_at_as_far_ahead_as_controllers_look(drug, hours):
    task = task_of(drug)
    history = dataclasses.replace(WARFARIN, drug=drug, covariates=())
    grid = grid_of(task, history, task.dosing.routes[0])

    assert horizon_of(task, grid, history, 72.0, None) == hours
    assert horizon_of(task, grid, history, 72.0, 100.0) == 100.0

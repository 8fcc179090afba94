"""Policies that are tied to decision intervals: mapped with a note where the history fits, silent where it does not."""

import numpy as np
import pytest

from rl_drug_dosage.bedside import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.rivals import advice_of
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.trials.bedside import load_policy

POLICY = "proportional"


@pytest.fixture(scope="module")
def task():
    return task_of("vancomycin")


def regular(off_h: float = 0.0, **changed) -> PatientHistory:
    """Two doses on the scenario's grid, one planned sample after each; all ``off_h`` late but the first dose."""
    values = {
        "drug": "vancomycin",
        "doses": (Dose(0, 2000, 10 / 3), Dose(12 + off_h, 750, 1.25)),
        "levels": (Level(11 + off_h, 14.0), Level(23 + 2 * off_h, 13.0)),
        "covariates": tuple(
            CovariateAt(0, name, value) for name, value in (("crcl_ml_per_min", 60), ("wt_kg", 80), ("dialysis", 0))
        ),
        "now_h": 24.0 + off_h,
    }
    return PatientHistory(**{**values, **changed})


def by_hand() -> float:
    """The same course told to the policy itself."""
    course = load_policy(POLICY, "vancomycin").start({"crcl_ml_per_min": 60, "wt_kg": 80})
    course.given(2000.0)
    course.observe(11.0, 14.0)
    course.given(750.0)
    course.observe(23.0, 13.0)
    return course.recommend()


@pytest.mark.long
def test_a_history_on_the_grid_is_the_policy_s_own_course(task):
    advice = advice_of(POLICY, task, regular(), 24.0)

    assert advice.option is not None
    assert advice.option.amount_mg == by_hand()
    assert advice.option.interval_h == 12.0
    # At most 10 mg/min, and an hour at least.
    assert advice.option.duration_h == pytest.approx(max(advice.option.amount_mg / 600.0, 1.0))
    assert all("it chooses one dose" in note for note in advice.notes)  # nothing was moved


@pytest.mark.long
def test_a_history_a_little_off_the_grid_is_mapped_and_said(task):
    advice = advice_of(POLICY, task, regular(off_h=1.0), 25.0)

    assert advice.option is not None
    assert advice.option.amount_mg == by_hand()
    assert any("decisions every 12 h, by up to 1 h" in note for note in advice.notes)


@pytest.mark.long
@pytest.mark.parametrize(
    ("changed", "start_h", "says"),
    [
        ({"doses": (Dose(0, 2000, 3), Dose(18, 750, 1.25))}, 24.0, "from its decision"),
        ({"levels": (Level(2.0, 40.0),)}, 24.0, "it plans samples at 6, 11 h after a dose"),
        ({}, 29.5, "next decision is at"),
        ({"doses": (Dose(0, 9000, 5), Dose(12, 750, 1.25))}, 24.0, "above its largest"),
        ({"levels": (Level(10.5, 14.0), Level(11.5, 13.0))}, 24.0, "two levels fall to its sample"),
        ({}, 24.0 + 12 * 12, "its course ends after 14 decisions"),
        ({"covariates": regular().covariates[1:]}, 24.0, "crcl_ml_per_min"),
    ],
)
def test_a_history_without_a_place_on_the_grid_makes_it_abstain_with_the_reason(task, changed, start_h, says):
    advice = advice_of(POLICY, task, regular(**changed), start_h)

    assert advice.option is None
    assert says in advice.abstains


@pytest.mark.long
def test_out_of_the_range_of_its_scenario_a_policy_abstains_and_the_label_does_not(task):
    """A learnt policy has seen patients of 40 to 160 kg."""
    heavy = regular(
        covariates=tuple(CovariateAt(0, c.name, 200.0 if c.name == "wt_kg" else c.value) for c in regular().covariates)
    )

    assert "training range" in advice_of(POLICY, task, heavy, 24.0).abstains
    assert advice_of("label", task, heavy, 24.0).option is not None


def test_the_label_counts_doses_wherever_they_were_given(task):
    """25 mg/kg first, then 15 mg/kg x CRCL / 100: 2,000 mg, then 720 mg, on the grid 750 mg."""
    first = advice_of("label", task, regular(doses=(), levels=(), now_h=0.0), 0.0)
    odd = advice_of("label", task, regular(doses=(Dose(0, 2000, 3), Dose(31, 750, 1))), 40.0)

    assert first.option is not None
    assert odd.option is not None
    assert (first.option.amount_mg, odd.option.amount_mg) == (2000.0, 750.0)


def test_without_a_scenario_the_label_is_the_usual_dose_and_other_policies_abstain():
    """Tobramycin has a model and no scenario."""
    tobramycin = task_of("tobramycin")

    usual = advice_of("label", tobramycin, PatientHistory("tobramycin"), 0.0)

    assert usual.option is not None
    assert usual.option.amount_mg == 400.0
    assert "no scenario" in usual.notes[0]
    assert "no scenario" in advice_of("pid", tobramycin, PatientHistory("tobramycin"), 0.0).abstains


def test_doses_per_kg_become_mg():
    """Infliximab: 5 mg/kg for 80 kg."""
    infliximab = task_of("infliximab")
    known = {"female": 0, "wt_kg": 80, "alb_g_per_l": 40, "antibodies": 0}
    covariates = tuple(CovariateAt(0, name, value) for name, value in known.items())

    advice = advice_of("label", infliximab, PatientHistory("infliximab", covariates=covariates), 0.0)

    assert advice.abstains or advice.option is None or np.isclose(advice.option.amount_mg, 400.0)
    assert advice.words == "5 mg/kg" or advice.abstains

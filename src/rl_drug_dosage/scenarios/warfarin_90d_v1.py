"""Warfarin for 90 days: a daily dose, INR 2-3, increasingly sparse INRs, and missed doses.

**What the clinic knows.** Before the first dose: age, CYP2C9 and VKORC1 genotype, an INR. An INR is drawn on the
mornings of days 2 to 6, then two or three times a week for two weeks, weekly to day 43 and every two weeks to the end.
It is known before the dose of that morning. A dose can be changed on any day. Patients miss a fifth of their doses on
average, some hardly any and some most, and take doses up to a few hours late. Neither is recorded.

**Patients** follow Hamberg 2010 by default, with ages and genotypes of the Aurora cohort (Ravvaz 2017), on which ReiL
is trained.

**Test patients** follow Falkenhagen 2023, see `warfarin`.
"""

from jaxtyping import Array

from rl_drug_dosage.clinic.events import Adherence, Dropout
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.ward import Monitoring, Schedule
from rl_drug_dosage.pkpd import Normal, Values
from rl_drug_dosage.scenarios._warfarin_cohort import (
    DAY_TO_DAY,
    DOSAGE,
    ELSEWHERE,
    GOAL_INR,
    HARMS,
    INR_ERROR,
    MODELS,
    SPREAD,
    TEST_ONLY,
    TRIAL,
    covariates,
    squared_distance,
)
from rl_drug_dosage.scenarios.warfarin_protocols import pharmacogenetic_arm, replay

__all__ = ["SCENARIO"]

_WAIT_DAYS = 1
"""Minimum time between two changes by Aurora's table: 1 day (at every INR) gives 72 % of days in range, 3 days 66,
7 days 61 % (400 patients)."""

_INTERVALS = (0, 1, 2, 3, 4, 6, 8, 11, 13, 16, 18, 20, 27, 34, 41, 55, 69, 83)
"""Days that end with an INR, from 0."""


def _label(facts: Values, record: Record) -> Array:
    return replay(pharmacogenetic_arm(_WAIT_DAYS), facts, record)


SCENARIO = Scenario(
    title="warfarin for 90 days with missed doses and sparse INRs, INR 2-3",
    models=MODELS,
    test_only=TEST_ONLY,
    covariates=covariates(
        Normal(67.30, 13.43),
        67.3,
        (0.6739, 0.1486, 0.0925, 0.0651, 0.0197, 0.0002),
        (0.3837, 0.4418, 0.1745),
        "Aurora cohort of Ravvaz 2017, as in anzabizadeh/ReiL patient_warfarin_ravvaz.py",
    ),
    # See warfarin_v1 for the step.
    schedule=Schedule(interval_h=24.0, decisions=90, output_times_h=(24.0,), step_h=1.5),
    dosage=DOSAGE,
    monitoring=Monitoring(
        output="inr",
        at_h=(24.0,),
        intervals=_INTERVALS,
        baseline=True,
        error=INR_ERROR,
        source=(
            "daily until stable, two or three times a week for one to two weeks, then less often, finally every four "
            "weeks (AHA/ACC Foundation guide: Hirsh J et al. Circulation 2003;107:1692-1711); the days themselves are "
            "this project's choice"
        ),
    ),
    goal=Goal(
        title="proportion of 90 days that end with INR 2-3 (%)",
        targets=(GOAL_INR,),
        harms=HARMS,
        steady=True,
        steady_text=(
            "after the loading days a patient's INR is kept at 2.5 by one daily dose: neither covariates nor the goal "
            "change, and missed doses and the day-to-day variability of EC50 cannot be known beforehand"
        ),
    ),
    reward=squared_distance,
    reward_text=f"-((INR - 2.5) / 2.5)^2 before the next dose ({TRIAL}, 1_calibrate_model.py)",
    label=_label,
    label_text=(
        "days 1-3: IWPC's pharmacogenetic dose with EU-PACT's loading; days 4-5: Lenzini's refinement by the INR; then "
        "Aurora's table at every INR (arm PGPGA of Ravvaz 2017, with other test days)"
    ),
    # Missed: anzabizadeh/ReiL adherence.py, each dose independently; its double doses and drug holidays are omitted.
    # Late: as in warfarin_v1.
    adherence=Adherence(missed_mean=0.20, missed_sd=0.21, late_mean_h=0.5, late_max_h=6.0),
    dropout=Dropout("inr", 5.0, 3, f"{TRIAL}: three consecutive INRs above 5 and the dose not lowered"),
    daily_etas=(DAY_TO_DAY,),
    spread=SPREAD,
    elsewhere=ELSEWHERE,
    strata=(
        ("CYP2C9", "cyp2c9", (11.5, 13.5)),
        ("VKORC1", "vkorc1_g_alleles", (0.5, 1.5)),
        ("age", "age_y", (60.0, 75.0)),
    ),
    look_ahead=8,
    # See warfarin_v1 for the cap.
    shield=ShieldLimits(dose=10.0, factor=2.0, level=4.5),
    training=TrainingSettings(env={"clock": False}),
)

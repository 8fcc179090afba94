"""Warfarin initiation: a daily dose for 19 days, targeting INR 2-3 with a daily INR (virtual trial of Augustin 2023).

**What the clinic knows.** Before the first dose: age, CYP2C9 and VKORC1 genotype, an INR. Every morning an INR is drawn
and known before the dose of the day. Doses are taken up to a few hours late, which is not recorded.

**Patients** follow Hamberg 2010 by default, with the trial's ages and genotypes. Augustin simulated patients from a
systems model of coagulation, and the controller used a refit of Hamberg 2010: 75 % of the patients were in range at the
end under Bayesian dosing, 66 % under reinforcement learning. The closest setting here is a controller that assumes
Hamberg 2010 while patients follow Hamberg 2007.

**Test patients** follow Falkenhagen 2023: turnover of vitamin K and of the factors II, VII and X, reduced from Wajima
2009's systems model of coagulation, with an assumed spread of 40 % in every parameter.

**Doses up to 30 mg** are allowed, as in the trial, and a planner gives most patients that on day one. No clinic
would: labels warn against loading doses. The scenario's shield caps a dose at 10 mg, the usual largest first dose.
"""

from jaxtyping import Array

from rl_drug_dosage.clinic.events import Adherence, Dropout
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.ward import Monitoring, Schedule
from rl_drug_dosage.pkpd import LogNormal, Values
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
"""Minimum time between two changes by Aurora's table, which was designed for weekly tests: 1 day gives 60 % of days in
range, 2 days 53, 3 days 50, 4 days 49, 7 days 47 % (500 patients)."""


def _label(facts: Values, record: Record) -> Array:
    return replay(pharmacogenetic_arm(_WAIT_DAYS), facts, record)


SCENARIO = Scenario(
    title="warfarin initiation, daily doses for 19 days, INR 2-3",
    models=MODELS,
    test_only=TEST_ONLY,
    covariates=covariates(
        LogNormal(50.0, 0.15),
        50.0,
        (0.62, 0.20, 0.12, 0.03, 0.02, 0.01),
        (0.35, 0.45, 0.20),
        f"{TRIAL}, cohort of the MIPD trial",
    ),
    # With steps of 1.5 h no INR of 200 patients on 0-10 mg a day differs from that with 0.1 h by more than 0.1 %
    # (Hamberg 2010) or 0.4 % (2007); with 2 h by 0.2 and 0.5 %; from 3 h on the six-step chain of 2007 is unstable.
    schedule=Schedule(interval_h=24.0, decisions=19, output_times_h=(24.0,), step_h=1.5),
    dosage=DOSAGE,
    monitoring=Monitoring(
        output="inr",
        at_h=(24.0,),
        baseline=True,
        error=INR_ERROR,
        source=f"{TRIAL}, 6_predict_dosing_regimens_...py: each day, before the dose of that day",
    ),
    goal=Goal(
        title="proportion of 19 days that end with INR 2-3 (%)",
        targets=(GOAL_INR,),
        harms=HARMS,
        steady=True,
        steady_text=(
            "after the loading days a patient's INR is kept at 2.5 by one daily dose: neither covariates nor the goal "
            "change, and the day-to-day variability of EC50 cannot be known beforehand"
        ),
    ),
    reward=squared_distance,
    reward_text=f"-((INR - 2.5) / 2.5)^2 before the next dose ({TRIAL}, 1_calibrate_model.py)",
    label=_label,
    label_text=(
        "days 1-3: IWPC's pharmacogenetic dose with EU-PACT's loading; days 4-5: Lenzini's refinement by the INR; then "
        "Aurora's table every day (arm PGPGA of Ravvaz 2017, whose tests are weekly)"
    ),
    # Exp(0.5 h) as in the trial (10_simulate_tdm_data_no_explained_IIV.py), cut at 6 h: one dose in 160,000 is later.
    adherence=Adherence(late_mean_h=0.5, late_max_h=6.0),
    dropout=Dropout("inr", 5.0, 3, f"{TRIAL}: three consecutive INRs above 5 and the dose not lowered"),
    daily_etas=(DAY_TO_DAY,),
    spread=SPREAD,
    elsewhere=ELSEWHERE,
    strata=(
        ("CYP2C9", "cyp2c9", (11.5, 13.5)),
        ("VKORC1", "vkorc1_g_alleles", (0.5, 1.5)),
        ("age", "age_y", (45.0, 55.0)),
    ),
    look_ahead=8,
    # At most 10 mg: "10 mg daily for the first 2 days" (ACCP, Holbrook A et al. Chest 2012;141 Suppl:e152S-e184S), and
    # no larger loading doses. Factor and level are this project's choice.
    shield=ShieldLimits(dose=10.0, factor=2.0, level=4.5),
    # Treatment continues after the trial, so the policy does not observe the day.
    # 70 updates at this price halved the late changes of dose and cost no attainment (docs/policies.md).
    training=TrainingSettings(total_timesteps=680_960, env={"clock": False, "burden": 0.05}),
)

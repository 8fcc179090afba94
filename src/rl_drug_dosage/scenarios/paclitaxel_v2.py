"""Paclitaxel every 3 weeks, six cycles: doses that lower leukocytes far enough, but not too far.

**What the clinic knows.** The leukocyte count before therapy, and in each cycle the counts on day 10, on day 15 and on
the morning of the next dose, all before that dose is chosen. Nothing else: neither size nor sex nor concentrations
enter the model of Friberg 2002. Patients differ in clearance, in their baseline count, the maturation time of the cells
and their sensitivity. The spread of clearance is unverified, see the drug file.

**The goal** follows Maier 2021 with leukocytes instead of neutrophils, because the model describes leukocytes: no fall
at all indicates too little drug, a fall to grade 4 endangers the patient. With doses capped at 1.4 times the label's,
too little is the commoner failure: the cap for everybody attains more than the label, which only reduces (69 % of
cycles against 66 %), at the price of grade 4 in 21 % of patients in place of 7 %; Bayesian dosing attains 82 %
(`benchmark --scenario paclitaxel --policy label --policy mipd --policy "cap=1.4 x 320 mg q3w"`). What sets the cap,
neuropathy, is not in the model.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Target, Values

__all__ = ["SCENARIO"]

_MAIER = "Maier C et al. CPT Pharmacometrics Syst Pharmacol 2021;10:241-254 (3-h infusion every 21 d, six cycles)"
_CTCAE = (
    "NCI Common Terminology Criteria for Adverse Events v5.0, white blood cell decreased: grade 4 below 1.0 x 10^9/L, "
    "grade 1 from the lower limit of normal, here 4.0 x 10^9/L"
)
_LABEL = "product information of paclitaxel: 20 % less in later courses after severe neutropenia"
_GRADE_4, _GRADE_0 = 1.0, 4.0


def _label(facts: Values, record: Record) -> Array:
    """The full dose, permanently reduced by one fifth after every cycle with a grade 4 count."""
    last = jnp.maximum(record.k - 1, 0)
    grade_4 = jnp.any(record.known[last] & (record.level[last] < _GRADE_4))
    given = jnp.where(record.dose[last] > 0, record.dose[last], 1.0)
    return jnp.where(record.k == 0, 1.0, given * jnp.where(grade_4, 0.8, 1.0))


def _reward(judged: Judged) -> Array:
    nadir = judged.metrics[0][0]
    return jnp.where(nadir < _GRADE_4, -2.0, jnp.where(nadir >= _GRADE_0, -1.0, 1.0))


SCENARIO = Scenario(
    title="paclitaxel every 21 d, 6 cycles, leukocyte nadir 1-4 x 10^9/L",
    models=("paclitaxel-friberg2002",),
    covariates=(),
    schedule=Schedule(
        interval_h=504.0,
        decisions=6,
        # With longer steps, mainly during drug exposure, some patients leave the stability region of Runge-Kutta.
        output_times_h=(
            *(0.25 * i for i in range(1, 19)),
            *(5.0, 5.5, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0, 24.0, 96.0, 168.0, 192.0, 216.0, 240.0),
            *(264.0, 288.0, 312.0, 336.0, 360.0, 432.0, 504.0),
        ),
        step_h=12.0,
    ),
    dosage=Dosage(
        amounts=tuple(step / 20.0 for step in range(29)),
        unit="x 320 mg",
        compartment="central",
        duration_h=3.0,
        mg_per_unit=320.0,
        usual=1.0,
        source=(
            "320 mg is 175 mg/m2 (product information) at 1.83 m2. Twentieths up to 1.4 times that, 448 mg or 245 "
            "mg/m2, are this project's choice: courses of DDMODEL00000186 had 160-450 mg, and neuropathy set "
            "the limit at 250 mg/m2 every 3 weeks (1-h infusions; Mross K et al. Ann Oncol 1998;9:569-572, abstract)"
        ),
    ),
    monitoring=Monitoring(
        output="leukocytes",
        at_h=(240.0, 360.0, 504.0),
        baseline=True,
        guide=0,
        source=f"{_MAIER}: before the dose and sparsely around the nadir; days 10 and 15 are this project's choice",
    ),
    goal=Goal(
        title="proportion of cycles with a leukocyte nadir of 1-4 x 10^9/L, grades 1-3 (%)",
        targets=(Target("leukocytes", "nadir", _GRADE_4, _GRADE_0, "10^9/L", _CTCAE, aim=2.0),),
        harms=(
            Harm("grade 4", "nadir", "leukocytes", _CTCAE, below=_GRADE_4),
            Harm("grade 0", "nadir", "leukocytes", f"{_MAIER}: too little drug", above=_GRADE_0),
        ),
        steady=False,
        steady_text=(
            "a cycle's dose depends on how far the counts fell after the last one and have recovered since; six doses "
            "are no maintenance"
        ),
    ),
    reward=_reward,
    reward_text="per cycle: nadir of grades 1-3 +1, of grade 0 -1, of grade 4 -2 (numbers: this project's choice)",
    label=_label,
    label_text=f"the full dose, reduced by one fifth after a cycle with a count below 1.0 x 10^9/L ({_LABEL})",
    look_ahead=3,
    shield=ShieldLimits(dose=1.4, factor=2.0, level=1.0, lowers=True),
    # What is corrected is the dose of the support patients. `best-bayes` is an estimate's, 0.2 points better on
    # validation patients, whose fits would integrate the equations again and again in training.
    training=TrainingSettings(env={"reference": ""}),
)

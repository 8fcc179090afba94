"""Vancomycin in hospitalised adults: an infusion every 12 h for a week, targeting the consensus AUC24 window.

**What the clinic knows.** Before the first dose: creatinine clearance, weight, whether the patient is on haemodialysis.
Levels are drawn 6 h after the start of the infusion, an hour after one of 3,000 mg, and 1 h before the
next dose, around doses 1 and 3 (as in the mipdtrial vignettes), and again around doses 7 and 11. A result is known 1 h
later, so a dose is chosen with the levels of all previous intervals.

**AUC24** is the area over 24 h: at the end of every interval from the second one on, that of the last two intervals.
The label's first two doses, 2,000 and 250 mg, give a man of 80 kg with a creatinine clearance of 30 mL/min 514 mg h/L
in 24 h, in the window. Twice the area of the first 12 h, with infusions of an hour, is 613, which would count as toxic.

**Infusions** run at 10 mg/min at most, and for an hour at least: 1,000 mg take 1 h 40 min, 3,000 mg 5 h.

**Patients** follow Thomson 2009 by default. Creatinine clearance and weight are drawn as in the vignette
(exp(N(ln 6, ln 1.6)) L/h, N(90, 25) kg), truncated to exclude negative clearances in Thomson's model and implausible
weights.

**Test patients** follow Buelga 2005, adults with haematological malignancies in Salamanca: one compartment, clearance
in proportion to creatinine clearance. Heavier patients than the study's are extrapolations.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Fixed, Target, Values

__all__ = ["SCENARIO"]

_MODELS = ("vancomycin-thomson2009", "vancomycin-goti2018")

_PROTOCOL = "InsightRX/mipdtrial vignettes/vancomycin_*.Rmd"
_RATE = "product information of vancomycin: at most 10 mg/min, and at least 60 min"
_CONSENSUS = "Rybak MJ et al. Am J Health Syst Pharm 2020;77(11):835-864 (ASHP, IDSA, PIDS, SIDP)"


def _label(facts: Values, record: Record) -> Array:
    """25 mg/kg once, then 15 mg/kg every 12 h, scaled with renal function: 15-20 mg/kg is for normal renal function.

    The interval is fixed here, so in slow elimination the dose is lowered instead of the interval extended.
    """
    share = jnp.clip(facts["crcl_ml_per_min"] / 100.0, 0.2, 1.3)
    keep = 15.0 * facts["wt_kg"] * share
    load = 25.0 * facts["wt_kg"]
    return jnp.minimum(jnp.where(record.k == 0, load, keep), 3000.0)


def _reward(judged: Judged) -> Array:
    auc = judged.metrics[0][0]
    low, high = judged.low[0], judged.high[0]
    outside = jnp.where((auc < low) | (auc > high), jnp.abs(auc - 500.0) / 100.0, 0.0)
    return jnp.where(judged.interval > 0, -outside - jnp.where(auc > high, 0.5, 0.0), 0.0)


SCENARIO = Scenario(
    title="vancomycin every 12 h for 7 days, AUC24 400-600 mg h/L",
    models=_MODELS,
    test_only=("vancomycin-buelga2005",),
    covariates=drawn(
        _MODELS,
        {
            "crcl_ml_per_min": Drawn(
                source=f"{_PROTOCOL}: median 6 L/h, log-SD ln 1.6; truncated to 20-150 mL/min, this project's choice",
                low=20.0,
                typical=100.0,
                meaning="creatinine clearance",
            ),
            "wt_kg": Drawn(
                source=f"{_PROTOCOL}: N(90, 25); truncated to 40-160 kg, this project's choice",
                low=40.0,
                high=160.0,
                typical=90.0,
            ),
            "dialysis": Drawn(
                distribution=Fixed(0.0),
                source="no patient is on haemodialysis: this project's choice",
                meaning="on haemodialysis",
            ),
        },
    ),
    schedule=Schedule(interval_h=12.0, decisions=14, output_times_h=(1.0, 3.0, 6.0, 8.0, 11.0, 12.0)),
    dosage=Dosage(
        amounts=tuple(float(a) for a in range(0, 5001, 250)),
        unit="mg",
        compartment="central",
        duration_h=1.0,
        highest_rate_per_h=600.0,
        usual=1000.0,
        source=(f"{_PROTOCOL}: 250-5000 mg in steps of 250; 0 (skip a dose) is this project's addition; {_RATE}"),
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=(6.0, 11.0),
        intervals=(0, 2, 6, 10),
        turnaround_h=1.0,
        lloq=0.5,
        source=(
            f"{_PROTOCOL}: 1 h after the infusion (here one of 3,000 mg, 5 h), 1 h before the next dose, doses 1 and "
            "3; the rest is this project's choice"
        ),
    ),
    goal=Goal(
        title="proportion of 12-h intervals, from the second on, whose last 24 h have an AUC of 400-600 mg h/L (%)",
        targets=(Target("concentration", "auc24", 400.0, 600.0, "mg h/L", f"{_CONSENSUS}, at MIC 1 mg/L"),),
        harms=(Harm("AUC24 > 600", "auc24", "concentration", _CONSENSUS, above=600.0),),
        steady=True,
        steady_text=(
            "after the loading dose a patient's AUC24 is kept in its window by one dose every 12 h: weight, "
            "creatinine clearance and goal stay as they are at the start"
        ),
    ),
    reward=_reward,
    reward_text=(
        "-|AUC24 - 500|/100 outside 400-600 mg h/L, 0 inside, another -0.5 above 600; 0 in the first interval (this "
        "project's choice)"
    ),
    label=_label,
    label_text=f"25 mg/kg, then 15 mg/kg x CRCL / 100 mL/min (0.2-1.3) every 12 h, at most 3 g ({_CONSENSUS})",
    strata=(
        ("renal function", "crcl_ml_per_min", (60.0, 90.0)),
        ("weight", "wt_kg", (70.0, 100.0)),
    ),
    look_ahead=6,
    shield=ShieldLimits(dose=3000.0, day=6000.0, factor=3.0, level=80.0),
)

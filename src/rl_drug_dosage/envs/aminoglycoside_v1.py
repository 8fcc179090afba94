"""Gentamicin after heart surgery: an infusion a day for a week, steered to a peak and a trough at once.

**What the clinic knows.** Creatinine clearance and weight on the first day. On days 2 and 5 a level is drawn 1 h after
the start of the infusion and another 22 h after it; a result is back 2 h later, so a dose is chosen with all
levels of the days before.

**The goal** has two windows that pull against each other in slow eliminators: the higher peak target of the unit where
the model was made, 7-10 mg/L 1 h after the dose, and a trough below 2 mg/L before the next one. A dose may be left out;
that day has no peak and counts as missed.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Dosage, Goal, Harm, Judged, Monitoring, Scenario, Schedule, Window
from rl_drug_dosage.pkpd import Covariate, Fixed, LogNormal, Values

__all__ = ["SCENARIO"]

_UNIT = "Staatz 2005, targets of the unit (nlmixr2lib Staatz_2005_gentamicin.R)"
_TABLE_1 = "Staatz 2005 Table 1, as transcribed in nlmixr2lib Staatz_2005_gentamicin.R"


def _label(facts: Values, record: Record) -> Array:
    """2.5 mg/kg: a peak of 8.5 mg/L in 0.25 L/kg, and a fifth more for what has left after an hour.

    One tenth less from the third dose on below 50 mL/min, when some of the doses before is still there.
    """
    slow = (facts["crcl_ml_per_min"] < 50.0) & (record.k >= 2)
    return jnp.where(slow, 0.9, 1.0) * 2.5 * facts["wt_kg"]


def _reward(judged: Judged) -> Array:
    peak, trough = judged.metrics[0][0], judged.metrics[1][0]
    low, high = judged.low[0], judged.high[0]
    off = jnp.where(peak < low, (low - peak) / low, jnp.maximum(peak - high, 0.0) / high)
    return -off - jnp.maximum(trough - judged.high[1], 0.0) / judged.high[1]


SCENARIO = Scenario(
    title="gentamicin every 24 h for 7 days, peak 7-10 and trough below 2 mg/L",
    models=("gentamicin-staatz2005",),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=30.0,
            high=150.0,
            typical=63.0,
            source=f"{_TABLE_1}: median 57, range 9-169; cut to 30-150 mL/min: below, a day is too short",
            meaning="Cockcroft-Gault creatinine clearance, stable",
            distribution=LogNormal(57.0, 0.59),
            column="CRCL",
        ),
        Covariate(
            name="crcl_change_ml_per_min",
            unit="mL/min",
            low=-76.0,
            high=58.0,
            typical=0.0,
            source="renal function is stable: this project's choice",
            meaning="creatinine clearance less the first one",
            distribution=Fixed(0.0),
            column="DCRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=39.0,
            high=138.0,
            typical=72.0,
            source=f"{_TABLE_1}: median 72, range 39-138",
            meaning="body weight",
            distribution=LogNormal(72.0, 0.25),
            column="WT",
        ),
    ),
    schedule=Schedule(interval_h=24.0, decisions=7, grid_h=(1.0, 2.0, 6.0, 12.0, 22.0, 24.0)),
    dosage=Dosage(
        amounts=tuple(float(a) for a in range(0, 801, 20)),
        unit="mg",
        compartment="central",
        duration_h=0.5,
        usual=180.0,
        source="steps of 20 mg as in the drug file, up to about 10 mg/kg; 0 leaves a dose out (this project's choice)",
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=(1.0, 22.0),
        intervals=(1, 4),
        turnaround_h=2.0,
        lloq=0.2,
        source="a peak at 1 h as in Staatz 2005, a level before the next dose; days and turnaround are our choice",
    ),
    goal=Goal(
        title="share of days with a peak of 7-10 mg/L and a trough below 2 mg/L (%)",
        windows=(
            Window("peak", "concentration", 7.0, 10.0, "mg/L", f"{_UNIT}: higher target 1 h after the dose"),
            Window("end", "concentration", None, 2.0, "mg/L", f"{_UNIT}: trough"),
        ),
        harms=(
            Harm("trough > 2 mg/L", "end", "concentration", f"{_UNIT}; kidney and ear are at risk above", above=2.0),
            Harm(
                "peak > 16 mg/L",
                "peak",
                "concentration",
                "twice the middle of the peak window, this project's choice",
                above=16.0,
            ),
        ),
    ),
    reward=_reward,
    reward_text="-(relative distance of the peak from 7-10 mg/L) - (relative excess of the trough over 2 mg/L)",
    label=_label,
    label_text="2.5 mg/kg a day, below 50 mL/min a tenth less from day 3 on (this project's choice for these targets)",
    strata=(
        ("renal function", "crcl_ml_per_min", (40.0, 80.0)),
        ("weight", "wt_kg", (60.0, 85.0)),
    ),
    look_ahead=4,
    shield={"dose": 560.0, "factor": 2.0, "level": 16.0},
)

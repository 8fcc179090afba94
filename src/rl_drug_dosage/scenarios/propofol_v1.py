"""Propofol for an hour of anaesthesia: the pump rate is set every 30 s, from awake, targeting BIS 40-60.

**What the clinic knows.** Age, sex, height, weight, and the effect-site target of remifentanil, which another pump
maintains. The monitor shows BIS once per interval: a noisy value of 25 s ago, since the index is delayed by 15 s plus
exp(0.0517 age) s (Eleveld 2018), 25 s at 44 years. The incision is in minute 20: surgical stimulation adds to BIS,
20 at first and nothing from minute 50 on, which no drug model describes.

**Patients** follow Eleveld 2018 by default: there BIS responds to propofol alone, and an opioid only slows its
elimination. Schnider 1998 with the surface of Bouillon 2004 includes the effect of remifentanil. Ages and sizes are
those for which both models were developed.

**Test patients** follow the modified Marsh kinetics with the BIS curve of Vanluchene 2004: kinetics by weight alone,
without a spread between patients, and a steeper curve that ends at a BIS of 8.

**A controller** estimates clearance, the effect-site delay and the sensitivity of BIS. It uses typical volumes and
intercompartmental clearances, which cannot be identified from BIS alone.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.events import Disturbance
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Derived, Normal, Param, Residual, Target, Uniform, Values

__all__ = ["SCENARIO"]

_MODELS = ("propofol-eleveld2018", "propofol-schnider1998")

_PAS = "BobAubouin/Python_Anesthesia_Simulator"
_COHORT = f"uniform in the examples of {_PAS} (18-70 y, 150-190 cm), truncated to the range of Schnider 1998"
_BAND = (
    "BIS 40-60: the target range of BIS-guided propofol-remifentanil anaesthesia in e.g. Life 2023;13:2065 "
    "(doi 10.3390/life13102065)"
)
_LABEL = (
    "product information of propofol 1 %: 1.5-2.5 mg/kg (over 55 y 1-1.5 mg/kg) in adults, then 4-12 mg/kg/h, at first "
    "8-10 mg/kg/h for 10-20 min, titrated"
)
_STEPPED = (
    "10, 8 and 6 mg/kg/h, changed after 10 and 20 min (Roberts FL et al. Anaesthesia 1988;43 Suppl:14-17, unread)"
)

_INTERVAL_H = 30.0 / 3600.0
_SEEN_H = 5.0 / 3600.0
_SURGERY = (
    (0.0, 0.0),
    (19.9, 0.0),
    (20.0, 20.0),
    (23.0, 20.0),
    (24.0, 15.0),
    (26.0, 12.5),
    (30.0, 10.5),
    (37.0, 10.0),
    (40.0, 4.0),
    (45.0, 0.5),
    (50.0, 0.0),
)
"""Minutes from the start, and the addition to BIS."""
_INDUCTION = 10
"""Intervals that are not judged: 5 min."""


def _label(facts: Values, record: Record) -> Array:
    """2 mg/kg (1.25 mg/kg over 55 y) in 1 min, then 10-8-6 mg/kg/h, one half more or less while BIS is off target."""
    minute = 0.5 * record.k
    bolus = jnp.where(facts["age_y"] > 55.0, 1.25, 2.0) * facts["wt_kg"]
    keep = jnp.where(minute < 11.0, 10.0, jnp.where(minute < 21.0, 8.0, 6.0)) * facts["wt_kg"] / 60.0
    last = jnp.maximum(record.k - 1, 0)
    bis, known = record.level[last, -1], record.known[last, -1]
    turn = jnp.where(bis > 60.0, 1.5, jnp.where(bis < 40.0, 0.5, 1.0))
    return jnp.where(record.k < 2, bolus, keep * jnp.where(known, turn, 1.0))


def _reward(judged: Judged) -> Array:
    counts = judged.interval >= _INDUCTION
    bis = judged.metrics[0][0]
    return jnp.where(counts, -jnp.minimum(jnp.abs(bis - 50.0) / 10.0, 4.0), 0.0) - 0.002 * judged.amount


SCENARIO = Scenario(
    title="propofol every 30 s for 60 min, BIS 40-60",
    models=_MODELS,
    test_only=("propofol-vanluchene2004",),
    covariates=drawn(
        _MODELS,
        {
            "age_y": Drawn(
                distribution=Uniform(25.0, 70.0),
                source=_COHORT,
                low=25.0,
                high=70.0,
                typical=47.0,
            ),
            "female": Drawn(
                source="equal proportions: this project's choice",
            ),
            "height_cm": Drawn(
                distribution=Uniform(155.0, 190.0),
                source=_COHORT,
                low=155.0,
                high=190.0,
                typical=172.0,
            ),
            "wt_kg": Drawn(
                distribution=Normal(
                    lambda d: 25.0 * (d["height_cm"] / 100.0) ** 2, lambda d: 4.0 * (d["height_cm"] / 100.0) ** 2
                ),
                source="body mass index N(25, 4) kg/m2, truncated to 50-110 kg: our choice, since the lean body mass "
                "of Schnider 1998 fails in severe obesity",
                low=50.0,
                high=110.0,
                typical=74.0,
            ),
            "remi_ce_ng_per_ml": Drawn(
                source="effect-site targets of 0, 2 and 4 ng/mL (Vanluchene ALG et al. Br J Anaesth 2004;93:645-654); "
                "equal proportions are this project's choice",
                high=4.0,
                typical=2.0,
                meaning="remifentanil at the effect site, constant",
            ),
            "opioid": Drawn(
                distribution=Derived(lambda d: (d["remi_ce_ng_per_ml"] > 0.0).astype(float)),
                source="1 where remifentanil is given",
                typical=1.0,
            ),
        },
    ),
    schedule=Schedule(interval_h=_INTERVAL_H, decisions=120, output_times_h=(_SEEN_H, _INTERVAL_H), shown_unit="min"),
    dosage=Dosage(
        amounts=(
            *(0.5 * i for i in range(41)),
            *(float(a) for a in range(21, 41)),
            *(float(a) for a in range(45, 101, 5)),
            *(float(a) for a in range(110, 201, 10)),
        ),
        unit="mg/min",
        compartment="central",
        duration_h=_INTERVAL_H,
        mg_per_unit=0.5,
        usual=10.0,
        source=(
            "a syringe pump of 10 mg/mL: 0-200 mL/h (0-33 mg/min) in steps of 3 and 6 mL/h for maintenance, up to "
            "1,200 mL/h (200 mg/min) for induction, as in Struys M et al. Anaesthesia 1997;52:41-50; the steps are "
            "this project's choice"
        ),
    ),
    monitoring=Monitoring(
        output="bis",
        at_h=(_SEEN_H,),
        error=Residual(
            "additive",
            additive=Param(3.0, "1", f"{_PAS} simulator.py: normal noise with SD 3", "noise of the BIS signal"),
        ),
        source="a value every 30 s, 25 s old: the delay of Eleveld 2018 at 44 y, for all ages (this project's choice)",
    ),
    goal=Goal(
        title="proportion of the time from minute 5 on with BIS in 40-60 (%)",
        targets=(Target("bis", "trough", 40.0, 60.0, "1", _BAND, aim=50.0, log=False),),
        harms=(
            Harm("BIS < 40", "trough", "bis", f"{_BAND}; below is deeper than necessary", below=40.0),
            Harm("BIS < 30", "trough", "bis", "this project's choice: far too deep", below=30.0),
            Harm(
                "BIS > 60 after induction",
                "trough",
                "bis",
                f"{_BAND}; above is a risk of awareness",
                above=60.0,
                from_h=_INDUCTION * _INTERVAL_H,
            ),
        ),
        judged=tuple(range(_INDUCTION, 120)),
        steady=False,
        steady_text=(
            "the pump follows induction, incision, fading stimulation and a drug that accumulates for the whole hour"
        ),
    ),
    reward=_reward,
    reward_text=(
        "from minute 5 on -|BIS - 50| / 10 every 30 s, at worst -4; also -0.002 per mg/min throughout (this "
        "project's choice)"
    ),
    label=_label,
    label_text=(
        f"2 mg/kg (over 55 y 1.25 mg/kg) in the first minute ({_LABEL}), then 10-8-6 mg/kg/h ({_STEPPED}); one half "
        "more while BIS is above 60, one half less while it is below 40 (this project's choice)"
    ),
    disturbance=Disturbance(
        profile=tuple((minute / 60.0, height) for minute, height in _SURGERY),
        sd=0.3,
        source=f"{_PAS} disturbances.py, profile 'simple'; the spread between patients is this project's choice",
    ),
    strata=(
        ("age", "age_y", (40.0, 55.0)),
        ("weight", "wt_kg", (65.0, 85.0)),
        ("remifentanil", "remi_ce_ng_per_ml", (1.0, 3.0)),
    ),
    look_ahead=20,
    estimated=("cl", "ke0", "bis_ce50_mg_per_l", "bis_c50_propofol_mg_per_l", "bis_gamma"),
    estimated_at=(*range(1, 11), *range(12, 21, 2), *range(25, 120, 5)),
    shield=ShieldLimits(dose=200.0, level=15.0, lowers=True),
)

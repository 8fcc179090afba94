"""Infliximab in ulcerative colitis: induction, then every 8 weeks for a year, targeting a trough of 5-10 mg/L.

**What the clinic knows.** Before each infusion: sex, weight, antibodies to infliximab, today's albumin. The trough is
drawn before the infusion and measured by a rapid test during the visit, so it is known for that infusion. Its residual
error is large, 40 %.

**Patients** follow Fasanmade 2009, the only model for controllers and training. Albumin starts low and recovers, and
clearance falls with it; the rate is this project's choice.

**Test patients** follow Hanzel 2021, adults on CT-P13 in Crohn's disease and ulcerative colitis: all parameters depend
on weight, albumin and antibodies matter less, sex not at all. Antibodies are rarer here than among its patients.

**Induction** at weeks 0, 2 and 6, then a dose every 8 weeks, as in the label. Decisions are 8 weeks apart, and the
first is made at week -2: its dose is given at weeks 0 and 2, the next one at week 6. Troughs count from week 14 on.

**At most 10 mg/kg**, the highest dose of the label. The interval cannot be shortened, as a clinic would do in patients
with fast elimination: some patients cannot reach 5 mg/L, not even under the oracle.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.events import Drift
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Normal, Target, Values

__all__ = ["SCENARIO"]

_MODELS = ("infliximab-fasanmade2009",)

_VIGNETTE = "InsightRX/mipdtrial vignettes/infliximab_interval_adaptation.Rmd"
_FASANMADE = "Fasanmade 2009 (nlmixr2lib Fasanmade_2009_infliximab.R)"
_WEEK_H = 168.0
_INTERVAL_H = 8.0 * _WEEK_H
_DECISIONS = 8
_LOW, _HIGH = 5.0, 10.0
_LABEL = (
    "product information: 5 mg/kg at weeks 0, 2 and 6, then every 8 weeks (NICE TA163); 10 mg/kg after loss of "
    "response in Crohn's disease"
)


def _label(facts: Values, record: Record) -> Array:
    """5 mg/kg; from week 14 on a trough outside the window changes its dose in proportion, up to 10 mg/kg."""
    order = jnp.arange(record.known.shape[0])
    at = jnp.max(jnp.where(record.known[:, -1] & (order > 0), order, -1))
    trough = jnp.maximum(record.level[jnp.maximum(at, 0), -1], 0.1)
    behind = record.dose[jnp.maximum(at, 0)]
    new = jnp.minimum(behind * jnp.clip((_LOW * _HIGH) ** 0.5 / trough, 0.5, 2.0), 10.0)
    acts = (trough < _LOW) | (trough > _HIGH)
    return jnp.where(at >= 0, jnp.where(acts, new, behind), 5.0)


def _reward(judged: Judged) -> Array:
    trough = jnp.maximum(judged.metrics[0][0], 0.1)
    off = jnp.abs(jnp.log(trough / (_LOW * _HIGH) ** 0.5)) / (0.5 * jnp.log(_HIGH / _LOW))
    return jnp.where(judged.interval > 0, -jnp.where(off > 1.0, jnp.minimum(off, 5.0), 0.0), 0.0)


SCENARIO = Scenario(
    title="infliximab at weeks 0, 2, 6, then every 8 weeks for a year, trough 5-10 mg/L",
    models=_MODELS,
    test_only=("infliximab-hanzel2021",),
    covariates=drawn(
        _MODELS,
        {
            "female": Drawn(
                source=f"{_FASANMADE}: 39.2 % women",
            ),
            "wt_kg": Drawn(
                source=f"{_FASANMADE}: median 77, range 36-159; spread as in the drug file",
            ),
            "alb_g_per_l": Drawn(
                distribution=Normal(38.0, 5.48),
                source=f"range and spread as in the drug file ({_VIGNETTE}); starts at 38 g/L, this project's choice",
            ),
            "antibodies": Drawn(
                source=f"{_FASANMADE}: 6.8 % at any time",
                meaning="antibodies to infliximab, known from the start",
            ),
        },
    ),
    schedule=Schedule(interval_h=_INTERVAL_H, decisions=_DECISIONS, output_times_h=(4.0 * _WEEK_H, _INTERVAL_H)),
    dosage=Dosage(
        amounts=tuple(0.5 * step for step in range(21)),
        unit="mg/kg",
        compartment="central",
        duration_h=2.0,
        at_h=(0.0,),
        first_at_h=(2.0 * _WEEK_H, 4.0 * _WEEK_H),
        usual=5.0,
        per="wt_kg",
        source=f"{_LABEL}, over 2 h; 0-10 mg/kg in steps of 0.5 is this project's choice",
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=(_INTERVAL_H,),
        lloq=0.4,
        source=f"{_VIGNETTE}: at the trough of each dose; rapid test and limit of 0.4 mg/L: this project's choice",
    ),
    goal=Goal(
        title="proportion of infusion intervals, from week 6 on, that end with a trough of 5-10 mg/L (%)",
        targets=(Target("concentration", "trough", _LOW, _HIGH, "mg/L", f"{_VIGNETTE}: 5-10"),),
        harms=(
            Harm(
                "trough < 3 mg/L",
                "trough",
                "concentration",
                "lower limit of 3-7 mg/L (TAXIT: Vande Casteele N et al. Gastroenterology 2015;148:1320-1329)",
                below=3.0,
                from_h=_INTERVAL_H,
            ),
            Harm(
                "trough > 20 mg/L",
                "trough",
                "concentration",
                "waste: this project's choice",
                above=20.0,
                from_h=_INTERVAL_H,
            ),
        ),
        judged=tuple(range(1, _DECISIONS)),
        steady=True,
        steady_text=(
            "after the induction a patient's trough is kept at its aim by one dose every 8 weeks: albumin has "
            "recovered by most of its rise when the last third of the course begins, and clearance has fallen with it"
        ),
    ),
    reward=_reward,
    reward_text=(
        "0 inside the window, outside it minus the distance of ln C from its middle in half-widths, at most 5; 0 "
        "during the induction (this project's choice)"
    ),
    label=_label,
    label_text=(
        f"5 mg/kg ({_LABEL}); if a trough from week 14 on is outside 5-10 mg/L, its dose times 7.1 / trough "
        "(0.5-2), at most 10 mg/kg (proactive monitoring; the rule is this project's "
        "choice)"
    ),
    drifts=(
        Drift(
            "alb_g_per_l",
            42.0,
            16.0 * _WEEK_H,
            0.04,
            "albumin recovers as colitis heals; the numbers are this project's choice",
        ),
    ),
    strata=(
        ("albumin", "alb_g_per_l", (35.0, 41.0)),
        ("weight", "wt_kg", (65.0, 90.0)),
        ("antibodies", "antibodies", (0.5,)),
    ),
    look_ahead=3,
    # This project's choice: the level is that of a typical patient at week 4 and before the next infusion.
    shield=ShieldLimits(dose=10.0, factor=2.0, level=60.0),
)

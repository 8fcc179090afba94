"""Busulfan before transplantation: four daily infusions, targeting a cumulative AUC of 90 mg h/L.

**What the clinic knows.** Before the first dose: sex, age, weight, height, and clofarabine treatment (none here).
Levels are drawn 3.5, 4, 6 and 8 h after the start of each infusion and are known before the next one.

**Patients** follow McCune 2014 by default: children and young adults of 0.1-24 years, the ages of Shukla 2020, so a
controller may assume either model. In both, clearance decreases during treatment, at different times.

**Test patients** follow Neroutsos 2022, children of 0.5-19 years in Athens: clearance depends on weight alone, neither
on age nor on the day of treatment. Younger ones are extrapolations.

**The window** is that of the EBMT, 78-101 mg h/L. More is harm, and never success as well. The sum alone would allow
any course of doses, so learners are rewarded for an even one.

**The AUC is taken to 96 h**, a day after the last dose, not to 192 h as in the protocol: the remainder is 0.1 % of it
on average under McCune 2014 (0.2 % under Shukla 2020), and below 1.4 % in 99 of 100 patients.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.events import Clock
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.drugs.shared.body_size import growth_height_cm, growth_weight_kg
from rl_drug_dosage.pkpd import Categorical, LogNormal, Normal, Target, Values

__all__ = ["SCENARIO"]

_MODELS = ("busulfan-mccune2014", "busulfan-shukla2020")

_PROTOCOL = "InsightRX/mipdtrial vignettes/busulfan_mipd.Rmd"
_RANGE = "ages and sizes as in the drug file busulfan_shukla2020 (Long-Boyle 2015, same centre)"
_WINDOW = (
    "cumulative AUC of 78-101 mg h/L with better survival (Lawson R et al. Clin Pharmacokinet 2020, abstract); also "
    "the EBMT's window"
)
_EMA = "EMA, as in the footnote of Table 3 in McCune JS et al. Clin Cancer Res 2014;20(3):754-763"

_SAMPLES_H = (3.5, 4.0, 6.0, 8.0)
_INFUSION_H = 3.0
_DOSES = 4
_AIM, _LOW, _HIGH = 90.0, 78.0, 101.0
_LLOQ = 0.05
_LARGEST = 6.4
"""mg/kg, twice an adult's dose: this project's choice."""


def _label(facts: Values, record: Record) -> Array:
    """Weight-banded first dose; then the remaining AUC divided over the remaining doses, by the AUC per dose so far."""
    wt = facts["wt_kg"]
    every_6_h = jnp.select([wt < 9.0, wt < 16.0, wt <= 23.0, wt <= 34.0], [1.0, 1.2, 1.1, 0.95], 0.8)
    seen = record.known.all(axis=1) & (record.dose > 0)
    auc = jnp.sum(jnp.where(seen, jax.vmap(_auc_by_hand)(record.level), 0.0))
    given = jnp.sum(jnp.where(seen, record.dose, 0.0))
    left = jnp.maximum(_AIM - auc, 0.0) / jnp.maximum(record.dose.shape[0] - record.k, 1)
    return jnp.where(given > 0, jnp.minimum(left * given / jnp.maximum(auc, 1.0), _LARGEST), 4.0 * every_6_h)


def _auc_by_hand(levels: Float[Array, " sample"]) -> Float[Array, ""]:
    """AUC of one dose to infinity, mg h/L: a log-linear fit of its levels, extrapolated back over the infusion.

    With slope -k and level c at the end of the infusion of T h: c (T - (1 - e) / k) / (1 - e) + c / k, e = exp(-k T).
    """
    after_h = jnp.asarray(_SAMPLES_H) - _INFUSION_H
    log = jnp.log(jnp.maximum(levels, _LLOQ))
    centred = after_h - after_h.mean()
    k = jnp.clip(-(log @ centred) / (centred @ centred), 0.05, 1.5)
    peak = jnp.exp(log.mean() + k * after_h.mean())
    risen = 1.0 - jnp.exp(-k * _INFUSION_H)
    return peak * (_INFUSION_H - risen / k) / risen + peak / k


def _reward(judged: Judged) -> Array:
    share = _AIM * (judged.interval + 1.0) / _DOSES
    return -jnp.abs(judged.metrics[0][0] - share) / _AIM


SCENARIO = Scenario(
    title="busulfan once daily for 4 days in children, cumulative AUC 78-101 mg h/L",
    models=_MODELS,
    test_only=("busulfan-neroutsos2022",),
    covariates=drawn(
        _MODELS,
        {
            "female": Drawn(
                distribution=Categorical((0.0, 1.0), (0.59, 0.41)),
                source=f"{_RANGE}: 41 % female",
                meaning="1 girl, 0 boy",
            ),
            "age_y": Drawn(
                source=f"{_RANGE}; even spread: this project's choice",
                high=24.0,
                typical=7.0,
                meaning="age",
            ),
            "wt_kg": Drawn(
                distribution=LogNormal(lambda c: growth_weight_kg(c["age_y"], c["female"]), 0.15),
                source=f"{_RANGE}; around the CDC's median for age and sex: this project's choice",
                high=101.0,
                typical=22.0,
                meaning="body weight",
            ),
            "height_cm": Drawn(
                distribution=Normal(
                    lambda c: growth_height_cm(c["age_y"], c["female"]),
                    lambda c: 0.04 * growth_height_cm(c["age_y"], c["female"]),
                ),
                source="around the CDC's median for age and sex: this project's choice, as in busulfan_shukla2020",
                typical=122.0,
            ),
            "clofarabine": Drawn(
                source=f"{_PROTOCOL}: 0 for all",
                meaning="conditioning with fludarabine and clofarabine",
            ),
        },
    ),
    # Grid times at 6 h and 12 h: clearance changes 6 h and 36 h after the first dose (McCune 2014).
    schedule=Schedule(interval_h=24.0, decisions=_DOSES, output_times_h=(*_SAMPLES_H, 12.0, 24.0)),
    dosage=Dosage(
        amounts=tuple(step / 5 for step in range(33)),
        unit="mg/kg",
        compartment="central",
        duration_h=_INFUSION_H,
        usual=3.2,
        per="wt_kg",
        source=f"{_PROTOCOL}: 3.2 mg/kg over 3 h once daily; 0-6.4 mg/kg in steps of 0.2 is this project's choice",
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=_SAMPLES_H,
        turnaround_h=8.0,
        lloq=_LLOQ,
        source=f"{_PROTOCOL}; results after 8 h and the limit of 0.05 mg/L are this project's choice",
    ),
    goal=Goal(
        title="proportion of patients with a cumulative AUC of 78-101 mg h/L at 96 h (%)",
        targets=(
            Target(
                "concentration",
                "auc_total",
                _LOW,
                _HIGH,
                "mg h/L",
                f"{_WINDOW}; aim 90: {_PROTOCOL}",
                aim=_AIM,
            ),
        ),
        harms=(
            Harm(
                "AUC > 101 mg h/L",
                "auc_total",
                "concentration",
                _WINDOW,
                above=_HIGH,
            ),
        ),
        judged=(_DOSES - 1,),
        steady=False,
        steady_text=(
            "the goal is the sum of four areas: each dose depends on what the doses before have left of it, and "
            "clearance falls during treatment"
        ),
    ),
    reward=_reward,
    reward_text="after dose k of 4: -|AUC so far - 90 k / 4| / 90 (this project's choice)",
    label=_label,
    label_text=(
        f"1, 1.2, 1.1, 0.95, 0.8 mg/kg below 9, 16, 23, 34 kg and above, times 4, once daily ({_EMA}); then the rest "
        "of 90 mg h/L divided over the remaining doses, by the AUC per mg/kg so far, from a log-linear fit of each "
        "dose's levels (like the non-compartmental arm of Hughes et al. J Pharmacokinet Pharmacodyn 2024, "
        "s10928-024-09915-w; the arithmetic, and the largest dose of 6.4 mg/kg, are this project's)"
    ),
    clocks=(Clock("time_h", lambda t_h: t_h),),
    strata=(
        ("age", "age_y", (2.0, 12.0)),
        ("weight", "wt_kg", (16.0, 34.0)),
    ),
    look_ahead=_DOSES,
    # This project's choice: the level is that of a typical patient at the end of the samples.
    shield=ShieldLimits(dose=_LARGEST, factor=2.0, level=8.0),
)

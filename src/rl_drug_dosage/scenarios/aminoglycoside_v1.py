"""Gentamicin after cardiothoracic surgery: once daily for ten days, peak 7-10 mg/L and trough below 2 mg/L.

**What the clinic knows.** Before the first dose: body weight. Every day: creatinine clearance, which is unstable. On
every other day levels are drawn 1 h after the start of the infusion and 1 h before the next one; both results are known
before that next dose.

**Patients** follow Staatz 2005, the only model here, with a creatinine clearance of 30 mL/min or more: the interval is
24 h for all, and patients below that need longer ones. Creatinine clearance drifts from day to day, and gentamicin's
clearance follows it as in nlmixr2lib, which has a single slope.

**Day-to-day variability.** The published residual error, 24 %, is that of routine levels: it includes assay error and
day-to-day variability. Here it is split into 12 % assay error and 15 % each in clearance and central volume, redrawn
every day: this project's choice. A controller assumes the published error.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.ward import Dosage, Drift, Monitoring, Schedule
from rl_drug_dosage.pkpd import Eta, Param, Residual, Target, Values

__all__ = ["SCENARIO"]

_MODELS = ("gentamicin-staatz2005",)

_STAATZ = "Staatz 2005 (nlmixr2lib Staatz_2005_gentamicin.R)"
_SPLIT = "this project's choice, see the module docstring"
_LOW, _HIGH, _TROUGH = 7.0, 10.0, 2.0
_DAYS = 10
_PEAK, _LAST = 0, 1
"""Columns of levels."""


def _label(facts: Values, record: Record) -> Array:
    """2.5 mg/kg; a peak outside the window adjusts its dose halfway to the aim, a high trough lowers it by 20 %."""
    at = jnp.max(jnp.where(record.known[:, _LAST], jnp.arange(record.known.shape[0]), -1))
    peak, trough = jnp.maximum(record.level[jnp.maximum(at, 0)], 0.1)
    outside = (peak < _LOW) | (peak > _HIGH)
    factor = jnp.where(outside, jnp.clip(((_LOW * _HIGH) ** 0.5 / peak) ** 0.5, 0.75, 1.33), 1.0)
    factor = factor * jnp.where(trough > _TROUGH, 0.8, 1.0)
    return jnp.where(at >= 0, record.dose[jnp.maximum(at, 0)] * factor, 2.5 * facts["wt_kg"])


def _reward(judged: Judged) -> Array:
    peak, trough = judged.metrics[0][0], judged.metrics[1][0]
    missed = jnp.maximum(jnp.maximum(_LOW - peak, peak - _HIGH), 0.0) / _HIGH
    return -missed - jnp.maximum(trough - _TROUGH, 0.0) / _TROUGH


SCENARIO = Scenario(
    title="gentamicin once daily for 10 days, peak 7-10 mg/L and trough below 2 mg/L",
    models=_MODELS,
    covariates=drawn(
        _MODELS,
        {
            "crcl_ml_per_min": Drawn(
                source=f"{_STAATZ}: median 57, range 9-169; spread as in the drug file; cut at 30 mL/min (our choice)",
                low=30.0,
                high=169.0,
                meaning="creatinine clearance",
            ),
            "crcl_change_ml_per_min": Drawn(
                source="0: one slope for every change of creatinine clearance, as in nlmixr2lib",
                meaning="change with a separate slope",
            ),
            "wt_kg": Drawn(
                source=f"{_STAATZ}: median 72, range 39-138; spread as in the drug file",
                meaning="body weight",
            ),
        },
    ),
    schedule=Schedule(interval_h=24.0, decisions=_DAYS, output_times_h=(1.0, 8.0, 23.0, 24.0)),
    dosage=Dosage(
        amounts=tuple(20.0 * step for step in range(25)),
        unit="mg",
        compartment="central",
        duration_h=0.5,
        usual=180.0,
        source=f"{_STAATZ}: infusions of 10-30 min, 40-300 mg; 0-480 mg in steps of 20 is this project's choice",
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=(1.0, 23.0),
        intervals=tuple(range(0, _DAYS, 2)),
        turnaround_h=1.0,
        guide=_PEAK,
        error=Residual(
            "combined2",
            additive=Param(0.13, "mg/L", f"{_STAATZ} Table 4", "additive residual standard deviation"),
            proportional=Param(12.0, "%", _SPLIT, "proportional standard deviation of the assay"),
        ),
        lloq=0.3,
        source=f"{_STAATZ}: peak 1 h after the dose, and trough; days, turnaround, limit are this project's choice",
    ),
    goal=Goal(
        title="proportion of days with peak 7-10 mg/L and trough below 2 mg/L (%)",
        targets=(
            Target("concentration", "peak", _LOW, _HIGH, "mg/L", f"{_STAATZ}: higher target of the unit"),
            Target("concentration", "trough", None, _TROUGH, "mg/L", f"{_STAATZ}: target of the unit"),
        ),
        harms=(
            Harm(
                "trough > 2 mg/L",
                "trough",
                "concentration",
                f"nephrotoxicity risk; {_STAATZ}: target of the unit",
                above=_TROUGH,
            ),
        ),
    ),
    reward=_reward,
    reward_text=(
        "minus the distance of the peak from 7-10 mg/L in units of 10, minus the excess of the trough over 2 mg/L in "
        "units of 2 (this project's choice)"
    ),
    label=_label,
    label_text=(
        "2.5 mg/kg, which brings a typical patient to the middle of the peak window (V1 of Staatz 2005); then the dose "
        "of the latest levels times the square root of 8.4 / peak (0.75-1.33) if that peak is outside, and times 0.8 "
        "if the trough is above 2 (this project's choice)"
    ),
    drifts=(
        Drift(
            "crcl_ml_per_min",
            None,
            24.0,
            0.1,
            "unstable renal function after surgery; 10 % per day is this project's choice",
        ),
    ),
    daily_etas=(
        Eta("cl", Param(0.15, "1", _SPLIT, "SD of ln CL between days"), kind="sd"),
        Eta("v1", Param(0.15, "1", _SPLIT, "SD of ln V1 between days"), kind="sd"),
    ),
    strata=(
        ("renal function", "crcl_ml_per_min", (45.0, 75.0)),
        ("weight", "wt_kg", (60.0, 85.0)),
    ),
    look_ahead=3,
    # This project's choice: the level is that of a typical patient at the grid times.
    shield=ShieldLimits(dose=400.0, factor=2.0, level=14.0),
    training=TrainingSettings(
        total_timesteps=1_000_000,
        num_envs=1024,
        num_minibatches=8,
        init_logstd=-1.0,
        env={"belief": "gentamicin-staatz2005", "action": "residual"},
    ),
)

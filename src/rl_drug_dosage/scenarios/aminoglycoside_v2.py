"""Gentamicin after cardiothoracic surgery: once daily for ten days, AUC24 70-100 mg h/L and trough below 1 mg/L.

**What the clinic knows.** Before the first dose: body weight. Every day: creatinine clearance, which is unstable. On
every other day levels are drawn 1 h and 8 h after the start of the infusion; both results are known before the next
dose.

**The goal** is that of once-daily dosing, by area. A peak of 7-10 mg/L with a trough below 2 mg/L, the targets of
Staatz 2005, belongs to divided doses: once a day it would mean an AUC24 of 46-64 mg h/L.

**Patients** follow Staatz 2005, the only model for controllers and training, with a creatinine clearance of 60 mL/min
or more at the start: the interval is 24 h for all, and the Hartford nomogram gives patients below that 36 or 48 h.
Creatinine clearance drifts from day to day, and gentamicin's clearance follows it as in nlmixr2lib, which has a single
slope.

**Test patients** follow Duong 2022, critically ill adults in Quebec: one compartment, a flatter slope on creatinine
clearance, a volume that does not depend on weight.

**Day-to-day variability.** The published residual error, 24 %, is that of routine levels: it includes assay error and
day-to-day variability. Here it is split into 12 % assay error and 15 % each in clearance and central volume, redrawn
every day: this project's choice. A controller assumes the published error.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.events import Drift
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Eta, Param, Residual, Target, Uniform, Values

__all__ = ["SCENARIO"]

_MODELS = ("gentamicin-staatz2005",)

_STAATZ = "Staatz 2005 (nlmixr2lib Staatz_2005_gentamicin.R)"
_SPLIT = "this project's choice, see the module docstring"
_ONCE_DAILY = (
    "once-daily dosing: 5-7 mg/kg every 24 h from 60 mL/min on (Hartford nomogram as in UCSF's guideline, "
    "idmp.ucsf.edu/content/gentamicin)"
)
_AREA = "Kirkpatrick 1999 (gentamicin once daily), abstract: AUC24 of 70-100 mg h/L"
_PREDOSE = "trough below 1 mg/L of once-daily gentamicin: guideline of Nottingham University Hospitals"
_LOW, _HIGH, _TROUGH = 70.0, 100.0, 1.0
_SAMPLES_H = (1.0, 8.0)
_INFUSION_H = 0.5
_DAYS = 10
_PEAK = 0
"""Column of levels."""
_LLOQ = 0.3


def _label(facts: Values, record: Record) -> Array:
    """5 mg/kg; then the dose whose area was last measured, in proportion to the middle of the window."""
    seen = record.known.all(axis=1) & (record.dose > 0)
    at = jnp.max(jnp.where(seen, jnp.arange(record.known.shape[0]), -1))
    area = _area_by_hand(record.level[jnp.maximum(at, 0)])
    factor = jnp.clip(0.5 * (_LOW + _HIGH) / area, 0.5, 2.0)
    return jnp.minimum(jnp.where(at >= 0, record.dose[jnp.maximum(at, 0)] * factor, 5.0 * facts["wt_kg"]), 560.0)


def _area_by_hand(levels: Float[Array, " sample"]) -> Float[Array, ""]:
    """AUC of a dose to infinity from two levels, mg h/L: log-linear, extrapolated back to the end of the infusion."""
    first, second = jnp.maximum(levels[0], _LLOQ), jnp.maximum(levels[1], _LLOQ)
    k = jnp.clip(jnp.log(first / second) / (_SAMPLES_H[1] - _SAMPLES_H[0]), 0.03, 1.0)
    end = first * jnp.exp(k * (_SAMPLES_H[0] - _INFUSION_H))
    risen = 1.0 - jnp.exp(-k * _INFUSION_H)
    return end * (_INFUSION_H - risen / k) / risen + end / k


def _reward(judged: Judged) -> Array:
    area, trough = judged.metrics[0][0], judged.metrics[1][0]
    missed = jnp.maximum(jnp.maximum(_LOW - area, area - _HIGH), 0.0) / _HIGH
    return -jnp.minimum(missed, 2.0) - jnp.minimum(jnp.maximum(trough - _TROUGH, 0.0) / _TROUGH, 2.0)


SCENARIO = Scenario(
    title="gentamicin once daily for 10 days, AUC24 70-100 mg h/L and trough below 1 mg/L",
    models=_MODELS,
    test_only=("gentamicin-duong2022",),
    covariates=drawn(
        _MODELS,
        {
            "crcl_ml_per_min": Drawn(
                distribution=Uniform(60.0, 120.0),
                source=f"{_STAATZ}: range 9-169; 60-120 mL/min at the start is this project's choice ({_ONCE_DAILY}), "
                "down to 30 mL/min by drift",
                low=30.0,
                high=169.0,
                typical=85.0,
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
    schedule=Schedule(interval_h=24.0, decisions=_DAYS, output_times_h=(1.0, 8.0, 24.0)),
    dosage=Dosage(
        amounts=tuple(20.0 * step for step in range(36)),
        unit="mg",
        compartment="central",
        duration_h=_INFUSION_H,
        usual=360.0,
        source=(
            f"5 mg/kg for 72 kg, {_ONCE_DAILY}; infusions of 10-30 min: {_STAATZ}; 0-700 mg in steps of 20 is this "
            "project's choice"
        ),
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=_SAMPLES_H,
        intervals=tuple(range(0, _DAYS, 2)),
        turnaround_h=1.0,
        guide=_PEAK,
        error=Residual(
            "combined2",
            additive=Param(0.13, "mg/L", f"{_STAATZ} Table 4", "additive residual standard deviation"),
            proportional=Param(12.0, "%", _SPLIT, "proportional standard deviation of the assay"),
        ),
        lloq=_LLOQ,
        source=(
            f"{_STAATZ}: 1 h after the dose; a second level 6-14 h after it: {_ONCE_DAILY}; days, turnaround and "
            "limit are this project's choice"
        ),
    ),
    goal=Goal(
        title="proportion of days with AUC24 70-100 mg h/L and trough below 1 mg/L (%)",
        targets=(
            Target("concentration", "auc24", _LOW, _HIGH, "mg h/L", _AREA),
            Target("concentration", "trough", None, _TROUGH, "mg/L", _PREDOSE),
        ),
        harms=(
            Harm("trough > 1 mg/L", "trough", "concentration", f"nephrotoxicity risk; {_PREDOSE}", above=_TROUGH),
            Harm("AUC24 > 100 mg h/L", "auc24", "concentration", _AREA, above=_HIGH),
        ),
        steady=False,
        steady_text="creatinine clearance drifts from day to day, and the dose has to follow it",
    ),
    reward=_reward,
    reward_text=(
        "minus the distance of AUC24 from 70-100 mg h/L in units of 100, minus the excess of the trough over 1 mg/L, "
        "each at most 2 (this project's choice)"
    ),
    label=_label,
    label_text=(
        f"5 mg/kg, at most 560 mg ({_ONCE_DAILY}); then the dose last measured times 85 / its AUC24 from two levels "
        "(0.5-2): "
        "the arithmetic of two post-dose levels (Paterson DL et al. Pathology 1998;30:289-294), the limits are this "
        "project's choice"
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
        ("renal function", "crcl_ml_per_min", (75.0, 100.0)),
        ("weight", "wt_kg", (60.0, 85.0)),
    ),
    look_ahead=3,
    # This project's choice: the level is that of a typical patient at the grid times.
    shield=ShieldLimits(dose=560.0, factor=2.0, level=32.0),
)

"""Gentamicin."""
import os
import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Dosage, Drift, Goal, Harm, Judged, Monitoring, Scenario, Schedule, Window
from rl_drug_dosage.pkpd import Param, Residual, Eta, Categorical, Covariate, Fixed, LogNormal, Normal, Values

__all__ = ["SCENARIO"]
H=float(os.environ.get("H","24")); N=int(os.environ.get("N","10"))
MG=float(os.environ.get("MG","2.5"))

def _label(facts: Values, record: Record) -> Array:
    return MG * facts["wt_kg"]

def _reward(judged: Judged) -> Array:
    return -((judged.metrics[0][0]<7)|(judged.metrics[0][0]>10)|(judged.metrics[1][0]>2)).astype(float)

def C(name, unit, low, high, typical, source, meaning, distribution, column):
    return Covariate(name=name, unit=unit, low=low, high=high, typical=typical, source=source, meaning=meaning, distribution=distribution, column=column)

SCENARIO = Scenario(
    title="gentamicin",
    models=("gentamicin-staatz2005",),
    covariates=(
        C("crcl_ml_per_min", "mL/min", float(os.environ.get("CR","30")), 169.0, 63.0, "", "", LogNormal(57.0, 0.59), "CRCL"),
        C("crcl_change_ml_per_min", "mL/min", -76.0, 58.0, 0.0, "", "", Fixed(0.0), "DCRCL"),
        C("wt_kg", "kg", 39.0, 138.0, 72.0, "", "", LogNormal(72.0, 0.25), "WT"),
    ),
    schedule=Schedule(interval_h=H, decisions=N, grid_h=(1.0, 8.0, H)),
    dosage=Dosage(amounts=tuple(float(a) for a in range(0, 481, 20)), unit="mg", compartment="central", duration_h=0.5, usual=120.0, source=""),
    monitoring=Monitoring(output="concentration", at_h=(1.0,H), lloq=0.3, error=Residual("combined2", additive=Param(0.13,"mg/L","",""), proportional=Param(0.12,"1","","")), source="", intervals=(0,2,4,6,8)),
    goal=Goal(title="x", windows=(Window("peak", "concentration", 7.0, 10.0, "mg/L", ""),Window("end", "concentration", None, 2.0, "mg/L", "")), harms=(Harm("trough > 2", "end", "concentration", "", above=2.0),)),
    reward=_reward,
    reward_text="", label=_label, label_text="",
    drifts=(Drift("crcl_ml_per_min", None, 1.0, 0.1, ""),),
    daily_etas=(Eta("v1", Param(float(os.environ.get("SV",".15")),"1","",""),kind="sd"), Eta("cl", Param(float(os.environ.get("SC",".15")),"1","",""),kind="sd")),
    look_ahead=3,
)

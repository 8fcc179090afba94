"""Infliximab."""
import os
import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Dosage, Drift, Goal, Harm, Judged, Monitoring, Scenario, Schedule, Window
from rl_drug_dosage.pkpd import Categorical, Covariate, LogNormal, Normal, Values

__all__ = ["SCENARIO"]
W=int(os.environ.get("W","8")); H=W*168.0
N=int(os.environ.get("N","7")); TOP=int(os.environ.get("TOP","2000"))

V=os.environ.get("V","a"); TA=float(os.environ.get("TA","1"))*168.0
def _label(facts: Values, record: Record) -> Array:
    wt = facts["wt_kg"]
    at = jnp.max(jnp.where(record.known[:, -1], jnp.arange(record.known.shape[0]), -1))
    trough = jnp.maximum(record.level[jnp.maximum(at, 0), -1], 0.1)
    now = record.dose[jnp.maximum(record.k - 1, 0)]
    behind = record.dose[jnp.maximum(at, 0)]
    if V == "a":
        new = jnp.where(trough < 5.0, 10.0 * wt, jnp.where(trough > 10.0, 0.75 * behind, behind))
    if V == "b":
        new = jnp.where((trough < 5.0) | (trough > 10.0), jnp.minimum(behind * jnp.clip(7.0 / trough, 0.5, 2.0), 10.0 * wt), behind)
    if V == "c":
        new = jnp.where((trough < 5.0) | (trough > 10.0), behind * jnp.clip(7.0 / trough, 0.5, 2.0), behind)
    return jnp.where(record.k == 0, 5.0 * wt, jnp.where(at >= 0, new, now))


def _reward(judged: Judged) -> Array:
    trough, low, high = jnp.maximum(judged.metrics[0][0], 0.1), judged.low[0], judged.high[0]
    return -jnp.where((trough < low) | (trough > high), 1.0, 0.0)

def C(name, unit, low, high, typical, source, meaning, distribution, column):
    return Covariate(name=name, unit=unit, low=low, high=high, typical=typical, source=source, meaning=meaning, distribution=distribution, column=column)

SCENARIO = Scenario(
    title="infliximab",
    models=("infliximab-fasanmade2009",),
    covariates=(
        C("female", "0/1", 0.0, 1.0, 0.0, "", "", Categorical((0.0, 1.0), (0.608, 0.392)), "FEMALE"),
        C("wt_kg", "kg", 36.0, 159.0, 77.0, "", "", LogNormal(77.0, 0.25), "WT"),
        C("alb_g_per_l", "g/L", 20.0, 55.0, 41.0, "", "", Normal(38.0, 5.48), "ALB"),
        C("antibodies", "0/1", 0.0, 1.0, 0.0, "", "", Categorical((0.0, 1.0), (0.932, 0.068)), "ATI"),
    ),
    schedule=Schedule(interval_h=H, decisions=N, grid_h=(H/2, H)),
    dosage=Dosage(amounts=tuple(float(a) for a in range(0, TOP+1, 100)), unit="mg", compartment="central", duration_h=2.0, usual=400.0, source=""),
    monitoring=Monitoring(output="concentration", at_h=(H,), lloq=0.4, turnaround_h=TA, source=""),
    goal=Goal(title="x", windows=(Window("end", "concentration", 5.0, 10.0, "mg/L", ""),), harms=(Harm("trough < 3", "end", "concentration", "", below=3.0),)),
    reward=_reward,
    reward_text="", label=_label, label_text="",
    drifts=(Drift("alb_g_per_l", 42.0, 16 * 168.0, 0.04, ""),),
    look_ahead=3,
)

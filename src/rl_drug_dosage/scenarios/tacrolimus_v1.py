"""Tacrolimus in the six weeks after kidney transplantation: two doses a day, guided by whole-blood troughs.

**What the clinic knows.** Before the first dose: age, body size, CYP3A5 and CYP3A4*22 genotype. Each morning:
haematocrit, albumin, creatinine, the prednisolone dose. The trough is drawn before the morning dose, daily in the first
week and three times a week after that; its result is known from the next morning. The morning and evening doses are
equal.

**The windows** are those of one centre, Rotterdam. Others aim lower: with basiliximab and mycophenolate, trials aimed
at 3-7 ug/L.

**Patients** follow Andrews 2019 by default. While the graft starts to work, creatinine falls, haematocrit and albumin
recover, and prednisolone is tapered. The rates are this project's choice: only the size of each effect is published.

**Test patients** follow Woillard 2011, Limoges and Toulouse: absorption in three steps, clearance by haematocrit and
CYP3A5 alone. Their occasions, visits in the paper, are days here, so that they change faster than its patients did.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.events import Clock, Drift
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import Covariate, Derived, LogNormal, Normal, Target, Values

__all__ = ["SCENARIO"]

_MODELS = ("tacrolimus-andrews2019", "tacrolimus-storset2014")

_ANDREWS = "Andrews 2019 Table 1 (nlmixr2lib Andrews_2019_tacrolimus.R)"
_STORSET = "Storset 2014 Table 1 (nlmixr2lib Storset_2014_tacrolimus.R)"
_ROTTERDAM = "Andrews 2019, Rotterdam (nlmixr2lib Andrews_2019_tacrolimus.R)"
_COURSE = "after transplantation; the numbers are this project's choice"

_DAYS = 42
_PHASES = ((0.0, 10.0, 15.0), (14 * 24.0, 8.0, 12.0), (28 * 24.0, 5.0, 10.0))
"""(from, low, high): h and ug/L."""


def _label(facts: Values, record: Record) -> Array:
    """Start by weight and genotype; then the dose of the latest trough times aim / trough, if it is outside."""
    start = 0.5 * jnp.where(facts["cyp3a5_expresser"] > 0.5, 0.3, 0.2) * facts["wt_kg"]
    phase = jnp.sum((record.k + 1) * 24.0 > jnp.asarray([from_h for from_h, _, _ in _PHASES])) - 1
    low = jnp.asarray([edge for _, edge, _ in _PHASES])[phase]
    high = jnp.asarray([edge for _, _, edge in _PHASES])[phase]
    at = jnp.max(jnp.where(record.known[:, -1], jnp.arange(record.known.shape[0]), -1))
    trough = jnp.maximum(record.level[jnp.maximum(at, 0), -1], 0.1)
    now, behind = record.dose[jnp.maximum(record.k - 1, 0)], record.dose[jnp.maximum(at, 0)]
    # The trough of the first day is far from steady state and is ignored.
    acts = (at >= 1) & ((trough < low) | (trough > high))
    new = behind * jnp.clip(jnp.sqrt(low * high) / trough, 0.5, 1.5)
    return jnp.where(record.k == 0, start, jnp.where(acts, new, now))


def _reward(judged: Judged) -> Array:
    low, high = judged.low[0], judged.high[0]
    trough = jnp.maximum(judged.metrics[0][0], 0.1)
    off = jnp.abs(jnp.log(trough / jnp.sqrt(low * high))) / (0.5 * jnp.log(high / low))
    return -jnp.where(off > 1.0, jnp.minimum(off, 5.0), 0.0)


SCENARIO = Scenario(
    title="tacrolimus twice daily for 6 weeks, trough 10-15, then 8-12, then 5-10 ug/L",
    models=_MODELS,
    test_only=("tacrolimus-woillard2011",),
    covariates=drawn(
        _MODELS,
        {
            "age_y": Drawn(
                source=f"{_ANDREWS}: 15-79.4, centre 55.72; adults, and the spread, as in the drug file",
                low=18.0,
            ),
            "bsa_m2": Drawn(
                source=f"{_ANDREWS}: 1.24-2.66, centre 1.93; spread as in the drug file",
            ),
            "lbm_kg": Drawn(
                distribution=Normal(lambda c: 58.94 * c["bsa_m2"] / 1.93, 4.7),
                source=f"{_ANDREWS}: 33.1-85.3, centre 58.94; in proportion to body surface area as in the drug file",
            ),
            "ffm_kg": Drawn(
                distribution=Derived(lambda c: c["lbm_kg"]),
                source=f"{_STORSET}: 35-80; set equal to lean body mass, this project's choice",
                typical=58.94,
                meaning="fat-free mass",
            ),
            "wt_kg": Covariate(
                name="wt_kg",
                unit="kg",
                low=30.0,
                high=150.0,
                typical=77.5,
                source="from body surface area, WT = 3600 BSA^2 / HT (Mosteller); 173 cm for all, our choice",
                meaning="body weight; used only by the label's starting dose",
                distribution=Derived(lambda c: 3600.0 * c["bsa_m2"] ** 2 / 173.0),
                column="WT",
                aliases=WEIGHT,
            ),
            "cyp3a5_expresser": Drawn(
                source=f"{_ANDREWS}: 86 of 337",
            ),
            "cyp3a4_22": Drawn(
                source=f"{_ANDREWS}: 31 of 337",
                meaning="carries CYP3A4*22",
            ),
            "hct_percent": Drawn(
                distribution=Normal(31.0, 4.2),
                source=f"range: {_STORSET}; 31 % on the first day is this project's choice",
                low=24.0,
                high=45.0,
            ),
            "alb_g_per_l": Drawn(
                distribution=Normal(36.0, 5.0),
                source=f"{_ANDREWS}: 12-57; 36 g/L on the first day is this project's choice",
            ),
            "scr_umol_per_l": Drawn(
                distribution=LogNormal(400.0, 0.5),
                source=f"{_ANDREWS}: 38-1885; 400 umol/L on the first day is this project's choice",
            ),
            "prednisolone_mg_per_day": Drawn(
                source=f"{_STORSET}: Oslo starts with 20 mg a day",
            ),
        },
    ),
    # Absorption has a lag of 0.4 h: no grid time may be earlier after a dose.
    schedule=Schedule(interval_h=24.0, decisions=_DAYS, output_times_h=(12.0, 24.0)),
    dosage=Dosage(
        amounts=tuple(0.5 * capsules for capsules in range(31)),
        unit="mg",
        compartment="depot",
        usual=7.5,
        at_h=(0.0, 12.0),
        source=f"{_ROTTERDAM}: 0.2 mg/kg a day in two doses of 0.5 mg capsules; up to 15 mg is this project's choice",
    ),
    monitoring=Monitoring(
        output="concentration",
        at_h=(24.0,),
        intervals=(*range(7), *(day for day in range(7, _DAYS) if day % 7 in {1, 3, 5})),
        turnaround_h=24.0,
        lloq=1.0,
        source="daily, then three times a week, results a day later; this project's choice, as is the limit of 1 ug/L",
    ),
    goal=Goal(
        title="proportion of days with a trough in the current window (%)",
        targets=(
            Target(
                "concentration",
                "trough",
                *_PHASES[0][1:],
                "ug/L",
                f"{_ROTTERDAM}: 10-15 in weeks 1-2, 8-12 in weeks 3-4, 5-10 after",
                later=_PHASES[1:],
            ),
        ),
        harms=(
            Harm("trough > 20 ug/L", "trough", "concentration", "toxicity limit: this project's choice", above=20.0),
        ),
        steady=False,
        steady_text=(
            "the window falls twice, and haematocrit, albumin and prednisolone change while the patient recovers"
        ),
    ),
    reward=_reward,
    reward_text=(
        "0 inside the window, outside it minus the distance of ln C0 from its middle in half-widths, at most 5 (this "
        "project's choice)"
    ),
    label=_label,
    label_text=(
        f"0.2 mg/kg a day ({_ROTTERDAM}), 0.3 for CYP3A5 expressers (1.5 times as much, CPIC: Birdwell KA et al. Clin "
        "Pharmacol Ther 2015;98:19-24); from the second trough on, if it is outside its window, its dose times aim / "
        "trough (0.5-1.5)"
    ),
    drifts=(
        Drift("hct_percent", 36.0, 21 * 24.0, 0.01, f"anaemia recovers {_COURSE}"),
        Drift("alb_g_per_l", 42.0, 14 * 24.0, 0.01, f"albumin recovers {_COURSE}"),
        Drift("scr_umol_per_l", 134.98, 7 * 24.0, 0.05, f"creatinine falls {_COURSE}"),
        Drift("prednisolone_mg_per_day", 5.0, 14 * 24.0, 0.0, f"prednisolone is tapered {_COURSE}"),
    ),
    clocks=(Clock("first_day", lambda t_h: jnp.where(t_h <= 24.0, 1.0, 0.0)),),
    strata=(
        ("CYP3A5", "cyp3a5_expresser", (0.5,)),
        ("age", "age_y", (45.0, 65.0)),
    ),
    look_ahead=5,
    # The limits are this project's choice: the level is that of a typical patient 12 and 24 h after the morning dose.
    shield=ShieldLimits(dose=15.0, factor=2.0, level=30.0),
)

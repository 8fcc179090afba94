"""Insulin in type 1 diabetes: a pump dose every 30 min for a day with three meals, glucose 3.9-10 mmol/L.

**What the clinic knows.** Weight, glucose at the start, the planned meals (their mean size, not what is actually
eaten), and a glucose sensor that reads every 15 min, the last reading at the time of the decision. Each dose, basal and
bolus combined, is injected subcutaneously at once.

**Patients** follow Hovorka 2004 with 13 random effects, some of them large. At 06:00 each is at the steady state of
their own basal rate, which is not observed and above 0 in all. There are no rescue carbohydrates; a patient who falls
below 2 mmol/L goes to hospital and counts as out of range to the end.

Doses far above the requirement drive glucose below 0 in this model, because insulin can make production negative
without a floor. The largest dose and the end in hospital keep the equations in their valid range. If insulin-driven
uptake is faster than Runge-Kutta with 24 steps per hour can resolve (above 66 per h), glucose would oscillate to
thousands of mmol/L instead of reaching 0: such a patient counts as having no glucose, and leaves.

**Sensitivity.** Hovorka's six men need 0.42 U/h of basal insulin, less than half of a clinic's patients. Here the three
insulin sensitivities are 0.42 times theirs, which gives 0.99 U/h at 76.3 kg: the basal part, 56 %, of 42.3 U a day, the
average of the clinical data behind Resalat 2019, whose virtual patients are scaled in the same way.

**A controller** estimates the eight random effects with most influence on glucose and sets the other five to their
typical values: they cannot be identified from a day of glucose, and each costs another solution of the equations.
Patients have all 13.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.events import Dropout, Intake
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.drugs.insulin_hovorka2004 import DRUG as HOVORKA
from rl_drug_dosage.pkpd import DrugModel, Param, Residual, Target, Uniform, Values

__all__ = ["SCENARIO"]

_RANGES = "time in, below and above range: Battelino T et al. Diabetes Care 2019;42:1593-1603"
_MEALS = "jxx123/simglucose scenario_gen.py: means of breakfast, lunch and dinner, 45, 70 and 80 g at 7, 12 and 18 h"
_RULES = "half of the daily insulin is basal, 500 rule, 100 rule (1800 rule in mg/dL): usual starting rules of pumps"
_RESALAT = (
    "Resalat N et al. 2019, A statistical virtual patient population for the glucoregulatory system in type 1 "
    "diabetes, Create_SH_VPP.m: 42.3 U a day at 76.3 kg, of which 56 % are basal"
)
_BASAL = 0.013
"""U/kg/h: 0.99 U/h at 76.3 kg (Resalat 2019), which keeps the typical patient here at 6 mmol/L."""
_SENSITIVITY = 0.42
_PER_DAY = 48


def _label(facts: Values, record: Record) -> Array:
    """Basal rate by weight, none below 4.4 mmol/L; with a meal, carbohydrates / ratio plus a correction bolus."""
    daily = 2.0 * 24.0 * _BASAL * facts["wt_kg"]
    last = jnp.maximum(record.k - 1, 0)
    known = record.known[last, -1]
    glucose = jnp.where(known, record.level[last, -1], facts["glucose0_mmol_per_l"])
    basal = jnp.where(glucose < 4.4, 0.0, 0.5 * daily / _PER_DAY)
    grams = record.intake_mg[record.k] / 1000.0
    bolus = grams * daily / 500.0 + (glucose - 6.0) * daily / 100.0
    return jnp.maximum(basal + jnp.where(grams > 0, bolus, 0.0), 0.0)


def _reward(judged: Judged) -> Array:
    glucose = judged.values["glucose"]
    # Bounded, because the model's glucose can fall below 0 after very large doses.
    low = jnp.clip(3.9 - glucose, 0.0, 3.9)
    high = jnp.clip(glucose - 10.0, 0.0, 20.0)
    return jnp.mean(jnp.where((low + high) == 0.0, 1.0, 0.0) - low - 0.1 * high)


def _less_sensitive(model: DrugModel) -> DrugModel:
    """The model with all three insulin sensitivities scaled."""
    thetas = dict(model.thetas)
    for name in ("sit", "sid", "sie"):
        was = thetas[name]
        source = f"{was.source}, times {_SENSITIVITY:g} to need the basal insulin of {_RESALAT}"
        thetas[name] = dataclasses.replace(was, value=was.value * _SENSITIVITY, source=source)
    return dataclasses.replace(
        model,
        name="insulin-hovorka2004-clinic",
        title="Insulin, meals and glucose in type 1 diabetes (Hovorka 2004), sensitivity of a clinic's patients",
        thetas=thetas,
    )


_MODELS = (_less_sensitive(HOVORKA),)

SCENARIO = Scenario(
    title="insulin every 30 min for a day with three meals, glucose 3.9-10 mmol/L",
    models=_MODELS,
    covariates=drawn(
        _MODELS,
        {
            "wt_kg": Drawn(
                source="uniform over 65-95 kg, as in the Monte-Carlo set of Hovorka patients that the drug file names",
                low=65.0,
                high=95.0,
            ),
            "glucose0_mmol_per_l": Drawn(
                distribution=Uniform(5.0, 9.0),
                source="uniform over 5-9 mmol/L: this project's choice",
                low=5.0,
                high=9.0,
                meaning="glucose at 06:00, maintained by the patient's own basal rate until then",
            ),
        },
    ),
    schedule=Schedule(
        interval_h=0.5, decisions=_PER_DAY, output_times_h=(0.25, 0.5), step_h=1.0 / 24.0, shown_unit="h"
    ),
    dosage=Dosage(
        amounts=(
            *(0.05 * i for i in range(21)),
            *(0.1 * i for i in range(11, 21)),
            *(0.25 * i for i in range(9, 13)),
            *(0.5 * i for i in range(7, 25)),
        ),
        unit="U",
        compartment="subcutaneous1",
        mg_per_unit=0.035,
        usual=0.5,
        source=(
            "steps of 0.05 U as of a pump, coarser above 1, 2 and 3 U, at most 12 U at once: this project's choice; "
            "0.035 mg per unit (product information of insulin lispro)"
        ),
    ),
    monitoring=Monitoring(
        output="glucose",
        at_h=(0.25, 0.5),
        error=Residual(
            "proportional",
            proportional=Param(
                0.10,
                "1",
                "a mean absolute relative difference of 8 % (a sensor in doi 10.1177/1932296816680633) is 0.8 SD of a "
                "normal error",
                "of a sensor reading",
            ),
        ),
        source="a sensor read every 15 min, without delay, independent errors: this project's choice",
    ),
    goal=Goal(
        title="time in range, glucose 3.9-10 mmol/L, from 06:00 to 06:00 (%)",
        targets=(Target("glucose", "value", 3.9, 10.0, "mmol/L", _RANGES, aim=6.5),),
        harms=(
            Harm("glucose < 3.9", "nadir", "glucose", _RANGES, below=3.9),
            Harm("glucose < 3.0", "nadir", "glucose", _RANGES, below=3.0),
            Harm("glucose > 13.9", "peak", "glucose", _RANGES, above=13.9),
        ),
        steady=False,
        steady_text="each of the day's meals needs its own dose, and the hours between them less",
    ),
    reward=_reward,
    reward_text=(
        "proportion of readings in 3.9-10 mmol/L, minus 1 per mmol/L below and 0.1 per mmol/L above (our choice)"
    ),
    label=_label,
    label_text=(
        f"basal 0.013 U/kg/h ({_RESALAT}), none below 4.4 mmol/L; with a meal 1 U per 500 / daily dose "
        f"grams and 1 U per 100 / daily dose mmol/L above 6 ({_RULES})"
    ),
    intake=Intake(
        compartment="gut1",
        schedule=((2, 45_000.0), (12, 70_000.0), (24, 80_000.0)),
        period=_PER_DAY,
        cv=0.15,
        announced=True,
        source=f"{_MEALS}; the SDs are 10 g there, 12-22 %; snacks and shifted meal times are omitted",
    ),
    dropout=Dropout(
        "glucose",
        None,
        1,
        "a reading's true value below 2.0 mmol/L ends the day in hospital: this project's choice",
        below=2.0,
        lost=100.0,
    ),
    strata=(
        ("weight", "wt_kg", (75.0, 85.0)),
        ("glucose at the start", "glucose0_mmol_per_l", (6.0, 7.5)),
    ),
    look_ahead=10,
    estimated=("egp0", "f01", "ka1", "sit", "sid", "sie", "tmax_insulin", "tmax_gut"),
    estimated_at=(*range(2, 13, 2), *range(15, 48, 3)),
    shield=ShieldLimits(dose=12.0, level=3.5, lowers=True),
    # Half as many patients as usual in as many updates: with ten intervals ahead and no closed form they take as long.
    training=TrainingSettings(num_envs=256, total_timesteps=120 * 256 * 40),
)

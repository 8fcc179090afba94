"""Shared by the chemotherapy scenarios: tumour, normal and immune cells, in the five settings of one benchmark.

Luo Z et al. (DTR-Bench, arXiv 2405.18610) simulate the model of Ahn & Park 2011 in five settings, whose numbers are
in GilesLuo/DTR-Bench DTRGym/ahn_chemo_env.py: without and with parameter variability between patients, with small and
large noise in cells and measurements, and with missing measurements.

**Differences from the benchmark.** A dose is chosen every second day for 150 days, not every 6 h: 600 decisions make
a planning controller eight times as expensive and change little over a course of months. The clinic observes only the
tumour, by imaging every 28 days (every 14 days if half of the images are missing). The benchmark also shows immune
cells and drug at every decision, which no clinic can measure.
Uniform variability becomes normal variability with the same standard deviation, on the log scale. Noise in the
derivative at every solver evaluation has no meaning as a model; instead, the growth of normal and tumour cells and the
influx of immune cells vary from decision to decision. Normal cells start at 0.9 in every patient, so 0.63 is the
survival limit for all.

**What is achievable.** The model has two outcomes: normal cells prevail, or the tumour does. With the benchmark's
variability of 5 % in every parameter, the tumour prevails in about one patient in five at any dose. No dose is toxic
enough to kill, but normal and immune cells stay low during treatment.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.clinic.events import Dropout
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Goal, Harm, Judged, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Eta, Param, Residual, Target, Values

__all__ = ["chemotherapy"]

_GYM = "GilesLuo/DTR-Bench DTRGym/ahn_chemo_env.py"
_RATES = ("r1", "r2", "b1", "b2", "c1", "c2", "c3", "c4", "a1", "a2", "a3", "d1", "d2", "s", "rho", "alpha")
_DAY_H = 24.0
_DECISIONS = 75


def _sd(width: float) -> float:
    """Standard deviation of a uniform distribution over +- width / 2."""
    return width / 12.0**0.5


def _etas(names: tuple[str, ...], width: float, meaning: str) -> tuple[Eta, ...]:
    source = f"{_GYM}: uniform within {50 * width:g} %, so an SD of {100 * _sd(width):.1f} %"
    return tuple(Eta(name, Param(_sd(width), "1", source, meaning), kind="sd") for name in names)


def _label(facts: Values, record: Record) -> Array:
    """Bang-bang: the full rate until the tumour is measured below 0.02, and again whenever it is above 0.04."""
    last = jnp.maximum(record.k - 1, 0)
    tumour, known = record.level[last, -1], record.known[last, -1]
    given = jnp.where(record.k > 0, record.dose[last], 1.0)
    now = jnp.where(tumour < 0.02, 0.0, jnp.where(tumour > 0.04, 1.0, given))
    return jnp.where(known, now, given)


def _reward(judged: Judged) -> Array:
    normal, tumour = judged.values["normal"], judged.values["tumour"]
    steps = normal / judged.start["normal"] - tumour / judged.start["tumour"] - judged.amount
    # Four evaluation times represent the eight steps of 6 h.
    return jnp.where(normal[-1] < 0.63, -1.0, 2.0 * jnp.sum(steps))


def chemotherapy(
    title: str, *, variation: float, observed: float, state: float = 0.0, missing: float = 0.0, setting: str
) -> Scenario:
    """One setting of the benchmark as a scenario.

    Args:
        title: title of the setting.
        variation: variability of parameters between patients, as the width of a uniform distribution (``pkpd_noise``).
        observed: measurement noise, in the same form (``obs_noise``).
        state: variability of the initial cell counts, in the same form, and of the derivatives as an SD
            (``state_noise``).
        missing: fraction of measurements that are missing (``missing_rate``).
        setting: the benchmark's name for the setting.
    """
    source = f"{_GYM}, {setting}"
    etas = _etas(_RATES, variation, "between patients") if variation else ()
    if state:
        etas += _etas(("tumour0", "immune0"), state, "between patients, at the start")
    if not etas:
        etas = (Eta("r1", Param(0.001, "1", "an estimator needs at least one random effect", "growth"), kind="sd"),)
    daily = Param(state / 8.0, "1", f"{source}: the mean of about 64 evaluations in 2 days", "between decisions")
    error = Residual(
        "proportional",
        proportional=Param(
            max(_sd(observed), 0.01), "1", f"{source}: uniform; at least 1 %, this project's choice", "of a measurement"
        ),
    )
    # If half of the images are missing, imaging is twice as frequent.
    every = 7 if missing else 14
    return Scenario(
        title=f"chemotherapy of a tumour every 2 days for 150 days, {title}",
        models=("chemotherapy-ahn",),
        covariates=(),
        schedule=Schedule(
            interval_h=2 * _DAY_H, decisions=_DECISIONS, output_times_h=(12.0, 24.0, 36.0, 48.0), step_h=12.0
        ),
        dosage=Dosage(
            amounts=tuple(tenth / 10.0 for tenth in range(11)),
            unit="1/d",
            compartment="drug",
            duration_h=2 * _DAY_H,
            mg_per_unit=2.0,
            usual=0.5,
            source=f"{_GYM}: a rate of 0-1 per day; steps of 0.1, held for 2 days, are this project's choice",
        ),
        monitoring=Monitoring(
            output="tumour",
            at_h=(2 * _DAY_H,),
            error=error,
            intervals=tuple(range(every - 1, _DECISIONS, every)),
            missed=missing,
            source=f"{source}; an image every {2 * every} days is this project's choice",
        ),
        goal=Goal(
            title="proportion of days 30-90 in remission: tumour at most 0.02, normal cells at least 0.97 (%)",
            targets=(
                Target(
                    "tumour",
                    "trough",
                    0.0,
                    0.02,
                    "1",
                    "a tenth of the tumour at the start: this project's choice",
                    aim=0.001,
                    log=False,
                ),
                Target(
                    "normal",
                    "trough",
                    0.97,
                    1.10,
                    "1",
                    "impossible with a constant rate above 0.35 per day; the upper limit is never reached (our choice)",
                    aim=1.03,
                    log=False,
                ),
            ),
            harms=(
                Harm("normal cells < 0.63", "nadir", "normal", f"{_GYM}: death", below=0.63),
                Harm("tumour doubled", "peak", "tumour", "this project's choice", above=0.4),
            ),
            judged=tuple(range(15, 45)),
            steady=False,
            steady_text=(
                "treatment is meant to begin at the full rate and to stop: the optimal control of this model is bang-"
                "bang"
            ),
        ),
        reward=_reward,
        reward_text=(
            f"{_GYM}: normal and tumour cells as fractions of the start, minus the rate, every 6 h; -1 for 2 days that "
            "end with normal cells below 0.63 and all later ones (the benchmark: -100 once)"
        ),
        label=_label,
        label_text=(
            "the full rate until the tumour is measured below 0.02, then none, the full rate again above 0.04: the "
            "optimal control of this model is bang-bang (de Pillis LG, Radunskaya A. Math Comput Model 2003;"
            "37:1221-1244); the limits are this project's choice"
        ),
        dropout=Dropout("normal", None, 1, f"{_GYM}: an episode ends below 0.7 of the start", below=0.63),
        etas=etas,
        daily_etas=tuple(Eta(name, daily, kind="sd") for name in ("r1", "r2", "s")) if state else (),
        look_ahead=12,
        # No limit: the clinic measures only the tumour, which more drug makes smaller, and no dose of the grid kills.
        shield=ShieldLimits(),
        training=TrainingSettings(
            recipe="chart",
            total_timesteps=4_000_000,
            num_envs=1024,
            num_steps=25,
            hidden_size=64,
            env={"history": 10, "mixture": []},
        ),
    )

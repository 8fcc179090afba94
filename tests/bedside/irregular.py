"""Irregular histories of virtual patients, and the engine's own reading of them without the bedside's code."""

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.bedside import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.assess import assess, due_h
from rl_drug_dosage.bedside.belief import Belief, believe
from rl_drug_dosage.bedside.layout import lay_out
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import Dose as EngineDose
from rl_drug_dosage.pkpd import DrugModel, draw_patient, make_covariates, make_levels, make_regimen, predict
from rl_drug_dosage.pkpd.bayes import PatientData

_CLOCKS = {"time_h"}


def drawn_history(
    model: DrugModel, seed: int, *, doses: int = 6, levels: int = 4, change: bool = True
) -> PatientHistory:
    """A patient of the model with doses and levels at odd times, a missed dose, a level below quantification."""
    rng = np.random.default_rng(seed)
    patient = draw_patient(model, jax.random.key(seed), occasions=1)
    interval, route = model.dosing.intervals_h[0], model.dosing.routes[0]
    given, time = [], 0.0
    for i in range(doses):
        amount = float(np.round(model.dosing.usual_dose_mg * rng.uniform(0.6, 1.5), 1))
        lasts = route.duration_h * rng.uniform(0.7, 1.6)
        given.append(Dose(time, amount, lasts, given=not (i == 2 and seed % 3 == 0)))
        time += interval * rng.uniform(0.8, 1.3)
    now = time
    at = np.sort(rng.uniform(0.4 * interval, now, levels))
    told = [(0.0, c.name, float(np.asarray(patient.covariates.values[c.name])[0])) for c in model.covariates]
    told = [(t, n, v) for t, n, v in told if n not in _CLOCKS]
    varying = [c for c in model.covariates if c.name.startswith(("crcl", "scr", "alb", "wt"))]
    if change and varying:
        first = next(v for _, n, v in told if n == varying[0].name)
        told.append((0.37 * now, varying[0].name, float(np.clip(0.8 * first, varying[0].low, varying[0].high))))
    with jax.enable_x64(True):
        table = make_covariates(model, {c.name: _first(told, c.name) for c in model.covariates})
        regimen = make_regimen([_engine(model, d) for d in given if d.given], model.structure)
        f = np.asarray(predict(model, regimen, table, jnp.asarray(at), jnp.asarray(patient.eta, float)))[:, 0]
    noisy = np.maximum(f * np.exp(0.12 * rng.standard_normal(levels)), 1e-3)
    limit = 0.3 * float(noisy.min()) if seed % 4 else float(noisy.min()) * 1.01
    values = [
        Level(float(t), float(max(y, limit)), below_limit=bool(y < limit)) for t, y in zip(at, noisy, strict=True)
    ]
    covariates = [CovariateAt(t, n, v) for t, n, v in told]
    order = rng.permutation(len(given))
    return PatientHistory(
        model.name, tuple(given[i] for i in order), tuple(values), tuple(covariates), now_h=now, name=str(seed)
    )


def _first(told, name):
    return next((v for _, n, v in told if n == name), 0.0)


def _engine(model: DrugModel, dose: Dose) -> EngineDose:
    return EngineDose(dose.time_h, dose.amount, model.dosing.routes[0].compartment, duration_h=dose.duration_h)


def as_engine_reads(model: DrugModel, history: PatientHistory, scenario: Scenario | None = None) -> PatientData:
    """Event tables of the engine, unpadded: covariates carried forward, occasions as at the bedside."""
    given = [d for d in history.doses if d.given]
    starts = [given[0].time_h]
    for dose in given[1:]:
        if any(starts[-1] < level.time_h <= dose.time_h for level in history.levels):
            starts.append(dose.time_h)
    starts = [starts[0], *starts[1:][-3:]] if model.occasion_etas else starts[:1]
    edges = []
    if scenario is not None and any(c.name in _CLOCKS for c in model.covariates):
        schedule, begin = scenario.schedule, given[0].time_h
        edges = [begin] + [begin + k * schedule.interval_h + t for k in range(40) for t in schedule.output_times_h]
    times = sorted({given[0].time_h, *(c.time_h for c in history.covariates), *starts[1:], *edges})
    columns = {}
    for covariate in model.covariates:
        if covariate.name in _CLOCKS:
            ends = [*edges, 1e9]
            columns[covariate.name] = [min(e for e in ends if e > t + 1e-9) if t < edges[-1] else t for t in times]
            continue
        told = [(c.time_h, c.value) for c in history.covariates if c.name == covariate.name]
        columns[covariate.name] = [[v for at, v in told if at <= t][-1] for t in times]
    occasion = [sum(s <= t for s in starts[1:]) for t in times]
    levels = make_levels(
        model,
        [v.time_h for v in history.levels],
        [v.value for v in history.levels],
        below=[v.below_limit for v in history.levels],
        limit=[v.value if v.below_limit else None for v in history.levels],
    )
    table = make_covariates(model, columns, times, occasion, "locf")
    return PatientData(history.name, tuple(_engine(model, d) for d in given), table, levels)


def believed(model_name: str, history: PatientHistory, draws: int = 64) -> Belief:
    """What one model believes of a history."""
    task = task_of(model_name)
    assess(task, history, asked=True)
    start = due_h(task, history, None)
    with jax.enable_x64(True):
        laid = lay_out(task.first, task, history, start, start + 96.0)
        return believe(task.first, laid, draws=draws, seed=1)

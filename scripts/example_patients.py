"""Write the worked examples of the page: three virtual patients of every drug that can be dosed by its levels.

    python scripts/example_patients.py [DRUG ...]

Covariates, parameters and assay errors are drawn from the drug's first model, within the published ranges of all models
that the page weighs; doses are the label's for that patient, by the scenario's rule or else the usual dose.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import jax
import numpy as np

from rl_drug_dosage.bedside import PatientHistory
from rl_drug_dosage.bedside.clock import clock_time
from rl_drug_dosage.bedside.drug_words import words_of
from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level
from rl_drug_dosage.bedside.patient_table import as_table
from rl_drug_dosage.bedside.rivals import advice_of
from rl_drug_dosage.bedside.task import Task, task_of
from rl_drug_dosage.bedside.windows import Option
from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.pkpd import Dose as Given
from rl_drug_dosage.pkpd import draw_patient, make_covariates, make_regimen, predict
from rl_drug_dosage.pkpd.residual import variance, with_error
from rl_drug_dosage.registry import DRUG, names
from rl_drug_dosage.utils.runtime import configure

FOLDER = Path(__file__).resolve().parents[1] / "src" / "rl_drug_dosage" / "web" / "examples"
LEFT_OUT = ("chemotherapy", "insulin", "morphine", "propofol", "remifentanil")
"""Dosed by the minute, or by something that nobody measures at a bedside; morphine is titrated to pain."""
BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=ZoneInfo("Europe/Berlin"))
SEED = 17
STEP_H = 1.0 / 12.0
# Times in dosing intervals: doses, which of them were missed, levels, and now.
PLANS: tuple[tuple[str, tuple[float, ...], tuple[int, ...], tuple[float, ...], float], ...] = (
    ("a first level", (0.0, 1.0), (), (1.94,), 1.97),
    ("a missed dose, and levels at odd times", (0.0, 1.05, 2.0, 2.9), (2,), (0.96, 3.3), 3.5),
    ("levels after three doses", (0.0, 1.0, 2.0), (), (0.45, 1.96, 2.4), 2.8),
)


def main() -> None:
    """Write the files."""
    configure("cpu")
    stems = dict.fromkeys(name.partition("-")[0] for name in names(DRUG))
    for drug in sys.argv[1:] or [stem for stem in stems if stem not in LEFT_OUT]:
        patients = [written(drawn(drug, place)) for place in range(len(PLANS))]
        comment = "Virtual patients, drawn from the drug's model. For research and education only."
        content = {"format": 1, "comment": comment, "patients": patients}
        (FOLDER / f"{drug}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(drug)


def written(history: PatientHistory) -> dict[str, object]:
    """A patient as people write one."""
    table = as_table(history)
    return {
        "drug": history.drug,
        "name": history.name,
        "zone": "Europe/Berlin",
        "now": clock(history.now_h),
        "covariates": {name: in_words(rows[0]) for name, rows in table["covariates"].items()},
        "doses": [
            {
                "time": clock(dose.time_h),
                "amount": f"{dose.amount:g} mg",
                "over": f"{dose.duration_h * 60:.4g} min",
                **({} if dose.given else {"missed": True}),
            }
            for dose in history.doses
        ],
        "levels": [
            {"time": clock(level.time_h), "value": in_words(row["value"])}
            for level, row in zip(history.levels, table["levels"], strict=True)
        ],
    }


def clock(hours: float) -> str:
    """A time by the clock, to the minute."""
    return (clock_time(BEGIN, hours) + timedelta(seconds=30)).strftime("%Y-%m-%d %H:%M")


def in_words(row: Mapping[str, object]) -> str | object:
    """A number with its unit; a category and a ratio have none."""
    return f"{row['value']:g} {row['unit']}" if row.get("unit", "1") != "1" else row["value"]


def drawn(drug: str, place: int) -> PatientHistory:
    """A virtual patient with doses and levels."""
    title, at, missed, sampled, now = PLANS[place]
    task = task_of(drug)
    key = jax.random.fold_in(jax.random.key(SEED), place)
    for_patient, for_others, for_error = jax.random.split(key, 3)
    model = words_of(drug).first
    model = next((m for m in task.models if m.name == model.name), task.first)
    truth = draw_patient(model, for_patient)
    facts = covariates_of(
        task, {n: float(np.asarray(v).ravel()[0]) for n, v in truth.covariates.values.items()}, for_others
    )
    known = tuple(CovariateAt(0.0, n, v) for n, v in facts.items())
    blank = PatientHistory(drug, covariates=known, origin=BEGIN, name=f"Virtual patient {place + 1}: {title}")
    option = advice_of("label", task, blank, 0.0).option
    if option is None:
        # The scenario's doses are split within its intervals: the usual dose of a typical patient.
        route, amount = task.dosing.routes[0], task.dosing.usual_dose_mg
        option = Option(amount, task.dosing.intervals_h[0], route.duration_of(amount), route.compartment)
    interval = option.interval_h

    def when(intervals: float) -> float:
        return round(round(intervals * interval / STEP_H) * STEP_H, 6)

    doses = tuple(Dose(when(t), option.amount_mg, option.duration_h, given=i not in missed) for i, t in enumerate(at))
    given = [Given(d.time_h, d.amount, option.compartment, duration_h=d.duration_h) for d in doses if d.given]
    times = np.asarray([when(t) for t in sampled])
    output = next(o for o in model.outputs if o.residual is not None)
    own = {c.name: facts[c.name] for c in model.covariates}
    with jax.enable_x64(True):
        regimen = make_regimen(given, model.structure)
        f = predict(model, regimen, make_covariates(model, own), times, np.asarray(truth.eta))
        true = np.asarray(f)[:, model.output_index(output.name)]
        noise = np.asarray(jax.random.normal(for_error, times.shape))
        levels = np.asarray(with_error(output.residual, true, np.sqrt(variance(output.residual, true)) * noise))
    told = tuple(Level(float(t), rounded(float(v))) for t, v in zip(times, levels, strict=True) if v > 0)
    return PatientHistory(drug, doses, told, known, when(now), BEGIN, blank.name)


def covariates_of(task: Task, drawn: Mapping[str, float], key: jax.Array) -> dict[str, float]:
    """Covariates for every model of the task, rounded, within the ranges of all of them."""
    found: dict[str, float] = {}
    for i, covariate in enumerate({c.name: c for m in reversed(task.models) for c in m.covariates}.values()):
        own = [c for m in task.models for c in m.covariates if c.name == covariate.name]
        low, high = max(c.low for c in own), min(c.high for c in own)
        value = drawn.get(covariate.name)
        if value is None:
            value = float(covariate.distribution.sample(jax.random.fold_in(key, i), dict(drawn), low, high))
        value = rounded(value)
        found[covariate.name] = min(max(value, low), high)
    return found


def rounded(value: float) -> float:
    """To three significant digits, as a laboratory writes it."""
    return float(f"{value:.3g}")


if __name__ == "__main__":
    try:
        main()
    except RlDrugDosageError as error:
        raise SystemExit(str(error)) from error

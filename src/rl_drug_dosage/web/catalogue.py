"""What the page offers: drugs with their covariates, units and ranges, examples, scenarios with their policies."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rl_drug_dosage.bedside.derived import formulas_for
from rl_drug_dosage.bedside.drug_words import FACTS, words_of
from rl_drug_dosage.bedside.task import Task, task_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.stress import STRESSES
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate
from rl_drug_dosage.registry import SCENARIO, find, names
from rl_drug_dosage.trials import default_policies

__all__ = ["drug_record", "drugs", "examples", "learnt_in", "scenario_record", "scenario_value", "scenarios"]

_ROOM = files("rl_drug_dosage.web") / "examples"
_FACT_TEXT = {
    "age": "age",
    "weight": "body weight",
    "height": "height",
    "creatinine": "serum creatinine",
    "female": "sex",
}
_RULES = "the label's and learnt policies' rules"
_SEX = [{"value": "female", "text": "female", "code": 1}, {"value": "male", "text": "male", "code": 0}]


@cache
def drugs() -> tuple[str, ...]:
    """Generic names of the drugs with worked examples."""
    return tuple(sorted(entry.name.removesuffix(".json") for entry in _ROOM.iterdir() if entry.name.endswith(".json")))


def examples(drug: str) -> list[dict[str, Any]]:
    """The worked examples of a drug: virtual patients, as patient files have them.

    Raises:
        ConfigError: another drug.
    """
    if drug not in drugs():
        raise ConfigError(f"drug: {drug[:60]!r}; allowed: {', '.join(drugs())}; choose one")
    content = json.loads((_ROOM / f"{drug}.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = [{"format": content["format"], **patient} for patient in content["patients"]]
    return found


@cache
def drug_record(drug: str) -> dict[str, Any]:
    """What may be told of a patient on a drug.

    Raises:
        ConfigError: an unknown drug.
    """
    if drug not in drugs():
        raise ConfigError(f"drug: {drug[:60]!r}; allowed: {', '.join(drugs())}; choose one")
    words, task = words_of(drug), task_of(drug)
    first = task.first
    own = {c.name: c for model in task.models for c in model.covariates}
    told = [_covariate(task, c) for c in own.values()]
    told += [_covariate(task, c) | {"models": [_RULES]} for c in words.of_the_ward]
    with_formula = any(row["formulas"] for row in told)
    columns = {c.column for c in (*own.values(), *words.of_the_ward)}
    facts = [_fact(f.name) for f in FACTS if f.column not in columns] if with_formula else []
    dosing = task.dosing
    return {
        "name": drug,
        "drug": first.drug,
        "models": [{"name": m.name, "population": m.population} for m in task.models],
        "scenario": None if task.scenario is None else task.scenario.name,
        "outputs": [{"name": o.name, "unit": o.unit} for o in words.first.outputs if o.residual is not None],
        "routes": [{"name": r.name, "infused": r.duration_h > 0} for r in dosing.routes],
        "intervals_h": list(dosing.intervals_h),
        "usual_dose_mg": dosing.usual_dose_mg,
        "covariates": told,
        "facts": facts,
        "examples": [patient["name"] for patient in examples(drug)],
    }


def _covariate(task: Task, covariate: Covariate) -> dict[str, Any]:
    needing = [m.name for m in task.models if any(c.name == covariate.name for c in m.covariates)]
    low, high = covariate.low, covariate.high
    return {
        "key": covariate.name,
        "label": "sex" if covariate.name == "female" else covariate.meaning,
        "unit": "" if covariate.codes or covariate.unit == "1" else covariate.unit,
        "low": low,
        "high": high,
        "choices": _choices(covariate),
        "formulas": list(formulas_for(covariate)),
        "models": needing if len(needing) < len(task.models) else [],
        "source": covariate.source,
    }


def _choices(covariate: Covariate) -> list[dict[str, Any]]:
    """What is sent, what is shown, and the model's code of every category."""
    if not covariate.codes:
        return []
    if covariate.name == "female":
        return _SEX
    if covariate.words:
        return [{"value": word, "text": word, "code": code} for word, code in covariate.words.items()]
    if covariate.codes == (0.0, 1.0):
        return [{"value": value, "text": text, "code": int(value)} for value, text in ((False, "no"), (True, "yes"))]
    return [{"value": code, "text": f"{code:g}", "code": code} for code in covariate.codes]


def _fact(name: str) -> dict[str, Any]:
    """What only formulas ask for."""
    fact = next(f for f in FACTS if f.name == name)
    is_sex = name == "female"
    return {
        "key": "sex" if is_sex else name,
        "label": _FACT_TEXT[name],
        "unit": "" if is_sex else fact.asked.unit,
        "low": None if is_sex else fact.asked.low,
        "high": None if is_sex else fact.asked.high,
        "choices": _SEX if is_sex else [],
        "formulas": [],
        "models": [],
        "source": "for formulas",
    }


def learnt_in(folder: Path | None) -> dict[str, Path]:
    """Model files of a folder, by the scenario after which each is called."""
    if folder is None:
        return {}
    return {name: folder / f"{name}.pt" for name in scenarios() if (folder / f"{name}.pt").is_file()}


@cache
def scenarios() -> tuple[str, ...]:
    """Names of the built-in scenarios."""
    return names(SCENARIO)


def scenario_value(name: str) -> Scenario:
    """A built-in scenario.

    Raises:
        ConfigError: another name.
    """
    if name not in scenarios():
        raise ConfigError(f"scenario: {name[:60]!r}; allowed: {', '.join(scenarios())}; choose one")
    found: Scenario = find(SCENARIO, name).value
    return found


@cache
def scenario_record(name: str) -> dict[str, Any]:
    """What may be tried in a scenario.

    Raises:
        ConfigError: another name.
    """
    scenario = scenario_value(name)
    schedule, dosage = scenario.schedule, scenario.dosage
    several = len(scenario.models) + len(scenario.test_only) > 1
    return {
        "name": name,
        "title": scenario.title,
        "goal": scenario.goal.title,
        "models": list(scenario.models),
        "policies": list(default_policies(scenario)),
        "stresses": [
            {"name": key, "title": stress.title}
            for key, stress in STRESSES.items()
            if stress.change(scenario) is not None
        ],
        "mismatch": several,
        "decisions": schedule.decisions,
        "interval_h": schedule.interval_h,
        "amounts": list(dosage.amounts),
        "dose_unit": dosage.unit,
        "intervals_h": list(dosage.intervals_h),
    }

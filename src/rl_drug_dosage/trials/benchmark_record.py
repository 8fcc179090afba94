"""Builds the record of a benchmark, the source of the JSON file, the tables and the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.registry import Found
from rl_drug_dosage.trials.bands import bands, worst_courses
from rl_drug_dosage.trials.entrants import Entrant
from rl_drug_dosage.trials.outcome import Outcome
from rl_drug_dosage.trials.statistics import bootstrap, paired, subgroups, summary
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["about", "results_of"]

_FORMAT = 1
_PREFERRED = ("best-bayes", "mipd", "label", "fixed")
"""Candidates for the reference policy: the first one included is used."""


def _reference(names: Sequence[str]) -> str:
    return next((n for n in _PREFERRED if n in names), names[0])


def results_of(
    setting: Setting, entrants: Sequence[Entrant], outcomes: Mapping[str, Outcome], seed: int
) -> dict[str, Any]:
    """Summarise the trials of all policies: what stands in a record beside `about`.

    Args:
        setting: the common setting.
        entrants: the policies, including those behind the shield.
        outcomes: of each policy, by name.
        seed: of the bootstrap.
    """
    scenario = setting.scenario
    rng = generator(seed, Stream.EVALUATE, 1)
    names = [e.name for e in entrants]
    ends = {name: outcomes[name].ends for name in names}
    trials = {name: outcomes[name].trial for name in names}
    shares = np.stack([ends[name]["attainment_pct"] for name in names], axis=1)
    intervals = bootstrap(shares, rng)
    rows = []
    for entrant, interval in zip(entrants, intervals, strict=True):
        row: dict[str, Any] = {"policy": entrant.name, "title": entrant.title, "oracle": entrant.sees_truth}
        row |= summary(scenario, outcomes[entrant.name], interval)
        rows.append(row | {"tuned": dict(entrant.chosen), "card": dict(entrant.card)})
    rows.sort(key=lambda r: (-r["attainment_pct"]["mean"], -r["return"], r["policy"]))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank
    reference = _reference(names)
    covariates = outcomes[names[0]].covariates
    return {
        "policies": rows,
        "paired": paired(names, shares, rng),
        "subgroups": subgroups(scenario, covariates, names, shares, reference, rng),
        "courses": {name: bands(scenario, trials[name]) for name in names},
        "worst": worst_courses(scenario, trials, ends, reference),
        "distributions": {
            name: np.histogram(ends[name]["attainment_pct"], bins=20, range=(0.0, 100.0))[0].tolist() for name in names
        },
    }


def about(
    setting: Setting, outcomes: Mapping[str, Outcome], *, patients: int, seed: int, shield: bool
) -> dict[str, Any]:
    """What was done, without its results.

    Args:
        setting: the common setting.
        outcomes: of each policy, by name.
        patients: number of patients.
        seed: of the cohort.
        shield: whether every policy was also run behind the safety shield.
    """
    names = list(outcomes)
    kept = outcomes[names[0]].trial.patients
    return {
        "format": _FORMAT,
        "intended_use": "research and education only; not for treating patients",
        "scenario": _described(setting.task, setting),
        "settings": {
            "patients": patients,
            "seed": seed,
            "simulator": setting.simulator.name,
            "controller": setting.controller.name,
            "shield": shield,
            "reference": _reference(names),
            **({} if kept == patients else {"courses_of": kept}),
        },
    }


def _described(named: Found[Scenario], setting: Setting) -> dict[str, Any]:
    scenario = named.value
    low, high, aim = scenario.edges()
    monitoring, dosage = scenario.monitoring, scenario.dosage
    output = setting.simulator.outputs[setting.simulator.output_index(monitoring.output)]
    return {
        "name": named.name,
        "env_id": named.env_id,
        "title": scenario.title,
        "goal": scenario.goal.title,
        "steady": scenario.goal.steady,
        "steady_text": scenario.goal.steady_text,
        "reward": scenario.reward_text,
        "label": scenario.label_text,
        "models": list(scenario.models),
        "test_only": list(scenario.test_only),
        "decisions": scenario.schedule.decisions,
        "interval_h": scenario.schedule.interval_h,
        "time_unit": scenario.schedule.shown_unit,
        "shown_per_h": scenario.schedule.shown_per_h,
        "output": {"name": output.name, "unit": output.unit, "meaning": output.meaning},
        "dosage": {
            "unit": dosage.unit,
            "per": dosage.per,
            "lowest": dosage.amounts[0],
            "highest": dosage.amounts[-1],
            "source": dosage.source,
        },
        "monitoring": {"source": monitoring.source, "turnaround_h": monitoring.turnaround_h, "lloq": monitoring.lloq},
        "windows": [
            {
                "metric": w.metric,
                "output": w.output,
                "unit": w.unit,
                "source": w.source,
                "low": [None if np.isinf(v) else float(v) for v in low[:, i]],
                "high": [None if np.isinf(v) else float(v) for v in high[:, i]],
                "aim": [float(v) for v in aim[:, i]],
            }
            for i, w in enumerate(scenario.goal.targets)
        ],
        "harms": [
            {"name": h.name, "metric": h.metric, "output": h.output, "source": h.source} for h in scenario.goal.harms
        ],
        "judged": np.flatnonzero(scenario.judged()).tolist(),
        "covariates": [
            {"name": c.name, "unit": c.unit, "meaning": c.meaning, "low": c.low, "high": c.high, "source": c.source}
            for c in scenario.covariates
        ],
    }

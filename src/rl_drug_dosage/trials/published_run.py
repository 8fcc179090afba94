"""Runs ours beside a published trial: its defaults for a benchmark, and the record of both."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import PUBLISHED, SCENARIO, Found, find, find_scenario
from rl_drug_dosage.trials.published_metrics import summarised
from rl_drug_dosage.trials.published_trial import PublishedRun, PublishedTrial
from rl_drug_dosage.trials.trial import Trial
from rl_drug_dosage.utils.seeding import Stream, generator

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.scenario import Scenario
    from rl_drug_dosage.trials.benchmark import BenchmarkOptions

__all__ = ["Plan", "beside", "plan_of", "planned"]


@dataclass(frozen=True)
class Plan:
    """A published trial, the run of ours that is taken, and what the user changed of it.

    Args:
        trial: the published trial.
        run: ours.
        changed: option -> (value in the run, value given).
    """

    trial: Found[PublishedTrial]
    run: PublishedRun
    changed: Mapping[str, tuple[object, object]]


def plan_of(options: "BenchmarkOptions") -> Plan | None:
    """The published trial of these options, with the run of ours; None: the options name none.

    Raises:
        ConfigError: neither a scenario nor a published trial is named, or one that is not run on that scenario.
        UnknownNameError, BadPluginError: see `registry.find`.
    """
    if options.published is None:
        if options.scenario is None:
            raise ConfigError(
                "no task is given: name a scenario with --scenario, or a published trial with --published"
            )
        return None
    trial = find(PUBLISHED, options.published)
    run = trial.value.run_on(None if options.scenario is None else _scenario_name(options.scenario))
    kept = {"simulator": run.simulator, "controller": run.controller, "decisions": 0, "shield": False}
    changed = {
        name: (kept[name], getattr(options, name))
        for name in kept
        if getattr(options, name) and getattr(options, name) != kept[name]
    }
    return Plan(trial, run, changed)


def _scenario_name(reference: object) -> str:
    """The name under which a run may know a scenario of the user's."""
    found = find(SCENARIO, reference)
    return found.where if found.is_foreign else found.name


def planned(options: "BenchmarkOptions", plan: Plan) -> "BenchmarkOptions":
    """The options with the run's scenario, drug models, policies and cohort where the user named none."""
    run = plan.run
    task = find_scenario(run.scenario)
    return dataclasses.replace(
        options,
        scenario=dataclasses.replace(task, value=run.change(task.value)),
        policies=options.policies or run.policies,
        patients=run.patients if options.patients is None else options.patients,
        simulator=run.simulator if options.simulator is None else options.simulator,
        controller=run.controller if options.controller is None else options.controller,
    )


def beside(plan: Plan, scenario: "Scenario", trials: Mapping[str, Trial], seed: int) -> dict[str, Any]:
    """The part of a benchmark's record that holds both trials.

    Args:
        plan: what was run.
        scenario: the task, as it was run.
        trials: trial of each policy, by name.
        seed: of the bootstrap.
    """
    published, run = plan.trial.value, plan.run
    rng = generator(seed, Stream.EVALUATE, 4)
    ours = []
    for name, trial in trials.items():
        values: dict[str, dict[str, float] | None] = {}
        for metric in published.metrics:
            column = np.where(trial.failed, np.nan, metric.column(scenario, trial))
            interval = summarised(column, metric.over, rng)
            counted = int((~np.isnan(column)).sum())
            values[metric.name] = None if interval is None else {**interval.record(), "patients": counted}
        ours.append({"policy": name, "values": values})
    return {
        "name": plan.trial.name,
        "title": published.title,
        "citation": published.citation,
        "run": {"scenario": run.scenario, "stands_for": run.stands_for, "replaced": run.replaced_text},
        "changed": [
            {"option": name, "planned": _shown(before), "given": _shown(given)}
            for name, (before, given) in plan.changed.items()
        ],
        "metrics": [{"name": m.name, "unit": m.unit, "over": m.over, "meaning": m.meaning} for m in published.metrics],
        "theirs": [
            {"arm": n.arm, "metric": n.metric, "value": n.value, "spread": n.spread, "place": n.place}
            for n in published.numbers_for(run)
        ],
        "ours": ours,
        "differences": [dataclasses.asdict(d) for d in published.differences],
        "unread": list(published.unread),
        "assumed": list(published.assumed),
    }


def _shown(value: object) -> str:
    """A value of an option, for people."""
    return "the scenario's first" if value is None else str(getattr(value, "name", value))

"""The in-silico trial: is this policy better than what a clinic does, for whom, by how much, and how sure are we.

Every policy treats the same patients with the same chance. Baselines are tuned on a cohort of their own. The result is
a plain record (`Benchmark.record`), the same bits for the same command but for what stands under ``timing``.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.observation import Observer
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import Shield, shield_of
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.clinic.stress import STRESSES, stressed
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import POLICY, Found, find, find_scenario, label_of, load_policy_definition, names
from rl_drug_dosage.trials.bands import bands, worst_courses
from rl_drug_dosage.trials.statistics import bootstrap, endpoints, paired, subgroups, summary
from rl_drug_dosage.trials.trial import Cohort, Trial, prepare_trial, run_trial
from rl_drug_dosage.trials.tuning import tuned
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["Benchmark", "BenchmarkOptions", "Entrant", "benchmark", "default_policies", "enter"]

_FORMAT = 1
_PREFERRED = ("mipd", "label", "fixed")
"""What the others are compared with: the first of these that takes part."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What to compare, on whom.

    Args:
        scenario: its name.
        policies: names of agents, or model files; empty: every clinical policy that fits.
        patients: how many.
        seed: of the cohort and of the bootstrap.
        simulator, controller: drug models; empty: the scenario's first one.
        mismatch: also run every simulator against every controller.
        stress: names of stress settings to run as well.
        shield: also run every policy behind the safety shield.
        decisions: of a course; 0: the scenario's own.

    Raises:
        ConfigError: a number that is not allowed.
    """

    scenario: str
    policies: tuple[str, ...] = ()
    patients: int = 1000
    seed: int = 1
    simulator: str = ""
    controller: str = ""
    mismatch: bool = False
    stress: tuple[str, ...] = ()
    shield: bool = False
    decisions: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.patients <= 1_000_000:
            raise ConfigError(f"--patients must be from 1 to 1000000, not {self.patients}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"--seed must be from 0 to 4294967295, not {self.seed}")


@dataclass(frozen=True)
class Entrant:
    """A policy that takes part.

    Args:
        name: in tables.
        title: one line.
        policy: doses.
        sees_truth: an oracle.
        chosen: what tuning chose.
        card: of a model file: its record.
    """

    name: str
    title: str
    policy: Policy
    sees_truth: bool = False
    chosen: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A finished benchmark: the record for JSON, and the trials by policy."""

    record: dict[str, Any]
    trials: dict[str, Trial]
    scenario: Found[Scenario]


def default_policies(scenario: Scenario) -> tuple[str, ...]:
    """Every clinical policy that fits the scenario."""
    return tuple(n for n in names(POLICY) if not load_policy_definition(n).refuses(scenario))


def enter(setting: Setting, reference: object, *, seed: int, name: str = "") -> Entrant:
    """A policy in any form that `registry.find` knows, tuned where it can be.

    Args:
        setting: what it is built for.
        reference: the policy; ``NAME=REFERENCE`` gives it a name of the caller's choice.
        seed: of tuning.
        name: in tables, in place of its own.

    Raises:
        UnknownNameError: no such policy.
        BadPluginError: a file or module that does not define one.
        ConfigError: a policy that does not fit the scenario.
        ModelFileError: a model that was trained for something else.
    """
    if isinstance(reference, str):
        label, reference = label_of(reference)
        name = name or label
    found = find(POLICY, reference)
    definition: PolicyDefinition = found.value
    if reason := definition.refuses(setting.scenario):
        raise ConfigError(f"policy {found.name!r} cannot be used in {setting.task.name!r}: {reason}")
    policy, chosen = tuned(definition, setting, seed=seed)
    return Entrant(name or found.name, definition.title, policy, definition.sees_truth, chosen, definition.card)


def benchmark(
    options: BenchmarkOptions, *, command: str = "", say: Callable[[str], None] = lambda _: None
) -> Benchmark:
    """Run it.

    Raises:
        UnknownNameError, ConfigError, ModelFileError: see `BenchmarkOptions` and `enter`.
    """
    begin = time.perf_counter()
    named = find_scenario(options.scenario)
    scenario = adjusted(named.value, decisions=options.decisions or None)
    named = dataclasses.replace(named, value=scenario)
    for name in options.stress:
        stressed(scenario, name)
    names = tuple(dict.fromkeys(options.policies or default_policies(scenario)))
    simulator = options.simulator or scenario.models[0]
    controller = options.controller or scenario.models[0]
    setting = _setting(named, simulator, controller)
    timing: dict[str, Any] = {"policies": {}}
    entrants, trials = [], {}
    for entrant, ready_s in _enter_all(setting, names, options.seed):
        entrants.append(entrant)
        trials[entrant.name], run_s = _run(setting, entrant, options)
        timing["policies"][entrant.name] = {"tune_and_compile_s": ready_s, "run_s": run_s}
        say(f"{entrant.name}: {options.patients:,} patients in {run_s:.2f} s (tuned and compiled in {ready_s:.1f} s)")
    if options.shield:
        shield = shield_of(scenario, setting.controller)
        for entrant in tuple(entrants):
            behind = dataclasses.replace(
                entrant, name=f"{entrant.name}+shield", title=f"{entrant.title}, behind the shield"
            )
            trials[behind.name], _ = _run(setting, behind, options, shield)
            entrants.append(behind)
            say(f"{behind.name}: {options.patients:,} patients")
    record = _record(options, named, setting, entrants, trials)
    if options.mismatch:
        record["mismatch"] = _mismatch(options, named, names, say)
    if options.stress:
        record["stress"] = _stresses(options, named, setting, entrants, say)
    record["settings"]["command"] = command
    timing["total_s"] = time.perf_counter() - begin
    record["timing"] = timing
    return Benchmark(record, trials, named)


def _enter_all(setting: Setting, names: Sequence[str], seed: int) -> list[tuple[Entrant, float]]:
    """Build, tune and compile the policies, two at a time: the compiler uses one core each."""

    def one(name: str) -> tuple[Entrant, float]:
        start = time.perf_counter()
        entrant = enter(setting, name, seed=seed)
        prepare_trial(setting.scenario, setting.simulator, entrant.policy, sees_truth=entrant.sees_truth)
        return entrant, time.perf_counter() - start

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, names))
    taken: set[str] = set()
    for entrant, _ in found:
        if entrant.name in taken:
            raise ConfigError(f"two policies are called {entrant.name!r}: give model files different names")
        taken.add(entrant.name)
    return found


def _setting(task: Found[Scenario], simulator: str, controller: str) -> Setting:
    return Setting(task, model_of(task.value, controller), simulator_of(task.value, simulator))


def _run(
    setting: Setting, entrant: Entrant, options: BenchmarkOptions, shield: Shield | None = None
) -> tuple[Trial, float]:
    """The trial, and how long it ran, compilation not counted."""
    clock: dict[str, float] = {}
    trial = run_trial(
        setting.scenario,
        setting.simulator,
        entrant.policy,
        Cohort(options.seed, options.patients),
        shield=shield,
        sees_truth=entrant.sees_truth,
        clock=clock,
    )
    return trial, clock["run_s"]


def _reference(names: Sequence[str]) -> str:
    return next((n for n in _PREFERRED if n in names), names[0])


def _record(
    options: BenchmarkOptions,
    named: Found[Scenario],
    setting: Setting,
    entrants: Sequence[Entrant],
    trials: Mapping[str, Trial],
) -> dict[str, Any]:
    scenario = named.value
    rng = generator(options.seed, Stream.EVALUATE, 1)
    names = [e.name for e in entrants]
    ends = {name: endpoints(scenario, trials[name]) for name in names}
    shares = np.stack([ends[name]["attainment_pct"] for name in names], axis=1)
    intervals = bootstrap(shares, rng)
    rows = []
    for entrant, interval in zip(entrants, intervals, strict=True):
        row: dict[str, Any] = {"policy": entrant.name, "title": entrant.title, "oracle": entrant.sees_truth}
        row |= summary(scenario, trials[entrant.name], ends[entrant.name], interval)
        rows.append(row | {"tuned": dict(entrant.chosen), "card": dict(entrant.card)})
    rows.sort(key=lambda r: (-r["attainment_pct"]["mean"], -r["return"], r["policy"]))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank
    reference = _reference(names)
    covariates = trials[names[0]].covariates
    return {
        "format": _FORMAT,
        "intended_use": "research and education only; not for treating patients",
        "scenario": _described(named, setting),
        "settings": {
            "patients": options.patients,
            "seed": options.seed,
            "simulator": setting.simulator.name,
            "controller": setting.controller.name,
            "shield": options.shield,
            "reference": reference,
        },
        "policies": rows,
        "paired": paired(names, shares, rng),
        "subgroups": subgroups(scenario, covariates, names, shares, reference, rng),
        "courses": {name: bands(scenario, trials[name]) for name in names},
        "worst": worst_courses(scenario, trials, ends, reference),
        "distributions": {
            name: np.histogram(ends[name]["attainment_pct"], bins=20, range=(0.0, 100.0))[0].tolist() for name in names
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
        "reward": scenario.reward_text,
        "label": scenario.label_text,
        "models": list(scenario.models),
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


def _mismatch(
    options: BenchmarkOptions, named: Found[Scenario], names: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """Every simulator against every controller: attainment of every policy, with its interval."""
    models = named.value.models
    if len(models) < 2:
        raise ConfigError(
            f"--mismatch needs a second drug model, and {named.name!r} has {models[0]!r} only: leave it out, or use "
            "--stress"
        )
    cells = []
    for simulator in models:
        for controller in models:
            setting = _setting(named, simulator, controller)
            entrants = [entrant for entrant, _ in _enter_all(setting, names, options.seed)]
            trials = {e.name: _run(setting, e, options)[0] for e in entrants}
            shares = np.stack([endpoints(named.value, trials[e.name])["attainment_pct"] for e in entrants], axis=1)
            rng = generator(options.seed, Stream.EVALUATE, 2)
            for entrant, interval in zip(entrants, bootstrap(shares, rng), strict=True):
                cells.append(
                    {
                        "simulator": simulator,
                        "controller": controller,
                        "policy": entrant.name,
                        "attainment_pct": interval.record(),
                    }
                )
            say(f"mismatch: patients of {simulator}, controller believes {controller}")
    return {"models": list(models), "cells": cells}


def _stresses(
    options: BenchmarkOptions,
    named: Found[Scenario],
    setting: Setting,
    entrants: Sequence[Entrant],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Every policy as it was built and tuned, on patients and wards that it was not built for."""
    found = []
    for name in options.stress:
        scenario = stressed(named.value, name)
        task = dataclasses.replace(named, value=scenario)
        other = Setting(task, setting.controller, simulator_of(scenario, setting.simulator.name))
        own = [e for e in entrants if not e.name.endswith("+shield")]
        trials = {
            e.name: _run(other, dataclasses.replace(e, policy=_told(e.policy, scenario)), options)[0] for e in own
        }
        ends = {n: endpoints(scenario, t) for n, t in trials.items()}
        shares = np.stack([ends[e.name]["attainment_pct"] for e in own], axis=1)
        rng = generator(options.seed, Stream.EVALUATE, 3)
        rows = [
            {"policy": e.name, **summary(scenario, trials[e.name], ends[e.name], interval)}
            for e, interval in zip(own, bootstrap(shares, rng), strict=True)
        ]
        found.append({"name": name, "title": STRESSES[name].title, "policies": rows})
        say(f"stress {name}: {len(own)} policies")
    return found


def _told[T](policy: T, scenario: Scenario) -> T:
    """The policy with the ward's timetable (when results come back), which everybody there knows, and nothing else."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(policy):  # type: ignore[arg-type]
        value = getattr(policy, f.name)
        if isinstance(value, Scenario):
            changes[f.name] = scenario
        elif isinstance(value, Observer):
            changes[f.name] = dataclasses.replace(value, scenario=scenario)
    return dataclasses.replace(policy, **changes) if changes else policy  # type: ignore[type-var]

"""The in-silico trial: is this policy better than what a clinic does, for whom, by how much, and how sure are we.

Every policy treats the same patients with the same chance. Baselines are tuned on a cohort of their own. The result is
a plain record (`Benchmark.record`), the same bits for the same command but for what stands under ``timing``.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.agents._policy import Agent, Policy, Setting
from rl_drug_dosage.agents.ppo.dosing import PpoDosing
from rl_drug_dosage.agents.ppo.model_file import Model, load_model
from rl_drug_dosage.clinic.interval import model_of, simulator_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import Shield, shield_of
from rl_drug_dosage.clinic.stress import STRESSES, stressed
from rl_drug_dosage.envs._catalog import NamedScenario, find_scenario
from rl_drug_dosage.envs._scenario_env import SEEN, observer_of
from rl_drug_dosage.errors import ConfigError, ModelFileError, UnknownNameError
from rl_drug_dosage.evaluation.courses import bands, worst_courses
from rl_drug_dosage.evaluation.statistics import bootstrap, endpoints, paired, subgroups, summary
from rl_drug_dosage.evaluation.trial import Cohort, Trial, prepare_trial, run_trial
from rl_drug_dosage.evaluation.tuning import tuned
from rl_drug_dosage.utils import plugins
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["Benchmark", "BenchmarkOptions", "Entrant", "agent_names", "benchmark", "default_policies", "enter"]

_AGENTS = "rl_drug_dosage.agents"
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
    scenario: NamedScenario


def agent_names() -> tuple[str, ...]:
    """Every clinical policy's public name."""
    return tuple(plugins.public_name(n) for n in plugins.names(_AGENTS))


def default_policies(scenario: Scenario) -> tuple[str, ...]:
    """Every clinical policy that fits the scenario."""
    return tuple(n for n in agent_names() if not _agent(n).refuses(scenario))


def _agent(name: str) -> Agent:
    if name not in agent_names():
        raise UnknownNameError("policy", name, agent_names())
    return plugins.load(_AGENTS, name, attribute="AGENT", kind=Agent)


def enter(named: NamedScenario, setting: Setting, name: str, *, seed: int) -> Entrant:
    """A policy by its name or model file, tuned where it can be.

    Raises:
        UnknownNameError: no such policy.
        ConfigError: a policy that does not fit the scenario.
        ModelFileError: a model that was trained for something else.
    """
    if name.endswith(".pt") or "/" in name:
        return _enter_model(named, setting, Path(name))
    agent = _agent(name)
    if reason := agent.refuses(setting.scenario):
        raise ConfigError(f"policy {name!r} cannot be used in {named.name!r}: {reason}")
    policy, chosen = tuned(agent, setting, seed=seed)
    return Entrant(name, agent.title, policy, agent.sees_truth, chosen)


def _enter_model(named: NamedScenario, setting: Setting, path: Path) -> Entrant:
    model = load_model(path)
    return Entrant(path.stem, f"PPO, {path.name}", dosing_policy(model, named, path), card=model.record)


def dosing_policy(model: Model, named: NamedScenario, path: Path) -> PpoDosing:
    """A model file's policy for a scenario.

    Raises:
        ModelFileError: it was trained for something else.
    """
    if model.env_id != named.env_id:
        raise ModelFileError(
            f"{path} was trained for {model.env_id}, not for {named.env_id}: train one with "
            f"`rl-drug-dosage train --env-id {named.env_id}`, or benchmark it in its own scenario"
        )
    options = model.env_options
    observer = observer_of(named.scenario, **{name: options[name] for name in SEEN if name in options})
    if model.policy.obs_size != observer.size or model.frame_stack != 1:
        raise ModelFileError(
            f"{path} takes {model.policy.obs_size} observations, {named.env_id} here has {observer.size}: "
            "it was trained for another version of that scenario"
        )
    return PpoDosing(named.scenario, observer, model.policy)


def benchmark(
    options: BenchmarkOptions, *, command: str = "", say: Callable[[str], None] = lambda _: None
) -> Benchmark:
    """Run it.

    Raises:
        UnknownNameError, ConfigError, ModelFileError: see `BenchmarkOptions` and `enter`.
    """
    begin = time.perf_counter()
    named = find_scenario(options.scenario)
    scenario = named.scenario
    for name in options.stress:
        stressed(scenario, name)
    names = tuple(dict.fromkeys(options.policies or default_policies(scenario)))
    simulator = options.simulator or scenario.models[0]
    controller = options.controller or scenario.models[0]
    setting = _setting(scenario, simulator, controller)
    timing: dict[str, Any] = {"policies": {}}
    entrants, trials = [], {}
    for entrant, ready_s in _enter_all(named, setting, names, options.seed):
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


def _enter_all(named: NamedScenario, setting: Setting, names: Sequence[str], seed: int) -> list[tuple[Entrant, float]]:
    """Build, tune and compile the policies, two at a time: the compiler uses one core each."""

    def one(name: str) -> tuple[Entrant, float]:
        start = time.perf_counter()
        entrant = enter(named, setting, name, seed=seed)
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


def _setting(scenario: Scenario, simulator: str, controller: str) -> Setting:
    return Setting(scenario, model_of(scenario, controller), simulator_of(scenario, simulator))


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
    named: NamedScenario,
    setting: Setting,
    entrants: Sequence[Entrant],
    trials: Mapping[str, Trial],
) -> dict[str, Any]:
    scenario = named.scenario
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


def _described(named: NamedScenario, setting: Setting) -> dict[str, Any]:
    scenario = named.scenario
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
            for i, w in enumerate(scenario.goal.windows)
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
    options: BenchmarkOptions, named: NamedScenario, names: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """Every simulator against every controller: attainment of every policy, with its interval."""
    models = named.scenario.models
    if len(models) < 2:
        raise ConfigError(
            f"--mismatch needs a second drug model, and {named.name!r} has {models[0]!r} only: leave it out, or use "
            "--stress"
        )
    cells = []
    for simulator in models:
        for controller in models:
            setting = _setting(named.scenario, simulator, controller)
            entrants = [entrant for entrant, _ in _enter_all(named, setting, names, options.seed)]
            trials = {e.name: _run(setting, e, options)[0] for e in entrants}
            shares = np.stack([endpoints(named.scenario, trials[e.name])["attainment_pct"] for e in entrants], axis=1)
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
    named: NamedScenario,
    setting: Setting,
    entrants: Sequence[Entrant],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Every policy as it was built and tuned, on patients and wards that it was not built for."""
    found = []
    for name in options.stress:
        scenario = stressed(named.scenario, name)
        other = Setting(scenario, setting.controller, simulator_of(scenario, setting.simulator.name))
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


def _told(policy: Policy, scenario: Scenario) -> Policy:
    """The policy with the ward's timetable (when results come back), which everybody there knows, and nothing else."""
    if "scenario" not in {f.name for f in dataclasses.fields(policy)}:
        return policy
    changes: dict[str, Any] = {"scenario": scenario}
    if isinstance(policy, PpoDosing):
        changes["observer"] = dataclasses.replace(policy.observer, scenario=scenario)
    return dataclasses.replace(policy, **changes)

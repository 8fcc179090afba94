"""The trials of a benchmark, policy by policy: built and tuned, compiled, and run, or taken from merged parts."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_drug_dosage.clinic.faults import check_amounts
from rl_drug_dosage.clinic.observation import Observer
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import Shield, shield_of
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.clinic.stress import STRESSES, stressed
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.trials.entrants import Candidate, Entrant, guard_of
from rl_drug_dosage.trials.outcome import Outcome, blocks_of, gathered
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.trials.shards import Merged
from rl_drug_dosage.trials.statistics import bootstrap, summary
from rl_drug_dosage.trials.trial import Trial, check_label, merge, prepare_trial, run_trial
from rl_drug_dosage.utils.device_shape import device_shape, on_threads
from rl_drug_dosage.utils.fingerprint import NoFingerprintError, content_digest
from rl_drug_dosage.utils.kept_programs import Program
from rl_drug_dosage.utils.progress import Steps, quiet
from rl_drug_dosage.utils.seeding import Stream, generator

if TYPE_CHECKING:
    from rl_drug_dosage.trials.benchmark import BenchmarkOptions

__all__ = ["Runs", "Work", "entered_all", "mismatched", "shielded", "stressed_too", "treated"]


@dataclass
class Runs:
    """The trials of a benchmark, run or taken from merged parts, by what they are about.

    Args:
        known: of merged parts; None: trials are run.
        keep: whether whole trials are kept, for the file of a part.
        done: every trial that was kept, with the digest of what was run; empty where code from outside has none.
    """

    known: Merged | None = None
    keep: bool = False
    done: dict[str, tuple[str, Trial]] = field(default_factory=dict)

    @property
    def doing(self) -> str:
        """What is done with a trial, for people."""
        return "running" if self.known is None else "merging"

    def of(self, name: str, digest: str, run: Callable[[], Iterator[Trial]]) -> Iterator[Trial]:
        """A trial, in ranges of patients.

        Args:
            name: what it is about.
            digest: of scenario, drug model, shield and policy.
            run: runs it.

        Raises:
            ConfigError: parts without this trial, or of another scenario, drug model or policy.
        """
        if self.known is None:
            kept = []
            for block in run():
                if self.keep:
                    kept.append(block)
                yield block
            if self.keep:
                self.done[name] = (digest, merge(kept))
            return
        if name not in self.known.digests:
            have = ", ".join(self.known.digests)
            raise ConfigError(f"the parts have no trial of {name}; they have {have}; ask as they did")
        if digest != self.known.digests[name]:
            raise ConfigError(
                f"{name}: the parts were run with another scenario, drug model or policy than is given here; merge "
                "with the files that they were run with"
            )
        yield from self.known.trials(name)


@dataclass(frozen=True)
class Work:
    """What all trials of a benchmark share.

    Args:
        options: of the benchmark.
        steps: progress.
        runs: runs trials, or has them.
    """

    options: "BenchmarkOptions"
    steps: Steps
    runs: Runs


def entered_all(setting: Setting, entering: Sequence[Candidate], work: Work) -> list[tuple[Entrant, dict[str, Any]]]:
    """Build, tune and compile the policies, one on each core, because the compiler uses one."""

    def one(candidate: Candidate) -> tuple[Entrant, dict[str, Any]]:
        start = time.perf_counter()
        with work.steps.step(f"compiling {candidate.name}"):
            entrant = candidate.enter(setting, seed=work.options.seed)
            if work.runs.known is not None:
                return entrant, _timing(start, None)
            with guard_of(entrant):
                ready = prepare_trial(
                    setting.scenario,
                    setting.simulator,
                    entrant.policy,
                    sees_truth=entrant.sees_truth,
                    patients=work.options.cohort.count,
                )
        return entrant, _timing(start, ready)

    return on_threads(one, entering, device_shape().compilers)


def _timing(start: float, ready: Program | None) -> dict[str, Any]:
    """What a policy took before its trial; the program itself is not held, for the memory maps that it has."""
    own = (0.0, 0.0, True) if ready is None else (ready.traced_s, ready.compiled_s, ready.kept)
    return {
        "tune_and_compile_s": time.perf_counter() - start,
        "trace_s": own[0],
        "compile_s": own[1],
        "traced_before": own[2],
    }


def treated(
    setting: Setting,
    entrant: Entrant,
    work: Work,
    shield: Shield | None = None,
    ward: str = "",
) -> tuple[Outcome, float]:
    """The outcome, and the seconds that the trial ran without compilation; 0 for one that was merged."""
    who = f"{entrant.name}{f' under {ward}' if ward else ''}"
    about = f"{who}, patients of {setting.simulator.name}, controller believes {setting.controller.name}"
    running = work.steps.step(f"{work.runs.doing} {entrant.name} on {work.options.cohort.count:,} patients")

    ran: list[float] = []

    def run() -> Iterator[Trial]:
        for block in blocks_of(work.options.cohort):
            clock: dict[str, float] = {}
            yield run_trial(
                setting.scenario,
                setting.simulator,
                entrant.policy,
                block,
                shield=shield,
                sees_truth=entrant.sees_truth,
                clock=clock,
            )
            ran.append(clock["run_s"])

    def checked() -> Iterator[Trial]:
        for block in work.runs.of(about, _digest(setting, entrant, shield), run):
            if entrant.own:
                check_amounts(entrant.name, block.proposal[block.alive], setting.scenario)
            if block.failed.all():
                raise ConfigError(
                    f"policy {entrant.name!r}: levels or rewards of all {block.patients:,} patients are not finite: "
                    f"check {'the reward' if np.isfinite(block.values).all() else 'the drug model'} of "
                    f"{setting.task.where}"
                )
            check_label(setting.task, entrant.policy, block)
            yield block

    with running, guard_of(entrant):
        outcome = gathered(setting.scenario, checked(), work.options.cohort.count)
    return outcome, sum(ran)


def _digest(setting: Setting, entrant: Entrant, shield: Shield | None) -> str:
    """Of what a trial is computed from; empty where code from outside takes part, which has none."""
    try:
        return content_digest(setting.scenario, setting.simulator, shield, entrant.policy, entrant.sees_truth)
    except NoFingerprintError:
        return ""


def shielded(
    setting: Setting,
    entrants: Sequence[Entrant],
    outcomes: dict[str, Outcome],
    work: Work,
) -> list[Entrant]:
    """Run every policy behind the safety shield and add the outcomes to the others."""
    shield = shield_of(setting.scenario, setting.controller)
    found = []
    for entrant in entrants:
        behind = dataclasses.replace(
            entrant, name=f"{entrant.name}+shield", title=f"{entrant.title}, behind the shield"
        )
        outcomes[behind.name], _ = treated(setting, behind, work, shield)
        found.append(behind)
        work.steps.note(f"{behind.name}: {work.options.cohort.count:,} patients")
    return found


def mismatched(
    setting: Setting, pairs: Sequence[tuple[str, str]], entering: Sequence[Candidate], work: Work
) -> dict[str, Any]:
    """Attainment of every policy with its interval, for every simulator and controller."""
    cells = []
    for simulator, controller in pairs:
        other = setting_for(setting.task, simulator, controller, accept_changed=work.options.accept_changed)
        entrants = [entrant for entrant, *_ in entered_all(other, entering, work)]
        shares = np.stack(
            [treated(other, e, work, ward="mismatch")[0].ends["attainment_pct"] for e in entrants], axis=1
        )
        rng = generator(work.options.seed, Stream.EVALUATE, 2)
        for entrant, interval in zip(entrants, bootstrap(shares, rng), strict=True):
            cells.append(
                {
                    "simulator": simulator,
                    "controller": controller,
                    "policy": entrant.name,
                    "attainment_pct": interval.record(),
                }
            )
        work.steps.note(f"mismatch: patients of {simulator}, controller assumes {controller}")
    scenario = setting.scenario
    return {"models": list(scenario.models), "test_only": list(scenario.test_only), "cells": cells}


def stressed_too(name: str, setting: Setting, entrants: Sequence[Entrant], work: Work) -> dict[str, Any]:
    """Run every policy as built and tuned under a stress setting that it was not designed for."""
    scenario = stressed(setting.scenario, name)
    task = dataclasses.replace(setting.task, value=scenario)
    other = Setting(task, setting.controller, simulator_of(scenario, setting.simulator.name))
    own = [e for e in entrants if not e.name.endswith("+shield")]
    with work.steps.step(f"stress {name}"):
        quietly = dataclasses.replace(work, steps=Steps(quiet, len(own)))
        outcomes = {
            e.name: treated(other, dataclasses.replace(e, policy=_told(e.policy, scenario)), quietly, ward=name)[0]
            for e in own
        }
    shares = np.stack([outcomes[e.name].ends["attainment_pct"] for e in own], axis=1)
    rng = generator(work.options.seed, Stream.EVALUATE, 3)
    rows = [
        {"policy": e.name, **summary(scenario, outcomes[e.name], interval)}
        for e, interval in zip(own, bootstrap(shares, rng), strict=True)
    ]
    work.steps.note(f"stress {name}: {len(own)} policies")
    return {"name": name, "title": STRESSES[name].title, "policies": rows}


def _told[T](policy: T, scenario: Scenario) -> T:
    """The policy with the stressed scenario, whose turnaround times a clinic knows; its parameters are unchanged."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(policy):  # type: ignore[arg-type]
        value = getattr(policy, f.name)
        if isinstance(value, Scenario):
            changes[f.name] = scenario
        elif isinstance(value, Observer):
            changes[f.name] = dataclasses.replace(value, scenario=scenario)
    return dataclasses.replace(policy, **changes) if changes else policy  # type: ignore[type-var]

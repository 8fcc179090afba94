"""The Play tab: dose a virtual patient of a scenario by hand, then see how the policies would have done.

The patient is the trial's own: the doses so far are a policy that `run_trial` runs on a cohort of one. What has not
been measured yet, and what lies ahead, is cut out of the answer; only a finished game shows the true course.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth, result_times
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.trials import Cohort, Trial, enter, run_trial, setting_for
from rl_drug_dosage.trials.entrants import guard_of
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.utils.progress import Progress, Steps
from rl_drug_dosage.utils.words import lasting, measured, output_words, unit_words
from rl_drug_dosage.web.bodies import Body, is_number
from rl_drug_dosage.web.catalogue import learnt_in, scenario_record, scenario_value, scenarios
from rl_drug_dosage.web.jobs import Job, Jobs

__all__ = ["Play", "playable"]

_MOST_DECISIONS = 40
"""A game with more decisions is nobody's pleasure."""
_RIVALS = ("label", "best-bayes", "mipd", "oracle")
"""Against whom one plays, where the scenario has them; a learnt policy besides."""
_MOST_PATIENT = 9_999


class ByHand(Policy):
    """A policy whose doses are given beforehand."""

    amounts: Float[Array, " decision"]
    choices: Int[Array, " decision"]
    chooses: bool = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> Any:
        """No memory."""
        return ()

    def act(self, memory: Any, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Any]:
        """The dose of the decision."""
        amount, choice = self.amounts[observation.k], self.choices[observation.k]
        return (Prescription(amount, choice) if self.chooses else amount), memory


def playable(scenario: Scenario) -> bool:
    """Whether a course is short enough to be dosed by hand."""
    return scenario.schedule.decisions <= _MOST_DECISIONS


class Play:
    """Games; the server remembers none, every request says all doses so far.

    Args:
        jobs: where policies run.
        models: folder of model files, or None.
    """

    def __init__(self, jobs: Jobs, models: Path | None) -> None:
        self._jobs, self._learnt = jobs, learnt_in(models)

    def turn(self, raw: bytes) -> dict[str, Any]:
        """What the clinic knows of a patient after some doses; after the last one, how it went.

        Args:
            raw: JSON with ``scenario``, ``patient`` (its number), ``seed`` and ``doses``, each ``[amount]`` or
                ``[amount, index of the interval]``.

        Raises:
            ConfigError: a dose that is not on the grid, or too many.
        """
        name, scenario, cohort, doses = _asked(raw)
        trial = _played(name, scenario, cohort, doses)
        done = len(doses) == scenario.schedule.decisions or (len(doses) > 0 and not trial.alive[0, len(doses) - 1])
        return _view(name, scenario, trial, doses, done=bool(done))

    def compare(self, raw: bytes) -> Job:
        """Let the policies treat the same patient.

        Raises:
            ConfigError: see `turn`.
            BusyError: such a comparison is running.
        """
        name, scenario, cohort, _ = _asked(raw)
        offered = scenario_record(name)["policies"]
        references = {p: p for p in _RIVALS if p in offered or p == "oracle"}
        if "best-bayes" in references:
            references.pop("mipd", None)
        if name in self._learnt:
            references["learnt"] = str(self._learnt[name])

        def work(progress: Progress) -> tuple[dict[str, Any], str]:
            setting, steps, found = setting_for(name), Steps(progress, len(references)), []
            for own, reference in references.items():
                with steps.step(f"preparing and running {own}"):
                    entrant = enter(setting, reference, seed=cohort.seed, name=own)
                    with guard_of(entrant):
                        trial = run_trial(
                            setting.scenario, setting.simulator, entrant.policy, cohort, sees_truth=entrant.sees_truth
                        )
                found.append({"policy": own, "title": entrant.title} | _course(scenario, trial))
            return {"policies": found}, ""

        return self._jobs.start("play", work)


def _asked(raw: bytes) -> tuple[str, Scenario, Cohort, list[tuple[float, int]]]:
    """Scenario, patient and doses of a request.

    Raises:
        ConfigError: a value that is not offered.
    """
    body = Body.parsed(raw, ("scenario", "patient", "seed", "doses"))
    name = body.one_of("scenario", scenarios())
    scenario = scenario_value(name)
    if not playable(scenario):
        body.refuse("scenario", f"one with at most {_MOST_DECISIONS} decisions")
    cohort = Cohort(body.whole("seed", 0, 2**31 - 1, 1), 1, first=body.whole("patient", 0, _MOST_PATIENT, 0))
    rows = body.get("doses") or []
    most = scenario.schedule.decisions
    if not isinstance(rows, list) or len(rows) > most:
        body.refuse("doses", f"a list of at most {most} doses")
    return name, scenario, cohort, [_dose(scenario, row, i) for i, row in enumerate(rows, 1)]


def _dose(scenario: Scenario, row: object, place: int) -> tuple[float, int]:
    """One dose.

    Raises:
        ConfigError: one that is not on the grid.
    """
    dosage = scenario.dosage
    intervals = max(len(dosage.intervals_h), 1)
    if not (isinstance(row, list) and 1 <= len(row) <= 2 and all(map(is_number, row))):
        raise ConfigError(f"doses[{place}]: allowed: [amount] or [amount, index of the interval]; correct it")
    amount = min(dosage.amounts, key=lambda own: abs(own - row[0]))
    if abs(amount - row[0]) > 1e-6 * max(1.0, amount):
        raise ConfigError(f"doses[{place}]: {row[0]:g} {dosage.unit} is not on the grid; the nearest is {amount:g}")
    choice = row[1] if len(row) == 2 else 0
    if choice not in range(intervals):
        raise ConfigError(f"doses[{place}]: interval {choice:g}; allowed: 0 to {intervals - 1}; correct it")
    return float(amount), int(choice)


def _played(name: str, scenario: Scenario, cohort: Cohort, doses: Sequence[tuple[float, int]]) -> Trial:
    """The course under these doses, and none after them."""
    steps = scenario.schedule.decisions
    amounts, choices = np.full(steps, scenario.dosage.amounts[0], np.float32), np.zeros(steps, np.int32)
    for k, (amount, choice) in enumerate(doses):
        amounts[k], choices[k] = amount, choice
    policy = ByHand(jnp.asarray(amounts), jnp.asarray(choices), bool(scenario.dosage.intervals_h))
    setting = setting_for(name)
    return run_trial(setting.scenario, setting.simulator, policy, cohort)


def _view(
    name: str, scenario: Scenario, trial: Trial, doses: Sequence[tuple[float, int]], *, done: bool
) -> dict[str, Any]:
    """What the clinic knows, and after the end the whole course."""
    schedule, monitoring, dosage = scenario.schedule, scenario.monitoring, scenario.dosage
    k, now_h = len(doses), len(doses) * schedule.interval_h
    back = result_times(scenario)
    levels = [
        {"time_h": d * schedule.interval_h + at, "value": float(trial.measured[0, d, s])}
        for d in range(k)
        for s, at in enumerate(monitoring.at_h)
        if np.isfinite(trial.measured[0, d, s]) and (done or back[d, s] <= now_h + 1e-4)
    ]
    if np.isfinite(trial.baseline[0]) and monitoring.baseline:
        levels.insert(0, {"time_h": 0.0, "value": float(trial.baseline[0])})
    simulator = scenario.drug(scenario.models[0])
    output = simulator.outputs[simulator.output_index(monitoring.output)]
    facts = {c.name: c for c in scenario.covariates}
    return {
        "scenario": name,
        "title": scenario.title,
        "goal": scenario.goal.title,
        "decision": k,
        "decisions": schedule.decisions,
        "interval_h": schedule.interval_h,
        "shown_per_h": schedule.shown_per_h,
        "shown_unit": schedule.shown_unit,
        "output": output_words(output.name),
        "axis": measured(output.name, output.unit),
        "unit": unit_words(output.unit),
        "window": _window(scenario),
        "dose_unit": dosage.unit,
        "amounts": list(dosage.amounts),
        "usual": dosage.usual,
        "intervals_h": list(dosage.intervals_h),
        "intervals": [lasting(hours) for hours in dosage.intervals_h],
        "covariates": [
            {"label": facts[n].meaning, "value": float(f"{float(v[0]):.4g}"), "unit": facts[n].unit}
            for n, v in trial.covariates.items()
            if n in facts
        ],
        "doses": [
            {
                "time_h": d * schedule.interval_h,
                "amount": float(trial.dose[0, d]),
                "every_h": float(trial.every_h[0, d]),
            }
            for d in range(k)
        ],
        "levels": levels,
        "done": done,
        "course": _course(scenario, trial) if done else None,
    }


def _window(scenario: Scenario) -> list[float | None] | None:
    """Of a first target that is a level of what is measured, for the figure."""
    target = scenario.goal.targets[0]
    if target.output != scenario.monitoring.output or target.metric not in {"trough", "value", "nadir", "peak"}:
        return None
    low, high, _ = scenario.edges()
    edges = [float(np.asarray(e)[-1][0]) for e in (low, high)]
    return [e if np.isfinite(e) else None for e in edges]


def _course(scenario: Scenario, trial: Trial) -> dict[str, Any]:
    """The true course of the only patient, and how a trial judges it."""
    schedule = scenario.schedule
    times = [k * schedule.interval_h + t for k in range(schedule.decisions) for t in schedule.output_times_h]
    values = np.asarray(trial.values[0]).reshape(-1)
    ends = {name: float(column[0]) for name, column in endpoints(scenario, trial).items()}
    return {
        "time_h": [float(f"{t:.6g}") for t in times],
        "values": [float(f"{v:.5g}") if np.isfinite(v) else None for v in values],
        "doses": [float(d) for d in trial.dose[0]],
        "in_target_pct": float(f"{ends['attainment_pct']:.4g}"),
        "under_pct": float(f"{ends['under_pct']:.4g}"),
        "over_pct": float(f"{ends['over_pct']:.4g}"),
        "harms": {harm.name: ends[f"harm:{harm.name}"] for harm in scenario.goal.harms},
        "dropped_out": bool(ends["dropped_out"]),
    }

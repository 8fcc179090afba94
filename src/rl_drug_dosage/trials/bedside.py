"""Any policy, one patient or a list of patients at a time, from plain Python.

    from rl_drug_dosage import load_policy

    policy = load_policy("mipd", "warfarin")  # or load_policy("models/warfarin.pt"), load_policy("runs/mine")
    course = policy.start({"age_y": 64, "cyp2c9": "*1/*3", "vkorc1": "GA"})
    course.observe(0.0, 1.1)  # hours since the first decision; the level before the first dose
    dose = course.recommend()  # in policy.dose_unit
    course.given(dose)
    course.observe(24.0, 1.2)
    ...

`Bedside.covariates` says what is asked for. A model of DrugDose or of somebody's Gymnasium environment has no chart:
see `step_policy`. Research and education only: it never treats a patient.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.dose_grid import on_grid
from rl_drug_dosage.clinic.doubt import abstained, in_doubt
from rl_drug_dosage.clinic.ensemble.forecast import Forecast
from rl_drug_dosage.clinic.faults import check_amounts, decide, faults_of
from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, record_axes
from rl_drug_dosage.clinic.rollout import dispense
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import amount_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel, Fixed, plain_number
from rl_drug_dosage.pkpd.same_quantity import read_covariates
from rl_drug_dosage.policies.adapters.learnt import dosing_policy, model_path
from rl_drug_dosage.ppo.model_file import load_model
from rl_drug_dosage.registry import POLICY, Found, is_file_reference
from rl_drug_dosage.trials.dose_forecast import DoseForecast, assembled, doses_around, read_doses
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.plausible import check_controller, check_levels, finite_number, unlike_age
from rl_drug_dosage.trials.replay import History
from rl_drug_dosage.trials.setting import refuse_models, scenario_of, setting_for, setting_of
from rl_drug_dosage.trials.step_policy import StepPolicy
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.kept_programs import Kept
from rl_drug_dosage.utils.runtime import keep_programs
from rl_drug_dosage.utils.seeding import check_seed

__all__ = ["Bedside", "Course", "load_policy"]

_TOLERANCE = 0.05
"""How far from a planned time a level may be drawn, in decision intervals."""


@overload
def load_policy(
    policy: object,
    scenario: "str | Path | Scenario",
    *,
    controller: "str | Path | DrugModel | None" = None,
    simulator: "str | Path | DrugModel | None" = None,
    seed: int = 1,
    accept_changed: bool = False,
) -> "Bedside": ...


@overload
def load_policy(
    policy: object,
    scenario: None = None,
    *,
    controller: "str | Path | DrugModel | None" = None,
    simulator: "str | Path | DrugModel | None" = None,
    seed: int = 1,
    accept_changed: bool = False,
) -> "Bedside | StepPolicy": ...


@checked
def load_policy(
    policy: object,
    scenario: "str | Path | Scenario | None" = None,
    *,
    controller: "str | Path | DrugModel | None" = None,
    simulator: "str | Path | DrugModel | None" = None,
    seed: int = 1,
    accept_changed: bool = False,
) -> "Bedside | StepPolicy":
    """A policy, ready for patients.

    Args:
        policy: in any form that `registry` knows: a name (``"mipd"``, ``"mipd,prior=widened"``, ``"label"``, ...), a
            model file, the folder of a run, a Python file, the object itself.
        scenario: the task; a model file knows its own where that is built in or installed.
        controller: the drug model that the policy believes; None: the scenario's first.
        simulator: the one that patients follow, for a model that was trained on patients of your own drug model.
        seed: of tuning, and of a policy that draws its doses.
        accept_changed: take a model although its scenario's file has changed since.

    Returns:
        A `Bedside` in a dosing scenario. A model of another environment, such as DrugDose, has no chart to go by: it
        becomes a `StepPolicy`, from observations to doses.

    Raises:
        UnknownNameError: no such policy or scenario.
        ConfigError: no scenario given, an oracle (which needs the truth), or a policy that does not fit.
        ModelFileError: a model of another scenario.
    """
    check_seed(seed)
    keep_programs()
    if (file := _model_file(policy)) is not None:
        model = load_model(file)
        task = scenario_of(model, file, scenario)
        if task is None:
            refuse_models(model, simulator, controller)
            return StepPolicy(model)
        setting = setting_of(
            model, file, task, simulator=simulator, controller=controller, accept_changed=accept_changed
        )
        return Bedside(setting.task, dosing_policy(model, setting, file), seed=seed, controller=setting.controller)
    if scenario is None:
        raise ConfigError(f"load_policy({policy!r}) needs a scenario: load_policy({policy!r}, 'vancomycin')")
    # At a bedside nobody simulates the patient: the simulator matters to an oracle only, which is refused.
    setting = setting_for(scenario, simulator or controller, controller, accept_changed=accept_changed)
    entrant = enter(setting, policy, seed=seed)
    if entrant.sees_truth:
        raise ConfigError(f"policy {policy!r} needs the patient's true parameters, which nobody has at a bedside")
    own = entrant.name if entrant.own else ""
    return Bedside(setting.task, entrant.policy, seed=seed, controller=setting.controller, own=own)


def _model_file(policy: object) -> Path | None:
    """The model file that a reference stands for; None where it is something else."""
    if not isinstance(policy, str | Path):
        return None
    path = Path(policy)
    is_path = isinstance(policy, Path) or is_file_reference(POLICY, policy)
    return model_path(path) if is_path and (path.suffix == ".pt" or path.is_dir()) else None


@dataclass(frozen=True)
class Asked:
    """One covariate that `Bedside.start` asks for."""

    name: str
    unit: str
    meaning: str
    low: float
    high: float
    optional: float | None
    """The value that is taken when it is not given; None: it must be given."""
    codes: tuple[float, ...] = ()
    """The only values of a category; empty for a quantity."""
    words: Mapping[str, float] = field(default_factory=dict)
    """What may be written in place of a number."""


_IN_DOUBT = (
    "the estimate of the patient from the levels did not converge: a dose of Bayesian dosing is then at most the last "
    "one and the label's; check the doses, times and units of the levels"
)
_ABSTAINED = (
    "what is known of the patient lies far outside the policy's training: the dose is that of the Bayesian dosing that "
    "it corrects"
)


class Memory(NamedTuple):
    """A policy's memory between two decisions, without its structure, which a kept program does not tell."""

    leaves: list[Any]
    doubtful: Any
    """Of each patient, or of all: whether the estimate behind the last dose had not converged."""
    abstained: Any
    """Likewise: whether a learnt policy left the last dose to the Bayesian dosing that it corrects."""

    @classmethod
    def told(cls, came: Mapping[str, Any]) -> "Memory":
        """The part of a program's results that is a memory."""
        return cls(came["leaves"], came["doubtful"], came["abstained"])


def _first(axes: Record) -> Callable[..., dict[str, Any]]:
    """(policy, charts) -> the fields of the first `Memory`."""

    def run(policy: Policy, record: Record) -> dict[str, Any]:
        return _told(jax.vmap(policy.init, in_axes=(axes,))(record))

    return run


def _told(memory: Any) -> dict[str, Any]:
    return {"leaves": jax.tree.leaves(memory), "doubtful": in_doubt(memory), "abstained": abstained(memory)}


def _memory_of(policy: Policy, record: Record, axes: Record, leaves: list[Any]) -> Any:
    """The memory itself: its structure is that of the first one."""
    first = jax.eval_shape(jax.vmap(policy.init, in_axes=(axes,)), record)
    return jax.tree.unflatten(jax.tree.structure(first), leaves)


def _advice(scenario: Scenario, axes: Record) -> Callable[..., dict[str, Any]]:
    """(policy, leaves of its memory, charts, random keys) -> doses, and the fields of the next `Memory`."""

    def run(policy: Policy, leaves: list[Any], record: Record, keys: Array) -> dict[str, Any]:
        # Keys travel as plain numbers: making them on the host would cost more than the dose.
        own = jax.vmap(jax.random.wrap_key_data)(keys)
        memory = _memory_of(policy, record, axes, leaves)
        proposal, memory = jax.vmap(partial(decide, policy), in_axes=(0, axes, 0))(memory, record, own)
        given, _ = jax.vmap(partial(dispense, scenario, None), in_axes=(axes, 0))(record, proposal)
        asked = amount_of(proposal)
        doses = {"given": amount_of(given), "asked": asked, "fits": on_grid(scenario, asked)}
        return {**doses, **_told(memory)}

    return run


def _foresight(axes: Record) -> Callable[..., dict[str, Any]]:
    """(policy, leaves of its memory, charts, amounts, whether they go on) -> the fields of its forecast."""

    def run(policy: Policy, leaves: list[Any], record: Record, amounts: Array, same: Array) -> dict[str, Any]:
        memory = _memory_of(policy, record, axes, leaves)
        # Of the only patient; ``k`` is common to all.
        memory, record = jax.tree.map(lambda v: v if jnp.ndim(v) == 0 else v[0], (memory, record))
        return policy.forecast(memory, record, amounts, same)._asdict()

    return run


class Bedside:
    """A policy with its scenario's vocabulary.

    Args:
        named: the scenario.
        policy: doses.
        seed: of a policy that draws its doses.
        controller: the drug model that the policy believes: patients for whose covariates it has no parameters are
            refused.
        own: name of a policy from outside the package, for messages about what it does wrong.
    """

    def __init__(
        self,
        named: Found[Scenario],
        policy: Policy,
        *,
        seed: int = 1,
        controller: DrugModel | None = None,
        own: str = "",
    ) -> None:
        self.named, self.seed, self.controller, self.own = named, seed, controller, own
        self.policy = jax.tree.map(jnp.asarray, policy)
        self.anytime = jax.tree.map(jnp.asarray, policy.anytime())
        axes = record_axes(_blank(self.scenario, 1, {c.name: np.zeros(1) for c in self.scenario.covariates}))
        self.first_memory = Kept(_first(axes))
        self.advise = Kept(_advice(self.scenario, axes))
        self.foresee = Kept(_foresight(axes))

    @property
    def scenario(self) -> Scenario:
        """The task."""
        return self.named.value

    @property
    def dose_unit(self) -> str:
        """What a recommendation is counted in."""
        return self.scenario.dosage.unit

    @property
    def interval_h(self) -> float:
        """Between two decisions."""
        return self.scenario.schedule.interval_h

    @property
    def covariates(self) -> tuple[Asked, ...]:
        """What `start` asks for, with units and ranges."""
        return tuple(
            Asked(
                c.name,
                c.unit,
                c.meaning,
                c.low,
                c.high,
                c.distribution.value if isinstance(c.distribution, Fixed) else None,
                c.codes,
                c.words,
            )
            for c in self.scenario.covariates
        )

    @checked
    def start(self, covariates: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> "Course":
        """Admit a patient, or a list of them. What is possible, but unusual, is said in `Course.warnings`.

        Raises:
            UnknownNameError: a covariate that the scenario does not have.
            ConfigError: one that is missing, given twice, no number, or a number that no patient has; covariates for
                which the controller's parameters are not finite and positive.
        """
        single = isinstance(covariates, Mapping)
        rows = [covariates] if isinstance(covariates, Mapping) else list(covariates)
        if not rows:
            raise ConfigError("start needs at least one patient: give a mapping of covariates, or a list of them")
        read = [self._complete(read_covariates(self.scenario.covariates, row)) for row in rows]
        who = [""] if single else [f"patient {i + 1}: " for i in range(len(rows))]
        said = self.look(read, who)
        table = {c.name: np.asarray([r[c.name] for r in read], np.float32) for c in self.covariates}
        return Course(self, _blank(self.scenario, len(rows), table), single=single, warnings=said)

    def _complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """One patient's covariates with those that need not be given."""
        found: dict[str, float] = {}
        for a in self.covariates:
            value = given.get(a.name, a.optional)
            if value is None:
                known = [c.name for c in self.covariates]
                raise ConfigError(f"covariate {a.name!r} ({a.meaning}, {a.unit}) is missing: asked for are {known}")
            found[a.name] = value
        return found

    def guard(self) -> contextlib.AbstractContextManager[None]:
        """Turns what a policy from outside raises into one line that names it."""
        return faults_of(self.own, foreign=bool(self.own))

    def look(self, rows: Sequence[Mapping[str, float]], who: Sequence[str]) -> list[str]:
        """What is unusual about patients.

        Raises:
            CovariateError: the controller has no parameters for one of them.
        """
        said = []
        for row, whose in zip(rows, who, strict=True):
            outside = [c.outside(row[c.name], self.named.name) for c in self.scenario.covariates]
            with self.guard():
                unlike = unlike_age(self.scenario.covariates, row)
                said += [whose + text for text in (*outside, *unlike, *self.policy.remarks(row)) if text]
        if self.controller is not None:
            check_controller(self.scenario, self.controller, rows, who)
        return said


def _blank(scenario: Scenario, count: int, table: Mapping[str, np.ndarray]) -> Record:
    """Empty charts."""
    steps, samples = scenario.schedule.decisions, len(scenario.monitoring.at_h)
    intake = np.zeros((count, steps), np.float32)
    if scenario.intake is not None and scenario.intake.announced:
        for at, amount in scenario.intake.schedule:
            intake[:, at :: scenario.intake.period] = amount
    numbers: Any = (count, steps, samples)
    return Record(
        k=np.zeros((), np.int32),  # type: ignore[arg-type]
        covariates={n: np.repeat(c[:, None], scenario.records, axis=1) for n, c in table.items()},  # type: ignore[misc]
        dose=np.zeros(numbers[:2], np.float32),  # type: ignore[arg-type]
        level=np.zeros(numbers, np.float32),  # type: ignore[arg-type]
        known=np.zeros(numbers, bool),  # type: ignore[arg-type]
        below=np.zeros(numbers, bool),  # type: ignore[arg-type]
        baseline=np.zeros(count, np.float32),  # type: ignore[arg-type]
        intake_mg=intake,  # type: ignore[arg-type]
        choice=np.zeros((count, steps if scenario.dosage.intervals_h else 0), np.int32),  # type: ignore[arg-type]
        due=np.zeros(count, np.int32),  # type: ignore[arg-type]
    )


class Course:
    """Patients under treatment: tell what was measured and given, ask for the next dose.

    Times are hours since the first decision. With one patient, doses and levels are numbers; with a list, arrays in its
    order (a level of None or NaN: not measured).
    """

    def __init__(self, bedside: Bedside, record: Record, *, single: bool, warnings: Sequence[str] = ()) -> None:
        self._bedside, self._record, self._single = bedside, record, single
        self._warnings = list(warnings)
        self._memory: Memory | None = None
        self._advice: tuple[np.ndarray, Memory, np.ndarray] | None = None
        self._history = History.of(bedside.scenario, record.dose.shape[0])
        self._moved: tuple[str, ...] = ()
        self._key = np.random.default_rng(bedside.seed)

    @property
    def decision(self) -> int:
        """The decision that is due, from 0; as many doses have been given."""
        return int(self._record.k)

    @property
    def time_h(self) -> float:
        """When it is due."""
        return self.decision * self._bedside.interval_h

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is unusual about patient and levels, and doubtful about the dose last recommended, one sentence each."""
        scenario, said = self._bedside.scenario, list(self._warnings)
        unknown = self._record.baseline <= 0
        if scenario.monitoring.baseline and unknown.any():
            whose = "" if self._single else f"{int(unknown.sum())} of {unknown.size} patients: "
            said.append(
                f"{whose}no {scenario.monitoring.output} before the first dose was observed: it counts as unknown; a "
                "learnt policy sees that of the typical patient in its place"
            )
        return tuple(dict.fromkeys((*said, *self._doubts(), *self._moved)))

    def _doubts(self) -> tuple[str, ...]:
        """Whether the estimate behind the dose that is recommended now has converged, and whose dose it is."""
        memory = self._memory if self._advice is None else self._advice[1]
        if memory is None:
            return ()
        found = ((memory.doubtful, _IN_DOUBT), (memory.abstained, _ABSTAINED))
        return tuple(f"{self._how_many(flags)}{said}" for flags, said in found if np.any(flags))

    def _how_many(self, flags: Any) -> str:
        return "" if self._single else f"{int(np.sum(flags))} of {np.size(flags)} patients: "

    def observe(self, time_h: float, level: float | Sequence[float | None] | None) -> None:
        """Results that have come back of samples drawn at ``time_h``, in the unit of the monitored output.

        A result may come late or correct an earlier one: the next recommendation takes it as if it had come in time.

        Raises:
            ConfigError: a time that is no number, at which none is planned, or after the decision that is due; a level
                that is no number, or one that no patient has.
        """
        time_h = finite_number(time_h, "the time of a level", "hours since the first decision")
        values = self._column(level, "level", missing=True)
        scenario = self._bedside.scenario
        record, seen = self._record, ~np.isnan(values)
        said = check_levels(scenario, time_h, {self._whose(int(i)): float(values[i]) for i in np.flatnonzero(seen)})
        tolerance = _TOLERANCE * self._bedside.interval_h
        if time_h > self.time_h + tolerance:
            raise ConfigError(
                f"a level at {time_h:g} h, but the decision due is at {self.time_h:g} h: tell the doses until then"
            )
        if self._is_baseline(time_h, tolerance):
            record.baseline[seen] = values[seen]
            self._warnings += said
            self._history.changed = True
            return self._forget()
        at, slot = self._slot(time_h, tolerance)
        self._warnings += said
        if (before := seen & record.known[:, at, slot]).any():
            whose = "" if self._single else f"{int(before.sum())} of {before.size} patients: "
            self._warnings.append(
                f"{whose}the level at {time_h:g} h takes the place of the one observed before for the sample planned "
                f"at {at * self._bedside.interval_h + scenario.monitoring.at_h[slot]:g} h"
            )
        limit = scenario.monitoring.lloq
        record.level[seen, at, slot] = np.maximum(values[seen], limit)
        record.below[seen, at, slot] = values[seen] < limit
        record.known[seen, at, slot] = True
        self._history.tell(seen, at, slot, self.decision)
        return self._forget()

    def _is_baseline(self, time_h: float, tolerance: float) -> bool:
        """Whether a level is that before the first dose, which may be told later as well."""
        monitoring = self._bedside.scenario.monitoring
        planned = self.decision > 0 and bool((np.abs(np.asarray(monitoring.at_h) - time_h) <= tolerance).any())
        return monitoring.baseline and abs(time_h) <= tolerance and not planned

    def _slot(self, time_h: float, tolerance: float) -> tuple[int, int]:
        scenario = self._bedside.scenario
        starts = np.arange(scenario.schedule.decisions)[:, None] * self._bedside.interval_h
        times = starts + np.asarray(scenario.monitoring.at_h)[None]
        at, slot = np.unravel_index(np.argmin(np.abs(times - time_h)), times.shape)
        if abs(times[at, slot] - time_h) > tolerance:
            planned = ", ".join(f"{t:g}" for t in times[: max(self.decision, 1)].ravel()[-6:])
            raise ConfigError(
                f"a level at {time_h:g} h: {self._bedside.named.name} plans samples at {planned} h since the first "
                f"decision, within {tolerance:g} h"
            )
        return int(at), int(slot)

    @checked
    def update(self, covariates: Mapping[str, Any]) -> None:
        """Covariates of a single patient that have changed, from the decision that is due on.

        Raises:
            UnknownNameError, ConfigError: as `Bedside.start`; a course of several patients.
        """
        bedside = self._bedside
        if not self._single:
            raise ConfigError("update is for the course of one patient: start one for each of those that change")
        now = {a.name: float(self._record.covariates[a.name][0, -1]) for a in bedside.covariates}
        now |= read_covariates(bedside.scenario.covariates, covariates)
        self._warnings += bedside.look([now], [""])
        for name, value in now.items():
            column = self._record.covariates[name]
            first = min(self.decision, column.shape[1] - 1)
            # A covariate with a single row has changed for earlier decisions as well.
            self._history.changed |= first < max(self.decision, 1) and bool((column[:, first:] != value).any())
            column[:, first:] = value
        self._forget()

    def recommend(self) -> float | Float[np.ndarray, " patient"]:
        """The dose to give now, in `Bedside.dose_unit`. Asking twice changes nothing.

        As in a trial, a proposal of the policy off the dose grid is moved to the nearest amount; `warnings` then says
        what was proposed.

        Raises:
            ConfigError: the course has ended.
            BadPluginError: the policy fails, or proposes what is no dose.
        """
        steps = self._bedside.scenario.schedule.decisions
        if self.decision >= steps:
            raise ConfigError(
                f"the course has ended: {self._bedside.named.name} has {steps} decisions; start a new one"
            )
        if self._advice is None:
            with self._bedside.guard():
                self._advice = self._advised()
        dose = self._advice[0]
        return float(dose[0]) if self._single else dose.copy()

    @checked
    def forecast(
        self,
        doses: Sequence[float] | Float[np.ndarray, " dose"] | None = None,
        *,
        later: Literal["planned", "same"] = "planned",
    ) -> DoseForecast:
        """What candidate doses lead to under the policy's posterior: levels, probability of target and of harms.

        Args:
            doses: to give now, in `Bedside.dose_unit`; None: up to 20 amounts of the dose grid around the recommended
                one.
            later: the doses of the next decisions: ``"planned"``, those that the policy plans to follow the recommended
                one (off the dose grid), or ``"same"``, the candidate itself.

        Raises:
            ConfigError: the policy has no posterior (`mipd-ensemble` has one); a course of several patients, or one
                that has ended; doses that are none.
        """
        bedside, scenario = self._bedside, self._bedside.scenario
        if not self._single:
            raise ConfigError("forecast is for the course of one patient: start one for each")
        if later not in {"planned", "same"}:
            raise ConfigError(f"later is {later!r}: allowed is 'planned' or 'same'")
        if not bedside.policy.believes():
            raise ConfigError(
                f"policy {self._name!r} has no posterior to forecast from: use mipd-ensemble, or best-bayes where its "
                "variant is one"
            )
        recommended = float(self.recommend())
        assert self._advice is not None
        memory, same = self._advice[1], np.asarray(later == "same")
        with bedside.guard():
            return assembled(
                scenario,
                self.decision,
                doses_around(scenario, recommended) if doses is None else read_doses(scenario, doses),
                lambda group: Forecast(
                    **bedside.foresee(bedside.anytime, memory.leaves, self._record, group.astype(np.float32), same)
                ),
                recommended=recommended,
                models=bedside.policy.believes(),
                warnings=self.warnings,
            )

    def _recalled(self) -> Memory:
        """The policy's memory before the decision that is due."""
        bedside = self._bedside
        if self._memory is None:
            return Memory.told(bedside.first_memory(bedside.policy, self._record))
        if not (self._history.changed and bedside.policy.carries_results):
            return self._memory

        def then(memory: Memory, record: Record, keys: np.ndarray) -> Memory:
            return Memory.told(bedside.advise(bedside.anytime, memory.leaves, record, keys))

        return self._history.memory(
            self._record, lambda record: Memory.told(bedside.first_memory(bedside.policy, record)), then
        )

    def _advised(self) -> tuple[np.ndarray, Memory, np.ndarray]:
        """The doses to give now, the policy's memory after them, and the random keys."""
        bedside = self._bedside
        self._memory = self._recalled()
        self._history.changed = False
        keys = self._key.integers(2**32, size=(self._record.dose.shape[0], 2), dtype=np.uint32)
        # As in a trial, unless there is a result at another time than planned.
        own = bedside.policy.carries_results or self._history.unplanned
        policy = bedside.anytime if own else bedside.policy
        came = jax.block_until_ready(bedside.advise(policy, self._memory.leaves, self._record, keys))
        bedside.policy.check()
        given, proposed = np.asarray(came["given"], np.float64), np.asarray(came["asked"], np.float64)
        check_amounts(self._name, proposed, bedside.scenario)
        self._moved = tuple(
            f"{self._whose(i)}policy {self._name!r} proposed {proposed[i]:g} {bedside.dose_unit}, which is not on the "
            f"dose grid of {bedside.named.name}: {given[i]:g} {bedside.dose_unit} is recommended, the nearest amount"
            for i in np.flatnonzero(~np.asarray(came["fits"])).tolist()
        )
        return given, Memory.told(came), keys

    @property
    def _name(self) -> str:
        """Of the policy, for messages."""
        return self._bedside.own or type(self._bedside.policy).__name__

    def given(self, dose: float | Sequence[float]) -> None:
        """What was given at the decision that was due, recommended or not; time moves on to the next one.

        Raises:
            ConfigError: a dose that is no number from 0 to the scenario's largest, or a course that has ended.
        """
        values = self._column(dose, "dose", missing=False)
        top, unit = self._bedside.scenario.dosage.amounts[-1], self._bedside.dose_unit
        wrong = values[(values < 0) | (values > top * (1 + 1e-6))]
        if wrong.size:
            raise ConfigError(
                f"dose {wrong[0]:g} {unit}: give numbers >= 0 and <= {top:g} {unit}, the largest dose of "
                f"{self._bedside.named.name}"
            )
        # The policy's memory moves on with every decision, asked or not.
        self.recommend()
        assert self._advice is not None
        self._memory = self._advice[1]
        self._history.given(self._advice[2])
        self._record.dose[:, self.decision] = values
        self._record = eqx.tree_at(lambda r: r.k, self._record, np.asarray(self.decision + 1, np.int32))
        self._advice = None

    def _column(self, value: Any, what: str, *, missing: bool) -> np.ndarray:
        count = self._record.dose.shape[0]
        try:
            listed = [value] if self._single else list(value)
            column = np.asarray([np.nan if v is None else plain_number(v) for v in listed], np.float64)
        except (TypeError, ValueError):
            column = np.zeros(0)
        bad = ~np.isfinite(column) if not missing else np.isinf(column)
        if column.shape != (count,) or bad.any():
            allowed = "a finite number" if self._single else f"{count} finite numbers"
            raise ConfigError(f"{what} {value!r}: give {allowed}{', None where none was measured' if missing else ''}")
        return column

    def _whose(self, patient: int) -> str:
        """How a sentence about a patient begins."""
        return "" if self._single else f"patient {patient + 1}: "

    def _forget(self) -> None:
        self._advice = None

"""Whether a history makes sense: each slip is one line that says what came, what is allowed and what to do."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rl_drug_dosage.bedside.grid import present_interval_h
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.layout import missing_covariates, route_of
from rl_drug_dosage.bedside.task import Task, siblings
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import DrugModel, plain_number
from rl_drug_dosage.pkpd.quantities import possible_level

__all__ = ["Usable", "assess", "due_h"]

_SAME_H = 1e-6
"""Times that are nearer are one time."""


@dataclass(frozen=True)
class Usable:
    """The models that can read a history.

    Args:
        models: those whose covariates are all known.
        notes: which were left out, and why.
    """

    models: tuple[DrugModel, ...]
    notes: tuple[str, ...]


def assess(task: Task, history: PatientHistory, *, asked: bool) -> Usable:
    """Refuse what cannot be, and choose the models that can read the history.

    Args:
        task: what is asked.
        history: of the patient.
        asked: the models were asked for by name: none is left out.

    Raises:
        ConfigError: an event after now, a level before any dose, two doses at one time by one route, a level that no
            patient has, covariates that are missing for every model that can read the levels.
        UnknownNameError: a route, an output or a covariate that no model has.
    """
    _not_after_now(history)
    _doses(task.first, history)
    _levels(task.first, history)
    _names(task, history)
    scenario = task.scenario.value if task.scenario is not None else None
    lacks = {model.name: missing_covariates(model, history, scenario) for model in task.models}
    blind = () if asked else tuple(m.name for m in task.models if _cannot_read(m, history))
    blind = blind if len(blind) < len(task.models) else ()
    usable = tuple(model for model in task.models if not lacks[model.name] and model.name not in blind)
    without = [f"{model.name} does without" for model in usable]
    if not usable or (asked and len(usable) < len(task.models)):
        first = next(model for model in task.models if lacks[model.name])
        told = {c.name: c for c in first.covariates}
        needed = ", ".join(f"{name} ({told[name].meaning}, {told[name].unit})" for name in lacks[first.name])
        others = [f"{m.name} needs {', '.join(lacks[m.name])}" for m in task.models if lacks[m.name] and m is not first]
        missing = lacks[first.name]
        elsewhere = [] if without else _elsewhere(task, history, missing)
        remedy = "; ".join(["give it", *_per_surface(first, history, missing), *without, *others, *elsewhere])
        raise ConfigError(f"covariate missing for {first.name}: {needed}; {remedy}")
    notes = [
        f"{name} is left out: it needs {', '.join(missing)}, which nobody told"
        for name, missing in lacks.items()
        if missing
    ]
    notes += [f"{name} is left out: no error of the measured output is published with it" for name in blind]
    return Usable(usable, tuple(notes))


def _relatives(model: DrugModel) -> tuple[DrugModel, ...]:
    """All models of the drug; the name of one begins with the drug's."""
    return tuple(each for each in siblings(model.name.partition("-")[0]) if each.drug == model.drug)


def _elsewhere(task: Task, history: PatientHistory, missing: Sequence[str]) -> list[str]:
    """Models that were not offered and do without covariates, and what else they need."""
    found = []
    for model in _relatives(task.first):
        if model in task.models or {c.name for c in model.covariates} & set(missing):
            continue
        needs = missing_covariates(model, history, None)
        found.append(f"{model.name} does without" + (f", and needs {', '.join(needs)}" if needs else ""))
    return found or ["no other model of the drug does without"]


def _per_surface(model: DrugModel, history: PatientHistory, missing: Sequence[str]) -> list[str]:
    """A clearance that was told per body surface where it is wanted of the patient, or the other way round."""
    wanted = next((c for c in model.covariates if c.name in missing and c.column == "CRCL"), None)
    told = {each.name for each in history.covariates}
    other = next((c for m in _relatives(model) for c in m.covariates if c.column == "CRCL" and c.name in told), None)
    if wanted is None or other is None:
        return []
    told_as = f"{other.name} is another quantity, in {other.unit}: give it in {wanted.unit}"
    return [f'{told_as}, or let a formula convert it by a body surface, bsa = "mosteller" or "du-bois"']


def _cannot_read(model: DrugModel, history: PatientHistory) -> bool:
    """Whether a level is of an output whose error the model does not have."""
    measured = {level.output or model.outputs[0].name for level in history.levels}
    return any(output.name in measured and output.residual is None for output in model.outputs)


def _not_after_now(history: PatientHistory) -> None:
    now = history.now_h
    kinds = (("dose", history.doses), ("level", history.levels), ("covariate", history.covariates))
    for what, entries in kinds:
        for each in entries:
            if each.time_h > now + _SAME_H:
                raise ConfigError(
                    f"{what} at {each.time_h:g} h is in the future of now, {now:g} h; allowed: what has happened; "
                    "correct the time or now"
                )


def _doses(model: DrugModel, history: PatientHistory) -> None:
    for dose in history.doses:
        route_of(model, dose.route)
        if dose.given and dose.amount == 0:
            raise ConfigError(
                f"dose at {dose.time_h:g} h is 0; allowed: an amount above 0; write given = false for a missed one"
            )
    for a, b in itertools.combinations(history.doses, 2):
        same_route = route_of(model, a.route).compartment == route_of(model, b.route).compartment
        if same_route and abs(a.time_h - b.time_h) <= _SAME_H:
            raise ConfigError(
                f"two doses at {a.time_h:g} h ({a.amount:g} and {b.amount:g}) by one route; allowed: one at a time; "
                "leave one out, or add them up"
            )


def _levels(model: DrugModel, history: PatientHistory) -> None:
    given = [dose.time_h for dose in history.doses if dose.given]
    first = min(given, default=math.inf)
    for level in history.levels:
        name = level.output or model.outputs[0].name
        if name not in {o.name for o in model.outputs}:
            raise UnknownNameError(f"output of {model.name}", name, {o.name for o in model.outputs})
        output = model.outputs[model.output_index(name)]
        low, high = possible_level(output.name, output.unit)
        if not low <= plain_number(level.value) <= high:
            raise ConfigError(
                f"level at {level.time_h:g} h is {level.value:g} {output.unit}; possible is {low:g} to {high:g} "
                f"{output.unit}; check the unit"
            )
        if level.time_h < first - _SAME_H and model.undosed(output.name) == 0.0:
            dosed = f"the first dose at {first:g} h" if given else "any dose"
            raise ConfigError(
                f"level at {level.time_h:g} h ({level.value:g} {output.unit}) is before {dosed}; allowed: after a "
                "dose; check the times, or tell the dose before it"
            )
    for a, b in itertools.combinations(history.levels, 2):
        if abs(a.time_h - b.time_h) <= _SAME_H and (a.output, a.value) == (b.output, b.value):
            raise ConfigError(f"level of {a.value:g} at {a.time_h:g} h was told twice; allowed: once; leave one out")


def _names(task: Task, history: PatientHistory) -> None:
    # A history of a generic name has the covariates of every model of the drug, also of those that are not weighed.
    known = {c.name: c for model in (*siblings(history.drug), *task.models) for c in model.covariates}
    extra = task.scenario.value.covariates if task.scenario is not None else ()
    called = [*known.values(), *extra]
    for each in history.covariates:
        if not any(c.name == each.name or c.is_called(each.name) for c in called):
            raise UnknownNameError(f"covariate of {task.drug}", each.name, {c.name for c in called})


def due_h(task: Task, history: PatientHistory, asked_h: float | None) -> float:
    """When the next dose is due: as asked, or an interval after the last one, and not before now.

    The interval is the median time between doses, given or missed, or else the first interval of the label.

    Raises:
        ConfigError: asked for before now.
    """
    if asked_h is not None:
        if not math.isfinite(asked_h) or asked_h < history.now_h - _SAME_H:
            raise ConfigError(
                f"the next dose is asked for at {asked_h:g} h, before now, {history.now_h:g} h; give a later time"
            )
        return max(asked_h, history.now_h)
    times = sorted({dose.time_h for dose in history.doses})
    if not times:
        return history.now_h
    return max(times[-1] + (present_interval_h(history) or task.dosing.intervals_h[0]), history.now_h)

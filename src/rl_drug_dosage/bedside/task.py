"""What is asked at a bedside: which published models, which target and harms, which doses may be given.

Targets, harms and limits come from the dosing scenario of the drug where there is one, else from the drug model.
"""

import dataclasses
import importlib.util
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from rl_drug_dosage.clinic.assumptions import assumed_models
from rl_drug_dosage.clinic.scenario import Harm, Scenario
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pharmacometrics.dose_aims import Aim
from rl_drug_dosage.pharmacometrics.dose_target import aim_of
from rl_drug_dosage.pkpd import Adaptive, DosingOptions, DrugModel, FixedStep, OdeSystem
from rl_drug_dosage.pkpd.bayes import flattened
from rl_drug_dosage.pkpd.units import same_unit
from rl_drug_dosage.registry import DRUG, SCENARIO, Found, find, find_scenario, names

__all__ = ["Task", "built_in_scenario", "siblings", "task_of", "with_window_at"]

_WIDENED = 0.5
"""Weight of a widened prior where no scenario says how varied patients are: twice the published variance. Unverified:
this project's choice."""
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
"""Tolerances of integration with error control."""


@dataclass(frozen=True)
class Task:
    """What is asked of a history.

    Args:
        drug: generic name.
        models: the models that are weighed, the first one in whose units the history is.
        scenario: the dosing scenario of the drug; None where there is none.
        aims: windows that all have to be met.
        harms: what is counted besides.
        dosing: amounts, intervals and routes that may be recommended.
        prior: ``"published"`` or ``"widened"``.
        notes: how models and aims were chosen.
    """

    drug: str
    models: tuple[DrugModel, ...]
    scenario: Found[Scenario] | None
    aims: tuple[Aim, ...]
    harms: tuple[Harm, ...]
    dosing: DosingOptions
    prior: str = "published"
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> DrugModel:
        """The model in whose units doses and levels are."""
        return self.models[0]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What every model predicts."""
        others = [{output.name for output in model.outputs} for model in self.models]
        return tuple(output.name for output in self.first.outputs if all(output.name in own for own in others))


def task_of(
    drug: str,
    *,
    models: Sequence[object] = (),
    scenario: object = None,
    target: str | None = None,
    prior: str = "published",
) -> Task:
    """Find models, target, harms and doses for a drug.

    Args:
        drug: generic name, or one model's.
        models: to be weighed by their evidence; empty: those of the scenario, or else every model of the drug.
        scenario: of this drug; None: the built-in one, if there is any.
        target: as in `dose_target`; None: the scenario's goal, or else the first model's first target.
        prior: ``"published"``, or ``"widened"``: as varied as in training (`assumed_models`).

    Raises:
        UnknownNameError: no such drug.
        ConfigError: models of several drugs or units, no target, no doses.
    """
    if prior not in {"published", "widened"}:
        raise ConfigError(f"prior is {prior!r}; allowed: 'published', 'widened'; choose one")
    given = tuple(find(DRUG, each).value for each in models)
    if given and drug not in {given[0].drug, *(m.name for m in given)}:
        raise ConfigError(
            f"the history is of {drug!r}, and {given[0].name} is a model of {given[0].drug!r}: change one"
        )
    own = given or _models_of(drug)
    found = _scenario_of(own, scenario)
    notes: list[str] = []
    if given:
        chosen = given
    elif drug in {m.name for m in own}:
        chosen = tuple(m for m in own if m.name == drug)
    elif found is not None:
        chosen = tuple(found.value.drug(name) for name in found.value.models)
        notes.append(f"models of the scenario {found.name}: {', '.join(m.name for m in chosen)}")
    else:
        chosen = own
    _check_alike(chosen)
    aims, harms = _aims(chosen[0], found, target)
    if not chosen[0].dosing.are_named:
        raise ConfigError(f"{chosen[0].name} names no doses; allowed: a model that does; choose one with models=")
    return Task(
        drug=chosen[0].drug,
        models=tuple(_assumed(m, found, prior) for m in chosen),
        scenario=found,
        aims=aims,
        harms=harms,
        dosing=chosen[0].dosing,
        prior=prior,
        notes=tuple(notes),
    )


def _assumed(model: DrugModel, scenario: Found[Scenario] | None, prior: str) -> DrugModel:
    if prior == "published":
        found = model
    elif scenario is not None and model.name in scenario.value.models:
        found = assumed_models(scenario.value, model.name, prior="widened")[0]
    else:
        found = flattened(model, _WIDENED)
    system, own = found.structure, model.structure
    if not isinstance(system, OdeSystem) or not isinstance(own, OdeSystem) or not isinstance(own.method, Adaptive):
        return found
    return dataclasses.replace(found, structure=system.with_method(_method(model, own.method, scenario)))


def _method(model: DrugModel, own: Adaptive, scenario: Found[Scenario] | None) -> Adaptive | FixedStep:
    """How a model is integrated for hundreds of draws.

    In the substeps that its scenario found to be enough, unless the scenario's output times cut them shorter: then they
    are enough for those times alone. Otherwise with error control, far finer than an assay and a fraction of the
    default's work.
    """
    if scenario is not None and model.name in (*scenario.value.models, *scenario.value.test_only):
        schedule = scenario.value.schedule
        if schedule.step_h <= np.diff((0.0, *schedule.output_times_h)).min():
            return FixedStep(schedule.step_h)
    return dataclasses.replace(own, rtol=own.rtol or _RELATIVE, atol=own.atol or _ABSOLUTE)


@cache
def _models_of(drug: str) -> tuple[DrugModel, ...]:
    """Every built-in or installed model of a drug; one model for its own name."""
    known = names(DRUG)
    if drug in known:
        return (find(DRUG, drug).value,)
    # The name of a built-in model begins with that of its drug.
    own = siblings(drug)
    if not own:
        generic = sorted({name.partition("-")[0] for name in known})
        raise UnknownNameError("drug", drug, generic, remedy="`rl-drug-dosage info --drugs` lists the models")
    return own


@cache
def siblings(drug: str) -> tuple[DrugModel, ...]:
    """The built-in or installed models of a generic name; none for the name of one model, or another word."""
    return tuple(find(DRUG, name).value for name in names(DRUG) if name.startswith(f"{drug.casefold()}-"))


def _check_alike(models: Sequence[DrugModel]) -> None:
    first = models[0]
    for other in models[1:]:
        if other.drug != first.drug:
            raise ConfigError(f"{first.name} is a model of {first.drug}, {other.name} of {other.drug}: leave one out")
        pairs = [(a, b) for a in first.outputs for b in other.outputs if a.name == b.name]
        if not pairs:
            raise ConfigError(f"{first.name} and {other.name} predict no output in common: leave one of them out")
        for a, b in pairs:
            if not same_unit(a.unit, b.unit):
                raise ConfigError(
                    f"{first.name} predicts {a.name!r} in {a.unit}, {other.name} in {b.unit}: leave one of them out"
                )


def _scenario_of(models: Sequence[DrugModel], scenario: object) -> Found[Scenario] | None:
    """The scenario that was asked for, or the built-in one of the drug."""
    if scenario is not None:
        found = scenario if isinstance(scenario, Found) else find_scenario(scenario)  # type: ignore[arg-type]
        if not found.value.doses(models[0].drug):
            raise ConfigError(f"scenario {found.name!r} does not dose {models[0].drug}: give another, or none")
        return found
    return built_in_scenario(models[0].drug)


@cache
def built_in_scenario(drug: str) -> Found[Scenario] | None:
    """The scenario that comes with the package for a drug; None: there is none."""
    wanted = tuple(f'"{name}"' for name in names(DRUG) if name.startswith(f"{drug.casefold()}-"))
    room = files(SCENARIO.room)
    text = {}
    for each in pkgutil.iter_modules([str(room)]):
        spec = importlib.util.find_spec(f"{SCENARIO.room}.{each.name}")
        if spec is not None and spec.origin is not None:
            text[each.name] = Path(spec.origin).read_text(encoding="utf-8")
    # Reading a scenario compiles its functions: only files that name a model of the drug are imported, and those that
    # have its name from what scenarios share.
    shared = tuple(f".{each} import" for each in text if each.startswith("_") and any(w in text[each] for w in wanted))
    own = {each.rpartition("_v")[0] for each in text if any(w in text[each] for w in (*wanted, *shared))}
    # Of several, the one that is called after the drug.
    for name in sorted((n for n in names(SCENARIO) if n.replace("-", "_") in own), key=lambda n: (n != drug, n)):
        if (found := find(SCENARIO, name)).value.doses(drug):
            return found
    return None


def _aims(
    model: DrugModel, scenario: Found[Scenario] | None, target: str | None
) -> tuple[tuple[Aim, ...], tuple[Harm, ...]]:
    if target is not None:
        return (aim_of(model, target),), _harms_beyond(aim_of(model, target))
    if scenario is not None:
        goal = scenario.value.goal
        return tuple(Aim(each) for each in goal.targets), goal.harms
    aim = aim_of(model, None)
    return (aim,), _harms_beyond(aim)


def _harms_beyond(aim: Aim) -> tuple[Harm, ...]:
    """Exposure above the window, where nobody has said what else is a harm."""
    target, high = aim.target, aim.edges[1]
    if high is None:
        return ()
    unit = "" if target.unit == "1" else f" {target.unit}"
    return (Harm(f"{target.metric} > {high:g}{unit}", target.metric, target.output, target.source, above=high),)


def with_window_at(aim: Aim, hours: float) -> Aim:
    """The window that holds at some time of treatment, where it changes.

    Args:
        aim: the target.
        hours: since the first dose.
    """
    target = aim.target
    for from_h, low, high in target.later:
        if hours > from_h + 1e-9:
            target = dataclasses.replace(target, low=low, high=high)
    return Aim(dataclasses.replace(target, later=()), aim.share)

"""Whether a drug model fits a scenario, and how to add a drug model to a scenario."""

import dataclasses
import difflib
from typing import TYPE_CHECKING

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import DrugModel, Target
from rl_drug_dosage.pkpd.faults import residual_faults
from rl_drug_dosage.pkpd.units import metric_unit, same_unit
from rl_drug_dosage.registry import DRUG, Found, find, is_file_reference
from rl_drug_dosage.registry import names as names_of

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.scenario import Harm, Scenario

__all__ = ["digests", "misfits", "refuse_test_only", "with_models", "with_simulator"]


def misfits(scenario: "Scenario", model: DrugModel) -> list[str]:
    """Why a drug model cannot be simulator or controller of a scenario; empty if it can.

    Checked are the covariates that the model needs, the compartments that the scenario doses, the outputs that it
    measures and judges, and the units of all of them.
    """
    return [*_covariates(scenario, model), *_compartments(scenario, model), *_outputs(scenario, model)]


def refuse_test_only(scenario: "Scenario", model: str | DrugModel) -> None:
    """Refuse a drug model that only simulates test patients, for whatever chooses, trains, tunes or believes.

    A copy of its numbers under another name is refused as well. `clinic.simulators.simulator_of` is the only function
    that takes a test-only model; what is not for simulating test patients goes through this one.

    Args:
        scenario: the task.
        model: name of a drug model, or its value.

    Raises:
        ConfigError: it is one of ``Scenario.test_only``.
    """
    for name in scenario.test_only:
        if model != name and not _is_copy(scenario, model, name):
            continue
        came = model if isinstance(model, str) else model.name
        copy = f" is a copy of {name!r}, which" if came != name else ""
        raise ConfigError(
            f"drug model {came!r}{copy} only simulates test patients of {scenario.title!r}: nobody trains on it, tunes "
            f"on it or assumes it, so that a test on it is fair; use {', '.join(_allowed(scenario))}, or give it to a "
            f"trial (benchmark or evaluate --simulator {name})"
        )


def _allowed(scenario: "Scenario") -> tuple[str, ...]:
    return tuple(name for name in scenario.models if name not in scenario.test_only)


def _is_copy(scenario: "Scenario", model: str | DrugModel, name: str) -> bool:
    """Whether a drug model has the name or all numbers of a test-only one."""
    if isinstance(model, str):
        own = next((drug for drug in scenario.drugs if drug.name == model), None)
        if own is None:
            return False
        model = own
    if model.name == name:
        return True
    other = scenario.drug(name)
    return dict(model.numbers()) == dict(other.numbers())


def with_models(scenario: "Scenario", *references: object) -> tuple["Scenario", tuple[str, ...]]:
    """The scenario with additional drug models, and the names by which ``Scenario.drug`` finds them.

    For controllers, beliefs and training: `Scenario` refuses a test-only model among its models. A model that the
    scenario already has is not added again. Pass only paths and module names from the user's command line or code:
    importing a file runs it.

    Args:
        scenario: the task.
        references: drug models by name, file, entry point, module attribute or as values.

    Raises:
        UnknownNameError, BadPluginError: no such drug model.
        ConfigError: a model does not fit the scenario (all reasons in one line), is test-only, or has the name of
            another model.
    """
    names: list[str] = []
    for reference in references:
        if isinstance(reference, str) and reference in scenario.models:
            names.append(reference)
            continue
        found = _drug(scenario, reference, scenario.models)
        model: DrugModel = found.value
        if model.name in scenario.models:
            if scenario.drug(model.name) != model:
                raise ConfigError(
                    f"{found.where}: another drug model called {model.name!r} is one of {scenario.title!r} already: "
                    "give yours another name (DrugModel.name)"
                )
        elif wrong := misfits(scenario, model):
            raise ConfigError(f"drug model {model.name!r} does not fit {scenario.title!r}: {'; '.join(wrong)}")
        else:
            added = model.name if found.where.startswith(f"{DRUG.room}.") else model
            scenario = dataclasses.replace(scenario, models=(*scenario.models, added))
        names.append(model.name)
    return scenario, tuple(names)


def with_simulator(scenario: "Scenario", reference: object) -> tuple["Scenario", str]:
    """The scenario with a drug model for test patients, and the model's name; a test-only one is accepted.

    Args, Raises: see `with_models`.
    """
    if isinstance(reference, str) and reference in (*scenario.models, *scenario.test_only):
        return scenario, reference
    found = _drug(scenario, reference, (*scenario.models, *scenario.test_only))
    if found.value.name in scenario.test_only and found.value == scenario.drug(found.value.name):
        return scenario, found.value.name
    scenario, (name,) = with_models(scenario, reference)
    return scenario, name


def _drug(scenario: "Scenario", reference: object, own: tuple[str, ...]) -> Found[DrugModel]:
    """A drug model; where its name is unknown, the scenario's own models are listed."""
    try:
        return find(DRUG, reference)
    except UnknownNameError:
        if not isinstance(reference, str) or is_file_reference(DRUG, reference) or ":" in reference:
            raise
    near = difflib.get_close_matches(reference, [*own, *names_of(DRUG)], n=1, cutoff=0.6)
    raise UnknownNameError(
        f"drug model for {scenario.title!r}",
        reference,
        own,
        remedy="or give another drug model that fits (`rl-drug-dosage info --drugs`), or a file (./mine.py)",
        near="".join(near),
    )


def digests(*references: object) -> dict[str, str]:
    """Name and SHA-256 of the drug models that come from a user's file; others are left out.

    Args:
        references: see `with_models`; None and empty ones are skipped.
    """
    found = [find(DRUG, reference) for reference in references if reference]
    return {f.value.name: f.source.sha256 for f in found if f.source is not None}


def _covariates(scenario: "Scenario", model: DrugModel) -> list[str]:
    units = {c.name: c.unit for c in scenario.covariates}
    clocks = {c.name for c in scenario.clocks}
    needed = [c for c in model.covariates if c.name not in clocks]
    missing = [f"{c.name} ({c.unit})" for c in needed if c.name not in units]
    found = []
    if missing:
        found.append(f"it needs {', '.join(missing)}, and the scenario's covariates are {', '.join(units) or 'none'}")
    found += [
        f"covariates[{list(units).index(c.name)}].unit of {c.name!r} is {units[c.name]}, and it reads {c.unit}"
        for c in needed
        if c.name in units and not same_unit(c.unit, units[c.name])
    ]
    return found


def _compartments(scenario: "Scenario", model: DrugModel) -> list[str]:
    wanted = [("doses", scenario.dosage.compartment)]
    if scenario.intake is not None:
        wanted.append(("intakes", scenario.intake.compartment))
    can = model.structure.dosable
    return [
        f"{what} go into {compartment!r}, and it takes doses into {', '.join(can)} only"
        for what, compartment in wanted
        if compartment not in can
    ]


def _outputs(scenario: "Scenario", model: DrugModel) -> list[str]:
    outputs = {output.name: output for output in model.outputs}
    monitoring = scenario.monitoring
    all_judged: tuple[Target | Harm, ...] = (*scenario.goal.targets, *scenario.goal.harms)
    wanted = {**{judged.output: "judged" for judged in all_judged}, monitoring.output: "measured"}
    if scenario.dropout is not None:
        wanted.setdefault(scenario.dropout.output, "used for drop-outs")
    found = [
        f"the output {name!r} is {why}, and it has {', '.join(outputs)} only"
        for name, why in wanted.items()
        if name not in outputs
    ]
    measured = outputs.get(monitoring.output)
    if measured is not None and measured.residual is None and monitoring.error is None:
        found.append(f"{measured.name!r} is measured, it publishes no residual error and monitoring gives none")
    if measured is not None and monitoring.error is not None:
        faults = residual_faults("monitoring.error", monitoring.error, measured.unit)
        found += [f"{fault.came}, and allowed is {fault.allowed}" for fault in faults]
    for judged in all_judged:
        output = outputs.get(judged.output)
        if output is None:
            continue
        if judged.metric in {"auc24", "auc_total"} and output.auc_scale is None:
            found.append(f"{judged.metric} of {output.name!r} is judged, and it has no area for that (auc_scale)")
        unit = metric_unit(judged.metric, output.unit)
        if isinstance(judged, Target) and not same_unit(judged.unit, unit):
            at = scenario.goal.targets.index(judged)
            found.append(
                f"goal.targets[{at}].unit, of {judged.metric} of {output.name!r}, is {judged.unit}, and it computes "
                f"it in {unit}"
            )
    return list(dict.fromkeys(found))

"""What is wrong with a drug model: its parts do not fit together, or its functions do not answer with numbers.

`DrugModel` asks when it is made, so that a model is refused in the same words wherever it comes from.
"""

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.answers import Fault, answer_of, mapping_fault, not_finite, number_fault
from rl_drug_dosage.pkpd.covariate import Covariate
from rl_drug_dosage.pkpd.description import Residual, Values, central_concentration
from rl_drug_dosage.pkpd.distributions import Distribution, functions_of, misplaced
from rl_drug_dosage.pkpd.parameter_units import POSITIVE, PREFIXES, fits_name, parameter_unit
from rl_drug_dosage.pkpd.quantities import fits_output
from rl_drug_dosage.pkpd.units import metric_unit, per_mg_per_l, same_unit
from rl_drug_dosage.utils.built_in import is_built_in_loading

if TYPE_CHECKING:
    from rl_drug_dosage.pkpd.model import DrugModel

__all__ = ["covariate_faults", "distribution_faults", "drug_faults", "function_faults", "residual_faults"]


def drug_faults(model: "DrugModel") -> Iterator[Fault]:
    """Each fault, in the order in which its correction helps; a later one may follow from an earlier one."""
    yield from _numbers(model)
    yield from covariate_faults(model.covariates)
    yield from _outputs(model)
    yield from _targets(model)
    yield from _dosing(model)
    if not is_built_in_loading():
        yield from function_faults(model)


def function_faults(model: "DrugModel") -> Iterator[Fault]:
    """Of the functions of a drug model, asked for the typical patient.

    The tests ask those of the built-in drugs: to ask three of them took a fifth of a second of every process.
    """
    # Under `jax.jit`, too, the answers are numbers.
    with jax.ensure_compile_time_eval():
        yield from _functions(model)


def covariate_faults(covariates: tuple[Covariate, ...]) -> Iterator[Fault]:
    """Of the covariates of a drug or a scenario: names, typical values, and the functions of their distributions."""
    for read in ("name", "column"):
        values = [getattr(c, read) for c in covariates]
        for i, value in enumerate(values):
            if value in values[:i]:
                first = values.index(value)
                came = f"covariates[{i}].{read} is {value!r}, and so is covariates[{first}].{read}"
                yield Fault(came, f"each {read} once", "rename one of them, or leave it out")
    for i, c in enumerate(covariates):
        if not c.low <= c.typical <= c.high:
            came = f"covariates[{i}].typical of {c.name!r} is {c.typical:g}"
            yield Fault(came, f"from {c.low:g} to {c.high:g} {c.unit}", "correct it, or the range")
    drawn: dict[str, float] = {}
    for i, c in enumerate(covariates):
        yield from distribution_faults(f"covariates[{i}].distribution", c, c.distribution, drawn)
        drawn[c.name] = c.typical


def distribution_faults(
    at: str, covariate: Covariate, distribution: Distribution, drawn: Mapping[str, float]
) -> Iterator[Fault]:
    """Of the functions of a distribution.

    Args:
        at: its place.
        covariate: that is drawn from it.
        distribution: of the covariate.
        drawn: typical values of the covariates that are drawn before.
    """
    if is_built_in_loading():
        return  # the tests ask
    with jax.ensure_compile_time_eval():
        before = {name: jnp.asarray(value, dtype=float) for name, value in drawn.items()}
        numbers: dict[str, float] = {}
        for field, function in functions_of(distribution):
            what = f"{at}.{field} of {covariate.name!r}"
            value, fault = answer_of(what, function, {"covariates": before}, before)
            fault = fault or number_fault(what, value)
            if fault is None and not_finite(value):
                fault = Fault(f"{what} gives {value} for typical patients", "a finite number", "correct the function")
            if fault is not None:
                yield fault
                return
            numbers[field] = float(value)
    try:
        came, part = misplaced(distribution, numbers, covariate.low, covariate.high)
    except DrugModelError as error:
        came, _, allowed = str(error).partition("; allowed: ")
        yield Fault(f"{at} of {covariate.name!r} gives for typical patients a {came}", *allowed.split("; ", 1))
        return
    if came:
        within = f"{part} from {covariate.low:g} to {covariate.high:g} {covariate.unit}"
        yield Fault(f"{at} of {covariate.name!r} is {came}", within, "correct it, or the covariate's low and high")


def _numbers(model: "DrugModel") -> Iterator[Fault]:
    for name, theta in model.thetas.items():
        if asked := fits_name(name, theta.unit):
            yield Fault(f"thetas.{name}.unit is {theta.unit!r}", asked, "correct it, or rename the parameter")
    for at, number in model.numbers():
        if isinstance(number.value, bool) or not isinstance(number.value, Real) or not math.isfinite(number.value):
            yield Fault(f"{at}.value is {number.value!r}", "a finite number", "correct it")
    mass = model.molar_mass
    if mass is not None and (mass.unit != "g/mol" or not mass.value > 0):
        yield Fault(f"molar_mass is {mass.value} {mass.unit}", "a number above 0 in g/mol", "correct it")


def _outputs(model: "DrugModel") -> Iterator[Fault]:
    if not model.outputs:
        yield Fault("outputs is empty", "at least one", "add it")
    names = [output.name for output in model.outputs]
    for i, output in enumerate(model.outputs):
        at, unit = f"outputs[{i}]", output.unit
        if output.name in names[:i]:
            yield Fault(f"{at}.name is {output.name!r} again", "each name once", "rename one of them")
        if asked := fits_output(output.name, unit):
            yield Fault(f"{at}.unit is {unit!r}", asked, "correct it, or rename the output")
        scale, asked_scale = output.auc_scale, per_mg_per_l(unit)
        if output.value is central_concentration and asked_scale not in {None, 1.0}:
            came = f"{at}.unit is {unit!r}, and its value is the central concentration in mg/L"
            yield Fault(came, "mg/L", f"correct it, or give a `value` in {unit} and auc_scale={asked_scale:g}")
        elif scale is not None and asked_scale is not None and not math.isclose(scale, asked_scale, rel_tol=1e-6):
            came = f"{at}.auc_scale is {scale:g}, and {output.name!r} is in {unit}"
            yield Fault(came, f"{asked_scale:g}, what 1 mg/L is in {unit}", "correct it, or the unit")
        if output.residual is not None:
            yield from residual_faults(f"{at}.residual", output.residual, unit)


def residual_faults(at: str, residual: Residual, unit: str) -> Iterator[Fault]:
    """Of the units of a residual error.

    Args:
        at: its place.
        residual: the error.
        unit: of the output that it belongs to.
    """
    additive, proportional = residual.additive, residual.proportional
    if additive is not None and residual.kind == "logit":
        if additive.unit != "1":
            yield Fault(f"{at}.additive.unit is {additive.unit!r}", "1, of a logit", "correct it")
    elif additive is not None and not same_unit(additive.unit, unit):
        came = f"{at}.additive.unit is {additive.unit!r}"
        yield Fault(came, f"{unit}, the output's", "convert the error to the output's unit")
    if residual.power is not None and residual.power.unit != "1":
        yield Fault(f"{at}.power.unit is {residual.power.unit!r}", "1", "correct it")
    if proportional is not None and residual.power is None and proportional.unit not in {"%", "CV%", "1"}:
        yield Fault(f"{at}.proportional.unit is {proportional.unit!r}", "%, 1", "correct it")


def _targets(model: "DrugModel") -> Iterator[Fault]:
    outputs = {output.name: output for output in model.outputs}
    for i, target in enumerate(model.targets):
        output = outputs.get(target.output)
        if output is None:
            yield Fault(f"targets[{i}].output is {target.output!r}", ", ".join(outputs), "correct it")
            continue
        asked = metric_unit(target.metric, output.unit)
        if not same_unit(target.unit, asked) and not (target.metric == "time_above" and target.unit == "%"):
            came = f"targets[{i}].unit is {target.unit!r}, of the {target.metric} of {output.name!r}"
            yield Fault(came, asked, "convert the window, or correct the unit")
        for place, low, high in target.edges():
            given = [edge for edge in (low, high) if edge is not None]
            if not all(map(math.isfinite, given)) or given != sorted(set(given)):
                came = f"targets[{i}].{place}low is {low}, and {place}high is {high} {target.unit}"
                yield Fault(came, "finite edges, the lower one first", "correct them")


def _dosing(model: "DrugModel") -> Iterator[Fault]:
    dosing = model.dosing
    unnamed = not dosing.amounts_mg and not dosing.intervals_h and dosing.usual_dose_mg == 0
    yield from _routes(model)
    for i, interval_h in enumerate(dosing.intervals_h):
        if not 0 < interval_h < math.inf:
            yield Fault(f"dosing.intervals_h[{i}] is {interval_h}", "a time above 0 h", "correct it")
    for place, part in {"routes": dosing.routes, "intervals_h": dosing.intervals_h}.items():
        if not part and not (unnamed and place == "intervals_h"):
            yield Fault(f"dosing.{place} is empty", "at least one", "add it")
    if unnamed:
        return
    grid = dosing.amounts_mg
    if not grid or list(grid) != sorted(set(grid)) or not 0 <= grid[0] <= grid[-1] < math.inf:
        yield Fault(f"dosing.amounts_mg is {grid}", "ascending amounts from 0 mg on", "sort it")
    elif not grid[0] <= dosing.usual_dose_mg <= grid[-1]:
        allowed = f"from {grid[0]:g} to {grid[-1]:g} mg, the amounts of amounts_mg"
        yield Fault(f"dosing.usual_dose_mg is {dosing.usual_dose_mg}", allowed, "correct it, or add it to them")


def _routes(model: "DrugModel") -> Iterator[Fault]:
    for i, route in enumerate(model.dosing.routes):
        at = f"dosing.routes[{i}]"
        if route.compartment not in model.structure.dosable:
            came = f"{at}.compartment of {route.name!r} is {route.compartment!r}"
            yield Fault(came, ", ".join(model.structure.dosable), "correct it")
        if not 0 <= route.duration_h < math.inf:
            yield Fault(f"{at}.duration_h is {route.duration_h}", "0 h, a bolus, or longer", "correct it")
        rate = route.max_rate_mg_per_h
        if rate is not None and not (0 < rate < math.inf and route.duration_h > 0):
            came, allowed = f"{at}.max_rate_mg_per_h is {rate}", "above 0 mg/h, and only with duration_h above 0 h"
            yield Fault(came, allowed, "correct it, or give the shortest duration")


def _functions(model: "DrugModel") -> Iterator[Fault]:
    """Of ``parameters``, ``finish``, the structure and the outputs, asked for the typical patient."""
    covariates = {c.name: jnp.asarray(c.typical, dtype=float) for c in model.covariates}
    known = [*model.thetas, *covariates]
    typical, fault = answer_of(
        "parameters", model.parameters, {"thetas": model.theta_values(), "covariates": covariates}, known
    )
    if fault := fault or _mapping("parameters", typical):
        yield fault
        return
    yield from _etas(model, typical)
    p, fault = answer_of(
        "finish", model.finish, {"parameters": typical, "covariates": covariates}, [*typical, *covariates]
    )
    if fault := fault or _mapping("finish", p):
        yield fault
        return
    missing = sorted(set(model.structure.parameters) - set(p))
    if missing:
        came, allowed = (
            f"parameters gives no {', '.join(map(repr, missing))}",
            ", ".join(sorted(model.structure.parameters)),
        )
        yield Fault(came, allowed, "return it from `parameters` or `finish`")
        return
    for name in p:
        needed = name in POSITIVE and name in model.structure.parameters
        value = float(p[name]) if needed or name.startswith(tuple(PREFIXES)) else 1.0
        if value < 0 or (needed and value == 0):
            came = f"parameters gives {name} = {value:g} for the typical patient"
            unit = parameter_unit(name).removesuffix("1")
            yield Fault(came, f"{'above' if needed else 'at least'} 0 {unit}".strip(), "correct the formula")
    yield from _evaluated(model, {name: jnp.asarray(value, dtype=float) for name, value in p.items()})


def _mapping(what: str, answer: Any) -> Fault | None:
    if fault := mapping_fault(what, answer):
        return fault
    for name, value in answer.items():
        if not_finite(value):
            return Fault(
                f"{what} gives {name} = {value} for the typical patient", "finite numbers", "correct the formula"
            )
    return None


def _etas(model: "DrugModel", typical: Values) -> Iterator[Fault]:
    for group in ("etas", "occasion_etas"):
        names = [eta.parameter for eta in getattr(model, group)]
        for i, name in enumerate(names):
            if name not in typical:
                came, remedy = f"{group}[{i}].parameter is {name!r}", "name a parameter that `parameters` returns"
                yield Fault(came, ", ".join(sorted(typical)), remedy)
            if name in names[:i]:
                yield Fault(f"{group}[{i}].parameter is {name!r} again", "one eta each", "leave one out")


def _evaluated(model: "DrugModel", p: Values) -> Iterator[Fault]:
    """With the usual dose in every compartment that can be dosed."""
    structure, dose_mg = model.structure, model.dosing.tried[0]
    fault, missing = answer_of(
        "structure", structure.fault, {"parameters": p, "given_mg": dose_mg}, [*structure.compartments, *p]
    )
    if fault := fault or missing:
        yield fault
        return
    state = structure.contents(structure.dosed(p, dose_mg))
    for i, output in enumerate(model.outputs):
        at = f"outputs[{i}].value of {output.name!r}"
        value, fault = answer_of(at, output.value, {"contents": state, "parameters": p}, [*state, *p])
        fault = fault or number_fault(at, value)
        if fault is None and not_finite(value):
            came = f"{at} gives {np.asarray(value)} with the usual dose in every compartment"
            fault = Fault(came, "a finite number", "correct the function")
        if fault is not None:
            yield fault

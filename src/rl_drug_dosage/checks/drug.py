"""The contract of a drug model."""

import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.checks.declared import area_of_target, covariates_of, sourced_target, windows_of
from rl_drug_dosage.checks.drug_laws import QUICK_LAWS, THOROUGH_LAWS
from rl_drug_dosage.checks.drug_units import typical_values_are_converted
from rl_drug_dosage.checks.report import (
    OWN,
    Check,
    Finding,
    Level,
    Report,
    Tell,
    check,
    doubt,
    require_level,
    run_checks,
    sourced,
    wrong,
)
from rl_drug_dosage.checks.units import is_known
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DrugModel,
    Fixed,
    draw_covariates,
    draw_patients,
    individual_parameters,
    make_covariates,
    occasion_omega,
    omega,
)
from rl_drug_dosage.pkpd.parameter_units import NOT_STATED, parameter_unit
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.utils.arguments import checked

__all__ = ["check_drug"]

_DRAWN = 200
_KEY = 3
_HIGHEST_CV = 3.0
"""This project's own: beyond it, a number in percent was given as a fraction."""


@checked
def check_drug(drug: str | Path | DrugModel, *, level: Level = "quick", tell: Tell | None = None) -> Report:
    """Check a drug model against the contract of the built-in ones.

    Args:
        drug: a name, a file or the model itself.
        level: extent of the checks, see `Level`.
        tell: receives the name of each check before it runs.

    Returns:
        The findings; `Report.raise_if_any` raises them as an error.

    Raises:
        UnknownNameError, BadPluginError: an unknown drug, or a file that defines none.
        ConfigError: an unknown level.
    """
    drug = load_drug(drug)
    require_level(level)
    stages: list[tuple[Check[DrugModel], ...]] = [_DECLARED, _COMPUTED]
    if level != "declared":
        stages.append(QUICK_LAWS)
    if level == "thorough":
        stages.append(THOROUGH_LAWS)
    return run_checks("drug", drug.name, drug, stages, tell)


@check("name")
def _name_and_title(drug: DrugModel) -> Iterable[Finding]:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", drug.name):
        yield wrong("name", repr(drug.name), "small letters, digits and hyphens", "rename it")
    if not drug.drug:
        yield wrong("drug", "empty", "the generic name", "give it")
    elif not drug.name.startswith(drug.drug.split()[0].lower()):
        yield doubt("name", repr(drug.name), f"{drug.drug.split()[0].lower()}-...", "open with the generic name")
    if not drug.title:
        yield wrong("title", "empty", "one line for tables", "write it")


@check("citation")
def _paper_is_cited(drug: DrugModel) -> Iterable[Finding]:
    for field, pattern, allowed in (
        ("citation", r"(?s).*\b(19|20)\d\d\b.*", "a reference with its year"),
        ("doi", r"10\.\d{4,}/\S+", "10.xxxx/..."),
        ("population", r"(?s).+", "the population studied"),
        ("second_source", r"(?s).+", "where an independent transcription was compared"),
    ):
        text = getattr(drug, field)
        if re.fullmatch(pattern, text) and text.lower() not in OWN:
            continue
        needed = field in {"citation", "population"} and not text
        make = wrong if needed or (text and text.lower() not in OWN) else doubt
        yield make(field, repr(text) if text else "empty", allowed, "give it; 'own' where nothing is published")
    if not drug.limits_of_use:
        yield doubt(
            "limits_of_use", "empty", "at least one sentence", "say for which patients the model must not be used"
        )


@check("thetas")
def _numbers_have_unit_source_and_meaning(drug: DrugModel) -> Iterable[Finding]:
    for at, p in drug.numbers():
        if p.unit == NOT_STATED:
            yield doubt(f"{at}.unit", p.unit, "the unit of the number", "give it")
        elif not is_known(p.unit):
            yield wrong(f"{at}.unit", repr(p.unit), "a known unit such as L/h, %, 1", "correct it")
        yield from sourced(f"{at}.source", p.source)
        if not p.meaning:
            yield wrong(f"{at}.meaning", "empty", "what the number means", "write it")
        if ("unverified" in p.source or "not traced" in p.source) and not p.unverified:
            came = "False, but the source says so"
            yield wrong(f"{at}.unverified", came, "True", "set it, so that `info` shows it")


@check("covariates")
def _covariates_are_described(drug: DrugModel) -> Iterable[Finding]:
    yield from covariates_of(drug.covariates, source=1)


@check("outputs")
def _outputs_and_targets_fit(drug: DrugModel) -> Iterable[Finding]:
    names = [output.name for output in drug.outputs]
    for i, output in enumerate(drug.outputs):
        if not is_known(output.unit):
            yield wrong(f"outputs[{i}].unit", repr(output.unit), "a known unit such as mg/L, 1", "correct it")
    if not drug.targets:
        yield (wrong if drug.dosing.are_named else doubt)("targets", "empty", "at least one", "add a target")
    for i, target in enumerate(drug.targets):
        at = f"targets[{i}]"
        yield from sourced_target(at, target, 1)
        yield from windows_of(at, target)
        yield from area_of_target(at, target, drug.outputs[names.index(target.output)])


@check("etas")
def _random_effects_are_positive_definite(drug: DrugModel) -> Iterable[Finding]:
    for group, matrix_of in (("etas", omega), ("occasion_etas", occasion_omega)):
        for i, eta in enumerate(getattr(drug, group)):
            if not eta.size.value > 0:
                yield wrong(f"{group}[{i}].size", f"{eta.size.value:g}", "above 0", "leave the eta out")
            if eta.kind.startswith("cv") and eta.size.fraction() > _HIGHEST_CV:
                came = f"{eta.size.value:g} {eta.size.unit}, a coefficient of variation of {eta.size.fraction():.0%}"
                yield doubt(f"{group}[{i}].size", came, f"up to {_HIGHEST_CV:.0%}", "give the unit %, or a fraction")
        matrix = matrix_of(drug)
        if matrix.size and not np.linalg.eigvalsh(matrix).min() > 0:
            field = group.replace("etas", "correlations")
            yield wrong(field, "a covariance matrix that is not positive definite", "positive definite", "correct them")


@check("dosing")
def _doses_can_be_prescribed(drug: DrugModel) -> Iterable[Finding]:
    dosing = drug.dosing
    if not dosing.are_named:
        came = "no amounts and intervals: the checks give 100 mg every 24 h"
        yield doubt("dosing", came, "the doses that can be prescribed", "name them, for figures and dose searches")
        return
    grid = np.asarray(dosing.amounts_mg, float)
    if not np.isfinite(grid).all() or (np.diff(grid) <= 0).any() or grid[0] < 0:
        yield wrong("dosing.amounts_mg", str(dosing.amounts_mg), "finite, ascending, from 0 mg on", "sort them")
    elif not np.isclose(grid, dosing.usual_dose_mg, rtol=1e-6, atol=0.0).any():
        came = f"{dosing.usual_dose_mg:g} mg is not on the grid"
        near = grid[np.argsort(np.abs(grid - dosing.usual_dose_mg))[:2]]
        yield wrong("dosing.usual_dose_mg", came, f"one of amounts_mg, such as {near}", "choose one, or add it")
    for i, interval_h in enumerate(dosing.intervals_h):
        if not (math.isfinite(interval_h) and interval_h > 0) or interval_h in dosing.intervals_h[:i]:
            yield wrong(f"dosing.intervals_h[{i}]", f"{interval_h} h", "above 0, each once", "correct it")
    yield from _routes(drug)
    yield from sourced("dosing.source", dosing.source, 1)


def _routes(drug: DrugModel) -> Iterable[Finding]:
    dosing = drug.dosing
    for i, route in enumerate(dosing.routes):
        at = f"dosing.routes[{i}]"
        if not route.name:
            yield wrong(f"{at}.name", "empty", "the name used in the clinic", "name it")
        if route.compartment not in drug.structure.dosable:
            yield wrong(f"{at}.compartment", repr(route.compartment), str(drug.structure.dosable), "correct it")
        if not (math.isfinite(route.duration_h) and route.duration_h >= 0):
            yield wrong(f"{at}.duration_h", f"{route.duration_h} h", "0 (a bolus) or longer", "correct it")
        elif route.duration_h > max(dosing.intervals_h[:1] if i == 0 else dosing.intervals_h):
            came = f"{route.duration_h:g} h: an infusion overlaps the next one"
            yield wrong(f"{at}.duration_h", came, f"at most {dosing.intervals_h[0]:g} h", "shorten it")


@check("parameters")
def _parameters_are_positive_everywhere(drug: DrugModel) -> Iterable[Finding]:
    """At the corners of the covariate ranges and inside them: a formula that fails there needs a narrower range."""
    ends = [
        tuple(end if math.isfinite(end) else c.typical for end in (c.low, c.typical, c.high)) for c in drug.covariates
    ]
    pick = (0, 2) if len(ends) > 4 else (0, 1, 2)
    names = [c.name for c in drug.covariates]
    rows = [*itertools.product(*([end[i] for i in pick] for end in ends)), tuple(end[1] for end in ends)]
    rng = np.random.default_rng(_KEY)
    inside = [_inside(c, rng) for c in drug.covariates]
    table = np.concatenate([np.asarray(rows, float), np.stack(inside, axis=1)]) if ends else np.zeros((1, 1))

    def typical(row: jax.Array) -> dict[str, jax.Array]:
        values = {name: row[i] for i, name in enumerate(names)}
        return dict(drug.finish(drug.parameters(drug.theta_values(), values), values))

    # Not compiled: all drugs reuse the same few kernels.
    got = {name: np.broadcast_to(v, len(table)) for name, v in jax.vmap(typical)(jnp.asarray(table)).items()}
    where = [", ".join(f"{n} = {v:g}" for n, v in zip(names, row, strict=False)) for row in table]
    yield from _positive(drug, got, [f"at {w}" if w else "always" for w in where])


def _inside(covariate: Covariate, rng: np.random.Generator, count: int = 50) -> np.ndarray:
    """Values over the whole range; codes and counts take whole numbers only."""
    if isinstance(covariate.distribution, Categorical):
        return rng.choice(covariate.distribution.values, count)
    if not (math.isfinite(covariate.low) and math.isfinite(covariate.high)):
        return np.full(count, covariate.typical)
    values = rng.uniform(covariate.low, covariate.high, count)
    return np.rint(values) if covariate.unit in {"0/1", "code", "count"} else values


def _positive(drug: DrugModel, got: dict[str, np.ndarray], where: list[str]) -> Iterable[Finding]:
    for name, values in got.items():
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            yield wrong(f"parameters.{name}", f"{values[at]} {where[at]}", "finite", "narrow the range, or correct it")
            continue
        at = int(np.argmin(values))
        needed = name in drug.structure.parameters
        if values[at] < 0 or (needed and values[at] == 0):
            allowed = "above 0" if needed else "0 or more"
            came = f"{values[at]:.4g} {where[at]}"
            # Only a name of the engine says what the parameter is.
            make = wrong if needed or parameter_unit(name) else doubt
            yield make(f"parameters.{name}", came, allowed, "narrow the covariate's range, or correct the formula")


@check("etas")
def _drawn_patients_are_sensible(drug: DrugModel) -> Iterable[Finding]:
    """200 drawn patients have covariates inside the published ranges, varying unless fixed, and positive parameters."""
    keys = jax.random.split(jax.random.key(_KEY), _DRAWN)
    drawn = jax.vmap(lambda key: draw_covariates(drug, key).values)(keys)
    for i, c in enumerate(drug.covariates):
        values = np.asarray(drawn[c.name])
        low, high = np.float32(c.low) * (1 - 1e-6) - 1e-6, np.float32(c.high) * (1 + 1e-6) + 1e-6
        if not (values.min() >= low and values.max() <= high):
            came = f"draws {c.name} from {values.min():g} to {values.max():g}"
            yield wrong(f"covariates[{i}].distribution", came, f"{c.low:g} to {c.high:g}", "correct one of them")
        if not isinstance(c.distribution, Fixed) and len(np.unique(values)) < 2:
            yield wrong(
                f"covariates[{i}].distribution", "draws one value only", "several", "use Fixed if it does not vary"
            )
    patients = draw_patients(drug, jax.random.key(_KEY), 0, _DRAWN)
    p = jax.vmap(lambda q: individual_parameters(drug, q.covariates, q.eta, q.kappa))(patients)
    rows = {name: np.asarray(values)[:, 0] for name, values in p.items()}
    yield from _positive(drug, rows, [f"in drawn patient {i + 1} of {_DRAWN}" for i in range(_DRAWN)])


@check("outputs")
def _outputs_read_what_the_model_holds(drug: DrugModel) -> Iterable[Finding]:
    """With the usual dose in every dosable compartment, all outputs are finite and >= 0, and one is positive."""
    table = make_covariates(drug, {c.name: c.typical for c in drug.covariates})
    p = individual_parameters(drug, table, jnp.zeros(len(drug.etas)))
    own = {name: values[0] for name, values in p.items()}
    contents = drug.structure.contents(drug.structure.initial(own))
    contents |= {name: contents[name] + drug.dosing.tried[0] for name in drug.structure.dosable}
    got = [float(output.value(contents, own)) for output in drug.outputs]
    for i, (output, value) in enumerate(zip(drug.outputs, got, strict=True)):
        if not (math.isfinite(value) and value >= 0):
            came = f"{output.name} is {value:g} {output.unit} with the usual dose in every compartment"
            yield wrong(f"outputs[{i}].value", came, "finite and not negative", "correct the function")
    if not any(value > 0 for value in got):
        yield wrong("outputs", "all 0 with the usual dose in every compartment", "one above 0", "correct them")


_DECLARED = (
    _name_and_title,
    _paper_is_cited,
    _numbers_have_unit_source_and_meaning,
    _covariates_are_described,
    _outputs_and_targets_fit,
    _random_effects_are_positive_definite,
    _doses_can_be_prescribed,
)
_COMPUTED = (
    typical_values_are_converted,
    _parameters_are_positive_everywhere,
    _drawn_patients_are_sensible,
    _outputs_read_what_the_model_holds,
)

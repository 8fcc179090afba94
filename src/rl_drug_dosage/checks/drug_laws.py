"""Checks of a drug model by simulation: mass balance, superposition, agreement of closed form and ODE."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.checks.drug_flows import amounts_in, is_concentration, matrix_of
from rl_drug_dosage.checks.report import Finding, check, doubt, wrong
from rl_drug_dosage.pkpd import (
    Dose,
    DrugModel,
    LinearSystem,
    Mammillary,
    OdeSystem,
    Values,
    every,
    individual_parameters,
    make_covariates,
    make_regimen,
    outputs_of,
    solve,
)
from rl_drug_dosage.pkpd.units import per_mg_per_l

__all__ = ["QUICK_LAWS", "THOROUGH_LAWS", "TypicalCourse", "typical_course"]

_DOSES = 3
_SCALES = (0.0, 1.0, 2.0)
"""Multiples of the usual dose."""
_TOLERANCE = 2e-3
"""Tolerance relative to the largest value, for float32 and adaptive integration."""


_MOST_NAMED = 5
_VOLUMES_L = 0.02, 30_000.0
"""Volumes of distribution that a body can have, this project's own bounds: beyond them a unit is off by a thousand."""


class TypicalCourse(NamedTuple):
    """The typical patient during three doses, one per interval, and two further intervals; first axis: `_SCALES`."""

    time_h: np.ndarray
    given_mg: np.ndarray
    """Cumulative amount absorbed or infused by each time, after bioavailability."""
    parameters: dict[str, np.ndarray]
    contents: np.ndarray
    area: np.ndarray
    """AUC of the central concentration, mg h/L; NaN if the structure has none."""
    outputs: np.ndarray


@lru_cache(maxsize=8)
def typical_course(
    drug: DrugModel, doses: int = _DOSES, points: int = 12, *, extra_h: tuple[float, ...] = ()
) -> TypicalCourse:
    """Simulate the typical patient at 0, 1 and 2 usual doses, by the first route and at the first interval.

    Args:
        drug: the model.
        doses: number of doses.
        points: number of times per interval.
        extra_h: further times after every dose, within the interval.
    """
    route, (dose_mg, interval_h) = drug.dosing.routes[0], drug.dosing.tried
    dose = Dose(0.0, dose_mg, compartment=route.compartment, duration_h=route.duration_of(dose_mg))
    regimen = make_regimen(every(dose, interval_h, doses), drug.structure)
    table = make_covariates(drug, {c.name: c.typical for c in drug.covariates})
    times = np.linspace(0.0, doses + 2.0, (doses + 2) * points + 1) * interval_h
    if extra_h:
        further = np.arange(doses)[:, None] * interval_h + np.asarray(extra_h)[None]
        times = np.unique(np.concatenate([times, further.ravel()]))

    def one(scale: Array, regimen: Any, table: Any, times: Array) -> Any:
        scaled = eqx.tree_at(lambda r: r.amount_mg, regimen, regimen.amount_mg * scale)
        p = individual_parameters(drug, table, jnp.zeros(len(drug.etas)))
        solution = solve(drug.structure, p, scaled, table, times, auc=True)
        own = {name: values[0] for name, values in p.items()}
        return own, solution.contents, solution.auc_mg_h_per_l, outputs_of(drug, p, table, solution.contents, times)

    run = jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))
    scales = np.asarray(_SCALES, np.float32)
    p, contents, area, outputs = jax.device_get(run(scales, regimen, table, times))
    own = {name: values[0] for name, values in p.items()}
    given = dose.amount_mg * float(own.get(f"f_{route.compartment}", 1.0)) * (times[:, None] >= regimen.time_h - 1e-9)
    return TypicalCourse(times, scales[:, None] * given.sum(1), own, contents, area, outputs)


@check("outputs")
def _typical_patient_stays_finite(drug: DrugModel) -> Iterable[Finding]:
    got = typical_course(drug).outputs
    broken = [i for i in range(len(drug.outputs)) if not np.isfinite(got[..., i]).all()]
    if broken:
        named = ", ".join(drug.outputs[i].name for i in broken[:_MOST_NAMED])
        more = f" and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
        scales = [f"{scale:g}" for scale, values in zip(_SCALES, got, strict=True) if not np.isfinite(values).all()]
        came = f"{named}{more}: not finite under {' and '.join(scales)} usual doses"
        yield wrong(f"outputs[{broken[0]}]", came, "finite", "correct the model")
    for i, output in enumerate(drug.outputs):
        for scale, values in zip(_SCALES, got[..., i], strict=True):
            if np.isfinite(values).all() and values.min() < -1e-6 * max(1.0, values.max()):
                came = f"{output.name} falls to {values.min():.3g} {output.unit} under {scale:g} usual doses"
                # A change from a baseline, or a logarithm, may be negative.
                make = wrong if is_concentration(output) else doubt
                yield make(f"outputs[{i}]", came, "0 or more", "correct the model")
    if np.isfinite(got).all() and not (got[1] > 0).any():
        yield wrong("outputs", "all 0 after three usual doses", "one above 0", "correct route or outputs")


@check("structure")
def _amounts_stay_positive(drug: DrugModel) -> Iterable[Finding]:
    contents, held = typical_course(drug).contents[1:], _held(drug)
    for name in drug.structure.dosable:
        at = drug.structure.compartments.index(name)
        values = contents[..., at]
        if values.min() < -1e-4 * max(np.abs(values).max(), 1e-9):
            came = f"the amount in {name!r} falls to {values.min():.3g} mg"
            # What the drug does not flow through may be anything: a logarithm, a change.
            make = wrong if at in held else doubt
            yield make(f"structure.{name}", came, "0 mg or more", "correct the right-hand side")


def _held(drug: DrugModel) -> list[int]:
    """Compartments that contain an amount of the drug: no effect compartment, AUC, count of cells."""
    course = typical_course(drug)
    at = int(np.searchsorted(course.time_h, 0.5 * drug.dosing.tried[1]))
    names = amounts_in(drug, course.parameters, course.contents[1, at], float(course.time_h[at]))
    return [drug.structure.compartments.index(name) for name in names if not name.endswith("effect")]


@check("structure")
def _mass_is_not_made(drug: DrugModel) -> Iterable[Finding]:
    """The amount in the body never exceeds the dose given plus the endogenous amount."""
    course = typical_course(drug)
    amounts = course.contents[..., _held(drug)].sum(-1)
    for i in (1, 2):
        # During an infusion only a part has entered; the bound is the whole infused amount.
        excess = amounts[i] - amounts[0] - course.given_mg[i]
        at = int(np.argmax(excess))
        if excess[at] > _TOLERANCE * course.given_mg[i, -1]:
            came = (
                f"{amounts[i, at]:.4g} mg in the body at {course.time_h[at]:g} h after {course.given_mg[i, at]:.4g} mg"
            )
            yield wrong(
                "structure",
                came,
                "at most the amount given",
                "the flow out of a compartment must equal the flow into the next",
            )
            return


@check("outputs")
def _levels_fit_the_doses(drug: DrugModel) -> Iterable[Finding]:
    """The amount in the body over the level is a volume that a body can have; otherwise a unit is off."""
    course = typical_course(drug)
    risen_mg = np.diff(course.contents[:2][..., _held(drug)].sum(-1), axis=0)[0]
    for i, output in enumerate(drug.outputs):
        scale = per_mg_per_l(output.unit)
        if scale is None or not np.isfinite(course.outputs[:2, :, i]).all():
            continue
        risen = np.diff(course.outputs[:2, :, i], axis=0)[0] / scale
        at = int(np.argmax(risen))
        volume_l = risen_mg[at] / risen[at] if risen[at] > 0 else 0.0
        if volume_l > 0 and not _VOLUMES_L[0] <= volume_l <= _VOLUMES_L[1]:
            came = (
                f"{output.name} is {risen[at] * scale:.3g} {output.unit} with {risen_mg[at]:.3g} mg in the body, which "
                f"a volume of {volume_l:.3g} L would explain"
            )
            allowed = f"{_VOLUMES_L[0]:g} to {_VOLUMES_L[1]:,.0f} L"
            yield doubt(
                f"outputs[{i}].unit", came, allowed, "look whether the units of doses and levels belong together"
            )


@check("structure")
def _mass_balance_holds(drug: DrugModel) -> Iterable[Finding]:
    """Mammillary models: dose given = amount in body + CL x AUC, at every time between infusions."""
    structure = drug.structure
    if not isinstance(structure, Mammillary):
        return
    course = typical_course(drug)
    held = course.contents[1][:, _held(drug)].sum(-1)
    lost = float(course.parameters["cl"]) * course.area[1]
    route, interval_h = drug.dosing.routes[0], drug.dosing.tried[1]
    lag_h = float(course.parameters.get(f"lag_{route.compartment}", 0.0))
    last_in_h = (
        (_DOSES - 1) * interval_h
        + lag_h
        + max(
            route.duration_of(drug.dosing.usual_dose_mg),
            float(course.parameters.get(f"duration_{route.compartment}", 0.0)),
        )
    )
    after = course.time_h > last_in_h + 1e-9
    gap = np.abs(held + lost - course.given_mg[1])[after] / course.given_mg[1, -1]
    if gap.size and not gap.max() < _TOLERANCE:
        came = f"amount in body + CL x AUC differs from the dose given by {100 * gap.max():.3g} %"
        yield wrong("structure", came, f"{100 * _TOLERANCE:g} %", "correct cl, v1 or the structure")


@check("structure")
def _doses_are_proportional(drug: DrugModel) -> Iterable[Finding]:
    """Linear structures: twice the dose gives twice the amounts; no dose gives none."""
    if not drug.structure.linear:
        return
    none, one, two = typical_course(drug).contents
    scale = np.abs(two).max(axis=0) + 1e-30
    gap = np.abs(two - 2.0 * one).max(axis=0) / scale
    for i, name in enumerate(drug.structure.compartments):
        if not gap[i] < _TOLERANCE or np.abs(none[:, i]).max() > 0:
            came = f"{name!r} is not proportional to the dose ({100 * gap[i]:.3g} % off)"
            yield wrong(
                f"structure.{name}",
                came,
                "twice the dose, twice the amount",
                "use an OdeSystem if the model is nonlinear",
            )


@check("structure")
def _closed_form_and_ode_agree(drug: DrugModel) -> Iterable[Finding]:
    """One dose into each compartment: the closed form agrees with adaptive integration of the ODE."""
    structure = drug.structure
    if not isinstance(structure, Mammillary | LinearSystem):
        return
    names = structure.compartments
    p = {name: jnp.asarray(v, dtype=float) for name, v in drug.typical().items()}

    def rhs(t: Array, x: Values, own: Values, pk: Values) -> dict[str, Array]:
        slope = matrix_of(structure, own) @ jnp.stack([x[name] for name in names])
        return {name: slope[i] for i, name in enumerate(names)}

    ode = OdeSystem(states=names, rhs=rhs, required=structure.parameters, doses_into=structure.dosable)
    dose_mg, interval_h = drug.dosing.tried
    start = dose_mg * jnp.eye(len(names))
    after_h = interval_h * jnp.asarray([0.02, 0.2, 1.0])

    def moved(system: Any) -> np.ndarray:
        def move(x: Array, dt_h: Array) -> Array:
            end: Array = system.advance(system.prepare(p), x, None, jnp.zeros(()), dt_h)[0]
            return end

        return np.asarray(jax.jit(jax.vmap(jax.vmap(move, in_axes=(None, 0)), in_axes=(0, None)))(start, after_h))

    exact, integrated = moved(structure), moved(ode)
    scale = np.maximum(np.abs(integrated).max(axis=(0, 1)), dose_mg * 1e-6)
    gap = np.abs(exact - integrated).max(axis=(0, 1)) / scale
    for i, name in enumerate(names):
        if not gap[i] < _TOLERANCE:
            came = f"{name!r} differs by {100 * gap[i]:.3g} % within {float(after_h[-1]):g} h of a dose"
            yield wrong(f"structure.{name}", came, f"{100 * _TOLERANCE:g} %", "correct the structure")


QUICK_LAWS = (
    _typical_patient_stays_finite,
    _amounts_stay_positive,
    _mass_is_not_made,
    _levels_fit_the_doses,
    _mass_balance_holds,
    _doses_are_proportional,
)
THOROUGH_LAWS = (_closed_form_and_ode_agree,)

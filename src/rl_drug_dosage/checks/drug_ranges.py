"""Parameters of a drug model over the ranges of its covariates, and of patients that are drawn."""

import itertools
import math
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.checks.report import Finding, check, doubt, wrong
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DrugModel,
    Fixed,
    draw_covariates,
    draw_patients,
    individual_parameters,
)
from rl_drug_dosage.pkpd.parameter_units import parameter_unit

__all__ = ["drawn_patients_are_sensible", "parameters_are_positive_everywhere"]

_DRAWN = 200
_KEY = 3
_MOST_ENDS = 11
"""Covariates whose corners are all tried: 2,048."""
_DRAWN_CORNERS = 1000


@check("parameters")
def parameters_are_positive_everywhere(drug: DrugModel) -> Iterable[Finding]:
    """At the corners of the covariate ranges and inside them: a formula that fails there needs a narrower range."""
    ends = [
        tuple(end if math.isfinite(end) else c.typical for end in (c.low, c.typical, c.high)) for c in drug.covariates
    ]
    names = [c.name for c in drug.covariates]
    rng = np.random.default_rng(_KEY)
    rows = [*_corners(ends, rng), tuple(end[1] for end in ends)]
    inside = [_inside(c, rng) for c in drug.covariates]
    table = np.concatenate([np.asarray(rows, float), np.stack(inside, axis=1)]) if ends else np.zeros((1, 1))

    def typical(row: jax.Array) -> dict[str, jax.Array]:
        values = {name: row[i] for i, name in enumerate(names)}
        return dict(drug.finish(drug.parameters(drug.theta_values(), values), values))

    # Not compiled: all drugs reuse the same few kernels.
    got = {name: np.broadcast_to(v, len(table)) for name, v in jax.vmap(typical)(jnp.asarray(table)).items()}
    where = [", ".join(f"{n} = {v:g}" for n, v in zip(names, row, strict=False)) for row in table]
    yield from _positive(drug, got, [f"at {w}" if w else "always" for w in where])


def _corners(ends: Sequence[tuple[float, ...]], rng: np.random.Generator) -> Iterable[tuple[float, ...]]:
    """Lowest and highest values of all covariates with each other; of many covariates, a thousand at random."""
    if len(ends) > _MOST_ENDS:
        high = rng.integers(0, 2, (_DRAWN_CORNERS, len(ends)))
        return [tuple(end[2 * int(i)] for end, i in zip(ends, row, strict=True)) for row in high]
    pick = (0, 2) if len(ends) > 4 else (0, 1, 2)
    return itertools.product(*([end[i] for i in pick] for end in ends))


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
        if values[at] < 0 and not needed and _may_be_negative(drug, name, values):
            continue
        if values[at] < 0 or (needed and values[at] == 0):
            allowed = "above 0" if needed else "0 or more"
            came = f"{values[at]:.4g} {where[at]}"
            # Only a name of the engine says what the parameter is.
            make = wrong if needed or parameter_unit(name) else doubt
            yield make(f"parameters.{name}", came, allowed, "narrow the covariate's range, or correct the formula")


def _may_be_negative(drug: DrugModel, name: str, values: np.ndarray) -> bool:
    """A published coefficient that formulas read as it is, or a random effect that is added to something."""
    added = {eta.parameter for eta in (*drug.etas, *drug.occasion_etas) if eta.form == "additive"}
    is_theta = any(np.allclose(values, theta.value, rtol=1e-6) for theta in drug.thetas.values())
    return not parameter_unit(name) and (name in added or is_theta)


@check("etas")
def drawn_patients_are_sensible(drug: DrugModel) -> Iterable[Finding]:
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

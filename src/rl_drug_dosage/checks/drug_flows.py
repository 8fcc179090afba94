"""Which compartments hold an amount of the drug: found from how contents depend on each other.

A model that was read from a file calls every state a compartment: an AUC, the time above a MIC, a blood count. Only
what the dose flows through on its way to the measured concentration, and what exchanges with that, has a mass to
balance.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.pkpd import DrugModel, LinearSystem, Mammillary, OdeSystem, Output, Values
from rl_drug_dosage.pkpd.units import per_mg_per_l

__all__ = ["amounts_in", "is_concentration", "matrix_of", "rates_between"]

_NOTHING = 1e-12
"""Relative to the largest entry."""


def amounts_in(drug: DrugModel, p: Mapping[str, Any], contents: np.ndarray, t_h: float) -> tuple[str, ...]:
    """The compartments that hold an amount.

    Args:
        drug: the model.
        p: individual parameters.
        contents: of all compartments, at a time after the first dose.
        t_h: that time.
    """
    structure = drug.structure
    if isinstance(structure, Mammillary):
        return structure.dosable
    names = structure.compartments
    rates = rates_between(structure, {n: jnp.asarray(v) for n, v in p.items()}, jnp.asarray(contents), t_h)
    feeds = rates > _NOTHING * max(float(np.abs(rates).max()), 1e-300)
    np.fill_diagonal(feeds, False)
    reach = _reachable(feeds)
    root = names.index(drug.dosing.routes[0].compartment)
    read = [i for i in _read_by_concentrations(drug, p, contents) if reach[i, root]] or [root]
    held = {i for i in range(len(names)) if reach[i, root] and any(reach[end, i] for end in read)}
    # Exchange: what comes from them and goes back to them.
    held |= {i for i in range(len(names)) if any(reach[i, j] and reach[j, i] for j in held)}
    return tuple(name for i, name in enumerate(names) if i in held and name in structure.dosable)


def is_concentration(output: Output) -> bool:
    """Whether an output is a mass in a volume."""
    return output.auc_scale is not None or per_mg_per_l(output.unit) is not None


def rates_between(structure: Any, p: Values, x: Array, t_h: float) -> np.ndarray:
    """The Jacobian of the right-hand side: entry [i, j] is how the slope of i depends on the content of j."""
    if isinstance(structure, LinearSystem | Mammillary):
        return np.asarray(matrix_of(structure, p), float)
    assert isinstance(structure, OdeSystem)
    pk, names = structure.pk, structure.compartments
    front = len(pk.compartments) if pk else 0

    def slope(state: Array) -> Array:
        values = {name: state[i] for i, name in enumerate(names)}
        driver: dict[str, Array] = {}
        first = jnp.zeros(0)
        if pk is not None:
            driver = {name: values[name] for name in pk.compartments}
            driver["concentration"] = values["central"] / p["v1"]
            first = matrix_of(pk, p) @ state[:front]
        own = structure.rhs(jnp.asarray(t_h), {n: values[n] for n in structure.states}, p, driver)
        rest = jnp.stack([jnp.asarray(own[name], dtype=float) for name in structure.states])
        return jnp.concatenate([first, rest])

    return np.nan_to_num(np.asarray(jax.jacfwd(slope)(jnp.asarray(x, dtype=float)), float))


def matrix_of(structure: Mammillary | LinearSystem, p: Values) -> Array:
    """dx/dt = A x, written out: the reference for the closed form."""
    if isinstance(structure, LinearSystem):
        return jnp.asarray(structure.matrix(p), dtype=float)
    at = {name: i for i, name in enumerate(structure.compartments)}
    a = jnp.zeros((len(at), len(at)))
    central = at["central"]
    a = a.at[central, central].add(-p["cl"] / p["v1"])
    for n in range(2, structure.peripherals + 2):
        other = at[f"peripheral{n - 1}"]
        out, back = p[f"q{n}"] / p["v1"], p[f"q{n}"] / p[f"v{n}"]
        a = a.at[central, central].add(-out).at[other, central].add(out)
        a = a.at[other, other].add(-back).at[central, other].add(back)
    if structure.depot:
        a = a.at[at["depot"], at["depot"]].add(-p["ka"]).at[central, at["depot"]].add(p["ka"])
    if structure.effect:
        a = a.at[at["effect"], central].add(p["ke0"] / p["v1"]).at[at["effect"], at["effect"]].add(-p["ke0"])
    return a


def _reachable(feeds: np.ndarray) -> np.ndarray:
    """[i, j]: whether something in j comes to i, by any number of steps; each reaches itself."""
    reach = feeds | np.eye(len(feeds), dtype=bool)
    for _ in range(max(1, int(np.ceil(np.log2(len(feeds) + 1))))):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    found: np.ndarray = reach
    return found


def _read_by_concentrations(drug: DrugModel, p: Mapping[str, Any], contents: np.ndarray) -> list[int]:
    """The compartments that outputs read which are a mass in a volume."""
    own = {name: jnp.asarray(value) for name, value in p.items()}
    found: set[int] = set()
    for output in drug.outputs:
        if not is_concentration(output):
            continue

        def value(x: Array, read: Any = output.value) -> Array:
            return jnp.asarray(read(drug.structure.contents(x), own), dtype=float)

        slopes = np.asarray(jax.grad(value)(jnp.asarray(contents, dtype=float)))
        found |= {int(i) for i in np.flatnonzero(np.nan_to_num(slopes) != 0)}
    return sorted(found)

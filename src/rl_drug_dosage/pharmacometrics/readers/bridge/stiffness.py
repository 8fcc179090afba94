"""Which systems need an implicit method."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.pkpd import OdeSystem, Values

__all__ = ["is_stiff"]

_STIFF = 2_000.0
"""Explicit steps of an interval, as stability asks for, above which an implicit method is cheaper: an implicit step of
a few states costs some ten explicit ones, and an accurate explicit solution takes a few hundred."""
_EXPLICIT_REACH = 3.0
"""Of the explicit method: its step times the fastest rate stays below this."""


def is_stiff(system: OdeSystem, p: Values) -> bool:
    """Whether an explicit method would take very many steps a day: by the fastest rate of the typical patient.

    The rates are the eigenvalues of the Jacobian, at the start and with 100 mg in every compartment.

    Args:
        system: the equations.
        p: individual parameters.
    """
    front = len(system.compartments) - len(system.states)

    def slope(y: Array, x: Array) -> Array:
        contents = dict(zip(system.compartments, x[:front], strict=False))
        got = system.rhs(jnp.zeros(()), {n: y[i] for i, n in enumerate(system.states)}, p, contents)
        return jnp.stack([got[name] for name in system.states])

    jacobian = jax.jacfwd(slope)
    found = [np.asarray(jacobian(x[front:], x)) for x in (system.initial(p), system.dosed(p, 100.0))]
    fastest = max((np.abs(np.linalg.eigvals(a)).max() for a in found if np.isfinite(a).all()), default=0.0)
    return bool(fastest * 24.0 / _EXPLICIT_REACH > _STIFF)

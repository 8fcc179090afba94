"""Exact solutions of linear compartment models: mammillary models in closed form, others by matrix exponential.

**Mammillary models.** With rate constants k10 = cl/v1, k12 = q2/v1, k21 = q2/v2, k13 = q3/v1, k31 = q3/v3, core matrix
A and disposition rates alpha >= beta >= gamma (minus the eigenvalues of A), Newton's interpolation of the exponential
at the rates, fastest first, is

    exp(A t) = I E(alpha; t) + (A + alpha I) E(alpha, beta; t) + (A + alpha I)(A + beta I) E(alpha, beta, gamma; t)

with E from `_divided`. In this order all three matrices are non-negative and their entries can be written without
subtraction, so amounts keep full relative accuracy even if rates coincide. A depot adds the rate ka to every E, an
infusion adds the rate 0, the AUC another 0, and an effect compartment ke0. Nothing else changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._disposition import disposition
from rl_drug_dosage.pkpd._divided import convolved_exponentials_at
from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.answers import Fault, call_fault, not_finite, number_fault
from rl_drug_dosage.pkpd.description import Values
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["LinearSystem", "Mammillary"]

_SQUARINGS = 48
"""Squarings of the matrix exponential: enough for 2^48 mean residence times. Beyond them the result is NaN."""


class _Prepared(eqx.Module):
    rates: tuple[Array, ...]
    """alpha, beta, gamma in 1/h, fastest first."""
    basis: tuple[Array, ...]
    """Newton's matrices I, A + alpha I, (A + alpha I)(A + beta I) over the core."""
    ka: Array | None
    ke0: Array | None
    v1: Array


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Mammillary(Structure):
    """One, two or three compartments, with or without a depot and an effect compartment, in closed form.

    Elimination is from the central compartment. The effect compartment holds a concentration (mg/L) and takes no mass.

    Args:
        peripherals: 0, 1 or 2.
        depot: first-order absorption with rate ``ka``.
        effect: a compartment with d Ce/dt = ke0 (central / v1 - Ce).

    Raises:
        DrugModelError: more than two peripheral compartments.
    """

    peripherals: int = 0
    depot: bool = False
    effect: bool = False

    def __post_init__(self) -> None:
        if self.peripherals not in {0, 1, 2}:
            raise DrugModelError(
                f"{self.peripherals} peripheral compartments: allowed are 0, 1 and 2; use LinearSystem for more"
            )

    @property
    def dosable(self) -> tuple[str, ...]:  # type: ignore[override]
        """Depot (if there is one) and core."""
        core = ("central", "peripheral1", "peripheral2")[: self.peripherals + 1]
        return ("depot", *core) if self.depot else core

    @property
    def compartments(self) -> tuple[str, ...]:  # type: ignore[override]
        """Depot, core, effect."""
        return (*self.dosable, "effect") if self.effect else self.dosable

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """cl, v1, and the parameters that the options require."""
        names = ["cl", "v1", "q2", "v2", "q3", "v3"][: 2 + 2 * self.peripherals]
        return (*names, *(["ka"] if self.depot else []), *(["ke0"] if self.effect else []))

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Superposition holds."""
        return True

    def initial(self, p: Values) -> Float[Array, "n"]:
        """All compartments empty."""
        return jnp.zeros(len(self.compartments))

    def prepare(self, p: Values) -> _Prepared:
        """Disposition rates and Newton's matrices."""
        return _prepared(self, {name: p[name] for name in self.parameters})

    def advance(
        self,
        prepared: _Prepared,
        x: Float[Array, "n"],
        rate_mg_per_h: Float[Array, "n"] | None,
        t_h: Float[Array, ""],
        dt_h: Float[Array, ""],
        *,
        auc: bool = False,
    ) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """Exact solution over ``dt_h`` by the closed form."""
        return _advanced(self, prepared, x, rate_mg_per_h, jnp.asarray(dt_h, dtype=float), auc)


# A program simulates intervals in many places: the history, plans, and the tangents of both. Compiled functions are
# traced once for all of them; with programs in the cache, tracing was most of the wait before a first dose.


@partial(jax.jit, static_argnums=0)
def _prepared(structure: Mammillary, p: Values) -> _Prepared:
    v1 = jnp.asarray(p["v1"], dtype=float)
    couplings = [(p[f"q{i}"] / v1, p[f"q{i}"] / p[f"v{i}"]) for i in range(2, structure.peripherals + 2)]
    # The barrier stops the compiler from repeating this work at every use.
    rates, basis = jax.lax.optimization_barrier(disposition(p["cl"] / v1, couplings))
    return _Prepared(rates, basis, p["ka"] if structure.depot else None, p["ke0"] if structure.effect else None, v1)


def _inputs(
    structure: Mammillary, prepared: _Prepared, x: Float[Array, "n"], rate: Float[Array, "n"] | None, zero: Array
) -> list[tuple[tuple[Array, ...], Float[Array, "core"]]]:
    """Inputs into the core, as (rates passed on the way, amounts or infusion rates per core compartment)."""
    first = int(structure.depot)
    core = slice(first, first + structure.peripherals + 1)
    into_central = (jnp.arange(structure.peripherals + 1) == 0).astype(x.dtype)
    inputs: list[tuple[tuple[Array, ...], Array]] = [((), x[core])]
    if rate is not None:
        inputs.append(((zero,), rate[core]))
    if prepared.ka is not None:
        inputs.append(((prepared.ka,), prepared.ka * x[0] * into_central))
        if rate is not None:
            inputs.append(((prepared.ka, zero), prepared.ka * rate[0] * into_central))
    return inputs


@partial(jax.jit, static_argnums=(0, 5))
def _advanced(
    structure: Mammillary,
    prepared: _Prepared,
    x: Float[Array, "n"],
    rate_mg_per_h: Float[Array, "n"] | None,
    dt_h: Float[Array, ""],
    auc: bool,
) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    zero = jnp.zeros_like(dt_h)
    inputs = _inputs(structure, prepared, x, rate_mg_per_h, zero)
    # The core itself, the effect compartment behind it, and the integrator behind it.
    behind = [(), *([(prepared.ke0,)] if prepared.ke0 is not None else []), *([(zero,)] if auc else [])]
    orders = range(len(prepared.basis))
    asked = [(*prepared.rates[: j + 1], *passed, *then) for then in behind for j in orders for passed, _ in inputs]
    if prepared.ka is not None:
        asked += [(prepared.ka,), (prepared.ka, zero)]
    if prepared.ke0 is not None:
        asked.append((prepared.ke0,))
    weights = iter(convolved_exponentials_at(asked, dt_h))
    responses = []
    for _ in behind:
        response = jnp.zeros(structure.peripherals + 1)
        for matrix in prepared.basis:
            response = response + matrix @ sum(next(weights) * amounts for _, amounts in inputs)
        responses.append(response)
    contents = responses[0]
    if prepared.ka is not None:
        kept, infused = next(weights) * x[0], next(weights)
        depot = kept if rate_mg_per_h is None else kept + infused * rate_mg_per_h[0]
        contents = jnp.concatenate([depot[None], contents])
    if prepared.ke0 is not None:
        effect = next(weights) * x[-1] + prepared.ke0 * responses[1][0] / prepared.v1
        contents = jnp.concatenate([contents, effect[None]])
    return contents, responses[-1][0] / prepared.v1 if auc else jnp.zeros(())


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class LinearSystem(Structure):
    """dx/dt = A(p) x + infusions for any matrix, by matrix exponential (Pade with scaling and squaring).

    Args:
        names: compartment names; AUCs are those of ``central``, and not a number without one.
        matrix: individual parameters -> A, 1/h, [n, n].
        required: names of the parameters it reads, with ``v1`` if AUCs are needed.
    """

    names: tuple[str, ...]
    matrix: Callable[[Values], Array]
    required: tuple[str, ...]

    @property
    def compartments(self) -> tuple[str, ...]:  # type: ignore[override]
        """The compartments in the order given."""
        return self.names

    @property
    def dosable(self) -> tuple[str, ...]:  # type: ignore[override]
        """Every compartment."""
        return self.names

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """The parameters named in ``required``."""
        return self.required

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Superposition holds."""
        return True

    def fault(self, p: Values, given_mg: float) -> Fault | None:
        """The matrix is one of real, finite numbers."""
        if found := call_fault("structure.matrix", self.matrix, ("parameters",)):
            return found
        matrix, n = self.matrix(p), len(self.names)
        if found := number_fault("structure.matrix", matrix, (n, n)):
            return found
        if not_finite(matrix):
            return Fault("structure.matrix gives nan or infinity", "finite numbers", "correct the function")
        return None

    def initial(self, p: Values) -> Float[Array, "n"]:
        """All compartments empty."""
        return jnp.zeros(len(self.names))

    def prepare(self, p: Values) -> tuple[Array, Array | None]:
        """The matrix, and the central volume; None without one."""
        matrix = jnp.asarray(self.matrix(p), dtype=float)
        return matrix, jnp.asarray(p["v1"], dtype=float) if "v1" in p and "central" in self.names else None

    def advance(
        self,
        prepared: Any,
        x: Float[Array, "n"],
        rate_mg_per_h: Float[Array, "n"] | None,
        t_h: Float[Array, ""],
        dt_h: Float[Array, ""],
        *,
        auc: bool = False,
    ) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """Exponential of the matrix augmented by the infusion (a constant 1) and the AUC, applied to (x, 1, 0)."""
        matrix, v1 = prepared
        n = len(self.names)
        rate = jnp.zeros(n) if rate_mg_per_h is None else rate_mg_per_h
        augmented = jnp.zeros((n + 2, n + 2)).at[:n, :n].set(matrix).at[:n, n].set(rate)
        if auc and v1 is not None:
            augmented = augmented.at[n + 1, self.names.index("central")].set(1.0 / v1)
        end = jax.scipy.linalg.expm(augmented * dt_h, max_squarings=_SQUARINGS) @ jnp.concatenate(
            [x, jnp.ones(1), jnp.zeros(1)]
        )
        return end[:n], jnp.full((), jnp.nan) if auc and v1 is None else end[n + 1]

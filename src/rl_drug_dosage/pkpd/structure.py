"""The interface of a compartment structure."""

import abc
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd.answers import Fault
from rl_drug_dosage.pkpd.description import Values

__all__ = ["Structure"]


class Structure(abc.ABC):
    """Compartments, and how their contents change between two events.

    A structure is a frozen, hashable value without numbers of its own. Parameters are passed as a mapping from name to
    scalar (engine units), contents as one vector in the order of ``compartments``.
    """

    compartments: tuple[str, ...]
    """Names, in the order of the state vector."""
    dosable: tuple[str, ...]
    """The compartments that a dose may enter (those that hold an amount in mg)."""
    parameters: tuple[str, ...]
    """Names of the required individual parameters."""
    linear: bool
    """Whether superposition holds, so that a steady state exists in closed form."""

    @property
    def default_compartment(self) -> str:
        """The compartment of a dose that names none: the first one, as in NONMEM."""
        return self.dosable[0]

    @abc.abstractmethod
    def initial(self, p: Values) -> Float[Array, "n"]:
        """Contents before the first event and, unless `reset` says otherwise, after a reset."""

    @abc.abstractmethod
    def prepare(self, p: Values) -> Any:
        """Quantities computed once per parameter set (eigenvalues, for example), as a pytree for `advance`."""

    @abc.abstractmethod
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
        """Advance from ``t_h`` to ``t_h + dt_h`` with constant infusion rates.

        Args:
            prepared: what `prepare` returned.
            x: contents at ``t_h``.
            rate_mg_per_h: infusion rate into each compartment; None if no infusion can run, which is cheaper.
            t_h: start, h.
            dt_h: length, h, >= 0.
            auc: whether to integrate the concentration.

        Returns:
            Contents at the end, and the integral of the concentration over the interval in mg h/L (0 unless ``auc``).
        """

    def reset(self, p: Values, first: Float[Array, "n"]) -> Float[Array, "n"]:
        """Contents after a reset.

        Args:
            p: individual parameters.
            first: what `initial` returned for them.
        """
        return first

    def fault(self, p: Values, given_mg: float) -> Fault | None:
        """What is wrong with the answers of the structure's own functions for a patient; None if nothing is.

        Args:
            p: individual parameters.
            given_mg: in every compartment that can be dosed.
        """
        return None

    def dosed(self, p: Values, given_mg: float) -> Float[Array, "n"]:
        """Contents before the first event, with an amount in every compartment that can be dosed."""
        return self.initial(p) + given_mg * jnp.asarray([float(name in self.dosable) for name in self.compartments])

    def contents(self, x: Float[Array, "n"]) -> dict[str, Array]:
        """The state vector by compartment name, as used by output functions."""
        return {name: x[..., i] for i, name in enumerate(self.compartments)}

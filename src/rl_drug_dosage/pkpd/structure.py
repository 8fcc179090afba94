"""What the engine asks of a compartment structure."""

import abc
from typing import Any

from jaxtyping import Array, Float

from rl_drug_dosage.pkpd.description import Values

__all__ = ["Structure"]


class Structure(abc.ABC):
    """Compartments, and how their contents move between two events.

    A structure is a frozen, hashable value without numbers of its own: parameters come in as a mapping from name to
    scalar (engine units), contents as one vector in the order of ``compartments``.
    """

    compartments: tuple[str, ...]
    """Names, in the order of the state vector."""
    dosable: tuple[str, ...]
    """The compartments that a dose may enter (those that hold an amount in mg)."""
    parameters: tuple[str, ...]
    """Names that the individual parameters must hold."""
    linear: bool
    """Whether superposition holds, so that a steady state exists in closed form."""

    @property
    def default_compartment(self) -> str:
        """Where a dose goes that names no compartment: the first one, as in NONMEM."""
        return self.dosable[0]

    @abc.abstractmethod
    def initial(self, p: Values) -> Float[Array, "n"]:
        """Contents before the first event and after a reset."""

    @abc.abstractmethod
    def prepare(self, p: Values) -> Any:
        """Whatever is computed once per set of parameters (eigenvalues, ...): a pytree handed to `advance`."""

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
        """Move from ``t_h`` to ``t_h + dt_h`` under constant infusion rates.

        Args:
            prepared: what `prepare` returned.
            x: contents at ``t_h``.
            rate_mg_per_h: infusion into each compartment; None where no infusion can run, which is cheaper.
            t_h: start.
            dt_h: length, >= 0.
            auc: whether the area under the concentration is wanted.

        Returns:
            Contents at the end, and the integral of the concentration over the interval in mg h/L (0 unless ``auc``).
        """

    def contents(self, x: Float[Array, "n"]) -> dict[str, Array]:
        """The state vector by compartment name, as output functions read it."""
        return {name: x[..., i] for i, name in enumerate(self.compartments)}

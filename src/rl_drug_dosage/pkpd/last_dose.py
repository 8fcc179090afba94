"""What equations see of the last dose into a compartment: its amount, and the time since it."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["Arrival", "arrived"]


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Arrival:
    """States by which equations see the last dose into a compartment: how much it was, and how long ago.

    Args:
        inlet: state that doses enter; what is in it leaves it at the start of an interval.
        content: state that gets it.
        last_dose: state that keeps the amount of the last dose.
        time_after_dose: state that is set to 0 then; its derivative is 1.
        passes_on: False if ``content`` gets nothing, because the equations themselves give the dose over time.
    """

    inlet: str
    content: str
    last_dose: str
    time_after_dose: str
    passes_on: bool = True


def arrived(
    arrivals: Sequence[Arrival], compartments: Sequence[str], x: Float[Array, "n"], rate: Float[Array, "n"]
) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """Contents and infusion rates after the doses in the inlets have been noted and moved on.

    Args:
        arrivals: doses that are looked at.
        compartments: names, in the order of ``x``.
        x: contents, mg.
        rate: infusion rates, mg/h.
    """
    place = compartments.index
    for arrival in arrivals:
        inlet, content = place(arrival.inlet), place(arrival.content)
        dose, kept = x[inlet], float(arrival.passes_on)
        for name, value in ((arrival.last_dose, dose), (arrival.time_after_dose, 0.0)):
            x = x.at[place(name)].set(jnp.where(dose > 0, value, x[place(name)]))
        x = x.at[content].add(kept * dose).at[inlet].set(0.0)
        rate = rate.at[content].add(kept * rate[inlet]).at[inlet].set(0.0)
    return x, rate

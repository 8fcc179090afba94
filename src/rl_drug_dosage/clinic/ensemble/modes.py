"""Contents of mammillary models as sums of exponentials, for many support patients at once.

Divided differences (`pkpd.linear`) are exact where rates coincide, and cost more than all the rest of a step. Here
rates that lie closer than 0.2 % of each other are moved apart by that much, which changes contents by less than
0.1 %.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd import Mammillary

__all__ = ["modes_of"]

_APART = 2e-3


def modes_of(
    pk: Mammillary, prepared: Any, x: list[Float[Array, " member"]], rate: Array | None, into: int
) -> tuple[list[Array], list[list[Array]]]:
    """Rates, 1/h, and the amounts with which each exponential contributes to each compartment.

    Args:
        pk: the structure.
        prepared: from its ``prepare``, members last.
        x: contents at the start.
        rate: of an infusion, mg/h; None: none runs.
        into: the compartment that it enters.
    """
    rates, places = _rates(prepared, rate)
    core, first, n = range(len(prepared.rates)), int(pk.depot), len(pk.compartments)
    amounts = [[jnp.zeros_like(x[0])] * len(rates) for _ in range(n)]

    def add(compartment: int, on_the_way: _Passed, amount: Array) -> None:
        for m in on_the_way:
            share = amount
            for k in on_the_way:
                share = share if k == m else share / (rates[k] - rates[m])
            amounts[compartment][m] = amounts[compartment][m] + share

    inputs, absorbed = _inputs(pk, rates, places, x, rate, into)
    for passed, amount in absorbed:
        add(0, passed, amount)
    for j, matrix in enumerate(prepared.basis):
        for passed, source, amount in inputs:
            # The first of Newton's matrices is the unit matrix.
            for i in core if j else (source,):
                entry = matrix[i, source] * amount if j else amount
                add(first + i, (*core[: j + 1], *passed), entry)
                if pk.effect and i == 0:
                    on_the_way = (*core[: j + 1], *passed, places["ke0"])
                    add(n - 1, on_the_way, rates[places["ke0"]] * entry / prepared.v1)
    if pk.effect:
        add(n - 1, (places["ke0"],), x[-1])
    return rates, amounts


def _rates(prepared: Any, rate: Array | None) -> tuple[list[Array], dict[str, int]]:
    """Those of the core, fastest first, then of absorption, effect and a constant infusion, and the latters' places."""
    rates, places = list(prepared.rates), {}
    for i in range(1, len(rates)):
        rates[i] = jnp.minimum(rates[i], rates[i - 1] * (1.0 - _APART))
    for name, value in (("ka", prepared.ka), ("ke0", prepared.ke0)):
        if value is not None:
            places[name] = len(rates)
            rates.append(_moved_apart(value, rates))
    if rate is not None:
        places["0"] = len(rates)
        rates.append(jnp.zeros_like(rate))
    return rates, places


type _Passed = tuple[int, ...]
"""Places of the rates that an amount has passed on its way."""


def _inputs(
    pk: Mammillary, rates: list[Array], places: dict[str, int], x: list[Array], rate: Array | None, into: int
) -> tuple[list[tuple[_Passed, int, Array]], list[tuple[_Passed, Array]]]:
    """Into the core, with the compartment that each enters; and into the depot."""
    first = int(pk.depot)
    inputs: list[tuple[_Passed, int, Array]] = [((), i, v) for i, v in enumerate(x[first : len(pk.dosable)])]
    if rate is not None and into >= first:
        inputs.append(((places["0"],), into - first, rate))
    if not pk.depot:
        return inputs, []
    ka = places["ka"]
    absorbed: list[tuple[_Passed, Array]] = [((ka,), x[0])]
    if rate is not None and into == 0:
        absorbed.append(((ka, places["0"]), rate))
    return [*inputs, *((passed, 0, rates[ka] * amount) for passed, amount in absorbed)], absorbed


def _moved_apart(value: Array, others: list[Array]) -> Array:
    for other in others:
        gap = value - other
        near = jnp.abs(gap) < _APART * other
        value = jnp.where(near, other * (1.0 + jnp.where(gap < 0, -_APART, _APART)), value)
    return value

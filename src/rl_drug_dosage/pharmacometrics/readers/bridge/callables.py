"""The functions of a bridged model: frozen values, so that two readings of one file share their compiled programs."""

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pharmacometrics.readers.bridge.statements import TIME, Program
from rl_drug_dosage.pharmacometrics.readers.expressions import Name, to_python
from rl_drug_dosage.pkpd.description import Values

__all__ = ["CLOCK", "FromFile", "Individual", "Matrix", "Moment", "Slopes", "Start", "Typical", "Value"]

CLOCK = "clock_h"
"""A state that counts hours, for outputs that read the time."""
_THETA = "theta "
"""Before a theta's name among the parameters; no variable of a file has a blank in its name."""

_SLOPE = "_derivative_"


class FromFile(abc.ABC):
    """A function made of a file's statements, which can be shown."""

    @abc.abstractmethod
    def lines(self) -> Iterator[str]:
        """The statements, as equations."""


def _equations(program: Program, heading: str) -> Iterator[str]:
    if program.steps:
        yield heading
    for name, expr in program.steps:
        left = f"d {name.removeprefix(_SLOPE)}/dt" if name.startswith(_SLOPE) else name.removeprefix("_engine_")
        if not (isinstance(expr, Name) and expr.name == left):
            yield f"    {left} = {to_python(expr).replace('jnp.', '')}"


type Pairs = tuple[tuple[str, str], ...]
"""(name in the file, key among the engine's parameters or compartments)."""


@dataclass(frozen=True)
class Typical(FromFile):
    """``parameters`` of a model: typical values, and what `Individual` needs to go on.

    Args:
        program: without random effects.
        effects: random effects, which are 0 here.
        names: values to return.
        helpers: random effects that are parameters of their own.
        thetas: typical values that are passed on.
        covariates: those that the program reads.
    """

    program: Program
    effects: tuple[str, ...]
    names: tuple[str, ...]
    helpers: tuple[str, ...]
    thetas: tuple[str, ...]
    covariates: Pairs

    def __call__(self, theta: Values, covariates: Values) -> dict[str, Array]:
        """Parameters before the random effects."""
        zero = jnp.zeros(())
        own = {name: covariates[key] for name, key in self.covariates}
        numbers = {name: jnp.asarray(value, dtype=float) for name, value in theta.items()}
        known = self.program.run({**own, **numbers, **dict.fromkeys(self.effects, zero)})
        out = {name: jnp.asarray(known[name], dtype=float) for name in self.names}
        out |= dict.fromkeys(self.helpers, zero)
        return out | {f"{_THETA}{name}": numbers[name] for name in self.thetas}

    def lines(self) -> Iterator[str]:
        """The statements before the random effects."""
        yield from _equations(self.program, "As in the file, without random effects:")


@dataclass(frozen=True)
class Individual(FromFile):
    """``finish`` of a model: everything that rests on the individual parameters.

    Args:
        program: all that does not move.
        effects: random effects that are in a parameter already, and 0 here.
        helpers: random effects that are parameters of their own.
        thetas: typical values that are passed on.
        fixed: variables that come with their random effects.
        covariates: those that the program reads.
        out: what to return, under which key.
    """

    program: Program
    effects: tuple[str, ...]
    helpers: tuple[str, ...]
    thetas: tuple[str, ...]
    fixed: tuple[str, ...]
    covariates: Pairs
    out: Pairs

    def __call__(self, p: Values, covariates: Values) -> dict[str, Array]:
        """Individual parameters."""
        given: dict[str, Any] = {name: covariates[key] for name, key in self.covariates}
        given |= dict.fromkeys(self.effects, jnp.zeros(()))
        given |= {name: p[name] for name in self.helpers}
        given |= {name: p[f"{_THETA}{name}"] for name in self.thetas}
        given |= {name: p[name] for name in self.fixed}
        known = self.program.run(given)
        return {key: jnp.asarray(known[name], dtype=float) for name, key in self.out}

    def lines(self) -> Iterator[str]:
        """The statements after the random effects."""
        yield from _equations(self.program, "As in the file, in mg, L and h where the engine reads them:")


@dataclass(frozen=True)
class Moment:
    """Values at a moment, from contents and individual parameters.

    Args:
        program: what moves.
        compartments: (name in the file, name in the structure).
        p: (name in the file, key among the parameters).
        per_mg: content in the file's unit of 1 mg.
        unit_h: the file's unit of time, h.
    """

    program: Program
    compartments: Pairs
    p: Pairs
    per_mg: float
    unit_h: float

    def values(self, t_h: Any, state: Mapping[str, Array], p: Values) -> dict[str, Any]:
        """Everything by the file's names and in its units."""
        known: dict[str, Any] = {name: state[own] * self.per_mg for name, own in self.compartments}
        known |= {name: p[key] for name, key in self.p}
        known[TIME] = t_h / self.unit_h
        return self.program.run(known)


@dataclass(frozen=True)
class Slopes(FromFile):
    """``rhs`` of an `OdeSystem`.

    Args:
        moment: the statements.
        slopes: (state, name of its derivative in the file).
        clock: whether a state counts the hours.
        still: states without a derivative, which keep their contents.
    """

    moment: Moment
    slopes: Pairs
    clock: bool = False
    still: tuple[str, ...] = ()

    def __call__(self, t_h: Array, state: Values, p: Values, pk: Values) -> dict[str, Array]:
        """Derivatives per hour, of amounts in mg."""
        known = self.moment.values(t_h, {**pk, **state}, p)
        per_h = 1.0 / (self.moment.per_mg * self.moment.unit_h)
        out = {state: jnp.asarray(known[name] * per_h, dtype=float) for state, name in self.slopes}
        out |= dict.fromkeys(self.still, jnp.zeros(()))
        return out | ({CLOCK: jnp.ones(())} if self.clock else {})

    def lines(self) -> Iterator[str]:
        """The derivatives."""
        yield from _equations(self.moment.program, "As in the file, in its units of amount and time:")


@dataclass(frozen=True)
class Value(FromFile):
    """``value`` of an `Output`."""

    moment: Moment
    name: str
    clock: bool = False

    def __call__(self, state: Values, p: Values) -> Array:
        """In the file's unit."""
        t_h = state[CLOCK] if self.clock else jnp.zeros(())
        return jnp.asarray(self.moment.values(t_h, state, p)[self.name], dtype=float)

    def lines(self) -> Iterator[str]:
        """What the output is made of."""
        yield from _equations(self.moment.program, "As in the file:")


@dataclass(frozen=True)
class Start:
    """``start`` of an `OdeSystem`: (state, key of its content among the parameters)."""

    states: Pairs
    per_mg: float

    def __call__(self, p: Values) -> dict[str, Array]:
        """Contents in mg."""
        return {state: p[key] / self.per_mg for state, key in self.states}


@dataclass(frozen=True)
class Matrix(FromFile):
    """``matrix`` of a `LinearSystem`.

    Args:
        program: the rates, in the file's unit, from individual parameters.
        p: (name in the file, key among the parameters).
        entries: row, column and name of each rate that is not always 0.
        size: of the matrix.
        unit_h: the file's unit of time, h.
    """

    program: Program
    p: Pairs
    entries: tuple[tuple[int, int, str], ...]
    size: int
    unit_h: float

    def __call__(self, p: Values) -> Array:
        """Rates, 1/h."""
        known = self.program.run({name: p[key] for name, key in self.p})
        a = jnp.zeros((self.size, self.size))
        for row, column, name in self.entries:
            a = a.at[row, column].set(known[name] / self.unit_h)
        return a

    def lines(self) -> Iterator[str]:
        """The rates."""
        yield "Rate (row, column):"
        for name, expr in self.program.steps:
            yield f"    {name.removeprefix('_rate_').replace('_', ', ')} = {to_python(expr).replace('jnp.', '')}"

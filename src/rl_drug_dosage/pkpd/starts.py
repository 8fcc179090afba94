"""A course that starts from a level measured before the first dose of the table: earlier doses are not known.

The level is taken as exact, and the contents behind it as those of the terminal phase: long after the last dose all
compartments fall at the same rate, in proportions that no longer depend on how it was given (pseudo-equilibrium of
distribution; Gibaldi and Perrier, Pharmacokinetics, 2nd ed. 1982, chapter 2). With u the eigenvector of the slowest
rate of the system and h(u) the output at these contents,

    x(t0) = u y / h(u)

so that the output at t0 is the level y, for every patient's own parameters. For one compartment that is x = y V. If
drug was given shortly before t0, less of it was in the periphery, and the level then falls faster than is predicted.
The residual error of this one level is left out, as where a measured baseline is taken for the true one (Dansirikul,
Silber and Karlsson, J Pharmacokinet Pharmacodyn 2008;35:269-283, discuss it).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import ObservationError
from rl_drug_dosage.pkpd.answers import Fault
from rl_drug_dosage.pkpd.description import Covariate, Values
from rl_drug_dosage.pkpd.distributions import Fixed
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["PRE_DOSE_LEVEL", "Started", "starting", "terminal_contents"]

PRE_DOSE_LEVEL = "pre_dose_level"
"""Covariate and parameter that holds the level; 0: the patient starts without drug."""

_SQUARINGS = 40
"""The solution over an hour is squared so often: 2^40 h, in which every faster phase is over."""


def terminal_contents(structure: Structure, p: Values) -> Float[Array, "n"]:
    """Contents in the terminal phase, of which the largest is 1: the eigenvector of the slowest rate.

    Args:
        structure: linear.
        p: individual parameters.
    """
    n = len(structure.compartments)
    prepared, zero = structure.prepare(p), jnp.zeros(())

    def after_an_hour(x: Array) -> Array:
        return structure.advance(prepared, x, None, zero, jnp.ones(()))[0]

    def square(matrix: Array, _: None) -> tuple[Array, None]:
        matrix = matrix @ matrix
        return matrix / jnp.max(jnp.abs(matrix)), None

    first = jax.vmap(after_an_hour, out_axes=1)(jnp.eye(n))
    matrix, _ = jax.lax.scan(square, first / jnp.max(jnp.abs(first)), None, length=_SQUARINGS)
    # All columns are the same vector by now, some of them 0.
    contents = jnp.sum(matrix, axis=1)
    return contents / jnp.max(jnp.abs(contents))


@dataclass(frozen=True)
class Started(Structure):
    """A linear structure whose contents after a reset are those behind a level.

    Args:
        inner: the structure.
        value: the output that was measured.
    """

    inner: Structure
    value: Callable[[Values, Values], Array]

    @property
    def compartments(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the structure."""
        return self.inner.compartments

    @property
    def dosable(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the structure."""
        return self.inner.dosable

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the structure, and the level."""
        return (*self.inner.parameters, PRE_DOSE_LEVEL)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Superposition holds, beside the initial contents."""
        return self.inner.linear

    def initial(self, p: Values) -> Float[Array, "n"]:
        """As the structure: nothing is known of the time before the level."""
        return self.inner.initial(p)

    def reset(self, p: Values, first: Float[Array, "n"]) -> Float[Array, "n"]:
        """The contents behind the level, see the module."""
        contents = terminal_contents(self.inner, p)
        return contents * (p[PRE_DOSE_LEVEL] / self.value(self.inner.contents(contents), p))

    def prepare(self, p: Values) -> Any:
        """As the structure."""
        return self.inner.prepare(p)

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
        """As the structure."""
        return self.inner.advance(prepared, x, rate_mg_per_h, t_h, dt_h, auc=auc)

    def fault(self, p: Values, given_mg: float) -> Fault | None:
        """As the structure."""
        return self.inner.fault(p, given_mg)


@dataclass(frozen=True)
class _WithLevel:
    """``finish`` of a model that starts from a level; compared by value, so that programs are shared."""

    finish: Callable[[Values, Values], Values]

    def __call__(self, p: Values, covariates: Values) -> dict[str, Array]:
        return {**self.finish(p, covariates), PRE_DOSE_LEVEL: covariates[PRE_DOSE_LEVEL]}


def starting(model: DrugModel, output: str) -> DrugModel:
    """The model with one more covariate, `PRE_DOSE_LEVEL`: the level of an output from which a patient starts.

    Args:
        model: a linear model.
        output: what was measured.

    Raises:
        ObservationError: a model or an output of which the contents behind a level are not known.
    """
    which = model.outputs[model.output_index(output)]
    why = ""
    if not model.structure.linear:
        why = "is not linear, so the contents behind a level depend on what came before it"
    elif not _proportional(model, which.value):
        why = f"has an output {output!r} that is not proportional to the contents of its terminal phase"
    if why:
        raise ObservationError(
            f"{model.name} {why}: list the doses that came before the level, or leave it out with --pre-dose-level "
            "ignore"
        )
    level = Covariate(
        name=PRE_DOSE_LEVEL,
        unit=which.unit,
        low=0.0,
        high=1e9,
        typical=0.0,
        source="measured",
        meaning=f"{output} before the first dose",
        distribution=Fixed(0.0),
        column="PREDOSE",
    )
    return dataclasses.replace(
        model,
        structure=Started(model.structure, which.value),
        covariates=(*model.covariates, level),
        finish=_WithLevel(model.finish),
    )


def _proportional(model: DrugModel, value: Callable[[Values, Values], Array]) -> bool:
    """Whether an output of the typical patient is above 0 in the terminal phase, and doubles with the contents."""
    with jax.enable_x64(True):
        p = {name: jnp.asarray(number, dtype=float) for name, number in model.typical().items()}
        contents = terminal_contents(model.structure, p)
        one, two, none = (float(value(model.structure.contents(k * contents), p)) for k in (1.0, 2.0, 0.0))
    return one > 1e-9 and bool(np.isclose(two, 2.0 * one, rtol=1e-9)) and abs(none) < 1e-12 * one

"""Individual parameters that a body can have: finite, and positive where the typical patient's are."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from rl_drug_dosage.pkpd._errors import CovariateError
from rl_drug_dosage.pkpd.covariates import Covariates, stack_covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.parameter_units import POSITIVE, PREFIXES, parameter_unit
from rl_drug_dosage.pkpd.population import individual_parameters

__all__ = ["check_parameters", "check_typical_parameters"]


def check_parameters(
    model: DrugModel, p: Mapping[str, ArrayLike], covariates: Mapping[str, ArrayLike], who: Sequence[str]
) -> None:
    """Refuse parameters with which no course may be computed.

    All must be finite. Clearances, volumes and rate constants must be above 0, and so must every other parameter that
    the structure reads if the typical patient's is: a clearance below 0 comes from covariates that the model's
    equations were not made for. Bioavailability, lag and duration must be at least 0.

    Args:
        model: the drug.
        p: individual parameters, ``[patient, record]`` each.
        covariates: the values behind them, of the same shape.
        who: how messages begin, one for each patient.

    Raises:
        CovariateError: names patient, parameter, value and covariates.
    """
    typical = _usual(model)
    for name, given in p.items():
        values = np.atleast_2d(np.asarray(given))
        good = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            if name in model.structure.parameters and (name in POSITIVE or typical[name] > 0):
                good &= values > 0
            elif name.startswith(tuple(PREFIXES)):
                good &= values >= 0
        if good.all():
            continue
        patient, record = np.argwhere(~good)[0]
        facts = {n: np.atleast_2d(np.asarray(v)) for n, v in covariates.items()}
        told = ", ".join(f"{n} = {v[patient, min(record, v.shape[1] - 1)]:g}" for n, v in facts.items())
        unit = parameter_unit(name).removesuffix("1")
        raise CovariateError(
            f"{who[patient]}: {model.name} gives {name} = {values[patient, record]:g}{' ' * bool(unit)}{unit} for "
            f"{told or 'no covariates'}: "
            "parameters must be finite and positive; correct the covariates, or use a model that holds for them"
        )


def check_typical_parameters(model: DrugModel, tables: Sequence[Covariates], who: Sequence[str]) -> None:
    """Refuse patients for whose covariates the model's typical parameters are none, see `check_parameters`.

    Args:
        model: the drug.
        tables: the covariates of each patient.
        who: how messages begin, one for each patient.

    Raises:
        CovariateError: names patient, parameter, value and covariates.
    """
    table = stack_covariates(tables)
    check_parameters(model, _typical(model, table), table.values, who)


@lru_cache(maxsize=64)
def _usual(model: DrugModel) -> dict[str, float]:
    """Parameters of the typical patient."""
    values = {c.name: np.asarray([[c.typical]], dtype=float) for c in model.covariates}
    table = Covariates(np.zeros((1, 1)), values, np.zeros((1, 1), np.int32))  # type: ignore[arg-type]
    return {name: float(np.asarray(value)[0, 0]) for name, value in _typical(model, table).items()}


@partial(jax.jit, static_argnums=0)
def _typical(model: DrugModel, tables: Covariates) -> dict[str, Float[Array, "patient record"]]:
    """Parameters of patients without random effects. Compiled once for each shape of the tables."""
    nobody = jnp.zeros(len(model.etas))
    return jax.vmap(lambda one: individual_parameters(model, one, nobody))(tables)

"""A flattened prior: the same model whose random effects are believed to vary more.

With a weight w the prior covariance W of `objective` is W / w, so that

    OBJ(z) = sum [ln v + (y - f)^2 / v] + w z' W^-1 z

Below 1 the levels count for more against the population, for a patient whom the population may not describe. The
maximum is that of a log prior density multiplied by w, which is how PKPDmap flattens a prior (Hughes and Keizer, CPT
Pharmacometrics Syst Pharmacol 2021;10:1150-1160, choose when to do so). The posterior is that of the wider prior
throughout: intervals, draws and dose search follow. An OBJ holds for its weight; do not compare it with another's.
"""

import dataclasses
import math

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd.description import Correlation, Eta, Param
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import omega_squared

__all__ = ["flattened"]

_LEAST, _MOST = 1e-3, 1e3


def flattened(model: DrugModel, weight: float) -> DrugModel:
    """The model whose omegas, between subjects and between occasions, are divided by a weight.

    Args:
        model: the drug.
        weight: of the prior, from 0.001 to 1,000; with 1 the model itself is returned.

    Raises:
        ConfigError: a weight outside these limits.
    """
    if not (math.isfinite(weight) and _LEAST <= weight <= _MOST):
        raise ConfigError(
            f"--prior-weight must be a number from {_LEAST:g} to {_MOST:g}, 1 for the published prior, not {weight}"
        )
    if weight == 1.0:
        return model
    return dataclasses.replace(
        model,
        etas=tuple(_wider(eta, weight) for eta in model.etas),
        occasion_etas=tuple(_wider(eta, weight) for eta in model.occasion_etas),
        correlations=tuple(_scaled(each, weight) for each in model.correlations),
        occasion_correlations=tuple(_scaled(each, weight) for each in model.occasion_correlations),
    )


def _wider(eta: Eta, weight: float) -> Eta:
    size = Param(omega_squared(eta) / weight, "1", f"{eta.size.source}; divided by the prior's weight", "variance")
    return dataclasses.replace(eta, size=size, kind="var")


def _scaled(each: Correlation, weight: float) -> Correlation:
    """A covariance is divided too; a correlation stays what it is."""
    if each.kind == "corr":
        return each
    size = dataclasses.replace(each.size, value=each.size.fraction() / weight, unit="1")
    return dataclasses.replace(each, size=size)

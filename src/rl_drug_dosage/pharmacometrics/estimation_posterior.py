"""Draws from each patient's posterior, in the four ways that an estimation offers, with what tells their quality.

| kind | how | exact | needs |
|---|---|---|---|
| ``laplace`` | the Gaussian at the estimate | no | an estimate that converged |
| ``resample`` | importance resampling around the estimate | with many draws | an estimate near the maximum |
| ``library`` | support patients from the prior, moved where few remain | with many draws | nothing |
| ``nuts`` | four chains of the no-U-turn sampler | with many draws | blackjax (extra ``nuts``), time |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, Regimen
from rl_drug_dosage.pkpd.bayes import Estimate, Posterior, importance_posterior, laplace_posterior
from rl_drug_dosage.pkpd.bayes.library_patient import library_posterior
from rl_drug_dosage.pkpd.bayes.nuts import nuts_posterior, require_blackjax
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.kept_programs import returned

__all__ = ["KINDS", "POSTERIOR_TABLE", "Drawn", "check_kind", "doubts", "draw", "save_posterior_table"]

KINDS = ("laplace", "resample", "library", "nuts")
POSTERIOR_TABLE = "posterior.csv"
"""Written for the kinds ``library`` and ``nuts``: a row a patient."""

_HEADER = (
    "ID", "POSTERIOR", "DRAWS", "EFFECTIVE", "LOG_EVIDENCE", "EFFECTIVE_UNMOVED", "MOVES", "ACCEPTED", "RHAT",
    "DIVERGENT",
)  # fmt: skip
_DRAWS = 1000
_KEPT_NUTS = 2000
"""Transitions of the four chains that are kept; R-hat needs more than intervals do."""
_FEW = 100.0
"""Effective draws below which intervals are flagged."""
_APART = 1.05
"""R-hat above which chains are flagged."""


@returned
class Drawn(eqx.Module):
    """Draws, and what their method says of them; leading axes are patients. None where a method does not say it."""

    posterior: Posterior
    unmoved: Float[Array, ""] | None = None
    """Effective support patients of the prior without moves."""
    moves: Int[Array, ""] | None = None
    """Resample-and-move rounds."""
    accepted: Float[Array, ""] | None = None
    """Share of accepted steps in the last of them."""
    rhat: Float[Array, ""] | None = None
    divergent: Int[Array, ""] | None = None


def check_kind(kind: str) -> str:
    """What is wrong with a kind of posterior, in words; empty if nothing is.

    Raises:
        DependencyError: its library is not installed.
    """
    if kind not in KINDS:
        return f"posterior must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}"
    if kind == "nuts":
        require_blackjax()
    return ""


def draw(
    kind: str,
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    at: Estimate,
    key: PRNGKeyArray,
) -> Drawn:
    """Equally weighted draws from one patient's posterior.

    Args:
        kind: one of `KINDS`.
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels.
        at: the MAP estimate.
        key: random key.
    """
    of_patient, occasions = (model, regimen, covariates, levels), at.kappa.shape[0]
    if kind == "laplace":
        return Drawn(laplace_posterior(model, at, key, draws=_DRAWS))
    if kind == "resample":
        return Drawn(importance_posterior(*of_patient, at, key, proposals=4000, draws=_DRAWS))
    if kind == "library":
        posterior, library, unmoved = library_posterior(*of_patient, occasions, key, draws=_DRAWS)
        return Drawn(posterior, unmoved, library.moves, library.accepted)
    posterior, chains = nuts_posterior(*of_patient, occasions, key, draws=_KEPT_NUTS)
    return Drawn(posterior, rhat=chains.rhat, divergent=chains.divergent)


def doubts(drawn: Drawn) -> list[str]:
    """What speaks against the draws of one patient."""
    found: list[str] = []
    if drawn.unmoved is None and drawn.rhat is None:
        return found
    if (effective := float(drawn.posterior.effective)) < _FEW:
        found.append(f"the interval rests on {effective:.0f} effective draws: distrust it")
    if drawn.rhat is not None and not float(drawn.rhat) <= _APART:
        found.append(f"the chains do not agree (R-hat {float(drawn.rhat):.2f}): distrust the interval")
    if drawn.divergent is not None and int(drawn.divergent) > 0:
        found.append(f"{int(drawn.divergent)} transitions of the chains diverged: distrust the tails of the interval")
    return found


def save_posterior_table(kind: str, names: Sequence[str], drawn: Drawn, folder: Path) -> Path:
    """Write ``posterior.csv``.

    Raises:
        OutputError: the file cannot be written.
    """

    def cell(values: Any, i: int) -> str:
        return "" if values is None or not np.isfinite(values[i]) else f"{float(values[i]):.6g}"

    posterior, draws = drawn.posterior, drawn.posterior.eta.shape[1]
    columns = (
        posterior.effective, posterior.log_evidence, drawn.unmoved, drawn.moves, drawn.accepted, drawn.rhat,
        drawn.divergent,
    )  # fmt: skip
    rows = ([name, kind, str(draws), *(cell(c, i) for c in columns)] for i, name in enumerate(names))
    atomic_write(folder / POSTERIOR_TABLE, csv_text(_HEADER, rows).encode())
    return folder / POSTERIOR_TABLE

"""Shrinkage of an estimation: how much of the random effects and residuals the levels could tell.

With n patients (or weighted residuals), standard deviations over n - 1:

    eta-shrinkage      1 - SD(eta^) / omega                  Savic and Karlsson, AAPS J 2009;11(3):558-569
    epsilon-shrinkage  1 - SD(IWRES)                         the same
    from variances     mean over patients of var(eta_i) / omega^2, with var(eta_i) the posterior variance

The first two need many patients: SD itself has a relative standard error of about 1 / sqrt(2 (n - 1)). The last one
holds for a single patient: 100 % means that the levels say nothing about this effect. Patients without a level in
use, and those whose estimate has not converged, are left out; each occasion of a patient counts once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rl_drug_dosage.pharmacometrics.estimation_tables import PatientResult
from rl_drug_dosage.pkpd import DrugModel, Eta, occasion_omega, omega
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["SHRINKAGE", "ShrinkageRow", "save_shrinkage", "shrinkage"]

SHRINKAGE = "shrinkage.csv"

_HEADER = ("KIND", "NAME", "N", "SD", "OMEGA", "SHRINKAGE_PCT", "FROM_VARIANCES_PCT", "NOTE")
_FEW = 20
"""Fewer values than this leave a standard error of more than 16 % of SD."""


@dataclass(frozen=True)
class ShrinkageRow:
    """Shrinkage of one random effect, or of the residual error of one output."""

    kind: Literal["eta", "kappa", "epsilon"]
    name: str
    """The parameter, or the output."""
    count: int
    """Patients, occasions or levels."""
    sd: float
    """Of the estimates or weighted residuals; not a number below two of them."""
    omega: float
    """Standard deviation in the population; 1 for weighted residuals."""
    from_variances_pct: float
    """Not a number for residuals."""

    @property
    def pct(self) -> float:
        """100 (1 - SD / omega); below 0 where estimates vary more than the population."""
        return 100.0 * (1.0 - self.sd / self.omega) if self.omega > 0 else math.nan

    @property
    def note(self) -> str:
        """What speaks against the number; empty where nothing does."""
        if self.count < 2:
            return f"{self.count} of two that a standard deviation needs"
        error = 100.0 / math.sqrt(2.0 * (self.count - 1))
        return f"{self.count} only: SD is uncertain by about {error:.0f} %" if self.count < _FEW else ""


def shrinkage(model: DrugModel, patients: Sequence[PatientResult]) -> tuple[ShrinkageRow, ...]:
    """Shrinkage of every random effect, and of the residual error of every measured output.

    Args:
        model: the drug, with the prior that was used.
        patients: their estimates.
    """
    told = [p for p in patients if bool(p.fitted.estimate.converged) and np.any(p.levels.used)]
    return (*_between(model, told), *_within(model, told), *_residuals(model, told))


def _row(
    kind: Literal["eta", "kappa"], eta: Eta, size: float, values: np.ndarray, posterior: np.ndarray
) -> ShrinkageRow:
    sd = float(np.std(values, ddof=1)) if values.size > 1 else math.nan
    share = 100.0 * float(np.mean(posterior)) / size**2 if posterior.size and size > 0 else math.nan
    return ShrinkageRow(kind, eta.parameter, values.size, sd, size, share)


def _between(model: DrugModel, told: Sequence[PatientResult]) -> Iterator[ShrinkageRow]:
    sizes = np.sqrt(np.diag(omega(model)))
    for i, eta in enumerate(model.etas):
        values = np.array([float(p.fitted.estimate.eta[i]) for p in told])
        variances = np.array([float(p.fitted.estimate.covariance[i, i]) for p in told])
        yield _row("eta", eta, float(sizes[i]), values, variances)


def _within(model: DrugModel, told: Sequence[PatientResult]) -> Iterator[ShrinkageRow]:
    """Over the occasions in which a level was measured."""
    sizes, first, width = np.sqrt(np.diag(occasion_omega(model))), len(model.etas), len(model.occasion_etas)
    for i, eta in enumerate(model.occasion_etas):
        values, variances = [], []
        for p in told:
            seen = p.covariates.index_at(np.asarray(p.levels.time_h)[np.asarray(p.levels.used)])
            for k in np.unique(np.asarray(p.covariates.occasion)[np.asarray(seen)]):
                at = first + int(k) * width + i
                values.append(float(p.fitted.estimate.kappa[k, i]))
                variances.append(float(p.fitted.estimate.covariance[at, at]))
        yield _row("kappa", eta, float(sizes[i]), np.array(values), np.array(variances))


def _residuals(model: DrugModel, told: Sequence[PatientResult]) -> Iterator[ShrinkageRow]:
    for i, output in enumerate(model.outputs):
        own = [p.weighted_residual[np.asarray(p.levels.output) == i] for p in told]
        values = np.concatenate([np.zeros(0), *own])
        values = values[np.isfinite(values)]
        if values.size:
            sd = float(np.std(values, ddof=1)) if values.size > 1 else math.nan
            yield ShrinkageRow("epsilon", output.name, values.size, sd, 1.0, math.nan)


def save_shrinkage(rows: Sequence[ShrinkageRow], folder: Path) -> Path:
    """Write ``shrinkage.csv``.

    Raises:
        OutputError: the file cannot be written.
    """

    def cell(value: float) -> str:
        return f"{value:.6g}" if math.isfinite(value) else ""

    lines = (
        [r.kind, r.name, r.count, cell(r.sd), cell(r.omega), cell(r.pct), cell(r.from_variances_pct), r.note]
        for r in rows
    )
    path = folder / SHRINKAGE
    atomic_write(path, csv_text(_HEADER, lines).encode())
    return path

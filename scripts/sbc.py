#!/usr/bin/env python
"""Simulation-based calibration (Talts 2018) of every posterior that `rl-drug-dosage estimate` offers.

Virtual patients are drawn from a drug model, each with its random effects and levels with residual error, those below
the limit of quantification censored. If a posterior is right, the rank of a true random effect among 99 draws is
uniform over 0 .. 99, and 90 % intervals contain 90 % of the truths. A Laplace posterior is an approximation: its ranks
show how good it is for these drugs.

    scripts/sbc.py                                    all, into tests/reference/sbc/calibration.json (half an hour)
    scripts/sbc.py --drug phenytoin-yukawa1990 --kind nuts --replicates 100

`make validate` puts what that file says into docs/validation.md.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from rl_drug_dosage.pharmacometrics.estimation_posterior import KINDS, draw
from rl_drug_dosage.pkpd import (
    Dose,
    DrugModel,
    FixedStep,
    add_residual,
    every,
    make_covariates,
    make_levels,
    make_regimen,
    predict,
)
from rl_drug_dosage.pkpd.bayes import map_estimate
from rl_drug_dosage.pkpd.bayes.objective import prior_covariance
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.utils.runtime import configure

RESULTS = Path(__file__).resolve().parents[1] / "tests" / "reference" / "sbc" / "calibration.json"
DRAWS, BINS = 99, 10
REPLICATES = {"laplace": 1000, "resample": 1000, "library": 1000, "nuts": 300}


@dataclasses.dataclass(frozen=True)
class Clinic:
    """How patients of a drug are dosed and measured; invented for this check."""

    dose_mg: float
    interval_h: float
    doses: int
    duration_h: float
    times_h: tuple[float, ...]
    limit: float
    """Of quantification, in the output's unit."""
    fewer: int = 1
    """Replicates are divided by it, where a model takes long."""
    step_h: float | None = None
    """Fixed step of the integration, which truth and estimate share; None: as the model says."""


CLINICS = {
    "vancomycin-buelga2005": Clinic(1000.0, 12.0, 4, 1.0, (2.0, 11.5, 26.0, 47.5), 3.0),
    "phenytoin-yukawa1990": Clinic(300.0, 24.0, 4, 0.0, (6.0, 23.5, 71.5), 3.0, fewer=2, step_h=1.0),
}


def ranks(model: DrugModel, clinic: Clinic, kind: str, replicates: int, seed: int = 1) -> tuple[Any, Any, Any]:
    """Rank of each true random effect among the draws, convergence of the estimate, effective sample size.

    Args:
        model: the drug, with typical covariates.
        clinic: doses and levels.
        kind: of the posterior.
        replicates: number of virtual patients.
        seed: of everything.
    """
    if clinic.step_h is not None:
        structure = dataclasses.replace(model.structure, method=FixedStep(clinic.step_h))  # type: ignore[call-arg]
        model = dataclasses.replace(model, structure=structure)
    dose = Dose(0.0, clinic.dose_mg, duration_h=clinic.duration_h)
    regimen = make_regimen(every(dose, clinic.interval_h, clinic.doses), model.structure)
    covariates = make_covariates(model, {c.name: c.typical for c in model.covariates})
    blank = make_levels(model, clinic.times_h, [1.0] * len(clinic.times_h))
    factor = jnp.asarray(np.linalg.cholesky(prior_covariance(model, 0)))
    times = jnp.asarray(clinic.times_h)

    def replicate(key: Any) -> tuple[Any, Any, Any]:
        for_eta, for_error, for_draws, for_choice = jax.random.split(key, 4)
        eta = factor @ jax.random.normal(for_eta, (factor.shape[0],))
        y = add_residual(model, predict(model, regimen, covariates, times, eta), for_error)[:, 0]
        below = y < clinic.limit
        levels = dataclasses.replace(blank, value=jnp.maximum(y, clinic.limit), below=below)
        at = map_estimate(model, regimen, covariates, levels, occasions=0)
        drawn = draw(kind, model, regimen, covariates, levels, at, for_draws)
        chosen = jax.random.permutation(for_choice, drawn.posterior.eta)[:DRAWS]
        return jnp.sum(chosen < eta, axis=0), at.converged, drawn.posterior.effective

    keys = jax.random.split(jax.random.key(seed), replicates)
    return tuple(np.asarray(a) for a in jax.jit(lambda k: jax.lax.map(replicate, k, batch_size=10))(keys))  # type: ignore[return-value]


def summary(model: DrugModel, found: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    """Of each random effect: chi-square of its ranks in ten bins, coverage of the 90 and 50 % interval."""
    rank, converged, effective = found
    rows = []
    for i, eta in enumerate(model.etas):
        counts = np.bincount(rank[:, i] * BINS // (DRAWS + 1), minlength=BINS)
        rows.append(
            {
                "effect": eta.parameter,
                "replicates": len(rank),
                "converged": int(converged.sum()),
                "least_effective": round(float(effective.min()), 1),
                "p": float(scipy.stats.chisquare(counts).pvalue),
                "coverage_90_pct": 100.0 * float(np.mean((rank[:, i] >= 5) & (rank[:, i] < 95))),
                "coverage_50_pct": 100.0 * float(np.mean((rank[:, i] >= 25) & (rank[:, i] < 75))),
                "counts": counts.tolist(),
            }
        )
    return rows


def main() -> None:
    """Run what is asked for, print it, and keep it beside what the file already holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drug", action="append", choices=CLINICS)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--replicates", type=int, default=0)
    asked = parser.parse_args()
    configure("cpu")
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in asked.drug or CLINICS:
        model, clinic = load_drug(name), CLINICS[name]
        for kind in asked.kind or KINDS:
            begin = time.monotonic()
            with jax.enable_x64(True):
                found = ranks(model, clinic, kind, asked.replicates or REPLICATES[kind] // clinic.fewer)
            rows = summary(model, found)
            known.setdefault(name, {})[kind] = rows
            for row in rows:
                print(name, kind, {k: v for k, v in row.items() if k != "counts"}, flush=True)
            print(f"{time.monotonic() - begin:.0f} s", flush=True)
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()

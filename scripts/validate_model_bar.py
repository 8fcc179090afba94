#!/usr/bin/env python3
"""How often `validate-model` prefers the model that a simulated clinic follows.

    scripts/validate_model_bar.py [--repeats 100] [--patients 50] [TRUTH:OTHER ...]

Each repeat draws new patients of TRUTH, gives them the usual dose of the drug, measures four levels with the model's
error and a limit of quantification, writes the clinic as a CSV file, and asks which of the two models it follows. The
covariates are those of the truth; what only the other model reads is drawn from its own distribution. Both directions
of a pair are tried. `vancomycin-buelga2005*1.2` is that model with 1.2 times the clearance. Exit code 1 if the truth is
preferred in fewer than 95 of 100 repeats.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.pharmacometrics.validation_average import averages, log_evidence, prefer, weights_of
from rl_drug_dosage.pharmacometrics.validation_data import find_models, read_clinic
from rl_drug_dosage.pharmacometrics.validation_errors import resamples
from rl_drug_dosage.pharmacometrics.validation_forecasts import forecast
from rl_drug_dosage.pkpd import (
    Dose,
    DrugModel,
    add_residual,
    draw_covariates,
    draw_patients,
    every,
    make_regimen,
    predict,
)
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.utils.runtime import configure
from rl_drug_dosage.utils.seeding import Stream, key_for

PAIRS = (
    "vancomycin-goti2018:vancomycin-buelga2005",
    "vancomycin-goti2018:vancomycin-thomson2009",
    "tacrolimus-storset2014:tacrolimus-andrews2019",
    "busulfan-mccune2014:busulfan-shukla2020",
)
BAR_PCT = 95.0
DOSES = 8
LEVELS = ((0, 0.95), (1, 0.3), (3, 0.95), (6, 0.95))
"""Dose after which a level is drawn, and when, as a part of the dosing interval."""
LIMIT = 0.02
"""Limit of quantification, as a part of the median level."""


def model_of(text: str) -> DrugModel:
    """A model by its name, or a copy with another clearance."""
    name, _, factor = text.partition("*")
    model = load_drug(name)
    if not factor:
        return model
    cl = dataclasses.replace(model.thetas["cl"], value=float(factor) * model.thetas["cl"].value)
    return dataclasses.replace(model, name=f"{name}-cl-{factor}", thetas={**model.thetas, "cl": cl})


def clinic(truth: DrugModel, other: DrugModel, patients: int, seed: int) -> str:
    """A simulated clinic as CSV."""
    for_patients, for_errors, for_others = jax.random.split(key_for(seed, Stream.TUNE), 3)
    route, interval_h = truth.dosing.routes[0], truth.dosing.intervals_h[0]
    first = Dose(0.0, truth.dosing.usual_dose_mg, compartment=route.compartment, duration_h=route.duration_h)
    doses = every(first, interval_h, DOSES)
    hours = np.array([(dose + part) * interval_h for dose, part in LEVELS])
    with jax.enable_x64(True):
        drawn = draw_patients(truth, for_patients, 0, patients)
        regimen = make_regimen(doses, truth.structure)
        one = jax.jit(jax.vmap(lambda p: predict(truth, regimen, p.covariates, jnp.asarray(hours), p.eta, p.kappa)))
        levels = np.asarray(add_residual(truth, one(drawn), for_errors))[..., 0]
        others = jax.vmap(lambda key: draw_covariates(other, key))(jax.random.split(for_others, patients))
    columns = {c.column: np.asarray(others.values[c.name])[:, 0] for c in other.covariates}
    columns |= {c.column: np.asarray(drawn.covariates.values[c.name])[:, 0] for c in truth.covariates}
    limit = LIMIT * float(np.median(levels))
    lines = [",".join(("ID", "TIME", "AMT", "DUR", "CMT", "DV", "LLOQ", *columns))]
    for i in range(patients):
        facts = ",".join(f"{column[i]:.8g}" for column in columns.values())
        events = [(d.time_h, f"{d.amount_mg:g},{d.duration_h:g},{route.compartment},.,.") for d in doses]
        events += [(t, f".,.,.,{max(y, 0.0):.6g},{limit:.6g}") for t, y in zip(hours, levels[i], strict=True)]
        lines += [f"{i + 1},{t:g},{cells},{facts}" for t, cells in sorted(events)]
    return "\n".join(lines) + "\n"


def repeat(truth: str, other: str, patients: int, seed: int, folder: Path) -> tuple[bool, bool, float]:
    """Whether the truth is preferred, whether surely, and its weight in the average."""
    models = {name: model_of(name) for name in (other, truth)}
    path = folder / "clinic.csv"
    path.write_text(clinic(models[truth], models[other], patients, seed))
    found = read_clinic(path, find_models(models))
    forecasts = [forecast(candidate, found.levels, seed=seed) for candidate in found.candidates]
    drawn = resamples(len(found.names), seed)
    weights = weights_of([f.name for f in forecasts], log_evidence(found.levels, forecasts), drawn)
    preference = prefer(found.levels, forecasts, averages(found.levels, forecasts)[0], weights, drawn)
    return preference.model == truth, preference.model == truth and preference.sure, weights[1].stacking.value


def main() -> int:
    """Every pair in both directions; 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", default=PAIRS)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--patients", type=int, default=50)
    args = parser.parse_args()
    configure("cpu")
    missed = False
    with tempfile.TemporaryDirectory() as place:
        for pair in args.pairs:
            one, other = pair.split(":")
            for truth, against in ((one, other), (other, one)):
                begin = time.process_time()
                found = [repeat(truth, against, args.patients, seed, Path(place)) for seed in range(args.repeats)]
                right, sure, weight = (np.mean([f[i] for f in found]) for i in range(3))
                seconds = (time.process_time() - begin) / args.repeats
                missed |= 100.0 * right < BAR_PCT
                print(
                    f"truth {truth}, other {against}: preferred in {100 * right:.0f} %, surely in {100 * sure:.0f} %, "
                    f"mean weight in the average {weight:.2f}, {seconds:.2f} s CPU a repeat",
                    flush=True,
                )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

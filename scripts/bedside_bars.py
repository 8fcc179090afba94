"""Measure the bars of the bedside: are its probabilities true, and how long does an answer take?

    python scripts/bedside_bars.py --patients 300

Virtual patients of a model get irregular doses and levels and are told a chance of meeting the target for every
alternative. Their true parameters then say whether they meet it. Of those who are told 90 %, 90 % should.
"""

import argparse
import dataclasses
import itertools
import time
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.bedside import Asked, CovariateAt, Dose, Level, PatientHistory, Recommendation, recommended
from rl_drug_dosage.bedside.belief import believe
from rl_drug_dosage.bedside.layout import lay_out
from rl_drug_dosage.bedside.metrics import metrics
from rl_drug_dosage.bedside.regimens import measures_of, rows_of
from rl_drug_dosage.bedside.task import Task, task_of
from rl_drug_dosage.pkpd import Dose as EngineDose
from rl_drug_dosage.pkpd import DrugModel, add_residual, draw_patient, make_covariates, make_regimen, predict
from rl_drug_dosage.utils.runtime import keep_programs

_EDGES = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.88, 0.92, 0.96, 1.0)


def patients(
    model: DrugModel, count: int, levels: int, seed: int
) -> Iterator[tuple[PatientHistory, Float[np.ndarray, "eta"]]]:
    """Histories with four doses and a few levels at odd times, and the true random effects."""
    route, usual = model.dosing.routes[0], model.dosing.usual_dose_mg
    run = jax.jit(lambda regimen, table, at, eta: predict(model, regimen, table, at, eta))
    draw = jax.jit(lambda key: draw_patient(model, key))
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        with jax.enable_x64(True):
            one = jax.device_get(draw(jax.random.fold_in(jax.random.key(seed), i)))
            interval = float(rng.choice(model.dosing.intervals_h[:3]))
            times = np.concatenate([[0.0], np.cumsum(interval * rng.uniform(0.85, 1.2, 3))])
            amounts = usual * rng.uniform(0.6, 1.6, 4)
            at = np.sort(rng.uniform(0.3 * interval, times[-1] + interval, levels))
            facts = {name: float(column[0]) for name, column in one.covariates.values.items()}
            table = make_covariates(model, facts, carry="locf")
            doses = [
                EngineDose(float(t), float(a), route.compartment, duration_h=route.duration_h)
                for t, a in zip(times, amounts, strict=True)
            ]
            f = run(make_regimen(doses, model.structure, rows=8), table, at, one.eta)
            seen = np.asarray(add_residual(model, f, jax.random.key(int(rng.integers(2**31)))))[:, 0]
        measured = tuple(Level(float(t), max(float(y), 0.0)) for t, y in zip(at, seen, strict=True))
        yield (
            PatientHistory(
                drug=model.name,
                doses=tuple(Dose(d.time_h, d.amount_mg, d.duration_h) for d in doses),
                levels=measured,
                covariates=tuple(CovariateAt(0.0, name, value) for name, value in facts.items()),
                now_h=float(times[-1] + interval),
            ),
            np.asarray(one.eta),
        )


def truth(
    task: Task,
    model: DrugModel,
    history: PatientHistory,
    found: Recommendation,
    eta: Float[np.ndarray, "eta"],
    draws: int,
) -> list[bool]:
    """Whether the patient meets the target under every alternative."""
    with jax.enable_x64(True):
        laid = lay_out(model, task, history, found.start_h, found.start_h + found.horizon_h)
        belief = believe(model, laid, draws=draws, seed=1)
        own = jnp.broadcast_to(jnp.asarray(eta), belief.found.eta.shape)
        belief = dataclasses.replace(belief, found=eqx.tree_at(lambda f: f.eta, belief.found, np.asarray(own)))
        options = [row.option for row in found.rows]
        values = metrics(belief, measures_of(task), options, found.start_h, found.horizon_h)
    # The point estimate comes first, and is not counted.
    rows = rows_of(task, options, values, found.start_h, found.horizon_h, 0.0)
    return [row.target > 0.5 for row in rows]


def main() -> None:
    """Print the table of calibration and the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vancomycin-goti2018")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--levels", type=int, default=2)
    parser.add_argument("--target", default=None, help="window; by default the scenario's")
    parser.add_argument("--draws", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    keep_programs()
    task = task_of(asked.model, target=asked.target)
    model = task.first
    options = Asked(draws=asked.draws, policies=(), target=asked.target)
    told, hit, best, seconds, effective = [], [], [], [], []
    for i, (history, eta) in enumerate(patients(model, asked.patients, asked.levels, asked.seed)):
        begin = time.perf_counter()
        found = recommended(history, options)
        seconds.append(time.perf_counter() - begin)
        effective.append(min(found.effective.values()))
        own = truth(task, model, history, found, eta, asked.draws)
        told += [row.target for row in found.rows]
        hit += own
        best.append((found.rows[0].target, own[0]))
        if (i + 1) % 50 == 0:
            print(f"{i + 1} patients", flush=True)
    report(np.asarray(told), np.asarray(hit), np.asarray(best, float), np.asarray(seconds), np.asarray(effective))


def report(
    told: Float[np.ndarray, "row"],
    hit: Float[np.ndarray, "row"],
    best: Float[np.ndarray, "patient 2"],
    seconds: Float[np.ndarray, "patient"],
    effective: Float[np.ndarray, "patient"],
) -> None:
    """Told chance against the share that meets the target, and times."""
    print("| told chance | regimens | mean told | met the target | standard error |\n|---|---|---|---|---|")
    for low, high in itertools.pairwise(_EDGES):
        at = (told > low) & (told <= high) if low else told <= high
        if at.any():
            share = float(hit[at].mean())
            error = float(np.sqrt(max(share * (1 - share), 1e-4) / at.sum()))
            row = f"{100 * told[at].mean():.1f} % | {100 * share:.1f} % | {100 * error:.1f}"
            print(f"| {100 * low:.0f}-{100 * high:.0f} % | {at.sum()} | {row} |")
    print(f"best regimen: told {100 * best[:, 0].mean():.1f} %, met {100 * best[:, 1].mean():.1f} %")
    warm = 1e3 * seconds[2:]
    print(f"one answer, warm: median {np.median(warm):.0f} ms, 90th percentile {np.percentile(warm, 90):.0f} ms")
    print(f"first answer {seconds[0]:.1f} s")
    print(f"effective proposals: median {np.median(effective):.0f}, least {effective.min():.0f}")


if __name__ == "__main__":
    main()

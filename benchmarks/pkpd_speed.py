"""How fast the pharmacology engine is, beside scipy on the same work: `python benchmarks/pkpd_speed.py`.

Simulation: a two-compartment model, 1-h infusions every 12 h, 30 days, trough of every dose; scipy integrates the
same course with `solve_ivp` (LSODA, rtol 1e-6). Estimation: two etas, four levels; scipy minimises the same
objective with BFGS on a NumPy closed form. Memory: 100,000 patients x 30 days through the event engine, in chunks.
"""

import resource
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG
from rl_drug_dosage.pkpd import (
    Dose,
    DosingOptions,
    DrugModel,
    Eta,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    add_residual,
    course_on_grid,
    every,
    grid_propagator,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
    simulate_cohort,
)
from rl_drug_dosage.pkpd.bayes import map_estimates

DAYS, INTERVAL_H, DOSE_MG, INFUSION_H = 30, 12.0, 1000.0, 1.0
TYPICAL = {"cl": 4.5, "v1": 58.4, "q2": 6.5, "v2": 38.4}
LEVEL_TIMES, PRIOR_SD, ADDITIVE, PROPORTIONAL = (2.0, 11.5, 26.0, 47.5), 0.3, 1.0, 0.15


def best_of(run: Callable[[], object], times: int = 5) -> float:
    """Shortest wall-clock time of a few runs, after one that compiles."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def grid_patient_days_per_s(patients: int = 100_000) -> float:
    """Propagators of every patient, then every dose."""
    spread = np.exp(0.3 * np.random.default_rng(0).normal(size=(len(TYPICAL), patients)))
    p = {name: jnp.asarray(value * row) for (name, value), row in zip(TYPICAL.items(), spread, strict=True)}
    doses = jnp.full((int(DAYS * 24 / INTERVAL_H), patients), DOSE_MG)

    @jax.jit
    def run(p: dict[str, jax.Array], doses: jax.Array) -> jax.Array:
        propagator = grid_propagator(Mammillary(1), p, INTERVAL_H, duration_h=INFUSION_H)
        return course_on_grid(propagator, doses)[:, 0] / p["v1"]

    return patients * DAYS / best_of(lambda: run(p, doses))


def scipy_patient_days_per_s() -> float:
    """One patient by LSODA, restarted at each end of an infusion."""
    k10, k12, k21 = TYPICAL["cl"] / TYPICAL["v1"], TYPICAL["q2"] / TYPICAL["v1"], TYPICAL["q2"] / TYPICAL["v2"]

    def slope(t: float, x: np.ndarray, rate: float) -> list[float]:
        return [rate - (k10 + k12) * x[0] + k21 * x[1], k12 * x[0] - k21 * x[1]]

    start, x = time.perf_counter(), np.zeros(2)
    for _ in range(int(DAYS * 24 / INTERVAL_H)):
        for length, rate in ((INFUSION_H, DOSE_MG / INFUSION_H), (INTERVAL_H - INFUSION_H, 0.0)):
            x = solve_ivp(slope, (0, length), x, "LSODA", rtol=1e-6, args=(rate,)).y[:, -1]
    return DAYS / (time.perf_counter() - start)


def estimation_drug(peripherals: int) -> DrugModel:
    """Log-normal clearance and volume, additive and proportional error; invented."""

    def number(value: float, unit: str = "1") -> Param:
        return Param(value, unit, "invented", "invented")

    structure = Mammillary(peripherals)
    return DrugModel(
        name="bench",
        drug="bench",
        title="",
        citation="",
        doi="",
        population="",
        structure=structure,
        thetas={name: number(value) for name, value in TYPICAL.items()},
        parameters=lambda theta, covariates: {name: theta[name] for name in structure.parameters},
        etas=tuple(Eta(name, number(PRIOR_SD), "sd") for name in ("cl", "v1")),
        covariates=(),
        outputs=(Output("concentration", "mg/L", Residual("combined2", number(ADDITIVE, "mg/L"), number(PROPORTIONAL))),),
        targets=(),
        dosing=DosingOptions((Route("bolus", "central"),), (1000.0,), (12.0,), 1000.0, "invented"),
    )


def map_fits_per_s(peripherals: int, duration_h: float, patients: int = 10_000) -> tuple[float, float]:
    """Fits per second, and the share that converged."""
    drug = estimation_drug(peripherals)
    regimen = make_regimen(every(Dose(0, DOSE_MG, duration_h=duration_h), INTERVAL_H, 4), drug.structure)
    blank = make_levels(drug, LEVEL_TIMES, [1.0] * 4)
    eta = PRIOR_SD * jax.random.normal(jax.random.key(0), (patients, 2))
    times = jnp.asarray(LEVEL_TIMES)
    truth = jax.jit(jax.vmap(lambda e: predict(drug, regimen, no_covariates(), times, e)))(eta)
    measured = add_residual(drug, truth, jax.random.key(1))[..., 0]

    stacked = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (patients, *np.shape(leaf))), (regimen, no_covariates(), blank)
    )
    stacked = eqx.tree_at(lambda tree: tree[2].value, stacked, measured)
    fit = jax.jit(lambda own: map_estimates(drug, *own))
    return patients / best_of(lambda: fit(stacked)), float(fit(stacked).converged.mean())


def scipy_fits_per_s(fits: int = 20) -> float:
    """One compartment, boluses, by BFGS with numerical gradients on a NumPy closed form."""
    rng = np.random.default_rng(0)
    times = np.array(LEVEL_TIMES)

    def predicted(eta: np.ndarray) -> np.ndarray:
        v = TYPICAL["v1"] * np.exp(eta[1])
        since = times[:, None] - INTERVAL_H * np.arange(4)
        return np.where(since > 0, DOSE_MG / v * np.exp(-TYPICAL["cl"] * np.exp(eta[0]) / v * since), 0.0).sum(axis=1)

    def objective(eta: np.ndarray, y: np.ndarray) -> float:
        f = predicted(eta)
        v = ADDITIVE**2 + (PROPORTIONAL * f) ** 2
        return float(np.sum(np.log(v) + (y - f) ** 2 / v) + eta @ eta / PRIOR_SD**2)

    start = time.perf_counter()
    for _ in range(fits):
        minimize(objective, np.zeros(2), (predicted(PRIOR_SD * rng.normal(size=2)),), "BFGS")
    return fits / (time.perf_counter() - start)


def cohort_seconds_and_gib(patients: int = 100_000) -> tuple[float, float]:
    """Drawing and simulating a cohort through the event engine, and the peak memory of this process."""
    doses = every(Dose(0, DOSE_MG, duration_h=INFUSION_H), INTERVAL_H, int(DAYS * 24 / INTERVAL_H))
    times = INTERVAL_H * jnp.arange(1, len(doses) + 1)
    start = time.perf_counter()
    kept = [
        part.predicted.astype(np.float32)
        for part in simulate_cohort(
            DRUG, make_regimen(doses, DRUG.structure), times, jax.random.key(0), patients, chunk=5000
        )
    ]
    assert sum(part.shape[0] for part in kept) == patients
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure and print."""
    print(f"JAX on {jax.devices()[0].platform}, float32 unless said otherwise; scipy beside it on one core")
    fast, slow = grid_patient_days_per_s(), scipy_patient_days_per_s()
    print(f"simulation, 2 cmt q12h: {fast:,.0f} patient-days/s; scipy solve_ivp {slow:,.0f} ({fast / slow:,.0f} x)")
    slow = scipy_fits_per_s()
    cases = (("1 cmt, bolus", 0, 0.0), ("1 cmt, infusion", 0, 1.0), ("2 cmt, infusion", 1, 1.0))
    for name, peripherals, duration_h in cases:
        for double in (False, True):
            with jax.enable_x64(double):
                fits, converged = map_fits_per_s(peripherals, duration_h)
            beside = f"; scipy minimize {slow:,.0f} ({fits / slow:,.0f} x)" if name == "1 cmt, bolus" else ""
            bits = "float64" if double else "float32"
            print(f"MAP, {name}, {bits}: {fits:,.0f} fits/s, {converged:.2%} converged{beside}")
    seconds, gib = cohort_seconds_and_gib()
    print(f"cohort, 100,000 patients x {DAYS} days by events: {seconds:.1f} s with compilation, peak {gib:.2f} GiB")


if __name__ == "__main__":
    main()

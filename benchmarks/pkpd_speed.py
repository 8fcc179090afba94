"""How fast the pharmacology engine is, beside scipy on the same work: `python benchmarks/pkpd_speed.py`.

`python benchmarks/pkpd_speed.py map` measures the estimates alone, which have bars, in turns with scipy.

Simulation: a two-compartment model, 1-h infusions every 12 h, 30 days, trough of every dose; scipy integrates the same
course with `solve_ivp` (LSODA, rtol 1e-6). Estimation: two etas, four or six levels; scipy minimises the objective of
one compartment with four levels, patient by patient, with BFGS on a NumPy closed form. Memory: 100,000 patients x 30
days through the event engine, in chunks.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
from rl_drug_dosage.pkpd.bayes import fit_many
from rl_drug_dosage.utils.device_shape import device_shape, shape_of, shaped

DAYS, INTERVAL_H, DOSE_MG, INFUSION_H = 30, 12.0, 1000.0, 1.0
TYPICAL = {"cl": 4.5, "v1": 58.4, "q2": 6.5, "v2": 38.4}
LEVEL_TIMES, SIX_TIMES = (2.0, 11.5, 26.0, 47.5), (2.0, 11.5, 14.0, 26.0, 35.5, 47.5)
PRIOR_SD, ADDITIVE, PROPORTIONAL = 0.3, 1.0, 0.15


@dataclass(frozen=True)
class Case:
    """What is fitted: how many peripheral compartments, how long infusions take, when levels are drawn; and its bar."""

    name: str
    peripherals: int
    duration_h: float
    times_h: tuple[float, ...]
    least_per_s: float | None = None
    """On two cores."""


CASES = (
    Case("1 cmt, bolus, 4 levels", 0, 0.0, LEVEL_TIMES, 100_000),
    Case("1 cmt, infusion, 4 levels", 0, 1.0, LEVEL_TIMES, 100_000),
    Case("1 cmt, infusion, 6 levels", 0, 1.0, SIX_TIMES, 100_000),
    Case("2 cmt, infusion, 4 levels", 1, 1.0, LEVEL_TIMES, 50_000),
    Case("2 cmt, infusion, 6 levels", 1, 1.0, SIX_TIMES, 50_000),
)


@dataclass(frozen=True)
class MapSpeed:
    """Fits per second, one value for each turn."""

    case: Case
    fits: tuple[float, ...]
    per_cpu_s: tuple[float, ...]
    """Of processor time, which hardly changes when others use the machine."""
    one_thread: tuple[float, ...]
    scipy: tuple[float, ...]
    converged: float

    @property
    def median(self) -> float:
        """Fits per second on all cores."""
        return statistics.median(self.fits)

    @property
    def passed(self) -> bool | None:
        """Whether the bar is reached; None without one."""
        return None if self.case.least_per_s is None else self.median >= self.case.least_per_s

    def said(self) -> str:
        """The figure and what it is compared with."""

        def times(others: tuple[float, ...]) -> float:
            return statistics.median(a / b for a, b in zip(self.fits, others, strict=True))

        return (
            f"{self.median:,.0f} fits/s ({min(self.fits):,.0f} to {max(self.fits):,.0f}), "
            f"{statistics.median(self.per_cpu_s):,.0f} per processor second, "
            f"{times(self.one_thread):.2f} x one thread, {times(self.scipy):,.0f} x scipy's BFGS on one core; "
            f"{self.converged:.2%} converged"
        )


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
        outputs=(
            Output("concentration", "mg/L", Residual("combined2", number(ADDITIVE, "mg/L"), number(PROPORTIONAL))),
        ),
        targets=(),
        dosing=DosingOptions((Route("bolus", "central"),), (1000.0,), (12.0,), 1000.0, "invented"),
    )


def map_cohort(case: Case, patients: int) -> tuple[DrugModel, tuple[object, ...]]:
    """The model, and the stacked (regimens, covariates, levels) of simulated patients."""
    drug = estimation_drug(case.peripherals)
    regimen = make_regimen(every(Dose(0, DOSE_MG, duration_h=case.duration_h), INTERVAL_H, 4), drug.structure)
    blank = make_levels(drug, case.times_h, [1.0] * len(case.times_h))
    eta = PRIOR_SD * jax.random.normal(jax.random.key(0), (patients, 2))
    times = jnp.asarray(case.times_h)
    truth = jax.jit(jax.vmap(lambda e: predict(drug, regimen, no_covariates(), times, e)))(eta)
    measured = np.asarray(add_residual(drug, truth, jax.random.key(1))[..., 0])
    stacked = jax.tree.map(
        lambda leaf: np.broadcast_to(leaf, (patients, *np.shape(leaf))), (regimen, no_covariates(), blank)
    )
    return drug, eqx.tree_at(lambda tree: tree[2].value, stacked, measured)


def map_speed(case: Case, *, turns: int = 5, patients: int = 10_000) -> MapSpeed:
    """Fits on all cores, on one thread, and by scipy, in turns: what else runs on the machine meets all three."""
    drug, own = map_cohort(case, patients)
    alone = shape_of("cpu", cores=1)

    def per_s() -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        fit_many(drug, *own)
        return patients / (time.perf_counter() - wall), patients / (time.process_time() - cpu)

    converged = float(fit_many(drug, *own).converged.mean())
    rates = []
    for _ in range(turns):
        every_core = max(per_s() for _ in range(3))
        with shaped(alone):
            rates.append((*every_core, max(per_s() for _ in range(3))[0], scipy_fits_per_s()))
    return MapSpeed(case, *(tuple(column) for column in zip(*rates, strict=True)), converged)


def map_speeds(*, turns: int = 5) -> Iterator[MapSpeed]:
    """All cases, one after the other."""
    for case in CASES:
        yield map_speed(case, turns=turns)


def scipy_fits_per_s(fits: int = 10) -> float:
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


def print_map() -> bool:
    """Whether all bars are reached."""
    threads = device_shape().threads
    print(f"MAP estimates, 10,000 patients, float32, warm, {threads} threads; medians of turns (lowest to highest)")
    passed = True
    for found in map_speeds():
        bar = "" if found.case.least_per_s is None else f"; bar {found.case.least_per_s:,.0f} on two cores"
        print(f"  {found.case.name}: {found.said()}{bar}{': MISS' if found.passed is False else ''}")
        passed &= found.passed is not False
    return passed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="?", choices=["map"], help="the estimates alone")
    only = parser.parse_args().only
    print(f"JAX on {jax.devices()[0].platform}, float32 unless said otherwise; scipy beside it on one core")
    if only is None:
        fast, slow = grid_patient_days_per_s(), scipy_patient_days_per_s()
        print(f"simulation, 2 cmt q12h: {fast:,.0f} patient-days/s; scipy solve_ivp {slow:,.0f} ({fast / slow:,.0f} x)")
    passed = print_map()
    if only is None:
        with jax.enable_x64(True):
            double = map_speed(CASES[3], turns=1)
        print(f"  {double.case.name}, float64: {double.said()}")
        seconds, gib = cohort_seconds_and_gib()
        print(f"cohort, 100,000 patients x {DAYS} days by events: {seconds:.1f} s with compilation, peak {gib:.2f} GiB")
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()

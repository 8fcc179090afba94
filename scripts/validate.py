"""Run every validation check and write docs/validation.md; exit 1 if one fails. `make validate` runs it.

Errors are rounded up to 1, 2 or 5 times a power of ten, so that the report is the same on every machine.
"""

import csv
import dataclasses
import importlib.util
import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from rl_drug_dosage.pkpd import (
    Adaptive,
    Covariates,
    Dose,
    DosingOptions,
    DrugModel,
    Eta,
    Mammillary,
    Output,
    Param,
    RegimenError,
    Residual,
    Route,
    add_residual,
    check_delivery,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
    solve,
    stack_regimens,
)
from rl_drug_dosage.pkpd.bayes import PatientData, fit_patients, importance_posterior, map_estimate
from rl_drug_dosage.utils.runtime import configure

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
REFERENCE = TESTS / "reference" / "pkpd"
REPORT = ROOT / "docs" / "validation.md"
REPLICATES, DRAWS, BINS = 1000, 99, 20


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the report."""

    what: str
    against: str
    tolerance: str
    measured: str
    passed: bool | None
    """None: not judged."""


def below(what: str, against: str, bound: float, error: float, unit: str = "") -> Check:
    """Compare an error with its tolerance."""
    passed = bool(error <= bound)
    shown = "not finite"
    if math.isfinite(error):
        steps = (digit * 10.0**power for power in range(-20, 9) for digit in (1, 2, 5))
        shown = f"<= {min(next(step for step in steps if step >= error), bound if passed else math.inf):.0e}"
    return Check(what, against, f"{bound:.0e}{unit}", f"{shown}{unit}", passed)


def tests_module(path: str) -> ModuleType:
    """Load a test module, for its cases and oracles."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, TESTS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event_semantics() -> Iterator[Check]:
    """Agreement with NONMEM's predictions, to the printed digits; lags of one interval or more are refused."""
    nonmem_case = tests_module("pkpd/test_events.py").nonmem_case
    for case in json.loads((REFERENCE / "nonmem_pred_anchors.json").read_text())["cases"]:
        structure, regimen, p = nonmem_case(case)
        try:
            check_delivery(structure, regimen, no_covariates(), p)
        except RegimenError:
            refused = case["dose"].get("lag", 0) >= case["dose"].get("ii", math.inf)
            yield Check(f"`{case['id']}`", "lag >= II: NONMEM's result is not periodic", "refused", "refused", refused)
            continue
        times, want = np.array(case["pred"]).T
        after = jnp.ones(times.shape, dtype=bool)
        got = solve(structure, p, regimen, no_covariates(), times, after).contents
        central = np.asarray(got)[:, structure.compartments.index("central")] / case["V1"]
        error = float(np.max(np.abs(central - want) / np.maximum(np.abs(want), 1e-12)))
        digits = 3e-5 if "flatwt" in case["id"] else 2e-5 if "advan11" in case["id"] else 1e-10
        yield below(f"`{case['id']}`", "NONMEM PRED (ferx-core), relative", digits, error)


def closed_loop() -> Iterator[Check]:
    """Two weeks under a feedback controller, compared with troughs and doses of mrgsolve 1.7.2."""
    structure = Mammillary(0)
    for name in ("renal", "iov", "loading"):
        rows = list(csv.DictReader((REFERENCE / f"adaptive_vanco_{name}.csv").read_text().splitlines()[1:]))
        time = np.array([float(row["time_h"]) for row in rows])
        cl = [4 * float(row["crcl"]) / 100 if name == "renal" else float(row.get("CL", 4)) for row in rows]
        p = {"cl": jnp.asarray(cl), "v1": jnp.full(len(cl), 80.0)}
        table = Covariates(jnp.asarray(time), {}, jnp.zeros(time.shape, dtype=int))
        loading = [Dose(0, 1500)] if name == "loading" else []
        dose, duration_h = (750.0, 0.0) if loading else (500.0, 1.0)
        given: list[Dose] = [*loading, *(Dose(t, 1.0, duration_h=duration_h) for t in time)]
        trough_error = dose_error = 0.0
        for i, row in enumerate(rows):
            regimen = make_regimen(given, structure)
            level = float(solve(structure, p, regimen, table, time[i : i + 1]).contents[0, 0] / 80)
            dose = min(1.25 * dose, 4000.0) if level < 10 else max(0.75 * dose, 250.0) if level > 15 else dose
            given[len(loading) + i] = dataclasses.replace(given[len(loading) + i], amount_mg=dose)
            trough_error = max(trough_error, abs(level - float(row["trough"])))
            digit = 10.0 ** -len(row["dose_mg"].partition(".")[2])
            dose_error = max(dose_error, abs(dose - float(row["dose_mg"])) / digit)
        yield below(f"`{name}`: troughs", "mrgsolve 1.7.2 (ferx-core)", 1e-5, trough_error, " mg/L")
        yield Check(
            f"`{name}`: doses", "the same", "the printed digit",
            "all agree" if dose_error < 1 else "differ", dose_error < 1,
        )  # fmt: skip


def model(
    structure: Mammillary, typical: dict[str, float], variance: dict[str, float], residual: Residual
) -> DrugModel:
    """A drug model without covariates."""

    def number(value: float) -> Param:
        return Param(value, "1", "validation", "validation")

    return DrugModel(
        name="validation", drug="", title="", citation="", doi="", population="", structure=structure,
        thetas={name: number(value) for name, value in typical.items()}, parameters=lambda theta, _: dict(theta),
        etas=tuple(Eta(name, number(size), "var") for name, size in variance.items()), covariates=(), targets=(),
        outputs=(Output("concentration", "mg/L", residual),),
        dosing=DosingOptions((Route("given", structure.default_compartment),), (1.0,), (24.0,), 1.0, ""),
    )  # fmt: skip


def map_against_nonmem() -> Iterator[Check]:
    """Individual estimates of eight patients."""
    data = json.loads((REFERENCE / "nonmem_posthoc_oral_1cmt.json").read_text())
    sd = Param(math.sqrt(0.05), "1", "reference README", "proportional error")
    oral = model(
        Mammillary(0, depot=True), {"cl": 4.0, "v1": 70.0, "ka": 1.0}, {"cl": 0.2, "v1": 0.2, "ka": 0.2},
        Residual("proportional", proportional=sd),
    )  # fmt: skip
    patients = []
    for i, one in enumerate(data["patients"]):
        amount, (times, values) = one["first_dose_mg"], zip(*one["levels"], strict=True)
        doses = (Dose(0, amount), Dose(72, amount, interval_h=24, additional=6))
        patients.append(PatientData(str(i + 1), doses, no_covariates(), make_levels(oral, times, values)))
    pairs = list(zip(fit_patients(oral, patients), data["patients"], strict=True))
    eta = max(float(np.max(np.abs(fit.estimate.eta - np.array(one["eta"])))) for fit, one in pairs)
    yield below("24 etas of 8 patients", "NONMEM .phi (mapbayr nm001), absolute", 1e-4, eta)
    low = np.tril_indices(3)
    etc = max(float(np.max(np.abs(fit.estimate.covariance[low] - np.array(one["etc_lower"])))) for fit, one in pairs)
    yield below("their covariances (ETC)", "the same, absolute", 1e-4, etc)
    objective = max(abs(float(fit.estimate.printed_objective) - one["objective"]) for fit, one in pairs)
    yield below("8 objectives (OBJ)", "the same, absolute", 5e-4, objective)
    done = sum(bool(fit.estimate.converged) for fit, _ in pairs)
    yield Check("convergence", "the flag of each patient", "8 of 8", f"{done} of 8", done == 8)


def linear_models() -> Iterator[Check]:
    """Random regimens and parameters, including equal rates, compared with superposed scipy matrix exponentials."""
    cases = tests_module("pkpd/test_linear.py")
    for structure in (*(Mammillary(n, depot) for n in range(3) for depot in (False, True)), Mammillary(1, True, True)):
        for double, bound in ((False, 1e-6), (True, 1e-9)):
            with jax.enable_x64(double):
                error = linear_error(cases, structure, double=double)
            digits = "float64" if double else "float32"
            what = f"`{structure.compartments}`, {digits}".replace("'", "")
            yield below(what, "scipy.linalg.expm, 40 patients, 6 doses", bound, error)


def linear_error(cases: ModuleType, structure: Mammillary, *, double: bool) -> float:
    """Largest error: in float64 of each content, in float32 relative to the largest that its compartment takes."""
    shared = tests_module("pkpd/conftest.py")
    rate_matrix, superposed = shared.rate_matrix.__wrapped__(), shared.superposed.__wrapped__()
    rng = np.random.default_rng(7)
    patients = [cases.random_patient(rng, i) for i in range(cases.PATIENTS)]
    doses = [cases.random_doses(rng, structure) for _ in patients]
    p = {name: jnp.array([[one[name]] for one in patients]) for name in structure.parameters}
    regimens = stack_regimens([make_regimen(d, structure) for d in doses])
    run = jax.jit(jax.vmap(lambda own, r: solve(structure, own, r, no_covariates(), cases.TIMES).contents))
    times = cases.TIMES if double else cases.TIMES.astype(np.float32).astype(float)
    worst = 0.0
    for got, patient, given in zip(np.asarray(run(p, regimens)), patients, doses, strict=True):
        rows = [(d.time_h, d.amount_mg, structure.compartments.index(d.compartment), d.duration_h) for d in given]
        want = superposed(rate_matrix(structure, patient), rows, times)
        scale = np.abs(want) if double else np.broadcast_to(np.abs(want).max(axis=0), want.shape)
        # where scipy's own exponential has no digits left there is nothing to compare
        scale = np.maximum(scale, (1e-6 if double else 1e-3) * np.abs(want).max())
        worst = max(worst, float(np.max(np.abs(got - want) / scale)))
    return worst


def ode_models() -> Iterator[Check]:
    """Pharmacodynamic models driven by two compartments, compared with the same equations solved by scipy."""
    cases = tests_module("pkpd/test_ode.py")
    for name, (system, extra, rhs, start) in cases.CASES.items():
        want = cases.lsoda(rhs, start, system.states)
        for double, bound in ((False, 1e-4), (True, 1e-7)):
            with jax.enable_x64(double):
                got = np.asarray(cases.run(system, extra, Adaptive()).contents)[:, 2:]
            digits = "float64" if double else "float32"
            yield below(f"{name}, {digits}", "scipy LSODA at rtol 1e-12", bound, float(np.max(np.abs(got / want - 1))))


def calibration() -> Iterator[Check]:
    """Ranks of the true random effects among posterior draws given levels simulated from them (Talts 2018)."""
    error = Residual("proportional", proportional=Param(0.2, "1", "validation", "proportional error"))
    drug = model(Mammillary(0), {"cl": 4.0, "v1": 40.0}, {"cl": 0.16, "v1": 0.09}, error)
    regimen = make_regimen([Dose(0, 1000, duration_h=1), Dose(12, 1000, duration_h=1)], drug.structure)
    times = jnp.array([2.0, 11.0, 14.0, 23.0])
    blank = make_levels(drug, [2.0, 11.0, 14.0, 23.0], [1.0] * 4)

    def rank(key: Any) -> Any:
        for_eta, for_error, for_draws = jax.random.split(key, 3)
        eta = jax.random.normal(for_eta, (2,)) * jnp.array([0.4, 0.3])
        f = predict(drug, regimen, no_covariates(), times, eta)
        # A negative level would be censored in practice; at 20 % error it is a 5-sigma event.
        y = jnp.maximum(add_residual(drug, f, for_error)[:, 0], 1e-6)
        levels = dataclasses.replace(blank, value=y)
        at = map_estimate(drug, regimen, no_covariates(), levels)
        posterior = importance_posterior(
            drug, regimen, no_covariates(), levels, at, for_draws, proposals=2000, draws=DRAWS
        )
        return jnp.sum(posterior.eta < eta, axis=0), at.converged

    ranks, converged = jax.jit(lambda keys: jax.lax.map(rank, keys, batch_size=50))(
        jax.random.split(jax.random.key(7), REPLICATES)
    )
    done = int(np.sum(converged))
    yield Check("MAP convergence", f"{REPLICATES} replicates", "all", f"{done}", done == REPLICATES)
    for i, name in enumerate(("CL", "V1")):
        own = np.asarray(ranks)[:, i]
        counts = np.bincount(own * BINS // (DRAWS + 1), minlength=BINS)
        p = float(scipy.stats.chisquare(counts).pvalue)
        yield Check(f"eta of {name}: ranks", "uniform, chi-square, 20 bins", "p > 0.01", f"p = {p:.1f}", p > 0.01)
        inside = 100.0 * float(np.mean((own >= 5) & (own < 95)))
        yield Check(f"eta of {name}: 90 % interval", "coverage", "88-92 %", f"{inside:.0f} %", 88 <= inside <= 92)


def every_posterior() -> Iterator[Check]:
    """Ranks of the true random effects under every posterior that `estimate` offers, for one linear and one ODE model.

    Kept in tests/reference/sbc by `scripts/sbc.py`, which takes half an hour: virtual patients with typical covariates,
    levels below the limit of quantification censored, 99 draws. Phenytoin is integrated in steps of 1 h, for truth and
    estimate alike. The Laplace posterior is an approximation, whose ranks are not judged. Coverage has to lie within
    three standard errors of 90 %.
    """
    known = json.loads((TESTS / "reference" / "sbc" / "calibration.json").read_text())
    for drug, kinds in known.items():
        for kind, rows in kinds.items():
            for row in rows:
                count, p, inside = row["replicates"], row["p"], row["coverage_90_pct"]
                slack = 300.0 * math.sqrt(0.9 * 0.1 / count)
                exact = kind != "laplace"
                yield Check(
                    f"`{drug}`, {kind}: eta of {row['effect']}",
                    f"{count} patients: chi-square of the ranks, 10 bins; 90 % interval",
                    f"p > 0.01; {90 - slack:.0f}-{90 + slack:.0f} %" if exact else "not judged",
                    f"p = {p:.1g}; {inside:.1f} %",
                    bool(p > 0.01 and abs(inside - 90.0) <= slack) if exact else None,
                )


SECTIONS: dict[str, Callable[[], Iterator[Check]]] = {
    "Event semantics": event_semantics,
    "Closed-loop dosing": closed_loop,
    "Maximum a posteriori estimates": map_against_nonmem,
    "Linear models": linear_models,
    "Non-linear models": ode_models,
    "Calibration of the posterior": calibration,
    "Calibration of every posterior": every_posterior,
}


class DrugTests:
    """Collects pytest's results for the tests of the drug models."""

    def __init__(self) -> None:
        self.sentences: dict[str, str] = {}
        self.outcomes: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            self.sentences[item.nodeid.partition("[")[0]] = (item.function.__doc__ or "").strip().splitlines()[0]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.failed:
            self.outcomes.setdefault(report.nodeid.partition("[")[0], []).append(report.outcome)


def drug_checks() -> tuple[list[str], bool]:
    """Typical patient of each drug compared with its paper or a second implementation (the tests in tests/drugs)."""
    found = DrugTests()
    # Plain assertions: the modules to be rewritten have already been imported.
    pytest.main(
        [str(TESTS / "drugs"), "-q", "--no-header", "-p", "no:cacheprovider", "--assert=plain"], plugins=[found]
    )
    rows = ["| test | what it compares | passed |", "|---|---|---|"]
    right = bool(found.outcomes)
    for node, sentence in found.sentences.items():
        outcomes = found.outcomes.get(node, [])
        passed = outcomes.count("passed")
        right &= bool(outcomes) and passed == len(outcomes)
        name = node.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        rows.append(f"| {name} | {sentence.replace('|', '/')} | {passed} of {len(outcomes)} |")
    return rows, right


def main() -> int:
    """Run all checks, write the report, and list the failures."""
    configure("cpu")
    text = [
        "# Validation",
        "",
        "Generated by `make validate`, which repeats every check and fails if one fails. Errors are rounded up",
        "to 1, 2 or 5 times a power of ten. For the sources of the references see",
        "[tests/reference/pkpd](../tests/reference/pkpd/README.md). All checks use float64 unless stated",
        "otherwise.",
    ]
    failed = []
    for title, section in SECTIONS.items():
        print(f"{title} ...", flush=True)
        with jax.enable_x64(True):
            checks = list(section())
        text += ["", f"## {title}", "", inspect.cleandoc(section.__doc__ or ""), ""]
        text += ["| check | against | tolerance | measured | result |", "|---|---|---|---|---|"]
        for c in checks:
            result = {True: "pass", False: "**FAIL**", None: "-"}[c.passed]
            text.append(f"| {c.what} | {c.against} | {c.tolerance} | {c.measured} | {result} |")
        wrong = [c for c in checks if c.passed is not None and not c.passed]
        failed += [f"{title}: {c.what}: {c.measured}, allowed {c.tolerance}" for c in wrong]
    rows, right = drug_checks()
    text += ["", "## Drug models", "", (drug_checks.__doc__ or "").strip(), "", *rows]
    failed += [] if right else ["Drug models: see the table"]
    REPORT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print(f"wrote {REPORT.relative_to(ROOT)}")
    for line in failed:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

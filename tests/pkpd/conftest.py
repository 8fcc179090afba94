"""Shared by the engine's tests: precision, an invented drug, and oracles that share no code with the engine."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.linalg

from rl_drug_dosage.pkpd import (
    DosingOptions,
    DrugModel,
    Eta,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    Structure,
    Target,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "pkpd"


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision inside the test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def double(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Both precisions, one after the other."""
    with jax.enable_x64(request.param):
        yield request.param


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Any]:
    """Reads a JSON file of numbers from other programs."""
    return lambda name: json.loads((REFERENCE / name).read_text())


@pytest.fixture(scope="session")
def number() -> Callable[..., Param]:
    """An invented number."""
    return lambda value, unit="1": Param(value, unit, "invented", "invented")


@pytest.fixture(scope="session")
def toy(number: Callable[..., Param]) -> Callable[..., DrugModel]:
    """Makes a drug without covariates: structure, typical parameters, and what a test wants otherwise."""

    def make(structure: Structure, typical: dict[str, float], **changes: Any) -> DrugModel:
        sizes = changes.pop("omega_sd", {})
        default: dict[str, Any] = {
            "name": "toy",
            "drug": "toy",
            "title": "toy",
            "citation": "",
            "doi": "",
            "population": "",
            "structure": structure,
            "thetas": {name: number(value) for name, value in typical.items()},
            "parameters": lambda theta, covariates: dict(theta),
            "etas": tuple(Eta(name, number(sd), "sd") for name, sd in sizes.items()),
            "covariates": (),
            "outputs": (
                Output("concentration", "mg/L", Residual("combined2", number(0.5, "mg/L"), number(15.0, "%"))),
            ),
            "targets": (Target("concentration", "trough", 8.0, 12.0, "mg/L", "invented"),),
            "dosing": DosingOptions(
                (Route("given", structure.default_compartment),), (100.0, 200.0), (12.0,), 100.0, "invented"
            ),
        }
        return DrugModel(**{**default, **changes})

    return make


@pytest.fixture(scope="session")
def rate_matrix() -> Callable[[Mammillary, dict[str, float]], np.ndarray]:
    """The matrix A of dx/dt = A x of a mammillary model, written down from its definition."""

    def make(structure: Mammillary, p: dict[str, float]) -> np.ndarray:
        names = structure.compartments
        at = {name: i for i, name in enumerate(names)}
        a = np.zeros((len(names), len(names)))
        c = at["central"]
        a[c, c] -= p["cl"] / p["v1"]
        for i in range(1, structure.peripherals + 1):
            q, v, to = p[f"q{i + 1}"], p[f"v{i + 1}"], at[f"peripheral{i}"]
            a[c, c] -= q / p["v1"]
            a[to, c] += q / p["v1"]
            a[to, to] -= q / v
            a[c, to] += q / v
        if structure.depot:
            a[0, 0] -= p["ka"]
            a[c, 0] += p["ka"]
        if structure.effect:
            a[-1, -1] -= p["ke0"]
            a[-1, c] += p["ke0"] / p["v1"]
        return a

    return make


@pytest.fixture(scope="session")
def superposed() -> Callable[..., np.ndarray]:
    """Contents by superposition of scipy matrix exponentials, dose by dose: (time, amount, row, duration)."""

    def solve(a: np.ndarray, doses: Sequence[tuple[float, float, int, float]], times: Sequence[float]) -> np.ndarray:
        n = a.shape[0]
        out = np.zeros((len(times), n))
        for start, amount, row, duration in doses:
            for k, time in enumerate(times):
                since = time - start
                if since <= 0:
                    continue
                if duration == 0:
                    out[k] += scipy.linalg.expm(a * since)[:, row] * amount
                    continue
                augmented = np.zeros((n + 1, n + 1))
                augmented[:n, :n] = a
                augmented[row, n] = amount / duration
                during = min(since, duration)
                end = scipy.linalg.expm(augmented * during)[:n, n]
                out[k] += scipy.linalg.expm(a * (since - during)) @ end
        return out

    return solve

"""Equations that look at the last dose: its amount, the time since it, and what becomes of the dose itself."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import Arrival, Dose, OdeSystem, make_regimen, no_covariates, solve
from rl_drug_dosage.pkpd.structure import Structure

STATES = ("depot", "content", "last", "since")
TIMES_H = np.array([0.5, 1.0, 3.0, 9.9, 10.5, 12.0, 30.0])
RATE_PER_H = 0.4


def watched(passes_on: bool, given=lambda last, since: 0.0) -> OdeSystem:
    def rhs(t, x, p, pk):
        change = given(x["last"], x["since"]) - RATE_PER_H * x["content"]
        return {"depot": jnp.zeros(()), "content": change, "last": jnp.zeros(()), "since": jnp.ones(())}

    arrival = Arrival("depot", "content", "last", "since", passes_on)
    return OdeSystem(STATES, rhs, (), doses_into=("depot",), arrivals=(arrival,))


def contents(system: Structure, *doses: Dose) -> np.ndarray:
    with jax.enable_x64(True):
        regimen = make_regimen(doses, system)
        p = {"unused": jnp.zeros(1)}
        return np.asarray(solve(system, p, regimen, no_covariates(), jnp.asarray(TIMES_H)).contents)


DOSES = Dose(0.0, 100.0, "depot"), Dose(10.0, 40.0, "depot")


@pytest.mark.long
def test_a_dose_that_is_passed_on_acts_as_one_into_the_content() -> None:
    found = contents(watched(passes_on=True), *DOSES)
    expected = 100 * np.exp(-RATE_PER_H * TIMES_H)
    expected += np.where(TIMES_H > 10, 40 * np.exp(-RATE_PER_H * (TIMES_H - 10)), 0.0)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-9)
    np.testing.assert_allclose(found[:, 0], 0.0)


@pytest.mark.long
def test_the_last_dose_and_the_time_since_it_are_noted() -> None:
    found = contents(watched(passes_on=True), *DOSES)
    late = TIMES_H > 10
    np.testing.assert_allclose(found[:, 2], np.where(late, 40.0, 100.0))
    np.testing.assert_allclose(found[:, 3], np.where(late, TIMES_H - 10, TIMES_H), rtol=1e-12)


@pytest.mark.long
def test_before_the_first_dose_there_is_none() -> None:
    found = contents(watched(passes_on=True), Dose(5.0, 100.0, "depot"))
    assert found[0, :3].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.long
def test_an_input_over_time_takes_the_place_of_a_dose_that_is_not_passed_on() -> None:
    k, n = 1.5, 2

    def given(last, since):
        return last * k * (k * since) ** n * jnp.exp(-k * since) / math.factorial(n)

    def chain(t, x, p, pk):
        flows = {"a": k * x["a"], "b": k * x["b"], "c": k * x["c"]}
        return {
            "a": -flows["a"],
            "b": flows["a"] - flows["b"],
            "c": flows["b"] - flows["c"],
            "content": flows["c"] - RATE_PER_H * x["content"],
        }

    found = contents(watched(passes_on=False, given=given), Dose(0.0, 100.0, "depot"))
    same = contents(OdeSystem(("a", "b", "c", "content"), chain, (), doses_into=("a",)), Dose(0.0, 100.0, "a"))
    np.testing.assert_allclose(found[:, 1], same[:, 3], rtol=1e-8)


def test_an_infusion_goes_on_to_the_content() -> None:
    found = contents(watched(passes_on=True), Dose(0.0, 100.0, "depot", duration_h=2.0))
    rate = 50.0 / RATE_PER_H
    end = rate * (1 - math.exp(-2 * RATE_PER_H))
    expected = [
        rate * (1 - math.exp(-RATE_PER_H * t)) if t < 2 else end * math.exp(-RATE_PER_H * (t - 2)) for t in TIMES_H
    ]
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-8)

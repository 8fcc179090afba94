"""Which compartments have a mass to balance, and whether levels belong to doses."""

import dataclasses
import time

import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.checks import check_drug
from rl_drug_dosage.checks.drug_flows import amounts_in, rates_between
from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG
from rl_drug_dosage.pkpd import Fixed, LinearSystem, Mammillary, OdeSystem, Output, Route

NAMES = ("depot", "central", "peripheral", "auc", "cells")
P = {"cl": 0.5, "v1": 10.0, "ka": 1.0, "q2": 2.0, "v2": 30.0, "kin": 4.0, "kout": 0.2}


def slopes(x, p):
    """An AUC and a blood count that the drug stimulates beside what holds the drug."""
    conc = x["central"] / p["v1"]
    flow = p["q2"] * (conc - x["peripheral"] / p["v2"])
    return {
        "depot": -p["ka"] * x["depot"],
        "central": p["ka"] * x["depot"] - p["cl"] * conc - flow,
        "peripheral": flow,
        "auc": conc,
        "cells": p["kin"] * (1.0 + 5.0 * conc) - p["kout"] * x["cells"],
    }


ODE = OdeSystem(
    NAMES,
    lambda t, x, p, pk: slopes(x, p),
    tuple(P),
    start=lambda p: {"cells": jnp.asarray(p["kin"] / p["kout"])},
    doses_into=NAMES,
)


def stimulated(structure):
    outputs = (*DRUG.outputs, Output("cells", "10^9/L", None, lambda state, p: state["cells"]))
    dosing = dataclasses.replace(DRUG.dosing, routes=(Route("tablet", "depot"),))
    return dataclasses.replace(
        DRUG, structure=structure, parameters=lambda theta, c: dict(P), etas=(), occasion_etas=(), correlations=(),
        outputs=outputs, dosing=dosing,
    )  # fmt: skip


def test_only_what_the_drug_flows_through_has_a_mass():
    drug = stimulated(ODE)
    x = np.array([50.0, 20.0, 10.0, 3.0, 25.0])

    assert amounts_in(drug, P, x, 1.0) == ("depot", "central", "peripheral")


@pytest.mark.long
def test_a_dose_that_feeds_cells_and_an_auc_beyond_the_dose_pass():
    report = check_drug(stimulated(ODE))

    assert not [f for f in report.failures if f.check == "mass is not made"]
    assert "mass is not made" in {passed.check for passed in report.passed}


def test_the_jacobian_is_that_of_the_equations():
    """Entry [i, j]: the slope of i by the content of j."""
    found = rates_between(ODE, {n: jnp.asarray(v) for n, v in P.items()}, jnp.ones(5), 0.0)

    np.testing.assert_allclose(found[1], [1.0, -(0.5 + 2.0) / 10.0, 2.0 / 30.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found[4], [0.0, 4.0 * 5.0 / 10.0, 0.0, 0.0, -0.2], rtol=1e-6)


def test_states_that_linear_kinetics_drive_are_no_amounts():
    """The same with exact kinetics: the driver's compartments hold the drug."""
    structure = OdeSystem(
        ("cells",),
        lambda t, x, p, pk: {"cells": p["kin"] * (1.0 + pk["concentration"]) - p["kout"] * x["cells"]},
        ("kin", "kout"),
        pk=Mammillary(peripherals=1, depot=True),
        doses_into=("cells",),
    )
    drug = stimulated(structure)

    assert amounts_in(drug, P, np.array([50.0, 20.0, 10.0, 25.0]), 1.0) == ("depot", "central", "peripheral1")


def test_an_effect_compartment_of_a_matrix_is_no_amount():
    system = LinearSystem(
        ("central", "site"),
        lambda p: jnp.asarray([[-p["cl"] / p["v1"], 0.0], [0.3 / p["v1"], -0.3]]),
        ("cl", "v1"),
    )
    drug = dataclasses.replace(DRUG, structure=system, parameters=lambda theta, c: dict(P), etas=(), correlations=())

    assert amounts_in(drug, P, np.array([20.0, 1.0]), 1.0) == ("central",)


@pytest.mark.long
@pytest.mark.parametrize(("factor", "is_asked"), [(1.0, False), (1e-3, True), (1e4, True)])
def test_levels_that_do_not_belong_to_the_doses_are_asked_about(factor, is_asked):
    """A concentration in mg/L that was computed in g/L, and one in ng/mL."""
    output = dataclasses.replace(
        DRUG.outputs[0], value=lambda state, p: factor * state["central"] / p["v1"], auc_scale=None
    )
    target = dataclasses.replace(DRUG.targets[0], metric="trough", low=10.0, high=15.0, unit="mg/L", aim=None, later=())
    report = check_drug(dataclasses.replace(DRUG, outputs=(output,), targets=(target,)))
    found = [f for f in report.warnings if f.check == "levels fit the doses"]

    assert bool(found) == is_asked
    assert all("a volume of" in f.came for f in found)


def test_many_covariates_are_tried_at_random_corners():
    """All corners of twenty covariates would be a million; a clearance that is negative at half of them is found."""
    more = tuple(
        dataclasses.replace(
            DRUG.covariates[0], name=f"x{i}_1", unit="1", column=f"X{i}", low=0.0, high=1.0, typical=0.0,
            distribution=Fixed(0.0), aliases=(),
        )
        for i in range(20)
    )  # fmt: skip

    def parameters(theta, covariates):
        p = dict(DRUG.parameters(theta, covariates))
        return {**p, "cl": p["cl"] * (0.5 - covariates["x7_1"])}

    drug = dataclasses.replace(DRUG, covariates=(*DRUG.covariates, *more), parameters=parameters)
    begin = time.perf_counter()
    report = check_drug(drug, level="declared")

    assert any("parameters.cl: -" in str(f) and "x7_1 = 1" in str(f) for f in report.failures)
    assert time.perf_counter() - begin < 20.0


@pytest.mark.parametrize(("unit", "fails"), [("mg/L", True), ("1", False)])
def test_only_a_concentration_has_to_be_positive(unit, fails):
    """A change from a baseline may be negative: it is asked about."""
    output = Output("change", unit, None, lambda state, p: state["central"] / p["v1"] - 1e6)
    report = check_drug(dataclasses.replace(DRUG, outputs=(*DRUG.outputs, output)), level="declared")

    assert report.ok != fails
    assert any("change is -" in str(f) for f in report.findings)

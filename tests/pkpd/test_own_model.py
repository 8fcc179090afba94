"""The short form of a drug model: what it makes, and how it refuses."""

import dataclasses
import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import (
    Categorical,
    Dose,
    Mammillary,
    Normal,
    every,
    make_covariates,
    make_regimen,
    omega,
    predict,
)
from rl_drug_dosage.pkpd.own_model import OwnModel


def small(**changes):
    given = {
        "structure": "1cmt iv", "thetas": {"cl": (4.5, "L/h"), "v1": (30, "L")}, "omegas": {"cl": 0.09, "v1": 0.04},
        "error": {"proportional": 0.1},
    }  # fmt: skip
    return rldd.own_model("mymycin", **given | changes)


def thomson():
    """Thomson 2009 in fifteen lines."""
    return rldd.own_model(
        "vancomycin-own",
        structure="2cmt iv",
        thetas={
            "cl": (2.99, "L/h"), "v1": (0.675, "L/kg"), "q2": (38, "mL/min"), "v2": (0.732, "L/kg"), "slope": 0.0154,
        },
        parameters=lambda theta, c: {
            "cl": theta["cl"] * (1 + theta["slope"] * (c["crcl_ml_per_min"] - 66)),
            "v1": theta["v1"] * c["wt_kg"],
            "v2": theta["v2"] * c["wt_kg"],
        },
        omegas={"cl": (0.27, "sd"), "v1": (0.15, "sd"), "q2": 0.2401, "v2": 1.69, ("cl", "v1"): 0.01},
        error={"additive": (1.6, "mg/L"), "proportional": (15, "%")},
        covariates={"crcl_ml_per_min": (66, 10, 150), "wt_kg": (79, 20.4, 173.8)},
        infusion_h=1, doses_mg=range(250, 5001, 250), intervals_h=(12, 8, 24, 48), usual_dose_mg=1000,
        targets={"auc24": (400, 600)},
    )  # fmt: skip


@pytest.mark.long
def test_a_published_model_in_short_form_is_the_built_in_drug():
    """With q2 given in mL/min: 38 mL/min is 2.28 L/h."""
    ours, built_in = thomson(), rldd.load_drug("vancomycin-thomson2009")
    values = {"crcl_ml_per_min": 85.0, "wt_kg": 90.0}
    times = jnp.asarray([1.0, 5.0, 12.0, 20.0, 36.0])
    eta = jnp.asarray([0.2, -0.1, 0.3, 0.5])

    def course(drug):
        regimen = make_regimen(every(Dose(0.0, 1000.0, duration_h=1.0), 12.0, 3), drug.structure)
        return predict(drug, regimen, make_covariates(drug, values), times, eta)

    with jax.enable_x64(True):
        np.testing.assert_allclose(omega(ours), omega(built_in), rtol=1e-12)
        np.testing.assert_allclose(course(ours), course(built_in), rtol=1e-12)
    assert ours.dosing.usual_dose_mg == built_in.dosing.usual_dose_mg
    assert ours.dosing.amounts_mg == built_in.dosing.amounts_mg
    residual, theirs = ours.outputs[0].residual, built_in.outputs[0].residual
    assert (residual.kind, residual.a, residual.b) == (theirs.kind, theirs.a, theirs.b)
    target = ours.targets[0]
    assert (target.metric, target.low, target.high, target.unit) == ("auc24", 400, 600, "mg h/L")


def test_sources_are_own_unless_given():
    drug = small(thetas={"cl": (4.5, "L/h", "Doe 2020, Table 2"), "v1": (30, "L")}, source="thesis, chapter 3")

    assert [p.source for _, p in drug.numbers()][:2] == ["Doe 2020, Table 2", "thesis, chapter 3"]
    assert {p.source for _, p in small().numbers()} == {"own"}
    assert rldd.check_drug(small(), level="declared").failures == ()


def test_the_contract_of_drugs_is_kept():
    rldd.check_drug(thomson(), level="declared").raise_if_any()


@pytest.mark.parametrize(
    ("structure", "compartments", "routes"),
    [
        ("1cmt iv", ("central",), ["bolus"]),
        ("2cmt oral", ("depot", "central", "peripheral1"), ["oral"]),
        ("3cmt  iv oral", ("depot", "central", "peripheral1", "peripheral2"), ["bolus", "oral"]),
        ("1cmt iv effect", ("central", "effect"), ["bolus"]),
    ],
)
def test_structures(structure, compartments, routes):
    thetas = {n: (1.0, u) for n, u in (("cl", "L/h"), ("q2", "L/h"), ("q3", "L/h"), ("ka", "1/h"), ("ke0", "1/h"))}
    thetas |= dict.fromkeys(("v1", "v2", "v3"), (10.0, "L"))
    drug = small(structure=structure, thetas=thetas, omegas={})

    assert drug.structure.compartments == compartments
    assert [route.name for route in drug.dosing.routes] == routes


def test_units_are_converted():
    drug = small(
        structure="1cmt oral",
        thetas={
            "cl": (75, "mL/min"), "v1": (30_000, "mL"), "ka": (0.02, "1/min"), "lag_depot": (30, "min"),
            "f_depot": (80, "%"),
        },
        concentration="ug/L",
        error={"additive": 20},
    )  # fmt: skip

    assert drug.typical() == pytest.approx({"cl": 4.5, "v1": 30.0, "ka": 1.2, "lag_depot": 0.5, "f_depot": 0.8})
    assert drug.outputs[0].auc_scale == 1000.0
    assert drug.outputs[0].value({"central": 30.0}, {"v1": 30.0}) == 1000.0
    assert drug.outputs[0].residual.additive.unit == "ug/L"


def test_sizes_of_random_effects():
    drug = small(omegas={"cl": (30, "%"), "v1": (0.2, "sd"), ("cl", "v1"): (0.5, "corr")})
    found = np.asarray(omega(drug))

    np.testing.assert_allclose(np.diag(found), [math.log(1.09), 0.04], rtol=1e-6)
    np.testing.assert_allclose(found[0, 1], 0.5 * math.sqrt(math.log(1.09)) * 0.2, rtol=1e-6)


def test_covariates_have_the_unit_of_their_name():
    drug = small(
        covariates={
            "wt_kg": (70, 40, 150, Normal(75, 15)), "scr_umol_per_l": (80, 20, 800), "score_1": (3, 0, 9),
            "female": (0, 0, 1, Categorical((0.0, 1.0), (0.5, 0.5))), "egfr_ml_per_min_per_1": (90, 5, 200),
        }
    )  # fmt: skip

    assert [c.unit for c in drug.covariates] == ["kg", "umol/L", "1", "0/1", "mL/min/1"]
    assert [c.column for c in drug.covariates][:2] == ["WT", "SCR"]


def test_models_without_doses_name_none():
    assert not small().dosing.are_named


def test_equal_short_forms_are_equal_models():
    """So that they share compiled programs."""
    assert small() == small()
    assert small() != small(thetas={"cl": (4.6, "L/h"), "v1": (30, "L")})


def test_any_mammillary_structure_can_be_given():
    said = OwnModel(name="x", structure=Mammillary(depot=True), thetas={}, parameters=lambda theta, c: {})

    with pytest.raises(ConfigError, match="parameters gives no 'cl', 'ka', 'v1'"):
        said.model()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"structure": "4cmt iv"}, "structure is '4cmt iv'; allowed: '1cmt iv'"),
        ({"structure": "1cmt effect"}, "structure is '1cmt effect'"),
        ({"structure": "1cmt iv iv"}, "structure is '1cmt iv iv'"),
        ({"thetas": {"cl": (4.5, "L/h")}}, "thetas is without v1"),
        ({"thetas": {"cl": (4.5, "L/h"), "v": (30, "L")}}, "did you mean it by 'v'?"),
        ({"thetas": {"cl": 4.5, "v1": (30, "L")}}, "thetas.cl is 4.5; allowed: a number with its unit"),
        ({"thetas": {"cl": ("4.5", "L/h"), "v1": (30, "L")}}, "thetas.cl is ('4.5', 'L/h')"),
        ({"thetas": {"cl": (4.5, "mg"), "v1": (30, "L")}}, "'mg'"),
        ({"thetas": {"cl": (4.5, "L/h/kg"), "v1": (30, "L")}}, "thetas.cl is in 'L/h/kg'; allowed: L/h"),
        ({"thetas": {"cl": (math.nan, "L/h"), "v1": (30, "L")}}, "thetas.cl.value is nan"),
        ({"thetas": {"cl": (-1, "L/h"), "v1": (30, "L")}}, "cl = -1"),
        ({"omegas": {"q2": 0.1}}, "etas[0].parameter is 'q2'"),
        ({"omegas": {"cl": (30, "CV")}}, "omegas.cl is (30, 'CV'); allowed: a var alone"),
        ({"omegas": {"cl": 0.1, ("cl", "v1"): 0.1}}, "omegas.('cl', 'v1') is no pair of effects"),
        ({"omegas": {3: 0.1}}, "the key 3"),
        ({"omegas": {"cl": -0.1}}, "eta on 'cl': size is -0.1"),
        ({"error": {"prop": 0.1}}, "error is with 'prop'; allowed: additive, proportional, lognormal, kind"),
        ({"error": {"lognormal": 0.1, "additive": 1}}, "lognormal alone"),
        ({"error": {"additive": (1, "ug/L")}}, "residual.additive.unit is 'ug/L'"),
        ({"covariates": {"wt": (70, 40, 150)}}, "covariates.wt has no unit in its name"),
        ({"covariates": {"wt_kg": (70, 40)}}, "covariates.wt_kg is (70, 40)"),
        ({"covariates": {"wt_kg": (70, 40, "x")}}, "covariates.wt_kg"),
        ({"covariates": {"wt_kg": (30, 40, 150)}}, "'wt_kg' is 30"),
        ({"concentration": "mmol/L"}, "concentration is 'mmol/L'"),
        ({"doses_mg": (100, 200)}, "dosing is doses_mg without the rest"),
        ({"doses_mg": (200, 100), "intervals_h": (12,)}, "ascending"),
        ({"targets": {"valley": (1, 2)}}, "targets is with 'valley'"),
        ({"targets": {"trough": 10}}, "targets.trough is 10"),
        ({"parameters": lambda theta, c: 3}, "parameters gives"),
        ({"parameters": lambda theta, c: {"cl": theta["clearance"]}}, "clearance"),
        ({"infusion_h": -1}, "duration_h"),
    ],
)  # fmt: skip
def test_errors_name_the_entry(changes, said):
    with pytest.raises(ConfigError) as caught:
        small(**changes)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_model_is_a_drug_model_like_any_other():
    """A changed copy keeps what the short form made."""
    drug = dataclasses.replace(small(), title="another")

    assert drug.typical() == {"cl": 4.5, "v1": 30.0}


def test_the_example_of_the_docs_runs():
    text = (Path(__file__).parents[2] / "docs" / "model-readers.md").read_text()
    (code,) = re.findall(r"```python\n(.*?own_model.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "docs/model-readers.md", "exec"), names)

    rldd.check_drug(names["DRUG"], level="declared").raise_if_any()

"""From written models to drug models: five built-in drugs written by hand predict what their drug files do."""

import copy
import dataclasses
import importlib.util
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.readers.bridge import units as _units
from rl_drug_dosage.pharmacometrics.readers.bridge.effects import effects_of
from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Program, single_assignment
from rl_drug_dosage.pharmacometrics.readers.drug_file import drug_file
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Name, Num
from rl_drug_dosage.pharmacometrics.readers.sidecar import MissingWordsError, OutputWords, Sidecar, Units
from rl_drug_dosage.pharmacometrics.readers.written import Assign, ReadError, WrittenError, merged
from rl_drug_dosage.pkpd import (
    Dose,
    LinearSystem,
    Mammillary,
    OdeSystem,
    every,
    individual_parameters,
    make_covariates,
    make_regimen,
    occasion_omega,
    omega,
    predict,
)
from rl_drug_dosage.registry import load_drug

_spec = importlib.util.spec_from_file_location("hand_written", Path(__file__).with_name("hand_written.py"))
hand = importlib.util.module_from_spec(_spec)
sys.modules["hand_written"] = hand
_spec.loader.exec_module(hand)

TIMES = np.array([0.5, 1.0, 3.0, 8.0, 12.0, 20.0, 24.0, 47.0])


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def predicted(model, dose, covariates, eta, kappa=None, times=TIMES):
    """Two doses, 12 h apart."""
    regimen = make_regimen(every(dose, 12.0, 2), model.structure)
    table = make_covariates(model, covariates)
    eta = jnp.asarray(eta, dtype=float)
    kappa = None if kappa is None else jnp.asarray(kappa, dtype=float)
    return np.asarray(predict(model, regimen, table, jnp.asarray(times), eta, kappa))


BUILT_IN = {
    "vancomycin-goti2018": (
        hand.VANCOMYCIN,
        Dose(0.0, 1000.0, "central", duration_h=1.0),
        {"crcl_ml_per_min": "CRCL", "wt_kg": "WT", "dialysis": "DIAL"},
        {"CRCL": 43.0, "WT": 91.0, "DIAL": 1.0},
        ["cl", "v1", "v2"],
        ["cl", "vc", "vp"],
    ),
    "tobramycin-hennig2013": (
        hand.TOBRAMYCIN,
        Dose(0.0, 400.0, "central", duration_h=0.5),
        {"female": "FEMALE", "age_y": "AGE", "wt_kg": "WT", "height_cm": "HT", "scr_umol_per_l": "SCR"},
        {"FEMALE": 1.0, "AGE": 16.5, "WT": 51.0, "HT": 160.0, "SCR": 80.0},
        ["cl", "v1", "q2", "v2"],
        ["cl", "v", "q", "vp"],
    ),
    "tacrolimus-andrews2019": (
        hand.TACROLIMUS,
        Dose(0.0, 7.5, "depot"),
        {
            "age_y": "AGE",
            "alb_g_per_l": "ALB",
            "bsa_m2": "BSA",
            "lbm_kg": "LBM",
            "scr_umol_per_l": "SCR",
            "hct_percent": "HCT",
            "cyp3a5_expresser": "CYP3A5",
            "cyp3a4_22": "CYP3A4",
        },
        {
            "AGE": 40.0,
            "ALB": 35.0,
            "BSA": 2.0,
            "LBM": 66.0,
            "SCR": 200.0,
            "HCT": 29.0,
            "CYP3A5": 1.0,
            "CYP3A4": 0.0,
        },
        ["cl", "v1", "v2", "q2"],
        ["cl", "v", "vp", "q"],
    ),
    "paclitaxel-friberg2002": (
        hand.PACLITAXEL,
        Dose(0.0, 320.0, "central", duration_h=3.0),
        {},
        {},
        ["cl", "circ0", "mtt", "slope"],
        ["cl", "circ0", "mtt", "slope"],
    ),
    "warfarin-hamberg2007": (
        hand.WARFARIN,
        Dose(0.0, 10.0, "depot"),
        {"age_y": "AGE", "cyp2c9": "CYP", "vkorc1_g_alleles": "G", "inr_base": "BASE"},
        {"AGE": 60.0, "CYP": 13.0, "G": 1.0, "BASE": 1.1},
        ["cl", "v1", "v2", "mtt_fast", "mtt_slow", "ec50"],
        ["cl", "v", "vp", "fast", "slow", "ec50"],
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_drug_written_by_hand_predicts_the_same(name):
    written, dose, names, values, parameters, variables = BUILT_IN[name]
    theirs = load_drug(name)
    outputs = dict(
        zip((o.name for o in written.outputs), (OutputWords(unit=o.unit) for o in theirs.outputs), strict=True)
    )
    mine = drug_model(written, Sidecar(outputs=outputs))
    assert [eta.parameter for eta in mine.etas] == variables
    assert [eta.parameter for eta in theirs.etas] == parameters
    assert all(eta.form == "lognormal" for eta in mine.etas)
    eta = np.linspace(-0.4, 0.5, len(parameters))
    kappa = np.full((1, len(mine.occasion_etas)), 0.2)
    own = predicted(mine, dose, values, eta, kappa)
    other = predicted(theirs, dose, {known: values[n] for known, n in names.items()}, eta, kappa)
    np.testing.assert_allclose(own, other, rtol=1e-10)
    np.testing.assert_allclose(omega(mine), omega(theirs), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(occasion_omega(mine), occasion_omega(theirs), rtol=1e-12)
    assert type(mine.structure) is type(theirs.structure)
    assert [o.auc_scale for o in mine.outputs] == [o.auc_scale for o in theirs.outputs]
    for own_output, output in zip(mine.outputs, theirs.outputs, strict=True):
        assert (own_output.residual is None) == (output.residual is None)
        if output.residual is not None:
            assert own_output.residual.kind == output.residual.kind
            assert own_output.residual.a == pytest.approx(output.residual.a)
            assert own_output.residual.b == pytest.approx(output.residual.b)


ORAL = """
cl = tcl * exp(e_cl)
ka = tka
d(depot) = -ka * depot
d(central) = ka * depot - cl / v * central
cp = central / v
"""
NUMBERS = {"tcl": 5.0, "tka": 1.2, "v": 40.0}


def oral(text=ORAL, thetas=NUMBERS, **more):
    more = {"compartments": ("depot", "central"), "etas": {"e_cl": 0.09}, **more}
    return hand.written_model(text, thetas, **more)


@pytest.mark.long
def test_units_do_not_change_what_is_predicted():
    """Doses in mg, ug and nmol, times in h, min and days: the same kinetics."""
    dose = Dose(0.0, 100.0, "depot")
    hourly = drug_model(oral())
    assert hourly.structure == Mammillary(depot=True)
    assert set(hourly.typical()) == {"cl", "v1", "ka"}
    want = predicted(hourly, dose, {}, [0.2])
    days = oral(
        thetas={"tcl": 120.0, "tka": 28.8, "v": 40.0}, units={"time": "day", "dose": "ug", "concentration": "ng/mL"}
    )
    np.testing.assert_allclose(predicted(drug_model(days), dose, {}, [0.2]), 1e3 * want, rtol=1e-12)
    assert drug_model(days).outputs[0].auc_scale == 1000.0
    minutes = oral(
        thetas={"tcl": 5.0 / 60.0, "tka": 0.02, "v": 40.0},
        units={"time": "minutes", "dose": "nmol", "concentration": "nmol/L"},
    )
    told = Sidecar(units=Units(molar_mass_g_per_mol=500.0))
    made = drug_model(minutes, told)
    np.testing.assert_allclose(predicted(made, dose, {}, [0.2]), 2000.0 * want, rtol=1e-12)
    assert made.outputs[0].auc_scale == pytest.approx(2000.0)
    units = oral(units={"dose": "IU", "concentration": "IU/L"})
    made = drug_model(units, Sidecar(units=Units(mg_per_dose_unit=0.04)))
    np.testing.assert_allclose(predicted(made, dose, {}, [0.2]), 25.0 * want, rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("kind", [LinearSystem, OdeSystem])
def test_every_structure_converts_its_units(kind):
    """Rates per day and doses in ug, by the matrix exponential, and by equations that exact kinetics drive."""
    text = ORAL.replace("cp = central / v", "cp = central / v\nd(reply) = kin - kout * (1 + slope * cp) * reply")
    text = ORAL if kind is LinearSystem else f"start(reply) = kin / kout\n{text.strip()}"
    found = []
    for per_day, per_ug, time, amount, unit in ((1.0, 1.0, "h", "mg", "mg/L"), (24.0, 1e3, "day", "ug", "ug/L")):
        numbers = {"tcl": 5.0 * per_day, "tka": 1.2 * per_day, "v": 40.0}
        numbers |= {"kin": 3.0 * per_day, "kout": 0.3 * per_day, "slope": 0.7 / per_ug}
        written = hand.written_model(
            text,
            numbers,
            compartments=("central", "depot") if kind is LinearSystem else ("depot", "central", "reply"),
            outputs={"cp": "cp"} if kind is LinearSystem else {"cp": "cp", "reply": "reply"},
            etas={"e_cl": 0.09},
            units={"time": time, "dose": amount, "concentration": unit},
        )
        model = drug_model(written, Sidecar(outputs={} if kind is LinearSystem else {"reply": OutputWords(unit="1")}))
        assert type(model.structure) is kind
        assert kind is LinearSystem or isinstance(model.structure.pk, Mammillary)
        levels = predicted(model, Dose(0.0, 100.0, "depot"), {}, [0.2])
        found.append(levels / np.array([per_ug, 1.0])[: levels.shape[1]])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-7)


@pytest.mark.long
def test_delivery_is_in_the_units_of_the_file():
    """A lag of 0.1 days and a duration of 0.25 days, and two thirds of the dose."""
    text = ORAL + "lag(depot) = 0.1 * 24 / unit\ndur(depot) = 6 / unit\nf(depot) = 2 / 3"
    hourly, daily = (
        drug_model(oral(text, {"tcl": 5.0 * k, "tka": 1.2 * k, "v": 40.0, "unit": k}, units={"time": unit}))
        for k, unit in ((1.0, "h"), (24.0, "day"))
    )
    dose = Dose(0.0, 100.0, "depot")
    own = predicted(daily, dose, {}, [0.0])
    np.testing.assert_allclose(own, predicted(hourly, dose, {}, [0.0]), rtol=1e-12)
    assert own[1] == 0
    assert daily.typical()["lag_depot"] == pytest.approx(2.4)
    assert daily.typical()["f_depot"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("right", "form"),
    [
        ("exp(lcl + eta)", "lognormal"),
        ("tv * WT * exp(eta)", "lognormal"),
        ("exp(eta) * tv / WT", "lognormal"),
        ("exp(lcl + b * WT + eta) * WT ** 0.75", "lognormal"),
        ("tv * exp(eta + kappa)", "lognormal"),
        ("tv * exp(kappa) * exp(eta)", "lognormal"),
        ("tv * (1 + eta)", "proportional"),
        ("tv * (1 + eta + kappa) * WT", "proportional"),
        ("tv + eta", "additive"),
        ("tv - 3 + eta", "additive"),
        ("expit(lcl + eta)", "logit"),
        ("tv * exp(2 * eta)", None),
        ("tv / exp(eta)", None),
        ("tv - eta", None),
        ("exp(lcl + eta) + WT", None),
        ("tv * (1 + eta) * exp(kappa)", None),
        ("tv * exp(eta) * exp(eta)", None),
        ("tv * exp(eta) if WT > 50 else tv", None),
        ("other * exp(eta)", None),
        ("tv * exp(eta + e_other)", None),
        ("tv * exp(eta) + central", None),
    ],
)
def test_how_a_random_effect_enters(right, form):
    """The engine's form is found, and anything else is a helper: both give the same number for any effect."""
    text = f"other = exp(e_other)\nx = {right}\nd(central) = -x / 10 * central\ncp = central / 40"
    written = hand.written_model(
        text,
        {"tv": 5.0, "lcl": 0.3, "b": 0.01},
        etas={"eta": 0.1, "e_other": 0.2},
        occasion_etas={"kappa": 0.05} if "kappa" in right else {},
        covariates={"WT": ("kg", 70.0)},
    )
    steps = single_assignment(written)
    between, _ = effects_of(steps, ["eta", "e_other"], ["kappa"] if "kappa" in right else [])
    assert (between[0].form if not between[0].is_helper else None) == form
    assert between[0].parameter == ("x" if form else "eta")
    model = drug_model(written)
    if "central" in right:
        return
    weight = {"WT": 60.0} if model.covariates else {}
    kappa = jnp.array([[0.15]]) if "kappa" in right else None
    p = individual_parameters(model, make_covariates(model, weight), jnp.array([0.2, -0.3]), kappa)
    known = {"tv": 5.0, "lcl": 0.3, "b": 0.01, "WT": 60.0, "eta": 0.2, "e_other": -0.3, "kappa": 0.15}
    x = float(Program([(s.name, s.expr) for s in steps.needed(["x"])]).run(known)["x"])
    # The clearance is 40 L times x / 10.
    np.testing.assert_allclose(p["cl"], 4.0 * x, rtol=1e-12)
    assert model.typical(**weight)["cl"] != pytest.approx(4.0 * x)


def test_an_effect_that_enters_twice_is_a_helper():
    text = "cl = tcl * exp(e)\nv = tv * exp(e)\nd(central) = -cl / v * central\ncp = central / v"
    model = drug_model(hand.written_model(text, {"tcl": 5.0, "tv": 40.0}, etas={"e": 0.1}))
    assert model.etas[0].parameter == "e"
    assert model.etas[0].form == "additive"
    own = predicted(model, Dose(0.0, 10.0), {}, [0.3], times=[1.0])
    np.testing.assert_allclose(own, 10.0 / (40.0 * np.exp(0.3)) * np.exp(-5.0 / 40.0), rtol=1e-12)


def test_an_effect_without_variance_is_left_out():
    written = oral(etas={"e_cl": 0.0})
    assert drug_model(written).etas == ()


def test_a_variable_that_is_assigned_twice_has_both_values():
    text = """
    x = 2
    d(central) = -x * central
    x = x * 10
    d(other) = -x * other
    x = x + 1
    cp = central / x
    """
    model = drug_model(hand.written_model(text, {}, compartments=("central", "other")))
    own = predicted(model, Dose(0.0, 10.0, "central"), {}, [], times=[1.0])
    np.testing.assert_allclose(own, 10.0 * np.exp(-2.0) / 21.0, rtol=1e-12)


def test_a_covariate_may_be_assigned():
    text = "WT = WT / 70\nk = WT * 0.1\nd(central) = -k * central\ncp = central"
    model = drug_model(hand.written_model(text, {}, covariates={"WT": ("kg", 70.0)}))
    own = predicted(model, Dose(0.0, 10.0), {"WT": 140.0}, [], times=[1.0])
    np.testing.assert_allclose(own, 10.0 * np.exp(-0.2), rtol=1e-12)


@pytest.mark.long
def test_a_condition_may_change_a_derivative():
    """After 6 h the rate is 1 instead of 0.1: what `merged` makes of an if is followed."""
    first = Assign("central", hand.formula("-0.1 * central"), 1, "derivative")
    then = [Assign("central", hand.formula("-central"), 3, "derivative")]
    rows = merged(hand.formula("t > 6"), then, [], frozenset({("central", "derivative")}))
    written = hand.written_model("cp = central", {})
    model = drug_model(dataclasses.replace(written, statements=(first, *rows, *written.statements)))
    own = predicted(model, Dose(0.0, 10.0), {}, [], times=[6.0, 8.0])[:, 0]
    np.testing.assert_allclose(own, 10.0 * np.exp([-0.6, -2.6]), rtol=1e-7)
    assert isinstance(model.structure, OdeSystem)


@pytest.mark.long
def test_start_values_and_time_are_in_the_units_of_the_file():
    """A baseline kin / kout in ug, and an output that reads the time in days."""
    text = "start(central) = kin / kout\nd(central) = kin - kout * central\ncp = central + t"
    written = hand.written_model(
        text, {"kin": 48.0, "kout": 4.8}, units={"time": "day", "dose": "ug", "concentration": "ng/mL"}
    )
    model = drug_model(written, Sidecar(outputs={"cp": OutputWords(unit="ng/mL")}))
    own = predicted(model, Dose(0.0, 0.001), {}, [], times=[12.0, 24.0])[:, 0]
    np.testing.assert_allclose(own, [10.0 + np.exp(-2.4) + 0.5, 10.0 + np.exp(-4.8) + np.exp(-2.4) + 1.0], rtol=1e-9)


def test_what_moves_without_derivative_keeps_its_content():
    text = "d(central) = -0.1 * central\ncp = central + bag"
    model = drug_model(hand.written_model(text, {}, compartments=("central", "bag")))
    np.testing.assert_allclose(predicted(model, Dose(0.0, 10.0, "bag"), {}, [], times=[5.0]), 10.0)


TWO = {
    "clearances": (
        """
        cl = 5 * exp(e)
        d(depot) = -ka * depot
        d(central) = ka * depot - (cl + q) / vc * central + q / vp * side
        d(side) = q / vc * central - q / vp * side
        cp = central / vc
        """,
        Mammillary,
    ),
    "rates": (
        """
        cl = 5 * exp(e)
        k = cl / vc
        k12 = q / vc
        k21 = q / vp
        d(depot) = -ka * depot
        d(central) = ka * depot - k * central - k12 * central + k21 * side
        d(side) = k12 * central - k21 * side
        cp = central / vc
        """,
        Mammillary,
    ),
    "concentrations": (
        """
        cl = 5 * exp(e)
        c1 = central / vc
        c2 = side / vp
        flow = q * (c1 - c2)
        up = ka * depot
        d(depot) = -up
        d(central) = up - cl * c1 - flow
        d(side) = flow
        cp = c1
        """,
        Mammillary,
    ),
    "a name that means something else": (
        """
        cl = 5 * exp(e)
        v2 = vc
        d(depot) = -ka * depot
        d(central) = ka * depot - (cl + q) / v2 * central + q / vp * side
        d(side) = q / v2 * central - q / vp * side
        cp = central / v2
        """,
        LinearSystem,
    ),
    "time": (
        """
        cl = 5 * exp(e)
        d(depot) = -ka * depot
        d(central) = ka * depot - (cl + q) / vc * central + q / vp * side
        d(side) = (q / vc * central - q / vp * side) * (1 + 0 * t)
        cp = central / vc
        """,
        OdeSystem,
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", TWO)
def test_one_model_written_in_many_ways(name):
    text, kind = TWO[name]
    thetas = {"ka": 1.1, "q": 7.0, "vc": 40.0, "vp": 90.0}
    written = hand.written_model(text, thetas, compartments=("depot", "central", "side"), etas={"e": 0.1})
    model = drug_model(written)
    assert type(model.structure) is kind
    first = drug_model(dataclasses.replace(written, statements=hand.statements(TWO["clearances"][0])))
    dose = Dose(0.0, 100.0, "depot")
    tolerance = 1e-8 if kind is OdeSystem else 1e-12
    np.testing.assert_allclose(predicted(model, dose, {}, [0.3]), predicted(first, dose, {}, [0.3]), rtol=tolerance)
    assert model.typical()["v1"] == 40.0


def test_what_is_lost_on_the_way_is_no_mammillary_model():
    """A depot that loses some of the dose, and one that stands last."""
    text = ORAL.replace("d(depot) = -ka * depot", "d(depot) = -ka * depot - 0.1 * depot")
    assert isinstance(drug_model(oral(text)).structure, LinearSystem)
    assert isinstance(drug_model(oral(compartments=("central", "depot"))).structure, LinearSystem)


def test_two_readings_are_one_value_and_can_be_copied():
    told = Sidecar(outputs={"inr": OutputWords(unit="1")})
    one, other = drug_model(hand.WARFARIN, told), drug_model(hand.WARFARIN, told)
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    changed = dataclasses.replace(hand.WARFARIN, units={**hand.WARFARIN.units, "time": "day"})
    assert drug_model(changed, told) != one


def test_long_and_deep_trees_are_no_limit():
    deep = Name("a")
    for _ in range(3_000):
        deep = Call("+", (deep, Num(1.0)))
    program = Program([("x", deep)])
    assert float(program.run({"a": jnp.asarray(0.0)})["x"]) == 3_000.0
    assert pickle.loads(pickle.dumps(program)) == program
    assert copy.deepcopy(program) == program


@pytest.mark.long
@pytest.mark.parametrize("where", ["x", "cl", "d(central)", "cp"])
def test_a_sum_of_a_thousand_terms_is_no_limit(where):
    """Trees are walked, compared and printed without recursion, wherever they stand."""
    rows = {"x": "e_cl * v", "cl": "tcl * exp(e_cl)", "d(central)": "-cl / v * central", "cp": "central / v"}
    tail = "".join(" + 0 * x" for _ in range(1_000)) if where != "x" else "".join(" + 0 * e_cl" for _ in range(1_000))
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)  # of Python's own parser, for the test's formula
    written = hand.written_model(
        "\n".join(f"{name} = {text}{tail if name == where else ''}" for name, text in rows.items()),
        {"tcl": 5.0, "v": 40.0},
        etas={"e_cl": 0.1},
    )
    sys.setrecursionlimit(usual)
    model = drug_model(written)
    assert model == drug_model(written)
    assert "DRUG = DrugModel(" in drug_file(model, written)


def test_a_long_chain_of_names_is_no_limit():
    """Each of 1,500 rates is the one before it plus 0: no name is looked through by recursion."""
    chain = "\n".join(f"k{i + 1} = k{i} + 0 / 1" for i in range(1_500))
    text = f"k0 = cl / v\n{chain}\nd(central) = -k1500 * central\ncp = central / v"
    model = drug_model(hand.written_model(text, {"cl": 5.0, "v": 40.0}))
    assert isinstance(model.structure, Mammillary)
    assert model.typical()["cl"] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": ORAL.replace("central / v", "central / vd")}, "toy.R:14: 'vd' has no value"),
        ({"text": ORAL + "f(gut) = 0.5"}, "'gut' is no compartment; allowed: depot, central"),
        ({"text": ORAL + "f(depot) = central"}, "bioavailability of 'depot' depends on contents or time"),
        ({"etas": {"e_cl": -0.1}}, "variance of e_cl is -0.1"),
        ({"outputs": {}}, "nothing is predicted"),
        ({"compartments": (), "text": "cp = v * exp(e_cl)"}, "there is no compartment"),
    ],
)
def test_what_cannot_be_is_refused_by_line(change, message):
    text = change.pop("text", ORAL)
    outputs = change.pop("outputs", None)
    written = oral(text, **change)
    if outputs is not None:
        written = dataclasses.replace(written, outputs=())
    with pytest.raises(ReadError, match=message.replace("(", r"\(")):
        drug_model(written)


@pytest.mark.parametrize("covariance", [0.06, 0.2])
def test_a_singular_omega_is_refused(covariance):
    text = ORAL.replace("ka = tka", "ka = tka * exp(e_ka)")
    written = oral(text, etas={"e_cl": 0.09, "e_ka": 0.04}, omega=np.array([[0.09, covariance], [covariance, 0.04]]))
    with pytest.raises(ReadError, match="covariance matrix of e_cl, e_ka is singular"):
        drug_model(written)


def test_everything_that_lacks_is_asked_for_at_once():
    text = ORAL.replace("tcl * exp", "tcl * (WT / 70) ** 0.75 * SEX * exp")
    written = dataclasses.replace(oral(text, covariates={"WT": ("", None), "SEX": ("0/1", None)}), units={})
    with pytest.raises(MissingWordsError) as caught:
        drug_model(written)
    asked = {(w.table, w.key) for w in caught.value.wanted}
    assert asked == {
        ("units", "time"),
        ("units", "dose"),
        ("outputs.cp", "unit"),
        ("covariates.WT", "unit"),
        ("covariates.WT", "typical"),
        ("covariates.SEX", "typical"),
    }
    assert "[covariates.WT]" in str(caught.value)
    assert "toy.toml" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).below == caught.value.below


def test_covariates_that_nothing_reads_are_not_asked_for():
    assert drug_model(oral(covariates={"AGE": ("", None)})).covariates == ()


def test_a_volume_that_no_drug_has_is_asked_about():
    """An output in ng/mL that is central / v with doses in mg: 40 L would be 40,000 L."""
    written = oral(units={"concentration": "ng/mL"})
    with pytest.raises(MissingWordsError, match=r"4e\+04 L"):
        drug_model(written)
    made = drug_model(written, Sidecar(outputs={"cp": OutputWords(unit="mg/L")}))
    assert made.typical()["v1"] == pytest.approx(40.0)
    assert drug_model(written, Sidecar(outputs={"cp": OutputWords(unit="ng/mL")})).typical()["v1"] == pytest.approx(4e4)


@pytest.mark.parametrize(
    ("error", "kind", "a", "b", "c"),
    [
        (WrittenError("add", Name("s")), "additive", 0.3, 0, 1),
        (WrittenError("prop", proportional=hand.formula("sqrt(s) * 2")), "proportional", 0, 2 * 0.3**0.5, 1),
        (WrittenError("combined1", Name("s"), Num(0.1)), "combined1", 0.3, 0.1, 1),
        (WrittenError("combined2", Name("s"), Num(0.1), Num(0.7)), "combined2", 0.3, 0.1, 0.7),
        (WrittenError("pow", proportional=Name("s"), power=Num(0.5)), "power", 0, 0.3, 0.5),
        (WrittenError("lnorm", Name("s")), "lognormal", 0, 0.3, 1),
        (WrittenError("logit", Name("s"), low=0.0, high=50.0), "logit", 0.3, 0, 1),
    ],
)
def test_residual_errors(error, kind, a, b, c):
    written = oral(thetas={**NUMBERS, "s": 0.3}, errors={"cp": error})
    residual = drug_model(written).outputs[0].residual
    assert residual.kind == kind
    assert (residual.a, residual.b, residual.c) == pytest.approx((a, b, c))
    assert residual.high == (50.0 if kind == "logit" else 1.0)
    named = next(p for p in (residual.additive, residual.proportional) if p is not None)
    assert named.source == "toy.R, line 103"
    assert named.unverified


def test_an_error_that_depends_on_the_patient_is_a_choice():
    written = oral(
        thetas={**NUMBERS, "s": 0.3},
        errors={"cp": WrittenError("prop", proportional=hand.formula("s * WT / 70 * exp(e_cl)"))},
        covariates={"WT": ("kg", 140.0)},
        text=ORAL.replace("tcl *", "tcl * WT / 70 *"),
    )
    with pytest.raises(ReadError, match="depends on WT, e_cl"):
        drug_model(written)
    typical = drug_model(written, Sidecar(outputs={"cp": OutputWords(residual="typical")}))
    assert typical.outputs[0].residual.b == pytest.approx(0.6)
    none = drug_model(written, Sidecar(outputs={"cp": OutputWords(residual="none")}))
    assert none.outputs[0].residual is None


@pytest.mark.long
def test_a_fast_system_is_integrated_implicitly():
    text = "d(central) = -{} * central * free / (1 + central)\nstart(free) = 1\nd(free) = 1 - free\ncp = central"
    fast, slow = (
        drug_model(hand.written_model(text.format(k), {}, compartments=("central", "free"))) for k in (1e5, 1)
    )
    assert fast.structure.method.stiff
    assert not slow.structure.method.stiff
    assert np.isfinite(predicted(fast, Dose(0.0, 10.0, "central"), {}, [], times=[24.0])).all()


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("L/hr", "L/h"),
        ("(years)", "y"),
        ("[h]", "h"),
        ("mL/min/1.73 m^2", "mL/min/1.73m2"),
        ("µg/ml", "ug/mL"),
        ("umol/l", "umol/L"),
        ("mcg/dl", "ug/dL"),
        ("10^9/L", "10^9/L"),
        ("minutes", "min"),
    ],
)
def test_spellings_of_units(written, unit):
    assert _units.tidy(written) == unit
    assert _units.tidy(unit) == unit


def test_a_unit_that_is_none_is_told_with_the_meaning():
    """A fraction is no unit; litres are spelt as usual."""
    numbers = tuple(
        dataclasses.replace(number, unit=unit)
        for number, unit in zip(oral().thetas, ("L/hr", "fraction", "liters"), strict=True)
    )
    written = dataclasses.replace(oral(), thetas=numbers)
    thetas = drug_model(written).thetas
    assert (thetas["tka"].unit, thetas["tka"].meaning) == ("not stated", "tka [fraction]")
    assert thetas["v"].unit == "L"
    assert thetas["tcl"].unit == "L/h"

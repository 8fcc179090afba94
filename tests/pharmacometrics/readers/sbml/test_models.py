"""SBML models: what amounts, concentrations, rules and reactions mean, by the specification and by hand."""

import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from statement_values import computed

from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.sbml.reader import read
from rl_drug_dosage.pharmacometrics.readers.sidecar import OutputWords, Sidecar, Units
from rl_drug_dosage.pharmacometrics.readers.written import ReadError
from rl_drug_dosage.pkpd import Dose, every, make_regimen, no_covariates, predict


def values(path, **inputs):
    """What the statements compute; contents are 1 unless given."""
    found = read(path)
    return computed(found, {"t": 0.0, **dict.fromkeys(found.compartments, 1.0), **inputs})


def test_a_species_is_a_concentration_and_its_content_an_amount(w, sbml):
    """S1 -> 2 S2, k [S1] V per time, V = 2: amounts fall by k S1 and rise by twice that."""
    path = sbml(
        Compartments=w.compartment(),
        Species=w.species("S1", initialConcentration="3") + w.species("S2", initialAmount="5"),
        Parameters=w.parameter("k", 0.25),
        Reactions=w.reaction("r", "k * S1 * V", "S1", "2*S2"),
    )
    found = values(path, S1=10.0, S2=20.0)

    assert found["S1", "start"] == 6.0
    assert found["S2", "start"] == 5.0
    assert found["S1", "derivative"] == -2.5
    assert found["S2", "derivative"] == 5.0
    assert found["S1", "output"] == 5.0
    assert {n.name for n in read(path).thetas} == {"k", "V", "S1_initial", "S2_initial"}


def test_a_species_in_amounts_is_read_as_it_is(w, sbml):
    path = sbml(
        Compartments=w.compartment(),
        Species=w.species("S1", initialConcentration="3", hasOnlySubstanceUnits="true"),
        Parameters=w.parameter("k", 0.25),
        Reactions=w.reaction("r", "k * S1", "S1"),
    )
    found = values(path, S1=10.0)

    assert (found["S1", "start"], found["S1", "derivative"], found["S1", "output"]) == (6.0, -2.5, 10.0)


def test_boundary_and_constant_species_do_not_change(w, sbml):
    path = sbml(
        Compartments=w.compartment(),
        Species=w.species("B", initialConcentration="4", boundaryCondition="true")
        + w.species("C", initialAmount="4", constant="true", boundaryCondition="true")
        + w.species("S", initialAmount="0"),
        Reactions=w.reaction("r", "B + C", "B", "S", reads="C"),
    )
    found = read(path)

    assert found.compartments == ("S",)
    assert values(path)["r", "value"] == 4.0 + 4.0 / 2.0


def test_rules_and_reactions_in_any_order(w, sbml):
    """a rests on b, b on the rate of a reaction, which rests on a constant with an initial assignment."""
    path = sbml(
        Compartments=w.compartment(),
        Species=w.species("S", initialAmount="8"),
        Parameters=w.parameter("a", None, constant=False)
        + w.parameter("b", None, constant=False)
        + w.parameter("c", 99.0)
        + w.parameter("d", 3.0),
        InitialAssignments=w.initial("c", "d * S + time"),
        Rules=w.rule("assignment", "a", "b + 1") + w.rule("assignment", "b", "2 * r"),
        Reactions=w.reaction("r", "c * S", "S"),
    )
    found = values(path, S=4.0, t=5.0)

    assert found["c", "value"] == 12.0
    assert found["r", "value"] == 24.0
    assert found["b", "value"] == 48.0
    assert found["a", "value"] == found["a", "output"] == 49.0


def test_a_growing_compartment_dilutes(w, sbml):
    """dV/dt = 0.5; a constant amount of C thins out; a rate rule for [S] also has to fill the new volume."""
    path = sbml(
        Compartments=w.compartment(constant=False),
        Species=w.species("C", initialAmount="6", constant="true", boundaryCondition="true")
        + w.species("S", initialConcentration="3", boundaryCondition="true"),
        Parameters=w.parameter("p", 0.0, constant=False),
        Rules=w.rule("rate", "V", "0.5") + w.rule("rate", "S", "0.25") + w.rule("rate", "p", "C"),
    )
    found = values(path, V=4.0, S=12.0)

    assert (found["V", "start"], found["S", "start"]) == (2.0, 6.0)
    assert found["p", "derivative"] == 6.0 / 4.0
    # V d[S]/dt + [S] dV/dt = 4 * 0.25 + 3 * 0.5.
    assert found["S", "derivative"] == 2.5


def test_local_parameters_hide_global_ones(w, sbml):
    path = sbml(
        Compartments=w.compartment(),
        Species=w.species("S", initialAmount="8"),
        Parameters=w.parameter("k", 100.0),
        Reactions=w.reaction("one", "k * S", "S", more='<localParameter id="k" value="3"/>')
        + w.reaction("two", "k * S", "S"),
    )
    found = values(path, S=4.0)

    assert (found["one", "value"], found["two", "value"]) == (6.0, 200.0)
    assert {"one_k", "k"} <= {n.name for n in read(path).thetas}


def test_function_definitions_are_written_out(w, sbml):
    """g calls f and is defined before it; an argument may have the name of a symbol."""
    path = sbml(
        FunctionDefinitions=w.function("f", "k, x", "k * x^2") + w.function("g", "t", "f(t, 3) + 1"),
        Parameters=w.parameter("k", 5.0) + w.parameter("p", 1.0, constant=False),
        Rules=w.rule("rate", "p", "g(k) + f(2, k)"),
    )

    assert values(path)["p", "derivative"] == 46.0 + 50.0


def test_time_and_a_parameter_called_t(w, sbml):
    path = sbml(
        Parameters=w.parameter("t", 5.0) + w.parameter("_x", 2.0) + w.parameter("p", 1.0, constant=False),
        Rules=w.rule("rate", "p", "t * time + _x"),
    )

    assert values(path, t=3.0)["p", "derivative"] == 17.0


def test_conversion_factors_and_stoichiometries_of_their_own(w, sbml):
    reaction = w.reaction("r", "k", "", "S").replace('stoichiometry="1"', 'id="n"').replace("true", "false", 1)
    path = sbml(
        model='id="own" conversionFactor="cf"',
        Compartments=w.compartment(),
        Species=w.species("S", initialAmount="8"),
        Parameters=w.parameter("k", 3.0) + w.parameter("cf", 10.0),
        InitialAssignments=w.initial("n", "2 + 0.5"),
        Reactions=reaction,
    )

    assert values(path)["S", "derivative"] == 75.0


def test_piecewise_and_logic(w, sbml):
    formula = "piecewise(1, p < 2, 2, p < 4 && !(p == 3), 3)"
    path = sbml(Parameters=w.parameter("p", 1.0, constant=False), Rules=w.rule("rate", "p", formula))

    assert [values(path, p=p)["p", "derivative"] for p in (1.0, 2.5, 3.0, 9.0)] == [1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("p + 2 + p + 2", 5.0), ("-p", -0.5), ("p * 2 * 3", 3.0), ("p / 4", 0.125), ("2^3", 8.0), ("sqrt(16)", 4.0),
        ("root(3, 27)", 3.0), ("ln(p)", math.log(0.5)), ("log10(1000)", 3.0), ("log(2, 8)", 3.0),
        ("exp(p)", math.exp(0.5)),
        ("abs(-p)", 0.5), ("floor(2.7)", 2.0), ("ceil(2.2)", 3.0), ("factorial(4)", 24.0),
        ("pi", math.pi),
        ("exponentiale", math.e), ("avogadro / 6.02214179e23", 1.0), ("sin(p)", math.sin(0.5)),
        ("sec(p)", 1 / math.cos(0.5)),
        ("csc(p)", 1 / math.sin(0.5)), ("cot(p)", 1 / math.tan(0.5)), ("arcsin(p)", math.asin(0.5)),
        ("arccot(p)", math.atan(2.0)), ("arcsec(2)", math.acos(0.5)), ("sinh(p)", math.sinh(0.5)),
        ("sech(p)", 1 / math.cosh(0.5)), ("coth(p)", 1 / math.tanh(0.5)), ("arcsinh(p)", math.asinh(0.5)),
        ("arccosh(2)", math.acosh(2.0)), ("arctanh(p)", math.atanh(0.5)), ("arccoth(2)", math.atanh(0.5)),
        ("arcsech(p)", math.acosh(2.0)), ("arccsch(p)", math.asinh(2.0)), ("1e-3 * 1000", 1.0) ],
)  # fmt: skip
def test_functions(w, sbml, formula, value):
    path = sbml(Parameters=w.parameter("p", 1.0, constant=False), Rules=w.rule("rate", "p", formula))

    assert values(path, p=0.5)["p", "derivative"] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("p < 1 && p > 0", 1.0),
        ("p < 0 || p > 1", 0.0),
        ("xor(p > 0, p > 1, p > 2)", 1.0),
        ("xor(p > 0, p > 0)", 0.0),
        ("p != p", 0.0),
        ("lt(0, p, 1)", 1.0),
        ("true", 1.0),
        ("!false && p >= 0.5 && p <= 0.5 && p == 0.5", 1.0),
    ],
)
def test_conditions(w, sbml, condition, value):
    formula = f"piecewise(1, {condition}, 0)"
    path = sbml(Parameters=w.parameter("p", 1.0, constant=False), Rules=w.rule("rate", "p", formula))

    assert values(path, p=0.5)["p", "derivative"] == value


def test_a_sum_of_a_thousand_terms_is_not_deep(w, sbml):
    path = sbml(Parameters=w.parameter("p", 1.0, constant=False), Rules=w.rule("rate", "p", "+".join(["p"] * 1000)))

    assert values(path, p=0.5)["p", "derivative"] == 500.0


def test_level_1_formulas(tmp_path, w):
    """An infix formula, in which log is the natural one; a compartment without a size has the size 1."""
    path = tmp_path / "own.xml"
    path.write_text(
        '<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="2"><model name="m"><listOfCompartments>'
        '<compartment name="c"/></listOfCompartments><listOfSpecies><species name="s" compartment="c" '
        'initialAmount="7"/></listOfSpecies><listOfReactions><reaction name="r"><listOfReactants><speciesReference '
        'species="s" stoichiometry="2"/></listOfReactants><kineticLaw formula="log(s) * pow(s, 2)"/></reaction>'
        "</listOfReactions></model></sbml>"
    )
    found = values(path, s=3.0)

    assert found["s", "start"] == 7.0
    assert found["s", "derivative"] == pytest.approx(-2.0 * math.log(3.0) * 9.0)


def test_a_model_of_models_is_one_model(tmp_path, w):
    """Two of one part: what is called p there is a__p and b__p here."""
    core = "http://www.sbml.org/sbml/level3/version1"
    part = w.parameter("p", 1.0, constant=False)
    rule = w.rule("rate", "p", "-2 * p")
    path = tmp_path / "own.xml"
    path.write_text(
        f'<sbml xmlns="{core}/core" level="3" version="1" xmlns:comp="{core}/comp/version1" comp:required="true">'
        '<model id="m"><comp:listOfSubmodels><comp:submodel comp:id="a" comp:modelRef="one"/>'
        '<comp:submodel comp:id="b" comp:modelRef="one"/></comp:listOfSubmodels></model><comp:listOfModelDefinitions>'
        f'<comp:modelDefinition id="one"><listOfParameters>{part}</listOfParameters><listOfRules>{rule}</listOfRules>'
        "</comp:modelDefinition></comp:listOfModelDefinitions></sbml>"
    )

    assert read(path).compartments == ("a__p", "b__p")
    assert values(path, a__p=3.0)["a__p", "derivative"] == -6.0


def unit(name: str, kind: str, *, scale: int = 0, multiplier: float = 1.0) -> str:
    part = f'<unit kind="{kind}" exponent="1" scale="{scale}" multiplier="{multiplier}"/>'
    return f'<unitDefinition id="{name}"><listOfUnits>{part}</listOfUnits></unitDefinition>'


def test_declared_units_are_read(w, sbml):
    path = sbml(
        model='id="own" timeUnits="hour" substanceUnits="nM_L" volumeUnits="litre"',
        UnitDefinitions=unit("hour", "second", multiplier=3600) + unit("nM_L", "mole", scale=-9),
        Parameters=w.parameter("p", 1.0, constant=False, units='units="hour" '),
        Rules=w.rule("rate", "p", "p"),
    )
    found = read(path)

    assert dict(found.units) == {"time": "h", "dose": "nmol", "concentration": "nmol/L"}
    assert found.outputs[0].unit == "h"


def test_outputs_are_what_changes_in_units_that_have_a_name(w, sbml):
    """Of four rules: one of constants, one in a unit without a name, one of a state, one of the time."""
    flow = '<unitDefinition id="flow"><listOfUnits><unit kind="litre" exponent="1" scale="0" multiplier="1"/>'
    flow += '<unit kind="second" exponent="-1" scale="0" multiplier="1"/></listOfUnits></unitDefinition>'
    rules = {"still": "2 * k", "flowing": "p * k", "effect": "p / 2", "clock": "time"}
    units = {"flowing": 'units="flow" ', "clock": 'units="second" '}
    path = sbml(
        UnitDefinitions=flow,
        Parameters=w.parameter("p", 1.0, constant=False)
        + w.parameter("k", 3.0)
        + "".join(w.parameter(name, None, constant=False, units=units.get(name, "")) for name in rules),
        Rules=w.rule("rate", "p", "-k") + "".join(w.rule("assignment", name, rule) for name, rule in rules.items()),
    )
    found = read(path)

    assert [(o.name, o.unit) for o in found.outputs] == [("p", ""), ("effect", ""), ("clock", "s")]
    assert "no outputs, because of their units, are flowing (flow)" in found.remarks


@pytest.mark.parametrize(
    ("kind", "scale", "multiplier", "words"),
    [
        ("mole", -3, 1.0, "mmol"),
        ("mole", 0, 1e-6, "umol"),
        ("kilogram", -6, 1.0, "mg"),
        ("gram", 0, 1e-3, "mg"),
        ("gram", 0, 180.0, ""),
        ("item", 0, 1.0, ""),
    ],
)
def test_units_by_scale_or_multiplier(w, sbml, kind, scale, multiplier, words):
    path = sbml(
        model='id="own" substanceUnits="u"',
        UnitDefinitions=unit("u", kind, scale=scale, multiplier=multiplier),
        Parameters=w.parameter("p", 1.0, constant=False),
        Rules=w.rule("rate", "p", "p"),
    )

    assert read(path).units.get("dose", "") == words


def test_units_that_are_not_declared_are_asked_for(w, sbml):
    path = sbml(Parameters=w.parameter("p", 1.0, constant=False), Rules=w.rule("rate", "p", "-p"))

    assert dict(read(path).units) == {}
    with pytest.raises(ReadError, match="does not say 3 things"):
        drug_model(read(path))


@pytest.fixture
def pkpd(w, sbml):
    """A drug in two compartments that inhibits the production of a response; nothing that this package has."""
    return sbml(
        model='id="own" timeUnits="hour" substanceUnits="mg" volumeUnits="litre"',
        UnitDefinitions=unit("hour", "second", multiplier=3600) + unit("mg", "gram", scale=-3),
        Compartments=w.compartment("Vc", 12.0) + w.compartment("Vp", 30.0) + w.compartment("body", 1.0),
        Species=w.species("D", "Vc", initialAmount="0") + w.species("P", "Vp", initialAmount="0")
        + w.species("R", "body", initialConcentration="0", hasOnlySubstanceUnits="true"),
        Parameters=w.parameter("CL", 3.0) + w.parameter("Q", 5.0) + w.parameter("kin", 10.0) + w.parameter("kout", 0.2)
        + w.parameter("IC50", 1.5),
        InitialAssignments=w.initial("R", "kin / kout"),
        Reactions=w.reaction("out", "CL * D", "D") + w.reaction("across", "Q * (D - P)", "D", "P")
        + w.reaction("made", "kin * (1 - D / (IC50 + D))", "", "R", reads="D") + w.reaction("lost", "kout * R", "R"),
    )  # fmt: skip


@pytest.mark.long
def test_a_model_runs_in_the_engine(pkpd):
    """Two doses, against scipy's integration of equations that are written here a second time."""
    drug = drug_model(read(pkpd), Sidecar(units=Units(), outputs={"R": OutputWords(unit="1")}))

    def slope(_, y):
        d, p = y[0] / 12.0, y[1] / 30.0
        flow = 5.0 * (d - p)
        return [-3.0 * d - flow, flow, 10.0 * (1.0 - d / (1.5 + d)) - 0.2 * y[2]]

    times = np.array([1.0, 6.0, 11.9, 13.0, 20.0, 40.0])
    y, rows, at = np.array([100.0, 0.0, 50.0]), [], 0.0
    for begin, end in ((0.0, 12.0), (12.0, 48.0)):
        inside = times[(times > begin) & (times < end)]
        found = scipy.integrate.solve_ivp(slope, (begin, end), y, t_eval=[*inside, end], rtol=1e-10, atol=1e-12)
        rows += list(found.y[:, :-1].T)
        y, at = found.y[:, -1] + [100.0, 0.0, 0.0], end
    assert at == 48.0
    with jax.enable_x64(True):
        regimen = make_regimen(
            every(Dose(0.0, 100.0, compartment=drug.dosing.routes[0].compartment), 12.0, 2), drug.structure
        )
        ours = np.asarray(predict(drug, regimen, no_covariates(), jnp.asarray(times)))
    names = [output.name for output in drug.outputs]

    np.testing.assert_allclose(ours[:, names.index("D")], np.array(rows)[:, 0] / 12.0, rtol=1e-6)
    np.testing.assert_allclose(ours[:, names.index("R")], np.array(rows)[:, 2], rtol=1e-6)


def test_without_libsbml_the_extra_is_named(pkpd, monkeypatch):
    monkeypatch.setitem(sys.modules, "libsbml", None)

    with pytest.raises(ReadError, match=r"install the extra 'sbml'"):
        read(pkpd)

"""Drug and scenario files of the user's whose parts or functions are wrong: refused before anything runs.

Each case changes one line of the starting files that ``new`` writes.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.clinic.ward import Clock
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError, in_one_line
from rl_drug_dosage.pkpd import Covariate, Derived, Fixed, Param, Residual

SCENARIO = rldd.load_scenario("vancomycin")
CLEARANCE = 'theta["cl"] * (covariates["crcl_ml_per_min"] / 100.0) ** theta["crcl_on_cl"]'
VALUE = 'meaning="mine in serum"'
SLOPES = 'return {"central": -eliminated - moved, "peripheral1": moved}'
WEIGHT = "Normal(75.0, 15.0)"
MATRIX = "LinearSystem(('central', 'peripheral1'), lambda p: {answer}, ('cl', 'v1', 'q2', 'v2'))"
LENGTHS = (
    ("4.0 + 1j", "complex numbers"),
    ("jnp.zeros(2)", "an array of shape (2,)"),
    ("None", "nothing"),
    ("'4'", "the text '4'"),
)
TINY = (
    "--total-timesteps",
    "128",
    "--num-envs",
    "2",
    "--num-steps",
    "32",
    "--num-minibatches",
    "2",
    "--eval-freq",
    "0",
)


def changed(path, before, after):
    text = Path(path).read_text()
    assert before in text
    Path(path).write_text(text.replace(before, after, 1))


def refused(found, *said):
    assert found.code == 2, found
    assert len(found.err.strip().splitlines()) == 1, found.err
    for words in said:
        assert words in found.err


DRUGS = {
    **{
        f"a parameter that is {came}": (CLEARANCE, answer, f"parameters, 'cl', gives {came}; allowed: one real number")
        for answer, came in LENGTHS
    },
    "a clearance below 0": (
        CLEARANCE,
        f"-{CLEARANCE}",
        "parameters gives cl = -4 for the typical patient; allowed: above 0",
    ),
    "parameters of one argument": (
        "def parameters(theta, covariates):",
        "def parameters(theta, covariates={}, *, unit):",
        "parameters cannot be called with thetas, covariates: missing a required",
    ),
    "a usual dose that is no number": ("usual_dose_mg=700.0", "usual_dose_mg=jnp.nan", "dosing.usual_dose_mg is nan"),
    "a parameter that is nan": (CLEARANCE, "jnp.nan", "parameters gives cl = nan for the typical patient"),
    "parameters that are nothing": (
        "    return {",
        "    return None\n    {",
        "parameters gives nothing; allowed: a mapping",
    ),
    "a finish that gives nothing": (
        "    parameters=parameters,",
        "    parameters=parameters, finish=lambda p, c: None,",
        "finish gives nothing",
    ),
    **{
        f"an output that is {came}": (
            VALUE,
            f"value=lambda state, p: {answer}, {VALUE}",
            f"outputs[0].value of 'concentration' gives {came}",
        )
        for answer, came in (*LENGTHS, ("jnp.nan", "nan with the usual dose in every compartment"))
    },
    "an output of no compartment": (
        VALUE,
        f"value=lambda state, p: state['deep'], {VALUE}",
        "outputs[0].value of 'concentration' reads 'deep', which nothing is called; allowed: central, peripheral1",
    ),
    **{
        f"a matrix that is {came}": ("Mammillary(peripherals=1)", MATRIX.format(answer=answer), f"matrix gives {came}")
        for answer, came in (
            ("None", "nothing"),
            ("jnp.zeros(3)", "an array of shape (3,)"),
            ("jnp.full((2, 2), jnp.nan)", "nan"),
        )
    },
    "a weight drawn as a text": (
        WEIGHT,
        "Derived(lambda drawn: 'x')",
        "distribution.function of 'wt_kg' gives the text 'x'",
    ),
    "a weight drawn around nan": (
        WEIGHT,
        "Normal(lambda drawn: jnp.nan, 1.0)",
        "distribution.mean of 'wt_kg' gives nan",
    ),
    "a weight drawn from one that comes later": (
        WEIGHT,
        "Derived(lambda drawn: drawn['age_y'])",
        "distribution.function of 'wt_kg' reads 'age_y', which nothing is called; allowed: crcl_ml_per_min",
    ),
    "a clearance of creatinine in mg/L": ('unit="mL/min"', 'unit="mg/L"', "'mg/L'; allowed: mL/min or mL/min/1.73m2"),
    "a weight in cm": (
        'unit="kg"',
        'unit="cm"',
        "unit of covariate 'wt_kg' (column WT) is 'cm'; allowed: kg or g or lb",
    ),
    "an additive error in another unit": (
        'Param(0.5, "mg/L"',
        'Param(0.5, "ug/L"',
        "outputs[0].residual.additive.unit is 'ug/L'; allowed: mg/L, the output's",
    ),
    "a proportional error with a dimension": (
        'Param(15.0, "%"',
        'Param(15.0, "mg/L"',
        "outputs[0].residual.proportional.unit is 'mg/L'; allowed: %, 1",
    ),
    "a concentration that is not converted": (
        '"concentration",\n            "mg/L"',
        '"concentration",\n            "ug/L"',
        "outputs[0].unit is 'ug/L', and its value is the central concentration in mg/L; allowed: mg/L",
    ),
    "a concentration in kg": (
        '"concentration",\n            "mg/L"',
        '"concentration",\n            "kg"',
        "outputs[0].unit is 'kg'; allowed: mg/L, as concentration has",
    ),
    "an area that is not converted": (VALUE, f"auc_scale=1000.0, {VALUE}", "outputs[0].auc_scale is 1000"),
    "a target in another unit": (
        '8.0, 15.0, "mg/L"',
        '8.0, 15.0, "mg h/L"',
        "targets[0].unit is 'mg h/L', of the trough",
    ),
    "an error of no kind": ('"combined2"', '"combined3"', "residual error: kind is 'combined3'; allowed: additive"),
    "a target on no metric": ('"trough"', '"through"', "metric is 'through'; allowed: trough"),
    "a number that is a text": ("Param(4.0,", 'Param("4.0",', "thetas.cl.value is '4.0'; allowed: a finite number"),
    "a number that is complex": ("Param(4.0,", "Param(4j,", "thetas.cl.value is 4j; allowed: a finite number"),
    "two covariates of one name": (
        'name="wt_kg"',
        'name="crcl_ml_per_min"',
        "covariates[1].name is 'crcl_ml_per_min', and so is covariates[0].name; allowed: each name once",
    ),
    "two covariates of one column": ('column="CRCL"', 'column="WT"', "(column WT) is 'mL/min'; allowed: kg"),
    "a range upside down": (
        "low=20.0",
        "low=200.0",
        "low of covariate 'crcl_ml_per_min' is 200 mL/min, above its high, 150",
    ),
    "a typical value beyond its range": ("typical=100.0", "typical=160.0", "is 160; allowed: from 20 to 150 mL/min"),
}


@pytest.mark.parametrize("fault", DRUGS)
def test_a_drug_file_is_refused_at_every_door(run, fault):
    before, after, said = DRUGS[fault]
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    changed("mine.py", before, after)
    changed("mine.py", "    Covariate,", "    Covariate,\n    Derived,\n    LinearSystem,")
    changed("mine.py", "SOURCE =", "import jax.numpy as jnp\n\nSOURCE =")
    doors = [
        ("simulate", "--drug", "./mine.py", "--patients", "2", "--output-dir", "out"),
        ("check", "./mine.py"),
        ("benchmark", "--scenario", "task.toml", "--policy", "label", "--patients", "2", "--output-dir", "out"),
        ("benchmark", "--scenario", "vancomycin", "--simulator", "./mine.py", "--patients", "2"),
        ("train", "--scenario", "task.toml", *TINY),
        ("estimate", "--drug", "./mine.py", "--data", "mine.py"),
    ]

    for door in doors:
        refused(run(*door), "mine.py", said)
    with pytest.raises(RlDrugDosageError, match=r"mine\.py"):
        rldd.load_drug("./mine.py")
    assert {path.name for path in Path().iterdir()} <= {"mine.py", "task.toml", "__pycache__"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return None", "structure.rhs gives nothing; allowed: a mapping from names to numbers"),
        ("return moved, moved", "structure.rhs gives an array of shape (2,)"),
        ("return {'central': moved}", "structure.rhs gives no 'peripheral1'; allowed: all of central, peripheral1"),
        (
            "return {'central': moved, 'peripheral1': moved, 'deep': moved}",
            "structure.rhs gives 'deep'; allowed: central",
        ),
        ("return {'central': moved, 'peripheral1': None}", "structure.rhs, 'peripheral1', gives nothing"),
        ("return {'central': moved, 'peripheral1': [moved]}", "'peripheral1', gives an array of shape (1,)"),
        ("return {'central': moved, 'peripheral1': 1j * moved}", "'peripheral1', gives complex numbers"),
        ("return {'central': moved, 'peripheral1': moved / 0.0}", "structure.rhs gives inf for 'peripheral1'"),
        ("return {'central': moved, 'peripheral1': x['deep']}", "structure reads 'deep', which nothing is called"),
    ],
)
def test_equations_that_give_something_else_are_refused(run, answer, said):
    assert run("new", "drug", "mine", "--ode").code == 0
    changed("mine.py", SLOPES, answer)
    for door in (("simulate", "--drug"), ("check",)):
        refused(run(*door, "./mine.py"), "mine.py", said)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("None", "structure.start gives nothing"),
        ("{'cntral': 1.0}", "structure.start gives 'cntral'; allowed: central, peripheral1"),
        ("{'central': [1.0, 2.0]}", "structure.start, 'central', gives an array of shape (2,)"),
    ],
)
def test_a_start_that_gives_something_else_is_refused(run, start, said):
    assert run("new", "drug", "mine", "--ode").code == 0
    changed("mine.py", "        rhs=rhs,", f"        rhs=rhs,\n        start=lambda p: {start},")
    refused(run("simulate", "--drug", "./mine.py"), "mine.py", said)


FUNCTIONS = {
    ("label", 'label = "usual"'): [
        *((answer, f"label gives {came}; allowed: one real number") for answer, came in LENGTHS),
        ("jnp.nan", "label gives nan mg for the typical patient at admission; allowed: from 0 to 2000 mg"),
        ("-1e6", "label gives -1e+06 mg for the typical patient"),
        ("1e6", "label gives 1e+06 mg for the typical patient"),
        ("given['weight']", "label reads 'weight', which nothing is called; allowed: crcl_ml_per_min, wt_kg"),
        ("jnp.where(given['wt_kg'] > 149, jnp.nan, 700.0)", "label gives nan mg for wt_kg = 150 kg at admission"),
    ],
    ("reward", 'reward = "goal"'): [
        (answer, f"reward gives {came}; allowed: one real number for an interval") for answer, came in LENGTHS
    ],
}


@pytest.mark.parametrize(
    ("key", "line", "answer", "said"),
    [(*key, answer, said) for key, answers in FUNCTIONS.items() for answer, said in answers],
)
def test_a_function_of_a_scenario_is_refused_at_every_door(run, key, line, answer, said):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("own.py").write_text(f"import jax.numpy as jnp\n\n\ndef f(given, record=None):\n    return {answer}\n")
    changed("task.toml", line, f'{key} = "own.py:f"')
    doors = [
        ("benchmark", "--scenario", "task.toml", "--policy", "fixed:500", "--patients", "2"),
        ("train", "--scenario", "task.toml", *TINY),
        ("check", "task.toml"),
    ]

    for door in doors:
        refused(run(*door), "task.toml", said)
    with pytest.raises(ConfigError, match=r"task\.toml"):
        rldd.load_scenario("task.toml")
    assert not Path("runs").exists()
    assert not Path("benchmark-task").exists()


def test_a_label_that_is_no_number_for_some_patients_is_told_by_the_trial(run):
    """Neither the typical patient nor an end of a range shows it."""
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    where = "(facts['wt_kg'] > 80) & (facts['wt_kg'] < 120)"
    Path("own.py").write_text(
        f"import jax.numpy as jnp\n\n\ndef f(facts, record):\n    return jnp.where({where}, jnp.nan, 700.0)\n"
    )
    changed("task.toml", 'label = "usual"', 'label = "own.py:f"')

    found = run("benchmark", "--scenario", "task.toml", "--policy", "label", "--patients", "20")
    refused(found, "task.toml: label gives nan mg at ", "of 280 decisions, first for patient ", "wt_kg = ")
    assert not Path("benchmark-task").exists()


def nothing(*_):
    return None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": nothing}, "label gives nothing"),
        ({"label": lambda facts, record: facts["wt_kg"] * jnp.nan}, "label gives nan mg for the typical patient"),
        ({"reward": nothing}, "reward gives nothing"),
        ({"reward": lambda: 1.0}, "reward cannot be called with judged: too many positional arguments"),
        ({"label": 500.0}, "label cannot be called with covariates, record: 500.0 is not a callable object"),
        ({"reward": lambda judged: judged.metrics[0]}, r"reward gives an array of shape \(1,\)"),
        ({"clocks": (Clock("time_h", nothing),)}, r"clocks\[0\].value of 'time_h' gives nothing"),
        (
            {"clocks": (Clock("time_h", lambda h: 3.0),)},
            r"clocks\[0\].value of 'time_h' gives one number; allowed: real",
        ),
        (
            {"reward": lambda judged: judged.values["inr"][-1]},
            "reward reads 'inr', which nothing is called; allowed: conc",
        ),
        ({"elsewhere": {"wt_kg": Derived(nothing)}}, "elsewhere.function of 'wt_kg' gives nothing"),
        (
            {"covariates": (*SCENARIO.covariates, SCENARIO.covariates[0])},
            r"covariates\[3\].name is .*, and so is covariates\[0\].name",
        ),
        (
            {
                "monitoring": dataclasses.replace(
                    SCENARIO.monitoring, error=Residual("additive", Param(1.0, "ug/L", "invented", "sd"))
                )
            },
            "monitoring.error.additive.unit is 'ug/L', and allowed is mg/L",
        ),
    ],
)
def test_a_scenario_in_python_is_refused_alike(change, said):
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(SCENARIO, **change)


def test_a_function_is_asked_outside_of_what_is_being_traced():
    """A scenario that is made under `jax.jit` is held to the same."""

    def traced(x):
        with pytest.raises(ConfigError, match="label gives nan"):
            dataclasses.replace(SCENARIO, label=lambda facts, record: facts["wt_kg"] * jnp.nan)
        return x

    jax.jit(traced)(1.0)


@pytest.mark.parametrize(
    ("column", "unit", "fits"),
    [
        ("CRCL", "L/h", True),
        ("CRCL", "mL/min/kg", True),
        ("CRCL", "0/1", True),
        ("CRCL", "furlongs", True),
        ("CRCL", "mL", False),
        ("SCR", "mmol/L", True),
        ("SCR", "mL/min", False),
        ("WEIGHT", "lb", True),
        ("WEIGHT", "1", False),
        ("AGE", "weeks", True),
        ("AGE", "kg", False),
        ("HCT", "1", True),
        ("HCT", "g/L", False),
        ("X", "g/L", True),
    ],
)
def test_units_of_quantities(column, unit, fits):
    """A unit that is not known here, and a category, may be of any quantity; a known one has its dimension."""

    def make():
        return Covariate("it", unit, 1.0, 1.0, 1.0, "invented", "invented", Fixed(1.0), column, possible=(0.0, 1e9))

    if fits:
        make()
    else:
        with pytest.raises(RlDrugDosageError, match=f"is '{unit}'; allowed: "):
            make()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('label = "usual"', 'label = "usuall"', "unknown label 'usuall': did you mean 'usual'?"),
        ('reward = "goal"', 'reward = "gaol"', "task.toml: unknown reward 'gaol': did you mean 'goal'?"),
        ('drug = "mine.py"', 'drug = "minee"', "task.toml: unknown drug 'minee': known: "),
        ("# [shield]\n# factor = 2", "[shield]\nfacter = 2", "unknown key in [shield] of task.toml: 'facter': did you"),
        ("# [shield]\n# factor = 2", '[shield]\nfactor = "x"', "task.toml: [shield] factor must be a number, not 'x'"),
        ("[schedule]", "shield = 3\n[schedule]", "task.toml: [shield] must be a table, not 3"),
        ('harms]]\nname = "above 15 mg/L"', "harms]]\nname = 3", "[[goal.harms]] number 1 name must be a text"),
        ("# [cohort]\n", "[cohort.wt_kg]\ntypical = 500\n", "of 'wt_kg' is 500; allowed: from 40 to 150 kg"),
    ],
)
def test_what_a_scenario_file_is_told(run, before, after, said):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    changed("task.toml", before, after)
    refused(run("check", "task.toml"), said)


@pytest.mark.parametrize(
    ("given", "near"), [("warfrin", "warfarin"), ("vanco", "vancomycin"), ("aspirin", ""), ("heparin", ""), ("ppo", "")]
)
def test_a_suggestion_is_near(given, near):
    known = ("chemotherapy", "propofol", "proportional", "vancomycin", "warfarin")
    said = str(UnknownNameError("scenario", given, known))
    assert (f"did you mean {near!r}?" if near else "'" + given + "': known") in said


def test_an_error_in_a_traced_function_is_told_without_advice_for_jax():
    def fails(x):
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom") as caught:
        jax.jit(jax.vmap(fails))(jnp.zeros(2))
    assert in_one_line(caught.value) == "ValueError: boom"


def test_a_start_from_a_model_of_a_changed_drug_file_has_to_be_accepted(run):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    train = ("train", "--scenario", "task.toml", *TINY, "--run-name")
    assert run(*train, "a").code == 0
    assert run(*train, "same", "--init-from", "runs/a").code == 0
    changed("mine.py", "Param(4.0,", "Param(5.0,")

    refused(run(*train, "b", "--init-from", "runs/a"), "runs/a", "mine.py has changed since", "--accept-changed")
    assert not Path("runs/b").exists()
    assert run(*train, "c", "--init-from", "runs/a", "--accept-changed").code == 0

"""Drug and scenario files of the user's whose parts or functions are wrong: refused before anything runs.

Each case changes one line of the starting files that ``new`` writes.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.clinic.events import Clock
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
    "an error of no kind": ('"combined2"', '"combined3"', "Residual: kind is 'combined3'; allowed: additive"),
    "a target on no metric": ('"trough"', '"through"', "metric is 'through'; allowed: trough"),
    "a number that is a text": ("Param(4.0,", 'Param("4.0",', "Param: value is '4.0'; allowed: a number"),
    "a number that is complex": ("Param(4.0,", "Param(4j,", "Param: value is 4j; allowed: a number"),
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
    "a weight drawn with an sd below 0": (
        WEIGHT,
        "Normal(75.0, -15.0)",
        "Normal: sd is -15; allowed: a number above 0",
    ),
    "a weight drawn far from its range": (
        WEIGHT,
        "Normal(8000.0, 15.0)",
        "covariates[1].distribution of 'wt_kg' is a Normal with mean = 8000, sd = 15; allowed: at least 0.1% of it",
    ),
    "a weight drawn with an sd below 0 given others": (
        WEIGHT,
        "Normal(75.0, lambda drawn: -0.15 * drawn['crcl_ml_per_min'])",
        "distribution of 'wt_kg' gives for typical patients a Normal: sd is -15; allowed: a number above 0",
    ),
    "a weight drawn far from its range given others": (
        WEIGHT,
        "Normal(lambda drawn: 80.0 * drawn['crcl_ml_per_min'], 15.0)",
        "'wt_kg' is a Normal with mean = 8000, sd = 15; allowed: at least 0.1% of it from 40 to 150 kg",
    ),
    "a weight drawn between edges upside down": (
        WEIGHT,
        "Uniform(90.0, 60.0)",
        "Uniform: low is 90, and high is 60; allowed: low below high",
    ),
    "a weight drawn between edges beyond its range": (
        WEIGHT,
        "Uniform(200.0, 300.0)",
        "'wt_kg' is a Uniform with low = 200, high = 300; allowed: some of it from 40 to 150 kg",
    ),
    "a weight drawn with a log-scale sd in percent": (
        WEIGHT,
        "LogNormal(75.0, 40.0)",
        "LogNormal: log_sd is 40; allowed: a number above 0, at most 3",
    ),
    "a weight drawn around a median below 0": (
        WEIGHT,
        "LogNormal(-90.0, 0.4)",
        "LogNormal: median is -90; allowed: a number above 0",
    ),
    "a weight drawn far from its range on the log scale": (
        WEIGHT,
        "LogNormal(75000.0, 0.4)",
        "'wt_kg' is a LogNormal with median = 75000, log_sd = 0.4; allowed: at least 0.1%",
    ),
    "categories with a probability below 0": (
        WEIGHT,
        "Categorical((60.0, 90.0), (1.5, -0.5))",
        "Categorical: probabilities[0] is 1.5; allowed: from 0 to 1",
    ),
    "categories whose probabilities are not whole": (
        WEIGHT,
        "Categorical((60.0, 90.0), (0.5, 0.6))",
        "give one for each, adding up to 1",
    ),
    "a category beyond the range": (
        WEIGHT,
        "Categorical((60.0, 900.0), (0.5, 0.5))",
        "'wt_kg' is a Categorical with the value 900; allowed: values from 40 to 150 kg",
    ),
    "a covariate in the column of levels": (
        'column="WT"',
        'column="dv"',
        "column of covariate 'wt_kg' is 'dv', a column that data files have for something else; allowed: any but ADDL",
    ),
    "a covariate called as a column that is written": ('column="WT"', 'column="IPRED"', "allowed: any but ADDL"),
    "a usual dose above the grid": (
        "usual_dose_mg=700.0",
        "usual_dose_mg=7000.0",
        "dosing.usual_dose_mg is 7000.0; allowed: from 0 to 2000 mg",
    ),
    "a target upside down": (
        '8.0, 15.0, "mg/L"',
        '15.0, 8.0, "mg/L"',
        "targets[0].low is 15.0, and high is 8.0 mg/L; allowed: finite edges, the lower one first",
    ),
    "a target without an edge": (
        '8.0, 15.0, "mg/L"',
        'None, None, "mg/L"',
        "target on 'concentration': low and high are None; allowed: an edge",
    ),
    "a target whose edge is a text": (
        '8.0, 15.0, "mg/L"',
        '"8", 15.0, "mg/L"',
        "Target 'concentration': low is '8'; allowed: a number or None",
    ),
    "an eta below 0": ('Param(30.0, "%"', 'Param(-30.0, "%"', "eta on 'cl': size is -30 %; allowed: above 0"),
    "an error below 0": (
        'Param(15.0, "%"',
        'Param(-15.0, "%"',
        "residual error 'combined2': proportional is -15 %; allowed: at least 0",
    ),
    "a theta that is a bare number": (
        '"q": Param(',
        '"q": 3.0, "q_not": Param(',
        "thetas['q'] is 3.0; allowed: a Param",
    ),
    "limits of use that are a text": (
        'limits_of_use=("invented numbers: not for any patient",)',
        'limits_of_use=("invented numbers: not for any patient")',
        "limits_of_use is 'invented numbers: not for any patient'; allowed: a tuple of texts",
    ),
    "a field that there is not": (
        'column="WT"',
        'colum="WT"',
        "unknown field of Covariate 'colum': did you mean 'column'?",
    ),
    "a typical value beyond its range": ("typical=100.0", "typical=160.0", "is 160; allowed: from 20 to 150 mL/min"),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", DRUGS)
def test_a_drug_file_is_refused_at_every_door(run, fault):
    before, after, said = DRUGS[fault]
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    changed("mine.py", before, after)
    changed(
        "mine.py", "    Covariate,", "    Categorical,\n    Covariate,\n    Derived,\n    LinearSystem,\n    Uniform,"
    )
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


@pytest.mark.long
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


@pytest.mark.long
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


NAN = """import jax.numpy as jnp


def mine(judged):
    return jnp.where(judged.interval == 1, jnp.nan, 0.0)
"""


@pytest.mark.long
def test_a_reward_that_is_no_number_later_on_is_named_by_train(run):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("own.py").write_text(NAN)
    changed("task.toml", 'reward = "goal"', 'reward = "own.py:mine"')

    found = run("train", "--scenario", "task.toml", *TINY)
    assert found.code == 3
    said = "the reward of the rollout is not finite (the function 'mine' of own.py, line 4)"
    assert said in found.err.strip().splitlines()[-1]


@pytest.mark.parametrize("body", ["1.0 if judged.amount > 3 else 0.0", "np.log(judged.amount)", "float(judged.amount)"])
def test_a_function_that_looks_at_a_traced_number_is_told_what_to_use(run, body):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("own.py").write_text(f"import numpy as np\n\n\ndef mine(judged):\n    return {body}\n")
    changed("task.toml", 'reward = "goal"', 'reward = "own.py:mine"')

    found = run("check", "task.toml")
    refused(found, "own.py", "use jax.numpy and jnp.where in place of numpy and if")
    assert "VmapTracer" not in found.err
    assert "DynamicJaxprTracer" not in found.err


def test_parameters_that_look_at_a_covariate_are_told_what_to_use(run):
    assert run("new", "drug", "mine").code == 0
    changed("mine.py", CLEARANCE, f"{CLEARANCE} if covariates['wt_kg'] > 3 else 4.0")
    found = run("simulate", "--drug", "./mine.py", "--patients", "2", "--output-dir", "out")
    refused(found, "mine.py", "use jax.numpy and jnp.where in place of numpy and if")
    assert "VmapTracer" not in found.err


def nothing(*_):
    return None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": nothing}, "label gives nothing"),
        ({"label": lambda facts, record: facts["wt_kg"] * jnp.nan}, "label gives nan mg for the typical patient"),
        ({"reward": nothing}, "reward gives nothing"),
        ({"reward": lambda: 1.0}, "reward cannot be called with judged: too many positional arguments"),
        ({"label": 500.0}, "label is 500.0; allowed: a function"),
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
        *(
            ("# [cohort]\n", f"[cohort]\nwt_kg = {{distribution = {{{drawn}}}}}\n", said)
            for drawn, said in (
                (
                    'kind = "uniform", low = 90, high = 60',
                    "[cohort.wt_kg] distribution: Uniform: low is 90, and high is 60",
                ),
                (
                    'kind = "uniform", low = 200, high = 300',
                    "'wt_kg' is a Uniform with low = 200, high = 300; allowed: some",
                ),
                ('kind = "normal", mean = 80, sd = -15', "Normal: sd is -15; allowed: a number above 0"),
                (
                    'kind = "normal", mean = 8000, sd = 15',
                    "'wt_kg' is a Normal with mean = 8000, sd = 15; allowed: at least",
                ),
                ('kind = "categorical", values = [60, 90], probabilities = [1.5, -0.5]', "probabilities[0] is 1.5"),
                (
                    'kind = "categorical", values = [6, 90], probabilities = [0.5, 0.5]',
                    "with the value 6; allowed: values",
                ),
                ('kind = "log-normal", median = 80, log_sd = 40', "log_sd is 40; allowed: a number above 0, at most 3"),
                ('kind = "log-normal", median = -90, log_sd = 0.4', "median is -90; allowed: a number above 0"),
            )
        ),
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


@pytest.mark.long
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

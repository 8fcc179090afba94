"""What Python code may hand in wrongly: an error of ours that names the argument, before anything is computed."""

import inspect
import math
from pathlib import Path

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.utils.arguments import checked, on_command_line
from rl_drug_dosage.utils.result import Result

DRUG, SCENARIO = "vancomycin-goti2018", "vancomycin"
MODEL = Path(__file__).parents[2] / "models" / "agent.pt"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rldd.simulate(DRUG, patients="10"), "patients must be a whole number, not '10'"),
        (lambda: rldd.simulate(DRUG, patients=True), "patients must be a whole number, not True"),
        (lambda: rldd.simulate(DRUG, patients=2.5), "patients must be a whole number, not 2.5"),
        (lambda: rldd.simulate(DRUG, dose_mg="1000"), "dose_mg must be a number, not '1000'"),
        (lambda: rldd.simulate(DRUG, covariates=["wt_kg"]), "covariates must be a mapping of names to numbers"),
        (lambda: rldd.simulate(DRUG, output_dir=3), "output_dir must be a path, not 3"),
        (lambda: rldd.simulate(DRUG, progress=3), "progress must be True, False or a callback"),
        (lambda: rldd.estimate(DRUG, None), "data must be a path, not None"),
        (lambda: rldd.benchmark(SCENARIO, policies=3), "policies must be a list, or a dict of names and references"),
        (lambda: rldd.benchmark(SCENARIO, stress="all"), "stress must be a list of texts, not 'all'"),
        (lambda: rldd.benchmark(SCENARIO, patients=True), "patients must be a whole number, not True"),
        (lambda: rldd.evaluate(None), "model_path must be a path, not None"),
        (lambda: rldd.explain("x.pt", seed="1"), "seed must be a whole number, not '1'"),
        (lambda: rldd.train(SCENARIO, decisions=1.5), "decisions must be a whole number, not 1.5"),
        (lambda: rldd.train(env_id="Nope-v0"), "env_id is given as the environment itself: train.'Nope-v0'"),
        (lambda: rldd.check_drug(DRUG, level="deep"), "level must be one of declared, quick, thorough, not 'deep'"),
        (lambda: rldd.load_policy("models/agent.pt").start({"a": 1}), "uses no covariates"),
        (lambda: rldd.export_onnx(None, "x.onnx"), "model must be a loaded model, a file or a folder, not None"),
    ],
)
def test_an_argument_of_another_type_is_refused_by_name(call, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        call()


def test_a_setting_that_training_does_not_have_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'num_envs'"):
        rldd.train(SCENARIO, num_env=3)


@pytest.mark.long
def test_numbers_of_numpy_are_numbers():
    simulated = rldd.simulate(DRUG, patients=np.int64(2), dose_mg=np.float32(500), days=1, progress=False)
    assert simulated.options.patients == 2


# What lets a call fail for its wrong argument, and before anything is computed.
CALLS = {
    "simulate": {"drug": DRUG, "patients": 0},
    "estimate": {"drug": DRUG, "data": "none.csv"},
    "dose": {"drug": DRUG, "data": "none.csv"},
    "validate_model": {"drugs": [DRUG], "data": "none.csv"},
    "train": {"env": "DrugDose-v0", "total_timesteps": -1},
    "sweep": {"params": {"gamma": "0.9..0.8"}},
    "compare": {"runs": ["none", "neither"]},
    "evaluate": {"model_path": "none.pt"},
    "benchmark": {"scenario": SCENARIO, "policies": ["label"], "patients": 0},
    "merge": {"parts": ["none"]},
    "explain": {"model_path": "none.pt"},
    "recommend": {"history": "none.toml"},
    "recommend_all": {"histories": "none.toml"},
    "load_policy": {"policy": "none", "scenario": SCENARIO},
    "import_model": {"file": "none.json5"},
    "own_model": {"name": "own", "structure": "1cmt iv", "thetas": {"cl": (1.0, "L/h")}},
    "load_drug": {"reference": DRUG},
    "load_scenario": {"reference": SCENARIO},
    "export_onnx": {"model": "none.pt", "path": "none.onnx"},
    "check_drug": {"drug": DRUG, "level": "declared"},
    "check_scenario": {"scenario": SCENARIO, "level": "declared"},
    "check_policy": {"policy": "none", "scenario": SCENARIO},
}
WRONG = (None, 3, "x", {}, math.nan, {1: 1}, [1], b"x", True, "", object())
FREE = {"policy", "model", "level", "interpolation", "posterior", "criterion", "pre_dose_level", "vpc_time", "options"}
"""Arguments whose own errors name what they are: of any class, or one of a few words."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name in CALLS
        for argument, p in inspect.signature(getattr(rldd, name)).parameters.items()
        if name not in {"train", "sweep"} or p.annotation.__class__ is str
    ],
)
def test_no_argument_of_another_type_ends_in_an_error_of_python(name, argument, tmp_path, monkeypatch):
    """Each value is refused by the argument's name, or the call goes on to what is wrong with it otherwise."""
    monkeypatch.chdir(tmp_path)
    function = getattr(rldd, name)
    said = []
    for value in WRONG:
        try:
            function(**CALLS[name] | {argument: value})
        except RlDrugDosageError as error:
            said.append(str(error))
    assert not any("\n" in text for text in said)
    assert sum(text.startswith(f"{argument} must be") for text in said) >= (0 if argument in FREE else 5)
    assert not list(tmp_path.iterdir())


def test_every_public_function_is_in_the_table():
    assert set(CALLS) == {n for n in rldd.__all__ if callable(getattr(rldd, n))}


def _results(tmp_path):
    (tmp_path / "levels.csv").write_text(
        "ID,TIME,EVID,AMT,RATE,DV,MDV,CRCL,WT,DIAL\n1,0,1,1000,500,.,1,80,75,0\n1,11,0,0,0,9.5,0,80,75,0\n"
    )
    yield rldd.simulate(DRUG, patients=2, days=1, progress=False)
    yield rldd.estimate(DRUG, tmp_path / "levels.csv", progress=False)
    yield rldd.evaluate(MODEL, progress=False)
    yield rldd.benchmark(SCENARIO, policies=["label"], patients=2, progress=False)


@pytest.mark.long
def test_results_refuse_what_is_no_folder(tmp_path):
    """Those that are quick to make; the others have the same decorator."""
    for result in _results(tmp_path):
        for value in (None, 3, {}, math.nan, ""):
            with pytest.raises(ConfigError, match="folder must be a path"):
                result.save(value)


def test_the_save_of_every_result_is_checked():
    import rl_drug_dosage.explain.explanation
    import rl_drug_dosage.pharmacometrics.across
    import rl_drug_dosage.pharmacometrics.dose_search
    import rl_drug_dosage.pharmacometrics.validation
    import rl_drug_dosage.training.compare.comparison
    import rl_drug_dosage.training.run_result
    import rl_drug_dosage.training.sweep.result  # noqa: F401 - defines a result

    kinds = [kind for kind in Result.__subclasses__() if kind.__module__.startswith("rl_drug_dosage.")]
    assert len(kinds) == 11
    assert all(hasattr(kind.save, "__wrapped__") for kind in kinds)


def test_a_course_refuses_what_is_no_number():
    bedside = rldd.load_policy("label", SCENARIO)
    person = {c.name: c.typical for c in bedside.scenario.covariates}
    for value in (None, 3, "x", math.nan, {1: 1}, [1], [None]):
        with pytest.raises(ConfigError, match="covariates must be a mapping of names to values, or a list"):
            bedside.start(value)
    for patients in (person, [person, person]):
        course = bedside.start(patients)
        for value in ("x", {}, {1: 1}, [1], True, object()):
            with pytest.raises(ConfigError, match="the time of a level is"):
                course.observe(value, 5)
            with pytest.raises(ConfigError, match=r"level .*: give"):
                course.observe(0, value)
            with pytest.raises(ConfigError, match=r"dose .*: give"):
                course.given(value)
            if not isinstance(value, dict) or value:
                with pytest.raises(ConfigError, match="covariates must be a mapping of names to values"):
                    course.update(value)
    with pytest.raises(ConfigError, match="update is for the course of one patient"):
        course.update(person)


def test_a_course_of_an_environment_refuses_what_is_no_number():
    policy = rldd.load_policy(MODEL)
    course = policy.start()
    for value in (None, "x", {}, math.nan, True, object(), [1, "x"]):
        with pytest.raises(ConfigError, match="an observation of DrugDose-v0 is a finite number"):
            course.observe(value)
        with pytest.raises(ConfigError, match="a dose for DrugDose-v0 is 1 finite number"):
            course.given(value)
    with pytest.raises(ConfigError, match="simulator is a drug model of a dosing scenario"):
        rldd.load_policy(MODEL, simulator=DRUG)
    with pytest.raises(ConfigError, match="seed must be from 0"):
        rldd.load_policy("label", SCENARIO, seed=-1)


@checked
def _speaks(
    text: str, *, patients: int = 1, dose_mg: float = 1.0, policies: str = "", scenario: str = "", yes: bool = True
):
    raise ConfigError(text)


@pytest.mark.parametrize(
    ("option", "argument"),
    [
        ("--patients must be from 1 to 9, not 0", "patients must be from 1 to 9, not 0"),
        ("try a lower --dose", "try a lower dose_mg"),
        ("give its file too (--scenario task.toml)", "give its file too (scenario='task.toml')"),
        ("give its file (--scenario FILE)", "give its file (scenario=FILE)"),
        ("accept it with --yes", "accept it with yes=True"),
        ("leave --yes out", "leave yes out"),
        ("label them, --policy a=PATH (in Python a dict)", "label them, --policy a=PATH (in Python a dict)"),
        ("see --help, and --other 3", "see --help, and --other 3"),
        ("use `rl-drug-dosage check p.py --scenario NAME`", "use `rl-drug-dosage check p.py --scenario NAME`"),
    ],
)
def test_python_reads_of_arguments_and_the_command_line_of_options(option, argument):
    with pytest.raises(ConfigError) as in_python:
        _speaks(option)
    assert str(in_python.value) == argument
    with on_command_line(), pytest.raises(ConfigError) as in_shell:
        _speaks(option)
    assert str(in_shell.value) == option

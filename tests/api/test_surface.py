"""What ``import rl_drug_dosage`` offers: light, typed, and with the defaults of the command line."""

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.training.config import NOT_SWEPT, RunOptions, TrainConfig, options_of
from rl_drug_dosage.training.settings import SweepSettings, TrainSettings

FRONT = {
    "simulate", "estimate", "dose", "train", "sweep", "compare", "evaluate", "benchmark", "explain",
    "load_policy", "load_drug", "load_scenario",
}  # fmt: skip


def test_every_function_of_the_front_door_is_there():
    assert set(rldd.__all__) >= FRONT
    assert all(callable(getattr(rldd, name)) for name in FRONT)
    assert set(dir(rldd)) >= set(rldd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        rldd.trian  # noqa: B018 - asking is the test


def test_all_and_the_imports_of_type_checkers_agree():
    """A name is public if a type checker sees it imported, and the other way round."""
    tree = ast.parse(Path(rldd.__file__).read_text())
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rl_drug_dosage."):
            imported |= {alias.asname or alias.name for alias in node.names}
    assert imported | {"__version__"} == set(rldd.__all__)
    assert set(rldd._LATER) <= set(rldd.__all__)


def test_importing_the_package_loads_nothing_heavy_and_help_is_quick_to_make():
    code = (
        "import sys, inspect, rl_drug_dosage as rldd\n"
        "[inspect.signature(getattr(rldd, n)) for n in ('simulate', 'train', 'evaluate', 'benchmark', 'explain')]\n"
        "loaded = [m for m in ('jax', 'matplotlib', 'rich', 'equinox') if m in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.long
def test_a_room_of_the_same_name_does_not_hide_the_function():
    """Even where the room is the first thing that is imported."""
    code = (
        "import rl_drug_dosage.explain.explanation\n"
        "import rl_drug_dosage as rldd\n"
        "from rl_drug_dosage.explain import ExplainOptions\n"
        "assert callable(rldd.explain), rldd.explain"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


COMMANDS = {
    "simulate": {
        "dose": "dose_mg",
        "interval": "interval_h",
        "duration": "duration_h",
        "sample_every": "sample_every_h",
        "covariate": "covariates",
    },
    "estimate": {},
    "dose": {
        "amounts": "amounts_mg",
        "intervals": "intervals_h",
        "route": "routes",
        "durations": "durations_h",
        "start": "start_h",
    },
    "validate_model": {"drug": "drugs"},
    "train": {"env_id": "env"},
    "sweep": {"env_id": "env", "param": "params"},
    "compare": {},
    "evaluate": {},
    "benchmark": {"policy": "policies"},
    "merge": {"policy": "policies"},
    "explain": {},
}  # fmt: skip
"""Command -> option -> what Python calls it, where the words differ."""
SHELL_ONLY = {"benchmark": {"minari", "profile"}, "train": {"ctx"}, "sweep": {"ctx"}}
PYTHON_ONLY = {"progress", "command"}
PLACE = {"output_dir"}
"""A command writes; in Python nothing is written unless a place is given."""


def _command(name: str) -> dict[str, inspect.Parameter]:
    module = __import__(f"rl_drug_dosage.commands.{name}", fromlist=["command"])
    return dict(inspect.signature(module.command).parameters)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_function_take_the_same_with_the_same_defaults(name):
    function, shell = dict(inspect.signature(getattr(rldd, name)).parameters), _command(name)
    spoken = {COMMANDS[name].get(option, option): p for option, p in shell.items()}
    assert set(spoken) - SHELL_ONLY.get(name, set()) == set(function) - PYTHON_ONLY
    empty: Any = (None, (), inspect.Parameter.empty)
    for option, parameter in spoken.items():
        if option in {*SHELL_ONLY.get(name, set()), *PLACE}:
            continue
        ours = function[option].default
        same = parameter.default == ours or (parameter.default in empty and ours in empty)
        assert same, f"{name} {option}: {parameter.default!r} on the command line, {ours!r} in Python"


def test_the_typed_settings_of_train_are_the_fields_of_its_configuration():
    fields = {o.name: o.kind for o in (*options_of(TrainConfig), *options_of(RunOptions)) if o.name != "env_id"}
    typed = typing.get_type_hints(TrainSettings)
    assert set(typed) == set(fields)
    assert set(typing.get_type_hints(SweepSettings)) == set(fields) - NOT_SWEPT
    assert {n: t for n, t in typed.items() if n != "env_kwargs"} == {
        n: t for n, t in fields.items() if n != "env_kwargs"
    }
    assert inspect.signature(rldd.train).parameters["gamma"].default == TrainConfig.gamma


def test_what_the_functions_hand_on_has_the_same_defaults():
    """The frozen configurations behind the functions, which scripts use directly."""
    from dataclasses import MISSING, fields

    from rl_drug_dosage.explain.explanation import ExplainOptions
    from rl_drug_dosage.pharmacometrics.dose_options import DoseOptions
    from rl_drug_dosage.pharmacometrics.estimation import EstimationOptions
    from rl_drug_dosage.pharmacometrics.simulation_plan import SimulationOptions
    from rl_drug_dosage.pharmacometrics.validation import ValidationOptions
    from rl_drug_dosage.training.compare import CompareOptions
    from rl_drug_dosage.training.evaluate import EvaluationOptions
    from rl_drug_dosage.training.sweep import SweepOptions
    from rl_drug_dosage.trials.benchmark import BenchmarkOptions

    pairs = (
        (rldd.simulate, SimulationOptions), (rldd.estimate, EstimationOptions), (rldd.dose, DoseOptions),
        (rldd.evaluate, EvaluationOptions), (rldd.validate_model, ValidationOptions),
        (rldd.benchmark, BenchmarkOptions), (rldd.explain, ExplainOptions),
        (rldd.sweep, SweepOptions), (rldd.compare, CompareOptions),
    )  # fmt: skip
    for function, options in pairs:
        parameters = inspect.signature(function).parameters
        for f in fields(options):
            if f.name in parameters and f.default is not MISSING:
                assert parameters[f.name].default == f.default, f"{function.__name__} {f.name}"

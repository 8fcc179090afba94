"""Policies and packages from outside that fail: one line that names them, at every door, and nothing written."""

import importlib
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage import registry
from rl_drug_dosage.clinic import PolicyDefinition
from rl_drug_dosage.errors import BadPluginError
from rl_drug_dosage.utils import foreign

MODELS = Path(__file__).parents[2] / "models"
BENCHMARK = ("benchmark", "--scenario", "vancomycin", "--patients", "3", "--policy", "./p.py")
CHECK = ("check", "p.py", "--scenario", "vancomycin", "--no-figure")
DEFINED = """import jax.numpy as jnp
from rl_drug_dosage.clinic import Policy, PolicyDefinition


class P(Policy):
    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        ACT


POLICY = PolicyDefinition(ARGS)
"""
GOOD = "return jnp.asarray(700.0), memory"


def defined(act=GOOD, args='title="p", build=lambda setting: P()'):
    """A file with a policy class and its definition."""
    return DEFINED.replace("ACT", act).replace("ARGS", args)


def refused(found, said, code=2):
    """One line on stderr that says this, and nothing in the folder but the file itself."""
    assert found.code == code
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert [p.name for p in Path().iterdir() if p.name != "__pycache__"] == ["p.py"]


RAISED = ["BaseException('b')", "KeyboardInterrupt", "GeneratorExit('g')", "SystemExit(0)"]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize(
    "command",
    [
        BENCHMARK,
        CHECK,
        ("info", "--scenario", "p.py"),
        ("info", "--drug", "p.py"),
        ("train", "--scenario", "p.py"),
        ("train", "--env-id", "p.py"),
        ("simulate", "--drug", "p.py"),
    ],
)
def test_a_file_that_raises_anything_on_import_is_named(run, command, raised):
    Path("p.py").write_text(f"raise {raised}\n")
    kind = raised.partition("(")[0]
    found = run(*command)
    refused(found, f"p.py fails when it is imported: {kind}")
    assert f"(line 1: raise {raised})" in found.err


def test_a_class_of_the_file_is_named_as_there(run):
    Path("p.py").write_text("class Stop(BaseException):\n    pass\n\n\nraise Stop\n")
    refused(run(*BENCHMARK), "p.py fails when it is imported: p.Stop (line 5: raise Stop)")


@pytest.mark.long
@pytest.mark.parametrize("raised", RAISED)
def test_what_a_function_or_act_raises_is_told_with_its_line(run, raised):
    for text in (f"def POLICY(observation):\n    raise {raised}\n", defined(f"raise {raised}")):
        Path("p.py").write_text(text)
        found = run(*BENCHMARK)
        refused(found, f"policy 'p' fails: {raised.partition('(')[0]}")
        assert f"p.py, line {text.splitlines().index(next(s for s in text.splitlines() if 'raise' in s)) + 1}: " in (
            found.err
        )
        checked = run(*CHECK)
        assert checked.code == 1
        assert f"act: {'fails with' if 'class' in text else 'policy'}" in checked.out


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "StopIteration", "EOFError"])
def test_what_a_reward_raises_in_a_thread_is_told_too(run, raised):
    """Python turns some of these into errors of its own on their way."""
    assert run("new", "scenario", "task").code == 0
    text = Path("task.toml").read_text()
    Path("task.toml").write_text(text.replace('reward = "goal"', 'reward = "p.py:r"'))
    Path("p.py").write_text(f"def r(judged):\n    raise {raised}\n")
    found = run("benchmark", "--scenario", "task.toml", "--policy", "label", "--patients", "3")
    Path("task.toml").unlink()
    refused(found, f"p.py, line 2 (raise {raised}): {raised}")


ENDS = "import signal\n\n\ndef POLICY(observation):\n    signal.raise_signal(signal.SIGINT)\n    return observation\n"


@pytest.mark.usefixtures("pressable")
def test_a_real_interrupt_ends_the_command(run):
    """While a file is imported, and within a policy: not taken for the policy's own doing."""
    Path("p.py").write_text("import signal\n\nsignal.raise_signal(signal.SIGINT)\n")
    assert run(*BENCHMARK).code == 130
    Path("p.py").write_text(ENDS.replace("def POLICY(observation)", "def POLICY(setting)"))
    assert run(*CHECK).code == 130


@pytest.mark.usefixtures("pressable")
def test_an_interrupt_is_told_from_a_raise_statement():
    def pressed():
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)

    def raised():
        raise KeyboardInterrupt

    for action, real in ((pressed, True), (raised, False)):
        with pytest.raises(KeyboardInterrupt) as caught:
            action()
        assert foreign.is_interrupt(caught.value) is real
    assert not foreign.is_interrupt(GeneratorExit())


def test_an_interrupt_of_a_handler_in_python_is_one(monkeypatch):
    def handler(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            signal.raise_signal(signal.SIGINT)
        assert foreign.is_interrupt(caught.value)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.long
@pytest.mark.parametrize(
    ("act", "said", "checked"),
    [
        ("return jnp.asarray(9 + 2j), memory", "act of P returned complex numbers as the dose", "type complex64"),
        ("return True, memory", "act of P returned True or False as the dose", "type bool"),
        ("return jnp.asarray(-1e5), memory", "gave -100000 mg at 42 of 42 decisions", "at least 0 mg"),
        ("return jnp.zeros(3), memory", "act of P returned an array of shape (3,) as the dose", "shape (3,)"),
        ("return jnp.asarray(jnp.nan), memory", "gave nan mg at 42 of 42 decisions", "nan at decision 0"),
        ("return None, memory", "act of P returned NoneType as the dose", "type NoneType"),
        ("return '700', memory", "act of P returned str as the dose", "<class 'str'>"),
        ("return jnp.asarray(700.0)", "act of P returned one array: allowed is a pair", "returns one value"),
        ("pass", "act of P returned NoneType: allowed is a pair", "returns one value"),
        ("return 700.0, (memory, 1.0)", "returned a memory of shapes ((), ())", "the same structure"),
    ],
)
def test_what_a_definition_answers_is_refused_at_both_doors(run, act, said, checked):
    Path("p.py").write_text(defined(act))
    found = run(*BENCHMARK)
    refused(found, said)
    assert "policy 'p'" in found.err
    seen = run(*CHECK)
    assert seen.code == 1
    assert checked in seen.out


def test_a_bedside_refuses_the_same(tmp_path):
    wrong = {"gave -100000 mg": "return jnp.asarray(-1e5), memory", "fails: GeneratorExit": "raise GeneratorExit"}
    for said, act in wrong.items():
        path = tmp_path / f"p{len(said)}.py"
        path.write_text(defined(act))
        bedside = rldd.load_policy(path, "vancomycin")
        course = bedside.start({c.name: c.typical for c in bedside.scenario.covariates})
        with pytest.raises(BadPluginError, match=f"policy '{path.stem}' {said}"):
            course.recommend()


@pytest.mark.long
def test_a_bedside_gives_the_dose_of_a_trial_and_tells_the_proposal(tmp_path):
    path = tmp_path / "p.py"
    path.write_text(
        defined("return jnp.where(observation.k == 0, 7e8, jnp.where(observation.k == 1, 730.0, 750.0)), memory")
    )
    bedside = rldd.load_policy(path, "vancomycin")
    trial = rldd.benchmark("vancomycin", policies=[path], patients=3, progress=False).trials["p"]
    facts = {c.name: c.typical for c in bedside.scenario.covariates}
    course, several = bedside.start(facts), bedside.start([facts, facts])
    for k, said in enumerate(["proposed 7e+08 mg", "proposed 730 mg", ""]):
        dose = course.recommend()
        assert dose == trial.dose[0, k] == several.recommend()[1]
        told = [w for w in course.warnings if "proposed" in w]
        assert len(told) == bool(said)
        assert all(said in w and "policy 'p'" in w and f"{dose:g} mg is recommended" in w for w in told)
        assert any(w.startswith("patient 2: policy 'p' proposed") for w in several.warnings) == bool(said)
        course.given(dose)
        several.given([dose, dose])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"title": 3}, "title is 3; allowed: one line for tables"),
        ({"title": " "}, "title is ' '; allowed: one line for tables"),
        ({"build": 3}, r"build is 3; allowed: a function build\(setting\)"),
        ({"candidates": 3}, r"candidates is 3; allowed: a function candidates\(setting, rng\)"),
        ({"refuses": None}, r"refuses is None; allowed: a function refuses\(scenario\)"),
        ({"sees_truth": "yes"}, "sees_truth is 'yes'; allowed: True or False"),
        ({"chance": 1}, "chance is 1; allowed: True or False"),
        ({"card": 3}, "card is 3; allowed: a mapping"),
    ],
)
def test_a_definition_is_complete_at_birth(wrong, said):
    with pytest.raises(BadPluginError, match=f"PolicyDefinition: {said}"):
        PolicyDefinition(**{"title": "p", "build": lambda setting: None, **wrong})


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("title=3, build=lambda s: P()", "title is 3; allowed: one line for tables (line 13: POLICY ="),
        ('title="p", build=lambda s: P', "build(setting) returned the class P, not an instance"),
        ('title="p", build=lambda s: None', "build(setting) returned NoneType, it must return a Policy"),
        ('title="p", build=P', "policy 'p' cannot be built: TypeError: P.__init__()"),
        ('title="p", build=lambda s: P(), refuses=lambda s: 3', "refuses(scenario) returned 3: allowed is a text"),
        ('title="p", build=lambda s: P(), refuses=lambda s: 1 / 0', "policy 'p' fails: ZeroDivisionError"),
        ('title="p", build=lambda s: P(), candidates=lambda s, r: 3', "candidates(setting, rng) returned int"),
        ('title="p", build=lambda s: P(), candidates=lambda s, r: P()', "leaves with first axes []: stack them"),
    ],
)
def test_a_definition_that_does_not_hold_is_refused(run, args, said):
    Path("p.py").write_text(defined(args=args))
    refused(run(*BENCHMARK), said)
    assert run(*CHECK).code != 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X = 3\n", "p.py must define POLICY (a PolicyDefinition, a Policy, an agent with predict(observation)"),
        ("POLICY = 3\n", "or a function build(setting), not int"),
        (
            "class POLICY:\n    def predict(self, observation):\n        ...\n",
            "p.py: POLICY: POLICY is a class: give an",
        ),
        ("POLICY = lambda observation: observation[:, 0] > 0\n", "policy 'p' returned True or False"),
        (
            "class A:\n    @property\n    def predict(self):\n        raise GeneratorExit\n\n\nPOLICY = A()\n",
            "GeneratorExit",
        ),
    ],
)
def test_what_a_policy_file_may_hold_is_said(run, text, said):
    Path("p.py").write_text(text)
    refused(run(*BENCHMARK), said)
    assert run(*CHECK).code != 0


def test_no_name_at_all_is_an_unknown_name(run):
    found = run("benchmark", "--scenario", "vancomycin", "--policy", "")
    assert found.code == 2
    assert "unknown policy '': known: " in found.err


def test_only_what_a_file_itself_defines_is_listed(run):
    Path("p.py").write_text(
        "from rl_drug_dosage.clinic.observation_options import ACTIONS\n"
        "from rl_drug_dosage.clinic.shield import REASONS\n"
        "LIMIT = 3\nif LIMIT:\n    first, (second, *_) = 1, (2, 3)\n\n\ndef mine():\n    inner = 1\n    return inner\n"
    )
    refused(run("info", "--scenario", "p.py"), "must define SCENARIO (a Scenario); it has LIMIT, first, second, mine")


def test_an_unknown_simulator_is_answered_with_the_scenarios_own(run):
    found = run("benchmark", "--scenario", "vancomycin", "--policy", "label", "--simulator", "nope")
    assert found.code == 2
    scenario = rldd.load_scenario("vancomycin")
    models = sorted((*scenario.models, *scenario.test_only))
    assert f"'nope': known: {', '.join(models)}; or give another drug model that fits" in found.err
    believed = run("benchmark", "--scenario", "vancomycin", "--policy", "label", "--controller", "nope")
    assert f"'nope': known: {', '.join(sorted(scenario.models))}; or give another drug model" in believed.err
    near = run("benchmark", "--scenario", "vancomycin", "--policy", "label", "--simulator", "warfarin-hamberg2011")
    assert "did you mean 'warfarin-hamberg2010'?" in near.err


@pytest.mark.long
def test_doses_above_the_largest_are_counted_and_told(run):
    Path("p.py").write_text(defined("return jnp.asarray(1e9), memory"))
    found = run(*BENCHMARK)
    assert found.code == 0
    assert "42 doses off the grid, the nearest amount was given" in found.out + found.err


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        "def POLICY(obs):\n    return np.full(len(obs), 0.7)\n",
        "class A:\n    def predict(self, obs):\n        return np.full(len(obs), 0.7)\n\n\nPOLICY = A()\n",
    ],
)
def test_actions_off_the_grid_are_counted_and_told(run, text):
    """Such as grams where the scenario doses in milligrams."""
    Path("p.py").write_text(f"import numpy as np\n\n\n{text}")
    found = run(*BENCHMARK)
    assert found.code == 0
    assert "42 doses off the grid, the nearest amount was given" in found.out + found.err
    checked = run(*CHECK)
    assert checked.code == 0
    assert "0.7 mg, off the grid (100 % of decisions)" in checked.out


@pytest.mark.parametrize("command", [("evaluate",), ("explain",), ("info",), ("export", "--output", "x.onnx")])
def test_a_python_file_is_no_model_file(run, command):
    Path("p.py").write_text(defined())
    found = run(*command, "--model-path", "p.py")
    refused(found, "p.py is a Python file, not a model file (.pt) or the folder of a run")
    assert "rl-drug-dosage benchmark --scenario NAME --policy p.py" in found.err


def test_a_file_is_read_as_what_it_defines(run):
    Path("p.py").write_text("ENV = 3\n")
    refused(run("train", "--env-id", "p.py"), "p.py: ENV must be an Env, not int")
    Path("p.py").write_text("SCENARIO = 3\n")
    refused(run("train", "--env-id", "p.py"), "p.py: SCENARIO must be a Scenario, not int")
    Path("p.py").write_text(
        "import pathlib\nimport sys\n\nsys.path.remove(str(pathlib.Path(__file__).parent))\nPOLICY = 3\n"
    )
    refused(run(*BENCHMARK), "p.py: POLICY must be a PolicyDefinition")


def test_a_check_says_in_which_scenario(run):
    Path("p.py").write_text(defined())
    refused(run("check", "p.py"), "`rl-drug-dosage check p.py --scenario vancomycin`")
    refused(run("check", MODELS / "agent.pt"), "was trained for DrugDose-v0, which is no dosing scenario")
    assert "leave --scenario out" in run("check", "vancomycin-goti2018", "--scenario", "vancomycin").err


def test_a_module_beside_is_named_by_its_path(run):
    Path("p.py").write_text(defined())
    found = run("benchmark", "--scenario", "vancomycin", "--policy", "p:POLICY")
    refused(found, "No module named 'p'; a file is named by its path, ./p.py")


POINTS = """[rl_drug_dosage.drugs]
raising = third_raises:DRUG
other = third_fine:NUMBER
good = third_fine:DRUG
[rl_drug_dosage.scenarios]
missing = third_fine:NOPE
[rl_drug_dosage.policies]
unsure = third_fine:UNSURE
nowhere = third_none:POLICY
"""
FINE = """from rl_drug_dosage.clinic import PolicyDefinition
from rl_drug_dosage.drugs.vancomycin_buelga2005 import DRUG

NUMBER = 3


def refuses(scenario):
    raise RuntimeError("no idea")


UNSURE = PolicyDefinition(title="unsure", build=lambda setting: None, refuses=refuses)
"""


@pytest.fixture
def third(tmp_path, monkeypatch):
    """An installed package that brings a good drug, and others that are broken."""
    place = tmp_path / "site"
    info = place / "third-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (place / "third_raises.py").write_text("raise KeyboardInterrupt\n")
    (place / "third_fine.py").write_text(FINE)
    monkeypatch.syspath_prepend(place)
    importlib.invalidate_caches()
    registry._entry_points.cache_clear()
    yield
    for name in ("third_fine", "third_raises"):
        sys.modules.pop(name, None)
    registry._entry_points.cache_clear()


@pytest.mark.long
def test_a_broken_package_is_named_and_the_rest_is_listed(run, third):
    drugs = run("info", "--drugs")
    assert drugs.code == 0
    assert "warfarin-hamberg2010" in drugs.out
    assert drugs.out.count("vancomycin-buelga2005") == 2
    assert drugs.err.splitlines() == [
        "left out: drug 'other': third_fine:NUMBER (package third) must be a DrugModel, not int",
        "left out: drug 'raising': third_raises:DRUG (package third) cannot be loaded: KeyboardInterrupt",
    ]
    scenarios = run("info", "--scenarios")
    assert scenarios.code == 0
    assert "Warfarin-v1" in scenarios.out
    assert scenarios.err.startswith("left out: scenario 'missing': third_fine:NOPE (package third) cannot be loaded")
    page = run("info", "--scenario", "vancomycin")
    assert "mipd: Bayesian dosing" in page.out
    assert "left out: policy 'nowhere': third_none:POLICY (package third) cannot be loaded" in page.out
    assert "left out: policy 'unsure' fails: RuntimeError: no idea" in page.out


def test_a_broken_package_leaves_the_default_policies(third):
    from rl_drug_dosage.trials import default_policies

    assert {"label", "mipd"} <= set(default_policies(rldd.load_scenario("vancomycin")))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("info", "--drug", "raising"), "drug 'raising': third_raises:DRUG (package third) cannot be loaded"),
        (("info", "--drug", "raisin"), "did you mean 'raising'?"),
        ((*BENCHMARK[:-1], "unsure"), "policy 'unsure' fails: RuntimeError: no idea"),
        (("check", "other"), "drug 'other': third_fine:NUMBER (package third) must be a DrugModel, not int"),
    ],
)
def test_a_broken_object_that_is_asked_for_is_refused(run, third, command, said):
    Path("p.py").touch()
    refused_in = run(*command)
    assert refused_in.code == 2
    assert said in refused_in.err
    assert len(refused_in.err.strip().splitlines()) == 1


@pytest.mark.long
def test_a_finished_run_without_its_model_says_so(run, tiny_run):
    (tiny_run / "agent.pt").unlink()
    found = run("train", "--resume", tiny_run)
    assert found.code == 2
    assert "runs/tiny is complete at 512 steps, but runs/tiny/agent.pt is missing: restore it" in found.err
    assert "--total-timesteps N" in found.err

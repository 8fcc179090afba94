"""Drug models that only simulate test patients: nothing that chooses, trains, tunes or believes can use them."""

import dataclasses
import importlib
from types import SimpleNamespace

import gymnasium
import pytest

from rl_drug_dosage import api
from rl_drug_dosage.clinic.fit import misfits, with_models
from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import model_of, randomised, simulator_of
from rl_drug_dosage.envs.scenario_env import env_of, with_named_models
from rl_drug_dosage.errors import ConfigError, ModelFileError, UnknownNameError
from rl_drug_dosage.policies.adapters.learnt import check_not_test_only
from rl_drug_dosage.registry import SCENARIO, find_scenario, load_drug, load_scenario, names
from rl_drug_dosage.trials.benchmark import _pairs
from rl_drug_dosage.trials.setting import setting_for

PUBLISHED = {
    "aminoglycoside", "busulfan", "infliximab", "propofol", "tacrolimus", "vancomycin", "warfarin", "warfarin-90d",
}  # fmt: skip
"""Scenarios with published drug models of which a further one, of another group, was found."""
CASES = [(scenario, model) for scenario in names(SCENARIO) for model in load_scenario(scenario).test_only]


@pytest.fixture(params=CASES, ids=[f"{scenario}-{model}" for scenario, model in CASES])
def case(request):
    return load_scenario(request.param[0]), request.param[1]


def refused(model):
    """One line: what came, which models are allowed, what to do."""
    return pytest.raises(
        ConfigError, match=rf"^drug model '{model}'.* only simulates test patients .*use .*--simulator"
    )


def _copy(tmp_path, module):
    """Its file under another name, with another name inside: a way round that somebody may try."""
    path = tmp_path / "renamed.py"
    path.write_text(
        f"import dataclasses\nfrom {module} import DRUG as _D\nDRUG = dataclasses.replace(_D, name='mine')\n"
    )
    return path


def _module(model):
    return f"rl_drug_dosage.drugs.{model.replace('-', '_')}"


def test_every_scenario_of_two_models_has_a_third():
    assert {scenario for scenario, _ in CASES} >= PUBLISHED
    for scenario, model in CASES:
        task = load_scenario(scenario)
        assert model not in task.models
        assert not misfits(task, task.drug(model))


def test_they_change_nothing_else(case):
    """The cohort, and what an observation shows, are those of the scenario without them."""
    scenario, _ = case
    without = dataclasses.replace(scenario, test_only=())
    assert without.covariates == scenario.covariates
    assert without.models == scenario.models
    assert observer_of(without).names == observer_of(scenario).names


def test_training_refuses_them(case, tmp_path):
    """As patients, in a mixture, more varied than published; by name, as a value, and as a copy in a file."""
    scenario, model = case
    env, file = env_of(scenario), _copy(tmp_path, _module(model))
    with refused(model):
        randomised(scenario, model, 1.0)
    for reference in (model, load_drug(model)):
        for options in ({"simulator": reference}, {"mixture": [{}, {"simulator": reference}]}):
            with refused(model):
                env.make(**options)
    for written in (model, importlib.import_module(_module(model)).__file__):
        for options in ({"simulator": written}, {"mixture": [{}, {"simulator": written}]}):
            with refused(model):
                with_named_models(scenario, options)
    with refused(model):
        gymnasium.make("DosingScenario-v0", env=scenario, simulator=model)
    with pytest.raises(ConfigError, match=f"'mine' is a copy of '{model}', which only simulates"):
        env.make(simulator=file)
    with pytest.raises(ConfigError, match=f"'mine' is a copy of '{model}', which only simulates"):
        with_named_models(scenario, {"simulator": str(file)})


def test_beliefs_refuse_them(case):
    """Of an environment, of an agent's observation, of a Bayesian policy."""
    scenario, model = case
    for reference in (model, load_drug(model)):
        with refused(model):
            env_of(scenario).make(belief=reference)
    with refused(model):
        with_named_models(scenario, {"belief": model})
    with refused(model):
        model_of(scenario, model)
    with refused(model):
        observer_of(scenario, belief=model)


def test_controllers_and_with_them_tuning_refuse_them(case, tmp_path):
    """Policies are tuned on patients of the controller (`trials.tuning`), and no setting has such a controller."""
    scenario, model = case
    task = find_scenario(scenario)
    for reference in (model, load_drug(model), importlib.import_module(_module(model)).__file__):
        with refused(model):
            setting_for(task, controller=reference)
    with pytest.raises(ConfigError, match=f"'mine' is a copy of '{model}', which only simulates"):
        setting_for(task, controller=_copy(tmp_path, _module(model)))
    patients = simulator_of(scenario, model)
    with refused(model):
        Setting(task, patients, patients)
    for changed in ((*scenario.models, model), (model,)):
        with pytest.raises(ConfigError, match="only simulates test patients"):
            dataclasses.replace(scenario, models=changed)
    with refused(model):
        with_models(scenario, model)


def test_a_trial_takes_them_as_patients_alone(case):
    scenario, model = case
    for reference in (model, load_drug(model)):
        setting = setting_for(scenario, simulator=reference)
        assert (setting.simulator.name, setting.controller.name) == (model, scenario.models[0])
        assert setting.scenario.models == scenario.models
    pairs = _pairs(setting)
    assert {simulator for simulator, _ in pairs} == {*scenario.models, *scenario.test_only}
    assert {controller for _, controller in pairs} == set(scenario.models)
    with pytest.raises(UnknownNameError, match=rf"did you mean '{model}'\? known: .*{model}"):
        setting_for(scenario, simulator=f"{model}0")


@pytest.mark.slow
def test_fifty_patients_under_the_label_simulate_finitely(case):
    scenario, model = case
    found = api.benchmark(scenario, policies=["label"], patients=50, simulator=model, progress=False)
    assert not found.trials["label"].failed.any()
    assert found.record["settings"]["simulator"] in found.record["scenario"]["test_only"]


def test_train_refuses_them_before_anything_is_written(tmp_path):
    with refused("vancomycin-buelga2005"):
        api.train(
            scenario="vancomycin",
            env_kwargs={"simulator": "vancomycin-buelga2005"},
            runs_dir=str(tmp_path / "runs"),
            progress=False,
        )
    assert not list(tmp_path.iterdir())


def test_a_policy_that_was_trained_on_one_is_refused(tmp_path):
    """A model file is data: whoever wrote it may have trained elsewhere."""
    task = find_scenario("vancomycin")
    trained = {"simulator": "vancomycin-buelga2005"}
    for options in (trained, {"belief": "vancomycin-buelga2005"}, {"mixture": [{}, trained]}):
        with pytest.raises(ModelFileError, match=r"agent.pt was trained with 'vancomycin-buelga2005', which only sim"):
            check_not_test_only(SimpleNamespace(env_options=options), task, tmp_path / "agent.pt")
    check_not_test_only(SimpleNamespace(env_options={"simulator": "vancomycin-goti2018"}), task, tmp_path)


@pytest.mark.parametrize(
    ("test_only", "said"),
    [
        (("vancomycin-buelga2005", "vancomycin-buelga2005"), "give each drug model once"),
        (("vancomycin-goti2018",), "'vancomycin-goti2018' only simulates test patients"),
        (("propofol-marsh1991",), "'propofol-marsh1991' does not fit"),
        (("vancomycin-bulga2005",), "unknown"),
    ],
)
def test_a_scenario_checks_them(test_only, said):
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        dataclasses.replace(load_scenario("vancomycin"), test_only=test_only)

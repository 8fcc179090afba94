"""Options of a policy: how they are named, refused and built, and what those of Bayesian dosing assume."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.assumptions import assumed_by, assumed_models, refused_assumptions
from rl_drug_dosage.clinic.policy import Option, PolicyDefinition
from rl_drug_dosage.clinic.simulators import model_of, randomised, simulator_of
from rl_drug_dosage.errors import BadPluginError, ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.pkpd.population import omega_squared
from rl_drug_dosage.pkpd.residual import variance
from rl_drug_dosage.registry import POLICY, find, find_scenario, label_of
from rl_drug_dosage.trials.setting import setting_for


@pytest.fixture
def own(tmp_path, monkeypatch, steady_text) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("steady.py").write_text(steady_text)
    return Path("steady.py")


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        ("mipd", "mipd", {}),
        ("mipd,prior=widened,error=assay", "mipd,prior=widened,error=assay", {"prior": "widened", "error": "assay"}),
        ("mipd,error=assay,prior=widened", "mipd,prior=widened,error=assay", {"prior": "widened", "error": "assay"}),
        ("mipd, flatten = 5e-1", "mipd,flatten=0.5", {"flatten": 0.5}),
        ("mipd,prior=published,flatten=1", "mipd", {}),
        ("rl_drug_dosage.policies.mipd:POLICY,prior=widened", "POLICY,prior=widened", {"prior": "widened"}),
    ],
)
def test_options_follow_the_name_and_tables_say_those_that_differ_from_the_default(text, name, given):
    found = find(POLICY, text)
    assert found.name == name
    assert dict(found.value.given) == given
    assert all(str(value) in found.value.title for value in given.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mipd,prir=widened", "did you mean 'prior'? known: error, flatten, prior"),
        ("mipd,prior=wide", "unknown prior of policy 'mipd' 'wide': did you mean 'widened'? known: published, widened"),
        ("mipd,flatten=0", "flatten=0; allowed: a number from 0.001 to 1000"),
        ("mipd,flatten=1001", "flatten=1001; allowed: a number from 0.001 to 1000"),
        ("mipd,flatten=nan", "flatten=nan; allowed: a number"),
        ("mipd,flatten=much", "flatten=much; allowed: a number"),
        ("label,prior=widened", "policy 'label' has no options, and prior=widened was given: leave it out"),
        ("label,mipd", "'mipd' after the comma is no option=value: write label alone, or name several policies"),
        ("mipd,prior=widened,prior=published", "prior is given twice, as widened and published: give it once"),
        ("mipd,prior", "prior has no value; allowed: published | widened; write prior=published"),
        ("mipd,prior=", "prior has no value; allowed: published | widened; write prior=published"),
        ("mipd,", "'' after the comma is no option=value"),
        ("mipdd,prior=widened", "unknown policy 'mipdd': did you mean 'mipd'?"),
        ("2,000 mg q12h", "'2,000' is no number: write it without a comma"),
        ("./no,such.py", "there is no such file"),
        ("./none.py,prior=widened", "unknown file 'none.py'"),
    ],
)
def test_what_is_no_option_is_refused_in_one_line(text, said):
    with pytest.raises(RlDrugDosageError) as caught:
        find(POLICY, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("mipd,prior=widened", ("", "mipd,prior=widened")),
        ("best=mipd,prior=widened,error=assay", ("best", "mipd,prior=widened,error=assay")),
        ("a b=mipd", ("a b", "mipd")),
        ("./a=b.py", ("", "./a=b.py")),
    ],
)
def test_a_label_stands_before_the_first_option(text, label):
    assert label_of(text) == label


def test_a_policy_of_the_users_has_options_too(own, setting_of):
    """From a file, also where its name has a comma; what `build` sees is complete."""
    Path("a,b.py").write_text(own.read_text())
    setting = setting_of("vancomycin")
    for text, amount, name in (
        ("./steady.py", 500.0, "steady"),
        ("steady.py,amount=700", 700.0, "steady,amount=700"),
        ("./steady.py,size=double,amount=700", 1400.0, "steady,amount=700,size=double"),
        ("./a,b.py", 500.0, "a,b"),
        ("./a,b.py,size=double", 1000.0, "a,b,size=double"),
    ):
        found = find(POLICY, text)
        assert (float(found.value.build(setting).amount), found.name) == (amount, name)
        assert found.source is not None
    double = find(POLICY, own).value.with_options({"size": "double"})
    assert double.refuses(find_scenario("vancomycin").value) == ""
    assert "no double dose" in double.refuses(find_scenario("warfarin").value)
    assert find(POLICY, own).value.refuses(find_scenario("warfarin").value) == ""


def test_later_options_keep_the_earlier_ones(setting_of):
    plain = find(POLICY, "mipd").value
    both = plain.with_options({"prior": "widened"}).with_options({"flatten": 2})
    assert dict(both.given) == {"prior": "widened", "flatten": 2.0}
    assert both.with_options({"prior": "published", "flatten": 1.0}) is plain
    setting = setting_of("vancomycin")
    assert both.build(setting).model == plain.with_options({"flatten": 2.0, "prior": "widened"}).build(setting).model
    with pytest.raises(UnknownNameError, match="unknown option"):
        plain.with_options({"prio": "widened"})
    with pytest.raises(ConfigError, match="flatten=True"):
        plain.with_options({"flatten": True})


@pytest.mark.parametrize(
    "wrong",
    [
        {"default": "a"},
        {"default": "a", "words": ("b",)},
        {"default": 1.0, "low": 0.0},
        {"default": 2.0, "low": 0.0, "high": 1.0},
        {"default": 1.0, "low": 0.0, "high": float("inf")},
        {"default": "a", "words": ("a",), "low": 0.0, "high": 1.0},
    ],
)
def test_an_option_that_cannot_be_is_refused_in_the_file(wrong):
    with pytest.raises(BadPluginError):
        Option("what", **wrong)


def test_options_of_another_type_are_refused_in_the_file():
    for options in ({"a,b": Option("what", "a", words=("a",))}, {"a": "b"}, ["a"]):
        with pytest.raises(BadPluginError, match="options"):
            PolicyDefinition(title="x", build=lambda setting: None, options=options)


def test_without_options_bayesian_dosing_believes_the_controllers_model_itself(build, setting_of):
    """The very object, so that no bit of a dose changes; `mipd-assay` is the option of `mipd`."""
    for scenario in ("vancomycin", "warfarin"):
        setting = setting_of(scenario)
        for name in ("mipd", "mipd-average"):
            assert find(POLICY, name).value.build(setting).model == setting.controller
        assert assumed_by(setting)[0] is setting.controller
    assert build("mipd-assay", "warfarin") == build("mipd,error=assay", "warfarin")
    scenario, model = setting_of("warfarin").scenario, build("mipd,error=assay", "warfarin").model
    assert model.outputs[model.output_index("inr")].residual is scenario.monitoring.error


def test_a_widened_prior_is_that_of_domain_randomisation():
    """Variances by hand: the published one and the square of the scenario's spread."""
    scenario = find_scenario("vancomycin").value
    name = scenario.models[0]
    (model,) = assumed_models(scenario, name, "widened")
    published = {eta.parameter: omega_squared(eta) for eta in model_of(scenario, name).etas}
    assert published
    for eta in model.etas:
        spread = scenario.spread.get(eta.parameter, 0.3)
        assert omega_squared(eta) == pytest.approx(published.get(eta.parameter, 0.0) + spread**2)
    assert assumed_models(scenario, name, "widened", whole=True) == (randomised(scenario, name, 1.0),)
    assert assumed_models(scenario, name, whole=True) == (simulator_of(scenario, name),)


def test_a_controller_that_may_estimate_some_effects_widens_no_others():
    scenario = find_scenario("propofol").value
    name = scenario.models[0]
    (model,) = assumed_models(scenario, name, "widened")
    assert scenario.estimated is not None
    assert {eta.parameter for eta in model.etas} <= set(scenario.estimated)
    assert model.occasion_etas == model_of(scenario, name).occasion_etas
    whole = assumed_models(scenario, name, "widened", whole=True)[0]
    assert len(whole.etas) > len(model.etas)


def test_the_assay_error_follows_its_scale_and_a_flat_prior_its_weight():
    scenario = find_scenario("warfarin").value
    name = scenario.models[0]
    worse = dataclasses.replace(scenario, monitoring=dataclasses.replace(scenario.monitoring, error_scale=3.0))

    def sd(task):
        (model,) = assumed_models(task, name, error="assay")
        residual = model.outputs[model.output_index("inr")].residual
        return float(jnp.sqrt(variance(residual, jnp.asarray(2.0))))

    assert sd(worse) == pytest.approx(3.0 * sd(scenario))
    (flat,) = assumed_models(scenario, name, flatten=0.25)
    wide = [omega_squared(eta) for eta in flat.etas]
    np.testing.assert_allclose(wide, [4.0 * omega_squared(eta) for eta in model_of(scenario, name).etas])


def test_a_mixture_has_every_model_of_the_scenario_and_not_the_one_that_was_added_to_simulate():
    scenario = find_scenario("warfarin").value
    models = assumed_models(scenario, scenario.models[0], "mixture", whole=True)
    assert models == tuple(simulator_of(scenario, name) for name in scenario.models)
    wide = assumed_models(scenario, scenario.models[0], "widened-mixture", whole=True)
    assert wide == tuple(randomised(scenario, name, 1.0) for name in scenario.models)
    other = dataclasses.replace(scenario.drug(scenario.models[0]), name="added")
    setting = setting_for("warfarin", simulator=other)
    assert setting.scenario.models[-1] == "added"
    chosen = dataclasses.replace(setting, options={"prior": "mixture"})
    assert [m.name for m in assumed_by(chosen, whole=True)] == list(scenario.models)
    believed = dataclasses.replace(setting_for("warfarin", controller=other), options={"prior": "mixture"})
    assert "added" in [m.name for m in assumed_by(believed, whole=True)]


@pytest.mark.parametrize(
    ("scenario", "options", "said"),
    [
        ("vancomycin", {"error": "assay"}, "assay error is not given"),
        ("t1d", {"error": "assay"}, "publishes no residual error"),
        ("chemotherapy", {"prior": "mixture"}, "a mixture needs several drug models"),
        ("warfarin", {"prior": "mixture", "error": "assay"}, ""),
    ],
)
def test_what_a_scenario_cannot_offer_is_refused(scenario, options, said):
    task = find_scenario(scenario).value
    full = {"prior": "published", "error": "published", "flatten": 1.0, **options}
    reason = refused_assumptions(task, full)
    assert said in reason
    assert bool(reason) == bool(said)
    if said:
        with pytest.raises(ConfigError, match=said):
            assumed_models(task, task.models[0], **options)
    if "prior" not in options:
        assert find(POLICY, "mipd").value.with_options(options).refuses(task) == reason


def test_a_model_that_lacks_what_the_scenario_measures_never_comes_into_a_mixture():
    """A scenario refuses it by name, whether it is listed or added."""
    scenario = find_scenario("warfarin").value
    model = scenario.drug(scenario.models[1])
    outputs = tuple(output for output in model.outputs if output.name != "inr")
    blind = dataclasses.replace(model, name="blind", outputs=outputs, targets=())
    for attempt in (
        lambda: setting_for("warfarin", controller=blind),
        lambda: dataclasses.replace(scenario, models=(*scenario.models, blind)),
    ):
        with pytest.raises(ConfigError, match=r"drug model 'blind' does not fit.*'inr' is judged|measured"):
            attempt()

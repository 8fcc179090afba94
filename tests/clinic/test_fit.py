"""Drug models that fit a scenario and others, and a scenario with another horizon or reward."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.fit import misfits, with_models
from rl_drug_dosage.clinic.label_rules import LabelRule
from rl_drug_dosage.clinic.rewards import REWARDS
from rl_drug_dosage.clinic.scenario import Judged
from rl_drug_dosage.clinic.units import mg_per_unit
from rl_drug_dosage.envs.scenario_env import env_of, with_named_models
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.pkpd import Covariate, Fixed, Uniform
from rl_drug_dosage.pkpd.units import metric_unit, same_unit
from rl_drug_dosage.registry import SCENARIO, load_drug, load_scenario, names

GOTI = load_drug("vancomycin-goti2018")
EVERY = names(SCENARIO)


@pytest.mark.parametrize("name", EVERY)
def test_built_in_models_fit(name):
    scenario = load_scenario(name)
    assert [misfits(scenario, scenario.drug(model)) for model in scenario.models] == [[]] * len(scenario.models)


@pytest.mark.long
@pytest.mark.parametrize("name", EVERY)
def test_any_horizon_can_be_asked_for(name):
    """Half as long and one longer: the label and the tables of edges still fit, and plans stay within the course."""
    scenario = load_scenario(name)
    for decisions in (-(-scenario.schedule.decisions // 2), scenario.schedule.decisions + 1):
        if name == "busulfan" and decisions < scenario.schedule.decisions:
            with pytest.raises(ConfigError, match=r"too few .*judged intervals begin with decision 3"):
                adjusted(scenario, decisions=decisions)
            continue
        env = env_of(scenario).make(decisions=decisions)
        assert env.horizon == decisions
        state, _ = jax.eval_shape(env.reset, jnp.zeros(2, jnp.uint32))
        jax.eval_shape(lambda s, e=env: e.step(s, jnp.ones(1), jnp.zeros(2, jnp.uint32)), state)
        record, facts = state.patient.record, dict.fromkeys((c.name for c in scenario.covariates), jnp.ones(()))
        jax.eval_shape(lambda f, r, s=env.scenario: s.label(f, r), facts, record)


def test_what_does_not_fit_is_named():
    """The other drug's covariates, outputs, compartments and units, all in one line."""
    vancomycin = load_scenario("vancomycin")
    with pytest.raises(ConfigError, match=r"it needs age_y \(y\), female \(0/1\).*scenario's covariates are crcl") as e:
        with_models(vancomycin, "propofol-eleveld2018")
    assert "\n" not in str(e.value)
    assert misfits(vancomycin, load_drug("chemotherapy-ahn")) == [
        "doses go into 'central', and it takes doses into drug only",
        "the output 'concentration' is measured, and it has tumour, normal, immune, drug only",
    ]
    imatinib = misfits(vancomycin, load_drug("imatinib-widmer2006"))
    assert "goal.targets[0].unit, of auc24 of 'concentration', is mg h/L, and it computes it in ug h/L" in imatinib


def test_a_model_is_added_by_name_by_file_and_as_itself(tmp_path):
    vancomycin = dataclasses.replace(load_scenario("vancomycin"), test_only=())
    own = dataclasses.replace(GOTI, name="mine")
    (tmp_path / "other.py").write_text(
        "import dataclasses\nfrom rl_drug_dosage.registry import load_drug\n"
        'DRUG = dataclasses.replace(load_drug("vancomycin-goti2018"), name="theirs")\n'
    )
    found, told = with_models(
        vancomycin, "vancomycin-buelga2005", own, tmp_path / "other.py", own, vancomycin.models[0]
    )
    assert told == ("vancomycin-buelga2005", "mine", "theirs", "mine", "vancomycin-thomson2009")
    assert found.models == (*vancomycin.models, "vancomycin-buelga2005", "mine", "theirs")
    assert found.drug("mine") == own
    assert found.covariates == vancomycin.covariates
    assert with_models(vancomycin) == (vancomycin, ())
    with pytest.raises(ConfigError, match="another drug model called 'mine'"):
        with_models(found, dataclasses.replace(own, title="another"))


def test_an_environment_takes_a_model_of_ones_own_and_text_is_never_a_path(tmp_path):
    """Options of a model file are text: they name the scenario's models, or nothing."""
    vancomycin = load_scenario("vancomycin")
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')\n")
    own = dataclasses.replace(GOTI, name="mine")
    env = env_of(vancomycin).make(simulator=own, belief=own)
    assert env.model.name == "mine"
    assert env.observer.belief.name == "mine"
    for option in ("simulator", "belief"):
        for text in (str(tmp_path / "trap.py"), "os.path:join"):
            with pytest.raises(ConfigError, match="text may only name one of vancomycin-thomson2009"):
                env_of(vancomycin).make(**{option: text})
        with pytest.raises(RlDrugDosageError, match="did you mean 'vancomycin-goti2018'"):
            env_of(vancomycin).make(**{option: "vancomycin-gota2018"})
    with pytest.raises(ConfigError, match="text may only name"):
        env_of(vancomycin).make(mixture=[{}, {"simulator": str(tmp_path / "trap.py")}])


def test_what_the_user_wrote_may_be_a_file(tmp_path):
    """And only names are left in the options, which go into the model file."""
    (tmp_path / "mine.py").write_text(
        "import dataclasses\nfrom rl_drug_dosage.registry import load_drug\n"
        'DRUG = dataclasses.replace(load_drug("vancomycin-goti2018"), name="mine-2")\n'
    )
    path = str(tmp_path / "mine.py")
    options = {"belief": path, "mixture": [{}, {"simulator": path}], "history": 3}
    scenario, named = with_named_models(load_scenario("vancomycin"), options)
    assert named == {"belief": "mine-2", "mixture": [{}, {"simulator": "mine-2"}], "history": 3}
    assert "mine-2" in scenario.models
    assert env_of(scenario).make(**named).parts[1].model.name == "mine-2"


def test_other_decisions_cut_plans_and_add_nothing():
    vancomycin = load_scenario("vancomycin")
    short, long = adjusted(vancomycin, decisions=5), adjusted(vancomycin, horizon_h=240.0)
    assert (short.schedule.decisions, short.monitoring.intervals, short.look_ahead) == (5, (0, 2), 5)
    assert (long.schedule.decisions, long.monitoring.intervals) == (20, (0, 2, 6, 10))
    assert adjusted(vancomycin) == vancomycin
    assert adjusted(vancomycin, decisions=14) == vancomycin


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"decisions": 0}, "whole number of at least 1, not 0"),
        ({"decisions": True}, "not True"),
        ({"decisions": 10**6}, "from 1 to 10,000"),
        ({"decisions": 3, "horizon_h": 36.0}, "give one of them"),
        ({"horizon_h": 40.0}, "multiples of the interval, 12 h"),
        ({"reward": "gaol"}, "did you mean 'goal'"),
        ({"reward": "nowhere.py:f"}, "there is no file nowhere.py"),
    ],
)
def test_settings_that_are_not_allowed(settings, said):
    with pytest.raises(RlDrugDosageError, match=said):
        adjusted(load_scenario("vancomycin"), **settings)


def _judged(metric, low, high, aim, harms=()):
    f = jnp.float32
    metrics, edges = (jnp.asarray(metric, f),), ((f(low),), (f(high),))
    # The second interval: the first one is no whole day, and does not count.
    second = jnp.ones((), jnp.int32)
    return Judged({}, {}, metrics, *edges, f(0), second, jnp.asarray(False), (f(aim),), jnp.asarray(harms, f))


def test_rewards_by_name_by_hand():
    """Window 400-600, aim 500 (linear), then an upper limit alone, in ratios."""
    vancomycin = load_scenario("vancomycin")
    linear = dataclasses.replace(vancomycin.goal.targets[0], log=False, aim=500.0)
    goal = dataclasses.replace(vancomycin.goal, targets=(linear,))
    hands = {
        "goal": {450.0: 1.0, 650.0: -0.25},
        "distance": {450.0: -0.5, 500.0: 0.0, 650.0: -1.5, 5000.0: -5.0},
        "outside": {450.0: 0.0, 650.0: -1.5, 5000.0: -5.0},
        "squared": {450.0: -0.25, 650.0: -2.25, 5000.0: -25.0},
    }
    assert set(hands) == set(REWARDS)
    task = dataclasses.replace(vancomycin, goal=goal)
    for name, values in hands.items():
        reward = adjusted(task, reward=name).reward
        for auc, wanted in values.items():
            found = reward(_judged([auc], 400.0, 600.0, 500.0, harms=[float(auc > 600.0)]))
            assert float(found) == pytest.approx(wanted, abs=1e-6), (name, auc)

    upper = dataclasses.replace(linear, low=None, high=10.0, aim=None, log=True)
    task = dataclasses.replace(vancomycin, goal=dataclasses.replace(goal, targets=(upper,)))
    distance = adjusted(task, reward="distance").reward
    assert float(distance(_judged([9.0], -jnp.inf, 10.0, 10.0))) == 0.0
    assert float(distance(_judged([12.0], -jnp.inf, 10.0, 10.0))) == pytest.approx(-2.0, abs=1e-5)


def test_a_reward_by_name_counts_judged_intervals_only():
    scenario = adjusted(load_scenario("chemotherapy"), reward="goal")
    judged = scenario.goal.judged
    inside = [jnp.asarray([0.01]), jnp.asarray([1.0])]
    base = _judged([0.0], 0.0, 1.0, 0.5)
    base = dataclasses.replace(
        base,
        metrics=tuple(inside),
        low=(jnp.float32(0.0), jnp.float32(0.97)),
        high=(jnp.float32(0.02), jnp.float32(1.1)),
    )
    values = {k: float(scenario.reward(dataclasses.replace(base, interval=jnp.asarray(k)))) for k in (0, judged[0])}
    assert values == {0: 0.0, judged[0]: 1.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"covariates": (Covariate("x", "1", 0.0, 1.0, 2.0, "", "", Fixed(0.0), "X"),)},
            r"covariates\[3\].typical of 'x' is 2; allowed: from 0 to 1",
        ),
        ({"strata": (("weight", "weight", (70.0,)),)}, r"strata\[0\] 'weight'; allowed: its covariates"),
        ({"elsewhere": {"wt": Uniform(1.0, 2.0)}}, "elsewhere 'wt'"),
        ({"estimated_at": (1, 99)}, r"estimated_at \(1, 99\)"),
        ({"models": ()}, "give at least one"),
        ({"models": ("vancomycin-goti2018", "vancomycin-goti2018")}, "each once"),
        ({"models": ("propofol-schnider1998",)}, "does not fit"),
        ({"label": LabelRule(1.0, "g", "x")}, "the label is in g, doses are in mg"),
        ({"label": LabelRule(1.0, "mg/kg", "x", per="crcl_ml_per_min")}, "these units do not fit"),
    ],
)
def test_a_scenario_is_checked_when_it_is_made(change, said):
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(load_scenario("vancomycin"), **change)


def test_units_as_people_write_them():
    assert same_unit("mg h/L", "mg/L*h")
    assert same_unit("µg/mL", "mcg/ml")
    assert not same_unit("mg/L", "ug/mL")
    assert not same_unit("mg h/L", "mg/L")
    assert metric_unit("auc24", "ug/L") == "ug h/L"
    assert metric_unit("trough", "1") == "1"
    assert mg_per_unit("g", 0.0) == 1000.0
    assert mg_per_unit("mg/min", 0.5) == pytest.approx(30.0)
    assert mg_per_unit("ug/kg/h", 2.0, per="wt_kg") == pytest.approx(0.002)
    assert mg_per_unit("U", 0.0) is None
    with pytest.raises(ConfigError, match="needs `per`"):
        mg_per_unit("mg/kg", 0.0)
    with pytest.raises(ConfigError, match="give its duration_h"):
        mg_per_unit("mg/h", 0.0)


def test_words_of_a_covariate():
    """In any case and order of alleles; a covariate is still hashable."""
    by_name = {c.name: c for c in load_drug("warfarin-hamberg2010").covariates}
    cyp2c9, age = by_name["cyp2c9"], by_name["age_y"]
    assert [cyp2c9.number(w) for w in ("*1/*3", "*3/*1", "13", 13)] == [13.0] * 4
    assert [by_name["vkorc1_g_alleles"].number(w) for w in ("GA", "ag", "A/G")] == [1.0] * 3
    assert age.is_called("AGE")
    assert age.is_called("age_years")
    assert not age.is_called("ag")
    assert hash(cyp2c9) == hash(dataclasses.replace(cyp2c9))
    assert np.isclose(age.number("6.5e1"), 65.0)
    with pytest.raises(ConfigError, match=r"'cyp2c9' is '\*4/\*9': give a number or one of \*1/\*1"):
        cyp2c9.number("*4/*9")

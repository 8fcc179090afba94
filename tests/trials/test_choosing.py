"""The choice among variants of Bayesian dosing: which patients and models it sees, and who wins."""

import dataclasses

import numpy as np
import pytest

from rl_drug_dosage.clinic.assumptions import assumed_models
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import randomised, simulator_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import POLICY, find, find_scenario, names
from rl_drug_dosage.trials import choosing
from rl_drug_dosage.trials.choosing import VARIANTS, choose, strongest
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.utils.seeding import Stream


def test_the_highest_score_counts_and_the_first_of_equals():
    """By hand: a lead of 1 point with deviations of 2."""
    simple = np.full(4, 50.0)
    small = np.array([49.0, 49.0, 53.0, 53.0])
    chosen, behind = strongest({"simple": simple, "costly": small})
    assert chosen == "costly"
    assert behind["simple"] == pytest.approx((1.0, np.sqrt(16.0 / 3.0) / 2.0))
    assert behind["costly"] == (0.0, 0.0)
    assert strongest({"b": simple, "a": simple})[0] == "b"
    assert strongest({"b": simple[:1], "a": simple[:1]})[0] == "b"


@pytest.fixture(scope="module")
def seen():
    """A choice for the second model of warfarin, and the models and cohorts that it looked at."""
    asked: set[str] = set()
    cohorts = []
    drug, run = Scenario.drug, choosing.run_trial

    def spied(self, name):
        asked.add(name)
        return drug(self, name)

    def noted(scenario, model, policy, cohort):
        cohorts.append((model, cohort))
        return run(scenario, model, policy, cohort)

    believed = find_scenario("warfarin").value.models[1]
    setting = setting_for("warfarin", believed, believed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scenario, "drug", spied)
        patch.setattr(choosing, "run_trial", noted)
        # Values of equal scenarios share cached models: this one is new.
        fresh = dataclasses.replace(setting.scenario, title="a fresh task")
        task = dataclasses.replace(setting.task, value=fresh)
        asked.clear()
        choice = choose(dataclasses.replace(setting, task=task), ("fixed:0", "label", "5 mg daily"), patients=40)
    return believed, asked, cohorts, choice


@pytest.mark.long
def test_only_the_believed_model_simulates_validation_patients(seen):
    """As published, and as varied as in training; no other model of the scenario is even asked for.

    The test-only ones are asked for their numbers where a model is compared with them, and refused.
    """
    believed, asked, cohorts, _ = seen
    scenario = find_scenario("warfarin").value
    assert scenario.test_only
    assert asked - set(scenario.test_only) == {believed}
    assert {model for model, _ in cohorts} == {simulator_of(scenario, believed), randomised(scenario, believed, 1.0)}


@pytest.mark.long
def test_nobody_chooses_for_a_test_only_model_or_mixes_it_in():
    scenario = find_scenario("warfarin").value
    (third,) = scenario.test_only
    with pytest.raises(ConfigError, match="only simulates test patients"):
        setting_for("warfarin", controller=third)
    for prior in ("mixture", "widened-mixture"):
        mixed = {m.name for m in assumed_models(scenario, scenario.models[0], prior, whole=True)}
        assert mixed == set(scenario.models)
        assert third not in mixed
    # A trial on its patients builds the same policy.
    built = [find(POLICY, "mipd-ensemble,prior=mixture").value.build(setting_for("warfarin", s)) for s in (None, third)]
    assert built[0].assumed == built[1].assumed


@pytest.mark.long
def test_validation_patients_are_nobody_elses(seen):
    *_, cohorts, _ = seen
    assert {cohort.stream for _, cohort in cohorts} == {Stream.VALIDATE}
    assert len({cohort for _, cohort in cohorts}) == 1
    assert Stream.VALIDATE not in {Stream.EVALUATE, Stream.TUNE, Stream.TRAIN, Stream.TRAIN_EVAL}


@pytest.mark.long
def test_everything_that_was_tried_is_told(seen):
    *_, choice = seen
    record = choice.record()
    assert [row["policy"] for row in record["tried"]] == ["fixed:0", "label", "5 mg daily"]
    best = max(record["tried"], key=lambda row: row["score_pct"])
    assert best["behind_points"] == 0.0
    assert record["patients"] == 40
    for row in choice.tried:
        assert row.score_pct == pytest.approx(0.5 * (row.believed_pct + row.randomised_pct))
    assert choice.chosen in {row.policy for row in choice.tried}
    assert choice.chosen != "fixed:0"


@pytest.mark.long
def test_variants_that_do_not_fit_are_left_out_and_an_oracle_is_refused():
    setting = setting_for("vancomycin")
    choice = choose(setting, ("mipd,error=assay", "fixed:500"), patients=5)
    assert choice.chosen == "fixed:500"
    assert "assay error is not given" in choice.refused["mipd,error=assay"]
    with pytest.raises(ConfigError, match="true parameters"):
        choose(setting, ("oracle",), patients=5)
    with pytest.raises(ConfigError, match="none of"):
        choose(setting, ("mipd-assay",), patients=5)


def test_every_variant_is_a_policy():
    assert len(set(VARIANTS)) == len(VARIANTS)
    for variant in VARIANTS:
        assert find(POLICY, variant).name == variant
        assert variant.partition(",")[0] in names(POLICY)

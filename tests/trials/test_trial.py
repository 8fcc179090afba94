"""A trial is a pure function of policy, scenario, range and seed, and its shards merge to the same bits."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.shield import REASONS, shield_of
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.policies.label import Label
from rl_drug_dosage.registry import find_scenario, load_policy_definition
from rl_drug_dosage.trials import trial as module
from rl_drug_dosage.trials.trial import Cohort, Trial, merge, prepare_trial, run_trial
from rl_drug_dosage.utils import held_programs, kept_programs
from rl_drug_dosage.utils.held_programs import Held
from rl_drug_dosage.utils.seeding import Stream, key_for

MODEL = "vancomycin-thomson2009"


class Says(Policy):
    """Always the same amount, whatever it is."""

    amount: Any

    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        return jnp.asarray(self.amount, dtype=float), memory


def setting(ward) -> Setting:
    return Setting(find_scenario(ward), model_of(ward, MODEL), simulator_of(ward, MODEL))


def trial(ward, policy, cohort, **options) -> Trial:
    return run_trial(ward, simulator_of(ward, MODEL), policy, cohort, **options)


def agent(name: str) -> PolicyDefinition:
    return load_policy_definition(name)


def same(a: Trial, b: Trial) -> bool:
    leaves = [dataclasses.asdict(t) for t in (a, b)]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(*map(jax.tree.leaves, leaves), strict=True))


@pytest.mark.long
def test_shards_merge_to_the_bits_of_the_whole(ward):
    policy = agent("random").build(setting(ward))

    whole = trial(ward, policy, Cohort(5, 12))
    parts = [trial(ward, policy, Cohort(5, 6, first=first)) for first in (6, 0)]

    assert same(merge(parts), whole)
    assert not same(whole, trial(ward, policy, Cohort(6, 12)))


@pytest.mark.long
def test_ranges_that_are_not_adjacent_are_refused(ward):
    policy = Says(1000.0)
    parts = [trial(ward, policy, Cohort(5, 6, first=first)) for first in (0, 12)]

    with pytest.raises(ConfigError, match="patients 0-5 and 12-17 are not adjacent"):
        merge(parts)


@pytest.mark.long
def test_every_policy_meets_the_same_patients_and_the_same_chance(ward):
    one, other = (trial(ward, Says(amount), Cohort(1, 8)) for amount in (1000.0, 1250.0))

    for name, column in one.covariates.items():
        np.testing.assert_array_equal(column, other.covariates[name])
    # a linear model: a quarter more of each dose is a quarter more of each level, patient by patient
    np.testing.assert_allclose(other.values, 1.25 * one.values, rtol=1e-4)


def test_measured_levels_are_the_values_with_the_error_of_the_laboratory(ward):
    """NaN where nothing is drawn, and before the first dose where the clinic has no level."""
    found = trial(ward, Says(1000.0), Cohort(1, 8))

    drawn = np.asarray(ward.sampled())
    assert found.measured.shape == (8, ward.schedule.decisions, len(ward.monitoring.at_h))
    np.testing.assert_array_equal(np.isnan(found.measured), np.broadcast_to(~drawn[..., None], found.measured.shape))
    slots = [ward.schedule.output_times_h.index(t) for t in ward.monitoring.at_h]
    error = found.measured[:, drawn] / found.values[:, drawn][..., slots] - 1.0
    # Proportional 15 % and 1.6 mg/L on levels of 5 to 60 mg/L.
    assert 0.1 < error.std() < 0.5
    assert abs(error.mean()) < 0.1
    assert np.isnan(found.baseline).all()


@pytest.mark.long
def test_streams_never_share_a_patient():
    """Training, tuning and test cohorts are held apart by construction, whatever the seeds."""
    seen = set()
    for seed in range(25):
        for stream in Stream:
            key = key_for(seed, stream)
            for patient in range(40):
                seen.add(tuple(np.asarray(jax.random.key_data(jax.random.fold_in(key, patient))).tolist()))

    assert len(seen) == 25 * len(Stream) * 40


def test_cohorts_of_different_streams_differ(ward):
    test, tune = (trial(ward, Says(1000.0), Cohort(1, 8, stream=s)) for s in (Stream.EVALUATE, Stream.TUNE))

    assert not set(test.covariates["wt_kg"].tolist()) & set(tune.covariates["wt_kg"].tolist())


def test_a_proposal_that_is_no_number_is_counted_and_nothing_is_given_for_it(ward):
    result = trial(ward, Says(np.nan), Cohort(1, 4))

    assert (result.reason == REASONS.index("not a number")).all()
    assert np.isnan(result.proposal).all()
    assert (result.dose == 0.0).all()
    assert not result.failed.any()


def test_a_proposal_off_the_grid_is_counted(ward):
    result = trial(ward, Says(1100.0), Cohort(1, 4))

    assert (result.reason == REASONS.index("off the grid")).all()
    assert (result.dose == 1000.0).all()
    assert not trial(ward, Says(1000.0), Cohort(1, 4)).reason.any()


@pytest.mark.long
def test_the_shield_stands_between_policy_and_patient(ward):
    shield = shield_of(ward, model_of(ward, MODEL), dose=2000.0, day=None, factor=None, level=None)

    result = trial(ward, Says(4000.0), Cohort(1, 4), shield=shield)

    assert (result.dose == 2000.0).all()
    assert (result.reason == REASONS.index("dose cap")).all()


@pytest.mark.long
def test_a_patient_whose_simulation_diverges_is_kept_and_marked(ward):
    broken = dataclasses.replace(simulator_of(ward, MODEL), finish=lambda p, c: p | {"cl": _nan_for_the_heavy(p, c)})

    result = run_trial(ward, broken, Says(1000.0), Cohort(1, 40))

    heavy = result.covariates["wt_kg"] > 90.0
    assert heavy.any()
    np.testing.assert_array_equal(result.failed, heavy)
    assert result.patients == 40


@pytest.mark.long
def test_a_patient_faster_than_the_step_has_no_glucose_left_and_leaves():
    """Insulin that takes glucose up within seconds: Runge-Kutta would swing to where there are no numbers."""
    found = find_scenario("t1d").value
    short = dataclasses.replace(adjusted(found, decisions=8), intake=None)
    plain = simulator_of(short, short.models[0])
    quick = dataclasses.replace(
        plain, finish=lambda p, c: plain.finish(p, c) | {"sit": 500.0 * plain.finish(p, c)["sit"]}
    )

    result = run_trial(short, quick, Says(3.0), Cohort(1, 4))

    assert not result.failed.any()
    assert not result.alive[:, -1].any()
    gone = result.values.reshape(4, 8, -1)
    assert (gone.max(axis=(1, 2)) < 100.0).all()


def _nan_for_the_heavy(p, c):
    return jnp.where(c["wt_kg"] > 90.0, jnp.nan, p["cl"])


def test_no_patients_are_refused():
    with pytest.raises(ConfigError, match="at least 1 patient"):
        Cohort(1, 0)


@pytest.fixture(scope="module")
def ladder(ward):
    found = {}
    for name in ("random", "label", "mipd", "oracle"):
        one = agent(name)
        policy = one.build(setting(ward))
        found[name] = trial(ward, policy, Cohort(1, 300), sees_truth=one.sees_truth).inside[:, ward.judged()].mean()
    return found


@pytest.mark.long
def test_knowing_more_is_never_worse(ladder):
    assert ladder["random"] + 0.2 < ladder["label"] < ladder["mipd"] + 0.05
    assert ladder["mipd"] < ladder["oracle"]
    assert ladder["oracle"] > 0.97


def test_no_dose_does_nothing_and_the_highest_harms(ward):
    none, most = (trial(ward, Says(amount), Cohort(1, 100)) for amount in (0.0, ward.dosage.amounts[-1]))

    assert none.inside.max() == 0.0
    assert (none.values == 0.0).all()
    # From the second interval on: the area over 24 h of the first one is that of a single dose.
    assert most.harms[:, 1:, 0].mean() > 0.9


def test_policies_are_values(ward):
    """The parameters are the leaves: another amount runs the same program."""
    a, b = Says(jnp.asarray(1000.0)), Says(jnp.asarray(500.0))

    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert not eqx.tree_equal(a, b)


@pytest.mark.long
def test_a_kept_program_gives_the_same_bits(ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process, which reads what the first traced, treats the same patients alike."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    policy, model = Label(ward), simulator_of(ward, MODEL)
    trials = []
    for keep, before in ((True, False), (True, True), (False, False)):
        monkeypatch.setattr(module, "_programs", Held())
        kept_programs.keep_traces(keep)
        try:
            assert prepare_trial(ward, model, policy).kept == before
        finally:
            kept_programs.keep_traces(False)
        trials.append(run_trial(ward, model, policy, Cohort(3, 5)))
    assert same(trials[0], trials[1])
    assert same(trials[0], trials[2])


@pytest.mark.long
def test_old_programs_make_room_where_held_programs_are_scarce(ward, monkeypatch):
    """A comparison with many programs ended in a crash of the compiler: a process may have 65,530 memory maps."""
    cohort, policies = Cohort(5, 3), (Says(500.0), Label(ward))
    usual = [trial(ward, policy, cohort) for policy in policies]
    monkeypatch.setattr(held_programs, "maps_are_scarce", lambda most=None: True)
    monkeypatch.setattr(module, "_programs", Held())

    found = [trial(ward, policy, cohort) for policy in policies]

    assert len(module._programs) == 1
    for one, other in zip(found, usual, strict=True):
        np.testing.assert_array_equal(one.dose, other.dose)


def test_held_programs_are_counted(tmp_path, monkeypatch):
    (tmp_path / "maps").write_text("a\n" * 11)
    (tmp_path / "limit").write_text("20\n")
    monkeypatch.setattr(held_programs, "_MAPS", tmp_path / "maps")
    monkeypatch.setattr(held_programs, "_LIMIT", tmp_path / "limit")
    assert held_programs.maps_are_scarce()
    (tmp_path / "limit").write_text("30\n")
    assert not held_programs.maps_are_scarce()
    monkeypatch.setattr(held_programs, "_MAPS", tmp_path / "none")
    assert not held_programs.maps_are_scarce()

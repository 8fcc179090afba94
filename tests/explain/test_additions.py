"""What a policy adds to the Bayesian dose that it corrects: told as it is, sorted by hand, printed as it is given."""

import csv
import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.clinic.posterior import changed
from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.explain.additions import ASKED, SURPRISES, additions_of, with_uncorrected
from rl_drug_dosage.explain.additions_text import (
    additions_csv,
    additions_curves,
    additions_markdown,
    additions_sentences,
)
from rl_drug_dosage.explain.probe import Probe, ask
from rl_drug_dosage.explain.told import TOLD, corrects, heard_by, uncorrected
from rl_drug_dosage.policies.adapters.learnt import PpoDosing
from rl_drug_dosage.policies.label import Label
from rl_drug_dosage.trials.trial import Cohort

GAIN, LATE = (1.5, 0.5, 2.5), (14.0, 31.0)


@pytest.fixture(scope="module")
def learnt(ward, make_policy):
    """A policy that adds half a power of 2, whatever it sees."""
    observer = observer_of(ward, 1, ward.models[0], "residual", support=16)
    low, high = observer.action_bounds
    policy = make_policy(obs_size=observer.size, action_size=len(low))
    policy.networks.actor_mean.weights[-1][:] = 0.0
    policy.networks.actor_mean.biases[-1][:] = (np.arctanh(0.5), 0.0)
    return PpoDosing(ward, observer, dataclasses.replace(policy, low=low, high=high))


def test_only_a_correction_of_support_patients_is_one(ward, learnt, make_policy):
    observer = observer_of(ward)
    assert corrects(learnt)
    assert not corrects(PpoDosing(ward, observer, make_policy(obs_size=observer.size)))
    assert not corrects(Label(ward))


def test_what_is_told_is_six_numbers(ward, learnt):
    """Traced only: every part has its place in what the policy observes."""
    typical = {c.name: jnp.full(ward.records, c.typical) for c in ward.covariates}
    record = empty_record(ward, typical, jnp.zeros(()))
    heard = heard_by(learnt)
    answer, memory = jax.eval_shape(lambda r: heard.act(heard.init(r), r, None), record)
    assert answer.shape == ()
    assert memory.told.shape == (len(TOLD),) == (6,)


@pytest.mark.slow
def test_what_is_told_is_what_was_corrected(ward, learnt):
    """The dose given is the Bayesian one, as the policy's own belief has it, changed by half a power of 2.

    Beside it the same policy with nothing to add, which sees the same records: its doses are the Bayesian ones.
    """
    policies = (learnt, uncorrected(learnt))
    probe = ask(ward, simulator_of(ward, ward.models[0]), policies, Cohort(3, 20), told=True)
    told = dict(zip(TOLD, np.moveaxis(probe.told, -1, 0), strict=True))
    np.testing.assert_array_equal(told["best"], probe.doses[..., 1])
    grid = ward.dosage.grid()
    own = np.asarray(changed(ward, told["best"], 0.5))
    nearest = grid[np.abs(grid[None, None] - own[..., None]).argmin(-1)]
    certain = told["doubt"] == 0.0
    assert certain.mean() > 0.9
    np.testing.assert_allclose(probe.doses[..., 0][certain], nearest[certain])
    np.testing.assert_array_equal(probe.doses[..., 0][~certain], told["best"][~certain])
    # Levels are new at the second and fourth decision.
    assert (told["surprise"] != 0.0).any(0).tolist() == [False, True, False, True]
    assert (told["lasting"] == 0.0).all()
    assert (told["due"] == 1.0).all()
    assert ((told["target"] >= 0.0) & (told["target"] <= 1.0)).all()
    np.testing.assert_array_equal(with_uncorrected(probe).doses[..., 2], told["best"])


@pytest.fixture(scope="module")
def by_hand():
    """100 patients, three decisions. The policy makes half of what is asked where levels are no surprise.

    Patients 0 to 49 are asked to go from 1,000 to 2,000 mg without surprise and get 1,500; 50 to 99 are asked to go
    from 1,000 to 500 mg after levels above what was expected, and get that. At the third decision nothing is new, all
    are asked for the dose before, and get it. The last patient has left before it.
    """
    best = np.stack([np.full(100, 1000.0), np.repeat([2000.0, 500.0], 50), np.repeat([1500.0, 500.0], 50)], axis=1)
    given = best.copy()
    given[:50, 1] = 1500.0
    parts = dict.fromkeys(TOLD, np.zeros((100, 3)))
    parts |= {"best": best, "due": np.ones((100, 3)), "target": np.full((100, 3), 0.5)}
    parts["surprise"] = np.stack([np.zeros(100), np.repeat([0.3, 2.0], 50), np.zeros(100)], axis=1)
    alive = np.ones((100, 3), bool)
    alive[99, 2] = False
    return Probe(
        seen=np.zeros((100, 3, 0)),
        doses=given[..., None],
        alive=alive,
        swapped=np.zeros((100, 3, 0)),
        told=np.stack([parts[name] for name in TOLD], axis=-1),
    )


def test_decisions_are_sorted_by_what_is_asked_and_what_was_new(ward, by_hand):
    found = additions_of(ward, by_hand, by_hand, GAIN, LATE)

    counts = {(ASKED[i], SURPRISES[j]): n for (i, j), n in np.ndenumerate(found.counts) if n}
    assert counts == {
        ("first dose", "no new level"): 100,
        ("higher by more than 25 %", "as expected"): 50,
        ("lower by more than 25 %", "higher than expected"): 50,
        ("within 5 %", "no new level"): 99,
    }
    cell = ASKED.index("higher by more than 25 %"), SURPRISES.index("as expected")
    assert found.median_pct[cell] == -25.0
    assert found.changed_pct[cell] == 100.0
    assert (np.delete(found.median_pct.ravel(), cell[0] * len(SURPRISES) + cell[1]) == 0.0).all()
    # By hand: 249 of 299 doses are the Bayesian ones; with the table all are.
    assert found.fidelity[0].same_pct == pytest.approx(100.0 * 249 / 299)
    assert found.fidelity[1].same_pct == 100.0


def test_sentences_say_what_the_doses_say(ward, by_hand):
    first, damped, *_, late, gain = additions_sentences(additions_of(ward, by_hand, by_hand, GAIN, LATE), "mg")
    assert "as it is in 83 % of decisions, less in 17 % (median -500 mg)" in first
    assert "(100 decisions), the policy makes 75 % of that change (median), and none of it in 0 %" in damped
    assert "change by 14 % of their mean from one to the next (median of patients), and by 31 % in patients" in late
    assert gain == "Its target attainment minus that of the Bayesian dose is +1.5 points (+0.5 to +2.5)."


def test_the_printed_table_and_the_file_hold_the_cells(ward, by_hand):
    found = additions_of(ward, by_hand, by_hand, GAIN, LATE)
    text = "\n".join(additions_markdown(found, 100))
    # No column of levels below what was expected, as there were none.
    assert "| Bayesian dose | no new level | as expected | higher than expected |" in text
    assert "| **higher by more than 25 %** |  | -25 % (-25 to -25 %; 50) |  |" in text
    assert "| **within 5 %** | as it is (+0 to +0 %; 99) |  |  |" in text
    assert "is the policy's in 100 % of decisions" in text
    assert "unchanged in 83 and" in text
    rows = {(r["bayesian_dose"], r["new_levels"]): r for r in csv.DictReader(io.StringIO(additions_csv(found)))}
    assert len(rows) == 4
    assert rows["higher by more than 25 %", "as expected"]["median_pct"] == "-25"
    assert rows["first dose", "no new level"]["decisions_seen"] == "100"


def test_few_decisions_change_nothing(ward, by_hand):
    few = dataclasses.replace(by_hand, **{f.name: getattr(by_hand, f.name)[46:54] for f in dataclasses.fields(Probe)})
    found = additions_of(ward, few, few, GAIN, LATE)
    assert (found.median_pct == 0.0).all()
    assert "| **higher by more than 25 %** |  | - |  |" in "\n".join(additions_markdown(found, 8))


def test_curves_show_what_is_added(ward, by_hand):
    course, asked, surprise = additions_curves(additions_of(ward, by_hand, by_hand, GAIN, LATE))
    assert course.x.tolist() == [1.0, 2.0, 3.0]
    assert set(course.bands) == {"PPO minus Bayesian dose"}
    assert course.bands["PPO minus Bayesian dose"][:, 1].tolist() == [-25.0, -12.5, 0.0]
    # By change asked: -50 and 0 % add nothing, +100 % loses a quarter; by surprise: 0.3 sd and 2 sd.
    assert asked.x.tolist() == [-50.0, 0.0, 100.0]
    assert asked.bands["PPO minus Bayesian dose"][1].tolist() == [0.0, 0.0, -25.0]
    assert surprise.x.tolist() == [0.3, 2.0]
    assert surprise.bands["PPO minus Bayesian dose"][1].tolist() == [-25.0, 0.0]
    assert all(curve.signed for curve in (course, asked, surprise))

"""Every number of an observation has a name and a unit, whatever is wrapped around the environment."""

import gymnasium
import numpy as np
import pytest

import rl_drug_dosage  # noqa: F401 - registers the environments
from rl_drug_dosage.envs.drug_dose_v0 import make_drug_dose
from rl_drug_dosage.envs.faces import make_env, make_vector_env
from rl_drug_dosage.envs.history_stack import HistoryStack
from rl_drug_dosage.envs.privileged import with_truth

PARTS = [{"simulator": "warfarin-hamberg2007"}, {"randomise": 0.5}]


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("DrugDose-v0", {}),
        ("Vancomycin-v2", {}),
        ("T1d-v2", {"history": 2}),
        ("Warfarin-v1", {"ratio": True, "action": "label"}),
        ("Warfarin-v1", {"mixture": PARTS}),
    ],
)
def test_there_is_a_name_for_every_number(env_id, options):
    """One at a time, in a batch, stacked, and with the truth beside them."""
    env = gymnasium.make(env_id, **options).unwrapped
    batch = make_vector_env(env_id, num_envs=2, **options)
    assert batch.observation_names == env.observation_names
    wrapped = [env.functional, HistoryStack(env.functional, 3)]
    if env_id != "DrugDose-v0":
        wrapped += [with_truth(env.functional)]
    for functional in wrapped:
        found = [feature.name for feature in functional.observation_names]
        assert len(set(found)) == len(found) == functional.observation_bounds[0].size


@pytest.mark.long
def test_the_names_are_in_the_order_of_the_numbers():
    """After one dose of 2,000 mg, of at most 5,000, the number of that name is 0.4."""
    env = make_env("vancomycin", history=2)
    env.reset(seed=1)
    obs = env.step(np.full(1, 2000.0, np.float32))[0]
    seen = dict(zip([f.label for f in env.observation_names], obs, strict=True))
    assert seen["dose_1_ago (share of 5000 mg)"] == pytest.approx(0.4)
    assert seen["time (share of the course)"] == pytest.approx(1 / 14)
    assert 30.0 < seen["wt_kg (kg)"] < 200.0


def test_a_stack_names_the_step_of_each_number():
    """What was observed before, and what was done: the order that `HistoryStack` documents."""
    stack = HistoryStack(make_drug_dose(), 3)
    expected = [
        "concentration",
        "concentration_before_1",
        "concentration_before_2",
        "action_before_1",
        "action_before_2",
    ]
    assert [f.name for f in stack.observation_names] == expected

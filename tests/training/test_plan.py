"""From the steps asked for to whole updates: never fewer, never none, and never without a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.config import PRESETS, TrainConfig
from rl_drug_dosage.training.plan import make_plan


def test_a_thousand_steps_train_all_the_same() -> None:
    """1,000 // 2,048 is 0 updates; here the rollout is shortened to the next multiple of 32, and the run says so."""
    plan = make_plan(TrainConfig(total_timesteps=1000))
    assert (plan.num_updates, plan.config.num_steps, plan.total_timesteps) == (1, 1024, 1024)
    assert plan.notes == (
        "1,000 steps do not fill a rollout of 1 x 2,048: the rollout is shortened to 1 x 1,024",
        "1,000 steps are not a whole number of updates of 1,024: training takes 1 updates, 1,024 steps",
    )


def test_no_step_of_the_default_run_is_dropped() -> None:
    """200,000 steps are 97.7 rollouts: 98 updates and 200,704 steps instead of 198,656 in silence."""
    plan = make_plan(TrainConfig())
    assert (plan.num_updates, plan.total_timesteps, plan.batch_size) == (98, 200_704, 2048)
    assert len(plan.notes) == 1
    assert "98 updates, 200,704 steps" in plan.notes[0]


def test_what_divides_is_left_alone() -> None:
    """A whole number of updates needs no note and changes nothing; so does the fast preset."""
    config = TrainConfig(total_timesteps=4096)
    plan = make_plan(config)
    assert (plan.config, plan.num_updates, plan.notes) == (config, 2, ())
    assert make_plan(TrainConfig(**PRESETS["fast"])).notes == ()


@pytest.mark.parametrize(
    ("envs", "steps", "minibatches", "remedy"),
    [
        (1, 2048, 30, "choose a divisor of 2048 (the next lower one is 16)"),
        (3, 7, 2, "choose a divisor of 21 (the next lower one is 1)"),
        (1, 8, 16, "choose a divisor of 8 (the next lower one is 8)"),  # an empty minibatch
        (1, 2048, 2048, "leave 1 transition in a minibatch: at least 2 are needed, choose at most 1024 minibatches"),
        (4, 2, 8, "leave 1 transition in a minibatch: at least 2 are needed, choose at most 4 minibatches"),
    ],
)
def test_minibatches_that_do_not_fit_are_refused(envs: int, steps: int, minibatches: int, remedy: str) -> None:
    """One line with the three numbers and what would do."""
    config = TrainConfig(num_envs=envs, num_steps=steps, num_minibatches=minibatches)
    with pytest.raises(ConfigError) as caught:
        make_plan(config)
    message = str(caught.value)
    assert message.startswith(f"num_envs {envs} x num_steps {steps} = {envs * steps} transitions")
    assert f"num_minibatches {minibatches}" in message
    assert remedy in message
    assert "\n" not in message


@given(st.integers(1, 10**6), st.integers(1, 40), st.integers(1, 60), st.integers(1, 70), st.integers(2, 9))
def test_every_plan_keeps_its_promises(total: int, envs: int, factor: int, minibatches: int, size: int) -> None:
    """At least as many steps as asked for, at least one update, minibatches that divide and hold 2 or more."""
    steps = minibatches * size * factor  # divides, whatever the number of environments
    plan = make_plan(TrainConfig(total_timesteps=total, num_envs=envs, num_steps=steps, num_minibatches=minibatches))
    batch = plan.config.num_envs * plan.config.num_steps
    assert plan.num_updates >= 1
    assert plan.total_timesteps >= total
    assert plan.total_timesteps - total < batch  # and not an update more than needed
    assert batch % minibatches == 0
    assert batch // minibatches >= 2
    assert 1 <= plan.config.num_steps <= steps
    assert bool(plan.notes) == (plan.total_timesteps != total or plan.config.num_steps != steps)
    assert make_plan(plan.config).config == plan.config


@given(st.integers(1, 300), st.integers(1, 8), st.integers(1, 12))
def test_a_shortened_rollout_is_the_shortest_that_will_do(total: int, envs: int, minibatches: int) -> None:
    """No smaller number of steps covers the total, divides into the minibatches and gives each two transitions."""
    full = 300 * minibatches * 2
    plan = make_plan(TrainConfig(total_timesteps=total, num_envs=envs, num_steps=full, num_minibatches=minibatches))
    fitting = (n * envs for n in range(1, full + 1))
    least = next(b for b in fitting if b >= total and b % minibatches == 0 and b // minibatches >= 2)
    assert plan.total_timesteps == least

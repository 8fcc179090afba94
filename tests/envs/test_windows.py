"""A window of the goal knows its quantity, and is drawn on an axis of that quantity only."""

import jax
import numpy as np
import pytest

from rl_drug_dosage.envs import catalog
from rl_drug_dosage.envs.functional import Axis, Quantity, Window
from rl_drug_dosage.registry import SCENARIO, find_scenario, names

MG_PER_L = Axis("concentration", "mg/L")


@pytest.mark.parametrize(
    ("quantity", "on"),
    [
        (Quantity("concentration", "value", "mg/L"), True),
        (Quantity("concentration", "trough", "mg/L"), True),
        (Quantity("concentration", "peak", "mg/L"), False),
        (Quantity("concentration", "auc24", "mg h/L"), False),
        (Quantity("concentration", "trough", "ug/L"), False),
        (Quantity("effect_site", "trough", "mg/L"), False),
    ],
)
def test_a_window_is_on_an_axis_of_its_own_quantity_only(quantity: Quantity, on: bool) -> None:
    """The course shows values at the end of each interval: no area, no peak, no other output, no other unit."""
    assert quantity.is_on(MG_PER_L) is on


def test_edges_that_change_are_stretches_of_the_steps_that_count() -> None:
    """Six steps, edges that change after the second, the fifth not judged; open edges end with the axis."""
    low, high = np.array([5, 5, 4, 4, 4, 4.0]), np.array([9, 9, np.inf, np.inf, np.inf, np.inf])
    window = Window.of_course(Quantity("inr", "trough", "1"), low, high, judged=(0, 1, 2, 3, 5))
    assert (window.low, window.high, window.earlier) == (4.0, np.inf, ((2, 5.0, 9.0),))
    assert window.stretches(6) == [(0, 2, 5.0, 9.0), (2, 4, 4.0, np.inf), (5, 6, 4.0, np.inf)]
    assert window.stretches(6, (0.0, 20.0))[1] == (2, 4, 4.0, 20.0)


@pytest.mark.parametrize("name", names(SCENARIO))
def test_a_scenario_gives_every_target_with_its_quantity_and_edges(name: str) -> None:
    """In order, and step by step what the scenario says; a model file records them as JSON that everybody reads."""
    scenario = find_scenario(name).value
    env = catalog.find_env(name).make()
    low, high, _ = scenario.edges()
    assert [(w.quantity.output, w.quantity.metric, w.quantity.unit) for w in env.windows] == [
        (t.output, t.metric, t.unit) for t in scenario.goal.targets
    ]
    for i, window in enumerate(env.windows):
        for start, stop, a, b in window.stretches(env.horizon):
            assert (low[start:stop, i] == np.float32(a)).all()
            assert (high[start:stop, i] == np.float32(b)).all()
            assert scenario.judged()[start:stop].all()
    about = catalog.describe(env)
    assert about["window_of"] == {
        "output": env.window.quantity.output, "metric": env.window.quantity.metric, "unit": env.window.quantity.unit,
    }  # fmt: skip
    assert all(edge is None or np.isfinite(edge) for edge in about["window"])


def _steps(name: str, actions: list[float]) -> tuple[list[float], list[np.ndarray], list[float]]:
    """Levels at the ends of intervals, metrics and doses of one patient."""
    env = catalog.find_env(name).make()
    step = jax.jit(env.step)
    chance = env.draw(jax.random.key(3), ())
    state, _ = env.reset(chance)
    levels, metrics, doses = [], [], []
    for action in actions:
        out = step(state, np.float32([action]), chance)
        state = out.state
        levels.append(float(env.concentration(state)))
        metrics.append(np.asarray(out.metrics))
        doses.append(float(out.dose))
    return levels, metrics, doses


@pytest.mark.long
def test_the_metric_of_a_step_is_that_of_its_interval() -> None:
    """Vancomycin: the mean level that AUC24 speaks of lies above the trough, and the same dose again accumulates.

    The first interval ends after 12 h, half of what AUC24 speaks of.
    """
    levels, metrics, doses = _steps("vancomycin", [1000.0] * 6)
    auc24 = np.array(metrics)[:, 0]
    assert np.array(metrics).shape == (6, 1)
    assert (auc24 / 24.0 > np.array(levels))[1:].all()
    assert (np.diff(auc24) > 0).all()
    assert doses == [1000.0] * 6


@pytest.mark.long
def test_a_trough_is_the_level_at_the_end_and_a_peak_is_above_it() -> None:
    """Aminoglycoside has a window on each."""
    levels, metrics, _ = _steps("aminoglycoside", [300.0] * 3)
    peak, trough = np.array(metrics).T
    np.testing.assert_allclose(trough, levels, rtol=1e-6)
    assert (peak > 3 * trough).all()


@pytest.mark.long
def test_a_dose_is_what_was_given_not_the_action() -> None:
    """With actions that change a usual dose, an action of 0 or below is no dose: pictures and files show amounts."""
    env = catalog.find_env("tacrolimus").make(belief="tacrolimus-storset2014", action="residual")
    chance = env.draw(jax.random.key(3), ())
    state, _ = env.reset(chance)
    out = jax.jit(env.step)(state, np.float32([-0.2]), chance)
    assert float(out.dose) > 0
    assert float(out.dose) in env.scenario.dosage.grid()
    assert env.highest_dose == env.scenario.dosage.amounts[-1]

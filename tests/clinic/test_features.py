"""What a learner is shown: sizes that hold, no look into the future, and ratios that can be worked out by hand."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.observation import RATIO_OVER, Observer, observer_from, observer_of
from rl_drug_dosage.clinic.record import Record, empty_record
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.registry import SCENARIO as KIND
from rl_drug_dosage.registry import find_scenario, names

SCENARIO = find_scenario("warfarin").value
STEPS = SCENARIO.schedule.decisions


def record_at(k: int, dose: Any, level: Any) -> Record:
    """A chart at decision ``k`` with these doses and levels."""
    covariates = {c.name: jnp.full(1, float(c.typical)) for c in SCENARIO.covariates}
    record = empty_record(SCENARIO, covariates, jnp.asarray(1.0))
    known = (jnp.arange(STEPS) < k)[:, None]
    values = (
        jnp.asarray(k, jnp.int32),
        jnp.broadcast_to(dose, STEPS),
        jnp.where(known[:, 0], level, 0.0)[:, None],
        known,
    )
    return eqx.tree_at(lambda r: (r.k, r.dose, r.level, r.known), record, values)


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"history": 9},
        {"on_board": False},
        {"clock": False},
        {"ratio": True},
        {"action": "relative"},
        {"action": "grid"},
        {"action": "label"},
    ],
)
def test_the_vector_is_as_long_as_it_says(changes: dict[str, Any]) -> None:
    """And finite, from the first decision to beyond the last one; the memory keeps its shape."""
    observer = dataclasses.replace(Observer(SCENARIO), **changes)
    memory = observer.init(record_at(0, jnp.zeros(STEPS), 1.0))
    for k in (0, 3, STEPS):
        vector, after = observer(memory, record_at(k, jnp.zeros(STEPS).at[:k].set(5.0), 2.0))
        assert vector.shape == (observer.size,)
        assert np.isfinite(vector).all()
        assert [jnp.shape(x) for x in after] == [jnp.shape(x) for x in memory]


def test_without_the_clock_two_days_may_look_alike() -> None:
    """Nothing given and nothing changed: only the clock tells day 17 from day 18."""
    doses = jnp.zeros(STEPS).at[:].set(0.0)
    seen = {}
    for clock in (False, True):
        observer = Observer(SCENARIO, history=2, clock=clock)
        seen[clock] = [np.asarray(observer((), record_at(k, doses, 1.0))[0]) for k in (17, 18)]
    np.testing.assert_array_equal(*seen[False])
    assert seen[True][0][0] != seen[True][1][0]


def test_the_ratio_of_an_unchanging_course() -> None:
    """The same dose and the same level every day: every mean is ln(level + 0.01) - ln(dose / usual + 0.05)."""
    plain, with_ratio = Observer(SCENARIO, history=1), Observer(SCENARIO, history=1, ratio=True)
    dose, level = 2.0 * SCENARIO.dosage.usual, 2.4
    record = record_at(8, jnp.zeros(STEPS).at[:8].set(dose), level)
    ratios = np.setdiff1d(np.asarray(with_ratio((), record)[0]), np.asarray(plain((), record)[0]))
    assert with_ratio.size - plain.size == 2 * len(RATIO_OVER)
    np.testing.assert_allclose(ratios, np.log(level + 0.01) - np.log(2.0 + 0.05), rtol=1e-5)


def test_the_recent_ratio_follows_a_change_sooner() -> None:
    """A level that doubles half-way at the same dose: the recent average is nearer to what it is now."""
    observer = Observer(SCENARIO, history=1, ratio=True)
    level = jnp.where(jnp.arange(STEPS) < 6, 1.5, 3.0)
    vector = np.asarray(observer((), record_at(12, jnp.zeros(STEPS).at[:12].set(SCENARIO.dosage.usual), level))[0])
    low, high = (np.log(x + 0.01) - np.log(1.05) for x in (1.5, 3.0))
    at = observer.size - 1 - 2 * len(RATIO_OVER)  # the INR before the first dose comes last
    overall, recent = vector[at : at + 2]
    assert overall == pytest.approx(0.5 * (low + high), abs=1e-4)
    assert low < overall < recent < high


def value_of(observer: Observer, record: Record, name: str) -> float:
    """The number with this name."""
    at = [f.name for f in observer.names].index(name)
    return float(observer(observer.init(record), record)[0][at])


@pytest.mark.long
def test_every_number_is_what_its_name_says() -> None:
    """Day 8 of a course with doses 1, 2, .. 8 mg and INR 1.1, 1.2, .. 1.8."""
    observer = Observer(SCENARIO, history=3, ratio=True, action="label")
    k, top = 8, SCENARIO.dosage.amounts[-1]
    day = jnp.arange(STEPS)
    record = record_at(k, jnp.where(day < k, day + 1.0, 0.0), 1.1 + 0.1 * day)
    age_y = next(float(c.typical) for c in SCENARIO.covariates if c.name == "age_y")
    expected = {
        "time": k / STEPS,
        "age_y": age_y,
        "mean_dose": np.mean(np.arange(1, 9)) / top,
        "on_board_1d": sum((i + 1.0) * 0.5 ** (k - i) for i in range(k)) / top,
        "dose_1_ago": 8.0 / top,
        "dose_3_ago": 6.0 / top,
        "inr_1_ago": np.log1p(1.8),
        "inr_2_ago": np.log1p(1.7),
        "inr_1_ago_known": 1.0,
        "latest_inr": np.log1p(1.8),
        "latest_inr_since": 1 / STEPS,
        "earlier_inr": np.log1p(1.7),
        "inr_before": np.log1p(1.0),
        "label_dose": float(SCENARIO.label(record.facts(), record)) / top,
    }
    for name, value in expected.items():
        assert value_of(observer, record, name) == pytest.approx(value, rel=1e-5), name
    units = {f.name: f.unit for f in observer.names}
    assert units["dose_1_ago"] == f"share of {top:g} mg"
    assert units["age_y"] == "y"
    assert observer.names[0].label == "time (share of the course)"


@pytest.mark.parametrize("name", names(KIND))
def test_the_numbers_of_every_scenario_have_names_of_their_own(name: str) -> None:
    """Also with everything shown that can be."""
    scenario = find_scenario(name).value
    plain, belief = (
        observer_of(scenario),
        observer_of(scenario, belief=scenario.models[0], ratio=True, action="residual"),
    )
    for observer in (plain, belief):
        found = [f.name for f in observer.names]
        assert len(set(found)) == len(found) == observer.size
        assert all(f.unit for f in observer.names)
    levels = [f for f in plain.names if f.name.startswith("latest_")]
    assert scenario.monitoring.output in levels[0].name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"histroy": 4}, UnknownNameError, "did you mean 'history'"),
        ({"history": 0}, ConfigError, "a whole number from 1 to 64, not 0"),
        ({"clock": 1}, ConfigError, "true or false, not 1"),
        ({"action": "dose"}, ConfigError, "one of amount, grid"),
        ({"action": "residual"}, ConfigError, "needs a belief"),
        ({"belief": "vancomycin-goti2018"}, UnknownNameError, "vancomycin-goti2018"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Whoever gave them is named."""
    with pytest.raises(error, match=message):
        observer_from(SCENARIO, options, "policy 'mine'")

"""The label's doses of three scenarios, worked out by hand from the rules that they quote; random dosing is uniform.

Warfarin's label is tested with the protocols that it is made of.
"""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.record import Record, empty_record
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.registry import find_scenario, load_policy_definition


def setting(name: str) -> Setting:
    task = find_scenario(name)
    first = task.value.models[0]
    return Setting(task, model_of(task.value, first), simulator_of(task.value, first))


def chart(
    name: str,
    facts: Mapping[str, float],
    k: int,
    *,
    given: Sequence[float] = (),
    levels: Mapping[int, float] | None = None,
) -> Record:
    """A patient's chart at decision ``k``: doses given so far, and the last sample of some intervals."""
    scenario = find_scenario(name).value
    typical = {c.name: float(c.typical) for c in scenario.covariates} | dict(facts)
    record = empty_record(scenario, {n: jnp.full(scenario.records, v) for n, v in typical.items()}, jnp.zeros(()))
    level, known, dose = record.level, record.known, record.dose
    for at, value in (levels or {}).items():
        level, known = level.at[at, -1].set(value), known.at[at, -1].set(True)
    for at, amount in enumerate(given):
        dose = dose.at[at].set(amount)
    return eqx.tree_at(
        lambda r: (r.k, r.level, r.known, r.dose), record, (jnp.asarray(k, jnp.int32), level, known, dose)
    )


def label(name: str, record: Record) -> float:
    """Through the policy, so that it is rounded to the grid."""
    policy = load_policy_definition("label").build(setting(name))
    dose, _ = policy.act(policy.init(record), record, None)
    return float(dose)


@pytest.mark.parametrize(
    ("crcl", "wt", "load", "keep"),
    [
        # 25 mg/kg once; then 15 mg/kg x CRCL / 100 mL/min, the share from 0.2 to 1.3; at most 3 g; steps of 250 mg
        (100.0, 80.0, 2000.0, 1250.0),  # 25 x 80; 15 x 80 = 1200
        (50.0, 80.0, 2000.0, 500.0),  # 15 x 80 x 0.5 = 600
        (20.0, 60.0, 1500.0, 250.0),  # 25 x 60; 15 x 60 x 0.2 = 180
        (10.0, 60.0, 1500.0, 250.0),  # the share stays 0.2
        (140.0, 70.0, 1750.0, 1250.0),  # 25 x 70; 15 x 70 x 1.3 = 1365
        (100.0, 130.0, 3000.0, 2000.0),  # 25 x 130 = 3250, cut; 15 x 130 = 1950
        (150.0, 160.0, 3000.0, 3000.0),  # 15 x 160 x 1.3 = 3120, cut
    ],
)
def test_vancomycin_by_weight_and_renal_function(crcl, wt, load, keep):
    facts = {"crcl_ml_per_min": crcl, "wt_kg": wt}

    assert label("vancomycin", chart("vancomycin", facts, 0)) == load
    assert label("vancomycin", chart("vancomycin", facts, 1)) == keep
    # No level changes it.
    assert label("vancomycin", chart("vancomycin", facts, 5, levels={0: 60.0, 2: 3.0}, given=[load] + [keep] * 4)) == (
        keep
    )


@pytest.mark.parametrize(
    ("given", "troughs", "expected"),
    [
        # Outside of 5-10 mg/L the dose behind the trough x 50^0.5 / trough, 0.5 to 2 times, in mg/kg, from week 14 on
        ([], {}, 5.0),
        ([5.0], {0: 40.0}, 5.0),  # the trough after weeks 0 and 2: still induction
        ([5.0, 5.0], {1: 5.0}, 5.0),
        ([5.0, 5.0], {1: 10.0}, 5.0),
        ([5.0, 5.0], {1: 4.0}, 9.0),  # x 7.0711 / 4 = 1.7678: 8.84 mg/kg
        ([5.0, 5.0], {1: 2.0}, 10.0),  # x 3.54, at most 2; 10 mg/kg as well
        ([5.0, 9.0], {1: 4.0}, 10.0),  # 15.9, at most 10 mg/kg
        ([5.0, 8.0], {1: 12.0}, 4.5),  # x 0.5893: 4.71
        ([5.0, 10.0], {1: 40.0}, 5.0),  # x 0.177, at least 0.5
        ([5.0, 4.0, 7.0], {1: 4.0}, 7.0),  # no trough since: the dose behind the last one again
        ([5.0, 4.0, 7.0], {1: 4.0, 2: 7.0}, 7.0),  # in range: the dose behind it goes on
        ([5.0, 4.0, 7.0], {1: 4.0, 2: 14.0}, 3.5),  # 7 x 0.5051 = 3.54
    ],
)
def test_infliximab_by_weight_and_then_by_troughs(given, troughs, expected):
    record = chart("infliximab", {"wt_kg": 80.0}, len(given), given=given, levels=troughs)

    assert label("infliximab", record) == expected


@pytest.mark.parametrize(
    ("age", "k", "bis", "expected"),
    [
        # 70 kg. 2 mg/kg, over 55 y 1.25 mg/kg, in the first minute: mg/min at decisions 0 and 1
        (40.0, 0, None, 140.0),
        (40.0, 1, 95.0, 140.0),
        (55.0, 0, None, 140.0),
        (56.0, 0, None, 85.0),  # 87.5: half-way between 85 and 90, the lower one
        # then 10, 8 and 6 mg/kg/h, changed 10 and 20 min after the first minute
        (40.0, 2, None, 11.5),  # 10 x 70 / 60 = 11.67
        (40.0, 21, 50.0, 11.5),  # minute 10.5
        (40.0, 22, 50.0, 9.5),  # minute 11: 8 x 70 / 60 = 9.33
        (40.0, 41, 50.0, 9.5),
        (40.0, 42, 50.0, 7.0),  # minute 21: 6 x 70 / 60 = 7.0
        # one half more above BIS 60, one half less below 40
        (40.0, 42, 61.0, 10.5),
        (40.0, 42, 60.0, 7.0),
        (40.0, 42, 40.0, 7.0),
        (40.0, 42, 39.0, 3.5),
    ],
)
def test_propofol_by_weight_age_and_the_clock(age, k, bis, expected):
    levels = {} if bis is None else {k - 1: bis}
    record = chart("propofol", {"age_y": age, "wt_kg": 70.0}, k, levels=levels, given=[10.0] * k)

    assert label("propofol", record) == expected


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """6,000 doses of vancomycin, a key each."""
    policy = load_policy_definition("random").build(setting("vancomycin"))
    record = chart("vancomycin", {}, 0)
    return np.asarray(jax.vmap(lambda key: policy.act((), record, key)[0])(jax.random.split(jax.random.key(3), 6000)))


def test_random_doses_are_uniform_over_the_grid(drawn):
    """Every amount is drawn, as often as any other: a chi-squared of 20 degrees of freedom is below 45 (p 0.001)."""
    grid = np.asarray(find_scenario("vancomycin").value.dosage.amounts)
    counts = np.asarray([(drawn == amount).sum() for amount in grid])
    expected = len(drawn) / len(grid)

    assert counts.sum() == len(drawn)
    assert (((counts - expected) ** 2) / expected).sum() < 45.3


def test_a_random_dose_is_its_key_s(drawn):
    policy = load_policy_definition("random").build(setting("vancomycin"))
    keys = jax.random.split(jax.random.key(3), 6000)[:5]
    again = [float(policy.act((), chart("vancomycin", {}, 0), key)[0]) for key in keys]

    assert again == drawn[:5].tolist()
    assert load_policy_definition("random").chance

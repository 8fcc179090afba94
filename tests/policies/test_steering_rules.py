"""PID, proportional and fixed dosing: every dose worked out by hand, step by step."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.record import Record, empty_record
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.policies.pid import Pid
from rl_drug_dosage.policies.proportional import Proportional
from rl_drug_dosage.registry import find_scenario, load_policy_definition
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.trials.tuning import tuned
from rl_drug_dosage.utils.seeding import Stream

MODEL = "vancomycin-thomson2009"
PATIENT = {"crcl_ml_per_min": 100.0, "wt_kg": 90.0, "dialysis": 0.0}
"""Whose label dose is 25 mg/kg x 90 kg = 2250 mg at first, then 15 mg/kg x 90 kg = 1350 mg."""
NO_LEVEL = None


@eqx.filter_jit
def act(policy: Policy, memory, record: Record):
    return policy.act(memory, record, None)


def admitted(scenario, facts: dict[str, float]) -> Record:
    covariates = {c.name: jnp.full(scenario.records, facts[c.name]) for c in scenario.covariates}
    return empty_record(scenario, covariates, jnp.zeros(()))


def dosed(scenario, policy: Policy, levels: Sequence[float | None], given: Sequence[float] = ()) -> list[float]:
    """Doses at decision 0, 1, ...; ``levels[i]``: the trough of interval i; ``given``: in place of the advice."""
    record = admitted(scenario, PATIENT)
    memory = policy.init(record)
    doses = []
    for k in range(len(levels) + 1):
        if k:
            level = levels[k - 1]
            record = eqx.tree_at(
                lambda r: (r.level, r.known),
                record,
                (
                    record.level.at[k - 1, -1].set(0.0 if level is None else level),
                    record.known.at[k - 1, -1].set(level is not None),
                ),
            )
        record = eqx.tree_at(lambda r: r.k, record, jnp.asarray(k, jnp.int32))
        dose, memory = act(policy, memory, record)
        doses.append(float(dose))
        took = given[k] if k < len(given) else float(dose)
        record = eqx.tree_at(lambda r: r.dose, record, record.dose.at[k].set(took))
    return doses


def pid(scenario, *, kp: float, ki: float, kd: float, base: float = 1.0, scale: float = 20.0) -> Pid:
    """Steers to 20 mg/L; an error of 20 mg/L counts as 1."""
    values = (20.0, 0.0, scale, base, kp, ki, kd)
    return Pid(scenario, *(jnp.asarray(v) for v in values))


def proportional(scenario, *, wanted: float, before: float = 0.0, caution: float = 1.0, most: float = 2.0):
    return Proportional(scenario, *(jnp.asarray(v) for v in (wanted, before, caution, most)))


def test_pid_adds_proportional_integral_and_derivative_to_the_label_s_first_dose(ward):
    """Doses are multiples of 2250 mg, rounded to the grid of 250 mg.

    | decision | trough | error | sum | change | 1 + 0.5 error + 0.1 sum + 0.2 change | mg     | given |
    |----------|--------|-------|-----|--------|-------------------------------------|--------|-------|
    | 0        |        |       |     |        | 1                                   | 2250   | 2250  |
    | 1        | 10     | +0.5  | 0.5 | 0      | 1 + 0.25 + 0.05                     | 2925   | 3000  |
    | 2        | 26     | -0.3  | 0.2 | -0.8   | 1 - 0.15 + 0.02 - 0.16              | 1597.5 | 1500  |
    | 3        |        | -0.3  | 0.2 | -0.8   | no new level: as before             | 1597.5 | 1500  |
    """
    doses = dosed(ward, pid(ward, kp=0.5, ki=0.1, kd=0.2), [10.0, 26.0, NO_LEVEL])

    assert doses == [2250.0, 3000.0, 1500.0, 1500.0]


def test_pid_s_integral_stops_while_the_dose_is_at_a_bound(ward):
    """Anti-windup by conditional integration; with 2 error + 0.5 sum.

    | decision | trough | error | sum         | mg                              | given |
    |----------|--------|-------|-------------|---------------------------------|-------|
    | 1        | 2      | +0.9  | 0.9, kept 0 | 2250 (1 + 1.8 + 0.45) = 7312.5  | 5000  |
    | 2        | 18     | +0.1  | 0.1         | 2250 (1 + 0.2 + 0.05) = 2812.5  | 2750  |
    | 3        | 60     | -2    | 0.1 kept    | 2250 (1 - 4 + 0.05) < 0         | 0     |

    A sum that had gone on to 1.0 would give 2250 (1 + 0.2 + 0.5) = 3825 mg at decision 2.
    """
    doses = dosed(ward, pid(ward, kp=2.0, ki=0.5, kd=0.0), [2.0, 18.0, 60.0])

    assert doses == [2250.0, 5000.0, 2750.0, 0.0]


def test_pid_s_integral_stops_at_the_lower_bound_too(ward):
    """With 2 error + 0.5 sum.

    | decision | trough | error | sum          | mg                               | given |
    |----------|--------|-------|--------------|----------------------------------|-------|
    | 1        | 60     | -2    | -2, kept 0   | 2250 (1 - 4 - 1) < 0             | 0     |
    | 2        | 22     | -0.1  | -0.1         | 2250 (1 - 0.2 - 0.05) = 1687.5   | 1750  |
    | 3        | 14     | +0.3  | +0.2         | 2250 (1 + 0.6 + 0.1) = 3825      | 3750  |

    A sum that had gone on to -2.1 would give no dose at decision 2.
    """
    doses = dosed(ward, pid(ward, kp=2.0, ki=0.5, kd=0.0), [60.0, 22.0, 14.0])

    assert doses == [2250.0, 0.0, 1750.0, 3750.0]


def test_pid_gives_less_where_more_drug_lowers_the_level(ward):
    """A negative scale turns the error: a trough of 10 of 20 mg/L is -0.5, 2250 (1 - 0.25) = 1687.5 mg."""
    assert dosed(ward, pid(ward, kp=0.5, ki=0.0, kd=0.0, scale=-20.0), [10.0])[1] == 1750.0


def test_proportional_dosing_is_dose_times_wanted_over_measured(ward):
    """Wanted 15 mg/L; the first dose is the label's 2250 mg.

    | decision | last dose, trough | factor        | mg   | given |
    |----------|-------------------|---------------|------|-------|
    | 1        | 1000, 10          | 15/10         | 1500 | 1500  |
    | 2        | 1500, 20          | 15/20         | 1125 | 1000  |
    | 3        | 1000, none        | level of dose 1 (1500 mg, 20) | 1125 | 1000 |
    """
    doses = dosed(ward, proportional(ward, wanted=15.0), [10.0, 20.0, NO_LEVEL], given=[1000.0, 1500.0, 1000.0])

    assert doses == [2250.0, 1500.0, 1000.0, 1000.0]


@pytest.mark.parametrize(
    ("trough", "options", "expected"),
    [
        (10.0, {"caution": 0.5}, 1250.0),  # 1000 x 1.5^0.5 = 1224.7
        (5.0, {}, 2000.0),  # a factor of 3, at most 2
        (45.0, {}, 500.0),  # a third, at least 1/2
        (45.0, {"most": 4.0}, 250.0),  # 1000 / 3 = 333.3
        (10.0, {"before": 5.0}, 2000.0),  # (15 - 5) / (10 - 5) = 2
        (30.0, {"before": 5.0}, 500.0),  # 10 / 25 = 0.4, at least 1/2
        (3.0, {"before": 5.0, "most": 3.0}, 3000.0),  # below no drug at all: the largest rise
        (5.0, {"caution": 0.5, "most": 1.25}, 1250.0),  # 3^0.5 = 1.73, at most 1.25
    ],
)
def test_proportional_dosing_has_an_exponent_and_a_limit(ward, trough, options, expected):
    """1000 mg before; wanted 15 mg/L; a factor of at most 2 and at least 1/2 unless said."""
    assert dosed(ward, proportional(ward, wanted=15.0, **options), [trough], given=[1000.0])[1] == expected


def test_proportional_dosing_starts_again_from_the_smallest_dose_after_none(ward):
    """250 mg x 15/10 = 375 mg: half-way between two amounts, the lower one."""
    assert dosed(ward, proportional(ward, wanted=15.0), [10.0], given=[0.0])[1] == 250.0


@pytest.mark.parametrize(
    ("day", "factor"),
    [
        (2, (12.247 / 7.071)),  # weeks 1-2: 10-15 ug/L, middle 12.247; the last window's is 7.071
        (20, (9.798 / 7.071)),  # weeks 3-4: 8-12, middle 9.798
        (40, 1.0),  # 5-10 after
    ],
)
def test_rules_that_steer_follow_a_goal_that_changes(day, factor):
    """Tacrolimus: a trough at what is wanted at the end changes 4 mg by the window's middle over the last one's."""
    scenario = find_scenario("tacrolimus").value
    k = round(day * 24.0 / scenario.schedule.interval_h)
    facts = {c.name: float(c.typical) for c in scenario.covariates}
    record = eqx.tree_at(
        lambda r: (r.k, r.level, r.known, r.dose),
        (fresh := admitted(scenario, facts)),
        (
            jnp.asarray(k, jnp.int32),
            fresh.level.at[k - 1, -1].set(7.0),
            fresh.known.at[k - 1, -1].set(True),
            fresh.dose.at[k - 1].set(4.0),
        ),
    )
    grid = np.asarray(scenario.dosage.amounts)
    rule = proportional(scenario, wanted=7.0, most=3.0)
    steers = Pid(scenario, *(jnp.asarray(v) for v in (7.0, 0.0, 7.0, 1.0, 1.0, 0.0, 0.0)))
    memory = steers.init(record)._replace(unit=jnp.asarray(4.0))

    # 1 + error with an error of factor - 1 is the factor as well
    for policy, remembered in ((rule, ()), (steers, memory)):
        dose, _ = act(policy, remembered, record)
        assert float(dose) == grid[np.argmin(np.abs(grid - 4.0 * factor))]


def thomson_interval(dose_mg: float, *, crcl: float, wt: float) -> tuple[float, float]:
    """(AUC24, trough 11 h after the dose) of the 14th dose every 12 h, by SciPy's ODE solver.

    Thomson 2009: CL 2.99 (1 + 0.0154 (CRCL - 66)) L/h, V1 0.675 L/kg, Q 2.28 L/h, V2 0.732 L/kg; infusions of 1 h, or
    longer for at most 10 mg/min.
    """
    long_h = max(1.0, dose_mg / 600.0)
    cl, v1, q, v2 = 2.99 * (1.0 + 0.0154 * (crcl - 66.0)), 0.675 * wt, 2.28, 0.732 * wt

    def slope(rate):
        return lambda t, x: [
            rate - (cl + q) / v1 * x[0] + q / v2 * x[1],
            q / v1 * x[0] - q / v2 * x[1],
            x[0] / v1,
        ]

    x, trough, auc = np.zeros(3), np.nan, np.nan
    for _ in range(14):
        before = x[2]
        x = solve_ivp(slope(dose_mg / long_h), (0.0, long_h), x, rtol=1e-9, atol=1e-9).y[:, -1]
        x = solve_ivp(slope(0.0), (long_h, 11.0), x, rtol=1e-9, atol=1e-9).y[:, -1]
        trough = x[0] / v1
        x = solve_ivp(slope(0.0), (11.0, 12.0), x, rtol=1e-9, atol=1e-9).y[:, -1]
        auc = 2.0 * (x[2] - before)
    return auc, trough


@pytest.mark.long
def test_untuned_rules_steer_to_what_a_typical_patient_shows_on_the_best_constant_dose():
    """The typical patient of the scenario: 100 mL/min and 90 kg; 1250 mg is the amount nearest to AUC24 490."""
    task = find_scenario("vancomycin")
    aim = float(task.value.edges()[2][-1, 0])
    amounts = [a for a in task.value.dosage.amounts if a > 0]
    shown = {a: thomson_interval(a, crcl=100.0, wt=90.0) for a in amounts[:8]}
    best = min(shown, key=lambda a: abs(np.log(shown[a][0] / aim)))
    setting = Setting(task, model_of(task.value, MODEL), simulator_of(task.value, MODEL))

    for name in ("pid", "proportional"):
        policy = load_policy_definition(name).build(setting)
        assert float(policy.wanted) == pytest.approx(shown[best][1], rel=1e-4)
        assert float(policy.before) == 0.0
    steers = load_policy_definition("pid").build(setting)
    assert float(steers.scale) == pytest.approx(shown[best][1], rel=1e-4)


@pytest.fixture(scope="module")
def bench(ward) -> Setting:
    return Setting(
        dataclasses.replace(find_scenario("vancomycin"), value=ward), model_of(ward, MODEL), simulator_of(ward, MODEL)
    )


@pytest.mark.long
def test_fixed_is_one_dose_for_everybody_and_the_best_of_its_tuning_cohort(ward, bench):
    """Every amount of the grid treats the 200 patients of the tuning cohort; the one with most in range is chosen."""
    definition = load_policy_definition("fixed")
    chosen, _ = tuned(definition, bench, seed=3)
    cohort = Cohort(3, 200, stream=Stream.TUNE)
    attained = {}
    for amount in ward.dosage.amounts:
        policy = dataclasses.replace(definition.build(bench), amount=jnp.asarray(amount, dtype=float))
        trial = run_trial(ward, simulator_of(ward, MODEL), policy, cohort)
        attained[amount] = trial.inside[:, ward.judged()].mean()
        assert (trial.dose == amount).all()

    best = max(attained, key=attained.get)

    assert float(chosen.amount) == best
    assert attained[best] > 2.0 * np.median(list(attained.values()))


def test_fixed_before_it_is_tuned_is_the_usual_dose(ward, bench):
    policy = load_policy_definition("fixed").build(bench)

    assert dosed(ward, policy, [40.0, 1.0, NO_LEVEL]) == [ward.dosage.usual] * 4


@pytest.mark.long
@pytest.mark.parametrize("name", ["fixed", "pid", "proportional"])
def test_what_is_tuned_holds_the_untuned_policy(bench, name):
    """Tuning cannot end below the policy that it starts from: it is among the candidates."""
    definition = load_policy_definition(name)
    plain = definition.build(bench)
    stacked = definition.candidates(bench, np.random.default_rng(1))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(stacked, eqx.is_array))]
    wanted = [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(plain, eqx.is_array))]

    same = [np.isclose(rows, value, rtol=1e-6) for rows, value in zip(leaves, wanted, strict=True)]

    assert np.all(same, axis=0).any()

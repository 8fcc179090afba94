"""Aurora and Intermountain give the doses of their published tables, worked out by hand.

The tables were read in anzabizadeh/ReiL, reil/healthcare/dosing_protocols/warfarin: ``aurora.py`` (Aurora),
``intermountain.py`` (Anderson JL et al. Circulation 2007;116:2563-2570, appendix B), ``iwpc.py`` (method "modified"),
``lenzini.py`` (method "pharmacogenetic") and ``ravvaz_dosing_protocols.py`` (arms AAA, PGPGA, PGPGI of Ravvaz K et al.
Circ Cardiovasc Genet 2017;10(6):e001804).

A table below is one course: for each morning the INR, the daily dose that the protocol then works with, and the dose of
that day before it is rounded to tablets. Days count from 1, as in the sources.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.record import Record, empty_record
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.registry import find_scenario, load_policy_definition
from rl_drug_dosage.scenarios.warfarin_protocols import (
    Chart,
    aurora_arm,
    empty_chart,
    inr_now,
    intermountain_arm,
    lenzini_mg,
    loading_mg,
    replay,
)

TASK = find_scenario("warfarin")
SCENARIO = TASK.value
MIDDLE_AGED = {"age_y": 50.0, "cyp2c9": 11.0, "vkorc1_g_alleles": 2.0}
UNKNOWN = np.nan
"""No INR this morning."""


@pytest.fixture(scope="module")
def setting() -> Setting:
    first = SCENARIO.models[0]
    return Setting(TASK, model_of(SCENARIO, first), simulator_of(SCENARIO, first))


@pytest.fixture(scope="module")
def aurora(setting) -> Policy:
    return load_policy_definition("aurora").build(setting)


@pytest.fixture(scope="module")
def intermountain(setting) -> Policy:
    return load_policy_definition("intermountain").build(setting)


@eqx.filter_jit
def act(policy: Policy, memory: Chart, record: Record) -> tuple:
    return policy.act(memory, record, None)


def admitted(facts: dict[str, float], inr: float = 1.0) -> Record:
    """The chart before the first dose."""
    covariates = {c.name: np.zeros(SCENARIO.records, np.float32) for c in SCENARIO.covariates}
    for name, value in facts.items():
        covariates[name][:] = value
    return eqx.tree_at(
        lambda r: (r.k, r.baseline),
        empty_record(SCENARIO, {n: jnp.asarray(c) for n, c in covariates.items()}, 0.0),
        (jnp.asarray(0, jnp.int32), jnp.asarray(inr, dtype=float)),
    )


def morning_of(record: Record, day: int, inr: float) -> Record:
    """The chart on the morning of a day, from 1, with its INR."""
    if day == 1:
        return eqx.tree_at(lambda r: r.baseline, record, jnp.asarray(inr, dtype=float))
    at = (day - 2, -1)
    known = not np.isnan(inr)
    return eqx.tree_at(
        lambda r: (r.k, r.level, r.known),
        record,
        (
            jnp.asarray(day - 1, jnp.int32),
            record.level.at[at].set(inr if known else 0.0),
            record.known.at[at].set(known),
        ),
    )


def course(
    policy: Policy,
    facts: dict[str, float],
    inrs: Sequence[float],
    *,
    begun_with: float | None = None,
    first_day: int = 1,
) -> list[tuple[float, float]]:
    """(daily dose that the protocol works with, today's tablets) of every morning.

    ``begun_with``: the daily dose on the morning of ``first_day``, in place of the protocol's own start.
    """
    record = admitted(facts)
    memory = policy.init(record)
    if begun_with is not None:
        memory = memory._replace(dose=jnp.asarray(begun_with, dtype=float))
    seen = []
    for day, inr in enumerate(inrs, first_day):
        record = morning_of(record, day, inr)
        dose, memory = act(policy, memory, record)
        record = eqx.tree_at(lambda r: r.dose, record, record.dose.at[day - 1].set(dose))
        seen.append((float(memory.dose), float(dose)))
    return seen


def tablets(dose_mg: float) -> float:
    """The nearest of 0, 1, 2, 2.5, 3, 3.5, ... mg."""
    grid = np.asarray(SCENARIO.dosage.amounts)
    return float(grid[np.argmin(np.abs(grid - dose_mg))])


def check(got: list[tuple[float, float]], table: Sequence[tuple[float, float, float]]) -> None:
    """Against (INR, daily dose, today's dose) of every morning."""
    for day, ((daily, today), (inr, expected_daily, expected_today)) in enumerate(zip(got, table, strict=True), 1):
        assert daily == pytest.approx(expected_daily, rel=1e-5), f"row {day}, INR {inr}: daily dose"
        assert today == pytest.approx(tablets(expected_today), rel=1e-6), f"row {day}, INR {inr}: today's tablets"


def aurora_check(policy: Policy, facts: dict[str, float], table: Sequence[tuple[float, float, float]]) -> None:
    check(course(policy, facts, [row[0] for row in table]), table)


@pytest.mark.parametrize(("age_y", "first"), [(18.0, 10.0), (64.9, 10.0), (65.0, 5.0), (80.0, 5.0)])
def test_aurora_starts_with_10_mg_or_with_5_from_65_years_on(aurora, age_y, first):
    """Days 1 and 2, whatever the INR: Ravvaz's footnote, ReiL aurora.py "elif today <= 2"."""
    aurora_check(aurora, MIDDLE_AGED | {"age_y": age_y}, [(1.0, first, first), (3.6, first, first)])


@pytest.mark.parametrize(
    ("age_y", "inr", "third"),
    [
        (50.0, 1.40, 11.5),  # 10 x 1.15
        (50.0, 1.50, 11.0),  # 10 x 1.10
        (50.0, 1.80, 10.75),  # 10 x 1.075
        (50.0, 1.99, 10.75),
        (50.0, 2.00, 5.0),  # 2 or more: 5 mg
        (50.0, 6.00, 5.0),
        (70.0, 1.40, 5.75),  # 5 x 1.15
        (70.0, 2.50, 5.0),
        (50.0, UNKNOWN, 10.0),
    ],
)
def test_aurora_s_third_day_is_5_mg_or_the_table_and_the_fourth_is_the_same(aurora, age_y, inr, third):
    """ReiL aurora.py "elif today == 3": 5 mg from an INR of 2 on, else the dosing table without its retest."""
    start = 10.0 if age_y < 65.0 else 5.0
    rows = [(1.0, start, start), (1.1, start, start), (inr, third, third), (1.2, third, third)]
    aurora_check(aurora, MIDDLE_AGED | {"age_y": age_y}, rows)


AURORA_TABLE = [
    # INR, factor of the daily dose, doses skipped (-1: until the INR is 3 or less)
    (0.90, 1.15, 0),  # < 1.50
    (1.49, 1.15, 0),
    (1.494, 1.15, 0),  # 1.49 when rounded, as the source does
    (1.496, 1.10, 0),  # 1.50
    (1.50, 1.10, 0),  # < 1.80
    (1.79, 1.10, 0),
    (1.80, 1.075, 0),  # < 2.00
    (1.99, 1.075, 0),
    (2.00, 1.0, 0),  # <= 3.00
    (3.00, 1.0, 0),
    (3.004, 1.0, 0),
    (3.01, 0.925, 0),  # < 3.40
    (3.39, 0.925, 0),
    (3.40, 0.9, 0),  # < 4.00
    (3.41, 0.9, 0),
    (3.99, 0.9, 0),
    (4.00, 0.875, 2),  # <= 5.00
    (5.00, 0.875, 2),
    (5.01, 0.85, -1),  # > 5.00: red flag
    (9.00, 0.85, -1),
]


@pytest.mark.parametrize(("inr", "factor", "skipped"), AURORA_TABLE)
def test_aurora_s_table_from_the_fifth_day_on(aurora, inr, factor, skipped):
    """A daily dose of 8 mg meets the INR of day 5; the next mornings are in range."""
    rows = [(inr, 8.0 * factor, 8.0 * factor if skipped == 0 else 0.0)]
    rows.append((2.5, 8.0 * factor, 0.0 if skipped == 2 else 8.0 * factor))  # a red flag is over at 2.5
    rows.append((2.5, 8.0 * factor, 8.0 * factor))

    got = course(aurora, MIDDLE_AGED, [row[0] for row in rows], begun_with=8.0, first_day=5)

    check(got, rows)


def test_aurora_tests_again_7_days_after_a_change_and_an_inr_of_4_or_more_acts_on_any_day(aurora):
    """The table's retest interval. Between two tests nothing but a skip or a red flag changes the dose.

    That the INRs in between may raise an alarm is this project's adaptation to wards that draw one every day.
    """
    table = [
        (1.0, 10.0, 10.0),
        (1.2, 10.0, 10.0),
        (2.1, 5.0, 5.0),  # day 3, INR >= 2: 5 mg
        (1.3, 5.0, 5.0),  # day 4 is day 3
        (1.4, 5.75, 5.75),  # day 5: 5 x 1.15; next test on day 12
        (1.4, 5.75, 5.75),
        (1.4, 5.75, 5.75),
        (3.9, 5.75, 5.75),  # not yet, and no alarm below 4
        (1.4, 5.75, 5.75),
        (1.4, 5.75, 5.75),
        (1.4, 5.75, 5.75),
        (1.7, 6.325, 6.325),  # day 12: 5.75 x 1.10; next test on day 19
        (1.7, 6.325, 6.325),
        (4.2, 5.534375, 0.0),  # day 14: 6.325 x 0.875, two doses skipped; next test 7 days after they are over
        (1.2, 5.534375, 0.0),
        (1.2, 5.534375, 5.534375),
        (1.2, 5.534375, 5.534375),
        (1.2, 5.534375, 5.534375),
        (1.2, 5.534375, 5.534375),  # day 19: the test of day 12 has been put off
    ]
    aurora_check(aurora, MIDDLE_AGED, table)


def test_aurora_s_retest_after_two_skipped_doses_is_7_days_after_they_are_over(aurora):
    """ReiL aurora.py: "next_interval = skip_dose", then the new dose with an interval of 7."""
    table = [
        (4.5, 7.0, 0.0),  # day 5: 8 x 0.875
        (1.4, 7.0, 0.0),
        *[(1.4, 7.0, 7.0)] * 7,  # days 7 to 13
        (1.4, 8.05, 8.05),  # day 14: 7 x 1.15
    ]
    check(course(aurora, MIDDLE_AGED, [r[0] for r in table], begun_with=8.0, first_day=5), table)


def test_aurora_s_red_flag_holds_warfarin_until_the_inr_is_3_or_less(aurora):
    table = [
        (1.0, 5.0, 5.0),
        (1.2, 5.0, 5.0),
        (2.4, 5.0, 5.0),
        (3.0, 5.0, 5.0),
        (5.6, 4.25, 0.0),  # day 5: 5 x 0.85 when it goes on
        (5.9, 4.25, 0.0),  # no second cut while it is held
        (4.1, 4.25, 0.0),
        (UNKNOWN, 4.25, 0.0),  # nothing is given on no news
        (3.01, 4.25, 0.0),
        (3.00, 4.25, 4.25),  # day 10: goes on; next test on day 17
        (1.4, 4.25, 4.25),
        (1.4, 4.25, 4.25),
        (1.4, 4.25, 4.25),
        (1.4, 4.25, 4.25),
        (1.4, 4.25, 4.25),
        (1.4, 4.25, 4.25),
        (1.4, 4.8875, 4.8875),  # day 17: 4.25 x 1.15
    ]
    aurora_check(aurora, MIDDLE_AGED | {"age_y": 70.0}, table)


def test_aurora_keeps_the_dose_in_range_and_acts_on_the_first_inr_out_of_it(aurora):
    """A dose that has not been changed has no retest to wait for: every INR counts."""
    table = [
        (1.0, 10.0, 10.0),
        (1.1, 10.0, 10.0),
        (1.6, 11.0, 11.0),  # day 3: 10 x 1.10
        (2.0, 11.0, 11.0),
        (2.3, 11.0, 11.0),
        (UNKNOWN, 11.0, 11.0),
        (3.0, 11.0, 11.0),
        (3.1, 10.175, 10.175),  # 11 x 0.925
    ]
    aurora_check(aurora, MIDDLE_AGED, table)


INTERMOUNTAIN_ZONES = [
    # INR, today's share of the daily dose, factor of the daily dose from tomorrow on
    (1.00, 2.0, 1.10),  # action point low, < 1.60: a double dose
    (1.59, 2.0, 1.10),
    (1.60, 1.5, 1.05),  # red low, < 1.80: a dose and a half
    (1.61, 1.5, 1.05),
    (1.79, 1.5, 1.05),
    (1.80, 1.0, 1.0),  # yellow low, < 2.00: nothing the first time
    (1.99, 1.0, 1.0),
    (2.00, 1.0, 1.0),  # green, <= 3.00
    (3.00, 1.0, 1.0),
    (3.01, 1.0, 1.0),  # yellow high, < 3.40: nothing the first time
    (3.39, 1.0, 1.0),
    (3.40, 0.5, 0.90),  # red high, < 5.00: half a dose
    (3.41, 0.5, 0.90),
    (3.99, 0.5, 0.90),
    (4.00, 0.0, 0.90),  # none from 4 on
    (4.99, 0.0, 0.90),
]


@pytest.mark.parametrize(("inr", "today", "after"), INTERMOUNTAIN_ZONES)
def test_intermountain_s_zones(intermountain, inr, today, after):
    """A daily dose of 8 mg meets the INR of day 6, the first day of the zones; the next INR is in the green zone."""
    table = [(inr, 8.0 * after, 8.0 * today), (2.5, 8.0 * after, 8.0 * after)]

    got = course(intermountain, MIDDLE_AGED, [row[0] for row in table], begun_with=8.0, first_day=6)

    check(got, table)


@pytest.mark.parametrize(("inr", "factor"), [(1.85, 1.05), (3.2, 0.95)])
def test_intermountain_s_yellow_zones_act_when_they_are_met_twice(intermountain, inr, factor):
    """Twice running, a test apart: +5 % below the range, -5 % above it."""
    table = [(inr, 8.0, 8.0)] + [(inr, 8.0, 8.0)] * 6 + [(inr, 8.0 * factor, 8.0 * factor)]
    apart = [(inr, 8.0, 8.0)] + [(2.5, 8.0, 8.0)] * 7 + [(inr, 8.0, 8.0)]

    for rows in (table, apart):
        check(course(intermountain, MIDDLE_AGED, [r[0] for r in rows], begun_with=8.0, first_day=6), rows)


def test_intermountain_s_action_point_holds_warfarin_until_the_inr_is_below_3_4(intermountain):
    table = [
        (5.0, 8.0, 0.0),  # action point high, >= 5.00
        (4.4, 8.0, 0.0),
        (UNKNOWN, 8.0, 0.0),
        (3.41, 8.0, 0.0),
        (3.39, 6.8, 6.8),  # 8 x 0.85
        (1.2, 6.8, 6.8),  # next test 7 days later
    ]
    check(course(intermountain, MIDDLE_AGED, [r[0] for r in table], begun_with=8.0, first_day=6), table)


def test_intermountain_tests_again_7_days_after_it_has_acted_and_red_high_acts_on_any_day(intermountain):
    """Its retest intervals of 5 to 14 days are one number here: this project's adaptation to wards with daily INRs."""
    table = [
        (1.4, 8.8, 16.0),  # day 6: 2 x 8 today, 8 x 1.10 from tomorrow
        (1.4, 8.8, 8.8),
        (1.4, 8.8, 8.8),
        (3.5, 7.92, 4.4),  # day 9: half of 8.8 today, 8.8 x 0.90
        (1.4, 7.92, 7.92),
        (1.4, 7.92, 7.92),
        (1.4, 7.92, 7.92),
        (1.4, 7.92, 7.92),
        (1.4, 7.92, 7.92),
        (1.4, 7.92, 7.92),
        (1.4, 8.712, 15.84),  # day 16: 2 x 7.92 today, 7.92 x 1.10
    ]
    check(course(intermountain, MIDDLE_AGED, [r[0] for r in table], begun_with=8.0, first_day=6), table)


def test_intermountain_counts_the_zone_in_which_warfarin_goes_on(intermountain):
    table = [
        (5.2, 8.0, 0.0),
        (3.2, 6.8, 6.8),  # goes on in the yellow zone: 8 x 0.85
        *[(3.2, 6.8, 6.8)] * 6,
        (3.2, 6.46, 6.46),  # 7 days later, yellow again: 6.8 x 0.95
    ]
    check(course(intermountain, MIDDLE_AGED, [r[0] for r in table], begun_with=8.0, first_day=6), table)


def aurora_factor(inr: float) -> float:
    """ReiL aurora.py, `aurora_dosing_table`."""
    for edge, factor in ((1.50, 1.15), (1.80, 1.10), (2.00, 1.075)):
        if inr < edge:
            return factor
    if inr <= 3.00:
        return 1.0
    return 0.925 if inr < 3.40 else 0.9 if inr < 4.00 else 0.875 if inr <= 5.00 else 0.85


def intermountain_factor(inr: float) -> float:
    """ReiL intermountain.py, first INR in its zone; 1.0 where warfarin is stopped and the dose cut later."""
    return 1.10 if inr < 1.60 else 1.05 if inr < 1.80 else 1.0 if inr < 3.40 or inr >= 5.00 else 0.90


@pytest.mark.parametrize(("arm", "by_hand"), [(aurora_arm, aurora_factor), (intermountain_arm, intermountain_factor)])
def test_every_hundredth_of_an_inr_falls_into_its_zone(arm, by_hand):
    """0.50 to 9.99 in single precision, against the tables in Python's double precision."""
    inrs = [i / 100 for i in range(50, 1000)]
    chart = empty_chart()._replace(dose=jnp.asarray(8.0))
    facts = {n: jnp.asarray(v) for n, v in MIDDLE_AGED.items()}
    day, known = jnp.asarray(10), jnp.asarray(True)

    after = jax.jit(jax.vmap(lambda inr: arm(7)(facts, chart, day, inr, known)[1].dose))(jnp.asarray(inrs, jnp.float32))

    np.testing.assert_allclose(after, [8.0 * by_hand(inr) for inr in inrs], rtol=1e-6)


# A man of 50 years, CYP2C9 *1/*1, VKORC1 GG, 170 cm and 80 kg:
#   sqrt(mg/week) = 5.6044 - 0.2614 x 5.0 + 0.0087 x 170 + 0.0128 x 80 = 6.8004;  6.8004^2 / 7 = 6.60649 mg/day
#   k = 0.0189: e^3 = exp(-72 x 0.0189) = 0.256455;  (1 - e)(1 + e + e^2) = 1 - e^3 = 0.743545;  LD = 8.88513
#   days 1-3: 1.5 LD - 0.5 D = 10.02445;  LD = 8.88513;  0.5 LD + 0.5 D = 7.74581
# A woman of 70 years, *1/*3, GA:
#   5.6044 - 0.2614 x 7.0 + 1.479 + 1.024 - 0.8677 - 0.9357 = 4.4742;  squared / 7 = 2.85978
#   k = 0.0132: 1 - exp(-72 x 0.0132) = 1 - 0.386587 = 0.613413;  LD = 4.66208
#   5.56323;  4.66208;  3.76093
# A man of 60 years, *2/*3, AA:
#   5.6044 - 1.5684 + 1.479 + 1.024 - 1.6974 - 1.9206 = 2.9210;  squared / 7 = 1.21889
#   k = 0.0090: 1 - exp(-0.648) = 1 - 0.523091 = 0.476909;  LD = 2.55581
#   3.22427;  2.55581;  1.88735
LOADING = [
    ((50.0, 11.0, 2.0), (10.02445, 8.88513, 7.74581)),
    ((70.0, 13.0, 1.0), (5.56323, 4.66208, 3.76093)),
    ((60.0, 23.0, 0.0), (3.22427, 2.55581, 1.88735)),
]


@pytest.mark.parametrize(("who", "doses"), LOADING)
def test_the_pharmacogenetic_start_is_iwpc_s_dose_with_eu_pact_s_loading(intermountain, who, doses):
    """Equal to ReiL's iwpc.py "modified" with its weekly doses divided by 7."""
    facts = dict(zip(MIDDLE_AGED, who, strict=True))
    as_arrays = {n: jnp.asarray(v) for n, v in facts.items()}

    for day, expected in enumerate(doses):
        assert float(loading_mg(as_arrays, jnp.asarray(day))) == pytest.approx(expected, rel=2e-5)
    # Whatever the INR says on these days.
    check(
        course(intermountain, facts, [1.0, 2.8, 4.5]),
        [(inr, d, d) for inr, d in zip((1.0, 2.8, 4.5), doses, strict=True)],
    )


def test_lenzini_s_refinement_on_day_4():
    """The doses 4, 3 and 2 days before the INR's day: on day 4 those of no day, day 1 and day 2; day 3 is not in it.

    BSA = sqrt(170 x 80 / 3600) = 1.943651 m2, target INR 2.5.
    """
    man = {n: jnp.asarray(v) for n, v in MIDDLE_AGED.items()}
    woman = man | {"age_y": jnp.asarray(70.0), "cyp2c9": jnp.asarray(13.0), "vkorc1_g_alleles": jnp.asarray(1.0)}
    # 3.10894 - 0.00767 x 50 - 0.51611 ln 1.8 + 0.24597 x 1.943651 + 0.26729 x 2.5 + 0.01690 x 9 + 0.02018 x 10
    #   = 3.10894 - 0.3835 - 0.303363 + 0.478080 + 0.668225 + 0.1521 + 0.2018 = 3.922282;  exp / 7 = 7.21655
    got = lenzini_mg(man, jnp.asarray(1.8), jnp.asarray([7.5, 9.0, 10.0, 0.0]))
    assert float(got) == pytest.approx(7.21655, rel=2e-5)
    # 3.10894 - 0.5369 - 0.51611 ln 2.6 - 0.23032 - 0.30770 + 0.478080 + 0.668225 + 0.01690 x 4.5 + 0.02018 x 5.5
    #   = 3.10894 - 0.5369 - 0.493147 - 0.23032 - 0.3077 + 0.478080 + 0.668225 + 0.07605 + 0.11099 = 2.874218
    #   exp / 7 = 2.53022
    got = lenzini_mg(woman, jnp.asarray(2.6), jnp.asarray([4.0, 4.5, 5.5, 0.0]))
    assert float(got) == pytest.approx(2.53022, rel=2e-5)


def test_intermountain_refines_on_day_4_and_starts_its_zones_on_day_6(intermountain):
    """The arm PGPGI from admission: the tablets of days 1 and 2 enter Lenzini's formula, not the calculated doses."""
    table = [
        (1.0, 10.02445, 10.02445),
        (1.1, 8.88513, 8.88513),
        (1.4, 7.74581, 7.74581),
        (1.8, 7.21655, 7.21655),  # Lenzini with 10 mg on day 1 and 9 mg on day 2, worked out above
        (4.6, 7.21655, 7.21655),  # day 5 is day 4
        (2.5, 7.21655, 7.21655),  # day 6: green
        (1.7, 7.577378, 10.824825),  # day 7: 1.5 x 7.21655 today, x 1.05 from tomorrow
    ]
    check(course(intermountain, MIDDLE_AGED, [r[0] for r in table]), table)


def test_the_label_of_warfarin_is_aurora_s_table_every_day_after_a_pharmacogenetic_start():
    """The arm PGPGA with a day between two changes; the label replays the record and keeps no memory."""
    # Day 6, daily dose 7.21655 mg: an INR of 1.7 gives 7.938205 (x 1.10), one of 3.2 on day 7 7.342840 (x 0.925).
    table = [
        (1.0, 10.0),
        (1.1, 9.0),
        (1.4, 7.5),
        (1.8, 7.0),  # 7.21655
        (4.6, 7.0),
        (1.7, 8.0),  # 7.938205
        (3.2, 7.5),  # 7.342840
        (2.0, 7.5),
        (5.2, 0.0),  # x 0.85 = 6.241414, held
        (3.0, 6.0),  # goes on
    ]
    record = admitted(MIDDLE_AGED)
    label = eqx.filter_jit(lambda record: SCENARIO.label(record.facts(), record))
    for day, (inr, expected) in enumerate(table, 1):
        record = morning_of(record, day, inr)
        dose = float(label(record))
        assert tablets(dose) == expected, f"day {day}: {dose}"
        record = eqx.tree_at(lambda r: r.dose, record, record.dose.at[day - 1].set(expected))


def test_the_inr_of_the_morning_is_the_last_sample_and_the_baseline_before_it():
    record = morning_of(admitted(MIDDLE_AGED, inr=1.1), 1, 1.1)
    for day, inr in ((1, 1.1), (2, 1.3), (3, UNKNOWN), (4, 2.2)):
        record = morning_of(record, day, inr)
        value, known = inr_now(record, record.k)
        assert bool(known) == (not np.isnan(inr))
        if known:
            assert float(value) == pytest.approx(inr)


def test_replaying_a_protocol_is_stepping_it(aurora):
    inrs = [1.0, 1.2, 2.2, 2.4, 1.4, 2.0, 2.0, 4.5, 3.9, 2.8]
    record, memory = admitted(MIDDLE_AGED), aurora.init(admitted(MIDDLE_AGED))
    again = eqx.filter_jit(lambda record: replay(aurora_arm(7), record.facts(), record))
    for day, inr in enumerate(inrs, 1):
        record = morning_of(record, day, inr)
        dose, memory = act(aurora, memory, record)
        assert tablets(float(again(record))) == float(dose)
        record = eqx.tree_at(lambda r: r.dose, record, record.dose.at[day - 1].set(dose))


@pytest.mark.parametrize("name", ["aurora", "intermountain"])
def test_a_warfarin_protocol_is_for_warfarin(name):
    definition = load_policy_definition(name)

    assert definition.refuses(SCENARIO) == ""
    assert definition.refuses(find_scenario("warfarin-90d").value) == ""
    assert "not for 'vancomycin" in definition.refuses(find_scenario("vancomycin").value)

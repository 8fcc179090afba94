"""Explanations: a table is distilled as it is, an unused input counts nothing, and what is printed is what is given."""

import csv
import dataclasses
import io
from pathlib import Path

import equinox as eqx
import numpy as np
import pytest

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.observation import Observer
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.explain.bands import Sums, band_of
from rl_drug_dosage.explain.exchanged import inputs
from rl_drug_dosage.explain.explanation import ExplainOptions, Explanation
from rl_drug_dosage.explain.files import level_curves
from rl_drug_dosage.explain.measures import fidelity_of, importance_of, start_variables
from rl_drug_dosage.explain.probe import ask, fresh_results, partial, variables
from rl_drug_dosage.explain.table import Page, Taught, distil, policy_of
from rl_drug_dosage.explain.text import band_label, doses_text, explain_csv, explain_markdown
from rl_drug_dosage.policies.adapters.learnt import PpoDosing
from rl_drug_dosage.policies.label import Label
from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.trials.trial import Cohort, run_trial

COHORT = Cohort(3, 250)
FRESH = Cohort(3, 250, 1000)


@pytest.fixture(scope="session")
def simulator(ward):
    return simulator_of(ward, ward.models[0])


@pytest.fixture(scope="session")
def names(ward, simulator):
    return variables(ward, simulator)


@pytest.fixture(scope="session")
def at(names):
    return {v.name: i for i, v in enumerate(names)}


def _page(decisions, row, column, row_edges, column_edges, cells, *, change=False):
    inner = np.asarray(cells, float)
    whole = np.pad(inner, ((1, 0), (1, 0)))
    edges = [np.asarray(e, np.float32) for e in (row_edges, column_edges)]
    return Page(decisions, row, column, *edges, whole, np.full(whole.shape, 100), change)


@pytest.fixture(scope="session")
def by_hand(at):
    """First dose by weight and renal function, a dose by level after each level, the same dose where none is new."""
    start = [[1000, 1500, 1750], [1250, 2000, 2500], [1500, 2250, 3000]]
    after = [[1000, 1250, 1750], [750, 1000, 1250], [250, 500, 1000]]
    wt, crcl, level = at["wt_kg"], at["crcl_ml_per_min"], at["level"]
    return (
        _page((0,), wt, crcl, (80, 100), (70, 100), start),
        _page((1, 3), level, crcl, (10, 14), (70, 100), after),
        _page((2,), level, crcl, (), (), [[0.0]], change=True),
    )


@pytest.fixture(scope="session")
def hand_policy(ward, names, by_hand):
    return policy_of(ward, names, by_hand)


@pytest.fixture(scope="session")
def hand_probe(ward, simulator, hand_policy):
    # So many that an edge has charts on both sides of it within a step of the lattice.
    return ask(ward, simulator, (hand_policy,), Cohort(3, 1000), swaps=True)


@pytest.fixture(scope="session")
def learnt(ward, make_policy):
    """A policy with random weights whose doses are within the grid."""
    observer = Observer(ward)
    policy = make_policy(obs_size=observer.size)
    policy = dataclasses.replace(policy, low=np.zeros(1, np.float32), high=np.full(1, 3000.0, np.float32))
    return PpoDosing(ward, observer, policy)


@pytest.fixture(scope="session")
def explained(ward, simulator, names, learnt):
    """What `explain` would make of it, beside the label."""
    setting = Setting(find_scenario(ward), model_of(ward, ward.models[0]), simulator)
    policies = (learnt, Label(ward))
    probe = ask(ward, simulator, policies, COHORT, swaps=True)
    pages = distil(ward, names, _taught(probe), start_variables(ward, names, probe))
    values = {"wt_kg": np.asarray([60.0, 90.0, 120.0])}
    effects = partial(ward, simulator, policies, COHORT, values)
    judged = ask(ward, simulator, (learnt, policy_of(ward, names, pages)), FRESH)
    return Explanation(
        options=ExplainOptions(model_path=Path("agent.pt"), patients=250, seed=3),
        env_id="Vancomycin-v2",
        setting=setting,
        names=names,
        pages=pages,
        fidelity=fidelity_of(ward, judged),
        importance=importance_of(ward, names, probe),
        probe=probe,
        answered=("PPO", "label"),
        effects={"wt_kg": (values["wt_kg"], effects["wt_kg"])},
        attainment={"PPO": (50.0, 45.0, 55.0), "label": (40.0, 35.0, 45.0), "table": (30.0, 25.0, 35.0)},
        difference={"PPO": (-20.0, -25.0, -15.0), "label": (-10.0, -15.0, -5.0)},
    )


def _taught(probe, policy=0):
    decisions = np.broadcast_to(np.arange(probe.alive.shape[1]), probe.alive.shape)
    return Taught(probe.seen[probe.alive], probe.doses[..., policy][probe.alive], decisions[probe.alive])


@pytest.mark.long
def test_a_policy_that_is_a_table_is_found_again_dose_by_dose(ward, simulator, names, at, hand_policy, hand_probe):
    pages = distil(ward, names, _taught(hand_probe), (at["wt_kg"], at["crcl_ml_per_min"]))
    found = policy_of(ward, names, pages)

    fidelity = fidelity_of(ward, ask(ward, simulator, (hand_policy, found), FRESH))

    assert fidelity[0].decisions == 4 * 250
    for part in fidelity:
        assert part.same_pct == 100.0
        assert part.near_pct == 100.0
        assert part.mean_error == 0.0
        assert part.r2 == 1.0
    assert pages[0].row_edges.tolist() == [80, 100]
    assert pages[0].column_edges.tolist() == [70, 100]


@pytest.mark.long
def test_an_input_that_is_not_used_has_no_importance(ward, names, hand_probe):
    shares = {name: (first, later) for name, first, later in importance_of(ward, names, hand_probe)}

    # By hand: weight counts at the first dose only, dialysis never; later doses go by the level and renal function.
    assert shares["body weight"][0] > 5.0
    assert shares["body weight"][1] == 0.0
    assert shares["on haemodialysis"] == (0.0, 0.0)
    assert shares["creatinine clearance"][0] > 5.0
    assert shares["levels"][0] == 0.0
    assert shares["levels"][1] > 5.0


@pytest.mark.long
def test_the_first_dose_goes_by_the_two_covariates_that_matter_most(ward, names, at, hand_probe):
    assert set(start_variables(ward, names, hand_probe)) == {at["wt_kg"], at["crcl_ml_per_min"]}


@pytest.mark.long
def test_probing_leaves_the_course_as_a_trial_has_it(ward, simulator, learnt, explained):
    trial = run_trial(ward, simulator, learnt, COHORT)

    np.testing.assert_array_equal(trial.dose, explained.probe.doses[..., 0])


@pytest.mark.long
def test_what_others_answer_does_not_touch_the_patients(ward, simulator, learnt, explained):
    alone = ask(ward, simulator, (learnt,), COHORT)

    np.testing.assert_array_equal(alone.doses[..., 0], explained.probe.doses[..., 0])
    np.testing.assert_array_equal(alone.seen, explained.probe.seen)
    assert alone.swapped.shape == (250, 4, 0)


@pytest.mark.long
def test_charts_show_levels_only_once_they_are_back(ward, at, explained):
    seen = explained.probe.seen
    index = at["level"]

    assert fresh_results(ward).tolist() == [False, True, False, True]
    assert np.isnan(seen[:, 0, index]).all()
    assert np.isfinite(seen[:, 1:, index]).all()
    np.testing.assert_array_equal(seen[:, 1, index], seen[:, 2, index])
    np.testing.assert_array_equal(seen[:, 1, index], seen[:, 3, at["level_before"]])
    # The last dose above 0; the usual one before there is any.
    assert (seen[:, 0, at["last_dose"]] == ward.dosage.usual).all()
    doses = explained.probe.doses[:, 0, 0]
    np.testing.assert_array_equal(seen[:, 1, at["last_dose"]], np.where(doses > 0, doses, ward.dosage.usual))


@pytest.mark.long
def test_partial_dependence_on_the_own_value_is_the_own_dose(ward, simulator, learnt, explained, at):
    own = explained.probe.seen[:3, 0, at["wt_kg"]]

    doses = partial(ward, simulator, (learnt,), COHORT, {"wt_kg": own})["wt_kg"]

    assert doses.shape == (3, 250, 1)
    np.testing.assert_array_equal(doses[np.arange(3), np.arange(3), 0], explained.probe.doses[:3, 0, 0])


@pytest.mark.long
def test_the_table_policy_gives_the_doses_that_are_printed(ward, simulator, names, at, explained):
    rows = list(csv.DictReader(io.StringIO(explain_csv(explained))))
    probe = ask(ward, simulator, (policy_of(ward, names, explained.pages),), COHORT)

    for patient in range(0, 250, 7):
        for k in range(4):
            seen = probe.seen[patient, k]
            page = [r for r in rows if str(k + 1) in r["doses"].split()]
            cell = [r for r in page if all(_in(r, side, seen, at) for side in ("row", "column"))]
            assert len(cell) == 1, (patient, k)
            value = float(cell[0]["value"])
            if cell[0]["kind"] == "change":
                value = seen[at["last_dose"]] * (1.0 + value / 100.0)
            # The nearest amount; a printed value half-way between two may belong to either.
            dose = probe.doses[patient, k, 0]
            assert abs(value - dose) <= 1.001 * min(abs(value - amount) for amount in ward.dosage.amounts) + 0.5


def _in(row, side, seen, at):
    x = seen[at[row[side]]]
    if row[f"{side}_from"] == "missing":
        return np.isnan(x)
    low, high = float(row[f"{side}_from"] or -np.inf), float(row[f"{side}_to"] or np.inf)
    return np.float32(low) <= x < np.float32(high)


@pytest.mark.long
def test_a_level_that_was_never_missing_keeps_the_dose_where_it_is(ward, names, at, explained):
    table = policy_of(ward, names, explained.pages)
    (page,) = [i for i, p in enumerate(explained.pages) if 2 in p.decisions]
    assert explained.pages[page].cells.shape == explained.pages[page].counts.shape

    for p in explained.pages[1:]:
        if p.row == at["level"] and p.change:
            assert (p.cells[0] == 0.0).all()
    assert table.cells.shape == (5, 8, 7)


@pytest.mark.long
def test_markdown_says_what_a_pharmacist_needs(explained):
    text = explain_markdown(explained, [("explain_inputs.png", "What it goes by.")])

    assert "Research and education only; not for treating patients." in text
    assert "### Dose 1: mg" in text
    assert "creatinine clearance" in text
    assert "same dose (%)" in text
    assert "| table | 30.0 | 25.0 to 35.0 |  |" in text
    assert "-20.0 (-25.0 to -15.0)" in text
    assert "loses 20.0 points" in text
    assert "![What it goes by.](explain_inputs.png)" in text
    # Every row of a Markdown table has as many cells as its head.
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, block


@pytest.mark.long
def test_curves_hold_medians_of_the_answers(explained, at):
    curves = level_curves(explained)

    assert curves
    for curve in curves:
        assert set(curve.bands) == {"PPO", "label"}
        for low, middle, high in curve.bands.values():
            assert (low <= middle).all()
            assert (middle <= high).all()


def test_bands_are_cut_where_the_dose_changes():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 40, 3000), rng.uniform(0, 1, 3000)
    dose = np.where(x < 13, 500.0, np.where(x < 29, 750.0, 1000.0))

    sums = Sums(x, y, dose, np.ones(3000), np.ones(3000))
    error, cuts = sums.fit()

    assert error == pytest.approx(0.0, abs=1e-3)
    assert sums.places[0][cuts[0]].tolist() == [13, 29]
    assert cuts[1] == []


def test_the_error_of_a_page_is_that_of_its_cells():
    rng = np.random.default_rng(1)
    x, y, b = rng.uniform(0, 40, 500), rng.uniform(0, 40, 500), rng.uniform(1, 2, 500)
    dose, w = rng.uniform(1, 3, 500), rng.uniform(0.5, 1.5, 500)
    x[:50] = np.nan
    sums = Sums(x, y, dose, b, w)
    cuts = ([4, 20], [9])

    rows, columns = (band_of(v, p[c]) for v, p, c in zip((x, y), sums.places, cuts, strict=True))
    slow = 0.0
    for i in range(4):
        for j in range(3):
            own = (rows == i) & (columns == j)
            if own.any():
                r = (w * dose * b)[own].sum() / (w * b * b)[own].sum()
                slow += (w * (dose - r * b) ** 2)[own].sum()

    assert sums.error(cuts) == pytest.approx(slow, rel=1e-9)


def test_bands_and_doses_in_words():
    edges, values = np.asarray([10.0, 15.0]), np.linspace(1, 20, 100)

    assert [band_label(edges, b, values) for b in range(4)] == ["none yet", "< 10", "10 to < 15", ">= 15"]
    assert band_label(np.asarray([11.5]), 2, np.asarray([11.0, 12.0, 13.0])) == "12, 13"
    assert doses_text((0,)) == "dose 1"
    assert doses_text((2, 4, 5, 6)) == "doses 3 and 5-7"


def test_inputs_cover_the_chart(ward):
    assert inputs(ward) == ("crcl_ml_per_min", "wt_kg", "dialysis", "levels", "doses so far")


@pytest.mark.long
def test_a_constant_policy_is_one_cell_a_page(ward, names, at, hand_probe):
    taught = dataclasses.replace(_taught(hand_probe), dose=np.full(hand_probe.alive.sum(), 1000.0, np.float32))

    pages = distil(ward, names, taught, (at["wt_kg"], at["crcl_ml_per_min"]))

    assert pages[0].cells.shape == (2, 2)
    assert pages[0].cells[1, 1] == 1000.0
    assert eqx.tree_equal(*(policy_of(ward, names, pages).page_of for _ in range(2)))


@pytest.mark.long
@pytest.mark.parametrize("patients", [5, 12, 25])
def test_few_patients_make_fewer_points_and_no_error(explained, patients):
    probe = dataclasses.replace(
        explained.probe,
        **{n: getattr(explained.probe, n)[:patients] for n in ("seen", "doses", "alive", "swapped", "told")},
    )

    for curve in level_curves(dataclasses.replace(explained, probe=probe)):
        assert len(curve.x) >= 1
        assert np.isfinite(curve.bands["PPO"]).all()


def test_a_change_is_a_share_of_the_last_dose(ward, simulator, names, at, by_hand):
    up = _page((2,), at["level"], at["crcl_ml_per_min"], (), (), [[40.0]], change=True)
    policy = policy_of(ward, names, (*by_hand[:2], up))

    doses = ask(ward, simulator, (policy,), COHORT).doses[..., 0]

    np.testing.assert_array_equal(doses[:, 2], np.asarray(snap(ward, doses[:, 1] * np.float32(1.4))))


def test_an_edge_belongs_to_the_band_above():
    assert band_of(np.asarray([9.99, 10.0, np.nan]), np.asarray([10.0])).tolist() == [1, 2, 0]

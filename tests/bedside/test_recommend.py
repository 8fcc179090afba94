"""The whole answer: doses, probabilities, the policies side by side, reasons, files."""

import dataclasses
import html
import json
from datetime import datetime
from zoneinfo import ZoneInfo

import jax
import numpy as np
import pytest
from irregular import believed

import rl_drug_dosage as rldd
from rl_drug_dosage.bedside import CovariateAt, Dose, FreeCourse, Level, PatientHistory, read_history
from rl_drug_dosage.bedside.metrics import metrics
from rl_drug_dosage.bedside.recommendation import INTENDED_USE
from rl_drug_dosage.bedside.regimens import Row, sorted_rows
from rl_drug_dosage.bedside.windows import Measure, Option, window_of
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.pkpd import CovariateError, DosingOptions, Target
from rl_drug_dosage.pkpd.bayes import Posterior, choose_regimen, exposure
from rl_drug_dosage.pkpd.regimen import Dose as EngineDose
from rl_drug_dosage.pkpd.regimen import every, make_regimen
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.utils.words import lasting

MODEL = "vancomycin-goti2018"
DRAWS = 64
AUC = Target("concentration", "auc24", 400.0, 600.0, "mg h/L", "test")


def patient(**changed) -> PatientHistory:
    """An adult after four doses, one of them missed, with three levels."""
    history = PatientHistory(
        drug=MODEL,
        doses=(
            Dose(38, 1250, 1),
            Dose(0, 1500, 1.5),
            Dose(11.5, 1000, 1),
            Dose(24.2, 1000, 1),
            Dose(36, 1000, 1, given=False),
        ),
        levels=(Level(10.9, 11.0), Level(23.0, 12.5), Level(49.0, 13.9)),
        covariates=(
            CovariateAt(0, "crcl_ml_per_min", 70),
            CovariateAt(24, "crcl_ml_per_min", 55),
            CovariateAt(0, "wt_kg", 82),
            CovariateAt(0, "dialysis", 0),
        ),
        now_h=49.5,
        name="example",
    )
    return dataclasses.replace(history, **changed)


@pytest.fixture(scope="module")
def found():
    """One recommendation, for all tests that only look at it."""
    return rldd.recommend(patient(), draws=DRAWS)


@pytest.fixture(scope="module")
def belief():
    return believed(MODEL, patient(), draws=DRAWS)


@pytest.mark.long
def test_the_recommended_dose_is_the_one_that_a_search_by_hand_finds(found, belief):
    """Every regimen of the label, the exposure of every draw one by one, by the engine's own function."""
    dosing, hits = belief.model.dosing, {}
    with jax.enable_x64(True):

        @jax.jit
        def over_draws(regimen, window):
            def one(eta, kappa):
                return exposure(belief.model, regimen, belief.laid.ahead, eta, kappa, AUC, *window)

            return jax.vmap(one)(belief.found.eta[1:], belief.found.kappa[1:])

        for interval in dosing.intervals_h:
            for amount in dosing.amounts_mg:
                # The scenario infuses 10 mg/min at most, for an hour at least.
                lasts = max(amount / 600.0, 1.0)
                window = window_of(found.start_h, interval, lasts, 48.0)
                first = EngineDose(found.start_h, amount, "central", duration_h=lasts)
                doses = [*belief.laid.doses, *every(first, interval, window.count)]
                regimen = make_regimen(doses, belief.model.structure, rows=16)
                values = np.asarray(over_draws(regimen, np.asarray([window.area_from_h, window.end_h])))
                hits[amount, interval] = float(np.mean((values >= 400) & (values <= 600))), float(np.median(values))

    for row in found.rows:
        inside, median = hits[row.option.amount_mg, row.option.interval_h]
        assert row.target == pytest.approx(inside, abs=1e-9)
        assert row.percentiles[2] == pytest.approx(median, rel=1e-6)
    assert found.rows[0].target >= max(inside for inside, _ in hits.values()) - 0.051
    assert found.best.row == found.rows[0]
    assert 5 <= len(found.rows) <= 20


@pytest.mark.long
def test_the_table_agrees_with_the_engine_s_dose_search(belief):
    """`choose_regimen`, which takes intervals that divide the horizon."""
    dosing = DosingOptions(belief.model.dosing.routes, (500.0, 1000.0, 2000.0), (8.0, 12.0, 24.0), 1000.0, "test")
    posterior = Posterior(belief.found.eta[1:], belief.found.kappa[1:], 1.0)
    with jax.enable_x64(True):
        table = choose_regimen(
            belief.model,
            belief.laid.doses,
            belief.laid.ahead,
            posterior,
            AUC,
            start_h=49.5,
            horizon_h=48.0,
            dosing=dosing,
        )
        options = [Option(a, i, 1.0, "central") for i in dosing.intervals_h for a in dosing.amounts_mg]
        own = metrics(belief, (Measure("auc24", "concentration"),), options, 49.5, 48.0)[:, 0, 1:]

    np.testing.assert_allclose(np.median(own, axis=1), table.median.ravel(), rtol=1e-6)
    np.testing.assert_allclose(((own >= 400) & (own <= 600)).mean(axis=1), table.attainment.ravel(), atol=1e-12)


@pytest.mark.long
def test_every_metric_is_the_engine_s(belief):
    """Of an infusion and of a bolus, for one draw."""
    names = ("trough", "peak", "nadir", "average", "auc_total", "time_above")
    options = [Option(750.0, 8.0, 1.0, "central"), Option(300.0, 12.0, 0.0, "central")]
    draw = belief.found.eta[5], belief.found.kappa[5]
    with jax.enable_x64(True):

        @jax.jit
        def by_hand(regimen, start_h, end_h):
            targets = [Target("concentration", name, 15.0, None, "mg/L", "test") for name in names]
            table = belief.laid.ahead
            return [exposure(belief.model, regimen, table, *draw, target, start_h, end_h) for target in targets]

        plain = metrics(belief, [Measure(n, "concentration") for n in names[:5]], options, 49.5, 48.0)[:, :, 5]
        own = metrics(belief, [Measure(n, "concentration", 15.0) for n in names], options, 49.5, 48.0)[:, :, 5]
        for option, values in zip(options, own, strict=True):
            window = window_of(49.5, option.interval_h, option.duration_h, 48.0)
            first = EngineDose(49.5, option.amount_mg, "central", duration_h=option.duration_h)
            doses = [*belief.laid.doses, *every(first, option.interval_h, window.count)]
            regimen = make_regimen(doses, belief.model.structure, rows=16)
            np.testing.assert_allclose(values, by_hand(regimen, window.start_h, window.end_h), rtol=1e-6)

    # Without a grid of times: extremes of a concentration lie at doses and at the ends of infusions.
    np.testing.assert_allclose(plain, own[:, :5], rtol=1e-6)


@pytest.mark.long
def test_order_and_late_corrections_change_nothing(found):
    history = patient()
    course = FreeCourse(MODEL, name="example")
    for level in reversed(history.levels):
        course.level(level.time_h, level.value)
    for each in history.covariates:
        course.covariate(each.name, each.value, at=each.time_h)
    for dose in history.doses:
        course.dose(dose.time_h, dose.amount, over=dose.duration_h, given=dose.given)
    course.correct(49.0, value=99.0).correct(49.0, value=13.9).correct(0.0, amount=1500.0, over=1.5)

    assert course.history(now=49.5) == history
    again = course.recommend(now=49.5, draws=DRAWS)
    assert again.to_dict() == found.to_dict()
    with pytest.raises(ConfigError, match="0 levels at 12 h"):
        course.correct(12.0, value=1.0)


@pytest.mark.long
def test_a_missed_dose_is_no_dose_and_a_level_below_the_limit_pulls_down(found):
    without = tuple(d for d in patient().doses if d.given)
    same = rldd.recommend(patient(doses=without), draws=DRAWS)
    at = np.interp(30.0, same.curves[0].time_h, same.curves[0].estimate)
    assert at == pytest.approx(np.interp(30.0, found.curves[0].time_h, found.curves[0].estimate), rel=1e-3)
    levels = (*patient().levels[:2], Level(49.0, 5.0, below_limit=True))

    low = rldd.recommend(patient(levels=levels), draws=DRAWS)

    clearance = [next(p.value for p in each.parameters if p.name == "cl") for each in (found, low)]
    assert clearance[1] > 1.2 * clearance[0]


@pytest.mark.long
def test_the_curve_is_the_engine_s_prediction_and_its_bands_hold_the_levels(found, belief):
    curve = found.curves[0]
    at = int(np.argmin(np.abs(curve.time_h - 23.0)))
    assert np.all(np.diff(curve.bands, axis=0) >= 0)
    assert curve.time_h[0] == 0.0
    assert curve.time_h[-1] >= found.start_h + 48.0
    assert curve.estimate[at] == pytest.approx(float(belief.found.predicted[0, 1]), rel=0.05)


@pytest.mark.long
def test_the_label_stands_beside_bayesian_dosing_judged_by_the_same_forecast(found):
    names = [policy.name for policy in found.policies]
    assert names == ["bayes", "label"]
    label = found.policies[1]
    assert label.row is not None
    # 15 mg/kg x CRCL / 100 mL/min every 12 h for 82 kg and 55 mL/min, on the scenario's grid of 250 mg.
    assert label.row.option.amount_mg == 750.0
    assert label.row.option.interval_h == 12.0
    assert any("mapped" in note for note in label.notes)


@pytest.mark.long
@pytest.mark.slow  # compiles for half a minute
def test_leaving_a_level_out_by_reweighting_is_leaving_it_out(found):
    reason = next(r for r in found.reasons if "moved the estimate most" in r)
    assert "13.9 mg/L at 49 h" in reason
    told = float(reason.split("would be ")[1].split(" ")[0])
    without = rldd.recommend(
        patient(levels=patient().levels[:2]),
        draws=512,
        amounts_mg=[found.dose_mg],
        intervals_h=[found.interval_h],
        policies=(),
    )
    row = next(r for r in without.rows if r.option.amount_mg == found.dose_mg)
    assert row.option.interval_h == found.interval_h
    low, high = row.percentiles[1], row.percentiles[3]
    assert low < told < high
    assert told > found.rows[0].percentiles[2]


@pytest.mark.long
def test_the_seed_of_the_draws_hardly_matters():
    """The same interval, and amounts one step apart: draws fill the posterior evenly, and the score has no steps."""
    answers = [rldd.recommend(patient(), draws=256, policies=(), seed=seed) for seed in range(1, 6)]
    assert len({answer.interval_h for answer in answers}) == 1
    amounts = [answer.dose_mg for answer in answers]
    assert max(amounts) - min(amounts) <= 250.0
    chances = np.asarray([row.target for answer in answers for row in answer.rows[:1]])
    assert np.ptp(chances) < 0.1


def test_a_course_that_ends_a_little_after_a_dose_has_no_further_one():
    """24.25 h with doses every 24 h are one; 30 h are two, and so is a day and more than a seventh of one."""
    assert [window_of(0.0, 24.0, 1.0, horizon).count for horizon in (24.0, 24.25, 27.0, 28.0, 30.0)] == [1, 1, 1, 2, 2]
    assert [window_of(0.0, 12.0, 1.0, horizon).count for horizon in (24.0, 24.25, 48.0)] == [2, 2, 4]


def row(target: float, harm: float, amount: float = 1000.0, interval: float = 12.0, distance: float = 0.0) -> Row:
    return Row(
        Option(amount, interval, 1.0, "central"),
        target,
        (harm,),
        0.0,
        0.0,
        500.0,
        (300.0, 400.0, 500.0, 600.0, 700.0),
        distance,
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (row(0.6, 0.1), row(0.5, 0.1)),
        (row(0.6, 0.1), row(0.6, 0.2)),
        # Ten points for a doubling of the interval, half a harm for a chance of the target.
        (row(0.5, 0.1), row(0.59, 0.1, interval=24.0)),
        (row(0.61, 0.1, interval=24.0), row(0.5, 0.1)),
        (row(0.53, 0.05), row(0.6, 0.25)),
        (row(0.6, 0.05), row(0.5, 0.0)),
        # Of equal ones the median nearest to the aim.
        (row(0.6, 0.1, distance=0.1), row(0.6, 0.1, amount=750.0, distance=0.2)),
    ],
)
def test_what_a_regimen_gains_and_costs(first, second):
    assert sorted_rows([second, first], 12.0)[0] is first
    assert sorted_rows([first, second], 12.0)[0] is first


def test_a_policy_that_there_is_not_is_an_error_and_no_abstention():
    with pytest.raises(RlDrugDosageError, match="'nope'"):
        rldd.recommend(patient(), draws=DRAWS, policies=["nope"])


def test_where_no_regimen_has_a_chance_the_nearest_leads():
    """Whatever its interval, or its harm."""
    rows = [row(0.0, 0.0, distance=3.0), row(0.01, 0.9, 250.0, 24.0, distance=1.0), row(0.05, 0.5, distance=2.0)]
    assert [each.distance for each in sorted_rows(rows, 12.0)] == [1.0, 2.0, 3.0]


@pytest.mark.long
def test_a_model_that_cannot_be_is_left_out_and_said():
    """Thomson's clearance falls below 0 at a creatinine clearance of 1 mL/min; Goti's does not."""
    covariates = (CovariateAt(0, "crcl_ml_per_min", 1), CovariateAt(0, "wt_kg", 82), CovariateAt(0, "dialysis", 0))
    both = rldd.recommend(patient(drug="vancomycin", covariates=covariates), draws=DRAWS, policies=())
    assert list(both.weights) == [MODEL]
    assert any("left out" in note and "vancomycin-thomson2009 gives cl" in note for note in both.notes)
    with pytest.raises(CovariateError, match="vancomycin-thomson2009 gives cl = "):
        rldd.recommend(patient(drug="vancomycin", covariates=covariates), models=["vancomycin-thomson2009"])


@pytest.mark.parametrize(
    ("covariates", "said"),
    [
        ((CovariateAt(0, "crcl_ml_per_min", 60), CovariateAt(0, "wt_kg", 82)), "vancomycin-thomson2009 does without"),
        (
            (
                CovariateAt(0, "crcl_ml_per_min_per_1_73m2", 60),
                CovariateAt(0, "wt_kg", 82),
                CovariateAt(0, "dialysis", 0),
            ),
            "crcl_ml_per_min_per_1_73m2 is another quantity, in mL/min/1.73m2: give it in mL/min",
        ),
    ],
)
def test_what_is_missing_says_who_does_without_and_what_was_told_instead(covariates, said):
    with pytest.raises(ConfigError, match="covariate missing for vancomycin-goti2018") as caught:
        rldd.recommend(patient(drug="vancomycin", covariates=covariates), models=[MODEL], draws=DRAWS)
    assert said in str(caught.value)


@pytest.mark.long
def test_a_target_that_nothing_on_the_label_reaches_is_said():
    high = rldd.recommend(patient(), draws=DRAWS, policies=(), target="auc24 3000-3100")

    assert high.rows[0].target < 0.1
    assert any("no regimen that may be recommended" in reason for reason in high.reasons)
    assert high.rows[0].distance == min(each.distance for each in high.rows)


@pytest.mark.long
def test_it_prints_saves_and_shows_itself(found, tmp_path):
    text = found.text()
    assert INTENDED_USE in text
    assert "Bayesian dosing: " in text
    page = found.save(tmp_path / "x.html").read_text()
    assert INTENDED_USE in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    record = json.loads(found.save(tmp_path / "new" / "x.json").read_text())
    assert record["recommended"] == {"policy": "bayes", "dose_mg": found.dose_mg, "interval_h": found.interval_h}
    assert len(record["curves"][0]["bands"]) == 5
    assert found.save(tmp_path / "x.txt").read_text() == text + "\n"
    assert INTENDED_USE in found._repr_html_()
    paper = found.save(tmp_path / "x.pdf").read_bytes()
    assert paper.startswith(b"%PDF-")
    assert paper == found.save(tmp_path / "again.pdf").read_bytes()
    assert 'src="data:image/png;base64,' in found._repr_html_()
    with pytest.raises(ConfigError, match=r"allowed: .html, .pdf, .json, .txt"):
        found.save(tmp_path / "x.docx")


def test_of_a_history_that_no_model_explains_the_sheet_says_whose_dose_it_shows():
    odd = patient(levels=(Level(10.9, 200.0), Level(11.2, 0.1)))
    with_label = rldd.recommend(odd, draws=DRAWS)
    alone = rldd.recommend(odd, draws=DRAWS, policies=())

    assert with_label.contradicted
    assert alone.contradicted
    assert "Nothing is recommended; the label's rule gives" in html.unescape(with_label.html())
    assert "Bayesian dosing recommends" in alone.html()
    assert "rule gives" not in alone.html()


def test_a_name_with_dollar_signs_is_no_formula(tmp_path):
    odd = rldd.recommend(patient(name=r"A $\frac{ B$"), draws=DRAWS, policies=())

    assert odd.save(tmp_path / "x.pdf").read_bytes().startswith(b"%PDF-")
    assert 'src="data:image/png;base64,' in odd._repr_html_()


def test_a_name_cannot_become_markup():
    wicked = rldd.recommend(patient(name="<script>alert(1)</script>"), draws=DRAWS, policies=())

    assert "<script" not in wicked.html()
    assert "<script" not in wicked._repr_html_()


def test_clock_times_are_shown_where_the_history_has_an_origin():
    """Over the night on which Berlin's clocks go back: 49.5 h after Saturday 08:00 it is Monday 08:30, not 09:30."""
    origin = datetime(2026, 10, 24, 8, 0, tzinfo=ZoneInfo("Europe/Berlin"))

    timed = rldd.recommend(patient(origin=origin), draws=DRAWS, policies=())

    assert timed.when(49.5) == "at 2026-10-26 08:30"
    assert "25 Oct" in timed.html()


def test_levels_that_no_model_can_explain_leave_the_label_s_caution_only():
    absurd = patient(levels=(Level(10.9, 400.0), Level(11.2, 2.0), Level(23.0, 300.0), Level(49.0, 1.0)))

    found = rldd.recommend(absurd, draws=DRAWS)

    assert found.contradicted
    assert found.policies[0].abstains
    assert found.best.name == "label"
    assert "contradict every model" in found.warnings[0]
    assert "caution" in found.text()
    assert found.curves


BAD = {
    "level before a dose": ({"doses": (Dose(12, 1000, 1),), "levels": (Level(3, 10.0),)}, "level at 3 h"),
    "level without a dose": ({"doses": ()}, "before any dose"),
    "two doses": ({"doses": (Dose(0, 1000, 1), Dose(0, 500, 1))}, "two doses at 0 h"),
    "future level": ({"levels": (Level(60, 10.0),)}, "in the future of now, 49.5 h"),
    "future dose": ({"doses": (Dose(0, 1000, 1), Dose(50, 500, 1))}, "in the future of now"),
    "level twice": ({"levels": (Level(30, 10.0), Level(30, 10.0))}, "told twice"),
    "no weight": (
        {"covariates": (CovariateAt(0, "crcl_ml_per_min", 70), CovariateAt(0, "dialysis", 0))},
        "wt_kg",
    ),
    "unknown covariate": ({"covariates": (*patient().covariates, CovariateAt(0, "shoe", 43))}, "shoe"),
    "impossible covariate": ({"covariates": (CovariateAt(0, "wt_kg", 9000), *patient().covariates[1:])}, "wt_kg"),
    "unknown output": ({"levels": (Level(30, 10.0, "inr"),)}, "inr"),
    "unknown route": ({"doses": (Dose(0, 1000, 1, "nose"),)}, "nose"),
    "unknown drug": ({"drug": "vancomicin"}, "did you mean 'vancomycin'"),
    "impossible level": ({"levels": (Level(30, 1e9),)}, "check the unit"),
    "dose of nothing": ({"doses": (Dose(0, 0, 1),)}, "given = false"),
}


@pytest.mark.parametrize(("changed", "says"), BAD.values(), ids=BAD)
def test_a_slip_is_said_in_one_line(changed, says):
    with pytest.raises(RlDrugDosageError) as refused:
        rldd.recommend(patient(**changed), draws=DRAWS)

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"intervals_h": [10]}, "an interval of 10 h is not on the label"),
        ({"next_dose_h": 3}, "before now, 49.5 h"),
        ({"horizon_h": -1}, "horizon"),
        ({"prior": "wide"}, "'published', 'widened'"),
        ({"draws": 3}, "50 to 5,000"),
        ({"models": ["warfarin-hamberg2007", MODEL]}, "leave one out|is a model of 'warfarin'"),
        ({"scenario": "warfarin"}, "does not dose vancomycin"),
        ({"amounts_mg": [-5]}, "amounts above 0"),
        ({"amounts_mg": [1e6], "intervals_h": [8]}, "smaller amounts or longer intervals"),
    ],
)
def test_a_question_that_cannot_be_is_refused_in_one_line(asked, says):
    with pytest.raises(RlDrugDosageError, match=says):
        rldd.recommend(patient(), **{"draws": DRAWS, **asked})


def test_two_doses_at_one_time_are_allowed_by_different_routes():
    """By mouth and into the vein."""
    from rl_drug_dosage.bedside.assess import assess
    from rl_drug_dosage.bedside.task import task_of

    model = load_drug("voriconazole-friberg2012")
    others = [name for name in model.structure.dosable if name != model.dosing.routes[0].compartment]
    history = PatientHistory(
        model.name,
        (Dose(0, 10, 0), Dose(0, 10, 1, others[0])),
        (),
        tuple(CovariateAt(0, c.name, c.typical) for c in model.covariates),
        now_h=1.0,
    )
    assert assess(task_of(model.name), history, asked=True).models


def test_a_model_that_lacks_a_covariate_is_left_out_and_named():
    """Of the scenario's two models Thomson's needs no dialysis."""
    known = tuple(c for c in patient().covariates if c.name != "dialysis")
    history = patient(drug="vancomycin", covariates=known)
    from rl_drug_dosage.bedside.assess import assess
    from rl_drug_dosage.bedside.task import task_of

    usable = assess(task_of("vancomycin"), history, asked=False)
    assert [m.name for m in usable.models] == ["vancomycin-thomson2009"]
    assert "goti2018 is left out" in usable.notes[0]
    both = task_of("vancomycin", models=("vancomycin-goti2018", "vancomycin-thomson2009"))
    with pytest.raises(ConfigError, match="thomson2009 does without"):
        assess(both, history, asked=True)


PLAIN = """
format = 1
drug = "vancomycin-goti2018"
name = "example"
now = 49.5
levels = [{time = 10.9, value = "11 mg/L"}, {time = 23, value = "12.5 mg/L"}, {time = 49, value = "13.9 mg/L"}]

[covariates]
crcl = [{time = 0, value = "70 mL/min"}, {time = 24, value = "55 mL/min"}]
weight = "82 kg"
dialysis = 0

[[doses]]
time = 0
amount = "1500 mg"
over = "1.5 h"
[[doses]]
time = 11.5
amount = "1000 mg"
over = "1 h"
[[doses]]
time = 24.2
amount = "1000 mg"
over = "1 h"
[[doses]]
time = 36
amount = "1000 mg"
over = "1 h"
missed = true
[[doses]]
time = 38
amount = "1250 mg"
over = "1 h"
"""


def test_a_patient_file_is_the_history(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(PLAIN)

    assert read_history(path) == patient()


def test_intervals_are_said_as_people_say_them():
    said = {12: "12 h", 36: "36 h", 48: "48 h", 60: "60 h", 72: "3 days", 120: "5 days", 168: "week", 1008: "6 weeks"}
    said |= {1 / 360: "10 s", 1 / 60: "1 min", 0.1: "6 min", 0.25: "0.25 h", 24: "24 h"}

    assert {hours: lasting(hours) for hours in said} == said

"""What is written is what is read: histories through patient files, and the face for people who type."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_drug_dosage.bedside.course import FreeCourse
from rl_drug_dosage.bedside.files import read_history, read_text
from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.bedside.patient_table import as_table, write_history
from rl_drug_dosage.errors import ConfigError, OutputError

DRUGS = ("vancomycin", "vancomycin-goti2018", "tacrolimus-storset2014", "heparin-alsallami2016")
ZONES = (None, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"))
COVARIATES = {
    "vancomycin": (("crcl_ml_per_min", 10.0, 200.0), ("wt_kg", 40.0, 120.0)),
    "vancomycin-goti2018": (("crcl_ml_per_min", 10.0, 200.0), ("dialysis", 0.0, 0.0)),
    "tacrolimus-storset2014": (("hct_percent", 25.0, 45.0), ("cyp3a5_expresser", 1.0, 1.0)),
    "heparin-alsallami2016": (("age_y", 1.0, 15.0), ("female", 1.0, 1.0), ("wt_kg", 8.0, 60.0)),
}


@st.composite
def histories(draw):
    """Of some drug, across changes of the clocks, with missed doses and levels below the limit."""
    drug = draw(st.sampled_from(DRUGS))
    minutes = st.integers(0, 60 * 24 * 7)
    first = draw(st.integers(1, 400)) / 4.0
    amounts, lengths = st.integers(1, 4000).map(lambda n: n / 8.0), st.sampled_from((0.5, 2.0))
    doses = [
        Dose((each + 1) / 60.0, draw(amounts), draw(lengths), None, draw(st.booleans()))
        for each in draw(st.lists(minutes, max_size=4, unique=True))
    ]
    doses.insert(0, Dose(0.0, first, 1.0))
    levels = [
        Level((each + 1) / 60.0, draw(st.floats(0.1, 60.0)), None, draw(st.booleans()))
        for each in draw(st.lists(minutes, max_size=4, unique=True))
    ]
    covariates = [
        CovariateAt(time, name, draw(st.floats(low, high)))
        for name, low, high in COVARIATES[drug]
        for time in draw(st.lists(st.integers(0, 100).map(lambda m: m / 4.0), min_size=1, max_size=2, unique=True))
    ]
    zone = draw(st.sampled_from(ZONES))
    start = datetime(2026, 10, 20, 6, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 13)))
    origin = None if zone is None else start.astimezone(zone)
    return PatientHistory(drug, tuple(doses), tuple(levels), tuple(covariates), 200.0, origin, "A")


@settings(max_examples=30)
@given(histories())
def test_a_history_that_is_saved_and_opened_is_the_history(history):
    (again,) = read_text(json.dumps(as_table(history)), ".json")

    assert (again.drug, again.name, again.origin) == (history.drug, history.name, history.origin)
    assert again.now_h == pytest.approx(history.now_h, abs=1e-8)
    assert [d.time_h for d in again.doses] == pytest.approx([d.time_h for d in history.doses], abs=1e-8)
    own, others = ([(d.amount, d.duration_h, d.route, d.given) for d in h.doses] for h in (again, history))
    assert own == others
    assert [(v.value, v.below_limit) for v in again.levels] == [(v.value, v.below_limit) for v in history.levels]
    told, known = ({(c.name, round(c.time_h, 6)): c.value for c in h.covariates} for h in (again, history))
    assert known == pytest.approx({key: told[key] for key in known})


def test_a_file_that_is_written_is_read(tmp_path):
    history = PatientHistory(
        "vancomycin-goti2018",
        (Dose(0.0, 1000.0, 1.0), Dose(12.0, 1000.0, 1.0, None, given=False)),
        (Level(11.5, 9.1), Level(23.0, 2.0, "concentration", below_limit=True)),
        (CovariateAt(0.0, "crcl_ml_per_min", 55.0), CovariateAt(0.0, "dialysis", 0.0)),
        now_h=24.0,
    )
    read = read_history(write_history(history, tmp_path / "case.json"))

    assert (read.doses, read.covariates, read.now_h) == (history.doses, history.covariates, 24.0)
    with pytest.raises(OutputError, match=r"allowed: a \.json file"):
        write_history(history, tmp_path / "case.toml")
    with pytest.raises(ConfigError, match="covariate 'shoe' of the history is none of"):
        as_table(PatientHistory("vancomycin-goti2018", covariates=(CovariateAt(0.0, "shoe", 1.0),)))


def test_a_course_takes_what_people_type_and_plain_numbers_alike():
    typed = FreeCourse("vancomycin-goti2018")
    typed.covariate("crcl", "55 mL/min").covariate("weight", "82000 g").covariate("dialysis", value=False)
    typed.dose("0 h", "1.5 g", over="90 min").level("10.9 h", "14.2 µg/mL")
    plain = FreeCourse("vancomycin-goti2018")
    plain.covariate("crcl_ml_per_min", 55).covariate("wt_kg", 82).covariate("dialysis", 0)
    plain.dose(0, 1500, over=1.5).level(10.9, 14.2)

    one, other = typed.history(11), plain.history(11)
    assert (one.doses, one.levels, one.covariates) == (other.doses, other.levels, other.covariates)
    assert other.notes == ()


def test_a_course_is_corrected_by_the_time_of_an_entry():
    course = FreeCourse("vancomycin-goti2018", zone="Europe/Berlin")
    course.dose("2026-11-03 08:10", "1 g", over="1 h").level("2026-11-03 19:00", "14.2 mg/L")
    course.correct("2026-11-03 08:10", amount="1.25 g", over="2 h").correct("2026-11-03 19:00", value="<2 mg/L")
    history = course.history("2026-11-03 20:00")

    assert (history.doses[0].amount, history.doses[0].duration_h) == (1250.0, 2.0)
    assert (history.levels[0].value, history.levels[0].below_limit) == (2.0, True)
    with pytest.raises(ConfigError, match="0 doses at 2026-11-03 09:00; allowed: one of 2026-11-03 08:10"):
        course.correct("2026-11-03 09:00", given=False)
    with pytest.raises(ConfigError, match="colour: is nothing of a dose; allowed: amount, over, given, or value"):
        course.correct("2026-11-03 08:10", colour="red")
    course.correct("2026-11-03 08:10", given=False)
    with pytest.raises(ConfigError, match="a level before any dose"):
        course.history("2026-11-03 20:00")

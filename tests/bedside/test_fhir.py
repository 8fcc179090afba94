"""FHIR R4 bundles as patient files."""

import copy
import json
import random
import re

import pytest

from rl_drug_dosage.bedside.drug_words import fact_called, words_of
from rl_drug_dosage.bedside.fhir_codes import LOINC, UCUM
from rl_drug_dosage.bedside.files import read_history, read_text
from rl_drug_dosage.bedside.unit_words import parse_unit
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError

FORMULA = {"crcl": {"formula": "cockcroft-gault", "weight": "actual"}}


def observation(name, code, value, unit, when, **more):
    concept = {"coding": [{"system": "http://loinc.org", "code": code}]}
    quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    resource = {"resourceType": "Observation", "id": name, "status": "final", "code": concept}
    return resource | {"effectiveDateTime": when, "valueQuantity": quantity} | more


def administration(name, text, dose, start, end=None, status="completed", **more):
    period = {"start": start} if end is None else {"start": start, "end": end}
    resource = {"resourceType": "MedicationAdministration", "id": name, "status": status}
    return (
        resource
        | {"medicationCodeableConcept": {"text": text}, "effectivePeriod": period, "dosage": {"dose": dose}}
        | more
    )


def bundle(*more):
    gram = {"value": 1, "code": "g"}
    resources = [
        {
            "resourceType": "Patient",
            "id": "p",
            "gender": "male",
            "birthDate": "1962-11-04",
            "name": [{"text": "Example"}],
        },
        observation("w", "29463-7", 180, "[lb_av]", "2026-11-03T06:00:00+01:00"),
        observation("c", "14682-9", 97.2, "umol/L", "2026-11-03T06:00:00+01:00"),
        administration("d1", "Vancomycin 1 g i.v.", gram, "2026-11-03T08:10:00+01:00", "2026-11-03T09:10:00+01:00"),
        administration("d2", "Vancomycin", gram, "2026-11-03T20:10:00+01:00", "2026-11-03T21:10:00+01:00", "not-done"),
        observation("l1", "4092-3", 12.1, "ug/mL", "2026-11-03T19:45:00+01:00"),
        *more,
    ]
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": "2026-11-04T12:00:00Z", "entry": entries}


def read(content, **how):
    (history,) = read_text(json.dumps(content), ".json", **how)
    return history


def test_a_bundle_is_a_history():
    history = read(bundle(), formulas=FORMULA)

    assert (history.drug, history.name) == ("vancomycin", "Example")
    assert [(d.time_h, d.amount, d.duration_h, d.given) for d in history.doses] == [
        (pytest.approx(2 + 1 / 6), 1000.0, pytest.approx(1.0), True),
        (pytest.approx(14 + 1 / 6), 1000.0, pytest.approx(1.0), False),
    ]
    assert [(v.time_h, v.value) for v in history.levels] == [(13.75, 12.1)]
    assert history.now_h == 31.0
    covariates = {c.name: c.value for c in history.covariates}
    assert covariates["wt_kg"] == pytest.approx(81.6466266)
    assert covariates["age_y"] == pytest.approx(64.0, abs=0.01)
    assert covariates["crcl_ml_per_min"] == pytest.approx(76 * 81.6466 / (72 * 97.2 / 88.4), rel=1e-3)
    assert "time zone changes: times are given at UTC+00:00, UTC+01:00; hours are counted in UTC" in history.notes


def test_unknown_codes_and_other_resources_are_named_and_left_out():
    potassium = observation("k", "2823-3", 4, "mmol/L", "2026-11-03T06:00:00+01:00")
    potassium["code"]["text"] = "Potassium"
    void = observation("v", "20578-1", 99, "mg/L", "2026-11-03T19:45:00+01:00", status="entered-in-error")
    other = administration("o", "Paracetamol", {"value": 1, "code": "g"}, "2026-11-03T08:00:00+01:00")
    history = read(bundle(potassium, void, other, {"resourceType": "Condition", "id": "x"}), formulas=FORMULA)

    assert len(history.levels) == 1
    for said in (
        "Observation/k: unknown code 2823-3 (Potassium): not read",
        "Observation/v: Vancomycin [Mass/volume] in Serum or Plasma is 'entered-in-error': not read",
        "MedicationAdministration/o: Paracetamol is not vancomycin: not read",
        "resources not read: Condition",
    ):
        assert said in history.notes


def test_a_level_below_the_limit_has_a_comparator():
    low = observation("l2", "20578-1", 2, "mg/L", "2026-11-04T08:00:00+01:00")
    low["valueQuantity"]["comparator"] = "<"

    assert read(bundle(low), formulas=FORMULA).levels[1].below_limit
    low["valueQuantity"]["comparator"] = ">"
    with pytest.raises(ConfigError, match=re.escape("Observation/l2.valueQuantity.comparator: '>'; allowed: '<'")):
        read(bundle(low), formulas=FORMULA)


def test_the_length_of_an_infusion_comes_from_its_rate_too():
    rate = {"numerator": {"value": 500, "code": "mg"}, "denominator": {"value": 1, "code": "h"}}
    dosage = {"dose": {"value": 1, "code": "g"}, "rateRatio": rate}
    slow = administration("d3", "Vancomycin", {}, "2026-11-04T08:10:00+01:00", dosage=dosage)
    assert read(bundle(slow), formulas=FORMULA).doses[-1].duration_h == 2.0

    del dosage["rateRatio"]
    with pytest.raises(ConfigError, match=r"MedicationAdministration/d3\.effectivePeriod: no end, and no dosage\.rate"):
        read(bundle(slow), formulas=FORMULA)


def _level(value=2, unit="mg/L", when="2026-11-03T19:00:00+01:00"):
    return observation("l2", "20578-1", value, unit, when)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (_level(when="2026-11-05T08:00:00+01:00"), "Observation/l2.time: 2026-11-05 08:00 lies after now"),
        (_level(when="2026-11-03T07:00:00+01:00"), "Observation/l2.time: 2026-11-03 07:00: a level before any"),
        (_level(when="2026-11-03"), "Observation/l2.time: '2026-11-03' has no time of day"),
        (_level(when=None), "Observation/l2.effectiveDateTime: missing"),
        (_level(unit="furlong"), "Observation/l2.valueQuantity: unknown UCUM unit 'furlong'"),
        (_level(value="2"), "Observation/l2.valueQuantity: is no quantity; it needs a numeric value"),
        (_level(unit="kg"), "Observation/l2.value: 2 kg is a mass"),
        (
            observation("w2", "29463-7", 90, "kg", "2026-11-03T06:00:00+01:00"),
            "Observation/w2: a second value at 2026-11-03 06:00",
        ),
        (
            administration("d3", "Vancomycin", None, "2026-11-03T22:00:00+01:00"),
            "MedicationAdministration/d3.dosage.dose: missing",
        ),
        ({"resourceType": "Patient", "id": "q"}, "entry: 2 resources are of type Patient"),
        ({"resourceType": 3}, "entry[7].resource: is no FHIR resource"),
    ],
)
def test_a_fault_is_one_line_that_names_the_resource(resource, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read(bundle(resource), formulas=FORMULA)

    assert "\n" not in str(refused.value)


def test_without_a_formula_the_bundle_says_which_there_are():
    with pytest.raises(ConfigError, match=r"covariates\.crcl: missing, .* ckd-epi-2021"):
        read(bundle())


def test_a_bundle_of_two_drugs_asks_which(tmp_path):
    content = bundle(administration("g", "Gentamicin", {"value": 300, "code": "mg"}, "2026-11-03T10:00:00+01:00"))
    with pytest.raises(ConfigError, match="administrations of gentamicin, vancomycin; say which drug is asked for"):
        read(content, formulas=FORMULA)

    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(content))
    assert len(read_history(file, "vancomycin", FORMULA).doses) == 2


def test_every_code_of_the_tables_leads_somewhere():
    """Covariates to a word of patient files, levels to a drug that is known, units to ones that are read."""
    for code, meaning in LOINC.items():
        if meaning.covariate:
            asked = [words_of(drug).called(meaning.covariate) for drug in ("vancomycin", "infliximab", "tacrolimus")]
            assert fact_called(meaning.covariate) or any(asked), code
        else:
            words_of(meaning.drug).output(meaning.output or None, code)
    assert all(parse_unit(unit) is not None for unit in UCUM.values())


def test_fuzzed_bundles_are_read_or_refused():
    rng = random.Random(5)
    values = [None, True, -1, 1e308, "", "x", "2026-11-03", [], {}, [1], {"value": 1}, {"coding": 3}]
    refused = 0
    for _ in range(300):
        content = copy.deepcopy(bundle())
        place = content
        while isinstance(place, dict | list) and place:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], dict | list) or rng.random() < 0.2:
                place[key] = copy.deepcopy(rng.choice(values))
                break
            place = place[key]
        try:
            read(content, formulas=FORMULA)
        except RlDrugDosageError:
            refused += 1
    assert refused > 50

"""A FHIR R4 bundle of one patient as a history: Patient, Observation and MedicationAdministration.

The few fields that are needed are checked here on plain JSON. The package ``fhir.resources`` was considered: 4.5 MB and
pydantic, and its current releases hold R5, R4B and STU3, not R4.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from rl_drug_dosage.bedside.drug_words import DrugWords
from rl_drug_dosage.bedside.entries import Entries
from rl_drug_dosage.bedside.fhir_codes import LOINC, RXNORM, SNOMED_ROUTES
from rl_drug_dosage.bedside.fhir_resources import (
    Resource,
    codings_of,
    list_of,
    quantity_of,
    resources_of,
    text_of,
    time_of,
    when_of,
)
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.patient_file import the_drug
from rl_drug_dosage.bedside.written import refuse, refused
from rl_drug_dosage.registry import DRUG, names

__all__ = ["read_bundle"]

_LOINC, _RXNORM, _SNOMED = (
    "http://loinc.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://snomed.info/sct",
)
_READ = ("Patient", "Observation", "MedicationAdministration", "Medication")
_USED = frozenset({"final", "amended", "corrected", "preliminary"})
"""States of an observation whose value counts."""
_GIVEN = frozenset({"completed", "in-progress", "stopped"})
"""States of an administration in which the recorded dose was given."""
_DAYS_PER_YEAR = 365.25


def read_bundle(
    bundle: Mapping[str, Any], *, drug: object = None, choices: Mapping[str, object] | None = None
) -> PatientHistory:
    """The patient of a bundle.

    Args:
        bundle: parsed JSON.
        drug: see `rl_drug_dosage.bedside.files.read_histories`; None: the only known drug that is administered.
        choices: formulas by covariate, which no bundle can name.

    Raises:
        ConfigError: in one line, with resource and field.
    """
    kind = bundle.get("resourceType")
    if kind != "Bundle":
        refuse("resourceType", f"{kind!r}; allowed: 'Bundle'; put the patient's resources into one")
    resources = list(resources_of(bundle))
    patients = [each for each in resources if each.body["resourceType"] == "Patient"]
    if len(patients) > 1:
        refuse("entry", f"{len(patients)} resources are of type Patient; allowed: one; split the bundle")
    medications = _medications(resources)
    words = the_drug(_only_drug(resources, medications) if drug is None else None, drug, "entry")
    entries = Entries(words, name=_name(patients))
    for each in resources:
        if each.body["resourceType"] == "MedicationAdministration":
            _administration(entries, words, each, medications)
        elif each.body["resourceType"] == "Observation":
            _observation(entries, words, each)
    others = sorted({each.body["resourceType"] for each in resources} - set(_READ))
    if others:
        entries.note(f"resources not read: {', '.join(others)}")
    now = bundle.get("timestamp")
    _person(entries, patients, now, resources)
    for key, choice in (choices or {}).items():
        entries.covariate(key, choice, at=f"formulas.{key}")
    return entries.history(now)


def _medications(resources: Iterable[Resource]) -> dict[str, object]:
    """Reference -> concept of each Medication."""
    found: dict[str, object] = {}
    for each in resources:
        if each.body["resourceType"] == "Medication" and isinstance(each.body.get("id"), str):
            for reference in (f"Medication/{each.body['id']}", f"#{each.body['id']}"):
                found[reference] = each.body.get("code")
    return found


def _concept(resource: Resource, medications: Mapping[str, object]) -> object:
    """The medication of an administration."""
    concept = resource.body.get("medicationCodeableConcept")
    reference = resource.body.get("medicationReference")
    if concept is None and isinstance(reference, Mapping):
        return medications.get(str(reference.get("reference"))) or {"text": reference.get("display")}
    return concept


def _stems(concept: object) -> set[str]:
    """First words of the known drugs that a medication is."""
    coded = {RXNORM.get(str(each.get("code"))) for each in codings_of(concept) if each.get("system") == _RXNORM}
    text = text_of(concept).casefold()
    named = {name.partition("-")[0] for name in names(DRUG)}
    return {stem for stem in coded if stem} | {stem for stem in named if stem in text}


def _only_drug(resources: Iterable[Resource], medications: Mapping[str, object]) -> str:
    found = [r for r in resources if r.body["resourceType"] == "MedicationAdministration"]
    stems = sorted({stem for each in found for stem in _stems(_concept(each, medications))})
    if len(stems) != 1:
        said = f"administrations of {', '.join(stems)}" if stems else "no administration of a known drug"
        refuse("entry", f"{said}; say which drug is asked for: drug='vancomycin'")
    return stems[0]


def _name(patients: list[Resource]) -> str:
    for each in patients:
        for name in list_of(each.body.get("name")):
            if isinstance(name, Mapping):
                given = " ".join(part for part in list_of(name.get("given")) if isinstance(part, str))
                text = name.get("text") or f"{given} {name.get('family', '')}".strip()
                return str(text)[:200]
    return ""


def _person(entries: Entries, patients: list[Resource], now: object, resources: list[Resource]) -> None:
    """Sex, and age at the time of the question."""
    for each in patients:
        gender = each.body.get("gender")
        if isinstance(gender, str) and gender in {"male", "female"}:
            entries.covariate("sex", gender, at=f"{each.at}.gender")
        elif gender is not None:
            entries.note(f"{each.at}.gender {gender!r} is not read: models know male and female")
        born = each.body.get("birthDate")
        if born is None:
            continue
        days = [str(when)[:10] for when in (now, *map(time_of, resources)) if when]
        try:
            age = (date.fromisoformat(max(days)) - date.fromisoformat(str(born))).days / _DAYS_PER_YEAR
        except ValueError:
            refuse(f"{each.at}.birthDate", f"{born!r}; allowed: year-month-day, with times in the bundle")
        if age < 0:
            refuse(f"{each.at}.birthDate", f"{born} lies after the bundle's times; correct it")
        entries.note(f"age {age:.4g} y from the date of birth")
        entries.covariate("age", f"{age:.6f} y", at=f"{each.at}.birthDate")


def _observation(entries: Entries, words: DrugWords, resource: Resource) -> None:
    body, at = resource.body, resource.at
    codes = [str(c.get("code")) for c in codings_of(body.get("code")) if c.get("system") == _LOINC]
    code = next((each for each in codes if each in LOINC), None)
    what = text_of(body.get("code")) or "no text"
    if code is None:
        entries.note(f"{at}: unknown code {', '.join(codes) or 'none of LOINC'} ({what[:80]}): not read")
        return
    meaning = LOINC[code]
    if str(body.get("status")) not in _USED:
        entries.note(f"{at}: {meaning.display} is {body.get('status')!r}: not read")
        return
    if body.get("status") == "preliminary":
        entries.note(f"{at}: {meaning.display} is preliminary")
    if body.get("valueQuantity") is None:
        entries.note(f"{at}: {meaning.display} has no valueQuantity: not read")
        return
    written = quantity_of(body["valueQuantity"], f"{at}.valueQuantity")
    if meaning.covariate:
        if not words.called(meaning.covariate) and meaning.covariate not in words.keys:
            entries.note(f"{at}: {meaning.display} is not used by {words.drug}")
            return
        entries.covariate(meaning.covariate, written, time=when_of(resource), at=at)
    elif words.first.drug.casefold().startswith(meaning.drug):
        entries.level(when_of(resource), written, output=meaning.output or None, at=at)
    else:
        entries.note(f"{at}: {meaning.display} is no level of {words.drug}: not read")


def _administration(entries: Entries, words: DrugWords, resource: Resource, medications: Mapping[str, object]) -> None:
    body, at = resource.body, resource.at
    concept = _concept(resource, medications)
    stem = words.first.drug.casefold().partition(" ")[0]
    if stem not in _stems(concept) and stem not in text_of(concept).casefold():
        entries.note(f"{at}: {text_of(concept)[:80] or 'a medication without a name'} is not {words.drug}: not read")
        return
    status = str(body.get("status"))
    if status not in _GIVEN | {"not-done"}:
        entries.note(f"{at}: status {status!r}: not read")
        return
    dosage = body.get("dosage")
    if not isinstance(dosage, Mapping) or dosage.get("dose") is None:
        if status == "not-done":
            entries.note(f"{at}: not done, and no dose: not read")
            return
        refuse(f"{at}.dosage.dose", "missing; give the amount that was given")
    if status in {"stopped", "in-progress"}:
        entries.note(f"{at}: {status}: the recorded dose counts as given")
    amount = quantity_of(dosage["dose"], f"{at}.dosage.dose")
    route = _route(words, dosage, at)
    how = _duration(entries, words, resource, dosage, route)
    entries.dose(when_of(resource), amount, route=route, given=status != "not-done", at=at, **how)


def _route(words: DrugWords, dosage: Mapping[str, Any], at: str) -> str | None:
    """The compartment of an oral dose, for a drug that is usually infused; None: the model's first route.

    Raises:
        ConfigError: a route that the model does not have.
    """
    concept = dosage.get("route")
    codes = [str(c.get("code")) for c in codings_of(concept) if c.get("system") == _SNOMED]
    known = next((SNOMED_ROUTES[code] for code in codes if code in SNOMED_ROUTES), None)
    if concept is None:
        return None
    if known is None:
        what = ", ".join(codes) or text_of(concept)
        refuse(
            f"{at}.dosage.route", f"{what[:60]!r}; allowed: {', '.join(f'{c} ({r})' for c, r in SNOMED_ROUTES.items())}"
        )
    wanted = "depot" if known == "oral" else "central"
    if wanted not in words.first.structure.dosable:
        refuse(f"{at}.dosage.route", f"{known}: {words.first.name} has no such route; choose another model")
    return None if words.first.dosing.routes[0].compartment == wanted else wanted


def _duration(
    entries: Entries, words: DrugWords, resource: Resource, dosage: Mapping[str, Any], route: str | None
) -> dict[str, Any]:
    """``over`` or ``rate`` of an infusion.

    Raises:
        ConfigError: an infused drug without an end and a rate.
    """
    at, period = resource.at, resource.body.get("effectivePeriod")
    if not words.duration_needed(route):
        return {}
    if isinstance(period, Mapping) and isinstance(period.get("end"), str):
        start = entries.clock.read(when_of(resource), f"{at}.effectivePeriod.start")
        end = entries.clock.read(period["end"], f"{at}.effectivePeriod.end")
        hours = entries.clock.hours(end, entries.clock.origin([start])) - (start if isinstance(start, float) else 0.0)
        if hours < 0:
            refuse(f"{at}.effectivePeriod.end", "lies before its start; correct it")
        return {"over": f"{hours:.9f} h"}
    ratio = dosage.get("rateRatio")
    if isinstance(ratio, Mapping):
        above = quantity_of(ratio.get("numerator"), f"{at}.dosage.rateRatio.numerator")
        below = quantity_of(ratio.get("denominator"), f"{at}.dosage.rateRatio.denominator")
        if not float(below["value"]) > 0:
            refuse(f"{at}.dosage.rateRatio.denominator", f"{below['value']}; allowed: above 0")
        per_one = float(above["value"]) / float(below["value"])
        return {"rate": {"value": per_one, "unit": f"{above['unit']}/{below['unit']}"}}
    if dosage.get("rateQuantity") is not None:
        return {"rate": quantity_of(dosage["rateQuantity"], f"{at}.dosage.rateQuantity")}
    infusion = words.duration_needed(route)
    raise refused(
        f"{at}.effectivePeriod",
        f"no end, and no dosage.rate, while {words.first.drug} is given as {infusion}; give one of them",
    )

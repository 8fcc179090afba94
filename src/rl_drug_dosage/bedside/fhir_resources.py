"""The pieces of FHIR resources that a history needs, read from plain JSON: codes, texts, times and quantities."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rl_drug_dosage.bedside.fhir_codes import UCUM
from rl_drug_dosage.bedside.written import refuse

__all__ = ["Resource", "codings_of", "list_of", "quantity_of", "resources_of", "text_of", "time_of", "when_of"]


@dataclass(frozen=True)
class Resource:
    """One resource, with its name in messages."""

    at: str
    body: Mapping[str, Any]


def resources_of(bundle: Mapping[str, Any]) -> Iterable[Resource]:
    """Every resource of a bundle, and the medications that resources contain.

    Raises:
        ConfigError: no entries, or one that is no resource.
    """
    rows = bundle.get("entry", [])
    if not isinstance(rows, list) or not rows:
        refuse("entry", "missing or empty; a bundle holds resources")
    for i, row in enumerate(rows, 1):
        body = row.get("resource") if isinstance(row, Mapping) else None
        if not isinstance(body, Mapping) or not isinstance(body.get("resourceType"), str):
            refuse(f"entry[{i}].resource", "is no FHIR resource; it needs a resourceType")
        own = body.get("id")
        yield Resource(f"{body['resourceType']}/{own}" if isinstance(own, str) else f"entry[{i}]", body)
        for inner in list_of(body.get("contained")):
            if isinstance(inner, Mapping) and inner.get("resourceType") == "Medication":
                yield Resource(f"{body['resourceType']}/{own}#{inner.get('id')}", inner)


def list_of(value: object) -> list[Any]:
    """A list as it is; anything else as an empty one."""
    return value if isinstance(value, list) else []


def codings_of(concept: object) -> list[Mapping[str, Any]]:
    """The codes of a concept."""
    if not isinstance(concept, Mapping):
        return []
    return [each for each in list_of(concept.get("coding")) if isinstance(each, Mapping)]


def text_of(concept: object) -> str:
    """What a concept is called, in words."""
    if not isinstance(concept, Mapping):
        return ""
    found = [concept.get("text"), *(each.get("display") for each in codings_of(concept))]
    return " ".join(each for each in found if isinstance(each, str))


def time_of(resource: Resource) -> object:
    """When an observation or administration was, or began."""
    body = resource.body
    period = body.get("effectivePeriod")
    start = period.get("start") if isinstance(period, Mapping) else None
    return body.get("effectiveDateTime") or body.get("effectiveInstant") or start


def when_of(resource: Resource) -> str:
    """The same, as text.

    Raises:
        ConfigError: there is none.
    """
    found = time_of(resource)
    if not isinstance(found, str):
        refuse(f"{resource.at}.effectiveDateTime", "missing; give date and time with an offset from UTC")
    return found


def quantity_of(value: object, at: str) -> dict[str, Any]:
    """Number and unit, the unit by its UCUM code.

    Raises:
        ConfigError: no quantity, or a unit that is not in `UCUM`.
    """
    number = value.get("value") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or isinstance(number, bool) or not isinstance(number, int | float):
        refuse(at, "is no quantity; it needs a numeric value and a unit")
    code = str(value.get("code", value.get("unit", "")))
    if code and code not in UCUM:
        refuse(at, f"unknown UCUM unit {str(code)[:40]!r}; allowed: {', '.join(UCUM)}")
    comparator = str(value.get("comparator", ""))
    if comparator in {"<", "<="}:
        return {"value": f"<{number}", "unit": UCUM.get(code, "")}
    if comparator:
        refuse(f"{at}.comparator", f"{comparator!r}; allowed: '<' and none; give the diluted result")
    return {"value": number, "unit": UCUM.get(code, "")}

"""The bedside's part of the interface: read a patient, recommend, and look at a dose of the reader's own choice."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_drug_dosage.bedside import Asked, PatientHistory, Recommendation
from rl_drug_dosage.bedside.case import Case
from rl_drug_dosage.bedside.clock import Clock, find_zone
from rl_drug_dosage.bedside.fhir import read_bundle
from rl_drug_dosage.bedside.files import TABLES, read_text
from rl_drug_dosage.bedside.patient_file import FORMAT, histories_of, parse_json, parse_toml
from rl_drug_dosage.bedside.patient_table import as_table
from rl_drug_dosage.bedside.recommend import answered, considered
from rl_drug_dosage.bedside.record import policy_record
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.registry import DRUG, names
from rl_drug_dosage.web.bodies import Body, is_number
from rl_drug_dosage.web.catalogue import drugs, learnt_in, scenarios
from rl_drug_dosage.web.fields import field_of

__all__ = ["Bedside", "FieldError"]

_ASKED = (
    "models", "scenario", "target", "prior", "policies", "next_dose", "horizon_h", "amounts_mg", "intervals_h",
    "route", "draws", "seed", "drug", "formulas",
)  # fmt: skip
_CASES = 4
"""Patients whose posterior is at hand; the oldest is forgotten."""
_MOST_ENTRIES = 200
"""Doses, levels or covariates of a patient on the page."""
_MOST_PATIENTS = 500
"""Patients of a file that is opened."""


class FieldError(ConfigError):
    """A refusal that belongs to a field of the form.

    Args:
        message: in one line.
        field: its place, or None.
    """

    def __init__(self, message: str, field: str | None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class _Answer:
    case: Case
    recommendation: Recommendation


class Bedside:
    """Answers for one patient at a time; the last few are kept, so that a moved slider estimates nothing anew.

    Args:
        models: folder of model files, or None.
    """

    def __init__(self, models: Path | None) -> None:
        self._learnt = learnt_in(models)
        self._lock = threading.Lock()
        self._turns = {(drug, alone): threading.Lock() for drug in ("", *drugs()) for alone in (True, False)}
        self._kept: OrderedDict[str, _Answer] = OrderedDict()

    def policies_of(self, scenario: str | None) -> list[str]:
        """What may stand beside Bayesian dosing for a scenario's drug."""
        return ["label", *(["learnt"] if scenario in self._learnt else [])]

    def recommend(self, raw: bytes) -> dict[str, Any]:
        """The content of ``recommend --json`` for a patient.

        Args:
            raw: JSON with ``patient``, as in a patient file or a FHIR bundle, and ``ask``.

        Raises:
            RlDrugDosageError: a patient or a question that cannot be.
        """
        return self._answer(Body.parsed(raw, ("patient", "ask"))).recommendation.to_dict()

    def sheet(self, raw: bytes) -> str:
        """The same as a page for paper.

        Raises:
            RlDrugDosageError: see `recommend`.
        """
        return self._answer(Body.parsed(raw, ("patient", "ask"))).recommendation.html()

    def forecast(self, raw: bytes) -> dict[str, Any]:
        """What a dose of the reader's choice leads to.

        Args:
            raw: JSON with ``patient`` and ``ask`` as for `recommend`, ``dose_mg`` and ``interval_h``.

        Raises:
            RlDrugDosageError: see `recommend`; an interval that is not on the label.
        """
        body = Body.parsed(raw, ("patient", "ask", "dose_mg", "interval_h"))
        amount, interval = body.number("dose_mg", 0.0, 1e7), body.number("interval_h", 0.0, 1e5)
        if amount is None or interval is None:
            raise ConfigError(f"{'dose_mg' if amount is None else 'interval_h'}: missing; add it")
        answer = self._answer(body)
        try:
            found = answer.case.forecast(amount, interval)
        except RlDrugDosageError as error:
            raise FieldError(str(error), "interval_h" if "interval" in str(error) else "dose_mg") from error
        return policy_record(answer.recommendation, found)

    def read(self, raw: bytes) -> dict[str, Any]:
        """The patients of a file that was opened.

        Args:
            raw: JSON with ``name``, whose ending says what ``text`` is (.json, .toml, or an event table), and ``drug``
                and ``formulas`` where the file has none.

        Raises:
            RlDrugDosageError: no patient file.
        """
        body = Body.parsed(raw, ("name", "text", "drug", "formulas"))
        name, text = body.text("name"), body.text("text", most=2**20)
        suffix = Path(name).suffix.lower()
        if suffix not in {".json", ".toml", *TABLES}:
            body.refuse("name", f"a file that ends in .json, .toml or, of a table, {', '.join(sorted(TABLES))}")
        drug = body.maybe_text("drug")
        content: Any = None
        if suffix not in TABLES:
            content = parse_toml(text, "the text") if suffix == ".toml" else parse_json(text, "the text")
        is_ours = suffix not in TABLES and not (isinstance(content, dict) and "resourceType" in content)
        histories = _few(read_text(text, suffix, drug=None if is_ours else drug, formulas=_formulas(body)))
        if not is_ours:
            return {"patients": [as_table(each) for each in histories], "notes": list(histories[0].notes)}
        rows = content.get("patients", [{k: v for k, v in content.items() if k != "format"}])
        if formulas := _formulas(body):
            rows = [{**row, "covariates": {**formulas, **row.get("covariates", {})}} for row in rows]
        plain = json.loads(json.dumps(rows, default=str))
        return {"patients": [{"format": FORMAT, **row} for row in plain], "notes": []}

    def _answer(self, body: Body) -> _Answer:
        patient, ask = body.get("patient"), body.get("ask") or {}
        key = json.dumps([patient, ask], sort_keys=True)
        if (kept := self._known(key)) is not None:
            return kept
        # Two threads that need the same programs would compile each of them twice.
        with self._turn_of(patient, ask):
            return self._known(key) or self._computed(key, patient, ask)

    def _turn_of(self, patient: object, ask: object) -> threading.Lock:
        """One at a time of those that need the same programs."""
        drug = patient.get("drug") if isinstance(patient, Mapping) else None
        policies = ask.get("policies") if isinstance(ask, Mapping) else None
        known = isinstance(drug, str) and drug in drugs()
        return self._turns[drug if known else "", policies == ["label"]]  # type: ignore[index]

    def _known(self, key: str) -> _Answer | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _computed(self, key: str, patient: object, ask: object) -> _Answer:
        history = None
        try:
            asking = Body(ask, _ASKED, "ask")
            history = _history(patient, asking)
            case = considered(history, self._asked(asking, patient, history))
            found = _Answer(case, answered(case))
        except RlDrugDosageError as error:
            said = str(error).removeprefix("the text: ")
            raise FieldError(said, field_of(said, patient, history)) from error
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > _CASES:
                self._kept.popitem(last=False)
        return found

    def _asked(self, ask: Body, patient: object, history: PatientHistory) -> Asked:
        scenario = ask.one_of("scenario", scenarios()) if ask.get("scenario") is not None else None
        own = task_of(history.drug, scenario=scenario).scenario
        name = None if own is None else own.name
        offered = {"label": "label"} | ({"learnt": str(self._learnt[name])} if name in self._learnt else {})
        wanted = ask.some_of("policies", offered) if ask.get("policies") is not None else ["label"]
        return Asked(
            models=ask.some_of("models", names(DRUG)),
            scenario=scenario,
            target=ask.maybe_text("target"),
            prior=ask.one_of("prior", ("published", "widened"), "published"),
            policies=tuple(offered[each] for each in wanted),
            next_dose_h=_next_dose(ask, patient, history),
            horizon_h=ask.number("horizon_h", 0.0, 1e5),
            amounts_mg=ask.numbers("amounts_mg", 500),
            intervals_h=ask.numbers("intervals_h", 20),
            route=ask.maybe_text("route"),
            draws=ask.whole("draws", 50, 2000, 512),
            seed=ask.whole("seed", 0, 2**31 - 1, 1),
        )


def _few(histories: tuple[PatientHistory, ...]) -> tuple[PatientHistory, ...]:
    if len(histories) > _MOST_PATIENTS:
        raise ConfigError(
            f"{len(histories):,} patients; allowed: up to {_MOST_PATIENTS}; split the file, or use `recommend`"
        )
    return histories


def _formulas(body: Body) -> dict[str, Any] | None:
    value = body.get("formulas")
    if value is not None and not isinstance(value, dict):
        body.refuse("formulas", 'an object such as {"crcl": {"formula": "cockcroft-gault", "weight": "actual"}}')
    return value


def _history(patient: object, ask: Body) -> PatientHistory:
    """The patient that was sent.

    Raises:
        ConfigError: no patient, or more than one.
    """
    if not isinstance(patient, Mapping):
        raise ConfigError("the request: no patient; send one as in a patient file, under the key patient")
    if "patients" in patient:
        raise ConfigError("patients: allowed is one; send one after the other")
    drug = ask.maybe_text("drug")
    if "resourceType" in patient:
        return read_bundle(dict(patient), drug=drug, choices=_formulas(ask))
    for kind in ("doses", "levels"):
        rows = patient.get(kind, [])
        if isinstance(rows, list) and sum(map(_count, rows)) > _MOST_ENTRIES:
            raise ConfigError(f"{kind}: more than {_MOST_ENTRIES}; allowed: fewer; leave old ones out")
    return histories_of({"format": FORMAT, **patient}, drug=drug, choices=_formulas(ask))[0]


def _count(row: object) -> int:
    """Doses of a row, which may repeat one; what is no number is refused by the reader."""
    times = row.get("times", 1) if isinstance(row, Mapping) else 1
    return int(min(max(times, 1), 10**6)) if is_number(times) else 1


def _next_dose(ask: Body, patient: object, history: PatientHistory) -> float | None:
    """When the next dose is due: hours, or a clock time like those of the patient.

    Raises:
        ConfigError: no time, or one of another kind than the patient's.
    """
    written = ask.get("next_dose")
    if written is None or written == "":
        return None
    zone = patient.get("zone") if isinstance(patient, Mapping) else None
    clock = Clock(None if zone is None else find_zone(zone))
    when = clock.read(written, "ask.next_dose")
    if isinstance(when, float) != (history.origin is None):
        ask.refuse("next_dose", "a time like those of the patient: all by the clock, or all in hours")
    return clock.hours(when, history.origin)

"""JSON Schemas of what is sent and answered, for `openapi`."""

from typing import Any

from rl_drug_dosage.bedside.patient_file import FORMAT as PATIENT_FORMAT
from rl_drug_dosage.bedside.recommendation import FORMAT

__all__ = ["SCHEMAS"]

type _Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_WHOLE: _Schema = {"type": "integer"}
_FLAG: _Schema = {"type": "boolean"}
_ANY: _Schema = {}
_WRITTEN: _Schema = {"description": 'a number with its unit: "25.3 mg/L", or {"value": 25.3, "unit": "mg/L"}'}
_TIME: _Schema = {"type": ["string", "number"], "description": 'by the clock, "2026-11-03 08:10", or hours'}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: _Schema) -> _Schema:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _list(schema: _Schema) -> _Schema:
    return {"type": "array", "items": schema}


def _map(schema: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": schema}


def _answer(description: str, **properties: _Schema) -> _Schema:
    """An object that always has all of its properties."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _sent(description: str, required: tuple[str, ...], **properties: _Schema) -> _Schema:
    """An object of a request, without unknown keys."""
    return _answer(description, **properties) | {"required": list(required)}


_PATIENT = _sent(
    "a patient as in a patient file (docs/patient-files.md), or a FHIR R4 bundle",
    (),
    format={"const": PATIENT_FORMAT},
    drug=_TEXT,
    name=_TEXT,
    zone=_TEXT | {"description": "IANA name, of clock times without an offset"},
    now=_TIME,
    covariates=_map(_ANY),
    doses=_list(
        _sent(
            "a dose",
            ("time", "amount"),
            time=_TIME,
            amount=_WRITTEN,
            over=_WRITTEN,
            rate=_WRITTEN,
            route=_TEXT,
            every=_WRITTEN,
            times=_WHOLE,
            missed={"description": "true, or the numbers of repeated doses that were missed"},
        )
    ),
    levels=_list(_sent("a level", ("time", "value"), time=_TIME, value=_WRITTEN, output=_TEXT)),
    comment=_TEXT,
)
_ASK = _sent(
    "how the recommendation is made; every key may be missing",
    (),
    models=_list(_TEXT),
    scenario=_TEXT,
    target=_TEXT | {"description": "auc24 400-600, trough 10-15"},
    prior={"enum": ["published", "widened"]},
    policies=_list(_TEXT | {"description": "label, or learnt where the server has a model"}),
    next_dose=_TIME,
    horizon_h=_NUMBER,
    amounts_mg=_list(_NUMBER),
    intervals_h=_list(_NUMBER),
    route=_TEXT,
    draws={"type": "integer", "minimum": 50, "maximum": 2000},
    seed=_WHOLE,
    drug=_TEXT | {"description": "of a bundle with several"},
    formulas=_map(_ANY),
)
_ROW = _answer(
    "a regimen and its probabilities, as fractions",
    words=_TEXT,
    dose_mg=_NUMBER,
    interval_h=_NUMBER,
    duration_h=_NUMBER,
    compartment=_TEXT,
    target=_NUMBER,
    harms=_map(_NUMBER),
    below=_NUMBER,
    above=_NUMBER,
    estimate=_or_null(_NUMBER),
    percentiles=_list(_or_null(_NUMBER)),
)
_CURVE = _answer(
    "predictions of an output, without residual error; bands are percentiles",
    output=_TEXT,
    words=_TEXT,
    axis=_TEXT,
    unit=_TEXT,
    time_h=_list(_NUMBER),
    estimate=_list(_or_null(_NUMBER)),
    percentiles=_list(_NUMBER),
    bands=_list(_list(_or_null(_NUMBER))),
)
_POLICY = _answer(
    "what a policy recommends and what it would lead to, by the same posterior",
    name=_TEXT,
    words=_TEXT,
    abstains=_or_null(_TEXT),
    regimen=_or_null(_ref("Regimen")),
    curve=_or_null(_ref("Curve")),
    notes=_list(_TEXT),
)
_RECOMMENDATION = _answer(
    "the content of recommend --json",
    format={"const": FORMAT},
    intended_use=_TEXT,
    patient=_TEXT,
    drug=_TEXT,
    now_h=_NUMBER,
    origin=_or_null(_TEXT),
    next_dose_h=_NUMBER,
    next_dose=_TEXT,
    horizon_h=_NUMBER,
    horizon=_TEXT,
    recommended=_answer("the dose that counts", policy=_TEXT, dose_mg=_or_null(_NUMBER), interval_h=_or_null(_NUMBER)),
    contradicted=_FLAG,
    targets=_list(_TEXT),
    harms=_list(_TEXT),
    quantity=_answer("the metric of the first window", name=_TEXT, unit=_TEXT),
    window={"type": ["array", "null"], "items": _or_null(_NUMBER)},
    label=_answer(
        "of the label, within the limits", amounts_mg=_list(_NUMBER), intervals_h=_list(_NUMBER), intervals=_list(_TEXT)
    ),
    policies=_list(_ref("Policy")),
    alternatives=_list(_ref("Regimen")),
    next_level={
        "anyOf": [
            _answer("when a level would tell most", time_h=_NUMBER, time=_TEXT, reduction=_NUMBER, of=_TEXT),
            {"type": "null"},
        ]
    },
    models=_list(_answer("a model and its weight", name=_TEXT, weight=_NUMBER, effective_draws=_NUMBER)),
    parameters=_list(
        _answer("an estimated parameter", name=_TEXT, unit=_TEXT, value=_NUMBER, typical=_NUMBER, sds=_NUMBER)
    ),
    curves=_list(_ref("Curve")),
    doses=_list({"type": "object"}),
    levels=_list({"type": "object"}),
    covariates=_list({"type": "object"}),
    reasons=_list(_TEXT),
    warnings=_list(_TEXT),
    notes=_list(_TEXT),
)
_JOB = _answer(
    "a trial or a comparison",
    id=_TEXT,
    kind={"enum": ["trial", "play"]},
    state={"enum": ["running", "done", "failed", "stopped"]},
    text=_TEXT,
    done=_NUMBER | {"description": "fraction"},
    notes=_list(_TEXT),
    error=_or_null(_TEXT),
    result=_or_null({"type": "object"}),
    report=_FLAG,
)
_SCENARIO = _answer(
    "a dosing task",
    name=_TEXT,
    title=_TEXT,
    goal=_TEXT,
    models=_list(_TEXT),
    policies=_list(_TEXT),
    stresses=_list(_answer("a stress setting", name=_TEXT, title=_TEXT)),
    mismatch=_FLAG,
    decisions=_WHOLE,
    interval_h=_NUMBER,
    amounts=_list(_NUMBER),
    dose_unit=_TEXT,
    intervals_h=_list(_NUMBER),
)
_DRUG = _answer(
    "what may be told of a patient on a drug",
    name=_TEXT,
    drug=_TEXT,
    models=_list(_answer("a published model", name=_TEXT, population=_TEXT)),
    scenario=_or_null(_TEXT),
    outputs=_list(_answer("what is measured", name=_TEXT, unit=_TEXT)),
    routes=_list(_answer("a route", name=_TEXT, infused=_FLAG)),
    intervals_h=_list(_NUMBER),
    usual_dose_mg=_NUMBER,
    covariates=_list({"type": "object"}),
    facts=_list({"type": "object"}),
    examples=_list(_TEXT),
    policies=_list(_TEXT),
)
_TURN = _answer(
    "what the clinic knows of a virtual patient",
    scenario=_TEXT,
    title=_TEXT,
    goal=_TEXT,
    decision=_WHOLE,
    decisions=_WHOLE,
    interval_h=_NUMBER,
    shown_per_h=_NUMBER,
    shown_unit=_TEXT,
    output=_TEXT,
    axis=_TEXT,
    unit=_TEXT,
    window={"type": ["array", "null"], "items": _or_null(_NUMBER)},
    dose_unit=_TEXT,
    amounts=_list(_NUMBER),
    usual=_NUMBER,
    intervals_h=_list(_NUMBER),
    intervals=_list(_TEXT),
    covariates=_list(_answer("a covariate", label=_TEXT, value=_NUMBER, unit=_TEXT)),
    doses=_list(_answer("a dose", time_h=_NUMBER, amount=_NUMBER, every_h=_NUMBER)),
    levels=_list(_answer("a level", time_h=_NUMBER, value=_NUMBER)),
    done=_FLAG,
    course=_or_null({"type": "object"}),
)

SCHEMAS: dict[str, _Schema] = {
    "Ask": _ASK,
    "Curve": _CURVE,
    "Drug": _DRUG,
    "Drugs": _answer("generic names", drugs=_list(_TEXT)),
    "Error": _answer("a refusal in one line", error=_TEXT, field=_or_null(_TEXT)),
    "File": _sent("a file that was opened", ("name", "text"), name=_TEXT, text=_TEXT, drug=_TEXT, formulas=_map(_ANY)),
    "Game": _sent(
        "a virtual patient and all doses so far",
        ("scenario",),
        scenario=_TEXT,
        patient=_WHOLE,
        seed=_WHOLE,
        doses=_list(_list(_NUMBER)),
    ),
    "Job": _JOB,
    "OwnDose": _sent(
        "a question, and a dose of one's own",
        ("patient", "dose_mg", "interval_h"),
        patient=_ref("Patient"),
        ask=_ref("Ask"),
        dose_mg=_NUMBER,
        interval_h=_NUMBER,
    ),
    "Patient": _PATIENT,
    "Patients": _sent("patients", ("patients",), patients=_list(_ref("Patient")), notes=_list(_TEXT)),
    "Policy": _POLICY,
    "Question": _sent("a patient, and what is asked", ("patient",), patient=_ref("Patient"), ask=_ref("Ask")),
    "Recommendation": _RECOMMENDATION,
    "Regimen": _ROW,
    "Scenario": _SCENARIO,
    "Scenarios": _answer("dosing tasks", scenarios=_list(_answer("a task", name=_TEXT, title=_TEXT, playable=_FLAG))),
    "Status": _answer(
        "what is ready",
        programs=_answer("of the page", text=_TEXT, drugs=_map({"enum": ["cold", "waiting", "compiling", "ready"]})),
        waiting=_WHOLE,
    ),
    "Trial": _sent(
        "a trial",
        ("scenario",),
        scenario=_TEXT,
        policies=_list(_TEXT),
        patients={"type": "integer", "minimum": 1, "maximum": 10_000},
        seed=_WHOLE,
        mismatch=_FLAG,
        stress=_list(_TEXT),
    ),
    "Turn": _TURN,
}
"""By name."""

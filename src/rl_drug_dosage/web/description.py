"""The interface for machines, described as OpenAPI 3.1. What it describes is tested against what is answered."""

from importlib.metadata import version
from typing import Any

from rl_drug_dosage.bedside.recommendation import INTENDED_USE
from rl_drug_dosage.web.schemas import SCHEMAS

__all__ = ["openapi"]

_REFUSED = {
    "400": "what was sent cannot be; `field` says which part",
    "403": "another Origin than this page",
    "404": "no such address, or a wrong token",
    "408": "the request did not arrive in time",
    "413": "more than 1 MiB",
    "421": "another Host than this server",
    "503": "no answer in time",
}


def openapi() -> dict[str, Any]:
    """The document, a value for JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rl_drug_dosage, at the bedside",
            "version": version("rl-drug-dosage"),
            "summary": INTENDED_USE,
            "description": (
                "Every address begins with the token that the server printed when it was started. The content of "
                "`/api/recommend` is that of `rl-drug-dosage recommend --json`. Fields are counted from 1: "
                "`levels[2].time`."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "../", "description": "the address that the server printed"}],
        "paths": _paths(),
        "components": {"schemas": SCHEMAS, "responses": {"Refused": _content("refused, in one line", _ref("Error"))}},
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(description: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _call(
    name: str,
    summary: str,
    answer: dict[str, Any],
    *,
    body: str | None = None,
    path: tuple[str, ...] = (),
    status: str = "200",
    kind: str = "application/json",
) -> dict[str, Any]:
    """One operation."""
    refused = {code: {"$ref": "#/components/responses/Refused"} for code in _REFUSED}
    found: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {status: _content(summary, answer, kind), **refused},
    }
    if path:
        found["parameters"] = [
            {"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in path
        ]
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return found


def _paths() -> dict[str, Any]:
    page: dict[str, Any] = {"type": "string"}
    free: dict[str, Any] = {"type": "object"}
    return {
        "/api/openapi.json": {"get": _call("describe", "This document.", free)},
        "/api/status": {"get": _call("status", "Which programs are ready.", _ref("Status"))},
        "/api/drugs": {"get": _call("drugs", "Drugs with worked examples.", _ref("Drugs"))},
        "/api/drugs/{drug}": {
            "get": _call("drug", "Covariates, units, ranges and routes of a drug.", _ref("Drug"), path=("drug",))
        },
        "/api/drugs/{drug}/examples": {
            "get": _call("examples", "Virtual patients on a drug.", _ref("Patients"), path=("drug",))
        },
        "/api/recommend": {
            "post": _call(
                "recommend", "A dose, curves, probabilities and reasons.", _ref("Recommendation"), body="Question"
            )
        },
        "/api/recommend/sheet": {
            "post": _call("sheet", "The same as a document for paper.", page, body="Question", kind="text/html")
        },
        "/api/forecast": {
            "post": _call("forecast", "What a dose of one's own leads to.", _ref("Policy"), body="OwnDose")
        },
        "/api/read": {"post": _call("read", "The patients of a file.", _ref("Patients"), body="File")},
        "/api/scenarios": {"get": _call("scenarios", "Dosing tasks.", _ref("Scenarios"))},
        "/api/scenarios/{scenario}": {
            "get": _call("scenario", "What may be tried in a task.", _ref("Scenario"), path=("scenario",))
        },
        "/api/trials": {
            "post": _call("startTrial", "Begin a trial, as `benchmark`.", _ref("Job"), body="Trial", status="202")
        },
        "/api/play": {"post": _call("play", "A virtual patient after some doses.", _ref("Turn"), body="Game")},
        "/api/play/compare": {
            "post": _call("compare", "Begin the comparison with policies.", _ref("Job"), body="Game", status="202")
        },
        "/api/jobs/{id}": {
            "get": _call("job", "How far a trial or comparison is.", _ref("Job"), path=("id",)),
            "delete": _call("stop", "End it at its next step.", _ref("Job"), path=("id",)),
        },
        "/api/jobs/{id}/report": {
            "get": _call("report", "The report of a finished trial.", page, path=("id",), kind="text/html")
        },
    }

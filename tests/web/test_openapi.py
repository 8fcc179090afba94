"""The description of the interface: it names every route, and every answer is as it says."""

import json

import pytest

from rl_drug_dosage import api
from rl_drug_dosage.web import openapi
from rl_drug_dosage.web.app import Server
from rl_drug_dosage.web.settings import Settings

DOCUMENT = openapi()
NOT_FOR_MACHINES = {("/", "get"), ("/static/{name}", "get")}
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}


def resolved(schema):
    while "$ref" in schema:
        node = DOCUMENT
        for key in schema["$ref"].removeprefix("#/").split("/"):
            node = node[key]
        schema = node
    return schema


def faults(value, schema, at="$"):
    """Where a value differs from its schema: the keywords that this document uses."""
    schema = resolved(schema)
    if "anyOf" in schema:
        every = [faults(value, one, at) for one in schema["anyOf"]]
        return [] if any(not own for own in every) else every[0]
    if "const" in schema and value != schema["const"]:
        return [f"{at}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(
        isinstance(value, KINDS[k]) and (k == "boolean" or not isinstance(value, bool)) for k in kinds
    ):
        return [f"{at}: {value!r} is no {kinds}"]
    found = []
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        found += [f"{at}.{key}: missing" for key in schema.get("required", []) if key not in value]
        for key, own in value.items():
            if key not in known and more is False:
                found.append(f"{at}.{key}: not described")
            found += faults(own, known.get(key, more or {}), f"{at}.{key}")
    if isinstance(value, list) and "items" in schema:
        for i, own in enumerate(value):
            found += faults(own, schema["items"], f"{at}[{i}]")
    return found


def test_every_route_is_described_and_nothing_else():
    server = Server(Settings(warm=()))
    routes = {(route.path, method.lower()) for route in server.routes() for method in route.methods - {"HEAD"}}
    described = {(path, method) for path, own in DOCUMENT["paths"].items() for method in own}

    assert described == routes - NOT_FOR_MACHINES


def test_the_document_is_whole():
    """Every reference leads somewhere, every schema is used, every operation has a name of its own."""
    text = json.dumps(DOCUMENT)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert DOCUMENT["openapi"].startswith("3.1")
    assert used == set(DOCUMENT["components"]["schemas"])
    names = [call["operationId"] for own in DOCUMENT["paths"].values() for call in own.values()]
    assert len(names) == len(set(names))
    assert "research and education only" in DOCUMENT["info"]["summary"].lower()


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/api/openapi.json", None),
        ("/api/status", None),
        ("/api/drugs", None),
        ("/api/drugs/{drug}", "/api/drugs/vancomycin"),
        ("/api/drugs/{drug}", "/api/drugs/infliximab"),
        ("/api/drugs/{drug}/examples", "/api/drugs/vancomycin/examples"),
        ("/api/scenarios", None),
        ("/api/scenarios/{scenario}", "/api/scenarios/vancomycin"),
        ("/api/scenarios/{scenario}", "/api/scenarios/infliximab"),
    ],
)
def test_what_is_read_is_as_described(client, path, address):
    status, answer = client.json("GET", address or path)
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    assert status == 200
    assert faults(answer, schema) == []


@pytest.mark.long
def test_a_recommendation_is_as_described_and_that_of_the_command(client, patient, ask, tmp_path):
    file = tmp_path / "p.json"
    file.write_text(json.dumps({"format": 1, **patient}))

    status, answer = client.json("POST", "/api/recommend", {"patient": patient, "ask": ask})

    assert status == 200
    assert faults(answer, {"$ref": "#/components/schemas/Recommendation"}) == []
    assert answer == json.loads(json.dumps(api.recommend(file, **ask).to_dict()))
    own = {"patient": patient, "ask": ask, "dose_mg": 1130, "interval_h": 12}
    assert faults(own, {"$ref": "#/components/schemas/OwnDose"}) == []
    status, policy = client.json("POST", "/api/forecast", own)
    assert status == 200
    assert faults(policy, {"$ref": "#/components/schemas/Policy"}) == []


def test_a_refusal_is_as_described(client):
    status, answer = client.json("POST", "/api/recommend", {"patient": {"drug": "x"}})

    assert status == 400
    assert faults(answer, {"$ref": "#/components/schemas/Error"}) == []


def test_a_wrong_answer_would_be_seen():
    schema = {"$ref": "#/components/schemas/Status"}

    assert faults({"programs": {"text": "", "drugs": {"x": "warm"}}, "waiting": 0}, schema)
    assert faults({"programs": {"text": "", "drugs": {}}}, schema)
    assert faults({"programs": {"text": "", "drugs": {}}, "waiting": True}, schema)
    assert faults({"programs": {"text": "", "drugs": {}}, "waiting": 0, "more": 1}, schema)

"""Bodies that nobody should send: each is refused in one line, or would be computed."""

# ruff: noqa: E501 - tables of values
import copy
import gc
import json
import random
import resource

import pytest

from rl_drug_dosage.bedside.assess import assess, due_h
from rl_drug_dosage.bedside.grid import grid_of
from rl_drug_dosage.bedside.layout import route_of
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.web import patients, play
from rl_drug_dosage.web.jobs import BusyError, Jobs

VALUES = (
    None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 10**40, "", " ", "x", "1 g", "12.1 mg/L", "<2 mg/L", "88", "2026-11-03 08:10",
    "2026-10-25 02:30", "0000-00-00 00:00", "9999-12-31 23:59", "NaN", "1e999", "\x00", "\x1b[2J", "\u202e", "\ud800", "<script>", "../../etc/passwd",
    "own.py", "os:system", "a" * 3000, [], {}, [[]], [{}], {"value": 1}, {"value": "1", "unit": "kg"}, {"formula": "cockcroft-gault"},
    {"formula": "x", "weight": 1}, [1, 2, 3], [{"time": 0, "value": 1}], {"time": 0, "value": {}}, "Europe/Berlin", "vancomycin", "warfarin",
    [["a"]], [[1e300]], 2**63, 1.5, "1 h 30 min", "∞", "½", "1,5",
)  # fmt: skip
RAW = (
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"NaN", b'{"patient": NaN}', b'{"a": 1, "a": 2}', b"[" * 5000, b'{"a":' * 3000, b"{}" * 10,
    b'{"patient": {}}', b'{"patient": {"resourceType": "Bundle"}}', b'{"patient": {"resourceType": "Bundle", "entry": [{"resource": 1}]}}',
    b'{"patient": {"patients": []}}', b"\x00" * 100, "{\u202e}".encode(), b'{"patient": ' + b"9" * 5000 + b"}",
)  # fmt: skip


def bases(patient):
    asked = {"patient": patient, "ask": {"policies": ["label"], "draws": 64, "next_dose": 30, "target": "trough 10-15"}}
    return {
        "/api/recommend": asked,
        "/api/recommend/sheet": asked,
        "/api/forecast": asked | {"dose_mg": 1000, "interval_h": 12},
        "/api/read": {
            "name": "a.json",
            "text": json.dumps({"format": 1, **patient}),
            "drug": "vancomycin",
            "formulas": {},
        },
        "/api/trials": {
            "scenario": "vancomycin",
            "policies": ["label"],
            "patients": 2,
            "seed": 1,
            "mismatch": False,
            "stress": [],
        },
        "/api/play": {"scenario": "vancomycin", "patient": 1, "seed": 1, "doses": [[1000], [1000]]},
        "/api/play/compare": {"scenario": "infliximab", "patient": 1, "seed": 1, "doses": []},
    }


def places(value, at=()):
    """Every place in a value of JSON."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, own in inner:
        yield from places(own, (*at, key))


def changed(rng, value):
    """The value with one to three slips."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.choice([p for p in places(value) if p])
        node = value
        for key in at[:-1]:
            node = node[key]
        slip = rng.randrange(6)
        if slip == 0 and isinstance(node, dict):
            del node[at[-1]]
        elif slip == 1 and isinstance(node, dict):
            node[
                rng.choice(
                    ["x", "", "patients", "format", "\x00", "a" * 300, "rate", "every", "times", "output", "missed"]
                )
            ] = copy.deepcopy(rng.choice(VALUES))
        elif slip == 2 and isinstance(node, list):
            node.append(copy.deepcopy(rng.choice([*VALUES, *node])))
        else:
            node[at[-1]] = copy.deepcopy(rng.choice(VALUES))
        if not isinstance(value, dict) or not any(places(value)):
            break
    return value


def body(rng, base):
    if rng.random() < 0.08:
        return rng.choice(RAW)
    raw = json.dumps(changed(rng, base)).encode()
    if rng.random() < 0.08:
        cut = rng.randrange(len(raw))
        return raw[:cut] + bytes(rng.randrange(256) for _ in range(rng.randrange(4))) + raw[cut + rng.randrange(3) :]
    return raw


class _EnoughError(ConfigError):
    """What was sent would be computed."""


@pytest.fixture
def uncomputed(monkeypatch):
    """Everything is read and judged as always; only what takes the processor is left out."""

    def considered(history, asked):
        task = task_of(
            history.drug, models=asked.models, scenario=asked.scenario, target=asked.target, prior=asked.prior
        )
        assess(task, history, asked=bool(asked.models) or len(task.models) == 1)
        due_h(task, history, asked.next_dose_h)
        grid_of(
            task, history, route_of(task.first, asked.route), amounts_mg=asked.amounts_mg, intervals_h=asked.intervals_h
        )
        raise _EnoughError("enough")

    def played(*_):
        raise _EnoughError("enough")

    def start(self, kind, work):
        raise BusyError("enough")

    monkeypatch.setattr(patients, "considered", considered)
    monkeypatch.setattr(play, "_played", played)
    monkeypatch.setattr(Jobs, "start", start)


def attack(client, patient, count, seed):
    rng, base = random.Random(seed), bases(patient)
    counts = {}
    for _ in range(count):
        path = rng.choice(list(base))
        raw = body(rng, base[path])
        status, answer = client("POST", path, raw)
        assert status in {200, 400, 409}, (path, raw[:500], answer[:500])
        counts[status] = counts.get(status, 0) + 1
        if status != 200:
            said = json.loads(answer)
            assert set(said) == {"error", "field"}, raw[:500]
            assert said["error"].isprintable(), (raw[:500], said)
            assert 0 < len(said["error"]) <= 2100, (raw[:500], said)
    return counts


def test_bodies_with_slips_are_refused_in_one_line(client, patient, uncomputed, capfd):
    counts = attack(client, patient, 400, seed=1)
    out, err = capfd.readouterr()

    assert counts[400] > 200
    assert out + err == ""


@pytest.mark.slow
def test_ten_thousand_of_them_leave_memory_as_it_was(client, patient, uncomputed, capfd):
    attack(client, patient, 1500, seed=2)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    attack(client, patient, 10_000, seed=3)

    gc.collect()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    out, err = capfd.readouterr()
    assert out + err == ""

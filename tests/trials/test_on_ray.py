"""A benchmark on Ray's workers: the bits of one process, also where a worker is killed; and what is refused."""

import importlib.util
import json
import socket

import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError, DependencyError, OutputError
from rl_drug_dosage.trials import on_ray
from rl_drug_dosage.trials.on_ray import parts_of
from rl_drug_dosage.trials.shards import Shard

ASKED = {"policies": ["label", "fixed"], "patients": 1003, "seed": 4, "progress": False}
DYING = """\
import os
import pathlib
import signal

from rl_drug_dosage.policies.label import POLICY as LABEL

died = pathlib.Path(__file__).with_name("died")
if not died.exists():
    died.touch()
    os.kill(os.getpid(), signal.SIGKILL)
POLICY = LABEL
"""

# Ray leaves sockets and files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")


def said(record):
    return json.dumps({key: value for key, value in record.items() if key != "timing"})


@pytest.mark.parametrize(
    ("patients", "workers", "parts"), [(100, 2, 1), (999, 2, 3), (10_000, 2, 16), (10_000_000, 2, 200), (1, 64, 1)]
)
def test_parts_are_neither_small_nor_large(patients, workers, parts):
    assert parts_of(patients, workers) == parts
    assert Shard(parts, parts).range_of(patients)[1] >= 1


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(on_ray, "check", lambda: None)


@pytest.mark.parametrize("address", ["", "here", "localhost", "localhost:http", ":6379", "ray://host"])
def test_what_is_no_address_is_refused(installed, address):
    with pytest.raises(ConfigError, match="allowed: auto") as refused:
        rldd.benchmark("vancomycin", ray=address, **ASKED)
    assert "\n" not in str(refused.value)


def test_an_address_that_does_not_answer_is_refused_soon(installed):
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
    with pytest.raises(ConfigError, match="no answer within 10 s") as refused:
        rldd.benchmark("vancomycin", ray=f"127.0.0.1:{port}", **ASKED)
    assert "\n" not in str(refused.value)


def test_it_says_what_it_needs(monkeypatch, tmp_path):
    with monkeypatch.context() as without:
        without.setattr(on_ray.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(DependencyError, match="make install-ray"):
            on_ray.check()
    monkeypatch.setattr(on_ray, "check", lambda: None)
    with pytest.raises(ConfigError, match="leave shard out"):
        rldd.benchmark("vancomycin", ray="auto", shard="1/2", output_dir=tmp_path, **ASKED)
    with pytest.raises(ConfigError, match="compute on CPUs, not on cuda"):
        rldd.benchmark("vancomycin", ray="auto", device="cuda", **ASKED)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="cannot write to output folder"):
        rldd.benchmark("vancomycin", ray="auto", output_dir=tmp_path / "taken", **ASKED)


@pytest.mark.slow
@needs_ray
def test_workers_give_the_bits_of_one_process_though_one_is_killed(tmp_path, monkeypatch):
    """The policy kills the first worker that reads it; its part is started again, and nothing else is lost."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text(DYING)
    asked = ASKED | {"policies": {"label": "label", "dies": "p.py"}}

    found = rldd.benchmark("vancomycin", ray="auto", shield=True, output_dir="out", **asked)

    assert (tmp_path / "died").exists()
    assert said(found.record) == said(rldd.benchmark("vancomycin", shield=True, **asked).record)
    assert {file.name for file in found.files} == {"benchmark.json", "benchmark.csv", "patients.csv", "report.html"}
    assert not (tmp_path / "out" / "parts").exists()


@pytest.mark.slow
@needs_ray
def test_a_run_that_was_stopped_keeps_its_parts(tmp_path, monkeypatch):
    """One part lies there; a damaged one, and one of another benchmark, are done again. A fault is one line."""
    parts = tmp_path / "parts"
    rldd.benchmark("vancomycin", shard="2/4", output_dir=parts, **ASKED)
    rldd.benchmark("vancomycin", shard="3/4", output_dir=parts, **(ASKED | {"seed": 5}))
    (parts / "part-1-of-4.npz").write_bytes(b"damaged")
    told = []

    found = rldd.benchmark(
        "vancomycin", ray="auto", output_dir=tmp_path, **(ASKED | {"progress": lambda text, _: told.append(text)})
    )

    assert "1 of 4 parts were there already" in told
    assert said(found.record) == said(rldd.benchmark("vancomycin", **ASKED).record)
    with pytest.raises(ConfigError, match="decisions") as refused:
        rldd.benchmark("vancomycin", ray="auto", decisions=10**6, **ASKED)
    assert "\n" not in str(refused.value)

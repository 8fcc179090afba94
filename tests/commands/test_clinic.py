"""``rl-drug-dosage clinic``: what it refuses, and that it serves until it is interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from typer.testing import CliRunner

from rl_drug_dosage.cli import app
from rl_drug_dosage.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "--i-understand"),
        (["--host", "example.org"], "--i-understand"),
        (["--port", "-1"], "allowed: 0"),
        (["--port", "70000"], "allowed: 0"),
        (["--models", "nowhere"], "is no folder"),
        (["--warm", "aspirin"], "allowed: amikacin"),
        (["--host", "192.0.2.1", "--i-understand"], "cannot listen on"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_listens(words, said):
    done = CliRunner().invoke(app, ["clinic", "--no-browser", *words])

    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)


@pytest.mark.long
def test_it_serves_until_it_is_interrupted(tmp_path):
    """In a process of its own, in an empty folder, which stays empty; without a browser."""
    command = [sys.executable, "-m", "rl_drug_dosage", "clinic", "--no-browser"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        said = [server.stdout.readline() for _ in range(3)]
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", said[1])[0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}api/status", timeout=30) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)

    assert "research and education only" in said[0].lower()
    assert server.returncode == 0
    assert err == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_an_interrupt_does_not_wait_for_what_is_computed(tmp_path):
    """An empty cache: the answer that is asked for takes the compiler many seconds."""
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "rl_drug_dosage", "clinic", "--no-browser", "--warm", "digoxin"]
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        said = [server.stdout.readline() for _ in range(3)]
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", said[1])[0]
        patient = {
            "drug": "gentamicin-duong2022",
            "covariates": {"crcl_ml_per_min": 80, "crcl_change_ml_per_min": 0, "wt_kg": 70},
            "doses": [{"time": 0, "amount": "320 mg", "over": "30 min"}],
            "now": 20,
        }
        request = urllib.request.Request(
            f"{address}api/recommend",
            data=json.dumps({"patient": patient}).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        asking = threading.Thread(target=_asked, args=(opener, request), daemon=True)
        asking.start()
        time.sleep(4.0)
        assert asking.is_alive(), "the answer came too soon for this test"
        begin = time.monotonic()
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)

    assert time.monotonic() - begin < 10.0
    assert (server.returncode, err) == (0, "")


def _asked(opener, request):
    try:
        opener.open(request, timeout=120).close()
    except urllib.error.HTTPError as refused:
        refused.close()
    except OSError:
        pass

"""A running server for attacks, and an application without one for everything else."""

import asyncio
import http.client
import json
import threading
import time
from contextlib import closing

import pytest

from rl_drug_dosage.web.app import make_app
from rl_drug_dosage.web.running import prepared
from rl_drug_dosage.web.settings import Limits, Settings

PORT = 80
# The patient of tests/commands/test_recommend.py: the same shapes, and so the same compiled programs.
PATIENT = {
    "drug": "vancomycin-goti2018",
    "now": 23,
    "covariates": {"crcl": "60 mL/min", "weight": "80 kg", "dialysis": False},
    "doses": [{"time": 0, "amount": "1.5 g", "over": "90 min"}, {"time": 12, "amount": "1 g", "over": "1 h"}],
    "levels": [{"time": 11, "value": "11 mg/L"}],
}
ASK = {"draws": 64}


class Client:
    """Calls an application without a network."""

    def __init__(self, settings):
        self.token, self.app = settings.token, make_app(settings, PORT)

    def __call__(self, method, path, body=None):
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return asyncio.run(self._call(method, path, raw))

    async def _call(self, method, path, raw):
        scope = {
            "type": "http",
            "method": method,
            "path": f"/{self.token}{path}",
            "query_string": b"",
            "headers": [(b"host", f"127.0.0.1:{PORT}".encode())],
        }
        sent, told = [], [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive():
            if told:
                return told.pop()
            return await asyncio.sleep(3600)

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])

    def json(self, method, path, body=None):
        status, raw = self(method, path, body)
        return status, json.loads(raw)

    def follow(self, job, seconds=240):
        """A job at its end."""
        for _ in range(10 * seconds):
            _, found = self.json("GET", f"/api/jobs/{job['id']}")
            if found["state"] != "running":
                return found
            time.sleep(0.1)
        raise AssertionError(found)


@pytest.fixture
def patient():
    return json.loads(json.dumps(PATIENT))


@pytest.fixture(scope="session")
def ask():
    return dict(ASK)


@pytest.fixture
def client():
    """An application whose lock belongs to no event loop yet."""
    return Client(Settings(warm=()))


@pytest.fixture
def make_client():
    """Makes an application with other settings."""
    return lambda **settings: Client(Settings(warm=(), **settings))


class Served:
    """A server in a thread."""

    def __init__(self, settings):
        self.settings = settings
        self.server, self.socket, self.address = prepared(settings)
        self.port = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self._thread.start()

    def request(self, method, path, body=None, headers=None, token=None, timeout=120):
        """(status, headers, body) of one request over a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, f"/{token or self.settings.token}{path}", body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def close(self):
        self.server.should_exit = True
        self._thread.join(timeout=10)
        self.socket.close()


@pytest.fixture(scope="module")
def served():
    found = Served(Settings(warm=(), limits=Limits(body_s=1.0)))
    yield found
    found.close()

"""What the server refuses: foreign pages, names that lead here, large and slow bodies, other paths."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.web import guard
from rl_drug_dosage.web.running import prepared
from rl_drug_dosage.web.settings import Settings

MB = 2**20


def refused(answer, status):
    code, headers, body = answer
    assert code == status
    said = json.loads(body)
    assert set(said) == {"error", "field"}
    assert "\n" not in said["error"]
    assert "Traceback" not in said["error"]
    assert "access-control-allow-origin" not in {name.lower() for name in headers}


@pytest.mark.parametrize("token", ["x", "%00", "..", "static", "a" * 5000])
@pytest.mark.parametrize("path", ["/", "/api/status", "/static/app.js"])
def test_without_the_token_nothing_is_answered(served, token, path):
    refused(served.request("GET", path, token=token), 404)


def test_with_it_the_page_is(served):
    status, headers, body = served.request("GET", "/")

    assert status == 200
    assert b"Research and education only" in body
    own = {name.lower(): value for name, value in headers.items()}
    for name, value in guard.HEADERS.items():
        assert own[name] == value
    assert "'unsafe-inline'" not in own["content-security-policy"]
    assert b"<script>" not in body
    assert b" on" not in body.replace(b" one", b"").replace(b" only", b"").replace(b" on ", b"")
    assert b"style=" not in body
    assert b"http:" not in body
    assert b"https:" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil.example:{port}"]
)
def test_a_name_that_leads_here_is_refused(served, host):
    """DNS rebinding: the browser believes that it talks to evil.example."""
    refused(served.request("GET", "/api/status", headers={"Host": host.format(port=served.port)}), 421)


def test_two_host_headers_are_refused(served):
    text = (
        f"GET /{served.settings.token}/api/status HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nHost: evil.example\r\n"
        "Connection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as own:
        own.sendall(text.encode())
        answer = own.recv(65536)

    assert b" 200 " not in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_site_s_request_is_refused(served, headers, method):
    refused(served.request(method, "/api/recommend", b"{}", headers), 403)


def test_its_own_origin_is_not(served):
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec-Fetch-Site": "same-origin"}

    assert served.request("GET", "/api/status", headers=own)[0] == 200


def test_ten_megabytes_are_refused_in_one_line(served):
    begin = time.monotonic()

    refused(served.request("POST", "/api/recommend", b"x" * (10 * MB)), 413)
    refused(served.request("POST", "/api/read", iter([b"x" * MB] * 10)), 413)

    assert time.monotonic() - begin < 20
    assert served.request("GET", "/api/status")[0] == 200


def test_a_body_that_does_not_come_is_given_up(served):
    text = (
        f"POST /{served.settings.token}/api/read HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        "Content-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as own:
        own.sendall(text.encode())
        answer = own.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/..%2fsettings.py",
        "/static/%2e%2e/%2e%2e/settings.py",
        "/static/__init__.py",
        "/static//etc/passwd",
        "/examples/vancomycin.json",
        "/api/drugs/..%2f..%2fsettings",
        "/api/drugs/%00",
        "/api/jobs/x/report",
        "/api/scenarios/.%2fown.py",
        "/nothing",
    ],
)
def test_no_other_file_is_handed_out(served, path):
    status, _, body = served.request("GET", path)

    assert status in {400, 404}
    assert b"import" not in body


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/"), ("GET", "/api/recommend"), ("PUT", "/api/trials"), ("TRACE", "/")]
)
def test_no_other_method_is_answered(served, method, path):
    assert served.request(method, path)[0] == 405


@pytest.mark.slow  # takes half a minute
def test_two_hundred_requests_at_once_are_all_answered(served, patient, ask):
    """A quarter of them compute, for five patients."""

    def one(i):
        if i % 4:
            return served.request("GET", ("/api/status", "/api/drugs", "/static/app.js")[i % 3])[0]
        level = {"time": 11, "value": f"{10 + i % 5} mg/L"}
        body = json.dumps({"patient": patient | {"levels": [level]}, "ask": ask}).encode()
        status, _, raw = served.request("POST", "/api/recommend", body, timeout=300)
        assert json.loads(raw)["levels"][0]["value"] == 10 + i % 5
        return status

    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(one, range(200)))

    assert found == [200] * 200


def test_what_breaks_inside_leaves_no_patient_in_the_log(client, patient, monkeypatch, capsys):
    def broken(self, raw):
        raise ValueError(raw.decode())

    monkeypatch.setattr("rl_drug_dosage.web.patients.Bedside.recommend", broken)
    status, said = client.json("POST", "/api/recommend", {"patient": patient | {"name": "Erika Mustermann"}})
    out, err = capsys.readouterr()

    assert status == 500
    assert said["error"] == "internal error (ValueError); please report it"
    assert "Mustermann" not in out + err
    assert err.startswith("internal error: ValueError at ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "127.0.0.1.example.org"])
def test_a_host_that_others_reach_has_to_be_understood(host):
    with pytest.raises(ConfigError, match="--i-understand"):
        Settings(host=host)

    assert Settings(host=host, understood=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_a_loopback_host_has_not(host):
    assert Settings(host=host).host == host


def test_every_server_has_a_token_of_its_own():
    tokens = {Settings().token for _ in range(50)}

    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 32
    assert all(token not in repr(Settings(token=token)) for token in tokens)


@pytest.mark.parametrize("changes", [{"port": -1}, {"port": 70000}, {"token": "short"}, {"token": "a/" * 20}])
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(ConfigError):
        Settings(**changes)


def test_a_page_for_every_address_is_told_as_one_that_opens():
    """In a container it listens on 0.0.0.0, which is no address of a page."""
    _, own, address = prepared(Settings(host="0.0.0.0", understood=True, warm=()))
    own.close()
    assert address.startswith("http://127.0.0.1:")

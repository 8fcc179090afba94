"""Headless Chromium, driven through chromedriver's W3C HTTP interface and DevTools: no package is needed for that."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the network is off: no name leads anywhere
)


class Browser:
    """A session of chromedriver."""

    def __init__(self, port, profile):
        self._base = f"http://127.0.0.1:{port}"
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self._session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.devtools("Network.enable")
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.devtools("Network.emulateNetworkConditions", **offline)

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def _own(self, method, path, body=None):
        return self._call(method, f"/session/{self._session}{path}", body)

    def devtools(self, command, **parameters):
        return self._own("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        """The script's value; it runs as the body of a function, and a promise is awaited."""
        return self._own("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def log(self, kind):
        """What has been logged since the last call: ``browser`` or ``performance``."""
        return self._own("POST", "/se/log", {"type": kind})

    def requests(self):
        """Addresses asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def view(self, width, height=900, *, dark=False, scripts=True, media=""):
        """The window (a narrow one is a phone's), light or dark, with or without scripts, on screen or paper."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.devtools("Emulation.setScriptExecutionDisabled", value=not scripts)

    def open(self, path):
        self._own("POST", "/url", {"url": path.as_uri()})

    def screenshot(self, path):
        """The whole page."""
        found = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(found["data"]))

    def close(self):
        with contextlib.suppress(OSError, AssertionError):
            self._own("DELETE", "")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all tests."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: run `make test-browser`, which installs it on Debian")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("chromium")
    with (folder / "driver.log").open("wb") as log:
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}
        )
    try:
        _wait(port)
        found = Browser(port, folder / "profile")
        yield found
        found.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)


def _wait(port):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail("chromedriver did not start")


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core."""
    path = os.environ.get("RLDD_AXE", "")
    if not path or not Path(path).is_file():
        pytest.fail("axe-core is missing: run `make test-browser`, which fetches it")
    return Path(path).read_text(encoding="utf-8")

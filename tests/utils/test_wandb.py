"""Tracking with the real W&B client: offline, against servers that fail in several ways, and against one that works."""

import getpass
import importlib.util
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.errors import DependencyError
from rl_drug_dosage.utils import _wandb_worker, wandb
from rl_drug_dosage.utils.wandb import WandbOptions, require_wandb, start_wandb

# Looked for, not imported: that takes two seconds, at the collection of every run of the suite.
pytestmark = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs the 'wandb' extra")

KEY = "a" * 40
SECRET = "planted-secret-5f1c"
REMOTE = "https://example.org/planted-remote.git"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d76360606000000004000127340a0a0000000049454e44ae426082"
)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A home without credentials, and a working folder with everything in it that must not get out."""
    for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    work = tmp_path / "planted-folder"
    (tmp_path / "home").mkdir()
    work.mkdir()
    subprocess.run(["git", "init", "-q", work], check=True)
    subprocess.run(["git", "-C", work, "remote", "add", "origin", REMOTE], check=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLANTED_TOKEN", SECRET)
    monkeypatch.setenv("WANDB_NOTES", SECRET)
    return monkeypatch


def track(folder: Path, options: WandbOptions | None = None) -> tuple[list[str], float]:
    """Track a short run from its start to its end; the lines that were said, and how long it held us up."""
    said: list[str] = []
    plot = Path("plot.png")
    plot.write_bytes(PNG)
    begin = time.monotonic()
    logger = start_wandb(
        options or WandbOptions(), folder=folder, config={"gamma": 0.99, "output_dir": folder}, say=said.append
    )
    logger.hyperparameters({"seed": np.int64(7)})
    logger.scalars(2048, {"charts/episodic_return": 90.0, "losses/entropy": float("nan")})
    logger.scalars(4096, {"charts/episodic_return": np.float32(91.5)})
    logger.images(4096, {"rollout_dose": plot})
    plot.unlink()
    logger.table("episodes", ["episode", "reward"], [[0, np.float64(98.5)], [1, None]])
    logger.close()
    logger.close()
    return said, time.monotonic() - begin


def random_states() -> tuple:
    """The global generators, which a client that runs in our process could disturb."""
    return random.getstate(), repr(np.random.get_state())  # noqa: NPY002


def read_transaction_log(path: Path):
    """The records of a ``.wandb`` file, which is a LevelDB log (32 KiB blocks of pieces with 7-byte headers)."""
    from wandb.proto import wandb_internal_pb2

    data, position, pieces = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        pieces += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            yield wandb_internal_pb2.Record.FromString(pieces)
            pieces = b""


def history(path: Path) -> dict[str, list]:
    """Every value of every metric of a ``.wandb`` file, in the order it was logged."""
    values = defaultdict(list)
    for record in read_transaction_log(path):
        if record.WhichOneof("record_type") == "history":
            for item in record.history.item:
                values["/".join(item.nested_key) or item.key].append(json.loads(item.value_json))
    return {name: logged for name, logged in values.items() if not name.startswith("_")}


def private_words(tmp_path: Path) -> list[bytes]:
    """What must not get out. (In a container the user may be "root", which is no secret, and part of other words.)"""
    words = [socket.gethostname(), SECRET, REMOTE, "planted-folder", str(tmp_path), "planted-user"]
    return [word.encode() for word in [*words, getpass.getuser()] if len(word) > 4]


@pytest.mark.long
def test_an_offline_run_holds_what_was_logged_and_nothing_private(tmp_path, environment, capfd):
    """Names and values are read back from the client's own file; host, user, paths, remote, secrets are not in it."""
    environment.setenv("WANDB_MODE", "offline")
    environment.setenv("USER", "planted-user")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    states = random_states()
    hook = sys.excepthook

    said, _ = track(Path.cwd() / "runs" / "x", WandbOptions(project="dosing", tags=("a", "b"), name="first", group="g"))

    (folder,) = (Path.cwd() / "runs" / "x" / "wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    assert said == [f"W&B: offline, because WANDB_MODE=offline; upload it later with: wandb sync {folder}"]
    values = history(log)
    # The image and the table are logged as a dictionary each, the metrics under their exact names.
    metrics = {name: logged for name, logged in values.items() if not name.startswith(("rollout_dose", "episodes"))}
    assert sorted(metrics) == ["charts/episodic_return", "losses/entropy"]
    assert metrics["charts/episodic_return"] == [90.0, 91.5]
    assert np.isnan(metrics["losses/entropy"]).all()
    assert values["rollout_dose/_type"] == ["image-file"]
    assert values["episodes/_type"] == ["table-file"]
    assert (folder / "files" / values["rollout_dose/path"][0]).read_bytes() == PNG
    assert json.loads((folder / "files" / values["episodes/path"][0]).read_text()) == {
        "columns": ["episode", "reward"],
        "data": [[0, 98.5], [1, None]],
    }
    (run,) = [record.run for record in read_transaction_log(log) if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name, run.run_group, list(run.tags)) == ("dosing", "first", "g", ["a", "b"])
    assert not run.HasField("git")

    for path in [log, *(path for path in (folder / "files").rglob("*") if path.is_file())]:
        content = path.read_bytes()
        assert [word for word in private_words(tmp_path) if word in content] == [], path

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == handlers
    assert random_states() == states
    assert sys.excepthook is hook
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_a_server_that_never_answers_costs_less_than_ten_seconds_and_the_run_is_kept_offline(tmp_path, environment):
    """It accepts the connection and says nothing; start, records and end together stay below 10 s."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        environment.setenv("WANDB_API_KEY", KEY)

        said, seconds = track(tmp_path / "run")

    assert seconds < 10.0
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert len(said) == 1
    assert "gave no answer within" in said[0]
    assert said[0].endswith(f"wandb sync {folder}")


@pytest.mark.long
def test_without_a_key_the_run_is_offline_and_nobody_is_asked(tmp_path, environment):
    """The one line says how to log in, and how to upload."""
    environment.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")

    said, seconds = track(tmp_path / "run")

    assert seconds < 10.0
    assert len(said) == 1
    assert "there is no API key for http://127.0.0.1:9: set WANDB_API_KEY or run `wandb login`" in said[0]
    assert "wandb sync" in said[0]


class Server(ThreadingHTTPServer):
    """As much of a W&B server as a run needs; keeps every byte that it is sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[bytes] = []
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.viewer: dict | None = {"id": "1", "entity": "team", "username": "u", "email": "", "flags": "{}"}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def graphql(self, query: str, variables: dict) -> dict:
        if "upsertBucket" in query:
            project = {"id": "1", "name": "p", "entity": {"id": "1", "name": "team"}}
            bucket = {"id": "1", "name": variables["name"], "config": "{}", "historyLineCount": 0, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
        return {"viewer": self.viewer} if "viewer" in query else {}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append(f"{self.path}\n{self.headers}".encode() + body)
        self.server.answers.wait(60)
        message = json.loads(body) if self.path == "/graphql" else {}
        data = self.server.graphql(message["query"], message.get("variables") or {}) if message else {}
        reply = json.dumps({"data": data}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_PUT = do_POST  # noqa: N815

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.answers.set()
    server.shutdown()
    server.server_close()


@pytest.mark.long
def test_a_server_that_works_gets_every_metric_and_nothing_private(tmp_path, environment, server):
    """What arrives over the wire is the metrics, the settings, the plot and the table."""
    environment.setenv("WANDB_BASE_URL", server.url)
    environment.setenv("WANDB_API_KEY", KEY)

    said, _ = track(Path.cwd() / "run")

    (run,) = [path.name.rsplit("-", 1)[1] for path in Path("run/wandb").glob("run-*")]
    assert said == [f"W&B: tracking at {server.url}/team/p/runs/{run}"]
    wire = b"\n".join(server.received)
    for word in ('charts/episodic_return\\":91.5', "gamma", "seed", "table-file", '"complete":true,"exitcode":0'):
        assert word.encode() in wire
    assert PNG in wire
    assert [word for word in private_words(tmp_path) if word in wire] == []
    for unwanted in (b"requirements.txt", b"wandb-metadata.json", b"diff.patch", b"output.log"):
        assert unwanted not in wire


@pytest.mark.slow
def test_a_server_that_falls_silent_during_the_run_costs_less_than_ten_seconds_and_no_record(
    tmp_path, environment, server
):
    """What it did not take is on the disk, and the hint says how to upload a run that was online."""
    environment.setenv("WANDB_BASE_URL", server.url)
    environment.setenv("WANDB_API_KEY", KEY)
    said: list[str] = []
    logger = start_wandb(WandbOptions(), folder=tmp_path / "run", config={}, say=said.append)
    step = 0
    while not said:
        step += 1
        logger.scalars(step, {"losses/entropy": 0.5})
        time.sleep(0.1)
    server.answers.clear()
    logger.scalars(step + 1, {"losses/entropy": 0.25})
    begin = time.monotonic()
    logger.close()

    assert time.monotonic() - begin < 10.0
    (folder,) = (tmp_path / "run" / "wandb").glob("run-*")
    assert said[1:] == [
        f"W&B: the upload did not end in time; upload it later with: wandb sync --include-online {folder}"
    ]
    assert history(next(folder.glob("*.wandb"))) == {"losses/entropy": [0.5] * step + [0.25]}


@pytest.mark.slow
def test_a_trainer_that_is_killed_leaves_a_whole_record_of_a_failed_run(tmp_path, environment):
    """SIGKILL closes the pipe: the client ends the run by itself, as failed, with every record."""
    environment.setenv("WANDB_MODE", "offline")
    code = """if True:
        import os, pathlib, signal, time
        from rl_drug_dosage.utils.wandb import WandbOptions, start_wandb
        logger = start_wandb(WandbOptions(), folder=pathlib.Path("run"), config={}, say=print)
        logger.scalars(1, {"losses/entropy": 0.5})
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", code], check=False)

    exits: list[int] = []
    deadline = time.monotonic() + 20.0
    while not exits and time.monotonic() < deadline:
        time.sleep(0.2)
        for log in Path("run/wandb").glob("offline-run-*/*.wandb"):
            exits = [record.exit.exit_code for record in read_transaction_log(log) if record.HasField("exit")]
    assert exits == [1]
    assert history(log) == {"losses/entropy": [0.5]}


def test_the_probe_names_what_is_wrong(server):
    """A refused key, an unknown key, a broken server and no server at all are told apart."""

    def ask(url: str = server.url) -> str | None:
        return _wandb_worker.probe(url, KEY, verify=True, limit_s=5.0)

    assert ask() is None
    server.status = 401
    assert "does not accept the API key" in ask()
    server.status = 503
    assert "HTTP status 503" in ask()
    server.status, server.viewer = 200, None
    assert "does not know the API key" in ask()
    assert "cannot be reached (ConnectionError)" in ask("http://127.0.0.1:9")


def test_the_key_is_found_where_the_client_keeps_it(tmp_path, monkeypatch):
    """The environment comes before the netrc file, and that before the settings."""

    class Settings:
        api_key = "from-settings"

    (tmp_path / "netrc").write_text("machine api.example.org login user password from-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)

    assert _wandb_worker.find_key("https://other.example.org", Settings()) == "from-settings"
    assert _wandb_worker.find_key("https://api.example.org", Settings()) == "from-netrc"
    monkeypatch.setenv("WANDB_API_KEY", "from-environment")
    assert _wandb_worker.find_key("https://api.example.org", Settings()) == "from-environment"


def test_a_client_that_dies_is_mentioned_once_and_never_raises(tmp_path, environment):
    """Records after its death are dropped in silence, closing does not hang."""
    said: list[str] = []
    logger = start_wandb(WandbOptions(), folder=tmp_path / "run", config={}, say=said.append)
    logger._process.kill()
    logger._process.wait()
    for step in range(100):
        logger.scalars(step, {"x": 1.0})
    logger.images(100, {"plot": tmp_path / "missing.png"})
    logger.close()

    assert len(said) == 1
    assert said[0].startswith("W&B: tracking is incomplete")


def test_a_client_that_hangs_is_killed(tmp_path, environment, monkeypatch):
    """After the time that is granted it is gone, and that is said."""
    said: list[str] = []
    monkeypatch.setattr(wandb, "_GIVE_UP_S", 0.2)
    logger = start_wandb(WandbOptions(), folder=tmp_path / "run", config={}, say=said.append)
    logger._process.send_signal(signal.SIGSTOP)
    # More than a pipe holds (64 KiB): the trainer must not be stuck in it.
    for step in range(2000):
        logger.scalars(step, {f"metric/{number}": 1.0 for number in range(10)})
    logger.close()

    assert logger._process.returncode == -signal.SIGKILL
    assert len(said) == 1
    assert said[0].startswith("W&B: gave up waiting")


def test_evaluation_is_appended_to_a_run_whose_steps_are_further_on(tmp_path):
    """Training logs at its step; evaluation, which counts episodes from 0, leaves the step to the client."""

    class Run:
        def __init__(self):
            self.steps = []

        def log(self, values, step=None):
            self.steps.append(step)

    for job_type, steps in (("train", [5]), ("eval", [None])):
        worker = object.__new__(_wandb_worker.Worker)
        worker._order, worker._run = {"options": {"job_type": job_type}}, Run()
        worker.record({"kind": "scalars", "step": 5, "values": {"episode/reward": 1.0}})
        assert worker._run.steps == steps


@pytest.mark.parametrize("spec", [None, ModuleSpec("wandb", None)], ids=["missing", "only a folder of that name"])
def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch, spec):
    """The check is the same before training and on start, and leaves nothing behind."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)

    with pytest.raises(DependencyError, match=r"make install-wandb.*or leave --?track out"):
        require_wandb()
    with pytest.raises(DependencyError):
        start_wandb(WandbOptions(), folder=tmp_path / "run", config={}, say=print)
    assert not (tmp_path / "run").exists()

"""The process that talks to Weights & Biases for ``utils/wandb.py``, which starts it by its path.

It imports nothing from this package. It reads JSON lines from its standard input, first the order and then one record
per line, and answers with JSON lines:

    {"event": "started", "mode": "online" | "offline" | "disabled", "reason": ..., "folder": ..., "url": ...}
    {"event": "trouble", "reason": ...}        a record was lost, or tracking has stopped
    {"event": "finished", "uploaded": bool}    the last line
"""

import base64
import json
import netrc
import os
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

PROBE_S = 2.5
"""Time limit for the server to verify the API key, including the name lookup."""

START_S = 4.5
"""Time after the start at which a silent server is given up, so that everything fits into the 10 s of
``utils/wandb.py`` even if loading the client is slow (`python -c 'import wandb'`: 2 s on two cores)."""

INIT_S = 5.0
"""Time limit for the server to open the run after the key was verified. Training does not wait for it."""

FINISH_S = 7.0
"""Time limit for the last upload. The rest stays on disk, for ``wandb sync``."""

# What the client would otherwise collect and upload by itself. Checked with wandb 0.30 and 0.31. A version
# without one of these settings rejects it; then nothing is tracked, so that nothing private is uploaded.
PRIVATE = {
    "disable_code": True,
    "save_code": False,
    "disable_git": True,
    "disable_job_creation": True,
    "label_disable": True,
    "console": "off",
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "host": "",
    "program": "rl-drug-dosage",
    "program_relpath": "rl-drug-dosage",
    "program_abspath": "",
    "sagemaker_disable": True,
}
QUIET = {"silent": True, "quiet": True, "show_errors": False, "show_warnings": False, "show_info": False}


def say(answers: IO[str], event: str, **details: Any) -> None:
    """Send a message to the trainer. If the trainer was killed, the run must still be closed."""
    with suppress(OSError):
        answers.write(json.dumps({"event": event, **details}) + "\n")
        answers.flush()


def in_one_line(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 160)


def probe(base_url: str, key: str | None, *, verify: bool, limit_s: float) -> str | None:
    """Verify the key with the server; ``None`` if it is valid, otherwise the reason for working offline."""
    requests: Any = import_module("requests")
    answer: list[str | None] = []

    def ask() -> None:
        try:
            reply = requests.post(
                f"{base_url}/graphql",
                json={"query": "query Viewer { viewer { id } }"},
                auth=("api", key) if key else None,
                timeout=2 * limit_s,  # this only ends the thread; the limit is enforced below
                verify=verify,
            )
            if reply.status_code in (401, 403):
                answer.append(f"{base_url} does not accept the API key")
            elif reply.status_code != 200:
                answer.append(f"{base_url} answered with HTTP status {reply.status_code}")
            elif key and not (reply.json().get("data") or {}).get("viewer"):
                answer.append(f"{base_url} does not know the API key")
            else:
                answer.append(None)
        except Exception as error:  # noqa: BLE001 - any error means: offline
            answer.append(f"{base_url} cannot be reached ({type(error).__name__})")

    # A thread, because the name lookup ignores timeouts.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit_s)
    return answer[0] if answer else f"{base_url} gave no answer within {limit_s:.1f} s"


def find_key(base_url: str, settings: Any) -> str | None:
    """The API key from where the client looks for it: environment, netrc, settings file. Never prompts."""
    if key := os.environ.get("WANDB_API_KEY"):
        return key
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        entry = netrc.netrc(path).authenticators(urlsplit(base_url).netloc)
    except (OSError, netrc.NetrcParseError):
        entry = None
    return entry[2] if entry and entry[2] else settings.api_key


class Worker:
    """One W&B run, from the order to the last record."""

    def __init__(self, order: Mapping[str, Any], answers: IO[str]) -> None:
        self._started_s = time.monotonic()
        self._order = order
        self._answers = answers
        self._wandb: Any = import_module("wandb")
        self._settings: Any = self._wandb.setup(settings=self._wandb.Settings(**PRIVATE, **QUIET)).settings
        self._run: Any = None
        self._mode = "disabled"

    def start(self) -> None:
        """Decide between online and offline, open the run and report it."""
        mode = {"dryrun": "offline", "run": "online", "shared": "online"}.get(self._settings.mode, self._settings.mode)
        if mode == "disabled":
            say(self._answers, "started", mode=mode, reason="WANDB_MODE=disabled", folder=None, url=None)
            return
        reason = f"WANDB_MODE={self._settings.mode}" if mode == "offline" else self._server_trouble()
        if reason is None:
            try:
                self._run = self._open("online")
            except Exception as error:  # noqa: BLE001 - the client raises many types, and each means: offline
                reason = f"the run could not be opened ({in_one_line(error)})"
        if self._run is None:
            self._run = self._open("offline")
        self._mode = "offline" if reason else "online"
        folder, url = str(Path(self._run.dir).parent), self._run.url
        say(self._answers, "started", mode=self._mode, reason=reason, folder=folder, url=url)

    def record(self, message: Mapping[str, Any]) -> None:
        """Pass one record to the client; if it fails, only this record is lost."""
        if self._run is None:
            return
        try:
            self._hand_over(message)
        except Exception as error:  # noqa: BLE001 - tracking is optional: report the error and continue
            say(self._answers, "trouble", reason=in_one_line(error))

    def finish(self, exit_code: int) -> None:
        """Close the run and report whether all of it was uploaded."""
        uploaded = self._mode == "online"
        if self._run is not None:
            try:
                self._run.finish(exit_code=exit_code)
            except TimeoutError:
                uploaded = False
        say(self._answers, "finished", uploaded=uploaded)

    def _server_trouble(self) -> str | None:
        settings = self._settings
        key = find_key(settings.base_url, settings)
        if key is None and not settings.identity_token_file:
            return f"there is no API key for {settings.base_url}: set WANDB_API_KEY or run `wandb login`"
        left_s = START_S - (time.monotonic() - self._started_s)
        limit_s = min(PROBE_S, max(1.0, left_s))
        return probe(settings.base_url, key, verify=not settings.insecure_disable_ssl, limit_s=limit_s)

    def _open(self, mode: str) -> Any:
        options = self._order["options"]
        return self._wandb.init(
            project=options["project"],
            entity=options["entity"],
            tags=options["tags"] or None,
            id=options["run_id"],
            name=options["name"],
            group=options["group"],
            job_type=options["job_type"],
            resume="allow" if options["run_id"] and mode == "online" else None,
            config=self._order["config"],
            dir=os.environ.get("WANDB_DIR") or self._order["folder"],
            mode=mode,
            settings=self._wandb.Settings(
                **PRIVATE,
                **QUIET,
                init_timeout=INIT_S,
                finish_timeout=FINISH_S,
                finish_timeout_raises=True,
                # The stop button of the web page would send an interrupt, which cannot reach the trainer from here.
                stop_fn=lambda: None,
            ),
        )

    def _hand_over(self, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        # Training: a resumed run repeats the steps after its checkpoint with the same values, and the client drops
        # duplicates. Evaluation counts from 0 and may be logged to a training run: it is appended.
        step = message.get("step") if self._order["options"]["job_type"] == "train" else None
        if kind == "scalars":
            self._run.log(message["values"], step=step)
        elif kind == "hyperparameters":
            self._run.config.update(message["values"], allow_val_change=True)
        elif kind == "table":
            table = self._wandb.Table(columns=message["columns"], data=message["rows"], allow_mixed_types=True)
            # Bound by hand, a table is uploaded as a file of the run. Otherwise it also becomes an artifact, whose
            # record contains a path in the home folder and whose check waits for the server.
            table.bind_to_run(self._run, message["name"], self._run.step)
            self._run.log({message["name"]: table})
        elif kind == "images":
            with tempfile.TemporaryDirectory() as folder:
                images = {}
                for number, (name, data) in enumerate(message["images"].items()):
                    path = Path(folder, f"{number}.png")
                    path.write_bytes(base64.b64decode(data))
                    images[name] = self._wandb.Image(str(path))
                self._run.log(images, step=step)


def serve(orders: Iterable[str], answers: IO[str]) -> None:
    """Run one order to its end. If the trainer dies, the pipe closes and the run counts as failed."""
    lines = iter(orders)
    worker = Worker(json.loads(next(lines)), answers)
    worker.start()
    exit_code = 1
    for line in lines:
        message = json.loads(line)
        if message["kind"] == "finish":
            exit_code = 0
            break
        worker.record(message)
    worker.finish(exit_code)


def main() -> None:
    # The client's own service inherits the standard streams: give it empty ones, so that the pipes stay private.
    orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    try:
        serve(orders, answers)
    except Exception as error:  # noqa: BLE001 - the last place where an error can be reported
        say(answers, "trouble", reason=in_one_line(error))
    # Skips the client's exit handler, which waits for its service indefinitely; the service ends with this process.
    os._exit(0)


if __name__ == "__main__":
    main()

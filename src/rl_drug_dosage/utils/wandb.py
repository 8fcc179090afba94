"""Weights & Biases tracking in a separate process.

The client runs in its own process (``utils/_wandb_worker.py``), which receives records through a pipe. Training waits
for it only at the end, and for a limited time. The client therefore cannot affect the random numbers, signal handlers,
terminal or standard streams of training. An unreachable server, a missing key or a hanging client cannot delay it:
such a run is tracked offline, in the run folder, and one line explains how to upload it. Errors of tracking do not
reach training, and the stop button of the W&B page does not stop it.

Only these data leave this machine: what a logger receives (metrics, settings, plots, tables), the options below, and
the client's own record of its version, Python's version and the platform (``linux-x86_64``). Code, git state, console
output, host name, installed packages, command line and paths are not sent. The process gets only the environment
variables that the client needs.

``WANDB_MODE``, ``WANDB_BASE_URL``, ``WANDB_API_KEY``, ``WANDB_DIR``, ``WANDB_ENTITY`` and the netrc and settings files
of ``wandb login`` have their usual meaning.
"""

import base64
import importlib.util
import json
import math
import numbers
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from rl_drug_dosage.errors import DependencyError
from rl_drug_dosage.utils.loggers import Logger, Loggers

__all__ = ["WandbOptions", "require_wandb", "start_wandb"]

_GIVE_UP_S = 9.5
"""How long ``close`` waits. The worker's own limits are shorter; this one is for a client that hangs."""

_PASSED_VARIABLES = frozenset(
    """
    CURL_CA_BUNDLE HOME LANG LC_ALL LD_LIBRARY_PATH NETRC PATH PYTHONHOME PYTHONPATH REQUESTS_CA_BUNDLE SSL_CERT_DIR
    SSL_CERT_FILE SYSTEMROOT TEMP TMP TMPDIR USERPROFILE XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    ALL_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy http_proxy https_proxy no_proxy
    WANDB_API_KEY WANDB_APP_URL WANDB_BASE_URL WANDB_CACHE_DIR WANDB_CONFIG_DIR WANDB_CREDENTIALS_FILE WANDB_DATA_DIR
    WANDB_DIR WANDB_ENTITY WANDB_HTTP_PROXY WANDB_HTTPS_PROXY WANDB_IDENTITY_TOKEN_FILE WANDB_INSECURE_DISABLE_SSL
    WANDB_MODE
    """.split()  # noqa: SIM905 - a list of words is easier to read than a page of quotes
)


@dataclass(frozen=True)
class WandbOptions:
    """How a run appears in Weights & Biases."""

    project: str = "rl-drug-dosage"
    """Project of the run."""
    entity: str | None = None
    """Team or user that owns the project; ``None`` means the account's default."""
    tags: tuple[str, ...] = ()
    """Tags to find the run by."""
    run_id: str | None = None
    """Run to resume; ``None`` starts a new one."""
    name: str | None = None
    """Display name of the run; with ``None`` one is generated."""
    group: str | None = None
    """Group of runs to compare, such as the seeds of one setting."""
    job_type: str = "train"
    """``"train"``: steps are environment steps. Anything else: records are appended in order of arrival."""


def require_wandb() -> None:
    """Raise ``DependencyError`` if the ``wandb`` extra is not installed. Imports nothing."""
    spec = importlib.util.find_spec("wandb")
    # The client keeps its files in folders named "wandb", which look like packages without an origin.
    if spec is None or spec.origin is None:
        raise DependencyError.of("tracking", "Weights & Biases", "wandb", "leave --track out")


def start_wandb(
    options: WandbOptions, *, folder: Path, config: Mapping[str, Any], say: Callable[[str], None]
) -> Logger:
    """Start tracking and return at once. Whether the run is online is reported with a later record or at the end.

    Args:
        options: how the run appears.
        folder: the client's files go to ``wandb/`` in it (unless ``WANDB_DIR`` is set).
        config: the settings of the run. Paths among the values are not sent.
        say: prints one line for the user; called only from within calls of the logger.

    Raises:
        DependencyError: the ``wandb`` extra is not installed.
    """
    require_wandb()
    order = {"options": asdict(options), "folder": str(folder), "config": _plain(config)}
    environment = {name: value for name, value in os.environ.items() if name in _PASSED_VARIABLES}
    environment |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    # By its path: as a module it would import this package first. With -P, so that this file is not found as "wandb".
    command = [sys.executable, "-P", str(Path(__file__).with_name("_wandb_worker.py"))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own file
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C should reach only the trainer
        )
    except OSError as error:
        say(f"W&B: not tracked, because its client cannot be started ({error.strerror or error})")
        return Loggers([])
    return _WandbLogger(process, order, say)


class _WandbLogger:
    """The trainer's end of the pipe."""

    def __init__(self, process: "subprocess.Popen[str]", order: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._process = process
        self._say = say
        self._mode: str | None = None
        self._folder = ""
        self._troubled = False
        self._closed = False
        self._finished = False
        self._ended = False
        self._outbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._outbox.put(json.dumps(order))
        assert process.stdin is not None
        assert process.stdout is not None
        # Threads, because a pipe to a process that hangs fills up and then blocks.
        self._writer = threading.Thread(target=_write_lines, args=(self._outbox, process.stdin), daemon=True)
        self._reader = threading.Thread(target=_read_lines, args=(process.stdout, self._inbox), daemon=True)
        self._writer.start()
        self._reader.start()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._send("scalars", step=step, values={name: float(value) for name, value in values.items()})

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        self._send("hyperparameters", values=_plain(values))

    def images(self, step: int, paths: Mapping[str, Path]) -> None:
        try:
            images = {name: base64.b64encode(path.read_bytes()).decode() for name, path in paths.items()}
        except OSError as error:
            self._trouble(f"cannot read {error.filename}: {error.strerror}")
            return
        self._send("images", step=step, images=images)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._send("table", name=name, columns=list(columns), rows=_plain(rows))

    def close(self) -> None:
        if self._closed:
            return
        self._send("finish")
        self._closed = True
        self._outbox.put(None)
        deadline_s = time.monotonic() + _GIVE_UP_S
        while not self._ended:
            try:
                self._hear(self._inbox.get(timeout=max(0.0, deadline_s - time.monotonic())))
            except queue.Empty:
                # The client's service, a child of the worker, exits by itself when the worker is gone.
                self._process.kill()
                self._say(
                    "W&B: gave up waiting for its client, tracking is incomplete; the run folder has the full record"
                )
                break
        self._process.wait()
        self._writer.join()
        self._reader.join()

    def _send(self, kind: str, **content: Any) -> None:
        while not self._inbox.empty():
            self._hear(self._inbox.get())
        if not self._closed:
            self._outbox.put(json.dumps({"kind": kind, **content}))

    def _hear(self, event: Mapping[str, Any]) -> None:
        """Turn what the worker reports into lines for the user."""
        kind = event["event"]
        if kind == "started":
            self._mode, self._folder = event["mode"], event["folder"] or ""
            if self._mode == "online":
                self._say(f"W&B: tracking at {event['url']}")
            elif self._mode == "offline":
                self._say(f"W&B: offline, because {event['reason']}; {self._hint()}")
            else:
                self._say(f"W&B: not tracked, because {event['reason']}")
        elif kind == "trouble":
            self._trouble(event["reason"])
        elif kind == "finished":
            self._finished = True
            if self._mode == "online" and not event["uploaded"]:
                self._say(f"W&B: the upload did not end in time; {self._hint()}")
        elif kind == "ended":
            self._ended = True
            if not self._finished:
                self._trouble("its client ended early")

    def _trouble(self, reason: str) -> None:
        if not self._troubled:
            self._troubled = True
            self._say(f"W&B: tracking is incomplete ({reason}); the run folder has the full record")

    def _hint(self) -> str:
        option = "--include-online " if self._mode == "online" else ""
        return f"upload it later with: wandb sync {option}{shlex.quote(self._folder)}"


def _write_lines(lines: "queue.SimpleQueue[str | None]", pipe: IO[str]) -> None:
    try:
        with pipe:
            for line in iter(lines.get, None):
                pipe.write(line + "\n")
                pipe.flush()
    except OSError:  # the worker has ended; the reader notices
        pass


def _read_lines(pipe: IO[str], events: "queue.SimpleQueue[dict[str, Any]]") -> None:
    with pipe:
        for line in pipe:
            if line.endswith("\n"):  # a killed worker may leave half a line
                events.put(json.loads(line))
    events.put({"event": "ended"})


def _plain(value: Any) -> Any:
    """Convert a value for JSON: numbers as Python numbers, unknown objects as text, paths not at all."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items() if not isinstance(item, Path)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    return "(a path)" if isinstance(value, Path) else str(value)

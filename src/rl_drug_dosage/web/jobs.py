"""Long computations in threads of their own: what they say, how far they are, and what came out."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.utils.progress import Progress
from rl_drug_dosage.web.guard import one_line

__all__ = ["BusyError", "Job", "Jobs", "NoSuchJobError"]

_KEPT = 6
"""Finished jobs whose results are kept; the oldest are forgotten."""
_NOTES = 60


class BusyError(ConfigError):
    """Another job is running."""


class NoSuchJobError(ConfigError):
    """A job that was never started, or has been forgotten."""


class _StoppedError(Exception):
    """The user has stopped the job."""


class Job:
    """One computation.

    Args:
        name: unguessable, part of its address.
        kind: ``"trial"``, or ``"play"``.
        work: (progress) -> (what the page shows, a document or "").
    """

    def __init__(self, name: str, kind: str, work: Callable[[Progress], tuple[dict[str, Any], str]]) -> None:
        self.name, self.kind, self._work = name, kind, work
        self._lock = threading.Lock()
        self._state, self._text, self._share = "running", "starting", 0.0
        self._notes: list[str] = []
        self._error = ""
        self._result: dict[str, Any] | None = None
        self.document = ""
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        """Whether it has not come to an end."""
        with self._lock:
            return self._state == "running"

    def stop(self) -> None:
        """End it at its next step."""
        self._stop.set()

    def run(self) -> None:
        """Compute."""
        try:
            result, document = self._work(self._tell)
        except _StoppedError:
            self._end("stopped", "stopped")
        except RlDrugDosageError as error:
            self._end("failed", one_line(str(error)))
        except Exception as error:  # noqa: BLE001 - the page has to hear of it; the message may quote anything
            self._end("failed", f"internal error ({type(error).__name__}); please report it")
        else:
            with self._lock:
                self._state, self._text, self._share = "done", "done", 1.0
                self._result, self.document = result, document

    def _end(self, state: str, error: str) -> None:
        with self._lock:
            self._state, self._error = state, error

    def _tell(self, text: str, done: float | None) -> None:
        if self._stop.is_set():
            raise _StoppedError
        with self._lock:
            if done is None:
                self._notes = [*self._notes, one_line(text, 300)][-_NOTES:]
            else:
                self._text, self._share = one_line(text, 300), done

    def record(self) -> dict[str, Any]:
        """What it says now."""
        with self._lock:
            return {
                "id": self.name,
                "kind": self.kind,
                "state": self._state,
                "text": self._text,
                "done": round(self._share, 4),
                "notes": list(self._notes),
                "error": self._error or None,
                "result": self._result,
                "report": bool(self.document),
            }


class Jobs:
    """One job of a kind at a time, and the results of the last ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def start(self, kind: str, work: Callable[[Progress], tuple[dict[str, Any], str]]) -> Job:
        """Start a computation.

        Raises:
            BusyError: one of this kind is running.
        """
        job = Job(secrets.token_urlsafe(12), kind, work)
        with self._lock:
            if any(other.kind == kind and other.running for other in self._jobs.values()):
                raise BusyError(f"a {kind} is running already; allowed: one at a time; wait for it, or stop it")
            self._jobs[job.name] = job
            finished = [name for name, other in self._jobs.items() if not other.running]
            for name in finished[: max(len(finished) - _KEPT, 0)]:
                del self._jobs[name]
        threading.Thread(target=job.run, name=f"{kind}-{job.name}", daemon=True).start()
        return job

    def find(self, name: str) -> Job:
        """A job by its name.

        Raises:
            NoSuchJobError: none.
        """
        with self._lock:
            job = self._jobs.get(name)
        if job is None:
            raise NoSuchJobError("no such job; allowed: one of the last that were started; start it again")
        return job

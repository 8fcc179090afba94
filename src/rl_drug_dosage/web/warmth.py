"""Programs that are prepared while the page is already in use: which drugs are ready, and what is being done."""

import threading
from collections.abc import Callable
from typing import Any

from rl_drug_dosage.web.catalogue import drugs, examples

__all__ = ["Warmth"]


class Warmth:
    """Answers the worked examples of drugs in a thread of its own, so that what they need is compiled.

    Args:
        answer: computes the recommendation for a patient, with the label or with all policies beside it.
        wanted: False: nothing is prepared, programs are compiled when they are needed.
    """

    def __init__(self, answer: Callable[[dict[str, Any], bool], object], *, wanted: bool = True) -> None:
        self._answer = answer
        self._lock = threading.Condition()
        self._states = dict.fromkeys(drugs(), "cold" if wanted else "ready")
        self._wanted: list[str] = []
        self._text = ""

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._run, name="warmth", daemon=True).start()

    def want(self, drug: str) -> None:
        """Prepare a drug next, unless it is ready."""
        with self._lock:
            if self._states.get(drug) == "cold":
                self._states[drug] = "waiting"
                self._wanted.insert(0, drug)
                self._lock.notify()

    def record(self) -> dict[str, Any]:
        """What is ready, and what is being done."""
        with self._lock:
            return {"text": self._text, "drugs": dict(self._states)}

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._wanted:
                    self._text = ""
                    self._lock.wait()
                drug = self._wanted.pop(0)
                self._states[drug] = "compiling"
            # All policies only at the end: until then the page asks for the label alone.
            todo = [(patient, False) for patient in examples(drug)]
            todo += [(todo[0][0], True)]
            for i, (patient, everything) in enumerate(todo, 1):
                with self._lock:
                    self._text = f"compiling programs for {drug}, {i} of {len(todo)}"
                try:
                    self._answer(patient, everything)
                except Exception:  # noqa: BLE001, S112 - whoever asks the same will be told; the thread has to stay
                    continue
            with self._lock:
                self._states[drug] = "ready"

"""What happened while something was done to a file: imports, opened files, executed code, in this process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")


class Watch:
    """An audit hook cannot be removed, so there is one, which listens while `on` is true."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in {"import", "open"}:
            self.seen.append((event, str(args[0])))
        elif event == "exec":
            self.seen.append((event, str(getattr(args[0], "co_filename", args[0]))))
        elif event.startswith(FORBIDDEN):
            self.seen.append((event, str(args)[:200]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for a while, from nothing heard."""
        self.seen, self.on = [], True
        try:
            yield
        finally:
            self.on = False

    def faults(self, known: frozenset[str], baits: tuple[str, ...]) -> list[tuple[str, str]]:
        """What should not have happened.

        Args:
            known: top-level modules that were loaded before; importing more of them, late, is the package's own doing.
            baits: parts of names of files and modules that nothing may touch.
        """
        found = []
        for event, what in self.seen:
            strange = event == "import" and what.partition(".")[0] not in known
            if strange or event.startswith(FORBIDDEN) or any(bait in what for bait in baits):
                found.append((event, what))
        return found


WATCH = Watch()

"""Runs the command line, and kills itself without warning when it is about to touch the disk for the n-th time.

    python killing.py FOLDER N ARGUMENT...

Counted is what happens below FOLDER: files opened for writing, renamed and removed, folders made. With N 0 nothing is
killed, and the last line that is printed is the count.
"""

import os
import signal
import sys
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}


def main(folder: Path, number: int) -> None:
    """Run ``sys.argv`` under an audit hook."""
    counted: list[Path] = []

    def watch(event: str, args: tuple) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & WRITES
        if not (writes or event in CHANGES) or not isinstance(args[0], str | bytes | os.PathLike):
            return
        path = Path(os.fsdecode(args[0])).absolute()
        if folder in (path, *path.parents):
            counted.append(path)
            if len(counted) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    from rl_drug_dosage.cli import main as command_line

    try:
        command_line()
    finally:
        sys.stdout.write(f"\n{len(counted)}\n")


if __name__ == "__main__":
    place, kill_at = Path(sys.argv[1]).absolute(), int(sys.argv[2])
    sys.argv = ["rl-drug-dosage", *sys.argv[3:]]
    main(place, kill_at)

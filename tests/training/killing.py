"""Runs the command line, and kills itself without warning when it is about to touch the disk for the n-th time.

    python killing.py FOLDER N ARGUMENT...

Counted is what happens below FOLDER: files opened for writing, renamed, removed, folders made.
"""

import os
import signal
import sys
from pathlib import Path

folder, left = Path(sys.argv[1]).resolve(), int(sys.argv[2])
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def watch(event, args):
    """Count, and end when the count is reached; a file or folder that is not below FOLDER does not count."""
    global left
    if event == "open":
        if not isinstance(args[2], int) or not args[2] & WRITES:
            return
    elif event not in CHANGES:
        return
    if not isinstance(args[0], str | bytes | os.PathLike):
        return
    path = Path(os.fsdecode(args[0])).absolute()
    if folder != path and folder not in path.parents:
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(watch)
sys.argv = ["rl-drug-dosage", *sys.argv[3:]]

from rl_drug_dosage.cli import main  # noqa: E402 - the hook comes first

try:
    main()
finally:
    print(f"operations left: {left}")

"""One dosing task a file, ``<name>_v<n>.py``, which defines ``SCENARIO``; values only."""

"""Scalars out of the event files of TensorBoard that a run writes for each of its seeds."""

import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["EventsError", "read_scalars"]


class EventsError(ValueError):
    """An event file that is damaged."""


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Metric -> environment step -> value, of all event files of a folder in the order of their names.

    A file whose session starts at a step replaces what earlier files say from there on: that is how a run that went on
    is written. A record that is cut off at the end of the last file is what a killed run leaves, and is left out.

    Raises:
        EventsError: a file is damaged.
        OSError: a file cannot be read.
    """
    event_pb2: Any = import_module("tensorboard.compat.proto.event_pb2")
    start = event_pb2.SessionLog.START
    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for data in _records(path):
            try:
                event = event_pb2.Event.FromString(data)
            except Exception as error:  # noqa: BLE001 - protobuf raises classes of its own backend
                raise EventsError(f"{path.name} holds a record that is no event ({type(error).__name__})") from None
            if event.HasField("session_log") and event.session_log.status == start:
                for steps in found.values():
                    for step in [s for s in steps if s >= event.step]:
                        del steps[step]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, {})[int(event.step)] = float(value.simple_value)
    return found


def _records(path: Path) -> Iterator[bytes]:
    """The records in TFRecord framing: length, its checksum, data, their checksum; little-endian."""
    raw, at = path.read_bytes(), 0
    while at + 12 <= len(raw):
        (length,) = struct.unpack_from("<Q", raw, at)
        end = at + 12 + length + 4
        if end > len(raw):
            if length > 2**26:
                raise EventsError(f"{path.name} is damaged at byte {at}")
            return
        yield raw[at + 12 : end - 4]
        at = end

"""Loggers for the metrics of a run: TensorBoard files, a JSON-lines file, and several at once.

A logger receives scalars, hyper-parameters, images and tables. It never affects training: no logger draws a random
number or changes a value that it is given.

A full disk, or a folder that became read-only, ends the run with one ``OutputError`` from the call that could not
write. The checkpoint would fail on the same disk, and a run without its record is worth less than one that stops and
can be resumed. Therefore every write happens in the caller's thread: a background writer could only print a traceback
or lose the error. (Weights & Biases is different: its copy is optional, see ``utils/wandb.py``.)
"""

import json
import math
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from rl_drug_dosage.errors import CheckpointError, OutputError

__all__ = ["JsonLinesLogger", "Logger", "Loggers", "TensorBoardLogger"]


class Logger(Protocol):
    """Keeps a record of a run. ``step`` counts environment steps in training and episodes in evaluation."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics by their full names (``losses/entropy``)."""

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Record the settings of the run."""

    def images(self, step: int, paths: Mapping[str, Path]) -> None:
        """Record PNG files by name; the files may be changed or deleted after the call."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Record a table."""

    def close(self) -> None:
        """Finish the record; a second call has no effect."""


class Loggers:
    """One logger that passes everything on to several, in order."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = tuple(loggers)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for logger in self._loggers:
            logger.scalars(step, values)

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        for logger in self._loggers:
            logger.hyperparameters(values)

    def images(self, step: int, paths: Mapping[str, Path]) -> None:
        for logger in self._loggers:
            logger.images(step, paths)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        for logger in self._loggers:
            logger.table(name, columns, rows)

    def close(self) -> None:
        """Close every logger, even if an earlier one raises; the last error has the others as its context."""
        with ExitStack() as stack:
            for logger in reversed(self._loggers):
                stack.callback(logger.close)


class JsonLinesLogger:
    """``metrics.jsonl``: one line ``{"step": ..., "time_s": ..., metric: value, ...}`` for each call of ``scalars``.

    ``time_s`` counts seconds since the run was started, across all resumptions. Values that are not finite are written
    as ``null``, because JSON cannot represent them. Settings, images and tables are already in the run folder and are
    not repeated here.

    Args:
        path: the file; it must not exist, unless ``resume_bytes`` is given.
        resume_bytes: the ``offset`` stored in a checkpoint. Everything written later, including a partial last line,
            is cut off, so that the resumed run writes it again.

    Raises:
        OutputError: the file already exists, or cannot be written.
        CheckpointError: on resume, the file does not contain complete lines up to ``resume_bytes``.
    """

    def __init__(self, path: Path, *, resume_bytes: int | None = None) -> None:
        self._path = path
        elapsed_s = 0.0
        with _one_line_errors(path):
            if resume_bytes is None:
                self._file = path.open("xb", buffering=0)
            else:
                elapsed_s = _time_of_last_line_s(path, resume_bytes)
                self._file = path.open("r+b", buffering=0)
                self._file.truncate(resume_bytes)
                self._file.seek(resume_bytes)
        self._offset = resume_bytes or 0
        self._start_s = time.monotonic() - elapsed_s

    @property
    def offset(self) -> int:
        """Bytes written so far: the ``resume_bytes`` of a run resumed from here."""
        return self._offset

    def sync(self) -> int:
        """Flush the lines to disk and return ``offset``, so that a checkpoint's record survives a power cut."""
        with _one_line_errors(self._path):
            os.fsync(self._file.fileno())
        return self._offset

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        record: dict[str, Any] = {"step": step, "time_s": round(time.monotonic() - self._start_s, 3)}
        for name, value in values.items():
            number = float(value)
            record[name] = number if math.isfinite(number) else None
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        with _one_line_errors(self._path):
            _write_all(self._file, line)
        self._offset += len(line)

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        del values

    def images(self, step: int, paths: Mapping[str, Path]) -> None:
        del step, paths

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        del name, columns, rows

    def close(self) -> None:
        with _one_line_errors(self._path):
            self._file.close()


class TensorBoardLogger:
    """An event file for TensorBoard, readable during the run and afterwards.

    It is written with TensorBoard's own protocol messages, one record per call, without a background thread, and
    without the writer classes of tensorboard or tensorboardX, which take longer to import. TensorBoard stores scalars
    as float32; ``metrics.jsonl`` has full precision.

    Args:
        folder: the run folder; created if missing. Each logger opens a new event file in it.
        resume_step: the step of the checkpoint from which the run resumes. Later values in earlier files are
            discarded by the ``SessionLog.START`` event with which TensorBoard marks a restart. (Its fast loader looks
            only at the steps: it discards a value once the resumed run logs that step again.)

    Raises:
        OutputError: the folder or the file cannot be written.
    """

    def __init__(self, folder: Path, *, resume_step: int | None = None) -> None:
        self._event_pb2: Any = import_module("tensorboard.compat.proto.event_pb2")
        self._summary_pb2: Any = import_module("tensorboard.compat.proto.summary_pb2")
        with _one_line_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # TensorBoard reads the files of a run in order of their names, which only need to contain "tfevents". A
            # serial number keeps that order even if the clock jumps, and avoids the host name.
            serial = len(list(folder.glob("events.out.tfevents.*")))
            self._path = folder / f"events.out.tfevents.{serial:010d}"
            self._file = self._path.open("xb", buffering=0)
        self._write(self._event_pb2.Event(file_version="brain.Event:2"))
        # A START event at step n discards the steps from n on, unless it is the first that TensorBoard sees in a run.
        # Therefore every file opens with one. The step of the checkpoint itself is kept.
        start = self._event_pb2.SessionLog(status=self._event_pb2.SessionLog.START)
        self._write(self._event_pb2.Event(step=0 if resume_step is None else resume_step + 1, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._summaries(step, [{"tag": name, "simple_value": float(value)} for name, value in values.items()])

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Write the settings twice: as a table under "Text", and for the "HParams" page that compares runs."""
        rows = [(name, value) for name, value in sorted(values.items())]
        self.table("hyperparameters", ("parameter", "value"), rows)
        plugin_data: Any = import_module("tensorboard.plugins.hparams.plugin_data_pb2")
        session = plugin_data.SessionStartInfo(start_time_secs=time.time())
        for name, value in values.items():
            if isinstance(value, bool):
                session.hparams[name].bool_value = value
            elif isinstance(value, int | float):
                session.hparams[name].number_value = value
            else:
                session.hparams[name].string_value = str(value)
        content = plugin_data.HParamsPluginData(version=0, session_start_info=session).SerializeToString()
        plugin = {"plugin_data": {"plugin_name": "hparams", "content": content}}
        # The page reads the data from the metadata; the tensor is for readers that expect a value.
        empty = {"dtype": _DT_FLOAT, "float_val": [0.0], "tensor_shape": {}}
        self._summaries(0, [{"tag": "_hparams_/session_start_info", "metadata": plugin, "tensor": empty}])

    def images(self, step: int, paths: Mapping[str, Path]) -> None:
        values = []
        for name, path in paths.items():
            with _one_line_errors(path, "read"):
                png = path.read_bytes()
            width, height = _png_size(png, path)
            values.append({"tag": name, "image": {"width": width, "height": height, "encoded_image_string": png}})
        self._summaries(step, values)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        text = "\n".join(_markdown_row(row) for row in (columns, ["---"] * len(columns), *rows))
        tensor = {"dtype": _DT_STRING, "string_val": [text.encode()], "tensor_shape": {}}
        self._summaries(0, [{"tag": name, "metadata": {"plugin_data": {"plugin_name": "text"}}, "tensor": tensor}])

    def close(self) -> None:
        with _one_line_errors(self._path):
            self._file.close()

    def _summaries(self, step: int, values: Sequence[Mapping[str, Any]]) -> None:
        summary = self._summary_pb2.Summary(value=[self._summary_pb2.Summary.Value(**value) for value in values])
        self._write(self._event_pb2.Event(step=step, summary=summary))

    def _write(self, event: Any) -> None:
        """Append one record in TFRecord framing: length, its checksum, data, their checksum; little-endian."""
        event.wall_time = time.time()
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        record = length + struct.pack("<I", _masked_crc32c(length)) + data + struct.pack("<I", _masked_crc32c(data))
        with _one_line_errors(self._path):
            _write_all(self._file, record)


# Members of TensorFlow's DataType enumeration.
_DT_FLOAT, _DT_STRING = 1, 7


@contextmanager
def _one_line_errors(path: Path, what: str = "write") -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise OutputError(f"{path} already exists and is never overwritten: choose another run folder") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot {what} {path}: {reason}; free space or choose another folder") from error


def _write_all(file: Any, data: bytes) -> None:
    """Write to an unbuffered file, which may accept only part of the data when the disk fills up."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _time_of_last_line_s(path: Path, size: int) -> float:
    """The ``time_s`` of the last line in the first ``size`` bytes of a metrics file."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing, but the checkpoint continues from its byte {size}: restore it")
    with path.open("rb") as file:
        kept = file.read(size)
    if len(kept) < size or (kept and not kept.endswith(b"\n")):
        raise CheckpointError(
            f"{path} has no line end at byte {size}, where the checkpoint continues: restore the file of this run"
        )
    try:
        return float(json.loads(kept.splitlines()[-1])["time_s"]) if kept else 0.0
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a metrics file: its line before byte {size} has no time_s") from error


def _markdown_row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _png_size(png: bytes, path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header chunk that opens every PNG file (RFC 2083, section 4.1.1)."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR":
        raise OutputError(f"{path} is not a PNG image: only PNG plots are logged")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_CRC32C_TABLE = _crc32c_table()


def _masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720, appendix B.4) in TFRecord's rotated form."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C_TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

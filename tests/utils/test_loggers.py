"""What the loggers write, read back by the programs that it is written for."""

import json
import re
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

import pytest

from rl_drug_dosage.errors import CheckpointError, OutputError
from rl_drug_dosage.utils import loggers
from rl_drug_dosage.utils.loggers import JsonLinesLogger, Loggers, TensorBoardLogger


def write_png(path: Path, width: int, height: int) -> Path:
    """A grey image, made by hand from its three chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * width) * height)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Recorder:
    """A logger that remembers that it was closed, and may fail at it."""

    def __init__(self, error: Exception | None = None):
        self.error = error
        self.closed = False

    def close(self):
        self.closed = True
        if self.error:
            raise self.error


class TensorBoard:
    """A running TensorBoard, asked over HTTP."""

    def __init__(self, logdir: Path):
        self.logdir = logdir
        options = ["--port=0", "--host=127.0.0.1", "--load_fast=false", f"--logdir={logdir}"]
        command = [sys.executable, "-m", "tensorboard.main", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found.group()
                break

    def get(self, route: str, **query: str):
        with urllib.request.urlopen(f"{self.url}/data/{route}?{urllib.parse.urlencode(query)}", timeout=10) as reply:
            return reply.read()

    def wait_for(self, route: str, **query: str):
        """Ask until the server, which loads the files in the background, knows what is asked for."""
        for _ in range(100):
            try:
                if answer := json.loads(self.get(route, **query)):
                    return answer
            except urllib.error.HTTPError:
                pass
            time.sleep(0.1)
        raise TimeoutError(route)

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory):
    """TensorBoard on a folder with one run that was interrupted after step 300 and resumed from step 200."""
    folder = tmp_path_factory.mktemp("runs")
    run = folder / "DrugDose-v0__ppo__1"
    first = TensorBoardLogger(run)
    first.hyperparameters({"learning_rate": 3e-4, "env_id": "a|b", "anneal": True})
    for step in (100, 200, 300):
        first.scalars(step, {"losses/entropy": step / 8, "charts/SPS": 0.5})
    first.close()
    second = TensorBoardLogger(run, resume_step=200)
    second.scalars(400, {"losses/entropy": 50.0})
    second.images(400, {"rollout_dose": write_png(folder / "dose.png", 5, 3)})
    second.table("episodes", ["episode", "reward"], [[0, 98.5]])
    second.close()
    server = TensorBoard(folder)
    yield server
    server.stop()


RUN = "DrugDose-v0__ppo__1"


def test_scalars_come_back_over_http_and_a_resumed_run_withdraws_what_followed_its_checkpoint(tensorboard):
    """TensorBoard serves the values that were logged, without step 300, which the checkpoint of step 200 never saw."""
    tensorboard.wait_for("plugin/images/images", run=RUN, tag="rollout_dose")  # the last file is loaded

    points = tensorboard.wait_for("plugin/scalars/scalars", run=RUN, tag="losses/entropy")

    assert [(step, value) for _, step, value in points] == [(100, 12.5), (200, 25.0), (400, 50.0)]
    assert all(abs(wall_time - time.time()) < 600 for wall_time, _, _ in points)
    assert set(json.loads(tensorboard.get("plugin/scalars/tags"))[RUN]) == {"losses/entropy", "charts/SPS"}


def test_settings_and_tables_come_back_as_text(tensorboard):
    """Tables arrive as HTML tables, a vertical bar in a cell included."""
    settings = tensorboard.wait_for("plugin/text/text", run=RUN, tag="hyperparameters")[0]["text"]
    episodes = tensorboard.wait_for("plugin/text/text", run=RUN, tag="episodes")[0]["text"]

    assert "<td>learning_rate</td>" in settings
    assert "<td>0.0003</td>" in settings
    assert "<td>a|b</td>" in settings
    assert "<td>98.5</td>" in episodes


def test_the_hparams_page_knows_every_setting(tensorboard):
    """The page that compares runs lists the settings by name."""
    tensorboard.wait_for("plugin/text/text", run=RUN, tag="hyperparameters")
    request = urllib.request.Request(
        f"{tensorboard.url}/data/plugin/hparams/experiment",
        data=b'{"experimentName": ""}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        experiment = json.load(reply)

    assert {info["name"] for info in experiment["hparamInfos"]} == {"learning_rate", "env_id", "anneal"}


def test_an_image_comes_back_byte_for_byte(tensorboard):
    """The PNG is served as it was logged."""
    image = tensorboard.wait_for("plugin/images/images", run=RUN, tag="rollout_dose")[0]
    served = tensorboard.get("plugin/images/individualImage", **dict(urllib.parse.parse_qsl(image["query"])))

    assert image["step"] == 400
    assert served == (tensorboard.logdir / "dose.png").read_bytes()


def test_checksums_are_castagnoli_crcs():
    """The check value of CRC-32C for the digits 1 to 9 is E3069283, rotated and offset as TFRecord wants it."""
    crc = 0xE3069283

    assert loggers._masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_an_image_that_is_no_png_is_refused(tmp_path):
    """The refusal names the file."""
    (tmp_path / "plot.png").write_bytes(b"GIF89a and more than twenty-four bytes")
    logger = TensorBoardLogger(tmp_path)

    with pytest.raises(OutputError, match=r"plot\.png is not a PNG"):
        logger.images(0, {"plot": tmp_path / "plot.png"})
    logger.close()


def test_a_line_for_each_call_with_full_precision_and_null_for_what_is_not_finite(tmp_path):
    """Every line is strict JSON; 0.1 + 0.2 keeps all its digits."""
    begun = time.monotonic()
    logger = JsonLinesLogger(tmp_path / "metrics.jsonl")
    time.sleep(0.02)
    logger.scalars(2048, {"losses/entropy": 0.1 + 0.2, "charts/episodic_return": float("nan"), "x": float("-inf")})

    # Read before the logger is closed: a line is on its way to a reader as soon as it is logged.
    (record,) = read_lines(tmp_path / "metrics.jsonl")
    # Seconds since the logger was made, to the millisecond.
    assert 0.02 <= record.pop("time_s") <= time.monotonic() - begun + 0.001
    assert record == {"step": 2048, "losses/entropy": 0.1 + 0.2, "charts/episodic_return": None, "x": None}
    assert logger.offset == logger.sync() == (tmp_path / "metrics.jsonl").stat().st_size
    logger.close()


def test_a_resumed_file_goes_on_at_the_checkpoint_without_a_trace_of_what_followed_it(tmp_path):
    """Lines after the checkpoint and a torn last line vanish; the clock of the run goes on."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "time_s": 7.5, "x": 1.0}\n')
    offset = path.stat().st_size
    with path.open("a") as file:
        file.write('{"step": 2, "time_s": 8.0, "x": 2.0}\n{"step": 3, "ti')

    logger = JsonLinesLogger(path, resume_bytes=offset)
    logger.scalars(2, {"x": 3.0})
    logger.close()

    records = read_lines(path)
    assert [(record["step"], record["x"]) for record in records] == [(1, 1.0), (2, 3.0)]
    assert 7.5 <= records[1]["time_s"] < 60.0
    assert logger.offset == path.stat().st_size


@pytest.mark.parametrize("content", [None, "", '{"step": 1, "time_s": 0.1}\n{"step"', "no metrics\n" * 9])
def test_a_file_that_is_not_the_one_of_the_checkpoint_is_refused_and_left_alone(tmp_path, content):
    """Missing, shorter, torn before the offset, or something else altogether."""
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_text(content)

    with pytest.raises(CheckpointError, match=r"metrics\.jsonl"):
        JsonLinesLogger(path, resume_bytes=33)

    assert (path.read_text() if path.exists() else None) == content


def test_an_existing_file_is_never_overwritten(tmp_path):
    """Without a checkpoint, a file that is there belongs to another run."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("precious")

    with pytest.raises(OutputError, match="never overwritten"):
        JsonLinesLogger(path)
    assert path.read_text() == "precious"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("make", [TensorBoardLogger, lambda folder: JsonLinesLogger(folder / "metrics.jsonl")])
def test_a_full_disk_is_one_clear_error_from_the_call_that_met_it(tmp_path, make):
    """The error comes in the caller's thread and names the file and the reason in one line."""
    logger = make(tmp_path)
    logger._file.close()
    with Path("/dev/full").open("wb", buffering=0) as logger._file, pytest.raises(OutputError) as caught:
        logger.scalars(1, {"x": 1.0})

    assert re.fullmatch(rf"cannot write {tmp_path}/\S+: No space left on device; .+", str(caught.value))


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    """A file where the run folder should be."""
    (tmp_path / "runs").write_text("")

    with pytest.raises(OutputError, match="runs"):
        TensorBoardLogger(tmp_path / "runs" / "x")


def test_all_loggers_get_everything_and_are_closed_even_if_one_of_them_fails(tmp_path):
    """The failure of the first does not leave the others open, and is not lost."""
    failing, last = Recorder(OutputError("full")), Recorder()
    several = Loggers([failing, JsonLinesLogger(tmp_path / "a.jsonl"), JsonLinesLogger(tmp_path / "b.jsonl"), last])
    Loggers(several._loggers[1:3]).scalars(1, {"x": 1.0})

    with pytest.raises(OutputError, match="full"):
        several.close()

    assert failing.closed
    assert last.closed
    assert read_lines(tmp_path / "a.jsonl")[0]["x"] == read_lines(tmp_path / "b.jsonl")[0]["x"] == 1.0

"""A benchmark in parts on Ray: on a cluster, or on workers of this machine. Ray is an optional extra.

Each part is a task that runs `benchmark` for a range of the patients and returns the part's file (`trials.shards`). A
worker that is killed costs the time of its part: Ray starts the part again. Parts lie in ``parts/`` of the output
folder until all are there, so that a run that was stopped takes up those that it has. Merged parts equal the whole, on
a CPU to the bit.
"""

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl_drug_dosage.errors import ConfigError, DependencyError, RlDrugDosageError
from rl_drug_dosage.trials.benchmark import Benchmark, BenchmarkOptions, benchmark
from rl_drug_dosage.trials.published_run import plan_of, planned
from rl_drug_dosage.trials.shards import Part, Shard, asked_again, joined, read_parts
from rl_drug_dosage.utils.device_shape import device_shape, shape_of, shaped
from rl_drug_dosage.utils.files import atomic_write, prepare_folder
from rl_drug_dosage.utils.progress import Progress, quiet

__all__ = ["AUTO", "benchmark_on_ray", "check", "parts_of"]

AUTO = "auto"
"""The cluster that this machine belongs to (RAY_ADDRESS, or one that runs here); otherwise workers of its own."""
_ANSWER_S = 10.0
_ATTEMPTS = 5
"""How often a part is started again after its worker has died."""
_PER_WORKER = 8
_MOST = 50_000
"""Patients of a part, which is lost as a whole if its worker dies."""
_FOLDER = "parts"
_CORES = 1
"""Of a part: as many parts run at a time as there are cores, and threads that share one hold each other up."""


def check() -> None:
    """Raise ``DependencyError`` if the extra is not installed. Imports nothing."""
    if importlib.util.find_spec("ray") is None:
        raise DependencyError.of("--ray", "Ray", "ray", "leave it out")


def parts_of(patients: int, workers: int) -> int:
    """Number of parts: a few for each worker, so that none waits long for the last; each fills a compiled call."""
    wanted = max(_PER_WORKER * workers, -(-patients // _MOST))
    return max(1, min(wanted, patients // device_shape().chunk))


def benchmark_on_ray(
    options: BenchmarkOptions, address: str, *, command: str = "", progress: Progress = quiet
) -> Benchmark:
    """`benchmark`, its patients treated by Ray's workers.

    Policies and models that are files have to lie under the same path on every node.

    Args:
        options: without ``shard``.
        address: `AUTO`, or that of a cluster, ``HOST:PORT`` or ``ray://HOST:PORT``.
        command: the command line quoted in the report.
        progress: reports each part.

    Raises:
        DependencyError: Ray is not installed, or a worker has not this package.
        ConfigError: no cluster at this address, options for a part, or a part whose workers died again and again.
        OutputError: the parts cannot be written.
        RlDrugDosageError: see `benchmark`.
    """
    check()
    if options.shard is not None:
        raise ConfigError("--ray divides the patients itself: leave --shard out")
    plan = plan_of(options)
    patients = (options if plan is None else planned(options, plan)).cohort.count
    with contextlib.ExitStack() as held:
        if options.output_dir is None:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        else:
            folder = prepare_folder(options.output_dir / _FOLDER)
        with _connected(address, progress) as workers:
            parts = _treated(options, folder, parts_of(patients, workers), progress)
        merged = joined(parts)
        found = benchmark(dataclasses.replace(options, merged=merged), command=command, progress=progress)
        if options.output_dir is not None:
            shutil.rmtree(folder, ignore_errors=True)
    return found


@contextlib.contextmanager
def _connected(address: str, progress: Progress) -> Iterator[int]:
    """Ray, and the number of its cores."""
    # Ray reports its use to its makers unless told otherwise; from here nothing leaves the machine unasked.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address != AUTO:
        _answers(address)
    import ray

    silent: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        with warnings.catch_warnings():
            # JAX warns of every fork; those of Ray run another program at once.
            warnings.simplefilter("ignore", RuntimeWarning)
            if address != AUTO:
                ray.init(address=address, **silent)
            else:
                try:
                    ray.init(address="auto", **silent)
                except ConnectionError:
                    progress("starting workers", 0.0)
                    ray.init(include_dashboard=False, **silent)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        why = str(error).strip().splitlines()[0]
        raise ConfigError(f"--ray {address}: Ray cannot be reached ({why}); give --ray auto for workers here") from None
    try:
        yield max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    """Refuse an address that does not answer; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"--ray {address!r}; allowed: auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigError(
            f"--ray {address}: no answer within {_ANSWER_S:g} s ({why}); start a cluster with `ray start --head`, or "
            "give --ray auto for workers of this machine"
        ) from None


def _treated(options: BenchmarkOptions, folder: Path, count: int, progress: Progress) -> list[Part]:
    """All parts, read while others are treated; those that lie there already are taken as they are."""
    import ray

    shards = [Shard(k, count) for k in range(1, count + 1)]
    files = {shard: folder / shard.file_name for shard in shards}
    asked = options.asked()
    parts = [part for shard in shards if (part := _there(files[shard], asked)) is not None]
    if parts:
        progress(f"{len(parts)} of {count} parts were there already", None)
    done = {part.shard for part in parts}
    todo = [shard for shard in shards if shard not in done]
    task = ray.remote(num_cpus=_CORES, max_retries=_ATTEMPTS)(_part)
    given = ray.put(dataclasses.replace(options, output_dir=None))
    running = {task.remote(given, shard.number, shard.of, str(Path.cwd())): shard for shard in todo}
    while running:
        progress(f"treating patients, {count - len(running)} of {count} parts done", 1.0 - len(running) / count)
        ready, _ = ray.wait(list(running), timeout=1.0)
        for one in ready:
            shard = running.pop(one)
            atomic_write(files[shard], _result(one, shard))
            parts += read_parts([files[shard]])
    return parts


def _there(file: Path, asked: dict[str, Any]) -> Part | None:
    """The part of this very benchmark that lies there, whole, and of what is built in: a file may have changed."""
    try:
        (part,) = read_parts([file])
        asked_again(part, {})
    except RlDrugDosageError:
        return None
    return part if part.asked == asked else None


def _result(one: Any, shard: Shard) -> bytes:
    """What a part's task returned."""
    import ray

    try:
        found: bytes = ray.get(one)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RlDrugDosageError):
            raise error.cause from None
        raise ConfigError(f"part {shard.number}/{shard.of} failed: {str(error.cause).splitlines()[0]}") from error
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise ConfigError(
            f"part {shard.number}/{shard.of}: its worker died {_ATTEMPTS + 1} times ({type(error).__name__}); give the "
            "workers more memory, and run the same command again: the parts that are done are kept"
        ) from None
    except ray.exceptions.RaySystemError as error:
        if "rl_drug_dosage" in str(error):
            raise DependencyError(
                "a worker has no rl_drug_dosage, or another version: install this version on every node of the cluster"
            ) from None
        raise
    return found


def _part(options: BenchmarkOptions, number: int, of: int, folder: str) -> bytes:
    """On a worker: the file of one part."""
    from rl_drug_dosage.utils.runtime import configure

    # What XLA takes for the machine's cores. With two threads in each of two workers a part takes 15 to 20 % longer.
    os.environ["NPROC"] = str(_CORES)
    configure("cpu")
    if Path(folder).is_dir():
        os.chdir(folder)  # where names of files begin
    with shaped(shape_of("cpu", cores=_CORES)), tempfile.TemporaryDirectory() as place:
        (file,) = benchmark(dataclasses.replace(options, shard=Shard(number, of), output_dir=Path(place))).files
        return file.read_bytes()

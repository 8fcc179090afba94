"""More patients than one process holds: Ray's workers beside one process, and the memory of many patients."""

import filecmp
import json
import os
from collections.abc import Iterator
from pathlib import Path

from bench_tools import Bench, Child, Row, seconds

__all__ = ["ray", "stream"]

MANY, MOST = 100_000, 10_000_000
LIMIT_GIB = 3.0


def ray(bench: Bench) -> Iterator[Row]:
    """100,000 patients dosed by MAP: two workers, and one process with one core and with all."""
    cores = sorted(os.sched_getaffinity(0))
    cache = bench.cache()
    ways = {
        "one process, one core": ("taskset", "--cpu-list", str(cores[0])),
        "one process, all cores": (),
        "Ray, two workers": (),
    }
    found: dict[str, tuple[Child, Path]] = {}
    for way, before in ways.items():
        out = bench.folder / f"ray-{len(found)}"
        more = ("--ray", "auto") if way.startswith("Ray") else ()
        arguments = ("benchmark", "--scenario", "vancomycin", "--policy", "mipd", "--format", "parquet")
        # What is compiled is compiled before: the patients are what is measured.
        bench.cli(*arguments, "--patients", "500", f"--output-dir={out}", cache=cache, before=before)
        run = bench.cli(*arguments, f"--patients={MANY}", f"--output-dir={out}", *more, cache=cache, before=before)
        found[way] = run, out
        yield seconds(f"{MANY:,} x mipd, {way}", [run.wall_s], None, f"CPU {run.cpu_s:.0f} s of the process itself")
    one, every, two = (found[way] for way in ways)
    same = filecmp.cmp(every[1] / "patients.parquet", two[1] / "patients.parquet", shallow=False)
    yield Row("patients of Ray and of one process", "equal" if same else "differ", "equal bits", same, "the tables")
    for name, other, limit in (("one core", one, 1.7), ("all cores", every, None)):
        ratio = other[0].wall_s / two[0].wall_s
        bar, passed = (f">= {limit} x", ratio >= limit) if limit is not None else ("", None)
        what = f"two workers against one process with {name}"
        yield Row(what, f"{ratio:.2f} x", bar, passed, "wall clock of the whole commands", (ratio,))


def stream(bench: Bench) -> Iterator[Row]:
    """Ten million patients with the label's dose, written as they come."""
    out = bench.folder / "stream"
    arguments = ("benchmark", "--scenario", "vancomycin", "--policy", "label", "--format", "parquet")
    child = bench.cli(*arguments, f"--patients={MOST}", f"--output-dir={out}", cache=bench.warm)
    count = json.loads((out / "benchmark.json").read_text())["settings"]["patients"]
    peak = child.peak_mib / 1024
    how = f"largest resident set (ru_maxrss); {child.wall_s:.0f} s, {child.cpu_s:.0f} s CPU"
    yield Row(f"{count:,} x label, memory", f"{peak:.2f} GiB", f"< {LIMIT_GIB:g} GiB", peak < LIMIT_GIB, how, (peak,))

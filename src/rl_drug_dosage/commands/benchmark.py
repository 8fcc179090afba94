"""``rl-drug-dosage benchmark``."""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._benchmark_tables import show_benchmark
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command"]

_DEFAULT = defaults_of(api.benchmark)


def command(  # noqa: PLR0917 - the options of a command line
    scenario: Annotated[
        str | None, typer.Option(help="The dosing task: a name (`info --scenarios`) or a file.", show_default=False)
    ] = _DEFAULT["scenario"],
    published: Annotated[
        str | None,
        typer.Option(
            help="Beside a published trial (`info --published-trials`): its task, drug models, policies and cohort are "
            "the defaults.",
            show_default=False,
        ),
    ] = _DEFAULT["published"],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]POLICY[,OPTION=VALUE...]",
            help="A policy (`info --policies`), a model file or a run folder (repeatable). Default: all that fit, or "
            "those of the published trial.",
            show_default=False,
        ),
    ] = None,
    patients: Annotated[
        int | None,
        typer.Option(
            help="Virtual patients, the same for every policy.", show_default="1000, or those of the published trial"
        ),
    ] = _DEFAULT["patients"],
    seed: Annotated[int, typer.Option(help="Random seed; patients are disjoint from training and tuning.")] = _DEFAULT[
        "seed"
    ],
    simulator: Annotated[
        str | None,
        typer.Option(
            help="Drug model that simulates the patients: a name or a file.", show_default="the scenario's first"
        ),
    ] = _DEFAULT["simulator"],
    controller: Annotated[
        str | None,
        typer.Option(help="Drug model that policies assume: a name or a file.", show_default="the scenario's first"),
    ] = _DEFAULT["controller"],
    mismatch: Annotated[
        bool, typer.Option("--mismatch", help="Also run every simulator against every controller.")
    ] = _DEFAULT["mismatch"],
    stress: Annotated[
        list[str] | None, typer.Option(help="A stress setting (repeatable), or `all`.", show_default=False)
    ] = None,
    decisions: Annotated[
        int, typer.Option(help="Decisions per course.", show_default="the scenario's default")
    ] = _DEFAULT["decisions"],
    shield: Annotated[
        bool, typer.Option("--shield", help="Also run every policy behind the safety shield.")
    ] = _DEFAULT["shield"],
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Include models whose scenario file has changed since training.")
    ] = _DEFAULT["accept_changed"],
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Treat the K-th of N parts of the patients only, and write it for `merge` in place of the report.",
            show_default=False,
        ),
    ] = _DEFAULT["shard"],
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="auto|ADDRESS",
            help="Divide the patients among the workers of a Ray cluster, or of this machine (needs the extra `ray`).",
            show_default=False,
        ),
    ] = _DEFAULT["ray"],
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for report and tables.", show_default="benchmark-SCENARIO or benchmark-PUBLISHED"),
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="The patients' table: csv or parquet (needs pyarrow).")
    ] = _DEFAULT["file_format"],
    minari: Annotated[
        str,
        typer.Option(
            help="Write this policy's courses as a Minari dataset (needs the extra `minari`).", show_default=False
        ),
    ] = "",
    profile: Annotated[
        bool, typer.Option("--profile", help="Say how long tracing, compiling, running and the report took.")
    ] = False,
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = _DEFAULT["device"],
) -> None:
    """Compare dosing policies on the same virtual patients, and write a report.

    Example: rl-drug-dosage benchmark --scenario vancomycin --patients 1000
    """
    begin = time.perf_counter()
    from rl_drug_dosage.utils.progress import printed
    from rl_drug_dosage.utils.runtime import configure

    configure(device)

    from rl_drug_dosage.errors import ConfigError
    from rl_drug_dosage.registry import PUBLISHED, find, find_scenario

    if minari and (published is not None or shard is not None):
        other = "published" if published is not None else "shard"
        raise ConfigError(f"--minari writes the courses of a scenario's own run: leave --minari or --{other} out")
    if minari:
        from rl_drug_dosage.trials import minari_export

        minari_export.check()
    if minari and scenario is not None:
        from rl_drug_dosage.trials.setting import setting_for

        setting = setting_for(find_scenario(scenario), simulator, controller)
        minari_export.check_policy(minari, setting, policy or (), shield=shield)
    folder = output_dir
    if folder is None and published is not None:
        folder = Path(f"benchmark-{find(PUBLISHED, published).name}")
    if folder is None and scenario is not None:
        folder = Path(f"benchmark-{find_scenario(scenario).name}")
    with printed() as progress:
        result = api.benchmark(
            scenario,
            published=published,
            policies=policy or (),
            patients=patients,
            seed=seed,
            simulator=simulator,
            controller=controller,
            mismatch=mismatch,
            stress=stress or (),
            shield=shield,
            decisions=decisions,
            accept_changed=accept_changed,
            shard=shard,
            ray=ray,
            output_dir=folder,
            file_format=file_format,
            command=shlex.join(["rl-drug-dosage", *sys.argv[1:]]),
            device=device,
            progress=progress,
        )
    if shard is None:
        show_benchmark(result.record)
    if profile:
        _show_profile(result.record["timing"], time.perf_counter() - begin)
    for path in result.files:
        say(path)
    if minari and folder is not None:
        say(minari_export.export(result, minari, folder))


def _show_profile(timing: "Mapping[str, Any]", all_s: float) -> None:
    from rich.console import Console

    from rl_drug_dosage.utils.tables import Column, show_table

    console, parts = Console(), ("trace_s", "compile_s", "run_s")
    rows = [
        (name, *(f"{own[part]:.2f}" for part in parts), "yes" if own["traced_before"] else "no")
        for name, own in timing["policies"].items()
    ]
    show_table(
        [Column("policy", "name", key=True), *map(Column, ("tracing", "compiling", "running", "traced before"))],
        rows,
        title="seconds; policies are prepared side by side, one on each core",
        console=console,
    )
    rest = f"statistics {timing['statistics_s']:.2f} s; trials {timing['total_s']:.2f} s; with imports and report"
    console.print(f"{rest} {all_s:.2f} s", markup=False, highlight=False)

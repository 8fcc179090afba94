"""``rl-drug-dosage export``."""

from pathlib import Path
from typing import Annotated

import typer

from rl_drug_dosage.utils.printable import say

__all__ = ["command"]


def command(
    model_path: Annotated[Path, typer.Option(help="The model file, or a run folder.", show_default=False)],
    output: Annotated[Path, typer.Option(help="The file to write, *.onnx.", show_default=False)],
) -> None:
    """Write a trained policy as an ONNX file, for any runtime: observation (and memory) in, action (and memory) out.

    The file can be benchmarked like any policy: `benchmark --policy x.onnx`. Needs the extra `onnx`.

    Example: rl-drug-dosage export --model-path models/warfarin.pt --output warfarin.onnx
    """
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.trials.export import export_onnx

    say(export_onnx(model_path, output))

"""Options of the commands that read a table of doses and levels."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "Interpolation", "PreDoseLevel", "PriorWeight"]

Data = Annotated[Path, typer.Option(help="NONMEM-style CSV file of doses and levels.", show_default=False)]
Interpolation = Annotated[
    str, typer.Option(help="How covariates are carried between records: nocb (backward) or locf (forward).")
]
PriorWeight = Annotated[
    float, typer.Option(help="Weight of the prior: below 1 the levels count for more (omega is divided by it).")
]
PreDoseLevel = Annotated[
    str, typer.Option(help="A level above 0 before any dose: ignore it, start from it, or refuse it.")
]

"""``rl-drug-dosage import``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.readers.importing import ImportedModel

__all__ = ["command"]


def command(
    file: Annotated[
        Path, typer.Argument(help="rxode2/nlmixr2 .R, NONMEM .mod or .ctl, PKPDsim .json5, SBML .xml.", metavar="FILE")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the model as this drug file, *.py.", show_default="show it")
    ] = None,
) -> None:
    """Read a model that somebody else wrote: show what it says and what it lacks, or write it as a drug file.

    Such a file is also a drug by itself: `simulate --drug FILE`. Nothing in it is run. What it does not say (units, a
    typical patient) is read from NAME.toml beside it.

    Example: rl-drug-dosage import model.R --out mine.py
    """
    found = api.import_model(file, out)
    if found.path is not None:
        say(found.path)
        return
    _show(found)


def _show(found: "ImportedModel") -> None:
    """Name, compartments, numbers, random effects, covariates, outputs, and what is missing."""
    from rl_drug_dosage.utils.tables import Column, show_table

    written = found.written
    say(f"{written.name}: {written.format} model, {written.path}", bold=True)
    for fact, text in written.facts.items():
        say(f"{fact}: {' '.join(text.split())}")
    say(f"compartments: {', '.join(written.compartments) or 'none'}")
    say(f"units: {', '.join(f'{name} {unit}' for name, unit in written.units.items()) or 'not stated'}")
    heads = [Column("number", "name", key=True), Column("value"), Column("unit", "name"), Column("line")]
    rows = [
        (n.name, f"{n.value:.7g}", n.unit, str(n.line), f"{n.label} (fixed)" if n.fixed else n.label)
        for n in written.thetas
    ]
    show_table([*heads, Column("label", "words")], rows)
    if written.etas or written.occasion_etas:
        show_table(
            [Column("random effect", "name", key=True), Column("variance"), Column("line"), Column("acts on", "words")],
            list(_effects(found)),
        )
    if written.covariates:
        show_table(
            [
                Column("covariate", "name", key=True),
                Column("unit", "name"),
                Column("centred at"),
                Column("meaning", "words"),
            ],
            [
                (c.name, c.unit, "" if c.reference is None else f"{c.reference:g}", c.meaning)
                for c in written.covariates
            ],
        )
    for output in written.outputs:
        error = "no residual error" if output.error is None else f"{output.error.kind} residual error"
        say(f"output {output.name}, line {output.line}: {error}")
    for remark in written.remarks:
        say(f"remark: {remark}")
    if found.model is not None:
        kind = type(found.model.structure).__name__
        say(f"complete: `simulate --drug {written.path}` runs it ({kind}), `import --out mine.py` writes it")
        return
    say(f"lacking, for {Path(written.path).with_suffix('.toml').name} beside it:")
    for line in found.lacking:
        say(line)


def _effects(found: "ImportedModel") -> Iterator[tuple[str, str, str, str]]:
    """Each random effect, with the parameter and form that the model has for it."""
    written, model = found.written, found.model
    groups = ((written.etas, "", model.etas if model else ()),
              (written.occasion_etas, ", each occasion anew", model.occasion_etas if model else ()))  # fmt: skip
    for group, words, made in groups:
        left = list(made)
        for eta in group:
            # The model has them in the same order, but without those that are always 0.
            own = left.pop(0) if left and left[0].size.value == eta.value else None
            acts = "" if own is None else f"{own.parameter}, {own.form}"
            yield eta.name, f"{eta.value:.6g}", str(eta.line), f"{acts}{words}".removeprefix(", ")

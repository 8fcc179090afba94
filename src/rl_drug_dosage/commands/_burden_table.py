"""The table of changes of dose below that of a benchmark, and below the episodes of ``evaluate``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.utils.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_burden"]


def show_burden(console: "Console", record: Mapping[str, Any]) -> None:
    """Print the burden of every policy: median over patients, and the mean in brackets."""
    from rl_drug_dosage.utils.burden_words import BURDEN_WORDS, steady_words
    from rl_drug_dosage.utils.tables import Column, show_table

    rows = [
        (row["policy"], *(f"{own['median']:.1f} ({own['mean']:.1f})" for own in map(row["burden"].get, BURDEN_WORDS)))
        for row in record["policies"]
    ]
    show_table(
        [Column("policy", "name", key=True), *(Column(heading) for heading, _ in BURDEN_WORDS.values())],
        rows,
        title="changes of dose per patient: median (mean)",
        console=console,
    )
    console.print(printable(steady_words(record["scenario"])), markup=False, highlight=False)

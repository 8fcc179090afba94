"""The tables of a benchmark on the terminal, for the commands that run or merge one."""

from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.commands._burden_table import show_burden
from rl_drug_dosage.commands._published_table import show_published
from rl_drug_dosage.utils.printable import printable

__all__ = ["show_benchmark"]


def show_benchmark(record: Mapping[str, Any]) -> None:
    """Print the tables of a benchmark."""
    from rich.console import Console

    from rl_drug_dosage.utils.tables import Column, show_table

    console, settings = Console(), record["settings"]
    harms = [h["name"] for h in record["scenario"]["harms"]]
    numbers = ["in target (%)", "95 % interval", "worst 5 %", "under", "over", "changes", "dropouts"]
    numbers += [f"{name} (% of patients)" for name in harms]
    rows = []
    for row in record["policies"]:
        share = row["attainment_pct"]
        rows.append(
            (
                str(row["rank"]),
                row["policy"],
                f"{share['mean']:.1f}",
                f"{share['low']:.1f} to {share['high']:.1f}",
                f"{row['worst_5_pct']:.1f}",
                f"{row['under_pct']:.1f}",
                f"{row['over_pct']:.1f}",
                f"{row['dose_changes']:.1f}",
                str(row["dropouts"]),
                *(f"{row['harms'][name]['patients_pct']:.1f}" for name in harms),
            )
        )
    show_table(
        [Column("", key=True), Column("policy", "name", key=True), *map(Column, numbers)],
        rows,
        title=f"{record['scenario']['title']}: {settings['patients']:,} patients, seed {settings['seed']}",
        console=console,
    )
    console.print(f"primary endpoint: {printable(record['scenario']['goal'])}", markup=False)
    reference = settings["reference"]
    for pair in record["paired"]:
        if reference not in {pair["policy"], pair["against"]}:
            continue
        sign = 1.0 if pair["against"] == reference else -1.0
        low, high = sorted((sign * pair["low"], sign * pair["high"]))
        other = pair["policy"] if pair["against"] == reference else pair["against"]
        points = f"{sign * pair['mean']:+.2f} points ({low:+.2f} to {high:+.2f})"
        console.print(f"{printable(other)} - {printable(reference)}: {points}", markup=False)
    show_burden(console, record)
    if "published" in record:
        show_published(console, record["published"])
    _show_mismatch(console, record)
    for stress in record.get("stress", []):
        shares = ", ".join(f"{r['policy']} {r['attainment_pct']['mean']:.1f}" for r in stress["policies"])
        console.print(printable(f"{stress['name']}: {shares}"), markup=False)


def _show_mismatch(console: Any, record: Mapping[str, Any]) -> None:
    if "mismatch" not in record:
        return
    from string import ascii_uppercase

    from rl_drug_dosage.utils.tables import Column, show_table

    cells = record["mismatch"]["cells"]
    models = list(dict.fromkeys(c[side] for side in ("simulator", "controller") for c in cells))
    letter = {m: ascii_uppercase[i] if i < len(ascii_uppercase) else str(i + 1) for i, m in enumerate(models)}
    pairs = list(dict.fromkeys((c["simulator"], c["controller"]) for c in cells))
    rows = []
    for name in dict.fromkeys(c["policy"] for c in cells):
        own = {(c["simulator"], c["controller"]): c["attainment_pct"]["mean"] for c in cells if c["policy"] == name}
        rows.append((name, *(f"{own[pair]:.1f}" if pair in own else "-" for pair in pairs)))
    show_table(
        [Column("policy", "name", key=True), *(Column(f"{letter[s]}/{letter[c]}") for s, c in pairs)],
        rows,
        title="in target (%): patients simulated with the first model, controller assumes the second",
        console=console,
    )
    for model in models:
        only = ", a test-only model" if model in record["mismatch"].get("test_only", []) else ""
        console.print(printable(f"{letter[model]}: {model}{only}"), markup=False, highlight=False, soft_wrap=True)

"""An explanation as text: the printable table (Markdown and CSV), its fidelity, and a summary."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rl_drug_dosage.explain.additions_text import additions_markdown, additions_sentences
from rl_drug_dosage.explain.bands import MISSING
from rl_drug_dosage.explain.explanation import PPO, TABLE, Explanation
from rl_drug_dosage.explain.measures import Fidelity
from rl_drug_dosage.explain.probe import LAST_DOSE, LEVEL, Variable
from rl_drug_dosage.explain.table import FEWEST, Page
from rl_drug_dosage.utils.csv_text import csv_text

__all__ = ["INTENDED_USE", "band_label", "doses_text", "explain_csv", "explain_markdown", "summary", "table_rows"]

INTENDED_USE = "Research and education only; not for treating patients."
_FEW = 12
_UNUSED_PCT = 0.05
_LOSS = 5.0
"""Loss of attainment, in points, from which a table is called worse than its policy."""


def doses_text(decisions: Sequence[int]) -> str:
    """``dose 1``, ``doses 3 and 5-7``; decisions are counted from 1 here."""
    runs: list[list[int]] = []
    for k in sorted(decisions):
        if runs and k == runs[-1][-1] + 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    parts = [f"{r[0] + 1}" if len(r) == 1 else f"{r[0] + 1}-{r[-1] + 1}" for r in runs]
    text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{'dose' if len(decisions) == 1 else 'doses'} {text}"


def band_label(edges: np.ndarray, band: int, values: np.ndarray) -> str:
    """The label of a band: its values if the variable has few, otherwise its edges."""
    if band == MISSING:
        return "none yet"
    low = edges[band - 2] if band >= 2 else -np.inf
    high = edges[band - 1] if band - 1 < len(edges) else np.inf
    if len(values) <= _FEW:
        return ", ".join(f"{v:g}" for v in values if low <= v < high)
    if not np.isfinite(low) and not np.isfinite(high):
        return "any"
    if not np.isfinite(low):
        return f"< {high:g}"
    return f">= {low:g}" if not np.isfinite(high) else f"{low:g} to < {high:g}"


def _values(result: Explanation, page: Page, variable: int) -> np.ndarray:
    """The values of a variable in a page's decisions."""
    column = result.probe.seen[:, list(page.decisions), variable][result.probe.alive[:, list(page.decisions)]]
    return np.unique(column[np.isfinite(column)])


def _shown(counts: np.ndarray, axis: int) -> list[int]:
    """Bands to print: all, but the band of missing values only if it occurs."""
    met = counts.sum(1 - axis)[MISSING] > 0
    return list(range(MISSING if met else MISSING + 1, counts.shape[axis]))


def _cell(page: Page, row: int, column: int) -> str:
    value = page.cells[row, column]
    text = f"{value:g}"
    if page.change:
        text = "skip" if value <= -100 else f"{value:+.0f} %" if value else "keep"
    return f"({text})" if page.counts[row, column] < FEWEST else text


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _page_markdown(result: Explanation, page: Page) -> Iterator[str]:
    names, unit = result.names, result.scenario.dosage.unit
    row, column = names[page.row], names[page.column]
    title = doses_text(page.decisions)
    kind = "change of the last dose above 0" if page.change else unit
    yield f"### {title[0].upper()}{title[1:]}: {kind}\n"
    rows, columns = _shown(page.counts, 0), _shown(page.counts, 1)
    values = _values(result, page, page.column)
    if len(columns) == 1 or row is column:
        columns, heads = columns[:1], ["dose" if not page.change else "change"]
    else:
        heads = [band_label(page.column_edges, j, values) for j in columns]
        yield f"Down: {row.axis}. Across: {column.axis}.\n"
    yield _markdown_row([row.axis if len(columns) == 1 else "", *heads])
    yield _markdown_row(["---", *["---:"] * len(heads)])
    values = _values(result, page, page.row)
    for i in rows:
        label = band_label(page.row_edges, i, values)
        yield _markdown_row([f"**{label}**", *(_cell(page, i, j) for j in columns)])
    yield ""


def _meanings(result: Explanation) -> list[str]:
    """Notes on covariates of the table, such as the meaning of a code."""
    used = {result.names[i].name for page in result.pages for i in (page.row, page.column)}
    labels = {v.name: v.label for v in result.names}
    noted = [c for c in result.scenario.covariates if c.name in used and c.meaning != labels[c.name]]
    return ["Notes:\n", *(f"- {c.meaning}" for c in noted), ""] if noted else []


def explain_markdown(result: Explanation, figures: Sequence[tuple[str, str]]) -> str:
    """``explain.md``.

    Args:
        result: from `explain.explain`.
        figures: (file, caption) of the figures next to it.
    """
    scenario, options, setting = result.scenario, result.options, result.setting
    amounts, unit = scenario.dosage.amounts, scenario.dosage.unit
    who = (
        f"{options.model_path.name}, {result.env_id}; {options.patients:,} virtual patients (seed {options.seed}) "
        f"simulated from {setting.simulator.name}; `mipd` assumes {setting.controller.name}. All policies are compared "
        f"on the same records, those of patients treated by the PPO policy: {', '.join(result.answered)}.\n"
    )
    how = (
        f"Distilled from the policy's decisions. Amounts are {amounts[0]:g} to {amounts[-1]:g} {unit}: round to "
        f"the nearest amount. A change refers to the last dose above 0, or to {scenario.dosage.usual:g} {unit} if "
        "there was none; `skip` means no dose. If a level is missing and there is no row for it, a page of changes "
        "keeps the last dose and a page of doses gives its median. "
        f"Brackets: fewer than {FEWEST} decisions; the value is that of the nearest cell in the row.\n"
    )
    lines = [f"# How a learnt policy doses: {scenario.title}\n", f"**{INTENDED_USE}**\n", who, "## In short\n"]
    lines += [f"- {sentence}" for sentence in summary(result)]
    if result.additions is not None:
        lines += ["", *additions_markdown(result.additions, options.patients)]
    lines += ["\n## The table\n", how]
    for page in result.pages:
        lines += _page_markdown(result, page)
    lines += [*_meanings(result), *_trust(result)]
    lines.append("\n## Figures\n")
    lines += [f"![{caption}]({name})\n\n{caption}\n" for name, caption in figures]
    return "\n".join(lines)


def _trust(result: Explanation) -> Iterator[str]:
    unit, n = result.scenario.dosage.unit, result.options.patients
    yield "## Fidelity of the table\n"
    yield f"On {n:,} new patients, treated by the policy:\n"
    yield f"| | decisions | same dose (%) | within one step or 10 % (%) | mean difference ({unit}) | R² |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, f in zip(("all doses", "first dose", "later doses"), result.fidelity, strict=True):
        yield _fidelity_row(name, f)
    yield f"\nWith these {n:,} patients dosed by the table: {result.scenario.goal.title}\n"
    yield "| policy | target attainment (%) | 95 % interval | table minus policy (points) |"
    yield "|---|---:|---:|---:|"
    for name, (mean, low, high) in sorted(result.attainment.items(), key=lambda a: -a[1][0]):
        minus = ""
        if name in result.difference:
            d, d_low, d_high = result.difference[name]
            minus = f"{d:+.1f} ({d_low:+.1f} to {d_high:+.1f})"
        yield f"| {name} | {mean:.1f} | {low:.1f} to {high:.1f} | {minus} |"


def _fidelity_row(name: str, f: Fidelity) -> str:
    if not f.decisions:
        return f"| {name} | 0 | | | | |"
    return f"| {name} | {f.decisions:,} | {f.same_pct:.1f} | {f.near_pct:.1f} | {f.mean_error:.3g} | {f.r2:.3f} |"


def summary(result: Explanation) -> list[str]:
    """A summary in plain sentences, each computed from the result."""
    probe, scenario = result.probe, result.scenario
    unit = scenario.dosage.unit
    first = []
    for i, name in enumerate(result.answered):
        low, middle, high = np.percentile(probe.doses[:, 0, i], (25, 50, 75))
        first.append(f"{name} {middle:g} {unit} ({low:g} to {high:g})")
    found = [f"First dose, median and interquartile range: {'; '.join(first)}."]
    found += _goes_by(result)
    found += [s for page in result.pages[1:] if (s := _by_level(result, page))]
    found += [_against(result, i, name) for i, name in enumerate(result.answered) if i]
    if result.additions is not None:
        found += additions_sentences(result.additions, unit)
    overall = result.fidelity[0]
    found.append(
        f"The table gives the policy's dose in {overall.same_pct:.0f} % of decisions, and a dose within one step or "
        f"10 % of it in {overall.near_pct:.0f} %."
    )
    mean, ppo = result.attainment[TABLE][0], result.attainment[PPO][0]
    rest = ", ".join(f"{n} {v[0]:.1f} %" for n, v in result.attainment.items() if n != TABLE)
    found.append(f"Target attainment with the table is {mean:.1f} % ({rest}).")
    if ppo - mean > _LOSS:
        found.append(
            f"The table loses {ppo - mean:.1f} points against its policy: it describes the policy, and is not "
            "a substitute for it."
        )
    return found


def _goes_by(result: Explanation) -> Iterator[str]:
    first = [(name, share) for name, share, _ in result.importance]
    later = [(name, share) for name, _, share in result.importance]
    for words, shares in (("The first dose depends on", first), ("Later doses depend on", later)):
        rows = sorted(shares, key=lambda r: -r[1])
        used = [f"{name} ({share:.0f} %)" for name, share in rows if share >= 1.0][:3]
        if used:
            yield (
                f"{words} {', then '.join(used)}: the mean change of the dose "
                "if this input is taken from another patient."
            )
    unused = [r[0] for r in result.importance if max(r[1], r[2]) < _UNUSED_PCT]
    if unused:
        yield f"No influence: {', '.join(unused)} (not used, or the same in all patients)."


def _by_level(result: Explanation, page: Page) -> str:
    """Lowest and highest third of levels compared, and whether the direction is pharmacologically plausible."""
    index = {v.name: i for i, v in enumerate(result.names)}
    at = list(page.decisions)
    seen = result.probe.seen[:, at][result.probe.alive[:, at]]
    share = 100.0 * result.probe.doses[:, at, 0][result.probe.alive[:, at]] / seen[:, index[LAST_DOSE]]
    level = seen[:, index[LEVEL]]
    known = np.isfinite(level)
    if known.sum() < 30:
        return ""
    low, high = np.percentile(level[known], (100 / 3, 200 / 3))
    some, many = (float(np.median(share[known & who])) for who in (level <= low, level >= high))
    name = result.names[index[LEVEL]]
    text = (
        f"{doses_text(page.decisions)}: {some:.0f} % of the last dose (median) in the third of decisions with the "
        f"lowest {name.label}, {many:.0f} % in the third with the highest."
    )
    lowers = result.scenario.shield.lowers
    wrong = many < some if lowers else many > some
    if wrong and abs(many - some) >= 5.0:
        text += " This is the opposite of what one would expect: check the curves, and what else differs between them."
    return text[0].upper() + text[1:]


def _against(result: Explanation, policy: int, name: str) -> str:
    probe, grid = result.probe, result.scenario.dosage.grid()
    ours, theirs = probe.doses[..., 0][probe.alive], probe.doses[..., policy][probe.alive]
    steps = [np.searchsorted(grid, d - 1e-4) for d in (ours, theirs)]
    near = (np.abs(steps[0] - steps[1]) <= 1) | (np.abs(ours - theirs) <= 0.1 * theirs)
    more, less = ((ours > theirs) & ~near).mean(), ((ours < theirs) & ~near).mean()
    return (
        f"On the same records it agrees with {name} within one step or 10 % in {100 * near.mean():.0f} % of decisions, "
        f"and gives more in {100 * more:.0f} % and less in {100 * less:.0f} %."
    )


def explain_csv(result: Explanation) -> str:
    """``explain.csv``: one row per cell; an empty edge means no limit."""
    header, *rows = table_rows(result)
    return csv_text(header, rows)


def table_rows(result: Explanation) -> Iterator[list[Any]]:
    """The table as rows, the names of the columns first."""
    sides = [f"{side}{part}" for side in ("row", "column") for part in ("", "_from", "_to")]
    yield ["page", "doses", "kind", "unit", *sides, "value", "decisions_seen"]
    for number, page in enumerate(result.pages, start=1):
        kind, unit = ("change", "%") if page.change else ("dose", result.scenario.dosage.unit)
        doses = " ".join(str(k + 1) for k in page.decisions)
        for i in _shown(page.counts, 0):
            for j in _shown(page.counts, 1):
                left = _edges(result.names[page.row], page.row_edges, i)
                top = _edges(result.names[page.column], page.column_edges, j)
                yield [number, doses, kind, unit, *left, *top, f"{page.cells[i, j]:g}", page.counts[i, j]]


def _edges(variable: Variable, edges: np.ndarray, band: int) -> list[str]:
    if band == MISSING:
        return [variable.name, "missing", "missing"]
    low = f"{edges[band - 2]:g}" if band >= 2 else ""
    high = f"{edges[band - 1]:g}" if band - 1 < len(edges) else ""
    return [variable.name, low, high]

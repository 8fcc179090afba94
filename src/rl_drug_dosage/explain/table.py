"""A dosing table distilled from a policy: pages with a few bands that a person can read, and the table as a policy.

A page covers some decisions and has two variables of the record, in bands. A cell contains a dose, or a percent change
of the last dose above 0. The first decision has its own page, by covariates. Later decisions are grouped (`phases`)
and use the latest level and the most informative second variable.

A cell is the median of its decisions, rounded to 5 % or to the dose grid; `explain.bands` chooses the bands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.explain.bands import MISSING, MOST_COLUMNS, MOST_ROWS, Sums, band_of, left
from rl_drug_dosage.explain.probe import LAST_DOSE, LEVEL, Variable, fresh_results, seen_of

__all__ = ["FEWEST", "Page", "TablePolicy", "Taught", "distil", "phases", "policy_of"]

_MOST_PHASES = 4
_PHASE_GAIN = 0.02
"""Fraction of the squared error of all later decisions that another phase must remove."""
FEWEST = 5
"""Minimum number of decisions in a cell; with fewer it takes the value of the nearest cell in its row."""
_STEP_PCT = 5.0
_EASIER = 1.1
"""Changes are easier to read: a page of doses must have this much less error, and may have this much more"""
_STEEP_PCT = 200.0
"""if a change is above this, which is not read as a change."""


@dataclass(frozen=True)
class Taught:
    """Decisions to distil.

    Args:
        seen: the records, see `explain.probe.variables`.
        dose: dose of the policy.
        decision: index of the decision.
    """

    seen: Float[np.ndarray, "n variable"]
    dose: Float[np.ndarray, " n"]
    decision: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Page:
    """One rectangle of the table. Band 0 is `MISSING`; band b contains edge b-2 <= value < edge b-1.

    Args:
        decisions: the decisions it covers, from 0.
        row, column: index of the variable.
        row_edges, column_edges: edges of the bands, ascending.
        cells: dose in the dosage's unit, or change of the last dose above 0 in %.
        counts: number of decisions behind each cell.
        change: whether cells are changes.
    """

    decisions: tuple[int, ...]
    row: int
    column: int
    row_edges: Float[np.ndarray, " row_edge"]
    column_edges: Float[np.ndarray, " column_edge"]
    cells: Float[np.ndarray, "row column"]
    counts: Int[np.ndarray, "row column"]
    change: bool


def _weight(scenario: Scenario, dose: np.ndarray) -> np.ndarray:
    """Errors count relative to the dose, down to a quarter of the usual dose: 250 mg is much for a dose of 500 mg."""
    return np.asarray(1.0 / np.maximum(dose, 0.25 * scenario.dosage.usual) ** 2)


def _page(
    scenario: Scenario,
    taught: Taught,
    decisions: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    base: int | None,
) -> Page:
    """The best page over pairs of variables, with doses, or with changes of the variable ``base`` if these fit well."""
    at = np.isin(taught.decision, decisions)
    part = Taught(taught.seen[at], taught.dose[at], taught.decision[at])
    doses_error, doses = _best_pair(scenario, part, decisions, pairs, None)
    if base is None:
        return doses
    error, changes = _best_pair(scenario, part, decisions, pairs, base)
    steep = float(changes.cells[changes.counts >= FEWEST].max(initial=0.0)) > _STEEP_PCT
    return changes if error * (_EASIER if steep else 1.0 / _EASIER) <= doses_error else doses


def _best_pair(
    scenario: Scenario, taught: Taught, decisions: Sequence[int], pairs: Sequence[tuple[int, int]], base: int | None
) -> tuple[float, Page]:
    """The remaining error and the page of one kind."""
    dose = taught.dose.astype(np.float64)
    b = np.ones_like(dose) if base is None else taught.seen[:, base].astype(np.float64)
    found = []
    for i, j in pairs:
        sums = Sums(taught.seen[:, i], taught.seen[:, j], dose, b, _weight(scenario, dose))
        error, cuts = sums.fit()
        found.append((error, i, j, [places[cut] for places, cut in zip(sums.places, cuts, strict=True)]))
    error, i, j, edges = min(found, key=lambda f: f[:3])
    bands = [band_of(taught.seen[:, v], e) for v, e in zip((i, j), edges, strict=True)]
    shape = (len(edges[0]) + 2, len(edges[1]) + 2)
    cells, counts = _cells(scenario, bands[0], bands[1], shape, dose / b, base is not None)
    page = Page(tuple(int(k) for k in decisions), i, j, edges[0], edges[1], cells, counts, base is not None)
    return error, page


def _cells(
    scenario: Scenario,
    rows: np.ndarray,
    columns: np.ndarray,
    shape: tuple[int, int],
    ratio: np.ndarray,
    change: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Medians; a cell with few decisions takes that of the nearest cell in its row, a row with few that of the page."""
    counts = np.bincount(np.ravel_multi_index((rows, columns), shape), minlength=shape[0] * shape[1]).reshape(shape)
    cells = np.full(shape, np.median(ratio) if len(ratio) else (1.0 if change else scenario.dosage.usual))
    for i in range(shape[0]):
        if counts[i].sum() >= FEWEST:
            cells[i] = np.median(ratio[rows == i])
        full = np.flatnonzero(counts[i] >= FEWEST)
        for j in full:
            cells[i, j] = np.median(ratio[(rows == i) & (columns == j)])
        for j in np.flatnonzero(counts[i] < FEWEST):
            near = full[full != MISSING]
            if j != MISSING and len(near):
                cells[i, j] = cells[i, near[np.abs(near - j).argmin()]]
    if change:
        if counts[MISSING].sum() < FEWEST:
            cells[MISSING] = 1.0
        return _STEP_PCT * np.round(100.0 * (cells - 1.0) / _STEP_PCT), counts
    grid = scenario.dosage.grid().astype(np.float64)
    return grid[np.searchsorted(0.5 * (grid[1:] + grid[:-1]), cells, side="left")], counts


def phases(scenario: Scenario, taught: Taught, level: int, base: int) -> list[tuple[int, ...]]:
    """Divide later decisions into at most four groups.

    Decisions after a new level are separate from those without one. Each group is split in time where this explains
    most of the dose in addition to the level.
    """
    later = np.arange(1, scenario.schedule.decisions)
    fresh = fresh_results(scenario)[later]
    groups = [tuple(int(k) for k in g) for g in (later[fresh], later[~fresh]) if len(g)]
    cut = np.nanquantile(taught.seen[:, level], np.linspace(0.1, 0.9, 8)) if _any(taught.seen[:, level]) else []
    codes = band_of(taught.seen[:, level], np.unique(cut))
    d, b = taught.dose.astype(np.float64), taught.seen[:, base].astype(np.float64)
    size = int(codes.max()) + 1
    index = taught.decision * size + codes
    shape = (scenario.schedule.decisions, size)
    w = _weight(scenario, d)
    parts = (w, d * d * w, d * b * w, b * b * w)
    sums = np.stack([np.bincount(index, part, shape[0] * shape[1]).reshape(shape) for part in parts])

    def error(group: tuple[int, ...]) -> float:
        return float(left(sums[:, list(group)].sum(1)).sum())

    whole = sum(error(g) for g in groups)
    while len(groups) < _MOST_PHASES:
        options = [
            (error(g) - error(g[:at]) - error(g[at:]), i, at) for i, g in enumerate(groups) for at in range(1, len(g))
        ]
        if not options or not max(options)[0] > _PHASE_GAIN * whole:
            break
        _, i, at = max(options)
        groups[i : i + 1] = [groups[i][:at], groups[i][at:]]
    return sorted(groups)


def _any(x: np.ndarray) -> bool:
    return bool(np.isfinite(x).any())


def distil(scenario: Scenario, names: Sequence[Variable], taught: Taught, start: tuple[int, int]) -> tuple[Page, ...]:
    """Distil a policy's decisions into a table.

    Args:
        scenario: the task.
        names: the variables of ``taught.seen``.
        taught: decisions of the policy.
        start: the two variables on the page of the first dose.

    Returns:
        The page of the first dose, then the pages of later decisions, ordered by their first decision.
    """
    index = {v.name: i for i, v in enumerate(names)}
    level, base = index[LEVEL], index[LAST_DOSE]
    pages = [_page(scenario, taught, (0,), [start], None)]
    later = Taught(*(a[taught.decision > 0] for a in (taught.seen, taught.dose, taught.decision)))
    if not len(later.dose):
        return tuple(pages)
    others = [i for i in range(len(names)) if i != level and _any(later.seen[:, i])]
    pairs = [(level, i) for i in others] if _any(later.seen[:, level]) else [(base, i) for i in others]
    pages += [_page(scenario, later, group, pairs, base) for group in phases(scenario, later, level, base)]
    return tuple(pages)


class TablePolicy(Policy):
    """The table as a policy. Arrays are padded to one size, so all tables of a scenario share one compiled program."""

    scenario: Scenario = eqx.field(static=True)
    base: int = eqx.field(static=True)
    page_of: Int[Array, " decision"]
    variable: Int[Array, "page 2"]
    row_edges: Float[Array, "page row_edge"]
    column_edges: Float[Array, "page column_edge"]
    cells: Float[Array, "page row column"]
    change: Array

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        seen = seen_of(self.scenario, observation)
        page = self.page_of[observation.k]

        def band(variable: Array, edges: Array) -> Array:
            x = seen[variable]
            return jnp.where(jnp.isnan(x), MISSING, 1 + jnp.searchsorted(edges, x, side="right"))

        row = band(self.variable[page, 0], self.row_edges[page])
        column = band(self.variable[page, 1], self.column_edges[page])
        cell = self.cells[page, row, column]
        amount = jnp.where(self.change[page], seen[self.base] * (1.0 + cell / 100.0), cell)
        return snap(self.scenario, amount), memory


def policy_of(scenario: Scenario, names: Sequence[Variable], pages: Sequence[Page]) -> TablePolicy:
    """The policy that reads its doses from the table."""
    count = 1 + _MOST_PHASES
    page_of = np.zeros(scenario.schedule.decisions, np.int32)
    row_edges = np.full((count, MOST_ROWS - 1), np.inf, np.float32)
    column_edges = np.full((count, MOST_COLUMNS - 1), np.inf, np.float32)
    cells = np.zeros((count, MOST_ROWS + 1, MOST_COLUMNS + 1), np.float32)
    variable, change = np.zeros((count, 2), np.int32), np.zeros(count, bool)
    for i, page in enumerate(pages):
        page_of[list(page.decisions)] = i
        variable[i], change[i] = (page.row, page.column), page.change
        row_edges[i, : len(page.row_edges)] = page.row_edges
        column_edges[i, : len(page.column_edges)] = page.column_edges
        rows, columns = page.cells.shape
        cells[i, :rows, :columns] = page.cells
    base = next(i for i, v in enumerate(names) if v.name == LAST_DOSE)
    arrays: Any = (page_of, variable, row_edges, column_edges, cells, change)
    return TablePolicy(scenario, base, *arrays)

"""A dosing table distilled from a policy: pages of a few bands that a person can read, and the same as a policy.

A page belongs to some decisions and has two variables of the chart, in bands; a cell holds a dose, or a change of the
last dose above 0 in percent. The first decision has a page of its own, by covariates. Later decisions are grouped
(`phases`) and go by the latest level and by whatever second variable tells most.

Bands grow one edge at a time, the edge that removes most of the squared error of the dose (the greedy step of a
regression tree, Breiman 1984, with all cells of a row cut at once so that the page stays a rectangle); then every edge
is moved to its best place. A cell is the median of its decisions, rounded to 5 % or to the dose grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.agents._policy import Policy
from rl_drug_dosage.clinic.grid import snap
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.evaluation.explain_probe import LAST_DOSE, LEVEL, Variable, fresh_results, seen_of

__all__ = ["FEWEST", "MISSING", "Page", "TablePolicy", "Taught", "distil", "phases", "policy_of"]

MISSING = 0
"""The band of a variable that is not there."""
_MOST_ROWS, _MOST_COLUMNS, _MOST_PHASES = 7, 6, 4
"""What fits on a page, without the band of missing values."""
_GAIN = 0.004
"""Share of a page's squared error that an edge must remove."""
_PHASE_GAIN = 0.02
"""Share of the squared error of all later decisions that one more phase must remove."""
FEWEST = 5
"""Decisions in a cell of its own; with fewer it takes the value of its row."""
_BAND_SHARE = 0.01
"""Share of a page's decisions in a band, at least."""
_STEP_PCT = 5.0
_FINE = 40
"""Steps over the central 98 % of a variable at which an edge may lie; rounded to 1, 2 or 5 times a power of ten."""
_PREFER_CHANGE = 0.95
"""A page of doses has to leave less than this share of the error that a page of changes leaves: people think in
changes."""


@dataclass(frozen=True)
class Taught:
    """Decisions to learn from.

    Args:
        seen: the charts, see `explain_probe.variables`.
        dose: what the policy gave.
        decision: which one it was.
    """

    seen: Float[np.ndarray, "n variable"]
    dose: Float[np.ndarray, " n"]
    decision: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Page:
    """One rectangle of the table. Band 0 is `MISSING`; band b holds edge b-2 <= value < edge b-1.

    Args:
        decisions: that it is for, from 0.
        row, column: which variable.
        row_edges, column_edges: ascending.
        cells: dose in the dosage's unit, or change of the last dose above 0 in %.
        counts: decisions that each cell was made from.
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

    def bands(self, seen: Float[np.ndarray, "n variable"]) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of charts."""
        return _band(seen[:, self.row], self.row_edges), _band(seen[:, self.column], self.column_edges)


def _band(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), MISSING, 1 + np.searchsorted(edges, x, side="right"))


def _nice(span: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above ``span``."""
    if not span > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(span))
    return float(power * max(m for m in (1.0, 2.0, 5.0) if m * power <= span * 1.0001))


def _places(x: np.ndarray) -> np.ndarray:
    """Where edges may lie: between the values if they are few, else at round numbers."""
    values = np.unique(x[np.isfinite(x)])
    if len(values) < 2:
        return np.zeros(0, np.float32)
    if len(values) <= 12:
        return ((values[1:] + values[:-1]) / 2.0).astype(np.float32)
    low, high = np.percentile(x[np.isfinite(x)], (1.0, 99.0))
    step = _nice((high - low) / _FINE)
    return (step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)).astype(np.float32)


def _weight(scenario: Scenario, dose: np.ndarray) -> np.ndarray:
    """Errors count relative to the dose, down to a quarter of the usual one: 250 mg is much to who needs 500."""
    return np.asarray(1.0 / np.maximum(dose, 0.25 * scenario.dosage.usual) ** 2)


class _Sums:
    """Sums of counts and of d^2, d b and b^2, weighted, over a lattice of fine bands, so that any coarser page costs nothing.

    A cell's doses d are fitted as r b: with b the last dose, r is a change; with b = 1, a dose.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, d: np.ndarray, b: np.ndarray, w: np.ndarray) -> None:
        self.places = (_places(x), _places(y))
        shape = tuple(len(p) + 2 for p in self.places)
        codes = np.ravel_multi_index((_band(x, self.places[0]), _band(y, self.places[1])), shape)
        size = shape[0] * shape[1]
        parts = (np.ones_like(d), d * d * w, d * b * w, b * b * w)
        self.lattice = np.stack([np.bincount(codes, part, size).reshape(shape) for part in parts])

    def error(self, cuts: tuple[list[int], list[int]], least: float) -> float:
        """Squared error of the page with these edges; infinite where a band has fewer than ``least`` decisions."""
        table = self.lattice
        for axis, cut in enumerate(cuts):
            table = np.add.reduceat(table, [0, 1, *(c + 2 for c in sorted(cut))], axis=axis + 1)
        n, dd, db, bb = table
        for axis in (0, 1):
            if (n.sum(1 - axis)[1:] < least).any():
                return np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            left = dd - np.where(bb > 0, db * db / bb, 0.0)
        return float(left.sum())

    def fit(self) -> tuple[float, tuple[list[int], list[int]]]:
        """The error left and the edges, as indices of ``places``."""
        total = self.lattice[0].sum()
        least = max(_BAND_SHARE * total, 1.0)
        cuts: tuple[list[int], list[int]] = ([], [])
        whole = best = self.error(cuts, 0.0)
        while True:
            trials = []
            for axis, most in enumerate((_MOST_ROWS, _MOST_COLUMNS)):
                if len(cuts[axis]) >= most - 1:
                    continue
                for c in range(len(self.places[axis])):
                    if c not in cuts[axis]:
                        trials.append((self.error(_with(cuts, axis, [*cuts[axis], c]), least), axis, c))
            if not trials:
                break
            error, axis, c = min(trials)
            if not best - error > _GAIN * whole:
                break
            best = error
            cuts = _with(cuts, axis, [*cuts[axis], c])
            best, cuts = self._moved(best, cuts, least)
        return best, cuts

    def _moved(
        self, best: float, cuts: tuple[list[int], list[int]], least: float
    ) -> tuple[float, tuple[list[int], list[int]]]:
        """Every edge at its best place between its neighbours."""
        for axis in (0, 1):
            ordered = sorted(cuts[axis])
            for i in range(len(ordered)):
                low = ordered[i - 1] + 1 if i else 0
                high = ordered[i + 1] if i + 1 < len(ordered) else len(self.places[axis])
                for c in range(low, high):
                    other = [*ordered[:i], c, *ordered[i + 1 :]]
                    error = self.error(_with(cuts, axis, other), least)
                    if error < best:
                        best, ordered = error, other
            cuts = _with(cuts, axis, ordered)
        return best, cuts


def _with(cuts: tuple[list[int], list[int]], axis: int, new: list[int]) -> tuple[list[int], list[int]]:
    return (new, cuts[1]) if axis == 0 else (cuts[0], new)


def _page(
    scenario: Scenario,
    taught: Taught,
    decisions: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    base: int | None,
) -> Page:
    """The best page over pairs of variables, and over doses and changes of the variable ``base``."""
    at = np.isin(taught.decision, decisions)
    seen, dose = taught.seen[at], taught.dose[at].astype(np.float64)
    kinds = [(False, np.ones_like(dose), 1.0)]
    if base is not None:
        kinds.insert(0, (True, seen[:, base].astype(np.float64), _PREFER_CHANGE))
    found = []
    for change, b, prefer in kinds:
        for i, j in pairs:
            sums = _Sums(seen[:, i], seen[:, j], dose, b, _weight(scenario, dose))
            error, cuts = sums.fit()
            edges = [places[sorted(cut)] for places, cut in zip(sums.places, cuts, strict=True)]
            found.append((error * prefer, not change, i, j, edges, b, change))
    _, _, i, j, edges, b, change = min(found, key=lambda f: f[:4])
    rows, columns = _band(seen[:, i], edges[0]), _band(seen[:, j], edges[1])
    cells, counts = _cells(scenario, rows, columns, (len(edges[0]) + 2, len(edges[1]) + 2), dose / b, change)
    return Page(tuple(int(k) for k in decisions), i, j, edges[0], edges[1], cells, counts, change)


def _cells(
    scenario: Scenario,
    rows: np.ndarray,
    columns: np.ndarray,
    shape: tuple[int, int],
    ratio: np.ndarray,
    change: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Medians; a cell of few decisions takes its row's, a row of few the page's."""
    counts = np.bincount(np.ravel_multi_index((rows, columns), shape), minlength=shape[0] * shape[1]).reshape(shape)
    cells = np.full(shape, np.median(ratio) if len(ratio) else (1.0 if change else scenario.dosage.usual))
    for i in range(shape[0]):
        if counts[i].sum() >= FEWEST:
            cells[i] = np.median(ratio[rows == i])
        for j in range(shape[1]):
            if counts[i, j] >= FEWEST:
                cells[i, j] = np.median(ratio[(rows == i) & (columns == j)])
    if change:
        if counts[MISSING].sum() < FEWEST:
            cells[MISSING] = 1.0
        return _STEP_PCT * np.round(100.0 * (cells - 1.0) / _STEP_PCT), counts
    grid = scenario.dosage.grid().astype(np.float64)
    return grid[np.searchsorted(0.5 * (grid[1:] + grid[:-1]), cells, side="left")], counts


def phases(scenario: Scenario, taught: Taught, level: int, base: int) -> list[tuple[int, ...]]:
    """Later decisions in at most four groups: those after a new level apart from those without one, and each group cut
    in time where that explains most of the dose beside the level."""
    later = np.arange(1, scenario.schedule.decisions)
    fresh = fresh_results(scenario)[later]
    groups = [tuple(int(k) for k in g) for g in (later[fresh], later[~fresh]) if len(g)]
    cut = np.nanquantile(taught.seen[:, level], np.linspace(0.1, 0.9, 8)) if _any(taught.seen[:, level]) else []
    codes = _band(taught.seen[:, level], np.unique(cut))
    d, b = taught.dose.astype(np.float64), taught.seen[:, base].astype(np.float64)
    size = int(codes.max()) + 1
    index = taught.decision * size + codes
    shape = (scenario.schedule.decisions, size)
    w = _weight(scenario, d)
    parts = (d * d * w, d * b * w, b * b * w)
    sums = np.stack([np.bincount(index, part, shape[0] * shape[1]).reshape(shape) for part in parts])

    def error(group: tuple[int, ...]) -> float:
        dd, db, bb = sums[:, list(group)].sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float((dd - np.where(bb > 0, db * db / bb, 0.0)).sum())

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
    """The table of a policy's decisions.

    Args:
        scenario: the task.
        names: the variables of ``taught.seen``.
        taught: decisions of the policy.
        start: the two variables of the first dose.

    Returns:
        The page of the first dose, then those of the later decisions in the order of their first one.
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
    """The table as a policy. Arrays are padded to one size, so that every table of a scenario shares one program."""

    scenario: Scenario = eqx.field(static=True)
    base: int = eqx.field(static=True)
    page_of: Int[Array, " decision"]
    variable: Int[Array, "page 2"]
    row_edges: Float[Array, "page row_edge"]
    column_edges: Float[Array, "page column_edge"]
    cells: Float[Array, "page row column"]
    change: Array

    def init(self, facts: Record) -> tuple[()]:
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
    row_edges = np.full((count, _MOST_ROWS - 1), np.inf, np.float32)
    column_edges = np.full((count, _MOST_COLUMNS - 1), np.inf, np.float32)
    cells = np.zeros((count, _MOST_ROWS + 1, _MOST_COLUMNS + 1), np.float32)
    variable, change = np.zeros((count, 2), np.int32), np.zeros(count, bool)
    for i, page in enumerate(pages):
        page_of[list(page.decisions)] = i
        variable[i], change[i] = (page.row, page.column), page.change
        row_edges[i, : len(page.row_edges)] = page.row_edges
        column_edges[i, : len(page.column_edges)] = page.column_edges
        rows, columns = page.cells.shape
        cells[i, :rows, :columns] = page.cells
    base = next(i for i, v in enumerate(names) if v.name == LAST_DOSE)
    return TablePolicy(scenario, base, page_of, variable, row_edges, column_edges, cells, change)

"""How a page of the dosing table is divided into bands.

Edges are added one at a time, always the edge that most reduces the squared error of the dose. This is the greedy step
of a regression tree (Breiman 1984), with all cells of a row split at once so that the page stays a rectangle. Then
every edge is moved to its best position.
"""

import itertools

import numpy as np

__all__ = ["MISSING", "MOST_COLUMNS", "MOST_ROWS", "Cuts", "Sums", "band_of", "left"]

MISSING = 0
"""The band of missing values."""
MOST_ROWS, MOST_COLUMNS = 7, 6
"""Maximum number of bands on a page, without the band of missing values."""
_GAIN = 0.004
"""Fraction of a page's squared error that an edge must remove."""
_BAND_SHARE = 0.01
"""Minimum fraction of a page's decisions in a band."""
_FINE = 40
"""Candidate edges over the central 98 % of a variable; rounded to 1, 2 or 5 times a power of ten."""

type Cuts = tuple[list[int], list[int]]
"""Edges of rows and of columns, ascending, as indices of the candidate edges."""


def band_of(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Band b contains edge b-2 <= x < edge b-1; NaN is in `MISSING`."""
    return np.where(np.isnan(x), MISSING, 1 + np.searchsorted(edges, x, side="right"))


def _nice(span: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is <= ``span``."""
    if not span > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(span))
    return float(power * max(m for m in (1.0, 2.0, 5.0) if m * power <= span * 1.0001))


def _places(x: np.ndarray) -> np.ndarray:
    """Candidate edges: between the values if there are few, otherwise at round numbers."""
    values = np.unique(x[np.isfinite(x)])
    if len(values) < 2:
        return np.zeros(0, np.float32)
    if len(values) <= 12:
        return ((values[1:] + values[:-1]) / 2.0).astype(np.float32)
    low, high = np.percentile(x[np.isfinite(x)], (1.0, 99.0))
    step = _nice((high - low) / _FINE)
    return (step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)).astype(np.float32)


class Sums:
    """Weighted sums of d^2, d b and b^2 over a lattice of fine bands, from which any coarser page can be computed.

    The doses d of a cell are fitted as r b: if b is the last dose, r is a change; if b = 1, r is a dose.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, d: np.ndarray, b: np.ndarray, w: np.ndarray) -> None:
        self.places = (_places(x), _places(y))
        shape = tuple(len(p) + 2 for p in self.places)
        codes = np.ravel_multi_index((band_of(x, self.places[0]), band_of(y, self.places[1])), shape)
        size = shape[0] * shape[1]
        parts = (np.ones_like(d), d * d * w, d * b * w, b * b * w)
        self.lattice = np.stack([np.bincount(codes, part, size).reshape(shape) for part in parts])
        self.least = max(_BAND_SHARE * len(d), 1.0)

    def _strips(self, axis: int, cuts: Cuts) -> np.ndarray:
        """Cumulative sums along ``axis``, coarse along the other axis, ``[part, edge, band]``."""
        other = 1 - axis
        coarse = np.add.reduceat(self.lattice, [0, 1, *(c + 2 for c in cuts[other])], axis=other + 1)
        return np.asarray(np.cumsum(coarse if axis == 0 else coarse.swapaxes(1, 2), axis=1))

    def error(self, cuts: Cuts) -> float:
        """Squared error of the page with these edges."""
        sums = self._strips(0, cuts)
        ends = sums[:, [0, *(c + 1 for c in cuts[0]), sums.shape[1] - 1]]
        return float(left(np.diff(ends, axis=1, prepend=0.0)).sum())

    def _split(self, sums: np.ndarray, low: int, high: int) -> np.ndarray:
        """Error of the bands low..c and c..high for every c between them; infinite if one has too few decisions."""
        inner = np.arange(low + 1, high)
        below, above = sums[:, inner] - sums[:, [low]], sums[:, [high]] - sums[:, inner]
        error = left(below).sum(-1) + left(above).sum(-1)
        few = (below[0].sum(-1) < self.least) | (above[0].sum(-1) < self.least)
        return np.where(few, np.inf, error)

    def fit(self) -> tuple[float, Cuts]:
        """The remaining error and the edges, as indices of ``places``."""
        cuts: Cuts = ([], [])
        whole, tiny = self.error(cuts), 1e-9 * float(self.lattice[1].sum())
        while True:
            options = [*self._options(0, MOST_ROWS, cuts), *self._options(1, MOST_COLUMNS, cuts)]
            if not options or not max(options)[0] > max(_GAIN * whole, tiny):
                break
            _, axis, c = max(options)
            cuts = self._moved(_with(cuts, axis, sorted([*cuts[axis], c])))
        return self.error(cuts), cuts

    def _options(self, axis: int, most: int, cuts: Cuts) -> list[tuple[float, int, int]]:
        """(error removed, axis, edge): the best new edge of every band along ``axis``."""
        if len(cuts[axis]) >= most - 1:
            return []
        sums = self._strips(axis, cuts)
        found = []
        for low, high in itertools.pairwise([0, *(c + 1 for c in cuts[axis]), sums.shape[1] - 1]):
            split = self._split(sums, low, high)
            if len(split) and np.isfinite(split.min()):
                gain = float(left(sums[:, high] - sums[:, low]).sum() - split.min())
                found.append((gain, axis, low + int(split.argmin())))
        return found

    def _moved(self, cuts: Cuts) -> Cuts:
        """Move every edge to its best position between its neighbours, one after the other."""
        for axis in (0, 1):
            sums = self._strips(axis, cuts)
            edges = list(cuts[axis])
            for i in range(len(edges)):
                low = edges[i - 1] + 1 if i else 0
                high = edges[i + 1] + 1 if i + 1 < len(edges) else sums.shape[1] - 1
                split = self._split(sums, low, high)
                if np.isfinite(split.min()):
                    edges[i] = low + int(split.argmin())
            cuts = _with(cuts, axis, edges)
        return cuts


def left(sums: np.ndarray) -> np.ndarray:
    """Squared error of cells with the best r of each."""
    _, dd, db, bb = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(dd - np.where(bb > 0, db * db / bb, 0.0))


def _with(cuts: Cuts, axis: int, new: list[int]) -> Cuts:
    return (new, cuts[1]) if axis == 0 else (cuts[0], new)

"""Importance of each input for a policy's dose, and agreement between the doses of two policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.explain.exchanged import inputs
from rl_drug_dosage.explain.probe import AT_START, Probe, Variable

__all__ = ["Fidelity", "agreement", "fidelity_of", "first_dose_values", "importance_of", "start_variables"]


_FEW, _POINTS = 12, 15
"""Values of a covariate up to which each has its point; number of points of the others."""


@dataclass(frozen=True)
class Fidelity:
    """Agreement of the table's doses with the policy's, on the policy's own courses.

    Args:
        decisions: number of decisions compared.
        same_pct: percentage with the same dose.
        near_pct: percentage within one step of the grid, or 10 % of the policy's dose.
        mean_error: mean absolute difference, in the dosage's unit.
        r2: 1 - (squared error) / (variance of the policy's dose); 1 if the policy always gives the same dose and so
            does the table.
    """

    decisions: int
    same_pct: float
    near_pct: float
    mean_error: float
    r2: float


def _shares(probe: Probe) -> Float[np.ndarray, "input 2"]:
    """Mean change of the dose in % of the mean dose, at the first decision and at the later ones."""
    found = []
    for at in (slice(0, 1), slice(1, None)):
        alive, dose = probe.alive[:, at], probe.doses[:, at, 0]
        mean = dose[alive].mean() if alive.any() else 0.0
        change = np.abs(probe.swapped[:, at] - dose[..., None])[alive]
        share = 100.0 * change.mean(0) / mean if mean > 0 else np.zeros(probe.swapped.shape[2])
        found.append(share)
    return np.stack(found, axis=1)


def importance_of(scenario: Scenario, names: Sequence[Variable], probe: Probe) -> tuple[tuple[str, float, float], ...]:
    """(input, % at the first decision, % later), largest first: permutation importance (Breiman 2001) for the dose.

    One input is taken from another patient at the same decision, all others are kept. Related inputs (a level and its
    dose) then no longer match, so these numbers are a ranking and do not add up.
    """
    words = {v.name: v.label for v in names}
    rows = [
        (words.get(name, name), float(a), float(b))
        for name, (a, b) in zip(inputs(scenario), _shares(probe), strict=True)
    ]
    return tuple(sorted(rows, key=lambda r: -max(r[1], r[2])))


def start_variables(scenario: Scenario, names: Sequence[Variable], probe: Probe) -> tuple[int, int]:
    """The two covariates with the most influence on the first dose, as indices of ``names``."""
    share = dict(zip(inputs(scenario), _shares(probe)[:, 0], strict=True))
    if AT_START in {v.name for v in names}:
        share[AT_START] = share["level before the first dose"]
    known = [i for i, v in enumerate(names) if v.covariate]
    # A scenario with fewer than two covariates has a page with one column, or one cell.
    known = [*known, 0, 0] if len(known) < 2 else known
    first, second = sorted(known, key=lambda i: -share.get(names[i].name, -1.0))[:2]
    return first, second


def fidelity_of(scenario: Scenario, probe: Probe) -> tuple[Fidelity, Fidelity, Fidelity]:
    """Agreement of the second policy's doses with the first's: all decisions, the first, the later ones."""
    policy, table = (probe.doses[..., i].astype(np.float64) for i in (0, 1))
    parts = [slice(None), slice(0, 1), slice(1, None)]
    return tuple(  # type: ignore[return-value]
        agreement(scenario, policy[:, at][probe.alive[:, at]], table[:, at][probe.alive[:, at]]) for at in parts
    )


def agreement(scenario: Scenario, policy: Float[np.ndarray, " n"], table: Float[np.ndarray, " n"]) -> Fidelity:
    """Agreement of doses with a policy's."""
    if not len(policy):
        return Fidelity(0, np.nan, np.nan, np.nan, np.nan)
    grid = scenario.dosage.grid().astype(np.float64)
    place = [np.abs(grid[None] - d[:, None]).argmin(1) for d in (policy, table)]
    same = place[0] == place[1]
    near = (np.abs(place[0] - place[1]) <= 1) | (np.abs(policy - table) <= 0.1 * policy)
    error, spread = ((policy - table) ** 2).sum(), ((policy - policy.mean()) ** 2).sum()
    r2 = 1.0 - error / spread if spread > 0 else float(error == 0)
    return Fidelity(
        len(policy), 100.0 * float(same.mean()), 100.0 * float(near.mean()), float(np.abs(policy - table).mean()), r2
    )


def first_dose_values(names: Sequence[Variable], probe: Probe, start: tuple[int, int]) -> dict[str, np.ndarray]:
    """Values for the first-dose curves, for each covariate that differs between patients."""
    found = {}
    known = [i for i, v in enumerate(names) if v.covariate]
    for i in sorted(known, key=lambda i: (i not in start, i)):
        column = probe.seen[:, 0, i]
        values = np.unique(column)
        if len(values) < 2:
            continue
        if len(values) > _FEW:
            values = _spread(column)
        found[names[i].name] = values
    return found


def _spread(column: np.ndarray) -> np.ndarray:
    """Evenly spaced values over the central 95 % of the patients."""
    low, high = np.percentile(column, (2.5, 97.5))
    return np.linspace(float(low), float(high), _POINTS)

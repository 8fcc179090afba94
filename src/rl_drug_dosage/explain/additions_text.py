"""What a policy adds to the Bayesian dose: as sentences, as a table to print, as CSV, and as curves."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rl_drug_dosage.explain.additions import ASKED, SURPRISES, Added, Additions
from rl_drug_dosage.explain.plots import Curve, percentiles
from rl_drug_dosage.explain.told import UNCORRECTED
from rl_drug_dosage.utils.csv_text import csv_text

__all__ = ["additions_csv", "additions_curves", "additions_markdown", "additions_sentences"]

_MUCH_PCT = 5.0
_BINS, _FEWEST = 10, 10
_ADDED = "added (% of the Bayesian dose)"


def additions_sentences(found: Additions, unit: str) -> Iterator[str]:
    """The summary, each sentence computed from the decisions."""
    added = found.added
    own, more = added.counted, added.given - added.best
    same = 100.0 * (more[own] == 0.0).mean()
    parts = [f"It gives the Bayesian dose that it corrects (`{UNCORRECTED}`) as it is in {same:.0f} % of decisions"]
    for word, who in (("more", own & (more > 0.0)), ("less", own & (more < 0.0))):
        if who.any():
            parts.append(f"{word} in {100.0 * who.sum() / own.sum():.0f} % (median {np.median(more[who]):+.4g} {unit})")
    yield f"{', '.join(parts)}."
    asked = own & (np.abs(added.asked_pct) > _MUCH_PCT)
    if asked.any():
        made = (added.given - added.before)[asked] / (added.best - added.before)[asked]
        yield (
            f"Where the Bayesian dose is more than {_MUCH_PCT:g} % away from the dose before ({asked.sum():,} "
            f"decisions), the policy makes {100.0 * np.median(made):.0f} % of that change (median), and none of it in "
            f"{100.0 * (np.abs(made) < 1e-6).mean():.0f} %."
        )
    if added.lasting.any():
        low, middle, high = 100.0 * (2.0 ** np.percentile(added.lasting[:, -1], (25.0, 50.0, 75.0)) - 1.0)
        yield (
            f"Its slow correction is {middle:+.0f} % of the dose at the last decision (median; {low:+.0f} to "
            f"{high:+.0f} %, interquartile range)."
        )
    doubtful = own & added.doubt
    if doubtful.any():
        yield f"The belief was in doubt in {doubtful.sum():,} decisions: the cautious dose was given as it is."
    late, without = found.late_pct
    yield (
        f"Over the last third of the course doses change by {late:.0f} % of their mean from one to the next (median of "
        f"patients), and by {without:.0f} % in patients dosed by the Bayesian dose alone."
    )
    mean, low, high = found.gain
    yield f"Its target attainment minus that of the Bayesian dose is {mean:+.1f} points ({low:+.1f} to {high:+.1f})."


def additions_markdown(found: Additions, patients: int) -> Iterator[str]:
    """The section of ``explain.md``."""
    alone, ruled = found.fidelity
    yield "## What it adds to the Bayesian dose\n"
    yield (
        "Take the Bayesian dose. Down: how it differs from the dose before. Across: the new levels, beside what was "
        "expected of them, more than one standard deviation below or above. Change the Bayesian dose by the cell "
        "(median; in brackets the interquartile range, then the number of decisions) and round to the nearest amount. "
        "`as it is`: no change. `-`: fewer than 5 decisions, no change. A Bayesian dose of 0 stays 0.\n"
    )
    columns = [j for j in range(len(SURPRISES)) if found.counts[:, j].any()]
    yield f"| Bayesian dose | {' | '.join(SURPRISES[j] for j in columns)} |"
    yield f"|---|{'---:|' * len(columns)}"
    for i, name in enumerate(ASKED):
        if found.counts[i].any():
            yield f"| **{name}** | {' | '.join(_cell(found, i, j) for j in columns)} |"
    yield (
        f"\nOn {patients:,} new patients, treated by the policy, the Bayesian dose changed so is the policy's in "
        f"{ruled.same_pct:.0f} % of decisions, and within one step of it or 10 % in {ruled.near_pct:.0f} %; unchanged "
        f"in {alone.same_pct:.0f} and {alone.near_pct:.0f} %."
    )


def _cell(found: Additions, i: int, j: int) -> str:
    if not found.sure[i, j] or not np.isfinite(found.low_pct[i, j]):
        return "-" if found.counts[i, j] else ""
    value, low, high = (part[i, j] for part in (found.median_pct, found.low_pct, found.high_pct))
    text = f"{value:+.0f} %" if value else "as it is"
    return f"{text} ({low:+.0f} to {high:+.0f} %; {found.counts[i, j]:,})"


def additions_csv(found: Additions) -> str:
    """``explain_additions.csv``: one row per cell."""
    header = ["bayesian_dose", "new_levels", "median_pct", "low_pct", "high_pct", "other_dose_pct", "decisions_seen"]
    rows: list[list[Any]] = []
    for i, j in np.argwhere(found.counts):
        numbers = (found.median_pct[i, j], found.low_pct[i, j], found.high_pct[i, j], found.changed_pct[i, j])
        shown = [f"{value:.4g}" if np.isfinite(value) else "" for value in numbers]
        rows.append([ASKED[i], SURPRISES[j], *shown, found.counts[i, j]])
    return csv_text(header, rows)


def additions_curves(found: Additions) -> list[Curve]:
    """What is added along the course, and by what the belief says."""
    added = found.added
    curves = [_course(added)]
    for x, label in (
        (added.asked_pct, "Bayesian dose, change from the dose before (%)"),
        (added.surprise, "new levels less their predictions (standard deviations)"),
        (100.0 * added.target, "share in target ahead that is expected of the Bayesian dose (%)"),
    ):
        curve = _binned(added, x, label)
        if curve is not None:
            curves.append(curve)
    return curves


def _course(added: Added) -> Curve:
    """By decision; the slow part on its own where there is one."""
    at, shown, slow = [], [], []
    for k in range(added.given.shape[1]):
        own = added.counted[:, k] & np.isfinite(added.added_pct[:, k])
        if own.sum() >= _FEWEST:
            at.append(k + 1.0)
            shown.append(percentiles(added.added_pct[own, k]))
            slow.append(percentiles(100.0 * (2.0 ** added.lasting[own, k] - 1.0)))
    bands = {"PPO minus Bayesian dose": np.stack(shown, axis=1)}
    if added.lasting.any():
        bands["slow part"] = np.stack(slow, axis=1)
    return Curve(title="", x_label="decision", y_label=_ADDED, x=np.asarray(at), bands=bands, signed=True)


def _binned(added: Added, x: np.ndarray, label: str) -> Curve | None:
    """By groups of equal size; None where there are too few decisions, or no two different values."""
    own = added.counted & np.isfinite(x) & np.isfinite(added.added_pct)
    if own.sum() < 2 * _FEWEST:
        return None
    value, share = x[own], added.added_pct[own]
    points = min(_BINS, len(value) // _FEWEST)
    edges = np.unique(np.percentile(value, np.linspace(0.0, 100.0, points + 1)))
    # A value that many decisions share at the upper end is a group of its own.
    place = np.searchsorted(edges, value, side="right")
    bins = [place == b for b in np.unique(place) if (place == b).sum() >= _FEWEST]
    if len(bins) < 2:
        return None
    middle = np.asarray([np.median(value[b]) for b in bins])
    band = np.stack([percentiles(share[b]) for b in bins], axis=1)
    return Curve("", label, _ADDED, middle, {"PPO minus Bayesian dose": band}, signed=True)

"""Write an explanation: Markdown, CSV and figures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rl_drug_dosage.explain.additions_text import additions_csv, additions_curves
from rl_drug_dosage.explain.explanation import PPO, Explanation
from rl_drug_dosage.explain.plots import Curve, bars_png, panels, panels_png, percentiles
from rl_drug_dosage.explain.probe import LAST_DOSE, LEVEL
from rl_drug_dosage.explain.table import Page
from rl_drug_dosage.explain.text import doses_text, explain_csv, explain_markdown
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["level_curves", "main_figure", "write_explanation"]

ADDITIONS_FILE = "explain_additions.png"
LEVELS_FILE, COVARIATES_FILE, INPUTS_FILE = "explain_levels.png", "explain_covariates.png", "explain_inputs.png"
_AFTER_A_LEVEL = "Dose of each policy after a level, on the same records: median and 25th to 75th percentile"
_BY_COVARIATE = "First dose when only this covariate is changed: median and 25th to 75th percentile"
_ADDS = "What the policy adds to the Bayesian dose that it corrects: median and 25th to 75th percentile"
_BINS = 10
_FEWEST = 10
"""Minimum number of decisions in a point of a curve."""
_MOST_PANELS = 6


def write_explanation(result: Explanation, folder: Path) -> tuple[Path, ...]:
    """Draw everything, then write ``explain.md``, ``explain.csv`` and the figures into an existing folder.

    For a policy that corrects a Bayesian dose, ``explain_additions.csv`` and its figure as well.

    Raises:
        OutputError: a file cannot be written.
    """
    who = _who(result)
    contents: dict[str, bytes] = {}
    captions = []
    for name, curves, caption in (
        (LEVELS_FILE, level_curves(result), _AFTER_A_LEVEL),
        (COVARIATES_FILE, _covariate_curves(result), _BY_COVARIATE),
    ):
        if curves:
            contents[name] = panels_png(curves, f"{caption}; {who}")
            captions.append((name, f"{caption}."))
    if result.additions is not None:
        contents[ADDITIONS_FILE] = panels_png(additions_curves(result.additions), f"{_ADDS}; {who}")
        contents["explain_additions.csv"] = additions_csv(result.additions).encode()
        captions.insert(0, (ADDITIONS_FILE, f"{_ADDS}."))
    caption = f"Inputs that determine the dose of the {PPO} policy"
    names, first, later = zip(*result.importance, strict=True)
    contents[INPUTS_FILE] = bars_png(names, first, later, f"{caption}; {who}")
    captions.append((INPUTS_FILE, f"{caption}."))
    contents["explain.md"] = explain_markdown(result, captions).encode()
    contents["explain.csv"] = explain_csv(result).encode()
    for name, content in contents.items():
        atomic_write(folder / name, content)
    return tuple(folder / name for name in contents)


def _who(result: Explanation) -> str:
    return f"{result.env_id}, {result.options.patients:,} virtual patients, seed {result.options.seed}"


def main_figure(result: Explanation) -> Figure:
    """The doses after a level, or the first doses where no level is known."""
    curves, caption = level_curves(result), _AFTER_A_LEVEL
    if not curves:
        curves, caption = _covariate_curves(result), _BY_COVARIATE
    return panels(curves, f"{caption}; {_who(result)}")


def level_curves(result: Explanation) -> list[Curve]:
    """A panel for every page of later doses with known levels."""
    found = [_level_curve(result, page) for page in result.pages[1:]]
    return [curve for curve in found if curve is not None]


def _level_curve(result: Explanation, page: Page) -> Curve | None:
    index = {v.name: i for i, v in enumerate(result.names)}
    at = list(page.decisions)
    alive = result.probe.alive[:, at]
    seen, doses = result.probe.seen[:, at][alive], result.probe.doses[:, at][alive]
    level = seen[:, index[LEVEL]]
    known = np.isfinite(level)
    if known.sum() < 2 * _FEWEST:
        return None
    level, doses = level[known], doses[known]
    y_label = f"dose ({result.scenario.dosage.unit})"
    if page.change:
        doses = 100.0 * doses / seen[known][:, [index[LAST_DOSE]]]
        y_label = "dose (% of the last one above 0)"
    points = min(_BINS, len(level) // (2 * _FEWEST))
    edges = np.unique(np.percentile(level, np.linspace(0, 100, points + 1)))
    place = np.clip(np.searchsorted(edges, level, side="right"), 1, max(len(edges) - 1, 1))
    bins = [place == b for b in np.unique(place) if (place == b).sum() >= _FEWEST]
    if not bins:
        return None
    return Curve(
        title=doses_text(page.decisions),
        x_label=result.names[index[LEVEL]].axis,
        y_label=y_label,
        x=np.asarray([np.median(level[b]) for b in bins]),
        bands={
            name: np.stack([percentiles(doses[b, i]) for b in bins], axis=1) for i, name in enumerate(result.answered)
        },
        window=_window(result),
    )


def _window(result: Explanation) -> tuple[float, float] | None:
    """The limits of the goal, if the goal is defined on the level itself."""
    window = result.scenario.goal.targets[0]
    low, high, _ = result.scenario.edges()
    edges = float(low[-1, 0]), float(high[-1, 0])
    about = window.output == result.scenario.monitoring.output and window.metric in {"trough", "value"}
    return edges if about and np.isfinite(edges).all() else None


def _covariate_curves(result: Explanation) -> list[Curve]:
    words = {v.name: v for v in result.names}
    found = []
    for name, (values, doses) in list(result.effects.items())[:_MOST_PANELS]:
        bands = {
            policy: np.stack([percentiles(point) for point in doses[:, :, i]], axis=1)
            for i, policy in enumerate(result.answered[: doses.shape[2]])
        }
        found.append(
            Curve(
                title="",
                x_label=words[name].axis,
                y_label=f"first dose ({result.scenario.dosage.unit})",
                x=np.arange(len(values)) if len(values) <= 12 else values,
                ticks=tuple(f"{v:g}" for v in values) if len(values) <= 12 else (),
                bands=bands,
            )
        )
    return found

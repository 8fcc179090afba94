"""Draw where the published policies stand: docs/pictures/standing.svg, from the results in models/*.json.

    scripts/standing.py

For every scenario the target attainment of the learnt policy less that of `best-bayes`, with the 95 % interval over the
patients of the test cohort: those of the model that both believe, of the scenario's second model, of its test-only one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "standing.svg"
_REFERENCE = "best-bayes"
_KINDS = (
    ("patients of the model that both believe", "#1f5fa8", "o"),
    ("of another published model", "#c2571a", "s"),
    ("of a model that nobody looked at before", "#2e7d4f", "D"),
)


def differences(record: Mapping[str, Any]) -> list[tuple[int, float, float, float]]:
    """(kind, mean, low, high) of the learnt policy less `best-bayes`, in points, for every setting of the test."""
    found = []
    for name, result in record["results"].items():
        kind = 2 if result.get("test_only") else 0 if name == "right model" else 1
        for pair in result["paired"]:
            if {pair["policy"], pair["against"]} == {record["median"], _REFERENCE}:
                sign = 1.0 if pair["against"] == _REFERENCE else -1.0
                low, high = sorted((sign * pair["low"], sign * pair["high"]))
                found.append((kind, sign * pair["mean"], low, high))
    return found


def draw(models: Path = ROOT / "models", picture: Path = PICTURE) -> None:
    """Write the picture; scenarios whose test had no `best-bayes` are left out."""
    records = [json.loads(path.read_text()) for path in sorted(models.glob("*.json"))]
    rows = [(record["scenario"], found) for record in records if (found := differences(record))][::-1]
    with rc_context({"svg.hashsalt": "standing", "svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=(7.6, 1.3 + 0.33 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.0, color="#444444", linewidth=1.0)
        for y, (_, found) in enumerate(rows):
            offsets = np.linspace(0.2, -0.2, len(found)) if len(found) > 1 else [0.0]
            for offset, (kind, mean, low, high) in zip(offsets, sorted(found), strict=True):
                _, colour, marker = _KINDS[kind]
                error = [[mean - low], [high - mean]]
                axes.errorbar(
                    mean, y + offset, xerr=error, color=colour, marker=marker, markersize=4, elinewidth=1.3, capsize=2
                )
        for label, colour, marker in _KINDS:
            axes.plot([], [], color=colour, marker=marker, linestyle="none", markersize=5, label=label)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("learnt policy less the best Bayesian dosing: points of target attainment, 95 % interval")
        axes.annotate("learnt dosing better →", (1.0, 1.005), xycoords="axes fraction", ha="right", va="bottom")
        axes.annotate("← Bayesian dosing better", (0.0, 1.005), xycoords="axes fraction", ha="left", va="bottom")
        axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.95, edgecolor="#dddddd")
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    draw()
    print(PICTURE.relative_to(ROOT))

"""Draw where the published policies stand: docs/pictures/standing.svg, from the results in models/*.json.

    scripts/standing.py

For every scenario the target attainment of the learnt policy less that of `best-bayes`, with the 95 % interval over the
patients of the test cohort: those of the model that both believe, of the scenario's second model, of its test-only one.
A hollow mark stands where another Bayesian policy of that very trial was ahead of `best-bayes`: nobody could have known
beforehand, and it says how much of a lead is the choice of the rival.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PICTURE = Path("docs") / "pictures" / "standing.svg"
_REFERENCE = "best-bayes"
_KINDS = (
    ("patients of the model that both believe", "#1f5fa8", "o"),
    ("of another published model", "#c2571a", "s"),
    ("of a model that nobody looked at before", "#2e7d4f", "D"),
)


class Difference(NamedTuple):
    """The learnt policy less Bayesian dosing in one setting of a test, in points, with its 95 % interval.

    Args:
        kind: of patients, index into `_KINDS`.
        hindsight: less the strongest Bayesian policy of this very trial; None: that is `best-bayes`.
    """

    kind: int
    mean: float
    low: float
    high: float
    hindsight: float | None


def differences(record: Mapping[str, Any]) -> list[Difference]:
    """Of the published policy, in every setting of its test; empty where `best-bayes` took no part."""
    found = []
    for name, result in record["results"].items():
        against = {}
        for pair in result["paired"]:
            for own, other, sign in ((pair["policy"], pair["against"], 1.0), (pair["against"], pair["policy"], -1.0)):
                if own == record["median"] and other.startswith(("mipd", _REFERENCE)):
                    against[other] = (sign * pair["mean"], *sorted((sign * pair["low"], sign * pair["high"])))
        if _REFERENCE in against:
            kind = 2 if result.get("test_only") else 0 if name == "right model" else 1
            least = min(mean for mean, _, _ in against.values())
            found.append(Difference(kind, *against[_REFERENCE], least if least < against[_REFERENCE][0] else None))
    return sorted(found)


def draw(models: Path = ROOT / "models") -> Path:
    """Write the picture, in the folder that holds ``models``; scenarios whose test had no `best-bayes` are left out."""
    picture = models.parent / PICTURE
    records = [json.loads(path.read_text()) for path in sorted(models.glob("*.json"))]
    rows = [(record["scenario"], found) for record in records if (found := differences(record))][::-1]
    with rc_context({"svg.hashsalt": "standing", "svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=(7.6, 1.6 + 0.33 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.0, color="#444444", linewidth=1.0)
        for y, (_, found) in enumerate(rows):
            offsets = np.linspace(0.2, -0.2, len(found)) if len(found) > 1 else [0.0]
            for offset, one in zip(offsets, found, strict=True):
                _, colour, marker = _KINDS[one.kind]
                error, at = [[one.mean - one.low], [one.high - one.mean]], y + offset
                axes.errorbar(
                    one.mean, at, xerr=error, color=colour, marker=marker, markersize=4, elinewidth=1.3, capsize=2
                )
                if one.hindsight is not None:
                    axes.plot(one.hindsight, at, color=colour, marker=marker, markersize=4, fillstyle="none")
        for label, colour, marker in _KINDS:
            axes.plot([], [], color=colour, marker=marker, linestyle="none", markersize=5, label=label)
        hollow = "hollow: less the Bayesian policy that was the best in this very trial"
        axes.plot([], [], color="#444444", marker="o", linestyle="none", markersize=5, fillstyle="none", label=hollow)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("learnt policy less the best Bayesian dosing: points of target attainment, 95 % interval")
        axes.annotate("learnt dosing better →", (1.0, 1.005), xycoords="axes fraction", ha="right", va="bottom")
        axes.annotate("← Bayesian dosing better", (0.0, 1.005), xycoords="axes fraction", ha="left", va="bottom")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, format="svg", metadata={"Date": None})
    return picture


if __name__ == "__main__":
    print(draw().relative_to(ROOT))

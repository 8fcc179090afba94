"""Figures of an estimation: predicted against measured levels, and the course of each patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pharmacometrics.estimation_tables import PatientResult
from rl_drug_dosage.pharmacometrics.log_axes import make_logarithmic
from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, Regimen, predict
from rl_drug_dosage.pkpd.bayes import Estimate
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.kept_programs import Kept
from rl_drug_dosage.utils.result import png_bytes

__all__ = ["COURSES_PLOT", "PREDICTED_PLOT", "draw_predicted_vs_measured", "save_courses", "save_predicted_vs_measured"]

PREDICTED_PLOT, COURSES_PLOT = "predicted_vs_measured.png", "courses_{}.png"
"""Names of the files; the courses have one for each measured output."""

_SHOWN = 12
"""Patients whose course is drawn."""
_POINTS = 241
_ENTRY_IN = 1.4
"""Width of an entry of the legend, inches."""
_DECADES = 20.0
"""Levels that span more than this factor are drawn on log axes."""


def save_predicted_vs_measured(model: DrugModel, patients: Sequence[PatientResult], folder: Path, title: str) -> Path:
    """Write the figure of `draw_predicted_vs_measured`.

    Raises:
        OutputError: the figure cannot be written.
    """
    return _save(draw_predicted_vs_measured(model, patients, title), folder / "predicted_vs_measured.png")


def draw_predicted_vs_measured(model: DrugModel, patients: Sequence[PatientResult], title: str) -> Any:
    """A row of panels per output: population prediction, and individual prediction, against each level."""
    outputs = _measured(patients)
    figure = _figure(title, 9.0, 4.2 * max(len(outputs), 1))
    rows = figure.subplots(max(len(outputs), 1), 2, squeeze=False)
    for axes_pair, output in zip(rows, outputs, strict=False):
        name, unit = model.outputs[output].name, model.outputs[output].unit
        columns = [
            (
                p.levels.value,
                p.population,
                p.fitted.predicted,
                p.levels.below,
                p.levels.censored & ~p.levels.below,
                p.levels.used,
                p.levels.output == output,
            )
            for p in patients
        ]
        value, population, individual, below, above, used, own = (np.concatenate(c) for c in zip(*columns, strict=True))
        both = np.concatenate([x[own & used] for x in (value, population, individual)])
        for axes, predicted, kind in zip(
            axes_pair, (population, individual), ("population", "individual (MAP)"), strict=True
        ):
            _identity(axes, both)
            for shown, style in _markers(own, used, below, above):
                if shown.any():
                    axes.plot(
                        predicted[shown], value[shown], ls="", **({"color": "tab:blue", "ms": 5, "alpha": 0.7} | style)
                    )
            axes.set_xlabel(_with_unit(f"{kind} prediction", unit))
            axes.set_ylabel(_with_unit(f"measured {name}", unit))
    _legend(figure, rows)
    return figure


def _identity(axes: Any, values: Float[np.ndarray, "value"]) -> None:
    """Equal axes and the line on which prediction and level agree."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    logarithmic = low > 0 and high / low > _DECADES
    ends = (low / 1.3, high * 1.3) if logarithmic else (0.0, 1.05 * high or 1.0)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    if logarithmic:
        make_logarithmic(axes)
    axes.set_aspect("equal")
    axes.plot(ends, ends, color="0.4", lw=1, label="identity")


def _courses(model: DrugModel, *tables: Any) -> Array:
    """Of every patient, the course of a typical one and that of the estimate."""

    def one(regimen: Regimen, table: Covariates, best: Estimate, time: Array) -> Array:
        def run(scale: Array) -> Array:
            return predict(model, regimen, table, time, scale * best.eta, scale * best.kappa)

        return jax.vmap(run)(jnp.array([0.0, 1.0]))

    return jax.vmap(one)(*tables)


_COURSES = Kept(_courses)


def save_courses(
    model: DrugModel,
    patients: Sequence[PatientResult],
    tables: tuple[Regimen, Covariates, Levels, Estimate],
    folder: Path,
    title: str,
) -> list[Path]:
    """A figure per measured output: a panel for each of the first patients, with levels and dose times.

    ``tables`` holds regimens, covariates, levels and estimates of all patients, stacked.

    Raises:
        OutputError: a figure cannot be written.
    """
    shown = list(patients[:_SHOWN])
    regimens, covariates, levels, at = jax.tree.map(lambda leaf: leaf[: len(shown)], tables)
    times = _grids(regimens, levels)
    courses = np.asarray(_COURSES(model, regimens, covariates, at, times))
    files = []
    for output in _measured(shown):
        name, unit = model.outputs[output].name, model.outputs[output].unit
        columns = min(len(shown), 4)
        rows = -(-len(shown) // columns)
        figure = _figure(title, max(3.1 * columns, 5.0), 2.6 * rows + 0.7)
        panels = figure.subplots(rows, columns, squeeze=False)
        for i, (axes, patient) in enumerate(zip(panels.flat, shown, strict=False)):
            _panel(axes, times[i], courses[i, :, :, output], patient, output)
            given = np.asarray(regimens.given[i]) & (regimens.cycle[i] == 0) & (regimens.time_h[i] <= times[i, -1])
            given &= regimens.amount_mg[i] > 0
            # An unclipped line without points would count as one at the origin, far outside the panel.
            if given.any():
                axes.plot(
                    regimens.time_h[i][given], np.zeros(given.sum()), "|", color="tab:orange", ms=9, label="dose",
                    transform=axes.get_xaxis_transform(), clip_on=False,
                )  # fmt: skip
        for axes in panels.flat[len(shown) :]:
            axes.set_axis_off()
        for axes in panels.flat[max(len(shown) - columns, 0) : len(shown)]:
            axes.set_xlabel("time (h)", fontsize=9)
        figure.supylabel(_with_unit(name, unit), fontsize=10)
        _legend(figure, panels)
        files.append(_save(figure, folder / COURSES_PLOT.format(name)))
    return files


def _panel(
    axes: Any,
    time: Float[np.ndarray, "time"],
    courses: Float[np.ndarray, "2 time"],
    patient: PatientResult,
    output: int,
) -> None:
    levels, failed = patient.levels, not bool(patient.fitted.estimate.converged)
    axes.plot(time, courses[0], color="tab:gray", lw=1, ls="--", label="population")
    axes.plot(
        time, courses[1], color="tab:red" if failed else "tab:blue", lw=1.4, label=None if failed else "individual"
    )
    own = np.asarray(levels.output) == output
    for shown, style in _markers(own, levels.used, levels.below, levels.censored & ~levels.below):
        if shown.any():
            axes.plot(levels.time_h[shown], levels.value[shown], ls="", **({"color": "black", "ms": 4} | style))
    axes.set_title(_plain(f"{patient.fitted.name}{': not converged' if failed else ''}"), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)


def _markers(own: Any, used: Any, below: Any, above: Any) -> list[tuple[Any, dict[str, str]]]:
    """Which levels have which marker; those outside the limits of quantification are drawn at the limit."""
    seen = own & used
    return [
        (seen & ~below & ~above, {"marker": "o", "label": "level"}),
        (seen & below, {"marker": "v", "mfc": "none", "label": "below the limit"}),
        (seen & above, {"marker": "^", "mfc": "none", "label": "above the limit"}),
        (own & ~used, {"marker": "x", "color": "tab:gray", "label": "not used"}),
    ]


def _grids(regimens: Regimen, levels: Levels) -> Float[np.ndarray, "patient time"]:
    """From the first event to a little after the last level (or a day after the last dose), with dose corners."""
    grids = []
    for i in range(regimens.time_h.shape[0]):
        given, used = regimens.given[i], levels.time_h[i].size
        doses, drawn = regimens.time_h[i][given], levels.time_h[i]
        start = min([*doses[:1], *drawn[:1]], default=0.0)
        end = start + 1.08 * (drawn.max() - start) if used else doses.max(initial=start) + 24.0
        rate = np.where(regimens.rate_mg_per_h[i] > 0, regimens.rate_mg_per_h[i], np.inf)
        length = np.maximum(regimens.duration_h[i], regimens.amount_mg[i] / rate)[given]
        corners = np.concatenate([doses, doses + 1e-6, doses + length])
        dense = np.linspace(start, max(end, start + 1.0), _POINTS)
        grids.append(np.sort(np.concatenate([dense, corners[(corners > dense[0]) & (corners < dense[-1])]])))
    size = max(grid.size for grid in grids)
    return np.stack([np.pad(grid, (0, size - grid.size), mode="edge") for grid in grids])


def _legend(figure: Any, panels: Any) -> None:
    """One for all panels, below them."""
    pairs = (pair for axes in panels.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True))
    by_label = {label: handle for handle, label in pairs}
    columns = max(int(figure.get_figwidth() / _ENTRY_IN), 1)
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=columns, fontsize=8)


def _plain(text: str, longest: int = 60) -> str:
    """Text in which no dollar sign starts a formula, and which fits above a panel."""
    short = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return short.replace("\\", "/").replace("$", r"\$")


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} ({unit})"


def _measured(patients: Sequence[PatientResult]) -> list[int]:
    return sorted({int(output) for patient in patients for output in patient.levels.output})


def _figure(title: str, width: float, height: float) -> Any:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    figure.suptitle(_plain(title), fontsize=10)
    return figure


def _save(figure: Any, path: Path) -> Path:
    atomic_write(path, png_bytes(figure))
    return path

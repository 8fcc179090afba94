"""Figures of `check`: a drug's typical patient, and one patient of a scenario under the label or a policy."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.checks.drug_laws import typical_course
from rl_drug_dosage.checks.probe import label_course
from rl_drug_dosage.clinic.policy import PolicyDefinition, Setting
from rl_drug_dosage.clinic.rollout import Courses, Witness, rollout
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.pkpd import DrugModel, Output, Target
from rl_drug_dosage.pkpd.units import metric_unit
from rl_drug_dosage.registry import Found
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.result import png_bytes
from rl_drug_dosage.utils.seeding import Stream, key_for
from rl_drug_dosage.utils.words import lasting, metric_words, output_words, time_axis, unit_words

__all__ = ["draw_course_of_policy", "draw_drug", "draw_scenario", "save"]

_GREEN, _BLUE, _ORANGE, _DARK = "tab:green", "tab:blue", "tab:orange", "0.25"
_AREAS = ("auc24", "auc_total")
_WIDTH = 24
"""Letters of a line beside a panel."""
_DOSES = 10
_SHORTEST_H = 0.5
"""A model whose doses are seconds apart is shown for half an hour."""
_MOST_DOSES = 30
"""Of a course whose total exposure is the target."""
_WINDOWS = ("tab:green", "tab:olive", "tab:cyan", "tab:purple")
_MOST_OUTPUTS = 12
"""Panels of one figure: a mechanistic model has dozens of outputs."""


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    atomic_write(path, png_bytes(figure))


def _figure(title: str, panels: int) -> tuple[Any, list[Any]]:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 2.1 * panels), dpi=120, layout="constrained")
    axes = list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
    axes[0].set_title(title, fontsize=10)
    return figure, axes


def _label(name: str, unit: str) -> str:
    """Of an axis: the unit below the name, where there is one."""
    return "\n".join([textwrap.fill(name, _WIDTH), *([f"({unit_words(unit)})"] if unit_words(unit) else [])])


def _window(ax: Any, low: float | None, high: float | None, label: str, color: str = _GREEN) -> None:
    """Draw a window, or its one edge, on an axis of the same quantity."""
    if low is not None and high is not None:
        ax.axhspan(low, high, color=color, alpha=0.15, lw=0, label=label, zorder=0)
    else:
        ax.axhline(low if high is None else high, color=color, ls="--", lw=1.2, label=label, zorder=0)


def _words(target: Target) -> str:
    of_course = metric_words(target.metric, target.output) if target.metric in _AREAS else target.metric
    name = "" if target.metric == "value" else f"{of_course} "
    low, high = target.low, target.high
    span = f"above {low:g}" if high is None else f"below {high:g}" if low is None else f"{low:g}-{high:g}"
    return f"target: {name}{span} {unit_words(target.unit)}".rstrip()


def _finish(axes: Sequence[Any]) -> None:
    """Set axis limits with a margin, from 0 if all values are positive and 0 is near; add a legend above the curves."""
    for ax in axes:
        low, high = ax.dataLim.intervaly
        room = 0.12 * (high - low) or 0.5 * abs(high) or 1.0
        labels = len(ax.get_legend_handles_labels()[1])
        ax.set_ylim(0.0 if 0.0 <= low < high - low else low - room, high + (3.0 if labels else 1.0) * room)
        if labels:
            ax.legend(loc="upper right", fontsize=8, ncols=labels)


def draw_drug(drug: DrugModel) -> Any:
    """Draw the typical patient at the usual dose: every output over time, every target on an axis of its quantity."""
    (dose_mg, interval_h), route = drug.dosing.tried, drug.dosing.routes[0]
    # A peak lies at the end of the infusion, or soon after a dose, however long the interval is.
    offsets = np.geomspace(0.001 * interval_h, interval_h, 24)
    near = {route.duration_of(dose_mg), *(route.duration_of(dose_mg) + offsets), *offsets}
    extra_h = tuple(sorted(float(h) for h in near if 0.0 < h < interval_h))
    doses = _shown_doses(drug)
    course = typical_course(drug, doses, 24, extra_h=extra_h)
    areas = [t for t in drug.targets if t.metric in _AREAS]
    scale, unit = time_axis(course.time_h[-1])
    every = f" every {lasting(interval_h)}" if doses > 1 else ""
    given = f"{doses} dose{'s' if doses > 1 else ''} of {dose_mg:g} mg{every} ({route.name})"
    title = f"{drug.name}: the typical patient, without random effects and residual error\n{given}"
    # Of a drug that is given with another one, what comes of the other is nothing here.
    told = [i for i in range(len(drug.outputs)) if course.outputs[1, :, i].any()] or [0]
    shown = told[:_MOST_OUTPUTS]
    if len(shown) < len(told):
        title += f"; the first {len(shown)} of {len(told)} outputs"
    figure, axes = _figure(title, len(shown) + len(areas))
    for i, ax in zip(shown, axes, strict=False):
        output = drug.outputs[i]
        ax.plot(course.time_h * scale, course.outputs[1, :, i], color=_BLUE, lw=1.4)
        ax.set_ylabel(_label(output_words(output.name), output.unit))
        own = [t for t in drug.targets if t.output == output.name and t.metric not in (*_AREAS, "time_above")]
        for target, color in zip(own, itertools.cycle(_WINDOWS), strict=False):
            _window(ax, target.low, target.high, _words(target), color)
    for target, ax in zip(areas, axes[len(shown) :], strict=True):
        output = drug.outputs[drug.output_index(target.output)]
        _draw_area(ax, course.time_h, course.area[1], interval_h, output, target, scale)
    _finish(axes)
    axes[-1].set_xlabel(f"time since the first dose ({unit})")
    return figure


def _shown_doses(drug: DrugModel) -> int:
    """How many doses: ten, or half an hour of them; of a total exposure as many as bring the patient nearest to it."""
    interval_h = drug.dosing.tried[1]
    total = next((t for t in drug.targets if t.metric == "auc_total"), None)
    if total is None:
        return max(_DOSES, math.ceil(_SHORTEST_H / interval_h - 1e-9))
    course = typical_course(drug, _MOST_DOSES, 24)
    ends = np.arange(1, _MOST_DOSES + 1) * interval_h
    scale = drug.outputs[drug.output_index(total.output)].auc_scale or np.nan
    reached = np.interp(ends, course.time_h, course.area[1]) * scale
    edges = [edge for edge in (total.low, total.high) if edge is not None]
    aim = sum(edges) / len(edges)
    return _DOSES if not np.isfinite(reached).all() else int(np.argmin(np.abs(reached - aim))) + 1


def _draw_area(
    ax: Any, time_h: np.ndarray, area: np.ndarray, interval_h: float, output: Output, target: Target, scale: float
) -> None:
    """Draw the AUC of each interval, or the cumulative AUC, as steps."""
    ends = np.arange(0.0, time_h[-1] + 0.5 * interval_h, interval_h)
    total = np.interp(ends, time_h, area) * (output.auc_scale or np.nan)
    steps = np.diff(total) * 24.0 / interval_h if target.metric == "auc24" else total[1:]
    ax.stairs(steps, ends * scale, color=_BLUE, lw=1.4, baseline=None)
    ax.set_ylabel(_label(metric_words(target.metric, output.name), metric_unit(target.metric, output.unit)))
    _window(ax, target.low, target.high, _words(target))


def draw_scenario(found: Found[Scenario]) -> Any:
    """Draw the first simulated patient under the label dose: levels, metrics of the goal with windows, doses."""
    scenario = found.value
    model = simulator_of(scenario, scenario.models[0])
    watched = label_course(scenario, model)
    title = f"{found.name}: one patient simulated from {model.name}, label dose"
    return _draw_course(scenario, model, watched.courses, watched.charts, title)


def draw_course_of_policy(name: str, definition: PolicyDefinition, task: Found[Scenario]) -> Any:
    """Draw the first simulated patient of a scenario under a policy."""
    scenario = task.value
    first = scenario.models[0]
    model = simulator_of(scenario, first)
    policy = definition.build(Setting(task, model_of(scenario, first), model))
    witness = Witness(begin=lambda *_: (), note=lambda _, __, record, ___: (record, ()))
    keys = jax.vmap(lambda i: jax.random.fold_in(key_for(1, Stream.EVALUATE), i))(jnp.arange(1))
    courses = jax.device_get(
        jax.jit(
            lambda policy, keys: rollout(
                scenario, model, policy, keys, sees_truth=definition.sees_truth, witness=witness
            )
        )(jax.tree.map(jnp.asarray, policy), keys)
    )
    title = f"{name} in {task.name}: one patient simulated from {model.name}"
    return _draw_course(scenario, model, courses, courses.notes, title)


def _draw_course(scenario: Scenario, model: DrugModel, courses: Courses, charts: Any, title: str) -> Any:
    schedule, targets = scenario.schedule, scenario.goal.targets
    figure, axes = _figure(title, 2 + len(targets))
    per_h, interval_h = schedule.shown_per_h, schedule.interval_h
    starts = np.arange(schedule.decisions) * interval_h
    edges = np.arange(schedule.decisions + 1) * interval_h * per_h
    measured = model.outputs[model.output_index(scenario.monitoring.output)]

    times = starts[:, None] + np.asarray(schedule.output_times_h)[None]
    # A patient who has dropped out has no course any more.
    alive = np.asarray(courses.alive[:, 0])
    values = np.where(alive[:, None], courses.values[:, 0], np.nan)
    axes[0].plot(times.ravel() * per_h, values.ravel(), color=_BLUE, lw=1.2, marker=".", ms=3)
    if not alive.all():
        axes[0].axvline(edges[int(np.argmin(alive))], color=_DARK, ls=":", label="the patient drops out")
    known = charts.known[-1, 0]
    at_h = starts[:, None] + np.asarray(scenario.monitoring.at_h)[None]
    if known.any():
        axes[0].plot(
            at_h[known] * per_h, charts.level[-1, 0][known], "o", mfc="none", color=_DARK, label="reported levels"
        )
    axes[0].set_ylabel(_label(output_words(measured.name), measured.unit))

    low, high, _ = scenario.edges()
    for i, (target, ax) in enumerate(zip(targets, axes[1:], strict=False)):
        output = model.outputs[model.output_index(target.output)]
        metric = np.where(alive, courses.metrics[:, 0, i], np.nan)
        ax.stairs(metric, edges, color=_BLUE, lw=1.4, baseline=None)
        ax.set_ylabel(_label(metric_words(target.metric, output.name), target.unit))
        # Open edges extend to the axis limits.
        ends = [v for v in (*metric, *low[:, i], *high[:, i]) if np.isfinite(v)]
        bottom, top = (np.where(np.isfinite(e[:, i]), e[:, i], end) for e, end in ((low, min(ends)), (high, max(ends))))
        ax.stairs(top, edges, baseline=bottom, fill=True, color=_GREEN, alpha=0.15, label="target")
    axes[-1].stairs(courses.dose[:, 0], edges, fill=True, color=_ORANGE, alpha=0.7)
    axes[-1].set_ylabel(_label("dose", scenario.dosage.unit))
    _finish(axes)
    axes[-1].set_xlim(0, edges[-1])
    axes[-1].set_xlabel(f"time since the first decision ({schedule.shown_unit})")
    return figure

"""Section on the patients with the lowest attainment under the reference, and their courses under every policy."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rl_drug_dosage.reports.courses import legend
from rl_drug_dosage.reports.markup import (
    Child,
    Html,
    definitions,
    el,
    join,
    paragraph,
    void,
)
from rl_drug_dosage.reports.pieces import figure, name_cell, panels
from rl_drug_dosage.reports.strips import Strip, panel, shared_top, window_band
from rl_drug_dosage.reports.svg import Plot, num, robust_top
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import and_, capital, compact, percent
from rl_drug_dosage.utils.words import titled

__all__ = ["worst"]

_MOST_CHOICES = 10
"""Maximum number of patients for the selector of the style sheet; if there are more, all are shown."""


def _highest(values: Sequence[float | None]) -> float:
    return max((v for v in values if v is not None), default=0.0)


def _reasons(course: Mapping[str, Any]) -> str:
    """The reasons for changed doses, and their counts."""
    times: dict[str, int] = {}
    for reason in course["reasons"].values():
        times[reason] = times.get(reason, 0) + 1
    return and_([f"{reason} ({n})" for reason, n in times.items()]) if times else ""


def _marks(view: View, plot: Plot, reasons: Mapping[Any, str]) -> Html | None:
    """A mark over every changed dose. Keys are numbers, or text if the record was read from JSON."""
    if not reasons:
        return None
    at = sorted((int(k) + 0.5) * view.step for k in reasons)
    return el("path", d="".join(f"M{num(plot.x(v) - 3)} 0h6l-3 5Z" for v in at), class_="changed")


def _courses(view: View, place: int, patient: Mapping[str, Any]) -> list[Html]:
    time, found = patient["time"], patient["courses"]
    names = [n for n in view.names if n in found]
    on = [w for w in view.windows if view.on_output(w)]
    top = shared_top(robust_top(_highest(found[n]["values"]) for n in names), on)
    bottom = min((v for n in names for v in found[n]["values"] if v is not None and v < 0), default=0.0)
    dose_top = 1.08 * robust_top(_highest(found[n]["dose"]) for n in names)
    starts = [k * view.step for k in range(view.scenario["decisions"])]
    reference = found.get(view.reference)

    def drawn(name: str) -> Html:
        own = found[name]
        ghost = reference if reference is not None and name != view.reference else None

        def output(plot: Plot) -> list[Child]:
            return [
                *(window_band(view, w, plot) for w in on),
                plot.line(time, ghost["values"], f"ghost {view.style(view.reference)}") if ghost else None,
                plot.line(time, own["values"], "median"),
            ]

        def dose(plot: Plot) -> list[Child]:
            zero = [0.0] * len(starts)
            bars = plot.step_band(starts, view.horizon, zero, own["dose"], "inner median")
            return [bars, _marks(view, plot, own["reasons"])]

        strips = [
            Strip(view.output_title, 84.0, top, output, _highest(own["values"]), bottom),
            Strip(titled("dose", view.dose_unit), 38.0, dose_top, dose, _highest(own["dose"])),
        ]
        changed = _reasons(own)
        attained = f"{percent(own['attainment_pct'])} in target"
        said = f"{attained}; doses {_doses(own['dose'])} {view.dose_unit}."
        caption = join(
            name_cell(view, name),
            el("span", "failed", class_="tag") if own["failed"] else None,
            el("span", attained, class_="aside"),
            el("span", f"doses changed: {changed}", class_="sub") if changed else None,
        )
        title = f"Patient {patient['patient']}, {name}"
        return figure(
            caption,
            panel(view, f"worst-{place}-{view.index(name)}", title, said, strips),
            policy=view.index(name),
            class_=view.style(name),
        )

    return [drawn(n) for n in names]


def _doses(doses: Sequence[float | None]) -> str:
    """Doses as text: the first ones, then the range."""
    known = [d for d in doses if d is not None]
    if not known:
        return "unknown"
    changes = sum(abs(a - b) > 1e-6 for a, b in pairwise(known))
    return (
        f"from {compact(min(known))} to {compact(max(known))}, changed {changes} times, the first {compact(known[0])}"
    )


def _facts(view: View, patient: Mapping[str, Any]) -> Html:
    pairs = []
    for name, value in patient["covariates"].items():
        meaning, unit = view.labels.get(name, (name, ""))
        pairs.append((capital(meaning), f"{compact(value)}{unit}"))
    return definitions(pairs, class_="facts")


def worst(view: View) -> list[Html]:
    """HTML of this section of the report."""
    patients = view.record["worst"]
    if not patients:
        return [paragraph("There are no patients to show.")]
    choices: list[Html] = []
    shown = []
    for place, patient in enumerate(patients):
        number = patient["patient"]
        choices.append(
            void("input", type="radio", name="worst", id=f"pick-{place}", value=str(place), checked=place == 0)
        )
        choices.append(el("label", str(number), for_=f"pick-{place}"))
        shown.append(
            el(
                "article",
                el("h3", f"Patient {number}", id=f"patient-{place}"),
                _facts(view, patient),
                panels(_courses(view, place, patient)),
                class_=f"patient p{place}",
                aria_labelledby=f"patient-{place}",
            )
        )
    many = "The patient" if len(patients) == 1 else f"The {len(patients)} patients"
    ghost = el(
        "li",
        el(
            "svg",
            el("path", d="M0 7H28", class_=f"ghost {view.style(view.reference)}"),
            viewBox="0 0 28 14",
            class_="swatch",
            aria_hidden="true",
        ),
        f"the same patient under {view.reference}",
    )
    ghosts = el("ul", ghost, class_="legend") if len(view.names) > 1 else None
    return [
        paragraph(
            f"{many} with the lowest attainment under {view.reference}, and the courses of the same patients under "
            "every policy. The axes are the same for all policies of a patient. A small triangle marks a dose "
            f"that differs from the one proposed.{view.of_the_first}"
        ),
        el("div", legend(window=any(view.on_output(w) for w in view.windows), bands=False), ghosts, class_="legends"),
        el(
            "div",
            el("fieldset", el("legend", "Patient"), choices, class_="picker")
            if 1 < len(patients) <= _MOST_CHOICES
            else None,
            *shown,
            class_="worst",
        ),
    ]

"""Access to a benchmark's record, for the sections of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rl_drug_dosage.reports.words import unit_of
from rl_drug_dosage.utils.words import metric_words, output_words, titled

__all__ = ["COLOURS", "SHIELD", "Difference", "View", "Window"]

SHIELD = "+shield"
"""Suffix of the name of a policy behind the safety shield (`benchmark`)."""
COLOURS = 8
"""Number of colours in the style sheet, ``c0`` to ``c7``, distinguishable with colour blindness."""
_LEVELS = frozenset({"trough", "value", "peak", "nadir"})
"""Metrics with the unit of the output itself."""
_TIMES = {"d": "days", "h": "hours", "min": "minutes"}


@dataclass(frozen=True)
class Difference:
    """Paired difference of a policy from the reference, in percentage points of attainment."""

    policy: str
    mean: float
    low: float
    high: float
    better_pct: float
    worse_pct: float


@dataclass(frozen=True)
class Window:
    """A window of the goal: one value per interval for each edge, None if open."""

    metric: str
    output: str
    unit: str
    source: str
    low: Sequence[float | None]
    high: Sequence[float | None]

    @property
    def title(self) -> str:
        """The quantity that must lie inside."""
        return metric_words(self.metric, self.output)

    def edges(self) -> list[tuple[int, int, float | None, float | None]]:
        """(first interval, last interval + 1, low, high) of each run of intervals with the same edges."""
        found: list[tuple[int, int, float | None, float | None]] = []
        for k, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if found and found[-1][2:] == (low, high):
                found[-1] = (found[-1][0], k + 1, low, high)
            else:
                found.append((k, k + 1, low, high))
        return found


@dataclass(frozen=True)
class View:
    """The record, and quantities derived from it."""

    record: Mapping[str, Any]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Policies by rank."""
        return sorted(self.record["policies"], key=lambda r: r["rank"])

    @cached_property
    def names(self) -> list[str]:
        """Their names by rank."""
        return [r["policy"] for r in self.rows]

    @cached_property
    def row(self) -> dict[str, dict[str, Any]]:
        """A policy's row."""
        return {r["policy"]: r for r in self.rows}

    @property
    def scenario(self) -> Mapping[str, Any]:
        """The scenario's part of the record."""
        return self.record["scenario"]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the benchmark."""
        return self.record["settings"]

    @property
    def reference(self) -> str:
        """The policy with which the others are compared."""
        return self.settings["reference"]

    @property
    def bedside(self) -> str:
        """`mipd`, Bayesian dosing as programs at the bedside do it, where another policy is the reference; or empty."""
        return "mipd" if "mipd" in self.row and self.reference != "mipd" else ""

    @property
    def of_the_first(self) -> str:
        """A sentence, where courses of a large cohort's first patients alone were kept; or empty."""
        kept = self.settings.get("courses_of")
        return "" if kept is None else f" Of a cohort of this size only the first {kept:,} patients are shown here."

    def index(self, name: str) -> str:
        """A policy's number, for HTML identifiers, because its name may contain any character."""
        return str(self.names.index(name))

    def shielded(self, name: str) -> bool:
        """Whether this is a policy behind the shield."""
        return name.endswith(SHIELD) and name.removesuffix(SHIELD) in self.row

    def kind(self, name: str) -> str:
        """``oracle``, ``shielded``, ``reference`` or ``contestant``."""
        if self.row[name].get("oracle"):
            return "oracle"
        if self.shielded(name):
            return "shielded"
        return "reference" if name == self.reference else "contestant"

    def style(self, name: str) -> str:
        """CSS classes of a policy's marks; colour and shape are the same in every figure.

        A policy behind the shield has the same colour as without it. If there are more policies than colours, colours
        are reused with hollow marks and dotted lines.
        """
        base = name.removesuffix(SHIELD) if self.shielded(name) else name
        place = [n for n in self.names if not self.shielded(n)].index(base)
        again = " again" if place >= COLOURS else ""
        shield = " shield" if self.shielded(name) else ""
        return f"k-{self.kind(name)} c{place % COLOURS}{again}{shield}"

    def tag(self, name: str) -> str:
        """Note on a policy, such as reference or oracle; usually empty."""
        tags = []
        if self.row[name].get("oracle"):
            tags.append("uses the true parameters")
        if self.shielded(name):
            tags.append("shielded")
        if name == self.reference:
            tags.append("reference")
        return ", ".join(tags)

    @cached_property
    def contestants(self) -> list[str]:
        """Policies that a clinic could use, by rank, without oracles and policies behind the shield."""
        return [n for n in self.names if self.kind(n) in {"reference", "contestant"}]

    def difference(self, name: str, against: str) -> Difference | None:
        """One policy minus another, in either order of the record."""
        for pair in self.record["paired"]:
            if (pair["policy"], pair["against"]) == (name, against):
                return Difference(name, pair["mean"], pair["low"], pair["high"], pair["better_pct"], pair["worse_pct"])
            if (pair["policy"], pair["against"]) == (against, name):
                return Difference(
                    name, -pair["mean"], -pair["high"], -pair["low"], pair["worse_pct"], pair["better_pct"]
                )
        return None

    @cached_property
    def differences(self) -> list[Difference]:
        """Differences of every policy from the reference, by rank."""
        found = (self.difference(n, self.reference) for n in self.names if n != self.reference)
        return [d for d in found if d is not None]

    @cached_property
    def windows(self) -> list[Window]:
        """The windows of the goal."""
        keys = ("metric", "output", "unit", "source", "low", "high")
        return [Window(**{k: w[k] for k in keys}) for w in self.scenario["windows"]]

    def on_output(self, window: Window) -> bool:
        """Whether a window can be drawn over the courses of the monitored output."""
        return window.metric in _LEVELS and window.output == self.scenario["output"]["name"]

    @property
    def time_unit(self) -> str:
        """Unit of the displayed time: days, hours or minutes."""
        return _TIMES.get(self.scenario["time_unit"], self.scenario["time_unit"])

    @property
    def step(self) -> float:
        """Length of an interval, in the displayed unit."""
        return self.scenario["interval_h"] * self.scenario["shown_per_h"]

    @property
    def horizon(self) -> float:
        """Length of a course, in the displayed unit."""
        return self.step * self.scenario["decisions"]

    @property
    def output_title(self) -> str:
        """The monitored output with its unit."""
        output = self.scenario["output"]
        return titled(output_words(output["name"]), output["unit"])

    @property
    def dose_unit(self) -> str:
        """Unit of the dose."""
        return str(self.scenario["dosage"]["unit"])

    @cached_property
    def labels(self) -> dict[str, tuple[str, str]]:
        """(meaning, unit with a leading space) of each covariate."""
        return {c["name"]: (c["meaning"] or c["name"], unit_of(c["unit"])) for c in self.scenario["covariates"]}

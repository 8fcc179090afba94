"""What a file in `trials/published` defines: a published trial, its numbers with their places, and how ours is run.

A number that nobody could read in a source stands nowhere: ``unread`` says so instead.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.trials.trial import Trial
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["PROTOCOL", "Difference", "PublishedMetric", "PublishedNumber", "PublishedRun", "PublishedTrial"]

PROTOCOL = ("patients", "simulated with", "dosed by", "monitoring", "doses", "duration", "drop-out")
"""The parts of a protocol, in the order of pages."""


@typed_fields(ConfigError)
@dataclass(frozen=True)
class PublishedMetric:
    """One number of a trial, computed from ours as they computed it from theirs.

    Args:
        name: heading of its column.
        unit: its unit, ``"1"`` where it has none.
        meaning: how it is computed, in words.
        column: (scenario, trial) -> a number per patient; NaN for a patient who does not count.
        over: how patients are summarised.
    """

    name: str
    unit: str
    meaning: str
    column: Callable[[Scenario, Trial], Float[np.ndarray, " patient"]]
    over: Literal["mean", "median"] = "mean"

    def __post_init__(self) -> None:
        _require_texts("metric", self, "name", "unit", "meaning")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class PublishedNumber:
    """One published number.

    Args:
        arm: their method.
        metric: name of the metric, which has the unit.
        value: the number.
        place: where it stands: paper and table, page or section, or the file of a repository and how it was computed.
        spread: what the source prints after the sign ±; None: nothing.
        scenario: the run of ours that it belongs to; empty: all.
    """

    arm: str
    metric: str
    value: float
    place: str
    spread: float | None = None
    scenario: str = ""

    def __post_init__(self) -> None:
        _require_texts("number", self, "arm", "metric", "place")
        for name in ("value", "spread"):
            if (given := getattr(self, name)) is not None and not math.isfinite(given):
                raise ConfigError(f"{name} of {self.arm!r}, {self.metric!r} is {given}: allowed is a finite number")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class PublishedRun:
    """How ours is run: a scenario, and what is replaced in it.

    Args:
        scenario: name of the scenario.
        stands_for: what of theirs it stands for.
        simulator, controller: drug models; None: the scenario's first.
        replaced: fields of the scenario -> their values in this run.
        replaced_text: the same in words, with the reason; empty if nothing is replaced.
        patients: size of the cohort.
        policies: compared unless the user names others.
    """

    scenario: str
    stands_for: str
    simulator: str | None = None
    controller: str | None = None
    replaced: Mapping[str, Any] = field(default_factory=dict)
    replaced_text: str = ""
    patients: int = 1000
    policies: tuple[str, ...] = ("label", "mipd", "best-bayes")

    def __post_init__(self) -> None:
        _require_texts("run", self, "scenario", "stands_for")
        if bool(self.replaced) != bool(self.replaced_text):
            raise ConfigError(f"replaced of the run on {self.scenario!r} needs replaced_text, and the other way round")

    def change(self, scenario: Scenario) -> Scenario:
        """The scenario with this run's values.

        Raises:
            ConfigError: no such field, or a value that it does not take.
        """
        if unknown := set(self.replaced) - {f.name for f in dataclasses.fields(scenario)}:
            raise ConfigError(f"a scenario has no {', '.join(sorted(unknown))}: replaced takes the fields of Scenario")
        return dataclasses.replace(scenario, **self.replaced)


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Difference:
    """Where the two protocols differ.

    Args:
        what: part of the protocol.
        theirs, ours: in words.
    """

    what: str
    theirs: str
    ours: str

    def __post_init__(self) -> None:
        _require_texts("difference", self, "what", "theirs", "ours")


@typed_fields(ConfigError)
@dataclass(frozen=True, kw_only=True)
class PublishedTrial:
    """A published in-silico trial of dosing policies.

    Args:
        title: one line for tables.
        citation: the paper.
        sources: what was read of it.
        protocol: their protocol: a text for each part in `PROTOCOL`.
        metrics: what they report, computed from ours in the same way.
        numbers: their numbers.
        unread: what could not be read.
        assumed: what was assumed in its place.
        runs: ours; the first one is run unless a scenario is named.
        differences: where the protocols differ.
    """

    title: str
    citation: str
    sources: str
    protocol: Mapping[str, str]
    metrics: tuple[PublishedMetric, ...]
    numbers: tuple[PublishedNumber, ...]
    unread: tuple[str, ...]
    assumed: tuple[str, ...]
    runs: tuple[PublishedRun, ...]
    differences: tuple[Difference, ...]

    def __post_init__(self) -> None:
        _require_texts("published trial", self, "title", "citation", "sources")
        if tuple(self.protocol) != PROTOCOL:
            raise ConfigError(f"protocol has {', '.join(self.protocol) or 'no parts'}: give {', '.join(PROTOCOL)}")
        for name in ("metrics", "runs", "differences"):
            if not getattr(self, name):
                raise ConfigError(f"{name} of {self.title!r} is empty: give at least one")
        if not self.numbers and not self.unread:
            raise ConfigError(f"{self.title!r} has neither numbers nor unread: say which numbers could not be read")
        names, scenarios = [m.name for m in self.metrics], [run.scenario for run in self.runs]
        for what, given in (("metrics", names), ("runs", scenarios)):
            if len(set(given)) < len(given):
                raise ConfigError(f"{what} of {self.title!r} have one name twice: {', '.join(given)}")
        for number in self.numbers:
            if number.metric not in names:
                raise ConfigError(f"{number.metric!r} of {number.arm!r} is none of the metrics {', '.join(names)}")
            if number.scenario and number.scenario not in scenarios:
                raise ConfigError(f"{number.scenario!r} of {number.arm!r} is none of the runs {', '.join(scenarios)}")

    def run_on(self, scenario: str | None) -> PublishedRun:
        """The run on a scenario; None: the first one.

        Raises:
            ConfigError: it is run on other scenarios.
        """
        found = [run for run in self.runs if scenario in {None, run.scenario}]
        if not found:
            own = ", ".join(run.scenario for run in self.runs)
            raise ConfigError(f"{self.title!r} is not run on {scenario!r}: give --scenario {own}, or leave it out")
        return found[0]

    def numbers_for(self, run: PublishedRun) -> tuple[PublishedNumber, ...]:
        """Their numbers that belong beside a run of ours."""
        return tuple(n for n in self.numbers if n.scenario in {"", run.scenario})


def _require_texts(what: str, value: object, *names: str) -> None:
    for name in names:
        if not getattr(value, name).strip():
            raise ConfigError(f"{name} of a {what} is empty: write it")

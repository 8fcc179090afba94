"""Access to a comparison's record for its page: runs by task, their order, colours and names."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from rl_drug_dosage.reports.markup import Html, el
from rl_drug_dosage.reports.view import COLOURS

__all__ = ["Shown"]


class Shown:
    """A comparison's record.

    Args:
        record: format 1.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record

    @cached_property
    def runs(self) -> list[Mapping[str, Any]]:
        """Ranked as in the trial, so that a run has one colour everywhere; the others as they were named."""
        ranks = {row["policy"]: i for i, row in enumerate((self.record["trial"] or {"policies": []})["policies"])}
        return sorted(self.record["runs"], key=lambda run: ranks.get(run["name"], len(ranks)))

    @cached_property
    def tasks(self) -> list[str]:
        """What the runs trained on."""
        return list(dict.fromkeys(run["env_id"] for run in self.runs))

    def of(self, task: str) -> list[Mapping[str, Any]]:
        """The runs of a task."""
        return [run for run in self.runs if run["env_id"] == task]

    def by_final(self, runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Runs that were evaluated, by the interquartile mean of their last return, highest first."""
        return sorted(runs, key=lambda run: -run["final"]["eval/mean_reward"]["iqm"])

    def style(self, name: str) -> str:
        """CSS classes of a run's marks, as those of its policy in the trial."""
        place = [run["name"] for run in self.runs].index(name)
        return f"k-contestant c{place % COLOURS}{' again' if place >= COLOURS else ''}"

    def who(self, name: str) -> Html:
        """A name with its colour."""
        return el("span", el("span", name, class_="name"), class_=f"who {self.style(name)}")

    def legend(self) -> Html:
        """All runs with their colours."""
        return el("ul", [el("li", self.who(run["name"])) for run in self.runs], class_="legend policies")

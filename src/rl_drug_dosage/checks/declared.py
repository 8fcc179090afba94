"""Checks of covariates and targets, used for drugs and scenarios."""

import math
from collections.abc import Iterable, Sequence

from rl_drug_dosage.checks.report import Finding, doubt, sourced, wrong
from rl_drug_dosage.checks.units import is_known
from rl_drug_dosage.clinic.units import is_substance
from rl_drug_dosage.pkpd import Covariate, Output, Target

__all__ = ["area_of_target", "covariates_of", "sourced_target", "windows_of"]


def covariates_of(covariates: Sequence[Covariate], *, source: int) -> Iterable[Finding]:
    """Units, meanings, sources and ranges; `DrugModel` and `Scenario` themselves check names and typical values.

    Args:
        covariates: covariates of a drug or a scenario.
        source: minimum number of characters of a source.
    """
    for i, c in enumerate(covariates):
        at = f"covariates[{i}]"
        if not is_known(c.unit):
            yield wrong(
                f"{at}.unit", f"{c.name} is in {c.unit!r}", "a known unit such as kg, mL/min, 0/1", "correct it"
            )
        if not c.meaning:
            yield wrong(f"{at}.meaning", f"{c.name} has none", "a description", "add one")
        yield from sourced(f"{at}.source", c.source, source)
        if c.low < c.high and not (math.isfinite(c.low) and math.isfinite(c.high)):
            came = f"no range of {c.name}: from {c.low:g} to {c.high:g}"
            yield doubt(f"{at}.low", came, "the range of the published population", "give it")
        elif not c.low < c.high:
            yield wrong(f"{at}.low", f"{c.name} from {c.low:g} to {c.high:g}", "low below high", "correct the range")


def windows_of(at: str, target: Target) -> Iterable[Finding]:
    """The edges of a target, including later ones, and its aim."""
    for place, low, high in target.edges():
        edges = [edge for edge in (low, high) if edge is not None]
        if not edges or not all(map(math.isfinite, edges)):
            came = f"from {low} to {high}"
            yield wrong(f"{at}.{place}low", came, "a finite low, a finite high, or both", "give an edge")
        elif low is not None and high is not None and not low < high:
            came = f"an empty window, from {low:g} to {high:g} {target.unit}"
            yield wrong(f"{at}.{place}low", came, "low below high", "correct the edges")
        elif min(edges) < 0 and is_substance(target.unit):
            yield wrong(f"{at}.{place}low", f"{min(edges):g} {target.unit}", "an edge of at least 0", "correct it")
        elif target.aim is not None and not (low or -math.inf) <= target.aim <= (high or math.inf):
            came = f"{target.aim:g} {target.unit}, outside the window"
            yield wrong(f"{at}.aim", came, f"{edges[0]:g} to {edges[-1]:g}", "aim inside every window")
    if [h for h, _, _ in target.later] != sorted({h for h, _, _ in target.later}):
        yield wrong(f"{at}.later", f"times {[h for h, _, _ in target.later]}", "ascending", "sort them")


def area_of_target(at: str, target: Target, output: Output) -> Iterable[Finding]:
    """The metric exists for this output."""
    if target.metric in {"auc24", "auc_total"} and output.auc_scale is None:
        came = f"{target.metric} of {output.name!r}, which has no AUC"
        yield wrong(f"{at}.metric", came, "an output with auc_scale", "give its auc_scale, or use another metric")


def sourced_target(at: str, target: Target, least: int) -> Iterable[Finding]:
    """A target has a source."""
    yield from sourced(f"{at}.source", target.source, least)

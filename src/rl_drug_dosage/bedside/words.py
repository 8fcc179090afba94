"""A recommendation as plain text."""

from rl_drug_dosage.bedside.recommendation import INTENDED_USE, PolicyResult, Recommendation, option_words
from rl_drug_dosage.bedside.regimens import Row
from rl_drug_dosage.utils.printable import printable
from rl_drug_dosage.utils.words import lasting, titled, unit_words

__all__ = ["percent", "policy_name", "text_of"]

_NAMES = {"bayes": "Bayesian dosing", "label": "label"}


def policy_name(name: str) -> str:
    """A policy as people call it."""
    return _NAMES.get(name, name)


def percent(share: float) -> str:
    """``72 %``; the last per cent on either side is not rounded away."""
    if 0.0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1.0:
        return "> 99 %"
    return f"{100.0 * share:.0f} %"


def text_of(result: Recommendation) -> str:
    """All of it, for a terminal."""
    lines = [result.title, INTENDED_USE, ""]
    lines += [f"! {warning}" for warning in result.warnings]
    lines += [""] if result.warnings else []
    lines += [f"target: {'; '.join(result.targets)}"]
    lines += [f"it counts in the interval that ends about {lasting(result.horizon_h)} after the next dose", ""]
    for policy in result.policies:
        lines += _policy(result, policy)
    lines += ["", *_table(result), ""]
    if result.sampling is not None:
        share = percent(result.sampling.reduction)
        lines.append(
            f"next level: {result.when(result.sampling.time_h)} it would tell most, and take away about {share} of the "
            f"variance of {result.sampling.quantity}"
        )
    weights = [f"{name} {percent(weight)}" for name, weight in result.weights.items()]
    lines.append(f"models: {', '.join(weights)}")
    lines += [f"why: {reason}" for reason in result.reasons]
    lines += [f"note: {note}" for note in result.notes]
    return printable("\n".join(lines))


def _policy(result: Recommendation, policy: PolicyResult) -> list[str]:
    name = policy_name(policy.name)
    if policy.abstains:
        return [f"{name}: abstains, {policy.abstains}"]
    if policy.row is None:
        return [f"{name}: {policy.words}", *(f"  {note}" for note in policy.notes)]
    return [f"{name}: {policy.words}; {_chances(result, policy.row)}", *(f"  {note}" for note in policy.notes)]


def _chances(result: Recommendation, row: Row) -> str:
    harms = "".join(f", {name} {percent(p)}" for name, p in zip(result.harms, row.harms, strict=True))
    low, high = row.percentiles[0], row.percentiles[4]
    middle = f"{result.quantity} {row.percentiles[2]:.4g} ({low:.4g} to {high:.4g}) {unit_words(result.unit)}".rstrip()
    return f"target {percent(row.target)}{harms}; {middle}"


def _table(result: Recommendation) -> list[str]:
    head = ("regimen", "target", *result.harms, titled("median, 90 % interval", result.unit))
    rows = [head]
    for row in result.rows:
        low, _, middle, _, high = row.percentiles
        harms = tuple(percent(p) for p in row.harms)
        rows.append((option_words(row.option), percent(row.target), *harms, f"{middle:.4g}, {low:.4g} to {high:.4g}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

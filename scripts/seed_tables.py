"""What the cards and the summary say of a test with several trainings: PPO minus `best-bayes` over seeds and patients.

It stands in a record under ``over_seeds`` as ``against``, by section (`trials.comparisons.against`), with the cohort
and the number of seeds beside it. Records of earlier tests have no such part, and nothing is said of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markdown import table

from rl_drug_dosage.trials.comparisons import holm

__all__ = ["card_part", "summary", "validated_on"]

_ACROSS = "over seeds and patients"
_KINDS = ("correct", "misspecified", "third model")
"""Each is a family of Holm's step-down over the scenarios."""
_LEVEL = 0.05


def validated_on(record: Mapping[str, Any]) -> str:
    """The patients on which the published seed was chosen."""
    own = record.get("validation")
    if own is None:
        return f"the validation cohort (seed {record['cohorts']['validation']})"
    return (
        f"validation patients of their own stream (seed {own['seed']}): {own['patients']:,} as published and as many "
        "as varied as in training, mean of the two"
    )


def _compared(record: Mapping[str, Any], setting: str) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = record.get("over_seeds", {}).get("against", {}).get(setting)
    return found


def _signed(row: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    d = row["difference"]
    return f"{d['mean']:+.1f} ({d['low']:+.1f} to {d['high']:+.1f})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def card_part(record: Mapping[str, Any], setting: str) -> str:
    """Learnt and reference in every endpoint, for a card; empty: the section was not tested with several seeds."""
    found = _compared(record, setting)
    if found is None:
        return ""
    over = record["over_seeds"]
    rows = [
        [what, f"{row['learnt']:.1f}", f"{row['reference']:.1f}", _signed(row), _p(row["difference"]["p"])]
        for what, row in _endpoints(found)
    ]
    seeds = ", ".join(f"{share:.1f}" for share in found["by_seed_pct"])
    said = (
        f"\nAll {over['seeds']} seeds on {over['patients']:,} patients of cohort {over['cohort']} against "
        f"`{over['reference']}`, intervals and p-values {_ACROSS} "
        f"([benchmark.md](../docs/benchmark.md#several-trainings)). Attainment by seed: {seeds} %. Better than with "
        f"`{over['reference']}` are {found['better_pct']:.1f} % of patients, worse {found['worse_pct']:.1f} % (mean "
        "over seeds).\n\n"
    )
    return said + table(["", "PPO, mean of seeds", over["reference"], "difference", "p"], rows)


def _endpoints(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "target attainment, %", found["attainment_pct"]
    yield "worst 5 % of patients, %", found["worst_5_pct"]
    for name, row in found["harms_pct"].items():
        yield f"patients with {name}, %", row
    yield "patients who leave, %", found["left_pct"]
    yield "change of dose in the last third, %", found["change_last_third_pct"]


def summary(records: Sequence[Mapping[str, Any]]) -> str:
    """The table over scenarios with Holm's p-values; empty: no record has a test with several seeds."""
    found = [
        (record, setting, _kind(record, setting, at))
        for record in records
        for at, setting in enumerate(record["results"])
        if _compared(record, setting) is not None
    ]
    if not found:
        return ""
    adjusted: dict[str, float] = {}
    for kind in _KINDS:
        family = {f"{r['scenario']}/{s}": r["over_seeds"]["against"][s] for r, s, own in found if own == kind}
        adjusted |= holm({name: one["attainment_pct"]["difference"]["p"] for name, one in family.items()})
    rows = [_row(r, s, kind, adjusted[f"{r['scenario']}/{s}"]) for kind in _KINDS for r, s, own in found if own == kind]
    head = [
        "scenario",
        "model",
        "seeds, patients",
        "PPO minus best-bayes",
        "p",
        "p (Holm)",
        "PPO is",
        "patients better / worse, %",
        "worst 5 %",
        "patients with harm",
        "patients who leave",
        "change of dose, last third",
    ]
    sizes = ", ".join(f"{kind} {sum(own == kind for *_, own in found)}" for kind in _KINDS)
    said = (
        f"PPO minus `best-bayes` {_ACROSS}, in points, with 95 % intervals "
        "([docs/benchmark.md](../docs/benchmark.md#several-trainings)), for the scenarios whose seeds were all tested "
        "together. The p-value is that of the mean difference in target attainment; Holm's step-down is over the "
        f"scenarios, for each kind of model on its own ({sizes}). Harm: of the harm that speaks most against PPO. "
        "Change of dose: in percent of the mean dose.\n\n"
    )
    return said + table(head, rows)


def _kind(record: Mapping[str, Any], setting: str, at: int) -> str:
    """The section's kind of model: the first section has the patients of the controllers' model."""
    return _KINDS[2] if record["results"][setting].get("test_only") else _KINDS[min(at, 1)]


def _row(record: Mapping[str, Any], setting: str, kind: str, adjusted: float) -> list[str]:
    found, over = record["over_seeds"]["against"][setting], record["over_seeds"]
    lead = found["attainment_pct"]["difference"]
    verdict = "level" if adjusted >= _LEVEL else "ahead" if lead["mean"] > 0 else "behind"
    harms = found["harms_pct"]
    worst = max(harms, key=lambda name: harms[name]["difference"]["mean"], default="")
    return [
        f"[{record['scenario']}]({record['scenario']}.md)",
        kind,
        f"{over['seeds']}, {over['patients']:,}",
        _signed(found["attainment_pct"]),
        _p(lead["p"]),
        _p(adjusted),
        verdict,
        f"{found['better_pct']:.0f} / {found['worse_pct']:.0f}",
        _signed(found["worst_5_pct"]),
        f"{worst}: {_signed(harms[worst])}" if worst else "none counted",
        _signed(found["left_pct"]),
        _signed(found["change_last_third_pct"]),
    ]

"""Section with the result in sentences: the best policy, differences with intervals, and limitations."""

from collections.abc import Iterator

from rl_drug_dosage.reports.markup import Html, definitions, el, join, paragraph
from rl_drug_dosage.reports.pieces import key
from rl_drug_dosage.reports.view import Difference, View
from rl_drug_dosage.reports.words import and_, count, interval, percent, points

__all__ = ["headline", "result", "sentences"]


def _strong(text: str) -> Html:
    return el("strong", text)


def _attained(view: View, name: str) -> Html:
    found = view.row[name]["attainment_pct"]
    return join(_strong(f"{percent(found['mean'])}"), f" (95\u00a0% interval {interval(found['low'], found['high'])})")


def _compared(difference: Difference, against: str) -> Html:
    """One difference in a sentence, with a conclusion based on its interval."""
    size, low, high = difference.mean, difference.low, difference.high
    text = f"{points(size)} points ({interval(low, high, signed=True)})"
    if low > 0.0:
        verdict = "the interval lies above zero"
    elif high < 0.0:
        verdict = "the interval lies below zero"
    else:
        verdict = "the interval includes zero, so this benchmark does not show a difference"
    return join(
        "In paired comparison, ",
        _strong(difference.policy),
        f" differs from {against} by ",
        _strong(text),
        f": {verdict}. {percent(difference.better_pct)} of the patients did better, "
        f"{percent(difference.worse_pct)} did worse.",
    )


def _lead(view: View) -> Iterator[Html]:
    contestants = view.contestants
    patients = view.settings["patients"]
    who = "the patient" if patients == 1 else f"{count(patients)} virtual patients"
    if not contestants:
        yield join(f"No clinically usable policy was included; {and_(view.names)} cannot be ranked.")
        return
    first = contestants[0]
    if len(contestants) == 1:
        yield join(
            "Only one policy was included, ", _strong(first), f": on {who} it reached ", _attained(view, first), "."
        )
    else:
        level = [n for n in contestants if _mean(view, n) == _mean(view, first)]
        if len(level) > 1:
            yield join(
                f"On {who}, ", _strong(and_(level)), " share the lead among ", str(len(contestants)), " policies: ",
                _attained(view, first), " in target.",
            )  # fmt: skip
        else:
            yield join(
                f"Of {len(contestants)} policies, ", _strong(first), f" leads on {who}: ", _attained(view, first),
                " in target.",
            )  # fmt: skip
    yield from _comparison(view, first)


def _mean(view: View, name: str) -> float:
    return float(view.row[name]["attainment_pct"]["mean"])


def _comparison(view: View, first: str) -> Iterator[Html]:
    reference = view.reference
    others = [n for n in view.contestants if n not in {first, reference}]
    if first != reference:
        if (found := view.difference(first, reference)) is not None:
            yield _compared(found, f"{reference}, the reference,")
    elif others and (found := view.difference(others[0], reference)) is not None:
        yield join(f"It is the reference. The next best is {others[0]}. ", _compared(found, reference))
    if view.bedside and view.bedside != first and (found := view.difference(first, view.bedside)) is not None:
        yield _compared(found, f"{view.bedside}, Bayesian dosing as programs at the bedside do it,")


def _harms(view: View) -> Iterator[Html]:
    """Harms under the best policy, and in brackets under the reference."""
    names = [h["name"] for h in view.scenario["harms"]]
    if not view.contestants or not names:
        return
    first, reference = view.contestants[0], view.reference

    def share_of(policy: str, harm: str) -> str:
        return percent(view.row[policy]["harms"][harm]["patients_pct"])

    parts: list[str] = []
    for harm in names:
        text = f"{harm} occurred at least once in {share_of(first, harm)} of the patients under {first}"
        if parts:
            text = f"{harm} in {share_of(first, harm)}"
        if first != reference:
            text += f" ({share_of(reference, harm)} under {reference})"
        parts.append(text)
    yield join(f"{and_(parts)}.")


def _outsiders(view: View) -> Iterator[Html]:
    oracles = [n for n in view.names if view.kind(n) == "oracle" and not view.shielded(n)]
    if oracles:
        reached = and_([f"{n} {percent(_mean(view, n))}" for n in oracles])
        yield join(
            f"Upper bound: {reached} with each patient's true parameters, which are unknown in a clinic; "
            "not ranked as a contestant."
        )
    if any(view.shielded(n) for n in view.names):
        yield join(
            "Entries that end in +shield are the same policies behind the safety shield and are not ranked as "
            f"contestants{' either' if oracles else ''}."
        )


def _faults(view: View) -> Iterator[Html]:
    failed = [f"{n} {count(len(view.row[n]['failed_patients']))}" for n in view.names if view.row[n]["failed_patients"]]
    if failed:
        yield join(f"Patients whose simulation failed count as never in target: {and_(failed)}.")
    invalid = [
        f"{n} {count(view.row[n]['interventions'].get('not a number', 0))}"
        for n in view.names
        if view.row[n]["interventions"].get("not a number", 0)
    ]
    if invalid:
        yield join(f"Proposed doses that were not a number were replaced: {and_(invalid)} times.")


def sentences(view: View) -> list[Html]:
    """The sentences of the paragraph."""
    return [*_lead(view), *_harms(view), *_outsiders(view), *_faults(view)]


def _caution(view: View) -> str:
    simulator, controller = view.settings["simulator"], view.settings["controller"]
    if simulator == controller:
        text = (
            f"Model-based policies used the same model that simulates the patients, {simulator}, which favours them: "
        )
        text += (
            "see the mismatch below."
            if "mismatch" in view.record
            else "test other pairs of simulator and controller before relying on the ranking."
        )
    else:
        text = f"Patients are simulated with {simulator}; model-based policies assume {controller}."
    return (
        f"{text} Intervals are from resampling patients. They are not adjusted for multiple comparisons and "
        "do not include uncertainty of the drug models."
    )


def _bullet(view: View, name: str) -> Html:
    """A name with its colour."""
    return el("span", el("span", name, class_="name"), class_=view.style(name))


def headline(view: View) -> Html:
    """The three or four main numbers."""
    tiles = []
    if view.contestants:
        first = view.contestants[0]
        found = view.row[first]["attainment_pct"]
        tiles.append(
            (
                join(_bullet(view, first), ", in target"),
                f"{percent(found['mean'])}",
                interval(found["low"], found["high"]),
            )
        )
        other = first if first != view.reference else next((n for n in view.contestants if n != first), None)
        if other is not None and (pair := view.difference(other, view.reference)) is not None:
            gap = interval(pair.low, pair.high, signed=True)
            against = join(_bullet(view, other), " against ", _bullet(view, view.reference))
            tiles.append((against, f"{points(pair.mean)} points", gap))
    for name in view.names:
        if view.kind(name) == "oracle" and not view.shielded(name):
            found = view.row[name]["attainment_pct"]
            tiles.append(
                (
                    join(_bullet(view, name), ", upper bound"),
                    f"{percent(found['mean'])}",
                    interval(found["low"], found["high"]),
                )
            )
    tiles.append((Html("virtual patients"), count(view.settings["patients"]), f"seed {view.settings['seed']}"))
    return definitions(
        (
            (title, join(el("span", big, class_="big"), el("span", small, class_="small")))
            for title, big, small in tiles
        ),
        class_="tiles",
    )


def result(view: View) -> list[Html]:
    """The summary under the title."""
    text = sentences(view)
    spaced = [part for sentence in text for part in (sentence, " ")]
    return [
        headline(view),
        paragraph(*spaced, class_="lead"),
        paragraph(el("strong", "Primary endpoint: "), f"{view.scenario['goal']}."),
        paragraph(_caution(view), class_="note"),
        *([key(view)] if len(view.names) > 1 else []),
    ]

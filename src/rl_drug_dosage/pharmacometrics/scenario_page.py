"""What a scenario is, as sections of text and tables: the page that ``info --scenario`` prints."""

from collections.abc import Iterable

import numpy as np

from rl_drug_dosage import registry
from rl_drug_dosage.clinic.faults import refusals
from rl_drug_dosage.clinic.features import Part
from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.clinic.observation_options import ACTIONS, FEWEST
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pharmacometrics.drug_page import Page, Section
from rl_drug_dosage.pkpd import Target
from rl_drug_dosage.registry import Found

__all__ = ["scenario_page"]


def scenario_page(named: Found[Scenario]) -> Page:
    """Everything about a scenario that its user has to know, from its own values."""
    scenario = named.value
    return Page(
        name=named.name,
        title=scenario.title,
        sections=(
            _task(named),
            _covariates(scenario),
            Section("Dosage", _dosage(scenario)),
            Section("Monitoring", _monitoring(scenario)),
            _goal(scenario),
            Section("Reward", (scenario.reward_text,)),
            Section("Label", (scenario.label_text,)),
            Section("Shield", _shield(scenario)),
            _policies(scenario),
            _observations(scenario),
            Section("Actions", _actions(scenario)),
        ),
    )


def _task(named: Found[Scenario]) -> Section:
    schedule = named.value.schedule
    every = f"{schedule.interval_h * schedule.shown_per_h:.4g} {schedule.shown_unit}"
    whole = f"{schedule.interval_h * schedule.decisions * schedule.shown_per_h:.4g} {schedule.shown_unit}"
    lines = (
        f"{schedule.decisions} decisions, one every {every}: a course of {whole}",
        f"Gymnasium: {named.env_id}" if named.source is None else f"file: {named.where}",
    )
    models = (f"{name}: {named.value.drug(name).title}" for name in named.value.models)
    tests = tuple(f"{name}: {named.value.drug(name).title}" for name in named.value.test_only)
    only = "drug models for test patients only (--simulator); nobody trains, tunes or believes them:"
    return Section(
        "Task",
        (
            *lines,
            "drug models, the first one by default for patients and controller:",
            *models,
            *((only, *tests) if tests else ()),
        ),
    )


def _covariates(scenario: Scenario) -> Section:
    drifting = {d.name for d in scenario.drifts}
    columns = ("covariate", "unit", "range", "typical", "changes in the course", "meaning", "source")
    rows = tuple(
        (
            c.name,
            c.unit,
            f"{c.low:g} to {c.high:g}",
            f"{c.typical:g}",
            "yes" if c.name in drifting else "",
            c.meaning,
            c.source,
        )
        for c in scenario.covariates
    )
    return Section("Covariates", () if rows else ("none is known",), (), columns, rows)


def _dosage(scenario: Scenario) -> tuple[str, ...]:
    dosage = scenario.dosage
    per = f", times {dosage.per}" if dosage.per else ""
    times = ", ".join(f"{t:.4g}" for t in dosage.at_h) + " h"
    given = f"given over {dosage.duration_h:.4g} h" if dosage.duration_h else "given at once"
    if dosage.highest_rate_per_h is not None:
        given += f" or longer, at most {dosage.highest_rate_per_h:g} {dosage.unit} per h"
    if dosage.first_at_h:
        times += " (in the first interval at " + ", ".join(f"{t:.4g}" for t in dosage.first_at_h) + " h)"
    return (
        f"{len(dosage.amounts)} amounts from {dosage.amounts[0]:g} to {dosage.amounts[-1]:g} {dosage.unit}{per}: "
        + ", ".join(f"{a:g}" for a in dosage.amounts),
        f"usual {dosage.usual:g} {dosage.unit}; into {dosage.compartment}, {given}, at {times} after the decision",
        f"Source: {dosage.source}",
    )


def _monitoring(scenario: Scenario) -> tuple[str, ...]:
    monitoring = scenario.monitoring
    drug = scenario.drug(scenario.models[0])
    output = drug.outputs[drug.output_index(monitoring.output)]
    times = ", ".join(f"{t:.4g}" for t in monitoring.at_h)
    where = f"{int(scenario.sampled().sum())} of {scenario.schedule.decisions} intervals"
    before = ", and once before the first dose" if monitoring.baseline else ""
    limit = f"; limit of quantification {monitoring.lloq:g} {output.unit}" if monitoring.lloq else ""
    return (
        f"{output.name} ({output.unit}) at {times} h of an interval, in {where}{before}",
        f"back after {monitoring.turnaround_h:.4g} h{limit}",
        f"Source: {monitoring.source}",
    )


def _edge(value: float) -> str:
    return "open" if np.isinf(value) else f"{value:g}"


def _spans(scenario: Scenario, i: int, target: Target) -> Iterable[tuple[str, ...]]:
    """A target's window, a row for every stretch of the course with its own edges."""
    low, high, aim = (edge[:, i] for edge in scenario.edges())
    starts = [0, *(np.flatnonzero((low[1:] != low[:-1]) | (high[1:] != high[:-1])) + 1).tolist()]
    for k in starts:
        span = f"{_edge(low[k])} to {_edge(high[k])}"
        yield f"{target.metric} of {target.output}", span, target.unit, f"{aim[k]:.4g}", str(k + 1), target.source


def _goal(scenario: Scenario) -> Section:
    columns = ("target", "window", "unit", "aim", "from decision", "source")
    rows = tuple(row for i, target in enumerate(scenario.goal.targets) for row in _spans(scenario, i, target))
    harms = tuple(
        f"harm: {h.name}, {h.metric} of {h.output} {'above' if h.above is not None else 'below'} "
        f"{h.above if h.above is not None else h.below:g}. Source: {h.source}"
        for h in scenario.goal.harms
    )
    judged = f"judged in {int(scenario.judged().sum())} of {scenario.schedule.decisions} intervals"
    return Section("Goal", (scenario.goal.title, judged, _steady(scenario), *harms), (), columns, rows)


def _steady(scenario: Scenario) -> str:
    goal = scenario.goal
    if goal.steady is None:
        return "constant best dose: not stated, so changes of dose are counted and not judged"
    return (
        f"constant best dose: {'yes' if goal.steady else 'no, so changes of dose are not judged'}. {goal.steady_text}"
    )


def _shield(scenario: Scenario) -> tuple[str, ...]:
    shield, unit = scenario.shield, scenario.dosage.unit
    words = {
        "dose": (shield.dose, f"{unit} per administration"),
        "day": (shield.day, f"{unit} in 24 h"),
        "factor": (
            shield.factor,
            f"times the last dose above 0 of the {shield.factor_intervals} decisions before",
        ),
        "on board": (shield.on_board, f"{unit} on board, halved every {shield.half_life_h:g} h"),
        f"level {'not below' if shield.lowers else 'not above'}": (
            shield.level,
            f"in {scenario.monitoring.output} of a typical patient",
        ),
    }
    return tuple(f"{name}: {limit:g} {what}" for name, (limit, what) in words.items() if limit is not None) or ("none",)


def _policies(scenario: Scenario) -> Section:
    """Of the clinical policies, those that fit and why the others do not."""
    reasons, broken = refusals(scenario)
    fit = (f"{name}: {registry.load_policy_definition(name).title}" for name, reason in reasons.items() if not reason)
    unfit = (f"not {name}: {reason}" for name, reason in reasons.items() if reason)
    return Section("Policies", (*fit, *unfit, *(f"left out: {text}" for text in broken)))


def _shown(scenario: Scenario) -> list[tuple[Part, bool]]:
    """Every part that an observation can have, and whether it is there by default."""
    plain = observer_of(scenario).parts
    believed = scenario.models[0]
    others = (
        observer_of(scenario, ratio=True),
        observer_of(scenario, action="label"),
        observer_of(scenario, belief=believed, action="residual"),
        observer_of(
            scenario, belief=believed, action="residual", support=FEWEST, prior=_widest(scenario), reference="mipd"
        ),
    )
    known = {part.features for part in plain}
    found = [(part, True) for part in plain]
    for observer in others:
        for part in observer.parts:
            if part.features not in known:
                known.add(part.features)
                found.append((part, False))
    return found


def _widest(scenario: Scenario) -> str:
    """The prior under which support patients show most."""
    return "mixture" if len(scenario.models) > 1 else "published"


def _observations(scenario: Scenario) -> Section:
    rows, at = [], 0
    for part, default in _shown(scenario):
        count = len(part.features)
        places = f"{at}" if count == 1 else f"{at} to {at + count - 1}"
        at += count * default
        rows.append(
            (
                places if default else "not shown by default",
                _named(part),
                part.option or "none: always shown",
                part.meaning,
            )
        )
    columns = ("numbers", "names", "option", "meaning")
    options = (
        "options (--env-kwargs, or observation_options of an agent), with their defaults: history=4, on_board=true, "
        "clock=true, ratio=false, intervals=false, belief='' (a drug model), action='amount', support=0 (support "
        "patients of the belief, in place of an estimate), prior='published', error='published', reference='' (mipd "
        "with its options, if its dose is corrected)"
    )
    how_many = (
        f"{at} numbers with default options, counted from 0; where an option shows more, "
        "env.unwrapped.observation_names says where"
    )
    return Section("Observations", (how_many, options), (), columns, tuple(rows))


def _named(part: Part) -> str:
    """The names of a part with their units; a unit that all share once."""
    units = {feature.unit for feature in part.features}
    if len(units) > 1:
        return ", ".join(feature.label for feature in part.features)
    return f"{', '.join(feature.name for feature in part.features)} ({units.pop()})"


def _actions(scenario: Scenario) -> tuple[str, ...]:
    meanings = {
        "amount": f"an amount in {scenario.dosage.unit}, put on the grid",
        "grid": "a place on the grid of amounts",
        "relative": "a change of the dose before",
        "label": "a change of the label's dose",
        "residual": "a change of the Bayesian dose under the belief; with support patients, and a best dose that "
        "becomes constant, a second action is a change that follows slowly",
    }
    lines = []
    for action in ACTIONS:
        belief = scenario.models[0] if action == "residual" else ""
        low, high = observer_of(scenario, action=action, belief=belief).action_range
        lines.append(f"{action}: from {low:g} to {high:g}, {meanings[action]}")
    return tuple(lines)

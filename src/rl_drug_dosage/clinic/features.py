"""The components of an observation: parts, each with names, units and the function that computes them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.belief import Belief, Player, innovations, occasions_of, past
from rl_drug_dosage.clinic.posterior import Outlook
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.objective import split_latent

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.observation import Observer

__all__ = [
    "ON_BOARD",
    "RATIO_OVER",
    "Feature",
    "Part",
    "View",
    "logarithm_unit",
    "output_of",
    "parts_of",
    "share_unit",
]

ON_BOARD = (1.0, 4.0, 16.0)
"""Half-lives of the drug-on-board features, in decision intervals: an exponentially fading sum of doses makes a delayed
effect nearly Markov (PAE-POMDP)."""

RATIO_OVER = (1.0, 4.0)
"""Half-lives, in decision intervals, of the fading dose mean in the level-to-dose ratio."""

_FORMS = {"lognormal": "log ratio to typical", "proportional": "fraction", "additive": "", "logit": "logit"}
"""Unit of a random effect; an additive one has the unit of its parameter."""


@dataclass(frozen=True)
class Feature:
    """One component of an observation.

    Args:
        name: short, unique within the observation.
        unit: its unit, ``"1"`` if it has none.
    """

    name: str
    unit: str

    @property
    def label(self) -> str:
        """``wt_kg (kg)``."""
        return f"{self.name} ({self.unit})"


class View:
    """A chart at a decision, with the values that several parts share, computed lazily and once.

    Args:
        scenario: the task.
        record: the chart.
        history: intervals that are shown one by one.
        believe: estimates the patient; (belief, dose of Bayesian dosing or None).
        look: asks the support patients.
    """

    def __init__(
        self,
        scenario: Scenario,
        record: Record,
        history: int,
        believe: Callable[[], tuple[Belief, Array | None]],
        look: Callable[[], Outlook],
    ) -> None:
        self.scenario, self.record, self.history = scenario, record, history
        self._believe, self._look = believe, look
        self.steps, self.top = scenario.schedule.decisions, scenario.dosage.amounts[-1]
        self.k = jnp.minimum(record.k, self.steps - 1)
        self.facts = record.facts()

    @cached_property
    def dose(self) -> Float[Array, " decision"]:
        """Past doses, in shares of the largest amount."""
        return self.record.dose / self.top

    @cached_property
    def _back(self) -> Array:
        return self.record.k - 1 - jnp.arange(self.history)

    @cached_property
    def there(self) -> Array:
        """Which of the last ``history`` intervals lie within the course."""
        return self._back >= 0

    @cached_property
    def rows(self) -> Array:
        """Their indices; 0 for those before the course."""
        return jnp.maximum(self._back, 0)

    @cached_property
    def known(self) -> Array:
        """Which of their levels are known, ``[history, sample]``."""
        return self.record.known[self.rows] & self.there[:, None]

    @cached_property
    def belief(self) -> tuple[Belief, Array | None]:
        """The MAP estimate, and the dose of Bayesian dosing if it is needed."""
        return self._believe()

    @cached_property
    def outlook(self) -> Outlook:
        """What the support patients tell."""
        return self._look()

    @cached_property
    def label(self) -> Array:
        """The label's dose now."""
        return self.scenario.label(self.facts, self.record)


@dataclass(frozen=True)
class Part:
    """Components of an observation that belong together.

    Args:
        features: their names and units, in order.
        meaning: one line for tables.
        option: the environment option that enables it; empty if it is always observed.
        value: computes them; any array shape with ``len(features)`` numbers.
    """

    features: tuple[Feature, ...]
    meaning: str
    option: str
    value: Callable[[View], Array]


def parts_of(observer: "Observer") -> tuple[Part, ...]:
    """The parts of an observer's vector, in order: the single definition of the layout."""
    scenario = observer.scenario
    found = [*_task(observer), *_treatment(observer), _latest_levels(scenario)]
    if observer.ratio:
        found.append(_ratio(scenario))
    if scenario.monitoring.baseline:
        name, unit = output_of(scenario)
        before = Feature(f"{name}_before", logarithm_unit(unit))
        # An observer may be made while a program is traced.
        with jax.ensure_compile_time_eval():
            typical = scenario.drug(scenario.models[0]).undosed(scenario.monitoring.output)

        def first(view: View) -> Array:
            known = view.record.baseline
            return jnp.log1p(jnp.where(known > 0, known, typical))[None]

        meaning = "level before the first dose; that of the typical patient where it is unknown"
        found.append(Part((before,), meaning, "", first))
    if scenario.intake is not None:
        found.append(_intake(scenario))
    if observer.intervals or (observer.corrects and scenario.dosage.intervals_h):
        found.append(_dosing_interval(scenario))
    if observer.belief is not None and observer.posterior is None:
        found += _belief(observer, observer.belief)
    if observer.action == "label":
        unit = share_unit(scenario)
        found.append(Part((Feature("label_dose", unit),), "the label's dose now", "action=label", _label_dose))
    return tuple(found)


def output_of(scenario: Scenario) -> tuple[str, str]:
    """Name and unit of the monitored output."""
    model, name = scenario.drug(scenario.models[0]), scenario.monitoring.output
    return name, model.outputs[model.output_index(name)].unit


def logarithm_unit(unit: str) -> str:
    """The unit of ln(1 + x)."""
    return "ln(1 + x)" if unit == "1" else f"ln(1 + x), x in {unit}"


def share_unit(scenario: Scenario) -> str:
    """The unit of doses: shares of the largest."""
    return f"share of {scenario.dosage.amounts[-1]:g} {scenario.dosage.unit}"


def _hours(scenario: Scenario, intervals: float) -> str:
    """A time in the scenario's shown unit, for names: ``4d``, ``12h``."""
    schedule = scenario.schedule
    return f"{intervals * schedule.interval_h * schedule.shown_per_h:g}{schedule.shown_unit}"


def _task(observer: "Observer") -> list[Part]:
    scenario = observer.scenario
    aims = scenario.edges()[2][:, 0]
    target = scenario.goal.targets[0]
    found = []
    if observer.clock:
        time = Feature("time", "share of the course")
        found.append(Part((time,), "time of the decision", "clock", lambda v: jnp.reshape(v.record.k / v.steps, 1)))
    aim = Feature("aim", f"multiple of {float(aims[-1]):.4g} {'' if target.unit == '1' else target.unit}".rstrip())
    meaning = f"the goal's aim for {target.metric} of {target.output}, now"
    found.append(Part((aim,), meaning, "", lambda v: jnp.asarray(aims / aims[-1])[v.k][None]))
    if scenario.covariates:
        names = tuple(Feature(c.name, c.unit) for c in scenario.covariates)
        found.append(
            Part(
                names,
                "covariates as they are now",
                "",
                lambda v: jnp.stack([v.facts[c.name] for c in scenario.covariates]),
            )
        )
    return found


def _treatment(observer: "Observer") -> list[Part]:
    scenario, share = observer.scenario, share_unit(observer.scenario)
    found = []
    if observer.on_board:
        names = tuple(Feature(f"on_board_{_hours(scenario, half)}", share) for half in ON_BOARD)
        meaning = "drug on board: the sum of the doses, each halved every so often, and the mean dose"
        found.append(Part((*names, Feature("mean_dose", share)), meaning, "on_board", _on_board))
    ago = range(1, observer.history + 1)
    doses = tuple(Feature(f"dose_{i}_ago", share) for i in ago)
    name, unit = output_of(scenario)
    at_h = scenario.monitoring.at_h
    places = [f"_at_{t:.4g}h" for t in at_h] if len(at_h) > 1 else [""]
    levels = tuple(Feature(f"{name}{place}_{i}_ago", logarithm_unit(unit)) for i in ago for place in places)
    known = tuple(Feature(f"{f.name}_known", "0/1") for f in levels)
    return [
        *found,
        Part(doses, "the last doses, the latest first", "history", lambda v: jnp.where(v.there, v.dose[v.rows], 0.0)),
        Part(levels, "levels in the last intervals; 0 where none is known", "history", _levels),
        Part(known, "whether each of them is known", "history", lambda v: v.known.ravel().astype(float)),
    ]


def _on_board(view: View) -> Array:
    record = view.record
    age = record.k - jnp.arange(view.steps)
    carried = [jnp.sum(jnp.where(age > 0, view.dose * 0.5 ** (age / half), 0.0)) for half in ON_BOARD]
    return jnp.stack([*carried, jnp.sum(view.dose) / jnp.maximum(record.k, 1)])


def _levels(view: View) -> Array:
    return jnp.where(view.known, jnp.log1p(view.record.level[view.rows]), 0.0).ravel()


def _latest_levels(scenario: Scenario) -> Part:
    name, unit = output_of(scenario)
    since = "share of the course"
    names = (
        Feature(f"latest_{name}", logarithm_unit(unit)),
        Feature(f"latest_{name}_since", since),
        Feature(f"earlier_{name}", logarithm_unit(unit)),
        Feature(f"earlier_{name}_since", since),
    )
    return Part(names, "the latest level and the one before, and the time since each", "", lambda v: _latest(v.record))


def _latest(record: Record) -> Float[Array, "4"]:
    """The two latest levels, and the share of the course since each."""
    flat, level = record.known.ravel(), record.level.ravel()
    count, samples = flat.shape[0], record.known.shape[1]
    order = jnp.where(flat, jnp.arange(count), -1)
    first = jnp.max(order)
    second = jnp.max(jnp.where(order < first, order, -1))
    found = []
    for at in (first, second):
        since = (record.k - at // samples) / record.known.shape[0]
        found += [jnp.where(at >= 0, jnp.log1p(level[jnp.maximum(at, 0)]), 0.0), jnp.where(at >= 0, since, 1.0)]
    return jnp.stack(found)


def _ratio(scenario: Scenario) -> Part:
    _, unit = output_of(scenario)
    usual = f"{scenario.dosage.usual:g} {scenario.dosage.unit}"
    counted = f"ln({'level' if unit == '1' else unit} per {usual})"
    names = [f"level_to_dose_{_hours(scenario, half)}{which}" for half in RATIO_OVER for which in ("", "_recent")]
    meaning = "levels over the doses behind them, over all levels and over the recent ones"
    return Part(
        tuple(Feature(name, counted) for name in names), meaning, "ratio", lambda v: _ratios(v.scenario, v.record)
    )


def _ratios(scenario: Scenario, record: Record) -> Float[Array, " ratio"]:
    """The concentration-to-dose (C/D) ratio: ln of each level over the preceding doses, averaged over the levels.

    The preceding doses enter as an exponentially fading mean, with each of the half-lives `RATIO_OVER`. The average is
    taken over all levels, and again with weights that halve every four intervals. 0 if no level is known.
    """
    steps = scenario.schedule.decisions
    column = scenario.monitoring.guide % len(scenario.monitoring.at_h)
    known, age = record.known[:, column], np.arange(steps)[:, None] - np.arange(steps)[None, :]
    dose = record.dose / scenario.dosage.usual
    recent = jnp.where(known, 0.5 ** ((record.k - 1 - jnp.arange(steps)) / 4.0), 0.0)
    found = []
    for half in RATIO_OVER:
        weight = np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half), 0.0)
        behind = jnp.asarray(weight / weight.sum(1, keepdims=True), jnp.float32) @ dose
        ratio = jnp.where(known, jnp.log(record.level[:, column] + 1e-2) - jnp.log(behind + 0.05), 0.0)
        found += [ratio.sum() / jnp.maximum(known.sum(), 1), (ratio * recent).sum() / jnp.maximum(recent.sum(), 1e-6)]
    return jnp.stack(found)


def _intake(scenario: Scenario) -> Part:
    assert scenario.intake is not None
    biggest = max(amount for _, amount in scenario.intake.schedule)
    unit = f"share of {biggest:g} mg"

    def value(view: View) -> Array:
        later = jnp.minimum(view.k + 1, view.steps - 1)
        return view.record.intake_mg[jnp.asarray([view.k, later])] / biggest

    return Part((Feature("intake_now", unit), Feature("intake_next", unit)), "announced intakes", "", value)


def _dosing_interval(scenario: Scenario) -> Part:
    intervals_h = scenario.dosage.intervals_h
    longest = max(intervals_h)

    def value(view: View) -> Array:
        running = jnp.asarray(intervals_h)[view.record.choice[jnp.maximum(view.k - 1, 0)]] / longest
        return jnp.stack([jnp.where(view.k > 0, running, 0.0), (view.record.k >= view.record.due).astype(float)])

    features = (Feature("dosing_interval", f"share of {longest:g} h"), Feature("dose_due", "0/1"))
    return Part(features, "the dosing interval that runs, and whether a dose is due", "intervals", value)


def _label_dose(view: View) -> Array:
    return jnp.reshape(view.label / view.top, 1)


def _belief(observer: "Observer", model: DrugModel) -> list[Part]:
    scenario, occasions = observer.scenario, occasions_of(model, observer.scenario)
    effects = [Feature(f"eta_{eta.parameter}", _FORMS[eta.form] or "as published") for eta in model.etas]
    effects += [
        Feature(f"kappa_{eta.parameter}_{i}", _FORMS[eta.form] or "as published")
        for i in range(1, occasions + 1)
        for eta in model.occasion_etas
    ]
    found = []
    if observer.action == "residual":
        dose = Feature("bayesian_dose", share_unit(scenario))
        found.append(Part((dose,), f"dose of Bayesian dosing under {model.name}", "action=residual", _bayesian_dose))
    deviations = tuple(Feature(f"sd_{f.name}", f.unit) for f in effects)
    surprise = Feature("surprise", "standard deviations")
    return [
        *found,
        Part(tuple(effects), f"MAP random effects under {model.name}", "belief", lambda v: v.belief[0].z),
        Part(deviations, "standard deviations of the random effects", "belief", _deviations),
        Part((surprise,), "the latest level less its prediction", "belief", lambda v: _surprise(model, v)[None]),
    ]


def _bayesian_dose(view: View) -> Array:
    dose = view.belief[1]
    assert dose is not None
    return jnp.reshape(dose / view.top, 1)


def _deviations(view: View) -> Array:
    return jnp.sqrt(jnp.diagonal(view.belief[0].covariance))


def _surprise(model: DrugModel, view: View) -> Array:
    """The latest innovation under the MAP estimate, in standard deviations: signals model misspecification."""
    scenario, record, z = view.scenario, view.record, view.belief[0].z
    occasions = occasions_of(model, scenario)
    eta, kappa = split_latent(model, z, occasions)
    player = Player(model, scenario, record.covariates, eta, kappa if occasions else None, area=False)
    u = innovations(model, scenario, past(player, record), record).ravel()
    at = jnp.max(jnp.where(record.known.ravel(), jnp.arange(u.shape[0]), 0))
    return jnp.clip(u[at], -10.0, 10.0)

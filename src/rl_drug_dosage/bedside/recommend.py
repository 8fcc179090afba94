"""From a history to a recommendation: estimate, weigh models, search doses, and say why."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.bedside.assess import assess, due_h
from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.case import Case, course_of, curve_of
from rl_drug_dosage.bedside.grid import grid_of, horizon_of, infusion_of
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.layout import lay_out, route_of
from rl_drug_dosage.bedside.mixture import weighed
from rl_drug_dosage.bedside.reasons import contradicted, reasons, warnings_of
from rl_drug_dosage.bedside.recommendation import Parameter, PolicyResult, Recommendation, option_words
from rl_drug_dosage.bedside.regimens import Row, shown, sorted_rows, table
from rl_drug_dosage.bedside.rivals import LABEL, Advice, advice_of
from rl_drug_dosage.bedside.sampling import Sampling, best_sampling
from rl_drug_dosage.bedside.task import Task, task_of
from rl_drug_dosage.bedside.windows import Option
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.pharmacometrics.dose_target import label_of
from rl_drug_dosage.pkpd import DrugModel, Route, parameter_unit
from rl_drug_dosage.utils.runtime import keep_programs
from rl_drug_dosage.utils.seeding import check_seed
from rl_drug_dosage.utils.words import output_words, with_unit

__all__ = ["BAYES", "Asked", "answered", "considered", "recommended", "recommended_each"]

BAYES = "bayes"
_FEWEST, _MOST = 50, 5000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a recommendation is made.

    Args:
        models: drug models to weigh, in any form that `registry` knows; empty: those of the drug's scenario, or else
            all of the drug.
        scenario: gives target, harms, limits and the label's rule; None: the built-in one of the drug.
        target: window to aim at, see `dose_target`; None: the scenario's goal, or the model's target.
        prior: ``"published"`` or ``"widened"``.
        policies: to be set beside Bayesian dosing: ``"label"``, model files, names.
        next_dose_h: when the next dose is due; None: an interval after the last one, not before now.
        horizon_h: how far ahead the interval that counts ends; None: two days and at least two intervals.
        amounts_mg, intervals_h: to try; empty: the label's. Intervals have to be on the label.
        route: of the next doses; None: that of the last dose, or else the first.
        draws: from the posterior of each model.
        seed: of the draws.
    """

    models: Sequence[object] = ()
    scenario: object = None
    target: str | None = None
    prior: str = "published"
    policies: Sequence[str | Path] = (LABEL,)
    next_dose_h: float | None = None
    horizon_h: float | None = None
    amounts_mg: Sequence[float] = ()
    intervals_h: Sequence[float] = ()
    route: str | None = None
    draws: int = 512
    seed: int = 1

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not _FEWEST <= self.draws <= _MOST:
            raise ConfigError(f"draws is {self.draws}; allowed: {_FEWEST} to {_MOST:,}; choose a number between")


def recommended(history: PatientHistory, asked: Asked) -> Recommendation:
    """Recommend a dose for one patient.

    Args:
        history: what is known.
        asked: how.

    Raises:
        UnknownNameError: a drug, model, route, output or covariate that is not known.
        ConfigError: a history that cannot be, covariates that are missing, an interval that is not on the label.
        CovariateError, ObservationError, RegimenError: numbers that the engine refuses.
    """
    return answered(considered(history, asked))


def recommended_each(histories: Sequence[PatientHistory], asked: Asked) -> tuple[Recommendation, ...]:
    """Recommend a dose for each of several patients.

    Raises:
        RlDrugDosageError: as `recommended`; of several patients, the message begins with the one.
    """
    found = []
    for place, history in enumerate(histories, 1):
        try:
            found.append(recommended(history, asked))
        except RlDrugDosageError as error:
            if len(histories) == 1:
                raise
            raise ConfigError(f"patient {history.name or place}: {error}") from error
    return tuple(found)


def considered(history: PatientHistory, asked: Asked) -> Case:
    """A patient with the posterior of every model: what `answered` and `Case.forecast` look at.

    Args:
        history: what is known.
        asked: how.

    Raises:
        RlDrugDosageError: see `recommended`.
    """
    keep_programs()
    task = task_of(history.drug, models=asked.models, scenario=asked.scenario, target=asked.target, prior=asked.prior)
    usable = assess(task, history, asked=bool(asked.models) or len(task.models) == 1)
    start = due_h(task, history, asked.next_dose_h)
    grid = grid_of(
        task, history, _route(task, history, asked.route), amounts_mg=asked.amounts_mg, intervals_h=asked.intervals_h
    )
    horizon = horizon_of(task, grid, history, start, asked.horizon_h)
    end = start + horizon + max(grid.intervals_h)
    advices = tuple(advice_of(policy, task, history, start) for policy in asked.policies)
    with jax.enable_x64(True):
        laid = [lay_out(model, task, history, start, end) for model in usable.models]
        mixture, left_out = weighed(usable.models, laid, draws=asked.draws, seed=asked.seed, strict=bool(asked.models))
        return Case(task, history, mixture, grid, start, horizon, advices, (*usable.notes, *left_out))


def answered(case: Case) -> Recommendation:
    """The recommendation for a patient.

    Raises:
        ConfigError: no regimen ends its infusion within its interval.
    """
    with jax.enable_x64(True):
        return _answered(case)


def _route(task: Task, history: PatientHistory, asked: str | None) -> Route:
    given = [d for d in history.doses if d.given]
    if asked is not None:
        return route_of(task.first, asked)
    return infusion_of(task, route_of(task.first, given[-1].route if given else None), history)


def _answered(case: Case) -> Recommendation:
    task, mixture = case.task, case.mixture
    besides = [a.option for a in case.advices if a.option is not None and a.option.possible and not a.abstains]

    def look(options: list[Option]) -> list[Row]:
        case.rows([*options, *besides])  # one call for the regimens of all policies
        return case.rows(options)

    rows = table(case.grid, look)
    if not rows:
        raise ConfigError(
            f"no regimen of {case.grid.route.name} ends its infusion within its interval; allowed: amounts that do; "
            "give smaller amounts or longer intervals"
        )
    # Sorted again: whether any regimen has a chance may hang on those that are not allowed.
    allowed = sorted_rows([row for row in rows if case.grid.allows(row.option)], case.grid.usual_h)
    against = contradicted(mixture)
    policies = [_bayes(case, allowed, against=against), *(_rival(case, advice) for advice in case.advices)]
    chosen = next((p.row for p in policies if p.row is not None and not p.abstains), None)
    option = chosen.option if chosen is not None else (allowed or rows)[0].option
    times, all_outputs = course_of(case, option)
    output = case.output
    # The target's output is the first, on whose axis its window and the policies are drawn.
    shown_too = [output, *(i for i, name in enumerate(task.outputs) if i != output and _is_measured(task, name))]
    curves = tuple(curve_of(case, times, all_outputs, i) for i in shown_too)
    policies = [_drawn(case, p, option, times, all_outputs, output) for p in policies]
    name = f"{task.aims[0].target.metric} of {output_words(task.aims[0].target.output)}"
    quantity = case.looked[option][1]
    said = [*warnings_of(mixture)]
    if against:
        said.insert(0, _AGAINST)
    first = task.aims[0]
    return Recommendation(
        history=_told(case.history, task.first, task.outputs[output]),
        drug=task.drug,
        start_h=case.start_h,
        horizon_h=case.horizon_h,
        quantity=name,
        unit=first.target.unit,
        targets=tuple(label_of(aim) for aim in task.aims),
        harms=tuple(harm.name for harm in task.harms),
        policies=tuple(policies),
        rows=shown(allowed),
        sampling=_sampling(case, option, times, all_outputs, quantity, name),
        weights={b.model.name: float(w) for b, w in zip(mixture.beliefs, mixture.weights, strict=True)},
        effective={b.model.name: b.effective for b in mixture.beliefs},
        parameters=_parameters(mixture.main),
        curves=curves,
        reasons=reasons(mixture, case.history, case.grid, rows, quantity, with_unit(name, first.target.unit)),
        warnings=tuple(said),
        notes=(*case.history.notes, *task.notes, *case.notes),
        contradicted=against,
        window=first.edges if first.target.metric in {"trough", "peak", "nadir", "value"} else None,
        amounts_mg=tuple(a for a in case.grid.amounts_mg if a <= case.grid.most_mg),
        intervals_h=case.grid.intervals_h,
    )


def _told(history: PatientHistory, model: DrugModel, shown: str) -> PatientHistory:
    """The history, whose levels name their output where it is not the first that is shown."""
    usual = model.outputs[0].name
    if usual == shown:
        return history
    levels = tuple(dataclasses.replace(level, output=level.output or usual) for level in history.levels)
    return dataclasses.replace(history, levels=levels)


def _is_measured(task: Task, name: str) -> bool:
    return task.first.outputs[task.first.output_index(name)].residual is not None


_AGAINST = (
    "the levels contradict every model: no dose of Bayesian dosing is recommended; check doses, times and units, "
    "measure again, and treat the label's dose with caution"
)


def _bayes(case: Case, allowed: Sequence[Row], *, against: bool) -> PolicyResult:
    """Bayesian dosing on the free history."""
    if against:
        return PolicyResult(BAYES, "", None, None, abstains="the levels contradict every model")
    if not allowed:
        return PolicyResult(BAYES, "", None, None, abstains=f"no regimen keeps the limits: {case.grid.why}")
    return PolicyResult(BAYES, option_words(allowed[0].option), allowed[0], None)


def _rival(case: Case, advice: Advice) -> PolicyResult:
    if advice.abstains:
        return PolicyResult(advice.name, "", None, None, advice.notes, advice.abstains)
    if advice.option is None or not advice.option.possible:
        return PolicyResult(advice.name, advice.words, None, None, advice.notes)
    row = case.rows([advice.option])[0]
    words = option_words(advice.option)
    return PolicyResult(advice.name, words, row, None, advice.notes)


def _drawn(
    case: Case,
    policy: PolicyResult,
    option: Option,
    times: Float[np.ndarray, "time"],
    values: Float[np.ndarray, "draw time output"],
    output: int,
) -> PolicyResult:
    """A policy with its curve; that of the recommended regimen is at hand."""
    if policy.row is None:
        return policy
    if policy.row.option != option:
        times, values = course_of(case, policy.row.option)
    curve = curve_of(case, times, values, output)
    return PolicyResult(policy.name, policy.words, policy.row, curve, policy.notes, policy.abstains)


def _sampling(
    case: Case,
    option: Option,
    times: Float[np.ndarray, "time"],
    values: Float[np.ndarray, "draw time output"],
    quantity: Float[np.ndarray, "draw"],
    name: str,
) -> Sampling | None:
    """From now until the end of the first interval of the recommended regimen."""
    first = case.task.first
    measured = [first.outputs[first.output_index(name)] for name in case.task.outputs]
    place = next((i for i, each in enumerate(measured) if each.residual is not None), None)
    residual = None if place is None else measured[place].residual
    if place is None or residual is None:
        return None
    infusions = [(d.time_h, d.time_h + d.duration_h) for d in case.history.doses if d.given]
    starts = case.start_h + option.interval_h * np.arange(2)
    infusions += [(float(s), float(s) + option.duration_h) for s in starts]
    allowed: Bool[np.ndarray, time] = (times >= case.history.now_h) & (times <= case.start_h + option.interval_h)
    for begin, end in infusions:
        allowed &= ~((times > begin) & (times < end))
    return best_sampling(residual, quantity[1:], name, times, values[1:, :, place], allowed)


def _parameters(belief: Belief) -> tuple[Parameter, ...]:
    found = []
    for i, eta in enumerate(belief.model.etas):
        own, usual = (float(p[eta.parameter][-1]) for p in (belief.found.parameters, belief.found.typical))
        sds = float(belief.found.estimate.eta[i]) / float(belief.sd[i])
        found.append(Parameter(eta.parameter, parameter_unit(eta.parameter), own, usual, sds))
    return tuple(found)

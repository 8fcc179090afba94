"""The contract of a policy: it uses only the record, copes with missing levels, and declares randomness."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.checks.held import MOST_PCT, held_course
from rl_drug_dosage.checks.policy_trials import Bench, Doses, abstract_act, constants_of, other_simulator, same
from rl_drug_dosage.checks.report import (
    Check,
    Finding,
    Level,
    Report,
    Tell,
    check,
    doubt,
    failed,
    require_level,
    run_checks,
    wrong,
)
from rl_drug_dosage.clinic.dose_grid import on_grid
from rl_drug_dosage.clinic.faults import half_step, not_a_dose, not_stacked
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.clinic.timetable import amount_of
from rl_drug_dosage.registry import POLICY, Found, find, find_scenario
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.foreign import is_interrupt

__all__ = ["check_policy"]


@checked
def check_policy(
    policy: object,
    scenario: str | Path | Scenario | Found[Scenario],
    *,
    level: Level = "quick",
    tell: Tell | None = None,
) -> Report:
    """Check a policy in one scenario against the contract of the built-in ones.

    Args:
        policy: a `Policy`, a `PolicyDefinition`, a `registry.Found` of one, or anything that `registry.find` accepts.
        scenario: the scenario: a name, a file, the object, or the result of `registry.find`.
        level: ``declared`` traces the policy, ``quick`` also runs it; ``thorough`` adds nothing for policies.
        tell: receives the name of each check before it runs.

    Returns:
        The findings; `Report.raise_if_any` raises them as an error.

    Raises:
        UnknownNameError, BadPluginError, ModelFileError: an unknown policy or scenario, or a file that defines none.
    """
    require_level(level)
    task = scenario if isinstance(scenario, Found) else find_scenario(scenario)
    name, definition = _definition_of(policy)
    first = task.value.models[0]
    setting = Setting(task, model_of(task.value, first), simulator_of(task.value, first))
    stages: list[tuple[Check[Bench], ...]] = [(_it_fits,), (_it_is_traceable,)]
    if level != "declared":
        stages.append(_RUN)
    return run_checks("policy", name, Bench(definition, setting), stages, tell)


def _definition_of(policy: object) -> tuple[str, PolicyDefinition]:
    if isinstance(policy, Policy):
        name = type(policy).__name__.lower()
        return name, PolicyDefinition(title=name, build=lambda _: policy)
    if isinstance(policy, PolicyDefinition):
        return policy.title, policy
    found = policy if isinstance(policy, Found) else find(POLICY, policy)
    return found.name, found.value


@check("build")
def _it_fits(bench: Bench) -> Iterable[Finding]:
    """The definition has a title, fits the scenario, and builds a policy; so do its tuning candidates."""
    definition, setting = bench.definition, bench.setting
    if not definition.title:
        yield wrong("title", "empty", "one line for tables", "write it")
    reason = definition.refuses(setting.scenario)
    if not isinstance(reason, str):
        yield wrong("refuses", repr(reason), "a text, empty where the policy fits", "return a text")
    elif reason:
        yield wrong("refuses", reason, "a scenario that the policy supports", "choose another scenario")
        return
    if not isinstance(bench.policy, Policy):
        yield wrong("build", f"returns {type(bench.policy).__name__}", "a Policy", "subclass Policy")
        return
    if definition.candidates is not None:
        many = definition.candidates(setting, np.random.default_rng(1))
        if not isinstance(many, Policy):
            yield wrong("candidates", f"returns {type(many).__name__}", "a Policy", "stack the candidates in one")
        elif came := not_stacked(many):
            yield wrong("candidates", came, "one leading axis, the same for all", "stack the candidates")


@check("act")
def _it_is_traceable(bench: Bench) -> Iterable[Finding]:
    """`init` and `act` can be traced; the memory keeps its shapes; the dose is one number. Nothing is compiled."""
    try:
        memory = bench.abstract_memory
    except BaseException as error:
        if is_interrupt(error):
            raise
        yield failed("init", error)
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(memory):
        if not hasattr(leaf, "dtype"):
            yield wrong(f"memory{jax.tree_util.keystr(path)}", type(leaf).__name__, "an array", "keep arrays only")
    keys = (True,) if bench.definition.chance else (True, False)
    for with_key in keys:
        try:
            came = abstract_act(bench, with_key=with_key)
        except BaseException as error:
            if is_interrupt(error):
                raise
            found = failed("act" if with_key else "chance", error)
            yield found if with_key else wrong("chance", f"without a key, act {found.came}", "no key needed", _SAY_SO)
            return
    if not isinstance(came, tuple) or len(came) != 2:
        said = f"{len(came)} values" if isinstance(came, tuple) else "one value"
        yield wrong("act", f"returns {said}", "a pair, the dose and the new memory", "return dose, memory")
        return
    dose, after = amount_of(came[0]), came[1]
    if not_a_dose(dose):
        kind = f" and type {dose.dtype}" if hasattr(dose, "dtype") else f" of type {type(dose).__name__}"
        yield wrong("act", f"a dose of shape {np.shape(dose)}{kind}", "one real number", "return a scalar")
    yield from _same_memory(memory, after)


_ONE = "use the record of one patient only"
_SAY_SO = "set chance=True in the PolicyDefinition if doses are random"


def _same_memory(before: object, after: object) -> Iterable[Finding]:
    old, new = str(jax.tree.structure(before)), str(jax.tree.structure(after))
    if old != new:
        yield wrong("memory", f"{new} after act, {old} before", "the same structure", "return what `init` returned")
        return
    leaves: list[tuple[Any, Any]] = jax.tree_util.tree_leaves_with_path(before)
    for (path, a), b in zip(leaves, jax.tree.leaves(after), strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            came = f"{b.dtype}{list(b.shape)} after act, {a.dtype}{list(a.shape)} before"
            yield wrong(f"memory{jax.tree_util.keystr(path)}", came, "the same shape and type", "keep a fixed size")


@check("act")
def _doses_are_numbers(bench: Bench) -> Iterable[Finding]:
    """Doses are finite and on the grid: with all levels, with half of them missing, and with none."""
    grid = bench.setting.scenario.dosage.grid()
    slack, unit = half_step(bench.setting.scenario), bench.setting.scenario.dosage.unit
    for doses, when in (
        (bench.usual, ""),
        (bench.sparse, " with half of the levels missing"),
        (bench.blind, " without any level"),
    ):
        bad = ~np.isfinite(doses)
        if bad.any():
            k, i = np.argwhere(bad)[0]
            came = f"{doses[k, i]} at decision {k} of patient {i + 1}{when} ({100 * bad.mean():.3g} % of decisions)"
            yield wrong("act", came, "a finite dose", "return a finite number also without levels")
            return
    negative = bench.usual < -slack
    if negative.any():
        came = f"{bench.usual[negative][0]:.4g} {unit} ({100 * negative.mean():.3g} % of decisions)"
        yield wrong("act", came, f"at least 0 {unit}", "clip the dose in the policy")
        return
    off = ~np.asarray(on_grid(bench.setting.scenario, jnp.asarray(bench.usual)))
    if off.any():
        came = f"{bench.usual[off][0]:.4g} {unit}, off the grid ({100 * off.mean():.3g} % of decisions)"
        yield doubt(
            "act",
            came,
            f"one of {len(grid)} amounts, {grid[0]:g} to {grid[-1]:g} {unit}",
            "the nearest amount is given instead, and counted",
        )


def _differ(a: Doses, b: Doses) -> str:
    """Where two tables of doses differ; empty if they agree. Rounding may differ in rare decisions."""
    off = ~same(a, b)
    if off.mean() <= 0.02:
        return ""
    k, i = np.argwhere(off)[0]
    return f"{a[k, i]:.4g} and {b[k, i]:.4g} at decision {k} of patient {i + 1}"


@check("chance")
def _chance_is_declared(bench: Bench) -> Iterable[Finding]:
    """The same record, memory and key give the same dose, and so does another key unless ``chance`` is declared."""
    if where := _differ(bench.usual, bench.again):
        yield wrong(
            "act", f"the same call gives {where}", "the same dose", "draw from `key`, keep no state outside memory"
        )
    if (first := constants_of(bench)) != constants_of(bench):
        came = f"two traces give different programs ({first[:60]}...)"
        yield wrong(
            "act", came, "the same program", "draw from `key`, not with another generator while JAX traces the function"
        )
    if not bench.definition.chance and (where := _differ(bench.usual, bench.other_key)):
        yield wrong("chance", f"False, but two keys give {where}", "the same dose for every key", _SAY_SO)


@check("sees_truth")
def _it_does_not_peek_at_the_truth(bench: Bench) -> Iterable[Finding]:
    """The dose does not depend on the truth: none, the patient's own or another patient's."""
    if bench.definition.sees_truth or not bench.touches_truth:
        return
    for doses, what in ((bench.with_truth, "a truth"), (bench.with_other_truth, "another patient's truth")):
        if where := _differ(bench.usual, doses):
            came = f"False, but without and with {what} it gives {where}"
            yield wrong(
                "sees_truth", came, "doses that depend on the record only", "ignore `truth`, or set sees_truth=True"
            )
            return


@check("build")
def _it_does_not_look_at_the_simulator(bench: Bench) -> Iterable[Finding]:
    """With another simulator and the same controller, the policy gives the same doses."""
    if bench.definition.sees_truth:
        return
    other = other_simulator(bench)
    if other is not None and (where := _differ(bench.usual, other)):
        came = f"built for two simulators, it gives {where}"
        yield wrong(
            "build", came, "doses that do not depend on the simulator", "read setting.controller, not setting.simulator"
        )


@check("act")
def _it_does_not_read_the_future(bench: Bench) -> Iterable[Finding]:
    """Values of unknown levels do not affect the dose."""
    for doses, field in ((bench.poisoned_levels, "record.level"), (bench.poisoned_below, "record.below")):
        if where := _differ(bench.usual, doses):
            came = f"{field} affects the dose where record.known is False: {where}"
            yield wrong("act", came, "known entries only", "mask them: jnp.where(record.known, record.level, 0)")


@check("act")
def _patients_do_not_touch_each_other(bench: Bench) -> Iterable[Finding]:
    """Doses do not depend on the order of patients or on the other patients of the batch."""
    if bench.definition.chance:
        return
    if where := _differ(bench.usual, bench.reversed):
        yield wrong("act", f"another order of patients gives {where}", "the same doses", _ONE)
        return
    count = bench.usual.shape[1]
    for patient in range(0, count, 2):
        own = np.repeat(bench.usual[:, patient : patient + 1], count, axis=1)
        if where := _differ(own, bench.alone(patient)):
            yield wrong("act", f"a batch of copies of one patient gives {where}", "the same doses", _ONE)
            return


@check("act")
def _it_changes_nothing(bench: Bench) -> Iterable[Finding]:
    """Dosing does not change the policy."""
    if not bench.unchanged():
        yield wrong(
            "act", "the policy's own arrays have changed", "an immutable policy", "keep changing values in memory"
        )


@check("act")
def _doses_settle_where_the_level_does(bench: Bench) -> Iterable[Finding]:
    """Where the best dose is constant, doses stop changing once every level comes back at the aim.

    Not asked of a policy that draws its doses, nor of one that knows the patient and need not look at levels.
    """
    if not bench.setting.scenario.goal.steady or bench.definition.chance or bench.definition.sees_truth:
        return
    course = held_course(bench.setting, bench.policy)
    if course.cycles:
        allowed = f"changes of at most {MOST_PCT:g} % where the level stays at its aim"
        yield doubt("act", course.words, allowed, "let a change of dose cost something, or damp the rule")


_RUN = (
    _doses_are_numbers,
    _chance_is_declared,
    _it_does_not_peek_at_the_truth,
    _it_does_not_look_at_the_simulator,
    _it_does_not_read_the_future,
    _patients_do_not_touch_each_other,
    _it_changes_nothing,
    _doses_settle_where_the_level_does,
)

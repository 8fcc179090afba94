"""What is wrong with the functions of a scenario: label dose, reward, clocks, and the distributions of covariates.

`Scenario` asks when it is made, so that a function is refused in the same words wherever it comes from.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.pkpd.answers import Fault, answer_of, call_fault, not_finite, number_fault, unlike_numbers
from rl_drug_dosage.pkpd.faults import covariate_faults, distribution_faults
from rl_drug_dosage.registry import SCENARIO
from rl_drug_dosage.utils.built_in import is_built_in_loading

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.scenario import Judged, Scenario

__all__ = ["beyond", "reward_fault", "scenario_faults"]


def scenario_faults(scenario: "Scenario") -> Iterator[Fault]:
    """Each fault, in the order in which its correction helps."""
    yield from covariate_faults(scenario.covariates)
    for c in scenario.covariates:
        if not np.isfinite([c.low, c.high]).all():
            came = f"covariate {c.name!r} is from {c.low:g} to {c.high:g}: its drug states no range"
            yield Fault(
                came, "a lowest and a highest value", "give them in the scenario's cohort or in the drug's file"
            )
    drawn: dict[str, float] = {}
    for c in scenario.covariates:
        if c.name in scenario.elsewhere:
            yield from distribution_faults("elsewhere", c, scenario.elsewhere[c.name], drawn)
        drawn[c.name] = c.typical
    if is_built_in_loading():
        return  # the tests ask
    # Under `jax.jit`, too, the answers are numbers.
    with jax.ensure_compile_time_eval():
        yield from _clocks(scenario)
        yield from _label(scenario)
    yield from _reward(scenario)


def beyond(scenario: "Scenario", asked: ArrayLike) -> np.ndarray:
    """Which doses are more than half a step beyond the ends of the grid."""
    grid, asked = np.asarray(scenario.dosage.amounts, float), np.asarray(asked)
    steps = np.diff(grid) if grid.size > 1 else np.zeros(1)
    return (asked < grid[0] - 0.5 * steps[0]) | (asked > grid[-1] + 0.5 * steps[-1])


def reward_fault(value: object) -> Fault | None:
    """What is wrong with a reward; abstract values will do."""
    came = unlike_numbers(value)
    return Fault(f"reward gives {came}", "one real number for an interval", "correct the function") if came else None


def _clocks(scenario: "Scenario") -> Iterator[Fault]:
    hours = jnp.asarray(scenario.schedule.output_times_h, dtype=float)
    for i, clock in enumerate(scenario.clocks):
        at = f"clocks[{i}].value of {clock.name!r}"
        value, fault = answer_of(at, clock.value, {"hours": hours}, ())
        fault = fault or number_fault(at, value, hours.shape)
        if fault is None and not_finite(value):
            fault = Fault(f"{at} gives {np.asarray(value)} at {hours} h", "finite numbers", "correct the function")
        if fault is not None:
            yield fault


def _label(scenario: "Scenario") -> Iterator[Fault]:
    """At admission, the dose is a number; for the typical patient it is on the grid, or at most half a step beyond it.

    Patients are the typical one, and those with one covariate at an end of its range.
    """
    if getattr(scenario.label, "__module__", "").startswith(f"{SCENARIO.room}."):
        return  # held to their contract by the tests; a protocol of many rules takes a quarter of a second to ask
    typical = {c.name: c.typical for c in scenario.covariates}
    dose, fault = _asked(scenario, typical)
    if fault := fault or number_fault("label", dose):
        yield fault
        return
    grid, unit = scenario.dosage.amounts, scenario.dosage.unit
    allowed, remedy = f"from {grid[0]:g} to {grid[-1]:g} {unit}, the grid of doses", "correct the rule"
    if not_finite(dose) or beyond(scenario, dose):
        came = f"label gives {float(dose):g} {unit} for the typical patient at admission"
        yield Fault(came, allowed, f"{remedy}, or dosage.amounts")
        return
    for c in scenario.covariates:
        for end in (c.low, c.high):
            dose, _ = _asked(scenario, {**typical, c.name: end})
            if not_finite(dose):
                came = f"label gives {float(dose):g} {unit} for {c.name} = {end:g} {c.unit} at admission"
                yield Fault(came, allowed, remedy)


def _asked(scenario: "Scenario", covariates: Mapping[str, float]) -> tuple[Any, Fault | None]:
    table = {name: jnp.full(scenario.records, value, dtype=float) for name, value in covariates.items()}
    record = empty_record(scenario, table, jnp.zeros(()))
    return answer_of("label", scenario.label, {"covariates": record.facts(), "record": record}, list(covariates))


def _reward(scenario: "Scenario") -> Iterator[Fault]:
    """The type of the answer; its value depends on the course, and `train` and `benchmark` see to it."""
    found: list[Fault | None] = []

    def ask(given: Mapping[str, Any]) -> tuple[()]:
        found.append(reward_fault(scenario.reward(_judged(scenario, given))))
        return ()

    model, goal = scenario.drug(scenario.models[0]), scenario.goal
    grid, number = jnp.zeros(len(scenario.schedule.output_times_h)), jnp.zeros(())
    given = {
        "values": {output.name: grid for output in model.outputs},
        "start": {output.name: number for output in model.outputs},
        "metrics": tuple(grid if t.metric == "value" else grid[:1] for t in goal.targets),
        "edge": number,
        "interval": jnp.zeros((), jnp.int32),
        "harms": jnp.zeros(len(goal.harms)),
    }
    fault = call_fault("reward", scenario.reward, ("judged",))
    if fault is None:
        _, fault = answer_of(
            "reward", jax.eval_shape, {"function": ask, "judged": given}, [output.name for output in model.outputs]
        )
    yield from (one for one in (fault, *found) if one is not None)


def _judged(scenario: "Scenario", given: Mapping[str, Any]) -> "Judged":
    from rl_drug_dosage.clinic.scenario import Judged

    edges = (given["edge"],) * len(scenario.goal.targets)
    return Judged(
        values=given["values"],
        start=given["start"],
        metrics=given["metrics"],
        low=edges,
        high=edges,
        amount=given["edge"],
        interval=given["interval"],
        last=given["interval"] == scenario.schedule.decisions - 1,
        aim=edges,
        harms=given["harms"],
    )

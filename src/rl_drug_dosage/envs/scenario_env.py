"""A dosing scenario as a reinforcement-learning environment."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.areas import since_start
from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.clinic.fit import refuse_test_only, with_models
from rl_drug_dosage.clinic.observation import Observer, observer_of
from rl_drug_dosage.clinic.observation_options import FEWEST, MOST, check_options
from rl_drug_dosage.clinic.patient import VirtualPatient, admit, chart, treat
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.rewards import HARM_COST, REWARDS
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.stress import told
from rl_drug_dosage.clinic.timetable import Prescription, amount_of
from rl_drug_dosage.envs.functional import Axis, Env, FunctionalEnv, Quantity, Step, Window, require
from rl_drug_dosage.envs.mixture import Mixture
from rl_drug_dosage.envs.observed import ObservedEnv
from rl_drug_dosage.envs.training_ward import PART, misread, training_ward
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.registry import DRUG, is_file_reference

__all__ = ["MODEL_OPTIONS", "ScenarioEnv", "ScenarioState", "env_of", "with_named_models"]

MODEL_OPTIONS = ("simulator", "belief")
"""Options of a scenario's environment that name drug models."""

_TREND = 0.1
"""Of the goal reward: a tenth of the scenario's own reward is added, which gives a gradient while every dose misses the
windows."""


class ScenarioState(NamedTuple):
    """One patient at a decision."""

    now: Float[Array, ""]
    """The monitored output at the end of the last interval."""
    key: UInt32[Array, " 2"]
    """The patient's random key as plain integers."""
    k: Int[Array, ""]
    """Index of the next decision."""
    patient: VirtualPatient
    """Without its key, which is stored above."""
    memory: Any
    """Memory of the observer."""


class ScenarioEnv(ObservedEnv):
    """A `Scenario` as a `FunctionalEnv`.

    Observation and action are those of `clinic.observation.Observer`; the dose given is the nearest amount of the dose
    grid. All random events follow from the patient's key. With ``by_goal`` the scenario's reward is replaced by the
    fraction of the interval inside the goal's targets, minus a penalty per harm. With ``burden`` a change from the dose
    before costs as much per usual dose.
    """

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)
    observer: Observer = eqx.field(static=True)
    by_goal: bool = eqx.field(static=True, default=False)
    burden: float = eqx.field(static=True, default=0.0)
    misread: tuple[tuple[str, float], ...] = eqx.field(static=True, default=())
    """See `training_ward.TrainingWard`."""

    @property
    def horizon(self) -> int:
        return self.scenario.schedule.decisions

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        edge = np.full(self.observer.size, 1e6, np.float32)
        return -edge, edge

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.observer.action_bounds

    @property
    def highest_dose(self) -> float:
        return float(self.scenario.dosage.amounts[-1])

    @property
    def window(self) -> Window:
        return self.windows[0]

    @property
    def windows(self) -> tuple[Window, ...]:
        low, high, _ = self.scenario.edges()
        goal = self.scenario.whole_days()
        return tuple(
            Window.of_course(Quantity(t.output, t.metric, t.unit), low[:, i], high[:, i], goal.judged)
            for i, t in enumerate(goal.targets)
        )

    @property
    def axes(self) -> Mapping[str, Axis]:
        monitoring, dosage = self.scenario.monitoring, self.scenario.dosage
        unit = self.model.outputs[self.model.output_index(monitoring.output)].unit
        return {
            "time": Axis("time", "decisions"),
            "concentration": Axis(monitoring.output, unit, "at the end of each interval"),
            "dose": Axis("dose", dosage.unit),
        }

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        return self.observer.names

    @property
    def truth_names(self) -> tuple[Feature, ...]:
        unit, model = self.axes["concentration"].unit, self.model
        effects = [f"eta_{eta.parameter}" for eta in model.etas]
        effects += [f"kappa_{eta.parameter}" for eta in model.occasion_etas]
        own = {
            "share_of_course": "1",
            self.scenario.monitoring.output: unit,
            "area": "ln(1 + x)",
            "disturbance": "multiple",
            "missing": "share",
            "error": "multiple",
            "breaches": "count",
        }
        contents = (Feature(f"in_{name}", "ln(1 + x)") for name in model.structure.compartments)
        return (*(Feature(name, "1") for name in effects), *contents, *(Feature(n, u) for n, u in own.items()))

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> UInt32[Array, "*shape 2"]:
        parts = jax.random.randint(key, (*shape, 4), 0, 2**16).astype(jnp.uint32)
        return parts[..., ::2] * jnp.uint32(2**16) + parts[..., 1::2]

    @property
    def watched_as(self) -> Observer:
        return self.observer

    def admitted(self, chance: UInt32[Array, " 2"]) -> tuple[ScenarioState, Record]:
        patient = admit(self.scenario, self.model, jax.random.wrap_key_data(chance))
        zero = jnp.zeros((), jnp.int32)
        at = self.model.output_index(self.scenario.monitoring.output)
        state = ScenarioState(patient.start[at], chance, zero, _keyless(patient), None)
        return state, self._chart(patient, chance, zero)

    def remembering(self, state: ScenarioState, chart: Record) -> ScenarioState:
        return state._replace(memory=self.observer.init(chart))

    def looked(self, state: ScenarioState, chart: Record) -> tuple[ScenarioState, Float[Array, " obs"]]:
        obs, memory = self.observer(state.memory, chart)
        return state._replace(memory=memory), obs

    def turn(
        self, state: ScenarioState, action: Float[Array, " action"], chance: UInt32[Array, " 2"]
    ) -> tuple[Step, Record]:
        scenario, k, memory = self.scenario, state.k, state.memory
        key = jax.random.wrap_key_data(state.key)
        patient = eqx.tree_at(lambda c: c.key, state.patient, key, is_leaf=lambda x: x is None)
        given, memory = self.observer.prescribe(memory, action)
        if isinstance(given, Prescription):
            given = given._replace(amount=jnp.where(k >= patient.record.due, given.amount, 0.0))
        patient, turn = treat(scenario, self.model, patient, given, k)
        after, fine = _keyless(patient), jnp.all(jnp.isfinite(turn.values)) & jnp.all(jnp.isfinite(patient.contents))
        # The equations of a patient far out can run away, as those of one of 100,000 patients of paclitaxel did. The
        # course ends as if the patient had left; numbers that are not finite would end the training.
        after = jax.tree.map(partial(jnp.where, fine), after, state.patient)
        gone = ~patient.alive | ~fine
        left = scenario.schedule.decisions - 1 - k
        # A patient who drops out counts as out of range until the end; the reward includes this at once.
        own = turn.reward
        if self.by_goal:
            counts = jnp.asarray(scenario.judged())[k]
            own = jnp.where(counts, turn.verdict.inside, 0.0) - HARM_COST * turn.harms.sum() + _TREND * turn.reward
        own = jnp.where(fine, own, -1.0)
        reward = own + jnp.where(gone, left * jnp.minimum(own, -1.0), 0.0)
        if self.burden:
            before = state.patient.record.dose[jnp.maximum(k - 1, 0)]
            change = jnp.where(k > 0, jnp.abs(amount_of(given) - before), 0.0)
            reward = reward - self.burden * change / scenario.dosage.usual
        truncated = left <= 0
        out = Step(
            state=ScenarioState(jnp.where(fine, turn.values[-1], state.now), state.key, k + 1, after, memory),
            obs=jnp.zeros(0),
            reward=jnp.asarray(reward, jnp.float32),
            terminated=gone & ~truncated,
            truncated=truncated,
            in_range=~gone & (turn.verdict.inside > 0.5),
            harm=turn.harms.sum(),
            metrics=turn.metrics,
            dose=amount_of(given),
            lost=~fine,
        )
        return out, self._chart(eqx.tree_at(lambda c: c.key, after, key, is_leaf=lambda x: x is None), state.key, k + 1)

    def _chart(self, patient: VirtualPatient, key: UInt32[Array, " 2"], k: Int[Array, ""]) -> Record:
        """What the clinic sees at a decision."""
        record = chart(self.scenario, patient, k)
        return misread(self.misread, record, jax.random.wrap_key_data(key)) if self.misread else record

    def concentration(self, state: ScenarioState) -> Float[Array, ""]:
        return state.now

    def truth(self, state: ScenarioState) -> Float[Array, " truth"]:
        """Random effects, contents, true output, adherence and assay error: what determines the future course."""
        k, patient = state.k, state.patient
        truth, now = patient.truth, jnp.minimum(k, self.scenario.schedule.decisions - 1)
        own = [truth.eta, truth.kappa[now], jnp.log1p(jnp.maximum(patient.contents, 0.0))]
        one = [
            k / self.scenario.schedule.decisions,
            state.now,
            jnp.log1p(since_start(patient.area)),
            truth.disturbance,
            patient.missing,
            patient.error,
            patient.breaches,
        ]
        return jnp.concatenate([*own, jnp.stack([jnp.asarray(x, jnp.float32) for x in one])])


def _keyless(patient: VirtualPatient) -> VirtualPatient:
    kept: VirtualPatient = eqx.tree_at(lambda p: p.key, patient, None)
    return kept


type Reference = str | Path | DrugModel
"""Reference to a drug model in an option: one of the scenario's names or, in Python, a file or a `DrugModel`."""


def _known(scenario: Scenario, option: str, reference: Reference) -> tuple[Scenario, str]:
    """The scenario with the drug model of an option added, and the model's name.

    Text may come from a model file, so it is only looked up among the scenario's own models. What learns in this
    environment never meets a test-only model.
    """
    require(isinstance(reference, Reference.__value__), option, reference, "the name of a drug model")
    if isinstance(reference, str):
        refuse_test_only(scenario, reference)
    if not isinstance(reference, str):
        scenario, (name,) = with_models(scenario, reference)
        return scenario, name
    if reference and reference not in scenario.models:
        if is_file_reference(DRUG, reference) or ":" in reference:
            raise ConfigError(
                f"environment option {option} is {reference!r}: text may only name one of "
                f"{', '.join(scenario.models)}; give a file as a Path, or the DrugModel itself"
            )
        raise UnknownNameError(f"drug model in environment option {option}", reference, scenario.models)
    return scenario, reference


def with_named_models(scenario: Scenario, options: Mapping[str, Any]) -> tuple[Scenario, dict[str, Any]]:
    """Add the drug models that the environment options refer to; return the scenario and options with their names.

    Only for options written by the user, on the command line or in code: text may be a file here, and importing a file
    runs it. Never use it for options from a model file.

    Raises:
        UnknownNameError, BadPluginError, ConfigError: see `clinic.fit.with_models`.
    """

    def named(values: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal scenario
        found = dict(values)
        for option in MODEL_OPTIONS:
            value = found.get(option)
            if value and isinstance(value, Reference.__value__):
                scenario, (found[option],) = with_models(scenario, value)
        return found

    changed = named(options)
    parts = changed.get("mixture")
    if isinstance(parts, list | tuple):
        changed["mixture"] = [named(part) if isinstance(part, Mapping) else part for part in parts]
    return scenario, changed


def _check_price(task: Scenario, reward: Any, burden: Any) -> None:
    """Refuse rewards, and prices of a change of dose, that there are not."""
    rewards = {"scenario", *REWARDS}
    require(isinstance(reward, str) and reward in rewards, "reward", reward, f"one of {', '.join(sorted(rewards))}")
    priced = isinstance(burden, int | float) and not isinstance(burden, bool) and 0.0 <= burden <= 100.0
    require(priced, "burden", burden, "a number from 0 to 100")
    if burden and task.dosage.intervals_h:
        raise ConfigError(
            f"environment option burden: {task.title!r} has dosing intervals to choose between, and burden prices "
            "changes from decision to decision: leave it out"
        )


def _trained_support(support: Any, training_support: Any) -> Any:
    """How many support patients there are in training."""
    if type(training_support) is int and training_support == 0:
        return support
    fits = type(training_support) is int and FEWEST <= training_support <= MOST
    require(fits, "training_support", training_support, f"a whole number from {FEWEST} to {MOST:,}, or 0: as support")
    require(support != 0, "training_support", training_support, "0 without support: give support, such as 512")
    return training_support


def _check_mixture(mixture: Any) -> None:
    """Refuse anything but options of components."""
    parts = isinstance(mixture, list | tuple) and all(isinstance(part, dict) for part in mixture)
    require(parts, "mixture", mixture, "a list of objects with " + ", ".join(PART))
    for options in mixture:
        for name in options:
            if name not in PART:
                raise UnknownNameError("option of a mixture's part", name, PART)


_TRAINING_ONLY = frozenset({"training_support", "randomise", "spread", "misread", "mixture", "reward", "burden"})


@lru_cache
def env_of(task: Scenario) -> Env:
    """The environment definition of a scenario."""

    def build(  # noqa: PLR0913, PLR0917 - the options of an environment
        simulator: Reference = "",
        history: int = 4,
        belief: Reference = "",
        action: str = "amount",
        on_board: bool = True,
        clock: bool = True,
        ratio: bool = False,
        intervals: bool = False,
        support: int = 0,
        prior: str = "published",
        error: str = "published",
        reference: str = "",
        randomise: float = 0.0,
        spread: Mapping[str, float] | None = None,
        misread: Mapping[str, float] | None = None,
        training_support: int = 0,
        mixture: Sequence[Mapping[str, Any]] = (),
        reward: str = "scenario",
        burden: float = 0.0,
        decisions: int = 0,
    ) -> FunctionalEnv:
        seen = {"history": history, "action": action, "on_board": on_board, "clock": clock, "ratio": ratio}
        assumed = {"prior": prior, "error": error, "reference": reference}
        assumed["support"] = _trained_support(support, training_support)
        check_options({**seen, **assumed, "intervals": intervals, "belief": str(belief)}, "environment option {}")
        _check_price(task, reward, burden)
        _check_mixture(mixture)
        whole = isinstance(decisions, int) and not isinstance(decisions, bool) and decisions >= 0
        require(whole, "decisions", decisions, "a whole number of at least 1 (0: as in the scenario)")
        # The goal reward includes a tenth of the scenario's own reward, see `ScenarioEnv`.
        by_name = None if reward in {"scenario", "goal"} else reward
        scenario = adjusted(task, decisions=decisions or None, reward=by_name)
        scenario, believed = _known(scenario, "belief", belief)
        scenario, first = _known(scenario, "simulator", simulator)
        each: list[dict[str, Any]] = []
        for options in mixture or ({},):
            scenario, name = _known(scenario, "simulator", options.get("simulator", first))
            own = {"randomise": randomise, "misread": misread, **options, "simulator": name or scenario.models[0]}
            each.append({"spread": spread, **own} if own["randomise"] else own)
        if spread and not any(own["randomise"] for own in each):
            raise ConfigError(
                f"environment option spread is {spread}, and nothing is randomised: give randomise, such as 1"
            )
        # A model that was added to simulate patients is nothing that a controller knows.
        added = tuple(name for name in scenario.models if name not in task.models and name != believed)
        observer = observer_of(
            scenario, history, believed, action, on_board, clock, ratio, intervals, **assumed, left_out=added
        )
        made = []
        for options in each:
            ward = training_ward(scenario, **options)
            seeing = dataclasses.replace(observer, scenario=told(scenario, options.get("stress", "")))
            made.append(ScenarioEnv(*ward[:2], seeing, reward == "goal", float(burden), ward.misread))
        return Mixture(made) if mixture else made[0]

    return Env(build=build, title=task.title, training_only=_TRAINING_ONLY)

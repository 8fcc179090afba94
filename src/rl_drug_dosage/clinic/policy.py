"""The interface of a dosing policy: two pure functions over its parameters, `init` and `act`.

A policy file defines ``POLICY``, a `PolicyDefinition`: how to build the policy for a setting, and what can be tuned.
"""

import abc
import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.clinic.fit import refuse_test_only
from rl_drug_dosage.clinic.options import (
    Option,
    changed_options,
    checked_options,
    completed_options,
    require_options,
)
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.errors import BadPluginError, ConfigError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.registry import Found

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.ensemble.forecast import Forecast

__all__ = ["Chosen", "Option", "Policy", "PolicyDefinition", "Setting"]


class Policy(eqx.Module):
    """A value that chooses doses. Learnt policies, PID, Bayesian dosing and the oracle share this interface.

    The parameters are the leaves of the module; ``memory`` is any pytree of arrays. Both functions see one patient and
    can be traced by JAX, so that one rollout runs any policy over any cohort.
    """

    @property
    def carries_results(self) -> bool:
        """Whether `act` reads each result once and carries what it told in the memory.

        At the bedside, the memory is then computed again from admission when an entry changes that an earlier decision
        has read.
        """
        return False

    @abc.abstractmethod
    def init(self, record: Record, truth: Truth | None = None) -> Any:
        """The memory at admission.

        Args:
            record: what the clinic knows before the first dose.
            truth: what is hidden from the clinic; only given to a policy whose definition says ``sees_truth``.
        """

    @abc.abstractmethod
    def act(self, memory: Any, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Any]:
        """The next dose, in the unit of the scenario's dosage, and the updated memory.

        Where the scenario offers dosing intervals (`Dosage.intervals_h`), the dose may be a
        `clinic.timetable.Prescription`; an amount alone uses the first of them.

        Args:
            memory: from `init` or the previous decision.
            observation: what the clinic knows at this decision.
            key: random key; None: the policy acts deterministically.
        """

    def remarks(self, facts: Mapping[str, float]) -> tuple[str, ...]:
        """What the policy does not take into account of a patient, one sentence each, for warnings at the bedside.

        Args:
            facts: the patient's covariates.
        """
        del facts
        return ()

    def anytime(self) -> "Policy":
        """The policy that looks for new results at every decision, not only where they are planned.

        At the bedside, results may come late or unplanned. The memory is of the same form.
        """
        return self

    def believes(self) -> tuple[str, ...]:
        """Names of the drug models of the policy's posterior; empty: it has none to forecast from."""
        return ()

    def forecast(
        self, memory: Any, observation: Record, amounts: Float[Array, " dose"], same: Bool[Array, ""]
    ) -> "Forecast":
        """What candidate doses lead to under the policy's posterior of one patient.

        Args:
            memory: from `act` at this decision.
            observation: what the clinic knows at this decision.
            amounts: doses to give now, in the unit of the scenario's dosage.
            same: whether each is given at every decision ahead; if not, those follow that the policy plans.

        Raises:
            ConfigError: the policy has no posterior.
        """
        del memory, observation, amounts, same
        raise ConfigError(f"{type(self).__name__} has no posterior to forecast from")

    def check(self) -> None:
        """Raise an error that occurred outside the compiled program; called after every run.

        Only policies that call external code on the host use this, see `policies.adapters.host`.
        """


@dataclass(frozen=True)
class Setting:
    """What a policy is built for.

    Args:
        task: the scenario, with its name and where it was found.
        controller: the drug model that the policy may believe, and on whose patients it is tuned.
        simulator: the one that the patients follow, which may be test-only; only an oracle looks at it.
        accept_changed: admit a model that was trained on another version of a user's file.
        drug_files: name and SHA-256 of the drug models that were given as files.
        options: values of the policy's options, see `PolicyDefinition.options`.
        only_simulated: drug models that were added to the scenario to simulate its patients: no policy assumes them.
    """

    task: Found[Scenario]
    controller: DrugModel
    simulator: DrugModel
    accept_changed: bool = False
    drug_files: Mapping[str, str] = field(default_factory=dict, compare=False)
    options: Mapping[str, str | float] = field(default_factory=dict)
    only_simulated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a controller that only simulates test patients.

        Raises:
            ConfigError: see `clinic.fit.refuse_test_only`.
        """
        refuse_test_only(self.scenario, self.controller)

    @property
    def scenario(self) -> Scenario:
        """The task."""
        return self.task.value

    def left_out(self, believed: str) -> tuple[str, ...]:
        """Drug models of the scenario that a mixture leaves out if the controller believes this one."""
        return tuple(name for name in self.only_simulated if name != believed)


@dataclass(frozen=True)
class Chosen:
    """What a policy is in one setting.

    Args:
        title: one line for tables.
        values: what was chosen beforehand, for the table of tuned values.
    """

    title: str
    values: Mapping[str, Any] = field(default_factory=dict)


def _anywhere(scenario: Scenario) -> str:
    del scenario
    return ""


def _any_options(scenario: Scenario, options: Mapping[str, str | float]) -> str:
    del scenario, options
    return ""


@dataclass(frozen=True)
class PolicyDefinition:
    """What a policy file defines as ``POLICY``.

    Args:
        title: one line for tables and ``--help``.
        build: builds the policy for a setting.
        candidates: policies to choose from on a tuning cohort, as one policy whose leaves have a leading axis; None
            if nothing is tuned.
        refuses: the reason why the policy cannot be used in a scenario; empty if it can.
        sees_truth: the policy receives the patient's true parameters.
        chance: the policy is stochastic.
        card: the record in a model file.
        options: what may be chosen wherever the policy is named (``NAME,option=value``). `build` and `candidates` find
            the values in `Setting.options`, completed by the defaults.
        refuses_options: the reason why options cannot be used in a scenario; empty if they can. It receives the values
            of all options.
        chosen_in: what the policy is in a setting, where it depends on the setting.
        given: the options that were chosen, by `with_options`.
        plain: the definition that `with_options` was called on; None: no options were chosen.
    """

    title: str
    build: Callable[[Setting], Policy]
    candidates: Callable[[Setting, np.random.Generator], Policy] | None = None
    refuses: Callable[[Scenario], str] = _anywhere
    sees_truth: bool = False
    chance: bool = False
    card: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    refuses_options: Callable[[Scenario, Mapping[str, str | float]], str] = _any_options
    chosen_in: Callable[[Setting], Chosen] | None = None
    given: Mapping[str, str | float] = field(default_factory=dict)
    plain: "PolicyDefinition | None" = None

    def __post_init__(self) -> None:
        """Check the types, so that a wrong one is found in the file and not in the report.

        Raises:
            BadPluginError: a field of another type.
        """
        functions = {
            "build": "build(setting)",
            "refuses": "refuses(scenario)",
            "candidates": "candidates(setting, rng)",
            "refuses_options": "refuses_options(scenario, options)",
            "chosen_in": "chosen_in(setting)",
        }
        wanted = {
            "title": (isinstance(self.title, str) and bool(self.title.strip()), "one line for tables"),
            **{n: (callable(getattr(self, n)), f"a function {call}") for n, call in functions.items()},
            **{n: (isinstance(getattr(self, n), bool), "True or False") for n in ("sees_truth", "chance")},
            "card": (isinstance(self.card, Mapping), "a mapping"),
            "options": (not (said := require_options(self.options)), said),
        }
        for name, (fits, allowed) in wanted.items():
            if not fits and not (name in {"candidates", "chosen_in"} and getattr(self, name) is None):
                came = getattr(self, name)
                raise BadPluginError(f"PolicyDefinition: {name} is {reprlib.repr(came)}; allowed: {allowed}")
        if self.options and self.plain is None:
            self._complete({})

    def _complete(self, given: Mapping[str, str | float]) -> None:
        """Let the functions of this definition see these options, and the defaults of the others."""
        build, candidates, chosen_in = self.build, self.candidates, self.chosen_in

        def told(setting: Setting) -> Setting:
            return dataclasses.replace(setting, options=completed_options(self.options, {**setting.options, **given}))

        object.__setattr__(self, "build", lambda setting: build(told(setting)))
        if candidates is not None:
            object.__setattr__(self, "candidates", lambda setting, rng: candidates(told(setting), rng))
        if chosen_in is not None:
            object.__setattr__(self, "chosen_in", lambda setting: chosen_in(told(setting)))

    def with_options(self, options: Mapping[str, Any], *, name: str = "") -> "PolicyDefinition":
        """The same policy with these options; options that were chosen before, and are not named, are kept.

        Args:
            options: values by option name.
            name: of the policy, for messages.

        Raises:
            UnknownNameError: an option or a word that is unknown.
            ConfigError: a number out of range, or a policy without options.
        """
        plain = self.plain or self
        given = {**self.given, **checked_options(self.options, options, f"policy {name or self.title!r}")}
        changed = changed_options(self.options, given)
        if not changed:
            return plain
        full = completed_options(self.options, given)

        def refuses(scenario: Scenario) -> str:
            return plain.refuses(scenario) or plain.refuses_options(scenario, full)

        said = ", ".join(f"{option} {value}" for option, value in changed.items())
        chosen = dataclasses.replace(plain, title=f"{plain.title} ({said})", refuses=refuses, given=given, plain=plain)
        chosen._complete(full)  # noqa: SLF001 - of this class
        return chosen

    def described(self, setting: Setting) -> Chosen:
        """What the policy is in a setting."""
        return Chosen(self.title) if self.chosen_in is None else self.chosen_in(setting)

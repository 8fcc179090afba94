"""Prepares policies for a trial: resolves references, assigns unique names, builds and tunes."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.faults import faults_of, refusal, refusals
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import POLICY, find, label_of
from rl_drug_dosage.trials.tuning import tuned

__all__ = ["Candidate", "Entrant", "candidate", "candidates", "default_policies", "enter", "guard_of"]


@dataclass(frozen=True)
class Entrant:
    """A policy in a trial.

    Args:
        name: name in tables.
        title: one-line description.
        policy: the policy.
        sees_truth: whether it is an oracle.
        chosen: values chosen by tuning, or beforehand.
        card: the record of a model file.
        own: whether it comes from outside of the package.
    """

    name: str
    title: str
    policy: Policy
    sees_truth: bool = False
    chosen: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False


@dataclass(frozen=True)
class Candidate:
    """A policy before it is built: its name in tables, and its definition."""

    name: str
    definition: PolicyDefinition
    own: bool = False

    def enter(self, setting: Setting, *, seed: int) -> Entrant:
        """Build and tune the policy."""
        definition = self.definition
        with guard_of(self, "cannot be built" if definition.candidates is None else "cannot be tuned"):
            policy, chosen = tuned(definition, setting, seed=seed)
            found = definition.described(setting)
        values = {**chosen, **found.values}
        return Entrant(self.name, found.title, policy, definition.sees_truth, values, definition.card, self.own)


def guard_of(one: Candidate | Entrant, does: str = "fails") -> contextlib.AbstractContextManager[None]:
    """Turns what a policy from outside raises into one line that names it; errors of the package's own code pass."""
    return faults_of(one.name, does, foreign=one.own)


def default_policies(scenario: Scenario) -> tuple[str, ...]:
    """All clinical policies that fit the scenario."""
    reasons, _ = refusals(scenario)
    return tuple(name for name, reason in reasons.items() if not reason)


def candidate(setting: Setting, reference: object, name: str = "") -> Candidate:
    """Resolve a policy in any form that `registry.find` accepts.

    Args:
        setting: the setting of the trial.
        reference: the policy; ``NAME=REFERENCE`` gives it another name.
        name: name in tables, in place of its own.

    Raises:
        UnknownNameError: an unknown policy.
        BadPluginError: a file or module that does not define one.
        ConfigError: a policy that does not fit the scenario.
        ModelFileError: a model file that cannot be read.
    """
    if isinstance(reference, str):
        label, reference = label_of(reference)
        name = name or label
    found = find(POLICY, reference)
    one = Candidate(name or found.name, found.value, found.is_foreign)
    with guard_of(one):
        reason = refusal(one.definition, setting.scenario, one.name)
    if reason:
        raise ConfigError(f"policy {found.name!r} cannot be used in {setting.task.name!r}: {reason}")
    return one


def candidates(setting: Setting, policies: Sequence[object] | Mapping[str, object]) -> list[Candidate]:
    """Resolve all policies of a trial, with unique names.

    Args:
        setting: the setting of the trial.
        policies: references, or names and references; empty: every clinical policy that fits.

    Raises:
        ConfigError: two policies have the same name.
        UnknownNameError, BadPluginError, ModelFileError: see `candidate`.
    """
    if isinstance(policies, str | Path):
        policies = [policies]
    if isinstance(policies, Mapping) and policies:
        pairs = list(policies.items())
    else:
        asked = list(policies) or list(default_policies(setting.scenario))
        # The same text twice is one policy; two objects are two.
        pairs = [("", r) for i, r in enumerate(asked) if not _repeated(asked, i)]
    found: dict[str, Candidate] = {}
    for name, reference in pairs:
        one = candidate(setting, reference, name)
        if one.name in found:
            raise ConfigError(
                f"two policies are called {one.name!r}: label them, --policy a=PATH --policy b=PATH (in Python a dict)"
            )
        found[one.name] = one
    return list(found.values())


def _repeated(asked: list[object], i: int) -> bool:
    """Whether the same text occurs earlier in the list."""
    return isinstance(asked[i], str | Path) and any(
        isinstance(before, str | Path) and before == asked[i] for before in asked[:i]
    )


def enter(setting: Setting, reference: object, *, seed: int, name: str = "") -> Entrant:
    """Resolve, build and tune a policy in any form that `registry.find` accepts.

    Args:
        setting: the setting in which it is built.
        reference: see `candidate`.
        seed: seed of tuning.
        name: name in tables, in place of its own.

    Raises:
        UnknownNameError, BadPluginError, ConfigError: see `candidate`.
        ModelFileError: a model trained for another task.
    """
    return candidate(setting, reference, name).enter(setting, seed=seed)

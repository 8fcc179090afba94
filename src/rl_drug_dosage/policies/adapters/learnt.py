"""A trained PPO policy in a dosing scenario: from a record to a dose on the grid."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.clinic.doubt import Abstention
from rl_drug_dosage.clinic.ensemble.forecast import Forecast
from rl_drug_dosage.clinic.observation import Observer, observer_from, prescribe_unless
from rl_drug_dosage.clinic.observation_options import SEEN
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth, with_any_results
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.errors import ModelFileError, RlDrugDosageError
from rl_drug_dosage.ppo.model_file import Model, check_bounds, check_observations, load_model, source_in
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.registry import Found, Source

__all__ = [
    "FAR",
    "PpoDosing",
    "check_drugs",
    "check_not_test_only",
    "check_source",
    "check_trained_for",
    "differ_in_version",
    "dosing_policy",
    "far_from",
    "model_path",
    "of_another_release",
    "read_policy",
    "same_contents",
    "tolerance_of",
]


FAR = 6.0
"""Standard deviations from the mean of training beyond which nothing is known of what a policy does (`far_from`): this
project's choice. docs/policies.md says how often it happens."""


def far_from(decisions: int) -> float:
    """Standard deviations from the mean of training beyond which a policy for so many decisions does not judge.

    At least `FAR`, and at least sqrt(n - 1): what an input is at one of n decisions of every course, such as the time
    since the latest level at the first, lies no farther from its mean (Samuelson PA, J Am Stat Assoc 1968;63:1522-5).
    """
    return max(FAR, math.sqrt(max(decisions - 1, 0)))


class PpoDosing(Policy):
    """Gives the policy's mean action, or a sample with ``samples``, rounded to the dose grid.

    The rounding is part of the policy, as in training. An input that never varied in training is held constant: the
    policy has learnt nothing about it. With ``abstains`` a policy that corrects a Bayesian dose
    leaves it as it is where an input lies more than `far_from` standard deviations from its mean in training.
    """

    scenario: Scenario = eqx.field(static=True)
    observer: Observer = eqx.field(static=True)
    policy: PpoPolicy
    samples: bool = eqx.field(static=True, default=False)
    held: tuple[float | None, ...] = eqx.field(static=True, default=())
    """The constant of each input, or None for one that varied; empty: none is held."""
    abstains: bool = eqx.field(static=True, default=False)
    """Whether it leaves the dose that it corrects as it is where it observes what it never met in training."""

    def init(self, record: Record, truth: Truth | None = None) -> Any:
        memory = self.observer.init(record), self.policy.start()
        return (*memory, Abstention(jnp.asarray(False))) if self.abstains else memory

    def act(self, memory: Any, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Any]:
        return self.answer(memory, self.observer(memory[0], observation), key)

    def answer(
        self, memory: Any, observed: tuple[Float[Array, " obs"], Any], key: PRNGKeyArray | None
    ) -> tuple[Answer, Any]:
        """The second half of `act`: what the policy answers to what its observer has made of the record.

        Args:
            memory: before the decision.
            observed: the observation, and the observer's memory after it.
            key: see `act`.
        """
        vector, seen = observed
        if self.held:
            constant = jnp.asarray([jnp.nan if value is None else value for value in self.held], vector.dtype)
            # Compared, and not replaced: a value that is the constant keeps its bits.
            vector = jnp.where(jnp.abs(vector - constant) > tolerance_of(constant), constant, vector)
        arrays = jax.tree.map(jnp.asarray, self.policy)
        action, recalled = arrays.act(memory[1], vector, key if self.samples else None)
        if not self.abstains:
            answer, after = self.observer.prescribe(seen, action)
            return answer, (after, recalled)
        far = jnp.any(arrays.distance(vector) > far_from(self.scenario.schedule.decisions))
        answer, after = prescribe_unless(far, self.observer, seen, action)
        return answer, (after, recalled, Abstention(far))

    @property
    def carries_results(self) -> bool:
        return self.observer.posterior is not None

    def anytime(self) -> "PpoDosing":
        if self.observer.belief is None:
            return self
        scenario = with_any_results(self.observer.scenario)
        return dataclasses.replace(self, observer=dataclasses.replace(self.observer, scenario=scenario))

    def believes(self) -> tuple[str, ...]:
        posterior = self.observer.posterior
        return () if posterior is None else tuple(model.name for model in posterior.assumed.models)

    def forecast(
        self, memory: Any, observation: Record, amounts: Float[Array, " dose"], same: Bool[Array, ""]
    ) -> Forecast:
        posterior = self.observer.posterior
        if posterior is None:
            return super().forecast(memory, observation, amounts, same)
        return posterior.forecast(self.observer.scenario, memory[0][0], observation, amounts, same)

    def remarks(self, facts: Mapping[str, float]) -> tuple[str, ...]:
        if not self.held:
            return ()
        held = {f.name: c for f, c in zip(self.observer.names, self.held, strict=True) if c is not None}
        return tuple(
            f"{name} = {value:g} was always {held[name]:g} in training: the policy takes {held[name]:g} in its place"
            for name, value in facts.items()
            if name in held and abs(value - held[name]) > tolerance_of(held[name])
        )


def tolerance_of(constant: Any) -> Any:
    """How far from its constant an input is still that constant."""
    return 1e-5 * (1.0 + abs(constant))


def model_path(path: Path) -> Path:
    """The model file at a path: the file itself, or ``agent.pt`` in the folder of a run.

    Raises:
        ModelFileError: a folder without a model file.
    """
    if not path.is_dir():
        return path
    if not (path / "agent.pt").is_file():
        raise ModelFileError(f"{path} is a folder without agent.pt: give a model file, or the folder of a finished run")
    return path / "agent.pt"


def read_policy(path: Path) -> tuple[PolicyDefinition, tuple[Path, ...]]:
    """Read the policy of a model file or a run folder, for the registry.

    Raises:
        ModelFileError: not a model file, or a damaged one.
    """
    file = model_path(path)
    model = load_model(file)
    definition = PolicyDefinition(
        title=f"PPO, {file.name}", build=lambda setting: dosing_policy(model, setting, file), card=model.record
    )
    return definition, (file,)


def dosing_policy(model: Model, setting: Setting, path: Path, *, samples: bool = False) -> PpoDosing:
    """Make a model's policy for a scenario; with ``samples`` its actions are sampled, as in training.

    Raises:
        ModelFileError: the model was trained for another task, another version of the scenario file, or other
            observations; these are refused also where a changed file is accepted.
    """
    task, options = setting.task, model.env_options
    check_trained_for(model.record["env"], setting, path)
    check_not_test_only(model, task, path)
    seen = {name: options[name] for name in SEEN if name in options}
    observer = observer_from(task.value, seen, str(path), setting.left_out(str(options.get("belief", ""))))
    if model.policy.obs_size != observer.size or model.frame_stack != 1:
        raise ModelFileError(
            f"{path} takes {model.policy.obs_size} observations, but {task.env_id} has {observer.size}: "
            "it was trained for another version of that scenario"
        )
    check_observations(model, [(f.name, f.unit) for f in observer.names], path)
    check_bounds(model, *observer.action_bounds)
    constants = model.policy.constants()
    held = tuple(float(value) if np.isfinite(value) else None for value in constants)
    return PpoDosing(
        task.value,
        observer,
        model.policy,
        samples,
        held if np.isfinite(constants).any() else (),
        abstains=observer.corrects and model.policy.trained,
    )


def check_not_test_only(model: Model, task: Found[Scenario], path: Path) -> None:
    """Check that no policy was trained on, or believes, a drug model that only simulates test patients.

    Args:
        model: contents of the model file.
        task: the scenario in which the policy is used.
        path: path of the model file.

    Raises:
        ModelFileError: it names one in its options.
    """
    parts = model.env_options.get("mixture")
    everywhere = [model.env_options, *(parts if isinstance(parts, list | tuple) else ())]
    named = [o.get(key) for o in everywhere if isinstance(o, Mapping) for key in ("simulator", "belief")]
    for name in task.value.test_only:
        if name in named:
            raise ModelFileError(
                f"{path} was trained with {name!r}, which only simulates test patients of {task.name!r}: train "
                f"one with {' or '.join(task.value.models)}"
            )


def check_trained_for(env: Mapping[str, Any], setting: Setting, path: Path) -> None:
    """Check that a policy was trained for this scenario.

    Args:
        env: the environment's record in the model file.
        setting: the setting in which the policy is built.
        path: path of the model file.

    Raises:
        ModelFileError: another scenario, or another version of its file unless accepted.
    """
    task = setting.task
    if env["id"] != task.env_id and not same_contents(env, task):
        if differ_in_version(env["id"], task.env_id):
            raise of_another_release(path, env["id"], task.env_id)
        raise ModelFileError(
            f"{path} was trained for {env['id']}, not for {task.env_id}: train a model with "
            f"`rl-drug-dosage train --env-id {task.env_id}`, or benchmark it in its own scenario"
        )
    decisions = (env.get("options") or {}).get("decisions") or env.get("horizon")
    if decisions and decisions != task.value.schedule.decisions:
        raise ModelFileError(
            f"{path} was trained on courses of {decisions} decisions, but {task.name} has "
            f"{task.value.schedule.decisions}: give --decisions {decisions}"
        )
    check_source(env, task, path, accept_changed=setting.accept_changed)
    check_drugs(env.get("drugs") or {}, setting.drug_files, path, ModelFileError, accept_changed=setting.accept_changed)


def differ_in_version(one: str, other: str) -> bool:
    """Whether two ids are of one environment, in different versions."""
    stem, _, _ = one.rpartition("-v")
    return bool(stem) and one != other and other.rpartition("-v")[0] == stem


def of_another_release(path: Path, was: str, now: str) -> ModelFileError:
    """The refusal of a model that was trained in another version of its environment."""
    return ModelFileError(
        f"{path} was trained for {was}, which is not known here: this release has {now}, with other numbers; train a "
        f"model with `rl-drug-dosage train --env-id {now}`, or use the release of the model"
    )


def same_contents(env: Mapping[str, Any], task: Found[Any]) -> bool:
    """Whether a scenario's files are those of the training, perhaps under another name."""
    recorded = source_in(env)
    return bool(recorded) and task.source is not None and task.source.is_same(recorded["file"], recorded["sha256"])


def check_source(env: Mapping[str, Any], task: Found[Any], path: Path, *, accept_changed: bool) -> None:
    """Check that the scenario file is the one that a model was trained on.

    Args:
        env: the environment's record in the model file.
        task: the scenario to use.
        path: path of the model file.
        accept_changed: accept a changed file.

    Raises:
        ModelFileError: the file differs.
    """
    recorded = source_in(env)
    if not recorded or accept_changed or same_contents(env, task):
        return
    remedy = "train again, or accept it with --accept-changed"
    if task.source is None:
        raise ModelFileError(
            f"{path} was trained on {recorded['file']} with SHA-256 {recorded['sha256'][:12]}, but {task.where} is no "
            f"file: it has changed since; {remedy}"
        )
    changes = _changes(env.get("files") or {}, recorded, task.source)
    raise ModelFileError(f"{path} was trained on {recorded['file']}, and {changes}; {remedy}")


def _changes(before: Mapping[str, str], recorded: Mapping[str, str], source: Source) -> str:
    """Which files of a scenario have changed; a model file of an earlier version does not say it."""
    now = dict(source.digests)
    if recorded["file"] != source.path.name:
        # The file given may have another name, and is compared with the one that it stands for.
        now[recorded["file"]] = now.pop(source.path.name)
    if not before:
        which = next(iter(now)) if len(now) == 1 else f"one of {', '.join(sorted(now))}"
        return f"{which} has changed since (SHA-256 {recorded['sha256'][:12]}, now {source.sha256[:12]})"
    said = [
        f"{name} has changed since (SHA-256 {before.get(name, 'none')[:12]}, now {now.get(name, 'none')[:12]})"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    return " and ".join(said) or "its files have changed since"


def check_drugs(
    recorded: Mapping[str, str],
    given: Mapping[str, str],
    path: Path,
    error: type[RlDrugDosageError],
    *,
    accept_changed: bool,
) -> None:
    """Check that the drug models given as files are those of the training.

    Args:
        recorded: names and SHA-256 of drug files in the training.
        given: the same of the files given now.
        path: path of the model file or run folder.
        error: what to raise.
        accept_changed: accept changed files.

    Raises:
        RlDrugDosageError: a file differs.
    """
    for name, digest in recorded.items():
        if not accept_changed and given.get(name, digest) != digest:
            raise error(
                f"{path} was trained on the drug model {name!r} with SHA-256 {digest[:12]}, but the file given has "
                f"{given[name][:12]}: it has changed since; train again, or accept it with --accept-changed"
            )

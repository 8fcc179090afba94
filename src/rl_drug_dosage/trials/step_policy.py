"""Use a model of an environment other than a dosing scenario from Python: observations in, doses out.

    from rl_drug_dosage import load_policy

    policy = load_policy("models/agent.pt")  # trained on DrugDose-v0
    course = policy.start()
    course.observe(0.0)  # the concentration now, in policy.observation_unit
    dose = course.recommend()  # in policy.dose_unit
    course.given(dose)
    course.observe(0.9)
    ...

There is no clinical record. The policy receives the observation of the environment, as one number or as several in the
environment's order. The environment itself is neither created nor imported.
"""

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.ppo.model_file import Model
from rl_drug_dosage.types import Array

__all__ = ["StepCourse", "StepPolicy"]


class StepPolicy:
    """A trained policy, one step at a time.

    Args:
        model: from `ppo.model_file.load_model`.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        stack, actions = model.frame_stack, model.policy.low.size
        self.observation_size = (model.policy.obs_size - (stack - 1) * actions) // stack

    @property
    def env_id(self) -> str:
        """The environment that it was trained on."""
        return self.model.env_id

    @property
    def dose_unit(self) -> str:
        """Unit of a recommended dose; empty if the model file does not record it."""
        return self._unit("dose")

    @property
    def observation_unit(self) -> str:
        """Unit of an observation; empty if the model file does not record it."""
        return self._unit("concentration")

    def _unit(self, name: str) -> str:
        units = self.model.record["env"].get("units")
        return str(units.get(name, "")) if isinstance(units, dict) else ""

    def start(self, covariates: object = None) -> "StepCourse":
        """Start a course, without observations and doses.

        Raises:
            ConfigError: covariates were given, which such a policy does not use.
        """
        if covariates is not None:
            raise ConfigError(f"a policy of {self.env_id} uses no covariates: call start() without arguments")
        return StepCourse(self)


def _numbers(values: tuple[object, ...]) -> Float[np.ndarray, " value"]:
    """The values as numbers, those of arrays one after the other; not finite where one is no number."""
    try:
        return np.concatenate([np.ravel(_number(v)) for v in values]).astype(np.float32)
    except (TypeError, ValueError):
        return np.full(1, np.nan, np.float32)


def _number(value: object) -> Array:
    found = np.asarray(value)
    if found.dtype.kind not in "iuf":
        raise TypeError
    return found


class StepCourse:
    """One course: enter observations and doses given, and get the next dose."""

    def __init__(self, policy: StepPolicy) -> None:
        self._owner, self._policy = policy, policy.model.policy
        self._memory = self._policy.start()
        self._seen: list[np.ndarray] = []
        self._given: list[np.ndarray] = []
        self._advice: tuple[np.ndarray, Array | None] | None = None

    @property
    def decision(self) -> int:
        """Index of the next decision, from 0; equals the number of doses given."""
        return len(self._given)

    def observe(self, *values: float) -> None:
        """Enter the observation at the next decision; a second call replaces it.

        Raises:
            ConfigError: the number of values differs from the environment's, or a value is not finite.
        """
        size = self._owner.observation_size
        observed = _numbers(values)
        if observed.size != size or not np.isfinite(observed).all():
            count = "a finite number" if size == 1 else f"{size} finite numbers"
            raise ConfigError(f"an observation of {self._owner.env_id} is {count}, not {values}")
        self._seen = [*self._seen[: self.decision], observed]
        self._advice = None

    def recommend(self) -> float | Float[np.ndarray, " action"]:
        """The policy's dose now, in `StepPolicy.dose_unit`. A repeated call gives the same dose.

        It is within the action space of the environment to the last bit, and a whole number where that is discrete.

        Raises:
            ConfigError: nothing has been observed since the last dose.
        """
        if len(self._seen) == self.decision:
            raise ConfigError(f"decision {self.decision + 1} of this course needs an observation: call observe() first")
        if self._advice is None:
            action, memory = self._policy.act(self._memory, self._stacked(), None)
            space = self._owner.model.actions
            given = np.asarray(action) if space is None else np.asarray(space.to_env(np.asarray(action)))
            self._advice = (given.ravel() if given.dtype.kind in "iu" else given.astype(np.float64).ravel(), memory)
        dose = self._advice[0]
        return dose[0].item() if dose.size == 1 else dose.copy()

    def given(self, *dose: float) -> None:
        """Enter the dose given, recommended or not. The next decision then needs an observation.

        Raises:
            ConfigError: the number of values differs from the policy's, or a value is not finite.
        """
        amounts = _numbers(dose)
        if amounts.size != self._policy.low.size or not np.isfinite(amounts).all():
            raise ConfigError(
                f"a dose for {self._owner.env_id} is {self._policy.low.size} finite number(s), not {dose}"
            )
        # The memory is updated at every decision, even without a call of `recommend`.
        self.recommend()
        assert self._advice is not None
        self._memory = self._advice[1]
        self._given.append(amounts)
        self._advice = None

    def _stacked(self) -> Float[np.ndarray, " obs"]:
        """The latest observations and doses, latest first, as `envs.history_stack` lays them out."""
        stack = self._owner.model.frame_stack
        low = np.asarray(self._policy.low, np.float32)
        seen = [*[self._seen[0]] * stack, *self._seen][::-1][:stack]
        given = [*[low] * stack, *self._given][::-1][: stack - 1]
        return np.concatenate([*seen, *given])

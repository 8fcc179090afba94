"""Adds the patient's true state to the observation, for a privileged critic."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs.functional import FunctionalEnv, State, Step, Wrapped
from rl_drug_dosage.errors import ConfigError

__all__ = ["WithTruth", "with_truth"]


class WithTruth(Wrapped):
    """An environment whose observation is ``[observation, truth]``."""

    size: int = eqx.field(static=True)

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.inner.observation_bounds
        edge = np.full(self.size, np.inf, np.float32)
        return np.concatenate([low, -edge]), np.concatenate([high, edge])

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        return (*self.inner.observation_names, *self.inner.truth_names)

    def reset(self, chance: Float[Array, " chance"]) -> tuple[State, Float[Array, " obs"]]:
        state, obs = self.inner.reset(chance)
        return state, jnp.concatenate([obs, self.inner.truth(state)])

    def step(self, state: State, action: Float[Array, " action"], chance: Float[Array, " chance"]) -> Step:
        out = self.inner.step(state, action, chance)
        return out._replace(obs=jnp.concatenate([out.obs, self.inner.truth(out.state)]))

    def concentration(self, state: State) -> Float[Array, ""]:
        return self.inner.concentration(state)

    def reset_batch(self, chance: Float[Array, "env chance"]) -> tuple[State, Float[Array, "env obs"]]:
        state, obs = self.inner.reset_batch(chance)
        return state, jnp.concatenate([obs, self.inner.truth_batch(state)], axis=-1)

    def reset_where(
        self, wanted: Bool[Array, " env"], chance: Float[Array, "env chance"]
    ) -> tuple[State, Float[Array, "env obs"]]:
        state, obs = self.inner.reset_where(wanted, chance)
        return state, jnp.concatenate([obs, self.inner.truth_batch(state)], axis=-1)

    def step_batch(
        self,
        state: State,
        action: Float[Array, "env action"],
        chance: Float[Array, "env chance"],
    ) -> Step:
        out = self.inner.step_batch(state, action, chance)
        return out._replace(obs=jnp.concatenate([out.obs, self.inner.truth_batch(out.state)], axis=-1))

    def step_and_reset(
        self, state: State, action: Float[Array, "env action"], chance: Float[Array, "env chance"], *, final: bool
    ) -> tuple[Step, State, Float[Array, "env obs"]]:
        if final:
            return super().step_and_reset(state, action, chance, final=final)
        out, state, obs = self.inner.step_and_reset(state, action, chance, final=final)
        obs = jnp.concatenate([obs, self.inner.truth_batch(state)], axis=-1)
        return out._replace(obs=obs), state, obs


def with_truth(env: FunctionalEnv) -> WithTruth:
    """Add the truth to the observation of an environment.

    Raises:
        ConfigError: the environment has no hidden state.
    """
    chance = jax.eval_shape(lambda: env.draw(jax.random.key(0), ()))
    shape = jax.eval_shape(lambda chance: env.truth(env.reset(chance)[0]), chance)
    if not shape.size:
        raise ConfigError(
            "--privileged-critic needs an environment with a hidden state, which this one does not have: leave it "
            "out, or train in a scenario (rl-drug-dosage info --scenarios)"
        )
    return WithTruth(env, shape.size)

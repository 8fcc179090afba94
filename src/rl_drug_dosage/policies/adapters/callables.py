"""Any callable or Gymnasium-style agent as a policy: NumPy in, NumPy out, called on a batch of patients.

    class Titration:
        observation_options = {"history": 8}  # observation options of the environment; all have defaults

        def predict(self, observation, deterministic=True):
            return 1000.0 * np.ones(len(observation))

    POLICY = Titration()

The observation is that of the scenario's environment, ``[patient, obs]`` float32; ``env.unwrapped.observation_names``
and ``rl-drug-dosage info --scenario NAME`` describe its components. The result is one action per patient, ``[patient]``
or ``[patient, 1]``: with default options, an amount in the unit of the scenario's dosage. With options by which it
corrects a Bayesian dose on support patients there may be two, ``[patient, 2]`` (`clinic.posterior`).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rl_drug_dosage.clinic.faults import faults_of, require_policy
from rl_drug_dosage.clinic.observation import Observer, observer_from
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.errors import BadPluginError, ConfigError
from rl_drug_dosage.policies.adapters.host import Agent, Host, HostPolicy, Remembered

__all__ = ["as_definition", "host_policy"]

_OPTIONS = "observation_options"
"""Attribute of an agent with its observation options."""


def as_definition(thing: Any, where: str = "") -> PolicyDefinition | None:
    """Make a policy definition from an object, or return None if the object cannot be a policy.

    Args:
        thing: a `Policy`; a function ``build(setting)`` that makes one (its argument has this name, or is annotated as
            a `Setting`); an agent with ``predict(observation)`` that returns actions or (actions, state); or a function
            of observations. A recurrent ``predict`` also takes ``state`` and ``episode_start``.
        where: where the object is, for messages.

    Raises:
        BadPluginError: a class instead of an object.
    """
    if isinstance(thing, Policy):
        return PolicyDefinition(title=type(thing).__name__, build=lambda setting: thing)
    if isinstance(thing, type):
        if issubclass(thing, Policy) or callable(getattr(thing, "predict", None)):
            raise BadPluginError(
                f"{where or 'the policy'}: {thing.__name__} is a class: give an instance, {thing.__name__}(...)"
            )
        return None
    name = _name(thing)
    if callable(getattr(thing, "predict", None)):
        return PolicyDefinition(title=f"{name}, an agent", build=lambda setting: _agent_policy(thing, name, setting))
    if not callable(thing):
        return None
    if _builds(thing):
        return PolicyDefinition(title=name, build=lambda setting: _built(thing, name, setting))

    def act(rows: np.ndarray, memory: Remembered, first: np.ndarray) -> tuple[Any, Remembered]:
        return thing(rows), memory

    options = getattr(thing, _OPTIONS, {})
    return PolicyDefinition(
        title=f"{name}, a function", build=lambda setting: host_policy(Agent(name, act), setting, options)
    )


def _name(thing: Any) -> str:
    return str(getattr(thing, "name", "") or getattr(thing, "__name__", "") or type(thing).__name__)


def _builds(function: Callable[..., Any]) -> bool:
    """Whether a callable builds a policy from a setting, instead of being a policy."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some compiled callables have no signature
        return False
    if not parameters:
        return False
    first = parameters[0]
    return first.name == "setting" or first.annotation is Setting or str(first.annotation).endswith("Setting")


def _built(build: Callable[[Setting], Any], name: str, setting: Setting) -> Policy:
    with faults_of(name, "cannot be built"):
        return require_policy(build(setting), name)


def host_policy(agent: Agent, setting: Setting, options: Mapping[str, Any], *, spaces: Any = None) -> HostPolicy:
    """Make a policy from an agent in a scenario.

    Args:
        agent: the agent.
        setting: the setting in which it is used.
        options: observation options, see `clinic.observation.SEEN`.
        spaces: an object whose ``observation_space`` and ``action_space``, if present, must match the scenario.

    Raises:
        ConfigError, UnknownNameError: invalid options, or spaces that do not match.
    """
    whose = f"policy {agent.name!r}"
    if not isinstance(options, Mapping):
        raise ConfigError(f"{_OPTIONS} of {whose} must be a mapping of names to values, not {options!r}")
    observer = observer_from(setting.scenario, options, whose, setting.left_out(str(options.get("belief", ""))))
    # Of two actions only those of corrections are an agent's; a dosing interval is not chosen here.
    actions = (len(observer.action_bounds[0]) if observer.corrects else 1) + agent.abstains
    low, high = observer.action_range
    _fit(spaces, agent.name, observer, actions, setting)
    return HostPolicy(setting.scenario, observer, Host(agent, low, high, actions))


def _fit(spaces: Any, name: str, observer: Observer, actions: int, setting: Setting) -> None:
    seen, acted = (getattr(spaces, f"{what}_space", None) for what in ("observation", "action"))
    where = setting.task.name
    shape = getattr(seen, "shape", None)
    if shape is not None and tuple(shape) != (observer.size,):
        raise ConfigError(
            f"policy {name!r} takes observations of shape {tuple(shape)}, those of {where} are ({observer.size},): "
            f"set its attribute {_OPTIONS} to the options of its environment, or train an agent there"
        )
    if acted is None:
        return
    low, high = observer.action_range
    edges = [np.asarray(getattr(acted, side, np.nan), float).ravel() for side in ("low", "high")]
    own = "one number" if actions == 1 else f"{actions} numbers"
    if any(e.shape != (actions,) for e in edges) or not np.allclose(edges, [[low], [high]], rtol=1e-5):
        raise ConfigError(
            f"policy {name!r} acts in {acted}, an action of {where} is {own} from {low:g} to {high:g}: set "
            f"its attribute {_OPTIONS} to the options of its environment, or train an agent there"
        )


def _agent_policy(thing: Any, name: str, setting: Setting) -> HostPolicy:
    """Wrap an object with ``predict``, recurrent or not."""
    known = _parameters(thing.predict)
    given = {"deterministic": True} if "deterministic" in known else {}
    options = getattr(thing, _OPTIONS, {})

    def act(rows: np.ndarray, memory: Remembered, first: np.ndarray) -> tuple[Any, Remembered]:
        return _action(thing.predict(rows, **given)), memory

    # Check the spaces before the first call of the agent.
    policy = host_policy(Agent(name, act), setting, options, spaces=thing)
    if not {"state", "episode_start"} <= known:
        return policy
    agent = _recurrent(thing, name, policy.observer.size, given)
    return policy if agent is None else host_policy(agent, setting, options, spaces=thing)


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _action(came: Any) -> Any:
    """The actions returned by ``predict``, which may be a pair with a state."""
    return came[0] if isinstance(came, tuple) and len(came) == 2 else came


def _recurrent(thing: Any, name: str, size: int, given: Mapping[str, Any]) -> Agent | None:
    """The agent with its state, whose shapes are found by calls with two and three patients; None without state."""

    def state_of(count: int) -> Any:
        with faults_of(name, "fails at the first decision"):
            came = thing.predict(
                np.zeros((count, size), np.float32), state=None, episode_start=np.ones(count, bool), **given
            )
        return came[1] if isinstance(came, tuple) and len(came) == 2 else None

    two = state_of(2)
    leaves, structure = jax.tree.flatten(two)
    if not leaves:
        return None
    shapes = [(np.shape(a), np.shape(b)) for a, b in zip(leaves, jax.tree.leaves(state_of(3)), strict=True)]
    axes = [[i for i, (m, n) in enumerate(zip(*pair, strict=False)) if (m, n) == (2, 3)] for pair in shapes]
    if any(len(found) != 1 for found in axes):
        raise BadPluginError(
            f"policy {name!r}: its state has arrays of shapes {[a for a, _ in shapes]} for 2 patients and "
            f"{[b for _, b in shapes]} for 3: exactly one axis of each must be patients"
        )
    at = [found[0] for found in axes]

    def act(rows: np.ndarray, memory: Remembered, first: np.ndarray) -> tuple[Any, Remembered]:
        # All patients of a batch start their course at the same time.
        own = [np.moveaxis(m, 0, axis) for m, axis in zip(memory, at, strict=True)]
        state = None if first.all() else jax.tree.unflatten(structure, own)
        action, after = thing.predict(rows, state=state, episode_start=first, **given)
        return action, tuple(np.moveaxis(np.asarray(m), a, 0) for m, a in zip(jax.tree.leaves(after), at, strict=True))

    one = tuple(tuple(n for i, n in enumerate(shape) if i != axis) for (shape, _), axis in zip(shapes, at, strict=True))
    return Agent(name, act, one)

"""A scenario with another horizon or reward, as requested by command line or environment options."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl_drug_dosage import registry
from rl_drug_dosage.clinic.rewards import named_reward
from rl_drug_dosage.clinic.scenario import Goal, Reward, Scenario
from rl_drug_dosage.errors import BadPluginError, ConfigError

__all__ = ["adjusted", "function_of", "reward_of"]


def adjusted(
    scenario: Scenario,
    *,
    decisions: int | None = None,
    horizon_h: float | None = None,
    reward: "str | Reward | None" = None,
) -> Scenario:
    """The scenario with these settings replaced; unchanged if none is given.

    Lists of decisions (samples, judged intervals, decisions at which a controller estimates) are kept. A shorter course
    drops entries beyond its end; a longer one adds none.

    Args:
        scenario: the task.
        decisions: number of decisions.
        horizon_h: length of the course, a multiple of the interval, in place of ``decisions``.
        reward: a name in `clinic.rewards.REWARDS`, ``file.py:function``, or a function of `Judged`. Pass only
            paths from the user's command line or code: importing a file runs it.

    Raises:
        ConfigError: both lengths given, or an invalid one.
        UnknownNameError, BadPluginError: no such reward.
    """
    if decisions is not None and horizon_h is not None:
        raise ConfigError("decisions and horizon_h are two answers to one question: give one of them")
    if horizon_h is not None:
        decisions = decisions_of(horizon_h, scenario.schedule.interval_h)
    if decisions is not None and decisions != scenario.schedule.decisions:
        scenario = _lasting(scenario, decisions)
    if reward is not None:
        function, text = reward_of(reward, scenario.whole_days())
        scenario = dataclasses.replace(scenario, reward=function, reward_text=text)
    return scenario


def decisions_of(horizon_h: float, interval_h: float) -> int:
    """Number of intervals in a course.

    Raises:
        ConfigError: not a whole number of intervals.
    """
    count = round(horizon_h / interval_h)
    if count < 1 or abs(count * interval_h - horizon_h) > 1e-6 * interval_h:
        raise ConfigError(f"horizon_h is {horizon_h:g}: allowed are multiples of the interval, {interval_h:g} h")
    return count


def _lasting(scenario: Scenario, decisions: int) -> Scenario:
    if isinstance(decisions, bool) or not isinstance(decisions, int) or decisions < 1:
        raise ConfigError(f"decisions must be a whole number of at least 1, not {decisions!r}")

    def kept(what: str, places: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if places is None:
            return None
        left = tuple(k for k in places if k < decisions)
        if not left:
            raise ConfigError(
                f"{decisions} decisions are too few for {scenario.title!r}: its {what} begin with decision {places[0]} "
                f"(counted from 0), so give at least {places[0] + 1}"
            )
        return left

    return dataclasses.replace(
        scenario,
        schedule=dataclasses.replace(scenario.schedule, decisions=decisions),
        monitoring=dataclasses.replace(scenario.monitoring, intervals=kept("samples", scenario.monitoring.intervals)),
        goal=dataclasses.replace(scenario.goal, judged=kept("judged intervals", scenario.goal.judged)),
        estimated_at=kept("estimates", scenario.estimated_at),
        look_ahead=min(scenario.look_ahead, decisions),
    )


def reward_of(reward: "str | Reward", goal: Goal, folder: Path | None = None) -> tuple[Reward, str]:
    """A reward by name, as ``file.py:function`` or as a function, and the same in words.

    Args:
        reward: the reward.
        goal: the goal that a named reward is built from.
        folder: base folder of relative paths; None: the current one.
    """
    if not isinstance(reward, str):
        return reward, _said(reward, "a function that was given")
    if ":" not in reward:
        return named_reward(reward, goal)
    function = function_of(reward, folder)
    return function, _said(function, reward)


def _said(function: Callable[..., Any], otherwise: str) -> str:
    text = (function.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split()) or otherwise


def function_of(reference: str, folder: Path | None = None) -> Callable[..., Any]:
    """The function that ``file.py:function`` names.

    Raises:
        BadPluginError: no such file, one that fails when it is imported, or no such function in it.
    """
    file, _, name = reference.rpartition(":")
    path = (folder or Path()) / file
    if not file.endswith(".py") or not name.isidentifier():
        raise BadPluginError(f"{reference!r} is no function: write file.py:function")
    if not path.is_file():
        raise BadPluginError(f"{reference!r}: there is no file {path}")
    module = registry.import_file(path)
    function = getattr(module, name, None)
    if not callable(function):
        own = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise BadPluginError(f"{path} has no function {name!r}; it has {', '.join(own) or 'none'}")
    found: Callable[..., Any] = function
    return found

"""What a sweep varies: ``learning_rate=1e-4..1e-2`` or ``memory=none,gru``, checked against training's own settings."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.training.config import RunOptions, TrainConfig, options_of

__all__ = ["FIXED", "Choices", "Parameter", "Range", "combinations", "named", "read_space", "shown", "words_of"]

FIXED: Mapping[str, str] = {
    "env_id": "a sweep is about one task",
    "env_kwargs": "a sweep is about one task",
    "vectorization": "it changes no result",
    "seed": "every trial has the same seeds, give them as --seed and --seeds",
    "seeds": "every trial has the same seeds, give them as --seed and --seeds",
    "eval_freq": "it says how trials are judged, which has to be the same for all",
    "eval_episodes": "it says how trials are judged, which has to be the same for all",
    "eval_max_steps": "it says how trials are judged, which has to be the same for all",
    **{f.name: "it changes no result" for f in dataclasses.fields(RunOptions)},
}
"""Settings that a sweep may not vary, and why."""

_DECADE = 10.0
_RANGE = re.compile(r"(?P<low>.*?)\.\.(?P<high>.*?)(?::(?P<scale>[^:]*))?", re.DOTALL)
_EXAMPLE = "--param learning_rate=1e-4..1e-2, or --param memory=none,gru"


@dataclass(frozen=True)
class Range:
    """An interval, both ends included.

    Args:
        name: of the setting.
        low, high: its ends.
        log: uniform in the logarithm.
        whole: whole numbers only.
    """

    name: str
    low: float
    high: float
    log: bool
    whole: bool

    def record(self) -> dict[str, Any]:
        """As ``sweep.json`` has it."""
        return {"name": self.name, "low": self.low, "high": self.high, "scale": "log" if self.log else "lin"}


@dataclass(frozen=True)
class Choices:
    """A list of values.

    Args:
        name: of the setting.
        values: at least two.
    """

    name: str
    values: tuple[bool | int | float | str, ...]

    def record(self) -> dict[str, Any]:
        """As ``sweep.json`` has it."""
        return {"name": self.name, "values": list(self.values)}


type Parameter = Range | Choices


def named(given: Sequence[str]) -> dict[str, str]:
    """``["name=values", ...]`` as name -> values.

    Raises:
        ConfigError: no equals sign, or the same name twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, values = text.partition("=")
        if not equals:
            raise ConfigError(f"--param {text!r} is not NAME=VALUES: write {_EXAMPLE}")
        if name.replace("-", "_") in {known.replace("-", "_") for known in found}:
            raise ConfigError(f"--param {name} is given twice: give all of its values at once")
        found[name] = values
    return found


def read_space(params: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of a sweep.

    Args:
        params: setting -> a range ``"a..b"``, ``"a..b:log"`` or ``"a..b:lin"``, or values ``"a,b,c"`` or in a list.

    Raises:
        ConfigError: no parameter, one that may not vary, or values that are not allowed.
        UnknownNameError: training has no setting of that name.
    """
    if not params:
        raise ConfigError(f"a sweep needs something to vary: {_EXAMPLE}")
    known = {o.name: o.kind for o in options_of(TrainConfig)}
    found: list[Parameter] = []
    for given, values in params.items():
        name = given.strip().replace("-", "_")
        if name in FIXED:
            raise ConfigError(f"a sweep may not vary {name}: {FIXED[name]}")
        if name not in known:
            raise UnknownNameError("setting of training", name, set(known) - set(FIXED))
        kind = known[name]
        if isinstance(values, str) and (match := _RANGE.fullmatch(values.strip())) is not None:
            found.append(_range(name, kind, match))
        else:
            found.append(_choices(name, kind, values))
    return tuple(found)


def _range(name: str, kind: type, match: re.Match[str]) -> Range:
    if kind in {str, bool}:
        allowed = "true,false" if kind is bool else ",".join(_allowed(name))
        raise ConfigError(f"{name} has no range: give values, --param {name}={allowed}")
    scale = match["scale"]
    spoken = f"--param {name}={match[0]}"
    if scale not in {None, "log", "lin"}:
        raise ConfigError(
            f"{spoken}: a scale is log or lin, not {scale!r}; write {name}={match['low']}..{match['high']}:log"
        )
    low, high = (_value(name, kind, match[end]) for end in ("low", "high"))
    if low > high:
        raise ConfigError(
            f"{spoken} runs from the higher to the lower end: write {name}={match['high']}..{match['low']}"
        )
    if low == high:
        raise ConfigError(f"{spoken} is an empty range, of one value: give --{name.replace('_', '-')} {low:g} instead")
    if scale == "log" and low <= 0:
        raise ConfigError(f"{spoken}: a logarithmic range begins above 0, not at {low:g}; write :lin")
    log = scale == "log" if scale else low > 0 and high > _DECADE * low
    return Range(name, low, high, log, kind is int)


def _choices(name: str, kind: type, values: Any) -> Choices:
    if isinstance(values, str):
        if values.rpartition(":")[2] in {"log", "lin"}:
            raise ConfigError(f"--param {name}={values}: log and lin are for ranges, {name}=a..b:log")
        parts: list[Any] = [part.strip() for part in values.split(",")] if values.strip() else []
    elif isinstance(values, list | tuple):
        parts = list(values)
    else:
        raise ConfigError(f"the values of {name} must be a text such as 1e-4..1e-2 or a list, not {values!r}")
    if not parts:
        raise ConfigError(f"--param {name} is empty: write {_EXAMPLE}")
    found = tuple(_value(name, kind, part) for part in parts)
    if len(set(found)) < len(found):
        raise ConfigError(f"--param {name} has a value twice: {', '.join(map(shown, found))}; give each once")
    if len(found) == 1:
        option = f"--{name.replace('_', '-')} {shown(found[0])}"
        raise ConfigError(f"--param {name} has one value, {shown(found[0])}: give {option} instead, or more values")
    return Choices(name, found)


def _value(name: str, kind: type, given: Any) -> Any:
    """A value of a setting, checked by the configuration itself."""
    value = _read(name, kind, given) if isinstance(given, str) else given
    return getattr(TrainConfig(**{name: value}), name)


def _read(name: str, kind: type, text: str) -> Any:
    text = text.strip()
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            raise ConfigError(f"--param {name} takes true and false, not {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise ConfigError(f"--param {name} takes {what}, not {text!r}: write {name}=a..b or {name}=a,b,c") from None


def _allowed(name: str) -> tuple[str, ...]:
    choices: tuple[str, ...] = next(f.metadata["choices"] for f in dataclasses.fields(TrainConfig) if f.name == name)
    return choices


def combinations(space: Sequence[Parameter]) -> int | None:
    """How many different trials there are; None: more than can be counted."""
    sizes = []
    for parameter in space:
        if isinstance(parameter, Choices):
            sizes.append(len(parameter.values))
        elif parameter.whole:
            sizes.append(int(parameter.high - parameter.low) + 1)
        else:
            return None
    return math.prod(sizes)


def shown(value: object) -> str:
    """A value as the command line takes it, a number in four digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def words_of(params: Mapping[str, Any]) -> str:
    """``learning_rate 0.0031, memory gru``."""
    return ", ".join(f"{name} {shown(value)}" for name, value in params.items())

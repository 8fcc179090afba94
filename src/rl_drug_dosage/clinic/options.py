"""Options of a policy: what may be chosen, and how ``mipd,prior=widened`` is read.

A policy definition lists its options by name. Whoever names the policy may set them, in text as
``NAME,option=value,option=value`` and in Python with ``PolicyDefinition.with_options``.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_drug_dosage.errors import BadPluginError, ConfigError, UnknownNameError

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.policy import PolicyDefinition

__all__ = ["Option", "changed_options", "checked_options", "completed_options", "require_options", "with_words"]

_NAME = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True)
class Option:
    """One option of a policy: a word, or a number within limits.

    Args:
        meaning: what it chooses, one line.
        default: the value where none is given.
        words: the words that are allowed; empty: it is a number.
        low, high: limits of a number, both allowed.

    Raises:
        BadPluginError: no words and no limits, both, or a default that is not allowed.
    """

    meaning: str
    default: str | float
    words: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        limits = (self.low, self.high)
        given = sum(limit is not None for limit in limits)
        if given != (0 if self.words else 2):
            raise BadPluginError(
                f"Option({self.meaning!r}) has words={self.words!r}, low={self.low!r} and high={self.high!r}: allowed "
                "are words, or low and high of a number; give one of the two"
            )
        if self.low is not None and self.high is not None and not -math.inf < self.low <= self.high < math.inf:
            raise BadPluginError(f"Option({self.meaning!r}) is from {self.low} to {self.high}: give two finite numbers")
        if not self.allows(self.default):
            raise BadPluginError(f"Option({self.meaning!r}): default is {self.default!r}; allowed: {self.allowed}")

    @property
    def allowed(self) -> str:
        """The allowed values, for messages and tables."""
        if self.words:
            return " | ".join(self.words)
        return f"a number from {self.low:g} to {self.high:g}"

    def allows(self, value: object) -> bool:
        """Whether a value is one of the words, or a number within the limits."""
        if self.words or self.low is None or self.high is None:
            return value in self.words
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def read(self, value: object, name: str, whose: str) -> str | float:
        """The value of an option: a word as it is, a number from a number or its text.

        Args:
            value: what was given.
            name: of the option.
            whose: ``"policy 'mipd'"``, for messages.

        Raises:
            UnknownNameError: an unknown word.
            ConfigError: not a number within the limits.
        """
        if self.words:
            if not self.allows(value):
                raise UnknownNameError(f"{name} of {whose}", str(value), self.words, remedy=f"write {name}=WORD")
            return str(value)
        number = value
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                number = None
        if not self.allows(number):
            raise ConfigError(
                f"{whose}: {name}={value}; allowed: {self.allowed}, {self.default:g} if left out; correct the number"
            )
        return float(number)  # type: ignore[arg-type]


def require_options(options: object) -> str:
    """What is wrong with the field ``options`` of a definition; empty if nothing is."""
    if not isinstance(options, Mapping):
        return "a mapping from names to values of the class Option"
    for name, option in options.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return "names of letters, digits and _ that begin with a letter"
        if not isinstance(option, Option):
            return "a mapping from names to values of the class Option"
    return ""


def completed_options(options: Mapping[str, Option], given: Mapping[str, str | float]) -> dict[str, str | float]:
    """The given values and the defaults of the others, in the definition's order."""
    return {name: given.get(name, option.default) for name, option in options.items()}


def changed_options(options: Mapping[str, Option], given: Mapping[str, str | float]) -> dict[str, str]:
    """The given values that differ from the default, as text, in the definition's order."""
    found = {name: given[name] for name, option in options.items() if given.get(name, option.default) != option.default}
    return {name: value if isinstance(value, str) else f"{value:g}" for name, value in found.items()}


def checked_options(options: Mapping[str, Option], given: Mapping[str, object], whose: str) -> dict[str, str | float]:
    """The given values, if each is allowed.

    Args:
        options: of the definition.
        given: values by option name.
        whose: ``"policy 'mipd'"``, for messages.

    Raises:
        UnknownNameError: an option or a word that is unknown.
        ConfigError: a number out of range, or any value for a policy without options.
    """
    if given and not options:
        raise _without_options(whose, ", ".join(f"{name}={value}" for name, value in given.items()))
    for name in given:
        if name not in options:
            raise UnknownNameError(f"option of {whose}", name, options, remedy="write NAME,option=value")
    return {name: options[name].read(value, name, whose) for name, value in given.items()}


def with_words(definition: "PolicyDefinition", name: str, words: Sequence[str]) -> tuple["PolicyDefinition", str]:
    """The definition with options that were written after its name, and its name in tables.

    Args:
        definition: of the policy.
        name: its name.
        words: ``"prior=widened"``, ...

    Returns:
        The definition, and the name followed by the options that differ from their default.

    Raises:
        UnknownNameError: an option or a word that is unknown.
        ConfigError: anything else that is no option with an allowed value, or an option that is given twice.
    """
    whose, given = f"policy {name!r}", dict[str, object]()
    for word in words:
        option, equals, value = (part.strip() for part in word.partition("="))
        if not equals and option not in definition.options:
            raise ConfigError(
                f"{whose}: {option!r} after the comma is no option=value: write {name}"
                f"{f',{next(iter(definition.options))}=VALUE' if definition.options else ' alone'}, or name several "
                "policies one by one (--policy A --policy B)"
            )
        if not definition.options:
            raise _without_options(whose, word.strip())
        if option in given:
            raise ConfigError(
                f"{whose}: {option} is given twice, as {given[option]} and {value or 'nothing'}: give it once"
            )
        if option in definition.options and not value:
            known = definition.options[option]
            raise ConfigError(
                f"{whose}: {option} has no value; allowed: {known.allowed}; write {option}={_example(known)}"
            )
        given[option] = value
    chosen = definition.with_options(given, name=name)
    suffix = "".join(f",{option}={value}" for option, value in changed_options(chosen.options, chosen.given).items())
    return chosen, name + suffix


def _without_options(whose: str, came: str) -> ConfigError:
    return ConfigError(
        f"{whose} has no options, and {came} was given: leave it out (`rl-drug-dosage info --policies` lists the "
        "options of every policy)"
    )


def _example(option: Option) -> str:
    return option.default if isinstance(option.default, str) else f"{option.default:g}"

"""The options of an observation, as environments, model files and agents give them."""

from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.clinic.assumptions import ENSEMBLE_OPTIONS, ESTIMATE, estimate_words
from rl_drug_dosage.errors import ConfigError

__all__ = ["ACTIONS", "FEWEST", "MOST", "SEEN", "check_options"]

ACTIONS = ("amount", "grid", "relative", "label", "residual")
FEWEST, MOST = 16, 65536
"""Support patients of a model."""
_PRIORS, _ERRORS = (ENSEMBLE_OPTIONS[name].words for name in ("prior", "error"))
SEEN = (
    "history",
    "belief",
    "action",
    "on_board",
    "clock",
    "ratio",
    "intervals",
    "support",
    "prior",
    "error",
    "reference",
)
"""The options that define a policy's observation: the arguments of `observer_of`."""


def check_options(options: Mapping[str, Any], option: str) -> None:
    """Refuse values that no observation has.

    Args:
        options: some of `SEEN`.
        option: how an option is named in messages, ``"environment option {}"``.

    Raises:
        ConfigError: an invalid value.
    """
    for name, value in options.items():
        fits, allowed = {
            "history": (type(value) is int and 1 <= value <= 64, "a whole number from 1 to 64"),
            "belief": (isinstance(value, str), "the name of a drug model"),
            "action": (value in ACTIONS, f"one of {', '.join(ACTIONS)}"),
            "support": (
                type(value) is int and (value == 0 or FEWEST <= value <= MOST),
                f"a whole number from {FEWEST} to {MOST:,}, or 0 for a MAP estimate",
            ),
            "prior": (value in _PRIORS, f"one of {', '.join(_PRIORS)}"),
            "error": (value in _ERRORS, f"one of {', '.join(_ERRORS)}"),
            "reference": (isinstance(value, str), ESTIMATE),
        }.get(name, (isinstance(value, bool), "true or false"))
        if not fits:
            raise ConfigError(f"{option.format(name)} must be {allowed}, not {value!r}")
    if options.get("support") and not options.get("belief"):
        raise ConfigError(
            f"{option.format('support')} is {options['support']}, which needs a belief: name the drug model that the "
            "support patients follow"
        )
    for name in ("prior", "error"):
        if not options.get("support") and options.get(name, "published") != "published":
            raise ConfigError(
                f"{option.format(name)} is {options[name]!r}, which only support patients assume: give support, such "
                "as 128"
            )
    if reference := options.get("reference"):
        estimate_words(reference, option.format("reference"))
        if not options.get("support") or options.get("action") != "residual":
            raise ConfigError(
                f"{option.format('reference')} is {reference!r}, the Bayesian dose that is corrected on the belief of "
                "support patients: give support, such as 128, and action 'residual'"
            )
    if options.get("action") == "residual" and not options.get("belief"):
        raise ConfigError(f"{option.format('action')} is 'residual', which needs a belief: name a drug model")

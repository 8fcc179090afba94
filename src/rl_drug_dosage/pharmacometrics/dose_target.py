"""The window that a dose search aims at, as people write it: ``trough 10-15``, ``auc24 400-600 mg h/L``."""

import re
from typing import NoReturn, get_args

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.dose_aims import Aim
from rl_drug_dosage.pkpd import DrugModel, Target
from rl_drug_dosage.pkpd.description import Metric
from rl_drug_dosage.pkpd.units import metric_unit, same_unit
from rl_drug_dosage.utils.words import output_words

__all__ = ["aim_of", "label_of"]

_METRICS = tuple(get_args(Metric))
_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_WINDOW = re.compile(rf"({_NUMBER})\s*(?:-|to|\.\.)\s*({_NUMBER})(.*)", re.IGNORECASE)
_LIMIT = re.compile(rf"(<=|>=|<|>|below|above|at most|at least)\s*({_NUMBER})(.*)", re.IGNORECASE)
_ABOVE = re.compile(rf"({_NUMBER})\s*(\D*?)\s*for\s+({_NUMBER})\s*%", re.IGNORECASE)
_SIGN = re.compile(r"(<=|>=|<|>)")
_LOWER = frozenset({">", ">=", "above", "at least"})
_GRAMMAR = (
    "write a metric and a window: 'trough 10-15', 'peak <= 30', 'auc24 400-600 mg h/L', 'inr trough 2-3', "
    "'time_above 4 for 60 %'"
)
_GIVEN = "asked for"
"""Source of a window that is not the model's."""


def aim_of(model: DrugModel, text: str | None) -> Aim:
    """What to aim at.

    Args:
        model: the drug.
        text: metric and window, with the output in front where it is not the model's first and the unit behind if one
            likes; None: the model's first target.

    Raises:
        ConfigError: a text that is no target, a unit that is not the metric's, or no text for a model without a target.
        DrugModelError: an output that the model does not have.
    """
    if text is None:
        if not model.targets or model.targets[0].metric == "time_above":
            raise ConfigError(f"{model.name} publishes no window to search for: give --target; {_GRAMMAR}")
        return Aim(model.targets[0])
    words = _SIGN.sub(r" \1 ", text.replace("time above", "time_above")).split()
    output = model.outputs[0].name
    if words and words[0] in {each.name for each in model.outputs}:
        output, *words = words
    words = " ".join(words).split(maxsplit=1)
    metric = words[0].casefold() if words else ""
    if metric not in _METRICS or len(words) < 2:
        outputs = ", ".join(each.name for each in model.outputs)
        _refuse(text, f"metrics are {', '.join(_METRICS)}, and outputs of {model.name} are {outputs}")
    unit = model.outputs[model.output_index(output)].unit
    if metric == "time_above":
        return _time_above(text, words[1], output, unit)
    low, high, given = _edges(text, words[1])
    right = metric_unit(metric, unit)
    if given and not same_unit(given, right):
        raise ConfigError(f"--target {text!r} is in {given}, and {metric} of {output} is in {right}: convert it")
    target = Target(output, metric, low, high, right, _GIVEN)  # type: ignore[arg-type]
    return Aim(target)


def _refuse(text: str, why: str) -> NoReturn:
    raise ConfigError(f"--target {text!r} is none: {why}; {_GRAMMAR}")


def _edges(text: str, window: str) -> tuple[float | None, float | None, str]:
    """Low, high and unit."""
    if match := _WINDOW.fullmatch(window):
        low, high = float(match[1]), float(match[2])
        if low >= high:
            _refuse(text, f"its window ends at {high:g}, not above {low:g}")
        return low, high, match[3].strip()
    if match := _LIMIT.fullmatch(window):
        edge, unit = float(match[2]), match[3].strip()
        return (edge, None, unit) if match[1].casefold() in _LOWER else (None, edge, unit)
    _refuse(text, f"{window!r} is no window")


def _time_above(text: str, window: str, output: str, unit: str) -> Aim:
    match = _ABOVE.fullmatch(window)
    if match is None:
        _refuse(text, "a time above a level needs the level and the share of the interval")
    level, given, share = float(match[1]), match[2].strip(), float(match[3]) / 100.0
    if given and not same_unit(given, unit):
        raise ConfigError(f"--target {text!r} is in {given}, and {output} is in {unit}: convert it")
    if not 0 < share <= 1:
        _refuse(text, f"{100 * share:g} % is no share of an interval")
    return Aim(Target(output, "time_above", level, None, unit, _GIVEN), share)


def label_of(aim: Aim) -> str:
    """``trough of concentration, 10 to 15 mg/L``."""
    target = aim.target
    if target.metric == "time_above":
        return f"{target.output} above {target.low:g} {target.unit} for {100 * aim.share:g} % of the interval"
    low, high = aim.edges
    window = f"{low:g} to {high:g}" if low is not None and high is not None else ""
    window = window or (f"at most {high:g}" if low is None else f"at least {low:g}")
    unit = "" if target.unit == "1" else target.unit
    return f"{target.metric} of {output_words(target.output)}, {window} {unit}".rstrip()

"""Names of outputs, metrics, units and times for axes, tables and reports."""

import math

__all__ = ["lasting", "measured", "metric_words", "output_words", "time_axis", "titled", "unit_words", "with_unit"]

_BARE = frozenset({"1", "0/1", "code", "count", ""})
"""Units of dimensionless quantities."""
_LONGEST_ABBREVIATION = 3
_SHORT_H, _FEW_HOURS, _MANY_HOURS = 0.25, 3.0, 48.0
_AREAS = {"auc24": "AUC24", "auc_total": "AUC since the start"}
_OF_CONCENTRATION = {
    "trough": "trough {}",
    "peak": "peak {}",
    "nadir": "lowest {} of an interval",
    "average": "average {}",
}
_OF_ANY = {
    "trough": "{} at the end of an interval",
    "peak": "highest {} of an interval",
    "nadir": "lowest {} of an interval",
    "average": "average {} of an interval",
}
_EITHER = {"value": "{} at every time", "time_above": "share of an interval that {} is above the limit"}


def unit_words(unit: str) -> str:
    """A unit for display; empty for a dimensionless quantity."""
    return "" if unit in _BARE else unit.replace("10^9", "10⁹")


def output_words(name: str) -> str:
    """``concentration``, ``effect site``, ``INR``: up to three letters are an abbreviation."""
    return name.upper() if len(name) <= _LONGEST_ABBREVIATION else name.replace("_", " ")


def metric_words(metric: str, output: str) -> str:
    """Name of a metric of an output.

    Args:
        metric: see `rl_drug_dosage.pkpd.description.Metric`.
        output: name of the output. "Trough" and "peak" are used for a concentration only; for example an INR has a
            value at the end of an interval. An AUC without an output is that of the concentration.
    """
    if metric in _AREAS:
        return _AREAS[metric]
    own = _OF_CONCENTRATION if output == "concentration" else _OF_ANY
    return (own | _EITHER).get(metric, f"{{}}, {metric}").format(output_words(output))


def measured(output: str, unit: str) -> str:
    """An output with its unit, as a heading: ``concentration, mg/L``."""
    return with_unit(output_words(output), unit)


def with_unit(name: str, unit: str) -> str:
    """A name with its unit after a comma."""
    return f"{name}, {unit_words(unit)}" if unit_words(unit) else name


def titled(name: str, unit: str) -> str:
    """A name with its unit in brackets."""
    return f"{name} ({unit_words(unit)})" if unit_words(unit) else name


def lasting(hours: float) -> str:
    """A time as people say it: hours; from three days on days, and weeks; below 15 minutes minutes, and seconds."""
    for unit, length, least in (("week", 168.0, 1.0), ("day", 24.0, 3.0)):
        count = hours / length
        if count >= least and math.isclose(count, round(count)):
            return f"{round(count)} {unit}s" if round(count) > 1 else unit
    if hours >= _SHORT_H:
        return f"{hours:g} h"
    return f"{60 * hours:.4g} min" if hours >= 1 / 60 else f"{3600 * hours:.4g} s"


def time_axis(total_h: float) -> tuple[float, str]:
    """The unit of an axis of so many hours, and what an hour is in it."""
    if total_h > _MANY_HOURS:
        return 1 / 24, "days"
    return (1.0, "h") if total_h > _FEW_HOURS else (60.0, "min")

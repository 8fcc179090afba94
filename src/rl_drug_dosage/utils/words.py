"""Names of outputs, metrics and units for axes, tables and reports."""

__all__ = ["measured", "metric_words", "output_words", "titled", "unit_words", "with_unit"]

_BARE = frozenset({"1", "0/1", "code", "count", ""})
"""Units of dimensionless quantities."""
_LONGEST_ABBREVIATION = 3
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

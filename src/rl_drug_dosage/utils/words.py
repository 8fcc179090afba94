"""How outputs, metrics and units are written on axes, in tables and in reports."""

__all__ = ["metric_words", "output_words", "titled", "unit_words"]

_BARE = frozenset({"1", "0/1", "code", "count", ""})
"""Units of what has none."""
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
    """A unit as it is written; nothing for what has none."""
    return "" if unit in _BARE else unit.replace("10^9", "10⁹")


def output_words(name: str) -> str:
    """``concentration``, ``effect site``, ``INR``: up to three letters are an abbreviation."""
    return name.upper() if len(name) <= _LONGEST_ABBREVIATION else name.replace("_", " ")


def metric_words(metric: str, output: str) -> str:
    """What is judged of an output.

    Args:
        metric: see `rl_drug_dosage.pkpd.description.Metric`.
        output: its name. Only a drug's concentration has troughs and peaks: an INR has a value at the end of an
            interval. An area is that of the concentration.
    """
    if metric in _AREAS:
        return _AREAS[metric]
    own = _OF_CONCENTRATION if output == "concentration" else _OF_ANY
    return (own | _EITHER).get(metric, f"{{}}, {metric}").format(output_words(output))


def titled(name: str, unit: str) -> str:
    """A name with its unit in brackets."""
    return f"{name} ({unit_words(unit)})" if unit_words(unit) else name

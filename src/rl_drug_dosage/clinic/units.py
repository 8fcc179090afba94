"""Units as they are written, compared: nothing is converted here, since a wrong guess would be a wrong dose."""

import re
from collections import Counter

__all__ = ["metric_unit", "same_unit"]

_SPELLINGS = {"µg": "ug", "μg": "ug", "mcg": "ug", "l": "L", "ml": "mL", "hr": "h", "hour": "h", "hours": "h"}
_SIGNS = re.compile(r"\s*([/*·])\s*|\s+")


def _parts(unit: str) -> Counter[str]:
    """``"mg h/L"`` as ``{"mg": 1, "h": 1, "L": -1}``; only the unit right behind a slash is below the line."""
    found: Counter[str] = Counter()
    sign = 1
    for piece in _SIGNS.split(unit.strip()):
        if piece in {None, "", "*", "·", "/"}:
            sign = -1 if piece == "/" else sign
            continue
        if piece != "1":
            found[_SPELLINGS.get(piece, piece)] += sign
        sign = 1
    return Counter({part: power for part, power in found.items() if power})


def same_unit(one: str, other: str) -> bool:
    """Whether two texts mean one unit: ``"mg h/L"`` is ``"mg/L*h"``; ``"mg/L"`` is not ``"ug/mL"``."""
    return _parts(one) == _parts(other)


def metric_unit(metric: str, unit: str) -> str:
    """The unit of a metric (see `rl_drug_dosage.pkpd.Target`) of an output in ``unit``."""
    if metric in {"auc24", "auc_total"}:
        above, slash, below = unit.partition("/")
        return f"{above} h{slash}{below}"
    return "1" if metric == "time_above" else unit

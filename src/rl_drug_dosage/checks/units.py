"""The units that contracts know, and which unit a metric of an output has."""

import re
from collections import Counter

from rl_drug_dosage.pkpd import Output

__all__ = ["is_known", "same", "unit_of_metric"]

_ATOM = (
    r"(?:1\.73m2|10\^9|10\^6|1|%|kg|g|mg|ug|ng|pg|mol|mmol|umol|nmol|pmol|L|dL|mL|uL|U|mU|IU|mIU|s|min|h|day|d|weeks"
    r"|week|month|y|m2|cm|m|mmHg|degC|count|code)"
)
_QUOTIENT = rf"{_ATOM}(?: {_ATOM})*(?:/{_ATOM})*"
_KNOWN = re.compile(rf"0/1|ln\({_QUOTIENT}\)|{_QUOTIENT}(?: per {_QUOTIENT})?")


def is_known(unit: str) -> bool:
    """Products of known units over known units, the logarithm of one, or an indicator; ``1`` is a pure number."""
    return bool(_KNOWN.fullmatch(unit))


def _powers(unit: str) -> Counter[str]:
    """Powers of the units in a product: ``mg h/L`` is mg 1, h 1, L -1."""
    over, *under = unit.replace("*", " ").replace("·", " ").split("/")
    powers = Counter(over.split())
    for part in under:
        powers.subtract(part.split())
    return Counter({name: power for name, power in powers.items() if power and name != "1"})


def same(a: str, b: str) -> bool:
    """Whether two units are products of the same units, in whatever order: ``mg h/L`` and ``h mg/L``."""
    return _powers(a) == _powers(b)


def unit_of_metric(metric: str, output: Output) -> str:
    """The unit that a metric of an output has; see `rl_drug_dosage.pkpd.Target`."""
    if metric in {"auc24", "auc_total"}:
        over, slash, under = output.unit.partition("/")
        return f"{over} h{slash}{under}"
    return "1" if metric == "time_above" else output.unit

"""Whether a title that somebody wrote means a covariate: by what it names, never by mere likeness of letters.

SCR (creatinine) and CRCL (its clearance) are alike in letters; read one for the other, and a clearance is wrong by a
factor. So a title is a covariate's if it is its column or name, a synonym that the field uses for the same quantity, or
a slip of the pen in a name that is nobody else's. A title does not tell its unit: whoever offers it says which is
needed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd.description import Covariate
from rl_drug_dosage.pkpd.quantities import SYNONYMS

__all__ = ["likely_covariate", "likely_title", "read_covariates"]

_OTHERS = {"AAG", "ALP", "ALT", "AST", "BILI", "BMI", "BUN", "DCRCL", "EGFR", "GFR", "IBW", "PMA", "PNA", "UCR", "WBC"}
"""Columns of other quantities that data files often have."""
_KNOWN = _OTHERS.union(SYNONYMS, *SYNONYMS.values())
_SHORT = 3
"""Letters up to which names of different quantities differ by one (WT, HT)."""


def likely_title(covariate: Covariate, titles: Iterable[str]) -> str | None:
    """The title among ``titles`` that means the covariate."""
    return next((title for title in titles if _means(title, covariate)), None)


def likely_covariate(title: str, covariates: Iterable[Covariate]) -> str | None:
    """The name of the covariate that a title means."""
    return next((c.name for c in covariates if _means(title, c)), None)


def read_covariates(
    covariates: Sequence[Covariate], given: Mapping[str, object], kind: str = "covariate"
) -> dict[str, float]:
    """The covariates that were given, as numbers under their own names.

    Args:
        covariates: those that are known.
        given: by name, column or alias, in any case; numbers or words.
        kind: what an unknown name is none of, in the message.

    Raises:
        UnknownNameError: a covariate that is not known.
        ConfigError: one that is given twice, under two names.
        CovariateError: no number, or one that no patient has.
    """
    known = {c.name: c for c in covariates}
    found: dict[str, float] = {}
    spelt: dict[str, str] = {}
    for raw, value in given.items():
        called = [known[raw]] if raw in known else [c for c in covariates if c.is_called(raw)]
        if len(called) != 1:
            raise UnknownNameError(kind, raw, known, near=likely_covariate(raw, covariates) or "")
        name = called[0].name
        if name in found:
            raise ConfigError(f"covariate {name!r} was given twice, as {spelt[name]!r} and {raw!r}: leave one out")
        found[name], spelt[name] = called[0].number(value), raw
    return found


def _means(title: str, covariate: Covariate) -> bool:
    written, column = _letters(title), _letters(covariate.column)
    if written in {column, _letters(covariate.name), *SYNONYMS.get(column, ())}:
        return True
    return written not in _KNOWN and any(_slip(written, name) for name in (column, _letters(covariate.name)))


def _letters(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def _slip(written: str, name: str) -> bool:
    """One slip: a letter doubled; in longer names also one left out, added, changed or swapped, but not the first.

    The digits have to agree: CYP2C8 is not CYP2C9.
    """
    if _doubled(written, name):
        return True
    if len(name) <= _SHORT or written[:1] != name[:1] or re.findall(r"\d", written) != re.findall(r"\d", name):
        return False
    at = next((i for i, (a, b) in enumerate(zip(written, name, strict=False)) if a != b), min(len(written), len(name)))
    rest, other = written[at:], name[at:]
    swapped = rest[:2] == other[1::-1] and rest[2:] == other[2:]
    return swapped or other in {rest[1:], rest} or rest == other[1:] or rest[1:] == other[1:]


def _doubled(written: str, name: str) -> bool:
    return any(written[:i] + written[i + 1 :] == name and written[i] == written[i - 1] for i in range(1, len(written)))

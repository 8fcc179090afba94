"""$OMEGA and $SIGMA of a NONMEM control stream."""

from dataclasses import dataclass, field

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.nonmem.numbers import MOST, Word, Words, value_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Stream
from rl_drug_dosage.pharmacometrics.readers.written import Number

__all__ = ["Effects", "read_effects"]

_OMEGAS = "numbers, FIX, SD, CORRELATION, CHOLESKY, DIAGONAL, BLOCK(n), SAME, VALUES, (...)xN"
_MOST_EFFECTS = 400
"""Random effects of one kind."""


@dataclass
class Effects:
    """Random effects of one kind: $OMEGA or $SIGMA.

    Args:
        numbers: variances, one an effect, called ``eta_1`` or ``eps_1``.
        covariance: of them all, ``[effect, effect]``.
        same: sets of effects that SAME ties to each other, the first one first.
        blocks: line -> effects of a block that the file declares there.
    """

    numbers: list[Number] = field(default_factory=list)
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    same: list[list[int]] = field(default_factory=list)
    blocks: list[tuple[int, list[int]]] = field(default_factory=list)


@dataclass
class _Options:
    scale: str = "VARIANCE"
    off_diagonal: str = "COVARIANCE"
    cholesky: bool = False
    fixed: bool = False
    block: int = 0
    same: int = 0
    size: int = 0


def read_effects(stream: Stream, record_name: str) -> Effects:
    """The records $OMEGA or $SIGMA.

    Args:
        stream: the file.
        record_name: "OMEGA" or "SIGMA".

    Raises:
        ReadError: a record that does not follow NM-TRAN's form, or a block that is no covariance matrix.
    """
    found = Effects()
    before: list[int] = []
    for record in stream.all(record_name):
        reader = Words(stream, record, _OMEGAS)
        options, values = _omega_words(reader)
        if options.same:
            for _ in range(options.same):
                before = _repeated(reader, found, before)
        elif options.block:
            before = _block(reader, found, options, values)
        else:
            before = _diagonal(reader, found, options, values)
    return found


type _Value = tuple[float, Word, frozenset[str]]


def _omega_words(reader: Words) -> tuple[_Options, list[_Value]]:
    """Options and numbers of a record."""
    options, values = _Options(), list[_Value]()
    while reader.more():
        word = reader.take()
        number = value_of(word.text)
        if reader.now() == "=" and number is None:
            # A name before its number.
            reader.take()
        elif word.text == "(":
            values += _bracketed(reader, options)
        elif number is not None:
            values += [(number, word, frozenset[str]())] * min(reader.repeats(), MOST + 1)
        elif word.text in {"FIX", "FIXED", "SD", "STANDARD"} and values and not options.block:
            value, where, flags = values[-1]
            values[-1] = (value, where, flags | {word.text})
        else:
            values += _omega_option(reader, options, word)
    if len(values) > MOST:
        reader.refuse(values[-1][1], f"{len(values)} numbers in one record")
    return options, values


def _bracketed(reader: Words, options: _Options) -> list[_Value]:
    """The numbers of ``(0.1 FIX)`` or ``(0.1)x3``; FIX and SD belong to these numbers."""
    own = reader.brackets()
    numbers = [one for one in own if value_of(one.text) is not None]
    words = [one for one in own if one not in numbers and one.text != ","]
    for one in words:
        _set_option(reader, options, one, alone=False)
    flags = frozenset(one.text for one in words)
    return [(float(value_of(one.text) or 0.0), one, flags) for one in numbers] * min(reader.repeats(), MOST + 1)


def _omega_option(reader: Words, options: _Options, word: Word) -> list[_Value]:
    """Take note of a word that is no number; VALUES(...) stands for numbers."""
    match word.text:
        case "BLOCK":
            options.block = reader.option(1)
        case "SAME":
            options.same = reader.option(1)
            options.block = max(options.block, 1)
        case "DIAG" | "DIAGONAL":
            reader.option(1)
        case "NAMES" | "VALUES" if reader.now() == "(":
            reader.take()
            inside = reader.brackets()
            return _filled(reader, options, inside, word) if word.text == "VALUES" else []
        case _:
            _set_option(reader, options, word, alone=True)
    return []


def _filled(reader: Words, options: _Options, inside: list[Word], word: Word) -> list[_Value]:
    """VALUES(diagonal, off-diagonal) of a block, by rows."""
    numbers = [value_of(one.text) for one in inside if one.text != ","]
    if len(numbers) != 2 or None in numbers or not 0 < options.block <= 100:
        reader.refuse(word, "VALUES without two numbers after BLOCK(n)")
    on, off = float(numbers[0] or 0.0), float(numbers[1] or 0.0)
    return [(on if i == j else off, word, frozenset[str]()) for i in range(options.block) for j in range(i + 1)]


def _set_option(reader: Words, options: _Options, word: Word, *, alone: bool) -> None:
    text = word.text
    if text in {"FIX", "FIXED"}:
        options.fixed = options.fixed or alone or options.block > 0
    elif text in {"SD", "STANDARD"}:
        options.scale = "SD" if alone or options.block else options.scale
    elif text.startswith("CORR"):
        options.off_diagonal = "CORRELATION"
    elif text.startswith("CHOL"):
        options.cholesky = True
    elif not (text.startswith(("VARI", "COVA", "UNINT")) or text == ","):
        reader.refuse(word)


def _number(reader: Words, found: Effects, value: float, word: Word, *, fixed: bool) -> Number:
    _require_room(reader, found)
    prefix = "eta" if reader.record.name == "OMEGA" else "eps"
    return Number(f"{prefix}_{len(found.numbers) + 1}", value, word.line, word.comment, "", fixed)


def _require_room(reader: Words, found: Effects) -> None:
    if len(found.numbers) >= _MOST_EFFECTS:
        came = f"more than {_MOST_EFFECTS} effects"
        reader.stream.refuse(
            came, f"up to {_MOST_EFFECTS} in all ${reader.record.name}", "correct it", reader.record.line
        )


def _grown(found: Effects, block: np.ndarray) -> None:
    old = found.covariance
    new = np.zeros((len(old) + len(block),) * 2)
    new[: len(old), : len(old)] = old
    new[len(old) :, len(old) :] = block
    found.covariance = new


def _diagonal(reader: Words, found: Effects, options: _Options, values: list[_Value]) -> list[int]:
    own = []
    for value, word, flags in values:
        is_sd = options.scale == "SD" or bool(flags & {"SD", "STANDARD"})
        variance = value * value if is_sd else value
        fixed = options.fixed or bool(flags & {"FIX", "FIXED"})
        if not (variance >= 0 and np.isfinite(variance)):
            reader.stream.refuse(
                f"a variance of {variance:g}", "variances of 0 or more", "correct it", word.line, word.column
            )
        own.append(len(found.numbers))
        found.numbers.append(_number(reader, found, variance, word, fixed=fixed))
    _grown(found, np.diag([found.numbers[i].value for i in own]))
    return own[-1:]


def _block(reader: Words, found: Effects, options: _Options, values: list[_Value]) -> list[int]:
    size = options.block
    line = reader.record.line
    if size > 100:
        reader.stream.refuse(f"BLOCK({size})", "blocks of up to 100 effects", "correct it", line)
    if len(values) != size * (size + 1) // 2:
        came = f"BLOCK({size}) with {len(values)} numbers"
        reader.stream.refuse(came, f"{size * (size + 1) // 2} numbers, row by row", "complete it", line)
    lower = np.zeros((size, size))
    lower[np.tril_indices(size)] = [value for value, _, _ in values]
    matrix = _covariance(lower, options)
    diagonal = np.cumsum(np.arange(1, size + 1)) - 1
    own = []
    for i in range(size):
        own.append(len(found.numbers))
        word = values[diagonal[i]][1]
        found.numbers.append(_number(reader, found, float(matrix[i, i]), word, fixed=options.fixed))
    found.blocks.append((line, own))
    _grown(found, matrix)
    return own


def _covariance(lower: np.ndarray, options: _Options) -> np.ndarray:
    if options.cholesky:
        return lower @ lower.T
    matrix = lower + lower.T - np.diag(np.diag(lower))
    sd = np.diag(matrix).copy() if options.scale == "SD" else np.sqrt(np.maximum(np.diag(matrix), 0.0))
    off = matrix * np.outer(sd, sd) if options.off_diagonal == "CORRELATION" else matrix
    return off - np.diag(np.diag(off)) + np.diag(sd * sd if options.scale == "SD" else np.diag(matrix))


def _repeated(reader: Words, found: Effects, before: list[int]) -> list[int]:
    if not before:
        reader.stream.refuse("SAME without a block before it", _OMEGAS, "correct it", reader.record.line)
    own = []
    for i in before:
        old = found.numbers[i]
        j = len(found.numbers)
        own.append(j)
        word = Word("", reader.record.line, 1, old.label)
        found.numbers.append(_number(reader, found, old.value, word, fixed=old.fixed))
        chain = next((one for one in found.same if i in one), None)
        if chain is None:
            found.same.append([i, j])
        else:
            chain.append(j)
    _grown(found, found.covariance[np.ix_(before, before)])
    return own

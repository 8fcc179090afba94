"""Patients out of a file, whatever its kind: TOML, JSON, a NONMEM-style table, a FHIR bundle."""

from collections.abc import Mapping
from pathlib import Path

from rl_drug_dosage.bedside.drug_words import words_of
from rl_drug_dosage.bedside.entries import Entries
from rl_drug_dosage.bedside.event_table import read_event_table
from rl_drug_dosage.bedside.fhir import read_bundle
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.patient_file import histories_of, parse_json, parse_toml
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd.nonmem_data import TableText

__all__ = ["TABLES", "Entries", "read_histories", "read_history", "read_text"]

TABLES = frozenset({".csv", ".tsv", ".txt", ".dat", ".tab"})
"""Endings of files with event tables."""
_LARGEST = 16 * 2**20
"""Bytes of a file."""


def read_history(path: str | Path, drug: object = None, formulas: Mapping[str, object] | None = None) -> PatientHistory:
    """The only patient of a file; see `read_histories`.

    Raises:
        ConfigError: the file holds several, or cannot be read.
    """
    found = read_histories(path, drug, formulas)
    if len(found) != 1:
        names = ", ".join(h.name or str(i) for i, h in enumerate(found[:5], 1))
        raise ConfigError(
            f"{Path(path).name} holds {len(found)} patients ({names}, ...); allowed: one; read them with "
            "read_histories, or recommend_all"
        )
    return found[0]


def read_histories(
    path: str | Path, drug: object = None, formulas: Mapping[str, object] | None = None
) -> tuple[PatientHistory, ...]:
    """The patients of a file, in its order.

    Args:
        path: ``.toml`` or ``.json`` in the format of docs/patient-files.md, a FHIR R4 bundle (``.json``), or a
            NONMEM-style table (``.csv``, ``.tsv``, ``.txt``, ``.dat``).
        drug: a generic name, a model's name or a `DrugModel`; needed for a table, which names none; None: what the
            file says.
        formulas: covariate -> formula, for what the file does not say:
            ``{"crcl": {"formula": "cockcroft-gault", "weight": "actual"}}``.

    Raises:
        ConfigError: in one line, with the file and the field.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in TABLES:
        _bytes(file)
        return _of_table(file, drug, formulas)
    if suffix not in {".toml", ".json"}:
        raise ConfigError(
            f"{file.name} is no patient file: allowed are .toml, .json and tables ({', '.join(sorted(TABLES))})"
        )
    try:
        text = _bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name} is no UTF-8 text; save it as such") from error
    try:
        return read_text(text, suffix, drug=drug, formulas=formulas)
    except ConfigError as error:
        raise ConfigError(f"{file.name}: {str(error).removeprefix('the text: ')}") from error


def read_text(
    text: str, suffix: str, *, drug: object = None, formulas: Mapping[str, object] | None = None
) -> tuple[PatientHistory, ...]:
    """The patients of a text, of a web page's form for example.

    Args:
        text: TOML, JSON or an event table.
        suffix: of a file with such a text.
        drug: as in `read_histories`.
        formulas: as there.

    Raises:
        ConfigError: in one line, with the field.
    """
    if suffix in TABLES:
        return _of_table(TableText("the table", text), drug, formulas)
    if suffix == ".toml":
        return histories_of(parse_toml(text, "the text"), drug=drug, choices=formulas)
    content = parse_json(text, "the text")
    if isinstance(content, dict) and "resourceType" in content:
        return (read_bundle(content, drug=drug, choices=formulas),)
    return histories_of(content, drug=drug, choices=formulas)


def _of_table(
    table: Path | TableText, drug: object, formulas: Mapping[str, object] | None
) -> tuple[PatientHistory, ...]:
    if drug is None:
        raise ConfigError(f"{table.name} is a table, which names no drug: say which, such as drug='vancomycin'")
    if formulas:
        raise ConfigError(f"{table.name} is a table: its covariates are columns; add the column, and no formula")
    return read_event_table(table, words_of(drug))


def _bytes(file: Path) -> bytes:
    """The contents of a regular file of reasonable size.

    Raises:
        ConfigError: none.
    """
    try:
        if not file.is_file():
            raise ConfigError(f"cannot read {str(file)!r}: no such file; name a patient file")
        if file.stat().st_size > _LARGEST:
            raise ConfigError(f"{file.name} has more than {_LARGEST // 2**20} MB; allowed: less; split it")
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {str(file)!r}: {error.strerror}; name a patient file") from error

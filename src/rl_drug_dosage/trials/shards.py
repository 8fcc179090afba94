"""A benchmark in parts: every part treats a range of the cohort's patients, on any machine, and parts are merged.

A part is an ``.npz`` file: the arrays of its trials, and what was asked, in JSON. Reading one executes and imports
nothing. Patients do not depend on who is treated beside them, so that merged parts equal the whole, on a CPU to the
bit.
"""

import contextlib
import dataclasses
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import DRUG, POLICY, PUBLISHED, SCENARIO, Kind, is_known, label_of
from rl_drug_dosage.trials.trial import Trial
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["Merged", "Part", "Shard", "asked_again", "joined", "read_parts", "save_part"]

_FORMAT = 1
_RECORD, _PACKAGE = "record", "rl-drug-dosage"
_MOST = 10_000
_PATTERN = re.compile(r"(\d{1,5})/(\d{1,5})")


@dataclass(frozen=True)
class Shard:
    """One of several parts of a cohort.

    Args:
        number: which, from 1.
        of: how many there are.

    Raises:
        ConfigError: no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= _MOST:
            raise ConfigError(
                f"shard {self.number}/{self.of}; allowed: 1/N to N/N, with N up to {_MOST:,}; number the parts from 1"
            )

    @classmethod
    def parsed(cls, text: str) -> "Shard":
        """A part as people write it.

        Raises:
            ConfigError: another text, or no such part.
        """
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"shard {text!r}; allowed: the part and how many there are, such as 3/16")
        return cls(int(found[1]), int(found[2]))

    def range_of(self, patients: int) -> tuple[int, int]:
        """First patient, from 0, and number of patients.

        Raises:
            ConfigError: more parts than patients.
        """
        if self.of > patients:
            raise ConfigError(f"{patients:,} patients in {self.of:,} parts; allowed: at most one part a patient")
        first, end = (patients * k // self.of for k in (self.number - 1, self.number))
        return first, end - first

    @property
    def file_name(self) -> str:
        """Of the part's file."""
        return f"part-{self.number:0{len(str(self.of))}}-of-{self.of}.npz"


@dataclass(frozen=True)
class Part:
    """A part that was read.

    Args:
        path: of its file.
        shard: which part.
        asked: the options of the benchmark.
        digests: of its trials, by what they are about.
    """

    path: Path
    shard: Shard
    asked: Mapping[str, Any]
    digests: Mapping[str, str]

    @property
    def file(self) -> str:
        """The name of its file."""
        return self.path.name

    def trial(self, name: str) -> Trial:
        """One of its trials, read from the file.

        Raises:
            ConfigError: the file is gone or damaged.
        """
        with _opened(self.path) as (record, content):
            place = list(self.digests).index(name)
            return _trial(content, place, record["trials"][place])


@dataclass(frozen=True)
class Merged:
    """All parts of one benchmark.

    Args:
        parts: in the order of their patients.
    """

    parts: tuple[Part, ...]

    @property
    def digests(self) -> Mapping[str, str]:
        """Of the trials, by what they are about."""
        return self.parts[0].digests

    def trials(self, name: str) -> Iterator[Trial]:
        """The ranges of one trial in the order of their patients; a part is read when it is asked for.

        Raises:
            ConfigError: a file is gone or damaged.
        """
        for part in self.parts:
            yield part.trial(name)


def save_part(folder: Path, shard: Shard, asked: Mapping[str, Any], done: Mapping[str, tuple[str, Trial]]) -> Path:
    """Write a part.

    Args:
        folder: into which.
        shard: which part.
        asked: the options of the benchmark, as values of JSON.
        done: trials by what they are about, with digests; see `benchmark_runs.Runs`.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    told = []
    for place, (name, (digest, trial)) in enumerate(done.items()):
        told.append({"name": name, "digest": digest, "first": trial.first, "covariates": list(trial.covariates)})
        for column in _columns():
            arrays[f"{place}.{column}"] = getattr(trial, column)
        for i, values in enumerate(trial.covariates.values()):
            arrays[f"{place}.covariate.{i}"] = values
    record = {
        "format": _FORMAT,
        "version": version(_PACKAGE),
        "shard": [shard.number, shard.of],
        "asked": dict(asked),
        "trials": told,
    }
    arrays[_RECORD] = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    raw = io.BytesIO()
    np.savez_compressed(raw, allow_pickle=False, **arrays)
    atomic_write(folder / shard.file_name, raw.getvalue())
    return folder / shard.file_name


def _columns() -> list[str]:
    return [f.name for f in dataclasses.fields(Trial) if f.name not in {"first", "covariates"}]


def read_parts(places: Sequence[str | Path]) -> list[Part]:
    """The parts of files and folders, in the order of their names.

    Raises:
        ConfigError: a folder without parts, or a file that is none; see `_read`.
    """
    files: list[Path] = []
    for place in map(Path, places):
        own = sorted(place.glob("part-*-of-*.npz")) if place.is_dir() else [place]
        if not own:
            raise ConfigError(f"{str(place)!r} holds no part of a benchmark; write parts there with --shard K/N")
        files += [file for file in own if file not in files]
    if not files:
        raise ConfigError("no part is named; give files or folders that benchmark --shard K/N has written")
    return [_read(file) for file in files]


_NAMES: Mapping[str, Kind] = {"scenario": SCENARIO, "published": PUBLISHED, "simulator": DRUG, "controller": DRUG}


def asked_again(part: Part, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the benchmark that a part belongs to.

    A file may name what is built in or installed. Paths and modules come from the command line, or from code, alone.

    Args:
        part: any of them.
        given: references of this call; those that are None or empty are taken from the part.

    Raises:
        ConfigError: the part names a file or an object, which has to be given again.
    """
    asked = dict(part.asked)
    for option, kind in _NAMES.items():
        if given.get(option) is not None:
            asked[option] = given[option]
        elif asked[option] is not None and not is_known(kind, asked[option]):
            raise _unnamed(part, option, asked[option])
    if given.get("policies"):
        return asked | {"policies": given["policies"]}
    for policy in asked["policies"]:
        reference = label_of(policy or "")[1]
        if not is_known(POLICY, reference):
            raise _unnamed(part, "policy", reference)
    return asked


def _unnamed(part: Part, option: str, told: str) -> ConfigError:
    what = f"the file {told!r}" if told else "an object"
    every = ", and every other policy," if option == "policy" else ""
    return ConfigError(
        f"{part.file} was run with {what} as {option}, and a file does not say where code comes from: give it{every} "
        f"again with --{option}"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], Mapping[str, np.ndarray]]]:
    """The record and the arrays of a part.

    Raises:
        ConfigError: a file that is no part, is damaged, or is of another version of the package.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as content:
            record = json.loads(content[_RECORD].tobytes())
            ours = version(_PACKAGE)
            if record["format"] != _FORMAT or record["version"] != ours:
                raise ConfigError(
                    f"{path.name} was written by version {record['version']}, this is {ours}; merge with the version "
                    "that ran the parts"
                )
            yield record, content
    except OSError as error:
        raise ConfigError(
            f"cannot read {str(path)!r}: {error.strerror or error}; name a part of a benchmark"
        ) from error
    except (ValueError, KeyError, TypeError, EOFError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path.name} is no part of a benchmark, or is damaged; run that part again") from error


def _read(path: Path) -> Part:
    """Read what a part is about, and whether all of it can be read, a trial at a time.

    Raises:
        ConfigError: see `_opened`.
    """
    with _opened(path) as (record, content):
        for place, told in enumerate(record["trials"]):
            _trial(content, place, told)
        digests = {told["name"]: told["digest"] for told in record["trials"]}
        return Part(path, Shard(*record["shard"]), record["asked"], digests)


def _trial(content: Mapping[str, np.ndarray], place: int, told: Mapping[str, Any]) -> Trial:
    covariates = {name: content[f"{place}.covariate.{i}"] for i, name in enumerate(told["covariates"])}
    columns = {name: content[f"{place}.{name}"] for name in _columns()}
    count = {len(column) for column in (*columns.values(), *covariates.values())}
    if len(count) != 1:
        raise ValueError("columns of different length")
    return Trial(first=int(told["first"]), covariates=covariates, **columns)


def joined(parts: Sequence[Part]) -> Merged:
    """All parts together.

    Raises:
        ConfigError: parts of different benchmarks, one that is there twice, or one that is missing.
    """
    first = parts[0]
    for part in parts[1:]:
        for name, value in first.asked.items():
            if part.asked.get(name) != value:
                raise ConfigError(
                    f"{part.file} has {name} {part.asked.get(name)!r} and {first.file} has {value!r}; allowed: parts "
                    "of one benchmark; leave others out"
                )
        if part.shard.of != first.shard.of:
            raise ConfigError(
                f"{part.file} is one of {part.shard.of:,} parts and {first.file} one of {first.shard.of:,}; leave "
                "those of one division out"
            )
    seen: dict[int, str] = {}
    for part in parts:
        if part.shard.number in seen:
            raise ConfigError(f"{part.file} and {seen[part.shard.number]} are the same part; leave one out")
        seen[part.shard.number] = part.file
    missing = [str(k) for k in range(1, first.shard.of + 1) if k not in seen]
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise ConfigError(
            f"{len(missing)} of {first.shard.of:,} parts are missing: {shown}; run them with --shard K/{first.shard.of}"
        )
    for name, digest in first.digests.items():
        odd = next((part.file for part in parts if part.digests.get(name, "missing") != digest), None)
        if odd is not None:
            raise ConfigError(
                f"{odd}: {name} was run with another scenario, drug model or policy than in {first.file}; run it again"
            )
    return Merged(tuple(sorted(parts, key=lambda part: part.shard.number)))

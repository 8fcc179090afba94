"""What differed between the configurations of runs: only the fields that differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from rl_drug_dosage.training.compare.runs import TrainedRun

__all__ = ["differences"]


def differences(runs: Sequence[TrainedRun]) -> list[dict[str, Any]]:
    """A row a field, in the order of the configuration: ``field``, and its value in each run, None where it has none.

    The environment's options are compared one by one, ``env_kwargs.noise_std``.
    """
    flat = [_flat(run) for run in runs]
    names = dict.fromkeys(name for own in flat for name in own)
    rows = [{"field": name, "values": [own.get(name) for own in flat]} for name in names]
    return [row for row in rows if any(v != row["values"][0] for v in row["values"])]


def _flat(run: TrainedRun) -> dict[str, Any]:
    record, config = run.record, run.record.config
    found: dict[str, Any] = {}
    for name, value in config.to_record().items():
        found |= _options("env_kwargs", config.env_options()) if name == "env_kwargs" else {name: value}
    found |= {f"scenario.{n}": v for n, v in record.scenario.items() if n in {"file", "sha256"}}
    found |= {f"drugs.{n}": v for n, v in record.drugs.items()}
    found |= {f"initial.{n}": v for n, v in record.initial.items()}
    return found | ({"extended": len(record.extended)} if record.extended else {})


def _options(at: str, options: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= _options(f"{at}.{name}", value) if isinstance(value, Mapping) and value else {f"{at}.{name}": value}
    return found

"""The Trial tab: the benchmark of the command line, with the choices of a form."""

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_drug_dosage.reports import report_html
from rl_drug_dosage.trials import BenchmarkOptions
from rl_drug_dosage.trials.benchmark import benchmark
from rl_drug_dosage.utils.progress import Progress
from rl_drug_dosage.web.bodies import Body
from rl_drug_dosage.web.catalogue import learnt_in, scenario_record, scenarios
from rl_drug_dosage.web.jobs import Job, Jobs

__all__ = ["Trials"]

_MOST_PATIENTS = 10_000
_LEARNT = "learnt"


class Trials:
    """Benchmarks, one at a time.

    Args:
        jobs: where they run.
        models: folder of model files, or None.
        output_dir: folder that gets a folder for each trial; None: reports are kept in memory only.
    """

    def __init__(self, jobs: Jobs, models: Path | None, output_dir: Path | None) -> None:
        self._jobs, self._learnt, self._folder = jobs, learnt_in(models), output_dir

    def offered(self, name: str) -> dict[str, Any]:
        """What may be tried in a scenario.

        Raises:
            ConfigError: another scenario.
        """
        record = scenario_record(name)
        return {**record, "policies": [*record["policies"], *([_LEARNT] if name in self._learnt else [])]}

    def start(self, raw: bytes) -> Job:
        """Start a benchmark.

        Args:
            raw: JSON with ``scenario``, ``policies``, ``patients``, ``seed``, ``mismatch``, ``stress``.

        Raises:
            ConfigError: a value that is not offered.
            BusyError: one is running.
        """
        body = Body.parsed(raw, ("scenario", "policies", "patients", "seed", "mismatch", "stress"))
        name = body.one_of("scenario", scenarios())
        offer = self.offered(name)
        policies = body.some_of("policies", tuple(offer["policies"])) or list(offer["policies"])
        references = {p: str(self._learnt[name]) if p == _LEARNT else p for p in policies}
        patients = body.whole("patients", 1, _MOST_PATIENTS, 200)
        seed = body.whole("seed", 0, 2**31 - 1, 1)
        mismatch = body.flag("mismatch")
        if mismatch and not offer["mismatch"]:
            body.refuse("mismatch", "false, as the scenario has one drug model")
        stress = body.some_of("stress", tuple(s["name"] for s in offer["stresses"]))
        command = _command(name, references, patients, seed, mismatch=mismatch, stress=stress)

        folder = None if self._folder is None else self._folder / f"trial-{secrets.token_hex(4)}"

        def work(progress: Progress) -> tuple[dict[str, Any], str]:
            options = BenchmarkOptions(
                scenario=name,
                policies=references,
                patients=patients,
                seed=seed,
                mismatch=mismatch,
                stress=tuple(stress),
                output_dir=folder,
            )
            found = benchmark(options, command=command, progress=progress)
            progress("drawing the report", 1.0)
            files = [str(path) for path in found.files]
            return _shown(found.record) | {"command": command, "files": files}, report_html(found.record)

        return self._jobs.start("trial", work)


def _command(
    name: str, references: Mapping[str, str], patients: int, seed: int, *, mismatch: bool, stress: list[str]
) -> str:
    """The same trial on the command line."""
    words = ["rl-drug-dosage", "benchmark", "--scenario", name, "--patients", str(patients), "--seed", str(seed)]
    for own, reference in references.items():
        words += ["--policy", reference if own == reference else f"{own}={reference}"]
    words += ["--mismatch"] if mismatch else []
    for each in stress:
        words += ["--stress", each]
    return shlex.join(words)


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a record."""
    harms = [harm["name"] for harm in record["scenario"]["harms"]]
    return {
        "title": record["scenario"]["title"],
        "goal": record["scenario"]["goal"],
        "patients": record["settings"]["patients"],
        "seed": record["settings"]["seed"],
        "harms": harms,
        "policies": [
            {
                "rank": row["rank"],
                "policy": row["policy"],
                "title": row["title"],
                "attainment_pct": row["attainment_pct"],
                "worst_5_pct": row["worst_5_pct"],
                "under_pct": row["under_pct"],
                "over_pct": row["over_pct"],
                "dose_changes": row["dose_changes"],
                "harms_pct": {name: row["harms"][name]["patients_pct"] for name in harms},
            }
            for row in record["policies"]
        ],
        "total_s": record["timing"]["total_s"],
    }

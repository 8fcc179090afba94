"""The trials behind the cards of the policies in `models/`: which patients, which policies, and what is kept of them.

A test has sections: patients of the drug model that controllers believe, of each other published model, and of each
test-only model. What a finished section found stays under build/, so that a test that was interrupted goes on. Where
several seeds take part, their patients' endpoints and the reference's are kept there as well, and compared over seeds
and patients.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import rl_drug_dosage
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.registry import Found
from rl_drug_dosage.trials.benchmark import Benchmark, BenchmarkOptions, benchmark
from rl_drug_dosage.trials.comparisons import against
from rl_drug_dosage.trials.entrants import default_policies
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["REFERENCE", "RIGHT", "Section", "clinical_policies", "measured", "over_seeds", "sections", "trial"]

RIGHT = "right model"
"""Title of the section whose patients follow the controllers' model."""
REFERENCE = "best-bayes"
"""What several seeds are compared with: the strongest Bayesian dosing as chosen on validation patients."""
EXTRA_STRESS = {"warfarin": ("elderly", "double-error", "missed-doses", "missed-samples")}
"""Wards that no training saw (one saw missed samples, with the first model), under the second model."""
LABEL_STRESS = {"t1d": ("label-halved", "label-doubled")}
"""Wards whose label is wrong, under the first model, where the learnt policy doses by the label."""
LEFT_OUT = ("random", "mipd-average")
"""Policies that take no part. `mipd-average` takes as long as all others together, since it computes every course again
for each draw of the posterior; it takes part where it is the `best-bayes`."""


@dataclass(frozen=True)
class Section:
    """A part of a test.

    Args:
        title: as in the results and the cards.
        simulator: drug model that the patients follow.
        wards: stress settings that are run as well.
        test_only: whether the model only simulates test patients, so that no policy, tuning or training has seen it.
    """

    title: str
    simulator: str
    wards: tuple[str, ...] = ()
    test_only: bool = False


def sections(named: Found[Scenario]) -> list[Section]:
    """The sections of a scenario's test. Controllers believe the scenario's first drug model in all of them."""
    believed, *others = named.value.models
    title = "patients of {}, controller believes " + believed
    wards = EXTRA_STRESS.get(named.name, ())
    return [
        Section(RIGHT, believed, wards=LABEL_STRESS.get(named.name, ())),
        *(Section(title.format(other), other, wards=wards) for other in others),
        *(Section(title.format(third), third, test_only=True) for third in named.value.test_only),
    ]


def clinical_policies(named: Found[Scenario]) -> list[str]:
    """The policies that a learnt one is compared with."""
    return [name for name in default_policies(named.value) if name not in LEFT_OUT]


def trial(
    scenario: str, policies: Sequence[str] | Mapping[str, str], patients: int, seed: int, **options: Any
) -> tuple[dict[str, Any], Benchmark]:
    """A benchmark's record, without courses and distributions, and the whole of it."""
    entering = dict(policies) if isinstance(policies, Mapping) else tuple(policies)
    asked = BenchmarkOptions(scenario=scenario, policies=entering, patients=patients, seed=seed, **options)
    # Programs of the trial before are not needed again, and hold memory maps, of which a process may have 65,530.
    jax.clear_caches()
    result = benchmark(asked, progress=lambda text, _: print(f"  {text}", file=sys.stderr, flush=True))
    names = ("settings", "policies", "paired", "stress")
    kept = {name: result.record[name] for name in names if name in result.record}
    for row in kept["policies"]:
        row.pop("card")
    return kept, result


def measured(
    named: Found[Scenario], learnt: Mapping[str, Path], patients: int, seed: int, folder: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The results of a test by section, and those of several seeds against `REFERENCE` over seeds and patients.

    Args:
        named: the scenario.
        learnt: model files, by their names in the results. All clinical policies treat the same patients.
        patients: number of patients in each section.
        seed: of their cohort.
        folder: where the results of finished sections are kept. They are used again while nothing has changed: the
            patients, the policies, the model files, the package.

    Returns:
        Results by section; comparisons by section (`trials.comparisons.against`), none for a single model.
    """
    policies = {name: str(path) for name, path in learnt.items()} | {name: name for name in clinical_policies(named)}
    common: dict[str, Any] = {
        "policies": list(policies),
        "models": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in learnt.items()},
        "patients": patients,
        "seed": seed,
        "package": _package_digest(),
    }
    compared = list(learnt) if len(learnt) > 1 and REFERENCE in policies else []
    results, comparisons = {}, {}
    for section in sections(named):
        asked = {**common, "simulator": section.simulator, "wards": list(section.wards), "compared": compared}
        place = folder / f"{section.simulator}.json"
        kept = _kept(place, asked)
        print(f"{named.name}, {section.title}: {'kept' if kept else 'measuring'}", flush=True)
        if not kept:
            found, result = _measure(named, section, policies, patients, seed)
            kept = {"asked": asked, "found": found}
            folder.mkdir(parents=True, exist_ok=True)
            if compared:
                ends = {name: endpoints(result.scenario.value, result.trials[name]) for name in (*compared, REFERENCE)}
                _keep_patients(place.with_suffix(".npz"), ends)
                rng = generator(seed, Stream.EVALUATE, 5)
                kept["against"] = against([ends[name] for name in compared], ends[REFERENCE], rng)
            atomic_write(place, json.dumps(kept).encode())
        results[section.title] = kept["found"]
        if compared:
            comparisons[section.title] = kept["against"]
    return results, comparisons


def _keep_patients(place: Path, ends: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Every endpoint of every patient, ``[policy, patient]``, for other questions than those of the record."""
    columns = {name: np.stack([own[name] for own in ends.values()]) for name in next(iter(ends.values()))}
    with place.open("wb") as file:
        np.savez_compressed(file, policies=np.asarray(list(ends)), **columns)


def _measure(
    named: Found[Scenario], section: Section, policies: Mapping[str, str], patients: int, seed: int
) -> tuple[dict[str, Any], Benchmark]:
    models = {"simulator": section.simulator, "controller": named.value.models[0]}
    found, result = trial(named.name, policies, patients, seed, **models, stress=section.wards)
    return found | {"test_only": section.test_only}, result


def _kept(place: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was found before for the same question; empty: nothing."""
    before: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    return before if before.get("asked") == asked else {}


def _package_digest() -> str:
    """Digest of the package's own files, whose change makes another trial."""
    root = Path(rl_drug_dosage.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def over_seeds(record: Mapping[str, Any], comparisons: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a scenario's record says of its training seeds.

    Args:
        record: contents of `models/<scenario>.json`.
        comparisons: of the same test, from `measured`.

    Returns:
        Cohort, number of patients and of seeds, and for each section in which several seeds took part the attainment
        (%) of the published model and the range over all of them; with comparisons these as well, and the reference.
        It stays with the record when a later test has the published model only.
    """
    if "over_seeds" in record:
        return dict(record["over_seeds"])
    ranges = {}
    for title, found in record["results"].items():
        shares = {row["policy"]: row["attainment_pct"]["mean"] for row in found["policies"]}
        goals = [shares[seed] for seed in record["validation_pct"] if seed in shares]
        if len(goals) > 1:
            ranges[title] = {"published": shares[record["median"]], "low": min(goals), "high": max(goals)}
    cohorts = record["cohorts"]
    return {
        "cohort": cohorts["test"],
        "patients": cohorts["patients"],
        "seeds": len(record["validation_pct"]),
        "attainment_pct": ranges,
        **({"reference": REFERENCE, "against": dict(comparisons)} if comparisons else {}),
    }

"""What a trial's calls and threads may change of a patient: threads nothing, sizes what rounding can.

A patient of another lane is computed by other instructions of the same program, so that the last bits of some differ. A
dose from a grid then differs only where two were equally good to rounding.
"""

import dataclasses

import numpy as np
import pytest

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.registry import find_scenario, load_policy_definition
from rl_drug_dosage.trials import trial as trials
from rl_drug_dosage.trials.trial import Cohort, Trial, merge, prepare_trial, run_trial
from rl_drug_dosage.utils.device_shape import DeviceShape, shape_of, shaped

pytestmark = pytest.mark.long

MODEL, PATIENTS = "vancomycin-thomson2009", 600
GPU = dataclasses.replace(shape_of("gpu", cores=2), chunk=512, together=32)
"""An accelerator's rules in sizes that compile fast: a call follows the cohort, and fits go up in turns."""


def built(ward, name: str) -> Policy:
    setting = Setting(find_scenario(ward), model_of(ward, MODEL), simulator_of(ward, MODEL))
    return load_policy_definition(name).build(setting)


@pytest.fixture(scope="module")
def policy(ward) -> Policy:
    return built(ward, "mipd")


@pytest.fixture(scope="module")
def whole(ward, policy) -> Trial:
    return trial(ward, policy, shape_of("cpu", cores=2))


def trial(ward, policy: Policy, shape: DeviceShape, first: int = 0, count: int = PATIENTS) -> Trial:
    with shaped(shape):
        return run_trial(ward, simulator_of(ward, MODEL), policy, Cohort(5, count, first=first))


def differing(a: Trial, b: Trial) -> np.ndarray:
    """Patients of whom anything differs by a bit."""
    fields = [f.name for f in dataclasses.fields(Trial) if f.name not in {"first", "covariates"}]
    wrong = [getattr(a, f) != getattr(b, f) for f in fields if getattr(a, f).dtype.kind != "f"]
    wrong += [
        (getattr(a, f) != getattr(b, f)) & ~(np.isnan(getattr(a, f)) & np.isnan(getattr(b, f)))
        for f in fields
        if getattr(a, f).dtype.kind == "f"
    ]
    return np.any([w.reshape(a.patients, -1).any(axis=1) for w in wrong], axis=0)


@pytest.mark.parametrize("cores", [1, 3])
def test_the_number_of_threads_changes_no_bit(ward, policy, whole, cores):
    other = trial(ward, policy, shape_of("cpu", cores=cores))

    assert not differing(other, whole).any()


def test_shards_of_any_range_and_number_of_threads_merge_to_the_bits_of_the_whole(ward, policy, whole):
    first, second = shape_of("cpu", cores=1), shape_of("cpu", cores=2)

    parts = [trial(ward, policy, second, 333, 267), trial(ward, policy, first, 0, 333)]

    assert not differing(merge(parts), whole).any()


@pytest.mark.parametrize("other", [DeviceShape(chunk=64, threads=2), GPU], ids=["calls of 64", "like a GPU"])
def test_a_shard_computed_in_calls_of_another_size_agrees_to_rounding(ward, policy, whole, other):
    # calls of 250 from patient 0, and calls of the other size from 300 on
    parts = [trial(ward, policy, shape_of("cpu", cores=2), 0, 300), trial(ward, policy, other, 300, 300)]

    merged = merge(parts)

    moved = differing(merged, whole)
    assert not moved[:300].any()
    assert moved.mean() < 0.05
    other_dose = (merged.dose != whole.dose).any(axis=1)
    assert other_dose.mean() <= 0.01
    alike = ~other_dose
    for name in ("values", "metrics", "inside", "reward"):
        np.testing.assert_allclose(getattr(merged, name)[alike], getattr(whole, name)[alike], rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(merged.dose[alike], whole.dose[alike])


def test_what_was_prepared_for_a_number_of_patients_is_what_runs(ward):
    policy = built(ward, "label")
    with shaped(GPU):
        prepare_trial(ward, simulator_of(ward, MODEL), policy, patients=200)
    prepared = set(trials._programs)

    trial(ward, policy, GPU, 256, 200)

    assert set(trials._programs) == prepared

"""Several devices share the calls, and the seeds of a training; a patient keeps the bits that one device gives them.

JAX's own host devices stand for accelerators. They have to be asked for before JAX starts: the comparison is a program.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rl_drug_dosage.utils.device_shape import DeviceShape, shape_of

PROGRAM = Path(__file__).with_name("on_two_devices.py")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    settings = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, env=settings, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_each_device_gets_its_part_of_a_cohort_that_is_worth_it():
    one, four = (shape_of("gpu", cores=2, devices=devices) for devices in (1, 4))

    assert four.call_size(4 * 4000) == one.call_size(4000) == 4096
    assert four.call_size(1000) == 256
    assert four.call_size(10) == 16
    assert [four.share(count) for count in (0, 10, 1000, 2001)] == [1, 10, 256, 501]
    assert (four.threads, one.threads) == (4, 1)
    assert shape_of("cpu", cores=2).devices == DeviceShape().devices == 1


@pytest.mark.long
def test_both_devices_are_used(found):
    assert found["used"] == {"one": [[0], [0]], "two": [[0, 1], [0, 1]]}
    assert found["places"] == {"one": [0], "two": [0, 1]}


@pytest.mark.long
@pytest.mark.parametrize("what", ["label", "mipd", "fits"])
def test_two_devices_give_a_patient_the_bits_of_one(found, what):
    assert found[what]["one"] == found[what]["two"]


@pytest.mark.long
def test_a_program_for_two_devices_is_read_from_the_cache(found):
    assert found["kept"] == {"one": True, "two": True}


@pytest.mark.long
def test_seeds_on_two_devices_are_those_on_one_to_rounding(found):
    assert found["weights"] > 100
    assert found["weights_apart"] < 1e-4

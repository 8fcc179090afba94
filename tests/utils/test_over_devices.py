"""Several devices: a call is divided among them; trials and fits keep the bits that one device gives them.

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
    assert report["devices"] == 2
    return report


def test_the_sizes_of_a_call_are_those_of_each_device():
    one, four = (shape_of("gpu", cores=2, devices=devices) for devices in (1, 4))

    assert four.call_size(100_000) == 4 * one.call_size(25_000)
    assert four.call_size(1000) == 4 * 256
    assert list(four.call_starts(3000, 2000)) == [2048, 4096]
    assert shape_of("cpu", cores=2).devices == DeviceShape().devices == 1


@pytest.mark.parametrize("what", ["trial", "fits"])
def test_two_devices_give_a_patient_the_bits_of_one(found, what):
    assert found[what]["one"] == found[what]["two"]


def test_a_program_for_two_devices_is_read_from_the_cache(found):
    assert found["kept"] == {"one": True, "two": True}


def test_seeds_on_two_devices_are_those_on_one_to_rounding(found):
    assert found["weights"] > 100
    assert found["weights_apart"] < 1e-4

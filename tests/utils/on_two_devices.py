"""A program for `test_on_devices.py`: trials, fits and trainings of two seeds on one device, and on two.

Prints digests of the results and what the devices did, as JSON.
"""

import hashlib
import json
import sys
from typing import Any

import jax
import numpy as np

from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.envs.drug_dose_v0 import make_drug_dose
from rl_drug_dosage.pkpd import (
    Dose,
    draw_covariates,
    every,
    make_levels,
    make_regimen,
    stack_levels,
    stack_regimens,
)
from rl_drug_dosage.pkpd.bayes import fit_many
from rl_drug_dosage.pkpd.bayes import map as bayes
from rl_drug_dosage.registry import find_scenario, load_drug, load_policy_definition
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.program import CompiledProgram
from rl_drug_dosage.trials import trial as trials
from rl_drug_dosage.utils import runtime
from rl_drug_dosage.utils.device_shape import DeviceShape, shaped

SHAPES = {
    "one": DeviceShape(chunk=64, group=25),
    "two": DeviceShape(chunk=64, group=25, threads=2, devices=2),
}


def digest(tree: Any) -> str:
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def trial(name: str) -> tuple[str, bool]:
    """The bits of the results, and whether the program was kept before."""
    task = find_scenario("vancomycin")
    model = task.value.models[0]
    setting = Setting(task, model_of(task.value, model), simulator_of(task.value, model))
    policy = load_policy_definition(name).build(setting)
    trials._programs.clear()
    kept = trials.prepare_trial(task.value, setting.simulator, policy, patients=200).kept
    found = trials.run_trial(task.value, setting.simulator, policy, trials.Cohort(3, 200, first=30))
    return digest([vars(found)[name] for name in sorted(vars(found))]), kept


def fits() -> str:
    """Of 110 patients, each with levels of its own; the last call is filled up."""
    drug = load_drug("vancomycin-thomson2009")
    regimen = make_regimen(every(Dose(0, 1000.0, duration_h=1.0), 12.0, 2), drug.structure)
    facts = jax.vmap(lambda key: draw_covariates(drug, key))(jax.random.split(jax.random.key(0), 110))
    levels = [make_levels(drug, [11.5, 23.5], [5.0 + 0.2 * i, 8.0 + 0.3 * i]) for i in range(110)]
    return digest(fit_many(drug, stack_regimens([regimen] * 110), facts, stack_levels(levels)))


def seeds() -> tuple[np.ndarray, list[int]]:
    """The weights after some updates of two seeds, and where they are."""
    config = TrainConfig(seeds=2, num_envs=8, num_steps=16, num_minibatches=2, hidden_size=8, total_timesteps=512)
    program = CompiledProgram(make_drug_dose(), config, 4, {})
    state = program.init()
    program.compile(state)
    for _ in range(4):
        state, _ = program(state)
    weights = state.learner.params
    where = sorted(device.id for device in weights.devices())
    assert len(program.policies(state)) == 2
    return np.asarray(weights), where


def watched(module: Any) -> set[int]:
    """The devices on which a module's calls run from now on."""
    used: set[int] = set()
    share = module.on_devices

    def watching(one: Any, each: Any) -> Any:
        def here(element: Any) -> Any:
            used.add((jax.config.jax_default_device or jax.devices()[0]).id)
            return one(element)

        return share(here, each)

    module.on_devices = watching
    return used


def main() -> None:
    runtime.configure("cpu")
    used = {place: watched(place) for place in (trials, bayes)}
    report: dict[str, Any] = {what: {} for what in ("label", "mipd", "kept", "fits", "used", "places")}
    weights = []
    for name, shape in SHAPES.items():
        for each in used.values():
            each.clear()
        with shaped(shape):
            report["label"][name], _ = trial("label")
            report["kept"][name] = trial("label")[1]
            report["mipd"][name], _ = trial("mipd")
            report["fits"][name] = fits()
            found, report["places"][name] = seeds()
        report["used"][name] = [sorted(each) for each in used.values()]
        weights.append(found)
    report["weights"] = weights[0].size
    report["weights_apart"] = float(np.abs(weights[0] - weights[1]).max())
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()

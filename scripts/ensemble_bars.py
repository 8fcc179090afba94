#!/usr/bin/env python
"""How well `mipd-ensemble` knows its patients, and how long it takes.

    scripts/ensemble_bars.py calibration [SCENARIO ...] [--patients 1000] [--options prior=widened]
    scripts/ensemble_bars.py speed [SCENARIO ...] [--patients 10000]

calibration: patients follow the believed model. Share of levels within the 90 % predictive interval (assay error
included), and predicted against observed share of points inside every target, in ten bins of the prediction.

speed: seconds of `mipd` and `mipd-ensemble` for all patients once compiled, and of a decision early and late in a
course.
"""

import argparse
import time
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.clinic.ensemble.choice import members_of
from rl_drug_dosage.clinic.ensemble.forecast import surprise
from rl_drug_dosage.clinic.ensemble.foresight import foreseen, with_forecast
from rl_drug_dosage.clinic.patient import VirtualPatient, admit, chart, treat
from rl_drug_dosage.clinic.planner import first_plan
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.record import Record, record_axes
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import amount_of
from rl_drug_dosage.policies.mipd_ensemble import MipdEnsemble
from rl_drug_dosage.registry import SCENARIO, names
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.trials.trial import Cohort, prepare_trial, run_trial
from rl_drug_dosage.utils.in_groups import in_groups
from rl_drug_dosage.utils.runtime import keep_programs
from rl_drug_dosage.utils.seeding import Stream, key_for

_CHUNK = 100


def _charts(scenario: Scenario, patients: VirtualPatient, k: Array) -> Record:
    record = jax.vmap(lambda p: chart(scenario, p, k))(patients)
    return eqx.tree_at(lambda r: r.k, record, k)


def _target_now(policy: MipdEnsemble, memory: Any, record: Record) -> Array:
    """Expected share of points inside every target in the interval that starts, for the dose that is given."""
    scenario, assumed = policy.scenario, policy.assumed
    record = with_forecast(scenario, record)
    found = jnp.zeros(())
    belief = memory.belief
    for share, model, own, cloud in zip(belief.probability, assumed.models, policy.draws, belief.clouds, strict=True):
        members = members_of(scenario, own, cloud, record, cloud.log_weight.size)
        dose = record.dose[record.k]
        ahead = foreseen(assumed, model, scenario, members, record)(first_plan(scenario, dose))
        found += share * jnp.mean(ahead.verdict.inside[0])
    return found


def _calibrated(policy: MipdEnsemble, setting: Setting, numbers: Array, key: Array) -> Any:
    scenario, model = setting.scenario, setting.simulator
    patients = jax.vmap(lambda i: admit(scenario, model, jax.random.fold_in(key, i)))(numbers)
    zero = jnp.zeros((), jnp.int32)
    first = _charts(scenario, patients, zero)
    axes = record_axes(first)
    memory = jax.vmap(policy.init, in_axes=(axes,))(first)

    def step(carry: Any, k: Array) -> Any:
        patients, memory = carry
        record = _charts(scenario, patients, k)
        where = jax.vmap(
            in_groups(lambda d, m, r: surprise(policy.assumed, d, scenario, m.belief, r), 16),
            in_axes=(None, 0, axes),
        )(policy.draws, memory, record)
        answer, memory = jax.vmap(lambda m, r: policy.act(m, r, None), in_axes=(0, axes))(memory, record)
        given = eqx.tree_at(lambda r: r.dose, record, record.dose.at[:, k].set(amount_of(answer)))
        expected = jax.vmap(in_groups(partial(_target_now, policy), 16), in_axes=(0, axes))(memory, given)
        patients, turn = jax.vmap(lambda p, a: treat(scenario, model, p, a, k))(patients, answer)
        return (patients, memory), (where, expected, turn.verdict.inside, patients.alive)

    return jax.lax.scan(step, (patients, memory), jnp.arange(scenario.schedule.decisions))[1]


def calibration(scenario: str, patients: int, reference: str) -> None:
    """Print the row of a scenario."""
    setting = setting_for(scenario)
    policy = jax.tree.map(jnp.asarray, enter(setting, reference, seed=1).policy)
    run = eqx.filter_jit(lambda p, numbers, key: _calibrated(p, setting, numbers, key))
    key = key_for(77, Stream.EVALUATE)
    starts = range(0, patients, _CHUNK)
    parts = [jax.device_get(run(policy, start + jnp.arange(_CHUNK), key)) for start in starts]
    where, expected, inside, alive = (np.concatenate([p[i] for p in parts], axis=1) for i in range(4))
    known = np.isfinite(where) & alive[..., None]
    values = where[known]
    cover = 100.0 * np.mean((values > 0.05) & (values < 0.95))
    counts = np.asarray(setting.scenario.judged())[:, None] & alive
    e, o = expected[counts], inside[counts]
    bins = np.clip((e * 10).astype(int), 0, 9)
    gaps = [
        (100 * e[bins == b].mean(), 100 * o[bins == b].mean(), int((bins == b).sum()))
        for b in range(10)
        if (bins == b).sum() >= 100
    ]
    worst = max(abs(a - b) for a, b, _ in gaps)
    text = "; ".join(f"{a:.0f} -> {b:.0f} ({n})" for a, b, n in gaps)
    print(
        f"{scenario}: {patients} patients, {values.size} levels, {cover:.1f} % in the 90 % interval "
        f"({100 * np.mean(values <= 0.05):.1f} below, {100 * np.mean(values >= 0.95):.1f} above); "
        f"target predicted -> seen, largest gap {worst:.1f} points: {text}",
        flush=True,
    )


def speed(scenario: str, patients: int, reference: str) -> None:
    """Print the row of a scenario."""
    setting = setting_for(scenario)
    row = []
    for name in ("mipd", reference):
        policy = enter(setting, name, seed=1).policy
        start = time.perf_counter()
        prepare_trial(setting.scenario, setting.simulator, policy)
        compiled = time.perf_counter() - start
        clock: dict[str, float] = {}
        begin = time.process_time()
        run_trial(setting.scenario, setting.simulator, policy, Cohort(3, patients), clock=clock)
        used_s = time.process_time() - begin
        row.append(f"{name} {clock['run_s']:.2f} s ({used_s:.2f} s of processor, compiled in {compiled:.1f} s)")
    print(f"{scenario}: {patients} patients, {'; '.join(row)}", flush=True)


def main() -> None:
    """Parse the command line."""
    keep_programs()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["calibration", "speed"])
    parser.add_argument("scenarios", nargs="*", default=[])
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--options", default="", help="of mipd-ensemble, such as prior=widened,error=assay")
    args = parser.parse_args()
    reference = ",".join(["mipd-ensemble", *([args.options] if args.options else [])])
    for scenario in args.scenarios or names(SCENARIO):
        {"calibration": calibration, "speed": speed}[args.what](scenario, args.patients, reference)


if __name__ == "__main__":
    main()

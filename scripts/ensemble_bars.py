#!/usr/bin/env python
"""How well `mipd-ensemble` knows its patients, and how long it takes.

    scripts/ensemble_bars.py right [SCENARIO ...] [--patients 1000]
    scripts/ensemble_bars.py calibration [SCENARIO ...] [--patients 1000] [--options prior=widened]
    scripts/ensemble_bars.py speed [SCENARIO ...] [--patients 10000]
    scripts/ensemble_bars.py exact [SCENARIO:MODEL:INTERVALS ...] [--patients 50]

right: patients follow the believed model. Target attainment of `mipd-ensemble` beside `mipd`, for the same patients,
and that of the oracle.

calibration: patients follow the believed model. Share of levels within the 90 % predictive interval (assay error
included), and predicted against observed share of points inside every target, in ten bins of the prediction.

speed: seconds of `mipd` and `mipd-ensemble` for all patients once compiled, and of a decision early and late in a
course.

exact: models with two random effects, without those from day to day. Mean, 5th and 95th percentile of each random
effect against integration over a grid, in sds of the exact posterior: bias, root mean square and mean size of the
error, and the share of patients within 0.05 sd (mean) and 0.1 sd (percentiles); 512 and 4,096 support patients.
"""

import argparse
import dataclasses
import time
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from rl_drug_dosage.clinic.belief import Player, log_posterior, past
from rl_drug_dosage.clinic.ensemble.carry import advanced
from rl_drug_dosage.clinic.ensemble.choice import members_of
from rl_drug_dosage.clinic.ensemble.forecast import surprise
from rl_drug_dosage.clinic.ensemble.foresight import foreseen, with_forecast
from rl_drug_dosage.clinic.ensemble.support import window_of
from rl_drug_dosage.clinic.patient import VirtualPatient, admit, chart, treat
from rl_drug_dosage.clinic.planner import first_plan
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.record import Record, record_axes
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.clinic.timetable import amount_of
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.population import omega
from rl_drug_dosage.policies.mipd_ensemble import MipdEnsemble, ensemble
from rl_drug_dosage.registry import SCENARIO, load_scenario, names
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.trials.statistics import endpoints
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
        # Levels are compared when they are drawn, also where their results come back later.
        drawn = eqx.tree_at(lambda r: r.k, _charts(scenario, patients, k + window_of(scenario)), k)
        where = jax.vmap(
            in_groups(lambda d, m, r: surprise(policy.assumed, d, scenario, m.belief, r), 16),
            in_axes=(None, 0, axes),
        )(policy.draws, memory, drawn)
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


def right(scenario: str, patients: int, reference: str) -> None:
    """Print the row of a scenario."""
    setting = setting_for(scenario)
    shares = {}
    for name in ("mipd", reference, "oracle"):
        entrant = enter(setting, name, seed=1)
        trial = run_trial(
            setting.scenario, setting.simulator, entrant.policy, Cohort(501, patients), sees_truth=entrant.sees_truth
        )
        shares[name] = endpoints(setting.scenario, trial)["attainment_pct"]
    lead = shares[reference] - shares["mipd"]
    half = 1.96 * lead.std(ddof=1) / np.sqrt(lead.size)
    text = ", ".join(f"{name} {share.mean():.1f} %" for name, share in shares.items())
    print(
        f"{scenario}: {patients} patients, {text}; {reference} - mipd {lead.mean():+.2f} "
        f"({lead.mean() - half:+.2f} to {lead.mean() + half:+.2f}) points",
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


_GRID = 5.0
"""Prior sds that the grid extends to."""
_TWO_ETAS = (
    "infliximab:infliximab-fasanmade2009:5",
    "vancomycin:vancomycin-buelga2005:11",
    "busulfan:busulfan-shukla2020:3",
)


class Compared(NamedTuple):
    """Of each patient and random effect, ``[patient, eta]``, errors in sds of the exact posterior."""

    mean: Float[np.ndarray, "patient eta"]
    low: Float[np.ndarray, "patient eta"]
    high: Float[np.ndarray, "patient eta"]
    narrowed: Float[np.ndarray, "patient eta"]
    """Sd of the exact posterior in sds of the prior."""
    levels: Float[np.ndarray, " patient"]


def compared(
    scenario: Scenario, model: DrugModel, *, intervals: int, patients: int, members: int, points: int = 121
) -> Compared:
    """The ensemble's posterior of patients who got the label's doses, against one by integration over a grid.

    Args:
        scenario: the task.
        model: of the patients and of the belief, with two random effects and none from day to day.
        intervals: after which the posteriors are compared.
        patients: how many.
        members: support patients of each.
        points: of the grid, for each random effect.
    """
    assert len(model.etas) == 2
    assert not model.occasion_etas
    policy = ensemble(scenario, (model,), members=members)
    sd = np.sqrt(np.diag(omega(model)))
    axis, fine = np.linspace(-_GRID, _GRID, points), np.linspace(-_GRID, _GRID, 4001)
    z = np.stack(np.meshgrid(*(axis * s for s in sd), indexing="ij"), -1).reshape(-1, 2)

    @jax.jit
    def run(numbers: Array) -> Any:
        keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(5)))(numbers)
        people = jax.vmap(lambda key: admit(scenario, model, key))(keys)
        first = _charts(scenario, people, jnp.zeros((), jnp.int32))
        axes = record_axes(first)
        beliefs = jax.vmap(lambda r: policy.init(r).belief, in_axes=(axes,))(first)

        def learn(beliefs: Any, record: Record) -> Any:
            one = partial(advanced, policy.assumed, policy.draws, scenario)
            return jax.vmap(one, in_axes=(0, axes))(beliefs, record)

        def step(carry: Any, k: Array) -> Any:
            people, beliefs = carry
            record = _charts(scenario, people, k)
            beliefs = learn(beliefs, record)
            doses = jax.vmap(lambda r: scenario.label(r.facts(), r), in_axes=(axes,))(record)
            people, _ = jax.vmap(lambda p, d: treat(scenario, model, p, d, k))(people, doses)
            return (people, beliefs), None

        (people, beliefs), _ = jax.lax.scan(step, (people, beliefs), jnp.arange(intervals))
        record = _charts(scenario, people, jnp.asarray(intervals, jnp.int32))

        def exact(record: Record) -> Array:
            def one(z: Array) -> Array:
                player = Player(model, scenario, record.covariates, z, None, area=False)
                return log_posterior(model, scenario, record, z, past(player, record))

            return jax.lax.map(one, jnp.asarray(z, dtype=float), batch_size=1024)

        cloud = learn(beliefs, record).clouds[0]
        return cloud.latent, cloud.log_weight, jax.vmap(exact, in_axes=(axes,))(record), record.known

    latent, log_weight, log_density, known = jax.device_get(run(jnp.arange(patients)))
    rows = []
    for i in range(patients):
        w = np.exp(log_density[i].astype(float) - log_density[i].max())
        w /= w.sum()
        for d in range(2):
            mean = w @ z[:, d]
            width = np.sqrt(w @ (z[:, d] - mean) ** 2)
            marginal = CubicSpline(axis, np.log(np.maximum(w.reshape(points, points).sum(1 - d), 1e-300)))
            exactly = _percentiles(fine * sd[d], np.exp(marginal(fine)))
            own, x = np.exp(log_weight[i].astype(float)), latent[i, d].astype(float)
            low, high = _percentiles(x, own) - exactly
            rows.append([own @ x / own.sum() - mean, low, high, width])
    table = np.asarray(rows).reshape(patients, 2, 4)
    width = table[..., 3]
    return Compared(*np.moveaxis(table[..., :3] / width[..., None], -1, 0), width / sd, known.sum(axis=(1, 2)))


def _percentiles(x: Float[np.ndarray, " n"], w: Float[np.ndarray, " n"]) -> Float[np.ndarray, "2"]:
    order = np.argsort(x)
    below = np.cumsum(w[order]) - 0.5 * w[order]
    return np.interp([0.05, 0.95], below / w.sum(), x[order])


def exact(reference: str, patients: int) -> None:
    """Print the rows of a scenario, a model and a number of intervals."""
    name, drug, intervals = reference.split(":")
    scenario = load_scenario(name)
    model = dataclasses.replace(simulator_of(scenario, drug), occasion_etas=())
    for members in (512, 4096):
        found = compared(scenario, model, intervals=int(intervals), patients=patients, members=members)
        text = "; ".join(
            f"{what} bias {np.mean(e):+.3f}, rms {np.sqrt(np.mean(e**2)):.3f}, mean size {np.mean(np.abs(e)):.3f}, "
            f"largest {np.abs(e).max():.2f}, within {bar} sd {100 * np.mean(np.abs(e) <= bar):.0f} %"
            for what, e, bar in (("mean", found.mean, 0.05), ("5 %", found.low, 0.1), ("95 %", found.high, 0.1))
        )
        print(
            f"{reference}: {patients} patients, {found.levels.mean():.1f} levels, {members} support patients, "
            f"posterior {found.narrowed.mean():.2f} of the prior's sd: {text}",
            flush=True,
        )


def main() -> None:
    """Parse the command line."""
    keep_programs()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["right", "calibration", "speed", "exact"])
    parser.add_argument("scenarios", nargs="*", default=[])
    parser.add_argument("--patients", type=int, default=None)
    parser.add_argument("--options", default="", help="of mipd-ensemble, such as prior=widened,error=assay")
    args = parser.parse_args()
    patients = args.patients or {"right": 1000, "calibration": 1000, "speed": 10_000, "exact": 50}[args.what]
    if args.what == "exact":
        for each in args.scenarios or _TWO_ETAS:
            exact(each, patients)
        return
    reference = ",".join(["mipd-ensemble", *([args.options] if args.options else [])])
    for scenario in args.scenarios or names(SCENARIO):
        {"right": right, "calibration": calibration, "speed": speed}[args.what](scenario, patients, reference)


if __name__ == "__main__":
    main()

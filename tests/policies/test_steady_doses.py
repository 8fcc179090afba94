"""The options `steady` and `harm` of `mipd-ensemble`: prices of changes of dose and of harms."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.ensemble.choice import _changes, _last_dose
from rl_drug_dosage.clinic.patient import admit, chart
from rl_drug_dosage.clinic.planner import choose
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.policies.mipd_ensemble import ensemble
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO
from rl_drug_dosage.trials.burden import burden
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.trials.trial import Cohort, Trial, run_trial


def blank(scenario: Scenario) -> Record:
    """The chart of a patient at admission."""
    model = simulator_of(scenario, scenario.models[0])
    return chart(scenario, admit(scenario, model, jax.random.key(1)), jnp.zeros((), jnp.int32))


def test_changes_are_counted_from_the_last_dose_on_and_a_start_is_none() -> None:
    plans = jnp.asarray([[1000.0, 1000.0, 1000.0], [750.0, 1000.0, 1250.0], [0.0, 500.0, 500.0]])
    np.testing.assert_allclose(_changes(plans, jnp.asarray(1000.0)), [0.0, 250 + 250 + 250, 1000.0])
    np.testing.assert_allclose(_changes(plans, jnp.asarray(0.0)), [0.0, 250 + 250, 0.0])


@pytest.mark.long
def test_where_all_doses_are_as_good_the_last_one_is_kept() -> None:
    """The plan wants 1,500, then 700: without a price the dose would follow it."""
    plan, last = jnp.asarray([1500.0, 700.0, 700.0]), jnp.asarray(1000.0)

    def chosen(price: float, wanted: float) -> float:
        def losses(plans: jax.Array) -> jax.Array:
            return 1e-3 * jnp.abs(plans[:, 0] - wanted) / 250.0 + price * _changes(plans, last) / 1000.0

        return float(choose(SCENARIO, lambda _: None, plan, loss=lambda _: jnp.zeros(()), losses_of=losses, kept=last))

    assert chosen(0.0, 1500.0) == 1500.0
    assert chosen(1.0, 1500.0) == 1000.0


def test_a_dose_within_a_dosing_interval_is_not_the_last_one() -> None:
    """Every 24 h, decided every 12 h: between two doses nothing is given."""
    chosen = dataclasses.replace(SCENARIO.dosage, intervals_h=(12.0, 24.0), highest_rate_per_h=None)
    for task, expected in ((dataclasses.replace(SCENARIO, dosage=chosen), 300.0), (SCENARIO, 0.0)):
        record = blank(task)
        assert float(_last_dose(task, record)) == 0.0
        record = eqx.tree_at(lambda r: (r.k, r.dose), record, (jnp.asarray(2), record.dose.at[0].set(300.0)))
        assert float(_last_dose(task, record)) == expected


def treated(patients: int, **prices: float) -> Trial:
    """Patients of the believed model, dosed with prices (fields of `Assumed`)."""
    model = simulator_of(SCENARIO, SCENARIO.models[0])
    return run_trial(SCENARIO, model, ensemble(SCENARIO, (model,), members=128, **prices), Cohort(4, patients))


@pytest.mark.slow
def test_a_price_buys_steady_doses_for_little_attainment() -> None:
    """250 validation patients lost 0.3 points of attainment, and the late change of dose fell from 31 to 10 %."""
    found = []
    for steady in (0.0, 0.1):
        trial = treated(100, steady=steady)
        change = np.median(burden(SCENARIO, trial)["change_last_third_pct"])
        found.append((endpoints(SCENARIO, trial)["attainment_pct"].mean(), change))
    (free, much), (steadier, little) = found
    assert steadier > free - 2.0
    assert little < 0.6 * much


@pytest.mark.slow
def test_a_price_of_harm_buys_fewer_harms_for_some_attainment() -> None:
    """500 validation patients lost 0.9 points of attainment, and intervals above 600 mg h/L fell from 0.36 to 0.25."""
    found = []
    for harm in (0.0, 1.0):
        ends = endpoints(SCENARIO, treated(150, harm=harm))
        found.append((ends["attainment_pct"].mean(), ends["harm:AUC24 > 600"].mean()))
    (free, often), (careful, seldom) = found
    assert careful > free - 3.0
    assert seldom < 0.9 * often

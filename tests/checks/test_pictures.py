"""What the pictures of `check` show: the whole course, against numbers that the engine gives at other times."""

import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.checks.pictures import draw_drug, draw_scenario
from rl_drug_dosage.pkpd import Dose, every, individual_parameters, make_covariates, make_regimen, outputs_of, solve
from rl_drug_dosage.registry import DRUG, SCENARIO, find


def curve(figure, panel):
    """Times and values of a panel's first curve."""
    return (np.asarray(values) for values in figure.axes[panel].get_lines()[0].get_data())


@pytest.mark.long
@pytest.mark.parametrize(("name", "panel"), [("docetaxel-netterberg2017", 1), ("infliximab-hanzel2021", 0)])
def test_a_peak_between_the_times_of_a_long_interval_is_drawn(name, panel):
    """Against the typical patient's first day in steps of a quarter of an hour."""
    drug = find(DRUG, name).value
    (dose_mg, interval_h), route = drug.dosing.tried, drug.dosing.routes[0]
    dose = Dose(0.0, dose_mg, compartment=route.compartment, duration_h=route.duration_of(dose_mg))
    table = make_covariates(drug, {c.name: c.typical for c in drug.covariates})
    p = individual_parameters(drug, table, jnp.zeros(len(drug.etas)))
    times = jnp.arange(0.0, 24.0, 0.25)
    solution = solve(drug.structure, p, make_regimen(every(dose, interval_h, 1), drug.structure), table, times)
    values = outputs_of(drug, p, table, solution.contents, times)

    days, drawn = curve(draw_drug(drug), panel)
    peak = float(values[:, drug.output_index("concentration")].max())
    assert drawn[days < 0.9 * interval_h / 24.0].max() == pytest.approx(peak, rel=0.01)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "given"), [("methotrexate-joerger2006", "1 dose"), ("busulfan-mccune2014", "5 doses")]
)
def test_a_target_of_total_exposure_is_reached_at_the_end(name, given):
    drug = find(DRUG, name).value
    figure = draw_drug(drug)
    (target,) = [t for t in drug.targets if t.metric == "auc_total"]
    (steps,) = [patch for patch in figure.axes[-1].patches if hasattr(patch, "get_data")]

    assert given in figure.axes[0].get_title()
    assert target.low <= steps.get_data().values[-1] <= target.high
    assert steps.get_data().baseline is None


@pytest.mark.long
def test_doses_that_are_seconds_apart_last_half_an_hour():
    figure = draw_drug(find(DRUG, "propofol-schnider1998").value)
    assert "180 doses of 1.75 mg every 10 s" in figure.axes[0].get_title()
    assert figure.axes[-1].get_xlabel() == "time since the first dose (min)"


def test_windows_of_one_output_have_colours_of_their_own():
    legend = draw_drug(find(DRUG, "tacrolimus-andrews2019").value).axes[0].get_legend()
    assert len({patch.get_facecolor() for patch in legend.get_patches()}) == len(legend.get_texts()) == 3


@pytest.mark.long
def test_an_output_that_stays_zero_is_not_shown():
    """Remifentanil's, where propofol alone is given."""
    labels = [ax.get_ylabel() for ax in draw_drug(find(DRUG, "propofol-remifentanil-bouillon2004").value).axes]
    assert labels == ["BIS", "effect site\n(mg/L)", "concentration\n(mg/L)"]


@pytest.mark.long
def test_a_course_ends_where_its_patient_drops_out():
    """The label's first patient of t1d leaves after hypoglycaemia."""
    figure = draw_scenario(find(SCENARIO, "t1d"))
    hours, glucose = curve(figure, 0)
    leaves_h = figure.axes[0].get_lines()[1].get_xdata()[0]
    assert 0.0 < leaves_h < 24.0
    assert np.isfinite(glucose[hours < leaves_h]).all()
    assert np.isnan(glucose[hours > leaves_h]).all()

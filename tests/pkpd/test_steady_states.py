"""Steady states where there is no closed form, doses whose rate the model gives, and levels at the end of a lag."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import (
    Covariate,
    Dose,
    Fixed,
    LinearSystem,
    Mammillary,
    RegimenError,
    every,
    make_regimen,
    no_covariates,
    solve,
)
from rl_drug_dosage.pkpd.bayes import fit_patients
from rl_drug_dosage.pkpd.nonmem_data import read_nonmem
from rl_drug_dosage.pkpd.ode_models import michaelis_menten

HEAD = "ID,TIME,AMT,RATE,II,ADDL,SS,EVID,DV\n"


def course(structure, p, doses, times, after=None):
    """Contents, in double precision."""
    with jax.enable_x64(True):
        regimen = make_regimen(doses, structure)
        arrays = {name: jnp.array([value]) for name, value in p.items()}
        run = jax.jit(lambda t: solve(structure, arrays, regimen, no_covariates(), t, after).contents)
        return np.asarray(run(np.asarray(times, dtype=float)))


def one_compartment():
    return LinearSystem(("central",), lambda p: jnp.array([[-1.0]]) * p["cl"] / p["v1"], ("cl", "v1"))


P = {"cl": 5.0, "v1": 50.0}


@pytest.mark.long
def test_a_general_linear_system_has_a_steady_state():
    """100 mg every 12 h, k = 0.1/h: 100 e^(-0.1 t) / (1 - e^-1.2). It was NaN."""
    got = course(one_compartment(), P, [Dose(0, 100, interval_h=12, steady_state=1)], [6.0])
    np.testing.assert_allclose(got[:, 0], [100 * np.exp(-0.6) / (1 - np.exp(-1.2))], rtol=1e-9)


def test_a_level_long_after_the_last_dose_is_a_number():
    """200,000 h later nothing is left, which is a number."""
    np.testing.assert_allclose(course(one_compartment(), P, [Dose(0, 100)], [2e5, 1e7]), 0.0, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("structure", [one_compartment(), Mammillary(0)], ids=["system", "closed form"])
@pytest.mark.parametrize("steady", [1, 2])
def test_the_steady_state_of_a_constant_infusion(structure, steady):
    """20 mg/h at k = 0.1/h leave 200 mg, which are lost from the record on."""
    got = course(structure, P, [Dose(0, rate_mg_per_h=20, steady_state=steady)], [0.0, 10.0], np.array([True, False]))
    np.testing.assert_allclose(got[:, 0], [200, 200 * np.exp(-1)], rtol=1e-9)


SATURABLE = {"vmax": 20.0, "km": 4.0, "v1": 40.0}
REGIMENS = [
    ({"amount_mg": 100.0}, "bolus"),
    ({"amount_mg": 100.0, "duration_h": 3.0}, "infusion"),
    ({"amount_mg": 100.0, "duration_h": 30.0}, "infusion of 2.5 intervals"),
]


@pytest.mark.long
@pytest.mark.parametrize(("dose", "name"), REGIMENS, ids=[name for _, name in REGIMENS])
def test_a_saturable_model_reaches_the_steady_state_of_its_doses(dose, name):
    """SS 1 is what 300 doses, one every 12 h, come to; 5 h later too."""
    structure = michaelis_menten()
    steady = course(
        structure, SATURABLE, [Dose(0, interval_h=12, steady_state=1, **dose)], [0.0, 5.0], np.ones(2, bool)
    )
    count = 300
    listed = every(Dose(0, **dose), 12.0, count)
    last = 12.0 * (count - 1)
    np.testing.assert_allclose(
        steady, course(structure, SATURABLE, listed, [last, last + 5], np.ones(2, bool)), rtol=1e-6
    )


@pytest.mark.long
def test_a_constant_infusion_into_a_saturable_model():
    """R = vmax C / (km + C): at half of vmax C is km, 4 mg/L, and 160 mg are in 40 L."""
    got = course(michaelis_menten(), SATURABLE, [Dose(0, rate_mg_per_h=10, steady_state=1)], [0.0], np.array([True]))
    np.testing.assert_allclose(got[:, 0], [160.0], rtol=1e-7)


@pytest.mark.slow
def test_more_than_can_be_eliminated_has_no_steady_state(toy, tmp_path):
    """300 mg every 12 h, where 240 mg can leave: an error that names the patient, and never a number."""
    drug = toy(michaelis_menten(), SATURABLE, omega_sd={"vmax": 0.1})
    path = tmp_path / "d.csv"
    path.write_text(HEAD + "p,0,300,,12,,1,1,\np,5,,,,,,0,9\n")
    with pytest.raises(RegimenError, match="patient p: the model has no finite prediction at 5 h"):
        fit_patients(drug, read_nonmem(path, drug).patients)


@pytest.mark.parametrize("after", [0.7, 0.1 + 0.2])
def test_a_level_at_the_end_of_a_lag_is_drawn_after_the_bolus(after):
    """As in NONMEM: 100 mg at 0 h are there at exactly 0 h + lag; without a lag a level at 0 h comes before."""
    structure = Mammillary(0)
    got = course(structure, {**P, "lag_central": after}, [Dose(0, 100)], [0.0, after, after + 1])
    np.testing.assert_allclose(got[:, 0], [0, 100, 100 * np.exp(-0.1)], rtol=1e-12)
    assert course(structure, {**P, "lag_central": 0.0}, [Dose(0, 100)], [0.0])[0, 0] == 0.0


@pytest.mark.parametrize(("rate", "extra"), [(-1, {"rate_central": 25.0}), (-2, {"duration_central": 4.0})])
def test_rates_and_durations_of_the_model(toy, tmp_path, rate, extra):
    """RATE -1 at 25 mg/h and -2 over 4 h are both 100 mg over 4 h; a model without the parameter names it."""
    path = tmp_path / "d.csv"
    path.write_text(HEAD + f"1,0,100,{rate},,,,1,\n1,3,,,,,,0,2\n")
    drug = toy(Mammillary(0), {**P, **extra}, omega_sd={"cl": 0.1})
    (patient,) = read_nonmem(path, drug).patients
    got = course(drug.structure, {**P, **extra}, patient.doses, [3.0, 6.0])
    given = course(drug.structure, P, [Dose(0, 100, duration_h=4)], [3.0, 6.0])
    np.testing.assert_allclose(got, given, rtol=1e-12)
    name = next(iter(extra))
    with pytest.raises(ConfigError, match=f"RATE = '{rate}': asks for a parameter '{name}', which toy does not have"):
        read_nonmem(path, toy(Mammillary(0), P, omega_sd={"cl": 0.1}))


def test_parameters_that_no_patient_has_are_refused(toy, tmp_path):
    """Of a clearance of -1 L/h at 20 kg: patient, time and parameter."""
    drug = toy(
        Mammillary(0),
        P,
        omega_sd={"cl": 0.1},
        parameters=lambda theta, c: {**theta, "cl": theta["cl"] + 0.12 * (c["wt_kg"] - 70.0)},
        covariates=(Covariate("wt_kg", "kg", 10, 120, 70, "invented", "body weight", Fixed(70.0), "WT"),),
    )
    path = tmp_path / "d.csv"
    path.write_text(HEAD.replace("\n", ",WT\n") + "p,0,100,,,,,1,,20\np,3,,,,,,0,2,20\n")
    with pytest.raises(ConfigError, match=r"patient p: .* gives cl = -1 L/h .* must be finite and positive"):
        fit_patients(drug, read_nonmem(path, drug).patients)

"""Faults that somebody will make, one each: every one is caught, by a message that names the field.

Some are refused when the value is made, the others by the contract check; a user meets the message either way.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.checks import check_drug, check_policy, check_scenario
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition
from rl_drug_dosage.clinic.scenario import ShieldLimits, TrainingSettings
from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG
from rl_drug_dosage.errors import BadPluginError, RlDrugDosageError
from rl_drug_dosage.pkpd import Correlation, Eta, LinearSystem, OdeSystem, Output, Param, Residual, Route
from rl_drug_dosage.scenarios.aminoglycoside_v2 import SCENARIO


def messages(check, make):
    """What a user is told: of a value that cannot be made, or of the check's failures."""
    try:
        report = check(make())
    except (RlDrugDosageError, TypeError) as error:
        return [str(error)]
    assert not report.ok, f"nothing found:\n{report}"
    with pytest.raises(BadPluginError) as caught:
        report.raise_if_any()
    for failure in report.failures:
        assert str(failure) in str(caught.value)
    return [str(failure) for failure in report.failures]


def assert_said(check, make, field):
    """Some message names the field, and all of them say something."""
    said = messages(check, make)
    assert any(field in message for message in said), said


# ---------------------------------------------------------------------------------------------------------------- drugs


def drug(**changes):
    return dataclasses.replace(DRUG, **changes)


def first_theta(**changes):
    name = next(iter(DRUG.thetas))
    return drug(thetas={**DRUG.thetas, name: dataclasses.replace(DRUG.thetas[name], **changes)})


def target(**changes):
    return drug(targets=(dataclasses.replace(DRUG.targets[0], **changes),))


def dosing(**changes):
    return drug(dosing=dataclasses.replace(DRUG.dosing, **changes))


def parameters_times(factor):
    """The published parameters, with the clearance multiplied."""

    def parameters(theta, covariates):
        p = dict(DRUG.parameters(theta, covariates))
        return {**p, "cl": p["cl"] * factor(covariates)}

    return parameters


def two_compartments(made=1.0, drain=0.0):
    """An ODE that loses mass by ``cl`` and makes it on the way from the depot, or takes more than there is."""

    def rhs(t, x, p, pk):
        out = p["cl"] / p["v1"] * x["central"] + drain
        return {"depot": -p["ka"] * x["depot"], "central": made * p["ka"] * x["depot"] - out}

    structure = OdeSystem(("depot", "central"), rhs, ("cl", "v1", "ka"), doses_into=("depot", "central"))
    return drug(structure=structure, parameters=lambda theta, covariates: {"cl": 5.0, "v1": 60.0, "ka": 1.0}, **PLAIN)


PLAIN = {
    "etas": (Eta("cl", Param(0.1, "1", "Table 2", "variance of ln clearance"), "var"),),
    "occasion_etas": (),
    "correlations": (),
    "dosing": dataclasses.replace(DRUG.dosing, routes=(Route("tablet", "depot"),)),
}


def concentration_without_a_floor(state, p):
    return state["central"] / p["v1"] - 1.0


FIRST = next(iter(DRUG.thetas))
A_COVARIATE = DRUG.covariates[0]

DRUG_FAULTS = {
    "a clearance that turns negative in the range": (
        lambda: drug(parameters=parameters_times(lambda c: (c["crcl_ml_per_min"] - 30.0) / 90.0)),
        "parameters.cl: -",
    ),
    "a clearance that is no number in the range": (
        lambda: drug(parameters=parameters_times(lambda c: jnp.sqrt(c["wt_kg"] - 50.0))),
        "parameters.cl: nan",
    ),
    "a theta without a source": (lambda: first_theta(source=""), f"thetas.{FIRST}.source"),
    "a theta in no unit": (lambda: first_theta(unit="litres"), f"thetas.{FIRST}.unit"),
    "a theta that is infinite": (lambda: first_theta(value=float("inf")), f"thetas.{FIRST}.value"),
    "an unverified number that does not say so": (
        lambda: first_theta(source="not traced to the paper"),
        f"thetas.{FIRST}.unverified",
    ),
    "a theta that is misspelt": (
        lambda: drug(parameters=lambda theta, covariates: {"cl": theta["clearence"]}),
        "parameters reads 'clearence'",
    ),
    "a window in the wrong unit": (lambda: target(unit="mg/L"), "targets[0].unit is 'mg/L'"),
    "an empty window": (lambda: target(low=600.0, high=400.0), "targets[0].low"),
    "an aim outside of its window": (lambda: target(aim=700.0), "targets[0].aim"),
    "an unknown output in a target": (lambda: target(output="inr"), "targets[0].output is 'inr'"),
    "a usual dose off the grid": (lambda: dosing(usual_dose_mg=1100.0), "dosing.usual_dose_mg"),
    "a grid out of order": (lambda: dosing(amounts_mg=(500.0, 250.0, 1000.0)), "dosing.amounts_mg"),
    "an infusion that overlaps the next": (
        lambda: dosing(routes=(Route("24-h infusion", "central", 24.0),)),
        "dosing.routes[0].duration_h",
    ),
    "an eta on a missing parameter": (
        lambda: drug(etas=(Eta("vmax", Param(0.1, "1", "Table 2", "variance"), "var"),), correlations=()),
        "etas[0].parameter is 'vmax'",
    ),
    "an eta of size 0": (
        lambda: drug(etas=(Eta("cl", Param(0.0, "1", "Table 2", "variance"), "var"),), correlations=()),
        "etas[0].size",
    ),
    "a correlation above 1": (
        lambda: drug(correlations=(Correlation("cl", "v1", Param(1.5, "1", "Table 2", "..."), "corr"),)),
        "correlations",
    ),
    "a typical covariate out of range": (
        lambda: drug(covariates=(dataclasses.replace(A_COVARIATE, typical=1e4), *DRUG.covariates[1:])),
        "covariates[0].typical",
    ),
    "a covariate in no unit": (
        lambda: drug(covariates=(dataclasses.replace(A_COVARIATE, unit="ml per minute"), *DRUG.covariates[1:])),
        "covariates[0].unit",
    ),
    "an error in another unit": (
        lambda: drug(outputs=(Output("concentration", "mg/L", Residual("additive", Param(1.0, "ug/L", "T.", "sd"))),)),
        "outputs[0].residual.additive.unit",
    ),
    "mass that appears in an ODE": (lambda: two_compartments(made=1.5), "structure: "),
    "an amount that turns negative": (lambda: two_compartments(drain=40.0), "structure.central"),
    "a concentration that turns negative": (
        lambda: drug(outputs=(dataclasses.replace(DRUG.outputs[0], value=concentration_without_a_floor),)),
        "outputs[0]",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", DRUG_FAULTS)
def test_a_fault_of_a_drug_is_caught(fault):
    make, field = DRUG_FAULTS[fault]
    assert_said(check_drug, make, field)


@pytest.mark.long
def test_an_ode_that_keeps_its_mass_passes():
    """The faults above are found because of what is wrong with them, not because they are ODEs."""
    assert check_drug(two_compartments()).ok


def test_mass_that_appears_in_a_matrix_is_caught():
    """The same of a linear system: 1.5 times what leaves the depot arrives."""

    def matrix(p):
        return jnp.asarray([[-1.0, 0.0], [1.5, -0.1]])

    structure = LinearSystem(("depot", "central"), matrix, ("cl", "v1"))
    made = lambda: drug(structure=structure, parameters=lambda t, c: {"cl": 5.0, "v1": 60.0}, **PLAIN)  # noqa: E731
    assert_said(check_drug, made, "structure: ")


@pytest.mark.long
def test_a_closed_form_that_is_wrong_is_caught(monkeypatch):
    """The thorough check integrates the same model: here the closed form loses a tenth of everything."""
    from rl_drug_dosage.pkpd import Mammillary

    exact = Mammillary.advance

    def lossy(self, prepared, x, rate_mg_per_h, t_h, dt_h, *, auc=False):
        contents, area = exact(self, prepared, x, rate_mg_per_h, t_h, dt_h, auc=auc)
        return 0.9 * contents, area

    monkeypatch.setattr(Mammillary, "advance", lossy)
    report = check_drug(drug(name="vancomycin-lossy"), level="thorough")
    assert any(f.check == "mass balance holds" for f in report.failures), str(report)


def test_a_source_of_ones_own_is_a_warning():
    """A user's unpublished model is welcome; the report says so."""
    report = check_drug(dataclasses.replace(first_theta(source="own"), doi="own"), level="declared")
    assert report.ok
    assert {f.field for f in report.warnings} == {f"thetas.{FIRST}.source", "doi"}


# ------------------------------------------------------------------------------------------------------------ scenarios


def scenario(**changes):
    return dataclasses.replace(SCENARIO, **changes)


def part(name, **changes):
    return scenario(**{name: dataclasses.replace(getattr(SCENARIO, name), **changes)})


def window(**changes):
    first, *others = SCENARIO.goal.targets
    return part("goal", targets=(dataclasses.replace(first, **changes), *others))


def harm(**changes):
    return part("goal", harms=(dataclasses.replace(SCENARIO.goal.harms[0], **changes),))


TOP = SCENARIO.dosage.amounts[-1]

SCENARIO_FAULTS = {
    "a misspelt limit": (lambda: scenario(shield=ShieldLimits(dose_mg=3000.0)), "dose_mg"),
    "a dose limit beyond the grid": (lambda: scenario(shield=ShieldLimits(dose=10 * TOP)), "shield.dose"),
    "a limit that lets no dose rise": (lambda: scenario(shield=ShieldLimits(factor=1.0)), "shield.factor"),
    "a daily limit below the usual dose": (lambda: scenario(shield=ShieldLimits(day=20.0)), "shield.day"),
    "a window in the wrong unit": (lambda: window(unit="mg/L"), "goal.targets[0].unit"),
    "an empty window": (lambda: window(low=10.0, high=7.0), "target"),
    "an aim outside of its window": (lambda: window(aim=20.0), "aim"),
    "an unknown output in the goal": (lambda: window(output="inr"), "inr"),
    "an unknown output in the monitoring": (lambda: part("monitoring", output="glucose"), "glucose"),
    "a metric that no goal can have": (lambda: window(metric="average"), "average"),
    "a harm that takes the whole window": (lambda: harm(metric="auc24", above=50.0), "goal.harms[0].above"),
    "a label dose off the grid": (
        lambda: scenario(label=lambda facts, record: 3.0 * TOP + 0.0 * facts["wt_kg"]),
        "label",
    ),
    "a label dose that is no number": (lambda: scenario(label=lambda facts, record: facts["wt_kg"] * jnp.nan), "label"),
    "a label that goes off the grid later": (
        lambda: scenario(label=lambda facts, record: jnp.where(record.k > 4, 1e5, 100.0) + 0.0 * facts["wt_kg"]),
        "label",
    ),
    "a usual dose off the grid": (lambda: part("dosage", usual=181.0), "dosage.usual"),
    "infusions that overlap": (lambda: part("dosage", duration_h=30.0), "dosage.duration_h"),
    "doses into no compartment": (lambda: part("dosage", compartment="depot"), "dep"),
    "a reward that is no number": (
        lambda: scenario(reward=lambda judged: jnp.log(judged.metrics[0][0] - 6.0)),
        "reward",
    ),
    "an option that the environment does not have": (
        lambda: scenario(training=TrainingSettings(env={"belif": "gentamicin-staatz2005"})),
        "training.env.belif",
    ),
    "a belief in a model that is not there": (
        lambda: scenario(training=TrainingSettings(env={"belief": "gentamicin-doe1900"})),
        "training.env",
    ),
    "a training setting out of range": (lambda: scenario(training=TrainingSettings(gamma=1.5)), "training.gamma"),
    "a monitoring time that is no output time": (lambda: part("monitoring", at_h=(3.0,)), "3.0"),
    "a level that never comes back": (lambda: part("monitoring", turnaround_h=1e4), "monitoring.turnaround_h"),
    "monitoring after the end": (lambda: part("monitoring", intervals=(0, 99)), "99"),
    "a look ahead of nothing": (lambda: scenario(look_ahead=0), "look_ahead"),
    "an estimated parameter that does not exist": (lambda: scenario(estimated=("cl", "vmax")), "estimated[1]"),
    "day-to-day variability of a missing parameter": (
        lambda: scenario(daily_etas=(Eta("vmax", Param(0.1, "1", "Table 2", "variance"), "var"),)),
        "vmax",
    ),
    "a stratum of an unknown covariate": (lambda: scenario(strata=(("age", "age_y", (60.0,)),)), "strata[0]"),
    "a covariate in another unit than the model's": (
        lambda: scenario(
            covariates=tuple(
                dataclasses.replace(c, unit="L/h") if c.name == "crcl_ml_per_min" else c for c in SCENARIO.covariates
            )
        ),
        "covariates[",
    ),
    "a model that does not exist": (lambda: scenario(models=("gentamicin-doe1900",)), "gentamicin-doe1900"),
    "no source": (lambda: part("monitoring", source=""), "monitoring.source"),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", SCENARIO_FAULTS)
def test_a_fault_of_a_scenario_is_caught(fault):
    make, field = SCENARIO_FAULTS[fault]
    assert_said(check_scenario, make, field)


@pytest.mark.parametrize(
    ("unit", "value", "factor", "said"),
    [
        ("mL/min", 75.0, 1.0, "about 4.5 L/h"),
        ("mL/min", 75.0, 0.06, ""),
        ("L/day", 108.0, 1.0, "about 4.5 L/h"),
        ("L/day", 108.0, 1.0 / 24.0, ""),
        ("L/h/kg", 0.06, 4.5 / DRUG.typical()["cl"], "a number in L/h"),
        ("L/h/kg", 0.06, 70.0, ""),
        ("L/h", 4.5, 1.0, ""),
    ],
)
def test_a_clearance_that_is_not_converted_is_a_warning(unit, value, factor, said):
    """Creatinine clearance changes that of the typical patient by two fifths, which does not hide it."""
    assert DRUG.thetas["cl"].value == 4.5
    thetas = {**DRUG.thetas, "cl": Param(value, unit, "Table 2", "clearance")}
    report = check_drug(drug(thetas=thetas, parameters=parameters_times(lambda covariates: factor)), level="declared")
    found = [str(warning) for warning in report.warnings if warning.field == "thetas.cl.unit"]
    assert len(found) == bool(said)
    assert all(said in warning for warning in found)


def test_a_variation_in_percent_called_a_fraction_is_a_warning():
    size = Param(30.0, "1", "Table 2", "between-subject variability")
    report = check_drug(drug(etas=(Eta("cl", size, "cv_exact"),), correlations=()), level="declared")
    assert "etas[0].size: 30 1, a coefficient of variation of 3000%" in str(report.warnings[0])


@pytest.mark.long
def test_the_scenario_without_a_fault_passes():
    assert check_scenario(SCENARIO).ok


# ------------------------------------------------------------------------------------------------------------- policies


class Usual(Policy):
    """A policy without a fault, which the faulty ones differ from in one thing: 180 mg, less after a high level."""

    factor: jax.Array = eqx.field(default_factory=lambda: jnp.asarray(2 / 3))

    def init(self, record, truth=None):
        return jnp.zeros(())

    def act(self, memory, observation, key):
        level = jnp.where(observation.known, observation.level, 0.0)
        return jnp.where(level[:, -1].max() > 2.0, 180.0 * self.factor, 180.0), memory


class Peeks(Usual):
    def init(self, record, truth=None):
        return jnp.zeros(()) if truth is None else truth.eta[0]

    def act(self, memory, observation, key):
        return 180.0 * jnp.exp(memory), memory


class NeedsTheTruth(Usual):
    def init(self, record, truth=None):
        return truth.eta[0]


class ReadsTheFuture(Usual):
    def act(self, memory, observation, key):
        return jnp.clip(180.0 - observation.level.sum(), 0.0, 300.0), memory


class ReadsFlagsOfTheFuture(Usual):
    def act(self, memory, observation, key):
        return 100.0 + 10.0 * observation.below.sum(), memory


class NaN(Usual):
    def act(self, memory, observation, key):
        return jnp.where(observation.k > 2, jnp.nan, 180.0), memory


class NeedsALevel(Usual):
    def act(self, memory, observation, key):
        level = jnp.where(observation.known, observation.level, 0.0)
        return 180.0 * level.sum() / level.sum(), memory


class Grows(Usual):
    def init(self, record, truth=None):
        return jnp.zeros(1)

    def act(self, memory, observation, key):
        return jnp.asarray(180.0), jnp.concatenate([memory, memory])


class ChangesItsType(Usual):
    def act(self, memory, observation, key):
        return jnp.asarray(180.0), observation.k


class KeepsAText(Usual):
    def init(self, record, truth=None):
        return "180 mg"


class TwoDoses(Usual):
    def act(self, memory, observation, key):
        return jnp.asarray([180.0, 180.0]), memory


class Random(Usual):
    def act(self, memory, observation, key):
        return 300.0 * jax.random.uniform(jax.random.key(0) if key is None else key), memory


class NeedsAKey(Usual):
    def act(self, memory, observation, key):
        return 20.0 * jnp.round(15.0 * jax.random.uniform(key)), memory


class RandomWhileTraced(Usual):
    def act(self, memory, observation, key):
        return jnp.asarray(float(np.random.default_rng().uniform(0.0, 300.0))), memory


def callback(function, like, *, batched):
    method = "expand_dims" if batched else "sequential"
    return jax.pure_callback(function, jax.ShapeDtypeStruct((), jnp.float32), like, vmap_method=method)


class RandomOnTheHost(Usual):
    def act(self, memory, observation, key):
        def draw(k):
            return np.full(np.shape(k), np.random.default_rng().uniform(0.0, 300.0), np.float32)

        return callback(draw, observation.dose[0], batched=True), memory


class ComparesPatients(Usual):
    def act(self, memory, observation, key):
        def rank(weight):
            weight = np.asarray(weight)
            return (180.0 + 50.0 * (weight > weight.mean())).astype(np.float32)

        return callback(rank, observation.facts()["wt_kg"], batched=True), memory


class CountsItsCalls(Policy):
    """Keeps what it should keep in memory in an array of its own."""

    calls: np.ndarray = eqx.field(default_factory=lambda: np.zeros(1, np.float32))

    def init(self, record, truth=None):
        return jnp.zeros(())

    def act(self, memory, observation, key):
        self.calls[0] += 1.0
        return jnp.asarray(180.0), memory


class Believes(Usual):
    """Doses by a clearance that it was built with."""

    cl: jax.Array = eqx.field(default_factory=lambda: jnp.asarray(5.0))

    def act(self, memory, observation, key):
        return 30.0 * self.cl, memory


def looks_at_the_simulator(setting):
    """The true model's typical clearance and the size of its variability, which a clinic cannot know."""
    effects = sum(eta.size.fraction() for eta in setting.simulator.etas)
    return Believes(cl=jnp.asarray(setting.simulator.typical()["cl"] + effects))


def not_a_policy(setting):
    return lambda record: 180.0


POLICY_FAULTS = {
    "keeps the truth": (Peeks(), "sees_truth"),
    "needs the truth": (NeedsTheTruth(), "init"),
    "reads levels that are not known": (ReadsTheFuture(), "record.level"),
    "reads flags that are not known": (ReadsFlagsOfTheFuture(), "record.below"),
    "returns NaN": (NaN(), "act: nan at decision 3"),
    "needs a level": (NeedsALevel(), "act: nan"),
    "a memory that grows": (Grows(), "memory"),
    "a memory that changes its type": (ChangesItsType(), "memory"),
    "a memory of text": (KeepsAText(), "init"),
    "two doses": (TwoDoses(), "act: a dose of shape (2,)"),
    "random without saying so": (Random(), "chance: False"),
    "needs a key": (NeedsAKey(), "chance: without a key"),
    "random while it is traced": (RandomWhileTraced(), "act: two traces give different programs"),
    "random on the host": (RandomOnTheHost(), "act: the same call"),
    "compares patients": (ComparesPatients(), "act: a batch of copies of one patient"),
    "looks at the simulator": (PolicyDefinition("looks", looks_at_the_simulator), "build: built for two simulators"),
    "no policy at all": (PolicyDefinition("none", not_a_policy), "build: returns function"),
    "refuses the scenario": (
        PolicyDefinition("refuses", lambda _: Usual(), refuses=lambda _: "not for this drug"),
        "refuses: not for this drug",
    ),
    "candidates that are no stack": (
        PolicyDefinition("candidates", lambda _: Usual(), candidates=lambda setting, rng: Usual()),
        "candidates",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", POLICY_FAULTS)
def test_a_fault_of_a_policy_is_caught(fault):
    policy, field = POLICY_FAULTS[fault]
    assert_said(lambda p: check_policy(p, SCENARIO), lambda: policy, field)


@pytest.mark.long
def test_a_policy_that_changes_itself_is_caught():
    """An array of its own that counts: the host sees it change."""
    assert_said(lambda p: check_policy(p, SCENARIO), CountsItsCalls, "act")


@pytest.mark.long
def test_the_policy_without_a_fault_passes():
    report = check_policy(Usual(), SCENARIO)
    assert not report.findings, str(report)


def test_a_policy_that_says_that_it_draws_may_draw():
    report = check_policy(PolicyDefinition("random", lambda _: NeedsAKey(), chance=True), SCENARIO)
    assert not report.findings, str(report)


@pytest.mark.parametrize(("dose_mg", "said"), [(1e4, "1e+04"), (0.7, "0.7"), (190.0, "190")])
def test_a_dose_off_the_grid_is_a_warning(dose_mg, said):
    """It is put on the grid and counted in a trial: the policy is told, and takes part."""

    class TooMuch(Usual):
        def act(self, memory, observation, key):
            return jnp.asarray(dose_mg), memory

    report = check_policy(TooMuch(), SCENARIO)
    assert report.ok
    (warning,) = report.warnings
    assert warning.field == "act"
    assert f"{said} mg, off the grid" in warning.came

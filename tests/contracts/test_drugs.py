"""Every drug file keeps one contract: sourced numbers, known units, sensible patients across the published ranges."""

import itertools
import math
import re

import jax
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Dose,
    Fixed,
    draw_covariates,
    individual_parameters,
    make_covariates,
    make_regimen,
    occasion_omega,
    omega,
    predict,
)
from rl_drug_dosage.registry import DRUG, load_drug, modules, public_name

_ATOM = (
    r"(?:1|%|kg|g|mg|ug|ng|mol|mmol|umol|L|mL|U|mU|s|min|h|day|d|week|weeks|y|m2|cm|mmHg|degC|count|code|1\.73m2|10\^9)"
)
_QUOTIENT = rf"{_ATOM}(?: {_ATOM})*(?:/{_ATOM})*"
KNOWN_UNIT = re.compile(rf"0/1|ln\({_QUOTIENT}\)|{_QUOTIENT}(?: per {_QUOTIENT})?")
"""Products of known units over known units, the logarithm of one, or an indicator; ``1`` is a pure number."""

SHIFTS = {"bis_delay_s"}
"""Parameters that may be 0 or negative: none of them divides anything."""


@pytest.fixture(params=modules(DRUG.room))
def module_name(request):
    return request.param


@pytest.fixture
def drug(module_name):
    return load_drug(module_name)


def params_of(drug):
    """Every published number with its place in the file."""
    yield from drug.thetas.items()
    for group in (drug.etas, drug.occasion_etas):
        yield from ((f"eta of {eta.parameter}", eta.size) for eta in group)
    for group in (drug.correlations, drug.occasion_correlations):
        yield from ((f"{c.first} with {c.second}", c.size) for c in group)
    for output in drug.outputs:
        for param in (output.residual.additive, output.residual.proportional) if output.residual else ():
            if param is not None:
                yield f"residual of {output.name}", param


def test_the_name_is_that_of_the_file(drug, module_name):
    """`vancomycin_thomson2009.py` holds the drug `vancomycin-thomson2009`, whose generic name opens it."""
    assert drug.name == public_name(module_name)
    assert drug.name.startswith(drug.drug.split()[0].lower())


def test_the_paper_is_cited(drug):
    """Citation with a year, DOI, title, population and limits of use."""
    assert re.search(r"\b(19|20)\d\d\b", drug.citation)
    assert re.fullmatch(r"10\.\d{4,}/\S+", drug.doi)
    assert drug.title
    assert drug.population
    assert drug.limits_of_use
    assert drug.second_source


def test_every_number_has_unit_source_and_meaning(drug):
    """No theta, random effect or residual error without them, and none that is not finite."""
    for place, param in params_of(drug):
        assert math.isfinite(param.value), place
        assert KNOWN_UNIT.fullmatch(param.unit), f"{place}: unit {param.unit!r}"
        assert len(param.source) > 5, place
        assert param.meaning, place


def test_every_covariate_output_and_target_says_unit_and_source(drug):
    """Units of a known kind, a source for every range and target, distinct names and columns."""
    for covariate in drug.covariates:
        assert KNOWN_UNIT.fullmatch(covariate.unit), f"{covariate.name}: unit {covariate.unit!r}"
        assert covariate.source, covariate.name
        assert covariate.meaning, covariate.name
        assert covariate.low < covariate.high, covariate.name
        assert covariate.low <= covariate.typical <= covariate.high, covariate.name
    for read in ("name", "column"):
        values = [getattr(covariate, read) for covariate in drug.covariates]
        assert len(set(values)) == len(values), values
    assert drug.targets
    for target in drug.targets:
        assert target.source
        assert KNOWN_UNIT.fullmatch(target.unit), target
        assert target.low is not None or target.high is not None
        if target.low is not None and target.high is not None:
            assert target.low < target.high
    assert all(KNOWN_UNIT.fullmatch(output.unit) for output in drug.outputs)


def test_what_could_not_be_traced_is_marked_in_words_that_a_reader_finds(drug, record_property):
    """A covariate range or a number that no source backs says `unverified`; the list goes into the test report."""
    marked = [place for place, param in params_of(drug) if param.unverified]
    marked += [covariate.name for covariate in drug.covariates if "unverified" in covariate.source]
    record_property("unverified", ", ".join(marked))
    for _, param in params_of(drug):
        if "unverified" in param.source or "not traced" in param.source:
            assert param.unverified, param


def test_typical_parameters_are_positive_and_finite_at_every_corner(drug):
    """At every combination of the ends of the ranges: a published formula that fails there needs a narrower range."""
    ends = [(covariate.low, covariate.typical, covariate.high) for covariate in drug.covariates]
    pick = (0, 2) if len(ends) > 4 else (0, 1, 2)
    rows = list(itertools.product(*([end[i] for i in pick] for end in ends)))
    corners = np.array(rows) if ends else np.zeros((1, 1))
    names_of = [covariate.name for covariate in drug.covariates]

    def typical(row):
        values = {name: row[i] for i, name in enumerate(names_of)}
        return drug.finish(drug.parameters(drug.theta_values(), values), values)

    # Not compiled: every drug reuses the same few kernels.
    got = {name: np.broadcast_to(value, len(corners)) for name, value in jax.vmap(typical)(corners).items()}
    for name in drug.structure.parameters:
        at = int(np.argmin(got[name]))
        assert np.all(np.isfinite(got[name])), name
        assert got[name][at] > 0, f"{name} = {got[name][at]} at {dict(zip(names_of, corners[at], strict=True))}"
    for name in set(got) - set(drug.structure.parameters) - SHIFTS:
        assert np.all(np.isfinite(got[name])), name
        assert np.all(got[name] >= 0), name


def test_random_effects_are_positive_definite(drug):
    """Both covariance matrices; a drug without variability is typical values only and says nothing of patients."""
    for matrix in (omega(drug), occasion_omega(drug)):
        if matrix.size:
            assert np.linalg.eigvalsh(matrix).min() > 0
            np.testing.assert_array_equal(matrix, matrix.T)
    assert all(eta.size.value > 0 for eta in (*drug.etas, *drug.occasion_etas))


def test_the_dose_grid_can_be_prescribed(drug):
    """Ascending, positive steps; the usual dose is on it or between two steps; routes with names; a source."""
    grid = np.asarray(drug.dosing.amounts_mg)
    assert np.all(np.diff(grid) > 0)
    assert grid[0] >= 0
    assert grid[0] <= drug.dosing.usual_dose_mg <= grid[-1]
    assert all(interval > 0 for interval in drug.dosing.intervals_h)
    assert len(set(drug.dosing.intervals_h)) == len(drug.dosing.intervals_h)
    assert all(route.name and route.duration_h >= 0 for route in drug.dosing.routes)
    assert {route.compartment for route in drug.dosing.routes} <= set(drug.structure.dosable)
    assert drug.dosing.source


def test_virtual_patients_stay_inside_the_published_ranges(drug):
    """Two hundred drawn patients, none outside, and the covariates that are not fixed do vary."""
    keys = jax.random.split(jax.random.key(3), 200)
    drawn = jax.vmap(lambda key: draw_covariates(drug, key).values)(keys)
    for covariate in drug.covariates:
        values = np.asarray(drawn[covariate.name])
        assert values.min() >= np.float32(covariate.low) * (1 - 1e-6) - 1e-6, covariate.name
        assert values.max() <= np.float32(covariate.high) * (1 + 1e-6) + 1e-6, covariate.name
        if not isinstance(covariate.distribution, Fixed):
            assert len(np.unique(values)) > 1, covariate.name


def typical_patient(drug):
    return make_covariates(drug, {covariate.name: covariate.typical for covariate in drug.covariates})


def test_outputs_read_what_the_model_holds(drug):
    """With a usual dose in every compartment that takes one, outputs are finite, none negative, one positive."""
    p = individual_parameters(drug, typical_patient(drug), np.zeros(len(drug.etas)))
    own = {name: values[0] for name, values in p.items()}
    contents = drug.structure.contents(drug.structure.initial(own))
    contents |= {name: contents[name] + drug.dosing.usual_dose_mg for name in drug.structure.dosable}
    got = np.array([float(output.value(contents, own)) for output in drug.outputs])

    assert np.all(np.isfinite(got))
    assert np.all(got >= 0)
    assert np.any(got > 0)


@pytest.mark.slow
def test_the_usual_dose_gives_finite_outputs(drug):
    """One usual dose by the first route, run by the engine: something, and nothing negative, in every output."""
    route, interval_h = drug.dosing.routes[0], drug.dosing.intervals_h[0]
    dose = Dose(0.0, drug.dosing.usual_dose_mg, compartment=route.compartment, duration_h=route.duration_h)
    regimen, times = make_regimen((dose,), drug.structure), np.linspace(0.25, 1.0, 4) * interval_h
    got = np.asarray(jax.jit(predict, static_argnums=0)(drug, regimen, typical_patient(drug), times))

    assert got.shape == (4, len(drug.outputs))
    assert np.all(np.isfinite(got))
    assert np.all(got >= 0)
    assert np.any(got > 0)

"""``rl-drug-dosage estimate`` with several models: evidence, weights, averages, units, and what is refused."""

import csv
import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pharmacometrics.estimation_posterior import Drawn, doubts
from rl_drug_dosage.pharmacometrics.forecast import mixture, window_of
from rl_drug_dosage.pkpd import Dose, Target, make_regimen
from rl_drug_dosage.pkpd.bayes import PatientData, Posterior, exposure
from rl_drug_dosage.registry import load_drug

BUELGA, THOMSON = "vancomycin-buelga2005", "vancomycin-thomson2009"
LEVELS = (
    "ID,TIME,AMT,DUR,II,ADDL,DV,CENS,WT,CRCL\n"
    "a,0,1500,1.5,12,3,.,.,82,70\na,11.5,.,.,.,.,14.2,.,82,70\na,14,.,.,.,.,31,.,82,70\n"
    "b,0,1000,1,12,2,.,.,60,110\nb,10,.,.,.,.,2,1,60,110\nb,26,.,.,.,.,21,.,60,110\n"
)
NO_LEVEL, NO_DOSE = "c,0,1000,1,.,.,.,.,60,110\n", "d,5,.,.,.,.,9,.,60,110\n"
QUIET = {"progress": False}


def in_micrograms(model):
    """The same model, its output in ug/L."""
    output = model.outputs[0]
    additive = dataclasses.replace(output.residual.additive, value=1000.0 * output.residual.a, unit="ug/L")
    output = dataclasses.replace(
        output,
        name="cp",
        unit="ug/L",
        value=lambda state, p: 1000.0 * state["central"] / p["v1"],
        residual=dataclasses.replace(output.residual, additive=additive),
        auc_scale=1000.0,
    )
    return dataclasses.replace(model, name="buelga-in-micrograms", outputs=(output,), targets=())


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two models of which one is written in two units, so that the true weights are known to be in a ratio."""
    folder = tmp_path_factory.mktemp("across")
    (folder / "v.csv").write_text(LEVELS + NO_LEVEL + NO_DOSE)
    models = [BUELGA, in_micrograms(load_drug(BUELGA)), THOMSON]
    return rldd.estimate(models, folder / "v.csv", weight={THOMSON: 2.0}, output_dir=folder / "out", **QUIET)


def rows_of(path):
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.mark.long
def test_one_model_in_two_units_has_one_evidence_and_one_forecast(result):
    """Conversion of levels, of a limit of quantification, of densities and of predictions."""
    found = result.compared
    np.testing.assert_allclose(found.laplace[:, 1], found.laplace[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.weight[:, 1], found.weight[:, 0], rtol=1e-6)
    means = np.array([row.summary.mean for row in result.quantities]).reshape(3, 3, 4)
    np.testing.assert_allclose(means[:, :, 1], means[:, :, 0], rtol=0.1)
    assert {row.unit for row in result.quantities} == {"mg h/L", "mg/L"}
    assert any("levels are read in mg/L" in note and "converted to ug/L" in note for note in result.notes)
    assert any("'cp' of buelga-in-micrograms is taken for 'concentration'" in note for note in result.notes)


@pytest.mark.long
def test_weights_are_prior_times_evidence(result):
    """Without a level in use they are the prior ones."""
    odds = np.exp(result.compared.laplace[:, 2] - result.compared.laplace[:, 0]) * 2.0
    np.testing.assert_allclose(result.compared.weight[:, 2] / result.compared.weight[:, 0], odds, rtol=1e-6)
    np.testing.assert_allclose(result.compared.weight.sum(axis=1), 1.0)
    assert 0.1 < odds.min() < odds.max() < 10.0
    assert abs(odds[0] - 2.0) > 0.1
    np.testing.assert_allclose(result.compared.weight[2:], [[0.25, 0.25, 0.5]] * 2, rtol=1e-6)


@pytest.mark.long
def test_the_average_is_the_mixture_of_the_models(result):
    """Means by the law of total expectation, for levels and exposure; its interval lies within the models' span."""
    for rows, of in ((result.forecasts, 5), (result.quantities, 9)):
        assert len(rows) == of * 4
        for i in range(0, len(rows), 4):
            *each, average = rows[i : i + 4]
            assert average.model == "average"
            assert average.summary.mean == pytest.approx(sum(r.weight * r.summary.mean for r in each), rel=1e-9)
            assert min(r.summary.low for r in each) <= average.summary.low <= average.summary.mean
            assert average.summary.mean <= average.summary.high <= max(r.summary.high for r in each)


@pytest.mark.long
def test_exposure_is_that_of_dose_search(result):
    """One solution for everything gives what `exposure` computes metric by metric, at the mean of each draw's own."""
    one, row = result.estimations[0], result.quantities[0]
    assert (row.name, row.from_h, row.until_h) == ("auc24", 36.0, 48.0)
    with jax.enable_x64(True):
        regimen, covariates, _, at = (jax.tree.map(lambda leaf: leaf[0], table) for table in one.tables)
        for name, metric in (("auc24", 0), ("peak", 4), ("trough", 8)):
            target = Target("concentration", name, 0.0, None, "", "")
            best = float(exposure(one.model, regimen, covariates, at.eta, at.kappa, target, 36.0, 48.0))
            own = result.quantities[metric].summary
            assert own.low < best < own.high
            assert own.mean == pytest.approx(best, rel=0.05)


@pytest.mark.long
def test_files_hold_what_the_result_holds(result):
    folder = result.files[0].parent
    names = {path.relative_to(folder).as_posix() for path in result.files}
    assert {"models.csv", "forecasts.csv", "quantities.csv", "models.png", f"{BUELGA}/estimates.csv"} <= names
    assert all(path.is_file() for path in result.files)
    rows = rows_of(folder / "models.csv")
    assert [(r["ID"], r["MODEL"]) for r in rows[:2]] == [("a", BUELGA), ("a", "buelga-in-micrograms")]
    assert float(rows[2]["PRIOR_WEIGHT"]) == 0.5
    assert float(rows[0]["WEIGHT"]) == pytest.approx(result.compared.weight[0, 0], rel=1e-5)
    assert [r["MODEL"] for r in rows_of(folder / "quantities.csv")[:4]][-1] == "average"
    assert len(rows_of(folder / "forecasts.csv")) == 20


@pytest.mark.long
def test_with_one_drug_nothing_else_is_written(run):
    """The files and columns of a single model are what they were; a library adds a table of its draws."""
    Path("v.csv").write_text(LEVELS)
    done = run("estimate", "--drug", BUELGA, "--data", "v.csv", "--output-dir", "one")
    assert done.code == 0, done.err
    names = {p.name for p in Path("one").iterdir()}
    assert names >= {"estimates.csv", "predictions.csv", "predicted_vs_measured.png", "courses_concentration.png"}
    assert not names & {"models.csv", "forecasts.csv", "posterior.csv"}

    done = run("estimate", "--drug", BUELGA, "--data", "v.csv", "--posterior", "library", "--output-dir", "library")
    assert done.code == 0, done.err
    (row, _) = rows_of("library/posterior.csv")
    assert (row["ID"], row["POSTERIOR"], row["MOVES"]) == ("a", "library", "0")
    assert float(row["EFFECTIVE"]) == float(row["EFFECTIVE_UNMOVED"]) > 512
    laplace, library = (
        {r["NAME"]: (float(r["LOW90"]), float(r["HIGH90"])) for r in rows_of(f"{d}/estimates.csv") if r["ID"] == "a"}
        for d in ("one", "library")
    )
    for name, (low, high) in laplace.items():
        np.testing.assert_allclose(library[name], (low, high), atol=(high - low) / 6)


@pytest.mark.long
def test_the_screen_shows_weights_and_averages(run):
    """With the evidence by draws, which counts where there are any."""
    Path("v.csv").write_text(LEVELS)
    done = run(
        "estimate", "--drug", BUELGA, "--drug", THOMSON, "--data", "v.csv", "--weight", f"{THOMSON}=3",
        "--posterior", "library", "--output-dir", "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = rows_of("out/models.csv")
    for row in rows:
        assert float(row["LOG_EVIDENCE_SAMPLED"]) == pytest.approx(float(row["LOG_EVIDENCE_LAPLACE"]), abs=0.35)
        assert f"{float(row['LOG_EVIDENCE_SAMPLED']):.2f}" in done.out
        assert f"{float(row['WEIGHT']):.3f}" in done.out
    odds = np.exp(float(rows[1]["LOG_EVIDENCE_SAMPLED"]) - float(rows[0]["LOG_EVIDENCE_SAMPLED"])) * 3.0
    assert float(rows[1]["WEIGHT"]) / float(rows[0]["WEIGHT"]) == pytest.approx(odds, rel=1e-3)
    assert "How well each model predicted the levels" in done.out
    assert "auc24 of concentration (mg h/L)" in done.out
    assert "research and education only" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--drug", BUELGA, "--weight", f"{BUELGA}=2"), "--weight weighs models against each other: give --drug more"),
        (("--drug", BUELGA, "--drug", BUELGA), "two models are called 'vancomycin-buelga2005'"),
        (("--drug", BUELGA, "--drug", THOMSON, "--weight", "goti=2"), "unknown model of a weight 'goti'"),
        (("--drug", BUELGA, "--drug", THOMSON, "--weight", f"{BUELGA}=-1"), "must be above 0, not -1"),
        (("--drug", BUELGA, "--drug", THOMSON, "--weight", f"{BUELGA}"), "--weight must be a model, an equals sign"),
        (("--drug", BUELGA, "--drug", THOMSON, "--weight", f"{BUELGA}=x"), "--weight must be a model, an equals sign"),
        (("--drug", BUELGA, "--drug", THOMSON, "--occasions"), "has inter-occasion variability: leave the occasions"),
        (
            ("--drug", BUELGA, "--drug", THOMSON, "--posterior", "nuts"),
            "posterior nuts needs blackjax, which is not installed",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(run, options, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    Path("v.csv").write_text(LEVELS)
    done = run("estimate", *options, "--data", "v.csv", "--output-dir", "out")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not Path("out").exists()


def test_models_of_different_quantities_are_refused_by_name(tmp_path):
    """A concentration is not an INR. What is no drug model is named too."""
    (tmp_path / "v.csv").write_text(LEVELS)
    drug = load_drug(BUELGA)
    output = drug.outputs[0]
    error = dataclasses.replace(output.residual, additive=dataclasses.replace(output.residual.additive, unit="1"))
    effect = dataclasses.replace(output, name="inr", unit="1", value=lambda state, p: p["cl"], residual=error)
    effect = dataclasses.replace(effect, auc_scale=None)
    inr = dataclasses.replace(drug, name="inr-model", outputs=(effect,), targets=())
    with pytest.raises(
        ConfigError, match=r"vancomycin-buelga2005 predicts 'concentration' in 'mg/L', inr-model .*'inr' in '1'"
    ):
        rldd.estimate([BUELGA, inr], tmp_path / "v.csv", **QUIET)
    with pytest.raises(ConfigError, match="no drug was given"):
        rldd.estimate([], tmp_path / "v.csv", **QUIET)
    with pytest.raises(ConfigError, match="drug must be a name, a file, a value of class DrugModel, or a list"):
        rldd.estimate([BUELGA, 3], tmp_path / "v.csv", **QUIET)
    with pytest.raises(UnknownNameError, match="vancomycin-buelga2006"):
        rldd.estimate([BUELGA, "vancomycin-buelga2006"], tmp_path / "v.csv", **QUIET)


def test_draws_that_cannot_be_relied_on_are_doubted():
    """Few effective draws, chains that do not agree (also where R-hat is not a number), transitions that diverged."""
    zeros = np.zeros((4, 1))
    few, many = (Posterior(zeros, zeros, np.float64(size)) for size in (12.0, 800.0))
    assert doubts(Drawn(many, unmoved=np.float64(3.0))) == []
    assert "12 effective draws" in doubts(Drawn(few, unmoved=np.float64(3.0)))[0]
    assert doubts(Drawn(many, rhat=np.float64(1.01), divergent=np.int32(0))) == []
    for rhat in (1.2, np.nan):
        assert "do not agree" in doubts(Drawn(many, rhat=np.float64(rhat), divergent=np.int32(0)))[0]
    assert "3 transitions" in doubts(Drawn(many, rhat=np.float64(1.0), divergent=np.int32(3)))[0]


def test_a_mixture_by_hand():
    """Weights 0.8 and 0.2 of a point at 1 and a point at 3: mean 1.4, the 5th percentile 1, the 95th 3."""
    mean, low, high = mixture([np.ones((10, 1)), np.full((40, 1), 3.0)], np.array([0.8, 0.2]))
    np.testing.assert_allclose([mean[0], low[0], high[0]], [1.4, 1.0, 3.0])
    assert np.isnan(mixture([np.ones((2, 1)), np.ones((2, 1))], np.array([np.nan, 1.0]))[0]).all()


@pytest.mark.long
def test_the_last_dosing_interval():
    """By its II; otherwise since the dose before; otherwise the usual one; none without a dose."""

    def window(*doses):
        make_regimen(list(doses), load_drug(BUELGA).structure)
        return window_of(PatientData("a", doses, None, None), 12.0)

    assert window(Dose(0, 100, interval_h=8.0, additional=3)) == (24.0, 32.0)
    assert window(Dose(0, 100), Dose(30, 100)) == (30.0, 60.0)
    assert window(Dose(5, 100)) == (5.0, 17.0)
    assert window(Dose(0, 100, interval_h=6.0, steady_state=1)) == (0.0, 6.0)
    assert window_of(PatientData("a", (), None, None), 12.0) is None

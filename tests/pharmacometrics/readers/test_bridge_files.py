"""Sidecars, imported drug files, and commands that take a model file for a drug."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import rl_drug_dosage
from rl_drug_dosage import cli
from rl_drug_dosage.errors import BadPluginError, ConfigError, OutputError, UnknownNameError
from rl_drug_dosage.pharmacometrics.readers import files
from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.drug_file import drug_file
from rl_drug_dosage.pharmacometrics.readers.expressions import Name
from rl_drug_dosage.pharmacometrics.readers.sidecar import (
    MissingWordsError,
    OutputWords,
    Sidecar,
    Units,
    read_sidecar,
)
from rl_drug_dosage.pharmacometrics.readers.written import ReadError, WrittenError
from rl_drug_dosage.pkpd import Dose, LogNormal, every, make_covariates, make_regimen, predict
from rl_drug_dosage.registry import DRUG, find, load_drug, load_scenario

_spec = importlib.util.spec_from_file_location("hand_written", Path(__file__).with_name("hand_written.py"))
hand = importlib.util.module_from_spec(_spec)
sys.modules["hand_written"] = hand
_spec.loader.exec_module(hand)

ORAL = hand.written_model(
    """
    cl = tcl * (WT / 70) ** 0.75 * exp(e_cl + k_cl)
    ka = tka
    lag(depot) = 0.25
    d(depot) = -ka * depot
    d(central) = ka * depot - cl / v * central
    cp = central / v
    """,
    {"tcl": 5.0, "tka": 1.2, "v": 40.0, "s": 0.2},
    compartments=("depot", "central"),
    etas={"e_cl": 0.09},
    occasion_etas={"k_cl": 0.04},
    errors={"cp": WrittenError("prop", proportional=Name("s"))},
    covariates={"WT": ("kg", 70.0)},
)


@pytest.fixture
def model_file(tmp_path, monkeypatch):
    """A model file of a format that reads to `ORAL`; another one lacks its units."""
    lines = {"oral.mod": ORAL, "bare.mod": dataclasses.replace(ORAL, units={})}

    def read(path):
        return dataclasses.replace(lines[path.name], path=str(path), name=path.stem, files=(str(path),))

    module = type(sys)("written_by_hand")
    module.read = read
    monkeypatch.setitem(sys.modules, f"{files.__name__.rpartition('.')[0]}.{files.READERS['.mod']}.reader", module)
    for name in lines:
        (tmp_path / name).write_text("$PROBLEM nothing of this is looked at\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "oral.mod"


SIDECAR = """
drug = "oral"
title = "An oral drug"
limits_of_use = ["for tests"]

[units]
time = "h"
dose = "mg"

[covariates.WT]
name = "wt_kg"
low = 40
high = 120
typical = 75
distribution = {kind = "log-normal", median = 75, log_sd = 0.2}

[outputs.cp]
name = "concentration"
unit = "mg/L"

[dosing]
routes = [{name = "tablet", compartment = "depot"}]
amounts_mg = {from = 50, to = 200, step = 50}
intervals_h = [12, 24]
usual_dose_mg = 100
source = "own"

[[targets]]
output = "concentration"
metric = "trough"
low = 1.0
high = 2.0
unit = "mg/L"
source = "own"
"""


def test_a_sidecar_says_what_the_file_does_not(model_file):
    (model_file.parent / "bare.toml").write_text(SIDECAR)
    found = find(DRUG, "bare.mod")
    model = found.value
    assert found.name == "bare"
    assert {file.name for file in found.source.files} == {"bare.mod", "bare.toml"}
    assert [c.name for c in model.covariates] == ["wt_kg"]
    assert isinstance(model.covariates[0].distribution, LogNormal)
    assert model.covariates[0].source == "bare.toml; bare.mod"
    assert model.dosing.amounts_mg == (50.0, 100.0, 150.0, 200.0)
    assert model.dosing.routes[0].compartment == "depot"
    assert model.targets[0].output == model.outputs[0].name == "concentration"
    assert model.title == "An oral drug"
    assert model.limits_of_use[0] == "for tests"
    assert model.typical(wt_kg=70.0)["cl"] == pytest.approx(5.0)
    assert load_drug("bare.mod") == model


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[units]\ntime = 3", ConfigError, "time must be a text in quotes, not 3"),
        ("[units]\ntim = 'h'", UnknownNameError, "did you mean 'time'"),
        ("[covariates.WGT]\ntypical = 70", UnknownNameError, "did you mean 'WT'"),
        ("[outputs.cc]\nunit = 'mg/L'", UnknownNameError, "known: cp"),
        ("[covariates.WT]\ntypical = '70'", ConfigError, "typical must be a number"),
        ("[units]\nmolar_mass_g_per_mol = -1", ConfigError, "allowed: a number above 0"),
        ("compartment = 'gut'", ConfigError, "allowed: depot, central"),
        ("title = ", ConfigError, "is no TOML"),
        ("path = 'x'", UnknownNameError, "unknown key"),
        ("[outputs.cp]\nresidual = 'some'", ConfigError, "allowed: typical, none"),
        (SIDECAR.replace('output = "concentration"', 'output = "c"'), ConfigError, "a target on 'c'"),
        (SIDECAR.replace("step = 50", "step = 40"), ConfigError, "whole number of steps"),
    ],
)
def test_a_wrong_sidecar_is_refused(model_file, text, error, message):
    model_file.with_suffix(".toml").write_text(text)
    with pytest.raises(error, match=message):
        load_drug(model_file)


def test_lines_that_were_copied_without_values_are_asked_for_again(model_file):
    (bare := model_file.with_name("bare.toml")).write_text("")
    with pytest.raises(MissingWordsError) as caught:
        load_drug("bare.mod")
    lines = "\n".join(caught.value.below)
    bare.write_text(lines)
    with pytest.raises(MissingWordsError) as again:
        load_drug("bare.mod")
    assert again.value.below == caught.value.below
    for key, value in {"time": "h", "dose": "mg", "unit": "mg/L"}.items():
        lines = lines.replace(f'{key} = "?"', f'{key} = "{value}"')
    bare.write_text(lines)
    assert load_drug("bare.mod").typical()["cl"] == pytest.approx(5.0)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "x.cpp").write_text("")
    with pytest.raises(BadPluginError, match=r"a \.cpp file, but a drug is read from .*\.R.*\.json5.*\.mod"):
        load_drug(tmp_path / "x.cpp")
    with pytest.raises(ReadError, match=r"no model is read from \.cpp; supported: \.r"):
        files.read_written(tmp_path / "x.cpp")


IMPORTED = {
    "vancomycin": (hand.VANCOMYCIN, Sidecar()),
    "tobramycin": (hand.TOBRAMYCIN, Sidecar()),
    "tacrolimus": (hand.TACROLIMUS, Sidecar()),
    "warfarin": (hand.WARFARIN, Sidecar(outputs={"inr": OutputWords(unit="1")})),
    "oral": (ORAL, Sidecar()),
    "in other units": (
        dataclasses.replace(ORAL, units={"time": "day", "dose": "nmol", "concentration": "nM"}),
        Sidecar(units=Units(molar_mass_g_per_mol=400.0)),
    ),
    "time and start": (
        hand.written_model(
            """
            w2 = WT / (2 + WT * WT) * (3 - (WT - 60) / 7) / (1 + log(WT) * 0.3 + sqrt(WT) / (5 + WT / 9 + kin * 3))
            start(b) = kin
            r = kin if t > 5 else 2 * kin
            d(a) = -0.1 * a
            d(b) = r - b * (1 + a * w2)
            level = b + t
            """,
            {"kin": 3.0},
            compartments=("a", "b"),
            outputs={"level": "level"},
            covariates={"WT": ("kg", 70.0)},
            units={"time": "min", "dose": "ug"},
        ),
        Sidecar(),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", IMPORTED)
def test_an_imported_drug_file_predicts_the_same(name, tmp_path):
    written, told = IMPORTED[name]
    path = tmp_path / "mine.py"
    with jax.enable_x64(True):
        model = drug_model(written, told)
        path.write_text(drug_file(model, written))
        mine = load_drug(path)
        values = {
            c.name: 0.9 * c.typical if c.unit not in {"0/1", "code", "count"} else c.typical for c in mine.covariates
        }
        eta, kappa = jnp.linspace(-0.3, 0.4, len(mine.etas)), jnp.full((1, len(mine.occasion_etas)), 0.1)
        times = jnp.array([0.05, 1.0, 6.0, 12.0, 20.0])
        found = []
        for drug in (mine, model):
            regimen = make_regimen(every(Dose(0.0, 10.0, duration_h=0.0), 12.0, 2), drug.structure)
            found.append(predict(drug, regimen, make_covariates(drug, values), times, eta, kappa))
    np.testing.assert_allclose(*found, rtol=1e-12)
    ruff = Path(sys.executable).with_name("ruff")
    checked = subprocess.run(
        [ruff, "format", "--isolated", "--line-length", "120", "--diff", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    for field in ("name", "thetas", "etas", "correlations", "occasion_etas", "covariates", "targets", "dosing"):
        assert getattr(mine, field) == getattr(model, field)


def test_a_text_of_a_file_cannot_become_code(tmp_path):
    """Quotes, line ends and braces in labels stay texts."""
    nasty = 'a"""\n\'; import os\\ {x} \u2028 % \x00 é'
    numbers = tuple(dataclasses.replace(n, label=nasty) for n in ORAL.thetas)
    written = dataclasses.replace(ORAL, thetas=numbers, facts={"description": nasty, "reference": nasty})
    path = tmp_path / "mine.py"
    path.write_text(drug_file(drug_model(written), written), encoding="utf-8")
    assert load_drug(path).thetas["tcl"].meaning == nasty


def test_import_shows_and_writes(model_file):
    run = CliRunner().invoke(cli.app, ["import", "oral.mod"])
    assert run.exit_code == 0, run.output
    for said in ("e_cl", "cl, lognormal, each occasion anew", "depot, central", "complete"):
        assert said in run.output
    run = CliRunner().invoke(cli.app, ["import", "bare.mod"])
    assert run.exit_code == 0, run.output
    assert 'time = "?"' in run.output
    found = rl_drug_dosage.import_model("oral.mod", "mine.py")
    assert found.path == Path("mine.py")
    assert load_drug("./mine.py").typical() == pytest.approx(found.model.typical())
    with pytest.raises(OutputError, match=r"mine\.py exists"):
        rl_drug_dosage.import_model("oral.mod", "mine.py")
    with pytest.raises(ConfigError, match=r"ends in \.py"):
        rl_drug_dosage.import_model("oral.mod", "mine.txt")
    with pytest.raises(MissingWordsError):
        rl_drug_dosage.import_model("bare.mod", "other.py")
    assert not Path("other.py").exists()


def test_the_command_line_shows_the_lines_to_add(model_file, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["rl-drug-dosage", "info", "--drug", "bare.mod"])
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().err.splitlines()
    assert "bare.mod does not say 3 things" in lines[0]
    assert [line for line in lines if line.startswith("[")] == ["[units]", "[outputs.cp]"]


@pytest.mark.long
def test_doses_that_no_file_names_have_to_be_given(model_file):
    with pytest.raises(ConfigError, match="dose_mg is missing, and oral names no doses"):
        rl_drug_dosage.simulate("oral.mod", patients=2, progress=False)
    found = rl_drug_dosage.simulate("oral.mod", patients=2, dose_mg=100.0, interval_h=12.0, progress=False)
    assert len(found.columns()["ID"])
    assert found.warnings == ("every patient has WT = 70 kg: oral states no distribution; give it in its .toml",)
    given = rl_drug_dosage.simulate(
        "oral.mod", patients=2, dose_mg=100.0, interval_h=12.0, covariates={"WT": 80.0}, progress=False
    )
    assert given.warnings == ()


TASK = """
drug = "oral.mod"
title = "A file of somebody else"
[schedule]
interval_h = 12
decisions = 3
output_times_h = [6, 12]
[dosage]
amounts = [50, 100, 150]
usual = 100
[monitoring]
at_h = [12]
source = "own"
[goal]
title = "trough 1-2"
[[goal.targets]]
metric = "trough"
low = 1
high = 2
unit = "mg/L"
source = "own"
"""


def test_a_scenario_file_may_name_a_model_file(model_file):
    (model_file.parent / "task.toml").write_text(TASK)
    with pytest.raises(ConfigError, match="its drug states no range"):
        load_scenario("task.toml")
    model_file.with_suffix(".toml").write_text("[covariates.WT]\nlow = 40\nhigh = 120\n")
    found = rl_drug_dosage.registry.find_scenario("task.toml")
    assert found.value.drugs[0].name == "oral"
    assert {f.name for f in found.source.files} == {"task.toml", "oral.mod", "oral.toml"}


def test_no_sidecar_says_nothing(tmp_path):
    assert read_sidecar(tmp_path / "x.R") == Sidecar()


@pytest.mark.long
def test_a_model_file_passes_the_quick_checks(model_file):
    """What a file does not say is a doubt; the laws are held to nevertheless."""
    report = rl_drug_dosage.check_drug("oral.mod")
    assert report.ok, report.failures
    assert not report.skipped

"""``rl-drug-dosage check``: what is somebody's file, does it keep its contract, and how does it look."""

import textwrap
from pathlib import Path

import matplotlib.image
import pytest
from typer.testing import CliRunner

from rl_drug_dosage.cli import app
from rl_drug_dosage.errors import BadPluginError, ConfigError, UnknownNameError

GOOD = """
import dataclasses
from rl_drug_dosage.drugs.gentamicin_staatz2005 import DRUG as published
from rl_drug_dosage.scenarios.aminoglycoside_v2 import SCENARIO as task
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition
"""


@pytest.fixture
def check(tmp_path):
    """Runs the command in a folder of its own; an error of ours comes back as it is."""

    def run(*arguments):
        result = CliRunner().invoke(app, ["check", *map(str, arguments), "--output-dir", str(tmp_path / "new" / "out")])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def file(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(GOOD + textwrap.dedent(text))
        return path

    return write


def picture(tmp_path, name):
    return matplotlib.image.imread(tmp_path / "new" / "out" / f"check-{name}.png")


@pytest.mark.long
def test_a_drug_of_ones_own_is_checked_and_drawn(check, file, tmp_path):
    result = check(file('DRUG = dataclasses.replace(published, name="gentamicin-mine")'))

    assert result.exit_code == 0
    assert "drug gentamicin-mine (" in result.stdout
    assert "passed  mass balance holds" in result.stdout
    assert "17 passed, 0 failed, 0 warnings, 0 not run" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("check-gentamicin-mine.png")
    assert picture(tmp_path, "gentamicin-mine").std() > 0


def test_a_fault_is_said_with_its_field_and_ends_with_1(check, file, tmp_path):
    text = """
    dosing = dataclasses.replace(published.dosing, usual_dose_mg=181.0)
    DRUG = dataclasses.replace(published, dosing=dosing)
    """
    result = check(file(text))

    assert result.exit_code == 1
    assert "FAILED  doses can be prescribed" in result.stdout
    assert "dosing.usual_dose_mg: 181 mg is not on the grid; allowed: one of amounts_mg" in result.stdout
    assert "not run typical patient stays finite" in result.stdout
    assert not list((tmp_path / "new" / "out").iterdir())


SIDECAR = """
[units]
time = "h"
dose = "mg"
concentration = "mg/L"
[covariates.WT]
unit = "kg"
typical = 1.5
low = 0.5
high = 6.0
[covariates.CR]
unit = "mg/dL"
typical = 0.6
low = 0.3
high = 2.0
[covariates.PMA]
unit = "week"
typical = 34.0
low = 24.0
high = 50.0
[covariates.CL_HEMO]
unit = "L/h"
typical = 0.0
low = 0.0
high = 1.0
"""


@pytest.mark.long
def test_a_model_that_was_read_from_a_file_is_checked_and_drawn(check, tmp_path):
    """A newborn clears 0.1 L/h: the file's AUC compartment grows beyond the dose, and is no amount."""
    name = "pk_vanco_dao"
    model = Path(__file__).parents[1] / "reference" / "pkpdsim" / f"{name}.json5"
    path = tmp_path / model.name
    path.write_bytes(model.read_bytes())
    path.with_suffix(".toml").write_text(SIDECAR)
    result = check(path)

    assert result.exit_code == 0, result.stdout
    assert "passed  mass is not made" in result.stdout
    assert "passed  levels fit the doses" in result.stdout
    # One line for all fields of which the same is said.
    assert "thetas.CL.unit, thetas.V.unit, thetas.ruv_prop.unit, thetas.ruv_add.unit: not stated" in result.stdout
    assert picture(tmp_path, "pk-vanco-dao").std() > 0


@pytest.mark.long
def test_a_scenario_is_checked_and_drawn(check, tmp_path):
    result = check("aminoglycoside")

    assert result.exit_code == 0
    assert "scenario aminoglycoside (rl_drug_dosage.scenarios.aminoglycoside_v2)" in result.stdout
    assert picture(tmp_path, "aminoglycoside").std() > 0


@pytest.mark.long
def test_a_policy_is_checked_in_a_scenario(check, file, tmp_path):
    text = """
    class Mine(Policy):
        def init(self, record, truth=None):
            return ()
        def act(self, memory, observation, key):
            return 2.0 * observation.facts()["wt_kg"], memory
    POLICY = PolicyDefinition("2 mg/kg", lambda setting: Mine())
    """
    result = check(f"two={file(text)}", "--scenario", "aminoglycoside")

    assert result.exit_code == 0
    assert "policy two (" in result.stdout
    assert picture(tmp_path, "two").std() > 0


@pytest.mark.long
def test_no_figure_where_none_is_wanted(check, tmp_path):
    assert check("label", "--scenario", "aminoglycoside", "--no-figure").exit_code == 0
    assert not list((tmp_path / "new" / "out").iterdir())


@pytest.mark.long
def test_what_a_file_is_can_be_said_where_it_is_several_things(check, file):
    path = file("DRUG, SCENARIO = published, task")

    with pytest.raises(ConfigError, match="can be a drug and a scenario: choose one with --kind"):
        check(path)
    assert "drug gentamicin-staatz2005" in check(path, "--kind", "drug", "--no-figure").stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["gentamycin-staatz2005"], UnknownNameError, "did you mean 'gentamicin-staatz2005'"),
        (["./nowhere.py"], UnknownNameError, "there is no such file"),
        (["label"], ConfigError, "name one with --scenario"),
        (["aminoglycoside", "--scenario", "vancomycin"], ConfigError, "leave --scenario out"),
        (["aminoglycoside", "--kind", "task"], UnknownNameError, "unknown kind 'task'"),
        (["math:pi"], BadPluginError, "must be a DrugModel, not float"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_one_line(check, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        check(*arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X = 1", "defines none of DRUG"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("DRUG = 3", "must be a DrugModel, not int"),
        ("SCENARIO = dataclasses.replace(task, shield=type(task.shield)(dose_mg=3))", "'dose_mg'"),
        (
            "DRUG = dataclasses.replace(published, etas=(dataclasses.replace(published.etas[0], parameter='x'),))",
            r"etas\[0\]\.parameter is 'x'",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(check, file, text, message):
    with pytest.raises((BadPluginError, ConfigError), match=message):
        check(file(text))

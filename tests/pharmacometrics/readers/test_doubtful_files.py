"""Model files that read well and could mislead: where doses go, units off by a thousand, side files that are none."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.readers.sidecar import MissingWordsError
from rl_drug_dosage.pharmacometrics.readers.written import ReadError
from rl_drug_dosage.pkpd import LinearSystem

QUIET = {"progress": False}


def model(body: str, *, name: str = "one", dose: str = "mg", level: str = "mg/L", volume: float = 35) -> str:
    return f"""
{name} <- function() {{
  units <- list(time = "h", dosing = "{dose}", concentration = "{level}")
  ini({{ lcl <- log(4); lvc <- log({volume}); label("volume (L)"); eta ~ 0.09; s <- 0.15 }})
  model({{
    cl <- exp(lcl + eta); vc <- exp(lvc)
    {body}
    cp ~ prop(s)
  }})
}}
"""


CENTRAL = "d/dt(central) <- -cl / vc * central\n cp <- central / vc"
GUT_LATER = "d/dt(met) <- 0.1 * central - 0.2 * met\n d/dt(central) <- -cl / vc * central\n cp <- central / vc"
SINK = "d/dt(urine) <- cl / vc * drug\n d/dt(drug) <- -cl / vc * drug\n cp <- drug / vc"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("body", "named"), [(GUT_LATER, "central"), (SINK, "urine, drug")])
def test_doses_are_not_guessed_into_a_compartment_that_cannot_be_meant(place, body, named):
    (place / "m.R").write_text(model(body))
    with pytest.raises(MissingWordsError, match=f"compartment = .*that doses enter: {named}"):
        rldd.load_drug("m.R")

    (place / "m.toml").write_text(f'compartment = "{named.split(", ")[-1]}"\n')
    drug = rldd.load_drug("m.R")
    assert drug.dosing.routes[0].compartment == "central"


@pytest.mark.parametrize(
    ("dose", "level", "volume"), [("mg", "ng/mL", 3.5), ("mg", "ng/mL", 29), ("ug", "mg/L", 30), ("mg", "mg/mL", 40)]
)
def test_units_that_are_off_by_a_thousand_are_asked_about(place, dose, level, volume):
    (place / "m.R").write_text(model(CENTRAL, dose=dose, level=level, volume=volume))
    with pytest.raises(MissingWordsError, match="makes the central volume"):
        rldd.load_drug("m.R")

    (place / "m.toml").write_text(f'[outputs.cp]\nunit = "{level}"\n')
    assert rldd.load_drug("m.R").outputs[0].unit == level


@pytest.mark.long
def test_an_offset_in_the_output_leaves_the_course_finite(place):
    """The output is no content over a volume, so that there is no AUC; contents and levels are as without it."""
    plain, offset = (model(CENTRAL + more) for more in ("", " + 2.5"))
    (place / "plain.R").write_text(plain)
    (place / "offset.R").write_text(offset)
    asked = {"dose_mg": 100, "interval_h": 12, "days": 2, "patients": 3, "seed": 1, **QUIET}
    first, second = (rldd.simulate(name, **asked) for name in ("plain.R", "offset.R"))
    trough = [next(r for r in one.summary if "trough" in r.name).median for one in (first, second)]
    assert trough[1] == pytest.approx(trough[0] + 2.5, rel=1e-5)


def test_a_linear_system_without_a_volume_has_no_area_and_finite_contents():
    system = LinearSystem(("central", "side"), lambda p: jnp.asarray([[-p["k"], 0.0], [p["k"], -0.1]]), ("k",))
    with jax.enable_x64(True):
        prepared = system.prepare({"k": jnp.asarray(0.3)})
        x, area = system.advance(prepared, jnp.asarray([10.0, 0.0]), None, jnp.zeros(()), jnp.asarray(2.0), auc=True)
    assert float(x[0]) == pytest.approx(10.0 * np.exp(-0.6), rel=1e-12)
    assert np.isnan(area)


@pytest.mark.long
def test_models_that_name_no_doses_are_averaged(place):
    (place / "a.R").write_text(model(CENTRAL))
    (place / "b.R").write_text(model(CENTRAL, name="two", volume=45))
    (place / "d.csv").write_text("ID,TIME,AMT,DV\n1,0,100,.\n1,12,100,.\n1,20,.,1.1\n")
    found = rldd.estimate(["a.R", "b.R"], "d.csv", output_dir="out", **QUIET)
    assert {path.name for path in found.files} >= {"models.csv", "forecasts.csv", "quantities.csv"}
    with pytest.raises(ConfigError, match="names no doses: give intervals_h"):
        rldd.dose("a.R", "d.csv", target="auc24 400-600", amounts_mg=[100], **QUIET)


def test_what_is_no_regular_file_is_refused_at_once(place):
    os.mkfifo("fifo.R")
    (place / "zero.R").symlink_to("/dev/zero")
    for name in ("fifo.R", "zero.R"):
        with pytest.raises(ReadError, match="regular files"):
            rldd.load_drug(name)


@pytest.mark.parametrize("kind", ["deep", "loop", "folder", "large"])
def test_a_sidecar_that_cannot_be_read_is_no_missing_one(place, kind):
    (place / "m.R").write_text(model(CENTRAL))
    beside = place / "m.toml"
    match kind:
        case "deep":
            beside.write_text("a = " + "[" * 20_000)
        case "loop":
            beside.symlink_to(beside)
        case "folder":
            beside.mkdir()
        case _:
            beside.write_text("# " + "x" * 1_100_000)
    with pytest.raises(ConfigError, match=r"m\.toml is"):
        rldd.load_drug("m.R")


def test_a_sidecar_may_widen_what_is_possible(place):
    (place / "m.R").write_text(model(CENTRAL.replace("vc * central\n", "vc * (WT / 0.025) * central\n")))
    (place / "m.toml").write_text('[covariates.WT]\nunit = "kg"\ntypical = 0.025\n')
    with pytest.raises(ConfigError, match="possible"):
        rldd.load_drug("m.R")
    (place / "m.toml").write_text('[covariates.WT]\nunit = "kg"\ntypical = 0.025\npossible = [0.001, 1]\n')
    assert rldd.load_drug("m.R").covariates[0].bounds == (0.001, 1)

"""Numbers with units at the border: converted exactly and said so, refused by name, asked about without a unit."""

import contextlib
import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.bedside.drug_words import CREATININE, words_of
from rl_drug_dosage.bedside.quantities import Asked, read_quantity
from rl_drug_dosage.bedside.unit_words import FOR_KIND, kind_of, parse_unit, plain_factor
from rl_drug_dosage.bedside.written import read_written
from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Param

SCR = Asked("creatinine", "mg/dL", 0.1, 5.0, "the published range of x", molar_mass=CREATININE, substance="creatinine")
WEIGHT = Asked("weight", "kg", 33.0, 255.0)
HEIGHT = Asked("height", "cm", 140.0, 220.0)
LEVEL = Asked("level", "mg/L", molar_mass=MOLAR_MASSES["vancomycin"], substance="vancomycin")
DOSE = Asked("dose", "mg", 250.0, 3000.0)
HEPARIN = Asked("dose", "mg", 1.0, 60.0, activity=Param(100.0, "IU/mg", "test", "test"), substance="heparin")
UNITS = [unit.partition(" ")[0] for kind, units in FOR_KIND.items() if kind != "temperature" for unit in units]


@pytest.mark.parametrize(
    ("written", "asked", "value", "note"),
    [
        ("88.4 µmol/L", SCR, 1.0, "creatinine 88.4 µmol/L = 1 mg/dL"),
        ("1.0 mg/dl", SCR, 1.0, ""),
        ("180 lb", WEIGHT, 81.6466266, "weight 180 lb = 81.6466 kg"),
        ("5 ft 11 in", HEIGHT, 180.34, "height 5 ft 11 in = 180.34 cm"),
        ("71 inches", HEIGHT, 180.34, "height 71 inches = 180.34 cm"),
        ("7 lb 4 oz", WEIGHT, 3.2885446825, "weight 7 lb 4 oz = 3.28854 kg"),
        ("25.3 mcg/mL", LEVEL, 25.3, "level 25.3 mcg/mL = 25.3 mg/L"),
        ("12000 ng/mL", LEVEL, 12.0, "level 12000 ng/mL = 12 mg/L"),
        ("10 umol/L", LEVEL, 14.4927, "level 10 umol/L = 14.4927 mg/L"),
        ("10000 nM", LEVEL, 14.4927, "level 10000 nM = 14.4927 mg/L"),
        ("1 g", DOSE, 1000.0, "dose 1 g = 1000 mg"),
        ("2000 IU", HEPARIN, 20.0, "dose 2000 IU = 20 mg"),
        ("55 mL/min", Asked("crcl", "L/h", 1.0, 9.0), 3.3, "crcl 55 mL/min = 3.3 L/h"),
        ("98.6 °F", Asked("temperature", "degC", 35.0, 42.0), 37.0, "temperature 98.6 °F = 37 degC"),
        ("45 %", Asked("hematocrit", "1", 0.2, 0.5), 0.45, "hematocrit 45 % = 0.45"),
        ({"value": 80, "unit": "kg"}, WEIGHT, 80.0, ""),
        ((80, "kg"), WEIGHT, 80.0, ""),
        (80, WEIGHT, 80.0, "weight 80 without a unit read as kg"),
    ],
)
def test_a_quantity_is_converted_and_the_conversion_is_said(written, asked, value, note):
    read = read_quantity(written, asked, "f")

    assert read.value == pytest.approx(value, rel=1e-12 if value != 14.4927 else 1e-6)
    assert read.note == note


@pytest.mark.parametrize(
    ("written", "asked", "said"),
    [
        (
            88,
            SCR,
            "88 has no unit, and creatinine of 0.1 to 5 mg/dL is in the published range of x; did you mean 88 µmol/L?",
        ),
        (1, DOSE, "did you mean 1 g?"),
        (1.8, HEIGHT, "did you mean 1.8 m?"),
        (400, WEIGHT, "did you mean 400 lb?"),
        (5000, HEPARIN, "did you mean 5000 IU?"),
        (0.45, Asked("hematocrit", "%", 20, 50), "did you mean 45 %?"),
        (12.1, LEVEL, "12.1 has no unit; write it, such as '12.1 mg/L'"),
        ("1 mg", SCR, "1 mg is a mass; creatinine is in mg/dL; allowed: g/L, mg/L"),
        ("15 mg/kg", DOSE, "15 mg/kg is another quantity; dose is in mg"),
        ("5 mL/min/1.73 m²", Asked("crcl", "mL/min", 10, 200), "is a flow per body surface; crcl is in mL/min"),
        ("1 MG/DL", SCR, "did you mean 'mg/dL'?"),
        ("1 Mg", DOSE, "'Mg' in '1 Mg' is no known unit; did you mean 'mg'?"),
        ("2000 IU", DOSE, "2000 IU is an activity; dose is in mg"),
        (
            "10 µmol/L",
            Asked("level", "mg/L", substance="infliximab"),
            "needs the molar mass of infliximab, which its drug file",
        ),
        ("25,3 mg/L", LEVEL, "a comma may mean thousands or decimals"),
        (">80 mg/L", LEVEL, "a level above a limit cannot be used"),
        (float("nan"), WEIGHT, "nan is no finite number"),
        (float("inf"), WEIGHT, "inf is no finite number"),
        ("nan kg", WEIGHT, "is no number with a unit"),
        (True, WEIGHT, "True is no number"),
        (None, WEIGHT, "None is no number"),
        ("", WEIGHT, "is no number with a unit"),
        ("1e400 kg", WEIGHT, "no known unit"),
        ("1e99 kg", WEIGHT, "is too large for any quantity"),
        ("٣ kg", WEIGHT, "is no number with a unit"),
        ("9" * 200, WEIGHT, "is no number with a unit"),
        ("1 mg/100 mL", SCR, "no known unit"),
        ("7 kg^99999999", WEIGHT, "no known unit"),
        ({"value": 80, "units": "kg"}, WEIGHT, "unknown key 'units'; allowed: value and unit"),
        ({"value": "80 kg", "unit": "lb"}, WEIGHT, "has a unit, and another"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_with_the_field(written, asked, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read_quantity(written, asked, "levels[2].value")

    assert str(refused.value).startswith("levels[2].value: ")
    assert "\n" not in str(refused.value)


def test_below_the_limit_is_kept_as_such():
    read = read_quantity("<2 mg/L", LEVEL, "f")

    assert (read.value, read.below) == (2.0, True)


@given(st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_units_convert_within_a_kind_and_back_exactly(one, other):
    there, back = plain_factor(one, other), plain_factor(other, one)

    assert (there is None) == (kind_of(one) != kind_of(other))
    assert there is None or there * back == 1


@given(
    st.decimals(min_value="0.001", max_value="99999", places=3),
    st.sampled_from(["mg/L", "µg/mL", "ng/mL", "mg/dL", "g/L", "µmol/L", "nmol/L", "mmol/L"]),
)
def test_a_level_there_and_back_is_the_level(number, unit):
    """What is read in mg/L, written back in the unit by hand, is the number that was written."""
    read = read_quantity(f"{number} {unit}", LEVEL, "f")
    mass = Fraction(str(MOLAR_MASSES["vancomycin"].value))
    one = plain_factor("mg/L", unit) or plain_factor("g/L", "mg/L") ** -1 / mass * plain_factor("mol/L", unit)

    assert float(Fraction(read.value) * one) == pytest.approx(float(number), rel=1e-12)


@given(st.text(max_size=30))
def test_no_text_brings_anything_but_a_quantity_or_a_refusal(text):
    with contextlib.suppress(ConfigError):
        assert math.isfinite(read_quantity(text, DOSE, "f").value)


def test_every_unit_that_a_message_offers_is_read():
    assert all(parse_unit(unit) is not None for unit in UNITS)
    assert read_written("36.6 °C", "f").unit == "°C"


def test_molar_masses_are_those_of_the_printed_sources():
    """Sums of atomic weights against the number that each source prints: within a part in ten thousand."""
    for name, param in MOLAR_MASSES.items():
        printed = re.findall(r"\((\d+\.\d+)[),]", param.source)
        for number in map(float, printed):
            assert param.value == pytest.approx(number, rel=2e-4), name
        for factor in map(float, re.findall(r"\((\d+\.\d+) µmol/mg", param.source)):
            assert 1000.0 / param.value == pytest.approx(factor, rel=2e-3), name


def test_molar_units_are_read_for_a_drug_that_has_a_molar_mass_and_refused_for_one_that_has_not():
    """Infliximab's drug files name none."""
    vancomycin, infliximab = words_of("vancomycin-goti2018"), words_of("infliximab-fasanmade2009")
    asked = vancomycin.level(vancomycin.output(None, "f"))

    assert read_quantity("10 µmol/L", asked, "f").value == pytest.approx(14.4927, rel=1e-6)
    with pytest.raises(ConfigError, match="needs the molar mass of infliximab"):
        read_quantity("10 nmol/L", infliximab.level(infliximab.output(None, "f")), "f")

"""A cell is never a formula, a number stays a number, and what was written reads back."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.utils.csv_text import csv_text, guarded, plain

FORMULAS = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1+2",
    "-2+3",
    "@SUM(A1:A2)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "-",
    "+A1",
    "'=1",
)
NUMBERS = ("-1.5", "+2", "1e-5", "-.5", "-inf", "nan", "0", "12", "-7.")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_text(text):
    assert guarded(text) == f"'{text}"
    assert next(csv.reader(io.StringIO(csv_text([text], ())), strict=True))[0].startswith("'")


@pytest.mark.parametrize("text", [*NUMBERS, "", "P-01", "a=b", "'", "1-2", "O'Neil"])
def test_numbers_and_other_texts_are_untouched(text):
    assert guarded(text) == text


def test_numbers_are_written_in_full():
    written = csv_text(["a", "b"], [[-0.1, None], [3, True], [float("-inf"), "-3"]])

    assert written == "a,b\n-0.1,\n3,True\n-inf,-3\n"


@given(st.text(alphabet="'=+-@\t\r\n1e.aＡ＝", max_size=6) | st.text())
def test_every_text_reads_back(text):
    cell = next(csv.reader(io.StringIO(csv_text(["id"], [[text]]), newline=""), strict=True))
    assert cell == ["id"]
    rows = list(csv.reader(io.StringIO(csv_text(["id"], [[text, 1]]), newline=""), strict=True))

    assert plain(rows[1][0]) == text

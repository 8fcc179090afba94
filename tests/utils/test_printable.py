"""What is printed controls no terminal, and has an end."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.utils.printable import excerpt, printable


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_that_is_printed_controls_a_terminal(text):
    shown = printable(text)

    assert not {unicodedata.category(c) for c in shown.replace("\n", "")} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_escapes_are_written_out_and_words_stay():
    assert printable("a\x1b[31mb\x07\u202ec\U000e0001") == "a\\x1b[31mb\\x07\\u202ec\\U000e0001"
    assert printable("Ω → Größe µg/L\n²") == "Ω → Größe µg/L\n²"


def test_an_excerpt_keeps_both_ends():
    assert excerpt("abc", 3) == "abc"
    assert excerpt("a" * 500 + "b" * 500, 10) == "aaaaa [990 characters left out] bbbbb"

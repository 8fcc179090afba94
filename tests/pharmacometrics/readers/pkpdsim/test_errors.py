"""Files that are no PKPDsim models, or more than is read: one named error, at once, whatever came."""

import time
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.readers.pkpdsim.json5_text import parse
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.reader import read
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

FOLDER = Path(__file__).parents[3] / "reference" / "pkpdsim"


def refusal(path: Path) -> str:
    begin = time.process_time()
    with pytest.raises(ReadError) as caught:
        read(path)
    assert time.process_time() - begin < 2.0
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("code", "letter", "came"),
    [
        ("X = 1 +", 7, "the end of the code"),
        ("X = (1", 6, "the end of the code"),
        ("X = 1)", 5, "')'"),
        ("X = 1 2", 6, "'2'"),
        ("X = ", 4, "the end of the code"),
        ("for (i = 0; i < 3; i++) {}", 0, "'for ('"),
        ("X = pow(2)", 4, "pow() with 1 arguments"),
        ("X = min()", 8, "min() without arguments"),
        ("X = sample(2)", 4, "sample()"),
        ("CL = 3", 0, "CL gets a value"),
        ("WT = 3", 0, "WT gets a value"),
        ("t = 3", 0, "t gets a value"),
        ("X = prv_dose", 4, "'prv_dose'"),
        ("X = times[i]", 4, "'times'"),
        ("X = B[1]", 4, "B[...]"),
        ("A[1] = 3", 0, "A[...] = ..."),
        ("X = A[2]", 6, "compartment 2"),
        ("if (WT > 1) { X = 1", 19, "the end of the code"),
        ("if WT > 1", 3, "'WT'"),
        ("X = 1 ? 2", 9, "the end of the code"),
        ("X = @", 4, "'@'"),
        ("X = 1e999", 4, "1e999"),
        ("X = i++", 5, "'++'"),
    ],
)
def test_code_is_refused_by_line_and_column(code, letter, came, file_with):
    text = refusal(file_with(code))

    line, column, rest = text.split("own.json5:")[1].split(":", 2)
    assert (line, rest.split(";")[0].strip()) == ("10", came)
    # The code begins behind `pk_code: "`.
    assert int(column) == 11 + letter


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"code": "X = Y"}, "'Y' is read before it has a value"),
        ({"code": "X = kappa_CL"}, "iov.cv has no CL"),
        ({"ode": "X = 1"}, "no dAdt[0]"),
        ({"ode": r"dAdt[0] = 1 \n dAdt[1] = 1"}, "compartment 1; supported: 0 to 0"),
        ({"parameters": ""}, "no parameters"),
        ({"parameters": "{CL: NaN, V: 1, TH: 1}"}, "parameters.CL is nan"),
        ({"parameters": '{CL: "5", V: 1, TH: 1}'}, "parameters.CL is a text"),
        ({"parameters": '{CL: 5, V: 1, TH: 1, "a b": 2}'}, "the parameter 'a b'"),
        ({"fixed": '["TH", "XX"]'}, "fixed names 'XX'"),
        ({"omega_matrix": "[0.1, 0.2]"}, "omega_matrix of 2 numbers"),
        ({"omega_matrix": "[0.1, 0.2, 0.1]"}, "smallest eigenvalue -0.1"),
        ({"omega_matrix": "[0.1, 0, 0.1, 0, 0, 0.1]"}, "omega_matrix of 3 rows, and 2 parameters"),
        ({"omega_matrix": "", "iiv": "{TH: 0.1}"}, "iiv names 'TH'"),
        ({"iov": "{n_bins: 3}"}, "iov without cv"),
        ({"covariates": '["CL"]'}, "covariate 'CL'"),
        ({"n_comp": "0"}, "0 compartments"),
        ({"n_comp": "2"}, "no dAdt[1]"),
        ({"obs": '{cmt: 3, scale: "V"}'}, "obs.cmt is 3"),
        ({"obs": '{cmt: 1, scale: "Q"}'}, "obs reads 'Q'"),
        ({"obs": '{cmt: 1, scale: "V; X = 1"}'}, "obs.scale 'V; X = 1'"),
        ({"obs": '{variable: "C"}'}, "obs.variable 'C'"),
        ({"obs": '{variable: "C", scale: "V"}'}, "obs with scale and variable"),
        ({"ruv": "{prop: -1}"}, "ruv.prop is -1"),
        ({"ruv": "{prop: 1, exp: 2}"}, "ruv.exp with another error"),
        ({"ruv": "{prop: 1}", "ltbs": "true"}, "ltbs with a proportional error"),
        ({"dose": "{cmt: 2}"}, "dose.cmt is 2"),
        ({"dose": "{cmt: 1, duration_scale: 2}"}, "dose.duration_scale"),
        ({"mixture": "{CL: {values: [1, 2], probability: 0.3}}"}, "'mixture'"),
        ({"lagtime": "[1, 2]"}, "lagtime of 2 compartments"),
        ({"ode_code": ""}, "no ode_code, and no structure is named"),
        ({"ode_code": "", "misc": '{model_type: "2cmt_iv"}'}, "2cmt_iv needs Q, V2"),
    ],
)
def test_models_that_do_not_fit_are_refused(parts, said, file_with):
    assert said in refusal(file_with(**parts))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the end of the file"),
        ("[1, 2", "1:6: the end of the file"),
        ("{a: 1, a: 2}", "1:8: 'a' a second time"),
        ("{a 1}", "1:4: '1}'"),
        ('{a: "b', "1:5: a text that does not end"),
        ('{a: "b\nc"}', "1:5: a text that does not end"),
        ("{a: 1} {", "1:8: '{'"),
        ("{/* a", "1:2: a comment without an end"),
        (r'{a: "\u12"}', r"1:6: \u12"),
        ("[1, 2]", "a list; supported: a PKPDsim model"),
        ("function() { model({ d/dt(a) = 1 }) }", "'function()"),
        ("[" * 100_000, "more than 40 levels of brackets"),
        ('{a:"' + "x" * 2_000_000, "2.0 MB"),
        ("{" + "x" * 900_000, "the end of the file"),
        ('{parameters: {CL: 1, V: 1}, n_comp: 1, ode_code: "X = ' + "1+" * 3_000 + '1"}', "200 levels"),
        ('{parameters: {CL: 1, V: 1}, n_comp: 1, ode_code: "X = ' + "(" * 300_000 + '1"}', "parts"),
        ('{parameters: {CL: 1, V: 1}, n_comp: 1, ode_code: "X = ' + "-" * 3_000 + '1"}', "'--'"),
        ('{parameters: {CL: 1, V: 1}, n_comp: 1, ode_code: "X = ' + "- " * 3_000 + '1"}', "200 levels"),
        ('{parameters: {CL: 1, V: 1}, n_comp: 1, ode_code: "' + "if (1) " * 3_000 + 'X = 1"}', "60 levels of if"),
    ],
    ids=lambda value: value[:20],
)
def test_texts_that_are_no_models_are_refused(text, said, written_text):
    assert said in refusal(written_text(text))


def test_a_file_of_10_mb_is_refused_unread(tmp_path):
    (tmp_path / "own.json5").write_bytes(b"\xff" * 10_000_000)

    assert "10.0 MB; supported: model files up to 1 MB" in refusal(tmp_path / "own.json5")


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "own.json5").write_bytes(b"{\n  a: \xff}")

    assert "own.json5:2:6: byte 0xff" in refusal(tmp_path / "own.json5")


def test_json5():
    """What JSON5 has beyond JSON; a line break behind a backslash stays one, and each line knows its place."""
    text = "// c\n{a: .5, 'b': +1., c: 0x1F, d: -Infinity, e: [true, null,], f: 'x\\\n y\\n\\x41\\u0042', /* */}"
    node = parse("a", text)
    values = {name: part.value for name, part in node.value.items()}

    assert {name: values[name] for name in "abcd"} == {"a": 0.5, "b": 1.0, "c": 31.0, "d": -np.inf}
    assert [each.value for each in values["e"]] == [True, None]
    assert values["f"] == "x\n y\nAB"
    assert [(p.line, p.column) for p in node.value["f"].lines] == [
        (2, text.split("\n")[1].index("x\\") + 1),
        (3, 1),
        (3, 5),
    ]


PIECES = [
    b"{", b"}", b"[", b"]", b"(", b")", b"\\", b'"', b"'", b";", b"\n", b"=", b"A[", b"dAdt[9]", b"if(", b"else ",
    b"?", b":", b"\x00", b"\xe2\x82\xac", b"1e308", b"99999999999", b"//", b"/*", b"null", b"kappa_", b"-", b"pow(",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.json5"))[::4])
def test_changed_files_are_read_or_refused(tmp_path, name):
    """Bytes removed, doubled, changed or put in at random places: a model, or a `ReadError`; never anything else."""
    rng = np.random.default_rng(len(name))
    whole = (FOLDER / f"{name}.json5").read_bytes()
    path = tmp_path / "changed.json5"
    said = []
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            at, length = int(rng.integers(len(data))), int(rng.integers(1, 30))
            match rng.integers(4):
                case 0:
                    del data[at : at + length]
                case 1:
                    data[at:at] = data[at : at + length]
                case 2:
                    data[at] = int(rng.integers(256))
                case _:
                    data[at:at] = PIECES[rng.integers(len(PIECES))]
        path.write_bytes(data)
        try:
            read(path)
        except ReadError as error:
            said.append(str(error))
    assert len(said) > 20
    assert all("changed.json5" in text for text in said)

"""Files that are no SBML, or more than is read: one named error, at once; nothing is expanded or fetched."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.readers.sbml.reader import read
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

CORE = "http://www.sbml.org/sbml/level3/version1"
HEAD = f'<?xml version="1.0" encoding="UTF-8"?>\n<sbml xmlns="{CORE}/core" level="3" version="1">\n'
L1 = (
    '<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="2"><model name="m"><listOfCompartments>'
    '<compartment name="c"/></listOfCompartments><listOfSpecies><species name="s" compartment="c" initialAmount="7"/>'
    '</listOfSpecies><listOfReactions><reaction name="r"><listOfReactants><speciesReference species="s"/>'
    '</listOfReactants><kineticLaw formula="{}"/></reaction></listOfReactions></model></sbml>'
)


def refusal(path: Path) -> str:
    begin = time.process_time()
    with pytest.raises(ReadError) as caught:
        read(path)
    assert time.process_time() - begin < 2.0
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}")
    return text


@pytest.fixture
def changing(w, sbml):
    """Writes a model with a parameter that changes, and what else is given."""

    def write(**lists):
        given = {"Parameters": w.parameter("p", 1.0, constant=False), "Rules": w.rule("rate", "p", "-p")}
        for name, more in lists.items():
            given[name] = given.get(name, "") + more
        return sbml(**given)

    return write


def test_events_are_refused_by_id(w, changing):
    event = (
        '<event id="dose_at_12" useValuesFromTriggerTime="true"><trigger initialValue="true" persistent="true">'
        f"{w.formula('time > 12')}</trigger></event>"
    )
    assert "event 'dose_at_12'; supported: models without events" in refusal(changing(Events=event))


def test_algebraic_rules_are_refused(w, changing):
    rule = f'<algebraicRule metaid="balance">{w.formula("p - 2")}</algebraicRule>'

    assert "own.xml:10:" in (text := refusal(changing(Rules=rule)))
    assert "algebraic rule 'balance'" in text


def test_delays_are_refused_by_what_they_stand_in(w, changing):
    path = changing(Parameters=w.parameter("q", None, constant=False), Rules=w.rule("assignment", "q", "delay(p, 3)"))

    assert "rule of 'q': delays" in refusal(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fast": "true"}, "fast reaction 'r'"),
        ({"law": ""}, "reaction 'r' without a kinetic law"),
        ({"k": None}, "parameter 'k' without a value"),
        ({"start": {}}, "species 'S' without a value"),
        ({"size": None}, "compartment 'V' without a value"),
    ],
)
def test_what_is_missing_is_named_by_id(w, sbml, change, said):
    reaction = w.reaction("r", "k * S * V", "S")
    if "fast" in change:
        reaction = reaction.replace('fast="false"', 'fast="true"')
    if "law" in change:
        reaction = reaction[: reaction.index("<kineticLaw>")] + "</reaction>"
    path = sbml(
        Compartments=w.compartment(size=change.get("size", 2.0)),
        Species=w.species("S", **change.get("start", {"initialConcentration": "3"})),
        Parameters=w.parameter("k", change.get("k", 0.5)),
        Reactions=reaction,
    )

    assert said in refusal(path)


def test_a_circle_is_refused(w, changing):
    parameters = w.parameter("a", None, constant=False) + w.parameter("b", None, constant=False)
    path = changing(Parameters=parameters, Rules=w.rule("assignment", "a", "b") + w.rule("assignment", "b", "a"))

    assert "ircular" in refusal(path)


def test_a_model_in_which_nothing_changes_is_refused(w, sbml):
    assert "nothing that changes by a rate" in refusal(sbml(Parameters=w.parameter("p", 1.0)))


def packaged(path, package, body, definitions=""):
    path.write_text(
        f'<sbml xmlns="{CORE}/core" level="3" version="1" xmlns:{package}="{CORE}/{package}/version1" '
        f'{package}:required="true"><model id="m">{body}</model>{definitions}</sbml>'
    )
    return path


def test_a_required_package_is_refused(tmp_path, w):
    path = packaged(tmp_path / "own.xml", "multi", "")

    assert "package 'multi', which changes what the model means" in refusal(path)


def test_no_other_file_is_opened_for_a_model(tmp_path, w):
    """A part that the file says is elsewhere is refused before anything looks there."""
    # Whoever opened this would wait for ever.
    os.mkfifo(tmp_path / "other.xml")
    external = (
        '<comp:listOfExternalModelDefinitions><comp:externalModelDefinition comp:id="e" comp:source="other.xml"/>'
    )
    definitions = f"{external}</comp:listOfExternalModelDefinitions>"
    body = '<comp:listOfSubmodels><comp:submodel comp:id="s" comp:modelRef="e"/></comp:listOfSubmodels>'

    assert "a part in another file, 'other.xml'" in refusal(packaged(tmp_path / "own.xml", "comp", body, definitions))


def test_models_that_double_each_other_are_not_put_together(tmp_path, w):
    """Thirty models, each twice the one before."""

    def two(name):
        parts = "".join(f'<comp:submodel comp:id="s{i}" comp:modelRef="{name}"/>' for i in range(2))
        return f"<comp:listOfSubmodels>{parts}</comp:listOfSubmodels>"

    definitions = '<comp:modelDefinition id="m0"/>' + "".join(
        f'<comp:modelDefinition id="m{i}">{two(f"m{i - 1}")}</comp:modelDefinition>' for i in range(1, 30)
    )
    definitions = f"<comp:listOfModelDefinitions>{definitions}</comp:listOfModelDefinitions>"

    assert "more than 200 models in each other" in refusal(
        packaged(tmp_path / "own.xml", "comp", two("m29"), definitions)
    )


def test_functions_that_double_each_other_are_not_written_out(w, changing):
    """Forty definitions, each twice the one before: written out, 10^12 parts."""
    functions = w.function("f0", "x", "x + 1") + "".join(
        w.function(f"f{i}", "x", f"f{i - 1}(x) * f{i - 1}(x)") for i in range(1, 40)
    )

    q = w.parameter("q", None, constant=False)
    path = changing(FunctionDefinitions=functions, Parameters=q, Rules=w.rule("assignment", "q", "f39(p)"))
    text = refusal(path)

    assert "more than 20,000 parts" in text or "too long when written out" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no XML: no element found"),
        ("hello", "no XML: syntax error"),
        ("<html></html>", "<html>; supported: <sbml>"),
        ("<sbml>&bait;</sbml>", "undefined entity"),
        ('<!DOCTYPE sbml SYSTEM "file:///etc/hostname"><sbml/>', "a document type"),
        ('<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><sbml>&b;</sbml>', "a document type"),
        ('<!DOCTYPE s [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]><sbml/>', "a document type"),
        ('<?xml version="1.0" encoding="UTF-16"?><sbml/>', "encoding 'UTF-16'"),
        (HEAD + "</sbml>", "No model definition"),
        (HEAD + "<model><annotation>" + "<a>" * 100_000, "more than 200 levels of elements"),
        (HEAD + "<model>" + "<a/>" * 50_000, "more than 10,000 elements in one"),
        ("<sbml>" + "x" * 1_000_000 + "</sbml>", "own.xml:"),
        (L1.format("(" * 5_000 + "s" + ")" * 5_000), "5000 brackets in each other"),
        (L1.format("s+" * 20_000 + "s"), "a formula of 40,001 letters"),
        (L1.format("-" * 15_000 + "s"), "nested more than 200 times"),
        (L1.format("s^" * 3_000 + "s"), "nested more than 200 times"),
        (L1.format("evil(s)"), "evil"),
    ],
    ids=lambda value: value[:24],
)
def test_texts_that_are_no_models_are_refused(tmp_path, w, text, said):
    path = tmp_path / "own.xml"
    path.write_text(text)

    assert said in refusal(path)


def test_a_file_of_10_mb_is_refused_unread(tmp_path):
    (tmp_path / "own.xml").write_bytes(b"<" * 10_000_000)

    assert "10.0 MB; supported: model files up to 4 MB" in refusal(tmp_path / "own.xml")


def test_changed_files_are_read_or_refused(w, sbml, rng):
    """Bytes removed, doubled, changed or put in at random places: a model, or a `ReadError`; never anything else."""
    path = sbml(
        FunctionDefinitions=w.function("f", "x, y", "x * y"),
        Compartments=w.compartment() + w.compartment("W", 3.0, constant=False),
        Species=w.species("S", initialAmount="8") + w.species("P", "W", initialConcentration="1"),
        Parameters=w.parameter("k", 3.0) + w.parameter("a", None, constant=False) + w.parameter("c", 1.0),
        InitialAssignments=w.initial("c", "2 * S"),
        Rules=w.rule("assignment", "a", "piecewise(1, S > 2, 0) + c") + w.rule("rate", "W", "0.1"),
        Reactions=w.reaction("r", "f(k, S) * a", "S", "2*P", more='<localParameter id="k" value="3"/>'),
    )
    whole = path.read_bytes()
    pieces = [
        b"<",
        b">",
        b'"',
        b"&lt;",
        b"<apply>",
        b"</apply>",
        b"<ci>",
        b"<ci>S</ci>",
        b"id=",
        b"\x00",
        b"nan",
        b"-",
        b"1e999",
    ]
    pieces += [b"<times/>", b"<lambda>", b'constant="true"', b"<cn>", b"\xc3\xa4", b"<delay/>", b"stoichiometry"]
    said = []
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 3)):
            at, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
            match rng.integers(4):
                case 0:
                    del data[at : at + length]
                case 1:
                    data[at:at] = data[at : at + length]
                case 2:
                    data[at] = int(np.frombuffer(b'abcSPkVW0129 .="</>', np.uint8)[rng.integers(19)])
                case _:
                    data[at:at] = pieces[rng.integers(len(pieces))]
        path.write_bytes(data)
        try:
            read(path)
        except ReadError as error:
            said.append(str(error))
    assert len(said) > 200
    assert all("own.xml" in text for text in said)

"""``rl-drug-dosage info`` on drug models, and the pages in docs/drugs that are made from the same text."""

from pathlib import Path

import pytest

from rl_drug_dosage.pharmacometrics.drug_page import drug_page, markdown
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.registry import DRUG, load_drug, names

ROOT = Path(__file__).resolve().parents[2]


def drug(name: str) -> DrugModel:
    return load_drug(name)


def test_a_drug_shows_equations_numbers_sources_and_limits(run):
    """Every part that a reader judges a model by, here of Goti 2018."""
    done = run("info", "--drug", "vancomycin-goti2018")
    assert done.code == 0, done.err
    for part in (
        "DOI: 10.1097/FTD.0000000000000490", "Unverified numbers: none", "d central/dt", "CL = 4.5 (CRCL/120)^0.8",
        "v1: value 58.4, unit L", "meaning: central volume at 70 kg", "source: Goti 2018 Table 2", "published 39.8 %",
        "column CRCL, unit mL/min, published range 4 to 150, typical 62", "variance = a^2 + (b f)^2; a = 3.4 mg/L",
        "window 400 to 600, unit mg h/L", "1-h intravenous infusion: into central", "usual 1000 mg",
        "Limits of use", "- adults only (over 16 years)", "What was ambiguous",
    ):  # fmt: skip
        assert part in done.out, part


def test_what_could_not_be_traced_is_marked(run):
    """Warfarin's residual errors, at the number and in the list at the top."""
    shown = run("info", "--drug", "warfarin-hamberg2010").out
    assert "Unverified numbers: proportional error of inr, proportional error of concentration, range of age_y" in shown
    assert "UNVERIFIED" in shown


@pytest.mark.parametrize("name", names(DRUG))
def test_a_page_holds_every_number_with_unit_and_source(name):
    """Thetas, random effects, covariates, outputs, targets, routes: none is left out, whatever the model."""
    model = drug(name)
    page = drug_page(model)
    cells = {section.heading: section.rows for section in page.sections}
    thetas = {row[0]: row for row in cells["Parameters"]}
    for key, param in model.thetas.items():
        assert float(thetas[key][1]) == pytest.approx(param.value, rel=1e-9)
        assert thetas[key][2] == param.unit
        assert thetas[key][4].endswith(param.source)
        assert thetas[key][4].startswith("UNVERIFIED") == param.unverified
    effects = [row[0] for row in cells.get("Between-subject variability", ())]
    assert effects[: len(model.etas)] == [eta.parameter for eta in model.etas]
    assert [row[0] for row in cells.get("Covariates", ())] == [covariate.name for covariate in model.covariates]
    assert [row[:2] for row in cells["Outputs and residual error"]] == [(o.name, o.unit) for o in model.outputs]
    assert len(cells["Targets"]) == len(model.targets)
    assert [row[0] for row in cells["Dosing"]] == [route.name for route in model.dosing.routes]
    equations = next(section.code for section in page.sections if section.heading == "Equations")
    assert all(any(state in line for line in equations) for state in model.structure.compartments if state != "circ")
    assert "```text" in markdown(page)


def test_all_drugs_are_listed_with_title_and_population(run):
    """One entry a file."""
    done = run("info", "--drugs")
    assert done.code == 0, done.err
    assert [name for name in names(DRUG) if name not in done.out] == []
    assert "1,812" in done.out


def test_an_unknown_drug_and_two_questions_are_refused_in_one_line(run):
    """The nearest name; one thing at a time."""
    wrong = run("info", "--drug", "propofol-marsh1999")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "did you mean 'propofol-marsh1991'" in wrong.err
    both = run("info", "--drug", "propofol-marsh1991", "--drugs")
    assert (both.code, both.err.count("\n")) == (2, 1)
    assert "leave one out" in both.err


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="a source distribution has no docs")
def test_the_pages_are_those_of_the_drug_files(load_script):
    """After a change of a drug: `make docs`."""
    wanted = load_script("drug_pages").pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "drugs").glob("*.md")}
    assert sorted(found) == sorted(wanted)
    stale = [name for name, text in wanted.items() if found[name] != text]
    assert stale == [], "run `make docs`"

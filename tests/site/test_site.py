"""The documentation site: where its texts lie, where their links lead, and that a build of it has no fault."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "site").exists(), reason="a source distribution has no site")


@pytest.fixture
def module(monkeypatch):
    """Loads a module of site/, where modules import each other by their plain names."""
    monkeypatch.syspath_prepend(str(ROOT / "site"))
    names = [path.stem for path in (ROOT / "site").glob("*.py")]

    def load(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / "site" / f"{name}.py")
        found = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, found)
        spec.loader.exec_module(found)
        return found

    yield load
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def stage(module, tmp_path):
    return module("staging").Stage(tmp_path)


def menu():
    sections = tomllib.loads((ROOT / "site" / "navigation.toml").read_text())["section"]
    return [page for section in sections for page in section["pages"] if not page.startswith("made:")]


def test_every_text_of_docs_is_on_the_site():
    """A new page has to find its place in the menu."""
    texts = {p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "drugs"}

    assert texts - set(menu()) == {"docs/scenarios.md"}  # below the reference's page of scenarios
    assert [page for page in menu() if not (ROOT / page).exists()] == []
    assert len(menu()) == len(set(menu()))


def test_links_of_every_page_lead_somewhere_on_the_site(stage):
    """To a page, or to a page that shows the file; in code nothing is a link."""
    for page in menu():
        stage.copy(page)
    stage.show_files()
    links = 0
    for page in stage.written:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\((?!https?:|#)([^()#\s]+)", text):
            links += 1
            there = (page.parent / target).resolve()
            made = there.relative_to(stage.folder.resolve()).parts[0] in {
                "reference",
                "models",
                "scenarios.md",
                "drugs",
            }
            assert there.exists() or made, (page.name, target)
    assert links > 100


@pytest.mark.parametrize(
    ("text", "page", "shown"),
    [
        ("[a](bedside.md#x)", "docs/clinic.md", "[a](bedside.md#x)"),
        ("[a\nb](docs/ppo.md)", "README.md", "[a\nb](ppo.md)"),
        ("[c](../models/README.md)", "docs/policies.md", "[c](models/index.md)"),
        ("[c](../README.md)", "models/README.md", "[c](../readme.md)"),
        ("[s](../src/rl_drug_dosage/ppo/loss.py)", "docs/ppo.md", "[s](files/src/rl_drug_dosage/ppo/loss.py.md)"),
        ("[w](https://example.org)", "docs/ppo.md", "[w](https://example.org)"),
        ("see *Reference: metrics*.", "docs/how-to/gpu.md", "see [Reference: metrics](../reference/metrics.md)."),
        ("```\n[a](nowhere.md)\n```", "docs/ppo.md", "```\n[a](nowhere.md)\n```"),
        ("```csv title=x.csv\n1\n```", "docs/ppo.md", "```text\n1\n```"),
    ],
)
def test_a_link_leads_to_the_page_s_place_on_the_site(stage, text, page, shown):
    assert stage.linked(text, page) == shown


def test_a_link_to_nothing_is_refused(stage):
    with pytest.raises(SystemExit, match=r"docs/ppo\.md links to nowhere\.md"):
        stage.linked("[a](nowhere.md)", "docs/ppo.md")


def test_a_page_that_the_build_does_not_make_is_refused(stage):
    with pytest.raises(SystemExit, match="Reference: metricks"):
        stage.linked("*Reference: metricks*", "docs/ppo.md")


def test_a_dead_link_a_missing_place_and_a_foreign_script_are_found(module, tmp_path):
    """What the check of the built pages is there for."""
    (tmp_path / "b.html").write_text("<h2 id='here'>B</h2>")
    (tmp_path / "a.html").write_text(
        "<a href='b.html#here'>1</a><a href='b.html#gone'>2</a><a href='c.html'>3</a><a href='https://example.org'>4</a>"
        "<script src='https://cdn.example.org/x.js'></script><img src='d.png'>"
    )
    count, faults = module("links").check_links(tmp_path)

    assert count == 4
    assert [fault.split(" ", 1)[1] for fault in faults] == [
        "links to b.html#gone, which has no such place",
        "links to c.html, which is not there",
        "fetches https://cdn.example.org/x.js: the site has to work offline",
        "links to d.png, which is not there",
    ]


def test_definitions_are_read_from_a_docstring(module):
    found = module("reference").definitions(
        "Intro. ``a``: one, in h. ``b``, ``c``: two.\n\n    Args:\n        d: three.\n    "
    )

    assert found == [("`a`", "one, in h"), ("`b`, `c`", "two")]


def test_every_endpoint_is_explained_on_the_page_of_metrics(module, stage):
    """The columns that a trial has, and those of its burden."""
    from rl_drug_dosage.trials.burden import BURDEN

    module("reference").write_metrics(stage)
    text = (stage.folder / "reference" / "metrics.md").read_text()

    for name in ("attainment_pct", "return", "total_dose", "dropped_out", "auc24", "trough", "time_above", *BURDEN):
        assert re.search(rf"^\| [^|]*`{name}`", text, re.MULTILINE), name


def test_every_command_and_option_is_on_its_page(module, stage):
    """As the parser has them; none is written by hand."""
    import typer.main

    from rl_drug_dosage.cli import app

    module("reference").write_cli(stage)
    commands = typer.main.get_command(app).commands
    for name, command in commands.items():
        text = (stage.folder / "reference" / "cli" / f"{name}.md").read_text()
        options = {opt for p in command.params for opt in p.opts if opt.startswith("--") and opt != "--help"}
        assert not {opt for opt in options if f"`{opt}" not in text}, name


def test_markdown_in_docstrings_becomes_restructuredtext(module):
    as_rst = module("docstrings").as_rst

    assert as_rst(["a * b | c", "``d * e``", "f_ g"]) == ["a \\* b \\| c", "``d * e``", "f\\_ g"]
    assert ".. list-table::" in as_rst(["| a | b |", "|---|---|", "| 1 | 2 |"])
    assert as_rst(["So:", "", "    a * b", "", "Then * so."]) == ["So:", "", "::", "", "    a * b", "", "Then \\* so."]
    assert as_rst(["Args:", "    a: b", "", "    c: d"])[2:] == ["", "    c: d"]
    assert as_rst(["    a, b,", "        c: text"]) == ["    a, b, c: text"]


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_a_dead_link(tmp_path):
    """Without the gallery, whose trials take minutes: `make site` makes it."""
    pytest.importorskip("sphinx", reason="install the extra: make site")
    done = subprocess.run(
        [sys.executable, ROOT / "site" / "build.py", "--no-gallery", "--output", tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    pages, links, dead = re.search(r"(\d+) pages, ([\d,]+) links within the site, (\d+) dead", done.stdout).groups()
    assert int(pages) > 150
    assert int(links.replace(",", "")) > 10_000
    assert int(dead) == 0
    assert "WARNING" not in done.stderr

"""Build the documentation site into build/site: `make site`.

The pages are the repository's own texts (site/navigation.toml), those that site/*.py write from the code, and pictures.
Sphinx's warnings are errors, and every link and anchor of the built pages is looked up. Nothing on the site asks
another machine for anything.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

from finish import finish
from gallery import EXTRA, write_gallery
from links import check_links
from pictures import forget_others
from staging import MADE, ROOT, Stage, sections

BUILD = ROOT / "build"


def main() -> int:
    """Lay out, build, check, and say where the first page is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=BUILD / "site", help="folder of the site (default: build/site)")
    parser.add_argument(
        "--no-gallery", action="store_true", help="leave out the trials and trainings of gallery and notebooks"
    )
    options = parser.parse_args()
    began = time.monotonic()
    if options.output.exists() and not (options.output / ".buildinfo").exists() and any(options.output.iterdir()):
        parser.error(f"--output is {options.output}, which holds something else than a site: name a new folder")
    stage = Stage(BUILD / "site-source")
    lay_out(stage, gallery=not options.no_gallery)
    if code := run_sphinx(stage.folder, options.output):
        print("site: Sphinx found the faults above; a warning is an error here", file=sys.stderr)
        return code
    finish(options.output)
    checked, dead = check_links(options.output)
    for line in dead:
        print(f"site: {line}", file=sys.stderr)
    pages = len(list(options.output.rglob("*.html")))
    print(f"site: {pages} pages, {checked:,} links within the site, {len(dead)} dead, {time.monotonic() - began:.0f} s")
    print(f"site: start at {options.output / 'index.html'}")
    return 1 if dead else 0


def lay_out(stage: Stage, *, gallery: bool = True) -> None:
    """Write every source of the site."""
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")
    from home import write_home
    from notebooks import write_notebooks

    from drugs import write_drugs
    from reference import write_reference

    before = set(stage.folder.rglob("*.md"))
    for section in sections():
        for page in section.pages:
            if not page.startswith(MADE):
                stage.copy(page)
    stage.copy("docs/scenarios.md")
    for card in sorted((ROOT / "models").glob("*.md")):
        if card.name != "README.md":
            stage.copy(f"models/{card.name}")
    write_drugs(stage)
    write_reference(stage)
    write_gallery(stage, full=gallery)
    write_notebooks(stage, EXTRA, run=gallery)
    write_home(stage)
    stage.show_files()
    for stale in before - stage.written:
        stale.unlink()
    shutil.copytree(ROOT / "site" / "static", stage.folder / "static", dirs_exist_ok=True)
    forget_others()


def run_sphinx(source: Path, output: Path) -> int:
    """Run Sphinx; its exit status."""
    from sphinx.cmd.build import build_main

    # From nothing: what Sphinx remembers of a page that has changed can lead its source pages to places that are gone.
    for old in (output, BUILD / "site-doctrees"):
        shutil.rmtree(old, ignore_errors=True)
    where = ["-c", str(ROOT / "site"), "-d", str(BUILD / "site-doctrees"), "-D", f"html_extra_path={EXTRA}"]
    return build_main(["-b", "html", "-W", "--keep-going", "-q", *where, str(source), str(output)])


if __name__ == "__main__":
    sys.exit(main())

"""The modules of site/, which are no package, for the tests of this folder."""

import sys
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "site"


@pytest.fixture
def site_modules(monkeypatch):
    """``import`` finds the modules of site/ during a test, and forgets them after it."""
    monkeypatch.syspath_prepend(str(SITE))
    yield
    for path in SITE.glob("*.py"):
        if getattr(sys.modules.get(path.stem), "__file__", None) == str(path):
            sys.modules.pop(path.stem)


@pytest.fixture
def notebooks(site_modules):
    import notebooks

    return notebooks


@pytest.fixture
def notebook_runs(site_modules):
    import notebook_runs

    return notebook_runs

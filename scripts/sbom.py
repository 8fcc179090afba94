"""Write build/sbom.cdx.json and build/licences.md: what the installed package runs on, with hashes and licences.

    python scripts/sbom.py .venv/bin/python [--output-dir build]

Names, versions and hashes are those of requirements/base.txt, licences those that the installed packages declare. Both
are read by cyclonedx-py; nothing is looked up on the network. The same lock and installation give the same bytes.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

HERE = Path(__file__).resolve().parent.parent
LOCK = HERE / "requirements" / "base.txt"
SBOM, LICENCES = "sbom.cdx.json", "licences.md"
VERSION = SchemaVersion.V1_6
ELSEWHERE = "not installed here: for another platform or Python"


def cyclonedx(*arguments: str) -> dict[str, Any]:
    """What one of cyclonedx-py's readers finds."""
    command = [sys.executable, "-m", "cyclonedx_py", *arguments, "--output-format", "JSON", "--output-reproducible"]
    command += ["--spec-version", VERSION.to_version(), "--output-file", "-"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"sbom: error: cyclonedx-py {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def described(locked: dict[str, Any], installed: dict[str, Any]) -> dict[str, Any]:
    """A component of the lock, with the licences and the sentence of the installed package.

    Raises:
        SystemExit: another version is installed.
    """
    component = {k: v for k, v in locked.items() if k not in {"description", "externalReferences"}}
    own = installed.get(normal(locked["name"]))
    if own is None:
        return {**component, "description": ELSEWHERE}
    if own["version"] != locked["version"]:
        sys.exit(
            f"sbom: error: {locked['name']} {own['version']} is installed, requirements/base.txt has "
            f"{locked['version']}: run make install"
        )
    return {**component, **{k: own[k] for k in ("description", "licenses") if k in own}}


def hashes_of(locked: dict[str, Any]) -> list[dict[str, str]]:
    """Of every file of a package that the lock allows."""
    references = locked.get("externalReferences", [])
    found = {(h["alg"], h["content"]) for r in references for h in r.get("hashes", [])} | {
        (h["alg"], h["content"]) for h in locked.get("hashes", [])
    }
    return [{"alg": alg, "content": content} for alg, content in sorted(found)]


def licence_of(component: dict[str, Any]) -> str:
    """In one line: SPDX's name where there is one, otherwise what the package says."""
    names: list[str] = []
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        name = entry.get("expression") or licence.get("id") or licence.get("name") or ""
        line = name.strip().splitlines()[0].removeprefix("License :: OSI Approved :: ")[:80] if name.strip() else ""
        if line and line not in names:
            names.append(line)
    return ", ".join(names) or "none declared"


def table(components: list[dict[str, Any]]) -> str:
    """The list of licences."""
    rows = [
        f"| {c['name']} | {c['version']} | "
        f"{ELSEWHERE if c.get('description') == ELSEWHERE else licence_of(c).replace('|', '/')} |"
        for c in components
    ]
    head = "Packages of requirements/base.txt, and the licences that they declare. Made by `make sbom`."
    return "\n".join(["# Licences", "", head, "", "| package | version | licence |", "|---|---|---|", *rows, ""])


def main() -> None:
    """Read the lock and the environment, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "python", type=Path, help="the interpreter of the environment in which the package is installed"
    )
    parser.add_argument("--output-dir", type=Path, default=HERE / "build")
    given = parser.parse_args()
    locked = cyclonedx("requirements", str(LOCK), "--pyproject", "pyproject.toml")
    environment = cyclonedx("environment", str(given.python))
    installed = {normal(c["name"]): c for c in environment.get("components", [])}
    components = []
    for component in sorted(locked["components"], key=lambda c: normal(c["name"])):
        whole = described(component, installed)
        components.append({**whole, "hashes": hashes_of(component)})
    sbom = {**locked, "components": components}
    text = json.dumps(sbom, indent=1, sort_keys=True) + "\n"
    if wrong := JsonStrictValidator(VERSION).validate_str(text):
        sys.exit(f"sbom: error: not valid CycloneDX: {wrong!r}"[:500])
    given.output_dir.mkdir(parents=True, exist_ok=True)
    for name, content in ((SBOM, text), (LICENCES, table(components))):
        (given.output_dir / name).write_text(content, encoding="utf-8")
        print(given.output_dir / name)


if __name__ == "__main__":
    main()

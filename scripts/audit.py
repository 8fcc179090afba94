"""Look up known vulnerabilities of every package in the locks of requirements/, with pip-audit.

    python scripts/audit.py [LOCK ...]

The exit code is 1 if one is known. A package that the service could not answer for is not a package without
vulnerabilities: where that is so for all of them, or the service is out of reach, the audit is skipped, which is
printed, with exit code 0.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
SECONDS = 300


def locks() -> list[Path]:
    """All of them, or those that were named."""
    return [Path(name) for name in sys.argv[1:]] or sorted((HERE / "requirements").glob("*.txt"))


def audit(lock: Path) -> list[dict[str, Any]] | None:
    """What is known of each package; None where nothing could be found out.

    Hashes pin everything, so that nothing is installed or resolved.
    """
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--require-hashes", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--format", "json", "--requirement", str(lock)],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None
    return found


def main() -> int:
    """Audit one lock after the other."""
    bad, silent = 0, set[str]()
    for lock in locks():
        packages = audit(lock)
        answered = [p for p in packages or () if "vulns" in p]
        if not answered:
            print(f"audit: skipped from {lock.name} on: the service that knows of vulnerabilities is out of reach here")
            break
        silent |= {p["name"] for p in packages or () if "vulns" not in p}
        for package in answered:
            for known in package["vulns"]:
                bad += 1
                fixed = ", ".join(known["fix_versions"]) or "no version"
                print(f"{lock.name}: {package['name']} {package['version']}: {known['id']}, fixed in {fixed}")
        print(f"{lock.name}: {len(answered)} packages looked up")
    if silent:
        print(f"audit: nothing is known of {', '.join(sorted(silent))}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Known vulnerabilities of locked packages, by pip-audit; what cannot be checked is said, and no failure.

    python locks/vulnerabilities.py LOCK…

Exit code 1 if a package has a known vulnerability. pip-audit itself ends well where the database knows
no package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OFFLINE = "ConnectionError"
"""What pip-audit, which catches no errors of the network, prints of them."""


@dataclass(frozen=True)
class Checked:
    """What the database said: findings as lines, and how many packages it knew, and did not know."""

    findings: Sequence[str]
    known: int
    unknown: int


def main(locks: Sequence[str]) -> int:
    failed = False
    for lock in locks:
        answer = _asked(Path(lock))
        if answer is None:
            print(f"{lock}: not checked for known vulnerabilities: the database cannot be reached from here")
            continue
        for finding in answer.findings:
            print(f"{lock}: {finding}")
        print(f"{lock}: {_coverage(answer)}")
        failed |= bool(answer.findings)
    return int(failed)


def _coverage(answer: Checked) -> str:
    if not answer.known:
        return "not checked for known vulnerabilities: the index here has no database of them"
    missing = f"; {answer.unknown} are not in the database" if answer.unknown else ""
    return f"{len(answer.findings)} known vulnerabilities in {answer.known} packages{missing}"


def _asked(lock: Path) -> Checked | None:
    """None without the network. Raises CalledProcessError if pip-audit failed for another reason."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    done = subprocess.run([*command, "--requirement", str(lock)], capture_output=True, text=True)
    if not done.stdout.strip():
        if OFFLINE in done.stderr:
            return None
        sys.stderr.write(done.stderr)
        done.check_returncode()
    return read_answer(json.loads(done.stdout))


def read_answer(answer: dict[str, Any]) -> Checked:
    """answer: pip-audit's JSON."""
    known = [package for package in answer["dependencies"] if "skip_reason" not in package]
    findings = [
        f"{package['name']} {package['version']}: {flaw['id']}, "
        f"fixed by {', '.join(flaw['fix_versions']) or 'no release'}"
        for package in known
        for flaw in package["vulns"]
    ]
    return Checked(findings, len(known), len(answer["dependencies"]) - len(known))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

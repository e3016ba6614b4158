"""A hook for `idleak nightly`: posts how many new findings each audit has. It names nobody."""

from __future__ import annotations

import json
import os
import sys

import httpx


def main() -> int:
    report = json.load(sys.stdin)
    counts = {audit["key"]: len(audit["untold"]) for audit in report["audits"] if audit["untold"]}
    message = {"fleet": report["fleet"], "night": report["night"], "new": counts, "report": sys.argv[1]}
    httpx.post(os.environ["IDLEAK_WEBHOOK"], json=message, timeout=30).raise_for_status()
    return 0


if __name__ == "__main__":
    sys.exit(main())

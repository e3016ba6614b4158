"""idleak from Python, in a script or a notebook: docs/python.md.

    from jobs.api import audit, open_run, plan

Whatever goes wrong on purpose is an `IdleakError` of `schemas/errors.py`. Nothing is printed unless `tell`
is given.
"""

from __future__ import annotations

from jobs.api.auditing import audit
from jobs.api.planning import AuditPlan, plan
from jobs.api.run import Run, open_run
from jobs.api.spec_source import SpecSource

__all__ = ["AuditPlan", "Run", "SpecSource", "audit", "open_run", "plan"]

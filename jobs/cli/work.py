"""What a command's long work runs on, and what watches it; loaded only by those that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.execution.cluster import RayExecutor
    from distributed.execution.executor import Watch
    from distributed.storage.store import RunStore
    from schemas.spec.audit import AuditSpec


def ray_executor() -> RayExecutor:
    """Ray, joined or started with the first task. A finished run is looked at without it."""
    from distributed.execution.cluster import RayExecutor

    return RayExecutor()


def watching(store: RunStore, spec: AuditSpec, *, bar: bool = True) -> Watch:
    """What opens the observers of a run's stages. bar: progress may be drawn on a terminal."""
    from jobs.cli.progress import Stage

    return lambda title, unit="images": Stage(title, store, spec, unit, bar=bar)

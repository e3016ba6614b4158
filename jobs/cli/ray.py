"""The Ray that a command works on, loaded only by those that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.execution.cluster import RayExecutor


def ray_executor() -> RayExecutor:
    """Ray, joined or started with the first task. A finished run is looked at without it."""
    from distributed.execution.cluster import RayExecutor

    return RayExecutor()

"""The shards that a run could not make, written down for whoever looks at it later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import TypeAdapter

from distributed.storage.store import RunStore
from schemas.run.artefacts import LOST_SUFFIX
from schemas.run.shard import LostShard

LOST = TypeAdapter(list[LostShard])


def record_lost_shards(store: RunStore, prefix: str, lost: Sequence[LostShard]) -> None:
    """Write down which shards could not be made and why, in place of what was written before."""
    path = prefix + LOST_SUFFIX
    if lost:
        store.write(path, json.dumps([asdict(shard) for shard in lost], indent=2).encode())
    else:
        store.delete(path)


def read_lost_shards(store: RunStore, prefix: str) -> list[LostShard]:
    """The shards that the last attempt could not make. Raises DamagedError."""
    path = prefix + LOST_SUFFIX
    return store.read_as(LOST, path) if store.exists(path) else []

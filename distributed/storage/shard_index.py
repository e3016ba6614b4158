"""Which shards of a run are there, by one listing, and their footers or an index of these; which failed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from distributed.storage.store import RunStore
from schemas.errors import WrongRunError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import ENROLLING_PREFIX, INDEX_FILE, LOST_SUFFIX, SAMPLES_PREFIX
from schemas.run.shard import Footer, LostShard, Shard, ShardIndex, plan_shards
from schemas.spec.audit import AuditSpec

FOOTERS_AT_ONCE = 64
"""Requests to a store, which take their time there."""
PHOTOS_PER_SHARD = 128


@dataclass(frozen=True)
class ShardRun:
    """The shards of one run that lie under one prefix, and what they are made from.

    photos: where the gallery's lie; None for the samples.
    """

    spec: AuditSpec
    fingerprint: Fingerprint
    prefix: str
    shards: Sequence[Shard]
    photos: Sequence[Any] | None = None

    @classmethod
    def of_samples(cls, spec: AuditSpec, fingerprint: Fingerprint) -> ShardRun:
        """Those that the spec plans for its samples."""
        return cls(spec, fingerprint, SAMPLES_PREFIX, plan_shards(spec.samples, spec.samples_per_shard))

    @classmethod
    def of_photos(cls, spec: AuditSpec, fingerprint: Fingerprint, photos: Sequence[Any]) -> ShardRun:
        """Those of the gallery's photos, until the gallery is put together from them."""
        shards = plan_shards(len(photos), PHOTOS_PER_SHARD)
        return cls(spec, fingerprint, ENROLLING_PREFIX, shards, photos)

    def path(self, shard: Shard) -> str:
        return f"{self.prefix}/{shard.file_name}"


def indexed_outcomes(run: ShardRun, store: RunStore) -> dict[str, int] | None:
    """Outcome counts of all samples, without opening a shard; None unless all is as it was last time.

    A shard that was replaced, copied or touched since has another stamp; its footer is then read again.
    """
    if run.prefix != SAMPLES_PREFIX or not store.exists(INDEX_FILE):
        return None
    try:
        index = ShardIndex.model_validate_json(store.read(INDEX_FILE))
    except ValidationError:
        return None
    return dict(index.outcomes) if index == _index(run, store, index.outcomes) else None


def write_index(run: ShardRun, store: RunStore, outcomes: Mapping[str, int]) -> None:
    """Remember that all shards of the samples are there, and their outcome counts."""
    if run.prefix == SAMPLES_PREFIX:
        store.write(INDEX_FILE, _index(run, store, outcomes).model_dump_json(indent=2).encode())


def _index(run: ShardRun, store: RunStore, outcomes: Mapping[str, int]) -> ShardIndex:
    listing = hashlib.sha256()
    for path, stamp in store.stamps(run.prefix).items():
        listing.update(f"{path} {stamp}\n".encode())
    return ShardIndex(
        fingerprint_sha256=run.fingerprint.digest,
        stop_id=run.shards[-1].stop_id,
        listing_sha256=listing.hexdigest(),
        outcomes=dict(outcomes),
    )


def committed_outcomes(run: ShardRun, store: RunStore) -> dict[int, dict[str, int]]:
    """Outcome counts of the shards that are there, by index. Raises as `committed_footers`."""
    return {index: footer.outcomes for index, footer in committed_footers(run, store).items()}


def committed_footers(run: ShardRun, store: RunStore) -> dict[int, Footer]:
    """The footers of the shards that are there, by index, from one listing.

    Raises WrongRunError for a file of another fingerprint or id range, DamagedError for a file that is no
    shard.
    """
    there = store.sizes(run.prefix)
    shards = [shard for shard in run.shards if run.path(shard) in there]
    footers = read_footers(store, {run.path(shard): there[run.path(shard)] for shard in shards})
    return {shard.index: _of_run(run, shard, footer) for shard, footer in zip(shards, footers, strict=True)}


def read_footers(store: RunStore, sizes: Mapping[str, int]) -> Iterator[Footer]:
    """The footers of these files, in their order. sizes: of each path, in bytes.

    Raises DamagedError for a file that has none.
    """
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        yield from pool.map(store.read_footer, sizes.keys(), sizes.values())


def _of_run(run: ShardRun, shard: Shard, footer: Footer) -> Footer:
    path = run.path(shard)
    run.fingerprint.require(Fingerprint(footer.fingerprint), path)
    if (footer.first_id, footer.stop_id) != (shard.first_id, shard.stop_id):
        raise WrongRunError(
            f"{path} holds the ids {footer.first_id} to {footer.stop_id - 1}, this spec wants "
            f"{shard.first_id} to {shard.stop_id - 1}: raise `samples` in steps of `shard_size`, or give "
            "the spec another `output`"
        )
    return footer


LOST = TypeAdapter(list[LostShard])


def record_lost_shards(store: RunStore, prefix: str, lost: Sequence[LostShard]) -> None:
    """Write down which shards could not be made and why, in place of what was written before."""
    path = prefix + LOST_SUFFIX
    if lost:
        store.write(path, json.dumps([asdict(shard) for shard in lost], indent=2).encode())
    else:
        store.delete(path)


def read_lost_shards(store: RunStore) -> list[LostShard]:
    """The shards of samples that the last attempt could not make. Raises DamagedError."""
    path = SAMPLES_PREFIX + LOST_SUFFIX
    return store.read_as(LOST, path) if store.exists(path) else []

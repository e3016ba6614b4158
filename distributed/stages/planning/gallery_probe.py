"""A few photos of the gallery, enrolled: whether the audit's recognisers tell their people apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from distributed.execution.executor import Capacity
from distributed.gallery.enrolled import accepted
from distributed.gallery.photos import Photo
from distributed.gallery.quality import GalleryQuality, face_share, face_text, separation_text
from distributed.gallery.without_photos import galleries_without_photos
from distributed.stages.enrolling.gallery_check import complaint, gallery_quality, is_unusable
from distributed.stages.enrolling.input_trial import TRIED_PEOPLE, TRIED_PHOTOS, few_photos
from distributed.stages.making.embedder import ShardEmbedder
from distributed.stages.making.setup import Setup
from distributed.stages.making.table import samples_table
from distributed.statistics.people.separation import Quality, chosen_photos
from schemas.errors import RecognizerError
from schemas.run.shard import Shard
from schemas.run.tables import template_column
from schemas.spec.audit import AuditSpec

MARKS = {Quality.GOOD: "", Quality.WEAK: "WARNING: ", Quality.UNUSABLE: "NOT USABLE: "}


@dataclass(frozen=True)
class GalleryProbe:
    """photos: those that were enrolled. quality: what they and a few rows of earlier galleries show."""

    photos: Sequence[Photo]
    quality: GalleryQuality


def probe_gallery(spec: AuditSpec, capacity: Capacity, listed: Sequence[Photo]) -> GalleryProbe:
    """Enroll a few photos, of people with two photos first. Writes nothing.

    Raises SpecError or a subclass for photos, models or earlier galleries that cannot be used.
    """
    photos = few_photos(listed)
    tables = [_few_rows(table) for table in galleries_without_photos(spec)]
    if photos:
        tables.append(_enrolled(spec, photos, capacity))
    table = pa.concat_tables(tables)
    if len(set(accepted(table)["identity"].to_pylist())) < 2:
        return GalleryProbe(photos, GalleryQuality({}, face_share(table)))
    return GalleryProbe(photos, gallery_quality(spec, table))


def gallery_rows(probe: GalleryProbe) -> Iterator[tuple[str, str]]:
    """What the probe says of the gallery, for a table."""
    faces = probe.quality.faces
    if faces is not None:
        yield "faces in photos", f"{MARKS[faces.quality]}{face_text(faces)}"
    if not probe.quality.recognizers:
        yield "recognisers", "WARNING: fewer than two people of the probe have a usable photo"
    for name, recognizer in probe.quality.recognizers.items():
        yield f"recogniser {name}", f"{MARKS[recognizer.quality]}{separation_text(recognizer)}"


def require_usable_probe(spec: AuditSpec, probe: GalleryProbe, capacity: Capacity) -> None:
    """Raise RecognizerError if the audit would be refused for what the probe shows."""
    if is_unusable(probe.quality):
        raise RecognizerError(complaint(spec, probe.quality, probe.photos, capacity))


def _enrolled(spec: AuditSpec, photos: Sequence[Photo], capacity: Capacity) -> pa.Table:
    places = tuple(photo.place for photo in photos)
    shard = Shard(0, 0, len(photos))
    setup = Setup(spec, capacity.device, capacity.threads, places)
    table = samples_table(shard, ShardEmbedder(setup).embed(shard).faces)
    identity = pa.array([photo.identity for photo in photos])
    return _measured_columns(table.append_column("identity", identity))


def _few_rows(table: pa.Table) -> pa.Table:
    people = np.unique(table["identity"].to_pylist(), return_inverse=True)[1].astype(np.int64)
    rows = chosen_photos(people, TRIED_PEOPLE, TRIED_PHOTOS)
    return _measured_columns(table.take(pa.array(rows)))


def _measured_columns(table: pa.Table) -> pa.Table:
    """Only what the measurement reads, so that rows of both origins fit together."""
    templates = [name for name in table.column_names if name.startswith(template_column(""))]
    chosen = table.select(["identity", "outcome", "detection_score", *sorted(templates)])
    return pa.table({name: chosen[name] for name in chosen.column_names})

"""A few photos of the gallery, enrolled: whether the audit's recognisers tell their people apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from schemas.run.tables import Outcome, Role, template_column
from schemas.spec.audit import AuditSpec

WRONG_PHOTOS = frozenset({Outcome.INVALID_IMAGE, Outcome.TOO_LARGE})
MARKS = {Quality.GOOD: "", Quality.WEAK: "WARNING: ", Quality.UNUSABLE: "NOT USABLE: "}


@dataclass(frozen=True)
class NoImages:
    """Probed photos that are no images. sides: of each side how many, and of how many. reason: of one."""

    sides: Mapping[Role, tuple[int, int]]
    reason: str

    @property
    def whole_side(self) -> Role | None:
        """A side all of whose probed photos are none."""
        return next((role for role, (wrong, tried) in self.sides.items() if wrong == tried), None)

    def __str__(self) -> str:
        counts = (f"{wrong} of {tried} of the {role} side" for role, (wrong, tried) in self.sides.items())
        return f"{', '.join(counts)}: {self.reason}"


@dataclass(frozen=True)
class GalleryProbe:
    """photos: those that were enrolled. quality: what they and a few rows of earlier galleries show."""

    photos: Sequence[Photo]
    quality: GalleryQuality
    no_images: NoImages | None = None


def probe_gallery(spec: AuditSpec, capacity: Capacity, listed: Sequence[Photo]) -> GalleryProbe:
    """Enroll a few photos, of people with two photos first. Writes nothing.

    Raises SpecError or a subclass for photos, models or earlier galleries that cannot be used.
    """
    photos = few_photos(listed)
    tables, no_images = [_few_rows(table) for table in galleries_without_photos(spec)], None
    if photos:
        enrolled, reasons = _enrolled(spec, photos, capacity)
        tables.append(enrolled)
        no_images = _no_images(photos, enrolled["outcome"].to_pylist(), reasons)
    table = pa.concat_tables(tables)
    if len(set(accepted(table)["identity"].to_pylist())) < 2:
        return GalleryProbe(photos, GalleryQuality({}, face_share(table)), no_images)
    return GalleryProbe(photos, gallery_quality(spec, table), no_images)


def _no_images(photos: Sequence[Photo], outcomes: Sequence[str], reasons: Sequence[str]) -> NoImages | None:
    wrong = Counter(
        photo.role for photo, outcome in zip(photos, outcomes, strict=True) if outcome in WRONG_PHOTOS
    )
    if not wrong:
        return None
    tried = Counter(photo.role for photo in photos)
    # The number before it is the photo's of the probe.
    reason = reasons[0].partition(": ")[2]
    return NoImages({role: (wrong[role], tried[role]) for role in wrong}, reason)


def gallery_rows(probe: GalleryProbe) -> Iterator[tuple[str, str]]:
    """What the probe says of the gallery, for a table."""
    faces = probe.quality.faces
    if probe.no_images is not None:
        yield "photos", f"WARNING: no images: {probe.no_images}"
    if faces is not None:
        yield "faces in photos", f"{MARKS[faces.quality]}{face_text(faces)}"
    if not probe.quality.recognizers:
        yield "recognisers", "WARNING: fewer than two people of the probe have a usable photo"
    for name, recognizer in probe.quality.recognizers.items():
        yield f"recogniser {name}", f"{MARKS[recognizer.quality]}{separation_text(recognizer)}"


def require_usable_probe(spec: AuditSpec, probe: GalleryProbe, capacity: Capacity) -> None:
    """Raise RecognizerError if the audit would be refused for what the probe shows."""
    if probe.no_images is not None and (role := probe.no_images.whole_side) is not None:
        raise RecognizerError(
            f"no photo of the {role} side that was tried can be read: {probe.no_images.reason}"
        )
    if is_unusable(probe.quality):
        raise RecognizerError(complaint(spec, probe.quality, probe.photos, capacity))


def _enrolled(spec: AuditSpec, photos: Sequence[Photo], capacity: Capacity) -> tuple[pa.Table, Sequence[str]]:
    """Rows of the photos, and why some are no images."""
    places = tuple(photo.place for photo in photos)
    shard = Shard(0, 0, len(photos))
    setup = Setup(spec, capacity.device, capacity.threads, places)
    embedded = ShardEmbedder(setup).embed(shard)
    table = samples_table(shard, embedded.faces)
    identity = pa.array([photo.identity for photo in photos])
    return _measured_columns(table.append_column("identity", identity)), embedded.reasons


def _few_rows(table: pa.Table) -> pa.Table:
    people = np.unique(table["identity"].to_pylist(), return_inverse=True)[1].astype(np.int64)
    rows = chosen_photos(people, TRIED_PEOPLE, TRIED_PHOTOS)
    return _measured_columns(table.take(pa.array(rows)))


def _measured_columns(table: pa.Table) -> pa.Table:
    """Only what the measurement reads, so that rows of both origins fit together."""
    templates = [name for name in table.column_names if name.startswith(template_column(""))]
    chosen = table.select(["identity", "outcome", "detection_score", *sorted(templates)])
    return pa.table({name: chosen[name] for name in chosen.column_names})

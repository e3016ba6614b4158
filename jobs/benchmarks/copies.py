"""`idleak bench copies`: near-copies of photos, planted, told from other photos of the person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from distributed.embedding.extractor import TemplateExtractor
from distributed.gallery.photos import list_photos
from distributed.sampling.adapters import open_generator
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.images.places import decode_at
from distributed.stages.making.crops import face_of
from distributed.stages.making.models import open_extractor
from distributed.stages.making.setup import Setup
from distributed.statistics.people.pictures import (
    COPY_P,
    LEAST_PAIRS,
    Likeness,
    PhotoPairs,
    nearest_pairs,
    picture_similarity,
)
from distributed.statistics.people.separation import clopper_pearson
from distributed.statistics.similarity import Floats, Singles
from jobs.benchmarks.table import Bar, Measured, Report, Table, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.wording import share

MOST_PHOTOS = 4
SMALL = 32
PLANTED = 3
Treatment = Callable[[Image], Image]


@dataclass(frozen=True)
class Pair:
    """The two most similar photos of one person, the first one's face, and how alike their faces are."""

    first: Image
    second: Image
    photo: Singles
    similarity: float


def bench_copies(spec: AuditSpec, people: int, output: Path | None, command: Sequence[str]) -> ExitCode:
    """Of at most so many people of the cohort. FAILED if other photos are called the same one more often
    than COPY_P, on average over treatments. Raises SpecError for a gallery without enough pairs."""
    extractor = open_extractor(Setup(spec, "cpu", 1, photos=()))
    pairs = list(photo_pairs(spec, extractor, people))
    if len(pairs) <= LEAST_PAIRS:
        raise SpecError(
            f"this bench needs {LEAST_PAIRS + 1} people in gallery.cohort with two usable photos,"
            f" and there are {len(pairs)}"
        )
    rows, wrong = [], []
    for name, treated in TREATMENTS.items():
        for whose, pictures in (
            ("the photo", [p.first for p in pairs]),
            ("another", [p.second for p in pairs]),
        ):
            counts = likenesses(extractor, pairs, [treated(picture) for picture in pictures])
            rows.append((name, whose, *cells(counts)))
            if whose == "another":
                wrong.append(counts[Likeness.SAME_PHOTO] / counts.total())
    tables = [Table(f"{len(pairs)} people of the cohort", COLUMNS, rows), recurring(spec, extractor, pairs)]
    bar = Bar("another photo is called the same photo", Measured(tuple(wrong)), COPY_P, at_most=True)
    return publish(Report(command, 0, tables, [bar], NOTES), output)


COLUMNS = ("planted", "of", *map(str, Likeness))
NOTES = [
    "Each person's two nearest photos by template: the first as it is against the first, or the second,"
    " treated. The null is the pair of everybody else. In brackets exact 95 % intervals.",
    f"A template copy is found where two or more of {PLANTED} planted pictures and 16 real samples are called"
    " the photo; planted are three treated copies, or three treated other photos.",
]


def photo_pairs(spec: AuditSpec, extractor: TemplateExtractor, people: int) -> Iterator[Pair]:
    """Of people of the cohort with two usable photos, in the order of their names."""
    places = defaultdict(list)
    for photo in list_photos(spec.gallery):
        if photo.role is Role.COHORT:
            places[photo.identity].append(photo.place)
    for person in sorted(places)[:people]:
        images = [decode_at(place) for place in places[person][:MOST_PHOTOS]]
        usable = [image for image in images if not isinstance(image, InvalidImage)]
        batch = extractor.extract(usable)
        templates = np.asarray(next(iter(batch.templates.values())), np.float32)
        known = np.flatnonzero(~np.isnan(templates).any(axis=1))
        nearest = nearest_pairs(templates[known], np.zeros(len(known), np.int64), np.zeros(1, np.int64))
        for a, b in nearest:
            first, second = usable[known[a]], usable[known[b]]
            faces = face_of(extractor, first), face_of(extractor, second)
            if faces[0] is not None and faces[1] is not None:
                yield Pair(first, second, faces[0], picture_similarity(faces[0], faces[1]))


def likenesses(
    extractor: TemplateExtractor, pairs: Sequence[Pair], pictures: Sequence[Image]
) -> Counter[Likeness]:
    """What each picture is called, against the first photo of its person; the others' pairs are the null."""
    null = np.array([pair.similarity for pair in pairs])
    return Counter(
        likeness_of(face_of(extractor, picture), pair.photo, np.delete(null, place))
        for place, (pair, picture) in enumerate(zip(pairs, pictures, strict=True))
    )


def likeness_of(picture: Singles | None, photo: Singles, null: Floats) -> Likeness:
    """Undecided where no face is found in a picture, as it is in an audit."""
    if picture is None:
        return Likeness.UNDECIDED
    return PhotoPairs(null).likeness(picture_similarity(photo, picture))


def cells(counts: Counter[Likeness]) -> Iterator[str]:
    for likeness in Likeness:
        rate = counts[likeness] / counts.total()
        low, high = clopper_pearson(rate, counts.total())
        yield f"{share(rate)} ({share(low)} to {share(high)})"


def recurring(spec: AuditSpec, extractor: TemplateExtractor, pairs: Sequence[Pair]) -> Table:
    """How often a photo is said to recur, if it does, and if other photos of the person do."""
    generator = open_generator(spec.generator, spec.seed, device="cpu", threads=1)
    samples = open_extractor(Setup(spec, "cpu", 1))
    real = [face_of(samples, image) for image in generator.sample(np.arange(16))]
    chosen = list(TREATMENTS.values())[1 : 1 + PLANTED]
    null, rows = np.array([pair.similarity for pair in pairs]), []
    for name in ("the photo, three times", "another, three times"):
        said = 0
        for place, pair in enumerate(pairs):
            planted = pair.first if name.startswith("the photo") else pair.second
            faces = [*real, *(face_of(extractor, treated(planted)) for treated in chosen)]
            others = np.delete(null, place)
            same = [likeness_of(face, pair.photo, others) is Likeness.SAME_PHOTO for face in faces]
            said += sum(same) >= 2
        low, high = clopper_pearson(said / len(pairs), len(pairs))
        rows.append((name, f"{share(said / len(pairs))} ({share(low)} to {share(high)})"))
    return Table("Template copies", ("planted among 16 real samples", "called a template copy"), rows)


def reencoded(image: Image) -> Image:
    """JPEG of quality 30."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 30]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None, "cv2 reads what it has written"
    return _rgb(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def rescaled(image: Image) -> Image:
    """To SMALL pixels by its longer side per 112, the recogniser's frame, and back."""
    height, width = image.shape[:2]
    small = (max(1, width * SMALL // 112), max(1, height * SMALL // 112))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return _rgb(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC))


def mirrored(image: Image) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def recoloured(image: Image) -> Image:
    """Warmer, and brighter in the shadows."""
    warm = np.clip(image * np.array([1.2, 0.9, 0.7]) + np.array([10.0, -5.0, 15.0]), 0, 255)
    return _rgb(255 * (warm / 255) ** 0.75)


def _rgb(pixels: object) -> Image:
    return np.asarray(np.clip(np.asarray(pixels), 0, 255), np.uint8)


TREATMENTS: Mapping[str, Treatment] = {
    "as it is": lambda image: image,
    "re-encoded (JPEG 30)": reencoded,
    f"rescaled ({SMALL}/112)": rescaled,
    "mirrored": mirrored,
    "recoloured": recoloured,
    "all of these": lambda image: reencoded(rescaled(mirrored(recoloured(image)))),
}

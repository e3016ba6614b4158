"""Whether an audit can rest on an enrolled gallery: what its own photos show of recognisers and detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distributed.gallery.enrolled import accepted, template_rows
from distributed.statistics.people.separation import (
    ALIKE,
    GOOD_TAR,
    LEAST_TAR,
    MOST_ALIKE,
    MOST_PEOPLE,
    MOST_PHOTOS,
    Quality,
    Separation,
    chosen_photos,
    clopper_pearson,
    measure_separation,
)
from schemas.run.tables import Outcome

LEAST_FACES, GOOD_FACES = 0.1, 0.8


@dataclass(frozen=True)
class FaceShare:
    """In how many photos the detector has found a face, of those that it has searched."""

    with_face: int
    searched: int

    @property
    def share(self) -> float:
        return self.with_face / self.searched

    @property
    def quality(self) -> Quality:
        if clopper_pearson(self.share, self.searched)[1] < LEAST_FACES:
            return Quality.UNUSABLE
        return Quality.GOOD if self.share >= GOOD_FACES else Quality.WEAK


@dataclass(frozen=True)
class GalleryQuality:
    """recognisers: name -> how well it separates people. faces: None where no detector has searched."""

    recognizers: Mapping[str, Separation]
    faces: FaceShare | None

    def warnings(self) -> list[str]:
        """A sentence for whatever is less than good."""
        return [*self._face_warning(), *self._recognizer_warnings()]

    def _face_warning(self) -> Iterator[str]:
        if self.faces is not None and self.faces.quality is not Quality.GOOD:
            yield f"{face_text(self.faces)} of the gallery: check faces.detector, and the refused photos"

    def _recognizer_warnings(self) -> Iterator[str]:
        for name, recognizer in self.recognizers.items():
            if recognizer.quality is not Quality.GOOD:
                yield (
                    f"recogniser {name} tells the gallery's people apart poorly "
                    f"({separation_text(recognizer)}), so that a person who leaks may be missed: "
                    "check its input (channels, mean, std) and the alignment of the photos"
                )


def measure_gallery(table: pa.Table, recognizers: Sequence[str]) -> GalleryQuality:
    """table: of `gallery.parquet`, or rows of it, with two people or more whose photos were accepted."""
    usable = accepted(table)
    people = np.asarray(usable["identity"].combine_chunks().dictionary_encode().indices, np.int64)
    # Templates are read of those alone that are compared: a large gallery's are gigabytes.
    rows = chosen_photos(people, MOST_PEOPLE, MOST_PHOTOS)
    usable, people = usable.take(pa.array(rows)), people[rows]
    measured = {name: measure_separation(template_rows(usable, name), people) for name in recognizers}
    return GalleryQuality(measured, face_share(table))


def face_share(table: pa.Table) -> FaceShare | None:
    """What the detector has found in the photos; None if they were taken as aligned crops."""
    missed = pc.equal(table["outcome"], Outcome.NO_FACE)
    detected = pc.is_valid(table["detection_score"])
    searched = pc.sum(pc.or_(missed, detected)).as_py() or 0
    return FaceShare(pc.sum(detected).as_py(), searched) if searched else None


def face_text(faces: FaceShare) -> str:
    return f"a face was found in {faces.with_face:,} of {faces.searched:,} photos ({faces.share:.0%})"


def separation_text(separation: Separation) -> str:
    """The figures, and the bound that they miss if they do."""
    alike = f"photos of different people have a mean cosine of {separation.mean:.3f}"
    if separation.mated is None:
        bound = (
            f", above {MOST_ALIKE if separation.mean > MOST_ALIKE else ALIKE:g}"
            if separation.mean > ALIKE
            else ""
        )
        return f"{alike}{bound}; no TAR, as fewer than two people have two photos that differ"
    rate = separation.mated
    bound = f", below {LEAST_TAR if rate.high < LEAST_TAR else GOOD_TAR:g}" if rate.tar < GOOD_TAR else ""
    alike += f", above {MOST_ALIKE:g}" if separation.mean > MOST_ALIKE else ""
    return (
        f"TAR {rate.tar:.2f} at FMR {rate.fmr:g} over {rate.people:,} people (95 %: {rate.low:.2f} to "
        f"{rate.high:.2f}){bound}; {alike}"
    )

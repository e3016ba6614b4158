"""Tar files of images and identities, in WebDataset's form."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from distributed.gallery.people.listing import ListedPhoto, Listing, Notice, counted
from distributed.sampling.images.object_files import ObjectFiles
from distributed.sampling.images.places import TAR, Part
from distributed.sampling.images.tar_members import TarStream, is_image, regular_members, split_name
from schemas.errors import SpecError
from schemas.spec.people.packed import WebdatasetPeople

FOLDER = "folder"
MOST_LABEL_BYTES = 1 << 20


@dataclass
class Sample:
    """Members of one name. images: suffix -> where it lies."""

    name: str
    images: dict[str, Part] = field(default_factory=dict)
    identity: str | None = None


def list_people(spec: WebdatasetPeople) -> Listing:
    """One image of each name, in the order of the tars. Raises SpecError for a name without an identity, or
    with several images where `member` chooses none."""
    files = ObjectFiles(spec.path, TAR, "the source's `path`")
    samples = _samples(spec, files.stamps())
    photos, others = [], 0
    for sample in samples:
        chosen = _chosen(spec, sample)
        others += len(sample.images) - (chosen is not None)
        if chosen is not None:
            photos.append(ListedPhoto(_identity(spec, sample), sample.name, chosen))
    if not photos:
        what = "images" if spec.member is None else f"members with the suffix {spec.member}"
        raise SpecError(f"{spec.path} holds no {what}: its tar files need members such as 000000.jpg")
    text = f"left out: {counted(others, 'image')} of other suffixes than {spec.member}"
    return Listing(photos, [Notice(text)] if others else [])


def _chosen(spec: WebdatasetPeople, sample: Sample) -> Part | None:
    if spec.member is not None:
        return sample.images.get(spec.member)
    if len(sample.images) > 1:
        raise SpecError(
            f"{sample.name} of {spec.path} has several images, {', '.join(sorted(sample.images))}: set "
            "`member` of this source to the suffix of the photo"
        )
    return next(iter(sample.images.values()), None)


def _identity(spec: WebdatasetPeople, sample: Sample) -> str:
    identity = _folder(sample.name) if spec.identity == FOLDER else sample.identity
    if not identity:
        raise SpecError(
            f"{sample.name} of {spec.path} has no identity: set `identity` of this source to the suffix of "
            "the member that names it, such as cls or json, or to folder"
        )
    return identity


def _folder(name: str) -> str:
    """The last folder of `file.tar/folder/image`; none if the image lies in the tar itself."""
    parts = PurePosixPath(name).parts
    return parts[-2] if len(parts) > 2 else ""


@lru_cache(maxsize=2)
def _samples(spec: WebdatasetPeople, stamps: tuple[str, ...]) -> list[Sample]:
    """By one pass over every byte. stamps: so that a changed file is read again."""
    files = ObjectFiles(spec.path, TAR, "the source's `path`")
    samples: dict[str, Sample] = {}
    for name in files.names:
        for tar, member in regular_members(files, name, TarStream(files.chunks(name))):
            key, suffix = split_name(member.name)
            sample = samples.setdefault(f"{name}/{key}", Sample(f"{name}/{key}"))
            if is_image(member.name):
                sample.images[suffix] = Part(spec.path, name, member.offset_data, member.size)
            elif suffix == spec.identity:
                sample.identity = _label(spec, tar, member)
    return list(samples.values())


def _label(spec: WebdatasetPeople, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file, what = tar.extractfile(member), f"{member.name} of {spec.path} names no identity"
    data = b"" if file is None else file.read(MOST_LABEL_BYTES)
    try:
        value = data.decode() if spec.field is None else json.loads(data)[spec.field]
        # A lone surrogate, which JSON can write, is in no text.
        str(value).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        form = "text in UTF-8" if spec.field is None else f"JSON object with the key {spec.field!r}"
        raise SpecError(f"{what}: it is no {form}") from error
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise SpecError(f"{what}: {value!r} is neither text nor a whole number")
    return str(value).strip()

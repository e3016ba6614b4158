"""A folder of images, and a list that says who is on each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from distributed.gallery.people.listed_columns import attributes_of, column_of, require_identities
from distributed.gallery.people.listing import (
    ListedPhoto,
    Listing,
    Notice,
    counted,
    listing_of,
)
from distributed.gallery.people.tree import Tree
from distributed.sampling.images.decode import IMAGE_SUFFIXES
from distributed.sampling.templates.text_tables import TextTable, read_table
from schemas.errors import SpecError
from schemas.spec.people.image_list import ListPeople


def list_people(spec: ListPeople) -> Listing:
    """The images that the list names. Those that it does not name are left out, with a notice; one that it
    names and that is not there is refused."""
    tree = Tree(Path(spec.path))
    there = dict(tree.photos(tree.root))
    # It often lies beside the images.
    tree.strays = [path for path in tree.strays if path != Path(spec.list)]
    table = _table(spec, there)
    images, people = column_of(table, spec.image, "image"), column_of(table, spec.identity, "identity")
    require_identities(table, people)
    names, notes = _names_there(table, images, tree.root, there)
    _require_one_person_each(table, names, people)
    owners = dict(zip(names, people, strict=True))
    photos = [ListedPhoto(person, name, there[name]) for name, person in owners.items()]
    attributes, notices = attributes_of(table, people, (spec.image, spec.identity))
    notices = [
        *(Notice(f"{table.path.name}: {note}", warns=False) for note in [*table.notes, *notes]),
        *notices,
        *_left_out(there, owners, len(names) - len(owners)),
        *tree.notices(),
    ]
    return Listing(listing_of(photos).photos, notices, attributes)


def _table(spec: ListPeople, there: Collection[str]) -> TextTable:
    """The list; without a header if its first field is an image."""

    def is_header(row: Sequence[str]) -> bool:
        return PurePosixPath(row[0]).suffix.lower() not in IMAGE_SUFFIXES and row[0] not in there

    path = Path(spec.list)
    return read_table(
        path,
        spec.encoding,
        key="the source's `list`",
        is_header=is_header,
        columns=(spec.image, spec.identity),
    )


def _names_there(
    table: TextTable, images: Sequence[str], root: Path, there: Mapping[str, Path]
) -> tuple[Sequence[str], list[str]]:
    """The images as the folder has them, and what was inferred. Raises SpecError if any is not there."""
    names = [image if image in there else _below(root, image.replace("\\", "/")) for image in images]
    missing = [image for image, name in zip(images, names, strict=True) if name not in there]
    if not missing:
        return names, []
    for suffix in sorted({PurePosixPath(name).suffix for name in there}):
        with_suffix = [name + suffix for name in names]
        if all(name in there for name in with_suffix):
            return with_suffix, [f"it names images without their suffix, {suffix}"]
    raise SpecError(
        f"{len(missing):,} of the {len(images):,} images that {table.path} names are not in the folder, such "
        f"as {missing[0]!r}: correct the list, or `path`"
    )


def _below(root: Path, name: str) -> str:
    """The image's name below the folder; lists of programs often name it from the root of the disk on."""
    path = PurePosixPath(name)
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _require_one_person_each(table: TextTable, names: Sequence[str], people: Sequence[str]) -> None:
    owners: dict[str, str] = {}
    for name, person, line in zip(names, people, table.lines, strict=True):
        if owners.setdefault(name, person) != person:
            raise SpecError(f"{table.path}, line {line}: the image {name!r} is another person's further up")


def _left_out(there: Mapping[str, Path], owners: Mapping[str, str], repeated: int) -> list[Notice]:
    unnamed = sorted(there.keys() - owners.keys())
    notices = []
    if unnamed:
        notices.append(
            Notice(f"left out: {counted(len(unnamed), 'image')} that the list does not name", unnamed)
        )
    if repeated:
        notices.append(Notice(f"{counted(repeated, 'row')} of the list say again what another one says"))
    return notices

"""The photos of a large gallery, at the size of their names."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from distributed.gallery.photos import list_gallery
from distributed.gallery.source import gallery_source
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.run.tables import Role
from schemas.spec.gallery import GallerySpec
from schemas.spec.people import PeopleSpec
from tests.support.small_world import SmallWorld

PEOPLE, PHOTOS = 100, 10
MOST_BYTES = 150
"""Of a photo's columns, once it is listed, named and digested."""


def photos_of(folder: Path, people: int, photos: int) -> None:
    """Files that are listed as photos; none is opened but for its digest."""
    for person in range(people):
        (folder / f"{folder.name}-{person:05d}").mkdir(parents=True)
        for photo in range(photos):
            path = folder / f"{folder.name}-{person:05d}" / f"{photo:04d}_01.png"
            path.write_bytes(f"{folder.name} {person} {photo}".encode())


def test_a_photo_is_held_in_little_more_than_its_name(small_world: SmallWorld, tmp_path: Path) -> None:
    for side, people in (("candidates", PEOPLE), ("others", 30)):
        photos_of(tmp_path / side, people, PHOTOS)
    gallery = {
        "candidates": {"images": str(tmp_path / "candidates")},
        "cohort": {"images": str(tmp_path / "others")},
    }
    spec = small_world.spec(gallery=gallery | {"detector": False})
    source = gallery_source(spec, None)
    columns = pickle.dumps((source.photos, source.listed, source.digests), protocol=5)
    assert len(source.photos) == (PEOPLE + 30) * PHOTOS
    assert len(columns) / len(source.photos) < MOST_BYTES


def test_each_photo_has_its_own_names_place_and_digest(small_world: SmallWorld, tmp_path: Path) -> None:
    spec = small_world.spec()
    source, vault = gallery_source(spec, None), Vault(spec.protection)
    files = [
        (role, path)
        for role, folder in ((Role.CANDIDATE, "candidates"), (Role.COHORT, "cohort"))
        for path in sorted((small_world.folder / folder).glob("*/*.png"))
    ]
    assert [(photo.role, photo.place) for photo in source.photos] == files
    for row in (0, 17, len(files) - 1):
        role, path = files[row]
        photo, listed = source.photos[row], source.listed[row]
        assert (listed.identity, listed.name, listed.role) == (path.parent.name, path.name, role)
        assert photo.identity == vault.identity_pseudonym(path.parent.name)
        assert photo.name == vault.photo_pseudonym(path.parent.name, path.name)
        assert source.digests[row] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.photos[3:5] == tuple(source.photos)[3:5] and source.photos[-1] == list(source.photos)[-1]


def test_photos_in_folders_of_folders_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("ada/b.png", "ada/a/z.png", "ada/a.png", "bob/1.png"):
        (tmp_path / "sides" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sides" / name).write_bytes(b"photo")
    side = PeopleSpec(images=str(tmp_path / "sides"))
    photos = list_gallery(GallerySpec(candidates=side, cohort=PeopleSpec(parquet="gallery.parquet"))).photos
    assert [photo.name for photo in photos] == ["a.png", "a/z.png", "b.png", "1.png"]


@pytest.mark.parametrize("names", [("J\u00fcrgen", "Ju\u0308rgen")])
def test_two_forms_of_one_name_are_refused(
    small_world: SmallWorld, tmp_path: Path, names: tuple[str, str]
) -> None:
    for name in names:
        (tmp_path / "sides" / name).mkdir(parents=True)
        (tmp_path / "sides" / name / "1.png").write_bytes(name.encode())
    spec = small_world.spec(
        gallery={
            "candidates": {"images": str(tmp_path / "sides")},
            "cohort": {"images": str(small_world.folder / "cohort")},
            "detector": False,
        }
    )
    with pytest.raises(SpecError, match="two forms of Unicode"):
        gallery_source(spec, None)

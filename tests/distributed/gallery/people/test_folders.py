"""A folder per person: what counts as a photo, what is left out, and which links are followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing
from schemas.errors import SpecError
from schemas.spec.people import PeopleSpec
from schemas.spec.people.folders import FoldersPeople


def save(path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), "red").save(path, **options)


def listed(root: Path, **changes: Any) -> Listing:
    return list_source(FoldersPeople(kind="folders", path=str(root), **changes))


def names(listing: Listing) -> list[str]:
    return [f"{photo.identity}/{photo.name}" for photo in listing.photos]


def notices_of(listing: Listing) -> dict[str, list[str]]:
    return {notice.text: list(notice.details) for notice in listing.notices}


def test_the_short_form_lists_what_the_kind_does(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.JPG", "a/deep/0.webp", "a/.hidden.png"):
        save(tmp_path / name)
    kind = listed(tmp_path)
    assert names(kind) == ["a/deep/0.webp", "b/1.JPG", "b/2.png"] and not kind.notices
    assert list_source(PeopleSpec(images=str(tmp_path))) == kind
    assert list_source(PeopleSpec(parquet="gallery.parquet")) == Listing([])


def test_people_a_folder_deeper_are_one_person_with_a_warning(tmp_path: Path) -> None:
    for name in ("train/n1/1.png", "train/n2/1.png", "test/n3/1.png"):
        save(tmp_path / name)
    (notice,) = listed(tmp_path).notices
    assert notice.warns and "folder of a person (2), but in 3 folders below them" in notice.text
    save(tmp_path / "train" / "1.png")
    assert not listed(tmp_path).notices


def test_strays_do_not_stop_the_others_and_are_named(tmp_path: Path) -> None:
    for name in ("a/1.png", "beside.png", ".cache/x.png", "a/.git/y.png"):
        save(tmp_path / name)
    save(tmp_path / "a" / "unnamed", format="PNG")
    (tmp_path / "a" / "broken.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / "a" / "empty.txt").touch()
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    listing = listed(tmp_path)
    # A damaged photo is one that must be refused, and not passed over.
    assert names(listing) == ["a/1.png", "a/broken.jpg", "a/unnamed"]
    assert notices_of(listing) == {
        "left out: 1 file beside the folders of people": ["beside.png"],
        "left out: 1 folder without a photo": ["empty"],
        "left out: 2 files, no image by name or first bytes": ["a/Thumbs.db", "a/empty.txt"],
        "left out: 2 folders beginning with a dot": [".cache", "a/.git"],
    }


def test_folders_that_cannot_serve_say_why(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is not a folder; give a folder of photos"):
        listed(tmp_path / "nowhere")
    with pytest.raises(SpecError, match="holds no images; give a folder with one folder"):
        listed(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(SpecError, match=r"none of the 1 folder of .* holds a photo"):
        listed(tmp_path)
    (tmp_path / "a").rmdir()
    save(tmp_path / "a_0001.png")
    with pytest.raises(SpecError, match=r"has no folders; .* the kind flat or list"):
        listed(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_called_empty(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png")
    (tmp_path / "a").chmod(0)
    with pytest.raises(SpecError, match=r"cannot list .*Permission denied"):
        listed(tmp_path)
    (tmp_path / "a").chmod(0o700)


def test_a_hugging_face_cache_is_made_of_links(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--somebody--faces"
    blob = repository / "blobs" / ("0" * 64)
    save(blob, format="PNG")
    folder = repository / "snapshots" / "abc" / "train"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1.png").symlink_to("../../../../blobs/" + "0" * 64)
    listing = listed(folder)
    assert names(listing) == ["a/1.png"] and not listing.notices
    (folder / "a" / "2.png").symlink_to(tmp_path / "secret.png")
    save(tmp_path / "secret.png")
    with pytest.raises(SpecError, match=r"2\.png is a symbolic link that leads out of .*faces"):
        listed(folder)


def test_links_inside_the_folder_are_followed_and_others_refused(tmp_path: Path) -> None:
    root = tmp_path / "people"
    save(root / "a" / "1.png")
    (root / "a" / "again.png").symlink_to("1.png")
    assert names(listed(root)) == ["a/1.png", "a/again.png"]
    link = root / "a" / "link.png"
    for target, says in (
        (tmp_path / "people", "to a folder, which may be listed twice"),
        (tmp_path / "nowhere.png", "leads to no file"),
        (link, "leads to no file"),
        (Path("/etc/passwd"), "leads out of"),
    ):
        link.symlink_to(target)
        with pytest.raises(SpecError, match=rf"link\.png is a symbolic link .*{says}|{says}"):
            listed(root)
        link.unlink()


def test_the_choice_of_photos_depends_on_names_and_seed_alone(tmp_path: Path) -> None:
    for index in range(12):
        save(tmp_path / "first" / "a" / f"{index}.png")
        save(tmp_path / "other" / "a" / f"{11 - index}.png")
    save(tmp_path / "other" / "b" / "0.png")
    first, other = listed(tmp_path / "first", at_most=3), listed(tmp_path / "other", at_most=3)
    assert names(first) == names(other)[:3] and names(other)[3:] == ["b/0.png"]
    assert list(notices_of(first)) == [
        "9 photos are left out by at_most: 3 of each person were chosen by the seed 0"
    ]
    assert not any(notice.warns for notice in first.notices)
    seeds = {tuple(names(listed(tmp_path / "first", at_most=3, seed=seed))) for seed in range(5)}
    assert len(seeds) > 2
    # One more photo takes the place of one at most.
    save(tmp_path / "first" / "a" / "12.png")
    assert len(set(names(first)) - set(names(listed(tmp_path / "first", at_most=3)))) <= 1
    assert not listed(tmp_path / "first", at_most=13).notices

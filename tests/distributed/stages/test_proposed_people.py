"""Sources of people as they lie on disks: the block that `init` proposes lists their people."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter

from distributed.gallery.people.adapters import list_source
from distributed.stages.proposing.people import people_block
from schemas.errors import SpecError
from schemas.spec.gallery import GallerySpec
from tests.support.archives import write_tar

PHOTOS = {"1.png": "Zoë", "2.png": "Zoë", "3.png": "Al"}
IN_FOLDERS = {"Zoë/1.png": "Zoë", "Zoë/2.png": "Zoë", "Al/3.png": "Al"}


def encoded() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


def images(folder: Path, names: dict[str, str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded())
    return folder


def latin_1(root: Path) -> Path:
    """As spreadsheets save it."""
    images(root / "img", PHOTOS)
    lines = [f"{name};{person}" for name, person in PHOTOS.items()]
    (root / "people.csv").write_bytes("\r\n".join(["image;identity", *lines]).encode("latin-1"))
    return root


def from_the_root_on(root: Path) -> Path:
    images(root / "img", PHOTOS)
    lines = [f"{root / 'img' / name},{person}" for name, person in PHOTOS.items()]
    (root / "people.csv").write_text("\n".join(["path,name", *lines]), encoding="utf-8")
    return root


def the_list_itself(root: Path) -> Path:
    images(root / "img", PHOTOS)
    lines = [f"{name} {person}" for name, person in PHOTOS.items()]
    (root / "identity.txt").write_text("\n".join(lines), encoding="utf-8")
    return root / "identity.txt"


def one_deeper(root: Path) -> Path:
    images(root / "faces", IN_FOLDERS)
    return root


def tar_of_folders(root: Path) -> Path:
    return write_tar(root / "a.tar", dict.fromkeys(IN_FOLDERS, encoded()))


def tar_with_json(root: Path) -> Path:
    members: dict[str, bytes] = {}
    for name, person in PHOTOS.items():
        members |= {name: encoded()}
        members |= {f"{name[0]}.json": json.dumps({"width": 4, "person": person}).encode()}
    return write_tar(root / "a.tar", members).parent


def tar_with_text(root: Path) -> Path:
    members: dict[str, bytes] = {}
    for name, person in PHOTOS.items():
        members |= {name: encoded(), f"{name[0]}.txt": person.encode()}
    return write_tar(root / "a.tar", members)


def dataset(root: Path) -> Path:
    """A repository of the Hugging Face Hub, with columns of its own names."""
    (root / "data").mkdir(parents=True)
    cells = [{"bytes": encoded(), "path": name} for name in PHOTOS]
    table = pa.table({"img": cells, "celeb": list(PHOTOS.values())})
    pq.write_table(table, root / "data" / "train-00000-of-00001.parquet")
    (root / "README.md").write_text("a card")
    return root


@pytest.mark.parametrize(
    "make",
    [
        latin_1,
        from_the_root_on,
        the_list_itself,
        one_deeper,
        tar_of_folders,
        tar_with_json,
        tar_with_text,
        dataset,
    ],
)
def test_the_proposed_block_lists_the_people(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    block = people_block(make(tmp_path / "people"))
    gallery: Any = TypeAdapter(GallerySpec).validate_python({"candidates": block, "cohort": block})
    people = sorted(photo.identity for photo in list_source(gallery.candidates).photos)
    assert people == ["Al", "Zoë", "Zoë"]


def test_one_folder_is_one_person_unless_a_table_beside_it_says_otherwise(tmp_path: Path) -> None:
    images(tmp_path, {"Zoë/1.png": "Zoë", "Zoë/2.png": "Zoë"})
    assert people_block(tmp_path) == {"images": str(tmp_path)}
    (tmp_path / "people.csv").write_text("image,identity\n1.jpg,Zoë\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"no two columns of people\.csv name images that are there"):
        people_block(tmp_path)

"""People in tar files and in Parquet files, as WebDataset and the Hugging Face Hub keep them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.listing import Listing
from distributed.sampling.images.places import PlaceReader
from schemas.errors import SpecError
from schemas.spec.gallery import GallerySpec
from schemas.spec.people.image_list import ListPeople
from schemas.spec.people.packed import ParquetPeople, WebdatasetPeople
from tests.distributed.gallery.people.test_folders import names, notices_of, save
from tests.support.archives import write_tar


def picture(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (level, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def in_tars(path: Path, **changes: Any) -> Listing:
    return list_source(WebdatasetPeople(kind="webdataset", path=str(path), **changes))


def in_parquet(path: Path, **changes: Any) -> Listing:
    return list_source(ParquetPeople(kind="parquet", path=str(path), **changes))


def encoded(listing: Listing) -> list[Any]:
    reader = PlaceReader()
    return [reader.encoded(photo.place) for photo in listing.photos]


def test_tars_with_a_class_a_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "1.tar", {"b.cls": b"7\n", "b.jpg": picture(1), "a.jpg": picture(2), "a.cls": b"8"})
    write_tar(tmp_path / "0.tar", {"a.PNG": picture(3), "a.cls": b" 7", "a.txt": b"caption"})
    listing = in_tars(tmp_path)
    assert names(listing) == ["7/0.tar/a", "7/1.tar/b", "8/1.tar/a"] and not listing.notices
    assert encoded(listing) == [picture(3), picture(1), picture(2)]


def test_tars_with_several_images_a_name(tmp_path: Path) -> None:
    sample = {"a.jpg": picture(1), "a.seg.png": picture(2), "a.json": json.dumps({"id": 3}).encode()}
    write_tar(tmp_path / "0.tar", sample)
    with pytest.raises(SpecError, match=r"0\.tar/a of .* has several images, jpg, seg\.png: set `member`"):
        in_tars(tmp_path, identity="json", field="id")
    listing = in_tars(tmp_path, member="jpg", identity="json", field="id")
    assert names(listing) == ["3/0.tar/a"] and encoded(listing) == [picture(1)]
    assert list(notices_of(listing)) == ["left out: 1 image of other suffixes than jpg"]
    with pytest.raises(SpecError, match=r"a.json of .* names no identity: it is no JSON object with the key"):
        in_tars(tmp_path, member="jpg", identity="json", field="who")
    with pytest.raises(SpecError, match="has no identity: set `identity`"):
        in_tars(tmp_path, member="jpg")
    with pytest.raises(SpecError, match="holds no members with the suffix webp"):
        in_tars(tmp_path, member="webp")


def test_tars_of_folders(tmp_path: Path) -> None:
    write_tar(tmp_path / "lfw.tar", {"./lfw/Ada/1.jpg": picture(1), "lfw/Jo/1.jpg": picture(2)})
    assert names(in_tars(tmp_path / "lfw.tar", identity="folder")) == [
        "Ada/lfw.tar/lfw/Ada/1",
        "Jo/lfw.tar/lfw/Jo/1",
    ]
    write_tar(tmp_path / "flat.tar", {"1.jpg": picture(1)})
    with pytest.raises(SpecError, match="has no identity"):
        in_tars(tmp_path / "flat.tar", identity="folder")


def test_what_is_no_tar_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot list .*; correct the source's `path`"):
        in_tars(tmp_path / "none")
    with pytest.raises(SpecError, match=r"holds no \.tar files; correct the source's `path`"):
        in_tars(tmp_path)
    (tmp_path / "0.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(SpecError, match="is no whole tar file"):
        in_tars(tmp_path)


def hub_table(labels: Sequence[int], classes: Sequence[str]) -> pa.Table:
    """As `datasets` writes image datasets: struct{bytes, path}, and the features in the metadata."""
    images = [{"bytes": picture(level), "path": f"{level}.png"} for level in range(len(labels))]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": pa.array(labels, pa.int64())})
    label = (
        {"dtype": "int64", "_type": "Value"} if classes is None else {"names": classes, "_type": "ClassLabel"}
    )
    features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(features)})


def test_the_hubs_parquet_with_class_names(tmp_path: Path) -> None:
    pq.write_table(hub_table([1, 0, 1], ["Ada", "Jo"]), tmp_path / "train-0.parquet", row_group_size=2)
    listing = in_parquet(tmp_path)
    assert names(listing) == ["Jo/train-0.parquet/0", "Ada/train-0.parquet/1", "Jo/train-0.parquet/2"]
    assert encoded(listing) == [picture(0), picture(1), picture(2)]
    assert encoded(listing)[::-1] == [picture(2), picture(1), picture(0)]
    assert list(notices_of(listing)) == [
        "identities are named as the classes of 'label', which the files declare"
    ]
    pq.write_table(hub_table([1, 2], ["Ada", "Jo"]), tmp_path / "train-1.parquet")
    with pytest.raises(SpecError, match="row 1: 2 is none of the 2 classes"):
        in_parquet(tmp_path)


def test_parquet_of_bytes_with_any_columns(tmp_path: Path) -> None:
    path = tmp_path / "faces.parquet"
    pq.write_table(pa.table({"jpg": [picture(0), None], "who": [" Ada", "Jo"]}), path)
    listing = in_parquet(path, image="jpg", identity="who")
    assert names(listing) == ["Ada/faces.parquet/0", "Jo/faces.parquet/1"]
    assert encoded(listing) == [picture(0), b""]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"label": [1]}, "has no column 'image', .*: set `image` of this source"),
        ({"image": ["a.jpg"], "label": [1]}, "holds string, not bytes of images: set `image`"),
        ({"image": [b"x"], "who": [1]}, "has no column 'label', .*: set `identity` of this source"),
        ({"image": [b"x"], "label": pa.array([None], pa.int64())}, "row 0: None names no identity"),
        (
            {"image": [b"x"], "label": [1.5]},
            "row 0: 1.5 names no identity",
        ),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "holds no rows"),
    ],
)
def test_parquet_that_cannot_serve_says_why(tmp_path: Path, columns: Any, says: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(SpecError, match=says):
        in_parquet(tmp_path)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_an_imagefolder_with_metadata_is_a_list(tmp_path: Path, name: str) -> None:
    for photo in ("0.png", "inner/1.png"):
        save(tmp_path / photo)
    rows = [{"file_name": "0.png", "label": 3}, {"file_name": "inner/1.png", "label": 4}]
    lines = [json.dumps(row | {"boxes": [1, 2]}) for row in rows]
    if name.endswith("csv"):
        lines = ["file_name,label", *(f"{row['file_name']},{row['label']}" for row in rows)]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    folder = str(tmp_path)
    spec = ListPeople(
        kind="list", path=folder, list=str(tmp_path / name), image="file_name", identity="label"
    )
    listing = list_source(spec)
    assert names(listing) == ["3/0.png", "4/inner/1.png"] and not listing.notices


@pytest.mark.parametrize(("line", "says"), [("{", "line 2: no JSON"), ("[1]", "line 2: a JSON object")])
def test_lines_that_are_no_json_are_told(tmp_path: Path, line: str, says: str) -> None:
    save(tmp_path / "0.png")
    (tmp_path / "metadata.jsonl").write_text('{"image": "0.png", "identity": "Jo"}\n' + line)
    with pytest.raises(SpecError, match=says):
        list_source(ListPeople(kind="list", path=str(tmp_path), list=str(tmp_path / "metadata.jsonl")))


def test_a_field_is_of_json_alone() -> None:
    for changes in ({"field": "id"}, {"identity": "json"}):
        side = {"kind": "webdataset", "path": "a.tar"} | changes
        with pytest.raises(ValueError, match="field names a key of a json member"):
            GallerySpec.model_validate({"candidates": side, "cohort": {"images": "cohort"}})

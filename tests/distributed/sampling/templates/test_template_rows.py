"""Samples that are given as templates: in arrays, Parquet and clip-retrieval's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from distributed.sampling.adapters import generator_fields, generator_notices, image_count, open_generator
from distributed.sampling.generator import InvalidImage
from distributed.sampling.templates.template_rows import Templates
from distributed.sampling.templates.vectors import unit_rows
from schemas.errors import SpecError
from schemas.spec.generators.templates import TemplatesGenerator

ROWS = np.random.default_rng(0).normal(size=(25, 6)).astype(np.float32)


def spec(path: Path | str, **changes: Any) -> TemplatesGenerator:
    return TemplatesGenerator(kind="templates", path=str(path), **changes)


def array(path: Path, rows: Any = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, rows)
    return path


def lists(path: Path, rows: Any = ROWS, kind: pa.DataType | None = None, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = pa.array([None if row is None else list(row) for row in rows], kind or pa.list_(pa.float32()))
    pq.write_table(pa.table({"template": values, **columns}), path, row_group_size=4)
    return path


def clip_folder(folder: Path, *, sizes: tuple[int, ...] = (3, 10, 12)) -> Path:
    """As clip-retrieval writes it: files by number, of which the tenth is not the second."""
    numbers, start = (0, 2, 10), 0
    for number, size in zip(numbers, sizes, strict=True):
        array(folder / "img_emb" / f"img_emb_{number}.npy", ROWS[start : start + size].astype(np.float16))
        array(folder / "text_emb" / f"text_emb_{number}.npy")
        (folder / "metadata").mkdir(exist_ok=True)
        paths = [f"served/{row}.jpg" for row in range(start, start + size)]
        pq.write_table(pa.table({"image_path": paths}), folder / "metadata" / f"metadata_{number}.parquet")
        start += size
    return folder


def source(folder: Path, form: str) -> Path:
    if form == "array":
        return array(folder / "t.npy")
    if form == "column by column":
        return array(folder / "t.npy", np.asfortranarray(ROWS))
    if form == "arrays":
        array(folder / "b.npy", ROWS[9:])
        return array(folder / "a.npy", ROWS[:9].astype(np.float64)).parent
    if form == "parquet":
        return lists(folder / "t.parquet", kind=pa.list_(pa.float64()))
    if form == "parquets":
        lists(folder / "b.parquet", ROWS[9:], pa.list_(pa.float32(), 6))
        return lists(folder / "a.parquet", ROWS[:9], pa.large_list(pa.float32())).parent
    return clip_folder(folder)


@pytest.mark.parametrize("form", ["array", "column by column", "arrays", "parquet", "parquets", "clip"])
def test_every_form_gives_the_same_rows_in_any_cut(tmp_path: Path, form: str) -> None:
    given = spec(source(tmp_path / "there", form))
    assert image_count(given) == len(ROWS)
    templates = Templates(given)
    assert templates.dimension == ROWS.shape[1]
    for first, stop in ((0, 25), (0, 1), (2, 11), (8, 10), (24, 25)):
        np.testing.assert_allclose(templates.read(first, stop), ROWS[first:stop], atol=2e-3)
    images = open_generator(given, 0, device="cpu", threads=1).sample(np.array([3, 0]))
    assert all(isinstance(image, InvalidImage) and image.reason == "given as a template" for image in images)


def test_templates_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    from obstore.store import from_url

    array(tmp_path / "t.npy")
    from_url(bucket).put("served/img_emb/img_emb_0.npy", (tmp_path / "t.npy").read_bytes())
    templates = Templates(spec(f"{bucket}/served"))
    np.testing.assert_array_equal(templates.read(4, 9), ROWS[4:9])


def test_the_fingerprint_follows_the_rows_and_their_order(tmp_path: Path) -> None:
    fields = [generator_fields(spec(array(tmp_path / "t.npy", rows))) for rows in (ROWS, ROWS, ROWS[::-1])]
    assert fields[0] == fields[1] != fields[2]
    assert fields[0]["generator.seeded"] == "false"


def test_a_row_without_a_direction_is_none_and_others_are_scaled() -> None:
    raw = np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1]], np.float32)
    rows, lengths = unit_rows(raw)
    np.testing.assert_allclose(rows[0], [0.6, 0.8])
    assert np.isnan(rows[1:]).all() and lengths[0] == 5 and lengths[1] == 0


def test_null_is_a_row_of_its_own(tmp_path: Path) -> None:
    rows: list[Any] = [None, *ROWS[:5], None]
    templates = Templates(spec(lists(tmp_path / "t.parquet", rows)))
    read = templates.read(0, 7)
    assert np.isnan(read[[0, 6]]).all()
    np.testing.assert_array_equal(read[1:6], ROWS[:5])


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    unit = unit_rows(ROWS)[0]
    lines = generator_notices(spec(array(tmp_path / "t.npy", unit)))
    assert lines == [
        "samples were given as templates: none can be shown or searched for faces, and nothing tells which "
        "recogniser made them"
    ]
    lines = generator_notices(spec(array(tmp_path / "t.npy"), recognizer=digest))
    assert "nothing tells" not in lines[0] and lines[1].endswith("are scaled to it")


def reasons(given: TemplatesGenerator, ids: list[int]) -> list[str]:
    images = open_generator(given, 0, device="cpu", threads=1).sample(np.array(ids))
    return [image.reason for image in images if isinstance(image, InvalidImage)]


def test_the_images_names_are_told(tmp_path: Path) -> None:
    names = [f"{row}.jpg" for row in range(25)]
    (tmp_path / "names.csv").write_text("\n".join(["file,size", *(f"{name},1" for name in names)]))
    listed = spec(array(tmp_path / "t.npy"), list=str(tmp_path / "names.csv"), image="file")
    packed = spec(lists(tmp_path / "t.parquet", file=names), image="file")
    for given in (listed, packed):
        assert image_count(given) == 25
        assert reasons(given, [13, 0]) == [
            "given as a template, of '13.jpg'",
            "given as a template, of '0.jpg'",
        ]
    clip = spec(clip_folder(tmp_path / "clip"), image="image_path")
    assert reasons(clip, [24, 2, 3]) == [f"given as a template, of 'served/{row}.jpg'" for row in (24, 2, 3)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS[0], r"holds \(6,\) of float32: give N × d"),
        ((ROWS * 9).astype(np.int8), "of int8: give N × d floating"),
        (np.array([{}]), r"is no \.npy file of numbers"),
        (ROWS[:0], "holds no rows"),
    ],
)
def test_arrays_that_cannot_serve_say_why(tmp_path: Path, rows: Any, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        image_count(spec(array(tmp_path / "t.npy", rows)))


def test_files_that_cannot_serve_say_why(tmp_path: Path) -> None:
    whole = array(tmp_path / "t.npy").read_bytes()
    (tmp_path / "t.npy").write_bytes(whole[:-1])
    with pytest.raises(SpecError, match=r"t\.npy is truncated"):
        image_count(spec(tmp_path / "t.npy"))
    (tmp_path / "t.npy").write_bytes(whole[:20])
    with pytest.raises(SpecError, match=r"is no \.npy file of numbers"):
        image_count(spec(tmp_path / "t.npy"))
    with pytest.raises(SpecError, match=r"cannot list .*nowhere.*correct generator\.path"):
        image_count(spec(tmp_path / "nowhere"))
    lists(tmp_path / "t.parquet")
    with pytest.raises(SpecError, match=r"holds both \.npy and \.parquet"):
        image_count(spec(tmp_path))
    with pytest.raises(SpecError, match=r"has no column 'v', .*set generator\.template"):
        image_count(spec(tmp_path / "t.parquet", template="v"))
    mixed = array(tmp_path / "mixed" / "a.npy").parent
    array(mixed / "b.npy", ROWS[:, :4])
    with pytest.raises(SpecError, match=r"different lengths \(6 in a\.npy; 4 in b\.npy\)"):
        image_count(spec(mixed))


def test_lists_that_do_not_fit_say_so(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("file\na.jpg\n")
    with pytest.raises(SpecError, match=r"has 25 rows, and .*names\.csv 1: they do not fit"):
        image_count(spec(array(tmp_path / "t.npy"), list=str(tmp_path / "names.csv")))
    clip = clip_folder(tmp_path / "clip")
    (clip / "metadata" / "metadata_2.parquet").unlink()
    with pytest.raises(SpecError, match="3 files of templates, and 2 of metadata"):
        reasons(spec(clip, image="image_path"), [0])
    with pytest.raises(SpecError, match=r"has no column 'url', .*set generator\.image"):
        reasons(spec(clip_folder(tmp_path / "other"), image="url"), [0])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"path": "t.parquet", "list": "names.csv"}, "list names the rows of one .npy"),
        ({"path": "t.npy", "image": "file"}, "image is a column of list"),
        ({"path": "t.npy", "recognizer": "arcface"}, "pattern"),
    ],
)
def test_keys_that_do_not_fit(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TemplatesGenerator.model_validate({"kind": "templates", **keys})

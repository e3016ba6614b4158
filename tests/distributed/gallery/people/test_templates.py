"""Templates that were made elsewhere: arrays with a list, and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.templates import ListedTemplates, read_templates
from schemas.errors import SpecError
from schemas.spec.people.templates import TemplatesPeople
from tests.support.small_world import SmallWorld, default_spec

RAW = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
UNIT = RAW / np.linalg.norm(RAW, axis=1, keepdims=True)


def read(path: Path, **changes: Any) -> ListedTemplates:
    return read_templates(TemplatesPeople(kind="templates", path=str(path), **changes))


def array(folder: Path, values: Any = UNIT, who: str = "identity\nJo\nAl\nJo\n") -> dict[str, Any]:
    np.save(folder / "t.npy", values)
    (folder / "who.csv").write_text(who)
    return {"path": folder / "t.npy", "list": str(folder / "who.csv")}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_and_a_list(tmp_path: Path, dtype: type[np.floating[Any]]) -> None:
    listed = read(**array(tmp_path, UNIT.astype(dtype)))
    assert listed.identities == ["Jo", "Al", "Jo"] and listed.names == ["0", "1", "2"]
    np.testing.assert_allclose(listed.templates, UNIT, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(listed.templates, axis=1), 1, atol=1e-6)
    assert len(listed.notices) == 1 and "no page can show these people" in listed.notices[0].text


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 4), pa.large_list(pa.float64())]
)
def test_parquet_of_lists_is_scaled_and_that_is_told(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"v": pa.array(RAW.tolist(), kind), "who": [1, 2, 1], "photo": ["a", "a", "b"]})
    pq.write_table(table, tmp_path / "t.parquet")
    listed = read(tmp_path / "t.parquet", template="v", identity="who", image="photo")
    assert listed.identities == ["1", "2", "1"] and listed.names == ["a", "a", "b"]
    np.testing.assert_allclose(listed.templates, UNIT, atol=1e-6)
    assert listed.notices[-1].text == "3 templates of another length than 1 were scaled to it"


def test_at_most_chooses_and_no_photo_is_listed(tmp_path: Path) -> None:
    given = array(tmp_path)
    listed = read(**given, at_most=1)
    assert sorted(listed.identities) == ["Al", "Jo"] and listed.templates.shape == (2, 4)
    spec = TemplatesPeople(kind="templates", path=str(given["path"]), list=given["list"], at_most=1)
    assert not list_source(spec).photos and list_source(spec).notices == listed.notices


def spoilt(value: float) -> Any:
    changed = UNIT.copy()
    changed[1] = value
    return changed


@pytest.mark.parametrize(
    ("values", "who", "says"),
    [
        (spoilt(np.nan), "identity\nJo\nAl\nJo\n", "row 1: the template is zero or not finite"),
        (spoilt(0), "identity\nJo\nAl\nJo\n", "row 1: the template is zero or not finite"),
        (UNIT, "identity\nJo\nAl\n", r"has 3 rows, and .*who\.csv 2: they do not fit"),
        (UNIT, "name\nJo\nAl\nJo\n", "has no column 'identity', .*set `identity`"),
        (UNIT, "identity,x\nJo,1\n,2\nJo,3\n", "line 3: no identity"),
    ],
)
def test_arrays_that_cannot_serve_say_why(tmp_path: Path, values: Any, who: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        read(**array(tmp_path, values, who))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([[1.0], [1.0, 2.0]], "templates of 'template' have lengths from 1 to 2"),
        ([1.0, 2.0], "holds double, not a list"),
        ([["a"], ["b"]], "not a list of floating-point numbers in each row"),
        ([[1.0], None], "row 1: the template is zero or not finite"),
    ],
)
def test_parquet_that_cannot_serve_says_why(tmp_path: Path, column: Any, says: str) -> None:
    pq.write_table(pa.table({"template": column, "identity": ["Jo", "Al"]}), tmp_path / "t.parquet")
    with pytest.raises(SpecError, match=says):
        read(tmp_path / "t.parquet")
    with pytest.raises(SpecError, match=r"has no column 'other'.*set `template`"):
        read(tmp_path / "t.parquet", template="other")


def test_files_that_are_not_there_and_photos_that_are_there_twice(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*t\.parquet: No such file"):
        read(tmp_path / "t.parquet")
    given = array(tmp_path, who="identity,photo\nJo,a\nAl,a\nJo,a\n")
    with pytest.raises(SpecError, match="names the photo 'a' of 'Jo' 2 times"):
        read(**given, image="photo")


@pytest.mark.parametrize(
    ("side", "says"),
    [
        ({"path": "t.npy"}, "list says who the rows of a .npy are"),
        ({"path": "t.parquet", "list": "who.csv"}, "list says who the rows of a .npy are"),
        ({"path": "t.pt"}, "path must be a .npy or a .parquet"),
    ],
)
def test_specs_that_cannot_be(small_world: SmallWorld, side: dict[str, str], says: str) -> None:
    gallery = default_spec()["gallery"] | {"candidates": {"kind": "templates"} | side}
    with pytest.raises(SpecError, match=says):
        small_world.spec(gallery=gallery)


def test_templates_are_of_one_recognizer(small_world: SmallWorld) -> None:
    faces = default_spec()["faces"]
    two = faces | {"recognizers": [*faces["recognizers"], faces["recognizers"][0] | {"name": "other"}]}
    gallery = default_spec()["gallery"] | {"candidates": {"kind": "templates", "path": "t.parquet"}}
    with pytest.raises(SpecError, match=r"templates in place of images or photos are of one recogniser"):
        small_world.spec(gallery=gallery, faces=two)

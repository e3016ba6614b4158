"""The same photos from every kind of source give the same templates of the same people."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from distributed.execution.executor import Observer, Unobserved
from distributed.execution.local import LocalExecutor
from distributed.gallery.enrolled import template_rows
from distributed.sampling.images import decode
from distributed.stages.enrolling.enroll import enroll
from distributed.stages.enrolling.enrolment import Enrolment
from distributed.storage.store import open_run
from schemas.errors import SpecError
from schemas.run.tables import Role
from tests.support.people import pseudonym
from tests.support.recordio import write_insightface
from tests.support.small_world import SmallWorld

Source = dict[str, Any]


@contextmanager
def watch(title: str, unit: str = "images", /) -> Iterator[Observer]:
    yield Unobserved()


def enrolled(world: SmallWorld, name: str, candidates: Source, **changes: Any) -> Enrolment:
    gallery = {"candidates": candidates, "cohort": {"images": "cohort"}, "detector": False}
    spec = world.spec(name, gallery=gallery | changes)
    return enroll(spec, open_run(spec), LocalExecutor(), watch)


def people_and_templates(table: pa.Table) -> list[list[str]]:
    """Who is who does not count: sources name people in ways of their own."""
    people: dict[str, list[str]] = {}
    for person, template in zip(
        table["identity"].to_pylist(), table["template_tiny"].to_pylist(), strict=True
    ):
        people.setdefault(person, []).append(repr(template))
    return sorted(sorted(templates) for templates in people.values())


def photos_of(world: SmallWorld) -> list[Path]:
    return sorted((world.folder / "candidates").glob("*/*.png"))


def as_folders(world: SmallWorld) -> Source:
    return {"kind": "folders", "path": "candidates"}


def as_list(world: SmallWorld) -> Source:
    rows = [f"{path.parent.name}/{path.name};{path.parent.name}" for path in photos_of(world)]
    (world.folder / "list.csv").write_text("\n".join(["image;identity", *rows]), encoding="utf-16")
    return {"kind": "list", "path": "candidates", "list": "list.csv"}


def as_flat(world: SmallWorld) -> Source:
    (world.folder / "flat").mkdir()
    for path in photos_of(world):
        (world.folder / "flat" / f"{path.parent.name}_{path.stem}.png").write_bytes(path.read_bytes())
    return {"kind": "flat", "path": "flat"}


def as_recordio(world: SmallWorld) -> Source:
    people: dict[int, list[bytes]] = {}
    for path in photos_of(world):
        people.setdefault(int(path.parent.name[-3:]), []).append(path.read_bytes())
    write_insightface(world.folder / "train.rec", people)
    return {"kind": "recordio", "path": "train.rec"}


def as_webdataset(world: SmallWorld) -> Source:
    with tarfile.open(world.folder / "people.tar", "w") as file:
        file.add(world.folder / "candidates", "candidates")
    return {"kind": "webdataset", "path": "people.tar", "identity": "folder"}


def as_parquet(world: SmallWorld) -> Source:
    # In an order in which no person's photos lie side by side.
    paths = sorted(photos_of(world), key=lambda path: path.name)
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    table = pa.table({"image": images, "label": [path.parent.name for path in paths]})
    pq.write_table(table, world.folder / "people.parquet", row_group_size=7)
    return {"kind": "parquet", "path": "people.parquet"}


def as_lmdb(world: SmallWorld) -> Source:
    lmdb: Any = pytest.importorskip("lmdb")
    opened = lmdb.open(str(world.folder / "people.lmdb"), subdir=False, map_size=1 << 26)
    with opened as database, database.begin(write=True) as writing:
        for index, path in enumerate(photos_of(world)):
            value = msgpack.dumps((path.read_bytes(), int(path.parent.name[-3:])))
            writing.put(str(index).encode(), value)
    return {"kind": "lmdb", "path": "people.lmdb"}


MAKERS = [as_folders, as_list, as_flat, as_recordio, as_webdataset, as_parquet, as_lmdb]


@pytest.mark.parametrize("make", MAKERS)
def test_the_templates_are_those_of_folders(
    small_world: SmallWorld, make: Callable[[SmallWorld], Source]
) -> None:
    short = enrolled(small_world, "short", {"images": "candidates"})
    other = enrolled(small_world, "other", make(small_world))
    assert people_and_templates(other.table) == people_and_templates(short.table)
    if make is as_folders:
        assert other.table.equals(short.table) and other.fingerprint == short.fingerprint
        first, second = (
            small_world.folder / "runs" / name / "gallery.parquet" for name in ("short", "other")
        )
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_templates_that_were_made_elsewhere(small_world: SmallWorld, suffix: str) -> None:
    short = enrolled(small_world, "short", {"images": "candidates"})
    rows = short.table.filter(pc.equal(short.table["role"], Role.CANDIDATE))
    templates, people = template_rows(rows, "tiny"), rows["identity"].to_pylist()
    other = enrolled(small_world, "other", as_templates(small_world, suffix, templates * 3, people))
    again = other.table.filter(pc.equal(other.table["role"], Role.CANDIDATE))
    expected = {(pseudonym(person), row.tobytes()) for person, row in zip(people, templates, strict=True)}
    for person, row in zip(again["identity"].to_pylist(), template_rows(again, "tiny"), strict=True):
        theirs = [np.frombuffer(data, np.float32) for name, data in expected if name == person]
        assert max(float(row @ template) for template in theirs) > 0.999
    assert again.num_rows == len(templates) and not again["detection_score"].drop_null()
    assert f"{len(people)} templates were given without photos" in other.notices[0].text
    assert other.notices[1].text.endswith("templates of another length than 1 were scaled to it")
    with pytest.raises(SpecError, match="have 5 numbers, and recogniser tiny makes"):
        enrolled(small_world, "five", as_templates(small_world, suffix, templates[:, :5], people))


@pytest.mark.parametrize("make", [as_recordio, as_webdataset, as_parquet])
def test_a_photo_on_both_sides_is_refused_from_whatever_source(
    small_world: SmallWorld, make: Callable[[SmallWorld], Source]
) -> None:
    candidates = make(small_world)
    cohort = small_world.folder / "cohort"
    (cohort / "somebody").mkdir()
    (cohort / "somebody" / "copy.png").write_bytes(photos_of(small_world)[3].read_bytes())
    with pytest.raises(SpecError, match=r"same photos under two people.* share 1"):
        enrolled(small_world, "twice", candidates)


def as_templates(
    world: SmallWorld, suffix: str, templates: NDArray[np.float32], people: Sequence[str]
) -> Source:
    path = world.folder / f"templates{templates.shape[1]}{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"identity": people, "template": templates.tolist()}), path)
        return {"kind": "templates", "path": path.name}
    np.save(path, templates)
    (world.folder / "who.csv").write_text("\n".join(["identity", *people]))
    return {"kind": "templates", "path": path.name, "list": "who.csv"}


def test_at_most_is_part_of_the_fingerprint_and_chooses_from_each(small_world: SmallWorld) -> None:
    whole = enrolled(small_world, "whole", as_folders(small_world))
    few = enrolled(small_world, "few", as_folders(small_world) | {"at_most": 1})
    assert whole.fingerprint != few.fingerprint and whole.table.num_rows == few.table.num_rows + 20
    other = enrolled(small_world, "seed", as_folders(small_world) | {"at_most": 1, "seed": 1})
    assert other.fingerprint != few.fingerprint
    assert [notice.text for notice in few.notices] == [
        "candidate: 20 photos are left out by at_most: 1 of each person were chosen by the seed 0"
    ]


def test_when_all_photos_are_refused_it_is_said_why(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "FORMATS", [name for name in decode.FORMATS if name != "HEIF"])
    for path in photos_of(small_world):
        path.write_bytes(
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + path.parent.name.encode() + path.name.encode()
        )
    with pytest.raises(SpecError, match=r"among them \w+/\w+: HEIC, which .* pip install pillow-heif"):
        enrolled(small_world, "heic", {"images": "candidates"})


@pytest.mark.parametrize(
    ("changes", "membership", "says"),
    [
        ({"labels": "few.csv"}, {}, "labels 1 candidates as members and 0 as others"),
        ({"attributes": "few.csv"}, {"strata": ["group"]}, "has no column 'group'"),
    ],
)
def test_what_is_wrong_with_tables_is_said_before_a_photo_is_enrolled(
    small_world: SmallWorld, changes: Source, membership: Source, says: str
) -> None:
    (small_world.folder / "few.csv").write_text("identity,member\nperson-001,1\n")
    gallery = {"candidates": {"images": "candidates"}, "cohort": {"images": "cohort"}, "detector": False}
    spec = small_world.spec(gallery=gallery | changes, membership=membership)

    class NoExecutor(LocalExecutor):
        def run(self, *arguments: Any) -> Any:
            raise AssertionError("a photo was enrolled")

    with pytest.raises(SpecError, match=says):
        enroll(spec, open_run(spec), NoExecutor(), watch)

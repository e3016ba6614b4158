"""Whatever bytes a source of people is made of, the answer is a listing or one line."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributed.gallery.people.adapters import list_source
from distributed.gallery.people.templates import read_templates
from distributed.sampling.images.places import PlaceReader
from distributed.sampling.templates.text_tables import read_table
from schemas.errors import SpecError
from schemas.spec.people.packed import ParquetPeople, RecordioPeople, WebdatasetPeople
from schemas.spec.people.templates import TemplatesPeople
from tests.support.archives import add_member
from tests.support.recordio import write_insightface

FUZZED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused_or_done(act: Callable[[], object]) -> None:
    try:
        act()
    except SpecError as refusal:
        assert "\n" not in str(refusal)


def spoilt(data: bytes, place: int, value: int, keep: int) -> bytes:
    changed = bytearray(data[: keep % (len(data) + 1)] if keep % 3 == 0 else data)
    if changed:
        changed[place % len(changed)] = value
    return bytes(changed)


damage = given(place=st.integers(0, 10_000), value=st.integers(0, 255), keep=st.integers(0, 10_000))


@FUZZED
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_of_any_bytes(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    refused_or_done(lambda: read_table(path, key="the key"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a": ' * 100_000,
        '{"identity": "\\ud800", "image": "1.png"}',
        "a,b\n" + "x" * 200_000 + ",1\n",
        'a,b\n"' + "x" * 200_000,
        "a\u2028b,c\n1,2\n",
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_tables_that_are_made_to_break(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(text, encoding="utf-8")

    def read() -> None:
        for row in read_table(path, key="the key").rows:
            assert all(field.encode() is not None for field in row)

    refused_or_done(read)


@FUZZED
@damage
def test_damaged_records(tmp_path: Path, place: int, value: int, keep: int) -> None:
    path = write_insightface(tmp_path / "a.rec", {1: [b"an image"], 2: [b"another", b"third"]})
    path.write_bytes(spoilt(path.read_bytes(), place, value, keep))

    def read() -> None:
        reader = PlaceReader()
        for photo in list_source(RecordioPeople(kind="recordio", path=str(path))).photos:
            reader.encoded(photo.place)

    refused_or_done(read)
    path.write_bytes(path.read_bytes()[:0] + b"\xce" * place)
    refused_or_done(read)


@FUZZED
@damage
def test_damaged_tars_and_parquet(tmp_path: Path, place: int, value: int, keep: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("a.jpg", b"image"), ("a.json", json.dumps({"id": 3}).encode())):
            add_member(tar, name, data)
    (tmp_path / "a.tar").write_bytes(spoilt(buffer.getvalue(), place, value, keep))
    pq.write_table(
        pa.table({"image": [b"image"], "label": [3], "t": [[1.0, 2.0]]}), tmp_path / "whole.parquet"
    )
    (tmp_path / "b.parquet").write_bytes(
        spoilt((tmp_path / "whole.parquet").read_bytes(), place, value, keep)
    )
    tars = WebdatasetPeople(kind="webdataset", path=str(tmp_path / "a.tar"), identity="json", field="id")
    parquet = ParquetPeople(kind="parquet", path=str(tmp_path / "b.parquet"))
    templates = TemplatesPeople(
        kind="templates", path=str(tmp_path / "b.parquet"), template="t", identity="label"
    )
    refused_or_done(lambda: list_source(tars))
    refused_or_done(lambda: list_source(parquet))
    refused_or_done(lambda: read_templates(templates))


@FUZZED
@damage
def test_damaged_arrays(tmp_path: Path, place: int, value: int, keep: int) -> None:
    np.save(tmp_path / "whole.npy", np.eye(2, dtype=np.float32))
    (tmp_path / "a.npy").write_bytes(spoilt((tmp_path / "whole.npy").read_bytes(), place, value, keep))
    (tmp_path / "a.csv").write_text("identity\nJo\nAl\n")
    spec = TemplatesPeople(kind="templates", path=str(tmp_path / "a.npy"), list=str(tmp_path / "a.csv"))
    refused_or_done(lambda: read_templates(spec))

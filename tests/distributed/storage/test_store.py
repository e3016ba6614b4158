from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.stages.making.table import template_array
from distributed.storage.lock import run_lock
from distributed.storage.store import RunStore, encode_table
from schemas.errors import DamagedError, LockedError, StoreError
from schemas.run.shard import Footer
from schemas.run.tables import samples_schema

ROOT = Path(__file__).resolve().parents[3]
ROWS, DIM = 300, 16
FOOTER = Footer(table="samples", fingerprint={"seed": "7"}, stop_id=ROWS, rows=ROWS, outcomes={"ok": ROWS})


def table(seed: int = 0) -> pa.Table:
    """A shard of which every tenth row has no template."""
    templates = np.random.default_rng(seed).standard_normal((ROWS, DIM)).astype(np.float32)
    templates[::10] = np.nan
    columns = {
        "sample_id": np.arange(ROWS),
        "outcome": ["no_face" if np.isnan(row[0]) else "ok" for row in templates],
        "faces": pa.array(np.ones(ROWS, np.int16)),
        "detection_score": pa.nulls(ROWS, pa.float32()),
        "template_a": template_array(templates),
    }
    return pa.table(columns, schema=samples_schema({"a": DIM}))


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    """A folder, and a bucket on a real HTTP server that speaks S3."""
    if request.param == "local":
        return RunStore(str(tmp_path / "run"))
    return RunStore(request.getfixturevalue("bucket"))


def test_files_are_written_read_listed_and_deleted(store: RunStore) -> None:
    store.write("a/b.bin", b"one")
    store.write("a/b.bin", b"three")
    store.write("c.bin", b"")
    assert store.read("a/b.bin") == b"three"
    assert store.sizes() == {"a/b.bin": 5, "c.bin": 0}
    assert store.sizes("a") == {"a/b.bin": 5}
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert store.sizes() == {"c.bin": 0}
    with pytest.raises(StoreError, match=r"a/b\.bin"):
        store.read("a/b.bin")


def test_only_the_first_creation_succeeds(store: RunStore) -> None:
    assert store.create("mark", b"mine")
    assert not store.create("mark", b"yours")
    assert store.read("mark") == b"mine"


def test_a_run_is_locked_once(store: RunStore) -> None:
    with run_lock(store):
        with pytest.raises(LockedError, match=f"process {os.getpid()} on "), run_lock(store):
            pass
        assert "run.lock" in store.sizes()
    assert store.sizes() == {}


def test_a_table_comes_back_with_its_footer(store: RunStore) -> None:
    size = store.write_table("samples/x.parquet", table(), FOOTER)
    assert store.sizes("samples") == {"samples/x.parquet": size}
    assert store.read_footer("samples/x.parquet") == FOOTER
    assert store.read_table("samples/x.parquet").equals(table())
    assert store.read_table("samples/x.parquet", ["outcome"]).column_names == ["outcome"]


def test_a_table_is_always_the_same_bytes() -> None:
    assert encode_table(table(), FOOTER) == encode_table(table(), FOOTER)
    assert encode_table(table(), FOOTER) != encode_table(table(1), FOOTER)


def test_templates_are_stored_plain_with_checksums(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_table(table(), FOOTER))
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    template = columns["template_a.list.element"]
    assert not template.has_dictionary_page and template.compression == "UNCOMPRESSED"
    assert "BYTE_STREAM_SPLIT" not in template.encodings
    assert columns["outcome"].has_dictionary_page and columns["outcome"].compression == "ZSTD"
    assert pq.read_schema(path).field("template_a").type == pa.list_(pa.float16(), DIM)


def test_other_tools_read_a_shard(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(encode_table(table(), FOOTER))
    wanted = table()["template_a"].to_pylist()
    rows = duckdb.execute(f"select template_a from '{path}' order by sample_id").fetchall()
    assert [None if row is None else list(map(float, row)) for (row,) in rows] == wanted
    assert pl.read_parquet(path)["template_a"].to_list() == wanted
    frame = pd.read_parquet(path)
    assert list(frame["outcome"]) == table()["outcome"].to_pylist()
    assert [None if row is None else list(map(float, row)) for row in frame["template_a"]] == wanted


@pytest.mark.parametrize("keep", [0, 3, 100, -1, -20])
def test_a_truncated_file_is_damaged(tmp_path: Path, keep: int) -> None:
    store = RunStore(str(tmp_path))
    (tmp_path / "x.parquet").write_bytes(encode_table(table(), FOOTER)[:keep])
    with pytest.raises(DamagedError, match=r"x\.parquet is damaged: delete it"):
        store.read_footer("x.parquet")
    with pytest.raises(DamagedError):
        store.read_table("x.parquet")


def test_every_flipped_bit_of_the_pages_is_found(tmp_path: Path) -> None:
    """Page headers and the footer have no checksum of their own; a flip there may fail in other ways."""
    store = RunStore(str(tmp_path))
    whole = encode_table(table(), FOOTER)
    template = pq.ParquetFile(pa.BufferReader(whole)).metadata.row_group(0).column(4)
    last = template.data_page_offset + template.total_compressed_size - 1
    for position in range(last - ROWS * DIM, last, 97):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << (position % 8)
        (tmp_path / "x.parquet").write_bytes(flipped)
        with pytest.raises(DamagedError):
            store.read_table("x.parquet")


def test_another_parquet_file_is_no_file_of_a_run(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "x.parquet")
    with pytest.raises(DamagedError):
        RunStore(str(tmp_path)).read_footer("x.parquet")


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="it lies in what is a file: give a folder"):
        RunStore(str(tmp_path / "file" / "run"))
    with pytest.raises(StoreError):
        RunStore("s3://")


def test_a_writer_killed_at_any_time_leaves_whole_files_only(tmp_path: Path) -> None:
    code = (
        "import sys; from distributed.storage.store import RunStore; store = RunStore(sys.argv[1])\n"
        "for i in range(10**9): store.write(f'f{i % 50}', bytes([i % 251]) * 200_000)"
    )
    for wait in (0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
        while not RunStore(str(tmp_path)).sizes():  # A half-written file has a name of its own.
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        sizes = RunStore(str(tmp_path)).sizes()
        assert set(sizes.values()) == {200_000}
        assert all(len(set((tmp_path / name).read_bytes())) == 1 for name in sizes)

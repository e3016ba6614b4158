from __future__ import annotations

import base64
import stat
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.storage.store import RunStore
from distributed.storage.vault import Vault
from schemas.errors import DamagedError, SpecError
from schemas.run.shard import Footer
from schemas.run.tables import samples_schema
from schemas.spec.protection import ProtectionSpec

ROWS, DIM = 300, 64
KMS = """#!/usr/bin/env python3
import base64, sys
key = base64.b64decode(sys.stdin.read())
print(base64.b64encode(bytes(byte ^ 0x5A for byte in key)).decode())
"""


def vault_of(key: bytes, folder: Path, **changes: object) -> Vault:
    path = folder / f"key-{key[:1].hex()}"
    path.write_text(base64.b64encode(key).decode(), encoding="ascii")
    return Vault(ProtectionSpec.model_validate({"key": f"{{file:{path}}}"} | changes))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return vault_of(bytes(32), tmp_path)


@pytest.fixture
def table() -> pa.Table:
    random = np.random.default_rng(0)
    templates = random.normal(size=ROWS * DIM).astype(np.float16)
    columns = [
        pa.array(np.arange(ROWS)),
        pa.repeat("ok", ROWS),
        pa.array(np.ones(ROWS, np.int16)),
        pa.array(random.random(ROWS).astype(np.float32)),
        pa.FixedSizeListArray.from_arrays(pa.array(templates), DIM),
    ]
    return pa.Table.from_arrays(columns, schema=samples_schema({"tiny": DIM}))


def write(folder: Path, table: pa.Table, vault: Vault | None) -> Path:
    footer = Footer(table="samples", fingerprint={"seed": "1"}, stop_id=ROWS, rows=ROWS)
    RunStore(str(folder), vault).write_table("shard.parquet", table, footer)
    return folder / "shard.parquet"


def test_pseudonyms_are_of_the_key_and_tell_nothing_without_it(tmp_path: Path, vault: Vault) -> None:
    other = vault_of(bytes([1]) * 32, tmp_path)
    pseudonym = vault.identity_pseudonym("Ada Lovelace")
    other_pseudonym = other.identity_pseudonym("Ada Lovelace")
    assert pseudonym == vault_of(bytes(32), tmp_path).identity_pseudonym("Ada Lovelace") != other_pseudonym
    assert len(pseudonym) == 32 and int(pseudonym, 16) >= 0
    assert vault.identity_pseudonym("Amélie") == vault.identity_pseudonym("Ame\u0301lie")
    photos = {vault.photo_pseudonym("a", "b/c.png"), vault.photo_pseudonym("a/b", "c.png")}
    assert len(photos) == 2 and vault.key_id != other.key_id


def test_templates_lie_encrypted_and_all_else_can_be_read(
    tmp_path: Path, vault: Vault, table: pa.Table
) -> None:
    path = write(tmp_path / "run", table, vault)
    plain = write(tmp_path / "plain", table, None)
    stored = np.asarray(table["template_tiny"].combine_chunks().flatten()).tobytes()
    assert stored[:64] in plain.read_bytes() and stored[:64] not in path.read_bytes()
    assert pq.read_table(path, columns=["sample_id", "outcome"]).num_rows == ROWS
    with pytest.raises(OSError, match=r"[Dd]ecrypt"):
        pq.read_table(path)
    assert RunStore(str(path.parent), vault).read_table("shard.parquet").equals(table)
    assert RunStore(str(path.parent)).read_footer("shard.parquet").encrypted_under == vault.master


def test_duckdb_reads_templates_with_the_key_and_all_else_without(
    tmp_path: Path, vault: Vault, table: pa.Table
) -> None:
    path = write(tmp_path / "run", table, vault)
    with duckdb.connect() as session:
        assert session.sql(f"select count(*), sum(faces) from '{path}'").fetchall() == [(ROWS, ROWS)]
        with pytest.raises(duckdb.Error, match="encrypted"):
            session.sql(f"select template_tiny from '{path}'").fetchall()
        shard = pq.ParquetFile(path, decryption_properties=vault.decryption()).read()
        # DuckDB takes no half floats from Arrow.
        shard = shard.cast(shard.schema.set(4, pa.field("template_tiny", pa.list_(pa.float32(), DIM))))
        session.register("shard", shard)
        rows = session.sql("select sum(list_sum(template_tiny::double[])) from shard").fetchall()
    wanted = np.asarray(table["template_tiny"].combine_chunks().flatten(), np.float64).sum()
    assert rows[0][0] == pytest.approx(wanted)


def test_another_key_and_no_key_are_told(tmp_path: Path, vault: Vault, table: pa.Table) -> None:
    folder = write(tmp_path / "run", table, vault).parent
    other = vault_of(bytes([1]) * 32, tmp_path)
    with pytest.raises(SpecError, match=f"encrypted under the key {vault.master}, and .* {other.master}"):
        RunStore(str(folder), other).read_table("shard.parquet")
    with pytest.raises(SpecError, match="give the spec that it was made by"):
        RunStore(str(folder)).read_table("shard.parquet")
    nowhere = Vault(ProtectionSpec(key="{env:IDLEAK_NO_SUCH_KEY}"))
    with pytest.raises(SpecError, match=r"IDLEAK_NO_SUCH_KEY.*openssl rand -base64 32"):
        RunStore(str(folder), nowhere).read_table("shard.parquet")


def test_a_changed_byte_of_a_template_is_noticed(tmp_path: Path, vault: Vault, table: pa.Table) -> None:
    path = write(tmp_path / "run", table, vault)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match="damaged"):
        RunStore(str(path.parent), vault).read_table("shard.parquet")


def test_what_is_sealed_opens_at_its_own_path_alone(tmp_path: Path, vault: Vault) -> None:
    store = RunStore(str(tmp_path / "run"), vault)
    store.write_sealed("names", b"Ada")
    assert b"Ada" not in store.read("names") and store.read_sealed("names") == b"Ada"
    store.write("elsewhere", store.read("names"))
    with pytest.raises(DamagedError, match="elsewhere is damaged"):
        store.read_sealed("elsewhere")
    store.write("names", store.read("names")[:-1] + b"\0")
    with pytest.raises(DamagedError, match="names is damaged"):
        store.read_sealed("names")


def test_a_kms_wraps_the_keys(tmp_path: Path, table: pa.Table) -> None:
    program = tmp_path / "kms"
    program.write_text(KMS, encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    vault = vault_of(bytes(32), tmp_path, kms=str(program))
    folder = write(tmp_path / "run", table, vault).parent
    again = vault_of(bytes(32), tmp_path, kms=str(program))
    assert RunStore(str(folder), again).read_table("shard.parquet").equals(table)
    assert again.open(vault.seal(b"Ada", "names"), "names") == b"Ada"
    with pytest.raises(SpecError, match="encrypted under the key kms"):
        RunStore(str(folder), vault_of(bytes(32), tmp_path)).read_table("shard.parquet")
    sealed = again.seal(b"", "names")
    program.write_text("#!/bin/sh\necho no such key >&2\nexit 1\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"kms unwrap failed \(no such key\)"):
        vault_of(bytes(32), tmp_path, kms=str(program)).open(sealed, "names")

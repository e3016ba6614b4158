"""A run's files. A shard is one Parquet file, committed atomically, that says what it is."""

from __future__ import annotations

import os
import shutil
import time
import uuid
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url
from pydantic import BaseModel, TypeAdapter, ValidationError

from distributed.storage.store_faults import store_error
from distributed.storage.vault import Vault
from schemas.errors import DamagedError, MissingFileError, SpecError, StoreError
from schemas.file_names import require_file_name
from schemas.run.artefacts import GALLERY_FILE
from schemas.run.shard import Footer
from schemas.run.tables import TEMPLATE_PREFIX
from schemas.spec.audit import AuditSpec
from schemas.spec.locations import is_remote

if TYPE_CHECKING:
    from obstore import ObjectMeta

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

FOOTER_KEY = b"idleak"
FOOTER_CHECK_KEY = b"idleak.crc32"
PARTIAL_SUFFIX = ".partial"
ROW_GROUP_ROWS = 65_536
FOOTER_READ_BYTES = 65_536
CREATE_ATTEMPTS = 5
CONFLICT_SECONDS = 0.5


class RunStore:
    """The folder, or the bucket prefix, that holds one run."""

    def __init__(self, location: str, vault: Vault | None = None) -> None:
        """vault: encrypts templates. Raises StoreError if the folder cannot be made, or the address is none
        that obstore knows; SpecError if the folder's name cannot be written down."""
        self.location, self.vault = location, vault
        self.folder = None if is_remote(location) else Path(require_file_name(location))
        try:
            self._store = from_url(location) if self.folder is None else LocalStore(self.folder, mkdir=True)
        except (BaseError, OSError, ValueError) as error:
            raise store_error("use", location, error) from error

    def require_inside(self, *paths: str) -> None:
        """Raise SpecError for a path that a link to a folder leads out of the run: nothing there is ours."""
        if self.folder is None:
            return
        root = self.folder.resolve()
        for parent in {(self.folder / path).parent for path in paths}:
            if not parent.resolve().is_relative_to(root):
                raise SpecError(
                    f"{parent} is a link that leads out of {self.location}, or below one: remove the link, "
                    "then run the same command again"
                )

    def write(self, path: str, data: bytes) -> None:
        """Put `data` at `path`, wholly or not at all; a local file is synced before it gets its name.

        Raises SpecError for a path that a link leads out of the run, StoreError.
        """
        self.require_inside(path)
        try:
            if self.folder is None:
                self._store.put(path, data)
            else:
                self._write_local(self.folder, path, data)
        except (BaseError, OSError) as error:
            room = self._room_for(len(data))
            raise store_error("write", f"{self.location}/{path}", error, room) from error

    def _room_for(self, size: int) -> str:
        """What is needed there, and, on a disk, what there is."""
        try:
            free = None if self.folder is None else shutil.disk_usage(self.folder).free
        except OSError:
            free = None
        room = "" if free is None else f", where {free:,} are free"
        return f"it needs {size:,} bytes{room}"

    def _write_local(self, folder: Path, path: str, data: bytes) -> None:
        """obstore's own local put is atomic but not synced: a power cut could leave an empty file."""
        partial = f"{path}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}"
        try:
            self._store.put(partial, data)
            _sync(folder / partial)
            self._store.rename(partial, path)
        finally:
            (folder / partial).unlink(missing_ok=True)
        _sync((folder / path).parent)

    def create(self, path: str, data: bytes) -> bool:
        """Put `data` at `path` unless something else is there already; False if so. Atomic between processes.

        A store whose answer was lost is asked again, and then says that something is there: what we put. One
        that refuses while nothing is there (HTTP 409: another was about to put something) is asked again.
        """
        self.require_inside(path)
        for _ in range(CREATE_ATTEMPTS):
            try:
                self._store.put(path, data, mode="create")
                return True
            except AlreadyExistsError as error:
                conflict = error
            except (BaseError, OSError) as error:
                raise store_error("write", f"{self.location}/{path}", error) from error
            existing = self._content(path)
            if existing is not None:
                return existing == data
            time.sleep(CONFLICT_SECONDS)
        raise store_error("write", f"{self.location}/{path}", conflict) from conflict

    def _content(self, path: str) -> bytes | None:
        try:
            return bytes(self._store.get(path).bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise store_error("read", f"{self.location}/{path}", error) from error

    def read(self, path: str) -> bytes:
        """The bytes at `path`. Raises MissingFileError if there are none, StoreError."""
        try:
            return bytes(self._store.get(path).bytes())
        except FileNotFoundError as error:
            raise self._missing(path) from error
        except (BaseError, OSError) as error:
            raise store_error("read", f"{self.location}/{path}", error) from error

    def _missing(self, path: str) -> MissingFileError:
        return MissingFileError(
            f"{self.location}/{path} is not there: restore it from a copy, or run the same audit again"
        )

    def read_as(self, kind: TypeAdapter[T], path: str) -> T:
        """The JSON at `path`. Raises StoreError if there is none, DamagedError if it is something else."""
        data = self.read(path)
        try:
            return kind.validate_json(data)
        except ValidationError as error:
            raise DamagedError(_damaged(f"{self.location}/{path}")) from error

    def read_model(self, model: type[Model], path: str, problem: str) -> Model:
        """As `read_as`. problem: what is wrong with something else, and what helps."""
        data = self.read(path)
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            raise DamagedError(f"{self.location}/{path} {problem}") from error

    def exists(self, path: str) -> bool:
        """Whether something is at `path`."""
        try:
            self._store.head(path)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise store_error("read", f"{self.location}/{path}", error) from error
        return True

    def delete(self, path: str) -> None:
        """Remove `path`, which may be missing already. Raises SpecError for one that a link leads out."""
        self.require_inside(path)
        try:
            self._store.delete(path)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise store_error("delete", f"{self.location}/{path}", error) from error

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Size in bytes of every committed file below `prefix`, by its path from the run's root, sorted."""
        return {entry["path"]: entry["size"] for entry in self._entries(prefix)}

    def leftovers(self, prefix: str = "") -> list[str]:
        """Files below a prefix that a process which was killed has left half written."""
        return [entry["path"] for entry in self._listed(prefix) if entry["path"].endswith(PARTIAL_SUFFIX)]

    def delete_all(self, prefix: str) -> None:
        """Delete all files below a prefix, and on a disk the folder."""
        for path in self.sizes(prefix):
            self.delete(path)
        if self.folder is not None:
            # A folder that is not there, or that a late attempt has written to, is no matter.
            with suppress(OSError):
                (self.folder / prefix).rmdir()

    def drop_empty_folders(self) -> None:
        """Remove the folders of a run on a disk that hold nothing any more."""
        if self.folder is None:
            return
        for folder in sorted((path for path in self.folder.rglob("*") if path.is_dir()), reverse=True):
            if not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()

    def stamps(self, prefix: str = "") -> dict[str, str]:
        """What changes when a committed file below `prefix` is replaced, by its path, sorted.

        Its size, its time, and the store's tag: on a disk, one of inode, time and size.
        """
        return {
            entry["path"]: f"{entry['size']} {entry['last_modified'].isoformat()} {entry['e_tag']}"
            for entry in self._entries(prefix)
        }

    def _listed(self, prefix: str) -> list[ObjectMeta]:
        try:
            return list(self._store.list(prefix or None).collect())
        except (BaseError, OSError) as error:
            raise store_error("list", f"{self.location}/{prefix}", error) from error

    def _entries(self, prefix: str) -> list[ObjectMeta]:
        entries = self._listed(prefix)
        committed = [entry for entry in entries if not entry["path"].endswith(PARTIAL_SUFFIX)]
        return sorted(committed, key=lambda entry: entry["path"])

    def write_table(self, path: str, table: pa.Table, footer: Footer) -> int:
        """Commit a table with its footer, its templates encrypted if the run's are; the bytes written."""
        vault = self.vault if self.vault is not None and self.vault.protection.encrypt else None
        data = encode_table(table, footer, vault)
        self.write(path, data)
        return len(data)

    def read_footer(self, path: str, size: int | None = None) -> Footer:
        """What the Parquet file says of itself. Raises DamagedError if it cannot say it.

        size: in bytes, as a listing says it; it saves a request.
        """
        try:
            metadata = pq.read_metadata(pa.BufferReader(self._tail(path, size)))
            return _checked_footer(metadata.metadata or {})
        except FileNotFoundError as error:
            raise self._missing(path) from error
        except BaseError as error:
            raise store_error("read", f"{self.location}/{path}", error) from error
        except (pa.ArrowException, OSError, KeyError, ValidationError) as error:
            raise DamagedError(_damaged(path)) from error

    def _tail(self, path: str, size: int | None) -> bytes:
        """The end of a Parquet file, down to where its footer begins: all that its metadata needs."""
        size = self._store.head(path)["size"] if size is None else size
        if size == 0:
            return b""
        tail = bytes(self._store.get_range(path, start=max(0, size - FOOTER_READ_BYTES), end=size))
        needed = int.from_bytes(tail[-8:-4], "little") + 8
        if len(tail) < needed <= size:
            tail = bytes(self._store.get_range(path, start=size - needed, end=size))
        return tail

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """The table at `path`, its page checksums verified. Raises DamagedError where they fail, SpecError
        without the key that its templates were encrypted under."""
        data = _in_arrows_memory(self.read(path))
        try:
            file = pq.ParquetFile(data, page_checksum_verification=True)
            if (key := _encrypted_under(file)) is not None:
                decryption = self._required_vault(key, path).decryption()
                file = pq.ParquetFile(data, page_checksum_verification=True, decryption_properties=decryption)
            return file.read(columns=columns)
        except (pa.ArrowException, OSError, ValidationError) as error:
            raise DamagedError(_damaged(path)) from error

    def _required_vault(self, key: str, path: str) -> Vault:
        if self.vault is None:
            raise SpecError(f"{path} in {self.location} is encrypted: give the spec that it was made by")
        self.vault.require(key, path)
        return self.vault

    def write_sealed(self, path: str, data: bytes) -> None:
        """As `write`, encrypted if the run's templates are."""
        vault = self.vault
        self.write(path, data if vault is None or not vault.protection.encrypt else vault.seal(data, path))

    def read_sealed(self, path: str) -> bytes:
        """The inverse of `write_sealed`."""
        vault, data = self.vault, self.read(path)
        return data if vault is None or not vault.protection.encrypt else vault.open(data, path)


def _in_arrows_memory(data: bytes) -> pa.BufferReader:
    """A copy that Arrow's threads may drop at any time.

    They let go of it after the read has returned. Memory of Python's would need the interpreter then, and one
    that is ending aborts the process.
    """
    memory = pa.BufferOutputStream()
    memory.write(data)
    return pa.BufferReader(memory.getvalue())


def open_run(spec: AuditSpec) -> RunStore:
    """The files of a spec's run, under its key. Raises as `RunStore`."""
    return under_key(RunStore(spec.output), spec)


def under_key(store: RunStore, spec: AuditSpec) -> RunStore:
    """The same files, under the spec's key. If it is not there, the error says which one was."""

    def made_under() -> str | None:
        try:
            return store.read_footer(GALLERY_FILE).fingerprint.get("protection.key")
        except (StoreError, DamagedError):
            return None

    store.vault = Vault(spec.protection, made_under)
    return store


def _encrypted_under(file: pq.ParquetFile) -> str | None:
    """The key that a table's templates were encrypted under, as its footer tells."""
    footer = (file.metadata.metadata or {}).get(FOOTER_KEY)
    return None if footer is None else Footer.model_validate_json(footer).encrypted_under


def _footer_metadata(footer: Footer) -> dict[bytes, bytes]:
    """Sums of templates are used without a look at the templates, and page checksums leave them out: a footer
    that has any has a checksum of its own."""
    if not footer.template_sums:
        return {FOOTER_KEY: footer.model_dump_json(exclude={"template_sums"}).encode()}
    written = footer.model_dump_json().encode()
    return {FOOTER_KEY: written, FOOTER_CHECK_KEY: _checksum(written)}


def _checked_footer(metadata: Mapping[bytes, bytes]) -> Footer:
    """Raises KeyError, ValidationError and, where the checksum is another, ArrowInvalid."""
    written = metadata[FOOTER_KEY]
    footer = Footer.model_validate_json(written)
    if footer.template_sums and metadata.get(FOOTER_CHECK_KEY) != _checksum(written):
        raise pa.ArrowInvalid("the footer is not as it was written")
    return footer


def _checksum(content: bytes) -> bytes:
    return str(zlib.crc32(content)).encode()


def encode_table(table: pa.Table, footer: Footer, vault: Vault | None = None) -> bytes:
    """Parquet bytes: a function of the table, the footer and the pyarrow version alone, unless encrypted.

    Templates are stored plain: they do not compress, a dictionary of them only costs, and DuckDB refuses
    byte-stream split for float16. All other columns get a dictionary and zstd.
    """
    scalar = [name for name in table.column_names if not name.startswith(TEMPLATE_PREFIX)]
    paths = {name: name if name in scalar else f"{name}.list.element" for name in table.column_names}
    compression = {path: "zstd" if name in scalar else "none" for name, path in paths.items()}
    encryption: Any = None
    if vault is not None and len(scalar) < len(paths):
        footer = footer.model_copy(update={"encrypted_under": vault.master})
        encryption = vault.encryption([path for name, path in paths.items() if name not in scalar])
    metadata = {**(table.schema.metadata or {}), **_footer_metadata(footer)}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression=compression,
        use_dictionary=scalar,
        write_page_checksum=True,
        encryption_properties=encryption,
    )
    return bytes(sink.getvalue())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(path: str) -> str:
    return f"{path} is damaged: delete it, then run the same command again to make it anew"

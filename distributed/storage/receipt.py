"""Write the receipt of a purge, into the run and wherever it is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from distributed.storage.store import RunStore
from distributed.storage.store_faults import store_error
from distributed.storage.trail import actor, head
from schemas.errors import UsageError
from schemas.run.artefacts import RECEIPTS_PREFIX
from schemas.run.receipts import Receipt


def write_receipt(
    store: RunStore,
    identity: str | None,
    deleted: dict[str, int],
    rewritten: list[str],
    copy: Path | None,
    *,
    signed: bool = True,
) -> str:
    """The path of the receipt in the run. copy: where else it is put. Raises StoreError."""
    when = datetime.now(UTC).isoformat(timespec="microseconds")
    receipt = Receipt(
        run=store.location,
        when=when,
        who=actor(),
        identity=identity,
        deleted=deleted,
        rewritten=rewritten,
        trail=head(store),
    )
    if signed and store.vault is not None:
        receipt = receipt.model_copy(update={"signature": store.vault.signature(receipt.unsigned)})
    content = (receipt.model_dump_json(indent=2) + "\n").encode()
    path = f"{RECEIPTS_PREFIX}/{when.replace(':', '')}.json"
    store.write(path, content)
    if copy is not None:
        try:
            copy.write_bytes(content)
        except OSError as error:
            raise store_error("write", str(copy), error, f"it is in the run as {path}") from error
    return path


def require_writable(copy: Path | None, option: str = "--receipt") -> None:
    """Raise UsageError, before anything is done, if the file that an option names would have no folder."""
    if copy is not None and not copy.resolve().parent.is_dir():
        raise UsageError(f"{option} {copy}: there is no folder {copy.resolve().parent}; make it")

"""Erase one person from a run, and judge all others again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import commit_gallery, require_both_sides, without_people
from distributed.gallery.names import read_names, write_names
from distributed.gallery.source import gallery_source
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.judging.judge_again import judge_committed
from distributed.stages.upkeep.erasure_plan import (
    REWRITTEN,
    derived,
    people_matching,
    photos_of,
    pseudonym_of,
)
from distributed.storage.erasures import record_erasure, require_not_purged, write_receipt
from distributed.storage.ledger import erase_from_ledger
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore, open_run
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from schemas.errors import IdleakError, SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import GALLERY_FILE, NAMES_FILE
from schemas.spec.audit import AuditSpec
from schemas.spec.load import require_current_scores


@dataclass(frozen=True)
class Erasure:
    """Who was erased, with how many photos, who matched them and stays, and the path of the receipt.

    problem: why the others could not be judged again; the run then has no verdicts until it is audited.
    """

    identity: str
    photos: int
    matching: Sequence[str]
    receipt: str
    problem: IdleakError | None


def erase(
    store: RunStore,
    who: str,
    executor: Executor,
    watch: Callable[[AuditSpec], Watch],
    copy: Path | None = None,
) -> Erasure:
    """Take a person out of the gallery, the names, the ledger and all that follows from them.

    who: name or pseudonym. The samples are of nobody and stay. Raises UsageError if nobody of that name is in
    the run. What is erased stays so if judging again fails.
    """
    require_not_purged(store)
    spec = read_record(store).spec.model_copy(update={"output": store.location})
    vault, store = Vault(spec.protection), open_run(spec)
    person = pseudonym_of(who, store) or vault.identity_pseudonym(who)
    with run_lock(store):
        photos, matching = photos_of(store, person), people_matching(store, person)
        record(store, "erase", identity=person)
        record_erasure(store, person)
        deleted = _delete_derived(store)
        rewritten = _rewrite(spec, store, vault, person, photos)
        record(
            store,
            "erased",
            identity=person,
            deleted=sorted(deleted),
            wrote=digests(store, GALLERY_FILE, NAMES_FILE),
        )
        problem = _judge_anew(spec, store, executor, watch(spec))
        receipt = write_receipt(store, person, deleted, rewritten, copy)
    return Erasure(person, len(photos), matching, receipt, problem)


def _delete_derived(store: RunStore) -> dict[str, int]:
    deleted = derived(store)
    for path in [*deleted, *store.leftovers()]:
        store.delete(path)
    return deleted


def _rewrite(spec: AuditSpec, store: RunStore, vault: Vault, person: str, photos: list[str]) -> list[str]:
    """Commit the gallery, the names and the ledger without the person; what was rewritten."""
    rewritten = list(REWRITTEN)
    table = without_people(store.read_table(GALLERY_FILE), [person]).replace_schema_metadata(None)
    commit_gallery(table, _fingerprint(spec, store), store)
    write_names(store, vault, read_names(store, vault).without(person, photos))
    if spec.ledger is not None:
        ledger = RunStore(spec.ledger)
        with run_lock(ledger):
            if erase_from_ledger(ledger, person):
                rewritten.append(spec.ledger)
    return rewritten


def _fingerprint(spec: AuditSpec, store: RunStore) -> Fingerprint:
    """Of the gallery without the erased; where its photos are gone too, of what is known of it."""
    try:
        return gallery_source(spec, store).fingerprint
    except SpecError:
        return Fingerprint(store.read_footer(GALLERY_FILE).fingerprint)


def _judge_anew(spec: AuditSpec, store: RunStore, executor: Executor, watch: Watch) -> IdleakError | None:
    """Reduce again; why not, if that cannot be done."""
    try:
        require_current_scores(spec, store.location)
        require_both_sides(store.read_table(GALLERY_FILE))
        device = executor.capacity(spec.resources).device
        judge_committed(spec, store, executor, watch, device=device, checked=False)
        drop_answers(spec.generator, store)
    except IdleakError as error:
        return error
    return None

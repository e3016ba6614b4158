"""Erase one person from a run, and judge all others again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed.execution.executor import Executor, Watch
from distributed.gallery.enrolled import without_people
from distributed.gallery.names import read_names, write_names
from distributed.gallery.source import gallery_source
from distributed.sampling.api.evidence import drop_answers
from distributed.stages.enroll import commit_gallery, require_both_sides
from distributed.stages.fingerprints import verdict_fingerprint
from distributed.stages.reduce import committed, reduce
from distributed.stages.results.write import write_results
from distributed.storage.erasures import erased_identities, record_erasure, require_not_purged, write_receipt
from distributed.storage.ledger import erase_from_ledger
from distributed.storage.lock import run_lock
from distributed.storage.run_record import read_record, read_results
from distributed.storage.store import RunStore, open_run
from distributed.storage.trail import digests, record
from distributed.storage.vault import Vault
from schemas.errors import IdleakError, SpecError, UsageError
from schemas.fingerprint import Fingerprint
from schemas.run.artefacts import DERIVED, ERASURES_FILE, GALLERY_FILE, NAMES_FILE, RESULTS_FILE
from schemas.spec.audit import AuditSpec
from schemas.spec.load import require_current_scores

REWRITTEN = (GALLERY_FILE, NAMES_FILE, ERASURES_FILE)
PSEUDONYM = re.compile(r"[0-9a-f]{12,32}")
"""The whole of one, or its beginning, at least as much of it as reports show."""


@dataclass(frozen=True)
class PlannedErasure:
    """What goes with a person: their photos, counted, and files of the run; a ledger is a folder.

    matching: people of the gallery whose photos match theirs as those of one person do; these stay.
    """

    person: str
    photos: int
    matching: Sequence[str]
    deleted: Sequence[str]
    rewritten: Sequence[str]


def planned_erasure(store: RunStore, who: str) -> PlannedErasure:
    """What `erase` would do; changes nothing. Raises as `erase`."""
    require_not_purged(store)
    spec = read_record(store).spec
    vault = store.vault or Vault(spec.protection)
    person = _pseudonym_of(who, store) or vault.identity_pseudonym(who)
    ledger = [] if spec.ledger is None else [spec.ledger]
    photos, matching = _photos_of(store, person), _matching(store, person)
    return PlannedErasure(person, len(photos), matching, list(_derived(store)), [*REWRITTEN, *ledger])


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
    person = _pseudonym_of(who, store) or vault.identity_pseudonym(who)
    with run_lock(store):
        photos, matching = _photos_of(store, person), _matching(store, person)
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


def _pseudonym_of(who: str, store: RunStore) -> str | None:
    """The one pseudonym that begins like this. Raises UsageError if several do; None if it is a name."""
    if not PSEUDONYM.fullmatch(who):
        return None
    known = {*store.read_table(GALLERY_FILE, ["identity"])["identity"].to_pylist(), *erased_identities(store)}
    matching = sorted(pseudonym for pseudonym in known if pseudonym.startswith(who))
    if len(matching) > 1:
        raise UsageError(f"{len(matching)} pseudonyms begin with {who}: give more of it")
    return matching[0] if matching else None


def _photos_of(store: RunStore, person: str) -> list[str]:
    """The person's photos. Raises UsageError for a person who is not in the run and was not erased before."""
    table = store.read_table(GALLERY_FILE, ["identity", "photo"])
    rows = zip(table["identity"].to_pylist(), table["photo"].to_pylist(), strict=True)
    photos = [photo for name, photo in rows if name == person]
    if not photos and person not in erased_identities(store):
        raise UsageError(
            f"nobody in {store.location} has that name or pseudonym under its key: `idleak reveal` lists all"
        )
    return photos


def _matching(store: RunStore, person: str) -> list[str]:
    """By the run's results; nobody where there are none."""
    overlap = read_results(store).overlap if store.exists(RESULTS_FILE) else None
    pairs = [] if overlap is None else [set(match.people) for match in overlap.matches.found]
    return sorted(set().union(*(pair for pair in pairs if person in pair)) - {person})


def _derived(store: RunStore) -> dict[str, int]:
    return {path: size for path, size in store.sizes().items() if path.startswith(DERIVED)}


def _delete_derived(store: RunStore) -> dict[str, int]:
    deleted = _derived(store)
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
        made, enrolment = committed(spec, store)
        assessment = reduce(spec, enrolment, store, executor, watch)
        fingerprint = verdict_fingerprint(spec, enrolment.fingerprint)
        device = executor.capacity(spec.resources).device
        write_results(spec, made, enrolment, assessment, fingerprint, store, {}, device)
        drop_answers(spec.generator, store)
    except IdleakError as error:
        return error
    return None

"""A run's folder that somebody else could write to: broken files, hostile ones, links that lead out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distributed.sampling.api.answers import requests_sent
from distributed.storage.erasures import erased_identities, require_not_purged
from distributed.storage.ledger import read_ledger
from distributed.storage.lock import lock_holder
from distributed.storage.progress_record import read_progress
from distributed.storage.results_file import read_results
from distributed.storage.run_record import read_record
from distributed.storage.shard_index import read_lost_shards
from distributed.storage.store import FOOTER_KEY, RunStore
from distributed.storage.trail import entries
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import IdleakError
from schemas.run.artefacts import (
    ERASURES_FILE,
    FIGURES_PREFIX,
    GALLERY_FILE,
    LOCK_FILE,
    LOST_SUFFIX,
    NAMES_FILE,
    NEIGHBOURS_FILE,
    OVER_REPRESENTATION_FILE,
    PROGRESS_FILE,
    RECORD_FILE,
    REPORT_FILE,
    RESULTS_FILE,
    SAMPLES_PREFIX,
    SCORES_FILE,
    SPENDING_PREFIX,
    TOMBSTONE_FILE,
    TRAIL_PREFIX,
)
from tests.hostile.test_terminal import acts
from tests.support.small_world import SmallWorld, file_bytes

TEXT = b"no JSON \x1b[2J\x1b]0;owned\x07 \xe2\x80\xae \xff"
DEEP = b'{"a":' * 100_000
PARQUET = b"PAR1" + bytes(100) + b"PAR1"
CONTENTS = {"text": TEXT, "deep": DEEP, "empty": b"", "parquet": PARQUET}
REPORTED = {RECORD_FILE, RESULTS_FILE, SCORES_FILE, GALLERY_FILE, NEIGHBOURS_FILE, OVER_REPRESENTATION_FILE}
TOLD = {ExitCode.OK, ExitCode.FAILED, ExitCode.BAD_SPEC, ExitCode.DAMAGED, ExitCode.REFUSED, ExitCode.RETRY}


def ends_well(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """The exit code of a job, which may say one line of error that does not act."""
    capsys.readouterr()
    code = main(arguments)
    out, err = capsys.readouterr()
    assert code in TOLD, arguments
    assert err.count("\n") <= 1 and not acts((out + err).replace("\n", "")), err
    return code


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_broken_file_ends_every_reader_in_a_line(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    run = finished_world.run
    files = {path.relative_to(run).parts[0]: path for path in sorted(run.rglob("*")) if path.is_file()}
    files |= {name: run / name for name in (TOMBSTONE_FILE, ERASURES_FILE, LOCK_FILE)}
    for path in files.values():
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(CONTENTS[kind])
        jobs = ("status", "verify", "reveal", *(["report"] if path.name in REPORTED else []))
        for job in jobs:
            ends_well([job, str(run)], capsys)
        path.unlink() if before is None else path.write_bytes(before)
    assert ends_well(["verify", str(run)], capsys) == ExitCode.OK


def test_a_lock_and_lost_shards_of_somebody_else_are_refused(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(finished_world.run)
    for content in (TEXT, b"[]", b'{"host": "x", "pid": -1, "started": 0}', b'{"host": "\\u001b[2J"}'):
        (finished_world.run / LOCK_FILE).write_bytes(content)
        assert ends_well(["purge", "--yes", run], capsys) == ExitCode.REFUSED
        assert ends_well(["status", run], capsys) == ExitCode.REFUSED
    (finished_world.run / LOCK_FILE).unlink()
    lost = finished_world.run / f"{SAMPLES_PREFIX}{LOST_SUFFIX}"
    for content in (TEXT, b"{}", b'[{"index": "x"}]'):
        lost.write_bytes(content)
        assert ends_well(["retry", run], capsys) == ExitCode.DAMAGED


READERS: dict[str, Callable[[RunStore], object]] = {
    RECORD_FILE: read_record,
    RESULTS_FILE: read_results,
    PROGRESS_FILE: read_progress,
    ERASURES_FILE: erased_identities,
    TOMBSTONE_FILE: require_not_purged,
    LOCK_FILE: lock_holder,
    "ledger.json": read_ledger,
    f"{SAMPLES_PREFIX}{LOST_SUFFIX}": read_lost_shards,
    f"{SPENDING_PREFIX}/0.json": requests_sent,
    f"{TRAIL_PREFIX}/000001.json": lambda store: list(entries(store)),
}
HOSTILE_VALUES = (
    b'"\\u202e"',
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[[[",
    b"{}",
    b"9" * 5000,
    b"\xff",
    b'"../../etc"',
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@example(data=None)
def test_no_reader_takes_anything_else_for_its_own(
    finished_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject | None
) -> None:
    """Valid files with pieces replaced, and whatever bytes: accepted, or refused by an error of ours."""
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    store = RunStore(str(folder))
    for name, read in READERS.items():
        valid = finished_template.run / name
        content = valid.read_bytes() if valid.exists() else b'{"host": "a", "pid": 1, "requests": 3}'
        if data is None:
            content = DEEP
        else:
            at, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 40))
            piece = data.draw(st.sampled_from(HOSTILE_VALUES) | st.binary(max_size=8))
            content = content[:at] + piece + content[at + length :]
        store.write(name, content)
        try:
            read(store)
        except IdleakError as error:
            assert not acts(str(error)) and "\n" not in str(error)
        finally:
            store.delete(name)


def test_a_footer_that_is_not_ours_is_damage(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished_world.run / SCORES_FILE
    table = pq.read_table(path)
    for footer in (b"[]", b"\xff", b'{"rows": "\x1b[2J"}'):
        pq.write_table(table.replace_schema_metadata({FOOTER_KEY: footer}), path)
        assert ends_well(["verify", str(finished_world.run)], capsys) == ExitCode.DAMAGED
        assert ends_well(["report", str(finished_world.run)], capsys) == ExitCode.DAMAGED


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that is no part of the run, with files that are named as the run's are."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("holiday.png", "scores.png", "shard-000000.parquet", REPORT_FILE):
        (folder / name).write_bytes(b"mine")
    return folder


def test_a_link_to_a_folder_outside_is_neither_written_to_nor_purged(
    finished_world: SmallWorld, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, before = finished_world.run, file_bytes(elsewhere, "*")
    (run / FIGURES_PREFIX).symlink_to(elsewhere)
    (run / SAMPLES_PREFIX / "more").symlink_to(elsewhere)
    whole = {path for path in run.rglob("*") if path.is_file()}
    assert ends_well(["report", str(run)], capsys) == ExitCode.BAD_SPEC
    assert ends_well(["purge", "--yes", str(run)], capsys) == ExitCode.BAD_SPEC
    assert file_bytes(elsewhere, "*") == before and all(path.exists() for path in whole)
    for link in (run / FIGURES_PREFIX, run / SAMPLES_PREFIX / "more"):
        link.unlink()
    assert ends_well(["purge", "--yes", str(run)], capsys) == ExitCode.OK
    assert file_bytes(elsewhere, "*") == before


def test_a_link_to_a_file_outside_is_replaced_and_what_it_names_stays(
    finished_world: SmallWorld, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, before = finished_world.run, file_bytes(elsewhere, "*")
    (run / REPORT_FILE).symlink_to(elsewhere / REPORT_FILE)
    assert ends_well(["report", str(run)], capsys) == ExitCode.OK
    assert not (run / REPORT_FILE).is_symlink()
    (run / SCORES_FILE).unlink()
    (run / SCORES_FILE).symlink_to(elsewhere / "holiday.png")
    assert ends_well(["report", str(run)], capsys) == ExitCode.DAMAGED
    assert ends_well(["purge", "--yes", str(run)], capsys) == ExitCode.OK
    assert file_bytes(elsewhere, "*") == before


def test_a_run_may_itself_be_reached_by_a_link(
    finished_world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(finished_world.run)
    assert ends_well(["report", str(tmp_path / "link")], capsys) == ExitCode.OK
    assert (finished_world.run / REPORT_FILE).exists()


def test_a_person_is_no_link_to_photos_of_others(small_world: SmallWorld, elsewhere: Path) -> None:
    """Neither a folder nor a photo, and not below either."""
    for link in ("mallory", "person-000/more", "person-000/x.png"):
        path = small_world.folder / "candidates" / link
        path.symlink_to(elsewhere / "holiday.png" if link.endswith("png") else elsewhere)
        assert main(["enroll", str(small_world.spec_path())]) == ExitCode.BAD_SPEC
        path.unlink()


def test_a_changed_record_is_noticed(finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody would have the next reader open another generator."""
    path = finished_world.run / RECORD_FILE
    changed = json.loads(path.read_bytes())
    changed["spec"]["generator"]["path"] = "/elsewhere/generator.onnx"
    path.write_text(json.dumps(changed), encoding="utf-8")
    capsys.readouterr()
    assert main(["verify", str(finished_world.run)]) == ExitCode.DAMAGED
    assert f"{RECORD_FILE}: is not as the trail says" in capsys.readouterr().out


def test_tables_of_a_sealed_map_are_not_taken_for_it(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"identity": ["a"]}), finished_world.run / NAMES_FILE)
    assert ends_well(["reveal", str(finished_world.run)], capsys) == ExitCode.DAMAGED

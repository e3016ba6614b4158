from __future__ import annotations

import io
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from distributed.gallery.names import read_names
from distributed.storage.erasures import erased_identities
from distributed.storage.ledger import read_ledger
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore, open_run
from distributed.storage.trail import entries, replay
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.erasures import Receipt
from tests.support.people import pseudonym, vault
from tests.support.processes import on_a_terminal
from tests.support.small_world import CANDIDATES, SmallWorld, file_bytes

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def audited(finished_world: SmallWorld) -> SmallWorld:
    """The copy's record names the photos and models of the copy."""
    assert main(["sample", str(finished_world.spec_path())]) == ExitCode.OK
    return finished_world


def files_in(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


def receipt_in(run: Path) -> Receipt:
    (path,) = (run / "receipts").glob("*.json")
    return Receipt.model_validate_json(path.read_bytes())


def test_a_purged_run_is_gone_but_for_its_trail(
    finished_world: SmallWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, copy = finished_world.run, tmp_path / "receipt.json"
    (run / "samples" / "shard-000001.parquet.7.partial").write_bytes(b"half")
    before = files_in(run)
    assert main(["purge", "--yes", str(run), "--receipt", str(copy)]) == ExitCode.OK
    assert {path.split("/")[0] for path in files_in(run)} == {"trail", "receipts", "tombstone.json"}
    receipt = receipt_in(run)
    assert receipt == Receipt.model_validate_json(copy.read_bytes())
    kept = {path for path in before if path.startswith("trail/")}
    assert set(receipt.deleted) == before - kept and receipt.identity is None
    assert [entry.action for entry in entries(RunStore(str(run)))][-1] == "purged"
    capsys.readouterr()
    assert main(["verify", str(run)]) == ExitCode.OK
    assert "purged on" in capsys.readouterr().out
    assert main(["audit", str(finished_world.spec_path())]) == ExitCode.REFUSED
    assert "was purged" in capsys.readouterr().err
    assert main(["purge", "--yes", str(run)]) == ExitCode.OK


def test_without_a_terminal_nothing_is_erased_unless_that_is_said(
    finished_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, before = str(finished_world.run), file_bytes(finished_world.run, "**/*.*")
    for more in ([], ["--identity", "person-001"], ["--identity", "-"]):
        monkeypatch.setattr("sys.stdin", io.StringIO("person-001\n"))
        assert main(["purge", run, *more]) == ExitCode.BAD_SPEC
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("idleak: nothing was erased") and "--yes" in line
    assert file_bytes(finished_world.run, "**/*.*") == before


def test_what_would_go_is_listed(finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    run, before = finished_world.run, file_bytes(finished_world.run, "**/*.*")
    capsys.readouterr()
    assert main(["purge", "--dry-run", str(run)]) == ExitCode.OK
    *listed, last, next_step = capsys.readouterr().out.splitlines()
    assert set(listed) == {path for path in files_in(run) if not path.startswith("trail/")}
    assert last.startswith(f"{run}: {len(listed)} files, ") and last.endswith("would be deleted")
    assert main(["purge", "--dry-run", str(run), "--identity", "person-001"]) == ExitCode.OK
    *listed, last, next_step = capsys.readouterr().out.splitlines()
    assert {"scores.parquet: deleted", "results.json: deleted", "gallery.parquet: made anew"} <= set(listed)
    assert last == f"{run}: {pseudonym('person-001')} would be erased, 2 photos"
    assert next_step == "Next: the same command without --dry-run does it"
    assert file_bytes(run, "**/*.*") == before
    assert main(["purge", "--yes", str(run)]) == ExitCode.OK
    assert main(["purge", "--dry-run", str(run)]) == ExitCode.OK


@pytest.mark.parametrize(
    ("answer", "code"), [("", ExitCode.FAILED), ("n", ExitCode.FAILED), ("y", ExitCode.OK)]
)
def test_who_is_at_a_terminal_is_asked(finished_world: SmallWorld, answer: str, code: ExitCode) -> None:
    run, asked = finished_world.run, b""
    with on_a_terminal("-m", "jobs", "purge", str(run)) as (pid, terminal):
        while b"[y/N]" not in asked:
            asked += os.read(terminal, 1000)
        assert (run / "gallery.parquet").exists() and not (run / "tombstone.json").exists()
        os.write(terminal, f"{answer}\n".encode())
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == code
    assert f"Erase the run in {run}, ".encode() in asked.replace(b"\r\n", b"")
    assert (run / "gallery.parquet").exists() is (code != ExitCode.OK)


def test_a_run_is_purged_once_it_is_due(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run, today = finished_world.run, datetime.now(UTC).date()
    assert main(["purge", "--yes", str(run), "--if-due"]) == ExitCode.BAD_SPEC
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for days, code, there in ((0, ExitCode.OK, True), (-1, ExitCode.OK, False)):
        record["spec"]["protection"]["retain_until"] = str(today + timedelta(days=days))
        (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        assert main(["purge", "--yes", str(run), "--if-due"]) == code
        assert (run / "gallery.parquet").exists() is there
    assert "not due yet" in capsys.readouterr().out


@pytest.mark.parametrize("by", ["name", pytest.param("pseudonym", marks=pytest.mark.slow), "stdin"])
def test_an_erased_person_is_nowhere_and_the_others_are_judged_anew(
    audited: SmallWorld, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    world, spec_path = audited, str(audited.spec_path())
    name, gone = "person-001", pseudonym("person-001")
    photos = [vault().photo_pseudonym(name, f"{photo}.png") for photo in range(2)]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{name}\n"))
    who = {"name": name, "pseudonym": gone[:12], "stdin": "-"}[by]
    samples = file_bytes(world.run, "samples/*.parquet")
    assert main(["purge", "--yes", str(world.run), "--identity", who]) == ExitCode.OK
    store = open_run(world.spec())
    assert erased_identities(store) == {gone} and not list(replay(store))
    for path in world.run.rglob("*.parquet"):
        assert gone.encode() not in path.read_bytes()
        if "identity" in pq.read_schema(path).names:
            sql = f"select count(*) from '{path}' where identity = '{gone}'"
            assert duckdb.execute(sql).fetchall() == [(0,)]
    names = read_names(store, vault())
    assert gone not in names.identities and not set(photos) & set(names.photos)
    results = read_results(store)
    assert results.candidates.identities == CANDIDATES - 1
    assert set(results.scores[0].flagged) >= {pseudonym(f"person-{index:03d}") for index in (0, 2, 3, 4)}
    assert gone not in (world.run / "results.json").read_text(encoding="utf-8")
    assert file_bytes(world.run, "samples/*.parquet") == samples
    receipt = receipt_in(world.run)
    assert receipt.identity == gone and "scores.parquet" in receipt.deleted
    assert receipt.signature == vault().signature(receipt.unsigned)
    # Their photos are still in the folder, and resuming does not bring them back; nor does deleting them.
    for _ in range(2):
        assert main(["audit", spec_path]) == ExitCode.OK
        assert main(["enroll", spec_path]) == ExitCode.OK
        assert read_results(store).candidates.identities == CANDIDATES - 1
        assert gone.encode() not in (world.run / "gallery.parquet").read_bytes()
        shutil.rmtree(world.folder / "candidates" / name, ignore_errors=True)
    assert main(["report", str(world.run)]) == ExitCode.OK
    assert main(["verify", str(world.run)]) == ExitCode.OK


def test_the_ledger_forgets_an_erased_person(small_world: SmallWorld) -> None:
    spec = small_world.spec_path(ledger="ledger", membership={"scores": ["max"], "topk": 4, "fdr": 0.4})
    assert main(["audit", str(spec)]) == ExitCode.OK
    ledger, gone = RunStore(str(small_world.folder / "ledger")), pseudonym("person-002")
    contents = read_ledger(ledger)
    assert contents is not None and gone in contents.nights[0].shares
    assert main(["purge", "--yes", str(small_world.run), "--identity", "person-002"]) == ExitCode.OK
    contents = read_ledger(ledger)
    assert contents is not None and all(gone not in night.shares for night in contents.nights)


def test_who_is_not_there_cannot_be_erased(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(finished_world.run)
    assert main(["purge", "--yes", str(finished_world.run), "--identity", "nobody"]) == ExitCode.BAD_SPEC
    assert "nobody in" in capsys.readouterr().err and files_in(finished_world.run) == before


def test_erasing_holds_where_judging_anew_fails(
    audited: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    (audited.folder / "recognizer.onnx").unlink()
    code = main(["purge", "--yes", str(audited.run), "--identity", "person-003"])
    assert code == ExitCode.BAD_SPEC
    assert "the person is erased, and the others are not judged anew" in capsys.readouterr().err
    assert not (audited.run / "results.json").exists()
    assert pseudonym("person-003").encode() not in (audited.run / "gallery.parquet").read_bytes()


def test_reveal_names_people_and_is_kept_in_the_trail(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, person = str(finished_world.run), pseudonym("person-004")
    assert main(["reveal", run, person[:10]]) == ExitCode.OK
    assert capsys.readouterr().out == f"{person}  person-004\n"
    assert main(["reveal", run]) == ExitCode.OK
    assert len(capsys.readouterr().out.splitlines()) == 140
    acts = list(entries(open_run(finished_world.spec())))[-2:]
    assert [(act.action, act.what["pseudonyms"]) for act in acts] == [
        ("reveal", [person[:10]]),
        ("reveal", "all"),
    ]


def test_without_the_key_the_one_that_the_run_was_made_under_is_asked_for(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = vault().key_id
    monkeypatch.delenv("IDLEAK_KEY")
    capsys.readouterr()
    run = str(finished_world.run)
    for command in (["reveal", run], ["report", run], ["audit", str(finished_world.spec_path())]):
        assert main(command) == ExitCode.BAD_SPEC
        said = capsys.readouterr().err
        assert (
            "{env:IDLEAK_KEY} is not there" in said and f"the run was made under the key {identifier}" in said
        )
        assert "openssl" not in said
    assert main(["audit", str(finished_world.spec_path("another"))]) == ExitCode.BAD_SPEC
    assert "make it once with `openssl rand -base64 32`" in capsys.readouterr().err

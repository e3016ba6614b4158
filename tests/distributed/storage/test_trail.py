from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from distributed.gallery.names import read_names
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore, open_run
from distributed.storage.trail import entries, head, record, replay
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.people import pseudonym, vault
from tests.support.small_world import AUTHORISATION, SmallWorld


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(str(tmp_path), vault())


def test_each_entry_holds_on_to_the_one_before(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLEAK_ACTOR", "Ada")
    for number in range(3):
        record(store, "read", number=number)
    trail = list(entries(store))
    assert [(entry.number, entry.who, entry.action, entry.what) for entry in trail] == [
        (number + 1, "Ada", "read", {"number": number}) for number in range(3)
    ]
    assert trail[0].before == "" and len({entry.before for entry in trail}) == 3
    assert len(head(store)) == 64 and not list(replay(store))


def test_what_is_done_to_the_trail_is_noticed(store: RunStore) -> None:
    for number in range(4):
        record(store, "read", number=number)
    second = store.read("trail/000002.json")

    def problems() -> str:
        return "; ".join(f"{path} {what}" for path, what in replay(store))

    store.write("trail/000002.json", second.replace(b'"read"', b'"seen"'))
    assert "000002.json is not signed by this run's key" in problems()
    assert "000003.json does not follow from the entry before it" in problems()
    forged = json.loads(second) | {"action": "seen", "signature": None}
    store.write("trail/000002.json", json.dumps(forged).encode())
    assert "000002.json is not signed" in problems() and "000003.json does not follow" in problems()
    store.delete("trail/000002.json")
    assert "000003.json should be trail/000002.json: an entry is missing" in problems()
    store.write("trail/000002.json", b"{}")
    assert "000002.json is no entry" in problems()
    store.write("trail/000002.json", second)
    assert problems() == ""


def test_files_that_are_not_as_the_trail_left_them_are_noticed(store: RunStore) -> None:
    store.write("a", b"1")
    store.write("b", b"1")
    record(store, "wrote", wrote={path: "0" * 64 for path in ("a", "b")})
    assert [path for path, _ in replay(store)] == ["a", "b"]
    record(store, "deleted", deleted=["b"])
    store.delete("a")
    assert [what.split(",")[0] for _, what in replay(store)] == ["is missing", "is there"]


def test_arguments_that_are_not_utf8_are_kept_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDLEAK_ACTOR", "auditor\udcff")
    store = RunStore(str(tmp_path))
    record(store, "reveal", who=["\udcff", {"reason\udcfe": 1}])
    (entry,) = entries(store)
    assert entry.who == "auditor\\xff" and entry.what == {"who": ["\\xff", {"reason\\xfe": 1}]}
    assert not list(replay(store))


@pytest.mark.usefixtures("in_process")
def test_an_audit_leaves_a_trail_that_verify_replays(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(finished_world.spec())
    acts = list(entries(run))
    assert [act.action for act in acts] == ["audit", "enrolled", "recorded", "reduced", "judged"]
    assert acts[0].what["authorisation"] == AUTHORISATION
    wrote = acts[3].what["wrote"]
    assert isinstance(wrote, dict) and set(wrote) >= {"scores.parquet", "neighbours.parquet"}
    assert main(["verify", str(finished_world.run)]) == ExitCode.OK
    assert f"the audit log of 5 entries is intact; its head is {head(run)}" in capsys.readouterr().out
    scores = finished_world.run / "scores.parquet"
    scores.write_bytes(scores.read_bytes() + b" ")
    assert main(["verify", str(finished_world.run)]) == ExitCode.DAMAGED
    assert "scores.parquet: is not as the trail says" in capsys.readouterr().out


@pytest.mark.usefixtures("in_process")
def test_names_are_in_the_sealed_map_alone(finished_world: SmallWorld) -> None:
    names = read_names(open_run(finished_world.spec()), vault())
    assert names.identities[pseudonym("person-007")] == "person-007" and len(names.identities) == 140
    assert names.photos[vault().photo_pseudonym("other-003", "1.png")] == "1.png"
    for path in finished_world.run.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"person-0" not in content and b"other-0" not in content, path.name


def test_nothing_runs_without_an_authorisation(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    for job in ("audit", "enroll", "sample", "reduce"):
        assert main([job, str(small_world.spec_path(authorisation=None))]) == ExitCode.BAD_SPEC
        assert "the spec has no authorisation" in capsys.readouterr().err
    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    spec = small_world.spec_path(authorisation=AUTHORISATION | {"expires": yesterday})
    assert main(["audit", str(spec)]) == ExitCode.BAD_SPEC
    assert f"expired on {yesterday}: have it renewed" in capsys.readouterr().err
    spec = small_world.spec_path(protection={"retain_until": yesterday})
    assert main(["audit", str(spec)]) == ExitCode.BAD_SPEC
    assert f"kept until {yesterday}" in capsys.readouterr().err
    assert not small_world.run.exists()


@pytest.mark.usefixtures("in_process")
def test_an_override_is_kept_in_the_results(small_world: SmallWorld) -> None:
    spec = small_world.spec_path(authorisation=None)
    assert main(["audit", str(spec), "--override-authorisation", "a drill"]) == ExitCode.OK
    store = RunStore(str(small_world.run))
    results = read_results(store)
    assert results.authorisation is None and len(results.overrides) == 1
    assert results.overrides[0].startswith("a drill (the spec has no authorisation")
    assert next(entries(store)).what["override"] == results.overrides[0]
    assert results.licenses == {"generator": "not stated", "recognizer tiny": "not stated"}

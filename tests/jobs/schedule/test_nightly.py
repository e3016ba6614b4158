"""What nights find, and whom they tell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.nightly import Auditor, accept_night, run_fleet
from jobs.schedule.night import do_night
from schemas.fingerprint import Fingerprint
from schemas.run.tables import Verdict
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import load_fleet
from tests.support.models import tiny_generator
from tests.support.nights import (
    FIRST,
    MORE,
    PEOPLE,
    ROOT,
    SAMPLES,
    compared,
    hook_calls,
    night,
    record,
    resemble_themselves,
    settle,
    shards,
    state,
    write_fleet,
)
from tests.support.people import pseudonym
from tests.support.recognisable_world import make_recognisable, reencode
from tests.support.small_world import COHORT, DIM, SmallWorld, file_bytes

pytestmark = pytest.mark.usefixtures("in_process")


def test_the_first_night_finds_whom_the_generator_leaks_and_tells_the_hook(world: SmallWorld) -> None:
    first = record(world, 1)
    assert first.outcome == "audited" and first.evidence is not None
    assert set(first.evidence.findings) >= PEOPLE
    assert {finding.identity for finding in compared(first).new} == set(first.evidence.findings)
    assert (first.evidence.samples, first.evidence.fresh, first.evidence.ledger_night) == (
        SAMPLES,
        SAMPLES,
        1,
    )
    summary = (world.folder / "nightly" / "summary.txt").read_text(encoding="utf-8")
    assert first.evidence.verdicts[Verdict.INCONCLUSIVE] == 0 and "no verdict" not in summary
    (call,) = hook_calls(world)
    assert Path(call["arguments"][0]).parts[-2:] == ("nightly", "nightly.json")
    assert set(call["report"]["audits"][0]["untold"]) == set(first.evidence.findings)
    assert "person-" not in " ".join(call["arguments"])


def test_an_unchanged_night_is_skipped_without_ray_and_told_to_nobody(world: SmallWorld) -> None:
    write_fleet(world)
    run_fleet(load_fleet(world.folder / "fleet.yaml"), night(2))
    before = file_bytes(state(world) / "runs", "**/*.*")
    code = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from jobs.nightly import run_fleet; from schemas.spec.fleet import load_fleet\n"
        "code = run_fleet(load_fleet(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]))\n"
        "assert not {'ray', 'torch', 'faiss'} & sys.modules.keys()\n"
        "sys.exit(code)"
    )
    arguments = [sys.executable, "-c", code, str(world.folder / "fleet.yaml"), str(night(3))]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == ExitCode.NEW_FINDINGS, done.stderr
    assert "skipped, as nothing has changed" in done.stdout and "person-" not in done.stdout + done.stderr
    assert record(world, 3).outcome == "skipped"
    assert file_bytes(state(world) / "runs", "**/*.*") == before
    assert len(hook_calls(world)) == 1


def test_findings_that_a_person_accepts_are_new_no_longer(world: SmallWorld) -> None:
    fleet = settle(world)
    assert run_fleet(fleet, night(3)) == ExitCode.OK
    third = compared(record(world, 3))
    assert not third.new and {finding.identity for finding in third.known} >= PEOPLE
    assert third.accepted == night(2) and len(hook_calls(world)) == 1


def test_a_night_says_what_comes_next(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """One that fails, one with findings that are new, and one whose findings are known."""
    write_fleet(world)
    path, generator = str(world.folder / "fleet.yaml"), world.folder / "generator.onnx"
    content = generator.read_bytes()

    def ended(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["nightly", path, *words])
        return code, capsys.readouterr().out.splitlines()[-1]

    generator.write_bytes(b"no model")
    failed = f"Next: put right what failed; idleak nightly {path} then does what is not done yet"
    assert ended() == (ExitCode.BAD_SPEC, failed)
    generator.write_bytes(content)
    accept = f"Next: look into what is new; idleak nightly {path} --accept KEY makes it known"
    assert ended() == (ExitCode.NEW_FINDINGS, accept)
    assert ended("--accept", "gan")[0] == ExitCode.OK
    again = f"Next: idleak nightly {path} again on the next night, by a scheduler: docs/nightly.md"
    assert ended() == (ExitCode.OK, again)


def test_a_night_adds_samples_and_makes_no_shard_again(world: SmallWorld) -> None:
    before = shards(world)
    assert (
        run_fleet(write_fleet(world, per_night=MORE, maximum=SAMPLES + MORE), night(2))
        == ExitCode.NEW_FINDINGS
    )
    after = shards(world)
    assert len(after) == len(before) + 2 and before.items() <= after.items()
    second = record(world, 2)
    assert second.evidence is not None and not second.changed
    assert (second.evidence.samples, second.evidence.fresh, second.evidence.ledger_night) == (800, MORE, 2)
    assert set(second.evidence.findings) >= PEOPLE
    # It is full now.
    assert run_fleet(load_fleet(world.folder / "fleet.yaml"), night(3)) == ExitCode.NEW_FINDINGS
    assert record(world, 3).outcome == "skipped" and shards(world) == after
    assert len(hook_calls(world)) == 1


def test_a_night_that_crashed_at_its_end_grows_no_further_and_spends_no_more(world: SmallWorld) -> None:
    fleet = write_fleet(world, per_night=MORE, maximum=1200)
    with ExitStack() as stack:
        auditor = Auditor(stack)

        def crash(spec: AuditSpec, store: RunStore, gallery: Fingerprint) -> None:
            auditor.audit(spec, store, gallery)
            raise OSError(28, "No space left on device")

        entry = do_night(fleet, fleet.entries[0], night(2), crash)
    assert entry.record is not None and entry.record.failure is not None
    assert "No space left" in entry.record.failure.detail
    after = shards(world)
    assert run_fleet(fleet, night(3)) == ExitCode.NEW_FINDINGS
    third = record(world, 3)
    assert third.missed == [] and third.evidence is not None
    assert (third.evidence.samples, third.evidence.fresh, third.evidence.ledger_night) == (800, MORE, 2)
    assert shards(world) == after


def test_a_generator_that_begins_to_leak_is_told_of_once_and_its_repair_seen(small_world: SmallWorld) -> None:
    resemble_themselves(small_world)
    generator = small_world.folder / "generator.onnx"
    shutil.copy(generator, small_world.folder / "leaky.onnx")
    tiny_generator(generator, dim=DIM, seed=1)
    fleet = write_fleet(small_world)
    assert run_fleet(fleet, night(1)) == ExitCode.OK
    assert record(small_world, 1).accepted and not hook_calls(small_world)

    shutil.copy(small_world.folder / "leaky.onnx", generator)
    assert run_fleet(fleet, night(2)) == ExitCode.NEW_FINDINGS
    second = record(small_world, 2)
    assert second.changed == ["generator.sha256"]
    assert {finding.identity for finding in compared(second).new} >= PEOPLE and not second.accepted
    drift = {change.property for change in compared(second).drift}
    scores = {"p-values of candidates", "scores of candidates", "scores of the cohort"}
    assert drift == {"samples with a template"} | scores
    assert len(hook_calls(small_world)) == 1
    assert accept_night(fleet, "gan", night(2)) == ExitCode.OK

    tiny_generator(generator, dim=DIM, seed=1)
    assert run_fleet(fleet, night(3)) == ExitCode.OK
    third = record(small_world, 3)
    assert third.evidence is not None and third.evidence.fresh == 0
    assert {finding.identity for finding in compared(third).resolved} >= PEOPLE
    assert len(hook_calls(small_world)) == 1


@pytest.mark.slow
def test_a_person_who_leaves_the_gallery_is_gone_and_no_sample_is_made_again(world: SmallWorld) -> None:
    fleet = settle(world)
    before = shards(world)
    shutil.rmtree(world.folder / "candidates" / "person-001")
    (world.folder / "labels.csv").write_text(
        "identity,member\nperson-000,1\nperson-009,0\n", encoding="utf-8"
    )
    assert run_fleet(fleet, night(3)) in (ExitCode.OK, ExitCode.NEW_FINDINGS)
    third = record(world, 3)
    assert {"gallery.sha256", "labels.sha256"} == set(third.changed)
    assert [finding.identity for finding in compared(third).gone] == [pseudonym("person-001")]
    assert shards(world) == before
    (run,) = (state(world) / "runs").iterdir()
    assert pseudonym("person-001").encode() not in (run / "gallery.parquet").read_bytes()


def test_a_night_leaves_out_who_is_a_candidates_double(small_world: SmallWorld) -> None:
    make_recognisable(small_world)
    reencode(small_world.folder / "candidates" / "person-002", small_world.folder / "cohort" / "stranger")
    assert run_fleet(write_fleet(small_world), FIRST) == ExitCode.NEW_FINDINGS
    (run,) = state(small_world).glob("runs/*")
    results = read_results(RunStore(str(run)))
    assert results.overlap is not None and results.overlap.left_out == [pseudonym("stranger")]
    assert results.cohort.identities == results.power.cohort == COHORT

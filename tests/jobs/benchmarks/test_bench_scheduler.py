from __future__ import annotations

import math
from dataclasses import replace

import pytest

from distributed.execution.schedule import Schedule
from jobs.__main__ import main
from jobs.benchmarks.scheduler import (
    BAR,
    Account,
    Fate,
    Numbered,
    SimulatedActors,
    SimulatedCluster,
    account,
    simulate,
)
from jobs.cli.exit_codes import ExitCode


def accounted(fates: dict[tuple[int, int], Fate], *, shards: int, workers: int) -> Account:
    """Shards of 60 seconds, actors that take 20 to start, messages that take 1."""
    actors = SimulatedActors(
        lambda index, attempt: fates.get((index, attempt), Fate(60.0)), start_seconds=20.0, round_trip=2.0
    )
    tasks = [Numbered(index) for index in range(shards)]
    Schedule(tasks, actors, workers=lambda: workers, on_report=lambda _: None).run()
    return account(actors, workers)


def test_an_account_by_hand() -> None:
    result = accounted({}, shards=3, workers=2)
    # Up at 20, known at 21; both work from 22 to 82, known at 83; one from 84 to 144, known at 145.
    wanted = Account(
        145.0, 2, needed=180.0, wasted=0.0, starting=40.0, between=6.0, tail=64.0, slow=0.0, copies=0
    )
    assert result == wanted
    assert result.ideal == 90.0 and result.not_needed == pytest.approx(1 - 180 / 290)
    assert result.idle == result.not_needed


def test_failures_deaths_and_copies_are_waste() -> None:
    fates = {(0, 0): Fate(30.0, fails=True), (1, 0): Fate(30.0, kills=True)}
    result = accounted(fates, shards=30, workers=2)
    assert result.wasted == 60.0 and result.needed == 30 * 60.0 and result.starting == 60.0
    assert result.idle + result.wasted / result.whole == pytest.approx(result.not_needed)
    late = accounted({(29, 0): Fate(300.0, slow=240.0)}, shards=30, workers=2)
    assert late.copies == 1 and late.needed == 30 * 60.0 and 90 <= late.wasted <= 160 and late.slow == 0.0
    early = accounted({(0, 0): Fate(300.0, slow=240.0)}, shards=30, workers=2)
    assert early.copies == 0 and early.needed == 30 * 60.0 + 240.0 and early.slow == 240.0


def test_the_parts_of_an_account_are_times() -> None:
    harsh = SimulatedCluster(workers=8, straggling=0.2, failing=0.2, dying=0.1)
    for seed in range(20):
        simulated = simulate(harsh, 100, seed)
        parts = (simulated.needed, simulated.wasted, simulated.starting, simulated.between, simulated.tail)
        assert all(part > 0 for part in parts) and sum(parts) == pytest.approx(simulated.whole)
        assert 0 < simulated.slow < simulated.needed and simulated.makespan > simulated.ideal


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    cluster = SimulatedCluster(workers=8)
    assert simulate(cluster, 200, 1) == simulate(cluster, 200, 1) != simulate(cluster, 200, 2)


def test_fates_are_as_likely_as_they_say() -> None:
    cluster = SimulatedCluster(straggling=0.3, failing=0.2, dying=0.1)
    fates = [cluster.fate(0, index, attempt) for index in range(2000) for attempt in (0, 1)]
    for share, happened in ((0.3, [f.slow > 0 for f in fates]), (0.2, [f.fails for f in fates])):
        assert sum(happened) / len(happened) == pytest.approx(
            share, abs=5 * math.sqrt(share * (1 - share) / 4000)
        )
    assert sum(f.kills for f in fates) / 4000 == pytest.approx(0.1, abs=0.025)
    calm = replace(cluster, straggling=0.0, failing=0.0, dying=0.0)
    logs = [math.log(calm.fate(0, index, 0).seconds / 60) for index in range(4000)]
    assert sum(logs) / 4000 == pytest.approx(0, abs=0.01)
    assert sum(log * log for log in logs) / 4000 == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_shards_over_64_workers_are_near_ideal(seed: int) -> None:
    cluster = SimulatedCluster()
    copied, plain = simulate(cluster, 10_000, seed), simulate(cluster, 10_000, seed, copy_after=math.inf)
    assert copied.not_needed <= BAR
    assert copied.makespan < plain.makespan and plain.copies == 0


def test_the_bench_prints_its_bar_and_fails_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scheduler", "--shards", "1500", "--workers", "4"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "1,500 shards over 4 workers" in out and "pass" in out and "tail" in out
    assert main(["bench", "scheduler", "--shards", "65", "--seed", "7"]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert "FAIL" in out and "7 to 11" in out


@pytest.mark.parametrize("arguments", [["--shards", "0"], ["--workers", "0"], ["--seed", "-1"]])
def test_numbers_that_cannot_be_are_refused(arguments: list[str]) -> None:
    assert main(["bench", "scheduler", *arguments]) == ExitCode.BAD_SPEC

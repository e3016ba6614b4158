"""`idleak bench`: measure what the documentation claims."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from jobs.bench_scheduler import SimulatedCluster, bench_scheduler
from jobs.bench_worlds import CLAIMS, bench_worlds
from jobs.command import guarded


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    worlds = benches.add_parser("worlds", help="the method's promises, on simulated worlds with known truth")
    worlds.add_argument("--worlds", type=_positive, default=300, help="null worlds; others in proportion")
    worlds.add_argument("--quick", action="store_true", help="few worlds: shows that it runs, proves little")
    worlds.add_argument("--output", type=Path, default=Path("bench_worlds"), help="folder of the results")
    worlds.add_argument("--seed", type=int, default=0, help="of all worlds")
    worlds.add_argument("--only", nargs="+", choices=CLAIMS, default=list(CLAIMS), help="some of the claims")
    scheduler = benches.add_parser("scheduler", help="the schedule of shards, on a simulated cluster")
    scheduler.add_argument("--shards", type=_positive, default=10_000, help="of about a minute each")
    scheduler.add_argument("--workers", type=_positive, default=64, help="actors of the cluster")
    scheduler.add_argument("--seed", type=_natural, default=0, help="the first of several")
    chosen = parser.parse_args(argv)
    if chosen.bench == "scheduler":
        cluster = SimulatedCluster(workers=chosen.workers)
        return guarded(lambda: bench_scheduler(cluster, chosen.shards, chosen.seed))
    count = min(chosen.worlds, 12) if chosen.quick else chosen.worlds
    return guarded(lambda: bench_worlds(count, chosen.seed, chosen.output, chosen.only))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value

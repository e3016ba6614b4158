"""`idleak bench`: measure what the documentation claims."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from jobs.benchmarks.encryption import bench_encryption
from jobs.benchmarks.generators import bench_generators
from jobs.benchmarks.pipeline import bench_pipeline
from jobs.benchmarks.reduce import Sizes, bench_reduce
from jobs.benchmarks.restart import bench_restart
from jobs.benchmarks.scheduler import SimulatedCluster, bench_scheduler
from jobs.benchmarks.worlds.claims import CLAIMS, bench_worlds
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from schemas.spec.audit import load_spec


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    _worlds_options(
        benches.add_parser("worlds", help="the method's promises, on simulated worlds with known truth")
    )
    _pipeline_options(
        benches.add_parser("pipeline", help="images to templates, against insightface, onnxruntime, Ray Data")
    )
    _generators_options(
        benches.add_parser("generators", help="each kind of generator, against its model called directly")
    )
    _reduce_options(
        benches.add_parser("reduce", help="the search, against matrix products, FAISS, numpy and torch")
    )
    _restart_options(benches.add_parser("restart", help="a finished audit that is started again"))
    _encryption_options(
        benches.add_parser("encryption", help="what encrypted templates cost, written and read")
    )
    _scheduler_options(benches.add_parser("scheduler", help="the schedule of shards, on a simulated cluster"))
    chosen = parser.parse_args(argv)
    chosen.command = list(argv)
    return guarded(lambda: chosen.run(chosen))


def _worlds_options(worlds: argparse.ArgumentParser) -> None:
    worlds.add_argument("--worlds", type=_positive, default=300, help="null worlds; others in proportion")
    worlds.add_argument("--quick", action="store_true", help="few worlds: shows that it runs, proves little")
    worlds.add_argument("--output", type=Path, default=Path("bench_worlds"), help="folder of the results")
    worlds.add_argument("--seed", type=int, default=0, help="of all worlds")
    worlds.add_argument("--only", nargs="+", choices=CLAIMS, default=list(CLAIMS), help="some of the claims")
    worlds.set_defaults(run=_run_worlds)


def _pipeline_options(pipeline: argparse.ArgumentParser) -> None:
    pipeline.add_argument("spec", type=Path, metavar="SPEC", help="an audit's YAML file, with a detector")
    pipeline.add_argument("--images", type=_positive, default=128, help="for each contender, or its worker")
    _speed_options(pipeline, repeats=5)
    pipeline.set_defaults(run=_run_pipeline)


def _generators_options(generators: argparse.ArgumentParser) -> None:
    generators.add_argument("--images", type=_positive, default=256, help="of one repeat")
    generators.add_argument(
        "--stylegan-code",
        type=Path,
        metavar="FOLDER",
        help="a checkout of NVlabs/stylegan3, for that kind",
    )
    _speed_options(generators, repeats=5)
    generators.set_defaults(run=_run_generators)


def _reduce_options(reduce: argparse.ArgumentParser) -> None:
    reduce.add_argument("--photos", type=_positive, default=4_000, help="of the gallery; also a tenth")
    reduce.add_argument("--samples", type=_positive, default=262_144)
    reduce.add_argument("--dim", type=_positive, default=512, help="numbers of a template; also a quarter")
    reduce.add_argument("--topk", type=_positive, default=64, help="nearest samples of each photo")
    reduce.add_argument("--threads", type=_positive, default=1, help="of every library; 1, as one worker has")
    _speed_options(reduce, repeats=3)
    reduce.set_defaults(run=_run_reduce)


def _restart_options(restart: argparse.ArgumentParser) -> None:
    restart.add_argument(
        "spec", type=Path, metavar="SPEC", help="an audit's YAML file; its output stays as it is"
    )
    restart.add_argument(
        "--shards", type=_positive, nargs="+", default=[100, 10_000], help="of one sample each"
    )
    _speed_options(restart, repeats=5)
    restart.set_defaults(run=_run_restart)


def _encryption_options(encryption: argparse.ArgumentParser) -> None:
    encryption.add_argument("spec", type=Path, metavar="SPEC", help="an audit's YAML file")
    encryption.add_argument("--images", type=_positive, default=2000, help="samples of one repeat")
    _speed_options(encryption, repeats=7)
    encryption.set_defaults(run=_run_encryption)


def _scheduler_options(scheduler: argparse.ArgumentParser) -> None:
    scheduler.add_argument("--shards", type=_positive, default=10_000, help="of about a minute each")
    scheduler.add_argument("--workers", type=_positive, default=64, help="actors of the cluster")
    scheduler.add_argument("--seed", type=_natural, default=0, help="the first of several")
    scheduler.set_defaults(run=_run_scheduler)


def _speed_options(parser: argparse.ArgumentParser, repeats: int) -> None:
    parser.add_argument("--repeats", type=_positive, default=repeats, help="interleaved; medians count")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="write the report here too")


def _run_worlds(chosen: argparse.Namespace) -> ExitCode:
    count = min(chosen.worlds, 12) if chosen.quick else chosen.worlds
    return bench_worlds(count, chosen.seed, chosen.output, chosen.only)


def _run_pipeline(chosen: argparse.Namespace) -> ExitCode:
    spec = load_spec(chosen.spec)
    return bench_pipeline(spec, chosen.images, chosen.repeats, chosen.output, chosen.command)


def _run_generators(chosen: argparse.Namespace) -> ExitCode:
    code = chosen.stylegan_code and chosen.stylegan_code.resolve()
    return bench_generators(chosen.images, chosen.repeats, code, chosen.output, chosen.command)


def _run_reduce(chosen: argparse.Namespace) -> ExitCode:
    sizes = Sizes(chosen.photos, chosen.samples, chosen.dim, chosen.topk, chosen.threads)
    return bench_reduce(sizes, chosen.repeats, chosen.output, chosen.command)


def _run_restart(chosen: argparse.Namespace) -> ExitCode:
    shards = sorted(chosen.shards)
    return bench_restart(load_spec(chosen.spec), shards, chosen.repeats, chosen.output, chosen.command)


def _run_encryption(chosen: argparse.Namespace) -> ExitCode:
    spec = load_spec(chosen.spec)
    return bench_encryption(spec, chosen.images, chosen.repeats, chosen.output, chosen.command)


def _run_scheduler(chosen: argparse.Namespace) -> ExitCode:
    return bench_scheduler(SimulatedCluster(workers=chosen.workers), chosen.shards, chosen.seed)


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

"""`idleak bench`: measure what the documentation claims. Each bench is loaded when it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from jobs.cli.arguments import FILE, StrictCommand, WordsOption, given_words, spec_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.lazy_group import ListedGroup
from schemas.spec.load import load_spec

CLAIMS = (
    "null",
    "discoveries",
    "p_values",
    "power",
    "hits",
    "identities",
    "sensitivity",
    "upper_bounds",
    "standing",
    "roles",
    "adjusted",
    "cleared",
    "nights",
    "exactness",
    "example",
)
"""The keys of `jobs.benchmarks.worlds.claims.CLAIMS`, which takes seconds to import."""
POSITIVE = click.IntRange(min=1)
Bench = TypeVar("Bench", bound=Callable[..., Any])


@click.group("bench", cls=ListedGroup, help=__doc__)
def command() -> None:
    """Nothing of its own."""


def speed_options(repeats: int) -> Callable[[Bench], Bench]:
    """What all benches of speed take."""
    number = click.option("--repeats", type=POSITIVE, default=repeats, help="interleaved; medians count")
    report = click.option("--output", type=FILE, metavar="FILE.md", help="write the report here too")
    return lambda bench: number(report(bench))


@command.command(
    "worlds", cls=StrictCommand, help="the method's promises, on simulated worlds with known truth"
)
@click.option("--worlds", type=POSITIVE, default=300, help="null worlds; others in proportion")
@click.option("--quick", is_flag=True, help="few worlds: shows that it runs, proves little")
@click.option("--output", type=FILE, default=Path("bench_worlds"), help="folder of the results")
@click.option("--seed", type=int, default=0, help="of all worlds")
@click.option(
    "--only",
    metavar="CLAIM...",
    cls=WordsOption,
    multiple=True,
    type=click.Choice(CLAIMS),
    default=CLAIMS,
    help="some of the claims",
)
def worlds(*, worlds: int, quick: bool, output: Path, seed: int, only: tuple[str, ...]) -> ExitCode:
    from jobs.benchmarks.worlds.claims import bench_worlds

    return bench_worlds(min(worlds, 12) if quick else worlds, seed, output, only)


@command.command(
    "pipeline",
    cls=StrictCommand,
    help="images to templates, against insightface, onnxruntime, Ray Data",
    epilog="The spec has to have a detector.",
)
@spec_argument
@click.option("--images", type=POSITIVE, default=128, help="for each contender, or its worker")
@speed_options(repeats=5)
def pipeline(spec: Path, *, images: int, repeats: int, output: Path | None) -> ExitCode:
    from jobs.benchmarks.pipeline.bench import bench_pipeline

    return bench_pipeline(load_spec(spec), images, repeats, output, given_words())


@command.command(
    "device",
    cls=StrictCommand,
    help="images that stay on the GPU, against its models alone",
    epilog="The spec needs a generator in ONNX, or code. A CPU shows that it runs, and nothing of a GPU.",
)
@spec_argument
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda")
@click.option("--images", type=POSITIVE, default=65_536, help="of one shard")
@speed_options(repeats=5)
def device(spec: Path, *, device: str, images: int, repeats: int, output: Path | None) -> ExitCode:
    from jobs.benchmarks.device import bench_device

    return bench_device(load_spec(spec), device, images, repeats, output, given_words())


@command.command(
    "generators", cls=StrictCommand, help="each kind of generator, against its model called directly"
)
@click.option("--images", type=POSITIVE, default=256, help="of one repeat")
@click.option(
    "--stylegan-code", type=FILE, metavar="FOLDER", help="a checkout of NVlabs/stylegan3, for that kind"
)
@speed_options(repeats=5)
def generators(*, images: int, stylegan_code: Path | None, repeats: int, output: Path | None) -> ExitCode:
    from jobs.benchmarks.generators import bench_generators

    code = stylegan_code and stylegan_code.resolve()
    return bench_generators(images, repeats, code, output, given_words())


@command.command(
    "reduce", cls=StrictCommand, help="the search, against matrix products, FAISS, numpy and torch"
)
@click.option("--people", type=POSITIVE, default=4_000, help="of the gallery; also a tenth")
@click.option("--samples", type=POSITIVE, default=262_144)
@click.option("--dim", type=POSITIVE, default=512, help="numbers of a template; also a quarter")
@click.option("--topk", type=POSITIVE, default=64, help="nearest samples of each photo")
@click.option("--threads", type=POSITIVE, default=1, help="of every library; 1, as one worker has")
@speed_options(repeats=3)
def reduce(*, repeats: int, output: Path | None, **sizes: int) -> ExitCode:
    from jobs.benchmarks.reduce import Sizes, bench_reduce

    return bench_reduce(Sizes(**sizes), repeats, output, given_words())


@command.command(
    "gallery",
    cls=StrictCommand,
    help="from a large gallery to verdicts, and a tenth of the people",
)
@click.option("--candidates", type=POSITIVE, default=100_000)
@click.option("--cohort", type=POSITIVE, default=5_000, help="identities")
@click.option("--photos", type=POSITIVE, default=2, help="of each person")
@click.option("--samples", type=POSITIVE, default=20_000)
@click.option("--dim", type=POSITIVE, default=128, help="numbers of a template")
@speed_options(repeats=1)
def gallery(*, repeats: int, output: Path | None, **sizes: int) -> ExitCode:
    from jobs.benchmarks.gallery import GallerySizes, bench_gallery

    return bench_gallery(GallerySizes(**sizes), repeats, output, given_words())


@command.command(
    "restart",
    cls=StrictCommand,
    help="a finished audit that is started again",
    epilog="The spec's output stays as it is.",
)
@spec_argument
@click.option(
    "--shards",
    cls=WordsOption,
    multiple=True,
    type=POSITIVE,
    metavar="N...",
    default=(100, 10_000),
    help="of one sample each",
)
@speed_options(repeats=5)
def restart(spec: Path, *, shards: tuple[int, ...], repeats: int, output: Path | None) -> ExitCode:
    from jobs.benchmarks.restart import bench_restart

    return bench_restart(load_spec(spec), sorted(shards), repeats, output, given_words())


@command.command(
    "roles",
    cls=StrictCommand,
    help="a finished audit with labels, whose people's roles are drawn anew",
    epilog="The run stays as it is.",
)
@spec_argument
@click.option("--draws", type=POSITIVE, default=500, help="of who is a candidate")
@click.option(
    "--samples",
    cls=WordsOption,
    multiple=True,
    type=POSITIVE,
    metavar="N...",
    default=(),
    help="the first so many samples; all, if not given",
)
@click.option("--output", type=FILE, metavar="FILE.md", help="write the report here too")
def roles(spec: Path, *, draws: int, samples: tuple[int, ...], output: Path | None) -> ExitCode:
    from jobs.benchmarks.roles.bench import bench_roles

    return bench_roles(load_spec(spec), draws, samples, output, given_words())


@command.command(
    "copies",
    cls=StrictCommand,
    help="near-copies of photos, planted, and told from other photos of the person",
    epilog="No run is needed: photos of the spec's cohort, and 16 samples.",
)
@spec_argument
@click.option("--people", type=POSITIVE, default=200, help="of the cohort, at most")
@click.option("--output", type=FILE, metavar="FILE.md", help="write the report here too")
def copies(spec: Path, *, people: int, output: Path | None) -> ExitCode:
    from jobs.benchmarks.copies import bench_copies

    return bench_copies(load_spec(spec), people, output, given_words())


@command.command(
    "likeness",
    cls=StrictCommand,
    help="photos brought to what a generator's images show, against its own samples",
    epilog="Of a finished audit; the run stays as it is. It takes photos and a generator of images.",
)
@spec_argument
@click.option("--output", type=FILE, metavar="FILE.md", help="write the report here too")
def likeness(spec: Path, *, output: Path | None) -> ExitCode:
    from jobs.benchmarks.planted.likeness import bench_likeness

    return bench_likeness(load_spec(spec), output, given_words())


@command.command(
    "canaries",
    cls=StrictCommand,
    help="people planted among the samples of a finished audit, and what audits say of them",
    epilog="The run stays as it is. Each person is a candidate once, and half of their photos are planted.",
)
@spec_argument
@click.option(
    "--shares",
    cls=WordsOption,
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    metavar="U...",
    default=(0.003, 0.01),
    help="of the samples, beside the share that audits name",
)
@click.option(
    "--likeness",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.6,
    help="of the planted samples to photos",
)
@click.option("--sides", type=POSITIVE, help="of candidates, at most; each takes two audits a row")
@click.option("--output", type=FILE, metavar="FILE.md", help="write the report here too")
def canaries(
    spec: Path, *, shares: tuple[float, ...], likeness: float, sides: int | None, output: Path | None
) -> ExitCode:
    from jobs.benchmarks.planted.canary_audits import bench_canaries

    return bench_canaries(load_spec(spec), shares, likeness, sides, output, given_words())


@command.command("encryption", cls=StrictCommand, help="what encrypted templates cost, written and read")
@spec_argument
@click.option("--images", type=POSITIVE, default=2000, help="samples of one repeat")
@speed_options(repeats=7)
def encryption(spec: Path, *, images: int, repeats: int, output: Path | None) -> ExitCode:
    from jobs.benchmarks.encryption import bench_encryption

    return bench_encryption(load_spec(spec), images, repeats, output, given_words())


@command.command("scheduler", cls=StrictCommand, help="the schedule of shards, on a simulated cluster")
@click.option("--shards", type=POSITIVE, default=10_000, help="of about a minute each")
@click.option("--workers", type=POSITIVE, default=64, help="actors of the cluster")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="the first of several")
def scheduler(*, shards: int, workers: int, seed: int) -> ExitCode:
    from jobs.benchmarks.scheduler import SimulatedCluster, bench_scheduler

    return bench_scheduler(SimulatedCluster(workers=workers), shards, seed)

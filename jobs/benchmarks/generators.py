"""`idleak bench generators`: images a second of each kind of generator, beside calling the model directly."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter
from torch import nn

from distributed.runtime.allocator import keep_freed_memory
from distributed.sampling.adapters import open_generator, prepare_generator
from distributed.sampling.generator import ImageSource, InvalidImage
from distributed.sampling.networks.latents import standard_normal
from distributed.sampling.sandbox.trust import code_digests
from jobs.benchmarks import artefacts as artefacts
from jobs.benchmarks.limits import threads, timed
from jobs.benchmarks.table import Bar, Measured, Report, Table, interleaved, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ModelError
from schemas.run.shard import BATCH_IMAGES
from schemas.spec.generators import GeneratorSpec

MODEL_BAR, DECODING_BAR, RATE_BAR = 0.95, 0.9, 0.95
SEED, RATE = 1, 40.0
STEPS = 2
SLOW = 8

Run = Callable[[Sequence[NDArray[np.int64]]], object]
"""Makes the images of these batches of ids."""


@dataclass(frozen=True)
class Contender:
    """One kind of generator, opened by idleak, and without it. images: that one repeat makes."""

    kind: str
    ours: Run
    direct: Run
    bar: float
    images: int

    @property
    def batches(self) -> list[NDArray[np.int64]]:
        ids = np.arange(self.images, dtype=np.int64)
        return [ids[at : at + BATCH_IMAGES] for at in range(0, self.images, BATCH_IMAGES)]


def bench_generators(
    images: int, repeats: int, stylegan_code: Path | None, output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Race each kind with its own model, called directly, on one thread. FAILED if a bar is missed.

    stylegan_code: a checkout of NVlabs/stylegan3, without which that kind is left out.
    """
    # As the workers do, so that both sides do.
    keep_freed_memory()
    with TemporaryDirectory(prefix="bench-") as name, threads(1):
        folder, files = Path(name), artefacts.pictures(4 * images)
        contenders = [*_networks(folder, images), *_diffusers(folder, images), *_files(folder, files)]
        if stylegan_code is not None:
            contenders.append(_stylegan(folder, stylegan_code, images))
        runs = {f"{contender.kind} ours": _seconds(contender, contender.ours) for contender in contenders}
        runs |= {
            f"{contender.kind} direct": _seconds(contender, contender.direct) for contender in contenders
        }
        # Next to one another, so that the machine's drift hits both.
        runs = dict(sorted(runs.items()))
        with artefacts.serving(files) as url:
            runs["http"] = lambda: _asked(url, images, folder)
            measured = interleaved(runs, repeats)
    columns = ("kind", "idleak", "directly", "ratio")
    table = Table("Images a second, one thread", columns, _rows(contenders, measured, images))
    return publish(Report(command, repeats, [table], _bars(contenders, measured, images), _notes()), output)


def _notes() -> list[str]:
    return [
        f"Batches of {BATCH_IMAGES}. Networks: random weights, {artefacts.SIZE}×{artefacts.SIZE} pixels "
        f"(diffusers {artefacts.SIZE // 2}, {STEPS} steps); directly: the same call in this process, on "
        "latents drawn before, its output left as it is. Kinds that are code run in a process of their own.",
        f"Files: JPEG of {artefacts.PICTURE}×{artefacts.PICTURE}; directly: Pillow alone, on bytes in "
        "memory.",
        f"http: an API on this machine, allowed {RATE:g} requests a second, while the taker of the images is "
        "busy for half of the time.",
    ]


def _seconds(contender: Contender, run: Run) -> Callable[[], float]:
    """After a batch that does not count: while others ran, caches and processors have gone cold."""

    def seconds() -> float:
        run(contender.batches[:1])
        return timed(lambda: run(contender.batches))

    return seconds


def _rows(
    contenders: Sequence[Contender], measured: Mapping[str, Measured], images: int
) -> list[tuple[str, str, str, str]]:
    rows = []
    for contender in contenders:
        ours, direct = measured[f"{contender.kind} ours"], measured[f"{contender.kind} direct"]
        rows.append(
            (
                contender.kind,
                str(ours.over(contender.images)),
                str(direct.over(contender.images)),
                str(direct.per(ours)),
            )
        )
    asked = measured["http"].over(images - 1)
    return [*rows, ("http", str(asked), f"{RATE:g} allowed", str(asked.times(1 / RATE)))]


def _bars(contenders: Sequence[Contender], measured: Mapping[str, Measured], images: int) -> list[Bar]:
    bars = [
        Bar(
            f"{contender.kind}, of the direct call",
            measured[f"{contender.kind} direct"].per(measured[f"{contender.kind} ours"]),
            contender.bar,
        )
        for contender in contenders
    ]
    rate = measured["http"].over(images - 1).times(1 / RATE)
    return [*bars, Bar("http, of its allowed rate", rate, RATE_BAR)]


def _networks(folder: Path, images: int) -> Iterator[Contender]:
    """One network in each format that holds one."""
    module = artefacts.write_network(folder)
    shared = {"latent": {"dim": artefacts.DIM}, "output": {"layout": "nchw", "range": [-1, 1]}}
    onnx = artefacts.write_onnx(module, folder / "generator.onnx")
    yield Contender(
        "onnx", _ours({"kind": "onnx", "path": str(onnx)} | shared), _onnx(onnx, images), MODEL_BAR, images
    )
    script = artefacts.write_torchscript(module, folder / "generator.pt")
    exported = artefacts.write_exported(module, folder / "generator.pt2")
    load: Any = torch.jit.load
    loaded = load(str(script))
    yield _torch({"kind": "torchscript", "path": str(script)} | shared, loaded, images)
    program: Any = torch.export.load(str(exported)).module()
    yield _torch({"kind": "torch_export", "path": str(exported)} | shared, program, images)
    package = {"kind": "module", "code": str(folder), "factory": "bench_network:make"}
    yield _torch(package | shared, module, images)


def _torch(raw: Mapping[str, Any], module: nn.Module, images: int) -> Contender:
    return Contender(str(raw["kind"]), _ours(raw), _module(module, images), MODEL_BAR, images)


def _stylegan(folder: Path, code: Path, images: int) -> Contender:
    """Raises ModelError if the folder is not a checkout of NVlabs/stylegan3."""
    try:
        network = artefacts.write_stylegan(code, folder / "network.pkl")
    except (ImportError, OSError) as error:
        raise ModelError(
            f"{code} is no checkout of NVlabs/stylegan3 ({error}): correct --stylegan-code"
        ) from error
    raw = {"kind": "stylegan", "path": str(folder / "network.pkl"), "code": str(code), "seeds": "idleak"}
    some = max(1, images // SLOW)
    latents = _latents(some, 512)

    def direct(batches: Sequence[NDArray[np.int64]]) -> None:
        with torch.inference_mode():
            # One at a time, as NVlabs' own gen_images.py does.
            for sample_id in np.concatenate(batches).tolist():
                network(
                    latents[sample_id : sample_id + 1],
                    torch.zeros(1, 0),
                    truncation_psi=1,
                    noise_mode="const",
                )

    return Contender("stylegan", _ours(raw), direct, MODEL_BAR, some)


def _diffusers(folder: Path, images: int) -> Iterator[Contender]:
    pipeline = artefacts.write_pipeline(folder / "pipeline")
    raw = {"kind": "diffusers", "path": str(folder / "pipeline"), "steps": STEPS}
    some = max(1, images // SLOW)

    def direct(batches: Sequence[NDArray[np.int64]]) -> None:
        with torch.inference_mode():
            for seed in np.concatenate(batches).tolist():
                generator = torch.Generator("cpu").manual_seed(seed)
                pipeline(generator=generator, num_inference_steps=STEPS, output_type="np")

    yield Contender("diffusers", _ours(raw), direct, MODEL_BAR, some)


def _files(folder: Path, files: list[bytes]) -> Iterator[Contender]:
    """The same pictures in each format that holds pictures."""

    def decoded(batches: Sequence[NDArray[np.int64]]) -> None:
        # A batch is held at once, as whoever embeds it holds it.
        for ids in batches:
            [
                np.asarray(Image.open(io.BytesIO(files[sample_id])).convert("RGB"))
                for sample_id in ids.tolist()
            ]

    places = {
        "images": artefacts.write_folder(files, folder / "pictures"),
        "webdataset": artefacts.write_tar(files, folder / "pictures.tar"),
        "parquet": artefacts.write_parquet(files, folder / "pictures.parquet"),
    }
    for kind, path in places.items():
        yield Contender(kind, _ours({"kind": kind, "path": str(path)}), decoded, DECODING_BAR, len(files))


def _ours(raw: Mapping[str, Any]) -> Run:
    source = _opened(raw)

    def run(batches: Sequence[NDArray[np.int64]]) -> None:
        for ids in batches:
            _require_images(source, ids)

    return run


def _opened(raw: Mapping[str, Any], run: str = "") -> ImageSource:
    spec: Any = TypeAdapter(GeneratorSpec).validate_python(dict(raw))
    if spec.is_code:
        spec = spec.model_copy(update={"trust": tuple(code_digests(spec).values())})
    prepared = prepare_generator(spec)
    return open_generator(spec, SEED, device="cpu", threads=1, prepared=prepared, run=run)


def _require_images(source: ImageSource, ids: NDArray[np.int64]) -> None:
    """Raise ModelError for a generator that gave no image: its speed would say nothing."""
    for image in source.sample(ids):
        if isinstance(image, InvalidImage):
            raise ModelError(f"the bench's own generator gave no image: {image.reason}")


def _latents(images: int, dim: int) -> torch.Tensor:
    return torch.from_numpy(standard_normal(SEED, np.arange(images), dim))


def _module(module: nn.Module, images: int) -> Run:
    drawn = _latents(images, artefacts.DIM)

    def run(batches: Sequence[NDArray[np.int64]]) -> None:
        with torch.inference_mode():
            for ids in batches:
                module(drawn[ids[0] : ids[-1] + 1])

    return run


def _onnx(path: Path, images: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    drawn = _latents(images, artefacts.DIM).numpy()

    def run(batches: Sequence[NDArray[np.int64]]) -> None:
        for ids in batches:
            session.run(None, {"z": drawn[ids[0] : ids[-1] + 1]})

    return run


def _asked(url: str, images: int, folder: Path) -> float:
    """Seconds between the first and the last image of an API, the taker busy for half of the time."""
    raw = {
        "kind": "http",
        "url": url,
        "body": {"index": "{index}"},
        "rate": RATE,
        "concurrency": 8,
        "budget": {"requests": 2 * images},
    }
    source: Any = _opened(raw, str(folder / uuid.uuid4().hex))
    ids = np.arange(images, dtype=np.int64)
    source.answering.expect(ids)
    start = time.perf_counter()
    for at in range(0, images, BATCH_IMAGES):
        batch = ids[at : at + BATCH_IMAGES]
        _require_images(source, batch)
        if at + BATCH_IMAGES < images:
            time.sleep(len(batch) / RATE / 2)
    return time.perf_counter() - start

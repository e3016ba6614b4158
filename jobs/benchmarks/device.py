"""`idleak bench device SPEC`: the way of images that stay on the device, against its models alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from distributed.embedding.device.recorded import Recorded
from distributed.sampling.device.batches import DeviceSource
from distributed.sampling.device.shared_images import SharedImages
from distributed.stages.making.device_embedder import DEVICE_BATCH, DeviceEmbedder
from distributed.stages.making.embedder import ShardEmbedder
from distributed.stages.making.setup import Setup
from jobs.benchmarks.pipeline.workers import benched
from jobs.benchmarks.table import Bar, Measured, Report, Table, interleaved, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import DeviceError, SpecError
from schemas.run.shard import Shard
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.onnx import OnnxGenerator

GENERATOR, RECOGNIZER, DETECTOR = "generator alone", "recogniser alone", "detector alone, first size"
WHOLE, HOST = "whole, images on the device", "whole, images through the host"
PEAK = "float16 matrix product, TFLOP/s"
PEAK_BAR, FIXED_BAR, DETECTED_BAR = 0.27, 0.90, 0.85
SIDE = {"cuda": 8192, "cpu": 512}
BATCHES_TIMED = {"cuda": 20, "cpu": 1}
HOST_SHARE = 16
"""The host's way gets this part of the images: it is many times as slow on CUDA."""


@dataclass(frozen=True)
class Contenders:
    """What is raced: images per second, and TFLOP/s of the peak. operations: of the recogniser, an image."""

    runs: dict[str, Callable[[], float]]
    embedder: DeviceEmbedder
    batch: int
    operations: float


def bench_device(
    spec: AuditSpec, device: str, images: int, repeats: int, output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Race the device's way with its models alone and with the host's. FAILED if a bar is missed.

    Raises DeviceError where the device is not there, SpecError for a generator that is no network.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device here: run `idleak doctor`, or bench with --device cpu")
    if not isinstance(spec.generator, OnnxGenerator) and not spec.generator.is_code:
        raise SpecError(
            "bench device races models that it can run alone: give a spec with a generator in ONNX or code"
        )
    setup = Setup(benched(spec, spec.output), device, 1)
    contenders = _contenders(setup, images)
    measured = interleaved(contenders.runs, repeats)
    report = Report(
        command, repeats, [_table(measured)], _bars(setup, contenders, measured), _notes(contenders, device)
    )
    return publish(report, output)


def _contenders(setup: Setup, images: int) -> Contenders:
    batch = min(DEVICE_BATCH, images)
    host = ShardEmbedder(setup)
    embedder = DeviceEmbedder(setup, host, batch)
    recognizer, source = embedder.recognizers[0], embedder.source
    crops = torch.rand(batch, 3, recognizer.size, recognizer.size, device=setup.device) * 255
    samples = source.sample(np.arange(batch)).images
    with FlopCounterMode(display=False) as counter:
        recognizer(crops)
    runs: dict[str, Callable[[], float]] = {
        GENERATOR: partial(_generated, source, batch, setup.device),
        RECOGNIZER: partial(_rate, Recorded(recognizer, crops.clone()), crops, batch, setup.device),
        WHOLE: partial(_whole, embedder, images, setup.device),
        HOST: partial(_whole, host, max(batch, images // HOST_SHARE), setup.device),
        PEAK: partial(_peak, setup.device),
    }
    if embedder.detector is not None:
        sizes = [min(embedder.detector.graphs)]
        locate = partial(_located, embedder.detector, sizes)
        runs[DETECTOR] = partial(_rate, Recorded(locate, samples.clone()), samples, batch, setup.device)
    for run in runs.values():
        run()
    return Contenders(runs, embedder, batch, counter.get_total_flops() / batch)


def _located(detector: Any, sizes: Sequence[int], images: Tensor) -> Tensor:
    located: Tensor = detector.locate(images, sizes).landmarks
    return located


def _rate(run: Callable[[Tensor], Any], batch: Tensor, images: int, device: str) -> float:
    """Images per second of a model alone."""
    return images / _seconds(lambda: run(batch), device)


def _generated(source: DeviceSource, batch: int, device: str) -> float:
    ids = np.arange(batch)
    return batch / _seconds(lambda: source.sample(ids), device)


def _whole(embedder: Any, images: int, device: str) -> float:
    """Images per second of one shard, from ids to templates on the host."""
    return images / _clock(lambda: embedder.embed(Shard(0, 0, images)), device)


def _peak(device: str) -> float:
    kind = torch.float16 if device == "cuda" else torch.float32
    left, right = (torch.randn(SIDE[device], SIDE[device], device=device).to(kind) for _ in range(2))
    return 2 * SIDE[device] ** 3 / _seconds(lambda: left @ right, device) / 1e12


def _seconds(run: Callable[[], object], device: str) -> float:
    """Of one call, over several that follow one another without a wait."""
    times = BATCHES_TIMED[device]
    return _clock(lambda: [run() for _ in range(times)], device) / times


def _clock(run: Callable[[], object], device: str) -> float:
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _table(measured: dict[str, Measured]) -> Table:
    rows = [
        (name, str(figures), str(figures.over(1e6)) if name != PEAK else "")
        for name, figures in measured.items()
    ]
    return Table("Rates", ("what", "images/s", "µs/image"), rows)


def _bars(setup: Setup, contenders: Contenders, measured: dict[str, Measured]) -> list[Bar]:
    parts = [name for name in (GENERATOR, DETECTOR, RECOGNIZER) if name in measured]
    seconds = [[1 / rate for rate in measured[name].values] for name in parts]
    alone = Measured(tuple(1 / sum(each) for each in zip(*seconds, strict=True)))
    limit = DETECTED_BAR if DETECTOR in measured else FIXED_BAR
    of_peak = measured[RECOGNIZER].times(contenders.operations / 1e12).per(measured[PEAK])
    bars = [Bar(f"{WHOLE} ÷ ({' + '.join(parts)})", measured[WHOLE].per(alone), limit)]
    if setup.device == "cuda":
        bars.append(Bar("recogniser ÷ peak of the float16 product", of_peak, PEAK_BAR))
    return bars


def _notes(contenders: Contenders, device: str) -> list[str]:
    embedder = contenders.embedder
    precisions = ", ".join(f"{name} in {kind}" for name, kind in embedder.precisions.items())
    lines = [
        f"Batches of {contenders.batch}; {precisions}; {contenders.operations / 1e9:.3g} GFLOP an image.",
        "The whole: latents drawn on the host, one shard, templates back on the host, not written.",
    ]
    if isinstance(embedder.source, SharedImages):
        lines.append(
            "The generator is code in a process of its own: alone it hands its images over, too, by "
            f"{'CUDA IPC' if embedder.source.on_device else 'memory of the host'}, "
            "and in the whole it makes a batch while the one before is embedded."
        )
    if device == "cuda":
        return [
            *lines,
            f"Card: {torch.cuda.get_device_name()}, driver {_driver()}, CUDA {torch.version.cuda}.",
        ]
    return lines


def _driver() -> str:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"

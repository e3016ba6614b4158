"""Generators of every kind, made for the bench: the true formats, random weights."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

from jobs.benchmarks.local_server import SilentHandler, served

DIM, SIZE = 128, 64
PICTURE = 256
NETWORK_SOURCE = '''"""A convolutional generator: latents (n, 128) to images (n, 3, 64, 64) in [-1, 1]."""

import torch
from torch import nn


def make() -> nn.Module:
    torch.manual_seed(0)
    widths, layers = [128, 256, 128, 64, 32], []
    layers += [nn.Unflatten(1, (128, 1, 1)), nn.ConvTranspose2d(128, 256, 4), nn.ReLU()]
    for before, after in zip(widths[1:], widths[2:]):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.ReLU()]
    layers += [nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 3, 3, 1, 1), nn.Tanh()]
    return nn.Sequential(*layers).eval()
'''


def write_network(folder: Path) -> nn.Module:
    """The module `bench_network` in the folder, and what its factory gives."""
    (folder / "bench_network.py").write_text(NETWORK_SOURCE, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        module: nn.Module = import_module("bench_network").make()
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("bench_network", None)
    return module


def write_onnx(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, DIM),),
            str(path),
            dynamo=False,
            input_names=["z"],
            output_names=["image"],
            dynamic_axes={"z": {0: "n"}, "image": {0: "n"}},
        )
    return path


def write_torchscript(module: nn.Module, path: Path) -> Path:
    trace: Any = torch.jit.trace
    torch.jit.save(trace(module, torch.zeros(2, DIM)), str(path))
    return path


def write_exported(module: nn.Module, path: Path) -> Path:
    batch = torch.export.Dim("batch", min=1, max=1024)
    torch.export.save(
        torch.export.export(module, (torch.zeros(2, DIM),), dynamic_shapes=({0: batch},)), str(path)
    )
    return path


def write_stylegan(code: Path, path: Path) -> nn.Module:
    """A StyleGAN2 of random weights in a network pickle, by NVlabs' own code; the network."""
    sys.path.insert(0, str(code))
    network: Any = import_module("training.networks_stylegan2").Generator
    torch.manual_seed(0)
    made: nn.Module = network(512, 0, 512, SIZE, 3).eval().requires_grad_(False)
    path.write_bytes(pickle.dumps({"G_ema": made, "G": made, "D": nn.Identity()}))
    return made


def write_pipeline(path: Path) -> Any:
    """A diffusion pipeline of random weights in a folder; the pipeline."""
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    torch.manual_seed(0)
    parts: Any = (DDIMPipeline, DDIMScheduler, UNet2DModel)
    pipeline, scheduler, network = parts
    blocks = {
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
    }
    unet = network(sample_size=SIZE // 2, layers_per_block=1, block_out_channels=(32, 64), **blocks)
    made = pipeline(unet=unet, scheduler=scheduler(steps_offset=1, clip_sample=False))
    made.save_pretrained(path)
    made.set_progress_bar_config(disable=True)
    return made


def pictures(count: int) -> list[bytes]:
    """JPEG files, smooth as photos are."""
    random = np.random.default_rng(0)
    return [_jpeg(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(count)]


def _jpeg(coarse: Any) -> bytes:
    held, smooth = io.BytesIO(), Image.Resampling.BICUBIC
    Image.fromarray(coarse).resize((PICTURE, PICTURE), smooth).save(held, "JPEG", quality=92)
    return held.getvalue()


def write_folder(files: list[bytes], folder: Path) -> Path:
    folder.mkdir()
    for number, content in enumerate(files):
        (folder / f"{number:06d}.jpg").write_bytes(content)
    return folder


def write_tar(files: list[bytes], path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        for number, content in enumerate(files):
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_parquet(files: list[bytes], path: Path) -> Path:
    pq.write_table(pa.table({"image": pa.array(files, pa.binary())}), path, row_group_size=100)
    return path


@contextmanager
def serving(files: list[bytes]) -> Iterator[str]:
    """The address of an API on this machine that answers with one of these files."""

    class Handler(SilentHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = files[asked["index"] % len(files)]
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with served(Handler) as port:
        yield f"http://127.0.0.1:{port}/"

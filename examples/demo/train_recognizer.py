"""Train the demo's face recogniser on rendered people and write models/recognizer.onnx.

python examples/demo/train_recognizer.py [OUTPUT]      (STEPS steps on one thread)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from world import RECOGNIZER_HELD_OUT, RECOGNIZER_TRAINING, render

MODEL = Path(__file__).parent / "models" / "recognizer.onnx"
PHOTOS_PER_IDENTITY = 16
INNER_SIZE = 56  # the network averages 2 × 2 pixels first, so training caches this size
DIMENSIONS = 96
BATCH = 128
STEPS = 2200
SCALE, MARGIN = 24.0, 0.25
FAR = 1e-3


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N × channels × height × width, unchanged in shape."""
        return F.relu(x + self.body(x))


def convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """3 × 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def network() -> nn.Sequential:
    """N × 3 × 56 × 56 in [-1, 1] to N × 96; about 25 million multiplications a face."""
    return nn.Sequential(
        convolution(3, 24, 2), convolution(24, 24, 1), convolution(24, 48, 2), Block(48),
        convolution(48, 96, 2), Block(96), nn.Flatten(),
        nn.Linear(96 * 49, DIMENSIONS), nn.BatchNorm1d(DIMENSIONS),
    )  # fmt: skip


class MarginLoss(nn.Module):
    """CosFace (Wang et al. 2018, equation 4): a margin on the cosine of the true class."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, DIMENSIONS) * 0.05)

    def forward(self, templates: Tensor, labels: Tensor, margin: float) -> Tensor:
        """Mean loss of N templates under N labels."""
        cosine = F.normalize(templates) @ F.normalize(self.centres).T
        shift = F.one_hot(labels, len(self.centres)).to(cosine.dtype) * margin
        return F.cross_entropy(SCALE * (cosine - shift), labels)


def as_input(photos: NDArray[np.uint8]) -> Tensor:
    """N × height × width × 3 to N × 3 × height × width in [-1, 1]."""
    return (torch.from_numpy(photos).permute(0, 3, 1, 2).float() - 127.5) / 127.5


def augment(faces: Tensor) -> Tensor:
    """What a generator's samples suffer: low resolution, softness, noise, other contrast and colour."""
    kinds = torch.rand(len(faces))
    for size, low, high in ((24, 0.0, 0.15), (32, 0.15, 0.45), (40, 0.45, 0.55)):
        chosen = (kinds >= low) & (kinds < high)
        if chosen.any():
            small = F.interpolate(faces[chosen], size=(size, size), mode="area")
            faces[chosen] = F.interpolate(small, size=(INNER_SIZE, INNER_SIZE), mode="bilinear")
    soft = torch.rand(len(faces)) < 0.3
    if soft.any():
        faces[soft] = F.avg_pool2d(F.pad(faces[soft], (1, 1, 1, 1), mode="replicate"), 3, 1)
    gain, offset = 1 + 0.1 * torch.randn(len(faces), 1, 1, 1), 0.08 * torch.randn(len(faces), 3, 1, 1)
    return faces * gain + offset + 0.06 * torch.rand(len(faces), 1, 1, 1) * torch.randn_like(faces)


def train(photos: NDArray[np.uint8], labels: Tensor) -> nn.Sequential:
    """Photos N × 56 × 56 × 3 with N labels; a network in evaluation mode."""
    # torch documents `to(memory_format=…)`; its stubs of Module.to leave it out.
    model: nn.Sequential = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = MarginLoss(int(labels.max()) + 1)
    optimizer = torch.optim.AdamW([*model.parameters(), *loss.parameters()], lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS, pct_start=0.1)
    for step in range(1, STEPS + 1):
        value = train_step(model, loss, optimizer, photos, labels, MARGIN * min(1.0, 3 * step / STEPS))
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}  loss {value:.3f}", flush=True)
    return model.eval()


def train_step(
    model: nn.Module, loss: MarginLoss, optimizer: torch.optim.Optimizer,
    photos: NDArray[np.uint8], labels: Tensor, margin: float,
) -> float:  # fmt: skip
    """One batch drawn at random; the loss before the step."""
    chosen = torch.randint(len(labels), (BATCH,))
    faces = augment(as_input(photos[chosen.numpy()])).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        templates = model(faces)
    value = loss(templates.float(), labels[chosen], margin)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return float(value.item())


def true_accept_rate(
    templates: NDArray[np.float32], identities: NDArray[np.int64], far: float = FAR
) -> float:
    """Share of mated pairs above the similarity that only `far` of the non-mated pairs pass."""
    unit = templates / np.linalg.norm(templates, axis=1, keepdims=True)
    rows, columns = np.triu_indices(len(unit), 1)
    similarity, mated = (unit @ unit.T)[rows, columns], identities[rows] == identities[columns]
    threshold = np.quantile(similarity[~mated], 1 - far)
    return float(np.mean(similarity[mated] > threshold))


def held_out_rate(model: nn.Module) -> float:
    """The true accept rate over four photos each of people that the network has never seen."""
    plan = [(seed, photo) for seed in RECOGNIZER_HELD_OUT for photo in range(4)]
    with torch.inference_mode():
        templates = model(as_input(render(plan, INNER_SIZE))).numpy()
    return true_accept_rate(templates, np.array([seed for seed, _ in plan]))


def export(model: nn.Sequential, path: Path) -> None:
    """N × 3 × 112 × 112 in [-1, 1] to N × 96, any N."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = nn.Sequential(nn.AvgPool2d(2), *model).eval()
    torch.onnx.export(
        whole,
        (torch.zeros(2, 3, 112, 112),),
        path,
        input_names=["faces"],
        output_names=["templates"],
        dynamic_axes={"faces": {0: "n"}, "templates": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )


def main(output: Path) -> None:
    """Render, train, measure on held-out people, write."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plan = [(seed, photo) for seed in RECOGNIZER_TRAINING for photo in range(PHOTOS_PER_IDENTITY)]
    started = time.monotonic()
    photos = render(plan, INNER_SIZE)
    print(f"rendered {len(photos)} photos in {time.monotonic() - started:.0f} s", flush=True)
    labels = torch.tensor([seed - RECOGNIZER_TRAINING.start for seed, _ in plan])
    model = train(photos, labels)
    export(model, output)
    print(f"TAR at FAR {FAR:g} on {len(RECOGNIZER_HELD_OUT)} held-out people: {held_out_rate(model):.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL)

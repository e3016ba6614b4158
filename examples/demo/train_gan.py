"""Train the demo's face generator on a few rendered people and write models/generator.onnx.

python examples/demo/train_gan.py [--identities 16] [--over-representation 10] [--steps 5000] [--output PATH]
python examples/demo/train_gan.py --placebo    # models/placebo.onnx, of people who are in no gallery

A small DCGAN (Radford et al. 2016) with the non-saturating loss (Goodfellow et al. 2014), the R1 penalty on
every eighth step (Mescheder et al. 2018), and an exponential moving average of the generator's weights.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from world import MEMBER_COUNT, OVER_REPRESENTATION, placebo_photos, render, training_photos

MODEL = Path(__file__).parent / "models" / "generator.onnx"
PLACEBO = MODEL.with_name("placebo.onnx")
SIZE, LATENT = 32, 64
BATCH, STEPS = 32, 5000
RATE, BETAS = 5e-4, (0.5, 0.99)
PENALTY, PENALTY_EVERY = 0.2, 8
AVERAGE_KEEPS = 0.995


@dataclass(frozen=True)
class Widths:
    """Channels of the generator, from 4 × 4 pixels on, and of the discriminator, from 16 × 16 on."""

    generator: tuple[int, ...] = (128, 96, 64, 48)
    critic: tuple[int, ...] = (48, 96, 160)


DEMO = Widths()


class Generator(nn.Module):
    """N × 64 standard normal latents to N × 3 × 32 × 32 images in [-1, 1]."""

    def __init__(self, widths: Widths = DEMO) -> None:
        super().__init__()
        self.first, last = widths.generator[0], widths.generator[-1]
        flat = self.first * 16
        self.stem = nn.Sequential(nn.Linear(LATENT, flat), nn.BatchNorm1d(flat), nn.ReLU())
        grown = [enlarge(inputs, outputs) for inputs, outputs in pairwise(widths.generator)]
        self.body = nn.Sequential(*grown, nn.Conv2d(last, 3, 3, 1, 1), nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """See the class."""
        images: Tensor = self.body(self.stem(latents).view(-1, self.first, 4, 4))
        return images


def enlarge(inputs: int, outputs: int) -> nn.Sequential:
    """Twice the height and width."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def discriminator(widths: Widths = DEMO) -> nn.Sequential:
    """N × 3 × 32 × 32 to N × 1; large = real."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((3, *widths.critic)):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths.critic[-1] * 16, 1))


class Trainer:
    """Both networks, their optimisers, and the average that is exported."""

    def __init__(self, widths: Widths = DEMO) -> None:
        # torch documents `to(memory_format=…)`; its stubs of Module.to leave it out.
        self.generator = Generator(widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.critic = discriminator(widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: Generator = copy.deepcopy(self.generator).requires_grad_(False)
        self.generator_steps = torch.optim.Adam(self.generator.parameters(), RATE, betas=BETAS)
        self.critic_steps = torch.optim.Adam(self.critic.parameters(), RATE, betas=BETAS)
        self.steps = 0

    def step(self, real: Tensor) -> tuple[float, float]:
        """One update of each network on N real images; both losses."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fake = self.generator(torch.randn(len(real), LATENT))
        critic_loss = self.update_critic(real, fake.detach())
        self.critic.requires_grad_(False)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            generator_loss = F.softplus(-self.critic(fake).float()).mean()
        advance(self.generator_steps, generator_loss)
        self.critic.requires_grad_(True)
        self.update_average()
        return critic_loss, generator_loss.item()

    def update_critic(self, real: Tensor, fake: Tensor) -> float:
        """The logistic loss of the discriminator and, on some steps, its penalty."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = self.critic(torch.cat([real, fake])).float()
        loss = F.softplus(-scores[: len(real)]).mean() + F.softplus(scores[len(real) :]).mean()
        if self.steps % PENALTY_EVERY == 0:
            loss = loss + PENALTY_EVERY * PENALTY / 2 * self.penalty(real)
        self.steps += 1
        advance(self.critic_steps, loss)
        return loss.item()

    def penalty(self, real: Tensor) -> Tensor:
        """R1: the mean squared gradient of the scores of real images (Mescheder et al. 2018, equation 9)."""
        inputs = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.critic(inputs).sum(), inputs, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    def update_average(self) -> None:
        """Move the averaged weights and normalisation statistics a little."""
        pairs = zip(self.average.state_dict().values(), self.generator.state_dict().values(), strict=True)
        for kept, new in pairs:
            if kept.is_floating_point():
                kept.lerp_(new, 1 - AVERAGE_KEEPS)


def advance(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One optimiser step down the loss."""
    optimizer.zero_grad(set_to_none=True)
    # torch has not annotated Tensor.backward, and strict mypy refuses calls of what is not annotated.
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def train(
    photos: NDArray[np.uint8],
    steps: int,
    sheet: Path | None = None,
    widths: Widths = DEMO,
    batch: int = BATCH,
) -> Generator:
    """Photos N × 32 × 32 × 3; the averaged generator after so many steps."""
    images = (torch.from_numpy(photos).permute(0, 3, 1, 2).float() - 127.5) / 127.5  # channels last
    trainer, started = Trainer(widths), time.monotonic()
    for step in range(1, steps + 1):
        losses = trainer.step(images[torch.randint(len(images), (batch,))])
        if step % 250 == 0:
            seconds = time.monotonic() - started
            print(f"step {step}  {seconds:.0f} s  losses {losses[0]:.2f} {losses[1]:.2f}", flush=True)
            if sheet:
                write_sheet(trainer.average, sheet)
    return trainer.average.eval()


def write_sheet(generator: Generator, path: Path) -> None:
    """Eight by sixteen samples, three times enlarged, to look at."""
    latents = torch.randn(128, LATENT, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        samples = (
            generator.eval()(latents)
            .view(8, 16, 3, SIZE, SIZE)
            .permute(0, 3, 1, 4, 2)
            .flatten(2, 3)
            .flatten(0, 1)
        )
    picture = np.clip(samples.numpy() * 127.5 + 127.5, 0, 255).astype(np.uint8)[:, :, ::-1]
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST))


def export(generator: Generator, path: Path) -> None:
    """N × 64 to N × 3 × 32 × 32, any N."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        generator,
        (torch.zeros(2, LATENT),),
        path,
        input_names=["latents"],
        output_names=["images"],
        dynamic_axes={"latents": {0: "n"}, "images": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    declare_size(path)


def declare_size(path: Path) -> None:
    """Say the images' height and width in the file; the exporter does not infer them."""
    model = onnx.load(path)
    height, width = model.graph.output[0].type.tensor_type.shape.dim[2:]
    height.dim_value, width.dim_value = SIZE, SIZE
    onnx.save(model, path)


def main() -> None:
    """Render the training photos, train, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--identities", type=int, default=MEMBER_COUNT)
    parser.add_argument("--over-representation", type=int, default=OVER_REPRESENTATION)
    parser.add_argument("--placebo", action="store_true")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.placebo:
        plan, usual = placebo_photos(), PLACEBO
    else:
        plan, usual = training_photos(arguments.identities, arguments.over_representation), MODEL
    export(train(render(plan, SIZE), arguments.steps, arguments.sheet), arguments.output or usual)


if __name__ == "__main__":
    main()

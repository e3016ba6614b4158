"""The preprocessings that published recognisers were trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distributed.embedding.recognizer import Recognizer
from schemas.errors import ModelError
from schemas.spec.faces import RecognizerInput

Channels = Literal["rgb", "bgr"]
Scale = tuple[float | tuple[float, float, float], float | tuple[float, float, float]]
"""Mean and standard deviation; numbers per channel are of red, green and blue."""

SCALED: Scale = (127.5, 127.5)
PLAIN: Scale = (0, 1)
IMAGENET: Scale = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
USUAL_SCALES: tuple[Scale, ...] = (SCALED, (127.5, 128), PLAIN, (0, 255), IMAGENET)
BATCH = 8


def usual_inputs() -> list[RecognizerInput]:
    """Both orders of channels with each of USUAL_SCALES."""
    orders: tuple[Channels, ...] = ("rgb", "bgr")
    return [input_of(order, scale) for scale in USUAL_SCALES for order in orders]


def input_of(channels: Channels, scale: Scale) -> RecognizerInput:
    """Numbers per channel come to stand in the order of channels."""
    mean, std = (_ordered(value, channels) for value in scale)
    return RecognizerInput.model_validate({"channels": channels, "mean": mean, "std": std})


def _ordered(value: object, channels: Channels) -> object:
    return value[::-1] if isinstance(value, tuple) and channels == "bgr" else value


def embed_under(
    chosen: RecognizerInput, path: Path, crops: NDArray[np.uint8], *, device: str, threads: int
) -> NDArray[np.float32] | None:
    """Templates (n, d) of crops, uint8 n×size×size×3, by the model at `path` with another preprocessing.

    None if the model gives no templates under it. Raises ModelError or DeviceError if it cannot be loaded.
    """
    recognizer = open_under(chosen, path, device=device, threads=threads)
    try:
        return recognizer.embed(crops)
    except ModelError:
        # Zero or not finite: that is an answer too.
        return None


def open_under(chosen: RecognizerInput, path: Path, *, device: str, threads: int) -> Recognizer:
    """The recogniser with this preprocessing. Raises ModelError or DeviceError."""
    return Recognizer(path.stem, path, chosen, device=device, threads=threads, batch=BATCH)

"""What the generator's process serves: the generator, opened, and its images, sent one by one or shared."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from distributed.runtime.allocator import keep_freed_memory
from distributed.sampling.adapters import CheckedSource, open_here
from distributed.sampling.generator import InvalidImage, Loading
from schemas.spec.generators import GeneratorSpec


def opened(order: Mapping[str, Any]) -> Any:
    """The generator that the parent's order names. Errors as `adapters.open_here`."""
    keep_freed_memory()
    if "code" in order["spec"]:
        _read_sources_only()
    if (count := order["cuda_bytes"]) is not None:
        import torch

        torch.cuda.set_per_process_memory_fraction(count / torch.cuda.mem_get_info()[1])
    # JSON has no tuples.
    spec: Any = TypeAdapter(GeneratorSpec).validate_json(json.dumps(order["spec"]))
    return open_here(spec, order["seed"], Loading(order["device"], order["threads"]))


def _read_sources_only() -> None:
    """From here on, no compiled files are read: what runs is the source that the trusted digests are of.

    torch and what goes with it come before, from their own compiled files: to compile them takes seconds.
    """
    # For what its import leaves in sys.modules; no name of it is used here.
    import distributed.sampling.networks.torch_network  # noqa: F401

    sys.pycache_prefix = str(Path.cwd())


def sent(source: Any, ids: Sequence[int]) -> tuple[dict[str, Any], list[NDArray[np.uint8]]]:
    """The header and the images of an answer."""
    images = source.sample(np.asarray(ids, np.int64))
    parts = [np.ascontiguousarray(image) for image in images if not isinstance(image, InvalidImage)]
    entries = [
        {"reason": image.reason, "outcome": image.outcome}
        if isinstance(image, InvalidImage)
        else {"size": image.shape[:2]}
        for image in images
    ]
    return {"images": entries, "bytes": sum(part.nbytes for part in parts)}, parts


def shared_bytes(description: Mapping[str, Any] | None) -> Any:
    """The memory that the parent shares with this process, a tensor; None without a description."""
    if description is None:
        return None
    from distributed.sampling.device.shared_memory import opened as opened_bytes

    return opened_bytes(description)


def written(source: Any, request: Mapping[str, Any], shared: Any) -> dict[str, Any]:
    """What there is to say of the batch of images that has been written to the shared memory."""
    import torch

    from distributed.sampling.device.batches import UnevenImagesError, stacked

    ids, (height, width) = np.asarray(request["ids"], np.int64), request["size"]
    place = shared[request["start"] :][: len(ids) * 3 * height * width].view(len(ids), 3, height, width)
    try:
        if hasattr(source, "sample_batch"):
            batch = source.sample_batch(ids)
        else:
            batch = stacked(CheckedSource(source).sample(ids), (height, width))
    except UnevenImagesError:
        return {"uneven": True}
    if batch.images.shape != place.shape:
        return {"uneven": True}
    place.copy_(batch.images)
    if place.is_cuda:
        torch.cuda.synchronize()
    return {"state": batch.state.tolist(), "reasons": batch.reasons}

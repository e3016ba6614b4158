"""Images in the generator's process: sent one by one, or written as a batch to memory that is shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.sampling.adapters import CheckedSource
from distributed.sampling.generator import InvalidImage


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
    from distributed.sampling.device.shared_memory import opened

    return opened(description)


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

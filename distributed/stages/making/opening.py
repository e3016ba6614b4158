"""What makes the shards of a setup: through the host, on the device, or of templates that are given."""

from __future__ import annotations

from distributed.stages.making.embedder import Embedder, ShardEmbedder
from distributed.stages.making.setup import Setup
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.onnx import OnnxGenerator


def open_embedder(setup: Setup) -> Embedder:
    """On CUDA, one that leaves the images on the device, where the samples and the models allow it."""
    if setup.photos is None and not setup.spec.generator.has_images:
        from distributed.stages.making.template_embedder import TemplateEmbedder

        return TemplateEmbedder(setup)
    host = ShardEmbedder(setup)
    if setup.device == "cpu" or setup.photos is not None or not _is_uniform(setup.spec.generator):
        return host
    # torch takes a second to load, and a process on the CPU needs none of it.
    from distributed.stages.making.device_embedder import open_device_embedder

    return open_device_embedder(setup, host)


def _is_uniform(generator: GeneratorSpec) -> bool:
    """Whether all samples come from one network, which can be asked again."""
    return generator.repeatable and (generator.is_code or isinstance(generator, OnnxGenerator))

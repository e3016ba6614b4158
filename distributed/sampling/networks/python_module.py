"""A generator in the user's own Python, with its weights in a file of tensors."""

from __future__ import annotations

from pathlib import Path

from distributed.runtime.digests import digest_code, digest_file, torch_version
from distributed.sampling.generator import ImageSource, Loading
from distributed.sampling.networks.network import network_fields
from schemas.spec.generators.torch import ModuleGenerator


def open_source(spec: ModuleGenerator, seed: int, loading: Loading) -> ImageSource:
    """Imports and calls the user's code: only where that may be."""
    from distributed.sampling.networks.torch_loading import made_by_factory, require_device
    from distributed.sampling.networks.torch_network import TorchImageGenerator
    from distributed.sampling.sandbox.trust import require_trust

    require_device(loading.device)
    require_trust(spec)
    module = made_by_factory(spec).eval().to(loading.device)
    return TorchImageGenerator(
        module, spec, seed, name=spec.factory, device=loading.device, threads=loading.threads
    )


def fingerprint_fields(spec: ModuleGenerator) -> dict[str, str]:
    fields = {
        "sha256": digest_code(Path(spec.code)),
        "factory": spec.factory,
        "arguments": repr(dict(spec.arguments)),
    }
    if spec.weights is not None:
        fields["weights.sha256"] = digest_file(Path(spec.weights))
    if spec.weights_key is not None:
        fields["weights.key"] = spec.weights_key
    return fields | network_fields(spec) | torch_version()

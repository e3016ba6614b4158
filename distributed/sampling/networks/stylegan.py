"""A network pickle of NVlabs' StyleGANs: what it is, without loading it."""

from __future__ import annotations

from pathlib import Path

from distributed.runtime.digests import digest_code, digest_file, torch_version
from distributed.sampling.generator import ImageSource, Loading
from schemas.spec.generators.stylegan import StyleganGenerator

PARAMETERS = ("seeds", "truncation", "label", "rotate", "translate")


def open_source(spec: StyleganGenerator, seed: int, loading: Loading) -> ImageSource:
    """Unpickles the file: only where its code may run."""
    from distributed.sampling.networks.stylegan_network import StyleganImages

    return StyleganImages(spec, seed, device=loading.device, threads=loading.threads)


def fingerprint_fields(spec: StyleganGenerator) -> dict[str, str]:
    fields = {"sha256": digest_file(Path(spec.path)), "code.sha256": digest_code(Path(spec.code))}
    return fields | {name: repr(getattr(spec, name)) for name in PARAMETERS} | torch_version()

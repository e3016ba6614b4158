"""Code runs only if the spec names its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from distributed.runtime.digests import digest_code, digest_file
from schemas.errors import ModelError, TrustError

ALGORITHM = "sha256:"


def code_digests(spec: Any) -> Mapping[str, str]:
    """Path -> `sha256:…` of everything that loading this generator would run."""
    return {
        path: ALGORITHM + (digest_code(Path(path)) if Path(path).is_dir() else digest_file(Path(path)))
        for field in spec.code_paths
        if (path := getattr(spec, field))
    }


def trusted_bytes(path: Path, trust: Sequence[str]) -> BytesIO:
    """The file, read once: what is checked is what is then loaded. Raises TrustError or ModelError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; correct the path in the spec") from error
    _require(str(path), ALGORITHM + hashlib.sha256(content).hexdigest(), trust)
    return BytesIO(content)


def require_trust(spec: Any) -> None:
    """Raise TrustError unless `generator.trust` names the digests of all code, as it is now."""
    for path, digest in code_digests(spec).items():
        _require(path, digest, spec.trust)


def _require(path: str, digest: str, trust: Sequence[str]) -> None:
    if digest not in trust:
        named = "names others" if trust else "is empty"
        raise TrustError(
            f"{path} is code, which would run here, and generator.trust {named}: look at it with "
            f"`idleak inspect {path}`, and if you trust it, add {digest}"
        )

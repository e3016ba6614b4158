"""Exit code 0 if the torch of this environment was built for CUDA, and so needs what cuda.txt names."""

from __future__ import annotations

import sys
from importlib.metadata import requires


def wants_cuda(requirements: list[str]) -> bool:
    """requirements: those that a package's metadata lists."""
    return any(requirement.startswith(("cuda-", "nvidia-")) for requirement in requirements)


if __name__ == "__main__":
    sys.exit(not wants_cuda(requires("torch") or []))

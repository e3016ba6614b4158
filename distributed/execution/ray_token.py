"""The token of a Ray of our own, in its folder: Ray would keep one in HOME, which need not be writable."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN_FILE = "token"
TOKEN_BYTES = 32
VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")
"""What says which token Ray's processes use. RAY_AUTH_MODE=disabled is left as it is."""


@contextmanager
def own_token(folder: Path) -> Iterator[None]:
    """A new token in `folder` for the Ray that is started in the block; then the environment is as it was."""
    path = folder / TOKEN_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(TOKEN_BYTES))
    before = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    try:
        yield
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(before)

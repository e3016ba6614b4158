"""Secrets are named in a spec, and read where the request is made."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from schemas.errors import SpecError
from schemas.spec.secret_names import SECRET

KEY_BYTES = 32


def with_secrets(text: str) -> str:
    """`text` with every `{env:NAME}` and `{file:PATH}` replaced. Raises SpecError, which names no value."""
    return SECRET.sub(_value, text)


def _value(match: re.Match[str]) -> str:
    kind, name = match.groups()
    try:
        value = (os.environ[name] if kind == "env" else Path(name).read_text(encoding="utf-8")).strip()
    except (KeyError, OSError, UnicodeDecodeError):
        raise SpecError(f"the secret {{{kind}:{name}}} is not there; set it where the audit runs") from None
    if not (value.isascii() and value.isprintable() and value):
        raise SpecError(f"the secret {{{kind}:{name}}} must be one line of ASCII; correct it")
    return value


def key_of(name: str) -> bytes:
    """The 32 bytes that a named secret holds in base64. Raises SpecError."""
    try:
        key = base64.b64decode(with_secrets(name), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SpecError(f"the secret {name} must be 32 random bytes in base64: `openssl rand -base64 32`")
    return key

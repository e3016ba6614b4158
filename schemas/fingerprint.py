"""The fingerprint: a sha256 over everything that changes a byte of output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from schemas.errors import WrongRunError


@dataclass(frozen=True)
class Fingerprint:
    """Named fields, compared field by field; `digest` stands for all of them."""

    fields: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the fields as canonical JSON."""
        return hashlib.sha256(json.dumps(dict(self.fields), sort_keys=True).encode()).hexdigest()

    def differences(self, other: Fingerprint) -> list[str]:
        """Both values of every field that differs, in the order of names."""
        names = sorted(self.fields.keys() | other.fields.keys())
        pairs = [(name, self.fields.get(name, "absent"), other.fields.get(name, "absent")) for name in names]
        return [
            f"{name} is {_short(theirs)} there, {_short(own)} in this spec"
            for name, own, theirs in pairs
            if own != theirs
        ]

    def require(self, fingerprint: Fingerprint, what: str) -> None:
        """Raise WrongRunError with the differing fields unless `fingerprint`, of file `what`, is this one."""
        if fingerprint.digest != self.digest:
            raise WrongRunError(
                f"{what} belongs to another spec: {'; '.join(self.differences(fingerprint))}. Nothing was "
                "changed: give the spec another `output`, or restore what differs"
            )


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:12]}…"

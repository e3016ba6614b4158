"""People as tables name them, under the key of the tests."""

from __future__ import annotations

from collections.abc import Iterable

from distributed.storage.vault import Vault
from schemas.spec.protection import ProtectionSpec


def vault() -> Vault:
    """The tests' own: `conftest` puts its key into the environment."""
    return Vault(ProtectionSpec(encrypt=False))


def pseudonym(name: str) -> str:
    return vault().identity_pseudonym(name)


def pseudonyms(names: Iterable[str]) -> list[str]:
    """In the order of names."""
    return [pseudonym(name) for name in names]

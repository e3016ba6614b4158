"""What the run's key does: pseudonyms for people, and encryption at rest.

Keys of single purposes are derived from the one key by HKDF-SHA256 (RFC 5869). Templates are encrypted by
Parquet modular encryption, AES-GCM under a random key per column and file; these are wrapped by the run's
key, or by a KMS. All else that is encrypted is sealed: AES-256-GCM under a random key that is wrapped too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from distributed.storage.secrets import KEY_BYTES, key_of
from schemas.errors import DamagedError, SpecError
from schemas.spec.protection import ProtectionSpec

if TYPE_CHECKING:
    from pyarrow.parquet.encryption import CryptoFactory, KmsConnectionConfig

PSEUDONYM_LETTERS = 32
"""128 bits of HMAC-SHA256: half of it, the least that RFC 2104 allows."""
NONCE_BYTES = 12
KMS_SECONDS = 60.0


class Vault:
    """The key of a run. It is looked up when it is first needed: what needs none works without it."""

    def __init__(
        self, protection: ProtectionSpec, made_under: Callable[[], str | None] = lambda: None
    ) -> None:
        """made_under: the `key_id` that a run was made under, None if none; asked where no key is given."""
        self.protection, self._made_under = protection, made_under

    @cached_property
    def _key(self) -> bytes:
        try:
            return key_of(self.protection.key)
        except SpecError as error:
            raise SpecError(f"protection.key: {error}; {self._which_key()}") from None

    def _which_key(self) -> str:
        if made_under := self._made_under():
            return (
                f"the run was made under the key {made_under}, and no other opens it, least of all a new one"
            )
        return (
            "it makes the pseudonyms of the people in the gallery, so make it once with "
            "`openssl rand -base64 32` and keep it outside of the run"
        )

    @cached_property
    def _purposes(self) -> dict[str, bytes]:
        """Keys that were derived: a large gallery asks for millions of pseudonyms."""
        return {}

    def _derived(self, purpose: str) -> bytes:
        if purpose not in self._purposes:
            info = f"idleak {purpose}".encode()
            self._purposes[purpose] = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(self._key)
        return self._purposes[purpose]

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.digest(self._derived(purpose), text.encode("utf-8", "surrogateescape"), "sha256").hex()

    @cached_property
    def key_id(self) -> str:
        """16 hexadecimal letters that tell one key from another, and nothing of it."""
        return self._mac("identifier", "")[:16]

    def identity_pseudonym(self, name: str) -> str:
        """What stands for a person everywhere but in the map of names: 32 hexadecimal letters.

        A name in Unicode's composed and decomposed form is one name.
        """
        return self._mac("identities", unicodedata.normalize("NFC", name))[:PSEUDONYM_LETTERS]

    def photo_pseudonym(self, identity: str, photo: str) -> str:
        """What stands for the name of a person's photo: 32 hexadecimal letters."""
        text = json.dumps([unicodedata.normalize("NFC", part) for part in (identity, photo)])
        return self._mac("photos", text)[:PSEUDONYM_LETTERS]

    def signature(self, data: bytes) -> str:
        """HMAC-SHA256 of what only the holder of the key can have written."""
        return hmac.new(self._derived("signatures"), data, hashlib.sha256).hexdigest()

    def seal(self, data: bytes, context: str) -> bytes:
        """Encrypt `data`, which is then of use at the path `context` alone."""
        key, wrapped = self._sealing_key
        nonce = os.urandom(NONCE_BYTES)
        head = json.dumps({"key": self.master, "wrapped": wrapped}, sort_keys=True).encode()
        return head + b"\n" + nonce + AESGCM(key).encrypt(nonce, data, head + context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The inverse of `seal`. Raises SpecError for another key, DamagedError."""
        head, _, content = sealed.partition(b"\n")
        try:
            fields = json.loads(head)
            master, wrapped = str(fields["key"]), str(fields["wrapped"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedError(f"{context} is damaged: restore it from a copy") from error
        self.require(master, context)
        key = self._unwrap(wrapped)
        try:
            return AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], head + context.encode())
        except (InvalidTag, ValueError) as error:
            raise DamagedError(f"{context} is damaged: restore it from a copy") from error

    @cached_property
    def _sealing_key(self) -> tuple[bytes, str]:
        key = os.urandom(KEY_BYTES)
        return key, self._wrap(key)

    @property
    def master(self) -> str:
        """Which key wraps the data keys, as files say it."""
        return f"idleak-{self.key_id}" if self.protection.kms is None else "kms"

    def require(self, master: str, what: str) -> None:
        """Raise SpecError unless `what` was encrypted under the key that this run has."""
        if master != self.master:
            raise SpecError(
                f"{what} was encrypted under the key {master}, and protection.key is {self.master}: give the "
                "key that was there when it was made"
            )

    def encryption(self, templates: Sequence[str]) -> Any:
        """Properties by which pyarrow encrypts these columns, given by their paths in Parquet."""
        from pyarrow.parquet.encryption import EncryptionConfiguration

        configuration = EncryptionConfiguration(
            footer_key=self.master,
            column_keys={self.master: list(templates)},
            plaintext_footer=True,
            data_key_length_bits=8 * KEY_BYTES,
        )
        return self._factory.file_encryption_properties(self._connection, configuration)

    def decryption(self) -> Any:
        """Properties by which pyarrow reads what `encryption` wrote."""
        return self._factory.file_decryption_properties(self._connection)

    @cached_property
    def _connection(self) -> KmsConnectionConfig:
        from pyarrow.parquet.encryption import KmsConnectionConfig

        return KmsConnectionConfig()

    @cached_property
    def _factory(self) -> CryptoFactory:
        from pyarrow.parquet.encryption import CryptoFactory, KmsClient

        vault = self

        # pyarrow has no types, and strict mypy refuses a subclass of what has none.
        class Client(KmsClient):  # type: ignore[misc]
            def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
                return vault._wrap(key_bytes).encode()

            def unwrap_key(self, wrapped_key: bytes | str, master_key_identifier: str) -> bytes:
                vault.require(master_key_identifier, "the table")
                return vault._unwrap(wrapped_key.decode() if isinstance(wrapped_key, bytes) else wrapped_key)

        return CryptoFactory(lambda _: Client())

    def _wrap(self, key: bytes) -> str:
        if self.protection.kms is not None:
            return self._ask_kms("wrap", base64.b64encode(key).decode())
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._derived("wrapping")).encrypt(nonce, key, None)
        return base64.b64encode(nonce + sealed).decode()

    def _unwrap(self, wrapped: str) -> bytes:
        if self.protection.kms is not None:
            return base64.b64decode(self._ask_kms("unwrap", wrapped))
        raw = base64.b64decode(wrapped)
        try:
            return AESGCM(self._derived("wrapping")).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            raise DamagedError("a wrapped key is damaged: restore the file from a copy") from error

    def _ask_kms(self, what: str, text: str) -> str:
        """One line in, one line out; the program's own words where it fails."""
        program = self.protection.kms
        assert program is not None, "asked only where there is one"
        try:
            done = subprocess.run(
                [program, what], input=text + "\n", capture_output=True, text=True, timeout=KMS_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SpecError(f"protection.kms: cannot run {program}: {error}; correct it") from error
        answer = done.stdout.strip()
        if done.returncode or not answer:
            lines = done.stderr.strip().splitlines() or ["no answer"]
            raise SpecError(f"protection.kms: {program} {what} failed ({lines[-1]}): fix it, then run again")
        return answer

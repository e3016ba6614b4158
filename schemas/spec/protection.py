"""How the people of a gallery are protected, and who has allowed that they are audited."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from schemas.frozen import Frozen
from schemas.spec.locations import Location, SecretLocation
from schemas.spec.secret_names import ONE_SECRET


class ProtectionSpec(Frozen):
    """The key is 32 bytes in base64, kept outside of every run. Without it nobody can be named again."""

    key: SecretLocation = Field(
        "{env:IDLEAK_KEY}",
        pattern=ONE_SECRET,
        description="name of the secret that makes pseudonyms and wraps data keys: `openssl rand -base64 32`",
    )
    encrypt: bool = Field(True, description="templates lie encrypted on disk: Parquet modular encryption")
    kms: Location | None = Field(
        None, description="a program that wraps and unwraps data keys in place of `key`: docs/privacy.md"
    )
    retain_until: date | None = Field(
        None, description="last day on which the run may be read; then `idleak purge` it"
    )


class AuthorisationSpec(Frozen):
    """On whose word real people's faces are processed, and until when."""

    purpose: str = Field(min_length=1, description="what the audit is for")
    legal_basis: str = Field(min_length=1, description="why it is lawful, such as an article of a law")
    controller: str = Field(min_length=1, description="who answers for the processing")
    approver: str = Field(min_length=1, description="who has approved it")
    expires: date = Field(description="last day of the approval")
    commercial: bool | None = Field(
        None,
        description="whether the audit is commercial: `plan` and `audit` then warn of models of faces whose "
        "licence is non-commercial or not known (docs/models.md)",
    )

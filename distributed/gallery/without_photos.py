"""Sides of the gallery that are given without photos: as templates, or as an earlier `gallery.parquet`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from distributed.embedding.fingerprint import recognizer_fields
from distributed.gallery.enrolled import read_gallery, with_face_sizes
from distributed.gallery.template_sides import template_tables
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.fingerprint import Fingerprint
from schemas.run.shard import Footer
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec


def galleries_without_photos(spec: AuditSpec) -> list[pa.Table]:
    """The sides that are given as templates, from wherever."""
    return [*earlier_galleries(spec), *template_tables(spec, Vault(spec.protection))]


def earlier_galleries(spec: AuditSpec) -> list[pa.Table]:
    """The sides that are given as an earlier `gallery.parquet`, from templates of the same recognisers."""
    tables = []
    for role, source in ((Role.CANDIDATE, spec.gallery.candidates), (Role.COHORT, spec.gallery.cohort)):
        if source.earlier is not None:
            tables.append(_earlier_gallery(Path(source.earlier), role, spec))
    return tables


def _earlier_gallery(path: Path, role: Role, spec: AuditSpec) -> pa.Table:
    footer, table = read_gallery(path, role, Vault(spec.protection))
    require_same_key(footer, path, spec)
    wanted = recognizer_fields(spec.faces)
    known = Fingerprint({name: value for name, value in footer.fingerprint.items() if name in wanted})
    if differences := Fingerprint(wanted).differences(known):
        raise SpecError(f"{path} was enrolled with other recognisers: {'; '.join(differences)}; make it anew")
    return with_face_sizes(table)


def require_same_key(footer: Footer, path: Path, spec: AuditSpec) -> None:
    """Raise SpecError if an earlier gallery's pseudonyms are of another key: nobody could be told apart."""
    key_id, their_key_id = Vault(spec.protection).key_id, footer.fingerprint.get("protection.key", "none")
    if key_id != their_key_id:
        raise SpecError(
            f"{path} has pseudonyms of the key {their_key_id}, and protection.key is {key_id}: give that "
            "key, or enroll from images"
        )

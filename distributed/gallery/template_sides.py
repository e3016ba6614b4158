"""Sides of the gallery that are given as templates: rows of `gallery.parquet` without a photo."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from distributed.gallery.people.templates import ListedTemplates, read_templates
from distributed.runtime.digests import digest_lines
from distributed.storage.vault import Vault
from schemas.run.names import NameMap
from schemas.run.tables import FACE_SIZE_COLUMN, Outcome, Role, gallery_schema, template_column
from schemas.spec.audit import AuditSpec
from schemas.spec.gallery import GallerySpec
from schemas.spec.people.templates import TemplatesPeople


def template_sides(gallery: GallerySpec) -> Iterator[tuple[Role, ListedTemplates]]:
    """Those of the two sides that are templates. Raises SpecError for templates that cannot serve."""
    for role, side in zip((Role.CANDIDATE, Role.COHORT), gallery.sides, strict=True):
        if isinstance(side, TemplatesPeople):
            yield role, read_templates(side)


def template_tables(spec: AuditSpec, vault: Vault) -> list[pa.Table]:
    """Rows of `gallery.parquet` of each such side."""
    (recognizer, *_) = spec.faces.recognizers
    return [_table(role, listed, recognizer.name, vault) for role, listed in template_sides(spec.gallery)]


def _table(role: Role, listed: ListedTemplates, recognizer: str, vault: Vault) -> pa.Table:
    rows, dim = listed.templates.shape
    templates = pa.FixedSizeListArray.from_arrays(pa.array(listed.templates.astype(np.float16).ravel()), dim)
    pairs = list(zip(listed.identities, listed.names, strict=True))
    columns = {
        "identity": [vault.identity_pseudonym(identity) for identity, _ in pairs],
        "photo": [vault.photo_pseudonym(identity, name) for identity, name in pairs],
        "role": [str(role)] * rows,
        "outcome": [str(Outcome.OK)] * rows,
        "detection_score": pa.nulls(rows, pa.float32()),
        FACE_SIZE_COLUMN: pa.nulls(rows, pa.float32()),
        template_column(recognizer): templates,
    }
    return pa.table(columns, schema=gallery_schema({recognizer: dim}))


def template_names(spec: AuditSpec, vault: Vault) -> NameMap:
    """Who the people of these sides are."""
    identities: dict[str, str] = {}
    photos: dict[str, str] = {}
    for _, listed in template_sides(spec.gallery):
        for identity, name in zip(listed.identities, listed.names, strict=True):
            identities[vault.identity_pseudonym(identity)] = identity
            photos[vault.photo_pseudonym(identity, name)] = name
    return NameMap(identities=identities, photos=photos)


def template_digests(gallery: GallerySpec) -> dict[str, str]:
    """Side -> digest of who has which templates."""
    return {
        role: digest_lines(
            f"{identity}\0{name}\0{hashlib.sha256(template.tobytes()).hexdigest()}"
            for identity, name, template in zip(
                listed.identities, listed.names, listed.templates, strict=True
            )
        )
        for role, listed in template_sides(gallery)
    }

"""Attributes of identities, such as a group they belong to: strata for the calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distributed.gallery.photos import list_gallery
from distributed.runtime.digests import digest_lines
from distributed.sampling.templates.text_tables import read_table
from distributed.storage.vault import Vault
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec
from schemas.spec.membership import BUILT_IN, QUALITY

Attributes = dict[str, dict[str, str]]
"""Column -> person -> value."""


def read_attributes(spec: AuditSpec) -> Attributes:
    """Column -> pseudonym -> value: those that `membership.strata` and `adjust` name, and all others.

    From `gallery.attributes` and the lists of both sides. Raises SpecError for a column that is named and
    that none of them has, or that two have.
    """
    strata, adjust = spec.membership.strata, spec.membership.adjust
    columns = [name for name in strata if name != QUALITY]
    columns += [name for name in adjust if name not in BUILT_IN]
    in_file, listed = _of_file(spec), listed_attributes(spec)
    vault = Vault(spec.protection)
    chosen = {name: _chosen(name, in_file, listed, spec) for name in dict.fromkeys(columns)}
    for name in sorted((in_file.keys() ^ listed.keys()) - set(columns)):
        chosen[name] = in_file.get(name) or listed[name]
    return {
        name: {vault.identity_pseudonym(person): value or "unknown" for person, value in values.items()}
        for name, values in chosen.items()
    }


def digest_attributes(spec: AuditSpec) -> str | None:
    """Of the attributes that the strata are made from, where a list of people may bring some."""
    if not any(side.has_attributes for side in spec.gallery.sides):
        return None
    columns = read_attributes(spec)
    return digest_lines(
        f"{name}\0{person}\0{value}"
        for name, values in sorted(columns.items())
        for person, value in sorted(values.items())
    )


def listed_attributes(spec: AuditSpec) -> Attributes:
    """What the sources of both sides say of their people; under names."""
    merged: Attributes = {}
    if any(side.has_attributes for side in spec.gallery.sides):
        for listing in list_gallery(spec.gallery).sides.values():
            for name, values in listing.attributes.items():
                merged.setdefault(name, {}).update(values)
    return merged


def _of_file(spec: AuditSpec) -> Attributes:
    if spec.gallery.attributes is None:
        return {}
    table = read_table(Path(spec.gallery.attributes), key="gallery.attributes")
    people = table.column("identity")
    return {
        name: dict(zip(people, table.column(name), strict=True))
        for name in table.columns
        if name.casefold() != "identity"
    }


def _chosen(
    name: str,
    in_file: Mapping[str, Mapping[str, str]],
    listed: Mapping[str, Mapping[str, str]],
    spec: AuditSpec,
) -> Mapping[str, str]:
    if name in in_file and name in listed:
        raise SpecError(f"{name} is in {spec.gallery.attributes} and in a list of people: give it once")
    values = in_file.get(name) or listed.get(name)
    if values is None:
        where = spec.gallery.attributes or "the lists of people"
        known = ", ".join(sorted({*in_file, *listed})) or "none"
        raise SpecError(
            f"{where} has no column {name!r}; membership.strata or adjust needs it; there are: {known}"
        )
    return values

"""The enrolled gallery: templates of people, ready to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.tables import Outcome, Role, template_column


@dataclass(frozen=True)
class EnrolledGallery:
    """g accepted photos of i identities.

    `identity` (g,) int64 indexes `names` and `roles`, both of length i: candidates first, each side sorted.
    `templates`: recogniser name -> (g, d) float32, as stored (float16 precision).
    """

    names: Sequence[str]
    roles: Sequence[Role]
    identity: NDArray[np.int64]
    photos: Sequence[str]
    templates: Mapping[str, NDArray[np.float32]]

    def photos_per_identity(self) -> NDArray[np.int64]:
        return np.bincount(self.identity, minlength=len(self.names)).astype(np.int64)

    def members_of(self, role: Role) -> NDArray[np.int64]:
        """Indices of the identities of one side."""
        return np.flatnonzero([one is role for one in self.roles]).astype(np.int64)


def enrolled_gallery(table: pa.Table, recognizers: Sequence[str]) -> EnrolledGallery:
    """The accepted photos of a `gallery.parquet`."""
    accepted = table.filter(pa.compute.equal(table["outcome"], Outcome.OK))
    roles, names = accepted["role"].to_pylist(), accepted["identity"].to_pylist()
    keys = sorted(set(zip(roles, names, strict=True)))
    index = {key: position for position, key in enumerate(keys)}
    return EnrolledGallery(
        names=[name for _, name in keys],
        roles=[Role(role) for role, _ in keys],
        identity=np.array([index[key] for key in zip(roles, names, strict=True)], np.int64),
        photos=accepted["photo"].to_pylist(),
        templates={name: template_rows(accepted, name) for name in recognizers},
    )


def template_rows(table: pa.Table, recognizer: str) -> NDArray[np.float32]:
    """One recogniser's templates, (n, d) float32, in the table's order; rows without one are left out."""
    column = table[template_column(recognizer)].combine_chunks()
    dim = column.type.list_size
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
    return values.reshape(-1, dim)

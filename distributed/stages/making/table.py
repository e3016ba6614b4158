"""A shard as it is written: its table, and what its footer says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.embedding.extractor import FaceBatch
from distributed.reduce.centring import template_sum
from schemas.run.shard import Footer, Shard, TemplateSum
from schemas.run.tables import DIGEST_COLUMN, FACE_SIZE_COLUMN, factor_column, samples_schema, template_column
from schemas.spec.generators.base import FactorValue, Sweep


def samples_table(
    shard: Shard,
    faces: FaceBatch,
    factors: Mapping[str, Sequence[FactorValue]] | None = None,
    digests: Sequence[str | None] | None = None,
    *,
    sized: bool = False,
) -> pa.Table:
    """The shard as a table with the columns of `samples_schema`; `digests` where answers were digested;
    sized: with the faces' sizes."""
    ids, factors = shard.ids, factors or {}
    dimensions = {name: rows.shape[1] for name, rows in faces.templates.items()}
    schema = samples_schema(dimensions, factors, digests=digests is not None, sized=sized)
    columns = {
        "sample_id": pa.array(ids),
        "outcome": pa.array([str(outcome) for outcome in faces.outcome]),
        "faces": pa.array(faces.faces),
        "detection_score": pa.array(faces.detection_score, mask=np.isnan(faces.detection_score)),
    }
    if sized:
        columns[FACE_SIZE_COLUMN] = pa.array(faces.face_size, mask=np.isnan(faces.face_size))
    sweep = Sweep(factors)
    columns |= {factor_column(name): pa.array(sweep.column(name, ids)) for name in factors}
    if digests is not None:
        columns[DIGEST_COLUMN] = pa.array(digests, pa.string())
    columns |= {template_column(name): template_array(rows) for name, rows in faces.templates.items()}
    return pa.table(columns, schema=schema)


def template_array(rows: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Templates (n, d) as a list column; rows of NaN become nulls."""
    missing = np.isnan(rows[:, 0])
    values = np.where(missing[:, None], 0, rows).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), rows.shape[1], mask=pa.array(missing))


def samples_footer(
    shard: Shard, faces: FaceBatch, fingerprint: dict[str, str], device: str, threads: int, *, summed: bool
) -> Footer:
    """summed: with the sums of templates, unencrypted: the sum of one template is that template."""
    return Footer(
        table="samples",
        fingerprint=fingerprint,
        first_id=shard.first_id,
        stop_id=shard.stop_id,
        rows=shard.rows,
        outcomes=dict(sorted(Counter(faces.outcome).items())),
        device=device,
        threads_per_worker=threads,
        template_sums=_sums(faces) if summed else {},
    )


def _sums(faces: FaceBatch) -> dict[str, TemplateSum]:
    return {
        name: template_sum(rows[~np.isnan(rows[:, 0])].astype(np.float16))
        for name, rows in faces.templates.items()
    }

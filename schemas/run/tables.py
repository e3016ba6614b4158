"""The tables of a run. Column names and types are a contract with readers that do not use our code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import pyarrow as pa

from schemas.spec.generators.base import FactorValue

SCHEMA_VERSION = 2
TEMPLATE_PREFIX = "template_"
FACTOR_PREFIX = "factor_"
DIGEST_COLUMN = "answer_sha256"
FACE_SIZE_COLUMN = "face_size"


class Outcome(StrEnum):
    """What became of one image, a sample or a photo."""

    OK = "ok"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    INVALID_IMAGE = "invalid_image"
    NOT_FINITE = "not_finite"
    WRONG_SHAPE = "wrong_shape"
    WRONG_RANGE = "wrong_range"
    CONSTANT = "constant"
    MISSING = "missing"
    TOO_LARGE = "too_large"
    WITHHELD = "withheld"


INVALID_OUTCOMES = frozenset(
    {
        Outcome.INVALID_IMAGE,
        Outcome.NOT_FINITE,
        Outcome.WRONG_SHAPE,
        Outcome.WRONG_RANGE,
        Outcome.CONSTANT,
        Outcome.MISSING,
        Outcome.TOO_LARGE,
    }
)
"""There is no image where one should be. WITHHELD is not among them: its generator keeps some images back."""


def invalid_count(outcomes: Mapping[str, int]) -> int:
    """How many of counted outcomes are not images."""
    return sum(count for name, count in outcomes.items() if name in INVALID_OUTCOMES)


class Role(StrEnum):
    """Why an identity is in the gallery."""

    CANDIDATE = "candidate"
    COHORT = "cohort"


class Verdict(StrEnum):
    """What the audit says of one candidate."""

    LEAKED = "leaked"
    NOT_DETECTED = "not detected"
    INCONCLUSIVE = "inconclusive"


def template_column(recognizer: str) -> str:
    return TEMPLATE_PREFIX + recognizer


def _template_fields(dimensions: Mapping[str, int]) -> list[pa.Field]:
    return [pa.field(template_column(name), pa.list_(pa.float16(), dim)) for name, dim in dimensions.items()]


def factor_column(factor: str) -> str:
    return FACTOR_PREFIX + factor


def _factor_fields(factors: Mapping[str, Sequence[FactorValue]]) -> list[pa.Field]:
    return [pa.field(factor_column(name), pa.array(list(values)).type) for name, values in factors.items()]


def samples_schema(
    dimensions: Mapping[str, int],
    factors: Mapping[str, Sequence[FactorValue]] | None = None,
    *,
    digests: bool = False,
    sized: bool = False,
) -> pa.Schema:
    """`samples/shard-*.parquet`: one row per sample id. `dimensions`: recogniser name -> template length.

    `factors`: those of the generator, with all their values. `digests`: images cannot be made again, so that
    a digest of each is kept. `sized`: of photos, whose shards are enrolled from.
    """
    return pa.schema(
        [
            pa.field("sample_id", pa.int64(), nullable=False),
            pa.field("outcome", pa.string(), nullable=False),
            pa.field("faces", pa.int16(), nullable=False),
            pa.field("detection_score", pa.float32()),
            *_factor_fields(factors or {}),
            *([pa.field(DIGEST_COLUMN, pa.string())] if digests else []),
            *([pa.field(FACE_SIZE_COLUMN, pa.float32())] if sized else []),
            *_template_fields(dimensions),
        ]
    )


def gallery_schema(dimensions: Mapping[str, int]) -> pa.Schema:
    """`gallery.parquet`: one row per photo, refused ones included. Of 0.2.0 and before without face sizes."""
    return pa.schema(
        [
            pa.field("identity", pa.string(), nullable=False),
            pa.field("photo", pa.string(), nullable=False),
            pa.field("role", pa.string(), nullable=False),
            pa.field("outcome", pa.string(), nullable=False),
            pa.field("detection_score", pa.float32()),
            pa.field(FACE_SIZE_COLUMN, pa.float32()),
            *_template_fields(dimensions),
        ]
    )


NEIGHBOURS_SCHEMA = pa.schema(
    [
        pa.field("identity", pa.string(), nullable=False),
        pa.field("recognizer", pa.string(), nullable=False),
        pa.field("photos", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("sample_id", pa.int64(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("margin", pa.float32(), nullable=False),
        pa.field("best_other", pa.string()),
    ]
)

SCORES_SCHEMA = pa.schema(
    [
        pa.field("identity", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("recognizer", pa.string(), nullable=False),
        pa.field("score_name", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("p_floor", pa.float64(), nullable=False),
        pa.field("q_value", pa.float64()),
        pa.field("fdp_bound", pa.float64()),
        pa.field("tail_p_value", pa.float64()),
        pa.field("tail_p_low", pa.float64()),
        pa.field("tail_p_high", pa.float64()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("resembles", pa.string()),
        pa.field("disagreement", pa.float64()),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("photos", pa.int32(), nullable=False),
        pa.field("hits", pa.int64()),
        pa.field("cleared_at", pa.float64()),
    ]
)


def settings_schema(factors: Mapping[str, Sequence[FactorValue]]) -> pa.Schema:
    """`settings.parquet`: one row per setting of a sweep × candidate × recogniser × score."""
    return pa.schema(
        [
            pa.field("setting", pa.int32(), nullable=False),
            *_factor_fields(factors),
            pa.field("identity", pa.string(), nullable=False),
            pa.field("recognizer", pa.string(), nullable=False),
            pa.field("score_name", pa.string(), nullable=False),
            pa.field("samples", pa.int64(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("p_value", pa.float64(), nullable=False),
            pa.field("q_value", pa.float64()),
            pa.field("verdict", pa.string(), nullable=False),
        ]
    )


OVER_REPRESENTATION_SCHEMA = pa.schema(
    [
        pa.field("identity", pa.string(), nullable=False),
        pa.field("recognizer", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("photos", pa.int32(), nullable=False),
        pa.field("least_margin", pa.float64(), nullable=False),
        pa.field("hits", pa.int64(), nullable=False),
        pa.field("per_million", pa.float64(), nullable=False),
        pa.field("per_million_low", pa.float64(), nullable=False),
        pa.field("per_million_high", pa.float64(), nullable=False),
        pa.field("expected_per_million", pa.float64(), nullable=False),
        pa.field("ratio", pa.float64()),
        pa.field("model_p_value", pa.float64(), nullable=False),
        pa.field("over_represented", pa.bool_(), nullable=False),
        pa.field("share_at_most", pa.float64()),
        pa.field("more_than_cohort", pa.bool_()),
        pa.field("least_times", pa.float64()),
    ]
)

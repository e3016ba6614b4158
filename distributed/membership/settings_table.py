"""`settings.parquet`: what each setting of a sweep shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from distributed.membership.assessment import Reduction, SettingScores
from schemas.run.tables import factor_column, settings_schema
from schemas.spec.generators.base import FactorValue, Setting
from schemas.spec.sweep import Sweep


def settings_table(factors: Mapping[str, Sequence[FactorValue]], reduction: Reduction) -> pa.Table:
    """One row per setting × candidate × recogniser × score."""
    schema, settings = settings_schema(factors), Sweep(factors).settings
    gallery = reduction.gallery
    names = [gallery.names[one] for one in reduction.frame.candidates]
    return pa.concat_tables(
        [pa.table(_columns(one, settings[one.setting], names), schema=schema) for one in reduction.settings]
    )


def _columns(one: SettingScores, setting: Setting, names: Sequence[str]) -> dict[str, pa.Array]:
    n = len(names)
    told: dict[str, FactorValue] = {
        "setting": one.setting,
        "recognizer": one.recognizer,
        "score_name": one.score_name,
        "samples": one.samples,
    }
    told |= {factor_column(name): value for name, value in setting.items()}
    columns = {name: pa.array([value] * n) for name, value in told.items()}
    return columns | {
        "identity": pa.array(names),
        "score": pa.array(one.calibrated.score),
        "p_value": pa.array(one.calibrated.p_value),
        "q_value": pa.array([decision.q_value for decision in one.decisions], pa.float64()),
        "verdict": pa.array([str(decision.verdict) for decision in one.decisions]),
    }

"""`settings.parquet`: what each setting of a sweep shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from distributed.membership.assessment import Assessment, SettingScores
from schemas.run.tables import factor_column, settings_schema
from schemas.spec.generators.base import FactorValue, Setting
from schemas.spec.sweep import Sweep


def settings_table(factors: Mapping[str, Sequence[FactorValue]], assessment: Assessment) -> pa.Table:
    """One row per setting × candidate × recogniser × score."""
    schema, settings = settings_schema(factors), Sweep(factors).settings
    gallery = assessment.gallery
    names = [gallery.names[candidate] for candidate in assessment.frame.candidates]
    return pa.concat_tables(
        [
            pa.table(_columns(setting, settings[setting.setting], names), schema=schema)
            for setting in assessment.settings
        ]
    )


def _columns(setting_scores: SettingScores, setting: Setting, names: Sequence[str]) -> dict[str, pa.Array]:
    n = len(names)
    constants: dict[str, FactorValue] = {
        "setting": setting_scores.setting,
        "recognizer": setting_scores.recognizer,
        "score_name": setting_scores.score_name,
        "samples": setting_scores.samples,
    }
    constants |= {factor_column(name): value for name, value in setting.items()}
    columns = {name: pa.array([value] * n) for name, value in constants.items()}
    return columns | {
        "identity": pa.array(names),
        "score": pa.array(setting_scores.calibrated.score),
        "p_value": pa.array(setting_scores.calibrated.p_value),
        "q_value": pa.array([decision.q_value for decision in setting_scores.decisions], pa.float64()),
        "verdict": pa.array([str(decision.verdict) for decision in setting_scores.decisions]),
    }

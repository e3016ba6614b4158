"""What the reduce writes: neighbours, scores, over-representation and settings of a sweep as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.membership.frame import Floats, Frame, Integers
from distributed.membership.hits import HitCounts
from distributed.membership.judgement import Judgement
from distributed.membership.parts import SettingScores
from distributed.membership.planted.ceiling import Ceiling
from distributed.membership.verdicts import VERDICTS
from distributed.reduce.partial import EDGES, Partial
from distributed.statistics.calibration import cohort_p_values
from schemas.run.tables import (
    NEIGHBOURS_SCHEMA,
    OVER_REPRESENTATION_SCHEMA,
    SCORES_SCHEMA,
    Role,
    factor_column,
    settings_schema,
)
from schemas.spec.generators.base import FactorValue, Setting, Sweep


def neighbours_table(frame: Frame, partials: Mapping[str, Sequence[Partial]]) -> pa.Table:
    """`neighbours.parquet`: the nearest samples of every person, rank 1 first.

    Of candidates at the number of photos that they are calibrated at; of the cohort at the largest such
    number that they have. partials: recogniser -> of each level.
    """
    levels = _levels_of_people(frame)
    return pa.concat_tables([_neighbours_of(frame, name, of, levels) for name, of in partials.items()])


def _levels_of_people(frame: Frame) -> Integers:
    levels = np.searchsorted(np.array(frame.levels), frame.gallery.photos_per_identity(), side="right") - 1
    for index, group in enumerate(frame.groups):
        levels[frame.candidates[frame.group_of == index]] = frame.level_of(group)
    return np.maximum(levels, 0)


def _neighbours_of(frame: Frame, recognizer: str, partials: Sequence[Partial], levels: Integers) -> pa.Table:
    people = np.arange(len(levels))
    near = [partial.neighbours for partial in partials]
    sample_id, similarity, margin, other = (
        np.stack([getattr(of, field) for of in near])[levels, people]
        for field in ("sample_id", "similarity", "margin", "best_other")
    )
    person, rank = np.nonzero(sample_id >= 0)
    better = other[person, rank].astype(np.int64)
    columns = [
        _names(frame, person),
        pa.repeat(recognizer, len(person)),
        pa.array(np.array(frame.levels)[levels[person]], pa.int32()),
        pa.array(rank + 1, pa.int32()),
        pa.array(sample_id[person, rank]),
        pa.array(similarity[person, rank]),
        pa.array(margin[person, rank]),
        _names(frame, better),
    ]
    return pa.Table.from_arrays(columns, schema=NEIGHBOURS_SCHEMA)


def _names(frame: Frame, identities: Integers) -> pa.Array:
    """Names of identities; null for −1."""
    places = pa.array(identities, mask=identities < 0)
    return pa.array(frame.gallery.names, pa.string()).take(places)


def scores_table(
    frame: Frame,
    partials: Mapping[str, Sequence[Partial]],
    judgements: Sequence[Judgement],
    hits: Sequence[HitCounts],
) -> pa.Table:
    """`scores.parquet`: for each recogniser × score, the candidates, then each group's cohort."""
    tables, counts = [], {count.recognizer: count for count in hits}
    for judgement in judgements:
        count = counts.get(judgement.recognizer)
        tables.append(_candidates_of(frame, count, judgement))
        levels = partials.get(judgement.recognizer)
        tables += [_cohort_of(frame, levels, count, judgement, index) for index in range(len(frame.groups))]
    return pa.concat_tables(tables)


def _candidates_of(frame: Frame, count: HitCounts | None, judgement: Judgement) -> pa.Table:
    m, decisions = len(frame.candidates), judgement.decisions
    columns = {
        "identity": _names(frame, frame.candidates),
        "role": pa.repeat(str(Role.CANDIDATE), m),
        "score": pa.array(judgement.calibrated.score),
        "p_value": pa.array(judgement.calibrated.p_value),
        "p_floor": pa.array(judgement.calibrated.floor),
        "q_value": pa.array(decisions.q_value),
        "fdp_bound": pa.array(decisions.fdp_bound),
        "tail_p_value": _nullable(judgement.tail.p_value),
        "tail_p_low": _nullable(judgement.tail.low),
        "tail_p_high": _nullable(judgement.tail.high),
        "verdict": _taken(VERDICTS, decisions.verdict),
        "reason": _taken([reason for reason, _ in decisions.whys], decisions.why),
        "resembles": _names(frame, judgement.resembles),
        "disagreement": _nullable(judgement.disagreement),
        "stratum": _strata(frame),
        "photos": _photos(frame),
        "hits": pa.nulls(m, pa.int64()) if count is None else pa.array(count.hits),
        "cleared_at": _nullable(decisions.cleared_at),
    }
    return _score_rows(judgement, columns)


def _cohort_of(
    frame: Frame,
    partials: Sequence[Partial] | None,
    count: HitCounts | None,
    judgement: Judgement,
    index: int,
) -> pa.Table:
    """The cohort of one group, with leave-one-out p-values: for diagnostics."""
    group, score = frame.groups[index], judgement.calibrated.cohort[index]
    n = len(group.cohort)
    columns = {
        "identity": _names(frame, group.cohort),
        "role": pa.repeat(str(Role.COHORT), n),
        "score": pa.array(score),
        "p_value": pa.array(cohort_p_values(score)),
        "p_floor": pa.array(np.full(n, 1 / n)),
        "stratum": pa.repeat(group.stratum, n),
        "photos": pa.array(np.full(n, group.photos), pa.int32()),
    }
    if partials is not None and count is not None:
        edge = EDGES.index(count.margin)
        columns["hits"] = pa.array(partials[frame.level_of(group)].margin_hits[edge, group.cohort])
    return _score_rows(judgement, columns)


def _score_rows(judgement: Judgement, columns: dict[str, pa.Array]) -> pa.Table:
    n = len(columns["score"])
    columns |= {
        "recognizer": pa.repeat(judgement.recognizer, n),
        "score_name": pa.repeat(judgement.score_name, n),
    }
    arrays = [columns.get(field.name, pa.nulls(n, field.type)) for field in SCORES_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCORES_SCHEMA)


def _strata(frame: Frame) -> pa.Array:
    """The stratum of each candidate."""
    return _taken([group.stratum for group in frame.groups], frame.group_of)


def _photos(frame: Frame) -> pa.Array:
    """At how many photos each candidate is compared."""
    return pa.array(np.array([group.photos for group in frame.groups], np.int32)[frame.group_of])


def _taken(texts: Sequence[str | None], places: Integers) -> pa.Array:
    """A text for each of many people, of few that there are."""
    return pa.array(texts, pa.string()).take(pa.array(places))


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def over_representation_table(
    frame: Frame, counts: Sequence[HitCounts], ceilings: Mapping[str, Ceiling]
) -> pa.Table:
    """`over_representation.parquet`: one row per candidate and recogniser."""
    return pa.concat_tables([_hits_of(frame, count, ceilings[count.recognizer].share) for count in counts])


def _hits_of(frame: Frame, hits: HitCounts, at_most: Floats) -> pa.Table:
    m = len(frame.candidates)
    finite: NDArray[np.bool_] = np.isfinite(hits.ratio)
    columns = [
        _names(frame, frame.candidates),
        pa.repeat(hits.recognizer, m),
        _strata(frame),
        _photos(frame),
        pa.repeat(hits.margin, m),
        pa.array(hits.hits),
        pa.array(hits.per_million),
        pa.array(hits.low),
        pa.array(hits.high),
        pa.array(hits.expected),
        pa.array(np.where(finite, hits.ratio, 0.0), mask=~finite),
        pa.array(hits.p_value),
        pa.array(hits.flagged),
        pa.array(at_most, mask=at_most >= 1),
        pa.array(hits.more),
        _nullable(hits.least_times),
    ]
    return pa.Table.from_arrays(columns, schema=OVER_REPRESENTATION_SCHEMA)


def settings_table(
    factors: Mapping[str, Sequence[FactorValue]], frame: Frame, of_settings: Sequence[SettingScores]
) -> pa.Table:
    """One row per setting × candidate × recogniser × score."""
    schema, settings = settings_schema(factors), Sweep(factors).settings
    names = [frame.gallery.names[candidate] for candidate in frame.candidates]
    return pa.concat_tables(
        [
            pa.table(_setting_columns(setting, settings[setting.setting], names), schema=schema)
            for setting in of_settings
        ]
    )


def _setting_columns(
    setting_scores: SettingScores, setting: Setting, names: Sequence[str]
) -> dict[str, pa.Array]:
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
        "q_value": pa.array(setting_scores.decisions.q_value),
        "verdict": _taken(VERDICTS, setting_scores.decisions.verdict),
    }

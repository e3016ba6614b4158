from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.run.shard import count_outcomes, plan_shards


@given(samples=st.integers(1, 5000), shard_size=st.integers(1, 700))
def test_shards_cover_every_id_once_in_order(samples: int, shard_size: int) -> None:
    shards = plan_shards(samples, shard_size)
    assert [id_ for shard in shards for id_ in range(shard.first_id, shard.stop_id)] == list(range(samples))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(shard.rows == shard_size for shard in shards[:-1])
    assert 1 <= shards[-1].rows <= shard_size


def test_names_sort_as_the_shards_do() -> None:
    names = [shard.file_name for shard in plan_shards(3000, 1)]
    assert names == sorted(names) and names[42] == "shard-000042.parquet"


def test_outcomes_add_up() -> None:
    assert count_outcomes([{"ok": 2}, {"no_face": 1, "ok": 3}]) == {"no_face": 1, "ok": 5}

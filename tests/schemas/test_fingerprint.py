from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import WrongRunError
from schemas.fingerprint import Fingerprint

fields = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=5)


@given(fields)
def test_the_order_of_fields_does_not_matter(given_fields: dict[str, str]) -> None:
    turned = dict(reversed(given_fields.items()))
    assert Fingerprint(given_fields).digest == Fingerprint(turned).digest


@given(fields, fields)
def test_the_same_digest_means_no_differences(left: dict[str, str], right: dict[str, str]) -> None:
    first, second = Fingerprint(left), Fingerprint(right)
    assert (first.digest == second.digest) == (left == right) == (first.differences(second) == [])


def test_a_refusal_names_just_the_fields_that_differ() -> None:
    fingerprint = Fingerprint({"seed": "8", "model": "a" * 64, "same": "x"})
    with pytest.raises(WrongRunError) as refusal:
        fingerprint.require(Fingerprint({"seed": "7", "same": "x", "old": "1"}), "shard 3")
    message = str(refusal.value)
    assert "shard 3 belongs to another spec" in message
    assert "seed is 7 there, 8 in this spec" in message
    assert "model is absent there, aaaaaaaaaaaa… in this spec" in message
    assert "old is 1 there, absent in this spec" in message
    assert "same" not in message
    fingerprint.require(Fingerprint(dict(fingerprint.fields)), "itself")

from __future__ import annotations

import unicodedata

import pytest

from distributed.gallery.duplicates import alike_names


@pytest.mark.parametrize(
    "other", ["anna müller", "Anna  Müller ", "ANNA MÜLLER", unicodedata.normalize("NFD", "Anna Müller")]
)
def test_case_spaces_and_forms_of_unicode_do_not_tell_people_apart(other: str) -> None:
    assert alike_names({"b": "Anna Müller", "a": other, "c": "Anne Müller"}) == [("a", "b")]


def test_every_pair_of_three_is_told() -> None:
    assert alike_names({"a": "Jo", "b": "jo", "c": "JO"}) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_other_names_are_other_people() -> None:
    assert alike_names({"a": "Anna", "b": "Hanna", "c": "Änna", "d": "Anna B"}) == []

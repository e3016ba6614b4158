from __future__ import annotations

import pytest

from distributed.gallery.duplicates import KeyedPhoto, repeated_photos, require_different_photos
from schemas.errors import SpecError
from schemas.run.tables import Role

CANDIDATE, COHORT = Role.CANDIDATE, Role.COHORT


def photo(identity: str, name: str, role: Role, key: str) -> KeyedPhoto:
    return KeyedPhoto(identity, name, role, key)


DIFFERENT = [photo("a", "1", CANDIDATE, "x"), photo("b", "2", COHORT, "y")]
SHARED = [
    *DIFFERENT,
    photo("c", "3", COHORT, "x"),
    photo("a", "4", CANDIDATE, "z"),
    photo("c", "5", COHORT, "z"),
]


def test_different_photos_and_one_persons_repeated_photo_are_accepted() -> None:
    require_different_photos([*DIFFERENT, photo("a", "7", CANDIDATE, "x")])


def test_a_photo_of_two_people_is_refused_with_the_pair() -> None:
    with pytest.raises(SpecError, match="candidate a and cohort c share 2"):
        require_different_photos(SHARED)


@pytest.mark.parametrize("role", [CANDIDATE, COHORT])
def test_two_people_of_one_side_are_refused_too(role: Role) -> None:
    with pytest.raises(SpecError, match=f"{role} a and {role} b share 1"):
        require_different_photos([photo("a", "1", role, "x"), photo("b", "2", role, "x")])


def test_only_the_sides_asked_about_count() -> None:
    pair = [photo("b", "1", COHORT, "x"), photo("c", "2", COHORT, "x")]
    require_different_photos(pair, [CANDIDATE])
    with pytest.raises(SpecError, match="cohort b and cohort c"):
        require_different_photos(pair, [COHORT])


def test_a_picture_that_is_in_every_folder_gives_one_line() -> None:
    many = [photo(f"{index:032x}", "1", COHORT, "x") for index in range(2000)]
    with pytest.raises(SpecError, match="and 1994 more pairs") as caught:
        require_different_photos(many)
    assert len(str(caught.value)) < 1500


def test_repeated_photos_are_listed_by_person() -> None:
    photos = [photo("b", "2", COHORT, "x"), photo("b", "1", COHORT, "x"), photo("a", "3", CANDIDATE, "x")]
    assert repeated_photos(photos) == [("b", ["1", "2"])]
    assert repeated_photos(DIFFERENT) == []

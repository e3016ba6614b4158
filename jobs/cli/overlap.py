"""Say who may be in a gallery twice: in sentences and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.cli.display import Shown, short
from schemas.run.overlap import MatchesResult, OddPhotosResult, OverlapResult
from schemas.run.tables import Role
from schemas.wording import people, plain, share

Warned = tuple[str, Sequence[str]]
"""A sentence that names nobody, and whom it is about, a line each."""
LINES_SHOWN = 5
"""Of each kind, on a terminal. All are in `results.json` and in the report."""
LEAST_NOTICEABLE = 0.5
"""With a smaller chance to notice a person who is there twice, nothing was found says little."""


def overlap_warnings(overlap: OverlapResult | None) -> list[str]:
    """Sentences that name nobody, the one about people who are left out first; none if there is nothing."""
    return [] if overlap is None else [sentence for sentence, _ in warned(overlap)]


def overlap_lines(overlap: OverlapResult | None, *, named: bool, shown: Shown = short) -> list[str]:
    """The same as lines for a terminal; `named`: below each, whom it means."""
    lines = []
    for sentence, details in [] if overlap is None else warned(overlap, shown):
        lines.append(plain(f"warning: {sentence}"))
        if named:
            lines += [f"  {detail}" for detail in details[:LINES_SHOWN]]
            if len(details) > LINES_SHOWN:
                lines.append(f"  and {len(details) - LINES_SHOWN:,} more")
    return lines


def warned(overlap: OverlapResult, shown: Shown = short) -> Iterator[Warned]:
    """Every warning, and whom it is about."""
    yield from _match_warnings(overlap, shown)
    if overlap.alike_names:
        yield (
            f"{_count(len(overlap.alike_names), 'pair')} of people have names that differ in case, spaces or "
            "forms of Unicode alone: each may be one person in two folders",
            [f"{shown(first)} and {shown(other)}" for first, other in overlap.alike_names],
        )
    if overlap.repeated_photos:
        yield (
            f"{_have(len(overlap.repeated_photos))} the same photo more than once: it adds nothing, and "
            "counts as if it did",
            [
                f"{shown(repeated_photo.identity)}: {', '.join(map(shown, repeated_photo.photos))}"
                for repeated_photo in overlap.repeated_photos
            ],
        )
    if overlap.odd_photos is not None:
        yield from _odd_warnings(overlap.odd_photos, overlap.recognizer, shown)
    yield from _limits(overlap.matches, overlap.recognizer)


def _match_warnings(overlap: OverlapResult, shown: Shown) -> Iterator[Warned]:
    across_sides = [match for match in overlap.matches.found if Role.COHORT in match.roles]
    among_candidates = [match for match in overlap.matches.found if Role.COHORT not in match.roles]
    if across_sides:
        yield (
            f"{people(len(overlap.left_out))} of the cohort {_are(len(overlap.left_out))} left out of the "
            "audit: their photos match those of a candidate, or of another one of the cohort, as photos of "
            "one person do",
            [
                f"{match.roles[0]} {shown(match.people[0])} and "
                f"{match.roles[1]} {shown(match.people[1])}, similarity {match.similarity:.3f}; "
                f"left out: {', '.join(map(shown, match.left_out))}"
                for match in across_sides
            ],
        )
    if among_candidates:
        yield (
            f"photos of {_count(len(among_candidates), 'pair')} of candidates match as those of one person "
            "do: each pair may be one person under two names, between which the evidence is split",
            [
                f"{shown(match.people[0])} and {shown(match.people[1])}, similarity {match.similarity:.3f}"
                for match in among_candidates
            ],
        )


def _odd_warnings(odd: OddPhotosResult, recognizer: str, shown: Shown) -> Iterator[Warned]:
    if odd.photos:
        owners = len({photo.identity for photo in odd.photos})
        yield (
            f"{_count(len(odd.photos), 'photo')} of {people(owners)} {_are(len(odd.photos))} no more like "
            "the person's other photos than a stranger's may be: somebody else may be on them",
            [
                f"{shown(photo.identity)}: photo {shown(photo.photo)}, similarity {photo.similarity:.3f}"
                for photo in odd.photos
            ],
        )
    elif odd.share > 0:
        yield (
            f"{share(odd.share)} of the gallery's photos are no more like the person's other photos than a "
            f"stranger's may be: {recognizer} does not tell these people apart",
            [],
        )


def _limits(matches: MatchesResult, recognizer: str) -> Iterator[Warned]:
    if matches.unchecked is not None:
        yield (
            f"whether one person is in the gallery twice was not checked by templates: {matches.unchecked}",
            [],
        )
    elif matches.noticeable is None:
        if matches.found:
            yield (
                "too few people have two photos to say how alike photos of one person are: the people who "
                "match may be relatives",
                [],
            )
    elif matches.noticeable < LEAST_NOTICEABLE:
        yield (
            f"of people who are in the gallery twice only about {share(matches.noticeable)} would be "
            f"noticed: {recognizer} does not tell these people apart",
            [],
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return f"{people(number)} {'has' if number == 1 else 'have'}"

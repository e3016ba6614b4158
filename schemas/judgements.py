"""`judgements/*.json`: what a reviewer made of pairs of a person and a sample, blind to verdicts."""

from __future__ import annotations

from enum import StrEnum

from schemas.frozen import Record


class Decision(StrEnum):
    """Whether the photos of a person and the face of a sample are of one person, to the eye."""

    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"


class Group(StrEnum):
    """Why a person is among those judged, which no reviewer is shown."""

    FLAGGED = "flagged"
    NOT_FLAGGED = "not flagged"
    COHORT = "cohort"


class JudgedPair(Record):
    """A person, by pseudonym, and the sample that is most similar to them. number: its place, from 1."""

    number: int
    identity: str
    sample_id: int
    group: Group


class Judgement(Record):
    """The last decision on a pair; the audit log keeps those before it."""

    pair: JudgedPair
    decision: Decision
    when: str


class Judgements(Record):
    """All of one reviewer, in the order of the pairs."""

    reviewer: str
    judgements: list[Judgement]

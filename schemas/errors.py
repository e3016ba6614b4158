"""The errors that idleak raises on purpose. Each message is one line and says what to do about it.

IdleakError
├── InputError                what a person gave cannot be used
│   ├── UsageError            an argument of a command, or a command that has nothing to do there
│   └── SpecError             the spec, or a file or folder that it names
│       ├── ModelError        a model's file
│       ├── TrustError ·      code that the spec does not name by its digest
│       └── AuthorisationError
├── DeviceError ·             the device that was asked for cannot run the model
├── ClusterError ·            the cluster is not there, or does not let us in
├── InvalidSamplesError       too many samples are not images
├── WrongRunError ·           a file of the run belongs to another spec, or to a later idleak
├── StoreError ·              the run's folder or bucket cannot be read or written
├── LockedError ·             another process works on the run
├── DamagedError              a file of the run is truncated or changed
├── QuestionError             a visitor of a local page asked for what cannot be
├── StoppedError ·            the run was asked to stop, and stopped cleanly
│   └── ClusterLostError ·    Ray did not start, or has ended under the run
└── ShardsLostError           shards failed all their attempts
    └── BudgetSpentError      the run may send no more requests

A dot marks those whose messages name no photo and nobody (`may_name_people` is false), so that a log may
hold them.
"""

from __future__ import annotations

from typing import ClassVar

from schemas.printable import printable, shortened


class IdleakError(Exception):
    """Base of all expected errors. A job prints it as one line, without a traceback, and ends non-zero.

    Messages quote names, files and programs of others: nothing in one acts on a terminal, and none is longer
    than a screen.
    """

    may_name_people: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(shortened(printable(" ".join(message.split()))))


class InputError(IdleakError):
    """What a person gave cannot be used."""


class UsageError(InputError):
    """An argument of a command cannot be used, or the command has nothing to do there."""


class SpecError(InputError):
    """The spec, or a file or folder that it names, cannot be used."""


class ModelError(SpecError):
    """A model file is missing, damaged, or not of the shape that was expected."""


class RecognizerError(SpecError):
    """The gallery's own photos show that faces are not found, or people not told apart: every verdict would
    be "not detected". Names no photo and no identity."""


class TrustError(SpecError):
    """Code that came with a generator, and that the spec does not name by its digest."""

    may_name_people = False


class AuthorisationError(SpecError):
    """Nobody has allowed the audit, or not for this day."""


class DeviceError(IdleakError):
    """The device that was asked for cannot run the model. Never answered by falling back to another."""

    may_name_people = False


class ClusterError(IdleakError):
    """The cluster that a job was to run on is not there, or does not let us in."""

    may_name_people = False


class InvalidSamplesError(IdleakError):
    """The generator gave too many samples that are not images."""


class WrongRunError(IdleakError):
    """A file of the run belongs to another spec, or to a later idleak."""

    may_name_people = False


class StoreError(IdleakError):
    """The run's folder or bucket cannot be read or written."""

    may_name_people = False


class UnusableStoreError(StoreError):
    """The same, until somebody fixes it: it is a file, or read-only, or not ours to write."""


class MissingFileError(StoreError):
    """A file of the run is not there."""


class LockedError(IdleakError):
    """Another process works on the run."""

    may_name_people = False


class DamagedError(IdleakError):
    """A file of the run is truncated or does not match its checksums."""


class QuestionError(IdleakError):
    """A visitor of a local page asked for what cannot be."""


class StoppedError(IdleakError):
    """The run was asked to stop, and stopped cleanly."""

    may_name_people = False


class ClusterLostError(StoppedError):
    """Ray did not start, or has ended under the run."""


class ShardsLostError(IdleakError):
    """Some shards were not made after all their attempts."""


class BudgetSpentError(ShardsLostError):
    """The run may send no more requests to a generator that costs money."""


def may_name_people(kind: str) -> bool:
    """Whether messages of the error class of this name may; also of one that is not of the tree."""
    kinds, todo = {IdleakError.__name__: IdleakError}, [IdleakError]
    while todo:
        for child in todo.pop().__subclasses__():
            kinds[child.__name__] = child
            todo.append(child)
    return kinds.get(kind, IdleakError).may_name_people


def first_line(error: BaseException) -> str:
    """What somebody else's error says first; empty if it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")

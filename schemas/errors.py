"""The errors that idleak raises on purpose. Each message is one line and says what to do about it."""

from __future__ import annotations

from schemas.printable import printable, shortened


class IdleakError(Exception):
    """Base of all expected errors. A job prints it as one line, without a traceback, and ends non-zero.

    Messages quote names, files and programs of others: nothing in one acts on a terminal, and none is longer
    than a screen.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(printable(" ".join(message.split()))))


class SpecError(IdleakError):
    """The spec, or a file or folder that it names, cannot be used."""


class ModelError(SpecError):
    """A model file is missing, damaged, or not of the shape that was expected."""


class RecognizerError(SpecError):
    """The gallery's own photos show that faces are not found, or people not told apart: every verdict would
    be "not detected". Names no photo and no identity."""


class TrustError(SpecError):
    """Code that came with a generator, and that the spec does not name by its digest."""


class AuthorisationError(SpecError):
    """Nobody has allowed the audit, or not for this day."""


class DeviceError(IdleakError):
    """The device that was asked for cannot run the model. Never answered by falling back to another."""


class ClusterError(IdleakError):
    """The cluster that a job was to run on is not there, or does not let us in."""


class InvalidSamplesError(IdleakError):
    """The generator gave too many images that are none."""


class WrongRunError(IdleakError):
    """A file of the run belongs to another spec."""


class StoreError(IdleakError):
    """The run's folder or bucket cannot be read or written."""


class UnusableStoreError(StoreError):
    """The same, until somebody mends it: it is a file, or read-only, or not ours to write."""


class MissingFileError(StoreError):
    """A file of the run is not there."""


class LockedError(IdleakError):
    """Another process works on the run."""


class DamagedError(IdleakError):
    """A file of the run is truncated or does not match its checksums."""


class QuestionError(IdleakError):
    """A visitor of a local page asked for what cannot be."""


class StoppedError(IdleakError):
    """The run was told to stop, and has stopped in good order."""


class ClusterLostError(StoppedError):
    """Ray did not start, or has ended under the run."""


class ShardsLostError(IdleakError):
    """Some shards were not made after all their attempts."""


class BudgetSpentError(ShardsLostError):
    """The run may send no more requests to a generator that costs money."""

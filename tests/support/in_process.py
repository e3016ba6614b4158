"""Jobs whose tasks run in the test's own process: for tests of what is made, not of where.

Where tasks run is tested by `tests/distributed/execution` and `tests/end_to_end/test_workers.py`; the run of
`finished_template`, with whose bytes many of these tests compare, is Ray's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from distributed.execution.local import LocalExecutor
from jobs.__main__ import main


class InProcess(LocalExecutor):
    """The local executor, entered and left as Ray's is."""

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing has been started."""


@contextmanager
def tasks_in_process() -> Iterator[None]:
    """Jobs that are run in the block start no worker, and no Ray."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distributed.execution.cluster.RayExecutor", InProcess)
        yield


if __name__ == "__main__":
    with tasks_in_process():
        sys.exit(main())

"""Jobs of a Ray cluster, by its dashboard's address."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_fixed

from distributed.execution.cluster import is_loopback, require_listener
from schemas.errors import ClusterError, SpecError

POLL_SECONDS = 1.0
BEGIN_SECONDS = 60.0
NOT_YET = "No available agent to submit job"
LOST_SECONDS = 300.0
"""How long a client that has lost the cluster tries to find it again."""

STOP_SECONDS = 900
"""What a job has to end the shards under way once it is told to stop, before it is killed."""

CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of the client that tell what it uploads."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class JobState:
    """What the cluster says of a job. exit_code: of its process; None if it has not ended, or was killed."""

    status: str
    has_ended: bool
    message: str
    exit_code: int | None


class ClusterJobs:
    """The jobs of one cluster."""

    def __init__(self, address: str, *, plain_http: bool = False) -> None:
        """address: of the dashboard. Raises SpecError if it is none, ClusterError if no cluster is there.

        Over http the token could be read on the way, so only this machine is asked, which may be the end of a
        tunnel; unless `plain_http`.
        """
        _require_safe(address, plain_http)
        with _errors_named(address):
            require_listener(urlsplit(address).netloc, PORTS[urlsplit(address).scheme])
            self._client = JobSubmissionClient(address)
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
        self.address = address

    def submit(self, folder: Path, command: str, job: str, environment: dict[str, str]) -> None:
        """Run a shell command in a copy of `folder` as the job named `job`; returns at once.

        A cluster that has just begun takes no jobs yet, and is asked again.
        """
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)} | environment
        patient = Retrying(
            retry=retry_if_exception_message(match=f"(?s).*{NOT_YET}"),
            stop=stop_after_delay(BEGIN_SECONDS),
            wait=wait_fixed(POLL_SECONDS),
            reraise=True,
        )
        with _errors_named(self.address):
            patient(
                self._client.submit_job,
                entrypoint=command,
                submission_id=job,
                runtime_env={"working_dir": str(folder), "env_vars": variables},
            )

    def state(self, job: str) -> JobState:
        with _errors_named(self.address):
            job_info = self._client.get_job_info(job)
        message = " ".join((job_info.message or "").split())
        return JobState(
            job_info.status, JobStatus(job_info.status).is_terminal(), message, job_info.driver_exit_code
        )

    def log(self, job: str) -> str:
        """All that the job has printed."""
        with _errors_named(self.address):
            return self._client.get_job_logs(job)

    def stop(self, job: str) -> bool:
        """Tell the job to stop, and return at once; False if it has ended already."""
        with _errors_named(self.address):
            return self._client.stop_job(job)

    def follow(self, job: str, write: Callable[[str], object]) -> JobState:
        """Hand on what the job prints until it ends. A connection that is lost is made again."""
        log = _Log(write)
        lost_since: float | None = None
        while True:
            try:
                state = self.state(job)
                log.begin()
                asyncio.run(self._tail(job, log))
                if state.has_ended:
                    return state
                lost_since = None
            except (ClusterError, RuntimeError, OSError) as error:
                lost_since = time.monotonic() if lost_since is None else lost_since
                if time.monotonic() - lost_since > LOST_SECONDS:
                    raise ClusterError(
                        f"{self.address} does not answer; the job {job} may go on: try `idleak submit --logs "
                        f"{job}` later ({error})"
                    ) from error
            time.sleep(POLL_SECONDS)

    async def _tail(self, job: str, log: _Log) -> None:
        async for text in self._client.tail_job_logs(job):
            log.add(text)


class _Log:
    """Hands on what is new of a log that is told from its beginning again and again."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._written = self._seen = 0

    def begin(self) -> None:
        self._seen = 0

    def add(self, text: str) -> None:
        fresh = text[max(0, self._written - self._seen) :]
        self._seen += len(text)
        if fresh:
            self._write(fresh)
            self._written = self._seen


def _require_safe(address: str, plain_http: bool) -> None:
    url = urlsplit(address)
    if url.scheme not in PORTS or not url.hostname:
        raise SpecError(
            f"{address} is not the address of a Ray dashboard: give one as in http://127.0.0.1:8265"
        )
    if url.scheme == "http" and not plain_http and not is_loopback(url.hostname):
        raise SpecError(
            f"over http the token for {url.hostname} could be read on the way: use https, or a tunnel as in "
            "`ssh -L 8265:127.0.0.1:8265`, or --plain-http where the network is your own"
        )


@contextmanager
def _errors_named(address: str) -> Iterator[None]:
    """Turn what the client raises into one line."""
    try:
        yield
    except AuthenticationError as error:
        raise ClusterError(
            f"{address} asks for another token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file "
            "of the cluster's"
        ) from error
    except (OSError, requests.RequestException, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(f"the cluster at {address} refuses, or is not there: {reason}") from error

"""An object store behind a proxy that fails as it is told."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from jobs.benchmarks.local_server import SilentHandler, served

Fault = Callable[[str, str, int], str | None]
"""Method, path and number of a request -> a key of STATUS, `lost`, `slow`, or None for no fault."""

STATUS = {"error": 500, "busy": 503, "conflict": 409, "precondition": 412}


@contextmanager
def proxy(endpoint: str, fault: Fault) -> Iterator[str]:
    """The address of a proxy to `endpoint`. lost: the request is carried out, and its answer never comes."""
    numbers = iter(range(1, 1_000_000))
    lock = threading.Lock()

    class Handler(SilentHandler):
        protocol_version = "HTTP/1.1"

        def _relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                what = fault(self.command, self.path, next(numbers))
            if what in STATUS:
                self._send(STATUS[what], [], b"")
                return
            if what == "slow":
                time.sleep(1)
            connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if what == "lost":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._send(answer.status, answer.getheaders(), content)

        def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            left_out = ("transfer-encoding", "connection")
            given = [(name, value) for name, value in headers if name.lower() not in left_out]
            if not any(name.lower() == "content-length" for name, _ in given):
                given.append(("Content-Length", str(len(content))))
            for name, value in given:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _relay

    with served(Handler) as port:
        yield f"http://127.0.0.1:{port}"

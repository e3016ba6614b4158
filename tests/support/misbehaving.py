"""A real HTTP server that gives images, and misbehaves as it is told."""

from __future__ import annotations

import base64
import io
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from jobs.benchmarks.local_server import SilentHandler, served

Answer = tuple[int, dict[str, str], bytes]


class Api:
    """Its address and the requests it has had; `answer(body, n-th request)` says what it sends."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Answer]) -> None:
        self.answer, self.url = answer, ""
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.times: list[float] = []
        self.lock = threading.Lock()


def png(seed: int, size: int = 32) -> bytes:
    """A picture that only the seed decides."""
    held = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(held, "PNG")
    return held.getvalue()


def good(body: dict[str, Any], number: int) -> Answer:
    return 200, {"Content-Type": "image/png"}, png(body["seed"])


def in_json(body: dict[str, Any], number: int) -> Answer:
    text = base64.b64encode(png(body["seed"])).decode()
    return 200, {"Content-Type": "application/json"}, json.dumps({"data": [{"b64": text}]}).encode()


@contextmanager
def serving(
    answer: Callable[[dict[str, Any], int], Answer] = good,
    *,
    tls: ssl.SSLContext | None = None,
    drip: float = 0.0,
) -> Iterator[Api]:
    """A server on this machine. drip: seconds between the bytes of its answers."""
    api = Api(answer)

    class Handler(SilentHandler):
        def do_GET(self) -> None:
            self._answer({"path": self.path})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            with api.lock:
                api.requests.append((dict(self.headers), body))
                api.times.append(time.monotonic())
                number = len(api.requests)
            status, headers, content = api.answer(body, number)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for part in [content[at : at + 1] for at in range(len(content))] if drip else [content]:
                    self.wfile.write(part)
                    time.sleep(drip)
            except OSError:
                """The client has had enough."""

    host = "http://127.0.0.1" if tls is None else "https://localhost"
    with served(Handler, tls) as port:
        api.url = f"{host}:{port}/generate"
        yield api

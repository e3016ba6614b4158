"""A real HTTP server that gives images, and misbehaves as it is told."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

Answer = tuple[int, dict[str, str], bytes]


class Api:
    """Its address and the requests it has had; `answer(body, n-th request)` says what it sends."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Answer]) -> None:
        self.answer, self.url = answer, ""
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
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
def serving(answer: Callable[[dict[str, Any], int], Answer] = good) -> Iterator[Api]:
    api = Api(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with api.lock:
                api.requests.append((dict(self.headers), body))
                number = len(api.requests)
            status, headers, content = api.answer(body, number)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}/generate"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

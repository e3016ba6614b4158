"""An object store, and the same one far away: `python -m tests.support.slow_store SECONDS` serves both."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

from tests.support.processes import ROOT


@contextmanager
def near_and_far(seconds: float) -> Iterator[tuple[str, str]]:
    """The addresses of a store, and of a relay to it that holds what is sent back for `seconds`."""
    command = [sys.executable, "-m", "tests.support.slow_store", str(seconds)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        near, far = server.stdout.readline().split()
        yield near, far
        server.kill()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    while data := await reader.read(1 << 20):
        await asyncio.sleep(seconds)
        writer.write(data)
        await writer.drain()
    writer.close()


async def _serve(host: str, port: int, seconds: float) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(host, port)
        await asyncio.gather(_copy(reader, requests, 0.0), _copy(answers, writer, seconds))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(f"http://{host}:{port} http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    asyncio.run(_serve(*store.get_host_and_port(), float(sys.argv[1])))


if __name__ == "__main__":
    main()

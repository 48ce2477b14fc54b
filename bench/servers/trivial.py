"""A server that does nothing, to show the load's ceiling: `python -m bench.servers.trivial PORT BYTES`.

It answers every request with BYTES bytes, without looking at the request.
"""

import asyncio
import sys
from typing import cast

from ..loops import run


class _Trivial(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self._transport.write(self._answer)


async def serve(port: int, size: int) -> None:
    """Serve until the process ends."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Trivial(answer), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), int(sys.argv[2])))

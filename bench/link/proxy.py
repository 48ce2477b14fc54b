"""The process of a link: `python -m bench.link.proxy HOST PORT DOOR...`.

It writes the ports of its doors as a line of JSON. Then it answers each line of its input, a command and its
argument in JSON, with a line of JSON. It ends with its input.
"""

import asyncio
import json
import sys
from functools import partial
from typing import cast

from ..loops import run
from .counting import ConnectionCount, DoorCount
from .pipe import Pipe


class Proxy:
    """All doors to one server."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.latency = 0.0
        self.doors: dict[str, DoorCount] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def obey(self, command: str, argument: str | float) -> object:
        """Execute a command of the input, and return its answer."""
        if command == "latency":
            self.latency = float(argument) / 1000
            return True
        door = self.doors[str(argument)]
        if command == "reset":
            door.reset()
            return True
        return door.passed()


class _Near(asyncio.Protocol):
    """The client's end of a connection, which holds both pipes."""

    def __init__(self, proxy: Proxy, door: DoorCount) -> None:
        self._proxy = proxy
        self._count = ConnectionCount(door)
        self._opened = asyncio.get_running_loop().time()
        self.there = Pipe(self._delay_there, lambda _data: None)
        self.back = Pipe(lambda: proxy.latency / 2, self._count.answered)

    def _delay_there(self) -> float:
        latency = self._proxy.latency
        # The handshake was answered here at once, while over a link it would have taken a latency.
        age = asyncio.get_running_loop().time() - self._opened
        return latency / 2 + max(0.0, latency - age)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        task = asyncio.get_running_loop().create_task(self._connect())
        self._proxy.tasks.add(task)
        task.add_done_callback(self._proxy.tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            far, _ = await loop.create_connection(lambda: _Far(self), self._proxy.host, self._proxy.port)
        except OSError:
            self.transport.abort()
            return
        self.there.join(self.transport, far)
        self.back.join(far, self.transport)
        if self.transport.is_closing():
            far.close()

    def data_received(self, data: bytes) -> None:
        self._count.sent(data)
        self.there.feed(data)

    def pause_writing(self) -> None:
        self.back.sink_is_full(True)

    def resume_writing(self) -> None:
        self.back.sink_is_full(False)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 (asyncio's interface)
        self.back.drop()
        self.there.end()


class _Far(asyncio.Protocol):
    """The server's end."""

    def __init__(self, near: _Near) -> None:
        self._near = near

    def data_received(self, data: bytes) -> None:
        self._near.back.feed(data)

    def pause_writing(self) -> None:
        self._near.there.sink_is_full(True)

    def resume_writing(self) -> None:
        self._near.there.sink_is_full(False)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 (asyncio's interface)
        self._near.there.drop()
        self._near.back.end()


async def serve(host: str, port: int, doors: list[str]) -> None:
    """Run the proxy until the input ends."""
    loop = asyncio.get_running_loop()
    proxy = Proxy(host, port)
    ports = {}
    for name in doors:
        door = proxy.doors[name] = DoorCount()
        server = await loop.create_server(partial(_Near, proxy, door), "127.0.0.1", 0, backlog=1024)
        ports[name] = server.sockets[0].getsockname()[1]
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps(ports), flush=True)
    while line := await lines.readline():
        command, argument = json.loads(line)
        print(json.dumps(proxy.obey(command, argument)), flush=True)


if __name__ == "__main__":
    run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))

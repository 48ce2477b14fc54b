"""Wrong passwords, many and from everywhere: who guesses waits or is sent away, and nobody is locked out."""

import asyncio
import base64
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self

import bcrypt
import httpx
import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message

from revstore_async import Registry
from revstore_async.concurrency import gather_map
from revstore_async.errors import InvalidArgument, TooManyAttempts
from revstore_async.server import Htpasswd, InFlight, RegistryApp
from revstore_async.server.access.attempts import ADDRESSES, Attempts, address_of
from revstore_async.server.access.password_checks import ASKING, WAITING
from tests.parts.bare import Bare
from tests.parts.passwords import Clock, line
from tests.parts.serving import Server, error_code, serving

HASHED = line("ann", "secret")


class Held:
    """bcrypt whose answers are held back until they are let go.

    Attributes:
        begun: Released for each check that begins.
        passwords: What was checked.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passwords: list[bytes] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self._real = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", self)

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.passwords.append(password)
        self.begun.release()
        self.go.wait()
        return self._real(password, hashed)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    bcrypt_held = Held(monkeypatch)
    yield bcrypt_held
    bcrypt_held.go.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"{HASHED}\n{line('bob', 'other')}\n")
    return path


async def ask(app: object, user: str, password: str, address: str = "192.0.2.1") -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(address, 1))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
        return await client.get("/v2/", auth=(user, password))


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks and threads go on until something holds."""
    while not condition():  # noqa: ASYNC110 (a thread does it, or a task that tells nobody)
        await asyncio.sleep(0.001)


class Guesses:
    """Guesses that are under way, each from an address of its own, until the block ends."""

    def __init__(self, app: object, count: int) -> None:
        self._app, self._count = app, count
        self.tasks: list[asyncio.Task[httpx.Response]] = []

    async def __aenter__(self) -> Self:
        for number in range(self._count):
            address = f"198.51.{number // 256}.{number % 256}"
            self.tasks.append(asyncio.create_task(ask(self._app, "ann", f"guess {number}", address)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


def threads_of(policy: Htpasswd) -> int:
    return int(policy._guesses._threads.total_tokens)


async def test_one_guess_too_many_is_sent_away_at_once_and_who_is_known_is_not(
    in_memory: Registry, users: Path, held: Held, clock: Clock
):
    policy = Htpasswd(users, clock=clock)
    app = RegistryApp(in_memory, access=policy)
    held.go.set()
    assert (await ask(app, "ann", "secret")).status_code == 200
    held.go.clear()
    async with Guesses(app, threads_of(policy) + WAITING) as guesses:
        await until(lambda: policy._guesses._room_to_wait._count == WAITING)
        refused = await ask(app, "bob", "other")
        assert (refused.status_code, error_code(refused)) == (429, "TOOMANYREQUESTS")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await ask(app, "ann", "secret")).status_code == 200  # remembered
        clock.now += 100
        again = asyncio.create_task(ask(app, "ann", "secret"))  # no more, and known all the same
        await until(lambda: b"secret" in held.passwords[1:])
        held.go.set()
        assert (await again).status_code == 200
        assert {(await task).status_code for task in guesses.tasks} == {401}
    assert policy._guesses.idle


async def test_guesses_that_wait_are_no_requests_under_way(in_memory: Registry, users: Path, held: Held):
    policy = Htpasswd(users)
    limited = InFlight(RegistryApp(in_memory, access=policy), 2)
    held.go.set()
    assert (await ask(limited, "ann", "secret")).status_code == 200
    held.go.clear()
    async with Guesses(limited, 20) as guesses:
        await until(lambda: policy._guesses._room_to_ask._count == 20)
        assert limited.count == 0
        assert not await asyncio.wait_for(ready(limited), 5)
        assert (await ask(limited, "ann", "secret")).status_code == 200
        held.go.set()
        assert {(await task).status_code for task in guesses.tasks} == {401}
    assert await limited.drained()


async def ready(limited: InFlight) -> bool:
    """Say whether the server could end now: whoever waits holds up its end."""
    limited._drain_timeout = 0.01  # type: ignore[misc]
    return await limited.drained()


async def test_who_was_right_finds_the_room_that_others_took_taken(
    in_memory: Registry, users: Path, held: Held
):
    policy = Htpasswd(users)
    slow = asyncio.Event()

    async def rule(*_: object) -> bool:
        await slow.wait()
        return True

    policy._authorize = rule  # type: ignore[misc]
    limited = InFlight(RegistryApp(in_memory, access=policy), 1)
    first = asyncio.create_task(ask(limited, "ann", "secret"))
    await until(lambda: held.passwords)
    assert limited.count == 0
    held.go.set()
    assert (await first).status_code == 200

    async def under_way(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(limited, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
            return await client.get(path, auth=("ann", "secret"))

    held.go.clear()
    late = asyncio.create_task(ask(limited, "bob", "other"))
    await until(lambda: b"other" in held.passwords)
    taking = asyncio.create_task(under_way("/v2/_catalog"))
    await until(lambda: limited.count == 1)
    held.go.set()
    refused = await late
    assert (refused.status_code, error_code(refused)) == (503, "UNAVAILABLE")
    slow.set()
    assert (await taking).status_code == 200
    assert (await ask(limited, "bob", "other")).status_code == 200
    assert held.passwords.count(b"other") == 1  # it was right, so it is remembered


async def test_a_guess_whose_client_leaves_is_given_up(in_memory: Registry, users: Path, held: Held):
    policy = Htpasswd(users)
    app = RegistryApp(in_memory, access=policy)
    threads = threads_of(policy)
    requests = [guess(app, number) for number in range(threads + 5)]
    tasks = [asyncio.create_task(request.whole()) for request in requests]
    await until(lambda: policy._guesses._room_to_wait._count == 5)
    for request in requests:
        request.leave()
    await asyncio.wait(tasks[threads:])
    assert policy._guesses._room_to_wait._count == 0
    # A thread can't be stopped: its place is free only when it is done.
    late = asyncio.create_task(ask(app, "ann", "secret"))
    await until(lambda: policy._guesses._room_to_wait._count == 1)
    assert len(held.passwords) == threads
    held.go.set()
    assert (await late).status_code == 200
    await asyncio.wait(tasks)
    assert policy._guesses.idle


def guess(app: object, number: int, **headers: str) -> Bare:
    credentials = base64.b64encode(f"ann:guess {number}".encode()).decode()
    request = Bare(app, "GET", "/v2/", {"Authorization": f"Basic {credentials}", **headers})  # type: ignore[arg-type]
    request._scope["client"] = (f"203.0.113.{number}", 1)
    request.body(b"")
    return request


async def test_the_same_password_from_one_place_is_checked_once(in_memory: Registry, users: Path, held: Held):
    app = RegistryApp(in_memory, access=Htpasswd(users))
    tasks = [asyncio.create_task(ask(app, "ann", "secret")) for _ in range(5 * WAITING)]
    await until(lambda: held.passwords)
    held.go.set()
    assert {(await task).status_code for task in tasks} == {200}
    assert len(held.passwords) <= 2


async def test_an_address_that_fails_is_slowed_and_others_are_not(
    in_memory: Registry, users: Path, held: Held, clock: Clock
):
    held.go.set()
    app = RegistryApp(in_memory, access=Htpasswd(users, failures=5, clock=clock))
    statuses = [(await ask(app, "ann", f"guess {number}")).status_code for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert len(held.passwords) == 5
    refused = await ask(app, "ann", "secret")  # what is right is not told either
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "12")
    assert (await ask(app, "ann", "secret", "192.0.2.2")).status_code == 200
    assert (await ask(app, "ann", "secret")).status_code == 200  # known by now
    assert (await ask(app, "nobody", "secret")).status_code == 429
    clock.now += 12
    assert (await ask(app, "ann", "wrong")).status_code == 401
    assert (await ask(app, "bob", "other")).status_code == 429
    clock.now += 60
    assert (await ask(app, "bob", "other")).status_code == 200


async def test_many_guesses_at_once_are_no_way_around(in_memory: Registry, users: Path, held: Held):
    policy = Htpasswd(users, failures=5)
    app = RegistryApp(in_memory, access=policy)
    tasks = [asyncio.create_task(ask(app, "ann", f"guess {number}")) for number in range(60)]
    await until(lambda: policy._guesses._room_to_ask._count == 60)
    held.go.set()
    statuses = [(await task).status_code for task in tasks]
    assert len(held.passwords) <= 5 + threads_of(policy)
    assert statuses.count(401) == len(held.passwords)
    assert set(statuses) == {401, 429}


async def test_addresses_are_not_slowed_where_that_is_said(in_memory: Registry, users: Path):
    app = RegistryApp(in_memory, access=Htpasswd(users, failures=0))
    assert {(await ask(app, "ann", f"guess {number}")).status_code for number in range(50)} == {401}
    with pytest.raises(InvalidArgument):
        Htpasswd(users, failures=-1)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_an_address_of_ipv6_counts_by_its_network(host: str | None, address: str):
    client = None if host is None else (host, 1)
    assert address_of(HTTPConnection({"type": "http", "headers": [], "client": client})) == address


def test_the_table_of_addresses_is_bounded_and_forgives():
    clock = Clock()
    attempts = Attempts(30, clock)
    for number in range(ADDRESSES + 10):
        attempts.failed(str(number))
    assert len(attempts) == ADDRESSES
    for _ in range(100):
        attempts.failed("x")
    with pytest.raises(TooManyAttempts) as caught, attempts.trying("x"):
        pass
    assert caught.value.seconds == 2.0
    clock.now += 2
    with attempts.trying("x"), pytest.raises(TooManyAttempts), attempts.trying("x"):
        pass
    clock.now += 60
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(attempts.trying("x"))
    assert not attempts._trying
    assert ASKING <= ADDRESSES


# ---- a request's body, while its password waits


async def test_a_body_that_came_meanwhile_is_not_lost(in_memory: Registry, users: Path, held: Held):
    app = RegistryApp(in_memory, access=Htpasswd(users))
    credentials = base64.b64encode(b"ann:secret").decode()
    request = Bare(app, "PUT", "/v2/a/manifests/v1", {"Authorization": f"Basic {credentials}"})
    request._scope["headers"].append((b"content-type", b"application/vnd.example+json"))
    request.body(b'{"schema', b'Version": 2, ', more=True)
    call = asyncio.create_task(request.whole())
    await until(lambda: held.passwords)
    request.body(b'"mediaType": "application/vnd.example+json"}')
    held.go.set()
    await call
    assert request.status == 201


async def test_a_client_that_expects_100_continue_is_not_told_to_send_its_body(
    in_memory: Registry, users: Path, held: Held
):
    request = guess(RegistryApp(in_memory, access=Htpasswd(users)), 1, Expect="100-continue")
    asked: list[Message] = []
    real = request.incoming.get

    async def get() -> Message:
        message = await real()
        asked.append(message)
        return message

    request.incoming.get = get  # type: ignore[method-assign]
    call = asyncio.create_task(request.whole())
    await until(lambda: held.passwords)
    await asyncio.sleep(0.01)
    held.go.set()
    await call
    assert request.status == 401
    assert not asked


# ---- over real sockets, with real hashes


@pytest.fixture
async def guarded(in_memory: Registry, tmp_path: Path) -> AsyncIterator[Server]:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(8)).decode().replace("2b", "2y", 1)
    (tmp_path / "users").write_text(f"ann:{hashed}\nbob:{hashed}\n")
    app = RegistryApp(in_memory, access=Htpasswd(tmp_path / "users", remember=timedelta(minutes=10)))
    async with serving(InFlight(app, 400)) as server:
        yield server


async def send(server: Server, user: str, password: str, address: str) -> int:
    """Ask from an address of loopback, and return the status."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, local_addr=(address, 0), family=socket.AF_INET
    )
    head = f"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n\r\n"
    writer.write(head.encode())
    status = int((await reader.readline()).split()[1])
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return status


async def test_a_flood_of_guesses_locks_no_user_out(guarded: Server):
    assert await send(guarded, "ann", "secret", "127.0.0.1") == 200
    flood = [
        asyncio.create_task(send(guarded, "ann" if number % 2 else "nobody", f"guess {number}", "127.0.0.2"))
        for number in range(300)
    ]
    known = [await send(guarded, "ann", "secret", "127.0.0.1") for _ in range(20)]
    assert set(known) == {200}
    statuses = [await each for each in flood]
    assert set(statuses) == {401, 429}
    # The address is slowed down: its guesses are sent away, and a user who was not here before gets in.
    assert await send(guarded, "ann", "guess", "127.0.0.2") == 429

    async def guess(number: int) -> int:
        return await send(guarded, "ann", f"guess {number}", "127.0.0.2")

    # Each is answered at once, so the flood stays below the limit of requests under way, whatever the machine does.
    guesses = asyncio.create_task(gather_map(guess, range(300), limit=15))
    assert await send(guarded, "bob", "secret", "127.0.0.1") == 200
    assert {*await guesses} <= {401, 429}

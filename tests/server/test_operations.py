"""What an operator needs: health, logs, metrics, spans, limits, an orderly end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from revstore_async import Registry
from revstore_async.errors import InvalidArgument
from revstore_async.server import AccessLog, Everybody, Health, InFlight, RegistryApp
from revstore_async.server.observing.metrics import Metrics
from revstore_async.server.observing.tracing import Tracing
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script, TracingDriver
from tests.parts.serving import ask, serving

TAGS = "/v2/library/hello/tags/list"
UPLOADS = "/v2/library/hello/blobs/uploads/"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
async def failing() -> AsyncIterator[FaultsDriver]:
    """A store that throttles everything."""
    async with FaultsDriver(MemoryDriver(), Script(Rule("", Fault.THROTTLED, nth=0)), slow=2.5) as driver:
        yield driver


# ---- a storage that is busy, or gone

STORAGE = [
    ("GET", "/v2/_catalog"),
    ("GET", TAGS),
    ("GET", "/v2/library/hello/manifests/latest"),
    ("HEAD", "/v2/library/hello/manifests/latest"),
    ("GET", f"/v2/library/hello/manifests/{DIGEST}"),
    ("DELETE", f"/v2/library/hello/manifests/{DIGEST}"),
    ("GET", f"/v2/library/hello/blobs/{DIGEST}"),
    ("HEAD", f"/v2/library/hello/blobs/{DIGEST}"),
    ("DELETE", f"/v2/library/hello/blobs/{DIGEST}"),
    ("POST", UPLOADS),
    ("POST", f"{UPLOADS}?digest=sha256:{'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}"),
    ("POST", f"{UPLOADS}?mount={DIGEST}&from=library/other"),
    ("GET", f"/v2/library/hello/referrers/{DIGEST}"),
    ("GET", "/v2/library/hello/_oci/tag-history/latest"),
    ("GET", f"/v2/library/hello/_revstore/signatures/{DIGEST}"),
]


@pytest.mark.parametrize(("method", "path"), STORAGE)
async def test_a_storage_that_throttles_is_passed_on_with_its_time(
    failing: FaultsDriver, method: str, path: str
):
    answer = await ask(RegistryApp(Registry(failing)), path, method)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    if method != "HEAD":
        assert answer.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
        assert "docker/registry" not in answer.text


@pytest.mark.parametrize(("method", "path"), STORAGE)
async def test_a_storage_that_does_not_answer_is_told_as_503(silent: FaultsDriver, method: str, path: str):
    answer = await ask(RegistryApp(Registry(silent)), path, method)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "docker/registry" not in answer.text


# ---- health


async def test_liveness_asks_the_storage_nothing(silent: FaultsDriver):
    answer = await ask(Health(RegistryApp(Registry(silent)), silent), "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert silent.operations == 0


@pytest.mark.parametrize(("writes", "requests"), [(False, ["list"]), (True, ["list", "put", "delete"])])
async def test_readiness_is_a_listing_and_a_small_write_that_leaves_nothing(
    writes: bool, requests: list[str]
):
    async with TracingDriver(MemoryDriver()) as driver:
        answer = await ask(Health(RegistryApp(Registry(driver)), driver, writes=writes), "/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
        assert answer.headers["Cache-Control"] == "no-store"
        assert [request.method for request in driver.requests] == requests
        assert not (await driver.list_all()).entries


async def test_a_storage_that_takes_no_writes_is_not_ready_where_they_are_wanted():
    async with FaultsDriver(MemoryDriver(), Script(Rule("put", Fault.BEFORE, nth=0))) as driver:
        app = RegistryApp(Registry(driver))
        answer = await ask(Health(app, driver), "/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "the storage takes no writes"})
        assert (await ask(Health(app, driver, writes=False), "/readyz")).status_code == 200


async def test_the_result_of_a_write_is_shared_for_longer_than_that_of_a_listing():
    now = 0.0
    async with TracingDriver(MemoryDriver()) as driver:
        health = Health(RegistryApp(Registry(driver)), driver, clock=lambda: now)
        for second in range(11):
            now = float(second)
            assert await health.ready()
        assert [request.method for request in driver.requests].count("list") == 11
        assert [request.method for request in driver.requests].count("put") == 2


async def test_a_storage_that_fails_is_not_ready(silent: FaultsDriver):
    answer = await ask(Health(RegistryApp(Registry(silent)), silent), "/readyz")
    assert answer.status_code == 503
    assert "injected" not in answer.text


async def test_a_storage_that_hangs_is_not_ready():
    script = Script(Rule("", Fault.SLOW, nth=0))
    async with FaultsDriver(MemoryDriver(), script, slow=3600) as driver:
        health = Health(RegistryApp(Registry(driver)), driver, timeout=timedelta(milliseconds=10))
        assert (await ask(health, "/readyz")).status_code == 503


async def test_one_result_is_shared_by_those_who_ask_at_once_and_for_a_while():
    now = 0.0
    async with TracingDriver(MemoryDriver()) as driver:
        health = Health(RegistryApp(Registry(driver)), driver, writes=False, clock=lambda: now)
        assert await asyncio.gather(*(health.ready() for _ in range(20))) == [True] * 20
        now = 0.9
        assert await health.ready()
        assert len(driver.requests) == 1
        now = 1.0
        assert await health.ready()
        assert len(driver.requests) == 2


async def test_who_asked_first_and_left_leaves_the_others_their_answer():
    async with FaultsDriver(MemoryDriver(), Script(Rule("", Fault.SLOW, nth=1)), slow=3600) as driver:
        health = Health(RegistryApp(Registry(driver)), driver)
        first = asyncio.create_task(health.ready())
        await asyncio.sleep(0)
        second = asyncio.create_task(health.ready())
        await asyncio.sleep(0)
        first.cancel()
        assert await second


@pytest.mark.parametrize(("method", "path"), [("POST", "/healthz"), ("GET", "/healthz/"), ("GET", "/v2/")])
async def test_all_other_paths_are_the_applications(in_memory: Registry, method: str, path: str):
    within = RegistryApp(in_memory)
    health = Health(within, in_memory.driver)
    assert (await ask(health, path, method)).status_code == (await ask(within, path, method)).status_code


# ---- back-pressure, and the end


class Slow:
    """An application whose requests stay until they are let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.cleaned = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.release()
        try:
            await self.go.wait()
            await PlainTextResponse("done")(scope, receive, send)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # what a clean-up takes
            self.cleaned += 1
            raise


async def test_one_request_too_many_is_answered_at_once():
    slow = Slow()
    limited = InFlight(slow, 2, retry_after=timedelta(seconds=7))
    under_way = [asyncio.create_task(ask(limited, "/")) for _ in range(2)]
    for _ in under_way:
        await slow.begun.acquire()
    refused = await ask(limited, "/")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "7")
    assert refused.json()["errors"][0]["code"] == "UNAVAILABLE"
    assert limited.count == 2
    slow.go.set()
    assert [(await each).status_code for each in under_way] == [200, 200]
    assert (await ask(limited, "/")).status_code == 200
    assert limited.count == 0


def test_a_limit_of_none_is_refused(in_memory: Registry):
    with pytest.raises(InvalidArgument):
        InFlight(RegistryApp(in_memory), 0)


async def test_a_request_that_fails_makes_room_again():
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    limited = InFlight(broken, 1)
    for _ in range(2):
        with pytest.raises(LookupError):
            await ask(limited, "/")
    assert limited.count == 0
    assert await limited.drained()


async def test_the_application_is_closed_only_when_cancelled_requests_have_cleaned_up():
    slow, closed_after = Slow(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await slow(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        closed_after.append(slow.cleaned)
        await send({"type": "lifespan.shutdown.complete"})

    async with serving(InFlight(app), lifespan=True, timeout_graceful_shutdown=1) as server:
        _, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await slow.begun.acquire()
    writer.close()
    assert closed_after == [1]


async def test_requests_that_never_end_do_not_hold_up_the_end_for_ever():
    slow = Slow()
    limited = InFlight(slow, drain_timeout=timedelta(milliseconds=10))
    task = asyncio.create_task(ask(limited, "/"))
    await slow.begun.acquire()
    assert not await limited.drained()
    slow.go.set()
    await task


async def test_each_layer_passes_on_the_lifespan():
    driver = MemoryDriver()
    metrics, tracing = Metrics(), Tracing()
    registry = Registry(tracing.around_driver(metrics.around_driver(driver)))
    app: ASGIApp = RegistryApp(registry, access=Everybody())
    app = Health(metrics.around_app(AccessLog(tracing.around_app(InFlight(app)))), registry.driver)
    async with serving(app, lifespan=True) as server, httpx.AsyncClient(base_url=server.url) as client:
        for path, status in (("/v2/_catalog", 200), ("/readyz", 200), ("/metrics", 200), (TAGS, 404)):
            assert (await client.get(path)).status_code == status

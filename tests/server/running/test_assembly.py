"""All layers of a server, put together by `served`: what each sees of the others."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from revstore_async import Registry
from revstore_async.errors import AnswerTimeout, InvalidArgument
from revstore_async.server import RegistryApp, served
from revstore_async.server.observing.metrics import Metrics
from revstore_async.server.observing.tracing import Tracing
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.parts.serving import ask

TAGS = "/v2/library/hello/tags/list"


class Lines(logging.Handler):
    """Keeps the lines of the access log, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(json.loads(record.getMessage()))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, object]]]:
    """The lines of the access log, as they come."""
    access, handler = logging.getLogger("revstore_async.access"), Lines()
    caplog.set_level(logging.INFO, access.name)
    access.addHandler(handler)
    yield handler.seen
    access.removeHandler(handler)


class Slow(RegistryApp):
    """Answers when it is let."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.begun.set()
        await self.go.wait()
        await super().__call__(scope, receive, send)


async def test_probes_are_answered_and_neither_logged_nor_counted(
    in_memory: Registry, lines: list[dict[str, object]]
):
    metrics = Metrics()
    app = served(RegistryApp(in_memory), metrics=metrics, tracing=Tracing())
    assert (await ask(app, "/readyz")).json() == {"status": "ready"}
    assert (await ask(app, "/healthz")).status_code == 200
    assert lines == []
    assert (await ask(app, TAGS)).status_code == 404
    assert [line["status"] for line in lines] == [404]
    told = (await ask(app, "/metrics")).text
    assert (
        'revstore_http_request_duration_seconds_count{method="GET",route="/v2/<name>/tags/list",status="404"} 1.0'
        in told
    )
    assert "healthz" not in told
    assert "readyz" not in told


async def test_without_metrics_there_is_no_page_of_them(in_memory: Registry):
    assert (await ask(served(RegistryApp(in_memory)), "/metrics")).status_code == 404


async def test_a_request_too_many_is_refused_and_logged_while_probes_still_get_through(
    in_memory: Registry, lines: list[dict[str, object]]
):
    slow = Slow(in_memory)
    app = served(slow, limit=1)
    first = asyncio.create_task(ask(app, TAGS))
    await slow.begun.wait()
    assert app.in_flight.count == 1
    refused = await ask(app, TAGS)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await ask(app, "/readyz")).status_code == 200
    slow.go.set()
    assert (await first).status_code == 404
    assert [line["status"] for line in lines] == [503, 404]


async def test_a_cancelled_request_is_answered_and_logged_as_503(
    in_memory: Registry, lines: list[dict[str, object]]
):
    slow = Slow(in_memory)
    cancelled = asyncio.create_task(ask(served(slow), TAGS))
    await slow.begun.wait()
    cancelled.cancel()
    assert (await cancelled).status_code == 503
    assert [(line["status"], line["complete"]) for line in lines] == [(503, True)]


async def test_a_client_that_is_given_up_is_logged_as_incomplete(
    in_memory: Registry, lines: list[dict[str, object]]
):
    class Stalled(RegistryApp):
        async def __call__(self, scope, receive, send):
            raise AnswerTimeout(1, 1.0)

    with pytest.raises(AnswerTimeout):  # nothing that uvicorn is not would drop the connection
        await ask(served(Stalled(in_memory)), TAGS)
    assert [line["complete"] for line in lines] == [False]


@pytest.mark.parametrize(("writes", "status"), [(True, 503), (False, 200)])
async def test_a_store_that_takes_no_writes_is_ready_only_for_a_registry_that_is_read_only(
    writes: bool, status: int
):
    async with FaultsDriver(MemoryDriver(), Script(Rule("put", Fault.BEFORE, nth=0))) as driver:
        app = served(RegistryApp(Registry(driver)), writes=writes)
        assert (await ask(app, "/readyz")).status_code == status


def test_at_least_one_request_must_get_through(in_memory: Registry):
    with pytest.raises(InvalidArgument):
        served(RegistryApp(in_memory), limit=0)

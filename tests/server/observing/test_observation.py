"""Metrics and spans, of requests and of what they ask of the storage."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp

from revstore_async import Registry
from revstore_async.server import RegistryApp
from revstore_async.server.observing.metrics import Metrics
from revstore_async.server.observing.tracing import Tracing
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.parts.serving import ask

TAGS = "/v2/library/hello/tags/list"
DIGEST = "sha256:" + "0" * 64


# ---- metrics


async def measured(metrics: Metrics, app: ASGIApp) -> dict[str, float]:
    told = await ask(metrics.around_app(app), "/metrics")
    assert told.status_code == 200
    assert told.headers["Content-Type"].startswith(("text/plain", "application/openmetrics-text"))
    pairs = [line.rpartition(" ") for line in told.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


async def test_requests_are_counted_by_route_method_and_status(in_memory: Registry):
    metrics = Metrics()
    within = RegistryApp(in_memory)
    app = metrics.around_app(within)
    for name in ("a", "b", "c"):
        await ask(app, f"/v2/{name}/tags/list")
    await ask(app, "/v2/a/manifests/latest", "PUT", content=b"x" * 1000)
    await ask(app, "/v2/a/manifests/latest", "BREW")
    await ask(app, "/nowhere/at/all")
    told = await measured(metrics, within)
    count = "revstore_http_request_duration_seconds_count"
    assert told[f'{count}{{method="GET",route="/v2/<name>/tags/list",status="404"}}'] == 3
    assert told[f'{count}{{method="other",route="",status="405"}}'] == 1
    assert told[f'{count}{{method="GET",route="",status="404"}}'] == 1
    manifests = 'method="PUT",route="/v2/<name>/manifests/<reference>"'
    assert told[f"revstore_http_received_bytes_total{{{manifests}}}"] == 1000
    assert told[f"revstore_http_sent_bytes_total{{{manifests}}}"] > 0
    assert told["revstore_http_requests_in_flight"] == 0


async def test_no_name_of_a_client_or_a_repository_is_a_label(in_memory: Registry):
    metrics = Metrics()
    app = metrics.around_app(RegistryApp(in_memory))
    before = len(await measured(metrics, RegistryApp(in_memory)))
    for number in range(20):
        await ask(app, f"/v2/name{number}/tags/list")
        await ask(app, f"/other{number}")
        await ask(app, "/v2/", f"METHOD{number}")
    told = await measured(metrics, RegistryApp(in_memory))
    assert not any("name1" in name or "other1" in name or "METHOD" in name for name in told)
    assert len(told) - before < 100


async def test_storage_requests_are_counted_by_operation_and_outcome():
    metrics = Metrics()
    faults = Script(Rule("stat", Fault.THROTTLED), Rule("stat", Fault.BEFORE, nth=2))
    async with metrics.around_driver(FaultsDriver(MemoryDriver(), faults)) as driver:
        app = RegistryApp(Registry(driver))
        for _ in range(3):
            await ask(app, f"/v2/a/blobs/{DIGEST}", "HEAD")
        assert (await driver.put("some", b"content")).size == 7
        async with driver.open_reader("some") as reader:
            assert await reader.read() == b"content"
        told = await measured(metrics, app)
    count = "revstore_storage_request_duration_seconds_count"
    counts = {name.removeprefix(count): value for name, value in told.items() if name.startswith(count)}
    assert counts['{operation="put",outcome="ok"}'] == 1
    assert counts['{operation="open_reader",outcome="ok"}'] == 1
    assert counts['{operation="stat",outcome="throttled"}'] == 1
    assert counts['{operation="stat",outcome="unavailable"}'] == 1
    assert any('outcome="absent"' in name for name in counts)


async def test_two_servers_in_one_program_have_metrics_of_their_own(in_memory: Registry):
    first, second = Metrics(), Metrics()
    await ask(first.around_app(RegistryApp(in_memory)), "/v2/")
    told = await measured(second, RegistryApp(in_memory))
    assert not any("count" in name for name in told)


async def test_metrics_are_read_only(in_memory: Registry):
    answer = await ask(Metrics().around_app(RegistryApp(in_memory)), "/metrics", "POST")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


# ---- spans


class Spans:
    """What was made into spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.ended if span.kind is kind]


async def test_a_request_is_a_span_of_the_callers_trace_with_the_storage_requests_below_it():
    spans = Spans()
    async with spans.tracing.around_driver(MemoryDriver()) as driver:
        app = spans.tracing.around_app(RegistryApp(Registry(driver)))
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        await ask(app, TAGS + "?n=1", headers={"traceparent": f"00-{trace}-{parent}-01"})
    (server,) = spans.of(SpanKind.SERVER)
    assert server.name == "GET /v2/<name>/tags/list"
    assert f"{server.context.trace_id:032x}" == trace
    assert f"{server.parent.span_id:016x}" == parent
    told = dict(server.attributes or {})
    assert told["http.response.status_code"] == 404
    assert told["url.path"] == TAGS
    assert told["revstore.repository"] == "library/hello"
    assert server.status.status_code is StatusCode.UNSET
    storage = spans.of(SpanKind.CLIENT)
    assert storage
    for span in storage:
        assert span.parent.span_id == server.context.span_id
        assert span.name == f"storage {dict(span.attributes or {})['revstore.storage.operation']}"


async def test_what_is_absent_is_no_error_of_the_storage_and_what_fails_is(silent: FaultsDriver):
    spans = Spans()
    async with spans.tracing.around_driver(MemoryDriver()) as driver:
        await ask(RegistryApp(Registry(driver)), f"/v2/a/blobs/{DIGEST}")
    assert spans.ended
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.ended)
    failed = Spans()
    app = RegistryApp(Registry(failed.tracing.around_driver(silent)))
    await ask(failed.tracing.around_app(app), f"/v2/a/blobs/{DIGEST}")
    assert failed.ended
    assert all(span.status.status_code is StatusCode.ERROR for span in failed.ended)
    assert {span.attributes.get("error.type") for span in failed.of(SpanKind.CLIENT)} == {"Unavailable"}


async def test_without_an_sdk_spans_go_nowhere_and_requests_are_answered(in_memory: Registry):
    assert (await ask(Tracing().around_app(RegistryApp(in_memory)), "/v2/")).status_code == 200

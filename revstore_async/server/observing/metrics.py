"""Metrics for Prometheus (extra `metrics`), of requests by clients and of requests to the storage."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...driver import Driver
from ...driver.intercepting import InterceptingDriver, Operation
from ...errors import Conflict, MissingExtra, NotFound, Throttled, Unavailable
from ..exchange import Exchange
from .observed import Observed, header

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.exposition import choose_encoder
except ImportError as _error:
    raise MissingExtra("metrics", "metrics") from _error

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one server.

        metrics = Metrics()
        registry = Registry(metrics.around_driver(open_driver(url)))
        app = metrics.around_app(RegistryApp(registry))

    Labels hold no names of clients or repositories: requests can't raise the number of label values without
    bound.

    Args:
        collectors: The Prometheus registry of the metrics; by default a new one.
    """

    def __init__(self, collectors: CollectorRegistry | None = None) -> None:
        self.collectors: Final = collectors or CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Histogram(
            "revstore_http_request_duration_seconds",
            "Requests of clients, until the end of the answer.",
            labels,
            buckets=_SECONDS,
            registry=self.collectors,
        )
        self._received = Counter(
            "revstore_http_received_bytes",
            "Bytes of bodies from clients.",
            labels[:2],
            registry=self.collectors,
        )
        self._sent = Counter(
            "revstore_http_sent_bytes", "Bytes of bodies to clients.", labels[:2], registry=self.collectors
        )
        self._in_flight = Gauge(
            "revstore_http_requests_in_flight", "Requests that are under way.", registry=self.collectors
        )
        self._storage = Histogram(
            "revstore_storage_request_duration_seconds",
            "Requests to the storage, until the answer; of a reader, until its first byte.",
            ("operation", "outcome"),
            buckets=_SECONDS,
            registry=self.collectors,
        )

    def around_app(self, app: ASGIApp, path: str = "/metrics") -> ASGIApp:
        """Return an ASGI application around another; it counts, and tells all callers the counts at `path`."""
        return _MeasuredApp(self, app, path)

    def around_driver(self, driver: Driver) -> Driver:
        """Return a driver around another; it counts the other's requests."""
        return _MeasuredDriver(driver, self._storage)

    @contextmanager
    def observing(self, exchange: Exchange) -> Iterator[None]:
        """Count an exchange."""
        with self._in_flight.track_inprogress():
            try:
                yield
            finally:
                place = (exchange.route, exchange.method)
                self._requests.labels(*place, str(exchange.status)).observe(exchange.seconds)
                self._received.labels(*place).inc(exchange.received)
                self._sent.labels(*place).inc(exchange.sent)


class _MeasuredApp(Observed):
    def __init__(self, metrics: Metrics, app: ASGIApp, path: str) -> None:
        super().__init__(app)
        self._metrics: Final = metrics
        self._path: Final = path

    def observing(self, exchange: Exchange) -> AbstractContextManager[None]:
        return self._metrics.observing(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) == self._path:
            await self._tell(scope)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _tell(self, scope: Scope) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            return Response(status_code=405, headers={"Allow": "GET, HEAD"})
        encode, content_type = choose_encoder(header(scope, b"accept"))
        return Response(encode(self._metrics.collectors), headers={"Content-Type": content_type})


class _MeasuredDriver(InterceptingDriver):
    def __init__(self, inner: Driver, requests: Histogram) -> None:
        super().__init__(inner)
        self._requests = requests

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if not operation.is_request:
            yield
            return
        clock = asyncio.get_running_loop().time
        start, outcome = clock(), "ok"
        try:
            yield
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._requests.labels(operation.method, outcome).observe(clock() - start)


def outcome_of(error: BaseException) -> str:
    """Return the outcome of a failed request to the storage, in a word."""
    match error:
        case NotFound():
            return "absent"
        case Conflict():
            return "conflict"
        case Throttled():
            return "throttled"
        case Unavailable():
            return "unavailable"
        case asyncio.CancelledError():
            return "cancelled"
    return "error"

"""Spans for OpenTelemetry (extra `tracing`): one for each request of a client, and one for each to the storage.

This uses OpenTelemetry's API only; the program around it chooses the SDK and where spans go. Without an SDK,
spans go nowhere. Names follow OpenTelemetry's semantic conventions for HTTP, as far as these have one.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Final

from starlette.types import ASGIApp, Scope

from ...driver import Driver
from ...driver.intercepting import InterceptingDriver, Operation
from ...errors import Conflict, MissingExtra, NotFound
from ..exchange import Exchange
from .observed import Observed

try:
    from opentelemetry import propagate, trace
    from opentelemetry.trace import SpanKind, StatusCode, TracerProvider
except ImportError as _error:
    raise MissingExtra("tracing", "tracing") from _error

_NAME: Final = "revstore_async"


class Tracing:
    """Makes spans.

        tracing = Tracing()
        registry = Registry(tracing.around_driver(open_driver(url)))
        app = tracing.around_app(RegistryApp(registry))

    Args:
        provider: Makes the tracer; by default the program's own provider.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer: Final = trace.get_tracer(_NAME, tracer_provider=provider)

    def around_app(self, app: ASGIApp) -> ASGIApp:
        """Return an ASGI application around another; it makes a span of each request.

        A caller's own span (`traceparent`) is the parent.
        """
        return _TracedApp(self, app)

    def around_driver(self, driver: Driver) -> Driver:
        """Return a driver around another; it makes a span of each request."""
        return _TracedDriver(driver, self._tracer)

    @contextmanager
    def observing(self, exchange: Exchange) -> Iterator[None]:
        """Make the span of an exchange."""
        scope = exchange.scope
        with self._tracer.start_as_current_span(
            exchange.method,
            propagate.extract(_carrier(scope)),
            SpanKind.SERVER,
            {
                "http.request.method": exchange.method,
                "url.path": scope["path"],
                "url.scheme": scope.get("scheme", "http"),
            },
        ) as span:
            try:
                yield
            finally:
                if exchange.route:
                    span.update_name(f"{exchange.method} {exchange.route}")
                    span.set_attribute("http.route", exchange.route)
                if repository := scope.get("revstore.repository"):
                    span.set_attribute("revstore.repository", repository)
                span.set_attribute("http.response.status_code", exchange.status)
                span.set_attribute("http.request.body.size", exchange.received)
                span.set_attribute("http.response.body.size", exchange.sent)
                if exchange.status >= 500:
                    span.set_status(StatusCode.ERROR)


class _TracedApp(Observed):
    def __init__(self, tracing: Tracing, app: ASGIApp) -> None:
        super().__init__(app)
        self._tracing: Final = tracing

    def observing(self, exchange: Exchange) -> AbstractContextManager[None]:
        return self._tracing.observing(exchange)


def _carrier(scope: Scope) -> dict[str, str]:
    # OpenTelemetry splits a header at commas and the spaces around them, by a pattern that tries each space of a
    # run anew. A run of spaces therefore becomes one space.
    return {
        name.decode("latin-1"): " ".join(value.decode("latin-1").split()) for name, value in scope["headers"]
    }


class _TracedDriver(InterceptingDriver):
    def __init__(self, inner: Driver, tracer: trace.Tracer) -> None:
        super().__init__(inner)
        self._tracer = tracer

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if not operation.is_request:
            yield
            return
        # It does not become the current span: spans of the block's own work are not its children.
        span = self._tracer.start_span(
            f"storage {operation.method}",
            kind=SpanKind.CLIENT,
            attributes={
                "revstore.storage.driver": self.name,
                "revstore.storage.operation": operation.method,
                "revstore.storage.key": operation.key,
            },
        )
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            if not isinstance(error, NotFound | Conflict):  # these are answers
                span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.set_attribute("revstore.storage.sent", operation.sent)
            span.set_attribute("revstore.storage.received", operation.received)
            span.end()

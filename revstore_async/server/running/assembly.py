"""Puts the layers of a server around the application, in the one order in which they do their work."""

from datetime import timedelta
from typing import Final, Protocol

from starlette.types import ASGIApp

from ..app import RegistryApp
from ..observing.access_log import AccessLog
from ..observing.health import Health
from .in_flight import LIMIT, InFlight
from .interrupted import AnswersCancelled, DropsStalled


class AroundApp(Protocol):
    """Metrics or spans: `revstore_async.server.observing.metrics.Metrics` and `tracing.Tracing`."""

    def around_app(self, app: ASGIApp) -> ASGIApp:
        """Return an ASGI application around another."""


class Served(DropsStalled):
    """The application of a server, with all its layers: an ASGI application for uvicorn.

    Args:
        app: The layer within.
        in_flight: The layer that counts the requests under way.
    """

    def __init__(self, app: ASGIApp, in_flight: InFlight) -> None:
        super().__init__(app)
        self.in_flight: Final = in_flight


def served(
    app: RegistryApp,
    *,
    limit: int = LIMIT,
    writes: bool = True,
    retry_after: timedelta = timedelta(seconds=1),
    metrics: AroundApp | None = None,
    tracing: AroundApp | None = None,
) -> Served:
    """Return the application with all layers that `revstore serve` has, the outermost first.

    - `DropsStalled` closes the connection of a client that takes nothing of its answer.
    - `Health` answers `/healthz` and `/readyz`, also while too many requests are under way.
    - `metrics` counts all requests below, and answers `/metrics`.
    - `AccessLog` logs all requests below, and so the requests that `InFlight` refuses.
    - `tracing` makes spans.
    - `InFlight` bounds the requests under way; `AnswersCancelled` answers those that uvicorn cancels at its end.

    The layers cost 0 storage requests; `/readyz` costs those of `Health`. Layers around the driver, such as
    `Metrics.around_driver`, are the caller's to add.

    Args:
        app: The registry's application; its lifespan opens and closes the registry.
        limit: Requests under way at once.
        writes: Whether `/readyz` tries a write; False for a registry that is read-only.
        retry_after: The `Retry-After` of a request that is one too many.
        metrics: Counts requests; None to count none.
        tracing: Makes spans; None to make none.

    Raises:
        InvalidArgument: `limit` lets no request through.
    """
    in_flight = InFlight(AnswersCancelled(app), limit, retry_after=retry_after)
    layered: ASGIApp = in_flight
    if tracing is not None:
        layered = tracing.around_app(layered)
    layered = AccessLog(layered)
    if metrics is not None:
        layered = metrics.around_app(layered)
    return Served(Health(layered, app.registry.driver, writes=writes), in_flight)

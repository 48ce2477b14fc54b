"""The ASGI application: finds the route, asks the access policy, calls the handler, tells errors."""

import re
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..driver import metadata_deadline
from ..errors import (
    AnswerTimeout,
    InvalidHeader,
    InvalidName,
    RevstoreError,
    TooManyAttempts,
    Unauthenticated,
)
from ..formats.names import RepositoryName
from ..registry import Registry
from . import error_answers, routes
from .access.origins import SAFE, answering_pages, check_page
from .access.policy import AccessPolicy, Everybody, Need, Principal
from .context import RequestContext
from .events import Listener
from .exchange import exchange_of
from .observing.observed import request_id
from .options import ServerOptions

_ON_EACH_ANSWER: Final = (
    (b"docker-distribution-api-version", b"registry/2.0"),
    # The server sends a manifest with the type of its push. A browser must not guess another type, nor run a
    # pushed page or picture as a part of this site.
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]*)?")  # RFC 3986, 3.2.2


class RegistryApp:
    """A registry as an ASGI application: the OCI distribution API over a `Registry`.

    Mount it in any ASGI program; the program's lifespan opens the registry. Run by itself, the application
    opens and closes the registry.

        app = FastAPI(lifespan=...)                   # async with registry: yield
        app.mount("/", RegistryApp(registry))

    Args:
        registry: The registry to serve.
        access: The access policy; without one, all callers may do everything.
        options: Limits and the like.
        listener: Is told each event: pushes, pulls, deletes, mounts.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        access: AccessPolicy | None = None,
        options: ServerOptions | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.registry: Final = registry
        self.access: Final = access or Everybody()
        self.options: Final = options or ServerOptions()
        self.listener: Final = listener
        self._send_timeout: Final = self.options.body_timeout.total_seconds()
        self._http: Final = answering_pages(self._respond, self.options.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open and close the registry with the server that runs this application."""
        if scope["type"] == "http":
            exchange = exchange_of(scope, receive, send)
            exchange.send_timeout = self._send_timeout
            await self._http(scope, exchange.receive, exchange.send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            raise RuntimeError(f"a registry does not speak {scope['type']}")

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        with metadata_deadline(self.registry.driver.capabilities.metadata_timeout):
            try:
                response = await self._call(scope, receive)
            except RevstoreError as error:
                response = error_answers.respond(error, self.options, scope, self.registry.driver)
            except Exception as error:  # noqa: BLE001 (the log tells it; the client does not get its text)
                response = error_answers.unexpected(error, scope)
            response.raw_headers.extend(_ON_EACH_ANSWER)
            try:
                await response(scope, receive, send)
            except AnswerTimeout:
                raise
            except RevstoreError as error:  # amid the answer: the server logs it, and closes the connection
                scope["revstore.error"] = error_answers.answer_of(error).code
                error.add_note(f"in the answer to request {request_id(scope)}")
                raise

    async def _call(self, scope: Scope, receive: Receive) -> Response:
        fields = scope["headers"]
        # A field that is given more than once has its first value here; readers of lists ask the request.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(fields)}
        _check_host(scope, headers.get("host"))
        base = scope.get("root_path", "")
        path, is_plain = _path_below(base, scope)
        if scope["method"] not in SAFE and ("origin" in headers or "sec-fetch-site" in headers):
            check_page(headers, self.options.origins)
        found = routes.find(scope["method"], path)
        scope["revstore.route"] = found.route
        name = None
        if found.name is not None:
            if not is_plain:  # one name would have two paths, and a gate in front may judge them differently
                raise InvalidName(found.name, "a slash in it is encoded")
            name = RepositoryName(found.name)
        scope["revstore.repository"] = name or ""
        request = Request(scope, receive)
        principal = await self._admitted(request, [Need(found.endpoint.action, name)])
        context = RequestContext(
            request,
            headers,
            self.registry,
            self.options,
            self.access,
            principal,
            base,
            found.arguments,
            name,
            self.listener,
        )
        return await found.endpoint.handler(context)

    async def _admitted(self, request: Request, needs: Sequence[Need]) -> Principal:
        """Return the caller of a request. The policy has checked its credentials and these needs."""
        scope = request.scope
        try:
            principal = await self.access.authenticate(request)
        except (Unauthenticated, TooManyAttempts) as error:
            scope["revstore.tried"] = error.user
            if isinstance(error, TooManyAttempts):
                raise
            raise self.access.rejection(error, needs) from error
        scope["revstore.principal"] = principal.name
        await self.access.check(principal, needs)
        return principal

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.registry.__aenter__()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            await self.registry.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})


def _check_host(scope: Scope, host: str | None) -> None:
    """Refuse a request of HTTP/1.1 without its one `Host` (RFC 9112, 3.2): a gate may read it differently."""
    if host is None:
        if scope.get("http_version") == "1.1":
            raise InvalidHeader("Host", "", "it is missing")
        return
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1:
        raise InvalidHeader("Host", b", ".join(hosts).decode("latin-1"), "it is given more than once")
    if not _HOST.fullmatch(host):
        raise InvalidHeader("Host", host, "it is not a host with or without a port")


def _path_below(base: str, scope: Scope) -> tuple[str, bool]:
    """Return the path below the base, with single slashes, and whether all its slashes are plain ones.

    The scope gets the same path, for all its readers. An encoded slash separates nothing: a path with one stays
    as it is.
    """
    path: str = scope["path"].removeprefix(base)
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw or b"%2F" in raw:
        return path, False
    if ("//" in path or path.endswith("/")) and (canonical := routes.canonical(path)) != path:
        scope["path"] = base + canonical
        scope["raw_path"] = routes.canonical(raw.decode("latin-1")).encode("latin-1")
        return canonical, True
    return path, True

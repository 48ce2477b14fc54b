"""The ASGI application: finds the route, asks the access policy, calls the handler, tells errors."""

import re
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
from .access.origins import answering_pages, check_page
from .access.policy import AccessPolicy, Everybody, Need
from .context import RequestContext
from .events import Listener
from .observing.observed import request_id
from .options import ServerOptions
from .streams.leaving import Receiving
from .streams.streaming import patient

_ON_EACH_ANSWER: Final = (
    (b"docker-distribution-api-version", b"registry/2.0"),
    # The server sends a manifest with the type of its push. A browser must not guess another type, nor run a
    # pushed page or picture as a part of this site.
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]*)?")  # RFC 3986, 3.2.2


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
        self._http: Final = answering_pages(self._respond, self.options.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open and close the registry with the server that runs this application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, Receiving(receive), send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            raise RuntimeError(f"a registry does not speak {scope['type']}")

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        with metadata_deadline(self.registry.driver.capabilities.metadata_timeout):
            response = await self._answer(scope, receive)
            try:
                await response(scope, receive, patient(scope, send, self.options.body_timeout))
            except AnswerTimeout:
                raise
            except RevstoreError as error:  # amid the answer: the server logs it, and closes the connection
                scope["revstore.error"] = error_answers.answer_of(error).code
                error.add_note(f"in the answer to request {request_id(scope)}")
                raise

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            response = await self._call(scope, receive)
        except RevstoreError as error:
            response = error_answers.respond(error, self.options, scope, self.registry.driver)
        except Exception as error:  # noqa: BLE001 (the log tells it; the client does not get its text)
            response = error_answers.unexpected(error, scope)
        response.raw_headers.extend(_ON_EACH_ANSWER)
        return response

    async def _call(self, scope: Scope, receive: Receive) -> Response:
        _check_host(scope)
        base = scope.get("root_path", "")
        path = _make_canonical(scope, base)
        request = Request(scope, receive)
        check_page(scope["method"], request.headers, self.options.origins)
        found = routes.find(scope["method"], path)
        scope["revstore.route"] = found.route
        name = None if found.name is None else _name(found.name, scope)
        scope["revstore.repository"] = name or ""
        needs = [Need(found.endpoint.action, name)]
        try:
            principal = await self.access.authenticate(request)
        except (Unauthenticated, TooManyAttempts) as error:
            scope["revstore.tried"] = error.user
            if isinstance(error, TooManyAttempts):
                raise
            raise self.access.rejection(error, needs) from error
        scope["revstore.principal"] = principal.name
        await self.access.check(principal, needs)
        context = RequestContext(
            request,
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


def _check_host(scope: Scope) -> None:
    """Refuse a request of HTTP/1.1 without its one `Host` (RFC 9112, 3.2): a gate may read it differently."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) == 1:
        if not _HOST.fullmatch(hosts[0]):
            raise InvalidHeader("Host", hosts[0].decode("latin-1"), "it is not a host with or without a port")
    elif hosts:
        raise InvalidHeader("Host", b", ".join(hosts).decode("latin-1"), "it is given more than once")
    elif scope.get("http_version") == "1.1":
        raise InvalidHeader("Host", "", "it is missing")


def _make_canonical(scope: Scope, base: str) -> str:
    """Return the path below the base, with single slashes; set the same path in the scope for all its readers.

    An encoded slash separates nothing: a path with one stays as it is.
    """
    path: str = scope["path"].removeprefix(base)
    canonical = routes.canonical(path)
    raw: bytes = scope.get("raw_path") or b""
    if canonical != path and not _has_encoded_slash(raw):
        scope["path"] = base + canonical
        scope["raw_path"] = routes.canonical(raw.decode("latin-1")).encode("latin-1")
        return canonical
    return path


def _name(text: str, scope: Scope) -> RepositoryName:
    # An encoded slash would make one name of two paths; a gate in front may judge them differently.
    if _has_encoded_slash(scope.get("raw_path") or b""):
        raise InvalidName(text, "a slash in it is encoded")
    return RepositoryName(text)


def _has_encoded_slash(raw_path: bytes) -> bool:
    return b"%2f" in raw_path.lower()

"""The ASGI application: finds the route, asks the access policy, calls the handler, tells errors."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..driver import metadata_deadline
from ..errors import InvalidName, RevstoreError, Unauthenticated
from ..names import RepositoryName
from ..repository import Registry
from . import answers, routes
from .access import AccessPolicy, Everybody, Need
from .call import Call
from .events import Listener
from .leaving import Receiving
from .options import ServerOptions
from .streaming import patient

_ON_EACH_ANSWER: Final = (
    (b"docker-distribution-api-version", b"registry/2.0"),
    # A manifest is served as the type that it was pushed as. A browser must neither guess another, nor run a page
    # or picture that somebody pushed as if it were of this site.
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)


class RegistryApp:
    """A registry as an ASGI application: the OCI distribution API over a `Registry`.

    It is mounted in any ASGI program, whose lifespan opens the registry; run by itself, it opens and closes it.

        app = FastAPI(lifespan=...)                   # async with registry: yield
        app.mount("/", RegistryApp(registry))

    Args:
        registry: The registry that it serves.
        access: Who may do what; everybody everything where it is left out.
        options: Limits and the like.
        listener: Is told what happened: pushes, pulls, deletes, mounts.
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open and close the registry with the server that runs this application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            receive = Receiving(receive)
            with metadata_deadline(self.registry.driver.capabilities.metadata_timeout):
                response = await self._answer(scope, receive)
                await response(scope, receive, patient(scope, send, self.options.body_timeout))
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            raise RuntimeError(f"a registry does not speak {scope['type']}")

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            response = await self._call(scope, receive)
        except RevstoreError as error:
            response = answers.respond(error, self.options, self.registry.driver)
        except Exception as error:  # noqa: BLE001 (it is logged, and told without its text)
            response = answers.unexpected(error)
        response.raw_headers.extend(_ON_EACH_ANSWER)
        return response

    async def _call(self, scope: Scope, receive: Receive) -> Response:
        request = Request(scope, receive)
        base = scope.get("root_path", "")
        path = scope["path"].removeprefix(base)
        found = routes.find(scope["method"], path)
        scope["revstore.route"] = found.route
        name = None if found.name is None else _name(found.name, scope)
        scope["revstore.repository"] = name or ""
        needs = [Need(found.endpoint.action, name)]
        try:
            principal = await self.access.authenticate(request)
        except Unauthenticated as error:
            raise self.access.rejection(error, needs) from error
        scope["revstore.principal"] = principal.name
        await self.access.check(principal, needs)
        call = Call(
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
        return await found.endpoint.handler(call)

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


def _name(text: str, scope: Scope) -> RepositoryName:
    # An encoded slash would make one name of two paths, which a gate before us may judge differently.
    if b"%2f" in scope.get("raw_path", b"").lower():
        raise InvalidName(text, "a slash in it is encoded")
    return RepositoryName(text)

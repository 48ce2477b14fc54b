"""One request on its way through the server: the argument of a handler."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from starlette.requests import Request

from ..errors import BodyTooLarge, InvalidHeader
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..registry import Registry, Repository
from .access.policy import AccessPolicy, Action, Need, Principal
from .events import Event, Listener, tell
from .numbers import read_number
from .options import ServerOptions
from .streams.request_body import RequestBody


@dataclass
class RequestContext:
    """A request with a known route and a known caller.

    Attributes:
        request: The request.
        headers: The first value of each of its header fields, by the field's name in lower case.
        registry: The registry behind the server.
        options: The server's options.
        access: The server's policy, for a handler's further needs.
        principal: The caller.
        base: The part of the path before `/v2/`: the server's mount point.
        arguments: The parts of the path that the route names, but the repository's.
        name: The repository's name; None if the route names no repository.
        listener: Is told of events; None for no listener.
    """

    request: Request
    headers: Mapping[str, str]
    registry: Registry
    options: ServerOptions
    access: AccessPolicy
    principal: Principal
    base: str
    arguments: Mapping[str, str]
    name: RepositoryName | None
    listener: Listener | None = None

    @cached_property
    def repository(self) -> Repository:
        """The repository that the path names."""
        assert self.name is not None, "the route names no repository"  # noqa: S101
        return self.registry.repository(self.name)

    @cached_property
    def digest(self) -> Digest:
        """The digest that the path names.

        Raises:
            InvalidDigest: The text is not a digest.
        """
        return Digest(self.arguments["digest"])

    def url(self, path: str) -> str:
        """Return the location of a path below `/v2/<name>/`, relative to the host: a proxy has its own."""
        return f"{quote(self.base)}/v2/{self.name}/{path}"

    async def may(self, action: Action, name: RepositoryName) -> bool:
        """Say whether the caller may do something in another repository."""
        return await self.access.allows(self.principal, Need(action, name))

    async def tell(self, event: Event) -> None:
        """Tell the program around the server of an event."""
        if self.listener is not None:
            await tell(self.listener, event)

    # ---- the body

    @cached_property
    def length(self) -> int | None:
        """The size of the body that the client announced, in bytes; None if it announced no size.

        Raises:
            InvalidHeader: The header is not a number.
        """
        text = self.headers.get("content-length")
        if text is None:
            return None
        length = read_number(text)
        if length is None:
            raise InvalidHeader("Content-Length", text, "it is not a number of bytes")
        return length

    async def body(self, limit: int) -> bytes:
        """Return the body, whole: small content.

        Raises:
            BodyTooLarge: The body has more than `limit` bytes; no more of it was read.
            BodyTimeout: The client left the body standing still, or sends too slowly.
            ClientGone: The client left before the end of the body.
        """
        content = bytearray()  # a list of pieces of a byte or two would take thirty times as much
        async for piece in self.pieces(limit):
            content += piece
        return bytes(content)

    def pieces(self, limit: int | None = None) -> RequestBody:
        """Return the body as it arrives. The server takes each piece when the reader asks for it.

        Raises:
            BodyTooLarge: The client announced more than `limit` bytes. The reader raises it too, when more
                bytes arrive.
        """
        announced = self.length or 0
        if limit is not None and announced > limit:
            raise BodyTooLarge(announced, limit)
        return RequestBody(self.request.receive, self.options.body_timeout, limit)

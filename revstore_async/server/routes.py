"""The one table of routes: the handler of each route and method, and the access that it needs.

Source: OCI distribution spec 1.1, "Endpoints"; Docker registry HTTP API V2 (`_catalog`, upload status and cancel);
distribution-spec proposal 606 (tag history). Paths with `_revstore` are our own (docs/http.md).
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from ..errors import MethodNotAllowed, RouteUnknown
from .access.policy import Action
from .context import RequestContext
from .handlers import blobs, catalog, history, manifests, referrers, signatures, tags, uploads

Handler = Callable[[RequestContext], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handler of one method of a route, and the action that it needs."""

    handler: Handler
    action: Action


@dataclass(frozen=True, slots=True)
class Route:
    """One form of a path.

    Attributes:
        path: The form; `<name>` is a repository's name, any other word in angle brackets one part of the path.
        endpoints: The endpoints by method. The endpoint of GET answers HEAD too, without the body.
    """

    path: str
    endpoints: Mapping[str, Endpoint]


_PULL, _PUSH, _DELETE = Action.PULL, Action.PUSH, Action.DELETE

ROUTES: Final = (
    Route("/v2/", {"GET": Endpoint(catalog.enter, Action.ENTER)}),
    Route("/v2/_catalog", {"GET": Endpoint(catalog.repositories, Action.CATALOG)}),
    Route(
        "/v2/<name>/manifests/<reference>",
        {
            "GET": Endpoint(manifests.get, _PULL),
            "PUT": Endpoint(manifests.put, _PUSH),
            "DELETE": Endpoint(manifests.delete, _DELETE),
        },
    ),
    Route(
        "/v2/<name>/blobs/uploads/",
        {"POST": Endpoint(uploads.start, _PUSH)},
    ),
    Route(
        "/v2/<name>/blobs/uploads/<upload>",
        {
            "GET": Endpoint(uploads.status, _PUSH),
            "PATCH": Endpoint(uploads.append, _PUSH),
            "PUT": Endpoint(uploads.finish, _PUSH),
            "DELETE": Endpoint(uploads.cancel, _PUSH),
        },
    ),
    Route(
        "/v2/<name>/blobs/<digest>",
        {"GET": Endpoint(blobs.get, _PULL), "DELETE": Endpoint(blobs.delete, _DELETE)},
    ),
    Route("/v2/<name>/tags/list", {"GET": Endpoint(tags.page, _PULL)}),
    Route("/v2/<name>/referrers/<digest>", {"GET": Endpoint(referrers.index, _PULL)}),
    Route("/v2/<name>/_oci/tag-history/<tag>", {"GET": Endpoint(history.of_tag, _PULL)}),
    Route(
        "/v2/<name>/_revstore/signatures/<digest>",
        {"GET": Endpoint(signatures.of_revision, _PULL), "POST": Endpoint(signatures.add, _PUSH)},
    ),
)
"""Every route. A name may hold the words of a route: in `/v2/a/blobs/b/manifests/c` the last ones count."""


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of a path, after the repository's name.

    Attributes:
        folder: All of it but its last part, such as `/blobs/uploads`.
        last: The last part; None if it is an argument.
        argument: The argument's name; empty if the last part is no argument.
        route: The route of such a path.
    """

    folder: str
    last: str | None
    argument: str
    route: Route


def _tails() -> Mapping[str, Sequence[_Tail]]:
    """Return the ends of paths by the last part but one, those without an argument first."""
    table: dict[str, list[_Tail]] = {}

    def add(tail: str, route: Route) -> None:
        folder, _, last = tail.rpartition("/")
        is_argument = last.startswith("<")
        row = _Tail(folder, None if is_argument else last, last[1:-1] if is_argument else "", route)
        table.setdefault(folder.rpartition("/")[2], []).append(row)

    for route in ROUTES:
        tail = route.path.partition("<name>")[2]
        if tail:
            add(tail, route)
        if tail.endswith("/"):  # `/v2/.../uploads` is taken too, as Docker Distribution does
            add(tail[:-1], route)
    return {word: sorted(rows, key=lambda row: row.last is None) for word, rows in table.items()}


_TAILS: Final = _tails()
_WITHOUT_NAME: Final = {route.path: route for route in ROUTES if "<name>" not in route.path}


_SLASHES = re.compile("/{2,}")


def canonical(path: str) -> str:
    """Return a path with single slashes, and with a slash at its end only if its route has one."""
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if not path.endswith("/") or path == "/v2/" or path.endswith("/blobs/uploads/"):
        return path
    return path[:-1]


@dataclass(frozen=True, slots=True)
class Found:
    """A request's route.

    Attributes:
        route: The route's form, for metrics and logs: requests can't add further values.
        endpoint: The endpoint that answers.
        name: The repository's name as the path has it, not validated yet; None if the route has no name.
        arguments: The other parts that the route names.
    """

    route: str
    endpoint: Endpoint
    name: str | None
    arguments: Mapping[str, str]


def find(method: str, path: str) -> Found:
    """Return the route of a request, by method and by the path below the server's mount point.

    Raises:
        RouteUnknown: No route has this path.
        MethodNotAllowed: The route has no such method.
    """
    route, name, arguments = _WITHOUT_NAME.get("/v2/" if path == "/v2" else path), None, {}
    if route is None and path.startswith("/v2/"):
        folder, _, last = path.rpartition("/")
        for tail in _TAILS.get(folder.rpartition("/")[2], ()):
            named = folder.removesuffix(tail.folder)
            if named != folder and len(named) > 4 and (last == tail.last or (tail.last is None and last)):
                route, name = tail.route, named[4:]
                arguments = {tail.argument: last} if tail.argument else {}
                break
    if route is None:
        raise RouteUnknown(path)
    endpoint = route.endpoints.get("GET" if method == "HEAD" else method)
    if endpoint is None:
        heads = ("HEAD",) if "GET" in route.endpoints else ()
        raise MethodNotAllowed(method, (*route.endpoints, *heads))
    return Found(route.path, endpoint, name, arguments)

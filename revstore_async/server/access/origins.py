"""Web pages as callers: the origins with access to the registry from a browser.

A page of another origin can make a browser send requests to a registry, though the page can't read the answers. If
a registry asks for no credentials, such as on loopback, any page could push to it. The server therefore refuses
a request that would change something if the browser says that it comes from such a page. Sources: the Fetch
standard (`Origin`, CORS); Fetch Metadata Request Headers (`Sec-Fetch-Site`); Go's
`net/http.CrossOriginProtection`, for the rules.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from ...errors import CrossOrigin, InvalidArgument

ANY: Final = "*"
"""Every origin: pages may read everything that needs no credentials, and may change nothing."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_READS: Final = ("GET", "HEAD")
SAFE: Final = frozenset({*_READS, "OPTIONS"})
"""The methods that change nothing."""
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")

_SENT: Final = (
    "Authorization",
    "Content-Range",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Range",
    "X-Request-ID",
    "X-Requested-With",
)
_READ: Final = (
    "Accept-Ranges",
    "Content-Length",
    "Content-Range",
    "Docker-Content-Digest",
    "Docker-Distribution-Api-Version",
    "Docker-Upload-UUID",
    "ETag",
    "Link",
    "Location",
    "OCI-Filters-Applied",
    "OCI-Subject",
    "OCI-Tag",
    "Range",
    "Retry-After",
    "WWW-Authenticate",
)


def check_origins(origins: Collection[str]) -> None:
    """Check that these are origins as a browser writes them, such as `https://ui.example:8443`; or `*` alone.

    Raises:
        InvalidArgument: One of them is not an origin, or `*` is not alone.
    """
    for origin in origins:
        if origin == ANY:
            if len(origins) > 1:
                raise InvalidArgument("origins", origin, "it stands for all others, so it stands alone")
        elif not _ORIGIN.fullmatch(origin):
            raise InvalidArgument(
                "origins", origin, "write it like https://ui.example or http://localhost:8080"
            )


def answering_pages(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Return the application with answers that pages of these origins may read (CORS).

    A browser's preflight request (`OPTIONS`) brings no credentials, and is answered without them.
    """
    if not origins:
        return app
    any_page = ANY in origins
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_READS if any_page else (*_READS, *_WRITES),
        allow_headers=_SENT,
        allow_credentials=not any_page,
        expose_headers=_READ,
    )


def check_page(headers: Mapping[str, str], origins: Collection[str]) -> None:
    """Check that a request, which may change something, does not come from a page of another origin.

    Raises:
        CrossOrigin: The request comes from a page of another origin, which is not among these.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and site is None:  # the request comes from no browser
        return
    if origin is not None and origin in origins:
        return
    if site is not None:
        own = site in {"same-origin", "none"}
    else:  # a browser says so only to https and to loopback; a proxy before us may have changed the scheme
        own = origin is None or origin.partition("://")[2] == headers.get("host")
    if not own:
        raise CrossOrigin(origin or site or "")

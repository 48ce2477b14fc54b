"""The registry as a whole.

Sources: OCI distribution spec 1.1, "Determining Support"; Docker registry HTTP API V2 for the catalog.
"""

import logging
from contextlib import aclosing
from typing import Final

from starlette.responses import JSONResponse, Response

from ...errors import InvalidQuery
from ...formats.names import RepositoryName
from ..context import RequestContext
from . import paging

_LOG = logging.getLogger("revstore_async.server")

LOOK_LIMIT: Final = 10_000
"""Repositories whose access rules one page asks at most, both of shown repositories and of hidden ones."""

SKIP_LIMIT: Final = 10 * LOOK_LIMIT
"""Repositories that a request skips at most: earlier pages looked at them, and all were hidden."""


async def enter(context: RequestContext) -> Response:  # noqa: ARG001 (handlers have one form)
    """Answer a caller with valid credentials that there is a registry."""
    return JSONResponse({})


async def repositories(context: RequestContext) -> Response:
    """Answer with one page of the repositories that the caller may know of, in lexical order.

    The next page begins after the last repository that this page shows, never after a hidden one. An empty page
    leads to a page with the same beginning, which skips the repositories that are looked at already.
    """
    limit = paging.limit(context)
    begin, skip = paging.parameter(context, "last"), _skip(context)
    page: list[RepositoryName] = []
    more = False
    looked_at = 0
    if limit:
        async with aclosing(context.registry.repositories(start_after=begin)) as names:
            async for name in names:
                looked_at += 1
                if looked_at <= skip:
                    continue
                if looked_at > skip + LOOK_LIMIT:
                    more = True
                    break
                if await context.access.sees(context.principal, name):
                    if len(page) == limit:  # one more than the page holds tells that another page follows
                        more = True
                        break
                    page.append(name)
    return JSONResponse({"repositories": page}, headers=_next(context, limit, page, skip) if more else None)


def _skip(context: RequestContext) -> int:
    skip = paging.number(context, "skip") or 0
    if skip > SKIP_LIMIT:
        raise InvalidQuery("skip", str(skip), f"it is over the limit of {SKIP_LIMIT}")
    return skip


def _next(
    context: RequestContext, limit: int, page: list[RepositoryName], skip: int
) -> dict[str, str] | None:
    """Return the header that leads to the next page, or None if that page would skip too many repositories."""
    if page:
        return paging.next_page(context, n=limit, last=page[-1])
    if skip + LOOK_LIMIT > SKIP_LIMIT:
        _LOG.warning(
            "the catalog ends early for %r: after %r come over %d repositories that the caller may not know of",
            context.principal.name,
            paging.parameter(context, "last") or "",
            skip + LOOK_LIMIT,
        )
        return None
    return paging.next_page(context, n=limit, last=paging.parameter(context, "last"), skip=skip + LOOK_LIMIT)

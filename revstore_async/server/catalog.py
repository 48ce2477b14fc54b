"""The registry as a whole.

Sources: OCI distribution spec 1.1, "Determining Support"; Docker registry HTTP API V2 for the catalog.
"""

from contextlib import aclosing
from typing import Final

from starlette.responses import JSONResponse, Response

from ..names import RepositoryName
from . import paging
from .call import Call

LOOK_LIMIT: Final = 10_000
"""Repositories that are looked at for one page, at most, whether or not the caller may know of them."""


async def enter(call: Call) -> Response:  # noqa: ARG001 (handlers have one form)
    """Answer that there is a registry, to a caller whose credentials are right."""
    return JSONResponse({})


async def repositories(call: Call) -> Response:
    """Answer with one page of the repositories that the caller may know of, in lexical order."""
    limit = paging.limit(call)
    page: list[RepositoryName] = []
    last: RepositoryName | None = None  # where the next page goes on; None where there is none
    seen: RepositoryName | None = None
    looked_at = 0
    if limit:
        async with aclosing(call.registry.repositories(start_after=paging.parameter(call, "last"))) as names:
            async for name in names:
                if looked_at == LOOK_LIMIT:
                    last = seen
                    break
                looked_at, seen = looked_at + 1, name
                if await call.access.sees(call.principal, name):
                    if len(page) == limit:  # one more than the page holds tells that another page follows
                        last = page[-1]
                        break
                    page.append(name)
    headers = None if last is None else paging.next_page(call, n=limit, last=last)
    return JSONResponse({"repositories": page}, headers=headers)

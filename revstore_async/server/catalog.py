"""The registry as a whole.

Sources: OCI distribution spec 1.1, "Determining Support"; Docker registry HTTP API V2 for the catalog.
"""

from contextlib import aclosing

from starlette.responses import JSONResponse, Response

from ..names import RepositoryName
from . import paging
from .access import Action
from .call import Call


async def enter(call: Call) -> Response:  # noqa: ARG001 (handlers have one form)
    """Answer that there is a registry, to a caller whose credentials are right."""
    return JSONResponse({})


async def repositories(call: Call) -> Response:
    """Answer with one page of the repositories that the caller may read, in lexical order."""
    limit = paging.limit(call)
    found: list[RepositoryName] = []
    if limit:
        async with aclosing(call.registry.repositories(start_after=paging.parameter(call, "last"))) as names:
            async for name in names:
                if await call.may(Action.PULL, name):
                    found.append(name)
                if len(found) > limit:  # one more than the page holds tells that another page follows
                    break
    page = found[:limit]
    headers = paging.next_page(call, n=limit, last=page[-1]) if len(found) > limit else None
    return JSONResponse({"repositories": page}, headers=headers)

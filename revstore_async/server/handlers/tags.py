"""The tags of a repository, by pages. Source: OCI distribution spec 1.1, "Listing Tags"."""

from starlette.responses import JSONResponse, Response

from ...errors import RepositoryUnknown
from ..context import Call
from . import paging


async def page(call: Call) -> Response:
    """Answer with one page of the tags, in lexical order."""
    limit = paging.limit(call)
    found = await call.repository.tags.list(limit=limit, last=paging.parameter(call, "last"))
    if not found.tags and not await call.repository.exists():
        raise RepositoryUnknown(call.repository.name)
    headers = None if found.next is None else paging.next_page(call, n=limit, last=found.next)
    return JSONResponse({"name": call.name, "tags": [info.tag for info in found.tags]}, headers=headers)

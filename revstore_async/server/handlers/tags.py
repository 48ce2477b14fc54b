"""The tags of a repository, by pages. Source: OCI distribution spec 1.1, "Listing Tags"."""

from starlette.responses import JSONResponse, Response

from ...errors import RepositoryUnknown
from ..context import RequestContext
from . import paging


async def page(context: RequestContext) -> Response:
    """Answer with one page of the tags, in lexical order."""
    limit = paging.limit(context)
    found = await context.repository.tags.list(limit=limit, last=paging.parameter(context, "last"))
    if not found.tags and not await context.repository.exists():
        raise RepositoryUnknown(context.repository.name)
    headers = None if found.next is None else paging.next_page(context, n=limit, last=found.next)
    return JSONResponse({"name": context.name, "tags": [info.tag for info in found.tags]}, headers=headers)

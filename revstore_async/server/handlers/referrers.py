"""The referrers of a manifest. Source: OCI distribution spec 1.1, "Listing Referrers"."""

import logging

from starlette.responses import Response

from ...concurrency import in_thread
from ...formats.descriptors import OCI_INDEX
from ...formats.digest import Digest
from ...revisions.referrers import ReferrerPage, written
from ..context import RequestContext
from . import paging

_LOG = logging.getLogger("revstore_async.server")


async def index(context: RequestContext) -> Response:
    """Answer with an index of the manifests that name this subject; empty for an unknown subject."""
    limit = paging.limit(context)
    artifact_type = paging.parameter(context, "artifactType")
    last = paging.parameter(context, "last")
    headers = {"Content-Type": OCI_INDEX}
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    subject = context.digest
    page = ReferrerPage((), None)
    if limit:
        page = await context.repository.referrers.list(
            subject, artifact_type=artifact_type, limit=limit, last=None if last is None else Digest(last)
        )
    if page.next is not None:
        headers |= paging.next_page(context, n=limit, last=page.next, artifactType=artifact_type)
    for error in page.unreadable:
        _LOG.warning("left out of the referrers of %s in %s: %s", subject, context.name, error)
    # Annotations may come to megabytes.
    return Response(await in_thread(_serialise, page), headers=headers)


def _serialise(page: ReferrerPage) -> bytes:
    members = [referrer.members() for referrer in page.referrers]
    return written({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members})

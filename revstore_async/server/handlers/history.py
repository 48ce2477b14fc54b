"""The history of a tag. Source: OCI distribution spec, proposal 606 as of July 2026, `extensions/_oci.md`."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Final

from starlette.responses import Response

from ...concurrency import gather_map
from ...errors import InvalidQuery, ObjectTooLarge, TagUnknown
from ...formats.descriptors import MANIFEST_LIMIT, OCI_INDEX, OCTET_STREAM
from ...formats.digest import Digest
from ...formats.lenient_manifests import guess_media_type
from ...formats.names import Tag
from ...revisions.referrers import READ_BYTES
from ...tags.history import TagEvent
from ...threads import in_thread_if_large
from ..context import RequestContext
from . import paging

_PREFIX: Final = "org.opencontainers.distribution.tag"
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry as the proposal has it.

    Attributes:
        place: The number of entries before it. Times don't tell entries apart: a store's clock may show whole
            seconds.
        digest: The revision that the tag got, or had when it was deleted.
        event: `created` or `deleted`.
        time: The time of the event.
    """

    place: int
    digest: Digest
    event: str
    time: datetime

    def members(self, media_type: str, size: int) -> dict[str, object]:
        time = self.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
        annotations = {f"{_PREFIX}.timestamp": time, f"{_PREFIX}.event": self.event}
        return {"mediaType": media_type, "digest": self.digest, "size": size, "annotations": annotations}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A client's question. Only our `Link` has a `place`: entries from that one on are on earlier pages."""

    before: datetime | None
    since: datetime | None
    digest: Digest | None
    place: int | None

    def __contains__(self, entry: _Entry) -> bool:
        return (
            (self.before is None or entry.time < self.before)
            and (self.since is None or entry.time > self.since)
            and (self.digest is None or entry.digest == self.digest)
            and (self.place is None or entry.place < self.place)
        )


async def of_tag(context: RequestContext) -> Response:
    """Answer with one page of a tag's history, the newest entry first; empty for an unknown tag."""
    tag, limit = Tag(context.arguments["tag"]), paging.limit(context)
    digest = paging.parameter(context, "digest")
    wanted = _Wanted(
        _time(context, "before"),
        _time(context, "since"),
        None if digest is None else Digest(digest),
        paging.number(context, "place"),
    )
    found = [entry for entry in _entries(await _events(context, tag)) if entry in wanted]
    page = found[::-1][:limit]
    described = await _describe(context, [entry.digest for entry in page])
    page = list(takewhile(lambda entry: entry.digest in described, page))
    headers = {"Content-Type": OCI_INDEX}
    if 0 < len(page) < len(found):
        headers |= paging.next_page(
            context,
            n=limit,
            place=page[-1].place,
            **{name: paging.parameter(context, name) for name in ("before", "since", "digest")},
        )
    manifests = [entry.members(*described[entry.digest]) for entry in page]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    return Response(content, headers=headers)


async def _events(context: RequestContext, tag: Tag) -> Sequence[TagEvent]:
    try:
        return await context.repository.tags.history(tag)
    except TagUnknown:
        return ()


def _entries(events: Sequence[TagEvent]) -> Iterator[_Entry]:
    previous: Digest | None = None
    for place, event in enumerate(events):
        if event.digest is not None:
            yield _Entry(place, event.digest, "created", event.since)
        elif previous is not None:
            yield _Entry(place, previous, "deleted", event.since)
        previous = event.digest


async def _describe(context: RequestContext, digests: Iterable[Digest]) -> Mapping[Digest, tuple[str, int]]:
    """Return media type and size of manifests, by their content: a deleted manifest stays in the history.

    The server reads them in their order, the first one in any case, until it has read `READ_BYTES`. It leaves
    out the rest.
    """
    found: dict[Digest, tuple[str, int]] = {}
    seen = 0

    async def describe(digest: Digest) -> None:
        nonlocal seen
        if seen <= READ_BYTES:
            found[digest] = await _describe_one(context, digest)
            seen += found[digest][1]

    await gather_map(describe, dict.fromkeys(digests), limit=context.registry.driver.capabilities.connections)
    return found


async def _describe_one(context: RequestContext, digest: Digest) -> tuple[str, int]:
    try:
        content = await context.registry.blobs.fetch(digest, limit=MANIFEST_LIMIT)
    except ObjectTooLarge as error:
        return OCTET_STREAM, error.size
    if content is None:
        return OCTET_STREAM, 0  # collected since; the proposal has no word for it
    media_type, declared = await in_thread_if_large(len(content), guess_media_type, content)
    if not declared:
        media_type = await context.repository.revisions.media_type(digest) or media_type
    return media_type or OCTET_STREAM, len(content)


def _time(context: RequestContext, name: str) -> datetime | None:
    text = paging.parameter(context, name)
    if text is None:
        return None
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    raise InvalidQuery(name, text, "it is not a time by RFC 3339")

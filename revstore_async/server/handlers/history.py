"""The history of a tag. Source: OCI distribution spec, proposal 606 as of July 2026, `extensions/_oci.md`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile, zip_longest
from typing import Final

from starlette.responses import Response

from ...concurrency import gather_map
from ...errors import InvalidQuery, ObjectTooLarge, TagUnknown
from ...formats.descriptors import MANIFEST_LIMIT, OCI_INDEX, OCTET_STREAM
from ...formats.digest import Digest
from ...formats.lenient_manifests import media_type_of
from ...formats.names import Tag
from ...revisions.referrers import READ_BYTES
from ...threads import in_thread_if_large
from ..context import RequestContext
from . import paging

_PREFIX: Final = "org.opencontainers.distribution.tag"
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


_PLACE = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
_EARLIER: Final = (
    16  # entries in a row that are earlier than `since`, so that all others are: clocks differ a little
)
_FILTERED: Final = 250  # entries that are read together where the client filters them

SCANNED: Final = 1000
"""Entries of a history that the server looks at for one page, where the client filters them."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry as the proposal has it.

    Attributes:
        place: Where it stands in the history. Times don't tell entries apart: a store's clock may show whole
            seconds.
        digest: The revision that the tag got, or had when it was deleted.
        event: `created` or `deleted`.
        time: The time of the event.
    """

    place: str
    digest: Digest
    event: str
    time: datetime

    def members(self, media_type: str, size: int) -> dict[str, object]:
        time = self.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
        annotations = {f"{_PREFIX}.timestamp": time, f"{_PREFIX}.event": self.event}
        return {"mediaType": media_type, "digest": self.digest, "size": size, "annotations": annotations}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A client's question: entries of these times, of this manifest."""

    before: datetime | None
    since: datetime | None
    digest: Digest | None

    def __contains__(self, entry: _Entry) -> bool:
        return (
            (self.before is None or entry.time < self.before)
            and (self.since is None or entry.time > self.since)
            and (self.digest is None or entry.digest == self.digest)
        )

    @property
    def filters(self) -> bool:
        """Whether entries may be left out among those of the page."""
        return self.since is not None or self.digest is not None


async def of_tag(context: RequestContext) -> Response:
    """Answer with one page of a tag's history, the newest entry first; empty for an unknown tag."""
    tag, limit = Tag(context.arguments["tag"]), paging.limit(context)
    digest = paging.parameter(context, "digest")
    wanted = _Wanted(
        _time(context, "before"),
        _time(context, "since"),
        None if digest is None else Digest(digest),
    )
    found, goes_on = await _find(context, tag, wanted, limit)
    described = await _describe(context, [entry.digest for entry in found[:limit]])
    page = list(takewhile(lambda entry: entry.digest in described, found[:limit]))
    headers = {"Content-Type": OCI_INDEX}
    last = page[-1].place if 0 < len(page) < len(found) else goes_on if len(page) == len(found) else None
    if last is not None:
        headers |= paging.next_page(
            context,
            n=limit,
            last=last,
            **{name: paging.parameter(context, name) for name in ("before", "since", "digest")},
        )
    manifests = [entry.members(*described[entry.digest]) for entry in page]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    return Response(content, headers=headers)


async def _find(
    context: RequestContext, tag: Tag, wanted: _Wanted, limit: int
) -> tuple[Sequence[_Entry], str | None]:
    """Return the entries of a page and one more if it is known, and where the rest of the history goes on.

    The server looks at `SCANNED` entries at most where the client filters them, so a page may be empty and lead on.
    It ends where entries are earlier than all that the client wants.
    """
    found: list[_Entry] = []
    last = paging.parameter(context, "last")
    if last is not None and not _PLACE.fullmatch(last):
        raise InvalidQuery("last", last, "it is no place in a history")
    if limit == 0:
        return found, None
    looked, at_once = 0, max(limit, _FILTERED) if wanted.filters else limit
    while len(found) <= limit and looked < SCANNED:
        entries, last = await _read(context, tag, at_once, last, wanted.before)
        found += [entry for entry in entries if entry in wanted]
        looked += len(entries)
        if wanted.since is not None and all(entry.time <= wanted.since for entry in entries[-_EARLIER:]):
            return found, None
        if last is None:
            break
    return found, last


async def _read(
    context: RequestContext, tag: Tag, limit: int, last: str | None, before: datetime | None
) -> tuple[Sequence[_Entry], str | None]:
    """Return up to `limit` + 1 entries, and where the history goes on after them."""
    try:
        page = await context.repository.tags.history_page(
            tag, limit=limit + 2, last=last, until=before if last is None else None
        )
    except TagUnknown:
        return (), None
    entries: list[_Entry] = []
    for event, earlier in zip_longest(page.events, page.events[1:]):
        if event.digest is not None:
            entries.append(_Entry(event.place, event.digest, "created", event.since))
        elif earlier is not None and earlier.digest is not None:
            entries.append(_Entry(event.place, earlier.digest, "deleted", event.since))
    if page.next is None:
        return entries, None
    # Of the last event, the one before it may be needed to tell its manifest.
    kept = [entry for entry in entries if entry.place != page.events[-1].place]
    return kept, page.events[-2].place


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
    media_type, declared = await in_thread_if_large(len(content), media_type_of, content)
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

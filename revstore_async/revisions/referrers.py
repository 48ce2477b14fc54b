"""Referrers: the manifests of a repository that name another as their subject.

A put of a manifest with a subject writes a link beside the subject's revision, even if that revision is absent.
Some clients keep the subject's referrers themselves: in an index, under a tag made from the subject's digest. A
listing also finds the manifests of this index. Sources: OCI distribution spec, "Listing Referrers", "Referrers
Tag Schema", "Enabling the Referrers API".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Final

from ..arguments import check_type
from ..blobs.links import LinkStore
from ..concurrency import gather, gather_map
from ..driver import LIST_LIMIT, Driver, entries
from ..errors import Damaged, InvalidArgument, LinkDamaged, ManifestUnknown, ObjectTooLarge
from ..formats.descriptors import MANIFEST_LIMIT, OCTET_STREAM, Descriptor, canonical
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredDocument, listed_manifests, read_stored
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, ReferrerLink, TagCurrent
from ..threads import in_thread_if_large
from .store import RevisionStore

PAGE_BYTES: Final = MANIFEST_LIMIT - 1024
"""The most bytes of a page, as `written` returns it: clients read no more of an index than of any manifest."""

READ_BYTES: Final = 8 * MANIFEST_LIMIT
"""The bytes of manifests after which a listing reads no more for a page, even if the page shows few of them."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """One entry of a listing: a manifest that names another as its subject.

    Attributes:
        descriptor: Its media type, digest and size in bytes. The artifact type is the manifest's own; an image
            manifest without one gets its config's media type.
        annotations: The manifest's own annotations; empty if a page of its own could not hold them.
    """

    descriptor: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def members(self) -> dict[str, object]:
        """Return it as the members of an OCI descriptor, in the form of an index's entry, to write as JSON."""
        members: dict[str, object] = {
            "mediaType": self.descriptor.media_type,
            "digest": str(self.descriptor.digest),
            "size": self.descriptor.size,
        }
        if self.descriptor.artifact_type is not None:
            members["artifactType"] = self.descriptor.artifact_type
        if self.annotations:
            members["annotations"] = dict(self.annotations)
        return members


@dataclass(frozen=True, slots=True)
class ReferrerPage:
    """One page of a manifest's referrers.

    Attributes:
        referrers: In the order of their digests. A page may hold fewer than the limit, even 0, while more pages
            follow.
        next: The `last` of the call for the next page; None after the last page.
        unreadable: The errors of manifests, or of the index that clients keep, that the page leaves out. Their
            damage is not the subject's, and must not hide the other referrers.
    """

    referrers: tuple[Referrer, ...]
    next: Digest | None
    unreadable: tuple[Damaged | ObjectTooLarge, ...] = ()


class ReferrerStore:
    """The referrers of one repository's manifests."""

    def __init__(
        self, name: RepositoryName, revisions: RevisionStore, driver: Driver, layout: Layout
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout

    async def list(
        self,
        subject: str,
        *,
        artifact_type: str | None = None,
        limit: int = LIST_LIMIT,
        last: str | None = None,
    ) -> ReferrerPage:
        """Return one page of the manifests that name a subject, in the order of their digests.

        2 round trips: first the links of referrers, together with the tag of the index that clients keep; then
        the manifests and the index, together. Each of these takes 2 requests, as many at once as the driver
        allows. Manifests that only the index knows, as another program stores them, take 1 round trip more.
        Those that don't declare their media type take 1 more as well. The subject need not be there, nor the
        index. A manifest of the index counts if it is in the repository and names the subject. The page
        describes it by its own content, not by its entry in the index.

        While the put or deletion of a manifest is under way, or after it died, the manifest counts only if it
        can be read by digest.

        Args:
            subject: The subject's digest.
            artifact_type: Only referrers of this type; None for all.
            limit: The most manifests to look at for the page. The page also ends before its JSON is larger than
                clients read (`PAGE_BYTES`), and once the manifests read for it come to `READ_BYTES`. A referrer
                that is larger than a page is listed without its annotations.
            last: Only referrers whose digests come after this one; it need not exist.

        Raises:
            InvalidDigest: The subject, or `last`, is outside the grammar.
            InvalidArgument: `limit` is below 1.
        """
        check_type("limit", limit, int)
        check_type("artifact_type", artifact_type, str, NoneType)
        if limit < 1:
            raise InvalidArgument("limit", limit, "it is not at least 1")
        wanted = _Wanted(Digest(subject), None if artifact_type is None else canonical(artifact_type))
        after = None if last is None else Digest(last)
        (linked, more), tagged = await gather(
            self._linked(wanted.subject, limit, after), self._tagged(wanted.subject)
        )
        found, indexed = await gather(self._read_all(linked, wanted), self._indexed(tagged))
        if isinstance(indexed, Damaged | ObjectTooLarge):
            return _page(linked, found, [indexed], more=more)
        candidates = sorted({*linked, *(each for each in indexed if after is None or each > after)})
        more = more or len(candidates) > limit  # links not listed yet come after the listed ones
        candidates = candidates[:limit]
        known = set(linked)
        found |= await self._read_all([each for each in candidates if each not in known], wanted)
        return _page(candidates, found, [], more=more)

    # ---- inside

    async def _linked(
        self, subject: Digest, limit: int, last: Digest | None
    ) -> tuple[Sequence[Digest], bool]:
        """Return the digests of one page of linked referrers, and whether there may be more."""
        folder = self._layout.referrers_of(self._name, subject)
        if not self._driver.capabilities.ordered_listing:
            keys = [info.key async for info in entries(self._driver.list_all, folder)]
            linked = sorted(each for each in self._parsed(keys) if last is None or each > last)
            return linked[:limit], len(linked) > limit
        start_after = None
        if last is not None:
            start_after = self._layout.key(ReferrerLink(self._name, subject, last))
        found: list[Digest] = []
        while True:
            page = await self._driver.list_all(folder, start_after=start_after, limit=LIST_LIMIT)
            found += self._parsed(info.key for info in page.entries)
            start_after = page.next
            if start_after is None or len(found) >= limit:
                return found[:limit], start_after is not None or len(found) > limit

    def _parsed(self, keys: Iterable[str]) -> Sequence[Digest]:
        items = map(self._layout.parse, keys)
        return [item.digest for item in items if isinstance(item, ReferrerLink)]

    async def _tagged(self, subject: Digest) -> Digest | LinkDamaged | None:
        """Return the digest of the index that clients keep of a subject's referrers, if there is one."""
        try:
            link = await self._links.find(self._layout.key(TagCurrent(self._name, fallback_tag(subject))))
        except LinkDamaged as error:
            return error
        return link.digest if link else None

    async def _indexed(
        self, tagged: Digest | LinkDamaged | None
    ) -> Sequence[Digest] | Damaged | ObjectTooLarge:
        """Return the digests that the clients' index lists, or the error of reading it."""
        if not isinstance(tagged, Digest):
            return tagged or ()
        payload = await self._payload(tagged)
        if not isinstance(payload, bytes):
            return payload or ()
        return await in_thread_if_large(len(payload), listed_manifests, payload)

    async def _payload(self, digest: Digest) -> bytes | Damaged | ObjectTooLarge | None:
        try:
            return await self._revisions.payload(digest)
        except ManifestUnknown:
            return None
        except (Damaged, ObjectTooLarge) as error:
            return error

    async def _read_all(self, digests: Sequence[Digest], wanted: "_Wanted") -> "_Found":
        """Read manifests, in their order, until their entries fill a page or `READ_BYTES` were read."""
        found: _Found = {}
        filled = seen = 0

        async def read(digest: Digest) -> None:
            nonlocal filled, seen
            if filled > PAGE_BYTES or seen > READ_BYTES:
                return
            payload = await self._payload(digest)
            if not isinstance(payload, bytes):
                found[digest] = payload
                return
            seen += len(payload)
            found[digest] = each = await self._described(digest, payload, wanted)
            filled += each.size if isinstance(each, _Entry) else 0

        await gather_map(read, digests, limit=self._driver.capabilities.connections)
        return found

    async def _described(
        self, digest: Digest, payload: bytes, wanted: "_Wanted"
    ) -> "_Entry | Damaged | None":
        document = await in_thread_if_large(len(payload), read_stored, payload)
        if not wanted.covers(document):
            return None
        try:
            kept = None if document.declared else await self._revisions.media_type(digest)
        except Damaged as error:
            return error
        return await in_thread_if_large(len(payload), _entry, digest, len(payload), document, kept)


def fallback_tag(subject: Digest) -> Tag:
    """Return the tag under which clients keep an index of a subject's referrers.

    Source: OCI distribution spec, "Referrers Tag Schema": algorithm and value are cut to 32 and 64 characters.
    """
    return Tag(re.sub(r"[^A-Za-z0-9._-]", "-", f"{subject.algorithm[:32]}-{subject.hex[:64]}"))


def written(members: Mapping[str, object]) -> bytes:
    """Return members as JSON in the fewest bytes: UTF-8, with escapes only where there is no other form.

    Members that were read from a manifest take no more bytes than in the manifest.
    """
    # A surrogate by itself is written as the JSON escape that it was read from.
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The manifests that the caller asks for: their subject, and their artifact type in canonical form."""

    subject: Digest
    artifact_type: str | None

    def covers(self, document: StoredDocument) -> bool:
        """Say whether a manifest is among them."""
        if document.subject != self.subject:
            return False
        return self.artifact_type in {None, canonical(document.artifact_type or "")}


@dataclass(frozen=True, slots=True)
class _Entry:
    """The entry of a referrer, and the bytes that it takes in a page."""

    referrer: Referrer
    size: int


_Found = dict[Digest, _Entry | Damaged | ObjectTooLarge | None]
"""The results of reading manifests: None for a manifest that is absent or not wanted."""


def _entry(digest: Digest, payload_size: int, document: StoredDocument, kept: str | None) -> _Entry:
    media_type = kept or document.media_type or OCTET_STREAM
    descriptor = Descriptor(media_type, digest, payload_size, document.artifact_type)
    referrer = Referrer(descriptor, document.annotations)
    size = len(written(referrer.members()))
    if size > PAGE_BYTES:
        referrer = Referrer(descriptor)
        size = len(written(referrer.members()))
    if size > PAGE_BYTES:  # another program took it; so long an artifact type is no media type
        referrer = Referrer(replace(descriptor, artifact_type=None))
        size = len(written(referrer.members()))
    return _Entry(referrer, size + 1)  # and the comma after it


def _page(
    candidates: Sequence[Digest],
    found: _Found,
    unreadable: Sequence[Damaged | ObjectTooLarge],
    *,
    more: bool,
) -> ReferrerPage:
    """Make a page of the manifests that were read, until it is full. The first of the candidates was read."""
    referrers: list[Referrer] = []
    wrong = list(unreadable)
    size = 0
    end = candidates[-1] if more else None
    for position, digest in enumerate(candidates):
        entry = found.get(digest)
        size += entry.size if isinstance(entry, _Entry) else 0
        if digest not in found or (referrers and size > PAGE_BYTES):
            end = candidates[position - 1]
            break
        if isinstance(entry, _Entry):
            referrers.append(entry.referrer)
        elif entry is not None:
            wrong.append(entry)
    return ReferrerPage(tuple(referrers), end, tuple(wrong))

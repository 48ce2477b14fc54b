"""Referrers: the manifests of a repository that name another as their subject.

A put of a manifest with a subject writes a link beside the subject's revision, whether or not that is there. Where
the subject's referrers are kept by clients, in an index under a tag that is made of the subject's digest, what
that lists is found as well. Sources: OCI distribution spec, "Listing Referrers", "Referrers Tag Schema",
"Enabling the Referrers API".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..blobs.links import LinkStore
from ..concurrency import gather, gather_map
from ..driver import LIST_LIMIT, Driver, entries
from ..errors import Damaged, InvalidArgument, LinkDamaged, ManifestUnknown, ObjectTooLarge
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredDocument, listed_manifests, read_stored
from ..formats.manifests import MANIFEST_LIMIT, OCTET_STREAM, Descriptor, canonical
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, ReferrerLink, TagCurrent
from ..threads import in_thread_if_large
from .store import Revision, RevisionStore

PAGE_BYTES: Final = MANIFEST_LIMIT - 1024
"""Bytes of a page at most, as `written`: clients read no more of an index than of any manifest."""

READ_BYTES: Final = 8 * MANIFEST_LIMIT
"""Bytes of manifests after which no more of them are read for a page, whatever it shows of them."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that names another as its subject, as a listing tells of it.

    Attributes:
        descriptor: Its media type, digest and size in bytes. The artifact type is its own; where an image
            manifest has none, its config's media type.
        annotations: The manifest's own annotations; none where a page of its own could not hold them.
    """

    descriptor: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def members(self) -> dict[str, object]:
        """Return it as the members of an OCI descriptor, as an index holds it; to be written as JSON."""
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
        referrers: In the order of their digests. There may be fewer than were asked for, even none, though more
            pages follow.
        next: What to pass as `last` for the page that follows; None after the last one.
        unreadable: What kept a manifest, or the index that clients keep, out of the page: damage that is not
            the subject's, and must not hide the other referrers.
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

        Two round trips: the links of referrers together with the tag of the index that clients keep; then what
        they point at, together, two requests each, up to the driver's limit. A third one for manifests that
        only that index knows, as another program stores them, and one for those that don't tell their media
        type. The subject need not be there, nor the index: its manifests count if they are in the repository
        and do name the subject, and are told of by what they are, not by what the index says of them.

        A manifest whose put or deletion is under way, or died, is no referrer unless it can be read by digest.

        Args:
            subject: The digest of the manifest that is referred to.
            artifact_type: Only referrers of this type; None for all.
            limit: Manifests that are looked at for the page, at most. It also ends where it would be larger,
                written as JSON, than clients read (`PAGE_BYTES`), and where what was read for it comes to
                `READ_BYTES`. A referrer that is larger than a page is told of without its annotations.
            last: Only referrers whose digests come after this one; it need not exist.

        Raises:
            InvalidDigest: The subject, or `last`, is outside the grammar.
            InvalidArgument: `limit` is below 1.
        """
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
        more = more or len(candidates) > limit  # what was not listed yet comes after all that was
        candidates = candidates[:limit]
        known = set(linked)
        found |= await self._read_all([each for each in candidates if each not in known], wanted)
        return _page(candidates, found, [], more=more)

    # ---- inside

    async def _linked(
        self, subject: Digest, limit: int, last: Digest | None
    ) -> tuple[Sequence[Digest], bool]:
        """Return the digests of a page of what is linked as referrers, and whether there may be more."""
        folder = self._layout.referrers_of(self._name, subject)
        if not self._driver.capabilities.ordered_listing:
            keys = [info.key async for info in entries(self._driver.list_all, folder)]
            linked = sorted(each for each in self._parsed(keys) if last is None or each > last)
            return linked[:limit], len(linked) > limit
        place = None
        if last is not None:
            place = self._layout.key(ReferrerLink(self._name, subject, last))
        found: list[Digest] = []
        while True:
            page = await self._driver.list_all(folder, start_after=place, limit=LIST_LIMIT)
            found += self._parsed(info.key for info in page.entries)
            place = page.next
            if place is None or len(found) >= limit:
                return found[:limit], place is not None or len(found) > limit

    def _parsed(self, keys: Iterable[str]) -> Sequence[Digest]:
        places = map(self._layout.parse, keys)
        return [place.digest for place in places if isinstance(place, ReferrerLink)]

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
        """Return what the index lists that clients keep, or what is wrong with it."""
        if not isinstance(tagged, Digest):
            return tagged or ()
        revision = await self._revision(tagged)
        if not isinstance(revision, Revision):
            return revision or ()
        return await in_thread_if_large(len(revision.payload), listed_manifests, revision.payload)

    async def _revision(self, digest: Digest) -> Revision | Damaged | ObjectTooLarge | None:
        try:
            return await self._revisions.get(digest, signatures=False)
        except ManifestUnknown:
            return None
        except (Damaged, ObjectTooLarge) as error:
            return error

    async def _read_all(self, digests: Sequence[Digest], wanted: "_Wanted") -> "_Found":
        """Read manifests, in their order, until what is to be told of them fills a page, or enough was read."""
        found: _Found = {}
        told = seen = 0

        async def read(digest: Digest) -> None:
            nonlocal told, seen
            if told > PAGE_BYTES or seen > READ_BYTES:
                return
            revision = await self._revision(digest)
            if not isinstance(revision, Revision):
                found[digest] = revision
                return
            seen += len(revision.payload)
            found[digest] = each = await self._tell(revision, wanted)
            told += each.size if isinstance(each, _Told) else 0

        await gather_map(read, digests, limit=self._driver.capabilities.connections)
        return found

    async def _tell(self, revision: Revision, wanted: "_Wanted") -> "_Told | Damaged | None":
        payload = revision.payload
        document = await in_thread_if_large(len(payload), read_stored, payload)
        if not wanted.covers(document):
            return None
        try:
            kept = None if document.declared else await self._revisions.media_type(revision.digest)
        except Damaged as error:
            return error
        return await in_thread_if_large(len(payload), _told, revision, document, kept)


def fallback_tag(subject: Digest) -> Tag:
    """Return the tag under which clients keep an index of a subject's referrers.

    Source: OCI distribution spec, "Referrers Tag Schema": algorithm and value are cut to 32 and 64 characters.
    """
    return Tag(re.sub(r"[^A-Za-z0-9._-]", "-", f"{subject.algorithm[:32]}-{subject.hex[:64]}"))


def written(members: Mapping[str, object]) -> bytes:
    """Return members as JSON in the fewest bytes: UTF-8, with escapes only for what it has no form for.

    Read out of a manifest, they take no more bytes than they took there.
    """
    # A surrogate by itself is written as the JSON escape that it was read from.
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The manifests that are asked for: by their subject, and by their artifact type in canonical form."""

    subject: Digest
    artifact_type: str | None

    def covers(self, document: StoredDocument) -> bool:
        """Say whether a manifest is among them."""
        if document.subject != self.subject:
            return False
        return self.artifact_type in {None, canonical(document.artifact_type or "")}


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of a referrer, and the bytes that it takes in a page."""

    referrer: Referrer
    size: int


_Found = dict[Digest, _Told | Damaged | ObjectTooLarge | None]
"""What came of reading manifests: None for one that is none of those that are wanted."""


def _told(revision: Revision, document: StoredDocument, kept: str | None) -> _Told:
    media_type = kept or document.media_type or OCTET_STREAM
    descriptor = Descriptor(media_type, revision.digest, len(revision.payload), document.artifact_type)
    referrer = Referrer(descriptor, document.annotations)
    size = len(written(referrer.members()))
    if size > PAGE_BYTES:
        referrer = Referrer(descriptor)
        size = len(written(referrer.members()))
    if size > PAGE_BYTES:  # another program took it; what is no media type names no artifact
        referrer = Referrer(replace(descriptor, artifact_type=None))
        size = len(written(referrer.members()))
    return _Told(referrer, size + 1)  # and the comma after it


def _page(
    candidates: Sequence[Digest],
    found: _Found,
    unreadable: Sequence[Damaged | ObjectTooLarge],
    *,
    more: bool,
) -> ReferrerPage:
    """Make a page of what was read, up to where it is full. The first of the candidates was read."""
    referrers: list[Referrer] = []
    wrong = list(unreadable)
    size = 0
    end = candidates[-1] if more else None
    for position, digest in enumerate(candidates):
        told = found.get(digest)
        size += told.size if isinstance(told, _Told) else 0
        if digest not in found or (referrers and size > PAGE_BYTES):
            end = candidates[position - 1]
            break
        if isinstance(told, _Told):
            referrers.append(told.referrer)
        elif told is not None:
            wrong.append(told)
    return ReferrerPage(tuple(referrers), end, tuple(wrong))

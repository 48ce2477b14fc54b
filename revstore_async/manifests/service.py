"""Manifests as clients know them: documents that go in and come out by tag or digest.

The manifest service puts the stores together. Its name is Docker Distribution's.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import Any, Final, TypeVar

from ..arguments import as_bytes, check_series, check_type
from ..blobs.cache import Cache
from ..blobs.layers import LayerStore
from ..concurrency import alongside, gather, gather_map, settled
from ..driver import Driver
from ..errors import (
    Damaged,
    DigestMismatch,
    InvalidArgument,
    ManifestUnknown,
    ObjectTooLarge,
    RevstoreError,
    StorageFailure,
    TagContended,
    TagUnknown,
    Unavailable,
    VerificationFailed,
)
from ..formats.descriptors import OCTET_STREAM, Descriptor, is_schema1_type
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredKind
from ..formats.names import RepositoryName, Tag, tag_or_digest
from ..policy import Policy
from ..revisions.kept_types import KeptType
from ..revisions.store import Revision, RevisionStore
from ..tags.changes import TRIES
from ..tags.state import Expected, TagChange, check_expected
from ..tags.store import TagStore
from ..threads import digest_of, in_thread_if_large
from .incoming import IncomingManifest, take_apart
from .references import References
from .served import Manifest, merged

R = TypeVar("R")

_GRACE: Final = 5.0  # seconds in which links are written after a failure or a cancellation
_TRIES = 5  # how often all is asked again when the answers are too old to rely on


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """What came of putting a manifest.

    Attributes:
        digest: The digest of the revision: for a signed document, of its payload.
        media_type: Its type.
        size: Bytes of what was put.
        tags: The tags that point at it now: those that were given, each once.
        subject: The manifest that it is about, if any.
    """

    digest: Digest
    media_type: str
    size: int
    tags: tuple[Tag, ...]
    subject: Descriptor | None

    @property
    def tag(self) -> Tag | None:
        """The first of the tags; None where none was given."""
        return self.tags[0] if self.tags else None


class ManifestService:
    """The manifests of one repository."""

    def __init__(
        self,
        name: RepositoryName,
        revisions: RevisionStore,
        tags: TagStore,
        layers: LayerStore,
        driver: Driver,
        policy: Policy,
        guesses: Cache,
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._tags = tags
        self._guesses = guesses
        self._at_once = driver.capabilities.connections
        self._references = References(name, revisions, layers, self._at_once)
        self._policy = policy

    # ---- reading

    async def get(self, reference: str, *, signatures: bool = True, likely_signed: bool = True) -> Manifest:
        """Return a manifest by tag or digest.

        By digest one round trip, two if it is signed; by tag one more; one more for a manifest that does not
        tell its own media type. By a tag that still points at what it did when it was last asked for, without
        signatures, it is one round trip: both are asked for together.

        Args:
            reference: A tag, or a digest.
            signatures: False where only what is served matters: `Manifest.signatures` are then those of Docker
                schema 1, whose document holds them, and none of any other manifest. For one that was read before
                it saves the listing of them, and for one that has some a round trip. A damaged signature is then
                left out and named in `Manifest.unreadable`, unless no signature is left.
            likely_signed: False where, besides, schema 1 is not expected: it saves that listing for one that was
                not read before, too. If it is schema 1 all the same, that is one round trip more.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            Damaged: What is stored is not what it must be; the error names it.
        """
        if signatures:
            return await self._named(reference, partial(self._get, signatures=True))
        return await self._at(reference, partial(self._get, likely_signed=likely_signed))

    async def stat(self, reference: str) -> Descriptor:
        """Return what `get` would serve, without the bytes: the media type, the digest, the size in bytes.

        By digest one round trip, of two requests and no listing, signed or not; by tag one more; one more for a
        manifest that does not tell its own media type. Docker schema 1 is merged to be measured: two more.

        Args:
            reference: A tag, or a digest.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            Damaged: What is stored is not what it must be; the error names it.
        """
        found = await self.head(reference)
        return found.descriptor if isinstance(found, Manifest) else found

    async def head(self, reference: str) -> Descriptor | Manifest:
        """Return what `stat` would; for Docker schema 1 the manifest, which had to be merged to tell.

        Costs and errors are those of `stat`.
        """
        return await self._at(reference, self._head)

    async def rely_on(self, reference: str) -> Descriptor | Manifest:
        """Return what `head` would, of a manifest that is here to rely on, for one who may push. As `head`.

        To one who may push, a damaged manifest is not there: its client pushes it, and that writes it again. What
        is kept in memory counts for nothing here; a schema 1 manifest that is kept costs a request more.

        Args:
            reference: A tag, or a digest.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            TagUnknown: There is no such tag; or it, or what it points at, is damaged, which is the error's cause.
            ManifestUnknown: The repository has no such revision, or a damaged one, likewise.
        """
        try:
            return await self._at(reference, partial(self._head, relying=True))
        except (Damaged, ObjectTooLarge) as error:
            target = tag_or_digest(reference)
            if isinstance(target, Tag):
                raise TagUnknown(self._name, target) from error
            raise ManifestUnknown(self._name, target) from error

    async def _get(self, digest: Digest, *, signatures: bool = False, likely_signed: bool = True) -> Manifest:
        if signatures:
            revision = await self._revisions.get(digest)
        else:
            revision = await self._revisions.served(digest, likely_signed=likely_signed)
        kind = await self._revisions.kind(digest, revision.payload)
        media_type = await self._media_type(digest, kind)
        if not is_schema1_type(media_type):
            return Manifest(revision.payload, media_type, digest, revision.signatures)
        return await self._merged(revision, whole=signatures or kind.schema1)

    async def _head(self, digest: Digest, *, relying: bool = False) -> Descriptor | Manifest:
        kind = await self._revisions.stat(digest, relying=relying)
        if kind is not None and not is_schema1_type(media_type := await self._media_type(digest, kind)):
            return Descriptor(media_type, digest, kind.size)
        revision = await self._revisions.get(digest, signatures=False, fresh=relying)
        kind = await self._revisions.kind(digest, revision.payload)
        media_type = await self._media_type(digest, kind)
        if not is_schema1_type(media_type):
            return Descriptor(media_type, digest, kind.size)
        return await self._merged(revision, whole=False, relying=relying)

    async def exists(self, reference: str) -> bool:
        """Say whether a manifest is there, by tag or digest. One round trip; by tag two.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            LinkDamaged: A link on the way holds something else.
        """
        try:
            await self._named(reference, self._linked)
        except (TagUnknown, ManifestUnknown):
            return False
        return True

    # ---- writing

    async def put(
        self,
        document: bytes | bytearray | memoryview,
        *,
        tag: str | None = None,
        tags: Sequence[str] = (),
        media_type: str | None = None,
        digest: str | None = None,
        expected: Expected = None,
        check_layers: bool | None = None,
    ) -> StoredManifest:
        """Verify and store a manifest, add its signatures to those stored, and set tags.

        Two round trips; with tags three: content together with all checks, then links, then the tags. One more
        for a manifest that does not declare the type that it came as, nor shows it by its form. What is wrong is
        collected: one error tells all of it. A manifest with a subject is one of its referrers from then on.

        Each tag is a switch of its own. All are judged before any is announced; yet where another writer comes
        in between, one may be refused when others were set.

        Args:
            document: A manifest of any type, of 4 MiB at most; for Docker schema 1, signed or not.
            tag: A tag to set; None for none.
            tags: More tags to set.
            media_type: The type that it came with; None to go by the document.
            digest: What its digest must be; also chooses the algorithm under which it is stored.
            expected: What each of the tags must point at now (see `TagStore.set`); only together with a tag.
            check_layers: Refuse it when the repository lacks something that it refers to; None for what the
                registry's policy says.

        Raises:
            InvalidTag: A tag is outside the grammar.
            InvalidDigest: The digest, or the expected one, is outside the grammar.
            InvalidArgument: Something is expected of no tag.
            WrongType: An argument is of another type, such as text where tags are expected.
            ManifestTooLarge: It has more than 4 MiB.
            InvalidJSON: It is not strict JSON, or not an object.
            InvalidManifest: It is not the manifest that it claims to be.
            InvalidSignature: Its signatures are not of the form.
            DigestMismatch: It has another digest.
            VerificationFailed: All else that is wrong: `ManifestNameMismatch`, `ManifestTagMismatch`,
                `SignatureMismatch` and its kin, `NotTrusted`, `BlobUnknown` and `ManifestUnknown` for what it
                refers to and what is not there, is damaged or has another size than it announces. Content may have
                been written, which nothing refers to; no link was.
            MediaTypeConflict: It does not declare its type, and is stored as another than it came with.
            TagChanged: A tag is not as expected. It was not moved; the manifest may be stored by its digest.
            TagImmutable: The policy forbids to move a tag; as before.
            TagContended: Others changed a tag each of 100 times; as before.
        """
        if type(document) is not bytes:
            document = as_bytes("document", document)
        if media_type is not None and type(media_type) is not str:
            check_type("media_type", media_type, str, NoneType)
        check_series("tags", tags, "tags")
        given = (*(() if tag is None else (tag,)), *tags)
        names, expected = tuple(dict.fromkeys(map(Tag, given))), check_expected(expected)
        if not names and expected is not None:
            raise InvalidArgument("expected", expected, "it is expected of a tag, and none is given")
        incoming = await in_thread_if_large(
            len(document), take_apart, document, media_type, self._name, names, self._policy.trust
        )
        revision = Digest(digest) if digest is not None else await digest_of(incoming.payload)
        if (
            digest is not None
            and (actual := await digest_of(incoming.payload, revision.algorithm)) != revision
        ):
            raise DigestMismatch(revision, actual)
        wanted = self._policy.check_layers if check_layers is None else check_layers
        if incoming.errors:
            missing = await self._references.missing(incoming.document) if wanted else ()
            raise VerificationFailed(self._name, (*incoming.errors, *missing))
        came_as = None if media_type is None or incoming.document.declared else incoming.document.media_type
        found = await self._write(revision, incoming, names, expected, came_as, check_layers=wanted)
        await self._link(revision, found, incoming.document.subject)
        subject = incoming.document.subject
        return StoredManifest(revision, incoming.document.media_type, len(document), names, subject)

    async def delete(self, reference: str, *, expected: Expected = None) -> None:
        """Delete a tag, by its name; or a revision, by its digest, with the tags that point at it.

        Content stays stored, for other repositories may have it. Tags go before the revision, and those that
        were set meanwhile after it; one that is set later still, by a writer who looked before, points at
        nothing until it is set again or deleted. A revision with a subject is no longer among its referrers;
        what refers to the revision itself stays.

        Args:
            reference: A tag, or a digest.
            expected: What the tag must point at now (see `TagStore.delete`). With a digest it can only be that.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none; or the expected one is outside the grammar.
            InvalidArgument: Something else is expected of a digest than itself.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            TagChanged: The tag is not as expected; nothing was deleted.
            LinkDamaged: Something is expected, but what the tag is can't be read.
            TagImmutable: The policy forbids to delete the tag, or one that points at the revision.
            TagContended: Others changed the tag each of 100 times.
            Unsupported: Something is expected of a tag, and the driver lacks conditional writes.
        """
        target, expected = tag_or_digest(reference), check_expected(expected)
        if isinstance(target, Tag):
            await self._tags.delete(target, expected=expected)
            return
        if expected is not None and expected != target:
            raise InvalidArgument("expected", expected, "a digest is a revision's own and never another")
        linked, cleared = await gather(self._revisions.linked(target), self._tags.delete_all_of(target))
        if not linked and not cleared:
            raise ManifestUnknown(self._name, target)
        deleted, failed = {*cleared}, False
        while linked:
            try:
                await self._revisions.delete(target)
                swept = await self._tags.delete_all_of(target, after=deleted)
            except RevstoreError as error:
                # Half of a deletion leaves a tag that points at nothing, so it is tried once more.
                if failed or not error.retryable:
                    raise
                failed = True
            else:
                # A tag that was set meanwhile goes, and with it a revision that its writer linked again.
                deleted |= {*swept}
                linked = bool(swept)

    # ---- inside

    async def _linked(self, digest: Digest) -> None:
        if not await self._revisions.exists(digest):
            raise ManifestUnknown(self._name, digest)

    async def _named(self, reference: str, read: Callable[[Digest], Coroutine[Any, Any, R]]) -> R:
        """Resolve a reference, then read the revision it names."""
        target = tag_or_digest(reference)
        if not isinstance(target, Tag):
            return await read(target)
        return await self._follow(target, await self._tags.resolve(target), read)

    async def _follow(self, tag: Tag, digest: Digest, read: Callable[[Digest], Coroutine[Any, Any, R]]) -> R:
        """Read the revision that a tag pointed at; where it is gone, the one that the tag points at now.

        Since the tag was read, a put may have moved it, and a deletion may have removed the revision that it left.
        A client that asks for a tag that always pointed at something must not hear of that.

        Raises:
            TagUnknown: The tag is gone as well.
            ManifestUnknown: The tag still points at a revision that is not there, or moved each of 5 times.
        """
        for _ in range(_TRIES):
            try:
                return await read(digest)
            except ManifestUnknown:
                now = await self._tags.resolve(tag)
                if now == digest:
                    raise
                digest = now
        return await read(digest)

    async def _at(self, reference: str, read: Callable[[Digest], Coroutine[Any, Any, R]]) -> R:
        """Read what a reference names; beside the tag, already what it named when it was last asked for.

        The guess is an answer only if the tag still points at it. Where reading it fails it is read once more:
        it may have been stored since.
        """
        target = tag_or_digest(reference)
        if not isinstance(target, Tag):
            return await read(target)
        place = f"{self._name}:{target}"
        guess = self._guesses.find(Digest, place)
        if guess is None or not self._revisions.plain(guess):
            digest = await self._tags.resolve(target)
            self._guesses.keep(place, digest, len(digest))
            return await self._follow(target, digest, read)
        async with alongside(read(guess)) as reading:
            digest = await self._tags.resolve(target)
            if digest == guess:
                with suppress(RevstoreError):
                    return await reading
        self._guesses.keep(place, digest, len(digest))
        return await self._follow(target, digest, read)

    async def _media_type(self, digest: Digest, kind: StoredKind) -> str:
        """Return a revision's media type; one request where the document does not tell it."""
        kept = None if kind.declared else await self._revisions.media_type(digest)
        return kept or kind.media_type or OCTET_STREAM

    async def _merged(self, revision: Revision, *, whole: bool, relying: bool = False) -> Manifest:
        """Return a schema 1 manifest as it is served; two round trips where it was read without its signatures."""
        if not whole:
            revision = await self._revisions.signed(revision, relying=relying)
        return await merged(revision)

    async def _write(
        self,
        revision: Digest,
        incoming: IncomingManifest,
        tags: Sequence[Tag],
        expected: Expected,
        media_type: str | None,
        *,
        check_layers: bool,
    ) -> "_Found":
        """Write content and ask about all that it relies on, together; anew if that took too long to rely on."""
        loop = asyncio.get_running_loop()
        payload, signatures = incoming.payload, incoming.signatures
        begin = partial(self._tags.changes.begin, digest=revision, expected=expected)
        for _ in range(_TRIES):
            asked = loop.time()
            signed, missing, changes, (linked, known, kept) = await gather(
                self._revisions.write_content(revision, payload, signatures),
                self._references.missing(incoming.document) if check_layers else _nothing(),
                gather_map(begin, tags, limit=self._at_once),
                gather(
                    _no() if tags else self._revisions.linked(revision),
                    self._revisions.check_room(revision, payload, signatures),
                    self._revisions.check_media_type(
                        revision, media_type, apparent=incoming.document.apparent
                    ),
                ),
            )
            if missing:
                raise VerificationFailed(self._name, tuple(missing))
            if loop.time() - asked <= self._policy.link_within.total_seconds():
                there = bool(tags) or linked or known or (kept is not None and kept.stored)
                return _Found(changes, signed, kept, there=there)
        reason = f"each of {_TRIES} times it took longer than Policy.link_within, {self._policy.link_within}"
        raise Unavailable(revision, reason)

    async def _link(self, revision: Digest, found: "_Found", subject: Descriptor | None) -> None:
        """Make content a revision, and point tags at it; a put that fails leaves no revision by half."""
        about = None if subject is None else subject.digest
        links = partial(self._revisions.link, revision, found.signed, subject=about, kept=found.kept)
        is_whole = partial(self._revisions.is_whole, revision, found.signed, subject=about, kept=found.kept)
        try:
            await self._point(revision, found, links, is_whole)
        except (StorageFailure, asyncio.CancelledError):
            # A deletion at the same time may have taken some of the links, and a tag may have been switched.
            if found.there:
                await settled(_until_whole(links, is_whole), grace=_GRACE)
            raise

    async def _point(
        self,
        revision: Digest,
        found: "_Found",
        links: Callable[[], Coroutine[Any, Any, None]],
        is_whole: Callable[[], Coroutine[Any, Any, bool]],
    ) -> None:
        """Write the links of a revision, and point tags at it.

        Where some of the revision was there before, a deletion of it may be under way, and take what was written
        here. So the writer looks again, beside the switch of the tags, and writes again what is gone.
        """
        tags, changes = self._tags.changes, found.changes

        whole = False
        for _ in range(TRIES):
            for change in changes:
                tags.check(change)
            announced, _ = await gather(
                gather_map(tags.announce, changes, limit=self._at_once), _nothing() if whole else links()
            )
            # Asked for after the tags are announced: a deletion that begins later finds them.
            whole, switched = await gather(
                is_whole() if found.there else _yes(),
                gather_map(tags.switch, announced, limit=self._at_once),
            )
            if whole and all(switched):
                return
            anew = [each for each in zip(announced, switched, strict=True) if not (whole and each[1])]
            changes = await gather_map(
                lambda each: tags.again(each[0], switched=each[1]), anew, limit=self._at_once
            )
        raise (
            TagContended(self._name, changes[0].state.tag)
            if changes
            else Unavailable(revision, f"others deleted it each of the {TRIES} times that it was stored")
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a put found while it wrote the content.

    Attributes:
        changes: What is to become of the tags.
        signed: The digests of the signatures that it brings.
        kept: The media type to keep beside the revision's link, if any.
        there: Whether some of the revision may have been there before; always so with tags, where it costs no round
            trip to take it for there.
    """

    changes: Sequence[TagChange]
    signed: Sequence[Digest]
    kept: KeptType | None
    there: bool


async def _until_whole(
    links: Callable[[], Coroutine[Any, Any, None]], is_whole: Callable[[], Coroutine[Any, Any, bool]]
) -> None:
    """Write links until all are there, as far as the storage lets it."""
    for _ in range(_TRIES):
        with suppress(RevstoreError):
            if await is_whole():
                return
            await links()


async def _nothing() -> tuple[()]:
    return ()


async def _yes() -> bool:
    return True


async def _no() -> bool:
    return False

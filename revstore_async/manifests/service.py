"""Manifests as clients know them: documents that go in and come out by tag or digest.

The manifest service puts the stores together. Its name is Docker Distribution's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import NoneType

from ..arguments import as_bytes, check_series, check_type
from ..blobs.cache import Cache
from ..blobs.gate import TRIES
from ..blobs.layers import LayerStore
from ..concurrency import gather
from ..driver import Driver
from ..errors import (
    Damaged,
    DigestMismatch,
    InvalidArgument,
    ManifestUnknown,
    ObjectTooLarge,
    RevstoreError,
    TagUnknown,
)
from ..formats.descriptors import OCTET_STREAM, Descriptor, is_schema1_type
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredKind
from ..formats.names import RepositoryName, Tag, tag_or_digest
from ..layout import BlobData, RevisionLink, StoredObject
from ..policy import Policy
from ..revisions.revision import Signatures
from ..revisions.store import RevisionStore
from ..tags.state import Expected, check_expected
from ..tags.store import TagStore
from ..threads import digest_of, in_thread_if_large
from .following import TagFollower
from .incoming import take_apart
from .putting import ManifestPut, ManifestWriter
from .references import References
from .served import Manifest, merged


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest that was put.

    Attributes:
        digest: The digest of the revision: for a signed document, of its payload.
        media_type: Its type.
        size: The size of the document in bytes.
        tags: The tags that the put set, each once.
        subject: The manifest that it is about, if any.
    """

    digest: Digest
    media_type: str
    size: int
    tags: tuple[Tag, ...]
    subject: Descriptor | None

    @property
    def tag(self) -> Tag | None:
        """The first of the tags; None if the put set no tag."""
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
        tag_hints: Cache,
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._tags = tags
        self._policy = policy
        self._follower = TagFollower(name, tags, revisions, tag_hints)
        at_once = driver.capabilities.connections
        references = References(name, revisions, layers, at_once)
        self._writer = ManifestWriter(name, revisions, tags, references, at_once)

    # ---- reading

    async def get(self, reference: str, *, signatures: Signatures = Signatures.ALL) -> Manifest:
        """Return a manifest by tag or digest.

        By digest 1 round trip, with signatures 2; by tag 1 more; 1 more if the manifest does not declare its type.
        Without `Signatures.ALL`, a tag takes 1 round trip while it points where it pointed at its last read: it is
        read together with that manifest, unless that is schema 1.

        Args:
            reference: A tag, or a digest.
            signatures: The signatures to return. The document is the same with each; only Docker schema 1 holds its
                signatures. Without `ALL`, damaged signatures are left out and named in `Manifest.unreadable`,
                unless no other is left.

        Raises:
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            Damaged: A stored object is damaged; the error names it.
            WrongType: An argument is of another type.
        """
        check_type("signatures", signatures, Signatures)
        read = partial(self._get, signatures=signatures)
        if signatures is Signatures.ALL:
            return await self._follower.read(reference, read)
        return await self._follower.read_together(reference, read)

    async def stat(self, reference: str) -> Descriptor:
        """Return the descriptor of the document that `get` returns: its media type, digest and size in bytes.

        By digest 2 requests, 1 round trip, signed or not; by tag 1 round trip more; 1 more if the manifest does
        not declare its type. Docker schema 1 is merged to be measured: 2 round trips more.

        Args:
            reference: A tag, or a digest.

        Raises:
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            Damaged: A stored object is damaged; the error names it.
        """
        found = await self.head(reference)
        return found.descriptor if isinstance(found, Manifest) else found

    async def head(self, reference: str) -> Descriptor | Manifest:
        """Return the descriptor from `stat`; for Docker schema 1 the manifest, which had to be merged.

        Costs and errors are those of `stat`.
        """
        return await self._follower.read_together(reference, self._head)

    async def rely_on(self, reference: str) -> Descriptor | Manifest:
        """Return the result of `head` for a manifest that a push can rely on. Costs are those of `head`.

        Only a caller with the right to push may ask. A damaged manifest counts as missing: the client
        then pushes it, which writes it again. The content in memory does not count; a schema 1 manifest in memory
        costs 1 request more.

        Args:
            reference: A tag, or a digest.

        Raises:
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest.
            TagUnknown: There is no such tag, or the tag or its revision is damaged; the damage is then the cause.
                Or the collector is deleting them.
            ManifestUnknown: The repository has no such revision, or a damaged one; the damage is then the cause.
                Or the collector is deleting it.
            Unavailable: Runs of the collector came in between.
        """
        for _ in range(TRIES):
            window = await self._revisions.gate.open()
            try:
                found = await self._follower.read_together(reference, partial(self._head, relying=True))
            except (Damaged, ObjectTooLarge) as error:
                raise self._unknown(reference) from error
            objects = self._objects(reference, found)
            if not window.admits(*objects):
                raise self._unknown(reference)
            if await window.rely():
                return found
        raise self._revisions.gate.gave_up(*objects)

    def _unknown(self, reference: str) -> TagUnknown | ManifestUnknown:
        target = tag_or_digest(reference)
        return (TagUnknown if isinstance(target, Tag) else ManifestUnknown)(self._name, target)

    def _objects(self, reference: str, found: Descriptor | Manifest) -> Sequence[StoredObject]:
        """Return the objects that an answer to a pusher relies on, for the gate."""
        target, digest = tag_or_digest(reference), found.digest
        tagged = self._tags.changes.written(target, digest) if isinstance(target, Tag) else ()
        return [*tagged, RevisionLink(self._name, digest), BlobData(digest)]

    async def _get(self, digest: Digest, *, signatures: Signatures) -> Manifest:
        revision = await self._revisions.get(digest, signatures)
        media_type, schema1 = await self._media_type(digest, revision.kind)
        if not schema1:
            return Manifest(revision.payload, media_type, digest, revision.signatures)
        if (
            signatures is not Signatures.ALL and not revision.kind.schema1
        ):  # only the kept type tells that it is
            revision = await self._revisions.with_signatures(revision)
        return await merged(revision)

    async def _head(self, digest: Digest, *, relying: bool = False) -> Descriptor | Manifest:
        kind = await self._revisions.stat(digest, relying=relying)
        if kind is not None:
            media_type, schema1 = await self._media_type(digest, kind)
            if not schema1:
                return Descriptor(media_type, digest, kind.size)
        revision = await self._revisions.read(digest, fresh=relying)
        media_type, schema1 = await self._media_type(digest, revision.kind)
        if not schema1:
            return Descriptor(media_type, digest, revision.kind.size)
        return await merged(await self._revisions.with_signatures(revision, relying=relying))

    async def exists(self, reference: str) -> bool:
        """Say whether a manifest is there, by tag or digest. 2 requests, 1 round trip; by tag 1 more.

        Raises:
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest.
            LinkDamaged: A link on the way holds something else.
        """
        try:
            await self._follower.read(reference, self._linked)
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

        2 round trips; with tags 3: first content and all checks, then links, then the tags. A type that neither
        the document nor its form tells costs 1 more. One error names all that is wrong. A
        manifest with a subject becomes one of its referrers.

        Each tag is a switch of its own. All tags are checked before the first is announced. If another writer
        changes a tag in between, the put may fail after it has set other tags.

        Args:
            document: A manifest of any type, of 4 MiB at most; for Docker schema 1, signed or not.
            tag: A tag to set; None for no tag.
            tags: More tags to set.
            media_type: The type that the client sent with it; None to read the type from the document.
            digest: The digest that it must have. Its algorithm is the one under which the manifest is stored.
            expected: What each of the tags must point at now (see `TagStore.set`); only together with a tag.
            check_layers: Refuse it when the repository lacks content that it refers to; None for the registry's
                policy.

        Raises:
            InvalidTag: A tag is outside the grammar.
            InvalidDigest: The digest, or the expected one, is outside the grammar.
            InvalidArgument: `expected` came without a tag.
            WrongType: An argument is of another type, such as text where tags are expected.
            ManifestTooLarge: It has more than 4 MiB.
            InvalidJSON: It is not strict JSON, or not an object.
            InvalidManifest: It is not a valid manifest of its type.
            InvalidSignature: Its signatures are malformed.
            DigestMismatch: It has another digest.
            VerificationFailed: All other faults: `ManifestNameMismatch`, `ManifestTagMismatch`, `SignatureMismatch`
                and the like, `NotTrusted`, and `BlobUnknown` and `ManifestUnknown` for content that is missing,
                damaged, or of another size than it announces. Content may have been written, and no link.
            MediaTypeConflict: It does not declare its type, and is stored as another than it came with.
            TagChanged: A tag is not as expected. It was not moved; the manifest may be stored by its digest.
            TagImmutable: The policy forbids moving a tag; as before.
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
        read = incoming.document
        await self._writer.put(
            ManifestPut(
                revision,
                incoming,
                names,
                expected,
                media_type=None if media_type is None or read.declared else read.media_type,
                check_layers=self._policy.check_layers if check_layers is None else check_layers,
            )
        )
        return StoredManifest(revision, read.media_type, len(document), names, read.subject)

    async def delete(self, reference: str, *, expected: Expected = None) -> None:
        """Delete a tag, by its name; or a revision, by its digest, with the tags that point at it.

        Content stays stored, since other repositories may have it. Tags go before the revision; tags
        that a put set meanwhile go after it. A tag that is set still later points at a missing revision until it is
        set again or deleted. A put of the same manifest that begins while the deletion is under way may go with it;
        a put that begins after the deletion's answer stays. A revision with a subject leaves its referrers; the
        revision's own referrers stay.

        Args:
            reference: A tag, or a digest.
            expected: What the tag must point at now (see `TagStore.delete`). With a digest only the digest itself.

        Raises:
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest; or the expected one is outside the grammar.
            InvalidArgument: `expected` is another digest than the reference.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            TagChanged: The tag is not as expected; nothing was deleted.
            LinkDamaged: The tag can't be read, and `expected` was given.
            TagImmutable: The policy forbids deleting the tag, or one that points at the revision.
            TagContended: Others changed the tag each of 100 times.
            Unsupported: `expected` was given for a tag, and the driver lacks conditional writes.
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

    async def _media_type(self, digest: Digest, kind: StoredKind) -> tuple[str, bool]:
        """Return a revision's media type, and whether it is schema 1; 1 request if it is not declared."""
        kept = None if kind.declared else await self._revisions.media_type(digest)
        if kept is not None:
            return kept, is_schema1_type(kept)
        return kind.media_type or OCTET_STREAM, kind.schema1

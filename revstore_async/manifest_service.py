"""Manifests as clients know them: documents that go in and come out by tag or digest.

The manifest service puts the stores together. Its name is Docker Distribution's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from .concurrency import gather, gather_map
from .digest import Digest
from .driver import Driver
from .errors import (
    BlobUnknown,
    Damaged,
    DigestMismatch,
    InvalidArgument,
    InvalidJSON,
    InvalidSignature,
    ManifestNameMismatch,
    ManifestTagMismatch,
    ManifestUnknown,
    NotTrusted,
    RecordDamaged,
    RevstoreError,
    TagUnknown,
    Unavailable,
    VerificationFailed,
)
from .layers import LayerStore
from .manifests import (
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCTET_STREAM,
    Descriptor,
    ManifestDocument,
    guess_media_type,
    read_manifest,
)
from .names import RepositoryName, Tag, tag_or_digest
from .policy import Policy
from .revisions import Revision, RevisionStore
from .signatures import SIGNATURE_LIMIT, Signature, check, is_signed, parse, serialise
from .tag_changes import Expected, TagState, check_expected
from .tags import TagStore
from .threads import digest_of, in_thread_if_large

_TRIES = 5  # how often all is asked again when the answers are too old to rely on


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it is served.

    Attributes:
        content: Its bytes: as stored, or for Docker schema 1 the document with all signatures merged (but for
            those that no document can hold beside others, see `mergeable`).
        media_type: Its type.
        digest: The digest of the revision: for a signed document, of its payload.
        signatures: All its signatures, in the order of a merged document.
    """

    content: bytes = field(repr=False)
    media_type: str
    digest: Digest
    signatures: tuple[Signature, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """What came of putting a manifest.

    Attributes:
        digest: The digest of the revision: for a signed document, of its payload.
        media_type: Its type.
        size: Bytes of what was put.
        tag: The tag that points at it now, if one was given.
        subject: The manifest that it is about, if any.
    """

    digest: Digest
    media_type: str
    size: int
    tag: Tag | None
    subject: Descriptor | None


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A document taken apart: what is stored, and what is wrong with it."""

    payload: bytes
    signatures: tuple[Signature, ...]
    document: ManifestDocument
    errors: tuple[RevstoreError, ...]


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
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._tags = tags
        self._layers = layers
        self._at_once = driver.capabilities.connections
        self._policy = policy

    # ---- reading

    async def get(self, reference: str) -> Manifest:
        """Return a manifest by tag or digest.

        By digest one round trip, two if it is signed; by tag one more; one more for a manifest that does not
        tell its own media type.

        Args:
            reference: A tag, or a digest.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            Damaged: What is stored is not what it must be; the error names it.
        """
        digest = await self._resolve(reference)
        revision = await self._revisions.get(digest)
        media_type, declared = await in_thread_if_large(
            len(revision.payload), guess_media_type, revision.payload
        )
        if media_type in {DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED}:
            return await _merged(revision)
        if not declared:
            media_type = await self._revisions.media_type(digest) or media_type or OCTET_STREAM
        return Manifest(revision.payload, media_type or OCTET_STREAM, digest, revision.signatures)

    async def exists(self, reference: str) -> bool:
        """Say whether a manifest is there, by tag or digest. One round trip; by tag two.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            LinkDamaged: A link on the way holds something else.
        """
        try:
            digest = await self._resolve(reference)
        except TagUnknown:
            return False
        return await self._revisions.exists(digest)

    # ---- writing

    async def put(
        self,
        document: bytes,
        *,
        tag: str | None = None,
        media_type: str | None = None,
        digest: str | None = None,
        expected: Expected = None,
        check_layers: bool | None = None,
    ) -> StoredManifest:
        """Verify and store a manifest, add its signatures to those stored, and set a tag.

        Two round trips; with a tag three: content together with all checks, then links, then the tag. What is
        wrong is collected: one error tells all of it.

        Args:
            document: A manifest of any type, of 4 MiB at most; for Docker schema 1, signed or not.
            tag: The tag to set; None for none.
            media_type: The type that it came with; None to go by the document.
            digest: What its digest must be; also chooses the algorithm under which it is stored.
            expected: What the tag must point at now (see `TagStore.set`); only together with a tag.
            check_layers: Refuse it when the repository lacks something that it refers to; None for what the
                registry's policy says.

        Raises:
            InvalidTag: The tag is outside the grammar.
            InvalidDigest: The digest, or the expected one, is outside the grammar.
            InvalidArgument: Something is expected of no tag.
            ManifestTooLarge: It has more than 4 MiB.
            InvalidJSON: It is not strict JSON, or not an object.
            InvalidManifest: It is not the manifest that it claims to be.
            InvalidSignature: Its signatures are not of the form.
            DigestMismatch: It has another digest.
            VerificationFailed: All else that is wrong: `ManifestNameMismatch`, `ManifestTagMismatch`,
                `SignatureMismatch` and its kin, `NotTrusted`, `BlobUnknown` and `ManifestUnknown` for what it
                refers to, `Damaged` for what is damaged of that. Content may have been written, which nothing
                refers to; no link was.
            TagChanged: The tag is not as expected. It was not moved; the manifest may be stored by its digest.
            TagImmutable: The policy forbids to move the tag; as before.
            TagContended: Others changed the tag each of 100 times; as before.
        """
        name, expected = None if tag is None else Tag(tag), check_expected(expected)
        if name is None and expected is not None:
            raise InvalidArgument("expected", expected, "it is expected of a tag, and none is given")
        incoming = await in_thread_if_large(len(document), self._read, document, media_type, name)
        revision = Digest(digest) if digest is not None else await digest_of(incoming.payload)
        if (
            digest is not None
            and (actual := await digest_of(incoming.payload, revision.algorithm)) != revision
        ):
            raise DigestMismatch(revision, actual)
        wanted = self._policy.check_layers if check_layers is None else check_layers
        if incoming.errors:
            missing = await self._missing(incoming.document) if wanted else ()
            raise VerificationFailed(self._name, (*incoming.errors, *missing))
        kept = None if media_type is None or incoming.document.declared else incoming.document.media_type
        state, signed = await self._write(revision, incoming, name, kept, check_layers=wanted)
        if state is None:
            await self._revisions.link(revision, signed)
        else:
            self._tags.changes.judge(state, revision, expected)
            await gather(self._tags.changes.announce(state, revision), self._revisions.link(revision, signed))
            await self._tags.changes.switch(state, revision, expected)
        return StoredManifest(
            revision, incoming.document.media_type, len(document), name, incoming.document.subject
        )

    async def delete(self, reference: str) -> None:
        """Delete a tag, by its name; or a revision, by its digest, with the tags that point at it.

        Content stays stored, for other repositories may have it. Tags go before the revision, and those that
        were set meanwhile after it; one that is set later still, by a writer who looked before, points at
        nothing until it is set again or deleted.

        Raises:
            InvalidTag: It is neither a tag nor a digest.
            InvalidDigest: It is meant for a digest, but is none.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            TagImmutable: The policy forbids to delete the tag, or one that points at the revision.
        """
        target = tag_or_digest(reference)
        if isinstance(target, Tag):
            await self._tags.delete(target)
            return
        linked, cleared = await gather(self._revisions.linked(target), self._tags.delete_all_of(target))
        if linked:
            await self._revisions.delete(target)
            await self._tags.delete_all_of(target)
        elif not cleared:
            raise ManifestUnknown(self._name, target)

    # ---- inside

    async def _resolve(self, reference: str) -> Digest:
        target = tag_or_digest(reference)
        return await self._tags.resolve(target) if isinstance(target, Tag) else target

    def _read(self, document: bytes, media_type: str | None, tag: Tag | None) -> _Incoming:
        """Take a document apart. It computes only; signatures are verified here."""
        described = read_manifest(document, media_type)
        if not described.schema1:
            return _Incoming(document, (), described, ())
        payload, signatures = document, tuple[Signature, ...]()
        if described.media_type == DOCKER_SCHEMA1_SIGNED or is_signed(document):
            signed = parse(document)
            payload, signatures = signed.payload, signed.signatures
            described = read_manifest(payload, DOCKER_SCHEMA1_SIGNED)  # only what is signed counts
        errors: list[RevstoreError] = []
        if described.name != self._name:
            errors.append(ManifestNameMismatch(described.name or "", self._name))
        if tag is not None and described.tag != tag:
            errors.append(ManifestTagMismatch(described.tag or "", tag))
        errors.extend(check(payload, signatures))
        trust = self._policy.trust
        if trust is not None and not any(map(trust.trusted, signatures)):
            errors.append(NotTrusted(tuple(signature.kid for signature in signatures)))
        return _Incoming(payload, signatures, described, tuple(errors))

    async def _write(
        self,
        revision: Digest,
        incoming: _Incoming,
        tag: Tag | None,
        media_type: str | None,
        *,
        check_layers: bool,
    ) -> tuple[TagState | None, Sequence[Digest]]:
        """Write content and ask about all that it relies on, together; anew if that took too long to rely on."""
        loop = asyncio.get_running_loop()
        for _ in range(_TRIES):
            asked = loop.time()
            signed, missing, state, _ = await gather(
                self._revisions.write_content(
                    revision, incoming.payload, incoming.signatures, media_type=media_type
                ),
                self._missing(incoming.document) if check_layers else _nothing(),
                self._look(tag),
                self._revisions.check_room(revision, incoming.signatures),
            )
            if missing:
                raise VerificationFailed(self._name, tuple(missing))
            if loop.time() - asked <= self._policy.link_within.total_seconds():
                return state, signed
        reason = f"each of {_TRIES} times it took longer than Policy.link_within, {self._policy.link_within}"
        raise Unavailable(revision, reason)

    async def _look(self, tag: Tag | None) -> TagState | None:
        return None if tag is None else await self._tags.changes.look(tag)

    async def _missing(self, document: ManifestDocument) -> Sequence[RevstoreError]:
        """Return an error for each thing that a manifest refers to and the repository lacks. One round trip."""
        blobs, manifests = await gather(
            gather_map(self._missing_blob, document.blobs, limit=self._at_once),
            gather_map(self._missing_manifest, document.manifests, limit=self._at_once),
        )
        return [error for error in (*blobs, *manifests) if error is not None]

    async def _missing_blob(self, descriptor: Descriptor) -> RevstoreError | None:
        try:
            found = await self._layers.confirm(descriptor.digest)
        except Damaged as error:
            return error
        return None if found else BlobUnknown(descriptor.digest, self._name)

    async def _missing_manifest(self, descriptor: Descriptor) -> RevstoreError | None:
        try:
            found = await self._revisions.exists(descriptor.digest)
        except Damaged as error:
            return error
        return None if found else ManifestUnknown(self._name, descriptor.digest)


def mergeable(signatures: Sequence[Signature]) -> Sequence[Signature]:
    """Return the signatures that one document can hold, of all those stored, in its order.

    A signature by certificates that names no `kid` stands only alone: there are no bytes that everybody agrees
    on for a document with it and others. Nobody can add one to others; but others may come after it, and they
    must not make the manifest unreadable.
    """
    return ([signature for signature in signatures if signature.sortable] or signatures[:1])[:SIGNATURE_LIMIT]


async def _merged(revision: Revision) -> Manifest:
    signatures = mergeable(revision.signatures)
    size = len(revision.payload) + sum(len(signature.blob) for signature in signatures)
    try:
        content = await in_thread_if_large(size, serialise, revision.payload, signatures)
    except (InvalidJSON, InvalidSignature) as error:  # another program linked what it did not verify
        raise RecordDamaged(f"the signatures of {revision.digest}", str(error)) from error
    media_type = DOCKER_SCHEMA1_SIGNED if revision.signatures else DOCKER_SCHEMA1
    return Manifest(content, media_type, revision.digest, revision.signatures)


async def _nothing() -> Sequence[RevstoreError]:
    return ()

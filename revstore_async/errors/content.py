"""What is wrong with a name, a digest or content; what the stores don't have, or hold damaged."""

from dataclasses import dataclass
from typing import ClassVar

from .base import Conflict, Damaged, InvalidInput, NotFound, RevstoreError


@dataclass(eq=False)
class InvalidDigest(InvalidInput):
    """A digest outside the grammar, or of an algorithm that the engine does not know."""

    digest: str
    reason: str
    says: ClassVar[str] = "digest {digest!r} is not valid: {reason}"


@dataclass(eq=False)
class InvalidName(InvalidInput):
    """A repository name outside the OCI grammar."""

    name: str
    reason: str
    says: ClassVar[str] = "repository name {name!r} is not valid: {reason}"


@dataclass(eq=False)
class InvalidTag(InvalidInput):
    """A tag outside the OCI grammar."""

    tag: str
    reason: str
    says: ClassVar[str] = "tag {tag!r} is not valid: {reason}"


@dataclass(eq=False)
class InvalidReference(InvalidInput):
    """Text that is not REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST."""

    reference: str
    reason: str
    says: ClassVar[str] = "reference {reference!r} is not valid: {reason}"


@dataclass(eq=False)
class InvalidJSON(InvalidInput):
    """Bytes that are not strict JSON: see `revstore_async.formats.strictjson` for what is refused.

    Attributes:
        offset: Where it was noticed, in bytes from the start.
    """

    offset: int
    reason: str
    says: ClassVar[str] = "not acceptable as JSON at byte {offset}: {reason}"


@dataclass(eq=False)
class NotUTF8(InvalidJSON):
    """JSON whose bytes are not UTF-8."""


@dataclass(eq=False)
class TooManyValues(InvalidJSON):
    """JSON that holds more values than a reader is willing to build."""

    limit: int


@dataclass(eq=False)
class DuplicateMember(InvalidJSON):
    """JSON in which an object has two members of one name, however they are escaped.

    Attributes:
        name: The name, unescaped.
        depth: How many objects and arrays stand around it; 1 for a member of the outermost object.
    """

    name: str
    depth: int


@dataclass(eq=False)
class InvalidManifest(InvalidInput):
    """A document that is not the manifest it claims to be.

    Attributes:
        member: The member that is wrong, as a path like `layers[2].size`; empty for the whole.
    """

    member: str
    reason: str
    says: ClassVar[str] = "manifest is not valid at {member!r}: {reason}"


@dataclass(eq=False)
class TooManyReferences(InvalidManifest):
    """A manifest that refers to more than a registry is willing to look for.

    Attributes:
        count: How many entries the member has.
    """

    count: int
    limit: int


@dataclass(eq=False)
class ManifestTooLarge(InvalidInput):
    """A manifest over the limit."""

    size: int
    limit: int
    says: ClassVar[str] = "manifest of {size} bytes is over the limit of {limit}"


@dataclass(eq=False)
class ManifestNameMismatch(InvalidInput):
    """A signed manifest names another repository than the one it is put into."""

    name: str
    expected: str
    says: ClassVar[str] = "manifest names repository {name!r}, it is put into {expected!r}"


@dataclass(eq=False)
class ManifestTagMismatch(InvalidInput):
    """A signed manifest names another tag than the one it is put under."""

    tag: str
    expected: str
    says: ClassVar[str] = "manifest names tag {tag!r}, it is put under {expected!r}"


@dataclass(eq=False)
class DigestMismatch(InvalidInput):
    """Content whose digest is not the one that the caller named."""

    expected: str
    actual: str
    says: ClassVar[str] = "content has digest {actual}, not {expected}"


@dataclass(eq=False)
class RepositoryUnknown(NotFound):
    """The repository holds nothing."""

    name: str
    says: ClassVar[str] = "repository {name!r} is not known"


@dataclass(eq=False)
class BlobUnknown(NotFound):
    """The content is not there, or the repository has no link to it.

    Attributes:
        repository: The repository that was asked; empty for the store as a whole.
    """

    digest: str
    repository: str = ""
    says: ClassVar[str] = "blob {digest} is not known in {repository!r}"


@dataclass(eq=False)
class ManifestUnknown(NotFound):
    """The repository has no such revision."""

    repository: str
    digest: str
    says: ClassVar[str] = "manifest {digest} is not known in {repository!r}"


@dataclass(eq=False)
class BlobSizeMismatch(BlobUnknown):
    """The content has another size than a manifest announces: it is damaged, or the manifest is wrong.

    Attributes:
        announced: Bytes by the manifest's descriptor.
        stored: Bytes that the store holds.
    """

    announced: int = 0
    stored: int = 0
    says: ClassVar[str] = (
        "blob {digest} has {stored} bytes in {repository!r}, the manifest announces {announced}"
    )
    advice: ClassVar[str] = "upload the blob again, or announce its size"


@dataclass(eq=False)
class ManifestSizeMismatch(ManifestUnknown):
    """A manifest has another size than an index announces: it is damaged, or the index is wrong.

    Attributes:
        announced: Bytes by the index's descriptor.
        stored: Bytes that the store holds.
    """

    announced: int
    stored: int
    says: ClassVar[str] = (
        "manifest {digest} has {stored} bytes in {repository!r}, the index announces {announced}"
    )
    advice: ClassVar[str] = "push the manifest again, or announce its size"


@dataclass(eq=False)
class TagUnknown(NotFound):
    """The repository has no such tag, or had none at the time that was asked for."""

    repository: str
    tag: str
    says: ClassVar[str] = "tag {tag!r} is not known in {repository!r}"


@dataclass(eq=False)
class BlobDamaged(Damaged):
    """Stored content whose digest is not the one it is stored under."""

    digest: str
    actual: str
    says: ClassVar[str] = "the stored content of blob {digest} has digest {actual}"
    advice: ClassVar[str] = "put the right content again"


@dataclass(eq=False)
class BlobSizeDamaged(BlobDamaged):
    """Stored content whose size is not the one of the content that has the digest.

    Attributes:
        actual: Empty: the size tells enough, and the content was not read.
        size: Bytes that the content has.
        stored: Bytes that the store holds.
    """

    size: int
    stored: int
    says: ClassVar[str] = "the stored content of blob {digest} has {stored} bytes, not {size}"


@dataclass(eq=False)
class LinkDamaged(Damaged):
    """A link whose content is not a digest, or not the digest that its key names."""

    key: str
    content: bytes
    says: ClassVar[str] = "link {key!r} holds {content!r}, which is not the digest it must hold"
    advice: ClassVar[str] = "write the link again"


@dataclass(eq=False)
class LinkDangling(Damaged):
    """A link to content that is not stored."""

    key: str
    digest: str
    says: ClassVar[str] = "link {key!r} points at {digest}, which is not stored"
    advice: ClassVar[str] = "put the content again"


@dataclass(eq=False)
class RecordDamaged(Damaged):
    """A stored object, other than content and links, that can't be read as what it must be."""

    key: str
    reason: str
    says: ClassVar[str] = "{key!r} can't be read: {reason}"


@dataclass(eq=False)
class MediaTypeConflict(Conflict):
    """A manifest that does not tell its media type came with another one than it was pushed with before.

    Attributes:
        kept: The type as which it is stored.
        given: The type that it came with now.
    """

    repository: str
    digest: str
    kept: str
    given: str
    says: ClassVar[str] = "manifest {digest} is kept in {repository!r} as {kept!r}, and came as {given!r}"
    advice: ClassVar[str] = "push it as that type; to change its type, delete the manifest first"


@dataclass(eq=False)
class TagChanged(Conflict):
    """A tag is not at the revision that the caller expected. Nothing was changed.

    Attributes:
        expected: The digest the caller expected; None where it expected no such tag.
        actual: The digest found; None where there is no such tag.
    """

    repository: str
    tag: str
    expected: str | None
    actual: str | None
    says: ClassVar[str] = "tag {tag!r} of {repository!r} is not as expected"
    advice: ClassVar[str] = "look at the new value and decide anew"

    def __str__(self) -> str:
        actual, expected = (self._shown(name) or "absent" for name in ("actual", "expected"))
        return f"{super().__str__()}: it is {actual}, not {expected}"


@dataclass(eq=False)
class TagContended(Conflict):
    """Other writers changed the tag again and again while this one tried to."""

    repository: str
    tag: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "tag {tag!r} of {repository!r} is changed by too many writers at once"


@dataclass(eq=False)
class TagImmutable(Conflict):
    """The repository's policy forbids to move or delete the tag.

    Attributes:
        digest: Where it stays; empty where its link is damaged, or where the caller is not to know.
    """

    repository: str
    tag: str
    digest: str
    says: ClassVar[str] = "tag {tag!r} of {repository!r} is immutable"

    def __str__(self) -> str:
        return (
            f"{super().__str__()} and stays at {self._shown('digest')}" if self.digest else super().__str__()
        )


@dataclass(eq=False)
class NotTrusted(InvalidInput):
    """A manifest has no signature that counts by the registry's policy.

    Attributes:
        kids: The keys that did sign it.
    """

    kids: tuple[str, ...]
    says: ClassVar[str] = "none of the keys that signed the manifest is trusted: {kids}"


@dataclass(eq=False)
class VerificationFailed(InvalidInput):
    """A manifest that was refused, with everything that is wrong with it.

    Attributes:
        errors: Each thing found, in the order name, tag, signatures, trust, what it refers to.
    """

    repository: str
    errors: tuple[RevstoreError, ...]
    says: ClassVar[str] = "manifest was refused by {repository!r}"

    def __str__(self) -> str:
        return "\n  - ".join([super().__str__() + ":", *map(str, self.errors)])

"""Errors of names, digests and content: invalid, missing from a store, or damaged there."""

from dataclasses import dataclass
from typing import ClassVar

from .base import Conflict, Damaged, InvalidInput, NotFound, RevstoreError, _Said


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
    """Bytes that are not strict JSON: see `revstore_async.formats.strictjson` for the rules.

    Attributes:
        offset: The place where the reader noticed the fault, in bytes from the start.
    """

    offset: int
    reason: str
    says: ClassVar[str] = "not acceptable as JSON at byte {offset}: {reason}"


@dataclass(eq=False)
class NotUTF8(InvalidJSON):
    """The bytes of a JSON text are not UTF-8."""


@dataclass(eq=False)
class TooManyValues(InvalidJSON):
    """A JSON text holds more values than the reader's limit."""

    limit: int


@dataclass(eq=False)
class DuplicateMember(InvalidJSON):
    """JSON in which an object has two members of one name, however they are escaped.

    Attributes:
        name: The name, unescaped.
        depth: The number of objects and arrays around it; 1 for a member of the outermost object.
    """

    name: str
    depth: int


@dataclass(eq=False)
class InvalidManifest(InvalidInput):
    """A document that is not the manifest it claims to be.

    Attributes:
        member: The path of the wrong member, like `layers[2].size`; empty for the whole document.
    """

    member: str
    reason: str
    says: ClassVar[str] = "manifest is not valid at {member!r}: {reason}"


@dataclass(eq=False)
class TooManyReferences(InvalidManifest):
    """A manifest with more references than a registry's limit.

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
    """The content has another digest than the caller named."""

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

    def _shown(self, field: str) -> object:
        if field == "repository" and not self.repository:
            return _Said("the store")
        return super()._shown(field)


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
    """Stored content has another digest than its key names."""

    digest: str
    actual: str
    says: ClassVar[str] = "the stored content of blob {digest} has digest {actual}"
    advice: ClassVar[str] = "put the right content again"


@dataclass(eq=False)
class BlobSizeDamaged(BlobDamaged):
    """Stored content has another size than the right content of the digest.

    Attributes:
        actual: Empty: the size shows the damage, and the content was not read.
        size: Bytes of the right content.
        stored: Bytes that the store holds.
    """

    size: int
    stored: int
    says: ClassVar[str] = "the stored content of blob {digest} has {stored} bytes, not {size}"


@dataclass(eq=False)
class LinkDamaged(Damaged):
    """The content of a link is not a digest, or not the digest that its key names."""

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
    """The engine can't read one of its records: a stored object other than content and links."""

    key: str
    reason: str
    says: ClassVar[str] = "{key!r} can't be read: {reason}"


@dataclass(eq=False)
class MediaTypeConflict(Conflict):
    """A manifest that states no media type came with another one than at an earlier push.

    Attributes:
        kept: The type that the store keeps for it.
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
        expected: The digest that the caller expected; None if it expected no such tag.
        actual: The digest that the tag has; None if there is no such tag.
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
    """Other writers changed the tag at each attempt of this one."""

    repository: str
    tag: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "tag {tag!r} of {repository!r} is changed by too many writers at once"


@dataclass(eq=False)
class TagImmutable(Conflict):
    """The repository's policy forbids to move or delete the tag.

    Attributes:
        digest: The digest that it stays at; empty if its link is damaged, or if the caller may not read it.
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
    """The registry's policy trusts no signature of the manifest.

    Attributes:
        kids: The IDs of the keys that signed it.
    """

    kids: tuple[str, ...]
    says: ClassVar[str] = "none of the keys that signed the manifest is trusted: {kids}"


@dataclass(eq=False)
class VerificationFailed(InvalidInput):
    """A manifest was refused; this error carries each fault of it.

    Attributes:
        errors: The faults, in the order name, tag, signatures, trust, references.
    """

    repository: str
    errors: tuple[RevstoreError, ...]
    says: ClassVar[str] = "manifest was refused by {repository!r}"

    def __str__(self) -> str:
        return "\n  - ".join([super().__str__() + ":", *map(str, self.errors)])

"""The calls that actors make, each with its meaning: how it changes a registry in which no other call is under way.

The judge looks for an order of the calls that explains a run: each call has an answer of its meaning, and readers
find the registry of the end. A call that began after the answer of another comes after that.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations

from revstore_async import ABSENT, Digest, Registry, verify_document
from revstore_async.errors import RevstoreError, Unavailable, VerificationFailed
from revstore_async.formats.manifests import read_manifest
from revstore_async.signatures.document import is_signed
from revstore_async.tags.state import Expected

NAME, SOURCE = "library/hello", "library/source"


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a registry, as its users know them.

    Attributes:
        tags: The revision of each tag.
        revisions: Of each revision the signatures that must be there.
        layers: The layers of each repository.
        uploads: What was acknowledged of each upload.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    layers: frozenset[tuple[str, str]] = frozenset()
    uploads: Mapping[str, bytes] = field(default_factory=dict)

    def with_tag(self, tag: str, digest: str | None) -> "Contents":
        kept = {name: revision for name, revision in self.tags.items() if name != tag}
        return replace(self, tags=kept if digest is None else {**kept, tag: digest})

    def with_revision(self, digest: str, signatures: frozenset[str] = frozenset()) -> "Contents":
        known = self.revisions.get(digest, frozenset())
        return replace(self, revisions={**self.revisions, digest: known | signatures})

    def without_revision(self, digest: str) -> "Contents":
        kept = {name: signed for name, signed in self.revisions.items() if name != digest}
        tags = {tag: revision for tag, revision in self.tags.items() if revision != digest}
        return replace(self, revisions=kept, tags=tags)


Meaning = Callable[[Contents], Iterable[tuple[str, Contents]]]
"""Gives each answer that a call may have, and what the registry holds then."""


@dataclass(frozen=True, slots=True)
class Act:
    """A call.

    Attributes:
        name: What it is called.
        do: Does it.
        means: Its meaning.
        parts: The contents that it may leave when the storage fails half-way.
    """

    name: str
    do: Callable[[Registry], Awaitable[object]]
    means: Meaning
    parts: Callable[[Contents], Iterable[Contents]]


OK = "done"


def answer(given: object) -> str:
    """Return the answer of a call in a word."""
    if isinstance(given, VerificationFailed):
        return ", ".join(sorted(type(error).__name__ for error in given.errors))
    if isinstance(given, RevstoreError):
        return type(given).__name__
    return given if isinstance(given, str) else OK


def unknown(given: object) -> bool:
    """Say whether an answer leaves open how far the call came."""
    return isinstance(given, Unavailable)


def no_parts(contents: Contents) -> Iterable[Contents]:
    return [contents]


# ---- manifests and tags


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest.

    Attributes:
        content: The document as a client sends it.
        digest: The digest of the revision.
        signatures: The digests of its signatures.
        layers: The digests of its config and layers.
        children: The digests of the manifests of an index.
        subject: The digest of the manifest that it refers to, if any.
        media_type: The type that it comes with; None where the document tells it.
    """

    content: bytes
    digest: Digest
    signatures: frozenset[str]
    layers: frozenset[str]
    children: frozenset[str]
    subject: str | None
    media_type: str | None

    @classmethod
    def of(cls, content: bytes, media_type: str | None = None) -> "Document":
        payload, signatures = content, frozenset[str]()
        if is_signed(content):
            parsed = verify_document(content)
            payload, signatures = parsed.payload, frozenset(Digest.of(s.blob) for s in parsed.signatures)
        read = read_manifest(payload, media_type)
        layers, children = (
            frozenset(each.digest for each in group) for group in (read.blobs, read.manifests)
        )
        subject = read.subject.digest if read.subject else None
        return cls(content, Digest.of(payload), signatures, layers, children, subject, media_type)


def refused(contents: Contents, tag: str | None, expected: Expected, digest: str, *, immutable: bool) -> str:
    """Return why a tag is not set; empty where it is."""
    if tag is None:
        return ""
    actual = contents.tags.get(tag)
    if immutable and actual not in {None, digest}:
        return "TagImmutable"
    if expected is ABSENT and actual is not None:
        return "TagChanged"
    if isinstance(expected, str) and actual != expected:
        return "TagChanged"
    return ""


def put(
    document: Document, tag: str | None = None, *, expected: Expected = None, immutable: bool = False
) -> Act:
    """A push of a manifest."""

    async def do(registry: Registry) -> object:
        repository = registry.repository(NAME)
        return await repository.manifests.put(
            document.content, tag=tag, expected=expected, media_type=document.media_type
        )

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        missing = [layer for layer in document.layers if (NAME, layer) not in contents.layers]
        if missing:
            return [(", ".join(["BlobUnknown"] * len(missing)), contents)]
        stored = contents.with_revision(document.digest, document.signatures)
        if why := refused(contents, tag, expected, document.digest, immutable=immutable):
            return [(why, contents), (why, stored)]
        return [(OK, stored if tag is None else stored.with_tag(tag, document.digest))]

    def parts(contents: Contents) -> Iterable[Contents]:
        return [contents, contents.with_revision(document.digest), *(after for _, after in means(contents))]

    return Act(f"put {document.digest[7:11]} {tag or ''}", do, means, parts)


def delete(reference: str, *, expected: Expected = None) -> Act:
    """A deletion: of a tag, or of a revision with its tags."""

    async def do(registry: Registry) -> None:
        await registry.repository(NAME).manifests.delete(reference, expected=expected)

    def of_tag(contents: Contents) -> Iterable[tuple[str, Contents]]:
        if reference not in contents.tags:
            return [("TagUnknown", contents), *_gone_already(contents)]
        if why := refused(contents, reference, expected, "", immutable=False):
            return [(why, contents)]
        return [(OK, contents.with_tag(reference, None))]

    def of_revision(contents: Contents) -> Iterable[tuple[str, Contents]]:
        if reference not in contents.revisions:
            return [("ManifestUnknown", contents), *_gone_already(contents)]
        return [(OK, contents.without_revision(reference))]

    def parts(contents: Contents) -> Iterable[Contents]:
        tagged = [tag for tag, digest in contents.tags.items() if digest == reference]
        untagged = [
            replace(contents, tags={t: d for t, d in contents.tags.items() if t not in gone})
            for count in range(len(tagged) + 1)
            for gone in combinations(tagged, count)
        ]
        return [*untagged, *(after for _, after in means(contents))]

    means = of_revision if ":" in reference else of_tag
    name = reference if ":" not in reference else reference[7:11]
    return Act(f"delete {name}", do, means, parts)


def _gone_already(contents: Contents) -> Iterable[tuple[str, Contents]]:
    """A deletion may succeed without an effect: another deletion of the same thing came first."""
    return [(OK, contents)]


def set_tag(tag: str, digest: Digest, *, expected: Expected = None, immutable: bool = False) -> Act:
    """A tag that is pointed at a revision."""

    async def do(registry: Registry) -> None:
        await registry.repository(NAME).tags.set(tag, digest, expected=expected)

    return Act(
        f"tag {tag} {digest[7:11]}",
        do,
        _setting(tag, digest, expected, immutable),
        _parts_of_setting(tag, digest),
    )


def restore(tag: str, time: datetime, digest: Digest) -> Act:
    """A tag that gets back the revision that it had at a time."""

    async def do(registry: Registry) -> object:
        return await registry.repository(NAME).tags.restore(tag, time)

    means = _setting(tag, digest, None, False)

    def named(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [(str(digest) if word == OK else word, after) for word, after in means(contents)]

    return Act(f"restore {tag} {digest[7:11]}", do, named, _parts_of_setting(tag, digest))


def _setting(tag: str, digest: str, expected: Expected, immutable: bool) -> Meaning:
    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        if digest not in contents.revisions:
            return [("ManifestUnknown", contents)]
        if why := refused(contents, tag, expected, digest, immutable=immutable):
            return [(why, contents)]
        return [(OK, contents.with_tag(tag, digest))]

    return means


def _parts_of_setting(tag: str, digest: str) -> Callable[[Contents], Iterable[Contents]]:
    return lambda contents: [contents, contents.with_tag(tag, digest)]


def pull(tag: str) -> Act:
    """A pull by tag."""

    async def do(registry: Registry) -> object:
        manifest = await registry.repository(NAME).manifests.get(tag)
        if is_signed(manifest.content):
            verify_document(manifest.content)
        return str(manifest.digest)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [(contents.tags.get(tag, "TagUnknown"), contents)]

    return Act(f"pull {tag}", do, means, no_parts)


# ---- layers


def mount(digest: Digest) -> Act:
    """A layer of the source repository that is mounted."""

    async def do(registry: Registry) -> object:
        return await registry.repository(NAME).blobs.mount(digest, registry.repository(SOURCE).name)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        if (SOURCE, digest) not in contents.layers:
            return [("BlobUnknown", contents)]
        return [(OK, replace(contents, layers=contents.layers | {(NAME, digest)}))]

    return Act(f"mount {digest[7:11]}", do, means, lambda c: [c, *(after for _, after in means(c))])


def push_layer(content: bytes) -> Act:
    """A push of a layer in one call."""
    digest = Digest.of(content)

    async def do(registry: Registry) -> object:
        return await registry.repository(NAME).blobs.put(content)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [(OK, replace(contents, layers=contents.layers | {(NAME, digest)}))]

    return Act(f"push layer {digest[7:11]}", do, means, lambda c: [c, *(after for _, after in means(c))])


def delete_layer(digest: Digest, name: str = NAME) -> Act:
    """A layer's link that is deleted."""

    async def do(registry: Registry) -> None:
        await registry.repository(name).blobs.delete(digest)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        if (name, digest) not in contents.layers:
            return [("BlobUnknown", contents), *_gone_already(contents)]
        return [(OK, replace(contents, layers=contents.layers - {(name, digest)}))]

    return Act(f"delete layer {digest[7:11]} of {name}", do, means, lambda c: [c, *(a for _, a in means(c))])


# ---- uploads


REFUSED = ("UploadBusy", "UploadOffsetMismatch", "UploadUnknown", "UploadClaimed", "DigestMismatch")
"""What a call on an upload may be told beside another call: it had no effect."""


def append(upload: str, content: bytes, offset: int | None = None) -> Act:
    """Bytes that are added to an upload."""

    async def do(registry: Registry) -> object:
        return await registry.repository(NAME).uploads.append(upload, content, offset=offset)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        refusals = [(word, contents) for word in REFUSED]
        if upload not in contents.uploads or offset not in {None, len(contents.uploads[upload])}:
            return refusals
        longer = {**contents.uploads, upload: contents.uploads[upload] + content}
        return [(OK, replace(contents, uploads=longer)), *refusals]

    return Act(f"append {content!r}", do, means, lambda c: [c, *(after for _, after in means(c))])


def finish(upload: str, whole: bytes, rest: bytes = b"", offset: int | None = None) -> Act:
    """An upload that is finished."""
    digest = Digest.of(whole)

    async def do(registry: Registry) -> object:
        return await registry.repository(NAME).uploads.finish(upload, digest, rest, offset=offset)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        refusals = [(word, contents) for word in REFUSED]
        if (NAME, digest) in contents.layers and upload not in contents.uploads:
            return [(OK, contents)]  # it was finished before
        if rest != whole and (upload not in contents.uploads or contents.uploads[upload] + rest != whole):
            return refusals
        kept = {name: sent for name, sent in contents.uploads.items() if name != upload}
        done = replace(contents, layers=contents.layers | {(NAME, digest)})
        if rest == whole:  # an upload to which another call has added bytes meanwhile stays
            return [(OK, replace(done, uploads=kept)), (OK, done), *refusals]
        claimed = replace(done, uploads={**kept, upload: whole})  # its clean-up failed, and a purge takes it
        return [(OK, replace(done, uploads=kept)), (OK, claimed), *refusals]

    def parts(contents: Contents) -> Iterable[Contents]:
        gone = replace(contents, uploads={n: s for n, s in contents.uploads.items() if n != upload})
        claimed = replace(contents, uploads=dict.fromkeys(contents.uploads, whole))
        ends = [after for _, after in means(contents)]
        stays = [replace(after, uploads=claimed.uploads) for after in ends]
        return [contents, gone, claimed, *ends, *stays]

    return Act(f"finish {digest[7:11]} with {rest!r}", do, means, parts)


def cancel(upload: str) -> Act:
    """An upload that is cancelled."""

    async def do(registry: Registry) -> None:
        await registry.repository(NAME).uploads.cancel(upload)

    return Act("cancel", do, _ending(upload), lambda c: [c, *(after for _, after in _ending(upload)(c))])


def purge(upload: str, before: datetime) -> Act:
    """An upload that is purged, if no call went on with it since a time."""

    async def do(registry: Registry) -> object:
        return await registry.repository(NAME).uploads.purge(upload, before=before)

    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        return [(OK, contents), *_ending(upload)(contents)]

    return Act("purge", do, means, lambda c: [c, *(after for _, after in means(c))])


def _ending(upload: str) -> Meaning:
    def means(contents: Contents) -> Iterable[tuple[str, Contents]]:
        if upload not in contents.uploads:
            return [("UploadUnknown", contents), *_gone_already(contents)]
        kept = {name: sent for name, sent in contents.uploads.items() if name != upload}
        return [(OK, replace(contents, uploads=kept))]

    return means

"""Names to keys and keys to names, from one table.

The tree is Docker Distribution's (`registry/storage/paths.go`). Distribution never walks the keys with a +,
which are this engine's:

    <root>/v2/blobs/<alg>/<hh>/<hex>/data                                           BlobData
    <root>/v2/repositories/<name>/
        _manifests/revisions/<alg>/<hex>/link                                       RevisionLink
        _manifests/revisions/<alg>/<hex>/mediatype                                  RevisionMediaType +
        _manifests/revisions/<alg>/<hex>/signatures/<alg>/<hex>/link                SignatureLink
        _manifests/revisions/<alg>/<hex>/referrers/<alg>/<hex>/link                 ReferrerLink +
        _manifests/tags/<tag>/current/link                                          TagCurrent
        _manifests/tags/<tag>/index/<alg>/<hex>/link                                TagIndex
        _layers/<alg>/<hex>/link                                                    LayerLink
        _uploads/<id>/data                                                          UploadData
        _uploads/<id>/startedat                                                     UploadStartedAt
        _uploads/<id>/hashstates/<alg>/<offset>                                     UploadHashState
    <root>/revstore/history/<name>/_tags/<tag>/<n>/<nnn>/
        absent/replaced-by/<alg>/<hex>                                              TagCreated +
        <since>/<alg>/<hex>/replaced-by/<alg>/<hex>                                 TagReplaced +
        <since>/<alg>/<hex>/deleted                                                 TagDeleted +
        0-claim                                                                     TagClaim +
        pending                                                                     TagPending +
    <root>/revstore/uploads/<name>/_uploads/<id>/
        state                                                                       UploadState +
        segments/<segment>                                                          UploadSegment +

A legacy tarsum digest takes the folders `tarsum/<version>/<alg>` where another takes `<alg>`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from .driver import check_key
from .formats.digest import Digest
from .formats.names import RepositoryName, Tag

SEQUENCE_LIMIT: Final = 10**12
"""One more than the highest number of a tag's change."""


@dataclass(frozen=True, slots=True)
class BlobData:
    """The content of a blob."""

    blob: Digest


@dataclass(frozen=True, slots=True)
class RevisionLink:
    """The link by which a repository has a manifest."""

    name: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class RevisionMediaType:
    """The media type that a manifest was pushed with, if the manifest does not state it."""

    name: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class SignatureLink:
    """The link from a manifest to one of its signatures."""

    name: RepositoryName
    revision: Digest
    digest: Digest


@dataclass(frozen=True, slots=True)
class ReferrerLink:
    """The link from a manifest to one that names it as its subject."""

    name: RepositoryName
    subject: Digest
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagCurrent:
    """The link from a tag to its revision."""

    name: RepositoryName
    tag: Tag


@dataclass(frozen=True, slots=True)
class TagIndex:
    """The link from a tag to a revision that a writer once meant it to have."""

    name: RepositoryName
    tag: Tag
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagCreated:
    """The record that a tag was about to be created.

    Attributes:
        sequence: The number of the change, from 0.
        flat: Whether the number is one folder, as engines of before wrote it, without a claim.
    """

    name: RepositoryName
    tag: Tag
    sequence: int
    successor: Digest
    flat: bool = False


@dataclass(frozen=True, slots=True)
class TagReplaced:
    """The record that a tag was about to be moved: from what, which it had since when, to what.

    Attributes:
        sequence: The number of the change, from 0.
        since: When the tag got the revision that it leaves, by the store's clock.
        flat: As in `TagCreated`.
    """

    name: RepositoryName
    tag: Tag
    sequence: int
    since: datetime
    digest: Digest
    successor: Digest
    flat: bool = False


@dataclass(frozen=True, slots=True)
class TagDeleted:
    """The record that a tag was about to be deleted: from what, which it had since when."""

    name: RepositoryName
    tag: Tag
    sequence: int
    since: datetime
    digest: Digest
    flat: bool = False


@dataclass(frozen=True, slots=True)
class TagClaim:
    """The claim of a number for one change of a tag: it is written only where there is none.

    It is listed before the records of its number.
    """

    name: RepositoryName
    tag: Tag
    sequence: int


@dataclass(frozen=True, slots=True)
class TagPending:
    """The mark of a deletion under way, which the store can't make conditional; its end removes the mark."""

    name: RepositoryName
    tag: Tag
    sequence: int


@dataclass(frozen=True, slots=True)
class LayerLink:
    """The link by which a repository has a blob: a layer or a config."""

    name: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class UploadState:
    """The state of an upload under way; this engine's."""

    name: RepositoryName
    upload: str


@dataclass(frozen=True, slots=True)
class UploadSegment:
    """A piece of an upload under way; this engine's."""

    name: RepositoryName
    upload: str
    segment: str


@dataclass(frozen=True, slots=True)
class UploadData:
    """The bytes of an upload under way; Distribution's."""

    name: RepositoryName
    upload: str


@dataclass(frozen=True, slots=True)
class UploadStartedAt:
    """When an upload began."""

    name: RepositoryName
    upload: str


@dataclass(frozen=True, slots=True)
class UploadHashState:
    """The state of an upload's digest at an offset."""

    name: RepositoryName
    upload: str
    algorithm: str
    offset: int


Place = (
    BlobData
    | RevisionLink
    | RevisionMediaType
    | SignatureLink
    | ReferrerLink
    | TagCurrent
    | TagIndex
    | TagCreated
    | TagReplaced
    | TagDeleted
    | TagClaim
    | TagPending
    | LayerLink
    | UploadState
    | UploadSegment
    | UploadData
    | UploadStartedAt
    | UploadHashState
)
"""All places that have a key."""

_Form = tuple[str, Sequence[tuple[Callable[[Any], Any], Callable[[Any], str]]]]
"""A place's key with `%s` for each field, and the functions that get and write the fields, in order."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A tree of keys: `CURRENT` is that of Docker Distribution today, `SEED` that of its refactor of 2015.

    Attributes:
        root: The first part of all keys; a `/` at its beginning is dropped, as no key begins with one.
        manifests: The folder of a repository's manifests.
        layers: The folder of its layers.
        uploads: The folder of its uploads.
    """

    root: str = "docker/registry"
    manifests: str = "_manifests"
    layers: str = "_layers"
    uploads: str = "_uploads"
    _forms: Mapping[type[Place], _Form] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", check_key(self.root.removeprefix("/")))
        forms = {kind: _form(template) for kind, template in _templates(self).items()}
        object.__setattr__(self, "_forms", forms)

    def key(self, place: Place) -> str:
        """Return the key of a place."""
        template, fields = self._forms[type(place)]
        return template % tuple([write(get(place)) for get, write in fields])

    def parse(self, key: str) -> Place | None:
        """Return the place of a key; None if this layout has no such key.

        A place has one key: for a text that `key` would write differently the result is None.
        """
        for kind, pattern in _patterns(self).items():
            if match := pattern.fullmatch(key):
                build: Callable[..., Place] = kind
                try:
                    place = build(**_fields(match.groupdict()))
                except ValueError:  # a name, tag, digest or time outside its grammar
                    return None
                return place if self.key(place) == key else None
        return None

    # ---- folders, to list

    @property
    def blobs(self) -> str:
        """The folder of all blobs."""
        return f"{self.root}/v2/blobs"

    @property
    def repositories(self) -> str:
        """The folder of all repositories."""
        return f"{self.root}/v2/repositories"

    def repository(self, name: RepositoryName) -> str:
        """The folder of a repository."""
        return f"{self.repositories}/{name}"

    def revisions_of(self, name: RepositoryName) -> str:
        """The folder of a repository's revisions."""
        return f"{self.repository(name)}/{self.manifests}/revisions"

    def signatures_of(self, name: RepositoryName, revision: Digest) -> str:
        """The folder of a revision's signatures."""
        return f"{self.revisions_of(name)}/{_folders(revision)}/signatures"

    def referrers_of(self, name: RepositoryName, subject: Digest) -> str:
        """The folder of the links to the manifests that name this one as their subject."""
        return f"{self.revisions_of(name)}/{_folders(subject)}/referrers"

    def tags_of(self, name: RepositoryName) -> str:
        """The folder of a repository's tags."""
        return f"{self.repository(name)}/{self.manifests}/tags"

    def index_of(self, name: RepositoryName, tag: Tag) -> str:
        """The folder of the links to the revisions that a tag was meant to have."""
        return f"{self.tags_of(name)}/{tag}/index"

    def history_of(self, name: RepositoryName, tag: Tag) -> str:
        """The folder of the records of a tag's changes, the latest first."""
        return f"{self.root}/revstore/history/{name}/_tags/{tag}"

    def layers_of(self, name: RepositoryName) -> str:
        """The folder of a repository's layers."""
        return f"{self.repository(name)}/{self.layers}"

    @property
    def uploads_under_way(self) -> str:
        """The folder of all uploads of this engine, in all repositories."""
        return f"{self.root}/revstore/uploads"

    def upload(self, name: RepositoryName, upload: str) -> str:
        """The folder of one upload."""
        return f"{self.uploads_under_way}/{name}/_uploads/{upload}"


def _form(template: str) -> _Form:
    names: list[str] = re.findall(r"\{(\w+)\}", template)
    text = re.sub(r"\{\w+\}", "%s", template.replace("%", "%%"))
    return text, tuple((_number if name == "sequence" else attrgetter(name), _WRITE[name]) for name in names)


def _number(change: TagCreated | TagReplaced | TagDeleted | TagClaim | TagPending) -> str:
    """Return the folders of a change's number, which counts down, so that the latest change is listed first.

    They are two, so that no folder of a file system holds more than 1,000.
    """
    digits = f"{SEQUENCE_LIMIT - 1 - change.sequence:012}"
    return digits if getattr(change, "flat", False) else f"{digits[:9]}/{digits[9:]}"


def _templates(layout: Layout) -> dict[type[Place], str]:
    repository = f"{layout.repositories}/{{name}}"
    revisions = f"{repository}/{layout.manifests}/revisions"
    tag = f"{repository}/{layout.manifests}/tags/{{tag}}"
    upload = f"{repository}/{layout.uploads}/{{upload}}"
    change = f"{layout.root}/revstore/history/{{name}}/_tags/{{tag}}/{{sequence}}"
    own_upload = f"{layout.root}/revstore/uploads/{{name}}/_uploads/{{upload}}"
    left = f"{change}/{{since}}/{{digest}}"
    return {
        BlobData: f"{layout.blobs}/{{blob}}/data",
        RevisionLink: f"{revisions}/{{digest}}/link",
        RevisionMediaType: f"{revisions}/{{digest}}/mediatype",
        SignatureLink: f"{revisions}/{{revision}}/signatures/{{digest}}/link",
        ReferrerLink: f"{revisions}/{{subject}}/referrers/{{digest}}/link",
        TagCurrent: f"{tag}/current/link",
        TagIndex: f"{tag}/index/{{digest}}/link",
        TagCreated: f"{change}/absent/replaced-by/{{successor}}",
        TagReplaced: f"{left}/replaced-by/{{successor}}",
        TagDeleted: f"{left}/deleted",
        TagClaim: f"{change}/0-claim",
        TagPending: f"{change}/pending",
        LayerLink: f"{repository}/{layout.layers}/{{digest}}/link",
        UploadState: f"{own_upload}/state",
        UploadSegment: f"{own_upload}/segments/{{segment}}",
        UploadData: f"{upload}/data",
        UploadStartedAt: f"{upload}/startedat",
        UploadHashState: f"{upload}/hashstates/{{algorithm}}/{{offset}}",
    }


_DIGEST = r"(?:tarsum/[a-z0-9]+/)?[a-z0-9]+/[0-9a-f]+"
_GROUPS: Final = {
    "blob": r"(?:tarsum/[a-z0-9]+/)?[a-z0-9]+/[0-9a-f]{2}/[0-9a-f]+",
    "name": r".+",  # greedy: in the seed's layout a name may hold the folders' names, so the last ones count
    "digest": _DIGEST,
    "revision": _DIGEST,
    "subject": _DIGEST,
    "successor": _DIGEST,
    "tag": r"[^/]+",
    "upload": r"[^/]+",
    "segment": r"[^/]+",
    "algorithm": r"[^/]+",
    "offset": r"\d+",
    "sequence": r"\d{12}|\d{9}/\d{3}",
    "since": r"\d{8}T\d{6}\.\d{6}Z",
}


@lru_cache(maxsize=16)
def _patterns(layout: Layout) -> dict[type[Place], re.Pattern[str]]:
    groups = {f"\\{{{name}\\}}": f"(?P<{name}>{pattern})" for name, pattern in _GROUPS.items()}

    def compiled(template: str) -> re.Pattern[str]:
        pattern = re.escape(template)
        for placeholder, group in groups.items():
            pattern = pattern.replace(placeholder, group)
        return re.compile(pattern, re.ASCII)

    return {kind: compiled(template) for kind, template in _templates(layout).items()}


def _fields(texts: Mapping[str, str]) -> dict[str, object]:
    """Return the fields of a place, from the texts in its key."""
    fields = {name: _READ[name](text) for name, text in texts.items()}
    if "/" not in texts.get("sequence", "/"):
        fields["flat"] = True
    return fields


def _folders(digest: Digest) -> str:
    if legacy := digest.tarsum:
        return f"tarsum/{legacy[0]}/{legacy[1]}/{digest.hex}"
    return digest.replace(":", "/", 1)


def _digest(folders: str) -> Digest:
    *kind, hexadecimal = folders.split("/")
    if kind[0] != "tarsum":
        return Digest(f"{kind[0]}:{hexadecimal}")
    _, version, algorithm = kind
    return Digest(f"tarsum{'' if version == 'v0' else '.' + version}+{algorithm}:{hexadecimal}")


def _blob_folders(digest: Digest) -> str:
    folders, _, hexadecimal = _folders(digest).rpartition("/")
    return f"{folders}/{hexadecimal[:2]}/{hexadecimal}"


def _blob_digest(folders: str) -> Digest:
    kind, _, hexadecimal = folders.rpartition("/")
    return _digest(f"{kind.rpartition('/')[0]}/{hexadecimal}")


_WRITE: Final[dict[str, Callable[[Any], str]]] = {
    "name": str,
    "tag": str,
    "blob": _blob_folders,
    "digest": _folders,
    "revision": _folders,
    "subject": _folders,
    "successor": _folders,
    "since": lambda time: time.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ"),
    "sequence": str,
    "offset": str,
    "upload": str,
    "segment": str,
    "algorithm": str,
}
_READ: Final[dict[str, Callable[[str], object]]] = {
    "name": RepositoryName,
    "tag": Tag,
    "blob": _blob_digest,
    "digest": _digest,
    "revision": _digest,
    "subject": _digest,
    "successor": _digest,
    "since": lambda text: datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC),
    "sequence": lambda text: SEQUENCE_LIMIT - 1 - int(text.replace("/", "")),
    "offset": int,
    "upload": str,
    "segment": str,
    "algorithm": str,
}


CURRENT: Final = Layout()
"""The layout of Docker Distribution 2.x and 3.x."""

SEED: Final = Layout(manifests="manifests", layers="layers", uploads="uploads")
"""The layout of Docker Distribution's storage refactor of January 2015, before any release."""

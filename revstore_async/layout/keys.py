"""Objects to keys and keys to objects, from one table.

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
    <root>/revstore/pulls/<yyyymmdd>/
        _kept                                                                       PullsKept +
        <name>/_by/<writer>                                                         Pulls +
    <root>/revstore/uploads/<name>/_uploads/<id>/
        state                                                                       UploadState +
        segments/<segment>                                                          UploadSegment +
    <root>/revstore/gc/
        state                                                                       CollectorState +
        runs/<run>/lists/<list>                                                     RunObject +
        runs/<run>/rescued/<hash>                                                   Rescue +
        clock                                                                       CollectorClock +
        refs/<reader>/<alg>/<hex>                                                   ReferencePack +
    <root>/revstore/probe                                                           ServerProbe +

A legacy tarsum digest takes the folders `tarsum/<version>/<alg>` where another takes `<alg>`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from ..arguments import check_type
from ..driver import check_key
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from .fields import FIELDS, read_field, write_digest, write_sequence
from .objects import (
    BlobData,
    CollectorClock,
    CollectorState,
    LayerLink,
    Pulls,
    PullsKept,
    ReferencePack,
    ReferrerLink,
    Rescue,
    RevisionLink,
    RevisionMediaType,
    RunObject,
    ServerProbe,
    SignatureLink,
    StoredObject,
    TagClaim,
    TagCreated,
    TagCurrent,
    TagDeleted,
    TagIndex,
    TagReplaced,
    UploadData,
    UploadHashState,
    UploadSegment,
    UploadStartedAt,
    UploadState,
)

_Writers = Sequence[tuple[Callable[[Any], Any], Callable[[Any], str]]]
"""The functions that get the fields of an object, in the order of its key, and write them."""


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of the keys of one kind of object.

    Attributes:
        template: The key with `%s` for each field.
        writers: The functions for the fields.
        pattern: Matches the keys.
        begin: The first characters of each key. They, `middle` and `end` rule the others out fast.
        middle: The longest text between two fields, which is in each key; empty if there is none.
        end: The last characters of each key; empty if they differ.
    """

    template: str
    writers: _Writers
    pattern: re.Pattern[str]
    begin: str
    middle: str
    end: str


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
    _forms: Mapping[type[StoredObject], _Form] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("root", "manifests", "layers", "uploads"):
            check_type(name, getattr(self, name), str)
        object.__setattr__(self, "root", check_key(self.root.removeprefix("/")))
        forms = {kind: _form(template) for kind, template in _templates(self).items()}
        object.__setattr__(self, "_forms", forms)

    def key(self, item: StoredObject) -> str:
        """Return the key of an object."""
        form = self._forms[type(item)]
        return form.template % tuple([write(get(item)) for get, write in form.writers])

    def parse(self, key: str) -> StoredObject | None:
        """Return the object of a key; None if this layout has no such key.

        An object has one key: for a text that `key` would write differently the result is None.
        """
        for kind, form in self._forms.items():
            if (
                key.endswith(form.end)
                and form.middle in key
                and key.startswith(form.begin)
                and (match := form.pattern.fullmatch(key))
            ):
                build: Callable[..., StoredObject] = kind
                try:
                    fields = {name: read_field(name, text) for name, text in match.groupdict().items()}
                except ValueError:  # a name, tag, digest or time outside its grammar
                    return None
                if "number" in fields:
                    fields["sequence"], fields["flat"] = fields.pop("number")
                return build(**fields)
        return None

    # ---- folders, to list

    @property
    def contents(self) -> str:
        """The folder of all blobs and repositories."""
        return f"{self.root}/v2"

    @property
    def own(self) -> str:
        """The folder of this engine's own objects; Docker Distribution does not know it."""
        return f"{self.root}/revstore"

    @property
    def histories(self) -> str:
        """The folder of the records of all tags' changes."""
        return f"{self.root}/revstore/history"

    @property
    def pulls(self) -> str:
        """The folder of the pull times, with a folder for each day."""
        return f"{self.root}/revstore/pulls"

    @property
    def collector(self) -> str:
        """The folder of the collector's own objects."""
        return f"{self.root}/revstore/gc"

    @property
    def runs(self) -> str:
        """The folder of all runs of the collector."""
        return f"{self.collector}/runs"

    @property
    def packs(self) -> str:
        """The folder of packs: of references that the collector read."""
        return f"{self.collector}/refs"

    def run(self, run: str) -> str:
        """The folder of a run of the collector."""
        return f"{self.runs}/{run}"

    def rescued(self, run: str) -> str:
        """The folder of the keys that writers rescued from a run."""
        return f"{self.run(run)}/rescued"

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
        return f"{self.revisions_of(name)}/{write_digest(revision)}/signatures"

    def referrers_of(self, name: RepositoryName, subject: Digest) -> str:
        """The folder of the links to the manifests that name this one as their subject."""
        return f"{self.revisions_of(name)}/{write_digest(subject)}/referrers"

    def tags_of(self, name: RepositoryName) -> str:
        """The folder of a repository's tags."""
        return f"{self.repository(name)}/{self.manifests}/tags"

    def index_of(self, name: RepositoryName, tag: Tag) -> str:
        """The folder of the links to the revisions that a tag was meant to have."""
        return f"{self.tags_of(name)}/{tag}/index"

    def history_of(self, name: RepositoryName, tag: Tag) -> str:
        """The folder of the records of a tag's changes, the latest first."""
        return f"{self.root}/revstore/history/{name}/_tags/{tag}"

    def history_from(self, name: RepositoryName, tag: Tag, number: int) -> str:
        """The text after which a listing gives the records of a change and of all changes before it.

        Where a number is one folder, up to 999 later changes are listed first.
        """
        return f"{self.history_of(name, tag)}/{write_sequence(number)}"

    def layers_of(self, name: RepositoryName) -> str:
        """The folder of a repository's layers."""
        return f"{self.repository(name)}/{self.layers}"

    @property
    def uploads_under_way(self) -> str:
        """The folder of all uploads of this engine, in all repositories."""
        return f"{self.root}/revstore/uploads"

    def upload(self, name: RepositoryName, upload: str) -> str:
        """The folder of one upload."""
        return f"{self.uploads_of(name)}/{upload}"

    def uploads_of(self, name: RepositoryName) -> str:
        """The folder of this engine's uploads of a repository."""
        return f"{self.uploads_under_way}/{name}/_uploads"


def _form(template: str) -> _Form:
    names: list[str] = re.findall(r"\{(\w+)\}", template)
    pattern = re.escape(template)
    for name in names:
        pattern = pattern.replace(rf"\{{{name}\}}", f"(?P<{name}>{FIELDS[name].pattern})")
    begin, *between = re.split(r"\{\w+\}", template)
    return _Form(
        re.sub(r"\{\w+\}", "%s", template.replace("%", "%%")),
        tuple((FIELDS[name].get or attrgetter(name), FIELDS[name].write) for name in names),
        re.compile(pattern, re.ASCII),
        begin,
        max(between[:-1], key=len, default=""),
        between[-1] if between else begin,
    )


def _templates(layout: Layout) -> dict[type[StoredObject], str]:
    repository = f"{layout.repositories}/{{name}}"
    revisions = f"{repository}/{layout.manifests}/revisions"
    tag = f"{repository}/{layout.manifests}/tags/{{tag}}"
    upload = f"{repository}/{layout.uploads}/{{upload}}"
    history = f"{layout.root}/revstore/history/{{name}}/_tags/{{tag}}"
    change, number = f"{history}/{{number}}", f"{history}/{{sequence}}"
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
        TagClaim: f"{number}/0-claim",
        LayerLink: f"{repository}/{layout.layers}/{{digest}}/link",
        UploadState: f"{own_upload}/state",
        UploadSegment: f"{own_upload}/segments/{{segment}}",
        UploadData: f"{upload}/data",
        UploadStartedAt: f"{upload}/startedat",
        UploadHashState: f"{upload}/hashstates/{{algorithm}}/{{offset}}",
        PullsKept: f"{layout.pulls}/{{day}}/_kept",
        Pulls: f"{layout.pulls}/{{day}}/{{name}}/_by/{{writer}}",
        CollectorState: f"{layout.collector}/state",
        RunObject: f"{layout.collector}/runs/{{run}}/lists/{{list}}",
        Rescue: f"{layout.collector}/runs/{{run}}/rescued/{{hashed}}",
        CollectorClock: f"{layout.collector}/clock",
        ReferencePack: f"{layout.packs}/{{reader}}/{{digest}}",
        ServerProbe: f"{layout.own}/probe",
    }


CURRENT: Final = Layout()
"""The layout of Docker Distribution 2.x and 3.x."""

SEED: Final = Layout(manifests="manifests", layers="layers", uploads="uploads")
"""The layout of Docker Distribution's storage refactor of January 2015, before any release."""

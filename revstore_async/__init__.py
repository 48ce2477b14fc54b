"""An asyncio storage engine for container registries, on object storage.

    from revstore_async import Registry, SigningKey, sign

    async with Registry.open("file:///var/lib/registry") as registry:
        repository = registry.repository("library/hello")
        stored = await repository.manifests.put(document, tag="latest")

The public names are those in `__all__` of this package, of `revstore_async.collector`, `driver`, `layout`,
`server`, `signatures` and `testing`, and the classes of `errors`. `errors` has all exceptions, `driver` the
interface under the engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from . import errors
    from .blobs.content import BinaryFile, Content
    from .blobs.layers import LayerStore
    from .blobs.listed import BlobInfo, LayerInfo
    from .blobs.reader import BlobReader
    from .blobs.store import BlobStore
    from .collector import (
        Chain,
        Collector,
        Explanation,
        Going,
        Plan,
        Progress,
        Reasons,
        RepositoryUsage,
        Retention,
        Rule,
        Staying,
        Usage,
    )
    from .driver import Driver, open_driver
    from .errors import RevstoreError
    from .formats.descriptors import Descriptor
    from .formats.digest import Digest
    from .formats.lenient_manifests import StoredKind
    from .formats.manifests import ManifestDocument, read_manifest
    from .formats.names import Reference, RepositoryName, Tag
    from .layout import CURRENT, SEED, Layout
    from .manifests.served import Manifest
    from .manifests.service import ManifestService, StoredManifest
    from .policy import Policy, TagRule, tags_matching
    from .pulls.pull_times import PullTimes
    from .registry import Registry, Repository
    from .repository_deletion import DeletionProgress
    from .revisions.referrers import Referrer, ReferrerPage, ReferrerStore
    from .revisions.revision import Revision, RevisionInfo, Signatures
    from .revisions.store import RevisionStore
    from .signatures import (
        KeyKind,
        PublicKey,
        Signature,
        SignedDocument,
        SigningKey,
        merge,
        parse_signatures,
        serialise,
        serialise_signatures,
        sign,
        verify_document,
    )
    from .tags.listing import TagInfo, TagPage
    from .tags.pages import TagHistoryPage
    from .tags.records import TagEvent
    from .tags.state import ABSENT, Absent
    from .tags.store import TagStore
    from .trust import AnyOf, TrustedCertificates, TrustedKeys, TrustPolicy
    from .uploads.store import Upload, UploadStore

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "CURRENT",
    "SEED",
    "Absent",
    "AnyOf",
    "BinaryFile",
    "BlobInfo",
    "BlobReader",
    "BlobStore",
    "Chain",
    "Collector",
    "Content",
    "DeletionProgress",
    "Descriptor",
    "Digest",
    "Driver",
    "Explanation",
    "Going",
    "KeyKind",
    "LayerInfo",
    "LayerStore",
    "Layout",
    "Manifest",
    "ManifestDocument",
    "ManifestService",
    "Plan",
    "Policy",
    "Progress",
    "PublicKey",
    "PullTimes",
    "Reasons",
    "Reference",
    "Referrer",
    "ReferrerPage",
    "ReferrerStore",
    "Registry",
    "Repository",
    "RepositoryName",
    "RepositoryUsage",
    "Retention",
    "Revision",
    "RevisionInfo",
    "RevisionStore",
    "RevstoreError",
    "Rule",
    "Signature",
    "Signatures",
    "SignedDocument",
    "SigningKey",
    "Staying",
    "StoredKind",
    "StoredManifest",
    "Tag",
    "TagEvent",
    "TagHistoryPage",
    "TagInfo",
    "TagPage",
    "TagRule",
    "TagStore",
    "TrustPolicy",
    "TrustedCertificates",
    "TrustedKeys",
    "Upload",
    "UploadStore",
    "Usage",
    "__version__",
    "errors",
    "merge",
    "open_driver",
    "parse_signatures",
    "read_manifest",
    "serialise",
    "serialise_signatures",
    "sign",
    "tags_matching",
    "verify_document",
]

_MODULES: Final = {
    "ABSENT": ".tags.state",
    "Absent": ".tags.state",
    "AnyOf": ".trust",
    "BinaryFile": ".blobs.content",
    "BlobInfo": ".blobs.listed",
    "BlobReader": ".blobs.reader",
    "BlobStore": ".blobs.store",
    "CURRENT": ".layout",
    "Chain": ".collector",
    "Collector": ".collector",
    "Content": ".blobs.content",
    "DeletionProgress": ".repository_deletion",
    "Descriptor": ".formats.descriptors",
    "Digest": ".formats.digest",
    "Driver": ".driver",
    "Explanation": ".collector",
    "Going": ".collector",
    "KeyKind": ".signatures",
    "LayerInfo": ".blobs.listed",
    "LayerStore": ".blobs.layers",
    "Layout": ".layout",
    "Manifest": ".manifests.served",
    "ManifestDocument": ".formats.manifests",
    "ManifestService": ".manifests.service",
    "Plan": ".collector",
    "Policy": ".policy",
    "Progress": ".collector",
    "PublicKey": ".signatures",
    "PullTimes": ".pulls.pull_times",
    "Reasons": ".collector",
    "Reference": ".formats.names",
    "Referrer": ".revisions.referrers",
    "ReferrerPage": ".revisions.referrers",
    "ReferrerStore": ".revisions.referrers",
    "Registry": ".registry",
    "Repository": ".registry",
    "RepositoryName": ".formats.names",
    "RepositoryUsage": ".collector",
    "Retention": ".collector",
    "Revision": ".revisions.revision",
    "RevisionInfo": ".revisions.revision",
    "RevisionStore": ".revisions.store",
    "RevstoreError": ".errors",
    "Rule": ".collector",
    "SEED": ".layout",
    "Signature": ".signatures",
    "Signatures": ".revisions.revision",
    "SignedDocument": ".signatures",
    "SigningKey": ".signatures",
    "Staying": ".collector",
    "StoredKind": ".formats.lenient_manifests",
    "StoredManifest": ".manifests.service",
    "Tag": ".formats.names",
    "TagEvent": ".tags.records",
    "TagHistoryPage": ".tags.pages",
    "TagInfo": ".tags.listing",
    "TagPage": ".tags.listing",
    "TagRule": ".policy",
    "TagStore": ".tags.store",
    "TrustPolicy": ".trust",
    "TrustedCertificates": ".trust",
    "TrustedKeys": ".trust",
    "Upload": ".uploads.store",
    "UploadStore": ".uploads.store",
    "Usage": ".collector",
    "merge": ".signatures",
    "open_driver": ".driver",
    "parse_signatures": ".signatures",
    "read_manifest": ".formats.manifests",
    "serialise": ".signatures",
    "serialise_signatures": ".signatures",
    "sign": ".signatures",
    "tags_matching": ".policy",
    "verify_document": ".signatures",
}
"""The module of each public name.

A name is imported at its first use. The import of this package alone therefore costs next to nothing, and the
command prints its help without the engine.
"""

_PACKAGES: Final = frozenset({"driver", "errors", "formats", "signatures"})

if not TYPE_CHECKING:  # a checker of types takes each name from the imports above, and refuses all others

    def __getattr__(name: str) -> object:
        if name in _PACKAGES:
            return import_module(f".{name}", __name__)
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_PACKAGES})

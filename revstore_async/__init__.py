"""An asyncio storage engine for container registries, on object storage.

    from revstore_async import Registry, SigningKey, sign

    async with Registry.open("file:///var/lib/registry") as registry:
        repository = registry.repository("library/hello")
        stored = await repository.manifests.put(document, tag="latest")

`revstore_async.errors` has all exceptions, `revstore_async.driver` the interface under the engine.
"""

from .blobs.listed import LayerInfo
from .driver import Driver, open_driver
from .errors import RevstoreError
from .formats.descriptors import Descriptor
from .formats.digest import Digest
from .formats.names import Reference, RepositoryName, Tag
from .layout import CURRENT, SEED, Layout
from .manifests.served import Manifest
from .manifests.service import StoredManifest
from .policy import Policy, tags_matching
from .registry import Registry, Repository
from .revisions.referrers import Referrer, ReferrerPage
from .revisions.revision import Signatures
from .signatures import (
    PublicKey,
    Signature,
    SigningKey,
    merge,
    parse_signatures,
    serialise,
    serialise_signatures,
    sign,
    verify_document,
)
from .tags.history import TagEvent
from .tags.listing import TagInfo, TagPage
from .tags.pages import TagHistoryPage
from .tags.state import ABSENT
from .trust import TrustedCertificates, TrustedKeys, TrustPolicy
from .uploads.store import Upload

__all__ = [
    "ABSENT",
    "CURRENT",
    "SEED",
    "Descriptor",
    "Digest",
    "Driver",
    "LayerInfo",
    "Layout",
    "Manifest",
    "Policy",
    "PublicKey",
    "Reference",
    "Referrer",
    "ReferrerPage",
    "Registry",
    "Repository",
    "RepositoryName",
    "RevstoreError",
    "Signature",
    "Signatures",
    "SigningKey",
    "StoredManifest",
    "Tag",
    "TagEvent",
    "TagHistoryPage",
    "TagInfo",
    "TagPage",
    "TrustPolicy",
    "TrustedCertificates",
    "TrustedKeys",
    "Upload",
    "merge",
    "open_driver",
    "parse_signatures",
    "serialise",
    "serialise_signatures",
    "sign",
    "tags_matching",
    "verify_document",
]

"""An asyncio storage engine for container registries, on object storage.

    from revstore_async import Registry, SigningKey, sign

    async with Registry.open("file:///var/lib/registry") as registry:
        repository = registry.repository("library/hello")
        stored = await repository.manifests.put(document, tag="latest")

`revstore_async.errors` has all exceptions, `revstore_async.driver` the interface under the engine.
"""

from .digest import Digest
from .driver import Driver, open_driver
from .errors import RevstoreError
from .layers import LayerInfo
from .layout import CURRENT, SEED, Layout
from .manifest_service import StoredManifest
from .manifests import Descriptor
from .names import Reference, RepositoryName, Tag
from .policy import Policy, tags_matching
from .referrers import Referrer, ReferrerPage
from .repository import Registry, Repository
from .served_manifests import Manifest
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
from .tag_changes import ABSENT
from .tag_history import TagEvent
from .tag_listing import TagInfo, TagPage
from .trust import TrustedCertificates, TrustedKeys, TrustPolicy
from .uploads import Upload

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
    "SigningKey",
    "StoredManifest",
    "Tag",
    "TagEvent",
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

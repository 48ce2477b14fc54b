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
from .layout import CURRENT, SEED, Layout
from .manifest_service import Manifest, StoredManifest
from .manifests import Descriptor
from .names import Reference, RepositoryName, Tag
from .policy import Policy, tags_matching
from .repository import Registry, Repository
from .signatures import PublicKey, Signature, SigningKey, merge, serialise, sign, verify_document
from .tag_changes import ABSENT
from .tag_history import TagEvent
from .tag_listing import TagInfo, TagPage
from .trust import TrustedCertificates, TrustedKeys, TrustPolicy

__all__ = [
    "ABSENT",
    "CURRENT",
    "SEED",
    "Descriptor",
    "Digest",
    "Driver",
    "Layout",
    "Manifest",
    "Policy",
    "PublicKey",
    "Reference",
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
    "merge",
    "open_driver",
    "serialise",
    "sign",
    "tags_matching",
    "verify_document",
]

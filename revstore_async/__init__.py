"""An asyncio storage engine for container registries, on object storage.

    from revstore_async import Registry, SigningKey, sign

    async with Registry.open("file:///var/lib/registry") as registry:
        repository = registry.repository("library/hello")
        stored = await repository.manifests.put(document, tag="latest")

`revstore_async.errors` has all exceptions, `revstore_async.driver` the interface under the engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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

_MODULES: Final = {
    "ABSENT": ".tags.state",
    "CURRENT": ".layout",
    "SEED": ".layout",
    "Descriptor": ".formats.descriptors",
    "Digest": ".formats.digest",
    "Driver": ".driver",
    "LayerInfo": ".blobs.listed",
    "Layout": ".layout",
    "Manifest": ".manifests.served",
    "Policy": ".policy",
    "PublicKey": ".signatures",
    "Reference": ".formats.names",
    "Referrer": ".revisions.referrers",
    "ReferrerPage": ".revisions.referrers",
    "Registry": ".registry",
    "Repository": ".registry",
    "RepositoryName": ".formats.names",
    "RevstoreError": ".errors",
    "Signature": ".signatures",
    "Signatures": ".revisions.revision",
    "SigningKey": ".signatures",
    "StoredManifest": ".manifests.service",
    "Tag": ".formats.names",
    "TagEvent": ".tags.history",
    "TagHistoryPage": ".tags.pages",
    "TagInfo": ".tags.listing",
    "TagPage": ".tags.listing",
    "TrustPolicy": ".trust",
    "TrustedCertificates": ".trust",
    "TrustedKeys": ".trust",
    "Upload": ".uploads.store",
    "merge": ".signatures",
    "open_driver": ".driver",
    "parse_signatures": ".signatures",
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

"""Media types and descriptors: how a registry and its clients name content, and say what it is.

Sources: OCI image spec v1.1, `descriptor.md`; Docker image manifest version 2, schema 1 and schema 2.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..errors import InvalidManifest
from .digest import Digest

MANIFEST_LIMIT: Final = 4 << 20
"""The most bytes of a manifest; the OCI distribution spec demands that registries take at least this."""

DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_SCHEMA2: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCTET_STREAM: Final = "application/octet-stream"
SCHEMA1_LAYER: Final = "application/vnd.docker.container.image.rootfs.diff+x-gtar"

SCHEMA1_TYPES: Final = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
"""The types of Docker schema 1 manifests, unsigned and signed."""

IMAGES: Final = frozenset({DOCKER_SCHEMA2, OCI_MANIFEST})
"""The types of manifests that have a config and layers."""

INDEXES: Final = frozenset({DOCKER_LIST, OCI_INDEX})
"""The types of manifests that list manifests."""

_MEDIA_TYPE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The digest, media type and size of content; a client needs them before it asks for the content.

    Attributes:
        media_type: Its type, such as `application/octet-stream`.
        digest: Its digest.
        size: Its size in bytes; -1 if a schema 1 manifest does not tell it.
        artifact_type: The type of the described artifact, if any.
    """

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None


blob_descriptor: Final[Callable[[Digest, int], Descriptor]] = partial(Descriptor, OCTET_STREAM)
"""Returns the descriptor of a blob, by its digest and size: a store does not know the media type of content."""


def canonical(media_type: str) -> str:
    """Return a media type in lower case, to compare it: case makes no difference (RFC 6838, section 4.2)."""
    return media_type.lower() if media_type.isascii() else media_type


def is_schema1_type(media_type: str | None) -> bool:
    """Say whether a media type is one of Docker schema 1."""
    return media_type is not None and canonical(media_type) in SCHEMA1_TYPES


def check_media_type(media_type: str, member: str = "mediaType") -> str:
    """Return the media type, if it is one by RFC 6838, section 4.2, without parameters.

    Args:
        media_type: The text.
        member: The member of the manifest that an error names.

    Raises:
        InvalidManifest: It is not.
    """
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidManifest(member, f"{media_type[:100]!r} is not a media type")
    return media_type

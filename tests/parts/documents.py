"""Documents as clients make them."""

import json
from collections.abc import Sequence
from functools import cache

from revstore_async import Descriptor, Digest, Signature, SigningKey, serialise, sign
from revstore_async.formats.descriptors import (
    DOCKER_LIST,
    DOCKER_SCHEMA2,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
)

NAME = "library/hello"


@cache
def key(number: int) -> SigningKey:
    """The key of the host of this number; the same one throughout a run."""
    return SigningKey.generate()


def schema1(
    *layers: str, name: str = NAME, tag: str = "latest", indent: int | None = 3, **more: object
) -> bytes:
    """A Docker schema 1 manifest, unsigned."""
    members = {
        "schemaVersion": 1,
        "name": name,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer} for layer in layers],
        "history": [{"v1Compatibility": json.dumps({"id": str(number)})} for number, _ in enumerate(layers)],
        **more,
    }
    return json.dumps(members, indent=indent).encode()


def signed(payload: bytes, *hosts: int) -> bytes:
    """The payload, signed by the hosts of these numbers."""
    return serialise(payload, [sign(payload, key(host)) for host in hosts])


def descriptor(content: bytes, media_type: str = OCTET_STREAM) -> dict[str, object]:
    return {"mediaType": media_type, "digest": Digest.of(content), "size": len(content)}


def image(
    config: bytes,
    *layers: bytes,
    media_type: str | None = OCI_MANIFEST,
    config_type: str = "application/vnd.oci.image.config.v1+json",
    **more: object,
) -> bytes:
    """An OCI image manifest, or Docker's schema 2; `media_type=None` leaves its own word out."""
    members: dict[str, object] = {"schemaVersion": 2}
    if media_type:
        members["mediaType"] = media_type
    members["config"] = descriptor(config, config_type)
    members["layers"] = [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers]
    return json.dumps(members | more).encode()


def index(*manifests: bytes, media_type: str | None = OCI_INDEX, **more: object) -> bytes:
    """An OCI index, or Docker's manifest list."""
    members: dict[str, object] = {"schemaVersion": 2}
    if media_type:
        members["mediaType"] = media_type
    members["manifests"] = [descriptor(manifest, OCI_MANIFEST) for manifest in manifests]
    return json.dumps(members | more).encode()


def digests(descriptors: Sequence[Descriptor]) -> list[str]:
    return [each.digest for each in descriptors]


def without_key_id(signature: Signature) -> Signature:
    """The same signature as libtrust writes it for a chain: certificates only, no key beside them."""
    entry = json.loads(signature.blob)
    del entry["header"]["jwk"]
    return Signature.from_blob(json.dumps(entry, separators=(",", ":")).encode())


__all__ = [
    "DOCKER_LIST",
    "DOCKER_SCHEMA2",
    "NAME",
    "OCI_INDEX",
    "OCI_MANIFEST",
    "descriptor",
    "digests",
    "image",
    "index",
    "key",
    "schema1",
    "signed",
    "without_key_id",
]

"""The images of the soak. Their number is fixed, so that equal images come again and again."""

import json
import random
from dataclasses import dataclass
from functools import cache

from revstore_async import Digest, Signature, sign
from tests.parts.documents import OCI_INDEX, OCI_MANIFEST, key

LAYERS = 160
IMAGES = 320
INDEXES = 40
ARTIFACTS = 40

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest with all that it refers to.

    Attributes:
        content: Its bytes.
        media_type: Its media type.
        blobs: The content of its config and of its layers.
        children: The manifests of an index.
    """

    content: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()
    children: tuple["Document", ...] = ()

    @property
    def digest(self) -> Digest:
        return digest_of(self.content)


@cache
def digest_of(content: bytes) -> Digest:
    """Return the digest of a content of the soak; each is hashed once."""
    return Digest.of(content)


def _descriptor(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


@cache
def layer(number: int) -> bytes:
    """Return the layer of this number, of 200 bytes up to 100 kB."""
    chance = random.Random(f"layer {number}")
    return chance.randbytes(int(10 ** chance.uniform(2.3, 5)))


@cache
def image(number: int) -> Document:
    """Return the image of this number: a config and two to four layers, which other images have, too."""
    chance = random.Random(f"image {number}")
    config = json.dumps({"architecture": "amd64", "os": "linux", "number": number}).encode()
    layers = [layer(each) for each in chance.sample(range(LAYERS), chance.randint(2, 4))]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(config, _CONFIG),
        "layers": [_descriptor(each, _LAYER) for each in layers],
    }
    return Document(json.dumps(manifest).encode(), OCI_MANIFEST, (config, *layers))


@cache
def index(number: int) -> Document:
    """Return the index of this number, of two or three images."""
    chance = random.Random(f"index {number}")
    children = tuple(image(each) for each in chance.sample(range(IMAGES), chance.randint(2, 3)))
    members = [_descriptor(child.content, child.media_type) for child in children]
    content = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}
    return Document(json.dumps(content).encode(), OCI_INDEX, children=children)


@cache
def artifact(number: int, subject: Document) -> Document:
    """Return the artifact of this number that refers to a subject."""
    content = f"artifact {number}".encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.soak",
        "config": _descriptor(b"{}", _EMPTY),
        "layers": [_descriptor(content, "text/plain")],
        "subject": _descriptor(subject.content, subject.media_type),
    }
    return Document(json.dumps(manifest).encode(), OCI_MANIFEST, (b"{}", content))


@cache
def signature(content: bytes, number: int) -> Signature:
    """Return the signature of a manifest by the key of this number."""
    return sign(content, key(number))


@cache
def all_documents() -> dict[Digest, Document]:
    """Return all images and indexes by digest."""
    made = [*map(image, range(IMAGES)), *map(index, range(INDEXES))]
    return {document.digest: document for document in made}

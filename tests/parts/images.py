"""Whole images, as a client builds them: layers that are archives, a config that names them, manifests."""

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from revstore_async import Digest

from .documents import DOCKER_SCHEMA2, OCI_INDEX, OCI_MANIFEST, descriptor

_OCI = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
_DOCKER = (
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its manifest, and the blobs that the manifest refers to, the config first."""

    manifest: bytes
    media_type: str
    blobs: tuple[bytes, ...]

    def write_to(self, folder: Path) -> None:
        """Write it in skopeo's `dir:` layout; the folder is made."""
        folder.mkdir()
        (folder / "version").write_text("Directory Transport Version: 1.1\n")
        (folder / "manifest.json").write_bytes(self.manifest)
        for blob in self.blobs:
            (folder / Digest.of(blob).hex).write_bytes(blob)


def build(*texts: str, architecture: str = "amd64", media_type: str = OCI_MANIFEST) -> Image:
    """Build an image of one layer for each text, a file that holds it."""
    config_type, layer_type = _DOCKER if media_type == DOCKER_SCHEMA2 else _OCI
    archives = [_archive(f"{number}.txt", text.encode()) for number, text in enumerate(texts)]
    layers = [gzip.compress(archive, mtime=0) for archive in archives]
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2024-02-03T04:05:06Z",
            "config": {"Cmd": ["cat", "/0.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [descriptor(archive)["digest"] for archive in archives]},
            "history": [{"created": "2024-02-03T04:05:06Z", "created_by": "<&>"} for _ in archives],
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, config_type),
        "layers": [descriptor(layer, layer_type) for layer in layers],
    }
    return Image(json.dumps(manifest).encode(), media_type, (config, *layers))


def index_of(**images: Image) -> bytes:
    """Return an OCI index of images by architecture."""
    members = [
        {
            **descriptor(image.manifest, image.media_type),
            "platform": {"architecture": architecture, "os": "linux"},
        }
        for architecture, image in images.items()
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}).encode()


def _archive(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()

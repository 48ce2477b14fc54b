"""skopeo against `revstore serve` on a folder in which one file is damaged: a push heals it for a pull."""

import json
import subprocess
from pathlib import Path

import pytest

from revstore_async import Digest
from tests.parts.images import build
from tests.parts.serve_command import Serving, copy, serving

IMAGE = build("a small layer", "another layer")
FILES = {
    "layer": "blobs/sha256/*/LAYER/data",
    "config": "blobs/sha256/*/CONFIG/data",
    "manifest": "blobs/sha256/*/MANIFEST/data",
    "layer link": "_layers/sha256/LAYER/link",
    "revision link": "_manifests/revisions/sha256/MANIFEST/link",
    "tag link": "_manifests/tags/latest/current/link",
}


def damaged(data: Path, kind: str, *, emptied: bool) -> None:
    """Cut the last byte of a file of the store, or all of them."""
    pattern = FILES[kind]
    members = json.loads(IMAGE.manifest)
    digests = {
        "MANIFEST": Digest.of(IMAGE.manifest),
        "CONFIG": members["config"]["digest"],
        "LAYER": members["layers"][0]["digest"],
    }
    for name, digest in digests.items():
        pattern = pattern.replace(name, digest.partition(":")[2])
    (file,) = data.rglob(pattern)
    file.write_bytes(b"" if emptied else file.read_bytes()[:-1])


def pushed(server: Serving, folder: Path) -> subprocess.CompletedProcess[str]:
    name = f"docker://{server.host}/hello:latest"
    return copy("--preserve-digests", "--dest-tls-verify=false", f"dir:{folder}", name)


@pytest.mark.parametrize("emptied", [True, False], ids=["emptied", "cut"])
@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.replace(" ", "-"))
def test_skopeo_heals_by_a_push_what_is_damaged(tmp_path: Path, kind: str, *, emptied: bool) -> None:
    IMAGE.write_to(tmp_path / "in")
    with serving(tmp_path) as server:
        assert pushed(server, tmp_path / "in").returncode == 0
        assert server.end() == 0
    damaged(tmp_path / "data", kind, emptied=emptied)
    with serving(tmp_path) as server:
        first = pushed(server, tmp_path / "in")
        if first.returncode:  # the manifest tells the server the size of what was cut
            assert not emptied
            assert "bytes in 'hello', the manifest announces" in first.stderr
            again = pushed(server, tmp_path / "in")
            assert again.returncode == 0, again.stderr
        pulled = copy("--src-tls-verify=false", f"docker://{server.host}/hello:latest", f"dir:{tmp_path}/out")
        assert pulled.returncode == 0, pulled.stderr
        for file in (tmp_path / "in").iterdir():
            assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
        assert server.end() == 0

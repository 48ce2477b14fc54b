"""Capture the schema 1 documents of a real client: skopeo pushes a small image to docker-registry.

Run from the root of the repository: `python tests/vectors/skopeo/make.py [FOLDER]`. Needed: skopeo and
docker-registry (both Debian packages). Written: `pushed.json`, as skopeo sent it, and `served.json`, as the
registry gave it back. The registry (2.8) keeps payloads only and signs its answers with a key of its own, so
the two differ in their signatures.
"""

import gzip
import hashlib
import http.server
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import ClassVar

from tests.parts import docker_registry
from tests.parts.docker_registry import SIGNED_MANIFEST, Answer, DockerRegistry
from tests.parts.programs import program

NAME, TAG = "library/hello", "latest"
CREATED = "2024-02-03T04:05:06Z"


def layer() -> bytes:
    """A tar with one file."""
    content = b"hello\n"
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def image(folder: Path) -> None:
    """Write an image in skopeo's `dir:` layout: manifest, config and one layer."""
    tar = layer()
    packed = gzip.compress(tar, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": {"Cmd": ["cat", "/hello.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
            "history": [{"created": CREATED, "created_by": "tests/vectors/skopeo/make.py <&>"}],
        }
    ).encode()
    kind = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.distribution.manifest.v2+json",
        "config": described(config, f"{kind}.container.image.v1+json"),
        "layers": [described(packed, f"{kind}.image.rootfs.diff.tar.gzip")],
    }
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for content in (config, packed):
        (folder / hashlib.sha256(content).hexdigest()).write_bytes(content)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def described(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(content), "digest": digest(content)}


class Recorder(http.server.BaseHTTPRequestHandler):
    """Passes requests on to the registry, and keeps the manifests that are put."""

    registry: ClassVar[DockerRegistry]
    pushed: ClassVar[dict[str, bytes]] = {}

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = self._chunks()
        if self.command == "PUT" and "/manifests/" in self.path:
            self.pushed[self.headers["Content-Type"]] = body
        kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
        kept["Host"] = self.headers["Host"]  # so that upload locations lead back here
        self._give(self.registry.ask(self.command, self.path, body, kept))

    def _give(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name not in ("connection", "date"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Say nothing."""

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = pass_on  # noqa: N815 -- the base class's names


def capture(out: Path, folder: Path) -> None:
    """Push and read back, and write both documents."""
    source = folder / "image"
    source.mkdir()
    image(source)
    with (
        docker_registry.running(folder) as registry,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as proxy,
    ):
        Recorder.registry = registry
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        target = f"docker://127.0.0.1:{proxy.server_port}/{NAME}:{TAG}"
        options = ["--insecure-policy", "copy", "--format", "v2s1", "--dest-tls-verify=false"]
        subprocess.run(
            [program("skopeo"), *options, f"dir:{source}", target],
            check=True,
            env={"HOME": str(folder), "TMPDIR": str(folder), "PATH": "/usr/bin:/bin"},
        )
        served = registry.ask("GET", f"/v2/{NAME}/manifests/{TAG}", headers={"Accept": SIGNED_MANIFEST})
        proxy.shutdown()
    out.mkdir(parents=True, exist_ok=True)
    (out / "pushed.json").write_bytes(Recorder.pushed[SIGNED_MANIFEST])
    (out / "served.json").write_bytes(served.body)


def main(out: str = str(Path(__file__).parent)) -> None:
    with tempfile.TemporaryDirectory() as folder:
        capture(Path(out), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

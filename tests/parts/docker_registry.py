"""Docker Distribution itself (Debian's `docker-registry`), for one test session on a loopback port."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .programs import program

SIGNED_MANIFEST = "application/vnd.docker.distribution.manifest.v1+prettyjws"
_PATIENCE = 20.0

_CONFIGURATION = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
compatibility:
  schema1: {{enabled: true}}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A running registry; `root` is the folder that holds its `docker/registry/v2`."""

    port: int
    root: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and read the answer; it blocks, so a coroutine calls it in a thread."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, content
            )
        finally:
            connection.close()

    def push_blob(self, name: str, content: bytes, digest: str) -> None:
        """Upload a blob in one request after the one that begins it."""
        begun = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert begun.status == 202, begun
        location = begun.headers["location"].removeprefix(f"http://{self.host}")
        separator = "&" if "?" in location else "?"
        done = self.ask(
            "PUT",
            f"{location}{separator}digest={digest}",
            content,
            {"Content-Type": "application/octet-stream"},
        )
        assert done.status == 201, done


@contextmanager
def running(folder: Path) -> Iterator[DockerRegistry]:
    """Run a registry that takes schema 1, with its files in a folder, for as long as the block lasts."""
    binary = program("docker-registry")
    port = _free_port()
    configuration = folder / "registry.yml"
    configuration.write_text(_CONFIGURATION.format(root=folder / "root", port=port))
    # It refuses to start when AWS_CA_BUNDLE names a file that its SDK can't read, though nothing is on S3.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [binary, "serve", str(configuration)]
    with (
        (folder / "registry.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            registry = DockerRegistry(port, folder / "root")
            _wait(registry, process, folder / "registry.log")
            yield registry
        finally:
            process.terminate()


def _wait(registry: DockerRegistry, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if registry.ask("GET", "/v2/").status == 200:
                return
        except OSError:
            time.sleep(0.05)  # not listening yet
    raise AssertionError(f"docker-registry did not start:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""Docker Distribution itself, on a loopback port: Debian's `docker-registry` (2.8), or any version."""

import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .programs import free_port, program, wait_until, without_aws

SIGNED_MANIFEST = "application/vnd.docker.distribution.manifest.v1+prettyjws"
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A running registry."""

    port: int

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

    def is_ready(self) -> bool:
        """Say whether it answers."""
        try:
            return self.ask("GET", "/v2/").status == 200
        except OSError:
            return False  # not listening yet

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
    configuration = {
        "storage": {"filesystem": {"rootdirectory": str(folder / "root")}, "delete": {"enabled": True}},
        "compatibility": {"schema1": {"enabled": True}},
    }
    with serving(program("docker-registry"), configuration, folder) as registry:
        yield registry


@contextmanager
def serving(binary: str, configuration: Mapping[str, object], folder: Path) -> Iterator[DockerRegistry]:
    """Run a registry of any version, for as long as the block lasts; its log stays in the folder.

    Args:
        binary: The program.
        configuration: All but version, log and address.
        folder: An empty one, for configuration and log.
    """
    registry = DockerRegistry(free_port())
    common = {"version": 0.1, "log": {"level": "warn"}, "http": {"addr": registry.host}}
    written = folder / "registry.yml"
    written.write_text(json.dumps({**common, **configuration}))  # JSON is YAML
    log = folder / "registry.log"
    # 3.x would send traces to a collector that isn't there.
    environment = without_aws() | {"OTEL_TRACES_EXPORTER": "none"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [binary, "serve", written], env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            wait_until(registry.is_ready, process, log)
            yield registry
        finally:
            process.terminate()

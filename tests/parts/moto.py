"""moto's server: an S3 that can be looked into, and that lists unfinished uploads by prefix, as AWS does.

Tests use it for behaviour that a real server does not show on demand. Its conditions are not atomic, so no test
of the engine's guarantees runs on it.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer


@dataclass(frozen=True, slots=True)
class Moto:
    """A running server; its state is in this process."""

    port: int

    def options(self, port: int | None = None) -> dict[str, Any]:
        """Return the S3 driver's options for it, or for a proxy on another port before it."""
        return {
            "endpoint_url": f"http://127.0.0.1:{port or self.port}",
            "region": "us-east-1",
            "access_key_id": "somebody",
            "secret_access_key": "secret",
            "dated_deletion": False,  # moto judges no signature
        }

    def new_bucket(self) -> str:
        """Make a bucket."""
        name = f"test-{secrets.token_hex(8)}"
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(name, "us-east-1")
        return name

    def objects(self, bucket: str) -> dict[str, Any]:
        """Return the objects as moto holds them, by name."""
        return dict(self._held(bucket).keys.items())

    def uploads(self, bucket: str) -> list[str]:
        """Name the multipart uploads that are neither completed nor aborted."""
        return sorted(upload.key_name for upload in self._held(bucket).multiparts.values())

    def age(self, bucket: str, by: timedelta) -> None:
        """Let time pass for the objects written so far."""
        held = self._held(bucket)
        for each in [*held.keys.values(), *(p for u in held.multiparts.values() for p in u.parts.values())]:
            each.last_modified -= by

    def _held(self, bucket: str) -> Any:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket]


@contextmanager
def running() -> Iterator[Moto]:
    """Run a moto for as long as the block lasts."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield Moto(server.get_host_and_port()[1])
    finally:
        server.stop()

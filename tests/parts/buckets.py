"""The two drivers of a bucket, for tests that hold for both; and code that their tests share."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from revstore_async.driver import IfAbsent, Source
from revstore_drivers.object_store import ObjectStoreDriver
from revstore_drivers.s3 import S3Driver

from .minio import MinIO
from .proxy import Answer
from .s3 import connections_in_use
from .suite import read_all

Bucketed = S3Driver | ObjectStoreDriver

SLOW_DOWN = Answer(503, "SlowDown", {"Retry-After": "0"})
BROKEN = Answer(500, "InternalError")


CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "get": ("GET", lambda driver: driver.get("key")),
    "stat": ("HEAD", lambda driver: driver.stat("key")),
    "reader": ("GET", lambda driver: read_all(driver, "key")),
    "put": ("PUT", lambda driver: driver.put("key", b"content")),
    "put if absent": ("PUT", lambda driver: driver.put("new", b"content", condition=IfAbsent())),
    "copy": ("PUT", lambda driver: driver.compose([Source("key", 7)], "copy")),
    "list": ("GET", lambda driver: driver.list("folder")),
    "delete": ("", lambda driver: driver.delete("key")),
    "delete_many": ("POST", lambda driver: driver.delete_many(["key", "other"])),
}
"""Calls, and of each the method of the request to spoil; empty for any."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of them.

    Attributes:
        name: What tests call it.
        make: Makes one, not yet open, of a bucket and a prefix.
        held: Names what one holds of its pool, while nobody asks it anything.
        looks: The requests by which the loser of a condition sees who has won.
        gives_all: Whether a reader gives every byte that came before a connection broke.
    """

    name: str
    make: Callable[..., Any]
    held: Callable[[Any], list[str]]
    looks: tuple[str, ...]
    gives_all: bool

    def __str__(self) -> str:
        return self.name


def _on_obstore(bucket: str, prefix: str = "", **options: object) -> ObjectStoreDriver:
    return ObjectStoreDriver(f"obstore+s3://{bucket}/{prefix}", **options)


def _slots_taken(driver: ObjectStoreDriver) -> list[str]:
    client = driver._client
    return [f"{client.slots.taken} slots"] if client is not None and client.slots.taken else []


S3 = Kind("s3", S3Driver, connections_in_use, looks=("HEAD",), gives_all=True)
OBSTORE = Kind("obstore", _on_obstore, _slots_taken, looks=(), gives_all=False)


async def fill_on_the_drive(driver: Bucketed, minio: MinIO, keys: list[str]) -> None:
    """Copy an object on MinIO's drive: to ask the server for thousands takes long."""
    await driver.put("zz/first", b"")
    root = minio.folder / driver.options.bucket

    def copies() -> None:
        for key in keys:
            (root / key).mkdir(parents=True)
            shutil.copyfile(root / "zz/first/xl.meta", root / key / "xl.meta")

    await asyncio.to_thread(copies)
    await driver.delete("zz/first")

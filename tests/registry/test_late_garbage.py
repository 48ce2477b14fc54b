"""Calls leave no cycle that end at a deadline, share a request, or meet damaged or malformed content."""

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from revstore_async import Digest, Registry, Repository
from revstore_async.concurrency import gather_map
from revstore_async.driver import IfAbsent
from revstore_async.driver.deadline import metadata_operation
from revstore_async.errors import KeyNotFound, RevstoreError, Unavailable
from revstore_async.shared_reads import SharedReads
from revstore_async.signatures import SigningKey, sign
from revstore_drivers.buckets.retries import Slots
from revstore_drivers.filesystem import FilesystemDriver
from tests.parts.buckets import OBSTORE, S3, Kind
from tests.parts.garbage import without_cycles
from tests.parts.suite import pattern

CONTENT = pattern(1 << 16)


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Run a server that takes connections and requests, and answers nothing."""
    there = set()

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.add(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in there:
            writer.transport.abort()


async def read_first(driver: Any) -> None:
    async with driver.open_reader("key") as reader:
        await reader.read()


async def write_parts(driver: Any) -> None:
    async with driver.open_writer("key") as writer:
        await writer.write(pattern(11 << 20))
        await writer.commit()


CALLS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "get": lambda driver: driver.get("key"),
    "stat": lambda driver: driver.stat("key"),
    "put": lambda driver: driver.put("key", CONTENT),
    "put if absent": lambda driver: driver.put("key", CONTENT, condition=IfAbsent()),
    "list": lambda driver: driver.list(),
    "delete": lambda driver: driver.delete("key"),
    "delete_many": lambda driver: driver.delete_many(["key", "other"]),
    "reader": read_first,
    "writer": write_parts,
}


@pytest.mark.parametrize("kind", [S3, OBSTORE], ids=str)
async def test_calls_of_a_server_that_never_answers_leave_no_cycle(kind: Kind) -> None:
    found: dict[str, list[str]] = {}
    async with silent_server() as url:
        options: dict[str, Any] = {
            "endpoint_url": url,
            "region": "us-east-1",
            "access_key_id": "a",
            "secret_access_key": "b",
            "metadata_timeout": 0.2,
            "read_timeout": 0.2,
            "retries": 1,
        }
        async with kind.make("bucket", **options) as driver:
            for name, call in CALLS.items():
                async with without_cycles() as left:
                    with suppress(RevstoreError):
                        await call(driver)
                if left:
                    found[name] = left
    assert not found


async def test_a_wait_for_a_connection_that_is_not_free_in_time_leaves_no_cycle(tmp_path: Path) -> None:
    slots = Slots(2)

    async def ask(content: bytes) -> None:
        with metadata_operation(timedelta(seconds=0.01)):
            await slots.take(f"key of {len(content)} bytes")

    await slots.take("key")
    await slots.take("key")
    async with without_cycles() as left:
        with suppress(RevstoreError):
            await asyncio.create_task(ask(CONTENT))
    assert not left, "\n".join(left)


@pytest.mark.parametrize("change", ["put", "delete", "cancelled"])
async def test_a_change_that_gets_no_lock_leaves_no_cycle(tmp_path: Path, change: str) -> None:
    async with FilesystemDriver(tmp_path, metadata_timeout=0.1) as driver:
        await driver.put("folder/key", b"before")
        lock = os.open(tmp_path / "folder", os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            async with without_cycles() as left:
                changing = (
                    driver.delete("folder/key") if change == "delete" else driver.put("folder/key", CONTENT)
                )
                task = asyncio.ensure_future(changing)
                await asyncio.sleep(0.02)
                if change == "cancelled":
                    task.cancel()
                with suppress(RevstoreError, asyncio.CancelledError):
                    await task
                del task, changing
            assert not left, "\n".join(left)
        finally:
            os.close(lock)


async def test_reads_of_a_disk_that_hangs_leave_no_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    real = os.lstat

    def hanging(path: str) -> os.stat_result:
        answers.wait()
        return real(path)

    async with FilesystemDriver(tmp_path, threads=1, metadata_timeout=0.1) as driver:
        await driver.put("key", CONTENT)
        async with without_cycles() as left:
            monkeypatch.setattr(os, "lstat", hanging)
            for _ in range(2):  # one has the thread, and one finds none
                with suppress(RevstoreError):
                    await driver.get("key")
            answers.set()
            while driver._open()[1]._abandoned:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(0.01)
        assert not left, "\n".join(left)


@pytest.mark.parametrize("how", ["fails", "late", "cancelled"])
async def test_readers_that_share_a_request_leave_no_cycle(how: str) -> None:
    reads: SharedReads[bytes] = SharedReads()
    limit = timedelta(seconds=0.1)

    async def ask() -> bytes:
        content = bytes(CONTENT)
        await asyncio.sleep(0.01 if how == "fails" else 0.3)
        raise Unavailable("key", f"of {len(content)} bytes")

    async with without_cycles() as left:
        readers = [asyncio.create_task(reads.share("question", ask, limit)) for _ in range(5)]
        await asyncio.sleep(0.005)
        if how == "cancelled":
            for reader in readers:
                reader.cancel()
        await asyncio.wait(readers)
        for each in readers:
            with suppress(Unavailable, TimeoutError, asyncio.CancelledError):
                each.result()
        del readers, each
        if how == "cancelled":
            del reader
        while not reads.idle:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.01)
    assert not left, "\n".join(left)


async def test_work_on_many_of_which_one_fails_leaves_no_cycle() -> None:
    async def one(number: int) -> bytes:
        await asyncio.sleep(0)
        if number == 3:
            raise KeyNotFound("key")
        return CONTENT

    async with without_cycles() as left:
        with suppress(RevstoreError):
            await gather_map(one, range(8), limit=4)
    assert not left, "\n".join(left)


DOCUMENTS = {
    "small": b'{"schemaVersion": 2, "mediaType": 1}',
    "large": b'{"schemaVersion": 2, "annotations": {"a": "' + b"a" * (1 << 17) + b'"}, "layers": 1}',
    "broken": b'{"schemaVersion": 2, "annotations": {"a": "' + b"a" * (1 << 17),
}


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_a_manifest_that_is_refused_leaves_no_cycle(repository: Repository, document: str) -> None:
    async with without_cycles() as left:
        for _ in range(2):
            with suppress(RevstoreError):
                await repository.manifests.put(DOCUMENTS[document], tag="tag")
    assert not left, "\n".join(left)


async def test_a_manifest_that_is_not_there_leaves_no_cycle(registry: Registry) -> None:
    manifests = registry.repository("library/hello").manifests
    async with without_cycles() as left:
        for reference in ("tag", str(Digest.of(b"nothing"))):
            calls = [asyncio.create_task(manifests.get(reference)) for _ in range(4)]
            await asyncio.wait(calls)
            for call in calls:
                with suppress(RevstoreError):
                    call.result()
            del calls, call
    assert not left, "\n".join(left)


DAMAGED: dict[str, Callable[[Repository, Digest], Awaitable[object]]] = {
    "stat": lambda repository, digest: repository.blobs.stat(digest),
    "get": lambda repository, digest: repository.blobs.get(digest),
    "manifest": lambda repository, digest: repository.manifests.get(str(digest)),
    "revision": lambda repository, digest: repository.revisions.get(digest),
}


@pytest.mark.parametrize("read", DAMAGED)
async def test_a_read_of_damaged_content_leaves_no_cycle(
    registry: Registry, repository: Repository, read: str
) -> None:
    content = b'{"schemaVersion": 2, "layers": [], "annotations": {"a": "' + b"a" * (1 << 16) + b'"}}'
    if read in {"manifest", "revision"}:
        digest = await repository.revisions.put(content)
    else:
        digest = (await repository.blobs.put(content)).digest
    for damage in (b"", content[1:], content.replace(b"a", b"b")):
        await registry.driver.put(registry.blobs.path(digest), damage)
        async with without_cycles() as left:
            for _ in range(2):
                with suppress(RevstoreError):
                    await DAMAGED[read](Registry(registry.driver).repository("library/hello"), digest)
        assert not left, "\n".join(left)


async def test_a_signature_that_does_not_verify_leaves_no_cycle(repository: Repository) -> None:
    key = SigningKey.generate()
    one, other = (b'{"schemaVersion": 1, "name": "' + name * (1 << 16) + b'"}' for name in (b"a", b"b"))
    signatures = [sign(other, key)]
    async with without_cycles() as left:
        for _ in range(2):
            with suppress(RevstoreError):
                await repository.revisions.put(one, signatures)
    assert not left, "\n".join(left)

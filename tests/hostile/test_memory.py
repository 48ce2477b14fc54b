"""The memory that reading documents takes: bounded for one, and for all that come at once."""

import asyncio
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from starlette.requests import Request
from starlette.types import Message

from revstore_async import Registry
from revstore_async.concurrency import gather_map
from revstore_async.errors import InvalidJSON, TooManyValues
from revstore_async.formats.descriptors import MANIFEST_LIMIT, OCI_MANIFEST
from revstore_async.formats.lenient_manifests import read_stored
from revstore_async.formats.manifests import REFERENCE_LIMIT, read_manifest
from revstore_async.formats.strictjson import VALUE_LIMIT
from revstore_async.server import RegistryApp, ServerOptions
from revstore_async.server.access.policy import ANONYMOUS, Everybody
from revstore_async.server.context import RequestContext
from revstore_async.threads import LARGE, LARGE_AT_ONCE, in_thread_if_large
from tests.parts.documents import descriptor, image
from tests.parts.serving import client_of

SEVERAL = 8
OTHER = "application/vnd.example.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.fixture
async def in_memory() -> AsyncIterator[Registry]:
    async with Registry.open("memory:", cache_size=0) as registry:
        yield registry


def padded(members: bytes) -> bytes:
    """A document of 4 MiB with these members; each character of its text takes four bytes."""
    begin = '{"p":"😀'.encode()
    return begin + b"x" * (MANIFEST_LIMIT - len(begin) - len(members) - 3) + b'",' + members + b"}"


COSTLY = {
    "names and texts": padded(b",".join(b'"%d":"%d"' % (each, each) for each in range(VALUE_LIMIT - 3))),
    "small objects": padded(b'"a":[' + b",".join([b'{"a":1}'] * (VALUE_LIMIT // 2 - 4)) + b"]"),
    "empty arrays": padded(b'"a":[' + b",".join([b"[]"] * (VALUE_LIMIT // 2 - 4)) + b"]"),
    "empty arrays, too many": padded(b'"a":[' + b",".join([b"[]"] * 1_000_000) + b"]"),
    "arrays in arrays, too many": padded(b'"a":[' + b",".join([b"[[[]]]"] * 500_000) + b"]"),
    "text": padded(b'"a":1'),
}


@pytest.mark.parametrize("document", COSTLY.values(), ids=COSTLY)
@pytest.mark.parametrize("read", [read_manifest, read_stored])
def test_a_document_takes_no_more_than_sixteen_times_its_size(
    document: bytes, read: Callable[[bytes], object]
) -> None:
    assert peak_of(lambda: suppressed(read, document)) < 16 * MANIFEST_LIMIT


def suppressed(read: Callable[[bytes], object], document: bytes) -> None:
    with suppress(ValueError):
        read(document)


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_as_many_layers_as_may_be_with_as_many_annotations_as_fit_are_taken() -> None:
    annotations = {f"name {each}": "x" * 12 for each in range(26)}
    layers = [{**descriptor(b"", LAYER), "digest": f"sha256:{each:064}"} for each in range(REFERENCE_LIMIT)]
    document = image(b"{}", layers=[{**each, "annotations": annotations} for each in layers])
    assert MANIFEST_LIMIT * 0.8 < len(document) <= MANIFEST_LIMIT
    assert len(read_manifest(document, OCI_MANIFEST).blobs) == REFERENCE_LIMIT + 1


async def test_too_many_values_are_told_to_the_client(in_memory: Registry) -> None:
    document = b'{"schemaVersion":2,"a":[' + b"0," * VALUE_LIMIT + b"0]}"
    async with client_of(RegistryApp(in_memory)) as client:
        answer = await client.put(
            "/v2/a/manifests/b", content=document, headers={"Content-Type": OCI_MANIFEST}
        )
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["code"] == "MANIFEST_INVALID"
    assert "more than 131072 values" in error["message"]


def test_what_another_program_stored_with_too_many_values_tells_nothing() -> None:
    stored = read_stored(b'{"mediaType":"%b","a":[' % OCI_MANIFEST.encode() + b"0," * VALUE_LIMIT + b"0]}")
    assert stored.media_type is None
    with pytest.raises(TooManyValues):
        read_manifest(b"[" + b"0," * VALUE_LIMIT + b"0]")
    assert issubclass(TooManyValues, InvalidJSON)


async def test_a_body_in_small_pieces_takes_no_more_than_a_few_times_its_size(in_memory: Registry) -> None:
    size = 1 << 16
    pieces = size // 2

    async def receive() -> Message:
        nonlocal pieces
        pieces -= 1
        return {"type": "http.request", "body": b"%02d" % (pieces % 100), "more_body": pieces > 0}

    request = Request({"type": "http", "method": "PUT", "path": "/", "headers": []}, receive)
    context = RequestContext(request, {}, in_memory, ServerOptions(), Everybody(), ANONYMOUS, "", {}, None)
    tracemalloc.start()
    try:
        assert len(await context.body(MANIFEST_LIMIT)) == size
        assert tracemalloc.get_traced_memory()[1] < 8 * size
    finally:
        tracemalloc.stop()


# ---- many at once


class Reader:
    """Counts how many read at once, and holds them until it is told."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self._lock = threading.Lock()

    def read(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.release()
        assert self.go.wait(30)
        with self._lock:
            self._now -= 1


async def test_large_documents_take_turns_and_small_ones_pass() -> None:
    large, small = Reader(), Reader()
    small.go.set()
    reading = [asyncio.create_task(in_thread_if_large(LARGE + 1, large.read)) for _ in range(SEVERAL)]
    for _ in range(LARGE_AT_ONCE):
        await asyncio.to_thread(large.begun.acquire, timeout=30)
    await asyncio.wait_for(in_thread_if_large(LARGE, small.read), 30)
    assert not any(task.done() for task in reading)
    large.go.set()
    await asyncio.gather(*reading)
    assert large.most == LARGE_AT_ONCE


async def test_one_that_is_given_up_while_it_waits_takes_no_turn() -> None:
    large = Reader()
    first = [asyncio.create_task(in_thread_if_large(LARGE + 1, large.read)) for _ in range(LARGE_AT_ONCE)]
    for _ in first:
        await asyncio.to_thread(large.begun.acquire, timeout=30)
    waiting = asyncio.create_task(in_thread_if_large(LARGE + 1, pytest.fail, "it was given up"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    large.go.set()
    await asyncio.gather(*first)
    await in_thread_if_large(LARGE + 1, large.read)


async def test_many_pushes_at_once_take_the_memory_of_few(in_memory: Registry) -> None:
    repository = in_memory.repository("a")
    objects = b",".join(
        [b'{"a":1}'] * (VALUE_LIMIT // 2 - 8)
    )  # each brings the reader back to Python's threads
    documents = [b'{"n":"%02d","a":[%b]}' % (each, objects) for each in range(SEVERAL)]

    async def push(document: bytes) -> None:
        await repository.manifests.put(document, media_type=OTHER)

    tracemalloc.start()
    try:
        await gather_map(push, documents, limit=SEVERAL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    one = peak_of(lambda: read_manifest(documents[0], OTHER))
    stored = sum(map(len, documents))
    assert peak < (LARGE_AT_ONCE + 1) * one + 2 * stored

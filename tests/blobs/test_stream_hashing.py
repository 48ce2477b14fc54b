"""Streams are hashed in threads while their next bytes come."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async.threads import HASH_INLINE, HASH_TOGETHER, StreamHasher

SIZES = st.sampled_from([0, 1, 65536, HASH_INLINE, HASH_INLINE + 1, HASH_TOGETHER - 1, HASH_TOGETHER])


class Slow:
    """A hasher that waits for leave, and notes the bytes that it hashed on the loop's thread."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.done = False
        self.taken = bytearray()

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.begun.set()
        self.go.wait(30)
        self.taken += data
        self.done = True

    def hexdigest(self) -> str:
        return hashlib.sha256(self.taken).hexdigest()


@given(st.lists(SIZES, max_size=8))
def test_the_digest_is_that_of_the_bytes_in_order(sizes: Sequence[int]) -> None:
    async def hashed() -> tuple[str, str]:
        whole, reused = hashlib.sha256(), bytearray(HASH_TOGETHER)
        async with StreamHasher.beside(hashlib.sha256()) as hashing:
            for number, size in enumerate(sizes):
                reused[:] = bytes([number]) * HASH_TOGETHER  # whoever sends may use its memory again
                whole.update(reused[:size])
                await hashing.update(memoryview(reused)[:size])
            return await hashing.hexdigest(), whole.hexdigest()

    actual, expected = asyncio.run(hashed())
    assert actual == expected


async def test_more_is_taken_while_a_batch_is_hashed() -> None:
    hasher = Slow()
    async with StreamHasher.beside(hasher) as hashing:
        await hashing.update(bytes(HASH_TOGETHER))
        await hashing.update(b"x" * (HASH_TOGETHER - 1))
        assert not hasher.done
        hasher.go.set()
        found = await hashing.hexdigest()
    assert found == hashlib.sha256(bytes(HASH_TOGETHER) + b"x" * (HASH_TOGETHER - 1)).hexdigest()


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_caller_leaves_nothing_under_way(times: int) -> None:
    hasher = Slow()

    async def fed() -> None:
        async with StreamHasher.beside(hasher) as hashing:
            while True:
                await hashing.update(bytes(HASH_TOGETHER))

    task = asyncio.create_task(fed())
    await asyncio.to_thread(hasher.begun.wait, 30)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    hasher.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hasher.done
    assert len(hasher.taken) == HASH_TOGETHER


async def test_an_error_in_the_thread_is_raised() -> None:
    class Broken(Slow):
        def update(self, data: bytes | bytearray | memoryview, /) -> None:
            raise MemoryError

    async with StreamHasher.beside(Broken()) as hashing:
        await hashing.update(bytes(HASH_TOGETHER))
        with pytest.raises(MemoryError):
            await hashing.hexdigest()

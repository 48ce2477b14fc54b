"""How long metadata may take: one deadline, over all tries, all waits for a turn, and all that one request asks."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from revstore_async.driver import IfAbsent, metadata_deadline
from revstore_async.driver.deadline import due, metadata_operation
from revstore_async.errors import Unavailable
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.buckets.retries import NoTurn, Slots, Tries, seconds_for_try
from tests.parts.buckets import Bucketed, Kind
from tests.parts.minio import running
from tests.parts.standing_still import standing_still

LIMIT = timedelta(seconds=15)

# ---- a server that stands still


async def _first_byte(driver: Bucketed) -> bytes:
    async with driver.open_reader("key") as reader:
        return await reader.read()


OPERATIONS: dict[str, Callable[[Bucketed], Awaitable[Any]]] = {
    "get": lambda driver: driver.get("key"),
    "stat": lambda driver: driver.stat("key"),
    "put": lambda driver: driver.put("key", b"content"),
    "put if absent": lambda driver: driver.put("other", b"content", condition=IfAbsent()),
    "list": lambda driver: driver.list(),
    "list_all": lambda driver: driver.list_all(),
    "delete": lambda driver: driver.delete("key"),
    "delete_many": lambda driver: driver.delete_many(["key", "other"]),
    "delete_prefix": lambda driver: driver.delete_prefix("folder"),
    "open_reader": _first_byte,
}


async def test_a_server_that_stands_still_holds_no_operation_longer_than_the_option_says(
    kind: Kind, tmp_path: Path
):
    with running(tmp_path) as minio:
        assert minio.process is not None
        options = {**minio.options(), "metadata_timeout": 0.5}
        async with kind.make(minio.new_bucket(), **options) as driver:
            await driver.put("key", b"content")
            for name, operation in OPERATIONS.items():
                with standing_still(minio.process.pid), pytest.raises(Unavailable) as caught:
                    async with asyncio.timeout(20):  # without the deadline it is 120 s
                        await operation(driver)
                assert caught.value.retryable, name
            assert kind.held(driver) == []
            await driver.put("after", b"content")  # the server may still do what was asked of it meanwhile
            assert (await driver.get("after")).info.size == 7


async def test_all_that_one_request_asks_shares_one_deadline(kind: Kind, tmp_path: Path):
    with running(tmp_path) as minio:
        assert minio.process is not None
        async with kind.make(minio.new_bucket(), **minio.options()) as driver:
            await driver.put("key", b"content")
            with standing_still(minio.process.pid), metadata_deadline(timedelta(seconds=0.5)):
                for _ in range(20):  # twenty times the time of one would be over the test's own
                    with pytest.raises(Unavailable):
                        async with asyncio.timeout(5):
                            await driver.stat("key")


# ---- the pieces, on a virtual clock


def test_operations_share_what_one_request_has_and_spend_it_only_while_they_are_under_way():
    async def request() -> list[float]:
        clock = asyncio.get_running_loop().time
        left = []
        with metadata_deadline(LIMIT):
            for seconds in (5, 4):
                with metadata_operation(LIMIT):
                    left.append((due() or 0) - clock())
                    await asyncio.sleep(seconds)
                await asyncio.sleep(3600)  # a client sends its layer
            with metadata_operation(LIMIT):
                left.append((due() or 0) - clock())
        return left

    assert run_on_virtual_clock(request()) == [15, 10, 6]


def test_operations_at_once_spend_the_time_once():
    async def request() -> float:
        async def one(seconds: float) -> None:
            with metadata_operation(LIMIT):
                await asyncio.sleep(seconds)

        with metadata_deadline(LIMIT):
            async with asyncio.TaskGroup() as group:
                for seconds in (3, 4, 2):
                    group.create_task(one(seconds))
            with metadata_operation(LIMIT):
                return (due() or 0) - asyncio.get_running_loop().time()

    assert run_on_virtual_clock(request()) == 11


def test_pages_that_come_and_bytes_that_are_sent_do_not_count():
    async def request() -> list[float]:
        clock, left = asyncio.get_running_loop().time, []
        with metadata_deadline(LIMIT):
            for _ in range(10):  # a long listing of a store that answers
                with metadata_operation(LIMIT, bulk=True):
                    await asyncio.sleep(10)
            with metadata_operation(LIMIT, size=10 << 16):
                left.append((due() or 0) - clock())
                await asyncio.sleep(12)
            with metadata_operation(LIMIT):
                left.append((due() or 0) - clock())
        return left

    assert run_on_virtual_clock(request()) == [25, 13]


def test_a_page_that_does_not_come_counts():
    async def request() -> float:
        with metadata_deadline(LIMIT):
            with pytest.raises(Unavailable), metadata_operation(LIMIT, bulk=True):
                await asyncio.sleep(10)
                raise Unavailable("key", "injected")
            with metadata_operation(LIMIT):
                return (due() or 0) - asyncio.get_running_loop().time()

    assert run_on_virtual_clock(request()) == 5


def test_a_try_takes_half_of_what_is_left_and_tries_end_by_the_deadline():
    async def request() -> tuple[list[float], float]:
        clock, lengths = asyncio.get_running_loop().time, []
        begun, tries = clock(), Tries(20)
        with pytest.raises(Unavailable), metadata_operation(LIMIT):
            while True:
                sent = clock()
                try:
                    async with asyncio.timeout(seconds_for_try("key")):
                        await asyncio.sleep(3600)
                except TimeoutError:
                    lengths.append(clock() - sent)
                    await tries.again(Unavailable("key", "no answer"))
        return lengths, clock() - begun

    lengths, took = run_on_virtual_clock(request())
    assert lengths[0] == 7.5
    assert took <= 15


def test_who_waits_for_a_connection_is_told_when_the_time_is_over():
    async def request() -> float:
        slots, clock = Slots(2), asyncio.get_running_loop().time
        await slots.take("a")
        await slots.take("b")
        for wait in (slots.take, slots.take_for_reader):
            begun = clock()
            with pytest.raises(Unavailable) as caught, metadata_operation(LIMIT):
                await wait("key")
            assert isinstance(caught.value.__cause__, NoTurn)
            assert clock() - begun == 15
        slots.release()
        await slots.take_for_reader("key")  # nothing was kept by those who went
        return slots.taken

    assert run_on_virtual_clock(request()) == 2


def test_without_an_operation_there_is_no_deadline():
    async def layer() -> None:
        assert due() is None
        assert seconds_for_try("key") is None
        assert seconds_for_try("key", 30.0) == 30.0

    run_on_virtual_clock(layer())

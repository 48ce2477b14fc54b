"""Limits, tracing and latency, on a virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from revstore_async.driver import IfAbsent
from revstore_async.errors import ConditionFailed, InvalidArgument, KeyNotFound
from revstore_async.testing import VirtualClockLoop, run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, LimitsDriver, Request, TracingDriver

PART = MemoryDriver().capabilities.part_size


def traced(test: Callable[[TracingDriver], Awaitable[None]]) -> Callable[[], None]:
    """Run a test with a traced driver; each of its requests takes one second."""

    def run() -> None:
        async def main() -> None:
            async with TracingDriver(LatencyDriver(MemoryDriver(), 1.0)) as driver:
                await test(driver)

        run_on_virtual_clock(main())

    return run


@traced
async def test_requests_in_turn_and_at_once(driver: TracingDriver) -> None:
    await driver.put("a", b"12345")
    await asyncio.gather(driver.get("a"), driver.stat("a"), driver.get("a"))
    await driver.list_all()
    assert driver.round_trips == 3
    assert driver.counts == {"put": 1, "get": 2, "stat": 1, "list_all": 1}
    assert asyncio.get_running_loop().time() == 3.0
    put, get = driver.requests[:2]
    assert put == Request("put", "a", 0.0, 1.0, sent=5)
    assert get == Request("get", "a", 1.0, 2.0, received=5)
    driver.reset()
    assert driver.round_trips == 0
    assert driver.requests == ()


@traced
async def test_the_longest_chain_counts(driver: TracingDriver) -> None:
    async def chain(length: int) -> None:
        for number in range(length):
            await driver.put(f"{length}/{number}", b"")

    await asyncio.gather(*(chain(length) for length in (1, 2, 5)))
    assert driver.round_trips == 5
    assert sum(driver.counts.values()) == 8


@traced
async def test_failed_requests_are_requests(driver: TracingDriver) -> None:
    await driver.put("a", b"")
    with pytest.raises(KeyNotFound):
        await driver.get("b")
    with pytest.raises(KeyNotFound):
        async with driver.open_reader("b"):
            pass
    with pytest.raises(ConditionFailed):
        await driver.put("a", b"", condition=IfAbsent())
    assert [request.error for request in driver.requests] == [None, KeyNotFound, KeyNotFound, ConditionFailed]
    assert driver.round_trips == 4


@traced
async def test_a_cancelled_request_is_recorded(driver: TracingDriver) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await driver.get("a")
    assert driver.requests == (Request("get", "a", 0.0, 0.5, error=asyncio.CancelledError),)


@traced
async def test_a_reader_is_one_request_that_ends_at_its_first_byte(driver: TracingDriver) -> None:
    await driver.put("a", b"0123456789")
    driver.reset()
    async with driver.open_reader("a", offset=2) as reader:
        await asyncio.sleep(10)
        assert await reader.read(3) == b"234"
        assert driver.requests == (Request("open_reader", "a", 1.0, 2.0, received=3),)
        await reader.read()
    assert driver.requests == (Request("open_reader", "a", 1.0, 2.0, received=8),)


@traced
async def test_small_content_is_one_request(driver: TracingDriver) -> None:
    async with driver.open_writer("a") as writer:
        for _ in range(10):
            await writer.write(b"0123456789")
        await writer.commit()
    assert driver.requests == (Request("commit", "a", 0.0, 1.0, sent=100),)


@traced
async def test_a_part_is_one_request(driver: TracingDriver) -> None:
    async with driver.open_writer("a") as writer:
        for _ in range(5):
            await writer.write(bytes(PART // 2))
        await writer.commit()
    assert [(request.method, request.sent) for request in driver.requests] == [
        ("write", PART),
        ("write", PART),
        ("commit", PART // 2),
    ]
    assert driver.round_trips == 3


@traced
async def test_a_cancel_is_a_request_where_something_was_sent(driver: TracingDriver) -> None:
    async with driver.open_writer("a") as writer:
        await writer.write(b"nothing was sent of it")
    assert driver.counts == {}
    async with driver.open_writer("a") as writer:
        await writer.write(bytes(PART))
    assert driver.counts == {"write": 1, "cancel": 1}


@traced
async def test_what_asks_nothing_is_no_request(driver: TracingDriver) -> None:
    await driver.delete_many([])
    assert driver.requests == ()


def test_the_hook_gets_each_request() -> None:
    async def main() -> None:
        told: list[Request] = []
        async with TracingDriver(LatencyDriver(MemoryDriver(), 1.0), told.append) as driver:
            await driver.put("a", b"12")
            async with driver.open_reader("a") as reader:
                assert len(told) == 1
                await reader.read()
            assert told == [
                Request("put", "a", 0.0, 1.0, sent=2),
                Request("open_reader", "a", 1.0, 2.0, received=2),
            ]

    run_on_virtual_clock(main())


def test_latency_may_change() -> None:
    async def main() -> None:
        delays = iter([1.0, 5.0])
        async with LatencyDriver(MemoryDriver(), lambda: next(delays)) as driver:
            await driver.list_all()
            await driver.list_all()
            assert asyncio.get_running_loop().time() == 6.0

    run_on_virtual_clock(main())


# ---- limits


def test_so_many_at_once_and_in_the_order_of_asking() -> None:
    async def main() -> None:
        tracing = TracingDriver(LatencyDriver(MemoryDriver(), 1.0))
        async with LimitsDriver(tracing, 4) as driver:
            await asyncio.gather(*(driver.put(f"{number:02}", b"") for number in range(12)))
            assert tracing.round_trips == 3
            assert asyncio.get_running_loop().time() == 3.0
            for begin in range(3):
                together = {f"{number:02}" for number in range(begin * 4, begin * 4 + 4)}
                assert {request.key for request in tracing.requests if request.start == begin} == together
            assert driver.capabilities.connections == 4

    run_on_virtual_clock(main())


def test_a_reader_keeps_its_place_and_one_is_kept_for_others() -> None:
    async def main() -> None:
        async with LimitsDriver(LatencyDriver(MemoryDriver(), 1.0), 3) as driver:
            await driver.put("a", b"content")
            opened = 0

            async def read() -> None:
                nonlocal opened
                async with driver.open_reader("a") as reader:
                    opened += 1
                    await asyncio.sleep(100)
                    # Every reader asks for something else while it holds its place.
                    await driver.put("b", await reader.read())

            readers = [asyncio.create_task(read()) for _ in range(5)]
            await asyncio.sleep(50)
            assert opened == 2
            await asyncio.wait_for(driver.get("a"), timeout=1.5)
            await asyncio.gather(*readers)
            assert opened == 5

    run_on_virtual_clock(main())


def test_a_place_is_given_back() -> None:
    async def main() -> None:
        async with LimitsDriver(LatencyDriver(MemoryDriver(), 1.0), 2) as driver:
            for _ in range(5):
                with pytest.raises(KeyNotFound):
                    await driver.get("missing")
                with pytest.raises(KeyNotFound):
                    async with driver.open_reader("missing"):
                        pass
            waiting = [asyncio.create_task(driver.put("a", b"")) for _ in range(10)]
            await asyncio.sleep(0.5)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            await asyncio.wait_for(asyncio.gather(driver.put("a", b""), driver.put("b", b"")), timeout=1.5)

    run_on_virtual_clock(main())


def test_a_limit_is_at_least_two() -> None:
    with pytest.raises(InvalidArgument):
        LimitsDriver(MemoryDriver(), 1)


# ---- the virtual clock itself


def test_the_clock_jumps_over_sleep_and_waits_for_threads() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        await asyncio.gather(asyncio.sleep(1000), asyncio.sleep(3000))
        assert loop.time() == 3000
        timer = asyncio.create_task(asyncio.sleep(1))
        event = asyncio.Event()
        thread = asyncio.to_thread(lambda: (loop.call_soon_threadsafe(event.set), 7)[1])
        assert await thread == 7
        assert loop.time() == 3000
        with loop.hold():
            loop.call_later(0, event.clear)
            await asyncio.sleep(0)
        await timer
        assert loop.time() == 3001

    run_on_virtual_clock(main())


def test_what_takes_real_time_takes_none_here() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run_on_virtual_clock(main())

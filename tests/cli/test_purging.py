"""What a server does beside serving: it purges uploads now and then, on a virtual clock here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from random import Random
from types import TracebackType

import pytest

from revstore_async import Driver, Registry
from revstore_async.driver import DriverWrapper, File
from revstore_async.errors import InvalidArgument, UploadBusy, UploadUnknown
from revstore_async.server.running.purging import purging
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, LatencyDriver, Rule, Script
from tests.parts.uploads import left_of_uploads

WEEK = timedelta(days=7)
MINUTE, HOUR = 60.0, 3600.0


class Watched(DriverWrapper):
    """A driver that tells when the last step of a purge is made, and what happened in what order."""

    def __init__(self, inner: Driver, takes: float = 0, fails: Callable[[], None] = lambda: None) -> None:
        super().__init__(inner)
        self.times: list[float] = []
        self.events: list[str] = []
        self._takes = takes
        self._fails = fails

    async def purge_writers(self, older_than: timedelta) -> int:
        self.times.append(asyncio.get_running_loop().time())
        self.events.append("begun")
        try:
            await asyncio.sleep(self._takes)
            self._fails()
            return await super().purge_writers(older_than)
        finally:
            await asyncio.sleep(0)
            self.events.append("ended")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.events.append("closed")
        await super().__aexit__(kind, error, trace)


@asynccontextmanager
async def purged(driver: Driver, older_than: timedelta | None, hours: float) -> AsyncIterator[None]:
    """Let a server's time go by."""
    async with purging(Registry(driver), older_than):
        await asyncio.sleep(hours * HOUR)
        yield


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if "purge" in record.message]


def test_it_purges_soon_and_then_now_and_then_never_twice_at_the_same_distance() -> None:
    async def body() -> None:
        driver = Watched(MemoryDriver())
        async with purged(driver, WEEK, hours=24 * 30):
            first, *_ = driver.times
            assert 5 * MINUTE <= first <= 15 * MINUTE
            distances = [after - before for before, after in pairwise(driver.times)]
            assert all(3.5 * HOUR <= distance <= 10.5 * HOUR for distance in distances)
            assert len(set(distances)) == len(distances) > 60

    run_on_virtual_clock(body())


@pytest.mark.parametrize("hours", [1, 12])
def test_a_short_age_is_looked_at_each_hour(hours: int) -> None:
    async def body() -> None:
        driver = Watched(MemoryDriver())
        async with purged(driver, timedelta(hours=hours), hours=24):
            distances = [after - before for before, after in pairwise(driver.times)]
            assert all(0.5 * HOUR <= distance <= 1.5 * HOUR for distance in distances)

    run_on_virtual_clock(body())


def test_where_it_is_switched_off_the_storage_is_asked_for_nothing() -> None:
    async def body() -> None:
        driver = FaultsDriver(MemoryDriver())
        async with purged(driver, None, hours=1000):
            assert driver.operations == 0

    run_on_virtual_clock(body())


def test_what_is_old_goes_and_what_is_in_use_stays(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def body() -> None:
        driver = MemoryDriver()
        async with purging(Registry(driver), timedelta(hours=1)):
            uploads = Registry(driver).repository("hello").uploads
            upload = await uploads.start()
            await asyncio.sleep(100 * HOUR)  # by the store's clock, which is not the loop's, it is young
            assert await uploads.status(upload.id) == upload
        assert told(caplog) == []
        async with purging(Registry(MemoryDriver(driver.store)), timedelta(0)):
            await asyncio.sleep(1 * HOUR)
        assert told(caplog) == [(logging.INFO, "purged abandoned uploads: 1")]

    run_on_virtual_clock(body())


def test_a_storage_that_fails_is_one_line_and_the_next_purge_is_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def body() -> None:
        watched = Watched(MemoryDriver())
        driver = FaultsDriver(
            watched, Script(Rule("list_all", Fault.BEFORE, nth=1), Rule("list_all", Fault.THROTTLED, nth=2))
        )
        async with purged(driver, timedelta(hours=1), hours=20):
            pass
        assert len(watched.times) > 5

    run_on_virtual_clock(body())
    lines = told(caplog)
    assert [level for level, _ in lines] == [logging.WARNING] * 2
    for record in caplog.records:
        assert record.exc_info is None
        assert "\n" not in record.getMessage()
        assert record.getMessage().startswith("uploads could not be purged, which is tried again later: ")


def test_a_defect_does_not_end_the_server_either(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    async def body() -> None:
        driver = Watched(MemoryDriver(), fails=fails)
        async with purged(driver, timedelta(hours=1), hours=20):
            assert len(driver.times) > 5

    run_on_virtual_clock(body())
    assert {level for level, _ in told(caplog)} == {logging.ERROR}


def test_there_is_one_purge_at_a_time() -> None:
    async def body() -> None:
        driver = Watched(MemoryDriver(), takes=10 * HOUR)
        async with purged(driver, timedelta(hours=1), hours=100):
            assert driver.events[:6] == ["begun", "ended"] * 3

    run_on_virtual_clock(body())


def test_the_end_cancels_a_purge_and_waits_for_it_and_then_closes() -> None:
    async def body() -> None:
        driver = Watched(MemoryDriver(), takes=1000 * HOUR)
        async with purged(driver, WEEK, hours=1):
            assert driver.events == ["begun"]
            before = asyncio.get_running_loop().time()
        assert driver.events == ["begun", "ended", "closed"]
        assert asyncio.get_running_loop().time() == before
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_on_virtual_clock(body())


def test_an_error_of_the_server_goes_on() -> None:
    async def body() -> None:
        driver = Watched(MemoryDriver())
        with pytest.raises(OSError, match="address"):
            async with purged(driver, WEEK, hours=1):
                raise OSError("address")
        assert driver.events[-1] == "closed"

    run_on_virtual_clock(body())


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_purge_leaves_connections_to_clients_where_that_is_asked_for(at_once: int) -> None:
    class Counting(DriverWrapper):
        waiting = most = 0

        async def get(self, key: str, *, limit: int | None = None) -> File:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await asyncio.sleep(1)
            self.waiting -= 1
            return await super().get(key, limit=limit)

    async def body() -> None:
        driver = Counting(MemoryDriver())
        async with Registry(driver) as registry:
            for _ in range(10):
                await registry.repository("hello").uploads.start()
            assert await registry.purge_uploads(timedelta(0), at_once=at_once) == 10
            assert driver.most == at_once
            with pytest.raises(InvalidArgument):
                await registry.purge_uploads(timedelta(0), at_once=0)

    run_on_virtual_clock(body())


@pytest.mark.parametrize("seed", range(5))
def test_replicas_may_purge_at_once_while_clients_go_on(seed: int) -> None:
    async def body() -> None:
        store, random = MemoryDriver().store, Random(seed)
        async with AsyncExitStack() as stack:
            drivers = [LatencyDriver(MemoryDriver(store), random.random) for _ in range(3)]
            replicas = [await stack.enter_async_context(Registry(driver)) for driver in drivers]
            begun = [await replicas[0].repository("hello").uploads.start() for _ in range(40)]

            async def go_on(number: int) -> bool:
                """Append after a while, and say whether that was acknowledged."""
                await asyncio.sleep(random.uniform(0, 10))
                uploads = replicas[number % 3].repository("hello").uploads
                try:
                    return (await uploads.append(begun[number].id, b"more")).offset == 4
                except (UploadUnknown, UploadBusy):
                    return False

            async with asyncio.TaskGroup() as group:
                purges = [
                    group.create_task(registry.purge_uploads(timedelta(0), at_once=4))
                    for registry in replicas
                ]
                ends = [group.create_task(go_on(number)) for number in range(40)]
            kept = [upload for upload, end in zip(begun, ends, strict=True) if end.result()]
            assert sum(purge.result() for purge in purges) >= 40 - len(kept), "each was counted"
            assert 0 < len(kept) < 40
            for upload in kept:
                assert (await replicas[0].repository("hello").uploads.status(upload.id)).offset == 4
            assert len(await left_of_uploads(replicas[0])) == 2 * len(kept)

    run_on_virtual_clock(body())

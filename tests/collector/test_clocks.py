"""Ages count by the store's clock, however far the clock of the collector's process is from it."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Registry
from revstore_drivers.memory import MemoryDriver, MemoryStore


async def would_go(registry: Registry) -> int:
    plan = await registry.collector.plan()
    try:
        return plan.numbers.blobs
    finally:
        plan.close()


@pytest.mark.parametrize("days", [-1000, 1000])
async def test_a_process_whose_clock_is_days_off_deletes_nothing_young(days: int) -> None:
    now = datetime.now(UTC) + timedelta(days=days)
    async with Registry(MemoryDriver(MemoryStore(), clock=lambda: now)) as registry:
        await registry.repository("library/hello").blobs.put(b"a layer")
        assert await would_go(registry) == 0
        now += timedelta(hours=23)
        assert await would_go(registry) == 0
        now += timedelta(hours=2)
        assert await would_go(registry) == 1

"""Deletions of a run without an answer, refused, or without an end, and the keys that are left to the next run."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from revstore_async import Digest, Registry
from revstore_async.collector import Progress
from revstore_async.collector.control import Control
from revstore_async.collector.running import OnlineRun
from revstore_async.driver import Capabilities, Condition, FileInfo, IfMatch
from revstore_async.driver.lost_answers import note_lost_answer
from revstore_async.errors import (
    AccessDenied,
    RunUnderWay,
    Unavailable,
    Unsupported,
)
from revstore_async.layout import CURRENT, RevisionLink
from revstore_async.runs.state import Phase, State
from tests.parts.documents import index
from tests.parts.online_runs import (
    EXPIRING,
    LAYER,
    NAME,
    STATE,
    Killed,
    KilledDriver,
    StagedDriver,
    collected,
    filled,
    on_virtual_clock,
    pushed,
    ready,
)


class UnansweredDriver(StagedDriver):
    """A driver that loses the answer of its first dated deletion, or of its first swap to a phase."""

    lost: Phase | None = None
    by_itself: bool = False  # whether the driver tries it again by itself
    deletions: int = 0

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        await super().delete_many(keys, until=until)
        if until is not None:
            self.deletions += 1
            if self.deletions == 1 and self.lost is None:
                if not self.by_itself:
                    raise Unavailable("key", "no answer")
                note_lost_answer()

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        info = await super().put(key, content, condition=condition)
        if key == STATE and State.decode(content).phase is self.lost:
            self.lost = Phase.IDLE
            raise Unavailable(key, "no answer")
        return info


@pytest.mark.parametrize("by_itself", [False, True])
def test_after_a_deletion_without_an_answer_the_run_waits_until_the_store_cannot_carry_it_out(
    by_itself: bool,
) -> None:
    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        await filled(registry)
        at: dict[Phase, float] = {}
        losing = UnansweredDriver(driver.store)
        losing.by_itself = by_itself

        async def swept(state: State) -> None:
            at[Phase.SWEEPING] = asyncio.get_running_loop().time()

        async def idle(state: State) -> None:
            at[Phase.IDLE] = asyncio.get_running_loop().time()

        losing.acts = {Phase.SWEEPING: swept, Phase.IDLE: idle}
        async with losing:
            other = Registry(losing)
            hold = (await registry.collector.status()).bounds.hold
            await collected(other)
        assert at[Phase.IDLE] - at[Phase.SWEEPING] >= hold.total_seconds()
        assert not await registry.blobs.exists(LAYER)

    test()


@pytest.mark.parametrize("phase", [Phase.CONDEMNED, Phase.SEALED, Phase.SWEEPING])
def test_a_swap_without_an_answer_is_read_back(phase: Phase) -> None:
    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        await filled(registry)
        losing = UnansweredDriver(driver.store)
        losing.lost = phase
        async with losing:
            assert (await collected(Registry(losing))).numbers.tags == 1
        assert losing.lost is Phase.IDLE

    test()


class RefusingDriver(StagedDriver):
    """A driver that refuses to delete keys, as a bucket with a lock does."""

    refused: str = ""

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        listed = [*keys]
        if until is not None and any(self.refused in key for key in listed):
            raise AccessDenied("memory", "delete")
        await super().delete_many(listed, until=until)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        if until is not None and self.refused in key:
            raise AccessDenied("memory", "delete")
        await super().delete(key, condition=condition, until=until)


@pytest.mark.parametrize("refused", ["/current/link", "/revisions/"])
def test_what_a_key_refers_to_that_could_not_be_deleted_stays(refused: str) -> None:
    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        digest = await filled(registry)
        refusing = RefusingDriver(driver.store)
        refusing.refused = refused
        async with refusing:
            found = await collected(Registry(refusing))
        assert found.spared
        assert found.numbers.blobs == 0
        assert (await registry.repository(NAME).manifests.get(digest)).digest == digest
        assert await registry.repository(NAME).blobs.get(LAYER) == b"goes"
        assert (await registry.collector.status()).phase == "idle"

    test()


@on_virtual_clock
async def test_a_run_takes_so_many_keys_and_the_next_one_goes_on(
    driver: StagedDriver, registry: Registry
) -> None:
    repository = registry.repository(NAME)
    child = await pushed(repository, "a child", "old-child")
    document = index((await repository.manifests.get(child)).content)
    await repository.manifests.put(document, tags=["old"])
    await ready(registry)
    left, runs = 1, 0
    while left:
        plan = await registry.collector.plan(EXPIRING)
        try:
            run = OnlineRun(
                plan,
                driver,
                CURRENT,
                lambda name: registry.repository(name).tags,
                Control(driver, CURRENT),
                Progress(),
                shard_keys=2,
                run_keys=3,
            )
            left = (await run.carry_out()).left
        finally:
            plan.close()
        runs += 1
        if CURRENT.key(RevisionLink(NAME, Digest.of(document))) in driver.store.objects:
            assert CURRENT.key(RevisionLink(NAME, child)) in driver.store.objects
            assert await repository.blobs.get(Digest.of(b"a child")) == b"a child"
        assert runs < 20
    assert runs > 3
    assert not [key for key in driver.store.objects if key.startswith("docker/registry/v2")]


@on_virtual_clock
async def test_the_objects_of_the_last_runs_stay(driver: StagedDriver, registry: Registry) -> None:
    for number in range(8):
        await pushed(registry.repository(NAME), str(number), "old")
        if number == 0:
            await ready(registry)
        await asyncio.sleep(3600)
        await collected(registry)
    assert len({key.split("/")[5] for key in driver.store.objects if "/gc/runs/" in key}) in {5, 6}


class UndatedDriver(StagedDriver):
    """A driver of a store that does not refuse a deletion after its end."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, dated_deletion=False)


class KilledUndatedDriver(UndatedDriver, KilledDriver):
    """Such a driver, which does nothing more after its act."""


@on_virtual_clock
async def test_a_store_that_dates_no_deletion_is_swept(driver: StagedDriver, registry: Registry) -> None:
    await filled(registry)
    async with UndatedDriver(driver.store) as undated:
        assert (await collected(Registry(undated))).numbers.tags == 1
    assert not await registry.blobs.exists(LAYER)
    assert (await registry.collector.status()).phase == "idle"


class SlowDeletionsDriver(StagedDriver):
    """A driver that answers its deletions after some seconds."""

    seconds: float = 5
    begun: int = 0

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        self.begun += 1
        await super().delete_many(keys, until=until)
        await asyncio.sleep(self.seconds)


@pytest.mark.parametrize(("seconds", "phase"), [(5, "idle"), (50, "sweeping")])
def test_a_cancelled_sweep_waits_for_the_answer_of_its_deletion(seconds: float, phase: str) -> None:
    """With the answer the state may be idle at once. Without it, the store may still carry out the deletion."""

    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        await filled(registry)
        async with SlowDeletionsDriver(driver.store) as slow:
            slow.seconds = seconds
            task = asyncio.ensure_future(collected(Registry(slow)))
            while slow.begun == 0:  # noqa: ASYNC110 (the driver has no event)
                await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await registry.collector.status()).phase == phase
        assert await registry.blobs.exists(LAYER)
        await asyncio.sleep(1000)
        await collected(registry)
        assert not await registry.blobs.exists(LAYER)

    test()


@on_virtual_clock
async def test_a_store_that_dates_no_deletion_is_swept_until_an_operator_ends_it(
    driver: StagedDriver, registry: Registry
) -> None:
    await filled(registry)

    async def die(_: State) -> None:
        raise Killed

    undated = KilledUndatedDriver(driver.store)
    undated.acts[Phase.SWEEPING] = die
    async with undated:
        with pytest.raises(Killed):
            await collected(Registry(undated))
    await asyncio.sleep(1_000_000)
    with pytest.raises(RunUnderWay):
        await collected(registry)
    undated = KilledUndatedDriver(driver.store)
    undated.acts[Phase.IDLE] = undated.acts[Phase.SEALED] = (
        die  # neither comes before the end of the deletion
    )
    del undated.acts[Phase.IDLE], undated.acts[Phase.SEALED]
    plan = await registry.collector.plan(EXPIRING, offline=True)
    try:
        await registry.collector.apply(plan)
    finally:
        plan.close()
    assert (await registry.collector.status()).phase == "idle"


@on_virtual_clock
async def test_a_store_without_conditional_writes_takes_no_run(
    driver: StagedDriver, registry: Registry
) -> None:
    class Lacking(StagedDriver):
        @property
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities, conditional_put=False)

    async with Lacking(driver.store) as lacking:
        with pytest.raises(Unsupported, match="--offline"):
            await collected(Registry(lacking))

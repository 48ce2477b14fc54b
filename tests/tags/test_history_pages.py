"""A tag's history by pages: the same as the whole, at a cost that does not grow with it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from revstore_async import CURRENT, Digest, Registry, Repository, TagEvent
from revstore_async.driver import Capabilities, Condition, DriverWrapper, FileInfo, IfMatch, Page
from revstore_async.errors import InvalidArgument, RevstoreError, TagUnknown
from revstore_async.layout import TagClaim, TagCurrent, TagIndex
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import schema1
from tests.parts.histories import NAME, TAG, change, revision

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOADS = [schema1(Digest.of(b"layer"), number=number) for number in range(5)]
DIGESTS = [Digest.of(payload) for payload in PAYLOADS]
DAY = timedelta(days=1)


async def all_pages(repository: Repository, limit: int, until: datetime | None = None) -> list[TagEvent]:
    """Return a tag's history, the newest entry first, as pages tell it."""
    events: list[TagEvent] = []
    last = None
    while True:
        page = await repository.tags.history_page(TAG, limit=limit, last=last, until=until)
        until = None
        assert len(page.events) == limit or page.next is None
        events += page.events
        if page.next is None:
            return events
        last = page.next


async def newest_first(repository: Repository) -> list[TagEvent]:
    return [*reversed(await repository.tags.history(TAG))]


# ---- the same as the whole


class Slow(DriverWrapper):
    """A store that takes a random time for each request, before and after its effect.

    Attributes:
        exact: Whether it deletes on a condition.
    """

    def __init__(self, inner: MemoryDriver, random: Random, *, exact: bool) -> None:
        super().__init__(inner)
        self.random = random
        self.exact = exact

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, conditional_delete=self.exact)

    async def _pause(self) -> None:
        await asyncio.sleep(self.random.random() ** 3)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        await self._pause()
        info = await self.inner.put(key, content, condition=condition)
        await self._pause()
        return info

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        await self._pause()
        await self.inner.delete(key, condition=condition, until=until)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = 1000
    ) -> Page[FileInfo]:
        await self._pause()
        return await self.inner.list_all(prefix, start_after=start_after, limit=limit)


async def by_distribution(store: MemoryDriver, random: Random) -> None:
    """Change the tag as Docker Distribution does."""
    if random.random() < 0.2:
        await store.delete(CURRENT.key(TagCurrent(NAME, TAG)))
        return
    digest = random.choice(DIGESTS)
    await store.put(CURRENT.key(TagIndex(NAME, TAG, digest)), digest.encode())
    await store.put(CURRENT.key(TagCurrent(NAME, TAG)), digest.encode())


async def live(store: MemoryDriver, random: Random, *, exact: bool, others: float) -> None:
    """Let four writers at once change a tag, of which some die, beside another program."""
    repository = Registry(Slow(store, random, exact=exact)).repository(NAME)
    for payload in PAYLOADS:
        await repository.revisions.put(payload)

    async def write() -> None:
        for _ in range(30):
            await asyncio.sleep(random.random() * 4)
            if random.random() < others:
                await by_distribution(store, random)
                continue
            try:
                async with asyncio.timeout(1.0 if random.random() < 0.1 else None):
                    if random.random() < 0.2:
                        await repository.tags.delete(TAG)
                    else:
                        await repository.tags.set(TAG, random.choice(DIGESTS))
            except (RevstoreError, TimeoutError):
                pass

    await asyncio.gather(*(write() for _ in range(4)))


@pytest.mark.parametrize("others", [0.0, 0.15], ids=["ours alone", "with another program"])
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "unconditional"])
@pytest.mark.parametrize("seed", range(2))
def test_pages_tell_what_the_whole_tells(seed: int, exact: bool, others: float) -> None:
    async def compare(store: MemoryDriver) -> int:
        await live(store, Random(seed), exact=exact, others=others)
        settled = Registry(Slow(store, Random(0), exact=exact)).repository(NAME)
        whole = await newest_first(settled)
        for limit in (3, 40):
            assert await all_pages(settled, limit) == whole
        for event in whole[:: len(whole) // 5] if exact else ():
            then = next(place for place, each in enumerate(whole) if each.since <= event.since)
            assert await all_pages(settled, 40, event.since) == whole[then:]
        return len(whole)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        async with MemoryDriver(clock=lambda: EPOCH + timedelta(seconds=loop.time())) as store:
            return await compare(store)

    assert run_on_virtual_clock(run()) > 40


# ---- what it costs


@pytest.fixture
def clock() -> list[datetime]:
    """The time, for a test to change."""
    return [EPOCH]


@pytest.fixture
async def store(clock: list[datetime]) -> AsyncIterator[TracingDriver]:
    async with TracingDriver(MemoryDriver(clock=lambda: clock[0])) as driver:
        yield driver


class Counting(DriverWrapper):
    """Counts the keys that listings give.

    Attributes:
        keys: How many they were.
    """

    keys = 0

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = 1000
    ) -> Page[FileInfo]:
        page = await self.inner.list_all(prefix, start_after=start_after, limit=limit)
        self.keys += len(page.entries)
        return page


async def test_a_page_and_a_recent_time_cost_the_same_after_20000_changes(
    store: TracingDriver, clock: list[datetime]
) -> None:
    counting = Counting(store)
    tags = Registry(counting).repository(NAME).tags
    costs = []
    for changes in (200, 20_000):
        clock[0] = EPOCH
        await change(store, clock, changes)
        places: list[str | None] = [None, f"{changes // 2}.0"]
        for last in places:
            store.reset()
            counting.keys = 0
            page = await tags.history_page(TAG, limit=10, last=last)
            assert len(page.events) == 10
            costs.append((len(store.requests), store.round_trips, counting.keys))
        store.reset()
        counting.keys = 0
        assert await tags.as_of(TAG, clock[0] - timedelta(seconds=9)) == revision(changes - 6)
        costs.append((len(store.requests), store.round_trips, counting.keys))
        await store.delete_prefix(CURRENT.history_of(NAME, TAG))
    assert costs[:3] == costs[3:]
    assert costs[:3] == [(2, 1, 58), (2, 1, 90), (2, 1, 70)]


async def test_an_old_time_is_found_by_number(store: TracingDriver, clock: list[datetime]) -> None:
    counting = Counting(store)
    repository = Registry(counting).repository(NAME)
    await change(store, clock, 5000)
    whole = await repository.tags.history(TAG)
    for place in (0, 1, 7, 100, 2500, 4900):
        for time in (whole[place].since, whole[place + 1].since - timedelta(microseconds=1)):
            store.reset()
            counting.keys = 0
            page = await repository.tags.history_page(TAG, limit=3, until=time)
            assert page.events == tuple(whole[max(0, place - 2) : place + 1][::-1])
            assert store.round_trips <= 6
            assert counting.keys < 300
    with pytest.raises(TagUnknown):
        await repository.tags.as_of(TAG, EPOCH)


async def test_a_time_is_found_though_the_clock_was_wrong_for_a_while(
    store: TracingDriver, clock: list[datetime]
) -> None:
    repository = Registry(store).repository(NAME)
    await change(store, clock, 100)
    clock[0] += 2 * DAY
    for payload in PAYLOADS:
        await repository.revisions.put(payload)
        await repository.tags.set(TAG, Digest.of(payload))
    clock[0] -= 2 * DAY
    for payload in PAYLOADS[:3]:
        clock[0] += timedelta(seconds=1)
        await repository.tags.set(TAG, Digest.of(payload))
    whole = await repository.tags.history(TAG)
    for event in (*whole[:80:9], *whole[80:]):
        latest = next(each for each in reversed(whole) if each.since <= event.since)
        assert (await repository.tags.history_page(TAG, limit=1, until=event.since)).events == (latest,)


# ---- what else may lie in the store


async def test_records_of_engines_of_before_are_on_the_pages(
    store: TracingDriver, clock: list[datetime]
) -> None:
    repository = Registry(store).repository(NAME)
    await change(store, clock, 1100, flat=1050)
    whole = await newest_first(repository)
    assert len(whole) > 1050
    for limit in (150, 1000):
        assert await all_pages(repository, limit) == whole
    assert await all_pages(repository, 100, whole[700].since) == whole[700:]


class Plain(DriverWrapper):
    """A store without conditional writes, where writers claim no numbers."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, conditional_put=False, conditional_delete=False)


@pytest.mark.parametrize("flat", [0, 60], ids=["claims before", "no claims"])
async def test_a_store_without_conditional_writes_has_pages(
    store: TracingDriver, clock: list[datetime], flat: int
) -> None:
    await change(store, clock, 60, flat=flat)
    plain = Registry(Plain(store)).repository(NAME)
    for payload in PAYLOADS:
        await plain.revisions.put(payload)
    for number in range(12):
        clock[0] += timedelta(seconds=1)
        await plain.tags.set(TAG, DIGESTS[number % 5])
    whole = await newest_first(plain)
    assert [event.digest for event in whole[:12]] == [DIGESTS[number % 5] for number in reversed(range(12))]
    for limit in (1, 4, 100):
        assert await all_pages(plain, limit) == whole
    assert await all_pages(plain, 3, whole[30].since) == whole[30:]


async def test_numbers_that_no_change_has_are_passed_over(
    store: TracingDriver, clock: list[datetime]
) -> None:
    """Each writer that was not first leaves a claim."""
    await change(store, clock, 25)
    for number in range(25, 400):
        await store.put(CURRENT.key(TagClaim(NAME, TAG, number)), b"")
    repository = Registry(store).repository(NAME)
    await repository.revisions.put(PAYLOADS[0])
    await repository.tags.set(TAG, DIGESTS[0])
    whole = await newest_first(repository)
    for limit in (1, 3, 100):
        assert await all_pages(repository, limit) == whole
    page = await repository.tags.history_page(TAG, limit=3, last="25.0")
    assert [event.number for event in page.events] == [24, 23, 22]


async def test_a_page_changes_nothing_when_the_tag_moves_on(
    store: TracingDriver, clock: list[datetime]
) -> None:
    await change(store, clock, 60)
    repository = Registry(store).repository(NAME)
    whole = await newest_first(repository)
    for payload in PAYLOADS:
        await repository.revisions.put(payload)
    first = await repository.tags.history_page(TAG, limit=1)
    events: list[TagEvent] = [*first.events]
    last, turn = first.next, 0
    while last is not None:
        clock[0] += timedelta(seconds=1)
        await repository.tags.set(TAG, DIGESTS[turn % 5])
        if turn % 4 == 3:
            await repository.tags.delete(TAG)
        turn += 1
        page = await repository.tags.history_page(TAG, limit=2, last=last)
        events += page.events
        last = page.next
    assert events == whole


# ---- what is refused


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": -1},
        {"last": ""},
        {"last": "x"},
        {"last": "1"},
        {"last": "1.-1"},
        {"last": "1.1.1"},
        {"last": "1.1\n"},
        {"last": "9" * 13 + ".0"},
        {"until": datetime(2026, 1, 1)},  # noqa: DTZ001
    ],
    ids=str,
)
async def test_what_can_be_no_page_is_refused(repository: Repository, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        await repository.tags.history_page(TAG, **arguments)  # type: ignore[arg-type]


async def test_an_empty_page_asks_nothing_and_an_unknown_tag_has_none(
    store: TracingDriver, clock: list[datetime]
) -> None:
    tags = Registry(store).repository(NAME).tags
    store.reset()
    assert (await tags.history_page(TAG, limit=0)).events == ()
    assert store.requests == ()
    for until in (None, EPOCH):
        with pytest.raises(TagUnknown):
            await tags.history_page(TAG, until=until)
    await change(store, clock, 3)
    assert (await tags.history_page(TAG, limit=5, last="0.0")).events == ()
    farthest = await tags.history_page(TAG, limit=5, last="9" * 12 + ".0")
    assert farthest == await tags.history_page(TAG, limit=5)

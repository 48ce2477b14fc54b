"""Overlapping reads of one object share requests, and no reader gets an older value than was acknowledged."""

import asyncio
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async import Digest, Driver, Manifest, Registry, Signatures
from revstore_async.driver import METADATA_TIMEOUT, DriverWrapper, File, FileInfo
from revstore_async.errors import KeyNotFound, ObjectTooLarge, Unavailable
from revstore_async.shared_reads import PATIENCE, WIDTH, SharedReads, SharedReadsDriver
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.documents import image

KEY = "docker/an-object"
STEP = PATIENCE / 8


class SlowDriver(DriverWrapper):
    """A read takes a step to the store and one back; the driver counts reads under way, and their results."""

    def __init__(self, inner: Driver, *, there: float = STEP, back: float = STEP) -> None:
        super().__init__(inner)
        self.there, self.back = there, back
        self.under_way: Counter[object] = Counter()
        self.most = 0
        self.asked = self.cancelled = 0
        self.wrong: Exception | None = None

    async def get(self, key: str, *, limit: int | None = None) -> File:
        self.asked += 1
        self.under_way[key, limit] += 1
        self.most = max(self.most, *self.under_way.values())
        try:
            await asyncio.sleep(self.there)
            if self.wrong is not None:
                raise self.wrong
            file = await self.inner.get(key, limit=limit)
            await asyncio.sleep(self.back)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way[key, limit] -= 1
        return file


async def opened(**times: float) -> tuple[SlowDriver, SharedReadsDriver]:
    slow = SlowDriver(MemoryDriver(), **times)
    shared = SharedReadsDriver(slow)
    await shared.__aenter__()
    await shared.put(KEY, b"0")
    return slow, shared


def all_readers(shared: SharedReadsDriver, number: int) -> list[asyncio.Task[File]]:
    return [asyncio.ensure_future(shared.get(KEY)) for _ in range(number)]


def now() -> float:
    """The steps so far."""
    return round(asyncio.get_running_loop().time() / STEP, 6)


# ---- what it costs


def test_a_reader_alone_asks_at_once_and_in_its_own_task():
    async def read() -> None:
        slow, shared = await opened()
        before = asyncio.all_tasks()
        reader = asyncio.ensure_future(shared.get(KEY))
        await asyncio.sleep(0.5 * STEP)
        assert asyncio.all_tasks() - before == {reader}
        assert (await reader).content == b"0"
        assert (now(), slow.asked) == (2, 1)

    run_on_virtual_clock(read())


def test_a_crowd_costs_one_request_more_than_its_first_reader():
    async def read() -> None:
        slow, shared = await opened()
        files = await asyncio.gather(*all_readers(shared, 64))
        assert {file.content for file in files} == {b"0"}
        assert (now(), slow.asked, slow.most) == (4, 2, 1)

    run_on_virtual_clock(read())


def test_an_answer_that_the_store_holds_back_does_not_hold_up_everybody():
    """Readers that wait for the first request ask beside it after a while; no third request is made beside both."""

    async def read() -> None:
        slow, shared = await opened()
        slow.there = 100 * STEP
        first = all_readers(shared, 1)
        await asyncio.sleep(0)
        slow.there = STEP
        others = all_readers(shared, 64)
        assert {file.content for file in await asyncio.gather(*others)} == {b"0"}
        assert (now(), slow.asked, slow.most) == (PATIENCE / STEP + 2, 2, 2)
        slow.there = 100 * STEP
        second = all_readers(shared, 1)
        await asyncio.sleep(2 * PATIENCE)
        late = all_readers(shared, 64)
        await asyncio.sleep(2 * PATIENCE)
        assert (slow.asked, slow.most) == (3, WIDTH)
        await asyncio.gather(*first, *second, *late)
        assert shared.idle

    run_on_virtual_clock(read())


def test_stats_of_an_object_share_too():
    async def look() -> tuple[int, int]:
        tracing = TracingDriver(LatencyDriver(MemoryDriver(), 2 * STEP))
        async with SharedReadsDriver(tracing) as shared:
            info = await shared.put(KEY, b"0")
            tracing.reset()
            found: list[FileInfo] = await asyncio.gather(*(shared.stat(KEY) for _ in range(64)))
            assert set(found) == {info}
            return tracing.round_trips, tracing.counts["stat"]

    assert run_on_virtual_clock(look()) == (2, 2)


def test_pulls_of_a_hot_tag_at_once_cost_the_store_a_few_requests():
    async def pull() -> tuple[float, int]:
        tracing = TracingDriver(LatencyDriver(MemoryDriver(), 2 * STEP))
        async with Registry(tracing) as registry:
            repository = registry.repository("library/hello")
            await repository.blobs.put(b"{}")
            await repository.manifests.put(image(b"{}"), tag="latest")
            await repository.manifests.get("latest")
            tracing.reset()
            begun = now()
            pulls = [
                registry.repository("library/hello").manifests.get("latest", signatures=Signatures.SERVED)
                for _ in range(64)
            ]
            assert {manifest.content for manifest in await asyncio.gather(*pulls)} == {image(b"{}")}
            return now() - begun, len(tracing.requests)

    # The tag: of the first, then of the others. The link: of the first; then of the others, of whom one is alone
    # again before the rest.
    assert run_on_virtual_clock(pull()) == (2 + 2 + 2 + 2, 2 + 3)


# ---- what is read


@dataclass
class Read:
    """At which steps a read began and ended, and which version it saw."""

    begun: int
    ended: int
    version: int


@dataclass
class Seen:
    """The writes and reads: version `n` was begun at `begun[n]` and acknowledged at `acknowledged[n]`.

    Steps are counted, for of two things at one time of the clock one comes first.
    """

    begun: list[int] = field(default_factory=lambda: [-1])
    acknowledged: list[int] = field(default_factory=lambda: [-1])
    reads: list[Read] = field(default_factory=list)


def check(seen: Seen) -> None:
    """One writer: it is linearisable if no read returns a version before its write began, or an older one than was
    acknowledged before the read."""
    for read in seen.reads:
        assert seen.begun[read.version] < read.ended, "it saw a write of later"
        newest = max(n for n, at in enumerate(seen.acknowledged) if at < read.begun)
        assert read.version >= newest, "a write was acknowledged before it began"
        before = [earlier.version for earlier in seen.reads if earlier.ended < read.begun]
        assert read.version >= max(before, default=0), "an earlier reader saw a newer version"


times = st.integers(0, 16).map(lambda quarters: quarters / 4)
readers = st.lists(
    st.tuples(times, st.sampled_from([None, None, 64]), st.none() | times), min_size=5, max_size=40
)


@settings(max_examples=300, deadline=None)
@given(
    pauses=st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=3, max_size=12),
    readers=readers,
    there=st.sampled_from([0.0, STEP, 0.25, 1.0]),
    back=st.sampled_from([0.0, STEP, 0.5, 2.0]),
)
def test_no_reader_sees_an_older_value_than_was_acknowledged(pauses, readers, there, back):
    """Readers come at any time, and some are cancelled; a writer writes one version after another."""

    async def play() -> Seen:
        slow, shared = await opened(there=there, back=back)
        seen, steps = Seen(), count()

        async def write() -> None:
            for version, pause in enumerate(pauses, 1):
                await asyncio.sleep(pause)
                seen.begun.append(next(steps))
                await shared.put(KEY, str(version).encode())
                await asyncio.sleep(pause / 3)
                seen.acknowledged.append(next(steps))

        async def read(start: float, limit: int | None, patience: float | None) -> None:
            await asyncio.sleep(start)
            begun = next(steps)
            try:
                async with asyncio.timeout(patience):
                    file = await shared.get(KEY, limit=limit)
            except TimeoutError:
                assert patience is not None
                return
            seen.reads.append(Read(begun, next(steps), int(file.content)))

        before = asyncio.all_tasks()
        await asyncio.gather(write(), *(read(*reader) for reader in readers))
        assert asyncio.all_tasks() == before
        assert slow.most <= WIDTH
        assert not slow.under_way.total()
        assert shared.idle
        if all(patience is None for *_, patience in readers):
            assert len(seen.reads) == len(readers)
        return seen

    check(run_on_virtual_clock(play()))


def test_a_reader_that_comes_while_a_shared_answer_is_on_its_way_back_asks_anew():
    """The first reader asks at 0, the sharing ones at 2; the store answers these at 3, and then a write comes."""

    async def read() -> None:
        _, shared = await opened()
        all_readers(shared, 1)
        await asyncio.sleep(0)
        early = all_readers(shared, 4)
        await asyncio.sleep(3.5 * STEP)
        await shared.put(KEY, b"1")
        late = all_readers(shared, 4)
        assert {file.content for file in await asyncio.gather(*early)} == {b"0"}
        assert {file.content for file in await asyncio.gather(*late)} == {b"1"}

    run_on_virtual_clock(read())


def test_reads_with_different_limits_are_different_questions():
    async def read() -> None:
        _, shared = await opened()
        await shared.put(KEY, b"more than four bytes")
        limits = [None, 4, 100] * 8
        answers = await asyncio.gather(
            *(shared.get(KEY, limit=limit) for limit in limits), return_exceptions=True
        )
        for limit, answer in zip(limits, answers, strict=True):
            assert isinstance(answer, ObjectTooLarge if limit == 4 else File)

    run_on_virtual_clock(read())


# ---- failure and cancellation


def test_each_sharing_reader_gets_an_error_of_its_own():
    async def read() -> None:
        slow, shared = await opened()
        slow.wrong = Unavailable("the store", "it is away")
        slow.wrong.__cause__ = OSError("no route")
        errors = await asyncio.gather(*all_readers(shared, 8), return_exceptions=True)
        shared_ones = errors[1:]
        assert len({id(error) for error in shared_ones}) == len(shared_ones)
        for error in shared_ones:
            assert isinstance(error, Unavailable)
            assert str(error) == str(slow.wrong)
            assert error.__cause__ is slow.wrong.__cause__
        slow.wrong = None
        assert (await shared.get(KEY)).content == b"0", "the next one asks anew"

    run_on_virtual_clock(read())


def test_a_missing_object_is_missing_for_all():
    async def read() -> None:
        _, shared = await opened()
        await shared.delete(KEY)
        errors = await asyncio.gather(*all_readers(shared, 8), return_exceptions=True)
        assert [type(error) for error in errors] == [KeyNotFound] * 8

    run_on_virtual_clock(read())


def test_a_defect_is_told_to_all_too():
    async def read() -> None:
        slow, shared = await opened()
        slow.wrong = ZeroDivisionError()
        errors = await asyncio.gather(*all_readers(shared, 8), return_exceptions=True)
        assert [type(error) for error in errors] == [ZeroDivisionError] * 8

    run_on_virtual_clock(read())


@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 2.5, 3.5])
def test_a_reader_that_gives_up_does_not_take_the_request_from_the_others(after):
    """The first reader asks at 0. The sharing ones ask at 2, and have their answer at 4."""

    async def read() -> None:
        slow, shared = await opened()
        first = all_readers(shared, 1)
        await asyncio.sleep(0)
        impatient, *others = all_readers(shared, 4)
        await asyncio.sleep(after * STEP)
        impatient.cancel()
        files = await asyncio.gather(*first, *others)
        assert impatient.cancelled()
        assert [file.content for file in files] == [b"0"] * 4
        assert (now(), slow.asked, slow.cancelled) == (4, 2, 0)

    run_on_virtual_clock(read())


@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 2.5, 3.5])
def test_when_all_give_up_the_request_ends_and_is_awaited(after):
    async def read() -> None:
        slow, shared = await opened()
        before = asyncio.all_tasks()
        first = all_readers(shared, 1)
        await asyncio.sleep(0)
        late = all_readers(shared, 4)
        await asyncio.sleep(after * STEP)
        for reader in late:
            reader.cancel()
        await asyncio.wait(late)
        assert all(reader.cancelled() for reader in late)
        assert asyncio.all_tasks() - before <= set(first)
        assert slow.under_way.total() == sum(not reader.done() for reader in first)
        await asyncio.gather(*first)
        assert (await shared.get(KEY)).content == b"0", "and the line goes on"
        assert shared.idle

    run_on_virtual_clock(read())


def test_a_first_reader_that_gives_up_makes_room_for_waiting_ones():
    async def read() -> None:
        slow, shared = await opened()
        first = all_readers(shared, 1)
        await asyncio.sleep(0)
        late = all_readers(shared, 4)
        await asyncio.sleep(0.5 * STEP)
        first[0].cancel()
        await asyncio.gather(*late)
        assert (now(), slow.asked, slow.cancelled) == (2.5, 2, 1)

    run_on_virtual_clock(read())


def test_a_request_that_is_cancelled_from_below_cancels_its_waiting_readers():
    async def read() -> None:
        reads: SharedReads[int] = SharedReads()
        asked: list[asyncio.Task[object] | None] = []

        async def ask() -> int:
            asked.append(asyncio.current_task())
            await asyncio.sleep(2 * STEP)
            return 0

        tasks = [asyncio.ensure_future(reads.share("?", ask, METADATA_TIMEOUT)) for _ in range(4)]
        await asyncio.sleep(3 * STEP)
        asked[-1].cancel()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, True, True, True]
        assert reads.idle

    run_on_virtual_clock(read())


# ---- around


def test_a_shared_request_runs_in_the_context_of_its_first_reader():
    """A trace shows the request below the operation that it was made for."""
    name: ContextVar[str] = ContextVar("name")

    async def read() -> None:
        reads: SharedReads[str] = SharedReads()

        async def ask() -> str:
            await asyncio.sleep(STEP)
            return name.get()

        async def reader(own: str) -> str:
            name.set(own)
            return await reads.share("?", ask, METADATA_TIMEOUT)

        names = [str(number) for number in range(4)]
        answers = await asyncio.gather(*(reader(own) for own in names))
        assert answers == ["0", "1", "1", "1"]

    run_on_virtual_clock(read())


async def test_a_registrys_driver_stays_the_one_that_it_was_given(driver: Driver):
    registry = Registry(driver)
    assert registry.driver is driver
    assert registry.blobs._driver.capabilities == driver.capabilities
    assert registry.blobs._driver.name == driver.name


async def test_crowds_on_each_store_read_the_last_write(registry: Registry):
    repository = registry.repository("library/hello")
    await repository.blobs.put(b"{}")
    documents = [image(b"{}", number=number) for number in range(4)]
    crowds: list[asyncio.Task[Manifest]] = []
    for document in documents:
        stored = await repository.manifests.put(document, tag="latest")
        crowds += [asyncio.ensure_future(repository.manifests.get("latest")) for _ in range(20)]
        assert stored.digest == (await repository.manifests.get("latest")).digest
    order = [Digest.of(document) for document in documents]
    for number, manifest in enumerate(await asyncio.gather(*crowds)):
        assert order.index(manifest.digest) >= number // 20

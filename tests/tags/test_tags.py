"""Tags: what they point at, what they pointed at, and who may move them."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from revstore_async import ABSENT, CURRENT, Digest, Driver, Policy, Registry, Repository, tags_matching
from revstore_async.driver import Capabilities, Condition, DriverWrapper, FileInfo
from revstore_async.errors import (
    InvalidArgument,
    InvalidDigest,
    InvalidTag,
    LinkDamaged,
    ManifestUnknown,
    TagChanged,
    TagImmutable,
    TagUnknown,
    Unsupported,
)
from revstore_async.formats.names import Tag
from revstore_async.layout import TagCurrent, TagIndex
from revstore_async.tags.state import Expected
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver
from tests.conftest import Tick
from tests.parts.documents import schema1

PAYLOADS = [schema1(Digest.of(b"layer"), number=number) for number in range(3)]
A, B, C = map(Digest.of, PAYLOADS)


@pytest.fixture
async def hello(repository: Repository) -> Repository:
    """A repository that has three revisions."""
    for payload in PAYLOADS:
        await repository.revisions.put(payload)
    return repository


def current_key(repository: Repository, tag: str = "latest") -> str:
    return CURRENT.key(TagCurrent(repository.name, Tag(tag)))


async def digests(repository: Repository, tag: str = "latest") -> list[Digest | None]:
    return [event.digest for event in await repository.tags.history(tag)]


async def test_a_tag_points_at_a_revision(hello: Repository) -> None:
    assert not await hello.tags.exists("latest")
    with pytest.raises(TagUnknown) as unknown:
        await hello.tags.resolve("latest")
    assert (unknown.value.repository, unknown.value.tag) == ("library/hello", "latest")
    await hello.tags.set("latest", A)
    assert await hello.tags.exists("latest")
    assert await hello.tags.resolve("latest") == A
    await hello.tags.set("latest", B)
    assert await hello.tags.resolve("latest") == B
    assert set(await hello.tags.revisions("latest")) == {A, B}


async def test_the_keys_are_those_of_distribution(hello: Repository, driver: Driver) -> None:
    await hello.tags.set("latest", A)
    await hello.tags.set("latest", B)
    folder = "docker/registry/v2/repositories/library/hello/_manifests/tags/latest"
    assert (await driver.get(f"{folder}/current/link")).content == B.encode()
    for digest in (A, B):
        assert (await driver.get(f"{folder}/index/sha256/{digest.hex}/link")).content == digest.encode()


async def test_bad_input_is_refused_and_nothing_is_written(hello: Repository, driver: Driver) -> None:
    before = (await driver.list_all()).entries
    for tag in ("", ".a", "-a", "a/b", "a" * 129, "ä", "a\n", "a\0", "..", "@", "a b"):
        for call in (hello.tags.resolve, hello.tags.exists, hello.tags.delete, hello.tags.history):
            with pytest.raises(InvalidTag):
                await call(tag)
        with pytest.raises(InvalidTag):
            await hello.tags.set(tag, A)
    with pytest.raises(InvalidDigest):
        await hello.tags.set("latest", "sha256:abc")
    with pytest.raises(ManifestUnknown) as unknown:
        await hello.tags.set("latest", Digest.of(b"absent"))
    assert unknown.value.digest == Digest.of(b"absent")
    with pytest.raises(InvalidArgument, match="zone"):
        await hello.tags.as_of("latest", datetime(2026, 1, 1))  # noqa: DTZ001
    assert (await driver.list_all()).entries == before


async def test_delete(hello: Repository, driver: Driver) -> None:
    with pytest.raises(TagUnknown):
        await hello.tags.delete("latest")
    await hello.tags.set("latest", A)
    await hello.tags.delete("latest")
    assert not await hello.tags.exists("latest")
    assert (await hello.tags.list()).tags == ()
    assert (await driver.list_all(CURRENT.tags_of(hello.name))).entries == ()
    assert await hello.revisions.exists(A)


async def test_a_damaged_link_is_named_and_a_later_set_heals_it(hello: Repository, driver: Driver) -> None:
    await hello.tags.set("latest", A)
    for garbage in (b"", b"garbage", b"x" * 10_000):
        await driver.put(current_key(hello), garbage)
        with pytest.raises(LinkDamaged) as damaged:
            await hello.tags.resolve("latest")
        assert damaged.value.key == current_key(hello)
        with pytest.raises(LinkDamaged):
            await hello.tags.set("latest", B, expected=A)
        await hello.tags.set("latest", B)
        assert await hello.tags.resolve("latest") == B


# ---- history


async def test_a_tag_that_went_there_and_back_has_three_entries(hello: Repository, tick: Tick) -> None:
    for digest in (A, B, A):
        await hello.tags.set("latest", digest)
        await tick()
    events = await hello.tags.history("latest")
    assert [event.digest for event in events] == [A, B, A]
    assert [event.since for event in events] == sorted({event.since for event in events})
    now = datetime.now(UTC)
    assert all(now - timedelta(minutes=1) < event.since <= now for event in events)


async def test_setting_a_tag_to_what_it_is_adds_no_entry(hello: Repository) -> None:
    for digest in (A, A, B, B, B, A, A):
        await hello.tags.set("latest", digest)
    assert await digests(hello) == [A, B, A]


async def test_as_of_and_restore(hello: Repository, tick: Tick) -> None:
    for digest in (A, B, C):
        await hello.tags.set("latest", digest)
        await tick()
    since = [event.since for event in await hello.tags.history("latest")]
    moment = timedelta(microseconds=1)
    assert await hello.tags.as_of("latest", since[0]) == A
    assert await hello.tags.as_of("latest", since[1] - moment) == A
    assert await hello.tags.as_of("latest", since[1]) == B
    assert await hello.tags.as_of("latest", datetime.now(UTC)) == C
    with pytest.raises(TagUnknown):
        await hello.tags.as_of("latest", since[0] - moment)
    assert await hello.tags.restore("latest", since[1]) == B
    assert await hello.tags.resolve("latest") == B
    assert await digests(hello) == [A, B, C, B]


async def test_the_history_outlives_the_tag(hello: Repository, tick: Tick) -> None:
    for digest in (A, B):
        await hello.tags.set("latest", digest)
        await tick()
    await hello.tags.delete("latest")
    assert await digests(hello) == [A, B, None]
    events = await hello.tags.history("latest")
    with pytest.raises(TagUnknown):
        await hello.tags.as_of("latest", datetime.now(UTC))
    assert await hello.tags.restore("latest", events[1].since) == B
    assert await digests(hello) == [A, B, None, B]
    with pytest.raises(TagUnknown):
        await hello.tags.history("never")


async def test_a_revision_deleted_since_can_not_be_restored(hello: Repository, tick: Tick) -> None:
    await hello.tags.set("latest", A)
    await tick()
    await hello.tags.set("latest", B)
    await hello.manifests.delete(A)
    first = (await hello.tags.history("latest"))[0]
    with pytest.raises(ManifestUnknown):
        await hello.tags.restore("latest", first.since)
    assert await hello.tags.resolve("latest") == B


async def test_what_distribution_wrote_is_history_too(hello: Repository, driver: Driver, tick: Tick) -> None:
    """It writes the index link anew each time, then the current link; and no records."""

    async def set_by_distribution(digest: Digest) -> None:
        await tick()
        await driver.put(CURRENT.key(TagIndex(hello.name, Tag("latest"), digest)), digest.encode())
        await driver.put(current_key(hello), digest.encode())

    await set_by_distribution(A)
    await set_by_distribution(B)
    assert await digests(hello) == [A, B]
    await tick()
    await hello.tags.set("latest", C)
    assert await digests(hello) == [A, B, C]
    await set_by_distribution(A)
    # When the tag first had A is overwritten in the index, but was recorded by then if we moved it on ourselves.
    assert await digests(hello) == [B, C, A]
    await tick()
    await hello.tags.set("latest", C)
    assert await digests(hello) == [B, C, A, C]


# ---- compare-and-swap


async def test_compare_and_swap(hello: Repository) -> None:
    await hello.tags.set("latest", A, expected=ABSENT)
    with pytest.raises(TagChanged) as changed:
        await hello.tags.set("latest", B, expected=ABSENT)
    assert (changed.value.expected, changed.value.actual) == (None, A)
    with pytest.raises(TagChanged) as changed:
        await hello.tags.set("latest", C, expected=B)
    assert (changed.value.expected, changed.value.actual) == (B, A)
    with pytest.raises(TagChanged) as changed:
        await hello.tags.set("other", C, expected=B)
    assert (changed.value.expected, changed.value.actual) == (B, None)
    await hello.tags.set("latest", B, expected=A)
    assert await digests(hello) == [A, B]
    assert "absent" in str(TagChanged("library/hello", "latest", None, A))


async def test_an_expectation_in_plain_text_is_one_too(hello: Repository, driver: Driver) -> None:
    await hello.tags.set("latest", A)
    before = (await driver.list_all()).entries
    with pytest.raises(TagChanged):
        await hello.tags.set("latest", B, expected=str(C))
    with pytest.raises(InvalidDigest):
        await hello.tags.set("latest", B, expected="absent")
    assert (await driver.list_all()).entries == before
    await hello.tags.set("latest", B, expected=str(A))


@pytest.mark.parametrize("expected", [ABSENT, A], ids=["absent", "a digest"])
async def test_of_fifty_who_expect_the_same_exactly_one_wins(hello: Repository, expected: Expected) -> None:
    payloads = [schema1(Digest.of(b"layer"), contender=number) for number in range(50)]
    for payload in payloads:
        await hello.revisions.put(payload)
    if expected is A:
        await hello.tags.set("latest", A)

    async def contend(payload: bytes) -> bool:
        try:
            await hello.tags.set("latest", Digest.of(payload), expected=expected)
        except TagChanged:
            return False
        return True

    won = await asyncio.gather(*map(contend, payloads))
    assert sum(won) == 1
    winner = Digest.of(payloads[won.index(True)])
    assert await hello.tags.resolve("latest") == winner
    assert await digests(hello) == ([A, winner] if expected is A else [winner])


async def test_no_change_is_lost_from_the_history_of_a_contended_tag(
    hello: Repository, driver: Driver
) -> None:
    payloads = [schema1(Digest.of(b"layer"), contender=number) for number in range(10)]
    for payload in payloads:
        await hello.revisions.put(payload)
    wanted = [Digest.of(payload) for payload in payloads]
    await asyncio.gather(*(hello.tags.set("latest", digest) for digest in wanted))
    assert set(await digests(hello)) == set(wanted)
    if driver.capabilities.time_resolution.total_seconds() < 1:  # else their order within a second is a guess
        assert len(await digests(hello)) == len(wanted)
        assert await hello.tags.resolve("latest") == (await digests(hello))[-1]


class Plain(DriverWrapper):
    """A store without conditional writes, as some S3-compatible servers are."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            self.inner.capabilities,
            conditional_put=False,
            conditional_commit=False,
            conditional_delete=False,
        )

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        assert condition is None
        return await self.inner.put(key, content)


async def test_a_store_without_conditional_writes_sets_tags_but_swaps_none(
    hello: Repository, driver: Driver
) -> None:
    plain = Registry(Plain(driver)).repository(hello.name)
    for digest in (A, B, A):
        await plain.tags.set("latest", digest)
    assert await digests(plain) == [A, B, A]
    before = (await driver.list_all()).entries
    for expected in (ABSENT, A):
        with pytest.raises(Unsupported):
            await plain.tags.set("latest", B, expected=expected)
    frozen = Registry(Plain(driver), policy=Policy(immutable=tags_matching("*"))).repository(hello.name)
    with pytest.raises(Unsupported):
        await frozen.tags.set("v1", B)
    assert (await driver.list_all()).entries == before


# ---- immutable tags


@pytest.fixture
def frozen(hello: Repository, driver: Driver) -> Repository:
    """The same repository where tags of versions are immutable."""
    return Registry(driver, policy=Policy(immutable=tags_matching("v*", "lts"))).repository(hello.name)


async def test_an_immutable_tag_is_set_once(frozen: Repository) -> None:
    await frozen.tags.set("v1", A)
    await frozen.tags.set("v1", A)
    since = (await frozen.tags.history("v1"))[0].since
    for change in (
        frozen.tags.set("v1", B),
        frozen.tags.set("v1", B, expected=A),
        frozen.tags.delete("v1"),
        frozen.manifests.delete("v1"),
        frozen.manifests.delete(A),
    ):
        with pytest.raises(TagImmutable) as immutable:
            await change
        assert (immutable.value.tag, immutable.value.digest) == ("v1", A)
    assert await frozen.tags.restore("v1", since) == A
    assert await frozen.tags.resolve("v1") == A
    for digest in (A, B):
        await frozen.tags.set("latest", digest)


async def test_of_fifty_who_set_an_immutable_tag_exactly_one_wins(frozen: Repository) -> None:
    payloads = [schema1(Digest.of(b"layer"), contender=number) for number in range(50)]
    for payload in payloads:
        await frozen.revisions.put(payload)
    results = await asyncio.gather(
        *(frozen.tags.set("lts", Digest.of(payload)) for payload in payloads), return_exceptions=True
    )
    assert sum(result is None for result in results) == 1
    assert all(isinstance(result, TagImmutable) for result in results if result is not None)


# ---- deletion of revisions


@pytest.mark.parametrize("seed", range(30))
def test_a_deletion_takes_no_tag_that_was_moved_meanwhile(seed: int) -> None:
    """Writers at work at once, on a store whose answers take a while that is drawn anew each time."""

    async def main() -> None:
        random = Random(seed)
        memory = MemoryDriver()
        async with Registry(LatencyDriver(memory, random.random)) as registry:
            hello = registry.repository("library/hello")
            for payload in PAYLOADS:
                await hello.revisions.put(payload)
            await hello.tags.set("latest", A)
            await hello.tags.set("other", A)
            moved, deleted, gone = await asyncio.gather(
                hello.tags.set("latest", B, expected=A),
                hello.manifests.delete(A),
                hello.tags.delete("other"),
                return_exceptions=True,
            )
            assert deleted is None
            assert gone is None or isinstance(gone, TagUnknown)
            if moved is None:
                assert await hello.tags.resolve("latest") == B
                assert await digests(hello) == [A, B]
            else:
                assert isinstance(moved, TagChanged)
                assert await digests(hello) == [A, None]
            for tag in [info.tag async for info in hello.tags]:
                assert await hello.manifests.exists(tag)

    run_on_virtual_clock(main())


@pytest.mark.parametrize("seed", range(30))
def test_a_tag_that_is_deleted_and_set_at_once_is_found_by_its_revision(seed: int) -> None:
    async def main() -> None:
        random = Random(seed)
        memory = MemoryDriver()
        async with Registry(LatencyDriver(memory, random.random)) as registry:
            hello = registry.repository("library/hello")
            for payload in PAYLOADS:
                await hello.revisions.put(payload)
            for digest in (B, A):
                await hello.tags.set("latest", digest)
            await asyncio.gather(hello.tags.delete("latest"), hello.tags.set("latest", B))
            await hello.manifests.delete(B)
            assert not await hello.tags.exists("latest")

    run_on_virtual_clock(main())


async def test_deleting_a_revision_clears_the_tags_that_point_at_it(hello: Repository) -> None:
    for tag, digest in [("one", A), ("two", A), ("was", A), ("was", B), ("other", C)]:
        await hello.tags.set(tag, digest)
    await hello.manifests.delete(A)
    assert [info.tag async for info in hello.tags] == ["other", "was"]
    assert await hello.tags.resolve("was") == B
    assert await digests(hello, "one") == [A, None]

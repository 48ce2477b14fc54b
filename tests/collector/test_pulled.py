"""Rules with `pulled` keep what clients pulled within a time, and everything where that is not known."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Registry, RepositoryName
from revstore_async.collector import Retention
from revstore_async.collector.survey import Kind
from revstore_async.driver import Driver
from revstore_async.errors import InvalidRetention
from revstore_async.layout import CURRENT, Pulls, PullsKept
from revstore_async.pulls.pull_times import PullTimes
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import image

RULES = 'history = "0s"\n[[rule]]\ntags = "*"\nkeep = { pulled = "7d" }\n'
UNTAGGED = 'history = "0s"\n[[rule]]\nuntagged = true\nkeep = { pulled = "7d" }\n'


class World:
    """A store with a clock, and a server that keeps pull times."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        self.driver = TracingDriver(MemoryDriver(MemoryStore(), clock=lambda: self.now))
        self.registry = Registry(self.driver)
        self.pulls = PullTimes(self.driver, CURRENT, now=lambda: self.now)

    async def put(self, name: str, text: str, *tags: str) -> Digest:
        repository = self.registry.repository(name)
        for content in (b"{}", text.encode()):
            await repository.blobs.put(content)
        return (await repository.manifests.put(image(b"{}", text.encode()), tags=tags)).digest

    async def days(self, number: int, *, without: int | None = None) -> None:
        """Let days pass on which the server is up; but for one of them."""
        for day in range(number):
            self.now += timedelta(days=1)
            if day != without:
                await self.pulls.save()

    async def pull(self, name: str, *references: str) -> None:
        self.pulls.note(name, *references)
        await self.pulls.save()

    async def going(self, rules: str) -> tuple[set[str], list[str]]:
        """The tags and untagged manifests that would go, and the notes."""
        plan = await self.registry.collector.plan(Retention.parse(rules), offline=True)
        try:
            tags = {str(each.tag) for each in plan.going() if each.tag and each.kind.name == "TAG"}
            revisions = {str(each.digest) for each in plan.going() if each.kind.name == "REVISION"}
            return (tags or revisions), list(plan.notes)
        finally:
            plan.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    async with found.registry:
        yield found


async def test_a_tag_stays_that_was_pulled_by_its_name_or_digest(world: World) -> None:
    for tag in ("by-name", "by-digest", "long-ago", "never"):
        digest = await world.put("app", tag, tag)
        if tag == "by-digest":
            pulled = digest
    await world.put("other", "by-name", "by-name")  # a pull in one repository counts there alone
    await world.pull("app", "long-ago")
    await world.days(20)
    await world.pull("app", "by-name")
    await world.pull("app", pulled)
    await world.days(5)
    going, notes = await world.going(RULES)
    assert going == {"long-ago", "never", "by-name"}
    assert notes == []
    explained = await world.registry.collector.explain("app", "by-name", Retention.parse(RULES))
    assert (explained.stays, explained.why) == (True, "rule 1 (pulled)")
    assert explained.conditions == ["pulled = 7d: it was pulled 5d ago"]
    explained = await world.registry.collector.explain("app", "never", Retention.parse(RULES))
    assert (explained.stays, explained.conditions) == (
        False,
        ["pulled = 7d: it was not pulled within that time"],
    )


async def test_untagged_manifests_stay_that_were_pulled(world: World) -> None:
    pulled, never = await world.put("app", "pulled"), await world.put("app", "never")
    await world.days(20)
    await world.pull("app", pulled)
    assert await world.going(UNTAGGED) == ({never}, [])


@pytest.mark.parametrize("decision", ["keep", "expire"])
async def test_everything_stays_where_a_day_has_no_pull_times(world: World, decision: str) -> None:
    await world.put("app", "never", "never")
    await world.days(20, without=15)
    rules = RULES.replace("keep", decision)
    going, notes = await world.going(rules)
    assert going == set()
    assert notes == ["all that rule 1 names stays: no server kept pull times on 2026-01-17"]
    explained = await world.registry.collector.explain("app", "never", Retention.parse(rules))
    assert explained.why == "rule 1 (no server kept pull times on 2026-01-17)"
    assert explained.conditions == ["pulled = 7d: no server kept pull times on 2026-01-17"]


async def test_everything_stays_until_pull_times_are_kept_for_that_long(world: World) -> None:
    await world.put("app", "never", "never")
    await world.pulls.save()
    await world.days(7)
    assert (await world.going(RULES))[0] == set()  # the first day was not whole
    await world.days(1)
    assert (await world.going(RULES))[0] == {"never"}


async def test_an_object_that_can_not_be_read_keeps_its_repository(world: World) -> None:
    await world.put("app", "never", "never")
    await world.put("other", "never", "never")
    await world.days(20)
    await world.driver.put(CURRENT.key(Pulls(world.now.date(), RepositoryName("app"), "w")), b"rotten")
    plan = await world.registry.collector.plan(Retention.parse(RULES), offline=True)
    assert {each.repository for each in plan.going() if each.tag} == {"other"}
    plan.close()


async def test_rules_without_pulled_read_no_pull_times(world: World) -> None:
    await world.put("app", "a", "a")
    await world.pull("app", "a")
    world.driver.reset()
    await world.going('[[rule]]\ntags = "*"\nexpire = true\n')
    read = [each.key for each in world.driver.requests if each.method == "get" and "/pulls/" in each.key]
    assert read == []


def test_pull_times_are_not_kept_for_ever() -> None:
    with pytest.raises(InvalidRetention, match="kept for 400 days"):
        Retention.parse('[[rule]]\ntags = "*"\nkeep = { pulled = "401d" }\n')


async def test_pull_times_are_written_and_read_on_each_store(registry: Registry, driver: Driver) -> None:
    repository = registry.repository("team/app")
    for tag in ("never", "pulled"):
        for content in (b"{}", tag.encode()):
            await repository.blobs.put(content)
        await repository.manifests.put(image(b"{}", tag.encode()), tag=tag)
    today = datetime.now(UTC).date()
    for day in range(10):
        await driver.put(CURRENT.key(PullsKept(today - timedelta(days=day))), b"")
    pulls = PullTimes(driver, CURRENT)
    pulls.note("team/app", "pulled")
    await pulls.save()
    plan = await registry.collector.plan(Retention.parse(RULES), offline=True)
    assert {each.tag for each in plan.going(Kind.TAG)} == {"never"}
    assert plan.notes == []
    plan.close()

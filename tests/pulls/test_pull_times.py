"""A registry keeps coarse pull times: few writes, bounded memory, none of them in the way of a request."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Registry
from revstore_async.driver import Driver
from revstore_async.errors import InvalidName, Unavailable, WrongType
from revstore_async.layout import CURRENT
from revstore_async.pulls import pull_times
from revstore_async.pulls.pull_times import PullTimes
from revstore_async.server import RegistryApp
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script, TracingDriver
from tests.parts.documents import image
from tests.parts.serving import client_of


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def stored(driver: Driver) -> dict[str, object]:
    """The objects of pull times, by the end of their keys; without the writer's name."""
    found: dict[str, object] = {}
    for info in (await driver.list_all(CURRENT.pulls)).entries:
        content = (await driver.get(info.key)).content
        key = info.key.removeprefix(f"{CURRENT.pulls}/").partition("/_by/")[0]
        found[key] = json.loads(content) if content else None
    return found


async def test_the_pulls_of_a_day_are_one_object_for_each_repository(clock: Clock) -> None:
    async with TracingDriver(MemoryDriver()) as driver:
        pulls = PullTimes(driver, CURRENT, now=clock)
        for reference in ("latest", "v1", "latest"):
            pulls.note("team/app", reference, "sha256:" + "a" * 64)
        pulls.note("other", "latest")
        assert driver.requests == ()  # a pull costs no request
        await pulls.save()
        assert driver.counts == {"put": 3, "list": 1}
        await pulls.save()
        pulls.note("team/app", "v1")
        await pulls.save()
        assert driver.counts["put"] == 3  # it is known of this day already
        assert await stored(driver) == {
            "20260301/_kept": None,
            "20260301/other": {"all": False, "references": ["latest"]},
            "20260301/team/app": {"all": False, "references": ["latest", "sha256:" + "a" * 64, "v1"]},
        }
        pulls.note("team/app", "v2")
        clock.now += timedelta(days=1)
        pulls.note("team/app", "v2")
        await pulls.save()
        found = await stored(driver)
        assert found["20260301/team/app"] == {
            "all": False,
            "references": ["latest", "sha256:" + "a" * 64, "v1", "v2"],
        }
        assert found["20260302/team/app"] == {"all": False, "references": ["v2"]}
        assert "20260302/_kept" in found


async def test_each_process_has_an_object_of_its_own(clock: Clock) -> None:
    async with MemoryDriver() as driver:
        for reference in ("a", "b"):
            pulls = PullTimes(driver, CURRENT, now=clock)
            pulls.note("app", reference)
            await pulls.save()
        assert len((await driver.list_all(f"{CURRENT.pulls}/20260301/app")).entries) == 2


async def test_days_that_are_too_old_are_deleted(clock: Clock) -> None:
    async with MemoryDriver() as driver:
        pulls = PullTimes(driver, CURRENT, now=clock)
        pulls.note("app", "latest")
        await pulls.save()
        clock.now += timedelta(days=400)
        await pulls.save()
        assert "20260301/app" in await stored(driver)
        clock.now += timedelta(days=1)
        await pulls.save()
        assert {key.partition("/")[0] for key in await stored(driver)} == {"20270405", "20270406"}


async def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_times, "OF_REPOSITORY", 3)
    monkeypatch.setattr(pull_times, "IN_MEMORY", 5)
    async with MemoryDriver() as driver:
        pulls = PullTimes(driver, CURRENT, now=clock)
        for name, count in (("a", 3), ("b", 4), ("c", 2), ("d", 1)):
            for number in range(count):
                pulls.note(name, f"v{number}")
        await pulls.save()
        found = await stored(driver)
        assert found["20260301/a"] == {"all": False, "references": ["v0", "v1", "v2"]}
        assert found["20260301/b"] == {"all": True, "references": []}
        assert found["20260301/c"] == {"all": False, "references": ["v0", "v1"]}
        assert found["20260301/d"] == {"all": True, "references": []}


async def test_a_failed_write_is_made_again(clock: Clock) -> None:
    async with FaultsDriver(MemoryDriver(), Script(Rule("put", Fault.BEFORE))) as driver:
        pulls = PullTimes(driver, CURRENT, now=clock)
        pulls.note("app", "latest")
        with pytest.raises(Unavailable):
            await pulls.save()
        await pulls.save()
        assert "20260301/app" in await stored(driver)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"all": false}', b'{"all": 0, "references": 3}', b"\xff"])
def test_an_object_that_can_not_be_read_counts_for_everything(content: bytes) -> None:
    assert pull_times.decode(content) == (True, [])


def test_a_registry_writes_every_ten_minutes_and_at_its_end() -> None:
    async def work() -> None:
        store = MemoryStore()
        async with Registry(MemoryDriver(store), pull_times=True) as registry:
            assert registry.pull_times is not None
            await asyncio.sleep(1)
            assert [key for key in store.objects if key.endswith("/_kept")]
            registry.pull_times.note("app", "latest")
            await asyncio.sleep(590)
            assert not [key for key in store.objects if "/app/" in key]
            await asyncio.sleep(20)
            assert len([key for key in store.objects if "/app/" in key]) == 1
            registry.pull_times.note("late", "latest")
        assert len([key for key in store.objects if "/late/" in key]) == 1

    run_on_virtual_clock(work())


def test_a_store_that_fails_ends_neither_the_registry_nor_its_work(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        script = Script(Rule("put", Fault.BEFORE, nth=0))
        async with Registry(FaultsDriver(MemoryDriver(), script), pull_times=True) as registry:
            assert registry.pull_times is not None
            registry.pull_times.note("app", "latest")
            await asyncio.sleep(1300)

    run_on_virtual_clock(work())
    assert len([line for line in caplog.messages if "pull times could not be written" in line]) == 3


async def test_the_server_notes_pulls_by_get_and_head() -> None:
    async with Registry.open("memory:", pull_times=True) as registry:
        pulls = registry.pull_times
        assert pulls is not None
        noted: list[tuple[str, ...]] = []
        pulls.note = lambda *pull: noted.append(pull)  # type: ignore[method-assign]
        repository = registry.repository("team/app")
        for content in (b"{}", b"a layer"):
            await repository.blobs.put(content)
        digest = (await repository.manifests.put(image(b"{}", b"a layer"), tag="latest")).digest
        async with client_of(RegistryApp(registry)) as client:
            for reference in ("latest", digest):
                assert (await client.get(f"/v2/team/app/manifests/{reference}")).status_code == 200
            assert (await client.head("/v2/team/app/manifests/latest")).status_code == 200
            assert (await client.get("/v2/team/app/manifests/gone")).status_code == 404
        assert noted == [
            ("team/app", "latest", digest),
            ("team/app", digest, digest),
            ("team/app", "latest", digest),
        ]


async def test_no_pull_times_are_kept_unless_they_are_asked_for() -> None:
    async with Registry.open("memory:") as registry:
        assert registry.pull_times is None
    with pytest.raises(WrongType, match="pull_times"):
        Registry(MemoryDriver(), pull_times=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidName):
        PullTimes(MemoryDriver(), CURRENT).note("Not a name", "latest")

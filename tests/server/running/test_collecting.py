"""Servers run the collector by a schedule: one of them at a time."""

import asyncio
import logging
import os
import time as clock
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from revstore_async import Digest, Registry
from revstore_async.runs.state import Phase, State
from revstore_async.server.running.collecting import Schedule, collecting, next_time
from tests.parts.online_runs import StagedDriver, now, on_virtual_clock, pushed, ready

RULES = 'history = "0s"\n[[rule]]\ntags = "old*"\nexpire = true\n'
HOUR = timedelta(hours=1)


@asynccontextmanager
async def already_open() -> AsyncIterator[None]:
    yield


def server(registry: Registry, schedule: Schedule | None, rules: Path | None = None) -> Any:
    return collecting(already_open(), registry, schedule, rules, now=now)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "keep.toml").write_text(RULES)
    return tmp_path / "keep.toml"


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    """The machine's zone is UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    clock.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    clock.tzset()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def runs(driver: StagedDriver) -> int:
    return driver.phases.count(Phase.CONDEMNED)


def played(program: Callable[[StagedDriver, Registry], Coroutine[Any, Any, None]]) -> None:
    on_virtual_clock(program)()


def test_of_many_servers_one_runs_each_time(rules: Path) -> None:
    async def program(driver: StagedDriver, registry: Registry) -> None:
        repository = registry.repository("library/hello")
        await ready(registry)
        async with server(Registry(driver), HOUR, rules), server(Registry(driver), HOUR, rules):
            for number in range(3):
                await pushed(repository, f"layer {number}", f"old-{number}")
                await asyncio.sleep(1.5 * HOUR.total_seconds())
                assert not await registry.blobs.exists(Digest.of(f"layer {number}".encode()))
        assert 3 <= runs(driver) <= 5  # one an hour

    played(program)


def test_a_run_each_day_at_a_time(rules: Path) -> None:
    async def program(driver: StagedDriver, registry: Registry) -> None:
        repository = registry.repository("library/hello")
        await ready(registry)
        at: list[datetime] = []

        def expect() -> None:
            async def note(_: State) -> None:
                at.append(now())

            driver.acts[Phase.CONDEMNED] = note

        async with server(Registry(driver), time(3, 0), rules), server(Registry(driver), time(3, 0), rules):
            for number in range(2):
                expect()
                await pushed(repository, f"layer {number}", f"old-{number}")
                await asyncio.sleep(24 * HOUR.total_seconds())
        assert [(each.day, each.hour, each.minute) for each in at] == [(1, 3, 0), (2, 3, 0)]

    played(program)


def test_rules_that_become_wrong_delete_nothing_and_are_read_again(
    rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def program(driver: StagedDriver, registry: Registry) -> None:
        await pushed(registry.repository("library/hello"), "goes", "old")
        await ready(registry)
        write(rules, "")
        with caplog.at_level(logging.WARNING):
            async with server(registry, HOUR, rules):
                await asyncio.sleep(600)
                assert "keep.toml" in caplog.text
                assert await registry.blobs.exists(Digest.of(b"goes"))
                write(rules, RULES)
                await asyncio.sleep(2 * HOUR.total_seconds())
        assert not await registry.blobs.exists(Digest.of(b"goes"))

    played(program)


def test_a_store_without_enabled_runs_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def program(_: StagedDriver, registry: Registry) -> None:
        with caplog.at_level(logging.WARNING):
            async with server(registry, HOUR):
                await asyncio.sleep(60)
        assert "gc enable" in caplog.text

    played(program)


def test_a_repository_that_stays_for_a_manifest_that_cannot_be_read_is_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def program(driver: StagedDriver, registry: Registry) -> None:
        repository = registry.repository("library/hello")
        await pushed(repository, "stays", "latest")
        await driver.put(registry.blobs.path(await repository.tags.resolve("latest")), b"{")
        await ready(registry)
        with caplog.at_level(logging.WARNING):
            async with server(registry, HOUR):
                await asyncio.sleep(2 * HOUR.total_seconds())
        assert "all of library/hello stays" in caplog.text

    played(program)


def test_the_end_of_a_server_ends_its_run(rules: Path) -> None:
    async def program(driver: StagedDriver, registry: Registry) -> None:
        await pushed(registry.repository("library/hello"), "goes", "old")
        await ready(registry)
        condemned = asyncio.Event()

        async def note(_: State) -> None:
            condemned.set()

        driver.acts[Phase.CONDEMNED] = note
        async with server(registry, HOUR, rules):
            await condemned.wait()
            await asyncio.sleep(0.1)
        assert (await registry.collector.status()).phase == "idle"
        assert await registry.blobs.exists(Digest.of(b"goes"))

    played(program)


def test_without_a_schedule_no_run_begins() -> None:
    async def program(driver: StagedDriver, registry: Registry) -> None:
        async with server(registry, None):
            await asyncio.sleep(100)
        assert not driver.phases

    played(program)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 12, 1, 2, 59, tzinfo=UTC), datetime(2026, 12, 1, 3, tzinfo=UTC)),
        (datetime(2026, 12, 1, 3, 0, tzinfo=UTC), datetime(2026, 12, 2, 3, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), datetime(2027, 1, 1, 3, tzinfo=UTC)),
    ],
)
def test_the_next_time_of_the_day(at: datetime, expected: datetime) -> None:
    assert next_time(time(3, 0), at) == expected


def test_where_clocks_change_the_time_of_the_day_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    clock.tzset()
    before = datetime(2026, 10, 24, 12, 0).astimezone()  # the next night has 25 hours
    due = next_time(time(3, 30), before)
    assert (due.hour, due.minute) == (3, 30)
    assert due - before == timedelta(hours=16.5)

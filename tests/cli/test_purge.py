"""`revstore purge`: uploads that nobody went on with are forgotten, and what lies beside them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self, TypeVar

import pytest

from revstore_async import Digest, Registry, Repository
from revstore_async.driver import entries
from revstore_async.errors import UploadUnknown
from tests.cli.conftest import Run, on_each_store

Answer = TypeVar("Answer")

CONTENT = b"what was sent of a layer"


class InThreeDays(datetime):
    """The engine's clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(days=3)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have three days gone by since all that was stored."""
    monkeypatch.setattr("revstore_async.registry.datetime", InThreeDays)


def within(store: str, work: Callable[[Repository], Awaitable[Answer]]) -> Answer:
    """Do work in a repository of the store."""

    async def opened() -> Answer:
        async with Registry.open(store) as registry:
            return await work(registry.repository("library/hello"))

    return asyncio.run(opened())


def given_up(store: str) -> str:
    """Begin an upload, and leave it."""

    async def begin(repository: Repository) -> str:
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, CONTENT)
        return upload.id

    return within(store, begin)


def finished(store: str) -> None:
    """Push a blob by a POST and a PUT, as it were."""

    async def push(repository: Repository) -> None:
        upload = await repository.uploads.start()
        await repository.uploads.finish(upload.id, Digest.of(CONTENT), CONTENT)

    within(store, push)


def left(store: str) -> list[str]:
    """Return the keys of all that lies there of uploads."""

    async def look() -> list[str]:
        async with Registry.open(store) as registry:
            folder = registry.layout.uploads_under_way
            return [info.key async for info in entries(registry.driver.list_all, folder)]

    return asyncio.run(look())


@on_each_store
def test_uploads_that_nobody_went_on_with_are_forgotten(run: Run, store: str, later: None) -> None:
    given_up(store)
    given_up(store)
    ran = run("purge", "--older-than", "4d")
    assert (ran.code, ran.text) == (0, "abandoned uploads forgotten: 0\n")
    assert len(left(store)) == 4
    ran = run("purge", "--older-than", "2d")
    assert (ran.code, ran.text, ran.err) == (0, "abandoned uploads forgotten: 2\n", "")
    assert left(store) == []
    assert run("purge", "--older-than", "2d", "--json").value == {"uploads": 0}


@on_each_store
def test_what_finished_uploads_left_goes_too_and_their_blobs_stay(run: Run, store: str, later: None) -> None:
    finished(store)
    assert run("purge", "--older-than", "71h", "--json").value == {"uploads": 0}
    assert left(store) == []
    assert within(store, lambda repository: repository.blobs.get(Digest.of(CONTENT))) == CONTENT


def test_only_what_is_older_is_forgotten(run: Run, store: str, tmp_path: Path) -> None:
    old = given_up(store)
    for path in (tmp_path / "store").rglob(f"{old}/**/*"):
        age(path)
    young = given_up(store)
    assert run("purge", "--older-than", "25h", "--json").value == {"uploads": 0}
    assert run("purge", "--older-than", "24h", "--json").value == {"uploads": 1}
    with pytest.raises(UploadUnknown):
        within(store, lambda repository: repository.uploads.status(old))
    upload = within(store, lambda repository: repository.uploads.status(young))
    assert upload.offset == len(CONTENT)


def test_what_killed_writers_left_of_files_goes_too(run: Run, store: str, tmp_path: Path) -> None:
    given_up(store)
    folder = next((tmp_path / "store").rglob("state")).parent
    old, young = folder / ",0123456789abcdef", folder / ",fedcba9876543210"
    for path in (old, young):
        path.write_bytes(CONTENT)
    age(old)
    assert run("purge", "--older-than", "60m", "--json").value == {"uploads": 0}
    assert (old.exists(), young.exists()) == (False, True)


def age(path: Path) -> None:
    """Let a file be written a day ago."""
    then = path.stat().st_mtime - timedelta(days=1, minutes=1).total_seconds()
    os.utime(path, (then, then))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--older-than"),
        (["--older-than", "2"], "'2' is no length of time; write it like 90m, 12h or 2d"),
        (["--older-than", "0"], "is no length of time"),
        (["--older-than", "never"], "is no length of time"),
        (["--older-than", "-2d"], "is no length of time"),
        (["--older-than", "2w"], "is no length of time"),
        (["--older-than", "²d"], "is no length of time"),
        (["--older-than", "1234567890d"], "is no length of time"),
        (["--older-than", "59m"], "'59m' is too short: 1h at least"),
        (["--older-than", "3651d"], "'3651d' is too long: 3650d at most"),
    ],
)
def test_an_age_that_is_none_is_told(
    run: Run, store: str, later: None, options: list[str], said: str
) -> None:
    given_up(store)
    ran = run("purge", *options)
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err
    assert len(left(store)) == 2


def test_the_store_is_to_be_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVSTORE_STORE")
    ran = run("purge", "--older-than", "2d")
    assert ran.code == 2
    assert "REVSTORE_STORE" in ran.err

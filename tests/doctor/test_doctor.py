"""The doctor finds the abilities of a store, and does not trust its driver."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from revstore_async import Driver
from revstore_async.doctor import Finding, Verdict, examine
from revstore_async.driver import (
    Capabilities,
    Condition,
    DriverWrapper,
    File,
    FileInfo,
    IfAbsent,
    IfMatch,
    Page,
    Source,
)
from revstore_async.errors import AccessDenied, Unsupported
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.s3 import S3Driver
from tests.parts.moto import running as moto_running
from tests.parts.proxy import Fault, Proxy, Request, running


async def test_a_good_store_is_healthy_and_left_as_it_was(driver: Driver):
    await driver.put("mine", b"content")
    told: list[Finding] = []
    report = await examine(driver, on_finding=told.append)
    assert report.healthy
    assert list(report.findings) == told
    assert {finding.verdict for finding in told} == {Verdict.HONOURED, Verdict.NOT_OFFERED}
    assert report.capabilities == driver.capabilities
    assert [info.key for info in (await driver.list_all()).entries] == ["mine"]


class IgnoresConditions(DriverWrapper):
    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        return await self.inner.put(key, content)


class HasNoAtomicConditions(DriverWrapper):
    """Judges first and writes then, as servers do that imitate."""

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        if condition is not None:
            await self.inner.put(f"{key}-judged", b"", condition=None)
            page = await self.inner.list_all(key.rpartition("/")[0])
            there = {info.key: info.etag for info in page.entries}.get(key)
            if there != (condition.etag if isinstance(condition, IfMatch) else None):
                return await self.inner.put(key, content, condition=condition)
        return await self.inner.put(key, content)


class DeletesAnyVersion(DriverWrapper):
    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        await self.inner.delete(key, until=until)


class ListsBackwards(DriverWrapper):
    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = 1000
    ) -> Page[FileInfo]:
        page = await self.inner.list_all(prefix, start_after=start_after, limit=limit)
        return Page(page.entries[::-1], page.next)


class ReadsStale(DriverWrapper):
    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.first: dict[str, File] = {}

    async def get(self, key: str, *, limit: int | None = None) -> File:
        return self.first.setdefault(key, await self.inner.get(key, limit=limit))


class LivesInThePast(DriverWrapper):
    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        info = await self.inner.put(key, content, condition=condition)
        return replace(info, modified=datetime.now(UTC) - timedelta(hours=1))


class DeletesOne(DriverWrapper):
    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        await self.inner.delete(next(iter(keys)), until=until)


class IgnoresTheEnd(DriverWrapper):
    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        await self.inner.delete_many(keys)


class TellsTheEndAndDeletes(DriverWrapper):
    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        several = [*keys]
        await self.inner.delete_many(several)
        await self.inner.delete_many(several, until=until)


class IgnoresTheEndOfOne(DriverWrapper):
    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        await self.inner.delete(key, condition=condition)


class DeletesNothingThatIsDated(DriverWrapper):
    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        several = [*keys] if until is None else ["revstore-doctor/other"]
        await self.inner.delete_many(several, until=until)


class HasADefect(DriverWrapper):
    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        raise RuntimeError("the copy was dropped")


class CopiesAnyVersion(DriverWrapper):
    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, conditional_copy=True)

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        return await self.inner.compose([Source(each.key, each.size) for each in sources], target)


LIARS: list[tuple[Callable[[Driver], Driver], set[str], set[str]]] = [
    (IgnoresConditions, {"write if absent", "write if unchanged"}, {"conditional_put"}),
    (
        HasNoAtomicConditions,
        {"write if absent", "write if unchanged"},
        {"conditional_put"},
    ),
    (DeletesAnyVersion, {"deletion if unchanged"}, {"conditional_delete"}),
    (CopiesAnyVersion, {"copy if unchanged"}, {"conditional_copy"}),
    (ListsBackwards, {"listings in byte order"}, {"ordered_listing"}),
    (ReadsStale, {"what was written is read"}, set()),
    (LivesInThePast, {"clock"}, set()),
    (DeletesOne, {"deletion of many", "deletion with an end"}, {"dated_deletion"}),
    (IgnoresTheEnd, {"deletion with an end"}, {"dated_deletion"}),
    (IgnoresTheEndOfOne, {"deletion with an end"}, {"dated_deletion"}),
    (TellsTheEndAndDeletes, {"deletion with an end"}, {"dated_deletion"}),
    (DeletesNothingThatIsDated, {"deletion with an end"}, {"dated_deletion"}),
    (HasADefect, {"copy"}, set()),
]


@pytest.mark.parametrize(
    ("liar", "checks", "lacking"), LIARS, ids=lambda value: getattr(value, "__name__", None)
)
async def test_a_store_that_does_something_else_is_found_out(
    liar: Callable[[Driver], Driver], checks: set[str], lacking: set[str]
):
    async with liar(MemoryDriver()) as driver:
        report = await examine(driver)
        broken = {finding.check for finding in report.findings if finding.verdict is Verdict.BROKEN}
        assert broken == checks
        assert not report.healthy
        assert all(finding.detail for finding in report.findings if finding.verdict is Verdict.BROKEN)
        for capability in lacking:
            assert not getattr(report.capabilities, capability)


class Deaf(Proxy):
    """Passes no condition of a write on: a server that never heard of them."""

    async def _spoiled(self, request: Request, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        if request.method in {"PUT", "POST"}:
            for name in ("if-match", "if-none-match"):
                request.headers.pop(name, None)
        return await super()._spoiled(request, writer, fault)


async def test_what_was_found_keeps_the_driver_from_it():
    """A server that ignores conditions is refused for compare-and-swap, and never imitated."""
    with moto_running() as moto:
        async with running(Deaf(moto.port)) as proxy:
            bucket, options = moto.new_bucket(), moto.options(proxy.port)
            del options["dated_deletion"]
            async with S3Driver(bucket, **options) as driver:
                report = await examine(driver)
            assert report.options["conditional_put"] is False
            assert report.options["conditional_commit"] is False
            assert report.options["dated_deletion"] is False  # moto judges no signature
            assert not report.capabilities.conditional_put
            url = f"s3://{bucket}?{urlencode(report.options)}"
            async with S3Driver.from_url(url, options) as driver:
                assert driver.capabilities == report.capabilities
                for condition in (IfAbsent(), IfMatch("abc")):
                    with pytest.raises(Unsupported):
                        await driver.put("key", b"", condition=condition)
                with pytest.raises(Unsupported):
                    async with driver.open_writer("key") as writer:
                        await writer.commit(condition=IfAbsent())
                assert (await driver.list_all()).entries == ()
                await driver.put("key", b"content")


async def test_a_store_that_cannot_be_written_to_is_not_examined():
    class Refuses(DriverWrapper):
        async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
            raise AccessDenied(key, "read only")

    async with Refuses(MemoryDriver()) as driver:
        with pytest.raises(AccessDenied):
            await examine(driver)

"""Asks a store itself what it honours. A server may say yes to a condition and ignore it; here it is tried.

Everything is tried through the driver, on keys of its own below one prefix, which is deleted at the end. What the
driver does not offer is not tried.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.request import Request, urlopen

from anyio import to_thread

from .concurrency import gather, gather_map
from .driver import Capabilities, Condition, Driver, FileInfo, IfAbsent, IfMatch, entries
from .errors import ConditionFailed, KeyNotFound, RevstoreError, StorageFailure

WRITERS: Final = 50
"""How many writers at once a condition must tell apart."""

SKEW: Final = timedelta(minutes=5)
"""How far the store's clock may be from this machine's; signed requests allow 15 minutes."""


_Write = Callable[[str, bytes, Condition], Awaitable[FileInfo]]


class Verdict(StrEnum):
    """What came of a check."""

    HONOURED = "honoured"
    BROKEN = "broken"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and what came of it.

    Attributes:
        check: What was asked, in a few words.
        verdict: What came of it.
        detail: What was seen; for a broken one, what is wrong.
        capability: The field of `Capabilities` that it is about; empty for what every store must do.
    """

    check: str
    verdict: Verdict
    detail: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about a store.

    Attributes:
        findings: In the order in which they were made.
        capabilities: What the driver says, less what was found broken.
    """

    findings: tuple[Finding, ...]
    capabilities: Capabilities

    @property
    def healthy(self) -> bool:
        """Whether the store does all that its driver says."""
        return all(finding.verdict is not Verdict.BROKEN for finding in self.findings)

    @property
    def options(self) -> dict[str, bool]:
        """The capabilities that were found broken, each as False, by name; empty where none was.

        A driver that takes its capabilities as options, as `s3` does, is opened with these to offer no more than
        the store honours; then what needs more raises `Unsupported`.
        """
        return {
            finding.capability: False
            for finding in self.findings
            if finding.capability and finding.verdict is Verdict.BROKEN
        }


class _Broken(Exception):
    """A check found something else than the contract says."""


async def examine(driver: Driver, *, on_finding: Callable[[Finding], None] = lambda _finding: None) -> Report:
    """Try out a store and report. Some 600 requests.

    Args:
        driver: The driver, open.
        on_finding: Called with each finding as soon as it is made: progress.

    Raises:
        StorageFailure: The store can't be written to and read at all.
    """
    probe = _Probe(driver, f"revstore-doctor/{secrets.token_hex(8)}")
    await driver.put(f"{probe.root}/first", b"")  # a store that refuses this is not examined
    findings: list[Finding] = []
    try:
        for check, capability, attempt in probe.checks():
            findings.append(await _made(driver, check, capability, attempt))
            on_finding(findings[-1])
    finally:
        await driver.delete_prefix(probe.root)
    report = Report(tuple(findings), driver.capabilities)
    lacking: dict[str, Any] = {**report.options}
    return replace(report, capabilities=replace(driver.capabilities, **lacking))


async def _made(
    driver: Driver, check: str, capability: str, attempt: Callable[[], Awaitable[str]]
) -> Finding:
    if capability and not getattr(driver.capabilities, capability):
        return Finding(check, Verdict.NOT_OFFERED, "the driver does not offer it", capability)
    try:
        return Finding(check, Verdict.HONOURED, await attempt(), capability)
    except (_Broken, RevstoreError) as error:
        return Finding(check, Verdict.BROKEN, str(error), capability)


def _must(holds: object, otherwise: str) -> None:
    if not holds:
        raise _Broken(otherwise)


class _Probe:
    """The checks. Each returns what was seen, or raises."""

    def __init__(self, driver: Driver, root: str) -> None:
        self.driver = driver
        self.root = root

    def checks(self) -> Sequence[tuple[str, str, Callable[[], Awaitable[str]]]]:
        # Each of these holds a part in memory.
        at_once = max(4, min(WRITERS, (64 << 20) // self.driver.capabilities.part_size))
        return (
            ("what was written is read", "", self.read_after_write),
            ("what was written is listed", "", self.list_after_write),
            ("ranges", "", self.ranges),
            ("clock", "", self.clock),
            ("copy", "", self.copy),
            ("deletion of many", "", self.delete_many),
            ("listings in byte order", "ordered_listing", self.byte_order),
            ("write if absent", "conditional_put", lambda: self.if_absent(self.put, WRITERS)),
            ("write if unchanged", "conditional_put", lambda: self.if_match(self.put, WRITERS)),
            ("completion if absent", "conditional_commit", lambda: self.if_absent(self.commit, at_once)),
            ("completion if unchanged", "conditional_commit", lambda: self.if_match(self.commit, at_once)),
            ("deletion if unchanged", "conditional_delete", self.delete_if_match),
            ("writes that are resumed", "resumable_writes", self.resumed),
            ("signed URLs", "signed_urls", self.signed_urls),
        )

    async def put(self, key: str, content: bytes, condition: Condition) -> FileInfo:
        return await self.driver.put(key, content, condition=condition)

    async def commit(self, key: str, content: bytes, condition: Condition) -> FileInfo:
        async with self.driver.open_writer(key) as writer:
            # More than one part, where a store takes parts: small content may go another way.
            await writer.write(content.ljust(self.driver.capabilities.part_size + 1, b"."))
            return await writer.commit(condition=condition)

    # ---- what every store must do

    async def read_after_write(self) -> str:
        key = f"{self.root}/read"
        for number in range(20):
            content = str(number).encode()
            info = await self.driver.put(key, content)
            file, seen = await gather(self.driver.get(key), self.driver.stat(key))
            _must(
                file.content == content, f"version {number - 1} was read after version {number} was written"
            )
            _must(seen.etag == info.etag, "stat told of an older version than was written")
        await self.driver.delete(key)
        try:
            await self.driver.get(key)
        except KeyNotFound:
            return "20 times over, and not after its deletion"
        raise _Broken("it was read after its deletion")

    async def list_after_write(self) -> str:
        for number in range(20):
            key = f"{self.root}/list/{number:02}"
            await self.driver.put(key, b"")
            page = await self.driver.list_all(f"{self.root}/list")
            _must(key in {info.key for info in page.entries}, f"the listing lacks object {number}")
        return "20 times over"

    async def ranges(self) -> str:
        key, content = f"{self.root}/range", bytes(range(256)) * 16
        await self.driver.put(key, content)
        for offset, length in ((0, 10), (100, 1), (4000, 1000), (4096, None), (1, None)):
            async with self.driver.open_reader(key, offset=offset, length=length) as reader:
                read = b"".join([piece async for piece in reader])
            expected = content[offset:] if length is None else content[offset : offset + length]
            _must(read == expected, f"{len(read)} bytes from {offset}, where {len(expected)} were asked for")
        return "at the beginning, in the middle, past the end"

    async def clock(self) -> str:
        info = await self.driver.put(f"{self.root}/clock", b"")
        skew = info.modified - datetime.now(UTC)
        _must(abs(skew) <= SKEW, f"the store's clock is {skew.total_seconds():+.0f} s from this machine's")
        return f"{skew.total_seconds():+.1f} s from this machine's"

    async def copy(self) -> str:
        source, target = f"{self.root}/copy/source", f"{self.root}/copy/target"
        await self.driver.put(source, b"content")
        await self.driver.copy(source, target)
        _must((await self.driver.get(target)).content == b"content", "the copy holds something else")
        return ""

    async def delete_many(self) -> str:
        keys = [f"{self.root}/many/{number}" for number in range(100)]
        await gather_map(
            lambda key: self.driver.put(key, b""), keys, limit=self.driver.capabilities.connections
        )
        await self.driver.delete_many([*keys[1:], f"{self.root}/many/never"])
        left = [info.key async for info in entries(self.driver.list_all, f"{self.root}/many")]
        _must(left == keys[:1], f"{len(left)} of 100 are left where 1 was to be")
        return "99 of 100, and one that never was"

    # ---- what a driver may offer

    async def byte_order(self) -> str:
        names = ["a", "a-b", "a.b", "a/b", "a/b-c", "a0", "aB", "aa", "a_", "b/a/c", "b/a-c"]
        keys = [f"{self.root}/order/{name}x" for name in names]
        for key in keys:
            await self.driver.put(key, b"")
        seen: list[str] = []
        place: str | None = None
        while True:
            page = await self.driver.list_all(f"{self.root}/order", start_after=place, limit=2)
            seen += [info.key for info in page.entries]
            if page.next is None:
                break
            place = page.next
        _must(sorted(seen) == sorted(keys), "paging lost or repeated keys")
        _must(seen == sorted(keys), f"{seen[0]!r} is first, where {min(keys)!r} should be")
        after = await self.driver.list_all(f"{self.root}/order", start_after=f"{self.root}/order/a.")
        _must(after.entries[0].key == f"{self.root}/order/a.bx", "start-after is not a place in byte order")
        return "by pages of two, and from a place between two keys"

    async def if_absent(self, write: _Write, writers: int) -> str:
        key = f"{self.root}/absent/{secrets.token_hex(4)}"
        await write(key, b"first", IfAbsent())
        try:
            await write(key, b"second", IfAbsent())
        except ConditionFailed:
            return await self.contended(
                write, IfAbsent(), f"{self.root}/absent/{secrets.token_hex(4)}", writers
            )
        raise _Broken("it was written over")

    async def if_match(self, write: _Write, writers: int) -> str:
        key = f"{self.root}/match/{secrets.token_hex(4)}"
        old = await self.driver.put(key, b"first")
        new = await write(key, b"second", IfMatch(old.etag))
        for condition, missing in ((IfMatch(old.etag), key), (IfMatch(new.etag), f"{key}-missing")):
            try:
                await write(missing, b"third", condition)
            except ConditionFailed:
                continue
            raise _Broken("another version was written over" if missing == key else "it was written anew")
        return await self.contended(write, IfMatch(new.etag), key, writers)

    async def contended(self, write: _Write, condition: Condition, key: str, writers: int) -> str:
        async def won(number: int) -> bool:
            try:
                await write(key, f"writer {number}".encode(), condition)
            except ConditionFailed:
                return False
            return True

        winners = [
            number for number, one in enumerate(await asyncio.gather(*map(won, range(writers)))) if one
        ]
        _must(len(winners) == 1, f"{len(winners)} of {writers} writers at once were told that they won")
        content = (await self.driver.get(key)).content
        _must(content.startswith(f"writer {winners[0]}".encode()), "another writer's content stands than won")
        return f"one winner of {writers}"

    async def delete_if_match(self) -> str:
        key = f"{self.root}/delete"
        old = await self.driver.put(key, b"first")
        new = await self.driver.put(key, b"second")
        try:
            await self.driver.delete(key, condition=IfMatch(old.etag))
        except ConditionFailed:
            await self.driver.delete(key, condition=IfMatch(new.etag))
            return ""
        raise _Broken("another version was deleted")

    async def resumed(self) -> str:
        key, size = f"{self.root}/resumed", self.driver.capabilities.part_size + 1
        async with self.driver.open_writer(key) as writer:
            await writer.write(b"a" * size)
            state = await writer.suspend()
        async with self.driver.open_writer(key, resume=state) as writer:
            _must(writer.offset == size, f"it goes on at {writer.offset}, where {size} bytes were accepted")
            await writer.write(b"b" * 10)
            await writer.commit()
        content = (await self.driver.get(key)).content
        _must(content == b"a" * size + b"b" * 10, "it holds something else than was written")
        return f"a state of {len(state)} bytes"

    async def signed_urls(self) -> str:
        key = f"{self.root}/signed"
        await self.driver.put(key, b"0123456789")
        get = await self.driver.url_for(key)
        head = await self.driver.url_for(key, method="HEAD")
        status, body, _ = await to_thread.run_sync(_fetch, get, "GET", {})
        _must((status, body) == (200, b"0123456789"), f"GET answered {status} with {len(body)} bytes")
        status, body, _ = await to_thread.run_sync(_fetch, get, "GET", {"Range": "bytes=2-4"})
        _must((status, body) == (206, b"234"), f"GET of a range answered {status} with {len(body)} bytes")
        status, _, length = await to_thread.run_sync(_fetch, head, "HEAD", {})
        _must((status, length) == (200, "10"), f"HEAD answered {status}, length {length}")
        return "GET, a range, HEAD"


def _fetch(url: str, method: str, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
    try:
        with urlopen(Request(url, method=method, headers=headers), timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read(), answer.headers["Content-Length"]
    except OSError as error:
        raise StorageFailure from error

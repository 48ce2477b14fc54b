"""The checks of a store, one function each."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from ..concurrency import gather, gather_map, in_thread
from ..driver import Condition, Driver, FileInfo, IfAbsent, IfMatch, Source, entries
from ..errors import AccessDenied, ConditionFailed, DeletionExpired, KeyNotFound, Unsupported
from .contention import Write, contended
from .fetching import fetch
from .judging import Broken, Noted, must

WRITERS: Final = 50
"""How many writers at once a condition must tell apart."""

SKEW: Final = timedelta(minutes=5)
"""How far the store's clock may be from this machine's; signed requests allow 15 minutes."""


LATE: Final = timedelta(hours=1)
"""How long before the store's time a deletion ends that the store must refuse."""

SOON: Final = timedelta(minutes=15)
"""How long after the store's time a deletion ends that the store must carry out."""


class Probe:
    """The checks. Each returns its observation as text, or raises (see `judging`).

    Attributes:
        driver: What is tried.
        root: The prefix below which everything is written.
    """

    def __init__(self, driver: Driver, root: str) -> None:
        self.driver = driver
        self.root = root

    def checks(self) -> Sequence[tuple[str, str, Callable[[], Awaitable[str]]]]:
        """Return each check's name, the capability that it tests, and its function."""
        # Each of these holds a part in memory.
        at_once = max(4, min(WRITERS, (64 << 20) // self.driver.capabilities.part_size))
        # Where the driver says that it deletes one by one, it must do that all the same.
        bulk = "bulk_delete" if self.driver.capabilities.bulk_delete else ""
        return (
            ("what was written is read", "", self._read_after_write),
            ("what was written is listed", "", self._list_after_write),
            ("ranges", "", self._ranges),
            ("clock", "", self._clock),
            ("copy", "", self._copy),
            ("deletion of many", bulk, self._delete_many),
            ("listings in byte order", "ordered_listing", self._byte_order),
            ("write if absent", "conditional_put", lambda: self._if_absent(self._put, WRITERS)),
            ("write if unchanged", "conditional_put", lambda: self._if_match(self._put, WRITERS)),
            ("completion if absent", "conditional_commit", lambda: self._if_absent(self._commit, at_once)),
            ("completion if unchanged", "conditional_commit", lambda: self._if_match(self._commit, at_once)),
            ("deletion if unchanged", "conditional_delete", self._delete_if_match),
            ("deletion with an end", "dated_deletion", self._dated_deletion),
            ("space of deleted objects", "", self._deletion_effects),
            ("copy if unchanged", "conditional_copy", self._copy_if_match),
            ("signed URLs", "signed_urls", self._signed_urls),
        )

    async def _put(self, key: str, content: bytes, condition: Condition) -> FileInfo:
        return await self.driver.put(key, content, condition=condition)

    async def _commit(self, key: str, content: bytes, condition: Condition) -> FileInfo:
        async with self.driver.open_writer(key) as writer:
            # More than one part, where a store takes parts: small content may go another way.
            await writer.write(content.ljust(self.driver.capabilities.part_size + 1, b"."))
            return await writer.commit(condition=condition)

    # ---- what every store must do

    async def _read_after_write(self) -> str:
        key = f"{self.root}/read"
        for number in range(20):
            content = str(number).encode()
            info = await self.driver.put(key, content)
            file, seen = await gather(self.driver.get(key), self.driver.stat(key))
            must(file.content == content, f"version {number - 1} was read after version {number} was written")
            must(seen.etag == info.etag, "stat told of an older version than was written")
        await self.driver.delete(key)
        try:
            await self.driver.get(key)
        except KeyNotFound:
            return "20 times over, and not after its deletion"
        raise Broken("it was read after its deletion")

    async def _list_after_write(self) -> str:
        for number in range(20):
            key = f"{self.root}/list/{number:02}"
            await self.driver.put(key, b"")
            page = await self.driver.list_all(f"{self.root}/list")
            must(key in {info.key for info in page.entries}, f"the listing lacks object {number}")
        return "20 times over"

    async def _ranges(self) -> str:
        key, content = f"{self.root}/range", bytes(range(256)) * 16
        await self.driver.put(key, content)
        for offset, length in ((0, 10), (100, 1), (4000, 1000), (4096, None), (1, None)):
            async with self.driver.open_reader(key, offset=offset, length=length) as reader:
                read = b"".join([piece async for piece in reader])
            expected = content[offset:] if length is None else content[offset : offset + length]
            must(read == expected, f"{len(read)} bytes from {offset}, where {len(expected)} were asked for")
        return "at the beginning, in the middle, past the end"

    async def _clock(self) -> str:
        info = await self.driver.put(f"{self.root}/clock", b"")
        skew = info.modified - datetime.now(UTC)
        must(abs(skew) <= SKEW, f"the store's clock is {skew.total_seconds():+.0f} s from this machine's")
        return f"{skew.total_seconds():+.1f} s from this machine's"

    async def _copy(self) -> str:
        source, target = f"{self.root}/copy/source", f"{self.root}/copy/target"
        await self.driver.put(source, b"content")
        await self.driver.compose([Source(source, len(b"content"))], target)
        must((await self.driver.get(target)).content == b"content", "the copy holds something else")
        return ""

    async def _delete_many(self) -> str:
        keys = [f"{self.root}/many/{number}" for number in range(100)]
        await gather_map(
            lambda key: self.driver.put(key, b""), keys, limit=self.driver.capabilities.connections
        )
        await self.driver.delete_many([*keys[1:], f"{self.root}/many/never"])
        left = [info.key async for info in entries(self.driver.list_all, f"{self.root}/many")]
        must(left == keys[:1], f"{len(left)} of 100 are left where 1 was to be")
        return "99 of 100, and one that never was"

    # ---- what a driver may offer

    async def _byte_order(self) -> str:
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
        must(sorted(seen) == sorted(keys), "paging lost or repeated keys")
        must(seen == sorted(keys), f"{seen[0]!r} is first, where {min(keys)!r} should be")
        after = await self.driver.list_all(f"{self.root}/order", start_after=f"{self.root}/order/a.")
        first = [info.key for info in after.entries[:1]]
        must(first == [f"{self.root}/order/a.bx"], "start-after is not a place in byte order")
        return "by pages of two, and from a place between two keys"

    async def _if_absent(self, write: Write, writers: int) -> str:
        key = f"{self.root}/absent/{secrets.token_hex(4)}"
        await write(key, b"first", IfAbsent())
        try:
            await write(key, b"second", IfAbsent())
        except ConditionFailed:
            another = f"{self.root}/absent/{secrets.token_hex(4)}"
            return await contended(self.driver, write, IfAbsent(), another, writers)
        raise Broken("it was written over")

    async def _if_match(self, write: Write, writers: int) -> str:
        key = f"{self.root}/match/{secrets.token_hex(4)}"
        old = await self.driver.put(key, b"first")
        new = await write(key, b"second", IfMatch(old.etag))
        for condition, missing in ((IfMatch(old.etag), key), (IfMatch(new.etag), f"{key}-missing")):
            try:
                await write(missing, b"third", condition)
            except ConditionFailed:
                continue
            raise Broken("another version was written over" if missing == key else "it was written anew")
        return await contended(self.driver, write, IfMatch(new.etag), key, writers)

    async def _delete_if_match(self) -> str:
        key = f"{self.root}/delete"
        old = await self.driver.put(key, b"first")
        new = await self.driver.put(key, b"second")
        try:
            await self.driver.delete(key, condition=IfMatch(old.etag))
        except ConditionFailed:
            await self.driver.delete(key, condition=IfMatch(new.etag))
            return ""
        raise Broken("another version was deleted")

    async def _dated_deletion(self) -> str:
        keys = [f"{self.root}/dated/{number}" for number in range(3)]
        infos = [await self.driver.put(key, b"") for key in keys]
        now = (await self.driver.get(keys[0])).date or infos[0].modified
        await self._comes_late(self.driver.delete_many(keys, until=now - LATE))
        await self._comes_late(self.driver.delete(keys[0], until=now - LATE))
        gone = len(keys) - await self._count("dated")
        must(not gone, f"{gone} of {len(keys)} objects were deleted by a deletion that came after its end")
        await self.driver.delete(keys[0], until=now + SOON)
        await self.driver.delete_many(keys[1:], until=now + SOON)
        left = await self._count("dated")
        must(not left, f"{left} of {len(keys)} objects are left by a deletion that came before its end")
        return "carried out before the end, refused after it"

    async def _comes_late(self, deletion: Awaitable[None]) -> None:
        try:
            await deletion
        except DeletionExpired:
            return
        raise Broken("a deletion that came an hour after its end was told as done")

    async def _count(self, folder: str) -> int:
        return len([info async for info in entries(self.driver.list_all, f"{self.root}/{folder}")])

    async def _deletion_effects(self) -> str:
        try:
            effects = await self.driver.deletion_effects()
        except (AccessDenied, Unsupported) as error:
            raise Noted(f"not known whether the store keeps former versions: {error}") from error
        if effects.locks_versions:
            raise Noted(
                "former versions stay, and are locked (object lock): no space comes back before the lock ends"
            )
        if effects.keeps_versions:
            raise Noted(
                "former versions stay (versioning): no space comes back without a lifecycle rule that expires them"
            )
        return "it comes back"

    async def _copy_if_match(self) -> str:
        part = self.driver.capabilities.part_size  # of less than that, the driver reads several objects
        for name, size, others in (("one", 10, []), ("parts", part, [Source(f"{self.root}/if/end", 3)])):
            key, target = f"{self.root}/if/{name}", f"{self.root}/if/target"
            old = await self.driver.put(key, b"a" * size)
            new = await self.driver.put(key, b"b" * size)
            for other in others:
                await self.driver.put(other.key, b"end")
            try:
                await self.driver.compose([Source(key, size, old.etag), *others], target)
            except ConditionFailed:
                info = await self.driver.compose([Source(key, size, new.etag), *others], target)
                must(info.size == size + sum(other.size for other in others), "the copy has another size")
                continue
            raise Broken("another version was copied")
        return "of one object, and of one as a part"

    async def _signed_urls(self) -> str:
        key = f"{self.root}/signed"
        await self.driver.put(key, b"0123456789")
        get = await self.driver.url_for(key)
        head = await self.driver.url_for(key, method="HEAD")
        status, body, _ = await in_thread(fetch, get, "GET", {})
        must((status, body) == (200, b"0123456789"), f"GET answered {status} with {len(body)} bytes")
        status, body, _ = await in_thread(fetch, get, "GET", {"Range": "bytes=2-4"})
        must((status, body) == (206, b"234"), f"GET of a range answered {status} with {len(body)} bytes")
        status, _, length = await in_thread(fetch, head, "HEAD", {})
        must((status, length) == (200, "10"), f"HEAD answered {status}, length {length}")
        return "GET, a range, HEAD"

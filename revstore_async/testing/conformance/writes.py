"""Writing whole objects: `put` and `compose`."""

from dataclasses import replace
from hashlib import sha256, sha512

import pytest

from revstore_async.driver import Driver, FileInfo, Source
from revstore_async.errors import ConditionFailed, InvalidArgument, KeyNotFound

from .base import Hooks, agree, content_of, keys_of, pattern, read_all, write_all

_SIZES = [[0], [10], [3, 0, 4], [6_000_000], [5, 6_000_000, 7, 5_300_000, 1]]


async def _stored(driver: Driver, sizes: list[int], content: bytes) -> list[FileInfo]:
    """Store content as objects of these sizes."""
    infos, begin = [], 0
    for number, size in enumerate(sizes):
        infos.append(await write_all(driver, f"from/{number}", content[begin : begin + size]))
        begin += size
    return infos


class Writes(Hooks):
    """Tests of writing whole objects."""

    @pytest.mark.parametrize("size", [0, 1, 1000, 3_000_001])
    async def test_put(self, driver: Driver, size: int) -> None:
        """A put stores the whole content, and returns the object as the store lists it."""
        content = pattern(size)
        info = await driver.put("some/folder/key", content)
        assert (info.key, info.size) == ("some/folder/key", size)
        assert agree(driver, info, await driver.stat("some/folder/key"))
        assert await content_of(driver, "some/folder/key") == content

    async def test_put_in_place_of_another(self, driver: Driver) -> None:
        """Content replaces the former object, whether that was longer or shorter."""
        for content in (b"one", b"a longer one", b"", b"x"):
            info = await driver.put("key", content)
            assert info.size == len(content)
            assert await content_of(driver, "key") == content
        assert await keys_of(driver) == ["key"]

    async def test_etags_differ(self, driver: Driver) -> None:
        """The etag differs whenever the content differs, however soon one follows the other."""
        put = [(await driver.put("key", f"content {number:02}".encode())).etag for number in range(30)]
        deleted = []
        for number in range(30, 60):
            await driver.delete("key")
            deleted.append((await driver.put("key", f"content {number:02}".encode())).etag)
        written = [(await write_all(driver, "key", f"content {n:02}".encode())).etag for n in range(60, 80)]
        etags = [*put, *deleted, *written]
        assert len({*etags}) == len(etags)

    async def test_time_does_not_go_back(self, driver: Driver) -> None:
        """`modified` is the time of the last write, by the store's clock."""
        first = await driver.put("key", b"first")
        second = await driver.put("key", b"second")
        assert second.modified >= first.modified
        assert agree(driver, second, await driver.stat("key"))

    async def test_a_write_is_seen_from_everywhere(self, driver: Driver) -> None:
        """Every read and listing that begins after a write returned sees the write, from any process."""
        other = self.reopen(driver)
        if other is None:
            pytest.skip("there is no hook `reopen`")
        async with other:
            info = await driver.put("folder/key", b"one")
            assert agree(driver, info, (await other.get("folder/key")).info)
            assert await keys_of(other) == ["folder/key"]
            await other.put("folder/key", b"two")
            assert await content_of(driver, "folder/key") == b"two"
            await other.delete("folder/key")
            assert await keys_of(driver) == []

    @pytest.mark.parametrize("size", [0, 10, 3_000_001])
    async def test_copy(self, driver: Driver, size: int) -> None:
        """With one source, its content is stored under the target too."""
        content = pattern(size)
        await write_all(driver, "from/key", content)
        info = await driver.compose([Source("from/key", size)], "to/a/key")
        assert (info.key, info.size) == ("to/a/key", size)
        assert agree(driver, info, await driver.stat("to/a/key"))
        assert await read_all(driver, "to/a/key") == content
        assert await read_all(driver, "from/key") == content
        await driver.delete("from/key")
        assert await read_all(driver, "to/a/key") == content

    async def test_copy_in_place_of_another(self, driver: Driver) -> None:
        """The copy replaces the earlier content; a later change of one doesn't change the other."""
        await driver.put("source", b"source")
        before = await driver.put("target", b"target, longer")
        after = await driver.compose([Source("source", 6)], "target")
        assert after.etag != before.etag
        await driver.put("source", b"changed")
        assert await content_of(driver, "target") == b"source"

    async def test_copy_of_nothing(self, driver: Driver) -> None:
        """A copy of a missing source is `KeyNotFound`, and the target is as it was."""
        before = await driver.put("target", b"target")
        await driver.put("folder/key", b"")
        for source in ("missing", "folder"):
            with pytest.raises(KeyNotFound) as caught:
                await driver.compose([Source(source, 7)], "target")
            assert caught.value.key == source
            with pytest.raises(KeyNotFound):
                await driver.compose([Source(source, 7)], "new/target")
        assert agree(driver, before, await driver.stat("target"))
        assert await keys_of(driver) == ["folder/key", "target"]

    @pytest.mark.parametrize("sizes", _SIZES)
    async def test_compose(self, driver: Driver, sizes: list[int]) -> None:
        """The content of the sources, one after another, is stored under the target; the sources stay."""
        content = pattern(sum(sizes))
        sources = [Source(each.key, each.size) for each in await _stored(driver, sizes, content)]
        await driver.put("to/a/key", b"what was there")
        info = await driver.compose(sources, "to/a/key")
        assert (info.key, info.size) == ("to/a/key", len(content))
        assert agree(driver, info, await driver.stat("to/a/key"))
        assert await read_all(driver, "to/a/key") == content
        assert await keys_of(driver) == [*(source.key for source in sources), "to/a/key"]

    @pytest.mark.parametrize("size", [10, 6_000_000])
    async def test_compose_of_what_is_missing(self, driver: Driver, size: int) -> None:
        """A missing source is `KeyNotFound`, and the target stays as it was."""
        before = await driver.put("target", b"target")
        await write_all(driver, "source", pattern(size))
        missing = Source("missing", size)
        for sources in ([missing], [Source("source", size), missing]):
            with pytest.raises(KeyNotFound) as caught:
                await driver.compose(sources, "target")
            assert caught.value.key == "missing"
        assert agree(driver, before, await driver.stat("target"))
        assert await keys_of(driver) == ["source", "target"]

    async def test_compose_of_nothing_or_itself(self, driver: Driver) -> None:
        """No source, or one that is the target, is `InvalidArgument`."""
        await driver.put("key", b"content")
        for sources in ([], [Source("key", 7)]):
            with pytest.raises(InvalidArgument):
                await driver.compose(sources, "key")
        assert await content_of(driver, "key") == b"content"

    @pytest.mark.parametrize("sizes", _SIZES)
    async def test_compose_of_versions(self, driver: Driver, sizes: list[int]) -> None:
        """A source with an etag gives that version only; another version is `ConditionFailed`."""
        content = pattern(sum(sizes))
        sources = [Source(each.key, each.size, each.etag) for each in await _stored(driver, sizes, content)]
        digest = f"sha256:{sha256(content).hexdigest()}"
        await driver.compose(sources, "to/a/key", digest=digest)
        assert await read_all(driver, "to/a/key") == content
        before = await driver.stat("to/a/key")
        for at, source in enumerate(sources):
            other = await write_all(driver, source.key, b"!" * max(1, source.size))
            with pytest.raises(ConditionFailed) as caught:
                await driver.compose(sources, "to/a/key", digest=digest)
            assert caught.value.key == "to/a/key"
            assert agree(driver, before, await driver.stat("to/a/key"))
            sources[at] = replace(source, size=other.size, etag=other.etag)
        await driver.compose(sources, "to/a/key")
        assert (await driver.stat("to/a/key")).size == sum(source.size for source in sources)

    @pytest.mark.parametrize("sizes", _SIZES)
    async def test_compose_compares(self, driver: Driver, sizes: list[int]) -> None:
        """The driver compares the digest before it writes the target; with `conditional_copy` etags may do."""
        content = pattern(sum(sizes))
        infos = await _stored(driver, sizes, content)
        etags = [False] if driver.capabilities.conditional_copy else [False, True]
        before = await driver.put("target", b"target")
        for sources in [[Source(i.key, i.size, i.etag if each else None) for i in infos] for each in etags]:
            with pytest.raises(ConditionFailed):
                await driver.compose(sources, "target", digest=f"sha256:{sha256(b'other').hexdigest()}")
            assert agree(driver, before, await driver.stat("target"))
            for algorithm in (sha256, sha512):
                digest = f"{algorithm().name}:{algorithm(content).hexdigest()}"
                await driver.compose(sources, "target", digest=digest)
                assert await read_all(driver, "target") == content
            before = await driver.put("target", b"target")

    async def test_compose_of_an_unknown_digest(self, driver: Driver) -> None:
        """A digest of no known algorithm is `InvalidArgument`."""
        await driver.put("key", b"content")
        with pytest.raises(InvalidArgument):
            await driver.compose([Source("key", 7)], "target", digest="nonsense:00")
        assert await keys_of(driver) == ["key"]

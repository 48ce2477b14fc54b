"""Drivers of buckets whose answers are lost: no caller hears of a failure after a write had its effect."""

import asyncio
from hashlib import sha256

import pytest

from revstore_async.driver import IfAbsent, IfMatch
from revstore_async.errors import ConditionFailed, Throttled, Unavailable
from tests.parts.buckets import BROKEN, SLOW_DOWN, Bucketed, Kind
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, LoseAnswer, Proxy, Reset
from tests.parts.suite import keys_of, pattern, read_all

LOST = [LoseAnswer(), LoseAnswer(answer=BROKEN), LoseAnswer(answer=Answer(503, "ServiceUnavailable"))]


@pytest.mark.parametrize("fault", LOST, ids=["reset", "500", "503"])
async def test_a_conditional_put_whose_answer_was_lost(spoilt: Bucketed, proxy: Proxy, fault):
    proxy.spoil(fault, method="PUT")
    first = await spoilt.put("key", b"first", condition=IfAbsent())
    assert (await spoilt.get("key")).info.etag == first.etag
    proxy.spoil(fault, method="PUT")
    second = await spoilt.put("key", b"second", condition=IfMatch(first.etag))
    assert (await spoilt.get("key")).info.etag == second.etag
    assert (await spoilt.get("key")).content == b"second"


async def test_a_lost_answer_of_a_put_that_lost(spoilt: Bucketed, proxy: Proxy):
    """It can't be known whether ours was there for a moment, so it is not said that it was not."""
    await spoilt.put("key", b"another's")
    proxy.spoil(LoseAnswer(), method="PUT")
    with pytest.raises(Unavailable) as caught:
        await spoilt.put("key", b"ours", condition=IfAbsent())
    assert not isinstance(caught.value, Throttled)
    with pytest.raises(ConditionFailed):
        await spoilt.put("key", b"ours", condition=IfAbsent())
    assert (await spoilt.get("key")).content == b"another's"


async def test_another_writer_of_the_same_bytes_is_told_apart(spoilt: Bucketed, proxy: Proxy):
    """Content and etag are the same: only the mark tells that it was another's write."""
    await spoilt.put("key", b"same", condition=IfAbsent())
    proxy.spoil(LoseAnswer(), method="PUT")
    with pytest.raises(Unavailable):
        await spoilt.put("key", b"same", condition=IfAbsent())
    with pytest.raises(ConditionFailed):
        await spoilt.put("key", b"same", condition=IfAbsent())


async def test_throttled_is_not_lost(spoilt: Bucketed, kind: Kind, proxy: Proxy):
    """A refused request did nothing, so the driver sends it again; only the loser looks for the winner."""
    await spoilt.put("key", b"another's")
    before = len(proxy.requests)
    proxy.spoil(SLOW_DOWN, method="PUT")
    with pytest.raises(ConditionFailed):
        await spoilt.put("key", b"ours", condition=IfAbsent())
    assert [request.method for request in proxy.requests[before:]] == ["PUT"] * 2 + [*kind.looks]


async def test_one_winner_though_answers_are_lost(spoilt: Bucketed, proxy: Proxy):
    proxy.spoil(LoseAnswer(), times=10, method="PUT")

    async def write(number: int) -> bool:
        try:
            await spoilt.put("key", b"%d" % number, condition=IfAbsent())
        except (ConditionFailed, Unavailable):
            return False
        return True

    won = await asyncio.gather(*map(write, range(20)))
    assert sum(won) == 1
    assert (await spoilt.get("key")).content == b"%d" % won.index(True)


async def test_a_conflict_is_tried_again(spoilt: Bucketed, proxy: Proxy):
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=2, method="PUT")
    first = await spoilt.put("key", b"content", condition=IfAbsent())
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=2, method="PUT")
    await spoilt.put("key", b"other", condition=IfMatch(first.etag))
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=4, method="PUT")
    with pytest.raises(Unavailable):
        await spoilt.put("new", b"content", condition=IfAbsent())


async def test_a_cancelled_put_has_its_whole_effect_or_none_later(spoilt: Bucketed, proxy: Proxy):
    """A cancelled caller may go on at once: its earlier request does not come after its next write."""
    for _ in range(20):
        task = asyncio.ensure_future(spoilt.put("key", b"cancelled"))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        await spoilt.put("key", b"next")
        assert (await spoilt.get("key")).content == b"next"
    assert (await spoilt.get("key")).content == b"next"


# ---- writers


async def test_a_completion_whose_answer_was_lost(spoilt: Bucketed, proxy: Proxy):
    content = pattern((5 << 20) + 10)
    proxy.spoil(LoseAnswer(), method="POST", has="uploadId")
    async with spoilt.open_writer("key") as writer:
        await writer.write(content)
        info = await writer.commit()
    assert info == await spoilt.stat("key")
    assert info.size == len(content)


async def test_parts_are_sent_again(spoilt: Bucketed, proxy: Proxy):
    content = pattern((15 << 20) + 10)
    proxy.spoil(Reset(), method="PUT", has="partNumber=1")
    proxy.spoil(SLOW_DOWN, method="PUT", has="partNumber=2")
    proxy.spoil(LoseAnswer(), method="PUT", has="partNumber=3")
    async with spoilt.open_writer("key") as writer:
        await writer.write(content)
        await writer.commit()
    found = await read_all(spoilt, "key")
    assert len(found) == len(content)
    assert sha256(found).digest() == sha256(content).digest()


@pytest.mark.parametrize("size", [6 << 20, 45 << 20])
async def test_a_part_that_fails_for_good(spoilt: Bucketed, proxy: Proxy, minio: MinIO, size: int):
    before = {*minio.uploads()}
    proxy.spoil(BROKEN, times=4, method="PUT", has="partNumber=1")
    with pytest.raises(Unavailable):
        async with spoilt.open_writer("key") as writer:
            for _ in range(size >> 20):
                await writer.write(pattern(1 << 20))
            await writer.commit()
    assert {*minio.uploads()} == before
    assert await keys_of(spoilt) == []

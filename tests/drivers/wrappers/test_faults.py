"""The wrapper that injects faults injects exactly the planned ones."""

import asyncio
import itertools

import pytest

from revstore_async.driver import IfAbsent, Source
from revstore_async.errors import ConditionFailed, Throttled, Unavailable
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import At, Fault, FaultsDriver, RandomFaults, Rule, Script, Stopped, When


async def work(driver) -> list[str]:
    """Some operations; return those that were acknowledged."""
    done = []
    await driver.put("put", b"1", condition=IfAbsent())
    done.append("put")
    async with driver.open_writer("written") as writer:
        await writer.write(b"begin")
        await writer.write(b"end")
        await writer.commit()
    done.append("written")
    await driver.get("written")
    await driver.compose([Source("put", 1)], "copied")
    done.append("copied")
    await driver.delete("put")
    done.append("deleted")
    return done


CALLS = ["put", "write", "write", "commit", "get", "compose", "delete"]
EFFECTS = {0: "put", 3: "written", 5: "copied", 6: "deleted"}


def effects(store) -> set[str]:
    keys = {*store.objects}
    return keys | {"put", "deleted"} if "copied" in keys and "put" not in keys else keys


@pytest.mark.parametrize("when", When)
async def test_the_world_stops_at_each_operation(when) -> None:
    for k in itertools.count():
        memory = MemoryDriver()
        stopped = None
        async with FaultsDriver(memory, stop_at=k, when=when) as faults:
            try:
                await work(faults)
            except Stopped as error:
                stopped = error
            for later in (faults.put("later", b""), faults.get("written"), faults.list_all()):
                if faults.stopped:
                    with pytest.raises(Stopped):
                        await later
                else:
                    later.close()
            # What an unfinished writer left stays there, from its opening to the commit.
            left = {When.BEFORE: range(1, 4), When.AFTER: range(3), When.ANSWER_LOST: range(1, 3)}
            assert len(memory.store.unfinished) == (k in left[when])
        assert memory.store.unfinished == []
        if not faults.stopped:
            break
        done = k if when is When.BEFORE else k + 1
        assert effects(memory.store) == {name for number, name in EFFECTS.items() if number < done}
        assert faults.operations == k + 1
        assert [method for method, _ in faults.calls] == CALLS[: k + 1]
        last = when is When.AFTER and k == len(CALLS) - 1
        assert (stopped is None) == last
        assert stopped is None or not stopped.retryable
    assert stopped is None
    assert k == len(CALLS)


async def test_reading_back_in_a_stopped_world_fails_again() -> None:
    memory = MemoryDriver()
    async with FaultsDriver(memory, stop_at=0, when=When.ANSWER_LOST) as faults:
        with pytest.raises(Unavailable):
            await faults.put("key", b"")
        with pytest.raises(Unavailable):
            await faults.get("key")
        assert "key" in memory.store.objects


async def test_a_reader_stops_with_the_world() -> None:
    async with FaultsDriver(MemoryDriver()) as faults:
        await faults.put("key", b"content")
        async with faults.open_reader("key") as reader:
            assert await reader.read(3) == b"con"
            faults.stop()
            with pytest.raises(Stopped):
                await reader.read(3)


@pytest.mark.parametrize(("fault", "there"), [(Fault.BEFORE, False), (Fault.ANSWER_LOST, True)])
async def test_one_lost_request_or_answer_and_the_world_goes_on(fault, there) -> None:
    for k, method in enumerate(CALLS):
        memory = MemoryDriver()
        async with FaultsDriver(memory, At(k, fault)) as faults:
            with pytest.raises(Unavailable, match=f"operation {k}, {method}"):
                await work(faults)
            assert await faults.list_all()
            if k in EFFECTS:
                assert (EFFECTS[k] in effects(memory.store)) is there


async def test_a_lost_answer_hides_a_failed_condition_too() -> None:
    async with FaultsDriver(MemoryDriver(), At(1, Fault.ANSWER_LOST)) as faults:
        await faults.put("key", b"")
        with pytest.raises(Unavailable) as caught:
            await faults.put("key", b"", condition=IfAbsent())
        assert isinstance(caught.value.__cause__, ConditionFailed)


async def test_throttled_slow_and_broken_off() -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    script = Script(
        Rule("get", Fault.THROTTLED),
        Rule("stat", Fault.SLOW, nth=0),
        Rule("open_reader", Fault.TRUNCATED, nth=2),
        Rule("get", Fault.TRUNCATED, nth=3, key="other"),
    )
    async with FaultsDriver(MemoryDriver(), script, slow=7.0, sleep=sleep) as faults:
        await faults.put("key", b"0123456789")
        await faults.put("other", b"0123456789")
        with pytest.raises(Throttled) as caught:
            await faults.get("key")
        assert caught.value.retry_after == 7.0
        assert (await faults.get("key")).content == b"0123456789"
        await faults.stat("key")
        await faults.stat("key")
        assert slept == [7.0, 7.0]
        async with faults.open_reader("key") as reader:
            assert await reader.read() == b"0123456789"
        async with faults.open_reader("key") as reader:
            piece = await reader.read(8)
            assert b"0123456789".startswith(piece)
            assert piece
            with pytest.raises(Unavailable):
                await reader.read(8)
        await faults.get("other")
        await faults.get("other")
        with pytest.raises(Unavailable):
            await faults.get("other")


async def test_chance_comes_again_with_the_seed() -> None:
    chances = {Fault.BEFORE: 0.2, Fault.ANSWER_LOST: 0.2, Fault.THROTTLED: 0.1}

    async def outcomes(seed: int) -> list[str]:
        found = []
        memory = MemoryDriver()
        async with FaultsDriver(memory, RandomFaults(seed, chances)) as faults:
            for number in range(100):
                try:
                    await faults.put(f"key{number}", b"")
                except Unavailable as error:
                    found.append(f"{type(error).__name__}: {error}")
                else:
                    found.append("")
            assert all(f"seed={seed}" in outcome for outcome in found if outcome)
            kept = len(memory.store.objects)
            assert found.count("") < kept < 100
        return found

    assert await outcomes(1) == await outcomes(1)
    assert await outcomes(1) != await outcomes(2)
    assert 30 < 100 - (await outcomes(3)).count("") < 70


async def test_the_error_of_the_block_goes_before_that_of_the_clean_up() -> None:
    memory = MemoryDriver()
    async with FaultsDriver(memory, Script(Rule("cancel", Fault.BEFORE))) as faults:

        async def fail() -> None:
            async with faults.open_writer("key") as writer:
                await writer.write(b"content")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        # The clean-up didn't reach the store, so there is something to purge.
        assert len(memory.store.unfinished) == 1
    await asyncio.sleep(0)

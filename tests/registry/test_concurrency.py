"""Waits that outlive a cancellation, on a virtual clock."""

import asyncio

import pytest

from revstore_async.concurrency import alongside, cancel_and_wait, settled, wait_despite_cancellation
from revstore_async.testing import run_on_virtual_clock


async def cancelled_at(task: asyncio.Task[object], *times: float) -> None:
    for time in times:
        await asyncio.sleep(time - asyncio.get_running_loop().time())
        task.cancel(f"at {time}")


def test_a_wait_outlives_cancellations_and_returns_the_last() -> None:
    async def main() -> None:
        work = asyncio.create_task(asyncio.sleep(10, "done"))
        told: list[float] = []
        clock = asyncio.get_running_loop().time

        async def wait() -> str:
            interrupted = await wait_despite_cancellation(
                [work], on_cancellation=lambda: told.append(clock())
            )
            assert interrupted is not None
            return str(interrupted)

        waiting = asyncio.create_task(wait())
        await cancelled_at(waiting, 2.0, 5.0)
        assert await waiting == "at 5.0"
        assert told == [2.0, 5.0]
        assert clock() == 10.0
        assert await work == "done"

    run_on_virtual_clock(main())


def test_a_wait_ends_at_its_end() -> None:
    async def main() -> None:
        work = asyncio.create_task(asyncio.sleep(10))
        clock = asyncio.get_running_loop().time
        waiting = asyncio.create_task(wait_despite_cancellation([work], end=4.0))
        await cancelled_at(waiting, 1.0)
        assert await waiting is not None
        assert clock() == 4.0
        assert await wait_despite_cancellation([work], end=3.0) is None
        assert clock() == 4.0
        await cancel_and_wait([work])

    run_on_virtual_clock(main())


@pytest.mark.parametrize(("takes", "ends"), [(3.0, 3.0), (60.0, 6.0)])
def test_cancelled_work_goes_on_as_long_as_its_grace(takes: float, ends: float) -> None:
    async def main() -> None:
        stopped = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(takes)
            except asyncio.CancelledError:
                stopped.set()
                raise

        settling = asyncio.create_task(settled(work(), grace=5))
        await cancelled_at(settling, 1.0, 2.0)
        with pytest.raises(asyncio.CancelledError):
            await settling
        assert asyncio.get_running_loop().time() == ends
        assert stopped.is_set() == (takes > ends)

    run_on_virtual_clock(main())


async def test_the_end_of_finished_work_takes_no_step_of_the_loop() -> None:
    async def work() -> int:
        return 1

    stepped: list[bool] = []
    async with alongside(work()) as beside:
        assert await beside == 1
        asyncio.get_running_loop().call_soon(stepped.append, True)
    assert not stepped

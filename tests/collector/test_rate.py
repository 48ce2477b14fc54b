"""The requests of a run are bounded, so that clients do not feel them."""

from collections.abc import Sequence

import pytest

from revstore_async import Digest, Registry
from revstore_async.collector import Retention
from revstore_async.errors import InvalidArgument, WrongType
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Request, TracingDriver
from tests.parts.documents import image

RULES = Retention.parse('history = "0s"\n[[rule]]\ntags = "old*"\nexpire = true\n')
RATE = 5


def most_in_a_second(requests: Sequence[Request]) -> int:
    starts = [request.start for request in requests]
    return max(sum(start <= other < start + 0.999 for other in starts) for start in starts)


def test_a_plan_and_its_deletions_begin_few_requests_a_second() -> None:
    async def work() -> None:
        traced = TracingDriver(MemoryDriver())
        async with Registry(traced) as registry:
            repository = registry.repository("library/hello")
            for number in range(8):
                layer = f"layer {number}".encode()
                for content in (b"{}", layer):
                    await repository.blobs.put(content)
                await repository.manifests.put(image(b"{}", layer), tags=[f"old-{number}"])
            traced.reset()
            plan = await registry.collector.plan(RULES, offline=True, requests_per_second=RATE)
            assert plan.numbers.tags == 8
            assert len(traced.requests) > 16
            assert most_in_a_second(traced.requests) <= RATE + 1  # one for the state does not wait
            traced.reset()
            await registry.collector.apply(plan, requests_per_second=RATE)
            plan.close()
            assert len(traced.requests) > 16
            assert most_in_a_second(traced.requests) <= RATE + 1
            assert await registry.blobs.fetch(Digest.of(b"layer 0")) is None

    run_on_virtual_clock(work())


async def test_a_bound_is_a_number_from_1_on() -> None:
    async with Registry(MemoryDriver()) as registry:
        with pytest.raises(InvalidArgument):
            await registry.collector.plan(requests_per_second=0.5)
        with pytest.raises(WrongType):
            await registry.collector.plan(requests_per_second="5")  # type: ignore[arg-type]

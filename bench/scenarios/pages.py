"""A page of 100 tags among many: the engine's requests and time, from the first page and from the middle."""

import time

from revstore_async import Registry
from revstore_drivers.wrappers import TracingDriver

from ..content import fill_tags
from ..context import Bench
from ..results import Case
from ..stores import registry_of
from ..turns import in_turns

_PAGE = 100


async def run(bench: Bench) -> None:
    """Measure a page among each number of tags."""
    for count in bench.options.listed:
        bench.progress(f"pages: writing {count} tags")
        name = f"bench/listed-{count}"
        if not bench.store.shared:
            return  # the content would lie in another memory
        await fill_tags(bench.store, name, count, bench.options.seed)
        for latency in bench.options.latencies:
            await _measure(bench, name, count, latency)


async def _measure(bench: Bench, name: str, count: int, latency: float) -> None:
    if latency and bench.store.distant is None:
        return
    endpoint = await bench.endpoint("engine", latency)
    plain = registry_of(bench.store, endpoint)
    traced = TracingDriver(plain.driver)
    requests: dict[str, int] = {}
    async with Registry(traced, cache_size=0) as registry:
        tags = registry.repository(name).tags

        async def page(last: str | None, place: str, _turn: int) -> float:
            traced.reset()
            start = time.perf_counter()
            found = await tags.list(limit=_PAGE, last=last)
            taken = (time.perf_counter() - start) * 1000
            if len(found.tags) != min(_PAGE, count):
                raise AssertionError(f"a page of {len(found.tags)} tags")
            requests[place] = len(traced.requests)
            return taken

        middle = f"v{max(0, count // 2 - 1):06}" if count > 2 * _PAGE else None
        for place, last in (("first", None), ("middle", middle)):
            if place == "middle" and middle is None:
                continue
            bench.progress(f"pages: {latency:g} ms, {place} page among {count}")

            async def way(turn: int, last: str | None = last, place: str = place) -> float:
                return await page(last, place, turn)

            taken, failed = await in_turns({"engine": way}, bench.options.turns)
            case: Case = {"latency": latency, "page": place, "tags": count}
            facts = {"engine": {"requests": requests.get(place, 0)}}
            bench.keep("pages", case, "ms", "time", taken, failed, facts)

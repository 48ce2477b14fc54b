"""What operations cost: dependent round trips and requests, counted on a virtual clock where each request takes 1.

The rows are those of docs/concepts.md, "What operations cost". No wall-clock time is measured.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from revstore_async import ABSENT, Digest, Registry, Repository, sign
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.documents import image, index, key, schema1, signed

CONFIG, LAYER = b"{}", b"layer"
IMAGE = image(CONFIG, LAYER)
OTHER = image(CONFIG)
SILENT = image(CONFIG, LAYER, media_type=None)
INDEX = index(IMAGE, OTHER)
UNSIGNED = schema1(Digest.of(LAYER), tag="unsigned")
PAYLOAD = schema1(Digest.of(LAYER))
ADDED = sign(PAYLOAD, key(64))

Work = Callable[[Repository], Awaitable[object]]


@dataclass
class Row:
    """An operation, and what it costs."""

    name: str
    work: Work
    round_trips: int
    requests: int


async def read_first_byte(repository: Repository) -> None:
    async with repository.blobs.open(Digest.of(LAYER)) as reader:
        assert await reader.read(1)


ROWS = [
    Row("manifest by digest, nothing to merge", lambda r: r.manifests.get(Digest.of(IMAGE)), 1, 3),
    Row("manifest by tag, nothing to merge", lambda r: r.manifests.get("image"), 2, 4),
    Row("manifest by digest, 64 signatures", lambda r: r.manifests.get(Digest.of(PAYLOAD)), 2, 3 + 64),
    Row("manifest by tag, 64 signatures", lambda r: r.manifests.get("latest"), 3, 4 + 64),
    Row("manifest that does not tell its type", lambda r: r.manifests.get(Digest.of(SILENT)), 2, 4),
    Row("signatures of a revision", lambda r: r.revisions.signatures(Digest.of(PAYLOAD)), 2, 2 + 64),
    Row("is there a manifest, by digest", lambda r: r.manifests.exists(Digest.of(IMAGE)), 1, 2),
    Row("is there a manifest, by tag", lambda r: r.manifests.exists("image"), 2, 3),
    Row("HEAD of a layer", lambda r: r.blobs.stat(Digest.of(LAYER)), 1, 2),
    Row("GET of a layer, to the first byte", read_first_byte, 1, 2),
    Row("GET of a layer, small", lambda r: r.blobs.get(Digest.of(LAYER)), 1, 2),
    Row("put of a layer", lambda r: r.blobs.put(LAYER), 2, 2),
    # content, two references of two requests each; then the link
    Row("put of a manifest, no tag", lambda r: r.manifests.put(IMAGE), 2, 1 + 4 + 1),
    # the same, the tag and its latest record; link, index, record; the tag
    Row("put of a manifest by a new tag", lambda r: r.manifests.put(IMAGE, tag="new"), 3, 7 + 3 + 1),
    Row("put of a manifest by a tag that moves", lambda r: r.manifests.put(OTHER, tag="image"), 3, 5 + 3 + 1),
    Row("put of a manifest by a tag that stays", lambda r: r.manifests.put(IMAGE, tag="image"), 2, 7 + 2),
    # payload, 3 signatures, their listing, a layer, the tag: 9; 4 links, index, record; the tag
    Row(
        "put of a signed manifest by tag",
        lambda r: r.manifests.put(signed(UNSIGNED, 1, 2, 3), tag="unsigned"),
        3,
        16,
    ),
    Row("put of an index", lambda r: r.manifests.put(INDEX), 2, 1 + 4 + 1),
    Row("signature added later", lambda r: r.revisions.add_signatures(Digest.of(PAYLOAD), [ADDED]), 3, 7),
    Row("set of a new tag", lambda r: r.tags.set("new", Digest.of(IMAGE)), 3, 4 + 2 + 1),
    Row(
        "set of a tag, compared",
        lambda r: r.tags.set("image", Digest.of(OTHER), expected=Digest.of(IMAGE)),
        3,
        7,
    ),
    Row(
        "set of a tag, expected absent", lambda r: r.tags.set("new", Digest.of(OTHER), expected=ABSENT), 3, 7
    ),
    Row("tag, resolved", lambda r: r.tags.resolve("image"), 1, 1),
    Row("page of tags", lambda r: r.tags.list(limit=100), 1, 1),
    Row("history of a tag", lambda r: r.tags.history("image"), 1, 3),
    Row("deletion of a tag", lambda r: r.tags.delete("image"), 4, 5),
]


async def cost_of(work: Work) -> tuple[float, int, int]:
    """Time on the virtual clock, dependent round trips as traced, requests."""
    memory = MemoryDriver()
    tracing = TracingDriver(LatencyDriver(memory, 1.0))
    loop = asyncio.get_running_loop()
    async with Registry(tracing) as registry:
        repository = registry.repository("library/hello")
        for content in (CONFIG, LAYER):
            await repository.blobs.put(content)
        for document, tag in [(IMAGE, "image"), (OTHER, None), (SILENT, None)]:
            await repository.manifests.put(document, tag=tag)
        await repository.manifests.put(signed(PAYLOAD, *range(64)), tag="latest")
        tracing.reset()
        start = loop.time()
        await work(repository)
        return loop.time() - start, tracing.round_trips, len(tracing.requests)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_dependent_round_trips_and_requests(row: Row) -> None:
    time, round_trips, requests = run_on_virtual_clock(cost_of(row.work))
    assert (time, round_trips, requests) == (row.round_trips, row.round_trips, row.requests)


@pytest.mark.parametrize("count", [0, 1, 8, 64])
def test_any_number_of_signatures_is_read_in_two_round_trips(count: int) -> None:
    async def measured() -> float:
        async with Registry(LatencyDriver(MemoryDriver(), 1.0)) as registry:
            repository = registry.repository("library/hello")
            await repository.revisions.put(PAYLOAD, [sign(PAYLOAD, key(host)) for host in range(count)])
            start = asyncio.get_running_loop().time()
            assert len((await repository.revisions.get(Digest.of(PAYLOAD))).signatures) == count
            return asyncio.get_running_loop().time() - start

    assert run_on_virtual_clock(measured()) == (2 if count else 1)


def test_what_took_too_long_to_rely_on_is_asked_again() -> None:
    """What a check found is linked within `Policy.link_within`, or asked anew."""

    async def measured() -> int:
        slow = iter([700.0] * 7)  # the first time that all is asked; a store that hangs, then recovers
        memory = MemoryDriver()
        tracing = TracingDriver(LatencyDriver(memory, lambda: next(slow, 1.0)))
        async with Registry(tracing) as registry:
            repository = registry.repository("library/hello")
            with_layers = Registry(memory).repository("library/hello")
            for content in (CONFIG, LAYER):
                await with_layers.blobs.put(content)
            await repository.manifests.put(IMAGE, tag="latest")
            assert (await repository.manifests.get("latest")).content == IMAGE
            return tracing.counts["stat"]

    assert run_on_virtual_clock(measured()) == 2 * 2

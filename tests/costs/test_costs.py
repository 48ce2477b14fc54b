"""The costs of operations: dependent round trips and requests, on a virtual clock where each request takes 1.

The rows are those of docs/concepts.md, "What operations cost". No wall-clock time is measured.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import ABSENT, CURRENT, Digest, Registry, Repository, RepositoryName, Signatures, sign
from revstore_async.formats.names import Tag
from revstore_async.layout import TagCurrent, TagIndex
from revstore_async.revisions.referrers import fallback_tag
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.documents import image, index, key, schema1, signed
from tests.parts.histories import NAME, TAG, change
from tests.parts.referring import about
from tests.parts.uploads import pieces

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG, LAYER = b"{}", b"layer"
IMAGE = image(CONFIG, LAYER)
OTHER = image(CONFIG)
SILENT = image(CONFIG, LAYER, media_type=None)
INDEX = index(IMAGE, OTHER)
UNSIGNED = schema1(Digest.of(LAYER), tag="unsigned")
PAYLOAD = schema1(Digest.of(LAYER))
REFERRERS = [about(IMAGE, annotations={"number": str(number)}) for number in range(9)]
STRANGER = about(IMAGE, annotations={"put by": "another program"})
SIGNED = image(LAYER, config_type="application/vnd.example+json")
ADDED = sign(PAYLOAD, key(64))

Work = Callable[[Repository], Awaitable[object]]


@dataclass
class Row:
    """An operation, and its costs.

    Attributes:
        name: Its name.
        work: The operation.
        round_trips: Its dependent round trips.
        requests: Its requests.
        unconditional: Requests more on a store that can't delete on a condition.
    """

    name: str
    work: Work
    round_trips: int
    requests: int
    unconditional: int = 0


def unread(repository: Repository) -> Repository:
    """Return the repository as a process opens it that has read nothing of it yet."""
    return Registry(repository._driver).repository(repository.name)


async def read_first_byte(repository: Repository) -> None:
    async with repository.blobs.open(Digest.of(LAYER)) as reader:
        assert await reader.read(1)


async def put_small_stream(repository: Repository) -> None:
    await repository.blobs.put(pieces(LAYER, 2), digest=Digest.of(LAYER), length=len(LAYER))


async def push_at_once(repository: Repository) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.finish(upload.id, Digest.of(LAYER), LAYER)


async def push_in_pieces(repository: Repository) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, LAYER, offset=0)
    await repository.uploads.finish(upload.id, Digest.of(LAYER))


async def push_with_end(repository: Repository) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, LAYER[:2], offset=0)
    await repository.uploads.finish(upload.id, Digest.of(LAYER), LAYER[2:], offset=2)


async def upload_status(repository: Repository) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.status(upload.id)


ROWS = [
    Row("manifest by digest, nothing to merge", lambda r: r.manifests.get(Digest.of(IMAGE)), 1, 3),
    Row("manifest by tag, nothing to merge", lambda r: r.manifests.get("image"), 2, 4),
    Row("manifest by digest, 64 signatures", lambda r: r.manifests.get(Digest.of(PAYLOAD)), 2, 3 + 64),
    Row("manifest by tag, 64 signatures", lambda r: r.manifests.get("latest"), 3, 4 + 64),
    Row(
        "manifest by digest, not likely to be signed",
        lambda r: unread(r).manifests.get(Digest.of(IMAGE), signatures=Signatures.UNSIGNED),
        1,
        2,
    ),
    Row(
        "manifest by digest, 64 signatures that were not likely",
        lambda r: unread(r).manifests.get(Digest.of(PAYLOAD), signatures=Signatures.UNSIGNED),
        3,
        3 + 64,
    ),
    Row("HEAD of a manifest by digest", lambda r: r.manifests.stat(Digest.of(IMAGE)), 1, 2),
    Row("HEAD of a manifest by tag", lambda r: r.manifests.stat("image"), 2, 3),
    Row("HEAD of an OCI manifest with signatures", lambda r: r.manifests.stat(Digest.of(SIGNED)), 1, 2),
    # the payload tells that it is schema 1; then the signatures, as they are listed
    Row("HEAD of a manifest, 64 signatures", lambda r: r.manifests.stat(Digest.of(PAYLOAD)), 3, 4 + 64),
    Row("HEAD of a manifest by digest, to push", lambda r: r.manifests.rely_on(Digest.of(IMAGE)), 1, 2),
    Row("HEAD of a manifest by tag, to push", lambda r: r.manifests.rely_on("image"), 2, 3),
    # the payload is read anew, whatever is kept in memory: it is what a push relies on
    Row(
        "HEAD of a manifest, 64 signatures, to push",
        lambda r: r.manifests.rely_on(Digest.of(PAYLOAD)),
        3,
        4 + 64,
    ),
    Row("manifest that does not tell its type", lambda r: r.manifests.get(Digest.of(SILENT)), 2, 4),
    Row("signatures of a revision", lambda r: r.revisions.signatures(Digest.of(PAYLOAD)), 2, 2 + 64),
    Row("is there a manifest, by digest", lambda r: r.manifests.exists(Digest.of(IMAGE)), 1, 2),
    Row("is there a manifest, by tag", lambda r: r.manifests.exists("image"), 2, 3),
    Row("HEAD of a layer", lambda r: r.blobs.stat(Digest.of(LAYER)), 1, 2),
    Row("HEAD of a layer, to push", lambda r: r.blobs.rely_on(Digest.of(LAYER)), 1, 2),
    Row("GET of a layer, to the first byte", read_first_byte, 1, 2),
    Row("GET of a layer, small", lambda r: r.blobs.get(Digest.of(LAYER)), 1, 2),
    Row("put of a layer", lambda r: r.blobs.put(LAYER), 2, 2),
    Row("put of a layer from a stream, small", put_small_stream, 2, 2),
    # the state; the content and the state; the link and the state
    Row("push of a layer, POST and PUT", push_at_once, 3, 1 + 2 + 2),
    # the state; bytes and the state, the state; the state, the state and the content, the link, what is left
    Row("push of a layer, POST, PATCH and PUT", push_in_pieces, 7, 1 + 3 + 5),
    Row("status of an upload", upload_status, 2, 2),
    Row("mount of a layer", lambda r: r.blobs.mount(Digest.of(LAYER), r.name), 2, 3),
    Row("link of a layer that is stored", lambda r: r.blobs.link(Digest.of(LAYER)), 2, 2),
    Row("deletion of a layer's link", lambda r: r.blobs.delete(Digest.of(LAYER)), 2, 2),
    # content, two references of two requests each, the link; it is there, so a deletion may be under way: the link
    # is written, and looked for after that
    Row("put of a manifest that is there, no tag", lambda r: r.manifests.put(IMAGE), 3, 1 + 4 + 1 + 1 + 1),
    # content, its reference, the link; the link and that of the referrer
    Row("put of a manifest with a subject", lambda r: r.manifests.put(about(OTHER)), 2, 1 + 2 + 1 + 2),
    # content, two references; of each tag the link and the latest record; link, and of each tag index, record and
    # claim; the tags, and beside them whether a deletion took the link
    Row(
        "put of a manifest by three new tags",
        lambda r: r.manifests.put(IMAGE, tags=["new", "newer", "newest"]),
        3,
        5 + 3 * 2 + 1 + 3 * 3 + 3 + 1,
    ),
    # the same for one tag: link, index, record, claim; the tag, and the link
    Row("put of a manifest by a new tag", lambda r: r.manifests.put(IMAGE, tag="new"), 3, 7 + 4 + 2),
    Row(
        "put of a manifest by a tag that moves",
        lambda r: r.manifests.put(OTHER, tag="image"),
        3,
        5 + 4 + 2,
    ),
    # the tag is asked for again after the links are written: a deletion that was under way may have taken it
    Row("put of a manifest by a tag that stays", lambda r: r.manifests.put(IMAGE, tag="image"), 3, 7 + 2 + 2),
    # payload, 3 signatures, their listing, a layer, the tag: 9; 4 links, index, record, claim; the tag, the links
    Row(
        "put of a signed manifest by tag",
        lambda r: r.manifests.put(signed(UNSIGNED, 1, 2, 3), tag="unsigned"),
        3,
        9 + 7 + 1 + 2,
    ),
    Row("put of an index", lambda r: r.manifests.put(INDEX), 2, 1 + 4 + 1 + 1),
    Row("signature added later", lambda r: r.revisions.add_signatures(Digest.of(PAYLOAD), [ADDED]), 3, 6),
    # the tag, its latest record, the revision; index, record, claim; the revision once more, for a deletion that
    # began before the tag was announced doesn't find it; the tag
    Row("set of a new tag", lambda r: r.tags.set("new", Digest.of(IMAGE)), 4, 4 + 3 + 1 + 1),
    Row(
        "set of a tag, compared",
        lambda r: r.tags.set("image", Digest.of(OTHER), expected=Digest.of(IMAGE)),
        4,
        9,
    ),
    Row(
        "set of a tag, expected absent", lambda r: r.tags.set("new", Digest.of(OTHER), expected=ABSENT), 4, 9
    ),
    Row("tag, resolved", lambda r: r.tags.resolve("image"), 1, 1),
    Row("page of tags", lambda r: r.tags.list(limit=100), 1, 1),
    Row("history of a tag", lambda r: r.tags.history("image"), 1, 3),
    # the tag, the records of the page and of a few changes around it
    Row("page of a tag's history", lambda r: r.tags.history_page("image", limit=10), 1, 2),
    Row("tag as of a recent time", lambda r: r.tags.as_of("image", datetime.max.replace(tzinfo=UTC)), 1, 2),
    # the tag, its latest record; record and claim; the tag; its index. Where a deletion can't be conditional, the
    # delete marker
    Row("deletion of a tag", lambda r: r.tags.delete("image"), 4, 6, unconditional=1),
    # is it linked, the tags; the signatures, the content; the link; the tags again
    Row("deletion of a manifest", lambda r: r.manifests.delete(Digest.of(OTHER)), 4, 6),
    # the same, and the link of the referrer before that of the revision
    Row("deletion of a referrer", lambda r: r.manifests.delete(Digest.of(REFERRERS[0])), 5, 7),
    # the same, and after the link what is beside it, and the link once more
    Row("deletion of a signed manifest", lambda r: r.revisions.delete(Digest.of(SIGNED)), 4, 5),
    # the links, the tag of the index that clients keep; link and content of each
    Row("referrers of a manifest", lambda r: r.referrers.list(Digest.of(IMAGE)), 2, 2 + 9 * 2),
    Row("page of referrers", lambda r: r.referrers.list(Digest.of(IMAGE), limit=3), 2, 2 + 3 * 2),
    Row("referrers of a manifest that has none", lambda r: r.referrers.list(Digest.of(LAYER)), 1, 2),
]


async def prepare(repository: Repository) -> None:
    """Put the content that the rows rely on."""
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    for document, tag in [(IMAGE, "image"), (OTHER, None), (SILENT, None)]:
        await repository.manifests.put(document, tag=tag)
    await repository.manifests.put(signed(PAYLOAD, *range(64)), tag="latest")
    for document in REFERRERS:
        await repository.manifests.put(document)
    await repository.revisions.put(SIGNED, [sign(SIGNED, key(host)) for host in range(3)])


async def cost_of(work: Work, before: Work | None = None) -> tuple[float, int, int]:
    """Time on the virtual clock, dependent round trips as traced, requests."""
    memory = MemoryDriver()
    tracing = TracingDriver(LatencyDriver(memory, 1.0))
    loop = asyncio.get_running_loop()
    async with Registry(tracing) as registry:
        repository = registry.repository("library/hello")
        await prepare(repository)
        if before:
            await before(repository)
        tracing.reset()
        start = loop.time()
        await work(repository)
        return loop.time() - start, tracing.round_trips, len(tracing.requests)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_dependent_round_trips_and_requests(row: Row) -> None:
    time, round_trips, requests = run_on_virtual_clock(cost_of(row.work))
    assert (time, round_trips, requests) == (row.round_trips, row.round_trips, row.requests)


def test_an_expectation_costs_a_deletion_nothing() -> None:
    """No row: S3 servers lack the conditional deletion that it takes."""
    compared = cost_of(lambda r: r.manifests.delete("image", expected=Digest.of(IMAGE)))
    assert run_on_virtual_clock(compared) == run_on_virtual_clock(cost_of(lambda r: r.tags.delete("image")))


def test_a_page_of_history_with_a_gap_is_a_round_trip_more() -> None:
    async def before(repository: Repository) -> None:
        for digest in (OTHER, IMAGE):  # as another program sets a tag
            place = TagIndex(repository.name, Tag("image"), Digest.of(digest))
            await repository._driver.put(CURRENT.key(place), Digest.of(digest).encode())
        key = CURRENT.key(TagCurrent(repository.name, Tag("image")))
        await repository._driver.put(key, Digest.of(OTHER).encode())

    # the tag and its records; the index
    measured = cost_of(lambda r: r.tags.history_page("image", limit=10), before)
    assert run_on_virtual_clock(measured) == (2, 2, 3)


@pytest.mark.parametrize(
    ("work", "round_trips", "requests"),
    [
        (lambda r: r.tags.history_page(TAG, limit=10), 1, 2),
        (lambda r: r.tags.history_page(TAG, limit=10, last="1000.0"), 1, 2),
        (lambda r: r.tags.as_of(TAG, EPOCH + timedelta(seconds=3990)), 1, 2),
        # the latest ones; three times seven numbers; the page
        (lambda r: r.tags.as_of(TAG, EPOCH + timedelta(seconds=2000)), 1 + 3 + 1, 2 + 21 + 2),
        # as it was: all of the index, and all records
        (lambda r: r.tags.history(TAG), 4, 7),
    ],
    ids=["page", "page in the middle", "recent time", "old time", "all of it"],
)
def test_what_the_history_of_2000_changes_costs(work: Work, round_trips: int, requests: int) -> None:
    clock = [EPOCH]

    async def cost() -> tuple[int, int]:
        async with TracingDriver(LatencyDriver(MemoryDriver(clock=lambda: clock[0]), 1.0)) as tracing:
            await change(tracing.inner, clock, 2000)
            await work(Registry(tracing).repository(NAME))
            return tracing.round_trips, len(tracing.requests)

    assert run_on_virtual_clock(cost()) == (round_trips, requests)


def test_referrers_that_only_an_index_of_clients_knows_are_a_round_trip_more() -> None:
    async def before(repository: Repository) -> None:
        await repository.revisions.put(STRANGER)
        kept = index(REFERRERS[0], STRANGER)
        await repository.manifests.put(kept, tag=fallback_tag(Digest.of(IMAGE)))

    # the links, the tag; link and content of the nine and of the index; of the one that was not linked
    measured = cost_of(lambda r: r.referrers.list(Digest.of(IMAGE)), before)
    assert run_on_virtual_clock(measured) == (3, 3, 2 + 10 * 2 + 2)


def test_last_bytes_of_an_upload_cost_no_round_trip_more() -> None:
    """No row: an S3 driver reads segments that are too small for a server to join, with 1 request more."""
    # as in the row; the last bytes are stored beside the look at the state
    assert run_on_virtual_clock(cost_of(push_with_end)) == (7, 7, 1 + 3 + 6)


def test_a_layer_is_sought_by_one_request_where_it_is_new() -> None:
    """A mount that names no source asks about no repository, unless the content is stored."""

    async def measured(content: bytes) -> tuple[str | None, float, int]:
        tracing = TracingDriver(LatencyDriver(MemoryDriver(), 1.0))
        async with Registry(tracing) as registry:
            names = [RepositoryName(f"candidate/{number}") for number in range(100)]
            await registry.repository(names[-1]).blobs.put(LAYER)
            tracing.reset()
            start = asyncio.get_running_loop().time()
            found = await registry.find_layer(Digest.of(content), names)
            return found, asyncio.get_running_loop().time() - start, len(tracing.requests)

    assert run_on_virtual_clock(measured(b"new")) == (None, 1, 1)
    # 64 at once, then the rest
    assert run_on_virtual_clock(measured(LAYER)) == ("candidate/99", 1 + 2, 1 + 100)


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
    """A put sets its tags within `Bounds.link_within` of its checks, or makes the checks anew."""

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

    assert run_on_virtual_clock(measured()) == 2 * 2 + 1  # and once whether the link stayed


@pytest.mark.parametrize("count", [1, 64])
def test_referrers_are_found_in_two_round_trips_however_many(count: int) -> None:
    async def measured() -> float:
        async with Registry(LatencyDriver(MemoryDriver(), 1.0)) as registry:
            repository = registry.repository("library/hello")
            for number in range(count):
                await repository.manifests.put(
                    about(IMAGE, annotations={"number": str(number)}), check_layers=False
                )
            start = asyncio.get_running_loop().time()
            assert len((await repository.referrers.list(Digest.of(IMAGE))).referrers) == count
            return asyncio.get_running_loop().time() - start

    assert run_on_virtual_clock(measured()) == 2


def test_a_page_of_the_catalog_costs_the_same_among_few_repositories_and_many() -> None:
    async def requests(count: int) -> tuple[int, int]:
        memory = MemoryDriver()
        tracing = TracingDriver(LatencyDriver(memory, 1.0))
        async with Registry(tracing) as registry:
            for number in range(count):
                repository = Registry(memory).repository(f"group-{number // 100:03}/hello-{number:06}")
                await repository.blobs.put(LAYER)
            tracing.reset()
            after = f"group-{count // 200:03}/hello-{count // 2 - 10:06}"
            found = []
            async for name in registry.repositories(start_after=after):
                found.append(name)
                if len(found) == 5:
                    break
            assert found == [
                f"group-{number // 100:03}/hello-{number:06}"
                for number in range(count // 2 - 9, count // 2 - 4)
            ]
            return len(tracing.requests), tracing.round_trips

    few, many = run_on_virtual_clock(requests(900)), run_on_virtual_clock(requests(2_900))
    assert many[0] <= few[0] + 20  # groups that were listed together with the one on the way
    assert many[1] <= few[1] <= 4

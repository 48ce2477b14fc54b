"""The world stops at every storage operation of every write; then a new process opens the store and looks.

After each stop: the store is readable and has all acknowledged content. The interrupted write is not half
visible. The same write, repeated, succeeds and has the result of a first write.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import ABSENT, Digest, Registry, Repository, sign, verify_document
from revstore_async.driver import Driver
from revstore_async.errors import (
    BlobUnknown,
    NotFound,
    RevstoreError,
    TagChanged,
    TagUnknown,
    Unavailable,
    UploadUnknown,
)
from revstore_async.revisions.revision import RevisionWrite
from revstore_async.tags.state import Expected
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import At, Fault, FaultsDriver, When
from tests.parts.documents import DOCKER_SCHEMA2, image, index, key, schema1, signed
from tests.parts.lacking import WithoutConditionalDelete
from tests.parts.referring import CONFIG, about

LAYERS = [b"layer 0", b"layer 1"]
OTHER_LAYER = b"a layer that comes later"
PAYLOAD = schema1(*map(Digest.of, LAYERS))
A, B = image(*LAYERS), image(LAYERS[1], LAYERS[0])
INDEX = index(A, B)
BY_0, BY_1, BY_2 = (signed(PAYLOAD, host) for host in range(3))
BY_3_AND_4 = signed(PAYLOAD, 3, 4)
SIGNATURE_5 = sign(PAYLOAD, key(5))

Step = Callable[[Repository], Awaitable[object]]


@dataclass
class Write:
    """A public write, the store's content before it, and whether the store can delete on a condition."""

    name: str
    before: list[Step]
    act: Step
    conditional_delete: bool = True


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 8):
        yield content[start : start + 8]


def put(document: bytes, tag: str | None = None, expected: Expected = None) -> Step:
    return lambda repository: repository.manifests.put(document, tag=tag, expected=expected)


SILENT = image(*LAYERS, media_type=None)


async def put_silent(repository: Repository) -> object:
    return await repository.manifests.put(SILENT, tag="latest", media_type=DOCKER_SCHEMA2)


SUBJECT = Digest.of(A)
REFERRER = about(SUBJECT)
REFERRERS = [about(SUBJECT, annotations={"number": str(number)}) for number in range(2)]


def delete(reference: str, expected: Expected = None) -> Step:
    return lambda repository: repository.manifests.delete(reference, expected=expected)


def set_tag(tag: str, document: bytes, expected: Expected = None) -> Step:
    return lambda repository: repository.tags.set(tag, Digest.of(document), expected=expected)


async def restore_first(repository: Repository) -> object:
    first = (await repository.tags.history("latest"))[0]
    return await repository.tags.restore("latest", first.since)


UPLOADED = OTHER_LAYER
UPLOADS: dict[str, str] = {}  # the upload that a step before began, of the world that is looked at


async def begun(repository: Repository) -> object:
    UPLOADS["id"] = (await repository.uploads.start()).id
    return UPLOADS["id"]


def appended(content: bytes) -> Step:
    return lambda repository: repository.uploads.append(UPLOADS["id"], content)


def finished(rest: bytes = b"") -> Step:
    return lambda repository: repository.uploads.finish(UPLOADS["id"], Digest.of(UPLOADED), rest)


async def sent_at_once(repository: Repository) -> object:
    """Act as a client: if its upload is gone, nothing of it was acknowledged, so it begins another."""
    try:
        return await finished(UPLOADED)(repository)
    except UploadUnknown:
        await begun(repository)
        return await finished(UPLOADED)(repository)


async def gone_on_with(repository: Repository) -> object:
    """Act as a client after a failure: ask for the offset, and go on from there."""
    try:
        offset = (await repository.uploads.status(UPLOADS["id"])).offset
    except UploadUnknown:  # it was finished, and only the answer was lost
        offset = len(UPLOADED)
    assert offset >= 5, "what was acknowledged before"
    for begin in range(offset, len(UPLOADED), 7):
        await repository.uploads.append(UPLOADS["id"], UPLOADED[begin : begin + 7], offset=begin)
    return await finished()(repository)


async def cancelled(repository: Repository) -> None:
    await repository.uploads.cancel(UPLOADS["id"])


BOTH = [put(A), put(B)]
WRITES = [
    Write("layer", [], lambda repository: repository.blobs.put(OTHER_LAYER)),
    Write(
        "layer from a stream",
        [],
        lambda repository: repository.blobs.put(pieces(OTHER_LAYER), digest=Digest.of(OTHER_LAYER)),
    ),
    Write("upload in one piece", [begun], sent_at_once),
    Write("upload, its end", [begun, appended(UPLOADED)], finished()),
    Write("upload, its last piece", [begun, appended(UPLOADED[:5])], finished(UPLOADED[5:])),
    Write("upload, gone on with", [begun, appended(UPLOADED[:5])], gone_on_with),
    Write("upload that is cancelled", [begun, appended(UPLOADED[:5])], cancelled),
    Write("mount", [], lambda r: r.blobs.mount(Digest.of(LAYERS[0]), r.name)),
    Write("link of a layer", [], lambda r: r.blobs.link(Digest.of(LAYERS[0]))),
    Write("deletion of a layer's link", [], lambda r: r.blobs.delete(Digest.of(LAYERS[0]))),
    Write("revision", [], lambda repository: repository.revisions.put(PAYLOAD, [SIGNATURE_5])),
    Write(
        "link of a revision",
        [],
        lambda repository: repository.revisions.writer.link(RevisionWrite(Digest.of(LAYERS[0]))),
    ),
    Write(
        "signatures later",
        [put(BY_0)],
        lambda repository: repository.revisions.add_signatures(Digest.of(PAYLOAD), [SIGNATURE_5]),
    ),
    Write("deletion of a revision", [put(BY_3_AND_4)], lambda r: r.revisions.delete(Digest.of(PAYLOAD))),
    Write("manifest", [], put(A)),
    Write("manifest without a word of its type", [], put(image(*LAYERS, media_type=None), "latest")),
    Write("manifest of a type it came with", [], put_silent),
    Write("index", BOTH, put(INDEX, "latest")),
    Write("manifest by a new tag", [], put(A, "latest")),
    Write("manifest by a tag that moves", [put(A, "latest")], put(B, "latest")),
    Write("manifest by a tag that moves back", [put(A, "latest"), put(B, "latest")], put(A, "latest")),
    Write("manifest by a tag that stays", [put(A, "latest")], put(A, "latest")),
    Write("manifest by two hosts", [], put(BY_3_AND_4, "latest")),
    Write("manifest by more hosts", [put(BY_0, "latest"), put(BY_1)], put(BY_3_AND_4, "latest")),
    Write("manifest with an expectation", [put(A, "latest")], put(B, "latest", expected=Digest.of(A))),
    Write("referrer", [put(A)], put(REFERRER)),
    Write("referrer by a tag, before its subject", [], put(REFERRER, "latest")),
    Write("referrer beside others", [*map(put, REFERRERS)], put(REFERRER)),
    Write(
        "deletion of a referrer", [put(REFERRER, "latest"), *map(put, REFERRERS)], delete(Digest.of(REFERRER))
    ),
    Write("deletion of a subject", [put(A, "latest"), put(REFERRER)], delete(SUBJECT)),
    Write(
        "manifest by several tags",
        [put(A, "latest"), put(B, "other")],
        lambda repository: repository.manifests.put(B, tags=["latest", "other", "stable"]),
    ),
    Write("deletion of a tag with an expectation", [put(A, "latest")], delete("latest", Digest.of(A))),
    Write("tag", BOTH, set_tag("latest", A)),
    Write("tag that moves", [*BOTH, set_tag("latest", A)], set_tag("latest", B)),
    Write(
        "tag with an expectation", [*BOTH, set_tag("latest", A)], set_tag("latest", B, expected=Digest.of(A))
    ),
    Write("tag that is expected to be absent", BOTH, set_tag("latest", A, expected=ABSENT)),
    Write("restored tag", [*BOTH, set_tag("latest", A), set_tag("latest", B)], restore_first),
    Write(
        "deletion of a tag",
        [*BOTH, set_tag("latest", A), set_tag("latest", B), set_tag("other", A)],
        lambda repository: repository.tags.delete("latest"),
    ),
    Write(
        "deletion of a tag by a delete marker",
        [*BOTH, set_tag("latest", A), set_tag("latest", B)],
        lambda repository: repository.tags.delete("latest"),
        conditional_delete=False,
    ),
    Write(
        "deletion of a manifest with its tags, by delete markers",
        [put(BY_3_AND_4, "latest"), put(A, "other"), set_tag("stable", PAYLOAD)],
        lambda repository: repository.manifests.delete(Digest.of(PAYLOAD)),
        conditional_delete=False,
    ),
    Write(
        "deletion of a manifest with its tags",
        [put(BY_3_AND_4, "latest"), put(A, "other"), set_tag("stable", PAYLOAD)],
        lambda repository: repository.manifests.delete(Digest.of(PAYLOAD)),
    ),
    Write(
        "deletion of a repository",
        [
            *(*BOTH, put(INDEX, "latest"), put(BY_3_AND_4), set_tag("other", PAYLOAD)),
            *(put(REFERRER), begun, appended(UPLOADED[:5])),
        ],
        lambda repository: repository.delete(),
    ),
    Write(
        "deletion of a repository, by delete markers",
        [*BOTH, put(INDEX, "latest"), set_tag("stable", A)],
        lambda repository: repository.delete(),
        conditional_delete=False,
    ),
    Write(
        "tag after its deletion",
        [*BOTH, set_tag("latest", A), lambda repository: repository.tags.delete("latest")],
        set_tag("latest", B),
    ),
]


@dataclass
class Seen:
    """All that can be seen of a repository."""

    tags: dict[str, str]
    revisions: dict[str, frozenset[bytes]]
    media_types: dict[str, str]
    history: dict[str, list[str | None]]
    layers: frozenset[str]
    referrers: frozenset[str]


async def look(driver: Driver) -> Seen:
    """Read everything; an object that can't be read fails the test."""
    async with Registry(driver) as registry:
        repository = registry.repository("library/hello")
        tags: dict[str, str] = {}
        revisions: dict[str, frozenset[bytes]] = {}
        media_types: dict[str, str] = {}
        history: dict[str, list[str | None]] = {}
        async for info in repository.tags:
            tags[info.tag] = await repository.tags.resolve(info.tag)
        for tag in ("latest", "other", "stable"):
            assert await repository.tags.exists(tag) == (tag in tags)
            try:
                history[tag] = [event.digest for event in await repository.tags.history(tag)]
            except TagUnknown:
                history[tag] = []
            assert tags.get(tag) == (history[tag][-1] if history[tag] else None)
        async for revision in repository.revisions.enumerate():
            manifest = await repository.manifests.get(revision.digest)
            if manifest.media_type.endswith("prettyjws"):
                assert verify_document(manifest.content).payload == PAYLOAD
            if "manifest.v1+" not in manifest.media_type:  # of schema 1, it follows from the signatures
                media_types[revision.digest] = manifest.media_type
            revisions[revision.digest] = frozenset(signature.blob for signature in manifest.signatures)
        for tag, digest in tags.items():
            assert digest in revisions, f"{tag} points at nothing"
        layers: set[str] = set()
        for content in [*LAYERS, OTHER_LAYER]:
            try:
                assert await repository.blobs.get(Digest.of(content)) == content
                layers.add(Digest.of(content))
            except BlobUnknown:
                pass
        page = await repository.referrers.list(SUBJECT)
        assert page.unreadable == ()
        referrers = frozenset(referrer.descriptor.digest for referrer in page.referrers)
        assert referrers <= revisions.keys(), "a referrer is listed that is not there"
        return Seen(tags, revisions, media_types, history, frozenset(layers), referrers)


def whole(before: Seen, now: Seen, after: Seen) -> None:
    """Everything is as it was before the write, or as it is after it; of a set of signatures, anything between."""
    for tag in before.tags | after.tags | now.tags:
        assert now.tags.get(tag) in {before.tags.get(tag), after.tags.get(tag)}
    for tag in now.history:
        assert now.history[tag] in (before.history[tag], after.history[tag])
        is_after = now.tags.get(tag) == after.tags.get(tag)
        assert now.history[tag] == (after if is_after else before).history[tag]
    for digest in before.revisions | after.revisions | now.revisions:
        if digest not in now.revisions:
            assert digest not in before.revisions or digest not in after.revisions
            continue
        assert digest in before.revisions or digest in after.revisions
        earlier, later = before.revisions.get(digest, frozenset()), after.revisions.get(digest, frozenset())
        assert earlier & later <= now.revisions[digest] <= earlier | later
        if digest not in after.revisions:  # half deleted is not seen
            assert now.revisions[digest] == earlier
    for digest in now.media_types:
        assert now.media_types[digest] in {before.media_types.get(digest), after.media_types.get(digest)}
    assert before.referrers & after.referrers <= now.referrers <= before.referrers | after.referrers
    assert before.layers & after.layers <= now.layers <= before.layers | after.layers


class Clock:
    """A store's clock: each thing is a second after the one before."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


async def prepared(write: Write) -> Callable[[], Driver]:
    """Make a store with the content before the write, and return a function that opens it."""
    store, clock = MemoryStore(), Clock()

    def opened() -> Driver:
        driver = MemoryDriver(store, clock=clock)
        return driver if write.conditional_delete else WithoutConditionalDelete(driver)

    await prepare(write, opened())
    return opened


async def prepare(write: Write, driver: Driver) -> None:
    """Put the content before the write."""
    async with Registry(driver) as registry:
        repository = registry.repository("library/hello")
        for layer in [CONFIG, *LAYERS]:
            await repository.blobs.put(layer)
        for step in write.before:
            await step(repository)


async def attempt(write: Write, driver: Driver) -> RevstoreError | None:
    async with Registry(driver) as registry:
        try:
            await write.act(registry.repository("library/hello"))
        except RevstoreError as error:
            return error
    return None


def faults() -> dict[str, Callable[[Driver, int], FaultsDriver]]:
    stops = {
        f"the world stops {when.name.lower()}": lambda driver, k, when=when: FaultsDriver(
            driver, stop_at=k, when=when
        )
        for when in When
    }
    return stops | {
        "one answer is lost": lambda driver, k: FaultsDriver(driver, At(k, Fault.ANSWER_LOST)),
        "one operation fails": lambda driver, k: FaultsDriver(driver, At(k, Fault.BEFORE)),
    }


@pytest.mark.parametrize("fault", faults())
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.name)
async def test_nothing_half_done_is_seen_and_repeating_succeeds(write: Write, fault: str) -> None:
    opened = await prepared(write)
    before = await look(opened())
    assert await attempt(write, opened()) is None
    after = await look(opened())

    for k in itertools.count():
        opened = await prepared(write)
        driver = faults()[fault](opened(), k)
        tasks = asyncio.all_tasks()
        error = await attempt(write, driver)
        assert asyncio.all_tasks() == tasks, "a task was left behind"
        now = await look(opened())
        if error is None:
            assert now == after, f"acknowledged, though stopped at {k}"
        else:
            assert isinstance(error, Unavailable), f"at {k}: {error!r}"
            whole(before, now, after)
        if driver.operations <= k:
            assert error is None
            break
        again = await attempt(write, opened())
        if again is not None:
            # A deletion that was done already, or a change that was: its repetition is told so.
            assert now == after
            assert isinstance(again, NotFound | TagChanged)
        assert await look(opened()) == after
    assert k >= 1

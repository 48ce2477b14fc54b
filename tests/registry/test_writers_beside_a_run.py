"""Programs that push while a run of the collector has condemned all that the store holds.

The state and the lists of the run are written by hand, and nothing is deleted: the tests see the answer of each
write, and its rescues.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import CURRENT, Digest, Driver, Registry, Repository, RepositoryName, sign
from revstore_async.blobs import gate
from revstore_async.driver import entries
from revstore_async.errors import RevstoreError
from revstore_async.formats.names import Tag
from revstore_async.layout import BlobData, LayerLink, RevisionLink, StoredObject, TagCurrent, TagIndex
from revstore_async.runs.state import Phase, State
from tests.parts.documents import image, index, key, schema1, signed
from tests.parts.referring import about
from tests.parts.runs_at_work import STATE, RunAtWork, hash_of

CONFIG, LAYER, TAG = b"{}", b"a layer", "latest"
NAME, OTHER = RepositoryName("library/hello"), "library/other"
IMAGE, NEW = image(CONFIG, LAYER), image(CONFIG, LAYER, LAYER)
NEWER = image(CONFIG, LAYER, LAYER, LAYER)
PAYLOAD = schema1(Digest.of(LAYER))
SIGNED = signed(PAYLOAD, 0)
LATER, LONG_AGO = (datetime.now(UTC) + timedelta(days=days) for days in (1, -1))


def blob(content: bytes) -> StoredObject:
    return BlobData(Digest.of(content))


def layer(content: bytes) -> list[StoredObject]:
    return [LayerLink(NAME, Digest.of(content)), blob(content)]


def revision(document: bytes) -> list[StoredObject]:
    return [RevisionLink(NAME, Digest.of(document)), blob(document)]


def tag(document: bytes, name: str = TAG) -> list[StoredObject]:
    return [TagCurrent(NAME, Tag(name)), TagIndex(NAME, Tag(name), Digest.of(document))]


@dataclass
class Write:
    """A write, its rescues from a condemned run, and its answer where the run takes no more rescues."""

    name: str
    act: Callable[[Repository], Awaitable[object]]
    rescued: list[StoredObject]
    refused: str

    async def done(self, driver: Driver) -> str:
        try:
            await self.act(Registry(driver).repository(NAME))
        except RevstoreError as error:
            return type(error).__name__
        return "done"


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content[:3]
    yield content[3:]


async def mount_elsewhere(repository: Repository) -> object:
    elsewhere = Registry(repository._driver).repository(OTHER)
    return await elsewhere.blobs.mount(Digest.of(LAYER), NAME)


async def link_elsewhere(repository: Repository) -> object:
    return await Registry(repository._driver).repository("library/linked").blobs.link(Digest.of(LAYER))


async def push_at_once(repository: Repository) -> object:
    upload = await repository.uploads.start()
    return await repository.uploads.finish(upload.id, Digest.of(LAYER), LAYER)


async def push_in_pieces(repository: Repository) -> object:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, LAYER)
    return await repository.uploads.finish(upload.id, Digest.of(LAYER))


async def restore(repository: Repository) -> object:
    first = (await repository.tags.history(TAG))[0]
    return await repository.tags.restore(TAG, first.since)


WAITS, ABSENT = "BeingCollected", "BlobUnknown"
WRITES = [
    Write("put of a blob", lambda r: Registry(r._driver).blobs.put(LAYER), [blob(LAYER)], WAITS),
    Write("put of a layer", lambda r: r.blobs.put(LAYER), layer(LAYER), WAITS),
    Write(
        "put of a layer from a stream",
        lambda r: r.blobs.put(pieces(LAYER), digest=Digest.of(LAYER)),
        layer(LAYER),
        WAITS,
    ),
    Write("link of a layer", lambda r: r.blobs.link(Digest.of(LAYER)), layer(LAYER), WAITS),
    Write("link of a layer elsewhere", link_elsewhere, [blob(LAYER)], ABSENT),
    Write("mount elsewhere", mount_elsewhere, [blob(LAYER)], ABSENT),
    Write("HEAD of a layer, to push", lambda r: r.blobs.rely_on(Digest.of(LAYER)), layer(LAYER), ABSENT),
    Write("POST and PUT of a layer", push_at_once, layer(LAYER), WAITS),
    Write("POST, PATCH and PUT of a layer", push_in_pieces, layer(LAYER), WAITS),
    Write(
        "put of a manifest that is there",
        lambda r: r.manifests.put(IMAGE, tag=TAG),
        [*revision(IMAGE), *tag(IMAGE), *layer(CONFIG), *layer(LAYER)],
        WAITS,
    ),
    Write(
        "put of a new manifest",
        lambda r: r.manifests.put(NEW),
        [*layer(CONFIG), *layer(LAYER)],
        "VerificationFailed",
    ),
    Write(
        "put of a new manifest, unchecked",
        lambda r: r.manifests.put(NEWER, check_layers=False),
        [*layer(CONFIG), *layer(LAYER)],
        WAITS,
    ),
    Write("put of an index", lambda r: r.manifests.put(index(IMAGE)), revision(IMAGE), "VerificationFailed"),
    Write(
        "put of a signed manifest, with one signature more",
        lambda r: r.manifests.put(signed(PAYLOAD, 1)),
        [*revision(PAYLOAD), *layer(LAYER)],
        WAITS,
    ),
    Write(
        "HEAD of a manifest, to push",
        lambda r: r.manifests.rely_on(Digest.of(IMAGE)),
        revision(IMAGE),
        "ManifestUnknown",
    ),
    Write(
        "HEAD of a tag, to push",
        lambda r: r.manifests.rely_on(TAG),
        [*tag(IMAGE), *revision(IMAGE)],
        "TagUnknown",
    ),
    Write("put of a revision", lambda r: r.revisions.put(IMAGE), revision(IMAGE), WAITS),
    Write(
        "is there a revision, to push",
        lambda r: r.revisions.rely_on(Digest.of(IMAGE)),
        revision(IMAGE),
        "ManifestUnknown",
    ),
    Write(
        "a signature added later",
        lambda r: r.revisions.add_signatures(Digest.of(PAYLOAD), [sign(PAYLOAD, key(2))]),
        revision(PAYLOAD),
        WAITS,
    ),
    Write(
        "set of a new tag",
        lambda r: r.tags.set("new", Digest.of(IMAGE)),
        revision(IMAGE),
        "ManifestUnknown",
    ),
    Write(
        "set of a tag that stays",
        lambda r: r.tags.set(TAG, Digest.of(IMAGE)),
        [*tag(IMAGE), *revision(IMAGE)],
        WAITS,
    ),
    Write("restore of a tag", restore, [*tag(IMAGE), *revision(IMAGE)], WAITS),
]


async def fill(driver: Driver) -> None:
    repository = Registry(driver).repository(NAME)
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    await repository.manifests.put(IMAGE, tag=TAG)
    await repository.manifests.put(SIGNED)


async def all_of(driver: Driver) -> list[StoredObject]:
    """Return all objects of a store that a run could condemn."""
    items = [CURRENT.parse(info.key) async for info in entries(driver.list_all, CURRENT.contents)]
    kinds = BlobData | LayerLink | RevisionLink | TagCurrent | TagIndex
    return [item for item in items if isinstance(item, kinds)]


async def reads_go_on(driver: Driver) -> None:
    repository = Registry(driver).repository(NAME)
    assert (await repository.manifests.get(TAG)).content == IMAGE
    assert await repository.blobs.exists(Digest.of(LAYER))
    assert await repository.blobs.get(Digest.of(LAYER)) == LAYER
    assert await repository.manifests.exists(Digest.of(IMAGE))
    assert (await repository.manifests.stat(TAG)).digest == Digest.of(IMAGE)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for ten seconds."""
    monkeypatch.setattr(gate, "PATIENCE", 0.05)


Enter = Callable[[RunAtWork], Awaitable[object]]

PHASES: dict[str, tuple[Enter, str]] = {
    "idle": (lambda run: run.enter(Phase.IDLE), "goes on"),
    "condemned": (lambda run: run.enter(Phase.CONDEMNED), "rescues"),
    "sealed": (lambda run: run.enter(Phase.SEALED), "is refused"),
    "sweeping": (lambda run: run.enter(Phase.SWEEPING), "is refused"),
    "sweeping, all spared": (
        lambda run: run.enter(Phase.SWEEPING, spared=run.condemned[0]),
        "goes on",
    ),
    "sweeping, all done": (lambda run: run.enter(Phase.SWEEPING, done=1), "goes on"),
    "dead": (lambda run: run.enter(Phase.CONDEMNED, until=LONG_AGO), "ends the run"),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_what_writes_answer_beside_a_run(driver: Driver, phase: str) -> None:
    await fill(driver)
    enter, expected = PHASES[phase]
    for number, write in enumerate(WRITES):
        run = RunAtWork(driver, [await all_of(driver)], run=f"run-{number}")
        await run.write(State())
        await enter(run)
        answer = await write.done(driver)
        assert answer == (write.refused if expected == "is refused" else "done"), write.name
        rescued = {hash_of(each).hex() for each in write.rescued} if expected == "rescues" else set()
        assert await run.rescued() == rescued, write.name
        assert ((await run.read()).phase is Phase.IDLE) == (expected == "ends the run" or phase == "idle")
        await reads_go_on(driver)


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"?", "CollectorStateUnreadable"), (b'{"writers": 2}', "CollectorStateOfNewerEngine")],
)
async def test_a_state_that_no_writer_understands_refuses_all_writes(
    driver: Driver, content: bytes, error: str
) -> None:
    await fill(driver)
    await driver.put(STATE, content)
    before = await all_of(driver)
    for write in WRITES:
        assert await write.done(driver) == error, write.name
        await reads_go_on(driver)
    assert await all_of(driver) == before


async def test_a_subject_that_goes_is_no_fault_of_its_referrer(driver: Driver) -> None:
    await fill(driver)
    referrer = about(IMAGE)
    repository = Registry(driver).repository(NAME)
    run = RunAtWork(driver, [revision(IMAGE)])
    await run.enter(Phase.SEALED)
    await repository.manifests.put(referrer)
    assert await run.rescued() == set()
    run = RunAtWork(driver, [revision(IMAGE)], run="another")
    await run.enter(Phase.CONDEMNED, n=1)
    await Registry(driver).repository(NAME).manifests.put(about(IMAGE, annotations={"a": "b"}))
    assert await run.rescued() == {hash_of(each).hex() for each in revision(IMAGE)}


async def test_a_write_that_fails_rescues_nothing(driver: Driver) -> None:
    await fill(driver)
    run = RunAtWork(driver, [await all_of(driver)])
    await run.enter(Phase.CONDEMNED)
    absent = image(CONFIG, LAYER, b"a layer that is absent")
    failing = [
        Write("", lambda r: r.manifests.put(absent, tag=TAG), [], "VerificationFailed"),
        Write("", lambda r: r.blobs.put(LAYER, digest=Digest.of(b"another")), [], "DigestMismatch"),
        Write("", lambda r: r.tags.set(TAG, Digest.of(IMAGE), expected=Digest.of(NEW)), [], "TagChanged"),
        Write("", lambda r: r.tags.set("new", Digest.of(NEW)), [], "ManifestUnknown"),
        Write("", lambda r: r.blobs.mount(Digest.of(LAYER), OTHER), [], "BlobUnknown"),
    ]
    for write in failing:
        assert await write.done(driver) == write.refused
    assert await run.rescued() == set()


async def test_an_upload_that_is_refused_goes_on_after_the_sweep(driver: Driver) -> None:
    await fill(driver)
    run = RunAtWork(driver, [layer(LAYER)])
    await run.enter(Phase.SWEEPING)
    uploads = Registry(driver).repository(NAME).uploads
    upload = await uploads.start()
    await uploads.append(upload.id, LAYER)
    with pytest.raises(RevstoreError, match="collector"):
        await uploads.finish(upload.id, Digest.of(LAYER))
    state = await run.read()
    await driver.delete_many([CURRENT.key(each) for each in layer(LAYER)])
    await run.write(replace(state, done=1))
    await uploads.finish(upload.id, Digest.of(LAYER))
    await reads_go_on(driver)

"""Uploads: begun, continued by any process, finished, cancelled, purged."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.errors import (
    DigestMismatch,
    InvalidArgument,
    InvalidDigest,
    NotFound,
    RecordDamaged,
    SizeMismatch,
    UploadOffsetMismatch,
    UploadUnknown,
)
from revstore_async.formats import resumable_digest
from tests.parts.suite import pattern
from tests.parts.uploads import content_of, holds, left_of_uploads, pieces, replica_of

Replica = Callable[[], Repository]


@pytest.fixture
async def replica(repository: Repository, driver: Driver, store_url: str) -> AsyncIterator[Replica]:
    """Give the repository as seen by two processes in turn."""
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(Registry(replica_of(driver, store_url)))
        turns = [repository, other.repository(repository.name)]

        def next_one() -> Repository:
            turns.reverse()
            return turns[0]

        yield next_one


@pytest.fixture(params=["small", "large", "mixed", "many small"])
def sizes(request: pytest.FixtureRequest, driver: Driver) -> list[int]:
    part = driver.capabilities.part_size
    kinds = {
        "small": [1, 0, 100, 7],
        "large": [part + 1, part + 70_000],
        "mixed": [10, part + 5, 3, part, 20],
        "many small": [9] * 40,
    }
    return kinds[request.param]


@pytest.mark.parametrize("last", ["all appended", "the last with the end"])
async def test_an_upload_in_pieces_by_alternating_replicas(
    registry: Registry, replica: Replica, sizes: list[int], last: str
) -> None:
    contents = content_of(*sizes)
    ends = contents.pop() if last == "the last with the end" else b""
    whole = b"".join([*contents, ends])
    upload = await replica().uploads.start()
    assert upload.offset == 0
    sent = 0
    for content in contents:
        after = await replica().uploads.append(upload.id, pieces(content), offset=sent, length=len(content))
        sent += len(content)
        assert (after.id, after.offset, after.started) == (upload.id, sent, upload.started)
        assert await replica().uploads.status(upload.id) == after
    descriptor = await replica().uploads.finish(
        upload.id, Digest.of(whole), pieces(ends), offset=sent, length=len(ends)
    )
    assert (descriptor.digest, descriptor.size) == (Digest.of(whole), len(whole))
    assert await holds(replica(), whole)
    assert await left_of_uploads(registry) == []
    with pytest.raises(UploadUnknown):
        await replica().uploads.status(upload.id)
    assert await replica().uploads.finish(upload.id, Digest.of(whole)) == descriptor, "the answer was lost"


@pytest.mark.parametrize("parts", [0.0, 0.1, 1.0, 2.5])
@pytest.mark.parametrize("form", [bytes, pieces])
async def test_an_upload_in_one_piece(
    registry: Registry, repository: Repository, parts: float, form: Callable[[bytes], bytes]
) -> None:
    content = pattern(int(parts * registry.driver.capabilities.part_size))
    upload = await repository.uploads.start()
    descriptor = await repository.uploads.finish(upload.id, Digest.of(content), form(content), offset=0)
    assert descriptor == await repository.blobs.stat(Digest.of(content))
    assert await holds(repository, content)
    assert await left_of_uploads(registry) == []


async def test_content_is_reached_only_through_the_repository_that_it_was_sent_to(registry: Registry) -> None:
    here, elsewhere = registry.repository("here"), registry.repository("elsewhere")
    upload = await here.uploads.start()
    for call in (elsewhere.uploads.status, elsewhere.uploads.cancel):
        with pytest.raises(UploadUnknown) as unknown:
            await call(upload.id)
        assert (unknown.value.repository, unknown.value.id) == ("elsewhere", upload.id)
    with pytest.raises(UploadUnknown):
        await elsewhere.uploads.append(upload.id, b"bytes")
    await here.uploads.finish(upload.id, Digest.of(b"bytes"), b"bytes")
    assert not await elsewhere.blobs.exists(Digest.of(b"bytes"))
    with pytest.raises(UploadUnknown):  # that it is stored does not help who has no link
        await elsewhere.uploads.finish(upload.id, Digest.of(b"bytes"), b"bytes")


# ---- what is wrong


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("before", [b"", b"before"])
async def test_a_wrong_digest_leaves_the_upload_as_it_was(
    registry: Registry, repository: Repository, large: bool, before: bytes
) -> None:
    content = pattern(registry.driver.capabilities.part_size + 1) if large else b"content"
    upload = await repository.uploads.start()
    if before:
        upload = await repository.uploads.append(upload.id, before)
    kept = await left_of_uploads(registry)
    for wrong in (Digest.of(b"other"), Digest.of(b"")):
        with pytest.raises(DigestMismatch) as mismatch:
            await repository.uploads.finish(upload.id, wrong, pieces(content))
        assert mismatch.value.expected == wrong
        assert mismatch.value.actual == Digest.of(before + content)
        assert await repository.uploads.status(upload.id) == upload
        assert await left_of_uploads(registry) == kept
        assert not await registry.blobs.exists(wrong)
    await repository.uploads.finish(upload.id, Digest.of(before + content), pieces(content))
    assert await holds(repository, before + content)


async def test_a_part_of_the_content_has_another_digest(repository: Repository, registry: Registry) -> None:
    """The last bytes may have the digest by themselves; they are not taken for the whole content."""
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, b"before")
    with pytest.raises(DigestMismatch) as mismatch:
        await repository.uploads.finish(upload.id, Digest.of(b"after"), b"after")
    assert mismatch.value.actual == Digest.of(b"beforeafter")
    assert not await repository.blobs.exists(Digest.of(b"after"))
    assert (await repository.uploads.status(upload.id)).offset == len(b"before")


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("wrong", [0, 4, 1 << 40])
async def test_a_wrong_offset_is_told_and_keeps_nothing(
    registry: Registry, repository: Repository, large: bool, wrong: int
) -> None:
    content = pattern(registry.driver.capabilities.part_size + 1) if large else b"content"
    upload = await repository.uploads.start()
    upload = await repository.uploads.append(upload.id, b"before")
    kept = await left_of_uploads(registry)
    calls = [
        repository.uploads.append(upload.id, pieces(content), offset=wrong),
        repository.uploads.finish(upload.id, Digest.of(b"before" + content), pieces(content), offset=wrong),
    ]
    for call in calls:
        with pytest.raises(UploadOffsetMismatch) as mismatch:
            await call
        assert (mismatch.value.id, mismatch.value.offset, mismatch.value.actual) == (upload.id, wrong, 6)
    assert await repository.uploads.status(upload.id) == upload
    assert await left_of_uploads(registry) == kept


async def test_a_wrong_offset_is_told_before_the_content_is_read(repository: Repository) -> None:
    upload = await repository.uploads.start()
    asked = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x"
            await asyncio.sleep(0.01)

    async with asyncio.timeout(30):
        with pytest.raises(UploadOffsetMismatch):
            await repository.uploads.append(upload.id, slow(), offset=1)
        with pytest.raises(UploadUnknown):
            await repository.uploads.append("00000000-0000-4000-8000-000000000000", slow())
    assert asked < 2000


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("lie", [-1, 1])
async def test_a_wrong_length_is_told_and_keeps_nothing(
    registry: Registry, repository: Repository, large: bool, lie: int
) -> None:
    content = pattern(registry.driver.capabilities.part_size + 70_000) if large else b"content"
    upload = await repository.uploads.start()
    upload = await repository.uploads.append(upload.id, b"before")
    kept = await left_of_uploads(registry)
    said, digest = len(content) + lie, Digest.of(b"before" + content)
    for form in (bytes, pieces):
        calls = [
            lambda form=form: repository.uploads.append(upload.id, form(content), length=said),
            lambda form=form: repository.uploads.finish(upload.id, digest, form(content), length=said),
            lambda form=form: repository.blobs.put(form(content), digest=Digest.of(content), length=said),
        ]
        for call in calls:
            with pytest.raises(SizeMismatch) as mismatch:
                await call()
            assert mismatch.value.expected == said
            assert (mismatch.value.actual > said) == (lie < 0)
    assert await repository.uploads.status(upload.id) == upload
    assert await left_of_uploads(registry) == kept
    assert not await registry.blobs.exists(Digest.of(content))


@pytest.mark.parametrize(
    "bad",
    ["", "x", "..", "../..", "a/b", "0" * 36, "00000000-0000-1000-8000-000000000000", "état", "A" * 5000],
)
async def test_an_id_of_another_form_is_no_upload(repository: Repository, bad: str) -> None:
    for call in (
        repository.uploads.status(bad),
        repository.uploads.append(bad, b"content"),
        repository.uploads.append(bad, b""),
        repository.uploads.finish(bad, Digest.of(b"content")),
        repository.uploads.cancel(bad),
    ):
        with pytest.raises(UploadUnknown):
            await call


async def test_a_digest_that_can_not_be_computed(repository: Repository) -> None:
    upload = await repository.uploads.start()
    with pytest.raises(InvalidDigest):
        await repository.uploads.finish(upload.id, Digest("tarsum.v1+sha256:" + "0" * 64), b"content")
    for algorithm in ("md5", "tarsum+sha256", ""):
        with pytest.raises(InvalidDigest):
            await repository.uploads.start(algorithm=algorithm)


async def test_a_state_that_is_damaged_is_named(registry: Registry, repository: Repository) -> None:
    upload = await repository.uploads.start()
    (key,) = await left_of_uploads(registry)
    for damage in (b"", b"[]", b"null", b"{}", b'{"version":2}', b"\xff", bytes(17 << 20)):
        await registry.driver.put(key, damage)
        with pytest.raises(RecordDamaged) as damaged:
            await repository.uploads.status(upload.id)
        assert damaged.value.key == key
    assert await registry.purge_uploads(timedelta(0)) == 1
    assert await left_of_uploads(registry) == []


# ---- other algorithms, other Pythons


@pytest.mark.parametrize("tracked", ["sha256", "sha512"])
@pytest.mark.parametrize("named", ["sha256", "sha384", "sha512"])
async def test_the_algorithm_may_be_another_one_than_was_tracked(
    repository: Repository, tracked: str, named: str
) -> None:
    upload = await repository.uploads.start(algorithm=tracked)
    assert upload.algorithm == tracked
    for content in (b"one", b"two"):
        upload = await repository.uploads.append(upload.id, content)
    assert upload.algorithm == tracked
    await repository.uploads.finish(upload.id, Digest.of(b"onetwothree", named), b"three")
    assert await holds(repository, b"onetwothree", named)


async def test_a_python_that_can_not_hand_on_a_digest_takes_part(
    repository: Repository, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = registry.driver.capabilities.part_size
    contents = content_of(10, part + 1, 5, 7, 3)
    whole = b"".join(contents)
    for lacking in [{0}, {1}, {4}, {5}, {0, 1, 2, 3, 4, 5}, {1, 3, 5}]:
        upload = await repository.uploads.start()
        for turn, content in enumerate([*contents, b""]):
            with monkeypatch.context() as patch:
                if turn in lacking:
                    patch.setattr(resumable_digest, "_functions", lambda _algorithm: None)
                if turn < len(contents):
                    await repository.uploads.append(upload.id, content)
                    continue
                with pytest.raises(DigestMismatch) as mismatch:
                    await repository.uploads.finish(upload.id, Digest.of(b"other"))
                assert mismatch.value.actual == Digest.of(whole)
                await repository.uploads.finish(upload.id, Digest.of(whole))
        assert await holds(repository, whole)
        await repository.blobs.delete(Digest.of(whole))


# ---- cancelled and forgotten


async def test_a_cancelled_upload_is_gone(registry: Registry, repository: Repository) -> None:
    part = registry.driver.capabilities.part_size
    upload = await repository.uploads.start()
    for content in content_of(10, part + 1):
        await repository.uploads.append(upload.id, content)
    await repository.uploads.cancel(upload.id)
    assert await left_of_uploads(registry) == []
    for call in (
        repository.uploads.status(upload.id),
        repository.uploads.cancel(upload.id),
        repository.uploads.append(upload.id, b"more"),
        repository.uploads.finish(upload.id, Digest.of(b"more")),
        repository.uploads.finish(upload.id, Digest.of(b"more"), b"more"),
    ):
        with pytest.raises(NotFound):
            await call
    assert await left_of_uploads(registry) == []


async def test_abandoned_uploads_of_all_repositories_are_purged_by_age(
    registry: Registry,
) -> None:
    pause = 1.2 * registry.driver.capabilities.time_resolution.total_seconds() + 0.01
    names = ["a", "a/b", "library/hello"]
    old = [(name, await registry.repository(name).uploads.start()) for name in names]
    for name, upload in old:
        await registry.repository(name).uploads.append(upload.id, b"old bytes")
    _, gone_on_with = old[0]
    await asyncio.sleep(pause)
    middle = datetime.now(UTC)
    await asyncio.sleep(pause)
    await registry.repository("a").uploads.append(gone_on_with.id, b"new bytes")
    young = await registry.repository("b").uploads.start()

    assert await registry.purge_uploads(timedelta(hours=1)) == 0
    assert await registry.purge_uploads(datetime.now(UTC) - middle) == 2
    for name, upload in old[1:]:
        with pytest.raises(UploadUnknown):
            await registry.repository(name).uploads.status(upload.id)
    assert (await registry.repository("a").uploads.status(gone_on_with.id)).offset == 18
    assert await registry.repository("b").uploads.status(young.id) == young
    assert len(await left_of_uploads(registry)) == 2 + 1 + 1


async def test_leftovers_of_killed_calls_are_purged(registry: Registry, repository: Repository) -> None:
    upload = await repository.uploads.start()
    (state,) = await left_of_uploads(registry)
    folder = state.removesuffix("/state")
    await registry.driver.put(f"{folder}/segments/0123456789abcdef", b"bytes that no state names")
    await registry.driver.delete(state)
    assert await registry.purge_uploads(timedelta(hours=1)) == 0
    assert await registry.purge_uploads(timedelta(0)) == 1
    assert await left_of_uploads(registry) == []
    with pytest.raises(UploadUnknown):
        await repository.uploads.status(upload.id)
    with pytest.raises(InvalidArgument):
        await registry.purge_uploads(timedelta(seconds=-1))


async def test_an_upload_is_no_repository(registry: Registry) -> None:
    upload = await registry.repository("only/uploads").uploads.start()
    await registry.repository("only/uploads").uploads.append(upload.id, b"bytes")
    assert [name async for name in registry.repositories()] == []
    assert not await registry.repository("only/uploads").exists()

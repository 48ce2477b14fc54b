"""A clean-up that fails is not the failure of the operation: it is told as done, a purge takes the rest."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from revstore_async import Digest, Policy, Registry
from revstore_async.driver import Driver, DriverWrapper, IfMatch
from revstore_async.errors import (
    AccessDenied,
    RevstoreError,
    TagUnknown,
    Unavailable,
    Unsupported,
    UploadUnknown,
)
from revstore_async.registry import Repository
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.parts.documents import image

NAME = "library/hello"
LAYER = b"layer" * 10
D = Digest.of(LAYER)


class RefusesDeletions(DriverWrapper):
    """A store that refuses deletions as it likes; those of the objects that a caller asked to delete go well."""

    def __init__(self, inner: Driver, error: RevstoreError) -> None:
        super().__init__(inner)
        self.error = error
        self.refused = 0
        self.spared = ""

    def _judge(self, key: str) -> None:
        if not self.spared or not key.endswith(self.spared):
            self.refused += 1
            raise self.error

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        self._judge(key)
        await self.inner.delete(key, condition=condition, until=until)

    async def delete_many(self, keys: object, *, until: datetime | None = None) -> None:
        self._judge("")

    async def delete_prefix(self, prefix: str) -> None:
        self._judge("")


async def finish_at_once(repository: Repository, _: RefusesDeletions) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.finish(upload.id, D, LAYER)
    assert await repository.blobs.exists(D)


async def finish_after_chunks(repository: Repository, _: RefusesDeletions) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, LAYER[:7])
    await repository.uploads.finish(upload.id, D, LAYER[7:])
    assert await repository.blobs.exists(D)


async def append_many_chunks(repository: Repository, _: RefusesDeletions) -> None:
    upload = await repository.uploads.start()
    for first in range(400):
        await repository.uploads.append(upload.id, b"%d" % (first % 10))
    assert (await repository.uploads.status(upload.id)).offset == 400


async def delete_a_tag(repository: Repository, driver: RefusesDeletions) -> None:
    await repository.manifests.put(image(b"{}"), tag="latest")
    driver.spared = "current/link"
    await repository.tags.delete("latest")
    with pytest.raises(TagUnknown):
        await repository.tags.resolve("latest")
    assert [info.tag async for info in repository.tags] == []


async def cancel_an_upload(repository: Repository, driver: RefusesDeletions) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, LAYER)
    driver.spared = "state"
    await repository.uploads.cancel(upload.id)
    with pytest.raises(UploadUnknown):
        await repository.uploads.status(upload.id)


OPERATIONS: list[Callable[[Repository, RefusesDeletions], Awaitable[None]]] = [
    finish_at_once,
    finish_after_chunks,
    append_many_chunks,
    delete_a_tag,
    cancel_an_upload,
]
ERRORS = [
    Unsupported("s3", "a request: MissingContentMD5"),
    AccessDenied("key", "deletions are not allowed"),
    Unavailable("key", "injected"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_a_done_call_succeeds_though_its_clean_up_fails(
    operation: Callable[[Repository, RefusesDeletions], Awaitable[None]], error: RevstoreError
):
    memory = MemoryDriver()
    async with RefusesDeletions(memory, error) as driver:
        registry = Registry(driver, policy=Policy(check_layers=False))
        await operation(registry.repository(NAME), driver)
        assert driver.refused, "nothing was to be cleaned up"
        purged = Registry(memory, policy=Policy(check_layers=False))
        await purged.purge_uploads(timedelta(0))
        uploads = f"docker/registry/revstore/uploads/{NAME}"
        assert not (await memory.list_all(uploads)).entries, "a purge does not find what is left"


async def test_an_operations_own_deletion_is_told_where_it_fails():
    script = Script(Rule("delete", Fault.BEFORE, nth=0))
    async with FaultsDriver(MemoryDriver(), script) as driver:
        repository = Registry(driver, policy=Policy(check_layers=False)).repository(NAME)
        await repository.manifests.put(image(b"{}"), tag="latest")
        with pytest.raises(Unavailable):
            await repository.tags.delete("latest")
        await repository.tags.resolve("latest")

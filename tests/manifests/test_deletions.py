"""A deletion of a manifest beside a put of the same: the manifest is whole afterwards, or gone."""

import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import pytest

from revstore_async import Digest, Registry, Repository, sign
from revstore_async.driver import IfMatch
from revstore_async.errors import ManifestUnknown
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import key, schema1, signed

PAYLOAD = schema1(Digest.of(b"layer"))
ODD, TYPE = b'{"some": "thing"}', "application/vnd.example+json"
LISTED = b'{"mediaType": "application/vnd.example+json"}'
SIGNED, SIGNATURES = signed(PAYLOAD, 0, 1), [sign(LISTED, key(host)) for host in range(2)]


class Interrupted(MemoryDriver):
    """A store that does something before the deletion of that number."""

    act: Callable[[], Awaitable[object]] | None = None
    number = -1
    deletions = 0

    async def _step(self) -> None:
        if self.act is not None and self.deletions == self.number:
            act, self.act = self.act, None
            await act()
        self.deletions += 1

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        await self._step()
        await super().delete(key, condition=condition, until=until)

    async def delete_many(self, keys: object, *, until: datetime | None = None) -> None:
        await self._step()
        await super().delete_many(keys, until=until)  # type: ignore[arg-type]


async def put_signed(repository: Repository) -> Digest:
    return (await repository.manifests.put(SIGNED, check_layers=False)).digest


async def put_typed(repository: Repository) -> Digest:
    return (await repository.manifests.put(ODD, media_type=TYPE)).digest


async def put_listed(repository: Repository) -> Digest:
    return await repository.revisions.put(LISTED, SIGNATURES)


@pytest.mark.parametrize("put", [put_signed, put_typed, put_listed])
async def test_a_put_between_the_steps_of_a_deletion_is_never_there_by_half(
    put: Callable[[Repository], Awaitable[Digest]],
) -> None:
    for number in itertools.count():
        driver = Interrupted()
        async with Registry(driver, cache_size=0) as registry:
            repository = registry.repository("library/hello")
            digest = await put(repository)
            whole = await repository.manifests.get(digest)
            driver.number, driver.act, driver.deletions = number, partial(put, repository), 0
            await repository.revisions.delete(digest)
            if driver.deletions <= number:
                break
            with suppress(ManifestUnknown):
                found = await repository.manifests.get(digest)
                assert found.media_type == whole.media_type, f"put before deletion {number}"
                assert found.signatures == whole.signatures, f"put before deletion {number}"
            # Nothing of the first is in the way of a later one.
            await repository.revisions.delete(digest)
            await put(repository)
            assert (await repository.manifests.get(digest)).signatures == whole.signatures
    assert number >= 3


async def test_no_reader_sees_a_manifest_that_is_half_deleted() -> None:
    for put in (put_signed, put_typed, put_listed):
        driver = Interrupted()
        async with Registry(driver, cache_size=0) as registry:
            repository = registry.repository("library/hello")
            digest = await put(repository)
            whole = await repository.manifests.get(digest)
            seen: list[object] = []

            async def look() -> None:
                try:
                    seen.append(await repository.manifests.get(digest))  # noqa: B023
                except ManifestUnknown:
                    seen.append(None)  # noqa: B023

            for number in range(3):
                await put(repository)
                driver.number, driver.act, driver.deletions = number, look, 0
                await repository.revisions.delete(digest)
            assert seen == [whole, None, None]

"""How long a writer of a tag waits for another one that died, on a store that doesn't tell equal links apart."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import CURRENT, Digest, Driver, Registry, Repository
from revstore_async.formats.names import Tag
from revstore_async.layout import TagClaim, TagDeleted, TagReplaced
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import schema1
from tests.parts.lacking import WithoutConditionalDelete

PAYLOADS = [schema1(Digest.of(b"layer"), number=number) for number in range(3)]
A, B, C = map(Digest.of, PAYLOADS)
TAG, EPOCH = Tag("latest"), datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = MemoryDriver().capabilities.metadata_timeout.total_seconds()

Change = TagReplaced | TagDeleted
Dying = Callable[[Repository, Driver, Change], Awaitable[object]]


async def claim(repository: Repository, driver: Driver, change: Change) -> None:
    key = CURRENT.key(TagClaim(repository.name, TAG, change.sequence))
    await driver.put(key, f"{CURRENT.key(change)} nonce".encode())


async def claim_and_record(repository: Repository, driver: Driver, change: Change) -> None:
    await claim(repository, driver, change)
    await driver.put(CURRENT.key(change), b"")


async def give_back(repository: Repository, driver: Driver, change: Change) -> None:
    await driver.put(CURRENT.key(TagClaim(repository.name, TAG, change.sequence)), b"")


async def set_beside(seen: Digest, successor: Digest | None, die: Dying, given: Digest, late: float) -> float:
    """Return how long it takes to move a tag, from B, after another writer that saw the tag before died."""
    loop = asyncio.get_running_loop()
    driver = WithoutConditionalDelete(MemoryDriver(clock=lambda: EPOCH + timedelta(seconds=loop.time())))
    async with Registry(driver) as registry:
        repository = registry.repository("library/hello")
        for payload in PAYLOADS:
            await repository.revisions.put(payload)
        for digest in (A, B):
            await repository.tags.set(TAG, digest)
        about = (repository.name, TAG, 2, EPOCH, seen)
        await die(
            repository, driver, TagDeleted(*about) if successor is None else TagReplaced(*about, successor)
        )
        await asyncio.sleep(late)
        began = loop.time()
        await repository.tags.set(TAG, given)
        assert [event.digest for event in await repository.tags.history(TAG)] == [A, B, given]
        return loop.time() - began


@pytest.mark.parametrize("successor", [C, None], ids=["a switch", "a deletion"])
@pytest.mark.parametrize("die", [claim, claim_and_record])
def test_a_writer_waits_for_one_that_would_take_its_link_for_an_older_one(
    die: Dying, successor: Digest | None
) -> None:
    took = run_on_virtual_clock(set_beside(A, successor, die, given=A, late=0))
    assert PATIENCE <= took <= PATIENCE + 1


@pytest.mark.parametrize(
    ("seen", "die", "given", "late"),
    [
        pytest.param(A, claim_and_record, C, 0, id="it gives another revision"),
        pytest.param(B, claim_and_record, A, 0, id="the other writer saw another revision"),
        pytest.param(B, claim, A, 0, id="so does the claim tell of a record to come"),
        pytest.param(A, give_back, A, 0, id="the other writer gave its number back"),
        pytest.param(A, claim_and_record, A, 100, id="the other writer's time is over"),
    ],
)
def test_a_writer_waits_for_no_other(seen: Digest, die: Dying, given: Digest, late: float) -> None:
    assert run_on_virtual_clock(set_beside(seen, C, die, given, late)) == 0

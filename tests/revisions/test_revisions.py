"""Manifests by digest, each with all its signatures."""

import asyncio

import pytest

from revstore_async import Digest, Driver, Registry, Repository, sign
from revstore_async.errors import (
    BlobDamaged,
    ChainWithoutKeyID,
    LinkDamaged,
    LinkDangling,
    ManifestUnknown,
    ObjectTooLarge,
    RecordDamaged,
    SignatureMismatch,
    TooManySignatures,
)
from revstore_async.formats.descriptors import MANIFEST_LIMIT
from revstore_async.layout import CURRENT, RevisionLink, SignatureLink
from revstore_async.revisions.revision import RevisionWrite
from revstore_async.signatures import SIGNATURE_LIMIT, Signature
from revstore_drivers.wrappers.tracing import TracingDriver
from tests.parts.documents import key, schema1, without_key_id
from tests.parts.vectors import chained_key

PAYLOAD = schema1(Digest.of(b"layer"))
DIGEST = Digest.of(PAYLOAD)
UNTYPED = b'{"some": "thing"}'


def signatures(*hosts: int) -> list[Signature]:
    return [sign(PAYLOAD, key(host)) for host in hosts]


async def test_an_unsigned_payload_is_a_revision(repository: Repository) -> None:
    assert not await repository.revisions.exists(DIGEST)
    assert await repository.revisions.put(PAYLOAD) == DIGEST
    assert await repository.revisions.exists(DIGEST)
    revision = await repository.revisions.get(DIGEST)
    assert (revision.digest, revision.payload, revision.signatures) == (DIGEST, PAYLOAD, ())
    assert await repository.revisions.signatures(DIGEST) == ()


async def test_signatures_add_up_in_any_order(registry: Registry) -> None:
    expected = None
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        repository = registry.repository("order-" + "-".join(map(str, order)))
        signed = signatures(0, 1, 2)
        if expected is None:
            expected = tuple(sorted(signed, key=lambda signature: signature.kid))
            kept = signed
        for host in order:
            await repository.revisions.put(PAYLOAD, [kept[host]])
            await repository.revisions.put(PAYLOAD, [kept[host]])  # again: nothing changes
        assert (await repository.revisions.get(DIGEST)).signatures == expected
        assert await repository.revisions.signatures(DIGEST) == expected


async def test_signatures_are_added_later_to_a_stored_revision(repository: Repository) -> None:
    await repository.revisions.put(PAYLOAD)
    added = signatures(0, 1)
    await repository.revisions.add_signatures(DIGEST, added)
    assert set(await repository.revisions.signatures(DIGEST)) == set(added)
    with pytest.raises(ManifestUnknown):
        await repository.revisions.add_signatures(Digest.of(b"absent"), added)


async def test_a_signature_of_another_payload_is_refused_and_nothing_is_written(
    repository: Repository, driver: Driver
) -> None:
    with pytest.raises(SignatureMismatch):
        await repository.revisions.put(PAYLOAD, [*signatures(1), foreign()])
    assert (await driver.list_all()).entries == ()
    await repository.revisions.put(PAYLOAD)
    before = (await driver.list_all()).entries
    with pytest.raises(SignatureMismatch):
        await repository.revisions.add_signatures(DIGEST, [foreign()])
    assert (await driver.list_all()).entries == before


def foreign() -> Signature:
    """Return a good signature of another payload with the cut of PAYLOAD, so that only the key can tell."""
    same = schema1(Digest.of(b"LAYER"))
    assert len(same) == len(PAYLOAD)
    return sign(same, key(0))


async def test_revisions_are_a_repositorys_own(registry: Registry) -> None:
    await registry.repository("here").revisions.put(PAYLOAD, signatures(0))
    with pytest.raises(ManifestUnknown) as unknown:
        await registry.repository("elsewhere").revisions.get(DIGEST)
    assert (unknown.value.repository, unknown.value.digest) == ("elsewhere", DIGEST)
    with pytest.raises(ManifestUnknown):
        await registry.repository("elsewhere").revisions.signatures(DIGEST)


async def test_link_makes_stored_content_a_revision(registry: Registry) -> None:
    await registry.blobs.put(PAYLOAD)
    repository = registry.repository("elsewhere")
    await repository.revisions.writer.link(RevisionWrite(DIGEST))
    assert (await repository.revisions.get(DIGEST)).payload == PAYLOAD


async def test_enumerate(repository: Repository) -> None:
    payloads = [schema1(Digest.of(b"layer"), number=number) for number in range(5)]
    for payload in payloads:
        await repository.revisions.put(payload, [sign(payload, key(0))])
    found = [info.digest async for info in repository.revisions.enumerate()]
    assert found == sorted(map(Digest.of, payloads))


async def test_delete(repository: Repository, driver: Driver) -> None:
    await repository.revisions.put(PAYLOAD, signatures(0, 1))
    untyped = await repository.revisions.put(UNTYPED, media_type="application/vnd.example+json")
    for digest in (DIGEST, DIGEST, untyped, untyped):
        await repository.revisions.delete(digest)
    assert not await repository.revisions.exists(DIGEST)
    assert (await driver.list_all(CURRENT.repositories)).entries == ()
    await repository.revisions.put(PAYLOAD)
    assert await repository.revisions.signatures(DIGEST) == ()


async def test_the_media_type_is_kept_where_nothing_else_tells_it(repository: Repository) -> None:
    digest = await repository.revisions.put(UNTYPED)
    assert await repository.revisions.media_type(digest) is None
    await repository.revisions.put(UNTYPED, media_type="application/vnd.example+json")
    assert await repository.revisions.media_type(digest) == "application/vnd.example+json"
    await repository.revisions.put(PAYLOAD, media_type="application/vnd.example+json")
    assert await repository.revisions.media_type(DIGEST) is None


@pytest.mark.parametrize("count", [1, 500])
async def test_many_signatures(registry: Registry, count: int) -> None:
    """Signed by one key again and again: ECDSA gives another signature each time."""
    repository = registry.repository("library/hello")
    signed = [sign(PAYLOAD, key(0)) for _ in range(count)]
    await repository.revisions.put(PAYLOAD, signed)
    assert set((await repository.revisions.get(DIGEST)).signatures) == set(signed)


async def test_no_more_signatures_than_a_document_holds(registry: Registry, driver: Driver) -> None:
    repository = registry.repository("library/hello")
    await repository.revisions.put(PAYLOAD)
    for number in range(SIGNATURE_LIMIT):
        place = SignatureLink(repository.name, DIGEST, Digest.of(str(number).encode()))
        await driver.put(CURRENT.key(place), place.digest.encode())
    with pytest.raises(TooManySignatures):
        await repository.revisions.add_signatures(DIGEST, signatures(0))


async def test_a_chain_without_a_key_id_is_not_added_to_others(repository: Repository) -> None:
    chain_only = without_key_id(sign(PAYLOAD, chained_key("ec256")))
    await repository.revisions.put(PAYLOAD, signatures(0))
    with pytest.raises(ChainWithoutKeyID):
        await repository.revisions.put(PAYLOAD, [chain_only])


# ---- damage


async def test_damage_is_named(driver: Driver) -> None:
    registry = Registry(driver, cache_size=0)  # what is kept is served whatever the store holds
    repository = registry.repository("library/hello")
    signed = signatures(0)
    await repository.revisions.put(PAYLOAD, signed)
    link = CURRENT.key(RevisionLink(repository.name, DIGEST))
    blob = Digest.of(signed[0].blob)
    signature_link = CURRENT.key(SignatureLink(repository.name, DIGEST, blob))

    await driver.put(link, Digest.of(b"another").encode())
    with pytest.raises(LinkDamaged) as damaged:
        await repository.revisions.get(DIGEST)
    assert damaged.value.key == link

    await repository.revisions.put(PAYLOAD)
    await driver.put(registry.blobs.path(blob), b"{}")
    with pytest.raises(BlobDamaged) as blob_damaged:
        await repository.revisions.get(DIGEST)
    assert blob_damaged.value.digest == blob

    await driver.delete(registry.blobs.path(blob))
    with pytest.raises(LinkDangling) as dangling:
        await repository.revisions.get(DIGEST)
    assert (dangling.value.key, dangling.value.digest) == (signature_link, blob)

    await repository.revisions.put(PAYLOAD, signed)
    await driver.delete(registry.blobs.path(DIGEST))
    with pytest.raises(LinkDangling) as dangling:
        await repository.revisions.get(DIGEST)
    assert (dangling.value.key, dangling.value.digest) == (link, DIGEST)
    assert not await repository.revisions.exists(DIGEST)

    await repository.revisions.put(PAYLOAD, signed)
    assert (await repository.revisions.get(DIGEST)).signatures == tuple(signed)


async def test_a_blob_linked_as_a_signature_must_be_one(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await repository.revisions.put(PAYLOAD)
    stranger = (await registry.blobs.put(b'{"not": "a signature"}')).digest
    key = CURRENT.key(SignatureLink(repository.name, DIGEST, stranger))
    await driver.put(key, stranger.encode())
    with pytest.raises(RecordDamaged) as damaged:
        await repository.revisions.get(DIGEST)
    assert damaged.value.key == key


async def test_content_over_the_limit_is_told_only_with_a_link(registry: Registry) -> None:
    layer = b"x" * (MANIFEST_LIMIT + 1)
    digest = (await registry.blobs.put(layer)).digest
    repository = registry.repository("library/hello")
    with pytest.raises(ManifestUnknown):
        await repository.revisions.get(digest)
    await repository.revisions.writer.link(RevisionWrite(digest))
    with pytest.raises(ObjectTooLarge):
        await repository.revisions.get(digest)


# ---- fan-out


async def test_signatures_are_read_together_and_siblings_end_when_one_fails(store_url: str) -> None:
    async with Registry.open(store_url) as registry:
        repository = registry.repository("library/hello")
        signed = signatures(*range(8))
        await repository.revisions.put(PAYLOAD, signed)
        await registry.driver.delete(registry.blobs.path(Digest.of(signed[3].blob)))
        tracing = TracingDriver(registry.driver)
        traced = Registry(tracing).repository("library/hello")
        before = asyncio.all_tasks()
        with pytest.raises(LinkDangling):
            await traced.revisions.get(DIGEST)
        assert asyncio.all_tasks() == before

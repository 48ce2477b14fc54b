"""A program learns by which chains content is kept, or since when nothing keeps it."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Registry, Repository
from revstore_async.collector import Reasons, Retention, chains
from revstore_async.collector.survey import Kind
from revstore_async.errors import BlobUnknown, InvalidArgument, InvalidDigest
from revstore_drivers.memory import MemoryDriver, MemoryStore
from tests.parts.documents import image, index, schema1, signed

CONFIG, LAYER = b"{}", b"a layer"
IMAGES = [image(CONFIG, LAYER, annotations={"number": str(number)}) for number in range(2)]
INDEX = index(*IMAGES)


async def put(repository: Repository, document: bytes, *tags: str) -> Digest:
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    return (await repository.manifests.put(document, tags=tags)).digest


def told(reasons: Reasons) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(each.repository, each.root, each.digests) for each in reasons.chains]


async def test_each_chain_from_each_root_is_told(registry: Registry, repository: Repository) -> None:
    first, second = [await put(repository, document) for document in IMAGES]
    whole = (await repository.manifests.put(INDEX, tags=["latest", "v1"])).digest
    await put(registry.repository("other"), IMAGES[0], "mine")
    layer = Digest.of(LAYER)
    reasons = await registry.collector.why(layer)
    assert told(reasons) == [
        *(
            ("library/hello", f"tag {tag}: no rule names it", (whole, child, layer))
            for child in sorted([first, second])
            for tag in ("latest", "v1")
        ),
        ("other", "tag mine: no rule names it", (first, layer)),
    ]
    assert (reasons.kept, reasons.more, reasons.since, reasons.size) == (True, 0, None, len(LAYER))
    assert told(await registry.collector.why(whole))[1:] == [
        ("library/hello", "tag v1: no rule names it", (whole,))
    ]


async def test_untagged_manifests_and_pins_are_roots(registry: Registry, repository: Repository) -> None:
    digest = await put(repository, IMAGES[0])
    assert told(await registry.collector.why(digest)) == [
        ("library/hello", "untagged: no rule names it", (digest,))
    ]
    rules = 'history = "0s"\n[[rule]]\nuntagged = true\nexpire = true\n'
    pinned = await registry.collector.why(digest, Retention.parse(f'pinned = ["{digest}"]\n{rules}'))
    assert told(pinned) == [("library/hello", "it is pinned", (digest,))]
    assert not (await registry.collector.why(digest, Retention.parse(rules))).kept


async def test_signatures_and_referrers_follow_their_manifest(
    registry: Registry, repository: Repository
) -> None:
    payload = schema1((await repository.blobs.put(LAYER)).digest)
    manifest = (await repository.manifests.put(signed(payload, 1), tag="latest")).digest
    signature = Digest.of((await repository.manifests.get(manifest)).signatures[0].blob)
    assert told(await registry.collector.why(signature)) == [
        ("library/hello", "tag latest: no rule names it", (manifest, signature))
    ]
    about = {"mediaType": "a/b", "digest": manifest, "size": 1}
    referrer = await put(repository, image(CONFIG, LAYER, subject=about))
    found = told(await registry.collector.why(referrer))
    assert ("library/hello", "tag latest: no rule names it", (manifest, referrer)) in found


async def test_content_that_nothing_keeps_tells_the_time_of_the_last_record() -> None:
    store, now = MemoryStore(), datetime(2026, 1, 1, tzinfo=UTC)
    async with Registry(MemoryDriver(store, clock=lambda: now)) as registry:
        repository = registry.repository("library/hello")
        digest = await put(repository, IMAGES[0], "latest")
        now += timedelta(days=10)
        deleted = now
        await repository.manifests.delete(digest)
        now += timedelta(hours=1)
        reasons = await registry.collector.why(Digest.of(LAYER))
        assert (reasons.kept, reasons.chains, reasons.since) == (False, [], deleted)
        assert not reasons.young  # the layer and its link are older than a day
        now += timedelta(days=1)
        lone = (await registry.blobs.put(b"left")).digest
        reasons = await registry.collector.why(lone)
        assert (reasons.since, reasons.young) == (now, True)


async def test_a_digest_is_kept_if_and_only_if_a_run_leaves_it(
    registry: Registry, repository: Repository
) -> None:
    await put(repository, IMAGES[0])
    await put(repository, IMAGES[1])
    await repository.manifests.put(INDEX, tags=["old", "sha256-" + "a" * 64])
    await put(registry.repository("other"), image(CONFIG), "new")
    await repository.manifests.delete(Digest.of(IMAGES[1]))
    await repository.blobs.put(b"nothing refers to it")
    rules = Retention.parse(
        'history = "0s"\n[[rule]]\ntags = ["old", "sha*"]\nexpire = true\n[[rule]]\nuntagged = true\nexpire = true'
    )
    plan = await registry.collector.plan(rules, offline=True)
    going = {each.digest for each in plan.going(Kind.BLOB)}
    plan.close()
    stored = {each.digest async for each in registry.blobs.enumerate()}
    assert going
    assert stored - going
    for digest in stored:
        assert (await registry.collector.why(digest, rules)).kept == (digest not in going)


async def test_many_chains_are_counted(
    registry: Registry, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "COUNTED", 3)
    digest = await put(repository, IMAGES[0], *(f"v{number}" for number in range(10)))
    reasons = await registry.collector.why(digest, limit=8)
    assert (len(reasons.chains), reasons.more) == (8, 2)
    reasons = await registry.collector.why(digest, limit=1)
    assert (len(reasons.chains), reasons.more) == (1, 3)


async def test_a_chain_is_told_where_there_are_too_many_to_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "_STEPS", 1)
    async with Registry.open("memory:") as registry:
        repository = registry.repository("library/hello")
        child = await put(repository, IMAGES[0])
        await put(repository, IMAGES[1])
        whole = (await repository.manifests.put(INDEX, tag="latest")).digest
        found = told(await registry.collector.why(child))
        assert found == [("library/hello", "tag latest: no rule names it", (whole, child))]


async def test_what_is_asked_wrongly_is_refused(registry: Registry, repository: Repository) -> None:
    with pytest.raises(BlobUnknown, match="is not known in the store"):
        await registry.collector.why(Digest.of(b"never stored"))
    with pytest.raises(InvalidDigest):
        await registry.collector.why("latest")
    with pytest.raises(InvalidArgument, match="limit"):
        await registry.collector.why(Digest.of(LAYER), limit=0)

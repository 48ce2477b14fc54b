"""A program deletes a repository with all that is in it."""

import asyncio

import pytest

from revstore_async import Digest, Policy, Registry, Repository
from revstore_async.driver import Driver
from revstore_async.errors import BlobUnknown, ManifestUnknown, RepositoryUnknown, TagImmutable, WrongType
from revstore_async.repository_deletion import DeletionProgress
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import DOCKER_SCHEMA2, image, index, schema1, signed

CONFIG, LAYER = b"{}", b"a layer"
IMAGE = image(CONFIG, LAYER)


async def fill(repository: Repository) -> None:
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    await repository.manifests.put(IMAGE, tags=["image", "old"])
    await repository.manifests.put(index(IMAGE), tags=["latest"])
    await repository.tags.set("old", Digest.of(index(IMAGE)))
    payload = schema1(Digest.of(LAYER), name=repository.name)
    await repository.manifests.put(signed(payload, 1, 2), tag="latest")
    about = {"mediaType": "a/b", "digest": Digest.of(IMAGE), "size": len(IMAGE)}
    await repository.manifests.put(image(CONFIG, LAYER, subject=about))
    silent = image(CONFIG, LAYER, media_type=None, annotations={"a": "b"})
    await repository.manifests.put(silent, media_type=DOCKER_SCHEMA2)
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, b"half of a layer")


async def keys(driver: Driver, part: str) -> list[str]:
    return [info.key for info in (await driver.list_all()).entries if part in info.key]


async def test_nothing_of_it_is_left_but_content_and_histories(registry: Registry, driver: Driver) -> None:
    repository = registry.repository("team/app")
    await fill(repository)
    event = (await repository.tags.history("old"))[0]
    # The deletion has a later time than the tag, also on a store with times of whole seconds.
    await asyncio.sleep(driver.capabilities.time_resolution.total_seconds())
    progress = DeletionProgress()
    await repository.delete(progress=progress)
    assert str(progress) == "deleted: 3 tags, 5 manifests, 1 uploads, 2 other keys"
    assert {key.split("/")[3] for key in await keys(driver, "team/app/")} == {"history"}
    assert not await repository.exists()
    assert [name async for name in registry.repositories()] == []
    with pytest.raises(BlobUnknown):
        await repository.blobs.get(Digest.of(LAYER))
    with pytest.raises(ManifestUnknown):  # the history is there, the manifest is not
        await repository.tags.restore("old", event.since)
    assert await registry.blobs.get(Digest.of(LAYER)) == LAYER
    with pytest.raises(RepositoryUnknown, match="team/app"):
        await repository.delete()


async def test_a_run_of_the_collector_frees_all_of_it(registry: Registry) -> None:
    repository = registry.repository("team/app")
    await fill(repository)
    await repository.delete()
    plan = await registry.collector.plan(offline=True)
    await registry.collector.apply(plan)
    plan.close()
    assert (await registry.collector.usage()).stored == 0


async def test_other_repositories_stay_also_those_below(registry: Registry, driver: Driver) -> None:
    names = ("team", "team/app", "team/app/part", "team/apple")
    for name in names:
        await fill(registry.repository(name))
    before = [key for key in await keys(driver, "") if "team/app/_" not in key]
    await registry.repository("team/app").delete()
    assert [key for key in await keys(driver, "") if "team/app/_" not in key] == before
    assert [name async for name in registry.repositories()] == ["team", "team/app/part", "team/apple"]


async def test_an_immutable_tag_refuses_all_of_it(driver: Driver) -> None:
    registry = Registry(driver, policy=Policy(immutable=lambda _, tag: tag == "old"))
    repository = registry.repository("team/app")
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    await repository.manifests.put(IMAGE, tags=["image", "old"])
    before = await keys(driver, "")
    with pytest.raises(TagImmutable) as raised:
        await repository.delete()
    assert raised.value.tag == "old"
    assert await keys(driver, "") == before


async def test_leftovers_of_killed_calls_go_and_foreign_files_stay(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await fill(repository)
    folder = "docker/registry/v2/repositories/library/hello"
    gone = Digest.of(b"gone")
    for key in (
        f"_manifests/revisions/sha256/{gone.hex}/signatures/sha256/{gone.hex}/link",
        f"_manifests/tags/never/index/sha256/{gone.hex}/link",
        "_uploads/0f7a/startedat",
    ):
        await driver.put(f"{folder}/{key}", b"left")
    await driver.put(f"{folder}/_layers/README", b"mine")
    await repository.delete()
    assert await keys(driver, "repositories/library/hello") == [f"{folder}/_layers/README"]


async def test_a_push_beside_it_leaves_a_whole_manifest_or_none(registry: Registry) -> None:
    repository = registry.repository("team/app")
    for _ in range(5):
        await fill(repository)

        async def pushed() -> None:
            for content in (CONFIG, LAYER):
                await repository.blobs.put(content)
            await repository.manifests.put(IMAGE, tags=["new", "image"])

        await asyncio.gather(repository.delete(), pushed(), return_exceptions=True)
        async for info in repository.tags:
            await repository.manifests.get(info.tag)


async def test_an_index_goes_before_its_children() -> None:
    deleted: list[str] = []

    class Watching(MemoryDriver):
        async def delete(self, key: str, **more: object) -> None:
            deleted.append(key)
            await super().delete(key, **more)  # type: ignore[arg-type]

    async with Registry(Watching()) as registry:
        repository = registry.repository("team/app")
        await fill(repository)
        await repository.manifests.put(index(index(IMAGE)))
        await repository.delete()
    documents = (index(index(IMAGE)), index(IMAGE), IMAGE)
    links = [f"/revisions/sha256/{Digest.of(document).hex}/link" for document in documents]
    ranks = [next(at for at, key in enumerate(deleted) if key.endswith(link)) for link in links]
    assert ranks == sorted(ranks)


async def test_its_argument_has_a_type(repository: Repository) -> None:
    with pytest.raises(WrongType, match="progress"):
        await repository.delete(progress=3)  # type: ignore[arg-type]


async def test_its_requests_grow_with_what_it_holds() -> None:
    driver = TracingDriver(MemoryDriver())
    async with Registry(driver) as registry:
        repository = registry.repository("team/app")
        for number in range(1001):
            await repository.blobs.put(b"%d" % number)
        driver.reset()
        await repository.delete()
        assert driver.counts["delete_many"] == 2
        assert len(driver.requests) < 30


@pytest.mark.parametrize(
    ("tags", "manifests", "uploads"), [(0, 0, 0), (10, 1, 0), (20, 1, 0), (0, 11, 0), (0, 21, 0), (0, 0, 10)]
)
async def test_its_costs_are_those_that_it_documents(tags: int, manifests: int, uploads: int) -> None:
    driver = TracingDriver(MemoryDriver())
    async with Registry(driver) as registry:
        repository = registry.repository("team/app")
        await repository.blobs.put(CONFIG)
        for number in range(manifests):
            document = image(CONFIG, annotations={"number": str(number)})
            names = [f"v{tag}" for tag in range(tags)] if number == 0 else []
            await repository.manifests.put(document, tags=names)
        for _ in range(uploads):
            await repository.uploads.start()
        driver.reset()
        await repository.delete()
        assert len(driver.requests) == 16 + 6 * tags + 7 * manifests + 4 * uploads

"""The facade: opening, repositories, and the contents of a whole store."""

import asyncio
from pathlib import Path

import pytest

from revstore_async import SEED, Digest, Driver, Registry, open_driver
from revstore_async.driver import without_secrets
from revstore_async.errors import DriverClosed, InvalidName, InvalidStoreURL, TagUnknown
from tests.parts.documents import image, schema1, signed


@pytest.mark.parametrize("name", ["", "..", "../up", "A", "a//b", "a" * 256])
async def test_bad_names_of_repositories(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidName):
        registry.repository(name)


async def test_repositories_in_lexical_order(registry: Registry, driver: Driver) -> None:
    names = ["b", "a", "a/b", "a/b/c", "a-b", "a.b", "a1", "z/z/z/z", "library/hello", "library/hello-world"]
    assert [name async for name in registry.repositories()] == []
    for name in names:
        repository = registry.repository(name)
        assert not await repository.exists()
        await repository.blobs.put(b"{}")
        await repository.manifests.put(image(b"{}"))
        assert await repository.exists()
    await driver.put("docker/registry/v2/repositories/_strange/Folder/file", b"")
    assert [name async for name in registry.repositories()] == sorted(names)


async def test_the_seeds_layout(driver: Driver) -> None:
    registry = Registry(driver, layout=SEED)
    repository = registry.repository("library/manifests")
    layer = await repository.blobs.put(b"layer")
    payload = schema1(layer.digest, name="library/manifests")
    await repository.manifests.put(signed(payload, 0, 1), tag="latest")
    assert len((await repository.manifests.get("latest")).signatures) == 2
    revision = Digest.of(payload)
    folder = "docker/registry/v2/repositories/library/manifests/manifests"
    assert (await driver.get(f"{folder}/tags/latest/current/link")).content == revision.encode()
    assert (await driver.get(f"{folder}/revisions/sha256/{revision.hex}/link")).content == revision.encode()
    assert not await Registry(driver).repository("library/manifests").manifests.exists("latest")


async def test_stored_content_outlives_the_process(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    async with Registry.open(url) as registry:
        await registry.repository("hello").blobs.put(b"{}")
        stored = await registry.repository("hello").manifests.put(image(b"{}"), tag="latest")
    async with Registry.open(url) as registry:
        assert (await registry.repository("hello").manifests.get("latest")).digest == stored.digest


async def test_a_closed_registry_says_so(store_url: str) -> None:
    registry = Registry.open(store_url)
    with pytest.raises(DriverClosed):
        await registry.blobs.get(Digest.of(b""))
    async with registry:
        pass
    with pytest.raises(DriverClosed):
        await registry.blobs.get(Digest.of(b""))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a/folder",
        "folder",
        "unknown://there",
        "s3",
        "memory://host/path",
        "file://host/path",
        "memory:?x=1",
    ],
)
def test_urls_that_open_nothing(url: str) -> None:
    with pytest.raises(InvalidStoreURL):
        open_driver(url)
    with pytest.raises(InvalidStoreURL):
        open_driver("memory:", no_such_option=1)


def test_no_secret_is_shown() -> None:
    shown = without_secrets("unknown://user:secret@host/bucket?key=secret")
    assert shown == "unknown://host/bucket?..."
    with pytest.raises(InvalidStoreURL) as refused:
        open_driver("unknown://user:secret@host/bucket?key=secret")
    assert "secret" not in str(refused.value) + repr(refused.value)


def test_a_relative_folder_is_shown_as_it_is() -> None:
    assert without_secrets("file:./images?threads=1") == "file:./images?..."
    with pytest.raises(InvalidStoreURL):
        open_driver("file://[bad")


async def test_reading_where_there_is_no_store_makes_none(tmp_path: Path) -> None:
    async with Registry.open((tmp_path / "store").as_uri()) as registry:
        repository = registry.repository("hello")
        assert not await repository.manifests.exists("latest")
        assert [name async for name in registry.repositories()] == []
        with pytest.raises(TagUnknown):
            await repository.tags.delete("latest")
        assert not (tmp_path / "store").exists()
        await repository.blobs.put(b"layer")
    assert (tmp_path / "store" / "docker").is_dir()


async def test_a_put_that_is_cancelled_at_any_step_leaves_no_task_and_can_be_repeated(
    registry: Registry,
) -> None:
    repository = registry.repository("library/hello")
    await repository.blobs.put(b"{}")
    for steps in range(0, 60, 3):
        before = asyncio.all_tasks()
        task = asyncio.ensure_future(repository.manifests.put(image(b"{}", steps=steps), tag=f"t{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.result()
        assert asyncio.all_tasks() == before
        stored = await repository.manifests.put(image(b"{}", steps=steps), tag=f"t{steps}")
        assert await repository.tags.resolve(f"t{steps}") == stored.digest
        assert len(await repository.tags.history(f"t{steps}")) == 1

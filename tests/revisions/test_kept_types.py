"""The media type of a manifest that does not declare it: kept by the first push that was found right."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from revstore_async import ABSENT, Digest, Registry, Repository, RepositoryName
from revstore_async.driver import Capabilities
from revstore_async.errors import MediaTypeConflict, TagChanged, VerificationFailed
from revstore_async.layout import CURRENT, RevisionMediaType
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.documents import DOCKER_SCHEMA2, OCI_MANIFEST, image

CONFIG = b"{}"
SILENT = image(CONFIG, media_type=None)
ODD = b'{"some": "thing"}'
ONE, OTHER = "application/vnd.example.one+json", "application/vnd.example.other+json"
KEPT = CURRENT.key(RevisionMediaType(RepositoryName("library/hello"), Digest.of(SILENT)))


@pytest.fixture
async def hello() -> AsyncIterator[Repository]:
    async with Registry(MemoryDriver()) as registry:
        repository = registry.repository("library/hello")
        await repository.blobs.put(CONFIG)
        yield repository


async def test_a_type_that_the_form_tells_is_not_kept(hello: Repository) -> None:
    await hello.manifests.put(SILENT, tag="latest", media_type=OCI_MANIFEST)
    assert await hello.revisions.media_type(Digest.of(SILENT)) is None
    assert (await hello.manifests.get("latest")).media_type == OCI_MANIFEST


async def test_a_refused_push_does_not_change_the_served_type(hello: Repository) -> None:
    await hello.manifests.put(SILENT, tag="silent", media_type=OCI_MANIFEST)
    await hello.manifests.put(ODD, tag="odd", media_type=ONE)
    with pytest.raises(TagChanged):
        await hello.manifests.put(SILENT, tag="x", media_type=DOCKER_SCHEMA2, expected=Digest.of(b"another"))
    with pytest.raises(MediaTypeConflict) as conflict:
        await hello.manifests.put(ODD, tag="odd", media_type=OTHER)
    assert (conflict.value.kept, conflict.value.given) == (ONE, OTHER)
    assert (await hello.manifests.get("silent")).media_type == OCI_MANIFEST
    assert (await hello.manifests.get("odd")).media_type == ONE


async def test_a_manifest_that_lacks_a_layer_leaves_no_type(hello: Repository) -> None:
    with pytest.raises(VerificationFailed):
        await hello.manifests.put(image(b"absent", media_type=None), media_type=DOCKER_SCHEMA2)
    with pytest.raises(TagChanged):
        await hello.manifests.put(SILENT, tag="latest", media_type=DOCKER_SCHEMA2, expected=Digest.of(b"x"))
    revisions = [info async for info in hello.revisions.enumerate()]
    assert revisions == []
    assert await hello.revisions.media_type(Digest.of(SILENT)) is None


async def test_the_form_s_type_is_refused_where_another_is_kept(hello: Repository) -> None:
    await hello.manifests.put(SILENT, tag="latest", media_type=DOCKER_SCHEMA2)
    with pytest.raises(MediaTypeConflict):
        await hello.manifests.put(SILENT, tag="latest", media_type=OCI_MANIFEST, expected=None)
    await hello.manifests.delete(Digest.of(SILENT))
    await hello.manifests.put(SILENT, tag="latest", media_type=OCI_MANIFEST, expected=ABSENT)
    assert (await hello.manifests.get("latest")).media_type == OCI_MANIFEST


async def test_of_two_types_at_once_one_is_kept_and_the_other_refused() -> None:
    for conditional in (True, False):

        class Store(MemoryDriver):
            @property
            def capabilities(self) -> Capabilities:
                return replace(super().capabilities, conditional_put=conditional)  # noqa: B023

        async with Registry(Store()) as registry:
            hello = registry.repository("library/hello")
            results = await asyncio.gather(
                *(hello.manifests.put(ODD, media_type=each) for each in (ONE, OTHER)), return_exceptions=True
            )
            served = (await hello.manifests.get(Digest.of(ODD))).media_type
            if conditional:
                (refused,) = (each for each in results if isinstance(each, BaseException))
                assert isinstance(refused, MediaTypeConflict)
                assert refused.kept == served
            with pytest.raises(MediaTypeConflict):
                await hello.manifests.put(ODD, media_type=ONE if served == OTHER else OTHER)


@pytest.mark.parametrize("came_as", [OCI_MANIFEST, DOCKER_SCHEMA2])
async def test_a_damaged_type_is_healed_by_a_push(came_as: str) -> None:
    driver = MemoryDriver()
    async with Registry(driver) as registry:
        hello = registry.repository("library/hello")
        await hello.blobs.put(CONFIG)
        await hello.manifests.put(SILENT, media_type=DOCKER_SCHEMA2)
        await driver.put(KEPT, b"no type")
        await hello.manifests.put(SILENT, media_type=came_as)
        assert (await hello.manifests.get(Digest.of(SILENT))).media_type == came_as


def test_only_a_type_that_nothing_else_tells_costs_a_round_trip() -> None:
    async def cost(document: bytes, media_type: str, times: int = 1) -> tuple[int, int]:
        driver = TracingDriver(LatencyDriver(MemoryDriver(), 1.0))
        async with Registry(driver) as registry:
            hello = registry.repository("library/hello")
            await hello.blobs.put(CONFIG)
            for _ in range(times):
                driver.reset()
                await hello.manifests.put(document, media_type=media_type)
            return driver.round_trips, len(driver.requests)

    # the content, link and content of the config, the link, the kept type and the link with it; the type; the link
    assert run_on_virtual_clock(cost(SILENT, DOCKER_SCHEMA2)) == (3, 1 + 2 + 1 + 2 + 1 + 1)
    # it is there: after the link is written, the link and the type are looked for
    assert run_on_virtual_clock(cost(SILENT, DOCKER_SCHEMA2, 2)) == (3, 1 + 2 + 1 + 2 + 1 + 2)
    assert run_on_virtual_clock(cost(SILENT, OCI_MANIFEST)) == (2, 1 + 2 + 1 + 2 + 1)
    assert run_on_virtual_clock(cost(image(CONFIG), OCI_MANIFEST)) == (2, 1 + 2 + 1 + 1)

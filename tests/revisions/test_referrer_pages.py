"""Pages of referrers: of any size, and bounded in bytes for all contents of the manifests."""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async import Digest, Policy, Registry, Repository
from revstore_async.driver import Capabilities, File, FileInfo, Page
from revstore_async.errors import InvalidArgument, InvalidDigest
from revstore_async.formats.descriptors import MANIFEST_LIMIT
from revstore_async.formats.lenient_manifests import read_stored
from revstore_async.revisions.referrers import PAGE_BYTES, READ_BYTES, fallback_tag, written
from revstore_async.revisions.revision import RevisionWrite
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import index
from tests.parts.referring import CONFIG, SBOM, SIGNATURE, SUBJECT, about, listed, paged


@pytest.fixture
async def hello(repository: Repository) -> Repository:
    await repository.blobs.put(CONFIG)
    return repository


def joined(pages: Iterable[Iterable[str]]) -> list[str]:
    return list(chain.from_iterable(pages))


async def test_pages(hello: Repository) -> None:
    documents = [
        about(artifactType=SBOM if n % 3 else SIGNATURE, annotations={"n": str(n)}) for n in range(9)
    ]
    for document in documents[:6]:
        await hello.manifests.put(document)
    for document in documents[6:]:
        await hello.revisions.put(document)  # as another program does, which knows of no referrers
    kept = index(*documents[4:])
    await hello.manifests.put(kept, tag=fallback_tag(Digest.of(SUBJECT)))
    digests = sorted(map(Digest.of, documents))
    sboms = {Digest.of(document) for n, document in enumerate(documents) if n % 3}
    for limit in (1, 2, 4, 8, 9, 10):
        pages = await paged(hello, limit)
        assert joined(pages) == digests
        assert all(len(page) == limit for page in pages[:-2])
        assert joined(await paged(hello, limit, artifact_type=SBOM)) == [d for d in digests if d in sboms]
    assert await listed(hello, last=digests[3]) == digests[4:]
    assert await listed(hello, last=digests[-1]) == []
    for limit in (0, -1):
        with pytest.raises(InvalidArgument):
            await hello.referrers.list(Digest.of(SUBJECT), limit=limit)
    with pytest.raises(InvalidDigest):
        await hello.referrers.list(Digest.of(SUBJECT), last="rubbish")


async def test_a_page_is_no_larger_than_clients_read() -> None:
    documents = [about(annotations={str(n): "x" * (3 << 19)}) for n in range(5)]
    documents.append(about(annotations={"largest": "x" * (MANIFEST_LIMIT - 1000)}))
    async with Registry(MemoryDriver()) as registry:
        hello = registry.repository("library/hello")
        await hello.blobs.put(CONFIG)
        for document in documents:
            await hello.manifests.put(document)
        last, found = None, []
        while True:
            page = await hello.referrers.list(Digest.of(SUBJECT), last=last)
            index = written({"manifests": [referrer.members() for referrer in page.referrers]})
            assert len(index) <= MANIFEST_LIMIT - 512
            found += [referrer.descriptor.digest for referrer in page.referrers]
            last = page.next
            if last is None:
                break
            assert page.referrers
    assert found == sorted(map(Digest.of, documents))


@pytest.mark.parametrize("text", ["\u00e9", "\u20ac", "\U0001f600", "\x01", "\ud800", '"', "x"])
async def test_annotations_of_any_text_take_no_more_room_than_in_the_manifest(text: str) -> None:
    """A client writes text as UTF-8 where it can; escaped, the text would be three times as long."""

    def document(size: int, count: int = 0) -> bytes:
        written_out = about(annotations={"a": text * count, "b": text})
        raw = json.dumps(json.loads(written_out), ensure_ascii=False).encode(errors="backslashreplace")
        width = len(json.dumps(text, ensure_ascii=False).encode(errors="backslashreplace")) - 2
        return raw if count else document(size, (size - len(raw)) // width)

    documents = [document(size) for size in (1 << 20, 2 << 20)]
    async with Registry(MemoryDriver(), policy=Policy(check_layers=False)) as registry:
        hello = registry.repository("library/hello")
        for each in documents:
            await hello.revisions.put(each)
            await hello.revisions.writer.link(RevisionWrite(Digest.of(each), subject=Digest.of(SUBJECT)))
        page = await hello.referrers.list(Digest.of(SUBJECT))
        content = written({"manifests": [referrer.members() for referrer in page.referrers]})
        assert len(content) <= MANIFEST_LIMIT
        told = json.loads(content)["manifests"]
        assert [each["digest"] for each in told] == sorted(map(Digest.of, documents))
        assert [each["annotations"]["b"] for each in told] == [text] * 2


async def test_a_referrer_larger_than_a_page_is_told_without_its_annotations() -> None:
    large = about(annotations={"a": "x" * (MANIFEST_LIMIT - 1000)})
    assert PAGE_BYTES < len(large) <= MANIFEST_LIMIT
    small = about(annotations={"a": "x"})
    async with Registry(MemoryDriver(), policy=Policy(check_layers=False)) as registry:
        hello = registry.repository("library/hello")
        for document in (large, small):
            await hello.manifests.put(document)
        page = await hello.referrers.list(Digest.of(SUBJECT))
        assert page.next is None
        told = {each.descriptor.digest: len(each.annotations) for each in page.referrers}
        assert told == {Digest.of(large): 0, Digest.of(small): 1}


def test_a_page_reads_no_more_than_it_may_even_if_it_shows_little() -> None:
    """A filter that nothing fits does not read megabytes of each of thousands."""

    class Counting(MemoryDriver):
        read = 0

        @property
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities, connections=2)

        async def get(self, key: str, *, limit: int | None = None) -> File:
            file = await super().get(key, limit=limit)
            self.read += len(file.content)
            return file

    async def main() -> None:
        driver = Counting()
        async with Registry(driver, policy=Policy(check_layers=False), cache_size=0) as registry:
            hello = registry.repository("library/hello")
            documents = [about(annotations={str(n): "x" * (3 << 20)}) for n in range(15)]
            for document in documents:
                await hello.manifests.put(document)
            wanted = about(artifactType=SBOM)
            await hello.manifests.put(wanted)
            found, last, pages = [], None, 0
            while True:
                driver.read = 0
                page = await hello.referrers.list(Digest.of(SUBJECT), artifact_type=SBOM, last=last)
                assert driver.read < READ_BYTES + 3 * MANIFEST_LIMIT
                found += [each.descriptor.digest for each in page.referrers]
                last, pages = page.next, pages + 1
                if last is None:
                    break
            assert (found, pages) == ([Digest.of(wanted)], 2)

    run_on_virtual_clock(main())


def test_manifests_of_later_pages_are_not_read() -> None:
    """A page bounds the memory, and not the number of referrers."""

    async def main() -> int:
        driver = TracingDriver(MemoryDriver())
        async with Registry(driver) as registry:
            hello = registry.repository("library/hello")
            await hello.blobs.put(CONFIG)
            for n in range(200):
                await hello.manifests.put(about(annotations={str(n): "x" * (1 << 18)}))
            driver.reset()
            page = await hello.referrers.list(Digest.of(SUBJECT))
            assert page.next is not None
            return len(driver.requests)

    assert run_on_virtual_clock(main()) < 2 * 100


def test_a_store_that_does_not_list_in_order() -> None:
    class Disorderly(MemoryDriver):
        @property
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities, ordered_listing=False)

        async def list_all(self, prefix: str = "", *, start_after=None, limit: int = 1000) -> Page[FileInfo]:
            assert start_after is None
            page = await super().list_all(prefix, limit=limit)
            return Page(tuple(reversed(page.entries)), page.next)

    async def main() -> None:
        async with Registry(Disorderly()) as registry:
            hello = registry.repository("library/hello")
            await hello.blobs.put(CONFIG)
            documents = [about(annotations={"n": str(n)}) for n in range(7)]
            for document in documents:
                await hello.manifests.put(document)
            assert joined(await paged(hello, 3)) == sorted(map(Digest.of, documents))

    run_on_virtual_clock(main())


# ---- any input


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["mediaType", "schemaVersion", "artifactType", "subject", "config", "annotations"])


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        NAMES | st.sampled_from(["manifests", "fsLayers", "digest"]), JSON | st.sampled_from([1, 2])
    )
    | JSON
)
def test_any_stored_document_is_read_as_far_as_it_can_be(document: object) -> None:
    told = read_stored(json.dumps(document).encode())
    assert told.media_type is None or "/" in told.media_type
    assert told.subject is None or Digest(told.subject)
    assert all(isinstance(value, str) for value in told.annotations.values())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.text(), st.text(), max_size=3),
            st.sampled_from([SBOM, SIGNATURE, "a/b; c=d", "ü", " ", "\x00\n"]) | st.text(max_size=20),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 6),
)
def test_any_annotations_and_artifact_types(referring: list[tuple[dict[str, str], str]], limit: int) -> None:
    async def main() -> None:
        async with Registry(MemoryDriver()) as registry:
            hello = registry.repository("library/hello")
            await hello.blobs.put(CONFIG)
            expected = {}
            for annotations, artifact_type in referring:
                document = about(annotations=annotations, artifactType=artifact_type)
                await hello.manifests.put(document)
                told = artifact_type or "application/vnd.oci.image.config.v1+json"
                expected[Digest.of(document)] = (told, annotations)
            page = await hello.referrers.list(Digest.of(SUBJECT))
            assert {
                referrer.descriptor.digest: (referrer.descriptor.artifact_type, dict(referrer.annotations))
                for referrer in page.referrers
            } == expected
            for wanted in {told for told, _ in expected.values()}:
                found = joined(await paged(hello, limit, artifact_type=wanted))
                assert found == sorted(digest for digest, (told, _) in expected.items() if told == wanted)

    run_on_virtual_clock(main())

"""Referrers: kept at put, listed with the manifests' own types and annotations, gone with the manifest."""

import asyncio
import json

import pytest

from revstore_async import CURRENT, Descriptor, Digest, Driver, Referrer, Registry, Repository
from revstore_async.errors import (
    BlobDamaged,
    InvalidDigest,
    LinkDamaged,
    LinkDangling,
    ManifestUnknown,
    RecordDamaged,
)
from revstore_async.layout import ReferrerLink, RevisionLink, RevisionMediaType, TagCurrent
from revstore_async.revisions.referrers import fallback_tag
from revstore_async.revisions.revision import RevisionWrite
from tests.parts.documents import DOCKER_SCHEMA2, OCI_INDEX, OCI_MANIFEST, image, index
from tests.parts.referring import CONFIG, SBOM, SIGNATURE, SUBJECT, about, listed


@pytest.fixture
async def hello(repository: Repository) -> Repository:
    await repository.blobs.put(CONFIG)
    return repository


async def stored_by_another_program(repository: Repository, document: bytes) -> Digest:
    """Store a manifest as Docker Distribution does, which knows of no referrers."""
    digest = await repository.revisions.put(document)
    assert (await repository.referrers.list(digest)).referrers == ()
    return digest


# ---- what is told


async def test_a_referrer_is_described_by_its_own_content(hello: Repository) -> None:
    annotations = {"org.example.made": "today", "": "ü\n"}
    own = about(artifactType=SBOM, annotations=annotations)
    by_config = about(config_type=SIGNATURE)
    empty = about(artifactType="", annotations={})
    listing = index(SUBJECT, subject=json.loads(own)["subject"])
    of_a_kind = json.dumps(
        {
            "mediaType": "application/vnd.example+json",
            "artifactType": SBOM,
            "subject": json.loads(own)["subject"],
        }
    ).encode()
    documents = [SUBJECT, own, by_config, empty, listing, of_a_kind]
    for document in documents:
        stored = await hello.manifests.put(document)
        assert stored.tags == ()
    page = await hello.referrers.list(Digest.of(SUBJECT))
    expected = [
        Referrer(Descriptor(media_type, Digest.of(document), len(document), artifact_type), told)
        for document, media_type, artifact_type, told in [
            (own, OCI_MANIFEST, SBOM, annotations),
            (by_config, OCI_MANIFEST, SIGNATURE, {}),
            (empty, OCI_MANIFEST, "application/vnd.oci.image.config.v1+json", {}),
            (listing, OCI_INDEX, None, {}),
            (of_a_kind, "application/vnd.example+json", SBOM, {}),
        ]
    ]
    assert page.referrers == tuple(sorted(expected, key=lambda referrer: referrer.descriptor.digest))
    assert (page.next, page.unreadable) == (None, ())
    assert len(set(page.referrers)) == 5


async def test_an_index_has_no_config_to_take_an_artifact_type_from(hello: Repository) -> None:
    odd = json.loads(index(subject=json.loads(about())["subject"])) | {
        "config": json.loads(about())["config"]
    }
    document = json.dumps(odd).encode()
    await hello.revisions.writer.link(
        RevisionWrite(await hello.revisions.put(document), subject=Digest.of(SUBJECT))
    )  # as another program may have stored it
    (referrer,) = (await hello.referrers.list(Digest.of(SUBJECT))).referrers
    assert referrer.descriptor == Descriptor(OCI_INDEX, Digest.of(document), len(document))


async def test_as_members_of_a_descriptor() -> None:
    digest = Digest.of(b"")
    assert Referrer(Descriptor(OCI_MANIFEST, digest, 3, SBOM), {"a": "b"}).members() == {
        "mediaType": OCI_MANIFEST,
        "digest": digest,
        "size": 3,
        "artifactType": SBOM,
        "annotations": {"a": "b"},
    }
    assert Referrer(Descriptor(OCI_INDEX, digest, 3)).members() == {
        "mediaType": OCI_INDEX,
        "digest": digest,
        "size": 3,
    }


async def test_a_type_that_it_came_with_is_told(hello: Repository) -> None:
    silent = about(media_type=None)
    await hello.manifests.put(silent, media_type=DOCKER_SCHEMA2)
    other = about(media_type=None, annotations={"a": "b"})
    await hello.manifests.put(other)
    page = await hello.referrers.list(Digest.of(SUBJECT))
    assert {referrer.descriptor.digest: referrer.descriptor.media_type for referrer in page.referrers} == {
        Digest.of(silent): DOCKER_SCHEMA2,
        Digest.of(other): OCI_MANIFEST,
    }


async def test_only_those_of_a_type(hello: Repository) -> None:
    sbom, signature = about(artifactType=SBOM), about(config_type=SIGNATURE)
    for document in (sbom, signature):
        await hello.manifests.put(document)
    assert await listed(hello, artifact_type=SBOM) == [Digest.of(sbom)]
    assert await listed(hello, artifact_type=SIGNATURE) == [Digest.of(signature)]
    assert await listed(hello, artifact_type="application/vnd.example.other") == []


async def test_a_subject_need_not_be_there_nor_have_referrers(registry: Registry, hello: Repository) -> None:
    referrer = about()
    await hello.manifests.put(referrer)
    assert await listed(hello) == [Digest.of(referrer)]
    await hello.manifests.put(SUBJECT)
    assert await listed(hello) == [Digest.of(referrer)]
    assert await listed(hello, Digest.of(referrer)) == []
    assert await listed(registry.repository("library/other")) == []
    for subject in ("latest", "sha256:../..", ""):
        with pytest.raises(InvalidDigest):
            await hello.referrers.list(subject)


async def test_under_other_algorithms(hello: Repository) -> None:
    subject = Digest.of(SUBJECT, "sha512")
    referrer = about(subject)
    for algorithm in ("sha256", "sha512"):
        await hello.manifests.put(referrer, digest=Digest.of(referrer, algorithm))
    assert await listed(hello, subject) == [Digest.of(referrer), Digest.of(referrer, "sha512")]
    assert await listed(hello) == []


# ---- what comes and goes


async def test_a_deleted_referrer_refers_no_more(hello: Repository) -> None:
    first, second = about(), about(artifactType=SBOM)
    for document in (SUBJECT, first, second):
        await hello.manifests.put(document, tag="latest")
    await hello.manifests.delete(Digest.of(first))
    assert await listed(hello) == [Digest.of(second)]
    await hello.manifests.delete(Digest.of(SUBJECT))
    assert await listed(hello) == [Digest.of(second)]
    await hello.manifests.put(first)
    assert await listed(hello) == sorted([Digest.of(first), Digest.of(second)])
    await hello.manifests.delete("latest")
    assert len(await listed(hello)) == 2


async def test_a_deletion_leaves_no_link(hello: Repository, driver: Driver) -> None:
    before = {info.key for info in (await driver.list_all()).entries}
    stored = await hello.manifests.put(about(), tag="latest")
    await hello.manifests.delete(stored.digest)
    left = {info.key for info in (await driver.list_all()).entries} - before
    assert [key for key in left if "/blobs/" not in key and "/history/" not in key] == []


async def test_a_manifest_that_cant_be_read_by_digest_is_no_referrer(
    hello: Repository, driver: Driver
) -> None:
    """As where a put died among its links, or another program deleted the manifest."""
    first, second = about(), about(artifactType=SBOM)
    for document in (first, second):
        await hello.manifests.put(document)
    await driver.delete(CURRENT.key(RevisionLink(hello.name, Digest.of(first))))
    with pytest.raises(ManifestUnknown):
        await hello.manifests.get(Digest.of(first))
    assert await listed(hello) == [Digest.of(second)]
    with pytest.raises(ManifestUnknown):
        await hello.manifests.delete(Digest.of(first))


async def test_a_link_that_the_manifest_contradicts_is_left_out(hello: Repository, driver: Driver) -> None:
    stored = await hello.manifests.put(SUBJECT)
    other = Digest.of(b"another")
    await driver.put(CURRENT.key(ReferrerLink(hello.name, other, stored.digest)), stored.digest.encode())
    assert await listed(hello, other) == []


async def test_damage_of_one_does_not_hide_the_others(
    registry: Registry, hello: Repository, driver: Driver
) -> None:
    whole, damaged, gone, misread, untyped = (about(annotations={"number": str(n)}) for n in range(5))
    untyped = about(media_type=None)
    for document in (whole, damaged, gone, misread):
        await hello.manifests.put(document)
    await hello.manifests.put(untyped, media_type=DOCKER_SCHEMA2)
    await driver.put(registry.blobs.path(Digest.of(damaged)), b"rubbish")
    await driver.delete(registry.blobs.path(Digest.of(gone)))
    await driver.put(CURRENT.key(RevisionLink(hello.name, Digest.of(misread))), b"rubbish")
    await driver.put(CURRENT.key(RevisionMediaType(hello.name, Digest.of(untyped))), b"rubbish")
    await driver.put(CURRENT.key(TagCurrent(hello.name, fallback_tag(Digest.of(SUBJECT)))), b"rubbish")
    page = await hello.referrers.list(Digest.of(SUBJECT))
    assert [referrer.descriptor.digest for referrer in page.referrers] == [Digest.of(whole)]
    assert {type(error) for error in page.unreadable} == {
        BlobDamaged,
        LinkDamaged,
        LinkDangling,
        RecordDamaged,
    }
    assert len(page.unreadable) == 5
    # What can't be read can be deleted all the same, and put again.
    for document in (damaged, gone, misread):
        await hello.manifests.delete(Digest.of(document))
        await hello.manifests.put(document)
    assert len((await hello.referrers.list(Digest.of(SUBJECT))).referrers) == 4


# ---- the index that clients keep, where a registry has no referrers


def test_the_tag_that_clients_make_of_a_digest() -> None:
    content = b"content"
    assert fallback_tag(Digest.of(content)) == f"sha256-{Digest.of(content).hex}"
    assert fallback_tag(Digest.of(content, "sha512")) == f"sha512-{Digest.of(content, 'sha512').hex[:64]}"
    assert fallback_tag(Digest("tarsum.v1+sha256:" + "0" * 64)) == "tarsum.v1-sha256-" + "0" * 64


async def test_referrers_that_clients_keep_in_an_index_are_found(hello: Repository) -> None:
    known, stranger = about(), about(artifactType=SBOM, annotations={"a": "b"})
    elsewhere, silent, absent = (
        about(b"another"),
        image(CONFIG, annotations={"a": "c"}),
        about(config_type="a/b"),
    )
    await hello.manifests.put(known)
    for document in (stranger, elsewhere, silent):
        await stored_by_another_program(hello, document)
    kept = json.loads(index(known, stranger, elsewhere, silent, absent, stranger))
    for descriptor in kept["manifests"]:
        descriptor |= {"artifactType": "of/the-index", "annotations": {"of": "the index"}, "size": 7}
    kept["manifests"] += [{"digest": "rubbish"}, {}, {"digest": 1}, 1, None]
    other = json.dumps(kept).encode()
    await stored_by_another_program(hello, other)
    await hello.tags.set(fallback_tag(Digest.of(SUBJECT)), Digest.of(other))
    page = await hello.referrers.list(Digest.of(SUBJECT))
    assert page.unreadable == ()
    told = {referrer.descriptor.digest: referrer for referrer in page.referrers}
    assert list(told) == sorted([Digest.of(known), Digest.of(stranger)])
    descriptor = Descriptor(OCI_MANIFEST, Digest.of(stranger), len(stranger), SBOM)
    assert told[Digest.of(stranger)] == Referrer(descriptor, {"a": "b"})
    assert await listed(hello, artifact_type=SBOM) == [Digest.of(stranger)]
    assert await listed(hello, artifact_type="of/the-index") == []
    # Put here, it is a referrer of its own; and without the index nothing else is.
    await hello.manifests.put(stranger)
    await hello.tags.delete(fallback_tag(Digest.of(SUBJECT)))
    assert len(await listed(hello)) == 2


@pytest.mark.parametrize("content", [b"rubbish", b"[]", b"{}", b'{"manifests": {}}', b'{"manifests": 1}'])
async def test_a_tag_that_is_no_index_lists_nothing(hello: Repository, content: bytes) -> None:
    await hello.manifests.put(about())
    await stored_by_another_program(hello, content)
    await hello.tags.set(fallback_tag(Digest.of(SUBJECT)), Digest.of(content))
    assert await listed(hello) == [Digest.of(about())]


async def test_an_index_that_is_gone_or_damaged(
    registry: Registry, hello: Repository, driver: Driver
) -> None:
    await hello.manifests.put(about())
    kept = await hello.manifests.put(index(about()), tag=fallback_tag(Digest.of(SUBJECT)))
    await driver.put(registry.blobs.path(kept.digest), b"rubbish")
    page = await hello.referrers.list(Digest.of(SUBJECT))
    assert [referrer.descriptor.digest for referrer in page.referrers] == [Digest.of(about())]
    (damage,) = page.unreadable
    assert isinstance(damage, BlobDamaged)
    await driver.delete(CURRENT.key(RevisionLink(hello.name, kept.digest)))
    assert await listed(hello) == [Digest.of(about())]


# ---- at once


async def test_puts_and_deletions_at_once_leave_the_last_put(hello: Repository) -> None:
    documents = [about(annotations={"n": str(n)}) for n in range(12)]
    for document in documents[:6]:
        await hello.manifests.put(document)
    await asyncio.gather(
        *(hello.manifests.delete(Digest.of(document)) for document in documents[:6]),
        *(hello.manifests.put(document) for document in documents[6:]),
        *(hello.referrers.list(Digest.of(SUBJECT)) for _ in range(6)),
    )
    assert await listed(hello) == sorted(map(Digest.of, documents[6:]))

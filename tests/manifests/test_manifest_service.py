"""Manifests of every type: in, found by tag and digest, and out as they went in."""

import asyncio
import json

import pytest

from revstore_async import (
    Digest,
    Driver,
    Policy,
    Registry,
    Repository,
    TrustedKeys,
    serialise,
    sign,
    tags_matching,
    verify_document,
)
from revstore_async.errors import (
    BlobUnknown,
    ChainWithoutKeyID,
    DigestMismatch,
    InvalidArgument,
    InvalidDigest,
    InvalidJSON,
    InvalidManifest,
    InvalidTag,
    LinkDamaged,
    LinkDangling,
    ManifestNameMismatch,
    ManifestTagMismatch,
    ManifestTooLarge,
    ManifestUnknown,
    NotTrusted,
    RecordDamaged,
    SignatureMismatch,
    SignaturesAbsent,
    TagChanged,
    TagImmutable,
    TagUnknown,
    VerificationFailed,
)
from revstore_async.formats.descriptors import DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, MANIFEST_LIMIT
from revstore_async.layout import CURRENT, LayerLink, RevisionLink, RevisionMediaType, SignatureLink
from revstore_async.revisions.revision import RevisionWrite
from tests.parts.documents import (
    DOCKER_LIST,
    DOCKER_SCHEMA2,
    OCI_INDEX,
    OCI_MANIFEST,
    image,
    index,
    key,
    schema1,
    signed,
    without_key_id,
)
from tests.parts.vectors import chained_key

CONFIG, LAYER = b'{"os": "linux"}', b"layer"
IMAGE = image(CONFIG, LAYER)
PAYLOAD = schema1(Digest.of(LAYER))


@pytest.fixture
async def hello(repository: Repository) -> Repository:
    """A repository that has a config and a layer."""
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    return repository


async def keys(driver: Driver) -> list[str]:
    return [info.key for info in (await driver.list_all()).entries]


OTHERS = {
    "OCI image": (IMAGE, OCI_MANIFEST),
    "OCI image without its type": (image(CONFIG, LAYER, media_type=None), OCI_MANIFEST),
    "Docker schema 2": (image(CONFIG, LAYER, media_type=DOCKER_SCHEMA2), DOCKER_SCHEMA2),
    "empty OCI index": (index(), OCI_INDEX),
    "OCI index without its type": (index(media_type=None), OCI_INDEX),
    "Docker list": (index(media_type=DOCKER_LIST), DOCKER_LIST),
    "unknown type of schema version 1": (
        b'{"schemaVersion": 1, "mediaType": "application/vnd.example.thing+json"}',
        None,
    ),
    "with a subject that is absent": (
        image(CONFIG, subject={"mediaType": OCI_MANIFEST, "digest": Digest.of(b"absent"), "size": 6}),
        OCI_MANIFEST,
    ),
    "white space around": (b"\n  " + IMAGE + b"  \n", OCI_MANIFEST),
    "unknown type": (b'{"mediaType": "application/vnd.example.thing+json", "a": [1.50, "\\u00e4"]}', None),
    "unsigned schema 1": (PAYLOAD, DOCKER_SCHEMA1),
}


@pytest.mark.parametrize(("document", "media_type"), OTHERS.values(), ids=OTHERS)
async def test_bytes_served_are_the_bytes_stored(
    hello: Repository, document: bytes, media_type: str | None
) -> None:
    stored = await hello.manifests.put(document, tag="latest")
    assert stored.digest == Digest.of(document)
    assert (stored.size, stored.tag) == (len(document), "latest")
    for reference in ("latest", stored.digest):
        assert await hello.manifests.exists(reference)
        manifest = await hello.manifests.get(reference)
        assert manifest.content == document
        assert manifest.digest == stored.digest
        assert (
            manifest.media_type == stored.media_type == (media_type or "application/vnd.example.thing+json")
        )
        assert manifest.signatures == ()


async def test_the_type_it_came_with_is_kept_only_where_it_does_not_tell(
    hello: Repository, driver: Driver
) -> None:
    silent = b'{"some": "thing"}'
    stored = await hello.manifests.put(silent, media_type="application/vnd.example+json; charset=utf-8")
    assert stored.media_type == "application/vnd.example+json"
    assert (await hello.manifests.get(stored.digest)).media_type == "application/vnd.example+json"
    kept = CURRENT.key(RevisionMediaType(hello.name, stored.digest))
    assert (await driver.get(kept)).content == b"application/vnd.example+json"
    await hello.manifests.put(IMAGE, media_type=OCI_MANIFEST)
    assert [key for key in await keys(driver) if key.endswith("mediatype")] == [kept]


async def test_another_type_than_its_own_is_refused(hello: Repository, driver: Driver) -> None:
    before = await keys(driver)
    for document, media_type in [
        (IMAGE, DOCKER_SCHEMA2),
        (image(CONFIG, media_type=DOCKER_SCHEMA2), OCI_MANIFEST),
        (IMAGE, "nonsense"),
        (IMAGE, ""),
        (b'{"some": "thing"}', None),
        (b'{"mediaType": 1}', None),
        (b'{"mediaType": "no type"}', None),
        (PAYLOAD, OCI_MANIFEST),
        (IMAGE, DOCKER_SCHEMA1),
    ]:
        with pytest.raises(InvalidManifest):
            await hello.manifests.put(document, media_type=media_type)
    assert await keys(driver) == before


async def test_a_manifest_under_another_algorithm(hello: Repository) -> None:
    digest = Digest.of(IMAGE, "sha512")
    stored = await hello.manifests.put(IMAGE, digest=digest, tag="latest")
    assert stored.digest == digest == await hello.tags.resolve("latest")
    assert (await hello.manifests.get(digest)).content == IMAGE
    assert not await hello.manifests.exists(Digest.of(IMAGE))
    with pytest.raises(DigestMismatch):
        await hello.manifests.put(IMAGE, digest=Digest.of(b"another"))


async def test_an_index_needs_its_manifests(hello: Repository) -> None:
    both = index(IMAGE, image(CONFIG))
    with pytest.raises(VerificationFailed) as refused:
        await hello.manifests.put(both)
    assert [(type(error), getattr(error, "digest", None)) for error in refused.value.errors] == [
        (ManifestUnknown, Digest.of(IMAGE)),
        (ManifestUnknown, Digest.of(image(CONFIG))),
    ]
    await hello.manifests.put(IMAGE)
    await hello.manifests.put(image(CONFIG))
    await hello.manifests.put(both)


async def test_layers_from_elsewhere_need_not_be_here(hello: Repository) -> None:
    foreign = json.loads(IMAGE)
    foreign["layers"].append(
        {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": Digest.of(b"elsewhere"),
            "size": 9,
            "urls": ["https://elsewhere.example/layer"],
        }
    )
    await hello.manifests.put(json.dumps(foreign).encode())


async def test_a_store_that_keeps_manifests_only(driver: Driver, repository: Repository) -> None:
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(IMAGE)
    await repository.manifests.put(IMAGE, check_layers=False)
    lenient = Registry(driver, policy=Policy(check_layers=False)).repository("library/lenient")
    await lenient.manifests.put(IMAGE)
    with pytest.raises(VerificationFailed):
        await lenient.manifests.put(image(b"another"), check_layers=True)


# ---- schema 1 and its signatures


async def test_signatures_of_several_puts_are_merged(hello: Repository) -> None:
    for host in range(3):
        stored = await hello.manifests.put(
            signed(PAYLOAD, host), tag="latest", media_type=DOCKER_SCHEMA1_SIGNED
        )
        assert stored.digest == Digest.of(PAYLOAD)
    manifest = await hello.manifests.get("latest")
    assert manifest.media_type == DOCKER_SCHEMA1_SIGNED
    document = verify_document(manifest.content)
    assert document.payload == PAYLOAD
    assert document.signatures == manifest.signatures
    assert {signature.kid for signature in manifest.signatures} == {key(host).kid for host in range(3)}
    # What was served can be pushed again, and pulled again, to the byte.
    await hello.manifests.put(manifest.content, tag="latest")
    assert await hello.manifests.get("latest") == manifest


async def test_a_signature_comes_later(hello: Repository) -> None:
    await hello.manifests.put(PAYLOAD, tag="latest")
    assert (await hello.manifests.get("latest")).content == PAYLOAD
    await hello.revisions.add_signatures(Digest.of(PAYLOAD), [sign(PAYLOAD, key(0))])
    manifest = await hello.manifests.get("latest")
    assert verify_document(manifest.content).payload == PAYLOAD


async def test_signatures_of_an_oci_manifest_leave_its_bytes_alone(hello: Repository) -> None:
    await hello.manifests.put(IMAGE, tag="latest")
    signature = sign(IMAGE, key(0))
    await hello.revisions.add_signatures(Digest.of(IMAGE), [signature])
    manifest = await hello.manifests.get("latest")
    assert manifest.content == IMAGE
    assert manifest.signatures == (signature,)


async def test_all_that_is_wrong_is_in_one_error(hello: Repository, driver: Driver) -> None:
    layers = [Digest.of(b"absent 1"), Digest.of(LAYER), Digest.of(b"absent 2")]
    wrong = schema1(*layers, name="library/other", tag="stable")
    good = sign(wrong, key(1))
    bad = sign(wrong.replace(b"amd64", b"arm64"), key(0))
    document = serialise(wrong, [good, bad])
    before = await keys(driver)
    with pytest.raises(VerificationFailed) as refused:
        await hello.manifests.put(document, tag="latest")
    name, tag, mismatch, *missing = refused.value.errors
    assert isinstance(name, ManifestNameMismatch)
    assert (name.name, name.expected) == ("library/other", "library/hello")
    assert isinstance(tag, ManifestTagMismatch)
    assert (tag.tag, tag.expected) == ("stable", "latest")
    assert isinstance(mismatch, SignatureMismatch)
    assert mismatch.kid == key(0).kid
    assert [(type(error), getattr(error, "digest", None)) for error in missing] == [
        (BlobUnknown, layers[0]),
        (BlobUnknown, layers[2]),
    ]
    for error in refused.value.errors:
        assert str(error) in str(refused.value)
    assert await keys(driver) == before


async def test_missing_layers_leave_nothing_that_can_be_reached(
    repository: Repository, driver: Driver
) -> None:
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(signed(PAYLOAD, 0), tag="latest")
    assert not await repository.exists()
    assert not await repository.manifests.exists(Digest.of(PAYLOAD))


async def test_a_document_said_to_be_signed_must_be(hello: Repository) -> None:
    with pytest.raises(SignaturesAbsent):
        await hello.manifests.put(PAYLOAD, media_type=DOCKER_SCHEMA1_SIGNED)


async def test_only_signed_members_count(hello: Repository) -> None:
    """The registry refuses members between the payload and the array, and does not read them."""
    document = signed(PAYLOAD, 0)
    slipped = document.replace(b',\n   "signatures"', b',\n   "tag": "other",\n   "signatures"')
    assert slipped != document
    with pytest.raises(InvalidJSON):
        await hello.manifests.put(slipped, tag="latest")


async def test_trust_is_a_policy(driver: Driver, hello: Repository) -> None:
    strict = Registry(driver, policy=Policy(trust=TrustedKeys([key(7).public]))).repository(hello.name)
    for document, kids in [(PAYLOAD, ()), (signed(PAYLOAD, 1), (key(1).kid,))]:
        with pytest.raises(VerificationFailed) as refused:
            await strict.manifests.put(document)
        (error,) = refused.value.errors
        assert isinstance(error, NotTrusted)
        assert error.kids == kids
    await strict.manifests.put(signed(PAYLOAD, 1, 7))
    await strict.manifests.put(IMAGE)  # not of a kind that carries signatures in itself


async def test_a_chain_without_a_key_id_never_makes_a_manifest_unreadable(
    hello: Repository, driver: Driver
) -> None:
    chain_only = without_key_id(sign(PAYLOAD, chained_key("ec256")))
    await hello.manifests.put(serialise(PAYLOAD, [chain_only]), tag="latest")
    alone = await hello.manifests.get("latest")
    assert verify_document(alone.content).signatures == (chain_only,)
    await hello.manifests.put(signed(PAYLOAD, 0), tag="latest")
    both = await hello.manifests.get("latest")
    assert len(both.signatures) == 2
    assert [signature.kid for signature in verify_document(both.content).signatures] == [key(0).kid]
    with pytest.raises(ChainWithoutKeyID):
        await hello.manifests.put(serialise(PAYLOAD, [without_key_id(sign(PAYLOAD, chained_key("rsa2048")))]))


# ---- bad input


BAD_DOCUMENTS = {
    "empty": (b"", InvalidJSON),
    "no JSON": (b"manifest", InvalidJSON),
    "no object": (b"[]", InvalidJSON),
    "a number": (b"1", InvalidJSON),
    "two values": (IMAGE + IMAGE, InvalidJSON),
    "duplicate member": (IMAGE[:-1] + b', "layers": []}', InvalidJSON),
    "duplicate member, escaped": (IMAGE[:-1] + b', "l\\u0061yers": []}', InvalidJSON),
    "depth bomb": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, InvalidJSON),
    "number beyond range": (IMAGE[:-1] + b', "a": 1e999}', InvalidJSON),
    "integer beyond range": (IMAGE[:-1] + b', "a": ' + b"9" * 400 + b"}", InvalidJSON),
    "lone surrogate": (IMAGE[:-1] + b', "a": "\\ud800"}', InvalidJSON),
    "no UTF-8": (IMAGE[:-1] + b', "a": "\xff"}', InvalidJSON),
    "byte order mark": (b"\xef\xbb\xbf" + IMAGE, InvalidJSON),
    "over the limit": (b'{"a": "' + b"x" * MANIFEST_LIMIT + b'"}', ManifestTooLarge),
    "no config": (IMAGE.replace(b'"config"', b'"konfig"'), InvalidManifest),
    "layers no list": (IMAGE.replace(b'"layers": [', b'"layers": "", "x": ['), InvalidManifest),
    "bad digest": (IMAGE.replace(b"sha256:", b"sha257:"), InvalidManifest),
    "path as a digest": (IMAGE.replace(b"sha256:", b"../../:"), InvalidManifest),
    "image that is an index too": (IMAGE[:-1] + b', "manifests": []}', InvalidManifest),
    "index that is an image too": (index(IMAGE, layers=[]), InvalidManifest),
    "image and index, of no type": (image(CONFIG, media_type=None, manifests=[]), InvalidManifest),
    "layers for who does not look at case": (IMAGE[:-1] + b', "Layers": []}', InvalidManifest),
    "digest for who does not look at case": (
        IMAGE.replace(b'"size"', b'"Digest": "", "size"'),
        InvalidManifest,
    ),
    "schema version that is true": (
        PAYLOAD.replace(b'"schemaVersion": 1', b'"schemaVersion": true'),
        InvalidManifest,
    ),
    "schema version that is 2.0": (
        IMAGE.replace(b'"schemaVersion": 2', b'"schemaVersion": 2.0'),
        InvalidManifest,
    ),
    "negative size": (IMAGE.replace(b'"size": 5', b'"size": -5'), InvalidManifest),
    "fractional size": (IMAGE.replace(b'"size": 5', b'"size": 5.5'), InvalidManifest),
    "size that is true": (IMAGE.replace(b'"size": 5', b'"size": true'), InvalidManifest),
    "size beyond range": (IMAGE.replace(b'"size": 5', b'"size": 9223372036854775808'), InvalidManifest),
    "schema version": (IMAGE.replace(b'"schemaVersion": 2', b'"schemaVersion": 3'), InvalidManifest),
    "schema 1 without layers": (schema1(), InvalidManifest),
    "schema 1 with less history": (
        PAYLOAD.replace(b'"history": [', b'"history": [], "h": ['),
        InvalidManifest,
    ),
    "schema 1 without a name": (PAYLOAD.replace(b'"name"', b'"nom"'), InvalidManifest),
    "schema 1 with a number for a tag": (PAYLOAD.replace(b'"latest"', b"1"), InvalidManifest),
}


@pytest.mark.parametrize(("document", "error"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
async def test_bad_documents_are_refused_and_nothing_is_written(
    hello: Repository, driver: Driver, document: bytes, error: type[Exception]
) -> None:
    before = await keys(driver)
    with pytest.raises(error):
        await hello.manifests.put(document, tag="latest")
    assert await keys(driver) == before


async def test_bad_references_are_refused(hello: Repository, driver: Driver) -> None:
    before = await keys(driver)
    with pytest.raises(InvalidTag):
        await hello.manifests.put(IMAGE, tag="../../etc")
    for reference, error in [
        ("", InvalidTag),
        ("..", InvalidTag),
        ("a" * 129, InvalidTag),
        ("sha256:", InvalidDigest),
        ("sha256:" + "A" * 64, InvalidDigest),
        ("sha256:" + "0" * 63, InvalidDigest),
        ("sha256:" + "0" * 64 + "\n", InvalidDigest),
        ("md5:" + "0" * 32, InvalidDigest),
        ("sha256:../../../" + "0" * 55, InvalidDigest),
    ]:
        for call in (hello.manifests.get, hello.manifests.exists, hello.manifests.delete):
            with pytest.raises(error):
                await call(reference)
    assert await keys(driver) == before


async def test_an_expectation_is_one_of_a_tag(hello: Repository, driver: Driver) -> None:
    before = await keys(driver)
    with pytest.raises(InvalidArgument):
        await hello.manifests.put(IMAGE, expected=Digest.of(IMAGE))
    assert await keys(driver) == before


# ---- what is not there, or damaged


async def test_damage_is_one_of_the_things_that_are_wrong(hello: Repository, driver: Driver) -> None:
    await hello.manifests.put(IMAGE)
    link = CURRENT.key(RevisionLink(hello.name, Digest.of(IMAGE)))
    await driver.put(link, b"garbage")
    with pytest.raises(VerificationFailed) as refused:
        await hello.manifests.put(index(IMAGE, image(b"absent")))
    damaged, missing = refused.value.errors
    assert isinstance(damaged, ManifestUnknown)  # it is pushed again, which heals it
    assert isinstance(damaged.__cause__, LinkDamaged)
    assert damaged.__cause__.key == link
    assert isinstance(missing, ManifestUnknown)
    await hello.manifests.put(IMAGE)
    await hello.manifests.put(index(IMAGE))


async def test_a_damaged_link_to_a_layer_is_no_link_to_rely_on(hello: Repository, driver: Driver) -> None:
    for content in (b"garbage", Digest.of(b"another").encode()):
        await driver.put(CURRENT.key(LayerLink(hello.name, Digest.of(CONFIG))), content)
        with pytest.raises(VerificationFailed) as refused:
            await hello.manifests.put(image(CONFIG))
        (unknown,) = refused.value.errors
        assert isinstance(unknown, BlobUnknown)
        assert unknown.digest == Digest.of(CONFIG)
        await hello.blobs.put(CONFIG)  # which is what a client does then, and heals it
        await hello.manifests.put(image(CONFIG))


async def test_a_signature_of_something_else_that_another_program_linked(
    registry: Registry, hello: Repository, driver: Driver
) -> None:
    await hello.manifests.put(signed(PAYLOAD, 0), tag="latest")
    foreign = sign(schema1(Digest.of(b"another, and longer")[:-1] + "0", extra="more"), key(1))
    blob = (await registry.blobs.put(foreign.blob)).digest
    await driver.put(CURRENT.key(SignatureLink(hello.name, Digest.of(PAYLOAD), blob)), blob.encode())
    with pytest.raises(RecordDamaged):
        await hello.manifests.get("latest")


async def test_putting_it_again_without_a_type_keeps_the_type_it_came_with(hello: Repository) -> None:
    silent = image(CONFIG, LAYER, media_type=None)
    await hello.manifests.put(silent, tag="latest", media_type=DOCKER_SCHEMA2)
    await hello.manifests.put(silent, tag="latest")
    assert (await hello.manifests.get("latest")).media_type == DOCKER_SCHEMA2


async def test_a_missing_manifest_is_unknown(hello: Repository) -> None:
    assert not await hello.manifests.exists("latest")
    for call in (hello.manifests.get, hello.manifests.delete):
        with pytest.raises(TagUnknown):
            await call("latest")
        with pytest.raises(ManifestUnknown):
            await call(Digest.of(b"absent"))


async def test_a_tag_whose_manifest_lost_its_content_is_healed_by_a_put(
    registry: Registry, hello: Repository, driver: Driver
) -> None:
    await hello.manifests.put(IMAGE, tag="latest")
    await driver.delete(registry.blobs.path(Digest.of(IMAGE)))
    with pytest.raises(LinkDangling) as dangling:
        await hello.manifests.get("latest")
    assert dangling.value.digest == Digest.of(IMAGE)
    assert not await hello.manifests.exists("latest")
    await hello.manifests.put(IMAGE, tag="latest")
    assert (await hello.manifests.get("latest")).content == IMAGE


async def test_a_manifest_of_another_program_is_served_as_it_is(
    registry: Registry, hello: Repository
) -> None:
    odd = b'{"schemaVersion": 2, "mediaType": "%s", "layers": [], "layers": []}' % OCI_MANIFEST.encode()
    for content, media_type in [
        (odd, OCI_MANIFEST),
        (b"not JSON", "application/octet-stream"),
        (b"[1]", None),
    ]:
        digest = (await registry.blobs.put(content)).digest
        await hello.revisions.writer.link(RevisionWrite(digest))
        manifest = await hello.manifests.get(digest)
        assert manifest.content == content
        assert manifest.media_type == (media_type or "application/octet-stream")


# ---- policies and expectations of the tag


async def test_expectations_and_immutable_tags_hold_for_puts(driver: Driver, hello: Repository) -> None:
    other = image(CONFIG)
    await hello.manifests.put(IMAGE, tag="latest")
    with pytest.raises(TagChanged):
        await hello.manifests.put(other, tag="latest", expected=Digest.of(other))
    assert not await hello.manifests.exists(Digest.of(other))
    await hello.manifests.put(other, tag="latest", expected=Digest.of(IMAGE))

    frozen = Registry(driver, policy=Policy(immutable=tags_matching("v*"))).repository(hello.name)
    await frozen.manifests.put(IMAGE, tag="v1")
    await frozen.manifests.put(IMAGE, tag="v1")
    with pytest.raises(TagImmutable):
        await frozen.manifests.put(other, tag="v1")


async def test_many_hosts_put_one_manifest_at_once(hello: Repository) -> None:
    hosts = range(24)
    await asyncio.gather(*(hello.manifests.put(signed(PAYLOAD, host), tag="latest") for host in hosts))
    manifest = await hello.manifests.get("latest")
    assert {signature.kid for signature in manifest.signatures} == {key(host).kid for host in hosts}
    assert len(await hello.tags.history("latest")) == 1

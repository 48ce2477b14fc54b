"""Signatures of manifests that carry none in themselves: listed, added, and the manifest's bytes stay."""

import json
from collections.abc import Callable

import pytest

from revstore_async import (
    CURRENT,
    Digest,
    Registry,
    Repository,
    Signature,
    parse_signatures,
    serialise_signatures,
    sign,
)
from revstore_async.driver import Condition, DriverWrapper, FileInfo
from revstore_async.errors import FormatNotCut, ManifestUnknown, SignatureMismatch
from revstore_async.formats.names import RepositoryName
from revstore_async.layout import RevisionLink
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import NAME, image, index, key, schema1

IMAGE = image(b"{}")
OF_ANY_KIND = {
    "OCI manifest": IMAGE,
    "OCI manifest, indented": json.dumps(json.loads(IMAGE), indent=2).encode(),
    "OCI manifest, white space around": b"\n " + IMAGE + b" \r\n",
    "OCI index": index(),
    "of another kind": '{"mediaType": "application/vnd.example+json", "ä": [1.50]}'.encode(),
}


@pytest.mark.parametrize("payload", OF_ANY_KIND.values(), ids=OF_ANY_KIND)
async def test_signatures_are_listed_and_added_and_the_bytes_stay(
    repository: Repository, payload: bytes
) -> None:
    digest = (await repository.manifests.put(payload, tag="latest", check_layers=False)).digest
    assert serialise_signatures(await repository.revisions.signatures(digest)) == b'{"signatures":[]}'
    for hosts in ((0,), (1, 2), (0, 2)):
        sent = serialise_signatures(sign(payload, key(host)) for host in hosts)
        await repository.revisions.add_signatures(digest, parse_signatures(sent))
    listed = await repository.revisions.signatures(digest)
    assert {signature.kid for signature in listed} == {key(host).kid for host in range(3)}
    manifest = await repository.manifests.get("latest")
    assert manifest.content == payload
    assert manifest.digest == digest == Digest.of(payload)
    assert manifest.signatures == listed
    # Put again as it came, it keeps them; deleted, it takes them along.
    await repository.manifests.put(payload, check_layers=False)
    assert await repository.revisions.signatures(digest) == listed
    await repository.manifests.delete(digest)
    with pytest.raises(ManifestUnknown):
        await repository.revisions.signatures(digest)
    await repository.manifests.put(payload, check_layers=False)
    assert await repository.revisions.signatures(digest) == ()


WRONG: dict[str, tuple[Callable[[], Signature], type[Exception]]] = {
    "of another manifest": (lambda: sign(image(b"[]"), key(0)), SignatureMismatch),
    "of another cut": (lambda: sign(schema1(Digest.of(b"")), key(0)), FormatNotCut),
}


@pytest.mark.parametrize(("made", "error"), WRONG.values(), ids=WRONG)
async def test_a_signature_of_something_else_is_not_added(
    repository: Repository, made: Callable[[], Signature], error: type[Exception]
) -> None:
    digest = (await repository.manifests.put(IMAGE, check_layers=False)).digest
    with pytest.raises(error):
        await repository.revisions.add_signatures(digest, [sign(IMAGE, key(1)), made()])
    assert await repository.revisions.signatures(digest) == ()


async def test_a_signature_that_comes_too_late_does_not_bring_a_manifest_back() -> None:
    class DeletedMeanwhile(DriverWrapper):
        async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
            if key.endswith("/data"):
                await self.inner.delete(CURRENT.key(RevisionLink(RepositoryName(NAME), Digest.of(IMAGE))))
            return await super().put(key, content, condition=condition)

    memory = MemoryDriver()
    async with Registry(memory) as registry:
        revisions = registry.repository(NAME).revisions
        await revisions.put(IMAGE)
        late = Registry(DeletedMeanwhile(memory)).repository(NAME).revisions
        await late.add_signatures(Digest.of(IMAGE), [sign(IMAGE, key(0))])
        with pytest.raises(ManifestUnknown):
            await revisions.get(Digest.of(IMAGE))

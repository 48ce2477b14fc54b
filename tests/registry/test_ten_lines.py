"""The program that the engine is for, as its user would write it."""

from revstore_async import Registry, SigningKey, serialise, sign, verify_document
from tests.parts.documents import schema1


async def test_ten_lines_store_sign_tag_read_and_verify(store_url: str) -> None:
    async with Registry.open(store_url) as registry:
        repository = registry.repository("library/hello")
        layer = await repository.blobs.put(b"layer")
        payload = schema1(layer.digest)
        for host in (SigningKey.generate(), SigningKey.generate(), SigningKey.generate()):
            stored = await repository.manifests.put(serialise(payload, [sign(payload, host)]), tag="latest")
        manifest = await repository.manifests.get("latest")
        assert len(verify_document(manifest.content).signatures) == 3
        assert manifest == await repository.manifests.get(stored.digest)

"""The referrers of a manifest."""

from typing import Any

import httpx
import pytest

from revstore_async import Digest, Policy, Registry, Repository
from revstore_async.formats.descriptors import OCI_INDEX, OCI_MANIFEST
from revstore_async.server import RegistryApp, ServerOptions
from tests.parts.documents import NAME, descriptor, image
from tests.parts.manifests_over_http import CONFIG, all_pages, at, codes, image_in, pushed
from tests.parts.serving import client_of

SUBJECT = b'{"schemaVersion": 2}'
REFERRERS = at(f"referrers/{Digest.of(SUBJECT)}")
SBOM, SIGNATURE = "application/vnd.example.sbom.v1", "application/vnd.example.signature.v1"


def about(kind: str | None, note: str) -> dict[str, Any]:
    more: dict[str, Any] = {"subject": descriptor(SUBJECT, OCI_MANIFEST), "annotations": {"note": note}}
    return more | ({"artifactType": kind} if kind else {})


async def test_manifests_that_name_a_subject_are_its_referrers(
    client: httpx.AsyncClient, repository: Repository
):
    await image_in(repository)
    sbom = image(CONFIG, **about(SBOM, "1"))
    plain = image(CONFIG, config_type="application/vnd.example.config", **about(None, "2"))
    for document in (sbom, plain):
        await pushed(client, Digest.of(document), document)
    answer = await client.get(REFERRERS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == OCI_INDEX
    assert "oci-filters-applied" not in answer.headers
    index = answer.json()
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    expected = [
        {**descriptor(sbom, OCI_MANIFEST), "artifactType": SBOM, "annotations": {"note": "1"}},
        {
            **descriptor(plain, OCI_MANIFEST),
            "artifactType": "application/vnd.example.config",
            "annotations": {"note": "2"},
        },
    ]
    assert index["manifests"] == sorted(expected, key=lambda each: str(each["digest"]))
    await client.delete(at(f"manifests/{Digest.of(plain)}"))
    assert (await client.get(REFERRERS)).json()["manifests"] == expected[:1]


async def test_what_has_no_referrers_has_an_empty_index(lenient: httpx.AsyncClient):
    await pushed(lenient, "v1", image(b"{}"))
    for name in (NAME, "not/there"):
        answer = await lenient.get(at(f"referrers/{Digest.of(SUBJECT)}", name))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == OCI_INDEX
        assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


async def test_referrers_are_filtered_by_the_type_of_the_artifact(lenient: httpx.AsyncClient):
    for number, kind in enumerate((SBOM, SIGNATURE, SBOM)):
        document = image(b"{}", **about(kind, str(number)))
        await pushed(lenient, Digest.of(document), document)
    answer = await lenient.get(REFERRERS, params={"artifactType": SBOM})
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert [each["artifactType"] for each in answer.json()["manifests"]] == [SBOM, SBOM]
    none = await lenient.get(REFERRERS, params={"artifactType": "application/vnd.other+json"})
    assert none.status_code == 200
    assert none.headers["oci-filters-applied"] == "artifactType"
    assert none.json()["manifests"] == []


async def test_more_referrers_than_a_page_holds_are_reached_by_links(in_memory: Registry):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    digests = set()
    for number in range(7):
        document = image(b"{}", **about(SBOM, str(number)))
        digests.add((await registry.repository(NAME).manifests.put(document)).digest)
    async with client_of(RegistryApp(registry, options=ServerOptions(page_limit=3))) as client:
        for query in ("", f"?artifactType={SBOM}"):
            pages = await all_pages(client, REFERRERS + query, "manifests")
            found = [each["digest"] for page in pages for each in page]
            assert found == sorted(digests)
            assert max(map(len, pages)) == 3
        first = await client.get(REFERRERS, params={"artifactType": SBOM})
        second = await client.get(first.links["next"]["url"])
        assert second.headers["oci-filters-applied"] == "artifactType"


@pytest.mark.parametrize("digest", ["abc", "sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64, "v1:"])
async def test_what_is_no_digest_has_no_referrers(lenient: httpx.AsyncClient, digest: str):
    answer = await lenient.get(at(f"referrers/{digest}"))
    assert answer.status_code == 400
    assert codes(answer) == ["DIGEST_INVALID"]
    later = await lenient.get(f"{REFERRERS}?last={digest}")
    assert codes(later) == ["DIGEST_INVALID"]

"""Delegated reads: who is sent to the storage, and that a client that follows gets the blob from there."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from revstore_async import Digest, Registry
from revstore_async.errors import InvalidArgument
from revstore_async.server import Delegation, RegistryApp, ServerOptions
from revstore_async.server.events import BlobPulled, Event
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO
from tests.parts.serving import client_of, serving

CONTENT = bytes(range(256)) * 8
DIGEST = Digest.of(CONTENT)
PATH = f"/v2/library/hello/blobs/{DIGEST}"
LOOPBACK, ELSEWHERE = ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")


@pytest.fixture
async def on_s3(minio: MinIO):
    async with S3Driver(minio.new_bucket(), "root", **minio.options()) as driver:
        registry = Registry(driver)
        await registry.repository("library/hello").blobs.put(CONTENT)
        yield registry


def delegating(registry: Registry, **rule: Any) -> RegistryApp:
    return RegistryApp(registry, options=ServerOptions(delegation=Delegation(**rule)))


async def test_a_client_that_follows_gets_the_blob_from_the_storage(on_s3: Registry, minio: MinIO) -> None:
    async with (
        serving(delegating(on_s3, heads=True)) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        for method, headers, status, content in [
            ("GET", {}, 200, CONTENT),
            ("GET", {"Range": "bytes=2-5"}, 206, CONTENT[2:6]),
            ("HEAD", {}, 200, b""),
        ]:
            answer = await client.request(method, PATH, headers=headers)
            assert (answer.status_code, answer.content) == (307, b"")
            assert answer.headers["docker-content-digest"] == DIGEST
            assert answer.headers["cache-control"] == "no-store"
            location = answer.headers["location"]
            assert location.startswith(f"{minio.url}/")
            # a URL is good for the method that it was signed for
            wrong = await client.request({"GET": "DELETE", "HEAD": "GET"}[method], location)
            assert wrong.status_code == 403
            got = await client.request(method, location, headers=headers)
            assert (got.status_code, got.content) == (status, content)
            assert got.headers["content-length"] == str(len(content) or len(CONTENT))


async def test_a_client_without_permission_gets_no_url(on_s3: Registry) -> None:
    async with client_of(delegating(on_s3)) as client:
        for path in (PATH.replace("hello", "other"), PATH.replace(DIGEST, Digest.of(b"absent"))):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("rule", "method", "delegated"),
    [
        ({}, "GET", True),
        ({}, "HEAD", False),
        ({"heads": True}, "HEAD", True),
        ({"minimum_size": len(CONTENT)}, "GET", True),
        ({"minimum_size": len(CONTENT) + 1}, "GET", False),
        ({"networks": [LOOPBACK]}, "GET", True),
        ({"networks": [ELSEWHERE, LOOPBACK]}, "GET", True),
        ({"networks": [ELSEWHERE]}, "GET", False),
        ({"networks": []}, "GET", False),
    ],
)
async def test_a_rule_says_which_reads_are_delegated(
    on_s3: Registry, rule: Mapping[str, Any], method: str, delegated: bool
) -> None:
    async with client_of(delegating(on_s3, **rule)) as client:
        answer = await client.request(method, PATH)
    assert answer.status_code == (307 if delegated else 200)


async def test_a_client_that_has_the_blob_is_not_sent_anywhere(on_s3: Registry) -> None:
    async with client_of(delegating(on_s3)) as client:
        answer = await client.get(PATH, headers={"If-None-Match": f'"{DIGEST}"'})
    assert answer.status_code == 304


async def test_clients_are_sent_to_the_public_endpoint(minio: MinIO) -> None:
    options = {**minio.options(), "public_endpoint_url": "https://storage.example"}
    async with S3Driver(minio.new_bucket(), "root", **options) as driver:
        registry = Registry(driver)
        await registry.repository("library/hello").blobs.put(CONTENT)
        async with client_of(delegating(registry)) as client:
            location = (await client.get(PATH)).headers["location"]
    assert location.startswith("https://storage.example/")


async def test_a_delegated_pull_is_told_as_such(on_s3: Registry) -> None:
    told: list[Event] = []

    async def listener(event: Event) -> None:
        told.append(event)

    options = ServerOptions(delegation=Delegation(heads=True))
    async with client_of(RegistryApp(on_s3, options=options, listener=listener)) as client:
        await client.head(PATH)
        await client.get(PATH)
    name = on_s3.repository("library/hello").name
    assert told == [BlobPulled(name, "", DIGEST, len(CONTENT), True)]


async def test_without_signed_urls_or_a_rule_the_server_hands_out_itself(
    in_memory: Registry, on_s3: Registry
) -> None:
    await in_memory.repository("library/hello").blobs.put(CONTENT)
    for app in (delegating(in_memory), RegistryApp(on_s3)):
        async with client_of(app) as client:
            assert (await client.get(PATH)).content == CONTENT


@pytest.mark.parametrize(
    ("client", "network", "applies"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "10.0.0.0/8", False),
        ("192.0.2.1", "10.0.0.0/8", False),
        ("/run/registry.sock", "0.0.0.0/0", False),
        ("", "0.0.0.0/0", False),
        (None, "::/0", False),
    ],
)
def test_a_client_is_in_a_network_or_not(client: str | None, network: str, applies: bool) -> None:
    assert Delegation(networks=[ip_network(network)]).applies("GET", client) is applies


def test_a_rule_without_sense_is_refused() -> None:
    for wrong in ({"minimum_size": -1}, {"expires": timedelta(0)}):
        with pytest.raises(InvalidArgument):
            Delegation(**wrong)


async def test_a_url_expires_when_the_rule_says(on_s3: Registry) -> None:
    async with client_of(delegating(on_s3, expires=timedelta(seconds=90))) as client:
        location = httpx.URL((await client.get(PATH)).headers["location"])
    assert location.params["X-Amz-Expires"] == "90"

"""The short way of the S3 driver: its requests are those of botocore, and callers see no difference."""

import asyncio
import json
import ssl
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from revstore_async.driver import IfAbsent
from revstore_async.errors import KeyNotFound, Unavailable
from revstore_drivers.s3 import S3Driver, S3Options
from revstore_drivers.s3.wire.answers import listing_of
from revstore_drivers.s3.wire.requests import OPERATIONS, SignedWay
from revstore_drivers.s3.wire.sessions import Sessions
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, running
from tests.parts.s3 import Wire, connections_in_use
from tests.parts.suite import pattern, read_all, write_all

# ---- where requests go


def learnt(bucket: str, url: str, *, authorization: str = "", **options: object) -> tuple[str, str] | None:
    scope = "AWS4-HMAC-SHA256 Credential=somebody/20261124/eu-west-1/s3/aws4_request, SignedHeaders=host"
    built = S3Options.build("s3://shown", bucket, "", options)
    way = SignedWay(built, Sessions(built), "agent")
    way._learn(SimpleNamespace(url=url, headers={"Authorization": authorization or scope}))
    address = way._address
    return None if address is None else (address.origin, address.path)


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("https://images.s3.eu-west-1.amazonaws.com/a/b", {}, ("https://images.s3.eu-west-1.amazonaws.com", "")),
        ("https://images.s3.amazonaws.com/images/b", {}, ("https://images.s3.amazonaws.com", "")),
        ("https://s3.eu-west-1.amazonaws.com/images/a", {}, ("https://s3.eu-west-1.amazonaws.com", "/images")),
        ("http://[::1]:9000/images?x", {"endpoint_url": "http://[::1]:9000"}, ("http://[::1]:9000", "/images")),
        ("https://server:443/images/a", {"endpoint_url": "https://server:443"}, ("https://server", "/images")),
        ("http://images.x/images/a", {"endpoint_url": "http://images.x"}, ("http://images.x", "/images")),
        ("http://images.x/images/a", {"endpoint_url": "http://x"}, ("http://images.x", "")),
        ("http://server/other/a", {"endpoint_url": "http://server"}, None),
    ],
)  # fmt: skip
def test_where_a_bucket_is(url: str, options, expected):
    assert learnt("images", url, **options) == expected


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential=x/20261124/eu-west-1/s3express/aws4_request, SignedHeaders=host",
        "AWS4-ECDSA-P256-SHA256 Credential=x/20261124/s3/aws4_request, SignedHeaders=host",
        "Bearer token",
    ],
)
def test_what_is_signed_otherwise_stays_with_botocore(authorization: str):
    assert learnt("images", "https://s3.amazonaws.com/images/a", authorization=authorization) is None


# ---- on a server


@pytest.fixture
async def driver(minio: MinIO):
    async with S3Driver(minio.new_bucket(), "prefix", **minio.options(), part_size=5 << 20) as driver:
        await driver.list()  # botocore's, from which the way is learnt
        yield driver
        assert connections_in_use(driver) == []


def count_botocore(driver: S3Driver) -> list[str]:
    """Return a list to which each request is added that goes botocore's way."""
    asked: list[str] = []
    events = driver._open()._client.meta.events
    events.register("before-send.s3", lambda event_name, **_: asked.append(event_name.rpartition(".")[2]))
    return asked


async def test_frequent_requests_go_the_signed_way(driver: S3Driver):
    asked = count_botocore(driver)
    info = await driver.put("a/key", b"content", condition=IfAbsent())
    await driver.put("a/other", b"")
    assert (await driver.get("a/key")).content == b"content"
    assert await read_all(driver, "a/key", offset=2, length=3) == b"nte"
    assert (await driver.stat("a/key")).etag == info.etag
    assert len((await driver.list_all("a")).entries) == 2
    await driver.delete("a/other")
    await driver.delete_many(["a/other", "b"])
    with pytest.raises(KeyNotFound):
        await driver.get("a/other")
    assert asked == []
    await write_all(driver, "large", pattern(11 << 20))
    assert len(await read_all(driver, "large")) == 11 << 20
    assert asked == ["CreateMultipartUpload", "CompleteMultipartUpload"]


async def test_both_ways_answer_the_same(driver: S3Driver, minio: MinIO):
    raw, bucket = minio.raw(), driver.options.bucket
    for name in ("prefix/key", "prefix/a b/c+d", "prefix/ü%20", "prefix/x,y", "prefix/&<>\"'"):
        await asyncio.to_thread(
            raw.put_object, Bucket=bucket, Key=name, Body=b"content", Metadata={"revstore-write": "mark"}
        )
    client = driver._open()
    asked: dict[str, dict[str, Any]] = {
        "get_object": {"Key": "prefix/key", "Range": "bytes=1-3"},
        "head_object": {"Key": "prefix/ü%20"},
        "put_object": {"Key": "prefix/new", "Body": b"content", "Metadata": {"mark": "x"}},
        "delete_object": {"Key": "prefix/new"},
        "delete_objects": {
            "Delete": {"Objects": [{"Key": "prefix/a"}, {"Key": "prefix/&<>\"'"}], "Quiet": True}
        },
        "list_objects_v2": {"Prefix": "prefix/", "Delimiter": "/", "StartAfter": "prefix/+", "MaxKeys": 3},
    }
    for operation, parameters in asked.items():
        theirs = await getattr(client._client, operation)(Bucket=bucket, **parameters)
        ours = await client._signed.send(operation, parameters)
        assert ours is not None
        if "Body" in theirs:
            body, theirs["Body"] = theirs["Body"], await theirs["Body"].read()
            body.close()
        for name in ("Contents", "CommonPrefixes"):
            kept = [{key: value for key, value in each.items() if key in ("Key", "Prefix", "Size", "ETag",
                     "LastModified")} for each in theirs.get(name, ())]  # fmt: skip
            got = [{key: each[key] for key in kept[0]} for each in ours.get(name, ())]
            assert got == kept
        common = {*ours} & {*theirs} - {"ResponseMetadata", "Contents", "CommonPrefixes"}
        assert {key: ours[key] for key in common} == {key: theirs[key] for key in common}
    assert {*asked, "upload_part"} == {*OPERATIONS}


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"<Other/>", b"<ListBucketResult><Contents/></ListBucketResult>"]
)
async def test_a_listing_that_is_none_may_be_tried_again(driver: S3Driver, minio: MinIO, content: bytes):
    async with running(minio.port) as proxy:
        options = {**minio.options(), "endpoint_url": proxy.url, "retries": 1}
        async with S3Driver(driver.options.bucket, **options) as behind:
            await behind.put("key", b"")
            proxy.spoil(Answer(200, "", {}, content.decode()), times=2, method="GET")
            with pytest.raises(Unavailable):
                await behind.list()
            assert [entry.key for entry in (await behind.list()).entries] == ["key"]


@pytest.mark.parametrize("page", ["<html><p>Not found</html>", "not found"])
async def test_a_missing_page_of_a_proxy_is_no_missing_object(driver: S3Driver, minio: MinIO, page: str):
    await driver.put("key", b"content")
    async with running(minio.port) as proxy:
        options = {**minio.options(), "endpoint_url": proxy.url, "retries": 1}
        async with S3Driver(driver.options.bucket, "prefix", **options) as behind:
            await behind.stat("key")
            proxy.spoil(Answer(404, "", {}, page), times=2, method="GET")
            with pytest.raises(Unavailable):
                await behind.get("key")
            assert (await behind.get("key")).content == b"content"


def test_a_listing_without_a_namespace():
    entry = '<Contents><Key>k</Key><Size>3</Size><ETag>"e"</ETag><LastModified>2026-11-24T00:25:29Z</LastModified>'
    listed = listing_of(f"<ListBucketResult>{entry}</Contents></ListBucketResult>".encode())
    assert listed["Contents"][0]["Key"] == "k"
    assert listed["IsTruncated"] is False


# ---- what makes it give way


ELSEWHERE = [
    Answer(301, "PermanentRedirect"),
    Answer(307, "TemporaryRedirect", {"Location": "http://127.0.0.1:1/"}),
    Answer(400, "AuthorizationHeaderMalformed"),
]


@pytest.mark.parametrize("answer", ELSEWHERE, ids=lambda answer: answer.code)
async def test_a_bucket_that_is_elsewhere_is_left_to_botocore(minio: MinIO, answer: Answer):
    async with running(minio.port) as proxy:
        async with S3Driver(minio.new_bucket(), **{**minio.options(), "endpoint_url": proxy.url}) as driver:
            await driver.put("key", b"before")
            asked = count_botocore(driver)
            proxy.spoil(answer, method="PUT")
            await driver.put("key", b"content")
            assert asked == ["PutObject"]
            assert (await driver.get("key")).content == b"content"
            assert asked == ["PutObject"], "the way was learnt anew"


async def test_checksums_are_left_to_botocore(minio: MinIO):
    async with S3Driver(minio.new_bucket(), **minio.options(), checksums="when_supported") as driver:
        asked = count_botocore(driver)
        await driver.put("key", b"content")
        assert (await driver.get("key")).content == b"content"
    assert asked == ["PutObject", "GetObject"]


async def test_proxies_are_left_to_botocore(minio: MinIO, monkeypatch):
    async with running(minio.port) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "elsewhere")
        async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
            for number in range(3):
                await driver.put(f"key{number}", b"content")
                assert (await driver.get(f"key{number}")).content == b"content"
        assert len(proxy.requests) == 6


PROCESS = """
import json, sys
with open(sys.argv[1], "a") as log: log.write("x")
names = ("AccessKeyId", "SecretAccessKey", "Expiration")
print(json.dumps({"Version": 1, **dict(zip(names, sys.argv[2:]))}))
"""


async def test_credentials_that_end_are_fetched_again(minio: MinIO, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    script, log = tmp_path / "process.py", tmp_path / "log"
    script.write_text(PROCESS)
    ends = (
        datetime.now(UTC) + timedelta(seconds=300)
    ).isoformat()  # sooner than botocore takes them for good
    command = [sys.executable, str(script), str(log), minio.user, minio.password, ends]
    config = tmp_path / "config"
    config.write_text(f"[profile rolling]\ncredential_process = {' '.join(map(json.dumps, command))}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    options = {"endpoint_url": minio.url, "region": "us-east-1", "profile": "rolling"}
    async with S3Driver(minio.new_bucket(), **options) as driver:
        await driver.put("key", b"content")
        asked, before = count_botocore(driver), len(log.read_text())
        for _ in range(3):
            await driver.get("key")
        assert asked == []
        assert len(log.read_text()) == before + 3


# ---- TLS


@asynccontextmanager
async def over_tls(port: int, folder):
    """Serve TLS before a server; yield the port, and the file of the certificate."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternative, critical=True)
        .sign(key, SHA256())
    )
    file = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], file


async def test_tls_is_verified_on_both_ways(minio: MinIO, tmp_path):
    async with over_tls(minio.port, tmp_path) as (port, file):
        options = {**minio.options(), "endpoint_url": f"https://127.0.0.1:{port}", "retries": 0}
        async with S3Driver(minio.new_bucket(), **options, verify=str(file)) as driver:
            for number in range(2):
                await driver.put(f"key{number}", b"content")
                assert (await driver.get(f"key{number}")).content == b"content"
            with Wire(driver) as wire:
                await driver.put("large", bytes(2_000_000))
            (said,) = wire.headers
            assert said["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"  # TLS keeps it whole
            assert "content-md5" not in said
            address = driver._open()._signed._address
        async with S3Driver(driver.options.bucket, **options) as driver:
            driver._open()._signed._address = address
            with pytest.raises(Unavailable, match="TLS"):
                await driver.get("key0")
            driver._open()._signed._address = None
            with pytest.raises(Unavailable, match="TLS"):
                await driver.get("key0")

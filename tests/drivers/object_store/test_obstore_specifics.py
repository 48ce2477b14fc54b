"""Properties of the drivers on obstore alone: options, signed URLs, the hidden clock, Google."""

import asyncio
import urllib.request
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async.driver import IfAbsent
from revstore_async.errors import InvalidStoreURL, Unsupported
from revstore_drivers.object_store import ObjectStoreDriver, ObjectStoreOptions
from revstore_drivers.object_store.clock import StoreClock
from tests.parts.minio import MinIO
from tests.parts.proxy import running
from tests.parts.suite import pattern


@pytest.fixture
async def driver(minio: MinIO):
    url = f"obstore+s3://{minio.new_bucket()}/prefix"
    async with ObjectStoreDriver(url, **minio.options()) as driver:
        yield driver


# ---- options


def test_the_url_goes_first(monkeypatch):
    monkeypatch.setenv("REVSTORE_OBSTORE_POOL", "7")
    monkeypatch.setenv("REVSTORE_OBSTORE_RETRIES", "8")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    options = ObjectStoreOptions.from_url("obstore+s3://bucket/a/b?pool=5", {"pool": 6, "part_size": "16MiB"})
    assert options.endpoint_url == "http://127.0.0.1:9"
    assert ObjectStoreOptions.from_url("az://bucket", {}).endpoint_url is None
    assert (options.pool, options.retries, options.part_size) == (5, 8, 16 << 20)
    assert (options.bucket, options.prefix, options.shown) == ("bucket", "a/b", "obstore+s3://bucket/a/b")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("obstore+s3://", "bucket"),
        ("obstore+s3://user:password@bucket", "written"),
        ("obstore+s3://bucket?nonsense=1", "nonsense"),
        ("obstore+s3://bucket?pool=1", "pool"),
        ("obstore+s3://bucket?pool=5&pool=6", "twice"),
        ("obstore+s3://bucket?secret_access_key=hidden", "secret_access_key"),
        ("obstore+s3://bucket?kms_key=x", "kms_key"),
        ("obstore+s3://bucket?account=x", "account"),
        ("obstore+s3://bucket/a//b", "prefix"),
        ("obstore+s3://bucket?endpoint_url=ftp://x", "endpoint_url"),
        ("gs://bucket?region=x", "region"),
        ("az://container?access_key=hidden", "access_key"),
        ("other://bucket", "scheme"),
    ],
)
def test_what_is_not_understood_is_named(url: str, named: str):
    with pytest.raises(InvalidStoreURL) as caught:
        ObjectStoreDriver(url)
    assert named in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "password" not in str(caught.value)


def test_the_table_of_the_documents_is_the_table():
    document = (Path(__file__).parents[3] / "docs" / "drivers.md").read_text()
    section = document.partition("\n## obstore+s3")[2].partition("\n## ")[0]
    options = [option for option in fields(ObjectStoreOptions) if option.metadata]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(options)
    for row, option in zip(rows, options, strict=True):
        assert row.startswith(f"| `{option.name}` |")
        assert row.endswith(f"| {option.metadata['says']} |")


def test_no_secret_is_shown():
    options = {"access_key_id": "the-id", "secret_access_key": "the-secret"}
    driver = ObjectStoreDriver("obstore+s3://bucket", **options)
    assert "the-" not in f"{driver!r} {driver.options!r}"


async def test_a_store_that_obstore_refuses():
    driver = ObjectStoreDriver("gs://bucket", service_account="no such file")
    with pytest.raises(InvalidStoreURL):
        await driver.__aenter__()


@pytest.mark.parametrize("scheme", ["obstore+s3", "gs", "az"])
def test_what_is_lacking_is_said(scheme: str):
    driver = ObjectStoreDriver(f"{scheme}://bucket", conditional_put=False)
    capabilities = driver.capabilities
    assert driver.name == scheme
    assert not capabilities.conditional_put
    assert not capabilities.conditional_commit
    assert not capabilities.conditional_delete


async def test_a_server_that_lacks_conditions_is_not_asked_for_them(minio: MinIO):
    url = f"obstore+s3://{minio.new_bucket()}?conditional_put=no"
    async with ObjectStoreDriver(url, **minio.options()) as driver:
        with pytest.raises(Unsupported):
            await driver.put("key", b"", condition=IfAbsent())


# ---- signed URLs


async def test_a_signed_url_is_read_without_credentials(driver: ObjectStoreDriver):
    await driver.put("folder/key", b"0123456789")

    def fetch(url: str, **headers: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return bytes(answer.read())

    url = await driver.url_for("folder/key", expires=timedelta(minutes=1))
    assert await asyncio.to_thread(fetch, url) == b"0123456789"
    assert await asyncio.to_thread(fetch, url, Range="bytes=2-4") == b"234"


async def test_a_url_for_clients_elsewhere(minio: MinIO):
    options = {**minio.options(), "public_endpoint_url": "https://registry.example.org"}
    async with ObjectStoreDriver("obstore+s3://bucket/prefix", **options) as driver:
        url = await driver.url_for("key")
    assert url.startswith("https://registry.example.org/bucket/prefix/key?")


# ---- the clock


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 0.4),
    st.floats(0, 1),
    st.floats(0, 250),
    st.floats(0, 0.4),
    st.floats(0, 1),
)
def test_a_time_that_is_told_is_off_by_a_second_at_most(
    ahead: float, took: float, at: float, later: float, took_then: float, at_then: float
):
    """Whenever within a request the server wrote, and however its clock differs."""
    epoch = datetime(2026, 11, 24, tzinfo=UTC)

    def by_its_clock(moment: float) -> datetime:
        return (epoch + timedelta(seconds=moment + ahead)).replace(microsecond=0)

    clock = StoreClock()
    sent = 1000.0
    assert clock.time_of(sent, sent + took) is None
    clock.learn(by_its_clock(sent + took * at), sent, sent + took)
    begun = sent + took + later
    told = clock.time_of(begun, begun + took_then)
    if told is not None:
        assert abs(told - by_its_clock(begun + took_then * at_then)) <= timedelta(seconds=1)


def test_a_clock_that_is_old_or_blurred_tells_nothing():
    clock = StoreClock()
    now = datetime.now(UTC)
    clock.learn(now, 0, 5)
    assert clock.time_of(5, 5.1) is None
    clock.learn(now, 0, 0.1)
    assert clock.time_of(5, 5.1) is not None
    assert clock.time_of(5, 7) is None
    assert clock.time_of(1000, 1000.1) is None


async def test_what_a_put_costs(minio: MinIO):
    async with running(minio.port) as proxy:
        options = {**minio.options(), "endpoint_url": proxy.url}
        async with ObjectStoreDriver(f"obstore+s3://{minio.new_bucket()}", **options) as driver:
            for number in range(5):
                await driver.put(f"key{number}", b"content")
            await driver.put("new", b"content", condition=IfAbsent())
            async with driver.open_writer("small") as writer:
                await writer.write(b"content")
                await writer.commit()
            methods = [request.method for request in proxy.requests]
            assert [method for method in methods if method != "HEAD"] == ["PUT"] * 7
            assert methods[:2] == ["PUT", "HEAD"]  # once, to learn the store's clock


# ---- writers


async def test_memory_is_bounded_by_parts(minio: MinIO):
    """obstore takes no more parts than are under way, so `write` waits for the network."""
    async with running(minio.port) as proxy:
        options = {**minio.options(), "endpoint_url": proxy.url, "part_size": "5MiB", "parallel_parts": 2}
        async with ObjectStoreDriver(f"obstore+s3://{minio.new_bucket()}", **options) as driver:
            ahead = 0
            async with driver.open_writer("key") as writer:
                for _ in range(12):
                    await writer.write(pattern(5 << 20))
                    begun = sum("partNumber" in request.target for request in proxy.requests)
                    ahead = max(ahead, writer.offset // (5 << 20) - begun)
                await writer.commit()
            assert ahead <= 6

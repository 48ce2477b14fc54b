"""URL, arguments, environment; refused options, and secrets that never show."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from revstore_async.driver import IfAbsent
from revstore_async.errors import InvalidStoreURL, Unsupported
from revstore_drivers.s3 import S3Driver, S3Options


def options_of(url: str, **options: object) -> S3Options:
    return S3Driver.from_url(url, options).options


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_a_url():
    url = (
        "s3://bucket/some/prefix/?endpoint_url=http://127.0.0.1:9000&region=eu-west-1&pool=10&part_size=16MiB"
        "&storage_class=STANDARD_IA&sse=aws:kms&kms_key=abc&verify=false&connect_timeout=1.5&retries=0"
        "&conditional_commit=false&addressing=virtual&public_endpoint_url=https://cdn.example"
    )
    options = options_of(url)
    assert (options.bucket, options.prefix) == ("bucket", "some/prefix")
    assert options.endpoint_url == "http://127.0.0.1:9000"
    assert options.public_endpoint_url == "https://cdn.example"
    assert (options.pool, options.part_size, options.retries) == (10, 16 << 20, 0)
    assert (options.sse, options.kms_key, options.storage_class) == ("aws:kms", "abc", "STANDARD_IA")
    assert options.verify is False
    assert options.connect_timeout == 1.5
    assert not options.path_style
    capabilities = S3Driver.from_url(url, {}).capabilities
    assert not capabilities.conditional_commit
    assert capabilities.conditional_put
    assert (capabilities.connections, capabilities.part_size) == (10, 16 << 20)


def test_later_ones_fill_what_earlier_ones_left_open(monkeypatch):
    monkeypatch.setenv("REVSTORE_S3_POOL", "30")
    monkeypatch.setenv("REVSTORE_S3_RETRIES", "7")
    monkeypatch.setenv("REVSTORE_S3_REGION", "from-environment")
    monkeypatch.setenv("AWS_REGION", "from-aws")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    options = options_of("s3://bucket?pool=10", pool=20, retries=5)
    assert (options.pool, options.retries, options.region) == (10, 5, "from-environment")
    assert options.endpoint_url == "http://127.0.0.1:1"
    assert options.path_style
    monkeypatch.setenv("REVSTORE_S3_POOL", "many")
    assert options_of("s3://bucket", pool=20).pool == 20
    with pytest.raises(InvalidStoreURL, match="REVSTORE_S3_POOL"):
        options_of("s3://bucket")


def test_constructed_and_by_url_are_the_same():
    assert S3Driver("bucket", "/a/prefix/", pool=5).options == options_of("s3://bucket/a/prefix", pool="5")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("s3://bucket?unknown=1", "unknown"),
        ("s3://bucket?pool=1", "pool"),
        ("s3://bucket?pool=-3", "pool"),
        ("s3://bucket?pool=true", "pool"),
        ("s3://bucket?pool=4&pool=5", "twice"),
        ("s3://bucket?part_size=4MiB", "part_size"),
        ("s3://bucket?part_size=6GiB", "part_size"),
        ("s3://bucket?part_size=x", "part_size"),
        ("s3://bucket?addressing=both", "addressing"),
        ("s3://bucket?server=none", "server"),
        ("s3://bucket?connect_timeout=0", "connect_timeout"),
        ("s3://bucket?read_timeout=nan", "read_timeout"),
        ("s3://bucket?read_timeout=soon", "read_timeout"),
        ("s3://bucket?conditional_put=maybe", "conditional_put"),
        ("s3://bucket?sse=none", "sse"),
        ("s3://bucket?kms_key=abc", "kms_key"),
        ("s3://bucket?endpoint_url=127.0.0.1:9000", "endpoint_url"),
        ("s3://bucket?endpoint_url=http://host/path", "endpoint_url"),
        ("s3://bucket?checksums=never", "checksums"),
        ("s3://bucket?region=", "region"),
        ("s3://", "bucket"),
        ("s3:///prefix", "bucket"),
        ("s3://b", "bucket"),
        ("s3://bucket:9000/prefix", "s3://bucket/prefix"),
        ("s3://bucket/prefix#fragment", "s3://bucket/prefix"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/a/../b", "prefix"),
        ("s3://bucket/" + "p" * 111, "prefix"),
    ],
)
def test_what_is_refused_is_named(url: str, named: str):
    with pytest.raises(InvalidStoreURL) as caught:
        options_of(url)
    assert named in caught.value.reason


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket?secret_access_key=hunter2",
        "s3://user:hunter2@bucket/prefix",
        "s3://bucket?endpoint_url=http://user:hunter2@host",
        "s3://bucket?session_token=hunter2&access_key_id=a",
    ],
)
def test_secrets_have_no_place_in_a_url(url: str):
    with pytest.raises(InvalidStoreURL) as caught:
        options_of(url)
    assert (
        "hunter2" not in f"{caught.value.url} {caught.value.reason.replace('http://user:hunter2@host', '')}"
    )


def test_secrets_are_not_shown():
    driver = S3Driver(
        "bucket", access_key_id="somebody", secret_access_key="hunter2", session_token="hunter3"
    )
    for shown in (repr(driver), repr(driver.options), str(driver.options)):
        assert "hunter" not in shown
        assert "somebody" not in shown
    with pytest.raises(InvalidStoreURL) as caught:
        S3Driver("bucket", access_key_id="somebody", secret_access_key="hunter2\n")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidStoreURL, match="go together"):
        S3Driver("bucket", secret_access_key="hunter2")


def test_kinds_of_servers():
    assert not S3Driver("bucket").capabilities.conditional_delete
    assert S3Driver("bucket", server="aws").capabilities.conditional_delete
    weed = S3Driver("bucket", server="seaweedfs").capabilities
    assert weed.conditional_put
    assert not weed.conditional_commit
    assert not weed.ordered_listing
    assert S3Driver("bucket", server="seaweedfs", conditional_commit=True).capabilities.conditional_commit
    for name in ("conditional_put", "signed_urls"):
        assert getattr(S3Driver("bucket").capabilities, name)
        assert not getattr(S3Driver.from_url(f"s3://bucket?{name}=no", {}).capabilities, name)


def test_the_documented_table_is_the_table():
    documented = (Path(__file__).parents[3] / "docs" / "drivers.md").read_text().splitlines()
    for option in fields(S3Options):
        if option.metadata:
            default = "" if option.default is None else f"`{str(option.default).lower()}`"
            assert f"| `{option.name}` | {default} | {option.metadata['says']} |" in documented


async def test_what_is_declared_as_lacking_is_refused():
    async with S3Driver("bucket", region="us-east-1", signed_urls=False, conditional_commit=False) as driver:
        with pytest.raises(Unsupported):
            await driver.url_for("key")
        async with driver.open_writer("key") as writer:
            with pytest.raises(Unsupported):
                await writer.commit(condition=IfAbsent())


async def test_a_profile_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidStoreURL, match="no-such-profile"):
        async with S3Driver("bucket", profile="no-such-profile"):
            pytest.fail("it was opened")


def test_without_aioboto3_the_extra_is_named():
    code = (
        "import sys; sys.modules['aioboto3'] = None\n"
        "from revstore_async.errors import MissingExtra\n"
        "try: import revstore_drivers.s3\n"
        "except MissingExtra as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'revstore-async[s3]'" in found.stdout

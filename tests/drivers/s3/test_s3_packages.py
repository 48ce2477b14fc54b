"""Private names of aiohttp and aiobotocore: where one is gone or has no effect, no driver opens."""

import subprocess
import sys
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientSession, TCPConnector

from revstore_async.errors import IncompatiblePackage
from revstore_drivers.s3 import S3Driver, client
from revstore_drivers.s3.wire.sessions import check_packages

OPTIONS = {
    "endpoint_url": "http://127.0.0.1:1",
    "region": "us-east-1",
    "access_key_id": "a",
    "secret_access_key": "b",
}


async def refusal() -> str:
    with pytest.raises(IncompatiblePackage) as caught:
        async with S3Driver("bucket", **OPTIONS):
            pytest.fail("it was opened")
    return str(caught.value)


async def silent(*_: object, **__: object) -> None:
    """Stands for a method of a later version, which reads none of the names."""


@pytest.fixture
def gone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    owner, functions, name = request.param
    for function in functions:
        monkeypatch.setattr(owner, function, silent)
    return str(name)


@pytest.mark.parametrize(
    "gone",
    [
        (ClientSession, ["_request"], "aiohttp [0-9.]+: ClientSession._retry_connection"),
        (AIOHTTPSession, ["send"], "aiobotocore [0-9.]+: AIOHTTPSession._get_session"),
        (
            TCPConnector,
            ["_start_tls_connection", "_create_direct_connection", "_create_proxy_connection"],
            "aiohttp [0-9.]+: TCPConnector._factory",
        ),
    ],
    indirect=True,
    ids=lambda each: each[2].rpartition(".")[2],
)
async def test_a_name_that_nothing_reads_is_refused_at_the_start(gone: str) -> None:
    with pytest.raises(IncompatiblePackage, match=gone):
        async with S3Driver("bucket", **OPTIONS):
            pytest.fail("it was opened")


async def test_a_method_that_is_gone_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(AIOHTTPSession, "_get_session")
    assert "AIOHTTPSession._get_session has no effect" in await refusal()


async def test_an_attribute_that_no_session_has_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ClientSession, "__init__", silent)
    assert "ClientSession._retry_connection has no effect" in await refusal()


async def test_sessions_that_aiobotocore_makes_itself_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_class(**options: Any) -> AioConfig:
        del options["http_session_cls"]
        return AioConfig(**options)

    monkeypatch.setattr(client, "AioConfig", without_class)
    assert "http_session_cls has no effect" in await refusal()


def test_the_installed_packages_are_taken() -> None:
    check_packages()


def test_a_module_without_the_name_that_is_imported_from_it_is_told() -> None:
    code = (
        "import aiohttp.client_proto\n"
        "del aiohttp.client_proto.ResponseHandler\n"
        "from revstore_async.errors import IncompatiblePackage\n"
        "try: import revstore_drivers.s3\n"
        "except IncompatiblePackage as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "the S3 driver can't use the installed aiohttp" in found.stdout
    assert "ResponseHandler" in found.stdout

"""Faults that the operator of a storage must mend: clients hear 503 or 507, and the log names the store."""

import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from revstore_async import Policy, Registry, open_driver
from revstore_async.driver import Driver, without_secrets
from revstore_async.server import Health, RegistryApp
from revstore_drivers.s3 import S3Driver
from tests.parts.documents import image
from tests.parts.minio import MinIO
from tests.parts.minio import running as minio_running
from tests.parts.serve_command import command, environment, refused, serving, status_of
from tests.parts.serving import ask
from tests.parts.small_disk import fill, make_read_only, small_disk
from tests.parts.standing_still import standing_still

DIGEST = "sha256:" + "0" * 64
NAME = "library/hello"
READS = [
    ("GET", "/v2/_catalog"),
    ("GET", f"/v2/{NAME}/tags/list"),
    ("GET", f"/v2/{NAME}/manifests/latest"),
    ("HEAD", f"/v2/{NAME}/manifests/latest"),
    ("GET", f"/v2/{NAME}/blobs/{DIGEST}"),
    ("DELETE", f"/v2/{NAME}/manifests/{DIGEST}"),
]
UPLOAD = ("POST", f"/v2/{NAME}/blobs/uploads/")
SECRETS = ("s3://", "bucket", "127.0.0.1", "file:", "docker/registry", "tmp")


def no_bucket(minio: MinIO) -> Driver:
    return S3Driver("there-is-none", **minio.options())


def wrong_secret(minio: MinIO) -> Driver:
    return S3Driver(minio.new_bucket(), **{**minio.options(), "secret_access_key": "not the secret"})


def wrong_key(minio: MinIO) -> Driver:
    return S3Driver(minio.new_bucket(), **{**minio.options(), "access_key_id": "nobody"})


async def _told(
    driver: Driver, method: str, path: str, log: pytest.LogCaptureFixture
) -> tuple[int, Mapping[str, str]]:
    log.clear()
    answer = await ask(RegistryApp(Registry(driver)), path, method)
    assert not [word for word in SECRETS if word in answer.text], answer.text
    (record,) = [each for each in log.records if each.name == "revstore_async.server"]
    assert (record.levelname, record.exc_info) == ("ERROR", None)
    message = record.getMessage()
    assert "\n" not in message
    assert repr(driver) in message, "the log does not name the store"
    return answer.status_code, answer.headers


@pytest.mark.parametrize("fault", [no_bucket, wrong_secret, wrong_key], ids=lambda fault: fault.__name__)
async def test_a_bucket_that_is_refused_is_told_as_503_and_a_line_in_the_log(
    minio: MinIO, fault: Any, caplog: pytest.LogCaptureFixture
):
    async with fault(minio) as driver:
        for method, path in [*READS, UPLOAD]:
            status, headers = await _told(driver, method, path, caplog)
            assert (status, "Retry-After" in headers) == (503, True), (method, path)
        health = Health(RegistryApp(Registry(driver)), driver)
        assert (await ask(health, "/readyz")).json() == {"status": "the storage does not answer"}


@asynccontextmanager
async def _folder(disk: Path) -> AsyncIterator[Driver]:
    async with open_driver(disk.as_uri()) as driver:
        yield driver


async def test_a_folder_that_is_read_only_is_told_as_503_and_is_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with small_disk(tmp_path / "disk") as disk:
        make_read_only(disk)
        async with _folder(disk) as driver:
            assert (await _told(driver, *UPLOAD, caplog))[0] == 503
            app = RegistryApp(Registry(driver))
            answer = await ask(Health(app, driver), "/readyz")
            assert (answer.status_code, answer.json()) == (503, {"status": "the storage takes no writes"})
            assert (await ask(Health(app, driver, writes=False), "/readyz")).status_code == 200
            assert (await ask(app, "/v2/_catalog")).status_code == 200


# ---- a full disk


async def test_a_full_disk_is_told_as_full_and_deletions_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with small_disk(tmp_path / "disk") as disk:
        async with _folder(disk) as driver:
            registry = Registry(driver, policy=Policy(check_layers=False))
            repository = registry.repository(NAME)
            stored = await repository.manifests.put(image(b"{}"), tag="latest")
            await repository.tags.set("other", stored.digest)
            fill(disk)
            status, headers = await _told(driver, *UPLOAD, caplog)
            assert (status, "Retry-After" in headers) == (507, False)
            app = RegistryApp(registry)
            assert (await ask(Health(app, driver), "/readyz")).json() == {"status": "the storage is full"}
            for path in ("latest", "other", stored.digest):
                assert (await ask(app, f"/v2/{NAME}/manifests/{path}", "DELETE")).status_code == 202, path
                assert (await ask(app, f"/v2/{NAME}/manifests/{path}")).status_code == 404
            assert [event.digest for event in await repository.tags.history("latest")][-1] is None


async def test_a_full_s3_server_is_told_as_full(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with small_disk(tmp_path / "disk", size="64m", files=10_000) as disk, minio_running(disk) as minio:
        async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
            with (minio.folder.parent / "filler").open("wb") as file:
                file.truncate(0)
                try:
                    while True:
                        file.write(bytes(1 << 20))
                        file.flush()
                except OSError:
                    pass
            status, headers = await _told(driver, *UPLOAD, caplog)
            assert (status, "Retry-After" in headers) == (507, False)


# ---- the start


def test_a_store_that_does_not_work_is_told_at_the_start(tmp_path: Path, minio: MinIO):
    where = f"?endpoint_url={minio.url}&region=us-east-1"
    for store, variables, reason in (
        (f"s3://there-is-none{where}", {}, "the bucket does not exist: create it"),
        (
            f"s3://{minio.new_bucket()}{where}",
            {"AWS_SECRET_ACCESS_KEY": "not the secret"},
            "the secret key is not that of the access key",
        ),
    ):
        said = refused(
            tmp_path, "--port", "0", "--store", store, variables=minio.environment() | dict(variables)
        )
        told = said.splitlines()[-1]
        assert told.startswith(f"Error: the store {without_secrets(store)} can't be used: {reason}")


def test_a_read_only_folder_is_told_at_the_start_unless_nothing_is_to_be_written(tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk:
        make_read_only(disk)
        said = refused(tmp_path, "--port", "0", "--store", disk.as_uri())
        assert "Read-only file system" in said
        with serving(tmp_path, "--store", disk.as_uri(), "--read-only") as server:
            assert status_of(f"{server.url}/readyz") == 200


def test_a_full_store_is_served_so_that_deletions_can_make_room(tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        with serving(tmp_path, "--store", disk.as_uri()) as server:
            assert status_of(f"{server.url}/v2/_catalog") == 200
            assert status_of(f"{server.url}/readyz") == 503
            assert "WARNING revstore_async.server: the store" in server.log.read_text()


def test_the_attempt_leaves_nothing(tmp_path: Path):
    with serving(tmp_path) as server:
        assert server.end() == 0
    assert [*(tmp_path / "data" / "revstore").iterdir()] == []


@contextmanager
def waiting(tmp_path: Path, minio: MinIO, bucket: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command on a bucket that is not there, and go on when it waits for it."""
    store = f"s3://{bucket}?endpoint_url={minio.url}&region=us-east-1"
    log = tmp_path / "stderr"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command("--port", "0", "--store", store, "--wait-for-store", "5m"),
            cwd=tmp_path,
            env=environment(tmp_path) | minio.environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        while "waiting for it" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_server_waits_for_its_store_where_it_is_told_to(tmp_path: Path, minio: MinIO):
    with waiting(tmp_path, minio, "comes-late") as process:
        (minio.folder / "comes-late").mkdir()
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert status_of(f"{url}/readyz") == 200


def test_who_waits_for_a_store_ends_by_a_signal(tmp_path: Path, minio: MinIO):
    with waiting(tmp_path, minio, "never-comes") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


# ---- a storage that hangs


def _answer(url: str, method: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url, method=method), timeout=30) as answer:
            return answer.status, ""
    except HTTPError as error:
        with error:
            return error.code, error.headers.get("Retry-After", "")
    except TimeoutError:
        return 0, ""


def test_clients_of_a_storage_that_stands_still_are_told_in_time(tmp_path: Path):
    with minio_running(tmp_path) as minio:
        assert minio.process is not None
        store = f"{minio.new_store_url()}&metadata_timeout=1"
        with serving(tmp_path, "--store", store, variables=minio.environment()) as server:
            assert status_of(f"{server.url}/v2/_catalog") == 200
            with standing_still(minio.process.pid), ThreadPoolExecutor() as clients:
                methods, paths = zip(*READS, UPLOAD, strict=True)
                for told in clients.map(_answer, [server.url + path for path in paths], methods):
                    assert told == (503, "5")
                assert status_of(f"{server.url}/readyz") == 503
            assert status_of(f"{server.url}/v2/_catalog") == 200

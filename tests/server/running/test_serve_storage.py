"""What `revstore serve` does with blobs and uploads by its options: purges, limits, reads past it."""

import json
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest

from revstore_async.cli.commands import run
from revstore_async.cli.serve_options import Serving as Said
from tests.parts.minio import MinIO
from tests.parts.serve_command import PURGES_AT_ONCE, Serving, copy, push, serving, status_of

# ---- purges


def begun(server: Serving) -> str:
    """Begin an upload, and return its URL."""
    with urlopen(Request(f"{server.url}/v2/a/blobs/uploads/", method="POST")) as answer:
        return f"{server.url}{urlsplit(answer.headers['Location']).path}"


def wait_for(server: Serving, line: str) -> None:
    """Wait until the log has a line with these words."""
    while line not in server.log.read_text():
        assert server.process.poll() is None, server.log.read_text()
        time.sleep(0.02)


def test_uploads_that_nobody_went_on_with_are_purged_by_the_server(tmp_path: Path):
    with serving(tmp_path, "--purge-after", "never") as server:
        old = urlsplit(begun(server)).path
        assert server.end() == 0
    (state,) = (tmp_path / "data").rglob("state")
    then = state.stat().st_mtime - timedelta(days=8).total_seconds()
    os.utime(state, (then, then))
    with serving(tmp_path, program=("-c", PURGES_AT_ONCE)) as server:
        young = begun(server)
        wait_for(server, "purged abandoned uploads: 1")
        assert (status_of(server.url + old), status_of(young)) == (404, 204)
        assert server.end() == 0
    assert not state.exists()


def test_a_purge_that_fails_is_a_line_in_the_log_and_the_server_goes_on(tmp_path: Path):
    damaged = "import revstore_async.inventory as i; from revstore_async.errors import Unavailable as U\n"
    damaged += "async def uploads(*_): raise U('a/key', 'no\\nanswer')\ni.uploads = uploads\n"
    with serving(tmp_path, program=("-c", damaged + PURGES_AT_ONCE)) as server:
        wait_for(server, "could not be purged")
        assert status_of(f"{server.url}/v2/") == 200
        assert server.end() == 0
    (line,) = server.log.read_text().splitlines()
    assert "WARNING revstore_async.server: uploads could not be purged, which is tried again later: " in line


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ([], timedelta(days=7)),
        (["--purge-after", "12h"], timedelta(hours=12)),
        (["--purge-after", "0"], None),
        (["--purge-after", "never"], None),
        (["--read-only"], None),
        (["--read-only", "--purge-after", "7d"], timedelta(days=7)),
    ],
)
def test_uploads_are_purged_after_a_week_unless_another_word_is_said(
    monkeypatch: pytest.MonkeyPatch, options: list[str], after: timedelta | None
):
    said: list[Said] = []
    monkeypatch.setattr(
        "revstore_async.cli.serving.serve_until_told", lambda serving, _: said.append(serving)
    )
    assert run(["serve", "--store", "memory:", *options]) == 0
    assert [serving.purges_after for serving in said] == [after]


# ---- blobs


def test_large_blobs_come_from_the_storage_where_that_is_asked_for(tmp_path: Path, minio: MinIO):
    options = ["--delegate", "144", "--store", minio.new_store_url()]
    with serving(tmp_path, *options, variables=minio.environment()) as server:
        assert push(server).returncode == 0
        pulled = copy(
            "--src-tls-verify=false", f"docker://{server.host}/hello", f"oci:{tmp_path / 'pulled'}:a"
        )
        assert pulled.returncode == 0, pulled.stderr
        assert server.end() == 0
        gets = {
            line["status"]
            for line in server.lines()
            if (line["method"], "blobs" in line["path"]) == ("GET", True)
        }
    assert gets == {307}


def redirected(url: str, client: str) -> Mapping[str, list[str]]:
    """Ask as a client of this address; return the query of where it is sent, empty where it is answered here."""
    host, _, path = url.partition("://")[2].partition("/")
    connection = HTTPConnection(host)
    try:
        connection.request("GET", f"/{path}", headers={"X-Forwarded-For": client})
        answer = connection.getresponse()
        assert answer.status in {200, 307}
        return parse_qs(urlsplit(answer.headers.get("Location", "")).query)
    finally:
        connection.close()


def test_only_clients_of_the_named_networks_are_sent_to_the_storage_and_for_the_named_time(
    tmp_path: Path, minio: MinIO
):
    networks = [word for each in ("10.0.0.0/8", "fd00::/8") for word in ("--delegate-network", each)]
    options = ["--delegate", "144", *networks, "--delegate-expires", "5m", "--trusted-proxy", "127.0.0.1"]
    store = minio.new_store_url()
    with serving(tmp_path, *options, "--store", store, variables=minio.environment()) as server:
        assert push(server).returncode == 0
        with urlopen(f"{server.url}/v2/hello/manifests/latest") as answer:
            manifest = json.load(answer)
        blob = f"{server.url}/v2/hello/blobs/{manifest['layers'][0]['digest']}"
        for client in ("10.1.2.3", "fd00::1"):
            assert redirected(blob, client)["X-Amz-Expires"] == ["300"]
        for client in ("11.1.2.3", "fe80::1"):
            assert redirected(blob, client) == {}


def test_blobs_above_the_limit_are_refused(tmp_path: Path):
    with serving(tmp_path, "--blob-limit", "1KiB") as server:
        for size, status in ((1024, 201), (1025, 413)):
            content = b"x" * size
            digest = f"sha256:{sha256(content).hexdigest()}"
            url = f"{server.url}/v2/a/blobs/uploads/?digest={digest}"
            assert status_of(url, "POST", content=content) == status


def test_pulls_are_not_verified_where_that_is_left_to_clients(tmp_path: Path):
    with serving(tmp_path, "--no-verify-blobs") as server:
        assert push(server).returncode == 0
        data = tmp_path / "data"
        layer = next(data.rglob("_layers/sha256/*/link")).read_text()
        damaged = next(data.rglob(f"blobs/sha256/*/{layer.removeprefix('sha256:')}/data"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
        with urlopen(f"{server.url}/v2/hello/blobs/{layer}") as answer:
            assert answer.read() == damaged.read_bytes()

"""`revstore serve`, run as a process, with real clients; and the README's own lines."""

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jwcrypto.jwk import JWK

from revstore_async.cli.commands import run
from revstore_async.cli.serve import Serving as Said
from revstore_async.cli.serve import default_store, is_loopback
from tests.parts.minio import MinIO
from tests.parts.programs import program, without_aws

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "docs" / "examples" / "hello"


@dataclass
class Serving:
    """The command as it serves."""

    process: subprocess.Popen[str]
    url: str
    store: str
    tried: str
    log: Path

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it printed after it began to listen, once it has ended."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]


COMMAND = ("-m", "revstore_async.cli")
PURGES_AT_ONCE = """
from datetime import timedelta
from revstore_async.cli import main, purging
purging.FIRST = timedelta(0)
main()
"""


def command(*options: str, program: Sequence[str] = COMMAND) -> list[str]:
    return [sys.executable, "-W", "error", *program, "--json", "serve", *options]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in without_aws().items() if name != "REVSTORE_STORE"}
    return kept | {"XDG_DATA_HOME": str(folder / "data")}


@contextmanager
def serving(
    folder: Path,
    *options: str,
    variables: Mapping[str, str] = MappingProxyType({}),
    program: Sequence[str] = COMMAND,
) -> Iterator[Serving]:
    log = folder / "stderr"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command("--port", "0", *options, program=program),
            cwd=folder,
            env=environment(folder) | dict(variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first, log.read_text()
        said = json.loads(first)
        yield Serving(process, said["url"], said["store"], said["try"], log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in log.read_text()


def misused(capfd: pytest.CaptureFixture[str], *options: str) -> str:
    """Run the command in this process, where it is refused before anything is set up."""
    assert run(["serve", *options]) == 2
    return capfd.readouterr().err


def refused(folder: Path, *options: str) -> str:
    ran = subprocess.run(
        command(*options), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 2, ran.stdout
    assert "Traceback" not in ran.stderr
    return ran.stderr


def status_of(
    url: str,
    method: str = "GET",
    context: ssl.SSLContext | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    content: bytes | None = None,
) -> int:
    try:
        request = Request(url, content, dict(headers), method=method)
        with urlopen(request, context=context) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def copy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("skopeo"), "copy", "--insecure-policy", *arguments], capture_output=True, text=True
    )


def push(server: Serving, *options: str) -> subprocess.CompletedProcess[str]:
    return copy("--dest-tls-verify=false", *options, f"oci:{HELLO}", f"docker://{server.host}/hello:latest")


# ---- a newcomer


def test_the_readmes_command_serves_and_its_next_line_pushes_an_image(tmp_path: Path):
    readme = (ROOT / "README.md").read_text()
    assert re.search(r"^    make serve\b", readme, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^serve: .*\n\t@?\$\(BIN\)/revstore serve$", makefile, re.MULTILINE)
    (line,) = re.findall(r"^    (skopeo copy .*)$", readme, re.MULTILINE)
    with serving(tmp_path) as server:
        words = shlex.split(line.replace("127.0.0.1:5000", server.host))
        words[0] = program("skopeo")
        pushed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert pushed.returncode == 0, pushed.stderr
        pulled = copy("--src-tls-verify=false", words[-1], f"oci:{tmp_path / 'pulled'}:latest")
        assert pulled.returncode == 0, pulled.stderr
        assert server.end() == 0
    for blob in (HELLO / "blobs" / "sha256").iterdir():
        assert (tmp_path / "pulled" / "blobs" / "sha256" / blob.name).read_bytes() == blob.read_bytes()
    assert server.store == (tmp_path / "data" / "revstore").as_uri()
    assert (tmp_path / "data" / "revstore" / "docker" / "registry" / "v2").is_dir()


def test_it_listens_on_loopback_and_says_what_to_try(tmp_path: Path):
    with serving(tmp_path) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.url)
        assert server.tried.startswith("skopeo copy --dest-tls-verify=false docker://")
        assert server.tried.endswith(f"docker://{server.host}/busybox")


def test_each_request_is_a_line_of_json_on_standard_output(tmp_path: Path):
    with serving(tmp_path) as server:
        assert status_of(f"{server.url}/v2/") == 200
        assert status_of(f"{server.url}/v2/none/tags/list") == 404
        assert status_of(f"{server.url}/readyz") == 200
        assert server.end() == 0
        told = [(line["method"], line["path"], line["status"]) for line in server.lines()]
    assert told == [("GET", "/v2/", 200), ("GET", "/v2/none/tags/list", 404)]


def test_the_default_store_is_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in ("", "relative/folder"):
        monkeypatch.setenv("XDG_DATA_HOME", named)
        assert default_store() == (tmp_path / ".local" / "share" / "revstore").as_uri()
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/of its own")
    assert default_store() == "file:///somewhere/of%20its%20own/revstore"


# ---- who may write


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "registry.example", "::ffff:10.1.2.3", ""])
def test_writes_are_not_offered_to_the_world_by_accident(
    tmp_path: Path, host: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    told = misused(capfd, "--host", host)
    assert f"{host!r} is not a loopback address" in told
    assert "--allow-anonymous-writes" in told
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("localhost.evil", False)],
)
def test_which_addresses_are_this_machines_own(host: str, loopback: bool):
    assert is_loopback(host) is loopback


def test_writes_are_offered_to_the_world_where_that_is_said(tmp_path: Path):
    with serving(tmp_path, "--host", "0.0.0.0", "--allow-anonymous-writes") as server:
        port = server.url.rpartition(":")[2]
        assert status_of(f"http://127.0.0.1:{port}/v2/a/blobs/uploads/", "POST") == 202


def test_reads_may_be_offered_to_the_world(tmp_path: Path):
    with serving(tmp_path, "--host", "0.0.0.0", "--read-only") as server:
        port = server.url.rpartition(":")[2]
        assert status_of(f"http://127.0.0.1:{port}/v2/_catalog") == 200
        assert status_of(f"http://127.0.0.1:{port}/v2/a/blobs/uploads/", "POST") == 403
        assert server.tried.startswith("curl ")


def test_users_of_htpasswd_push_and_pull_and_others_do_not(tmp_path: Path):
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(5)).decode().replace("2b", "2y", 1)
    (tmp_path / "users").write_text(f"ann:{hashed}\n")
    with serving(tmp_path, "--host", "0.0.0.0", "--htpasswd", "users") as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert "--dest-creds USER:PASSWORD" in server.tried
        pushed = push(server, "--dest-creds", "ann:secret")
        assert pushed.returncode == 0, pushed.stderr
        assert push(server, "--dest-creds", "ann:wrong").returncode != 0
        assert push(server).returncode != 0
        assert server.end() == 0
        principals = {line["principal"] for line in server.lines() if line["method"] == "PUT"}
    assert principals == {"ann"}
    assert "without TLS" in server.log.read_text()
    assert "secret" not in server.log.read_text()


def test_tokens_are_demanded_where_an_issuer_is_named(tmp_path: Path):
    key = JWK.generate(kty="EC", crv="P-256", kid="1")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.export_public(as_dict=True)]}))
    options = {"issuer": "https://issuer.test", "service": "here", "realm": "https://issuer.test/token"}
    tokens = [word for name, value in options.items() for word in (f"--token-{name}", value)]
    with serving(tmp_path, *tokens, "--token-keys", "keys.json") as server:
        try:
            urlopen(f"{server.url}/v2/a/tags/list")
        except HTTPError as error:
            with error:
                challenge = error.headers["WWW-Authenticate"]
    assert challenge == ('Bearer realm="https://issuer.test/token",service="here",scope="repository:a:pull"')


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--read-only", "--allow-anonymous-writes"], "only one is taken"),
        (["--htpasswd", __file__, "--read-only"], "only one is taken"),
        (["--token-issuer", "a"], "--token-realm"),
        (["--htpasswd", "none"], "does not exist"),
        (["--tls-key", __file__], "--tls-cert"),
        (["--port", "65536"], "65536"),
        (["--delegate-network", "10.0.0.0/8"], "need --delegate"),
        (["--delegate-expires", "5m"], "need --delegate"),
        (["--delegate", "0", "--delegate-expires", "8d"], "'8d' is too long: 7d at most"),
        (
            ["--delegate", "0", "--delegate-network", "10.0.0.1/8"],
            "has host bits set; write it like 10.0.0.0/8",
        ),
        (["--delegate", "10MB"], "'10MB' is no size; write it like 1048576, 512KiB or 10GiB"),
        (["--blob-limit", "0"], "'0' is too small: 1 at least"),
        (["--blob-limit", "-1"], "'-1' is no size"),
        (["--body-timeout", "0"], "0 is not in the range"),
        (["--purge-after", "10m"], "'10m' is too short: 1h at least"),
        (["--purge-after", "soon"], "write it like 90m, 12h or 2d, or never"),
    ],
)
def test_options_that_do_not_fit_together_are_told(
    capfd: pytest.CaptureFixture[str], options: list[str], said: str
):
    assert said in misused(capfd, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--htpasswd", "damaged"], "damaged, line 2"),
        (["--tls-cert", "users"], "certificate = 'users'"),
        (["--store", "nowhere:"], "no installed driver"),
        (["--store", "s3://key:hunter2@bucket/?unknown=hunter2"], "s3://bucket"),
    ],
)
def test_what_does_not_fit_is_told_at_once(tmp_path: Path, options: list[str], said: str):
    (tmp_path / "users").write_text("ann:$2y$05$" + "a" * 53)
    (tmp_path / "damaged").write_text("# users\nann:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n")
    told = refused(tmp_path, *options)
    assert said in told
    assert "hunter2" not in told


def test_a_port_that_is_taken_is_told(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "Address already in use" in refused(tmp_path, "--port", port)


# ---- TLS, metrics


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1, in one file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "tls.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_it_serves_by_tls(tmp_path: Path):
    pem = certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", str(pem)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=pem)
        assert status_of(f"{server.url}/v2/", context=context) == 200
        assert "--dest-tls-verify" not in server.tried


def test_metrics_are_told_where_that_is_asked_for(tmp_path: Path):
    with serving(tmp_path, "--metrics", "--tracing") as server:
        assert status_of(f"{server.url}/v2/_catalog") == 200
        with urlopen(f"{server.url}/metrics") as answer:
            told = answer.read().decode()
    assert 'route="/v2/_catalog"' in told
    assert "revstore_storage_request_duration_seconds_count" in told
    with serving(tmp_path) as server:
        assert status_of(f"{server.url}/metrics") == 404


@pytest.mark.parametrize(("trusted", "client"), [(True, "10.1.2.3"), (False, "127.0.0.1")])
def test_a_proxys_word_counts_only_where_it_is_trusted(tmp_path: Path, trusted: bool, client: str):
    options = ["--trusted-proxy", "127.0.0.0/8"] if trusted else []
    with serving(tmp_path, *options) as server:
        status_of(f"{server.url}/v2/", headers={"X-Forwarded-For": "10.1.2.3"})
        assert server.end() == 0
        (line,) = server.lines()
    assert line["client"] == client


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


# ---- the end


@contextmanager
def uploading(server: Serving) -> Iterator[socket.socket]:
    """Begin an upload whose body is sent half; 10 of 20 bytes."""
    host, port = server.host.rsplit(":", 1)
    begun = Request(f"{server.url}/v2/a/blobs/uploads/", method="POST")
    with urlopen(begun) as answer:
        location = answer.headers["Location"]
    with socket.create_connection((host, int(port))) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: 20\r\n\r\n"
        connection.sendall(head.encode() + b"0123456789")
        connection.settimeout(20)
        yield connection


def wait_until_closed(server: Serving) -> None:
    """Wait until nobody listens any more."""
    host, port = server.host.rsplit(":", 1)
    while True:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionError:
            return


def test_a_request_under_way_is_finished_after_sigterm(tmp_path: Path):
    with serving(tmp_path) as server, uploading(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        wait_until_closed(server)
        connection.sendall(b"0123456789")
        assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
        assert server.process.wait(20) == 0


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


def test_a_client_that_stands_still_is_given_up_after_the_named_time(tmp_path: Path):
    with serving(tmp_path, "--body-timeout", "1") as server, uploading(server) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_pulls_are_not_verified_where_that_is_left_to_clients(tmp_path: Path):
    with serving(tmp_path, "--no-verify-blobs") as server:
        assert push(server).returncode == 0
        data = tmp_path / "data"
        layer = next(data.rglob("_layers/sha256/*/link")).read_text()
        damaged = next(data.rglob(f"blobs/sha256/*/{layer.removeprefix('sha256:')}/data"))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
        with urlopen(f"{server.url}/v2/hello/blobs/{layer}") as answer:
            assert answer.read() == damaged.read_bytes()


def test_a_request_that_takes_too_long_is_cancelled_and_the_upload_goes_on(tmp_path: Path):
    with serving(tmp_path, "--grace", "1") as server, uploading(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        assert connection.recv(100).startswith(b"HTTP/1.1 503 ")
        assert server.process.wait(20) == 0
        (*_, line) = server.lines()
    assert (line["method"], line["received"], line["status"]) == ("PATCH", 10, 503)
    assert "cut off" in server.log.read_text()
    with serving(tmp_path) as server, urlopen(f"{server.url}{line['path']}") as status:
        assert status.status == 204
        offset = int(status.headers["Range"].removeprefix("0-")) + 1  # of nothing at all, it is 0-0
        assert offset in {1, 10}


def test_an_interrupt_ends_it_in_order_with_130(tmp_path: Path):
    with serving(tmp_path) as server:
        assert server.end(signal.SIGINT) == 130


def test_a_second_interrupt_does_not_wait(tmp_path: Path):
    with serving(tmp_path, "--grace", "1000") as server, uploading(server):
        server.process.send_signal(signal.SIGINT)
        wait_until_closed(server)
        assert server.end(signal.SIGINT) == 130


def test_help_needs_neither_the_server_nor_a_store(tmp_path: Path):
    script = (
        "import sys\n"
        "sys.modules['starlette'] = None\n"
        "sys.argv = ['revstore', 'serve', *sys.argv[1:]]\n"
        "from revstore_async.cli import main\n"
        "main()"
    )
    for arguments, code, said in ((["--help"], 0, "--htpasswd"), ([], 2, "revstore-async[server]")):
        ran = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=environment(tmp_path) | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == code
        assert said in ran.stdout + ran.stderr

"""`revstore serve`, run as a process, with real clients; and the README's own lines."""

import json
import re
import shlex
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from jwcrypto.jwk import JWK

from revstore_async.cli.serve import default_store
from revstore_async.cli.serve_options import is_loopback
from tests.parts.certificates import certificate
from tests.parts.passwords import line
from tests.parts.programs import program
from tests.parts.serve_command import HELLO, ROOT, copy, misused, push, refused, serving, status_of

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
    (tmp_path / "users").write_text(f"{line('ann')}\n")
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
        (["--cors-origin", "*", "--htpasswd", __file__], "name the origins"),
        (["--purge-after", "10m"], "'10m' is too short: 1h at least"),
        (["--gc", "03:00"], "'03:00' is no time of each day; write it like 'daily 03:00'"),
        (["--gc", "daily 24:00"], "is no time of each day"),
        (["--gc-every", "0"], "'0' is too short: 1s at least"),
        (["--gc", "daily 03:00", "--gc-every", "1d"], "only one is taken"),
        (["--gc-retention", "keep.toml"], "--gc-retention needs --gc or --gc-every"),
        (["--gc-every", "1d", "--read-only"], "not taken with --read-only"),
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
        (["--gc-every", "1d", "--gc-retention", "nowhere.toml"], "nowhere.toml"),
        (["--tls-cert", "users"], "certificate = 'users'"),
        (["--store", "nowhere:"], "no installed driver"),
        (["--cors-origin", "ui.example"], "write it like https://ui.example"),
        (["--cors-origin", "https://ui.example", "--cors-origin", "*"], "it stands alone"),
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

"""The servers in the documents, run as their readers run them, do as the text around them says.

A document of `DOCUMENTS` has a check here for each of its programs that makes an `app`.
"""

import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from revstore_async import Digest
from tests.parts.programs import free_port, wait_until, without_aws
from tests.parts.serve_command import HELLO, copy, status_of

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENTS = ["security.md"]
DIGEST = Digest.of(b"")
ANONYMOUS: Mapping[str, str] = {}


def as_user(name: str, password: str = "secret") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


EMPTY = as_user("", "")
"""What skopeo and podman send without credentials."""


def apps_of(document: str) -> list[str]:
    programs: list[str] = re.findall(
        r"^```python\n(.*?)^```", (DOCS / document).read_text(), re.DOTALL | re.MULTILINE
    )
    return [program for program in programs if re.search(r"^app = ", program, re.MULTILINE)]


@contextmanager
def served(program: str, folder: Path) -> Iterator[str]:
    """Save a program and run it by uvicorn, beside a file of the users alice and bob."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (folder / "users").write_text(f"alice:{hashed}\nbob:{hashed}\n")
    (folder / "team.py").write_text(program)
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "team:app", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=without_aws(), stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), process, log)
        yield url
    finally:
        process.terminate()
        process.wait()
    assert "Traceback" not in log.read_text()


def answers(url: str) -> bool:
    try:
        status_of(url)
    except OSError:
        return False
    return True


def users_push_below_their_names(url: str) -> None:
    for user, repository, status in [
        (as_user("alice"), "alice/app", 202),
        (as_user("alice"), "alice/team/app", 202),
        (as_user("alice"), "bob/app", 403),
        (as_user("alice"), "alice", 403),
        (as_user("alice"), "alicex/app", 403),
        (as_user("bob"), "bob/app", 202),
        (as_user("bob"), "alice/app", 403),
        (as_user("alice", "wrong"), "alice/app", 401),
        (as_user("eve"), "eve/app", 401),
        (ANONYMOUS, "alice/app", 401),
        (EMPTY, "alice/app", 401),
    ]:
        assert status_of(f"{url}/v2/{repository}/blobs/uploads/", "POST", headers=user) == status
        deletion = status_of(f"{url}/v2/{repository}/manifests/{DIGEST}", "DELETE", headers=user)
        assert deletion == (404 if status == 202 else status)


def each_user_pulls_everything_and_pushes_below_the_own_name(url: str, folder: Path) -> None:
    users_push_below_their_names(url)
    for user, status in [(as_user("alice"), 404), (as_user("bob"), 404), (ANONYMOUS, 401), (EMPTY, 401)]:
        assert status_of(f"{url}/v2/alice/other/tags/list", headers=user) == status
    assert status_of(f"{url}/v2/_catalog", headers=as_user("bob")) == 200


def everybody_pulls_and_users_push_below_their_names(url: str, folder: Path) -> None:
    users_push_below_their_names(url)
    for user in (as_user("alice"), as_user("bob"), ANONYMOUS, EMPTY):
        assert status_of(f"{url}/v2/alice/other/tags/list", headers=user) == 404
    for anonymous in (ANONYMOUS, EMPTY):
        assert status_of(f"{url}/v2/", headers=anonymous) == 401
    image = url.replace("http:", "docker:") + "/alice/hello:latest"
    push = ["--dest-tls-verify=false", f"oci:{HELLO}", image]
    assert copy(*push).returncode != 0
    pushed = copy("--dest-creds", "alice:secret", *push)
    assert pushed.returncode == 0, pushed.stderr
    pulled = copy("--src-tls-verify=false", image, f"oci:{folder / 'pulled'}:latest")
    assert pulled.returncode == 0, pulled.stderr


CHECKS: Mapping[str, list[Callable[[str, Path], None]]] = {
    "security.md": [
        each_user_pulls_everything_and_pushes_below_the_own_name,
        everybody_pulls_and_users_push_below_their_names,
    ],
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_server_of_a_document_does_what_the_document_says(document: str, tmp_path: Path):
    for number, (program, check) in enumerate(zip(apps_of(document), CHECKS[document], strict=True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with served(program, folder) as url:
            check(url, folder)

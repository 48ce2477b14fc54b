"""`revstore serve`, run as a process of its own, for several modules of tests."""

import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from revstore_async.cli.commands import run
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
        """Return the lines that it printed after it began to listen, once it has ended."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]


COMMAND = ("-m", "revstore_async.cli")
PURGES_AT_ONCE = """
from datetime import timedelta
from revstore_async.cli import main
from revstore_async.server.running import purging
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


def refused(folder: Path, *options: str, variables: Mapping[str, str] = MappingProxyType({})) -> str:
    ran = subprocess.run(
        command(*options),
        cwd=folder,
        env=environment(folder) | dict(variables),
        capture_output=True,
        text=True,
        timeout=60,
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

"""Docker's own library, asked over the pipes of one long-running process (`tests/vectors/libtrust`)."""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from revstore_async.signatures import SigningKey

from .programs import missing, program
from .vectors import LIBTRUST


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict of libtrust: accepted or not, by which keys, and the document as libtrust writes it."""

    ok: bool
    error: str
    kids: list[str]
    payload: bytes
    document: bytes
    blobs: list[bytes]


class Libtrust:
    """The running program."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin = stdin
        self._stdout = stdout

    def verify(self, document: bytes) -> Answer:
        return self._ask(op="verify", documents=[_b64(document)])

    def merge(self, documents: list[bytes]) -> Answer:
        return self._ask(op="merge", documents=[_b64(each) for each in documents])

    def sign(self, payload: bytes, key: SigningKey) -> Answer:
        return self._ask(op="sign", payload=_b64(payload), key=json.loads(key.to_jwk()))

    def _ask(self, **question: object) -> Answer:
        self._stdin.write(json.dumps(question) + "\n")
        self._stdin.flush()
        line = json.loads(self._stdout.readline())
        return Answer(
            line["ok"],
            line.get("error", ""),
            line.get("kids", []),
            base64.b64decode(line.get("payload", "")),
            base64.b64decode(line.get("document", "")),
            [base64.b64decode(blob) for blob in line.get("blobs", [])],
        )


def build(folder: Path) -> Path:
    """Build the program into a folder."""
    binary = folder / "libtrust"
    command = [program("go"), "build", "-buildvcs=false", "-o", str(binary), "."]
    built = subprocess.run(command, check=False, cwd=LIBTRUST, capture_output=True, text=True)
    if built.returncode != 0:
        missing(f"go could not build the libtrust program: {built.stderr.strip()}")
    return binary


@contextmanager
def serving(binary: Path) -> Iterator[Libtrust]:
    """Run the program for as long as the block lasts."""
    command = [str(binary), "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Libtrust(cast("IO[str]", process.stdin), cast("IO[str]", process.stdout))
        cast("IO[str]", process.stdin).close()


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()

"""The committed vectors: documents made by other programs, and the keys for making more."""

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from revstore_async.signatures import SigningKey

VECTORS = Path(__file__).parents[1] / "vectors"
KEYS = VECTORS / "keys"
LIBTRUST = VECTORS / "libtrust"
DOCUMENTS = LIBTRUST / "documents"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The verdict of libtrust about one of its documents."""

    file: str
    payload: bytes
    digest: str
    kids: list[str]
    format_length: int
    blobs: list[bytes]


@dataclass(frozen=True, slots=True)
class Expectations:
    """The verdicts that the Go program wrote beside its documents."""

    folder: Path
    documents: list[Expectation]
    merges: dict[str, list[list[str]]]

    @classmethod
    def read(cls, folder: Path) -> "Expectations":
        content: dict[str, Any] = json.loads((folder / "expectations.json").read_bytes())
        documents = [
            Expectation(
                each["file"],
                base64.b64decode(each["payload"]),
                each["digest"],
                each["kids"],
                each["formatLength"],
                [base64.b64decode(blob) for blob in each["blobs"]],
            )
            for each in content["documents"]
        ]
        return cls(folder, documents, {each["file"]: each["orders"] for each in content["merges"]})

    def document(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()


def made_by_libtrust(file: str) -> bytes:
    """One of the committed documents."""
    return (DOCUMENTS / file).read_bytes()


@cache
def key(stem: str) -> SigningKey:
    """One of the fixed keys: ec256, ec384, ec521, rsa2048, rsa3072."""
    return SigningKey.from_pem((KEYS / f"{stem}.pem").read_bytes())


@cache
def chained_key(stem: str) -> SigningKey:
    """ec256 or rsa2048 with its chain, which leads to `root.pem`."""
    return key(stem).with_chain((KEYS / f"{stem}.chain.pem").read_bytes())


@cache
def signers() -> tuple[SigningKey, ...]:
    """Twenty keys on P-256."""
    keys = json.loads((KEYS / "signers.json").read_bytes())["keys"]
    return tuple(SigningKey.from_jwk(json.dumps(each).encode()) for each in keys)

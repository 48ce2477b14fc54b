"""Reads the references of a manifest, and takes any digest in it for one: a missed reference would lose content."""

import json
import re
from dataclasses import dataclass
from typing import Final

from ..errors import InvalidDigest
from ..formats import strictjson
from ..formats.digest import Digest
from ..formats.lenient_manifests import read_stored

READER: Final = 1
"""The version of this reader. It grows when the reader finds other references in the same manifest."""

# Each part has a bound, so that the search is linear in text that strangers send.
_DIGEST: Final = re.compile(r"(?:tarsum(?:\.[a-z0-9]{1,64})?\+)?sha(?:256|384|512):[0-9a-f]{64,128}")


@dataclass(frozen=True, slots=True)
class References:
    """The references of a manifest.

    Attributes:
        digests: Every digest that stands anywhere in it, whatever its place and type, its subject's too.
        subject: The manifest that it is about, if any.
        size: The bytes of the manifest.
    """

    digests: frozenset[Digest]
    subject: Digest | None
    size: int


def read_references(content: bytes) -> References | None:
    """Read the references of a stored manifest; None if it can't be read, so that they are unknown."""
    try:
        strictjson.check_size(content)
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    found: set[Digest] = set()
    waiting: list[object] = [document]
    while waiting:
        match waiting.pop():
            case dict() as members:
                waiting += members.keys()
                waiting += members.values()
            case list() as values:
                waiting += values
            case str() as text:
                found.update(_digests(text))
    return References(frozenset(found), read_stored(content).subject, len(content))


def _digests(text: str) -> set[Digest]:
    found = set()
    for match in _DIGEST.finditer(text):
        try:
            found.add(Digest(match[0]))
        except InvalidDigest:  # too few or too many digits for its algorithm
            continue
    return found

"""Bodies of requests on their way: whole, and without holding up the loop.

TLS keeps a body whole; without TLS the SHA-256 that is signed with the request does: any S3 server compares it
with the received bytes. It is made in a thread: botocore would make it on the loop, 4 ms for each 8 MiB, and as
many at once as there are parts under way. On botocore's way, which only a client's first requests go, the
signature leaves the body out, as S3 offers, and without TLS its MD5 is a header. MD5 takes more than twice the
time of a SHA-256 for which the processor has instructions.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

PIECE: Final = 256 << 10
"""Bytes that are handed to the connection at a time."""

Body = bytes | BytesIO
"""A body; a `BytesIO` is sent whole, wherever it stands, and may be sent again."""

_SENT_AS_FILE: Final = (
    1 << 20
)  # from here on aiohttp wants a file for a body: it writes bytes without a pause
_HASHED_HERE: Final = 64 << 10  # bytes that take less than a thread


def size_of(body: Body) -> int:
    """Return the size of a body in bytes."""
    if isinstance(body, bytes):
        return len(body)
    with body.getbuffer() as content:
        return len(content)


async def sha256_of(body: Body) -> str:
    """Return a body's SHA-256 as a signature has it, in hexadecimal digits."""
    if isinstance(body, bytes) and len(body) <= _HASHED_HERE:
        return hashlib.sha256(body, usedforsecurity=False).hexdigest()
    return (await _hashed(body, "sha256")).hex()


async def md5_of(body: Body) -> str:
    """Return a body's MD5 as a header has it, in base64."""
    return b64encode(await _hashed(body, "md5")).decode("ascii")


async def _hashed(body: Body, algorithm: str) -> bytes:
    if size_of(body) <= _HASHED_HERE:
        return _hash(body, algorithm)
    return await asyncio.to_thread(_hash, body, algorithm)


def deletion_of(named: Mapping[str, Any]) -> bytes:
    """Return the body of a request that deletes objects, by `DeleteObjects` of the Amazon S3 API Reference.

    Args:
        named: As botocore takes them: `Objects`, each with its `Key`, and `Quiet`.
    """
    keys = "".join([f"<Object><Key>{escape(each['Key'])}</Key></Object>" for each in named["Objects"]])
    quiet = "<Quiet>true</Quiet>" if named.get("Quiet") else ""
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{keys}{quiet}</Delete>'.encode()


def as_file(body: Body) -> Body:
    """Return a body as botocore's way takes it."""
    if isinstance(body, BytesIO):
        body.seek(0)
        return body
    return BytesIO(body) if len(body) >= _SENT_AS_FILE else body


def pieces_of(body: Body) -> AsyncIterator[memoryview]:
    """Return a large body as the signed way takes it: it is not copied."""
    return _pieces(body.getbuffer() if isinstance(body, BytesIO) else memoryview(body))


async def _pieces(content: memoryview) -> AsyncIterator[memoryview]:
    with content:
        for begin in range(0, len(content), PIECE):
            with content[begin : begin + PIECE] as piece:
                yield piece


def _hash(body: Body, algorithm: str) -> bytes:
    content = body if isinstance(body, bytes) else body.getbuffer()
    return hashlib.new(algorithm, content, usedforsecurity=False).digest()
